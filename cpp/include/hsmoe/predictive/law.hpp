// What the components of a forecast are, and what is asked of their mixture: the seam between the filter, which knows
// weights and fields of numbers, and the laws that the numbers are parameters of.
//
// Conventions as in mixture.hpp: weights are >= 0 and add up to 1, components of weight 0 are never looked at.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include <hsmoe/expert/expert_options.hpp>
#include <hsmoe/predictive/mixture.hpp>
#include <hsmoe/random/stream.hpp>

namespace hsmoe {

/// Field f of component i stands at field[f * stride + i].
struct ComponentView {
  std::size_t size;
  const double *weight, *field;
  std::size_t stride;
  const double* operator[](int f) const { return field + std::size_t(f) * stride; }
};

class PredictiveLaw {
 public:
  virtual ~PredictiveLaw() = default;
  virtual int fields() const = 0;  // parameters of a component
  /// Null if y can be scored, or (`learned`) learned, else what it must be.  What is only scored may be larger.
  virtual const char* refusal(double, bool /*learned*/) const { return nullptr; }

  virtual double mean(const ComponentView& m) const = 0;
  virtual double variance(const ComponentView& m) const = 0;
  /// log of the density, or of the probability of y where targets are discrete.
  virtual double log_density(const ComponentView& m, double y) const = 0;
  /// P(Y <= y)
  virtual double cdf(const ComponentView& m, double y) const = 0;
  /// out[i] = the least value of cdf at least probs[i].
  virtual void quantiles(const ComponentView& m, const double* probs, int n, double* out,
                         MixtureWorkspace& workspace) const = 0;
  /// Integral of (F(t) - 1{t >= y})^2 dt.
  virtual double crps(const ComponentView& m, double y, MixtureWorkspace& workspace) const = 0;
  virtual double sample(const ComponentView& m, Stream<1>& rng) const = 0;

  /// Targets are the classes 0 ... n_classes-1; 0 where they are numbers.
  virtual int n_classes() const { return 0; }
  /// Probability of each class.
  virtual void class_proba(const ComponentView&, double*) const {}
};

/// The law of the forecasts of an expert of this kind.
std::unique_ptr<PredictiveLaw> make_law(const ExpertOptions& options);

}  // namespace hsmoe
