// The horseshoe with its local scale integrated out.  With w = 1/lambda^2 and c = phi^2 / (2 tau^2),
//
//     p(phi, w | tau) = exp(-c w) / (1 + w) / (tau sqrt(2 pi^3))     (lambda ~ C+(0,1), phi ~ N(0, tau^2 lambda^2))
//     p(phi | tau)    = exp(c) E1(c) / (tau sqrt(2 pi^3))            (Carvalho, Polson & Scott 2010)
//     E[w | phi]      = 1 / (c exp(c) E1(c)) - 1
//
// with E1 the exponential integral (Abramowitz & Stegun 5.1.11 below c = 2, the continued fraction 5.1.22 above).
#pragma once

#include <array>
#include <cmath>

#include <hsmoe/random/variates.hpp>

namespace hsmoe {

namespace detail {
/// exp(c) E1(c): below `split` that many terms of the series, above it levels of the fraction
///     1/(c + 1 - 1/(c + 3 - 4/(c + 5 - ...))) = t/(1 + t - t^2/(1 + 3 t - 4 t^2/(1 + 5 t - ...))), t = 1/c,
/// by the forward recurrence of its numerators and denominators, which needs one division.
template <int W, int terms, int levels>
HSMOE_INLINE Lane<W> exponential_integral(Lane<W> c, double split) {
  const Lane<W> small = min(c, Lane<W>(split)), t = 1.0 / max(c, Lane<W>(split)), t2 = t * t;
  Lane<W> series = -0.57721566490153286061 - log(small), term(-1.0);
  for (int k = 1; k <= terms; ++k) {
    term *= small * (-1.0 / k);
    series += term * (1.0 / k);
  }
  Lane<W> above(0.0), numerator = t, below(1.0), denominator = 1.0 + t;
  for (int k = 1; k <= levels; ++k) {
    const Lane<W> a = double(k * k) * t2, b = 1.0 + (2.0 * k + 1.0) * t;
    const Lane<W> n = b * numerator - a * above, d = b * denominator - a * below;
    above = numerator;
    below = denominator;
    numerator = n;
    denominator = d;
  }
  return select(c < Lane<W>(split), series * exp(small), numerator / denominator);
}
}  // namespace detail

/// exp(c) E1(c), c > 0; relative error below 1e-12.
template <int W>
inline Lane<W> scaled_exponential_integral(Lane<W> c) {
  return detail::exponential_integral<W, 30, 40>(c, 2.0);
}

/// E[w | phi] = 1 / (c exp(c) E1(c)) - 1; by its series in 1/c where the difference would lose digits.
template <int W>
inline Lane<W> horseshoe_mean_inverse_square(Lane<W> c) {
  const Lane<W> t = 1.0 / c;
  return select(c < Lane<W>(1e4), 1.0 / (c * scaled_exponential_integral(c)) - 1.0, t * (1.0 - t * (1.0 - 3.0 * t)));
}

/// exp(c) E1(c) with a relative error below 1e-4, and below 1e-7 / c in 1 / (c exp(c) E1(c)) - 1 above c = 10.
template <int W>
inline Lane<W> rough_exponential_integral(Lane<W> c) {
  return detail::exponential_integral<W, 8, 7>(c, 1.0);
}

/// A half-Cauchy scale on a grid, evenly spaced in log(lambda): 1/lambda^2 and the log of the mass nearest to it.  The normals
/// with these scales have the density of a horseshoe within a factor of 1.25, between 0.01 tau and 100 tau.
struct ScaleGridPoint {
  double inverse_square, log_mass;
};
using ScaleGrid = std::array<ScaleGridPoint, 9>;
inline ScaleGrid half_cauchy_grid() {
  constexpr double step = 1.25, two_over_pi = 0.63661977236758134308;
  ScaleGrid grid;
  double below = 0.0;
  for (int i = 0; i < int(grid.size()); ++i) {
    const double log_lambda = step * (i - 4),
                 up_to = i + 1 == int(grid.size()) ? 1.0 : two_over_pi * std::atan(std::exp(log_lambda + 0.5 * step));
    grid[std::size_t(i)] = {std::exp(-2.0 * log_lambda), std::log(up_to - below)};
    below = up_to;
  }
  return grid;
}

/// w = 1/lambda^2 given phi: density proportional to exp(-c w) / (1 + w), w > 0.  Rejection, with v = 1 + w:
///   c >= 1: v - 1 ~ Exp(c), kept with probability 1/v
///   c < 1:  on (1, 1/c) the envelope exp(-c)/v, beyond it c exp(-c v); masses exp(-c) log(1/c) and exp(-1)
template <int W, class Generator>
inline Lane<W> horseshoe_inverse_square(Generator& rng, Mask<W> mask, Lane<W> c) {
  const Mask<W> heavy = c < Lane<W>(1.0);
  const Lane<W> span = log(1.0 / select(heavy, c, Lane<W>(1.0))), near = exp(-c) * span;
  Lane<W> w(1.0);
  Mask<W> todo = mask;
  while (any(todo)) {
    const Lane<W> u = uniform<W>(rng, todo), e = exponential<W>(rng, todo);
    const Mask<W> inner = heavy & (uniform<W>(rng, todo) * (near + 0.36787944117144232160) < near);
    const Lane<W> v = select(inner, exp(u * span), select(heavy, 1.0 / c, Lane<W>(1.0)) + e / c);
    const Lane<W> keep = select(inner, exp(-c * (v - 1.0)), select(heavy, 1.0 / (c * v), 1.0 / v));
    const Mask<W> accept = todo & (uniform<W>(rng, todo) < keep);
    w = select(accept, v - 1.0, w);
    todo = todo & !accept;
  }
  return w;
}

}  // namespace hsmoe
