#pragma once

namespace hsmoe {

struct GaussianOptions {
  double a0 = 2.0;                     // shape of the noise variance
  double b0 = 0.1;                     // scale of the noise variance; its prior mean where it is learned
  double b0_shape = 0.0;               // > 0: b0 ~ Gamma(b0_shape, rate b0_shape / b0), one an expert
  double coefficient_variance = 10.0;  // V0, in units of the noise variance
  double coefficient_shape = 0.0;      // > 0: 1/V ~ Gamma(coefficient_shape, mean 1/V0), one an expert
};

}  // namespace hsmoe
