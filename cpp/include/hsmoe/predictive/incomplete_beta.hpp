// The regularised incomplete beta function: cumulative probabilities of binomial and negative binomial counts.
#pragma once

namespace hsmoe {

/// I_x(a, b) for a, b > 0; y = 1 - x is given too, for where x is near 1.  Relative error below 1e-10, absolute where the value is near 1.
double incomplete_beta(double a, double b, double x, double y);

}  // namespace hsmoe
