#pragma once

#include <hsmoe/error.hpp>

namespace hsmoe {

struct GaussianOptions {
  double a0 = 2.0;                     // shape of the noise variance
  double b0 = 0.1;                     // scale of the noise variance; its prior mean where it is learned
  double b0_shape = 0.0;               // > 0: b0 ~ Gamma(b0_shape, rate b0_shape / b0), one an expert
  double coefficient_variance = 10.0;  // V0, in units of the noise variance
  double coefficient_shape = 0.0;      // > 0: 1/V ~ Gamma(coefficient_shape, mean 1/V0), one an expert
};

/// Of Gaussian experts, and those of a scale that are Gaussian given latent precisions (`Options` has these numbers at least).
template <class Options>
void check_scales(const char* where, const Options& o) {
  check_positive(where, "a0", o.a0);
  check_positive(where, "b0", o.b0);
  check_positive(where, "coefficient_variance", o.coefficient_variance);
  if (!(o.b0_shape >= 0)) detail::invalid(where, "b0_shape", o.b0_shape, "0 (fixed b0) or positive");
  if (!(o.coefficient_shape >= 0))
    detail::invalid(where, "coefficient_shape", o.coefficient_shape, "0 (fixed coefficient_variance) or positive");
}

}  // namespace hsmoe
