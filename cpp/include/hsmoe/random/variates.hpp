// Standard variates over lanes: exponential, normal, gamma.  `mask` names the lanes that draw; the
// values in the other lanes are meaningless and their streams stay where they were.
#pragma once

#include <limits>

#include <hsmoe/random/stream.hpp>

namespace hsmoe {

/// Exp(1) by inversion.
template <int W, class Generator>
HSMOE_INLINE Lane<W> exponential(Generator& rng, Mask<W> mask) {
  return -detail::log_normal_number(uniform<W>(rng, mask));
}

/// Two independent N(0, 1) (Box & Muller 1958): branch-free, two words for two variates.
template <int W, class Generator>
HSMOE_INLINE void normal_pair(Generator& rng, Mask<W> mask, Lane<W>& first, Lane<W>& second) {
  const Lane<W> radius = sqrt(-2.0 * detail::log_normal_number(uniform<W>(rng, mask)));
  Lane<W> s, c;
  sincos_turn(uniform<W>(rng, mask), s, c);
  first = radius * c;
  second = radius * s;
}

template <int W, class Generator>
HSMOE_INLINE Lane<W> normal(Generator& rng, Mask<W> mask) {
  Lane<W> a, b;
  normal_pair<W>(rng, mask, a, b);
  return a;
}

/// Gamma(shape, 1), shape > 0 (Marsaglia & Tsang 2000); below 1 by Gamma(shape + 1) U^(1/shape).
template <int W, class Generator>
inline Lane<W> gamma(Generator& rng, Mask<W> mask, Lane<W> shape) {
  const Mask<W> small = shape < Lane<W>(1.0);
  const Lane<W> a = select(small, shape + 1.0, shape);
  const Lane<W> d = a - 1.0 / 3, c = 1.0 / sqrt(9.0 * d);
  Lane<W> result(std::numeric_limits<double>::quiet_NaN());
  Mask<W> todo = mask & (shape > Lane<W>(0.0)) & (shape < Lane<W>(1e300));  // else NaN, not a loop for ever
  while (any(todo)) {
    Lane<W> x, unused;
    normal_pair<W>(rng, todo, x, unused);
    const Lane<W> root = 1.0 + c * x, v = root * root * root;
    const Lane<W> log_u = detail::log_normal_number(uniform<W>(rng, todo));
    const Mask<W> accept =
        todo & (root > Lane<W>(0.0)) & (log_u < 0.5 * x * x + d * (1.0 - v + log(v)));
    result = select(accept, d * v, result);
    todo = todo & !accept;
  }
  if (any(small & mask))
    result = select(small & mask, result * exp(log(uniform<W>(rng, small & mask)) / shape), result);
  return result;
}

/// Inverse Gaussian of mean 1 / inverse_mean (0: the Levy law, 1 / N^2) and shape 1, from y = N^2 (Michael, Schucany &
/// Haas 1976).  With D = 2c + y + sqrt(y (y + 4c)), c the inverse mean, the roots are 2 / D and D / (2 c^2): free of
/// cancellation, good down to c = 0.  The smaller is taken with probability D / (D + 2c).
template <int W, class Generator>
HSMOE_INLINE Lane<W> inverse_gaussian(Generator& rng, Mask<W> mask, Lane<W> inverse_mean) {
  const Lane<W> z = normal<W>(rng, mask), y = z * z, two_c = 2.0 * inverse_mean;
  const Lane<W> D = two_c + y + sqrt(y * (y + 2.0 * two_c));
  const Mask<W> small = uniform<W>(rng, mask) * (D + two_c) < D;
  return select(small, 2.0 / D, 2.0 * D / (two_c * two_c));
}

}  // namespace hsmoe
