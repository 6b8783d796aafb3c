// Cholesky factors of packed symmetric matrices (lower triangle by rows), for W lanes at once; the diagonal holds reciprocals.
#pragma once

#include <hsmoe/simd/lane.hpp>
#include <hsmoe/types.hpp>

namespace hsmoe {

/// Q becomes L, Q = L L'.  pivot(i, value): the square of the i-th diagonal element to go on with, positive.  O(p^3 / 6).
template <int W, class Pivot>
inline void factor_in_place(Lane<W>* Q, int p, Pivot&& pivot) {
  for (int i = 0; i < p; ++i) {
    Lane<W>* Li = Q + packed_index(i, 0);
    for (int j = 0; j < i; ++j) {
      const Lane<W>* Lj = Q + packed_index(j, 0);
      for (int k = 0; k < j; ++k) Li[j] -= Li[k] * Lj[k];
      Li[j] *= Lj[j];
      Li[i] -= Li[j] * Li[j];
    }
    Li[i] = 1.0 / sqrt(pivot(i, Li[i]));
  }
}

/// y = L^-1 b; y may be b.  Where the elements of b before `first` are zero, so are those of y, which are not written.
template <int W>
HSMOE_INLINE void solve_lower(const Lane<W>* L, const Lane<W>* b, int p, Lane<W>* y, int first = 0) {
  for (int i = first; i < p; ++i) {
    Lane<W> s = b[i];
    for (int k = first; k < i; ++k) s -= L[packed_index(i, k)] * y[k];
    y[i] = s * L[packed_index(i, i)];
  }
}

/// x = L'^-1 y
template <int W>
HSMOE_INLINE void solve_transposed(const Lane<W>* L, const Lane<W>* y, int p, Lane<W>* x) {
  for (int i = p - 1; i >= 0; --i) {
    Lane<W> s = y[i];
    for (int k = i + 1; k < p; ++k) s -= L[packed_index(k, i)] * x[k];
    x[i] = s * L[packed_index(i, i)];
  }
}

}  // namespace hsmoe
