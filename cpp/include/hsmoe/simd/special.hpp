// Special functions over lanes.
#pragma once

#include <hsmoe/simd/lane.hpp>

namespace hsmoe {

/// Gamma(a + 1/2) / (Gamma(a) sqrt(a)) for 0 < a <= +infinity: tends to 1 as a grows; relative error
/// below 2e-15.
///
/// With w = a - 1/4 the ratio Gamma(w + 3/4) / Gamma(w + 1/4) has an asymptotic series in 1/w^2 alone
/// (Fields 1966; DLMF 5.11.14), sqrt(w) (1 + 1/(64 w^2) - 19/(8192 w^4) + ...).  Below 8 the argument is
/// raised by 8 with Gamma(a + 1) = a Gamma(a); the first term left out is then below 1e-16.
template <int W>
HSMOE_INLINE Lane<W> gamma_half_ratio(Lane<W> a) {
  const Mask<W> small = a < Lane<W>(8.0);
  // w / a where nothing is raised, also right at infinity.
  Lane<W> w = a, front = 1.0 - 0.25 / a;
  if (any(small)) {
    const Lane<W> b = select(small, a, Lane<W>(1.0));
    // Eight factors b + i over eight factors b + i + 1/2.
    const Lane<W> p =
        ((b * (b + 7.0)) * ((b + 1.0) * (b + 6.0))) * (((b + 2.0) * (b + 5.0)) * ((b + 3.0) * (b + 4.0)));
    const Lane<W> q = (((b + 0.5) * (b + 7.5)) * ((b + 1.5) * (b + 6.5))) *
                      (((b + 2.5) * (b + 5.5)) * ((b + 3.5) * (b + 4.5)));
    const Lane<W> r = p / q;
    w = select(small, b + 8.0, a);
    front = select(small, (b + 7.75) / b * r * r, front);
  }
  w = w - 0.25;
  const Lane<W> r = 1.0 / w, v = r * r;
  const double c[9] = {1.0, 1.0 / 64, -19.0 / 8192, 631.0 / 524288, -174317.0 / 134217728,
                       20491783.0 / 8589934592.0, -7334801895.0 / 1099511627776.0,
                       1858590154455.0 / 70368744177664.0, -0x1.201156afe133dp-3};
  Lane<W> series(c[8]);
  for (int k = 7; k >= 0; --k) series = c[k] + v * series;
  return sqrt(front) * series;
}

/// lgamma(a + 1/2) - lgamma(a) for a from 1e-300 to 1e300: relative error below 1e-14, next to the zero
/// at a = 1.2155... absolute error below 1e-15.
template <int W>
HSMOE_INLINE Lane<W> lgamma_half_difference(Lane<W> a) {
  return log(gamma_half_ratio(a) * sqrt(a));
}

/// lgamma(a) for a from 1e-300 to 1e300: absolute error below 1.5e-15 max(10, |lgamma(a)|).  Stirling's series at a + 8 or,
/// from 8 on, at a (DLMF 5.11.1); the first term left out is below 1e-15.
template <int W>
HSMOE_INLINE Lane<W> log_gamma(Lane<W> a) {
  const Mask<W> small = a < Lane<W>(8.0);
  const Lane<W> b = select(small, a, Lane<W>(1.0)), x = select(small, a + 8.0, a);
  const Lane<W> product = ((b * (b + 7.0)) * ((b + 1.0) * (b + 6.0))) * (((b + 2.0) * (b + 5.0)) * ((b + 3.0) * (b + 4.0)));
  const Lane<W> r = 1.0 / x, v = r * r;
  const Lane<W> series = r * (1.0 / 12 - v * (1.0 / 360 - v * (1.0 / 1260 - v * (1.0 / 1680 - v * (1.0 / 1188 -
                         v * (691.0 / 360360 - v * (1.0 / 156)))))));
  const Lane<W> at_x = (x - 0.5) * log(x) - x + 0.91893853320467274178 + series;
  return at_x - select(small, log(product), Lane<W>(0.0));
}

/// log(1 + exp(x))
template <int W>
HSMOE_INLINE Lane<W> softplus(Lane<W> x) {
  return max(x, Lane<W>(0.0)) + log1p(exp(-abs(x)));
}

}  // namespace hsmoe
