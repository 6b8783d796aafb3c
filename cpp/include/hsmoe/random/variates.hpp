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

}  // namespace hsmoe
