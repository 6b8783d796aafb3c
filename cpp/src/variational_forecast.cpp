// Streaming variational Bayes: forecasts, reports and draws; nothing here changes a member.
#include <algorithm>
#include <cmath>
#include <functional>

#include <hsmoe/error.hpp>
#include <hsmoe/filter/thread_pool.hpp>
#include <hsmoe/random/variates.hpp>
#include <hsmoe/variational/variational_engine.hpp>

namespace hsmoe::variational {

void VariationalEngine::for_each_forecast(const Rows& rows, int n_jobs, const PerRow& per_row) const {
  const Index R = n_islands(), K = config_.n_experts, size = R * K, fields = law_->fields();
  const std::vector<double> share = pooled_weights();
  ThreadPool pool(int(std::min<Index>(n_jobs, rows.n)));
  pool.run(rows.n, [&](Index begin, Index end, int) {
    Scratch s = scratch();
    MixtureWorkspace workspace;
    std::vector<double> c(std::size_t((1 + fields) * size));  // weights, then field by field
    for (Index i = begin; i < end; ++i) {
      for (Index r = 0; r < R; ++r) {
        const double* beliefs = derived(posterior_.members[r]);
        gate_->project(beliefs, rows.U + i * config_.gate_dim, s.gate);
        gate_->log_proba(s.gate, s.log_g.data());
        experts_->forecast(beliefs + gate_->derived(), rows.X + i * config_.expert_dim, s.components.data(), s.experts);
        for (Index k = 0; k < K; ++k) {
          c[r * K + k] = share[r] * std::exp(s.log_g[k]);
          for (Index f = 0; f < fields; ++f) c[(1 + f) * size + r * K + k] = s.components[f * K + k];
        }
      }
      per_row(i, ComponentView{std::size_t(size), c.data(), c.data() + size, std::size_t(size)}, workspace);
    }
  });
}

void VariationalEngine::gate_proba(const Rows& rows, int n_jobs, double* mean, double* sd) const {
  const Index K = config_.n_experts;
  const std::vector<double> share = pooled_weights();
  ThreadPool pool(int(std::min<Index>(n_jobs, rows.n)));
  pool.run(rows.n, [&](Index begin, Index end, int) {
    Scratch s = scratch();
    std::vector<double> g(static_cast<std::size_t>(K)), square(static_cast<std::size_t>(K));
    for (Index i = begin; i < end; ++i) {
      double *first = mean + i * K, *second = sd + i * K;
      std::fill_n(first, K, 0.0);
      std::fill_n(second, K, 0.0);
      for (Index r = 0; r < n_islands(); ++r) {
        gate_->project(derived(posterior_.members[r]), rows.U + i * config_.gate_dim, s.gate);
        gate_->proba_moments(s.gate, g.data(), square.data());
        for (Index k = 0; k < K; ++k) {
          first[k] += share[r] * g[k];
          second[k] += share[r] * square[k];
        }
      }
      for (Index k = 0; k < K; ++k) second[k] = std::sqrt(std::max(second[k] - first[k] * first[k], 0.0));
    }
  });
}

void VariationalEngine::active_experts(const Rows& rows, double mass, int n_jobs, double* probability) const {
  const Index K = config_.n_experts, R = n_islands();
  const std::vector<double> share = pooled_weights();
  std::vector<Index> needed(static_cast<std::size_t>(R));
  ThreadPool pool(int(std::min<Index>(n_jobs, R)));
  pool.run(R, [&](Index begin, Index end, int) {
    Scratch s = scratch();
    std::vector<double> carried(static_cast<std::size_t>(K));
    for (Index r = begin; r < end; ++r) {
      std::fill(carried.begin(), carried.end(), 0.0);
      for (Index i = 0; i < rows.n; ++i) {
        gate_->project(derived(posterior_.members[r]), rows.U + i * config_.gate_dim, s.gate);
        gate_->log_proba(s.gate, s.log_g.data());
        for (Index k = 0; k < K; ++k) carried[k] += std::exp(s.log_g[k]) / double(rows.n);
      }
      std::sort(carried.begin(), carried.end(), std::greater<double>());
      double total = carried[0];
      Index count = 1;
      while (count < K && total < mass) total += carried[count++];
      needed[r] = count;
    }
  });
  std::fill_n(probability, K, 0.0);
  for (Index r = 0; r < R; ++r) probability[needed[r] - 1] += share[r];
}

ParticleReport VariationalEngine::particle(Index i) const {
  const std::vector<double> w = pooled_weights();
  i = chosen_particle(i, w);
  ParticleReport r = blank_report();
  r.weight = w[i];
  const Member& m = posterior_.members[i];
  VariationalGate::Work work(*gate_);
  gate_->describe(m.state.data(), derived(m), r.phi.data(), r.local_scale.data(), r.inclusion.data(), &r.global_scale, work);
  experts_->describe(m.state.data() + gate_->sums(), derived(m) + gate_->derived(), r.coefficients.data(), r.noise_variance.data(),
                     r.shape.data(), r.counts.data());
  return r;
}

void VariationalEngine::draw(const std::vector<Index>& members, const std::uint64_t* seeds, const Rows& rows, int n_jobs,
                             const PosteriorDraws& out) const {
  const Index K = config_.n_experts, L = gate_->n_nodes(), p = config_.gate_dim, d = n_coefficients();
  for (Index i : members)
    if (i < 0 || i >= n_islands()) hsmoe::detail::invalid("Engine.draw", "particles", i, "the number of a particle");
  const Index M = Index(members.size());
  if (M == 0) return;
  if (rows.y) check_targets(rows, true);
  ThreadPool pool(int(std::min<Index>(n_jobs, M)));
  pool.run(M, [&](Index begin, Index end, int) {
    VariationalGate::Work work(*gate_);
    std::vector<double> inclusion(std::size_t(L * p));
    const Mask<1> one = Mask<1>::all_true();
    for (Index i = begin; i < end; ++i) {
      const Member& m = posterior_.members[members[i]];
      Stream<1> rng = Stream<1>::load(seeds + 4 * i);
      const VariationalExperts::Normals normal = [&] { return hsmoe::normal<1>(rng, one)[0]; };
      const VariationalExperts::Gammas gamma = [&](double shape) { return hsmoe::gamma<1>(rng, one, Lane<1>(shape))[0]; };
      double *coefficients = out.coefficients + i * K * d, *variance = out.noise_variance + i * K, *phi = out.phi + i * L * p;
      // Means first, for what comes with them; then the draws take their place.
      experts_->describe(m.state.data() + gate_->sums(), derived(m) + gate_->derived(), coefficients, variance, out.shape + i * K,
                         out.counts + i * K);
      gate_->describe(m.state.data(), derived(m), phi, out.local_scale + i * L * p, inclusion.data(), out.global_scale + i, work);
      gate_->draw(derived(m), normal, phi);
      experts_->draw(derived(m) + gate_->derived(), normal, gamma, coefficients, variance);
      for (Index row = 0; row < rows.n; ++row) {
        const Index at = (i * rows.n + row) * K;
        gate_->log_proba_at(phi, rows.U + row * p, out.log_gate + at);
        if (out.log_density)
          experts_->log_density_at(coefficients, variance, rows.X + row * config_.expert_dim, rows.y[row], out.log_density + at);
      }
    }
  });
}

Index VariationalEngine::n_bytes() const {
  Index doubles = 0;
  for (const Member& m : posterior_.members) doubles += Index(m.state.capacity() + m.responsibility.capacity());
  return doubles * Index(sizeof(double)) + posterior_.buffer.n_bytes();
}

}  // namespace hsmoe::variational
