#pragma once

namespace hsmoe {

struct GaussianOptions {
  double a0 = 2.0;                     // shape of the noise variance
  double b0 = 0.1;                     // scale of the noise variance
  double coefficient_variance = 10.0;  // V0, in units of the noise variance
};

}  // namespace hsmoe
