// Learning: construction, the row loop, the state.
#pragma once

#include <hsmoe/filter/particle_filter.hpp>

namespace hsmoe {

template <int W>
ParticleFilter<W>::ParticleFilter(const EngineConfig& config, std::unique_ptr<Expert<W>> expert,
                                  std::unique_ptr<Gate<W>> gate, const std::vector<std::uint64_t>& seeds)
    : MixtureEngine(config),
      expert_(std::move(expert)),
      gate_(std::move(gate)),
      population_{empty_store(config.first_particles()), {}, {}, {}, {}, {}, 0.0, RowBuffer(config.expert_dim, config.gate_dim),
                  std::vector<Index>(config.n_islands, 0), std::vector<Index>(config.n_islands, 0)},
      memory_lanes_(config.n_experts + gate_->memo_lanes()),
      in_flight_(in_flight(config.first_particles())) {
  const Index N = n_particles(), R = n_islands();
  if (Index(seeds.size()) != R * (N + 1) * 4)
    throw InvalidArgument("Engine: seeds has " + std::to_string(seeds.size()) + " words; it must have " +
                          std::to_string(R * (N + 1) * 4) + ": 4 for each island and each of the particles it begins with");
  Population& p = population_;
  p.streams.assign(std::size_t(p.store.n_blocks() * 4 * W), 1);
  p.island_streams.resize(std::size_t(R) * 4);
  p.log_weight.assign(std::size_t(R * N), -std::log(double(N)));
  p.island_log_evidence.assign(std::size_t(R), 0.0);
  p.log_share.assign(std::size_t(R), -std::log(double(R)));
  resampled_.assign(std::size_t(R), 0);
  scanning_.assign(std::size_t(R), 0);
  for (Index r = 0; r < R; ++r) {
    const std::uint64_t* island = seeds.data() + r * (N + 1) * 4;
    for (Index i = 0; i < N; ++i)
      for (int w = 0; w < 4; ++w)
        p.streams[std::size_t((p.store.block_of(r, i) * 4 + w) * W + p.store.lane_of(i))] = island[i * 4 + w];
    std::copy(island + N * 4, island + N * 4 + 4, p.island_streams.begin() + r * 4);
  }
  std::vector<Scratch> scratch = scratches(1);
  Lane<W>* work = reinterpret_cast<Lane<W>*>(scratch[0].lanes.data());
  for (Index b = 0; b < p.store.n_blocks(); ++b) {
    Stream<W> rng = Stream<W>::load(p.streams.data() + b * 4 * W);
    double* state = p.store.block(b);
    // Padding lanes start like the others, so that no arithmetic on them is out of the ordinary.
    expert_->init(state, rng, p.store.mask(b));
    gate_->init(state + W * Index(expert_->fields()), rng, p.store.mask(b), work);
    rng.store(p.streams.data() + b * 4 * W);
  }
}

template <int W>
ParticleStore<W> ParticleFilter<W>::empty_store(Index n_particles) const {
  const Index sums = freezes() ? expert_->sum_fields() + gate_->sum_fields() : 0;
  check_fields(core_fields() + sums);
  return ParticleStore<W>(n_islands(), n_particles, core_fields() + sums);
}

template <int W>
typename ParticleFilter<W>::InFlight ParticleFilter<W>::in_flight(Index n_particles) const {
  const std::size_t blocks = std::size_t((n_particles + W - 1) / W * n_islands()), count = std::size_t(n_particles * n_islands());
  return {AlignedVector<double>(blocks * memory_lanes_ * W, 0.0), std::vector<double>(count, 0.0), std::vector<double>(count, 0.0)};
}

template <int W>
std::vector<typename ParticleFilter<W>::Scratch> ParticleFilter<W>::scratches(int n_threads) const {
  // log f, g, logarithms where g underflows, memo, the work space of expert or gate, then what a scan needs.
  const Index lanes = 4 * config_.n_experts + memo_rows() * gate_->memo_lanes() + std::max(expert_->work_lanes(), gate_->work_lanes()) +
                      (config_.retain ? expert_->draw_lanes() + expert_->sum_fields() : 0);
  std::vector<Scratch> all(n_threads);
  for (Scratch& s : all) {
    s.lanes.assign(std::size_t(lanes * W), 0.0);
    s.forecast.assign(std::size_t(law_->fields() * config_.n_experts * W), 0.0);
    s.uu.assign(std::size_t(packed_size(config_.gate_dim)), 0.0);
  }
  return all;
}

template <int W>
Row ParticleFilter<W>::row_at(const Rows& rows, Index i, Index at, std::vector<double>& uu) const {
  const double* u = rows.U + i * config_.gate_dim;
  for (int a = 0, m = 0; a < config_.gate_dim; ++a)
    for (int b = 0; b <= a; ++b, ++m) uu[m] = u[a] * u[b];
  return {rows.X ? rows.X + i * config_.expert_dim : nullptr, u, uu.data(), rows.y ? rows.y[i] : 0.0, double(at)};
}

template <int W>
void ParticleFilter<W>::weigh(Index block, const Row& row, ForecastBatch* batch, Index slot, Scratch& scratch) {
  const int K = config_.n_experts;
  Lane<W>* lanes = reinterpret_cast<Lane<W>*>(scratch.lanes.data());
  Lane<W>*log_f = lanes, *g = lanes + K, *work = lanes + 4 * K + memo_rows() * gate_->memo_lanes();
  Lane<W>* components = reinterpret_cast<Lane<W>*>(scratch.forecast.data());
  const double* state = population_.store.block(block);
  expert_->log_density(state, row, log_f, batch ? components : nullptr, work);
  Lane<W>* mass = reinterpret_cast<Lane<W>*>(memory(block));
  const Lane<W> top = weigh_experts(state + W * Index(expert_->fields()), row, log_f, g, mass, mass + memo_offset(), lanes + 3 * K);
  const Lane<W> increment = top + log(mass[K - 1]);

  const Index island = block / population_.store.blocks_per_island();
  const Index first = (block % population_.store.blocks_per_island()) * W;
  const Index end = std::min<Index>(W, n_particles() - first);
  for (Index w = 0; w < end; ++w) in_flight_.increment[island * n_particles() + first + w] = increment[int(w)];
  if (!batch) return;
  for (Index w = 0; w < end; ++w) {
    const Index at = batch->offset(slot, island * n_particles() + first + w);
    for (int k = 0; k < K; ++k) batch->weight[at + k] = g[k][int(w)];
    for (int f = 0; f < law_->fields(); ++f)
      for (int k = 0; k < K; ++k) batch->field[f * batch->stride() + at + k] = components[f * K + k][int(w)];
  }
}

/// mass[k] = sum_{j <= k} g_j f_j / exp(top); returns top.  g: the routing probabilities.  Where products of them leave
/// the range of doubles, sums of logarithms take their place.
template <int W>
Lane<W> ParticleFilter<W>::weigh_experts(const double* gate_state, const Row& row, const Lane<W>* log_f, Lane<W>* g,
                                 Lane<W>* mass, Lane<W>* memo, Lane<W>* joint) const {
  const int K = config_.n_experts;
  gate_->proba(gate_state, row, g, memo);
  Lane<W> top = log_f[0];
  for (int k = 1; k < K; ++k) top = max(top, log_f[k]);
  Lane<W> total(0.0);
  for (int k = 0; k < K; ++k) mass[k] = total += g[k] * exp_nonpositive(log_f[k] - top);
  // What is lost in a product below 1e-300 is far below the rounding of this total.
  const Mask<W> lost = !(total > Lane<W>(1e-270));
  if (__builtin_expect(any(lost), 0)) {
    gate_->log_proba(gate_state, row, joint, memo);
    Lane<W> highest(-std::numeric_limits<double>::infinity());
    for (int k = 0; k < K; ++k) highest = max(highest, joint[k] += log_f[k]);
    const Lane<W> safe = select(highest > Lane<W>(-std::numeric_limits<double>::max()), highest, Lane<W>(0.0));
    total = Lane<W>(0.0);
    for (int k = 0; k < K; ++k) mass[k] = select(lost, total += exp_nonpositive(joint[k] - safe), mass[k]);
    top = select(lost, safe, top);
  }
  return top;
}

/// z ~ Cat by inversion, mass: cumulative.  u * total < total in floating point for the largest uniform too, so an expert
/// of zero mass is never picked.
template <int W>
Lane<W> ParticleFilter<W>::draw_allocation(const Lane<W>* mass, Stream<W>& rng, Mask<W> mask) const {
  const int K = config_.n_experts;
  const Lane<W> target = uniform<W>(rng, mask) * mass[K - 1];
  Lane<W> z(0.0);
  for (int k = 0; k + 1 < K; ++k) z += select(target >= mass[k], Lane<W>(1.0), Lane<W>(0.0));
  return z;
}

template <int W>
void ParticleFilter<W>::propagate(Index block, const Row& row, Scratch& scratch) {
  const int K = config_.n_experts;
  Lane<W>* work = reinterpret_cast<Lane<W>*>(scratch.lanes.data()) + 4 * K + memo_rows() * gate_->memo_lanes();
  const Lane<W>* mass = reinterpret_cast<const Lane<W>*>(memory(block));
  const Mask<W> mask = population_.store.mask(block);
  std::uint64_t* stream = population_.streams.data() + block * 4 * W;
  Stream<W> rng = Stream<W>::load(stream);

  const Lane<W> z = draw_allocation(mass, rng, mask);
  double* state = population_.store.block(block);
  expert_->learn(state, row, z, rng, mask, work);
  gate_->learn(state + W * Index(expert_->fields()), row, z, mass + memo_offset(), config_.phi_kernel, rng, mask, work);
  if (config_.change_rate) gate_->advance(state + W * Index(expert_->fields()), row.at + 1.0, rng, mask, work);
  rng.store(stream);
}

template <int W>
void ParticleFilter<W>::reweight_islands(Index row_in_call, std::vector<double>& growth) {
  // First on a copy: an impossible row must leave every island as it was.
  std::vector<double> log_weight = population_.log_weight;
  for (Index r = 0; r < n_islands(); ++r) {
    const Index at = r * n_particles();
    growth[r] = reweight<W>(log_weight.data() + at, in_flight_.increment.data() + at, n_particles(), weights_of(r));
  }
  check_growth(growth, row_in_call);
  population_.log_weight.swap(log_weight);
  for (Index r = 0; r < n_islands(); ++r) population_.island_log_evidence[r] += growth[r];
}

template <int W>
Index ParticleFilter<W>::resample_islands(ThreadPool& pool) {
  const Index N = n_particles();
  Index count = 0;
  std::vector<Index> ancestors, offspring, groups;
  std::vector<ParticleCopy> copies;
  for (Index r = 0; r < n_islands(); ++r) {
    resampled_[r] = 0;
    const double ess = effective_sample_size(weights_of(r), N);
    if (!(ess < config_.ess_threshold * double(N)) || N == 1) continue;
    ++count;
    resampled_[r] = 1;
    std::uint64_t* words = population_.island_streams.data() + r * 4;
    Stream<1> rng = Stream<1>::load(words);
    const double u = uniform<1>(rng, Mask<1>::all_true())[0];
    rng.store(words);
    ancestors.resize(N);
    resample_systematic(weights_of(r), N, N, u, ancestors.data());
    ParticleStore<W>& store = population_.store;
    copies.clear();
    const Index unique = apply_ancestors(ancestors, offspring, [&](Index from, Index to) { copies.push_back({from, to}); });
    // Sources survive where they are, so blocks can be written in any order.
    groups.clear();
    for (std::size_t i = 0; i < copies.size(); ++i)
      if (i == 0 || copies[i].to / W != copies[i - 1].to / W) groups.push_back(Index(i));
    groups.push_back(Index(copies.size()));
    pool.run(Index(groups.size()) - 1, [&](Index begin, Index end, int) {
      for (Index g = begin; g < end; ++g) {
        const ParticleCopy *first = copies.data() + groups[g], *last = copies.data() + groups[g + 1];
        copy_particles<W>(first, last, store.fields(),
                          [&](Index i) { return store.block(store.block_of(r, i)) + store.lane_of(i); });
        // The row in flight travels with its particle: z must be drawn from the copied g_k f_k.
        copy_particles<W>(first, last, memory_lanes_,
                          [&](Index i) { return memory(store.block_of(r, i)) + store.lane_of(i); });
      }
    });
    std::fill_n(population_.log_weight.begin() + r * N, N, -std::log(double(N)));
    std::fill_n(weights_of(r), N, 1.0 / double(N));
    resampling_log_.push_back({n_rows_, r, ess, unique});
  }
  return count;
}

template <int W>
void ParticleFilter<W>::learn(const Rows& rows, int n_jobs, const LearnPath& path, const ForecastPath* forecast,
                              const Poll& poll) {
  if (rows.n == 0) return;
  check_targets(rows, true);
  ThreadPool pool(int(std::min<Index>(n_jobs, population_.store.n_blocks())));
  std::vector<Scratch> scratch = scratches(pool.size());

  // A single row fails before it changes anything (unless memory runs out), and is never interrupted.
  std::unique_ptr<Population> undo;
  const Index n_rows_before = n_rows_, n_events_before = resampling_log_.n_events(),
              n_scans_before = scan_log_.n_events();
  if (rows.n > 1) undo = std::make_unique<Population>(population_);
  try {
    const bool early = n_rows_ < config_.early_rows;
    const Index thinned_at = early ? std::min(rows.n, config_.early_rows - n_rows_) : 0;
    learn_run(rows, 0, thinned_at, pool, scratch, path, forecast, poll);
    if (early && n_rows_ == config_.early_rows) thin();
    learn_run(rows, thinned_at, rows.n, pool, scratch, path, forecast, poll);
  } catch (...) {
    if (undo) {
      if (undo->store.particles() != n_particles()) in_flight_ = in_flight(undo->store.particles());
      population_ = std::move(*undo);
      n_rows_ = n_rows_before;
      resampling_log_.rewind(n_events_before);
      scan_log_.rewind(n_scans_before);
    }
    throw;
  }
  resampling_log_.trim();
  scan_log_.trim();
}

/// Rows first ... last-1, with the particles there are.
template <int W>
void ParticleFilter<W>::learn_run(const Rows& rows, Index first, Index last, ThreadPool& pool, std::vector<Scratch>& scratch,
                                  const LearnPath& path, const ForecastPath* forecast, const Poll& poll) {
  if (first == last) return;
  const Index N = n_particles(), R = n_islands(), n_blocks = population_.store.n_blocks();
  std::unique_ptr<ForecastBatch> batch;
  if (forecast) batch = std::make_unique<ForecastBatch>(*law_, R * N, config_.n_experts, last - first, pool.size());
  std::vector<double> growth(R);
  std::vector<double> uu[2] = {scratch[0].uu, scratch[0].uu};
  auto last_poll = std::chrono::steady_clock::now();
  Row row = row_at(rows, first, n_rows_, uu[0]);
  pool.run(n_blocks, [&](Index begin, Index end, int t) {
    for (Index b = begin; b < end; ++b) weigh(b, row, batch.get(), 0, scratch[t]);
  });
  for (Index i = first; i < last; ++i) {
    const Index slot = batch ? (i - first) % batch->slots() : 0;
    if (batch) batch->close(slot, pooled_weights(), row.y);
    reweight_islands(i, growth);
    const double log_density = share_out(population_.log_share, growth, any_frozen() ? config_.pool_memory : 1.0);
    population_.log_evidence += log_density;
    if (forecast && forecast->log_density) forecast->log_density[i] = log_density;
    if (path.log_evidence) path.log_evidence[i] = log_evidence();
    if (path.ess) {
      path.ess[i] = 0.0;
      for (Index r = 0; r < R; ++r) path.ess[i] += effective_sample_size(weights_of(r), N);
    }
    const Index resampled = resample_islands(pool);
    if (path.resampled) path.resampled[i] = resampled;
    part_ways();
    plan_scans();
    if (config_.retain != 0) population_.buffer.push(row.x, row.u, row.y);
    const bool more = i + 1 < last;
    if (batch && (slot + 1 == batch->slots() || !more)) batch->flush(i - slot, slot + 1, *forecast, pool);

    const Row next = more ? row_at(rows, i + 1, n_rows_ + 1, uu[(i + 1 - first) % 2]) : row;
    const Index next_slot = batch ? (i + 1 - first) % batch->slots() : 0;
    pool.run(n_blocks, [&](Index begin, Index end, int t) {
      for (Index b = begin; b < end; ++b) {
        propagate(b, row, scratch[t]);
        rejuvenate(b, scratch[t]);
        if (more) weigh(b, next, batch.get(), next_slot, scratch[t]);
      }
    });
    row = next;
    ++n_rows_;
    finish_scans();
    if (poll && rows.n > 1) {
      const auto now = std::chrono::steady_clock::now();
      if (!more || now - last_poll > std::chrono::milliseconds(20)) {
        poll();
        last_poll = now;
      }
    }
  }
}

/// Systematic resampling of every island to the particles it keeps from now on.
template <int W>
void ParticleFilter<W>::thin() {
  const Index from = n_particles(), to = config_.n_particles, R = n_islands();
  if (from == to) return;
  Population& p = population_;
  ParticleStore<W> store = empty_store(to);
  InFlight row = in_flight(to);
  AlignedVector<std::uint64_t> streams(std::size_t(store.n_blocks() * 4 * W), 1);
  std::vector<double> log_weight(std::size_t(R * to), -std::log(double(to))), weight(from), particle(store.fields());
  std::vector<Index> ancestors(to);
  for (Index r = 0; r < R; ++r) {
    for (Index i = 0; i < from; ++i) weight[i] = std::exp(p.log_weight[r * from + i]);
    Stream<1> rng = Stream<1>::load(p.island_streams.data() + r * 4);
    const double u = uniform<1>(rng, Mask<1>::all_true())[0];
    rng.store(p.island_streams.data() + r * 4);
    resample_systematic(weight.data(), from, to, u, ancestors.data());
    for (Index i = 0; i < to; ++i) {
      p.store.read_particle(r, ancestors[i], particle.data());
      store.write_particle(r, i, particle.data());
      for (int w = 0; w < 4; ++w)  // streams stay with the slots
        streams[std::size_t((store.block_of(r, i) * 4 + w) * W + store.lane_of(i))] =
            p.streams[std::size_t((p.store.block_of(r, i) * 4 + w) * W + p.store.lane_of(i))];
    }
  }
  store.pad();
  p.store = std::move(store);
  p.streams = std::move(streams);
  p.log_weight = std::move(log_weight);
  in_flight_ = std::move(row);
}

}  // namespace hsmoe
