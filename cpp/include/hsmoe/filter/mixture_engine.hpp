// What engines have in common whose forecast is a mixture over weighted particles, islands of them pooled by their
// evidence: forecasts and reports follow from the components of a row and from the reports of single particles.
//
// Islands are pooled with share_r ~ Z_r, so that log Z = log mean_r Z_r; `share_out` says what becomes of that where
// islands differ in what they have forgotten.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <hsmoe/filter/engine.hpp>
#include <hsmoe/predictive/law.hpp>

namespace hsmoe {

class MixtureEngine : public Engine {
 public:
  void moments(const Rows& rows, int n_jobs, double* mean, double* variance) const override;
  void quantiles(const Rows& rows, const double* probs, int n_probs, int n_jobs, double* out) const override;
  void cdf(const Rows& rows, int n_jobs, double* out) const override;
  void log_density(const Rows& rows, int n_jobs, double* out) const override;
  void crps(const Rows& rows, int n_jobs, double* out) const override;
  void class_proba(const Rows& rows, int n_jobs, double* out) const override;
  void sample(const Rows& rows, Index n_samples, const std::uint64_t seed[4], double* out) const override;

  void components(const Rows& rows, int n_jobs, double* weight, double* field) const override;
  Index n_components() const override { return Index(log_weight().size()) * config_.n_experts; }
  int n_component_fields() const override { return law_->fields(); }

  std::vector<double> n_experts_posterior() const override;
  std::vector<double> gate_inclusion() const override;
  std::vector<double> ess() const override;
  int n_classes() const override { return law_->n_classes(); }
  const EngineConfig& config() const override { return config_; }

 protected:
  explicit MixtureEngine(const EngineConfig& config) : config_(config), law_(make_law(config.expert)) {}

  using PerRow = std::function<void(Index, const ComponentView&, MixtureWorkspace&)>;
  /// per_row(row number, components of the forecast, workspace), on any number of threads.
  virtual void for_each_forecast(const Rows& rows, int n_jobs, const PerRow& per_row) const = 0;

  Index n_islands() const { return config_.n_islands; }
  /// Targets that the law of the experts cannot have are refused before anything is done with them.
  void check_targets(const Rows& rows, bool learned) const;
  std::vector<double> pooled_weights() const;  // (islands, particles), adding up to 1
  /// The number of a particle in range, or of the heaviest where i is negative.
  Index chosen_particle(Index i, const std::vector<double>& weights) const;
  /// A report of a particle with room for its arrays.
  ParticleReport blank_report() const;

  /// Throws if a model file is said to hold particles (members) of another size.
  void check_fields(Index fields) const;
  /// Throws unless a state of N particles (members) an island, of `fields` numbers each, can be one of this engine, as far as
  /// that does not depend on what the numbers mean.
  void check_state(const EngineState& s, Index N, Index fields) const;
  /// Throws, naming the array of the state, unless ok.
  static void require_state(bool ok, const char* array, const char* what);

  EngineConfig config_;
  std::unique_ptr<PredictiveLaw> law_;
};

/// Take the log forecasts of the islands for a row, `growth`, into the logarithms of their shares, which then fade by
/// `memory` (1: pooled by all of their evidence); returns the log density of the pooled forecast.
double share_out(std::vector<double>& log_share, const std::vector<double>& growth, double memory);

/// Throws unless the law of an island's forecast is a number.
void check_growth(const std::vector<double>& growth, Index row_in_call);

}  // namespace hsmoe
