// Streaming variational Bayes: learning and its state.  Forecasts and reports: variational_forecast.cpp.
#include <chrono>
#include <cmath>
#include <numeric>

#include <hsmoe/error.hpp>
#include <hsmoe/filter/check_config.hpp>
#include <hsmoe/filter/particle_store.hpp>
#include <hsmoe/filter/resampling.hpp>
#include <hsmoe/filter/thread_pool.hpp>
#include <hsmoe/filter/weights.hpp>
#include <hsmoe/prior/make_prior.hpp>
#include <hsmoe/random/variates.hpp>
#include <hsmoe/variational/gaussian_experts.hpp>
#include <hsmoe/variational/polya_gamma_experts.hpp>
#include <hsmoe/variational/variational_engine.hpp>

namespace hsmoe::variational {

namespace {

/// exp(log_r - max) normalised, in place; returns the log of the sum of exp(log_r).
double normalise(double* log_r, int K) {
  const double top = *std::max_element(log_r, log_r + K);
  double sum = 0;
  for (int k = 0; k < K; ++k) sum += log_r[k] = std::exp(log_r[k] - top);
  for (int k = 0; k < K; ++k) log_r[k] /= sum;
  return top + std::log(sum);
}

}  // namespace

VariationalEngine::VariationalEngine(const EngineConfig& config, std::unique_ptr<VariationalExperts> experts,
                                     std::unique_ptr<VariationalGate> gate, const std::vector<std::uint64_t>& seeds)
    : MixtureEngine(config),
      experts_(std::move(experts)),
      gate_(std::move(gate)),
      posterior_{{}, {}, {}, 0.0, {}, RowBuffer(config.expert_dim, config.gate_dim)},
      log_weight_(std::size_t(config.n_islands), 0.0) {
  const Index R = n_islands();
  if (Index(seeds.size()) != R * 2 * 4)
    throw InvalidArgument("Engine: seeds has " + std::to_string(seeds.size()) + " words; it must have " + std::to_string(R * 2 * 4) +
                          ": 4 for each island and 4 for its approximation");
  const Index fields = sums() + frozen_size() + gate_->derived() + experts_->derived();
  check_fields(fields);
  posterior_.member_log_evidence.assign(std::size_t(R), 0.0);
  posterior_.log_share.assign(std::size_t(R), -std::log(double(R)));
  std::copy_n(seeds.begin() + 4, 4, posterior_.island_stream);
  Scratch work = scratch();
  for (Index r = 0; r < R; ++r) {
    Member m;
    m.state.assign(std::size_t(fields), 0.0);
    std::copy_n(seeds.begin() + r * 2 * 4, 4, m.stream);
    gate_->init(m.state.data(), derived(m), work.gate);
    experts_->init(m.state.data() + gate_->sums(), derived(m) + gate_->derived());
    posterior_.members.push_back(std::move(m));
  }
}

VariationalEngine::Scratch VariationalEngine::scratch() const {
  const std::size_t K = std::size_t(config_.n_experts);
  return {VariationalGate::Work(*gate_), experts_->work(), std::vector<double>(K), std::vector<double>(K), std::vector<double>(K),
          std::vector<double>(K * std::size_t(law_->fields())), {}, {}};
}

/// The log density of a row, its responsibilities left in flight.r.
double VariationalEngine::forecast(const Member& member, const Row& row, Flight& flight) const {
  Scratch& s = flight.scratch;
  gate_->project(derived(member), row.u, s.gate);
  gate_->log_proba(s.gate, s.log_g.data());
  experts_->forecast(derived(member) + gate_->derived(), row.x, s.components.data(), s.experts);
  experts_->log_density(s.components.data(), row.y, s.log_f.data());
  for (int k = 0; k < config_.n_experts; ++k) flight.r[k] = s.log_g[k] + s.log_f[k];
  return normalise(flight.r.data(), config_.n_experts);
}

/// All of r to one expert, drawn by it.
void VariationalEngine::draw_allocation(Member& m, double* r) const {
  const int K = config_.n_experts;
  Stream<1> rng = Stream<1>::load(m.stream);
  double left = uniform<1>(rng, Mask<1>::all_true())[0];
  rng.store(m.stream);
  int z = 0;
  while (z + 1 < K && (left -= r[z]) >= 0) ++z;
  while (!(r[z] > 0)) --z;  // rounding never picks an expert of no mass
  std::fill_n(r, K, 0.0);
  r[z] = 1.0;
}

void VariationalEngine::learn(Member& m, const Row& row, Flight& flight) const {
  const int K = config_.n_experts;
  if (samples(n_rows_)) draw_allocation(m, flight.r.data());
  const double* r = flight.r.data();
  double* sums = m.state.data();
  gate_->learn(sums, derived(m), row.u, r, flight.scratch.gate);
  experts_->learn(sums + gate_->sums(), derived(m) + gate_->derived(), row.x, row.y, r, flight.scratch.experts);
  if (config_.retain != 0) m.responsibility.insert(m.responsibility.end(), r, r + K);
}

void VariationalEngine::refresh(Member& m, VariationalGate::Work& work) const {
  gate_->refresh(m.state.data(), derived(m), work);
  experts_->refresh(m.state.data() + gate_->sums(), derived(m) + gate_->derived());
}

/// With one expert there is nothing to revise but the mean of the diagonal form.  After n rows: 10, 15, 23, ..., each half as many again, while all are retained; then whenever twice the rows to retain
/// have gathered.
bool VariationalEngine::scan_due(Index n) const {
  if (freezes() && n - posterior_.frozen_until >= 2 * config_.retain) return true;
  if (config_.retain == 0 || posterior_.frozen_until > 0 || (config_.n_experts == 1 && !config_.variational->diagonal)) return false;
  Index next = 10;
  while (next < n) next += (next + 1) / 2;
  return next == n;
}

/// Factorisations cost as much as the rank-one updates between them; they take up new scales and shed rounding errors.
bool VariationalEngine::refresh_due(Index n) const {
  const Index widest = config_.variational->diagonal ? 1 : std::max(config_.expert_dim, config_.gate_dim);
  return n % std::max<Index>(8, widest) == 0;
}

Index VariationalEngine::scans_over(Index n) const {
  return std::max<Index>(config_.n_scans, posterior_.frozen_until == 0 ? (config_.scan_rows + n - 1) / n : 1);
}

VariationalEngine::ScanRows VariationalEngine::scan_rows() const {
  const RowBuffer& buffer = posterior_.buffer;
  const Index begin = posterior_.frozen_until, n = buffer.end() - begin, d = config_.expert_dim, p = config_.gate_dim;
  ScanRows rows{{n, {}, nullptr}, {n, {}, nullptr}, {}, {}};
  const bool diagonal = config_.variational->diagonal;
  if (diagonal) rows.columns.resize(std::size_t(n * (d + p)));
  for (Index i = 0; i < n; ++i) {
    const double *x = buffer.xy(begin + i), *u = buffer.u(begin + i);
    rows.X.x.push_back(x);
    rows.U.x.push_back(u);
    rows.y.push_back(x[d]);
    if (!diagonal) continue;
    for (Index j = 0; j < d; ++j) rows.columns[j * n + i] = x[j];
    for (Index j = 0; j < p; ++j) rows.columns[(d + j) * n + i] = u[j];
  }
  rows.X.columns = rows.columns.data();
  rows.U.columns = rows.columns.data() + (diagonal ? d * n : 0);
  return rows;
}

/// Scans of the retained rows, the first `freeze` of which join the frozen sums in the last one.
void VariationalEngine::scan(Member& m, Index island, const ScanRows& rows, Index n_scans, Index freeze, Scratch& s) const {
  const Index K = config_.n_experts, L = gate_->n_nodes(), memo = experts_->memo();
  const Index n = rows.X.n;
  double *gate_sums = m.state.data(), *expert_sums = gate_sums + gate_->sums(), *gate = derived(m), *expert = gate + gate_->derived(),
         *frozen = gate_sums + sums();
  const double rate = config_.forgetting.empty() ? 1.0 : config_.forgetting[std::size_t(island)];
  if (freezes() && rate < 1.0) {
    const double decay = std::pow(rate, double(n_rows_ - posterior_.rows_at_scan));
    for (Index i = 0; i < sums(); ++i) frozen[i] *= decay;
  }
  s.omega.resize(std::size_t(n * L));
  s.memo.resize(std::size_t(n * memo));
  for (Index scan = 0; scan < n_scans; ++scan) {
    for (Index i = 0; i < n; ++i) {
      const double y = rows.y[i];
      double* r = m.responsibility.data() + i * K;
      gate_->revisit(gate, rows.U.x[i], r, s.omega.data() + i * L, s.log_g.data(), s.gate);
      experts_->revisit(expert, rows.X.x[i], y, r, s.memo.data() + i * memo, s.components.data(), s.experts);
      experts_->log_density(s.components.data(), y, s.log_f.data());
      for (Index k = 0; k < K; ++k) r[k] = s.log_g[k] + s.log_f[k];
      normalise(r, int(K));
      if (samples(n_rows_)) draw_allocation(m, r);
    }
    if (freezes()) std::copy_n(frozen, sums(), gate_sums);
    else std::fill_n(gate_sums, sums(), 0.0);
    double* freezing = scan + 1 == n_scans && freeze ? frozen : nullptr;
    const double* r = m.responsibility.data();
    gate_->rebuild(gate_sums, gate, rows.U, r, s.omega.data(), freeze, freezing, s.gate);
    experts_->rebuild(expert_sums, expert, rows.X, rows.y.data(), r, s.memo.data(), freeze,
                      freezing ? freezing + gate_->sums() : nullptr, s.experts);
    refresh(m, s.gate);
  }
  m.responsibility.erase(m.responsibility.begin(), m.responsibility.begin() + freeze * K);
}

/// Before the first row freezes, members that will forget at different rates are resampled by their evidence.
void VariationalEngine::part_ways() {
  Posterior& p = posterior_;
  const Index R = n_islands();
  if (R == 1 || config_.pool_memory == 1.0 || p.frozen_until > 0) return;
  std::vector<double> share(static_cast<std::size_t>(R));
  for (Index r = 0; r < R; ++r) share[r] = std::exp(p.log_share[r]);
  Stream<1> rng = Stream<1>::load(p.island_stream);
  const double u = uniform<1>(rng, Mask<1>::all_true())[0];
  rng.store(p.island_stream);
  std::vector<Index> ancestors(static_cast<std::size_t>(R)), offspring;
  resample_systematic(share.data(), R, R, u, ancestors.data());
  apply_ancestors(ancestors, offspring, [&](Index from, Index to) {
    p.members[to].state = p.members[from].state;
    p.members[to].responsibility = p.members[from].responsibility;
    p.member_log_evidence[to] = p.member_log_evidence[from];
  });
  std::fill(p.log_share.begin(), p.log_share.end(), -std::log(double(R)));
}

void VariationalEngine::learn(const Rows& rows, int n_jobs, const LearnPath& path, const ForecastPath* forecast_path,
                              const Poll& poll) {
  if (rows.n == 0) return;
  check_targets(rows, true);
  const Index R = n_islands(), K = config_.n_experts;
  ThreadPool pool(int(std::min<Index>(n_jobs, R)));
  std::vector<Flight> flights;
  for (Index r = 0; r < R; ++r) flights.push_back({std::vector<double>(std::size_t(K)), scratch()});
  std::unique_ptr<ForecastBatch> batch;
  if (forecast_path) batch = std::make_unique<ForecastBatch>(*law_, R, K, rows.n, pool.size());

  // A single row fails before it changes anything (unless memory runs out), and is never interrupted.
  std::unique_ptr<Posterior> undo;
  const Index n_rows_before = n_rows_;
  const Index n_scans_before = scan_log_.n_events();
  if (rows.n > 1) undo = std::make_unique<Posterior>(posterior_);
  std::vector<double> growth(static_cast<std::size_t>(R));
  auto last_poll = std::chrono::steady_clock::now();
  try {
    for (Index i = 0; i < rows.n; ++i) {
      const Row row{rows.X + i * config_.expert_dim, rows.U + i * config_.gate_dim, nullptr, rows.y[i]};
      const Index slot = batch ? i % batch->slots() : 0;
      pool.run(R, [&](Index begin, Index end, int) {
        for (Index r = begin; r < end; ++r) {
          Flight& flight = flights[r];
          growth[r] = forecast(posterior_.members[r], row, flight);
          if (!batch) continue;
          const Index at = batch->offset(slot, r);
          for (Index k = 0; k < K; ++k) {
            batch->weight[at + k] = std::exp(flight.scratch.log_g[k]);
            for (int f = 0; f < law_->fields(); ++f)
              batch->field[f * batch->stride() + at + k] = flight.scratch.components[f * K + k];
          }
        }
      });
      check_growth(growth, i);
      if (batch) batch->close(slot, pooled_weights(), row.y);
      for (Index r = 0; r < R; ++r) posterior_.member_log_evidence[r] += growth[r];
      const double log_density = share_out(posterior_.log_share, growth, posterior_.frozen_until > 0 ? config_.pool_memory : 1.0);
      posterior_.log_evidence += log_density;
      if (forecast_path && forecast_path->log_density) forecast_path->log_density[i] = log_density;
      if (path.log_evidence) path.log_evidence[i] = posterior_.log_evidence;
      if (path.ess) path.ess[i] = double(R);
      if (path.resampled) path.resampled[i] = 0;
      if (batch && (slot + 1 == batch->slots() || i + 1 == rows.n)) batch->flush(i - slot, slot + 1, *forecast_path, pool);

      if (config_.retain != 0) posterior_.buffer.push(row.x, row.u, row.y);
      pool.run(R, [&](Index begin, Index end, int) {
        for (Index r = begin; r < end; ++r) learn(posterior_.members[r], row, flights[r]);
      });
      ++n_rows_;
      if (scan_due(n_rows_)) {
        const Index n = n_rows_ - posterior_.frozen_until, n_scans = scans_over(n),
                    freeze = freezes() && n >= 2 * config_.retain ? n - config_.retain : 0;
        if (freeze) part_ways();
        const ScanRows retained = scan_rows();
        pool.run(R, [&](Index begin, Index end, int) {
          for (Index r = begin; r < end; ++r) scan(posterior_.members[r], r, retained, n_scans, freeze, flights[r].scratch);
        });
        for (Index r = 0; r < R; ++r) scan_log_.push_back({n_rows_ - 1, r, n_scans, n_scans * n, true});
        posterior_.frozen_until += freeze;
        posterior_.rows_at_scan = n_rows_;
        posterior_.buffer.drop_before(posterior_.frozen_until);
      } else if (refresh_due(n_rows_)) {
        pool.run(R, [&](Index begin, Index end, int) {
          for (Index r = begin; r < end; ++r) refresh(posterior_.members[r], flights[r].scratch.gate);
        });
      }
      if (poll && rows.n > 1) {
        const auto now = std::chrono::steady_clock::now();
        if (i + 1 == rows.n || now - last_poll > std::chrono::milliseconds(20)) {
          poll();
          last_poll = now;
        }
      }
    }
  } catch (...) {
    if (undo) {
      posterior_ = std::move(*undo);
      n_rows_ = n_rows_before;
      scan_log_.rewind(n_scans_before);
    }
    throw;
  }
  scan_log_.trim();
}

EngineState VariationalEngine::state() const {
  EngineState s;
  const Posterior& p = posterior_;
  const Index R = n_islands();
  s.n_rows = n_rows_;
  for (const Member& m : p.members) {
    s.particles.insert(s.particles.end(), m.state.begin(), m.state.end());
    s.responsibility.insert(s.responsibility.end(), m.responsibility.begin(), m.responsibility.end());
    s.streams.insert(s.streams.end(), m.stream, m.stream + 4);
    s.streams.insert(s.streams.end(), p.island_stream, p.island_stream + 4);
  }
  s.log_weight = log_weight_;
  s.island_log_evidence = p.member_log_evidence;
  s.log_share = p.log_share;
  s.log_evidence = p.log_evidence;
  s.scan_log = scan_log_;
  s.first_retained = p.buffer.first();
  s.retained_xy = p.buffer.all_xy();
  s.retained_u = p.buffer.all_u();
  s.frozen_until.assign(std::size_t(R), p.frozen_until);
  s.rows_at_scan.assign(std::size_t(R), p.rows_at_scan);
  return s;
}

void VariationalEngine::set_state(const EngineState& s) {
  const Index R = n_islands(), K = config_.n_experts, S = Index(posterior_.members[0].state.size());
  check_state(s, 1, S);
  const Index n = s.n_rows - s.first_retained;
  require_state(s.log_weight == log_weight_, "log_weight", "must hold a 0 for each member");
  require_state(Index(s.responsibility.size()) == R * (config_.retain != 0 ? n : 0) * K, "responsibility", "has the wrong size");
  for (double v : s.responsibility) require_state(v >= 0 && v <= 1 + 1e-9, "responsibility", "holds what is no probability");
  for (Index r = 0; r < R; ++r) {
    require_state(!freezes() || s.frozen_until[r] == s.first_retained, "frozen_until", "is not where the retained rows begin");
    require_state(s.rows_at_scan[r] == s.rows_at_scan[0], "rows_at_scan", "differs between members");
  }
  require_state(s.resampling_log.n_events() == 0, "resampling_*", "hold what cannot have happened");
  Posterior p = posterior_;
  for (Index r = 0; r < R; ++r) {
    Member& m = p.members[r];
    std::copy_n(s.particles.begin() + r * S, S, m.state.begin());
    m.responsibility.assign(s.responsibility.begin() + r * n * K, s.responsibility.begin() + (r + 1) * n * K);
    std::copy_n(s.streams.begin() + r * 2 * 4, 4, m.stream);
    const double* sums = m.state.data();
    require_state(gate_->plausible(sums, derived(m)) && experts_->plausible(sums + gate_->sums(), derived(m) + gate_->derived()), "particles",
            "holds numbers that no member can have");
  }
  std::copy_n(s.streams.begin() + 4, 4, p.island_stream);
  p.member_log_evidence = s.island_log_evidence;
  p.log_share = s.log_share;
  p.log_evidence = s.log_evidence;
  p.buffer.assign(s.first_retained, s.retained_xy, s.retained_u);
  p.frozen_until = s.frozen_until[0];
  p.rows_at_scan = s.rows_at_scan[0];
  posterior_ = std::move(p);
  scan_log_ = s.scan_log;
  n_rows_ = s.n_rows;
}

std::unique_ptr<VariationalExperts> make_experts(const ExpertOptions& options, int n_experts, int dim, bool diagonal) {
  if (const auto* o = std::get_if<GaussianOptions>(&options)) return std::make_unique<GaussianExperts>(n_experts, dim, diagonal, *o);
  if (const auto* o = std::get_if<LogitOptions>(&options))
    return std::make_unique<PolyaGammaExperts<LogitLikelihood>>(n_experts, dim, diagonal, *o);
  if (const auto* o = std::get_if<BinomialOptions>(&options))
    return std::make_unique<PolyaGammaExperts<BinomialLikelihood>>(n_experts, dim, diagonal, *o);
  if (const auto* o = std::get_if<NegativeBinomialOptions>(&options); o && o->shape_grid.size() == 1)
    return std::make_unique<PolyaGammaExperts<NegativeBinomialLikelihood>>(n_experts, dim, diagonal, *o);
  throw InvalidArgument("Engine: experts of this kind have no closed form under variational inference");
}

}  // namespace hsmoe::variational

namespace hsmoe {

std::unique_ptr<Engine> make_variational_engine(const EngineConfig& c, const std::vector<std::uint64_t>& seeds) {
  using namespace variational;
  check_config(c);
  if (c.n_particles != 1) hsmoe::detail::invalid("Engine", "n_particles", c.n_particles, "1 under variational inference");
  check_at_least("Engine", "sampled_rows", c.variational->sampled_rows, Index(0));
  const bool diagonal = c.variational->diagonal;
  const auto* logit = std::get_if<LogitOptions>(&c.expert);
  const double regressions = logit ? logit->n_classes - 1 : 1;
  auto belief = [&](double d) { return diagonal ? 5 * d : (c.retain > 0 ? 2.0 : 1.5) * d * d + 4 * d; };
  const double member = c.n_experts * (regressions * belief(c.expert_dim) + belief(c.gate_dim) + 2.0 * c.gate_dim), doubles = 2 * c.n_islands * member;
  if (doubles > 1e8 && doubles * 8 > 0.9 * physical_memory())
    throw InvalidArgument("Engine: " + std::to_string(c.n_islands) + " members with " + std::to_string(c.n_experts) + " experts over " +
                          std::to_string(c.expert_dim) + " columns need about " + std::to_string(Index(doubles * 8 / 1e9)) +
                          " GB, more than this machine has: choose fewer islands, experts or columns, or the diagonal form");
  Tree tree(c.tree, c.leaves);
  auto prior = make_prior<1>(c.gate_prior, tree.n_nodes(), c.gate_dim);
  auto gate = std::make_unique<VariationalGate>(std::move(tree), std::move(prior), c.gate_dim, diagonal);
  return std::make_unique<VariationalEngine>(c, make_experts(c.expert, c.n_experts, c.expert_dim, diagonal), std::move(gate), seeds);
}

}  // namespace hsmoe
