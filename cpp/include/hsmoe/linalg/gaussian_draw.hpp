// Draws from N(Q^-1 h, Q^-1) with Q packed symmetric, for W lanes at once.
#pragma once

#include <hsmoe/linalg/packed_factor.hpp>
#include <hsmoe/random/variates.hpp>
#include <hsmoe/types.hpp>

namespace hsmoe {

namespace detail {
/// Q = A + diag(D) = L L' and y = L^-1 h.  L: rows, the diagonal holds reciprocals.
template <int W>
HSMOE_INLINE void factor_and_solve(const double* A, const Lane<W>* D, const Lane<W>* h, int p, Lane<W>* L, Lane<W>* y) {
  for (int i = 0; i < p; ++i) {
    Lane<W>* Li = L + packed_index(i, 0);
    for (int j = 0; j < i; ++j) {
      const Lane<W>* Lj = L + packed_index(j, 0);
      Lane<W> s = Lane<W>::load(A + W * packed_index(i, j));
      for (int k = 0; k < j; ++k) s -= Li[k] * Lj[k];
      Li[j] = s * Lj[j];
    }
    Lane<W> s = Lane<W>::load(A + W * packed_index(i, i)) + D[i];
    for (int k = 0; k < i; ++k) s -= Li[k] * Li[k];
    Li[i] = 1.0 / sqrt(max(s, D[i]));  // A is positive semi-definite: no pivot is below D_i, but for rounding
    Lane<W> t = h[i];
    for (int k = 0; k < i; ++k) t -= Li[k] * y[k];
    y[i] = t * Li[i];
  }
}
}  // namespace detail

/// The two halves of a block draw from N(Q^-1 h, scale^2 Q^-1), for a scale that depends on the first: Q = A + diag(D)
/// = L L' and y = L^-1 h into work, returns y'y = h'Q^-1 h; then phi = L'^-1 (y + scale z), z ~ N(0, I).  O(p^3 / 6).
/// A: packed lower triangle by rows; D, h, phi: p lanes; work: packed_size(p) + p lanes.
template <int W>
inline Lane<W> gaussian_factor(const double* A, const Lane<W>* D, const Lane<W>* h, int p, Lane<W>* work) {
  Lane<W>*L = work, *y = work + packed_size(p);
  detail::factor_and_solve<W>(A, D, h, p, L, y);
  Lane<W> square(0.0);
  for (int i = 0; i < p; ++i) square += y[i] * y[i];
  return square;
}
template <int W, class Generator>
inline void gaussian_draw_factored(int p, Lane<W>* work, Lane<W> scale, Generator& rng, Mask<W> mask, Lane<W>* phi) {
  Lane<W>*L = work, *y = work + packed_size(p);
  Lane<W> z[2];
  for (int i = 0; i < p; ++i) {
    if (i % 2 == 0) normal_pair<W>(rng, mask, z[0], z[1]);
    y[i] += scale * z[i % 2];
  }
  solve_transposed<W>(L, y, p, phi);
}

/// Whether a positive semi-definite A is zero in all lanes: its diagonal tells.
template <int W>
HSMOE_INLINE bool is_zero(const double* A, int p) {
  Mask<W> positive = Mask<W>::all_false();
  for (int i = 0; i < p; ++i) positive = positive | (Lane<W>::load(A + W * packed_index(i, i)) > Lane<W>(0.0));
  return !any(positive);
}

/// Block draw: both halves with scale 1.  Where A is zero in all lanes, as at a node that no row has passed, the same bits in O(p).
template <int W, class Generator>
inline void gaussian_block_draw(const double* A, const Lane<W>* D, const Lane<W>* h, int p, Lane<W>* work,
                                Generator& rng, Mask<W> mask, Lane<W>* phi) {
  if (is_zero<W>(A, p)) {
    Lane<W>*deviation = work, *y = work + p, z[2];
    for (int i = 0; i < p; ++i) {  // in two steps, so that no multiply-add is contracted that is none below
      deviation[i] = 1.0 / sqrt(D[i]);
      y[i] = h[i] * deviation[i];
    }
    for (int i = 0; i < p; ++i) {
      if (i % 2 == 0) normal_pair<W>(rng, mask, z[0], z[1]);
      phi[i] = (y[i] + z[i % 2]) * deviation[i];
    }
    return;
  }
  gaussian_factor<W>(A, D, h, p, work);
  gaussian_draw_factored<W>(p, work, Lane<W>(1.0), rng, mask, phi);
}

/// The mean alone, phi = Q^-1 h; returns log det Q.  work as above.
template <int W>
inline Lane<W> gaussian_solve(const double* A, const Lane<W>* D, const Lane<W>* h, int p, Lane<W>* work, Lane<W>* phi) {
  Lane<W>*L = work, *y = work + packed_size(p);
  detail::factor_and_solve<W>(A, D, h, p, L, y);
  solve_transposed<W>(L, y, p, phi);
  Lane<W> log_det(0.0);
  for (int i = 0; i < p; ++i) log_det -= 2.0 * log(L[packed_index(i, i)]);
  return log_det;
}

/// Coordinate sweep: one Gibbs scan over the coordinates of phi, O(p^2), no factorisation:
///     phi_j ~ N((h_j - sum_{i != j} A_ji phi_i) / (A_jj + D_j), 1 / (A_jj + D_j))
template <int W, class Generator>
inline void gaussian_coordinate_sweep(const double* A, const Lane<W>* D, const Lane<W>* h, int p,
                                      Generator& rng, Mask<W> mask, Lane<W>* phi) {
  Lane<W> z[2];
  for (int j = 0; j < p; ++j) {
    if (j % 2 == 0) normal_pair<W>(rng, mask, z[0], z[1]);
    Lane<W> s = h[j];
    const double* row = A + W * packed_index(j, 0);
    for (int i = 0; i < j; ++i) s -= Lane<W>::load(row + W * i) * phi[i];
    for (int i = j + 1; i < p; ++i) s -= Lane<W>::load(A + W * packed_index(i, j)) * phi[i];
    const Lane<W> variance = 1.0 / (Lane<W>::load(row + W * j) + D[j]);
    phi[j] = s * variance + sqrt(variance) * z[j % 2];
  }
}

}  // namespace hsmoe
