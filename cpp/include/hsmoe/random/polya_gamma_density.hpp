// Density and distribution function of PG(h, z), in logarithms, to about 1e-11 relative for
// h in [1e-3, 1e3], |z| <= 2000 and any x.
#pragma once

namespace hsmoe {

/// log p(x | h, z); -infinity for x <= 0 and x = infinity, NaN unless h > 0 and z is finite.
double polya_gamma_log_pdf(double x, double h, double z);

/// log P(X <= x); accurate in both tails (near 0 it is minus the survival probability).
double polya_gamma_log_cdf(double x, double h, double z);

/// log P(X > x).
double polya_gamma_log_survival(double x, double h, double z);

}  // namespace hsmoe
