// Forecasting and reporting: nothing here changes a particle.
#pragma once

#include <numeric>

#include <hsmoe/filter/particle_filter.hpp>

namespace hsmoe {

template <int W>
void ParticleFilter<W>::for_each_forecast(const Rows& rows, int n_jobs, const PerRow& per_row) const {
  const Index N = n_particles(), K = config_.n_experts;
  const std::vector<double> particle_weight = pooled_weights();
  ThreadPool pool(int(std::min<Index>(n_jobs, rows.n)));
  std::vector<Scratch> scratch = scratches(pool.size());
  std::vector<std::vector<double>> parts(pool.size());
  std::vector<MixtureWorkspace> workspaces(pool.size());
  pool.run(rows.n, [&](Index begin, Index end, int t) {
    const Index size = n_islands() * N * K;
    std::vector<double>& c = parts[t];
    const int fields = law_->fields();
    c.resize(std::size_t((1 + fields) * size));  // weights, then field by field
    Lane<W>* lanes = reinterpret_cast<Lane<W>*>(scratch[t].lanes.data());
    Lane<W>*log_g = lanes + K, *memo = lanes + 4 * K, *work = memo + memo_rows() * gate_->memo_lanes();
    Lane<W>* components = reinterpret_cast<Lane<W>*>(scratch[t].forecast.data());
    for (Index row_index = begin; row_index < end; ++row_index) {
      const Row row = row_at(rows, row_index, n_rows_, scratch[t].uu);
      for (Index b = 0; b < population_.store.n_blocks(); ++b) {
        const double* state = population_.store.block(b);
        expert_->predict(state, row, components, work);
        gate_->log_proba(state + W * Index(expert_->fields()), row, log_g, memo);
        const Index first = (b % population_.store.blocks_per_island()) * W;
        const Index particle = b / population_.store.blocks_per_island() * N + first;
        const Index lanes_used = std::min<Index>(W, N - first);
        for (Index k = 0; k < K; ++k) {
          const Lane<W> g = exp(log_g[k]);
          for (Index w = 0; w < lanes_used; ++w) {
            const Index at = (particle + w) * K + k;
            c[at] = particle_weight[particle + w] * g[int(w)];
            for (int f = 0; f < fields; ++f) c[(1 + f) * size + at] = components[f * K + k][int(w)];
          }
        }
      }
      per_row(row_index, ComponentView{std::size_t(size), c.data(), c.data() + size, std::size_t(size)}, workspaces[t]);
    }
  });
}

template <int W>
void ParticleFilter<W>::gate_proba(const Rows& rows, int n_jobs, double* mean, double* sd) const {
  const Index K = config_.n_experts, N = n_particles();
  const std::vector<double> particle_weight = pooled_weights();
  ThreadPool pool(int(std::min<Index>(n_jobs, rows.n)));
  std::vector<Scratch> scratch = scratches(pool.size());
  pool.run(rows.n, [&](Index begin, Index end, int t) {
    Lane<W>* lanes = reinterpret_cast<Lane<W>*>(scratch[t].lanes.data());
    Lane<W>*log_g = lanes + K, *memo = lanes + 4 * K;
    std::vector<double> g(std::size_t(n_islands() * N * K));
    for (Index i = begin; i < end; ++i) {
      const Row row = row_at(rows, i, n_rows_, scratch[t].uu);
      std::fill_n(mean + i * K, K, 0.0);
      std::fill_n(sd + i * K, K, 0.0);
      for (Index b = 0; b < population_.store.n_blocks(); ++b) {
        gate_->log_proba(population_.store.block(b) + W * Index(expert_->fields()), row, log_g, memo);
        const Index first = (b % population_.store.blocks_per_island()) * W;
        const Index particle = b / population_.store.blocks_per_island() * N + first;
        for (Index w = 0; w < std::min<Index>(W, N - first); ++w)
          for (Index k = 0; k < K; ++k) g[(particle + w) * K + k] = std::exp(log_g[k][int(w)]);
      }
      for (Index j = 0; j < n_islands() * N; ++j)
        for (Index k = 0; k < K; ++k) mean[i * K + k] += particle_weight[j] * g[j * K + k];
      for (Index j = 0; j < n_islands() * N; ++j)
        for (Index k = 0; k < K; ++k) {
          const double e = g[j * K + k] - mean[i * K + k];
          sd[i * K + k] += particle_weight[j] * e * e;
        }
      for (Index k = 0; k < K; ++k) sd[i * K + k] = std::sqrt(sd[i * K + k]);
    }
  });
}

template <int W>
void ParticleFilter<W>::active_experts(const Rows& rows, double mass, int n_jobs, double* probability) const {
  const Index K = config_.n_experts, N = n_particles(), n_blocks = population_.store.n_blocks();
  const std::vector<double> particle_weight = pooled_weights();
  std::vector<Index> needed(particle_weight.size());
  ThreadPool pool(int(std::min<Index>(n_jobs, n_blocks)));
  std::vector<Scratch> scratch = scratches(pool.size());
  pool.run(n_blocks, [&](Index begin, Index end, int t) {
    Lane<W>* lanes = reinterpret_cast<Lane<W>*>(scratch[t].lanes.data());
    Lane<W>*share = lanes, *log_g = lanes + K, *memo = lanes + 4 * K;
    std::vector<double> sorted(K);
    for (Index b = begin; b < end; ++b) {
      const double* gate_state = population_.store.block(b) + W * Index(expert_->fields());
      for (Index k = 0; k < K; ++k) share[k] = Lane<W>(0.0);
      for (Index i = 0; i < rows.n; ++i) {
        gate_->log_proba(gate_state, row_at(rows, i, n_rows_, scratch[t].uu), log_g, memo);
        for (Index k = 0; k < K; ++k) share[k] += exp(log_g[k]);
      }
      const Index first = (b % population_.store.blocks_per_island()) * W;
      const Index particle = b / population_.store.blocks_per_island() * N + first;
      for (Index w = 0; w < std::min<Index>(W, N - first); ++w) {
        for (Index k = 0; k < K; ++k) sorted[k] = share[k][int(w)] / double(rows.n);
        std::sort(sorted.begin(), sorted.end(), std::greater<double>());
        double carried = sorted[0];
        Index count = 1;
        while (count < K && carried < mass) carried += sorted[count++];
        needed[particle + w] = count;
      }
    }
  });
  std::fill_n(probability, K, 0.0);
  for (std::size_t i = 0; i < needed.size(); ++i) probability[needed[i] - 1] += particle_weight[i];
}

template <int W>
std::vector<double> ParticleFilter<W>::n_experts_posterior() const {
  if (!gate_->leaves()) return MixtureEngine::n_experts_posterior();
  const OpenLeaves<W>& leaves = *gate_->leaves();
  const std::vector<double> particle_weight = pooled_weights();
  std::vector<double> probability(std::size_t(config_.n_experts), 0.0);
  for (Index i = 0; i < n_islands() * n_particles(); ++i) {
    const Index slot = i % n_particles();
    const double* state = population_.store.block(population_.store.block_of(i / n_particles(), slot));
    const Lane<W> n_open = leaves.n_open(leaves.paths(state + W * Index(expert_->fields())), double(n_rows_));
    probability[std::size_t(n_open[population_.store.lane_of(slot)]) - 1] += particle_weight[std::size_t(i)];
  }
  return probability;
}

template <int W>
ParticleReport ParticleFilter<W>::particle(Index i) const {
  const std::vector<double> w = pooled_weights();
  i = chosen_particle(i, w);
  ParticleReport r = blank_report();
  r.weight = w[i];
  const Index island = i / n_particles(), slot = i % n_particles();
  const double* state = population_.store.block(population_.store.block_of(island, slot));
  const int lane = population_.store.lane_of(slot);
  expert_->describe(state, lane, r.coefficients.data(), r.noise_variance.data(), r.shape.data(), r.counts.data());
  gate_->describe(state + W * Index(expert_->fields()), lane, r.phi.data(), r.local_scale.data(), r.inclusion.data(),
                  &r.global_scale);
  return r;
}

template <int W>
Index ParticleFilter<W>::n_bytes() const {
  return population_.store.n_bytes() + population_.buffer.n_bytes() +
         Index((population_.streams.size() + population_.island_streams.size()) * sizeof(std::uint64_t)) +
         Index((population_.log_weight.size() + population_.island_log_evidence.size() + in_flight_.memory.size() +
                in_flight_.increment.size() + in_flight_.weight.size()) *
               sizeof(double));
}

}  // namespace hsmoe
