// Forecasting and reporting from the components of a mixture: nothing here changes a particle.
#include <algorithm>
#include <cmath>

#include <hsmoe/error.hpp>
#include <hsmoe/filter/mixture_engine.hpp>
#include <hsmoe/filter/weights.hpp>

namespace hsmoe {

void MixtureEngine::check_targets(const Rows& rows, bool learned) const {
  for (Index i = 0; i < rows.n; ++i)
    if (const char* wanted = law_->refusal(rows.y[i], learned))
      detail::invalid("Engine", ("y of row " + std::to_string(i)).c_str(), rows.y[i], wanted);
}

void MixtureEngine::moments(const Rows& rows, int n_jobs, double* mean, double* variance) const {
  for_each_forecast(rows, n_jobs, [&](Index i, const ComponentView& m, MixtureWorkspace&) {
    mean[i] = law_->mean(m);
    if (variance) variance[i] = law_->variance(m);
  });
}

void MixtureEngine::quantiles(const Rows& rows, const double* probs, int n_probs, int n_jobs, double* out) const {
  for_each_forecast(rows, n_jobs, [&](Index i, const ComponentView& m, MixtureWorkspace& workspace) {
    law_->quantiles(m, probs, n_probs, out + i * n_probs, workspace);
  });
}

void MixtureEngine::cdf(const Rows& rows, int n_jobs, double* out) const {
  check_targets(rows, false);
  for_each_forecast(rows, n_jobs, [&](Index i, const ComponentView& m, MixtureWorkspace&) { out[i] = law_->cdf(m, rows.y[i]); });
}

void MixtureEngine::log_density(const Rows& rows, int n_jobs, double* out) const {
  check_targets(rows, false);
  for_each_forecast(rows, n_jobs,
                    [&](Index i, const ComponentView& m, MixtureWorkspace&) { out[i] = law_->log_density(m, rows.y[i]); });
}

void MixtureEngine::crps(const Rows& rows, int n_jobs, double* out) const {
  check_targets(rows, false);
  for_each_forecast(rows, n_jobs, [&](Index i, const ComponentView& m, MixtureWorkspace& workspace) {
    out[i] = law_->crps(m, rows.y[i], workspace);
  });
}

void MixtureEngine::class_proba(const Rows& rows, int n_jobs, double* out) const {
  for_each_forecast(rows, n_jobs, [&](Index i, const ComponentView& m, MixtureWorkspace&) {
    law_->class_proba(m, out + i * law_->n_classes());
  });
}

void MixtureEngine::sample(const Rows& rows, Index n_samples, const std::uint64_t seed[4], double* out) const {
  Stream<1> rng = Stream<1>::load(seed);
  for_each_forecast(rows, 1, [&](Index i, const ComponentView& m, MixtureWorkspace&) {
    for (Index s = 0; s < n_samples; ++s) out[i * n_samples + s] = law_->sample(m, rng);
  });
}

void MixtureEngine::components(const Rows& rows, int n_jobs, double* weight, double* field) const {
  for_each_forecast(rows, n_jobs, [&](Index i, const ComponentView& m, MixtureWorkspace&) {
    std::copy_n(m.weight, m.size, weight + i * Index(m.size));
    for (int f = 0; f < law_->fields(); ++f) std::copy_n(m[f], m.size, field + (i * law_->fields() + f) * Index(m.size));
  });
}

std::vector<double> MixtureEngine::pooled_weights() const {
  const std::vector<double>&weight = log_weight(), &share = log_share();
  const Index N = n_particles();
  std::vector<double> w(weight.size());
  for (Index r = 0; r < n_islands(); ++r)
    for (Index i = 0; i < N; ++i) w[r * N + i] = std::exp(weight[r * N + i] + share[r]);
  return w;
}

Index MixtureEngine::chosen_particle(Index i, const std::vector<double>& weights) const {
  if (i < 0) return std::max_element(weights.begin(), weights.end()) - weights.begin();
  if (i >= Index(weights.size()))
    detail::invalid("Engine.particle", "i", i, ("below " + std::to_string(weights.size())).c_str());
  return i;
}

ParticleReport MixtureEngine::blank_report() const {
  const std::size_t K = std::size_t(config_.n_experts), table = std::size_t(n_splits() * config_.gate_dim);
  ParticleReport r;
  r.phi.resize(table);
  r.local_scale.resize(table);
  r.inclusion.resize(table);
  r.coefficients.resize(K * std::size_t(n_coefficients()));
  r.noise_variance.resize(K);
  r.shape.resize(K);
  r.counts.resize(K);
  return r;
}

std::vector<double> MixtureEngine::n_experts_posterior() const {
  std::vector<double> probability(std::size_t(config_.n_experts), 0.0);
  probability.back() = 1.0;
  return probability;
}

std::vector<double> MixtureEngine::gate_inclusion() const {
  const std::vector<double> w = pooled_weights();
  std::vector<double> mean(std::size_t(n_splits() * config_.gate_dim), 0.0);
  for (Index i = 0; i < Index(w.size()); ++i) {
    const ParticleReport r = particle(i);
    for (std::size_t j = 0; j < mean.size(); ++j) mean[j] += w[i] * r.inclusion[j];
  }
  return mean;
}

std::vector<double> MixtureEngine::ess() const {
  const std::vector<double>& weight = log_weight();
  std::vector<double> out(n_islands(), 0.0), w(n_particles(), 0.0);
  for (Index r = 0; r < n_islands(); ++r) {
    for (Index i = 0; i < n_particles(); ++i) w[i] = std::exp(weight[r * n_particles() + i]);
    out[r] = effective_sample_size(w.data(), n_particles());
  }
  return out;
}

void MixtureEngine::require_state(bool ok, const char* array, const char* what) {
  if (!ok) throw InvalidArgument(std::string("Engine.set_state: array '") + array + "' " + what);
}

void MixtureEngine::check_fields(Index fields) const {
  if (config_.stored_fields && config_.stored_fields != fields)
    throw InvalidArgument("Engine: particles of " + std::to_string(config_.stored_fields) + " numbers are not of this configuration, which takes " +
                          std::to_string(fields));
}

void MixtureEngine::check_state(const EngineState& s, Index N, Index fields) const {
  const auto require = require_state;
  const auto finite = [&](const std::vector<double>& values, const char* array) {
    for (double v : values) require(std::isfinite(v), array, "holds a value that is not finite");
  };
  const Index R = n_islands();
  require(s.n_rows >= 0, "n_rows", "is negative");
  require(Index(s.particles.size()) == R * N * fields, "particles", "has the wrong size");
  finite(s.particles, "particles");
  require(Index(s.streams.size()) == R * (N + 1) * 4, "streams", "has the wrong size");
  for (Index i = 0; i < R * (N + 1); ++i) {
    const std::uint64_t* w = s.streams.data() + i * 4;
    require((w[0] | w[1] | w[2] | w[3]) != 0, "streams", "holds a stream of zeros");
  }
  require(Index(s.log_weight.size()) == R * N, "log_weight", "has the wrong size");
  for (Index r = 0; r < R; ++r)
    require(std::abs(log_sum_exp(s.log_weight.data() + r * N, N)) < 1e-6, "log_weight", "is not normalised");
  require(Index(s.island_log_evidence.size()) == R, "island_log_evidence", "has the wrong size");
  finite(s.island_log_evidence, "island_log_evidence");
  require(Index(s.log_share.size()) == R && std::abs(log_sum_exp(s.log_share.data(), R)) < 1e-6, "log_share",
          "is not the logarithm of shares that sum to one");
  require(std::isfinite(s.log_evidence), "log_evidence", "is not finite");

  const Index width = config_.expert_dim + 1, n_retained = Index(s.retained_xy.size()) / width;
  require(Index(s.retained_xy.size()) == n_retained * width, "retained_xy", "has the wrong size");
  require(Index(s.retained_u.size()) == n_retained * config_.gate_dim, "retained_u", "has the wrong size");
  finite(s.retained_xy, "retained_xy");
  finite(s.retained_u, "retained_u");
  for (Index i = 0; i < n_retained; ++i)
    require(!law_->refusal(s.retained_xy[i * width + width - 1], true), "retained_xy", "holds a target that the experts cannot have");
  require(s.first_retained >= 0 && s.first_retained <= s.n_rows, "first_retained", "lies outside the stream");
  require(config_.retain != 0 ? n_retained == s.n_rows - s.first_retained : n_retained == 0, "retained_xy",
          "does not end with the last row");
  require(Index(s.frozen_until.size()) == R, "frozen_until", "has the wrong size");
  require(Index(s.rows_at_scan.size()) == R, "rows_at_scan", "has the wrong size");
  for (Index r = 0; r < R; ++r) {
    require(config_.retain == 0 || (s.frozen_until[r] >= s.first_retained && s.frozen_until[r] <= s.n_rows), "frozen_until",
            "lies outside the retained rows");
    require(config_.retain > 0 || s.frozen_until[r] == 0, "frozen_until", "must be 0 where nothing is frozen");
    require(s.rows_at_scan[r] >= 0 && s.rows_at_scan[r] <= s.n_rows, "rows_at_scan", "lies outside the stream");
  }
  const auto happened = [&](Index row, Index island) { return row >= 0 && row < s.n_rows && island >= 0 && island < R; };
  require(s.resampling_log.plausible(), "resampling_*", "are not the last of their number");
  require(s.scan_log.plausible(), "scan_*", "are not the last of their number");
  for (const ResamplingEvent& e : s.resampling_log.events())
    require(happened(e.row, e.island) && e.unique >= 1 && e.unique <= config_.particles_after(e.row), "resampling_*",
            "hold what cannot have happened");
  for (const ScanEvent& e : s.scan_log.events())
    require(happened(e.row, e.island) && e.n_scans >= 1 && e.n_rows >= 0, "scan_*", "hold what cannot have happened");
}

double share_out(std::vector<double>& share, const std::vector<double>& growth, double memory) {
  const Index R = Index(share.size());
  for (Index r = 0; r < R; ++r) share[r] += growth[r];
  const double log_density = log_sum_exp(share.data(), R);
  for (double& v : share) v = memory * (v - log_density);
  const double total = log_sum_exp(share.data(), R);
  for (double& v : share) v -= total;
  return log_density;
}

void check_growth(const std::vector<double>& growth, Index row_in_call) {
  for (double v : growth)
    if (!std::isfinite(v))
      throw NumericalError("row " + std::to_string(row_in_call) +
                           ": its density is zero or not a number under every particle; look for a value far outside "
                           "the scale of the data (in y or in a feature) and remove or clip it");
}

}  // namespace hsmoe
