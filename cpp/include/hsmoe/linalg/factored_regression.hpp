// The statistics of a Bayesian linear regression as one factored, augmented matrix.
//
//     [ P   h ]   [ L    0 ] [ D   0 ] [ L'  w ]
//     [ h'  s ] = [ w'   1 ] [ 0   r ] [ 0   1 ]        P = L D L',  w = L' m,  m = P^-1 h
//
// with P the precision, m the mean of the coefficients.  Learning a row (x, y) is the rank-one update
// of this matrix by (x, y): it moves L, D and w together, and leaves in r the residual sum of squares.
// Every update adds a positive semi-definite term, the form that is backward stable (Gill, Golub,
// Murray & Saunders 1974, method C1): no square root, one division a column, and the precision stays positive definite
// by construction.  The forward substitution
//
//     v = L^-1 x      q = 1 + x'P^-1 x = 1 + sum_j v_j^2 / D_j      x'm = sum_j v_j w_j
//
// gives everything a forecast needs for d^2 / 2 multiply-adds, without ever forming m.
//
// Storage of a factor of order d, W lanes an entry, by columns j = 0 ... d-1:
//     1 / D_j,  L_{j+1,j} ... L_{d-1,j},  w_j           (d (d+1) / 2 + d entries)
#pragma once

#include <algorithm>

#include <hsmoe/simd/lane.hpp>
#include <hsmoe/types.hpp>

namespace hsmoe {

constexpr int factor_size(int d) { return packed_size(d) + d; }

/// P = precision * I for a factor that factor_init made with another precision, in O(d).
template <int W>
inline void factor_init_again(double* factor, int d, Lane<W> precision) {
  const Lane<W> inverse_pivot = 1.0 / precision;
  for (int j = 0; j < d; factor += W * (d - j + 1), ++j) inverse_pivot.store(factor);
}

/// P = precision * I, m = 0.
template <int W>
inline void factor_init(double* factor, int d, Lane<W> precision) {
  std::fill_n(factor, W * factor_size(d), 0.0);
  factor_init_again<W>(factor, d, precision);
}

/// q - 1 = x'P^-1 x and x'm for the design x (d), common to the lanes.  work: d lanes.
template <int W>
HSMOE_INLINE void factor_solve(const double* factor, int d, const double* x, Lane<W>* work,
                               Lane<W>& leverage, Lane<W>& mean) {
  for (int i = 0; i < d; ++i) work[i] = Lane<W>(x[i]);
  leverage = Lane<W>(0.0);
  mean = Lane<W>(0.0);
  for (int j = 0; j < d; ++j) {
    const Lane<W> v = work[j];
    leverage += v * v * Lane<W>::load(factor);
    factor += W;
    for (int i = j + 1; i < d; ++i, factor += W) work[i] -= v * Lane<W>::load(factor);
    mean += v * Lane<W>::load(factor);
    factor += W;
  }
}

/// The same for the factor that factor_init made, in O(d), bit for bit.
template <int W>
HSMOE_INLINE void factor_solve_initial(int d, Lane<W> precision, const double* x, Lane<W>& leverage, Lane<W>& mean) {
  const Lane<W> inverse_pivot = 1.0 / precision;
  leverage = Lane<W>(0.0);
  for (int j = 0; j < d; ++j) leverage += x[j] * x[j] * inverse_pivot;
  mean = Lane<W>(0.0);
}

/// Add weight * (x, y)(x, y)' (weight >= 0 by lane; 0 leaves a lane exactly as it was).  Returns
/// weight (y - x'm)^2 / (1 + weight x'P^-1 x), the growth of the residual sum of squares.  work: d lanes.
template <int W>
HSMOE_INLINE Lane<W> factor_update(double* factor, int d, const double* x, double y, Lane<W> weight,
                                   Lane<W>* work) {
  for (int i = 0; i < d; ++i) work[i] = Lane<W>(x[i]);
  Lane<W> residual(y);
  Lane<W> alpha = weight;
  for (int j = 0; j < d; ++j) {
    const Lane<W> v = work[j], inverse_pivot = Lane<W>::load(factor);
    const Lane<W> c = alpha * v * inverse_pivot;
    const Lane<W> shrink = 1.0 / (1.0 + c * v);  // old pivot / new pivot
    const Lane<W> beta = c * shrink;
    (inverse_pivot * shrink).store(factor);
    alpha = alpha * shrink;
    factor += W;
    for (int i = j + 1; i < d; ++i, factor += W) {
      const Lane<W> l = Lane<W>::load(factor);
      work[i] -= v * l;
      (l + beta * work[i]).store(factor);
    }
    const Lane<W> w = Lane<W>::load(factor);
    residual -= v * w;
    (w + beta * residual).store(factor);
    factor += W;
  }
  return alpha * residual * residual;
}

/// Factor of precision * I + sums, where sums holds the packed lower triangle by rows of the augmented
/// matrix [X'X, X'y; y'X, y'y] of order d + 1.  Returns the residual sum of squares r.  As P - precision * I
/// is positive semi-definite no pivot is below `precision`, and r is not below 0: rounding that says otherwise is
/// put right.  work: packed_size(d + 1) lanes.
template <int W>
inline Lane<W> factor_from_sums(double* factor, int d, Lane<W> precision, const double* sums, Lane<W>* work) {
  // Row i of the augmented L D L': work(i, j) = L_ij D_j until column j is done.
  for (int i = 0; i <= d; ++i) {
    Lane<W>* row = work + packed_index(i, 0);
    for (int j = 0; j <= i; ++j) row[j] = Lane<W>::load(sums + W * packed_index(i, j));
    if (i < d) row[i] += precision;
  }
  for (int j = 0; j < d; ++j) {
    const Lane<W> pivot = max(work[packed_index(j, j)], precision);
    const Lane<W> inverse = 1.0 / pivot;
    inverse.store(factor);
    factor += W;
    for (int i = j + 1; i <= d; ++i, factor += W) (work[packed_index(i, j)] * inverse).store(factor);
    for (int i = j + 1; i <= d; ++i) {
      const Lane<W> l = work[packed_index(i, j)] * inverse;
      Lane<W>* row = work + packed_index(i, 0);
      for (int k = j + 1; k <= i; ++k) row[k] -= l * work[packed_index(k, j)];
    }
  }
  return max(work[packed_index(d, d)], Lane<W>(0.0));
}

/// Solve L' m = w + noise by back substitution; noise may be null (then m is the posterior mean).
template <int W>
inline void factor_mean(const double* factor, int d, const Lane<W>* noise, Lane<W>* m) {
  for (int j = d - 1; j >= 0; --j) {
    const double* column = factor + W * (Index(j) * (d + 1) - Index(j) * (j - 1) / 2);
    Lane<W> value = Lane<W>::load(column + W * (d - j));
    if (noise) value += noise[j];
    for (int i = j + 1; i < d; ++i) value -= Lane<W>::load(column + W * (i - j)) * m[i];
    m[j] = value;
  }
}

}  // namespace hsmoe
