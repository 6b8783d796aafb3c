// Draws from the posterior that the particles stand for: what a particle integrates out is drawn given its
// statistics.  The particles and their streams are only read.
#pragma once

#include <hsmoe/filter/particle_filter.hpp>

namespace hsmoe {

template <int W>
void ParticleFilter<W>::draw(const std::vector<Index>& particles, const std::uint64_t* seeds, const Rows& rows, int n_jobs,
                             const PosteriorDraws& out) const {
  const int K = config_.n_experts, splits = gate_->n_splits(), p = config_.gate_dim, d = n_coefficients();
  for (Index i : particles)
    if (i < 0 || i >= n_islands() * n_particles())
      detail::invalid("Engine.draw", "particles", i, "the number of a particle");
  const Index M = Index(particles.size());
  if (M == 0) return;
  if (rows.y) check_targets(rows, true);
  ThreadPool pool(int(std::min<Index>(n_jobs, M)));
  pool.run(M, [&](Index begin, Index end, int) {
    // log g or log f, memo, work, draw.
    const int work_lanes = std::max(expert_->work_lanes(), gate_->work_lanes());
    AlignedVector<double> scratch(std::size_t((K + gate_->memo_lanes() + work_lanes + expert_->draw_lanes()) * W), 0.0);
    Lane<W>*log_term = reinterpret_cast<Lane<W>*>(scratch.data()), *memo = log_term + K,
           *work = memo + gate_->memo_lanes(), *parameters = work + work_lanes;
    std::vector<double> uu(std::size_t(packed_size(p))), inclusion(std::size_t(splits * p));
    AlignedVector<std::uint64_t> words(std::size_t(4 * W), 1);
    for (Index m = begin; m < end; ++m) {
      const Index island = particles[m] / n_particles(), slot = particles[m] % n_particles();
      const double* state = population_.store.block(population_.store.block_of(island, slot));
      const double* gate_state = state + W * Index(expert_->fields());
      const int lane = population_.store.lane_of(slot);
      Mask<W> mask = Mask<W>::all_false();
      mask.set(lane, true);
      for (int w = 0; w < 4; ++w) words[std::size_t(w * W + lane)] = seeds[4 * m + w];
      Stream<W> rng = Stream<W>::load(words.data());
      expert_->draw_parameters(state, rng, mask, parameters, work);
      // Means first, for the counts that come with them; then the draws take their place.
      double *coefficients = out.coefficients + m * K * d, *variance = out.noise_variance + m * K, *shape = out.shape + m * K;
      expert_->describe(state, lane, coefficients, variance, shape, out.counts + m * K);
      expert_->describe_draw(parameters, lane, coefficients, variance, shape);
      gate_->describe(gate_state, lane, out.phi + m * splits * p, out.local_scale + m * splits * p, inclusion.data(),
                      out.global_scale + m);
      if (const OpenLeaves<W>* leaves = gate_->leaves())
        for (int k = 0; k < K; ++k) out.open[m * K + k] = leaves->open(leaves->paths(gate_state), k, double(n_rows_))[lane];
      for (Index i = 0; i < rows.n; ++i) {
        const Row row = row_at(rows, i, n_rows_, uu);
        const Index at = (m * rows.n + i) * K;
        gate_->log_proba(gate_state, row, log_term, memo);
        for (int k = 0; k < K; ++k) out.log_gate[at + k] = log_term[k][lane];
        if (!out.log_density) continue;
        expert_->parameter_log_density(parameters, row, log_term);
        for (int k = 0; k < K; ++k) out.log_density[at + k] = log_term[k][lane];
      }
    }
  });
}

}  // namespace hsmoe
