// Forecasts apart from the engine that made them: the components of the mixtures as arrays, and what is asked of them.
// Plain doubles in and out, no lanes: what the bindings may include.
#pragma once

#include <cstdint>
#include <memory>

#include <hsmoe/expert/expert_options.hpp>
#include <hsmoe/types.hpp>

namespace hsmoe {

/// Mixtures of `size` components each, for n rows.
struct ForecastComponents {
  Index n, size;
  const double* weight;  // (n, size); >= 0, adding up to 1 in each row
  const double* field;   // (n, fields, size): the parameters of the law
};

class PredictiveLaw;

/// The law of the forecasts of an expert of this kind.  Functions of their arguments alone.
class ForecastLaw {
 public:
  explicit ForecastLaw(const ExpertOptions& options);
  ~ForecastLaw();

  int fields() const;
  void moments(const ForecastComponents& c, double* mean, double* variance) const;                   // (n) each
  void quantiles(const ForecastComponents& c, const double* probs, int n_probs, double* out) const;  // (n, n_probs)
  /// At y (n, n_values), n_values for each row; InvalidArgument where y can be no target.
  void cdf(const ForecastComponents& c, const double* y, Index n_values, double* out) const;
  void log_density(const ForecastComponents& c, const double* y, Index n_values, double* out) const;
  void crps(const ForecastComponents& c, const double* y, Index n_values, double* out) const;
  void sample(const ForecastComponents& c, Index n_samples, const std::uint64_t seed[4], double* out) const;

 private:
  template <class PerValue>
  void at_values(const ForecastComponents& c, const double* y, Index n_values, double* out, PerValue&& per_value) const;

  std::unique_ptr<PredictiveLaw> law_;
};

}  // namespace hsmoe
