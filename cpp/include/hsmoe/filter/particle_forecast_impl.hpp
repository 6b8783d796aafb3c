// Forecasting and reporting: nothing here changes a particle.
#pragma once

#include <numeric>

#include <hsmoe/filter/particle_filter.hpp>

namespace hsmoe {

template <int W>
template <class PerRow>
void ParticleFilter<W>::for_each_forecast(const Rows& rows, int n_jobs, PerRow&& per_row) const {
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
      const Row row = row_at(rows, row_index, scratch[t].uu);
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
void ParticleFilter<W>::moments(const Rows& rows, int n_jobs, double* mean, double* variance) const {
  for_each_forecast(rows, n_jobs, [&](Index i, const ComponentView& m, MixtureWorkspace&) {
    mean[i] = law_->mean(m);
    if (variance) variance[i] = law_->variance(m);
  });
}

template <int W>
void ParticleFilter<W>::quantiles(const Rows& rows, const double* probs, int n_probs, int n_jobs, double* out) const {
  for_each_forecast(rows, n_jobs, [&](Index i, const ComponentView& m, MixtureWorkspace& workspace) {
    law_->quantiles(m, probs, n_probs, out + i * n_probs, workspace);
  });
}

template <int W>
void ParticleFilter<W>::cdf(const Rows& rows, int n_jobs, double* out) const {
  check_targets(rows);
  for_each_forecast(rows, n_jobs, [&](Index i, const ComponentView& m, MixtureWorkspace&) { out[i] = law_->cdf(m, rows.y[i]); });
}

template <int W>
void ParticleFilter<W>::log_density(const Rows& rows, int n_jobs, double* out) const {
  check_targets(rows);
  for_each_forecast(rows, n_jobs,
                    [&](Index i, const ComponentView& m, MixtureWorkspace&) { out[i] = law_->log_density(m, rows.y[i]); });
}

template <int W>
void ParticleFilter<W>::crps(const Rows& rows, int n_jobs, double* out) const {
  check_targets(rows);
  for_each_forecast(rows, n_jobs, [&](Index i, const ComponentView& m, MixtureWorkspace& workspace) {
    out[i] = law_->crps(m, rows.y[i], workspace);
  });
}

template <int W>
void ParticleFilter<W>::class_proba(const Rows& rows, int n_jobs, double* out) const {
  for_each_forecast(rows, n_jobs, [&](Index i, const ComponentView& m, MixtureWorkspace&) {
    law_->class_proba(m, out + i * law_->n_classes());
  });
}

template <int W>
void ParticleFilter<W>::sample(const Rows& rows, Index n_samples, const std::uint64_t seed[4], double* out) const {
  Stream<1> rng = Stream<1>::load(seed);
  for_each_forecast(rows, 1, [&](Index i, const ComponentView& m, MixtureWorkspace&) {
    for (Index s = 0; s < n_samples; ++s) out[i * n_samples + s] = law_->sample(m, rng);
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
      const Row row = row_at(rows, i, scratch[t].uu);
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
        gate_->log_proba(gate_state, row_at(rows, i, scratch[t].uu), log_g, memo);
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
ParticleReport ParticleFilter<W>::particle(Index i) const {
  const std::vector<double> w = pooled_weights();
  if (i < 0) i = std::max_element(w.begin(), w.end()) - w.begin();
  if (i >= Index(w.size()))
    detail::invalid("Engine.particle", "i", i, ("below " + std::to_string(w.size())).c_str());
  const int K = config_.n_experts, splits = gate_->n_splits(), p = config_.gate_dim;
  ParticleReport r;
  r.weight = w[i];
  r.phi.resize(splits * p);
  r.local_scale.resize(splits * p);
  r.inclusion.resize(splits * p);
  r.coefficients.resize(K * n_coefficients());
  r.noise_variance.resize(K);
  r.shape.resize(K);
  r.counts.resize(K);
  const Index island = i / n_particles(), slot = i % n_particles();
  const double* state = population_.store.block(population_.store.block_of(island, slot));
  const int lane = population_.store.lane_of(slot);
  expert_->describe(state, lane, r.coefficients.data(), r.noise_variance.data(), r.shape.data(), r.counts.data());
  gate_->describe(state + W * Index(expert_->fields()), lane, r.phi.data(), r.local_scale.data(), r.inclusion.data(),
                  &r.global_scale);
  return r;
}

template <int W>
std::vector<double> ParticleFilter<W>::gate_inclusion() const {
  const std::vector<double> w = pooled_weights();
  std::vector<double> mean(std::size_t(gate_->n_splits() * config_.gate_dim), 0.0);
  for (Index i = 0; i < Index(w.size()); ++i) {
    const ParticleReport r = particle(i);
    for (std::size_t j = 0; j < mean.size(); ++j) mean[j] += w[i] * r.inclusion[j];
  }
  return mean;
}

template <int W>
std::vector<double> ParticleFilter<W>::expert_counts() const {
  const std::vector<double> w = pooled_weights();
  std::vector<double> mean(std::size_t(config_.n_experts), 0.0);
  for (Index i = 0; i < Index(w.size()); ++i) {
    const ParticleReport r = particle(i);
    for (std::size_t k = 0; k < mean.size(); ++k) mean[k] += w[i] * r.counts[k];
  }
  return mean;
}

template <int W>
std::vector<double> ParticleFilter<W>::ess() const {
  std::vector<double> out(n_islands(), 0.0), w(n_particles(), 0.0);
  for (Index r = 0; r < n_islands(); ++r) {
    for (Index i = 0; i < n_particles(); ++i) w[i] = std::exp(population_.log_weight[r * n_particles() + i]);
    out[r] = effective_sample_size(w.data(), n_particles());
  }
  return out;
}

template <int W>
Index ParticleFilter<W>::n_bytes() const {
  return population_.store.n_bytes() + population_.buffer.n_bytes() +
         Index((population_.streams.size() + population_.island_streams.size()) * sizeof(std::uint64_t)) +
         Index((population_.log_weight.size() + population_.island_log_evidence.size() + memory_.size() +
                increment_.size() + weight_.size()) *
               sizeof(double));
}

}  // namespace hsmoe
