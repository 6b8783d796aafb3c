// The forecast of the model: a mixture of Student-t (df finite) and normal (df = +infinity) components.
//
// Conventions of all functions: weights are >= 0 and add up to 1; components of weight 0 are never looked
// at; scales are positive; a NaN in y gives NaN.  Pure functions: the result does not depend on what the
// workspace held before, sums run in a fixed order.
#pragma once

#include <cstddef>
#include <memory>

#include <hsmoe/random/stream.hpp>

namespace hsmoe {

/// size components; the arrays belong to the caller and need no alignment.
struct MixtureView {
  std::size_t size;
  const double *weight, *loc, *scale, *df;
};

/// Whether every component with weight has a finite location and a finite positive scale.
inline bool well_placed(const MixtureView& m) {
  for (std::size_t i = 0; i < m.size; ++i)
    if (m.weight[i] > 0 && !(m.loc[i] - m.loc[i] == 0 && m.scale[i] > 0 && m.scale[i] - m.scale[i] == 0)) return false;
  return true;
}

/// Scratch memory of the functions below, one a thread.  It grows to the largest mixture seen and is then
/// reused without allocation.
class MixtureWorkspace {
 public:
  MixtureWorkspace();
  ~MixtureWorkspace();
  MixtureWorkspace(MixtureWorkspace&&) noexcept;
  MixtureWorkspace& operator=(MixtureWorkspace&&) noexcept;

  struct Impl;
  Impl& impl() { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

/// NaN if a component of positive weight has df <= 1.
double mixture_mean(const MixtureView& mixture);
/// NaN if a component of positive weight has df <= 1, else infinity if one has df <= 2.
double mixture_variance(const MixtureView& mixture);
/// log of the density at y.
double mixture_log_density(const MixtureView& mixture, double y);
/// P(Y <= y): absolute error below 1e-12.
double mixture_cdf(const MixtureView& mixture, double y);

/// out[i] = the probs[i]-quantile of the mixture itself (nothing is dropped or merged), to 1e-10 of its
/// local scale; probs in [0, 1] in any order, 0 and 1 give -infinity and +infinity, others throw
/// InvalidArgument.  out is non-decreasing in probs.
void mixture_quantiles(const MixtureView& mixture, const double* probs, int n, double* out,
                       MixtureWorkspace& workspace);

/// Continuous ranked probability score, integral of (F(t) - 1{t >= y})^2 dt; relative error below 1e-6.
/// NaN if a component of positive weight has df <= 1.
double mixture_crps(const MixtureView& mixture, double y, MixtureWorkspace& workspace);

/// One draw: a uniform for the component, then a normal and (df finite) a gamma variate.
double mixture_sample(const MixtureView& mixture, Stream<1>& rng);
/// The number of a component by its weight.
std::size_t draw_component(const double* weight, std::size_t size, Stream<1>& rng);

}  // namespace hsmoe
