// A few lanes that are numbered, where each lane has a number of its own.
#pragma once

#include <hsmoe/simd/lane.hpp>

namespace hsmoe {

/// of[number]
template <int W>
HSMOE_INLINE Lane<W> at_number(const Lane<W>* of, int n, Lane<W> number) {
  Lane<W> value = of[0];
  for (int k = 1; k < n; ++k) value = select(number == Lane<W>(double(k)), of[k], value);
  return value;
}

/// of[number] = value
template <int W>
HSMOE_INLINE void put_at_number(Lane<W>* of, int n, Lane<W> number, Lane<W> value) {
  for (int k = 0; k < n; ++k) of[k] = select(number == Lane<W>(double(k)), value, of[k]);
}

/// The number with weight[0] + ... + weight[number - 1] <= u < weight[0] + ... + weight[number]; the last if there is none.
template <int W>
HSMOE_INLINE Lane<W> number_at_quantile(const Lane<W>* weight, int n, Lane<W> u) {
  Lane<W> below(0.0), number(0.0);
  for (int k = 0; k + 1 < n; ++k) {
    below += weight[k];
    number = select(below <= u, Lane<W>(double(k + 1)), number);
  }
  return number;
}

}  // namespace hsmoe
