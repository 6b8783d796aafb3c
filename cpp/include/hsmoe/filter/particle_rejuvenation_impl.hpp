// Rejuvenation: Gibbs scans over the retained rows, a block of rows at a time.
#pragma once

#include <hsmoe/filter/particle_filter.hpp>

namespace hsmoe {

/// Whether an island of n rows holds as many retained rows as it may: twice those to retain, and at first open_rows if more, for
/// until the first of them freezes experts can still be rearranged.
template <int W>
bool ParticleFilter<W>::full(Index island, Index n) const {
  const Index frozen = population_.frozen_until[island];
  return freezes() && (n - frozen) / 2 >= config_.retain && (frozen > 0 || n >= config_.open_rows);
}

/// Rows before this one have joined the frozen sums of an island once it has been scanned after n rows in all.
template <int W>
Index ParticleFilter<W>::freeze_before(Index island, Index n) const {
  const Index frozen = population_.frozen_until[island];
  return freezes() && (frozen > 0 || full(island, n)) ? std::max(frozen, n - config_.retain) : frozen;
}

template <int W>
bool ParticleFilter<W>::any_frozen() const {
  const auto& until = population_.frozen_until;
  return *std::max_element(until.begin(), until.end()) > 0;
}

/// Islands that differ in what they forget are replicates until the first rows freeze: then, once, whole islands are
/// resampled by their shares.  The copies part ways at once, for random streams stay with the slots.
template <int W>
void ParticleFilter<W>::part_ways() {
  const Index R = n_islands(), N = n_particles();
  if (R == 1 || config_.pool_memory == 1.0 || any_frozen()) return;
  bool freezing = false;
  for (Index r = 0; r < R; ++r) freezing = freezing || (freeze_before(r, n_rows_ + 1) > 0 && scan_due(r));
  if (!freezing) return;
  Population& p = population_;
  std::vector<double> share(R);
  for (Index r = 0; r < R; ++r) share[r] = std::exp(p.log_share[r]);
  Stream<1> rng = Stream<1>::load(p.island_streams.data());
  const double u = uniform<1>(rng, Mask<1>::all_true())[0];
  rng.store(p.island_streams.data());
  std::vector<Index> ancestors(R), offspring;
  resample_systematic(share.data(), R, R, u, ancestors.data());
  apply_ancestors(ancestors, offspring, [&](Index from, Index to) {
    p.store.copy_island(from, to);
    const Index size = p.store.blocks_per_island() * memory_lanes_ * W;
    std::copy_n(in_flight_.memory.data() + from * size, size, in_flight_.memory.data() + to * size);
    std::copy_n(p.log_weight.begin() + from * N, N, p.log_weight.begin() + to * N);
    std::copy_n(weights_of(from), N, weights_of(to));
    p.island_log_evidence[to] = p.island_log_evidence[from];
    p.rows_at_scan[to] = p.rows_at_scan[from];
    resampled_[to] = resampled_[from];
  });
  std::fill(p.log_share.begin(), p.log_share.end(), -std::log(double(R)));
}

/// Whether an island is scanned after the row in flight.
template <int W>
bool ParticleFilter<W>::scan_due(Index island) const {
  return config_.retain != 0 && (resampled_[island] || full(island, n_rows_ + 1));
}

/// After resampling, before the row in flight is learned: which islands are scanned after it.
template <int W>
void ParticleFilter<W>::plan_scans() {
  for (Index r = 0; r < n_islands(); ++r) scanning_[r] = char(scan_due(r));
}

/// Scans of the retained rows begin ... end-1: while the stream is young, and only then, as many as visit
/// scan_rows rows.
template <int W>
Index ParticleFilter<W>::scans_over(Index begin, Index end) const {
  const Index young = begin == 0 ? (config_.scan_rows + end - 1) / end : 1, stages = expert_->stages();
  return (std::max<Index>(config_.n_scans, young) + stages - 1) / stages * stages;  // whole cycles
}

/// In [0, 1): where proposals that only a share of the particles makes at a rejuvenation are made by blocks with less than this share.
/// Groups of particles take turns, by the number of rows and not by what they hold, so the kernel stays exact; groups are no
/// smaller than a block, so that the lanes do not matter.
template <int W>
double ParticleFilter<W>::turn(Index block) const {
  constexpr Index group_size = 8;
  static_assert(group_size % W == 0, "groups consist of whole blocks");
  const Index n_groups = (n_particles() + group_size - 1) / group_size,
              group = block % population_.store.blocks_per_island() * W / group_size;
  const double turn = double(group) / double(n_groups) - double(n_rows_) * 0.61803398874989484820;  // golden ratio
  return turn - std::floor(turn);
}

/// Proposals that two experts change places in the tree, or that one becomes the twin of another, given the allocations of all
/// n rows; where one is accepted, Polya-Gamma variables and statistics of the gate anew.
template <int W>
void ParticleFilter<W>::rearrange_experts(bool exchanging, bool relocating, bool swapping, double* state, Index n, Stream<W>& rng, Mask<W> mask,
                                          Lane<W>* g, Lane<W>* memo, Lane<W>* work, Scratch& scratch) const {
  const RowBuffer& buffer = population_.buffer;
  Lane<W>* allocation = reinterpret_cast<Lane<W>*>(scratch.allocation.data());
  double* gate_state = state + W * Index(expert_->fields());
  Mask<W> accepted = Mask<W>::all_false();
  if (exchanging) {
    Lane<W> first, second;
    accepted = gate_->exchange(gate_state, n, buffer.u(0), allocation, allocation + n, first, second, rng, mask, work);
    expert_->exchange(state, first, second, accepted);
    for (Index i = 0; i < n; ++i) {
      const Lane<W> z = allocation[i];
      allocation[i] = select(accepted & (z == first), second, select(accepted & (z == second), first, z));
    }
  }
  if (relocating)
    accepted = accepted | Relocation<W>(*expert_, *gate_, config_.n_experts, config_.expert_dim, buffer, n, work, scratch.relocation)
                              .propose(state, swapping, config_.relocation_tries, allocation, rng, mask);
  // A proposal that was rejected leaves the state as it was, the augmented one: what the proposal would have drawn for
  // omega, from p(omega | phi', z'), cancels in the ratio of acceptance.
  if (!any(accepted)) return;
  gate_->load_sums(gate_state, nullptr, accepted);
  for (Index i = 0; i < n; i += RowBlock::most) {
    const RowBlock rows = buffer.block(i, std::min(i + RowBlock::most, n));
    for (int t = 0; t < rows.n; ++t)
      gate_->proba(gate_state, {rows.xy[t], rows.u[t], nullptr, 0.0, rows.at[t]}, g, memo + t * gate_->memo_lanes());
    gate_->absorb(gate_state, nullptr, rows, allocation + i, memo, rng, accepted, work);
  }
}

/// After all blocks were scanned.
template <int W>
void ParticleFilter<W>::finish_scans() {
  bool any_scan = false;
  for (Index r = 0; r < n_islands(); ++r) {
    if (!scanning_[r]) continue;
    any_scan = true;
    const Index begin = population_.frozen_until[r], end = population_.buffer.end(), n_scans = scans_over(begin, end);
    scan_log_.push_back({n_rows_ - 1, r, n_scans, n_scans * (end - begin), !resampled_[r]});
    population_.frozen_until[r] = freeze_before(r, n_rows_);
    population_.rows_at_scan[r] = n_rows_;
    scanning_[r] = 0;
  }
  if (any_scan)
    population_.buffer.drop_before(*std::min_element(population_.frozen_until.begin(), population_.frozen_until.end()));
}

template <int W>
void ParticleFilter<W>::rejuvenate(Index block, Scratch& scratch) {
  const Index island = block / population_.store.blocks_per_island();
  if (!scanning_[island] && !resampled_[island]) return;
  const int K = config_.n_experts;
  Lane<W>* lanes = reinterpret_cast<Lane<W>*>(scratch.lanes.data());
  Lane<W>*log_f = lanes, *g = lanes + K, *mass = lanes + 2 * K, *memo = lanes + 4 * K,
         *work = memo + memo_rows() * gate_->memo_lanes(),
         *draw = work + std::max(expert_->work_lanes(), gate_->work_lanes());
  double* state = population_.store.block(block);
  double* gate_state = state + W * Index(expert_->fields());
  const Mask<W> mask = population_.store.mask(block);
  std::uint64_t* stream = population_.streams.data() + block * 4 * W;
  Stream<W> rng = Stream<W>::load(stream);

  if (!scanning_[island]) {  // nothing retained: what is drawn given the statistics alone
    expert_->renew(state, rng, mask, work);
    gate_->renew(gate_state, config_.phi_kernel, rng, mask, work);
    rng.store(stream);
    return;
  }
  double* expert_sums = reinterpret_cast<double*>(draw + expert_->draw_lanes());
  double* frozen_expert = freezes() ? state + W * core_fields() : nullptr;
  double* frozen_gate = freezes() ? frozen_expert + W * Index(expert_->sum_fields()) : nullptr;
  const double forgetting = config_.forgetting.empty() ? 1.0 : config_.forgetting[std::size_t(island)];
  if (freezes() && forgetting < 1.0) {
    const double decay = std::pow(forgetting, double(n_rows_ + 1 - population_.rows_at_scan[island]));
    expert_->fade(frozen_expert, decay);
    for (Index f = 0; f < W * Index(gate_->sum_fields()); ++f) frozen_gate[f] *= decay;
  }
  const RowBuffer& buffer = population_.buffer;
  const Index begin = population_.frozen_until[island], end = buffer.end(), freeze = freeze_before(island, n_rows_ + 1);
  if (frozen_gate && begin > 0) {
    std::vector<Mask<W>> freed(static_cast<std::size_t>(K));
    const Mask<W> some = gate_->forget_closed(gate_state, frozen_gate, begin, end, freed.data(), rng, mask, work);
    if (any(some)) expert_->begin_anew(state, frozen_expert, freed.data(), K, rng, some);
  }
  const Index n_scans = scans_over(begin, end);
  // Experts are rearranged while every row is retained: frozen rows belong to the arrangement in which they were frozen.
  const bool all_retained = begin == 0 && freeze == 0, moving = gate_->moves_by_rows();
  // An exchange visits a bounded number of rows a rejuvenation.  A relocation costs as much as dozens of scans, but with more rows there is
  // more to gain from it, and rejuvenations become rarer.
  const double grown = std::min(1.0, double(end) / double(config_.relocation_rows)),
               exchange_share = double(config_.exchange_rows) / double(end),
               relocation_share = std::min(1.0, grown * double(config_.relocations) / double(n_particles()));
  const bool exchanging = all_retained && gate_->has_exchanges() && turn(block) < exchange_share;
  // (A proposal of very many coefficients at once is never accepted, and costs their number's cube.)
  constexpr int most_coefficients = 128;
  const bool relocating = all_retained && K > 1 && gate_->refitting() && gate_->refitting()->dim() <= most_coefficients &&
                          expert_->conjugate() && turn(block) < relocation_share;
  const bool swapping = relocating && turn(block) < 0.5 * relocation_share;
  const OpenLeaves<W>* leaves = gate_->leaves();
  const bool keeping = exchanging || relocating || moving || leaves;
  // The allocations of a block of rows, or of all for what needs them, with scratch behind them.
  const Index n = end - begin, kept = keeping ? n : Index(RowBlock::most);
  scratch.allocation.resize(std::size_t(W) * std::size_t(kept + (exchanging ? 2 * n : 0) + gate_->move_lanes(n) + (leaves ? leaves->redraw_lanes(n) : 0)));
  Lane<W>* allocation = reinterpret_cast<Lane<W>*>(scratch.allocation.data());
  for (Index scan = 0; scan < n_scans; ++scan) {
    const bool last = scan + 1 == n_scans;
    const int stage = int((n_scans - 1 - scan) % expert_->stages());
    expert_->draw_parameters(state, rng, mask, draw, work);
    if (frozen_expert) std::copy_n(frozen_expert, W * Index(expert_->sum_fields()), expert_sums);
    else std::fill_n(expert_sums, W * Index(expert_->sum_fields()), 0.0);
    gate_->load_sums(gate_state, frozen_gate, mask);
    auto for_each_block = [&](auto&& visit) {
      for (Index i = begin; i < end;) {
        // Blocks of rows end where freezing ends.
        const bool freezing = last && i < freeze;
        const RowBlock rows = buffer.block(i, std::min({i + RowBlock::most, end, freezing ? freeze : end}));
        visit(rows, keeping ? allocation + (i - begin) : allocation, freezing);
        i += rows.n;
      }
    };
    auto row_of = [&](const RowBlock& rows, int t) {
      return Row{rows.xy[t], rows.u[t], nullptr, rows.xy[t][config_.expert_dim], rows.at[t]};
    };
    auto allocate = [&](const RowBlock& rows, Lane<W>* z) {
      for (int t = 0; t < rows.n; ++t) {
        const Row row = row_of(rows, t);
        expert_->parameter_log_density(draw, row, log_f);
        weigh_experts(gate_state, row, log_f, g, mass, memo + t * gate_->memo_lanes(), lanes + 3 * K);
        z[t] = draw_allocation(mass, rng, mask);
      }
    };
    auto absorb = [&](const RowBlock& rows, const Lane<W>* z, bool freezing) {
      expert_->absorb(expert_sums, freezing ? frozen_expert : nullptr, rows, z, draw, stage, rng, mask, work);
      gate_->absorb(gate_state, freezing ? frozen_gate : nullptr, rows, z, memo, rng, mask, work);
    };
    if (leaves) {  // between the allocations and what they are augmented by, which paths integrate out
      for_each_block([&](const RowBlock& rows, Lane<W>* z, bool) { allocate(rows, z); });
      for (int k = 1; k < K; ++k)
        leaves->redraw(gate_state, k, begin, end, buffer.u(begin), allocation, allocation + n, rng, mask);
      for_each_block([&](const RowBlock& rows, const Lane<W>* z, bool freezing) {
        for (int t = 0; t < rows.n; ++t) gate_->proba(gate_state, row_of(rows, t), g, memo + t * gate_->memo_lanes());
        absorb(rows, z, freezing);
      });
    } else {
      for_each_block([&](const RowBlock& rows, Lane<W>* z, bool freezing) {
        allocate(rows, z);
        absorb(rows, z, freezing);
      });
    }
    if (moving)
      gate_->move(gate_state, frozen_gate, n, last ? std::max<Index>(freeze - begin, 0) : 0, buffer.u(begin), allocation,
                  allocation + n, rng, mask, work);
    else gate_->renew(gate_state, PhiKernel::block, rng, mask, work);
    expert_->rebuild(state, expert_sums, draw, stage, rng, mask, work);
    if (last && (exchanging || relocating))
      rearrange_experts(exchanging, relocating, swapping, state, end, rng, mask, g, memo, work, scratch);
  }
  rng.store(stream);
}

}  // namespace hsmoe
