// Small dense kernels on plain doubles.  Sums over elements run in eight strands of fixed order, all else element by
// element, so that results depend on neither the instruction set nor the alignment of memory.
#pragma once

#include <algorithm>

#include <hsmoe/types.hpp>

namespace hsmoe {

inline double dot(const double* a, const double* b, int n) {
  double strand[8] = {0, 0, 0, 0, 0, 0, 0, 0};
  int i = 0;
  for (; i + 8 <= n; i += 8)
    for (int s = 0; s < 8; ++s) strand[s] += a[i + s] * b[i + s];
  for (int s = 0; i < n; ++i, ++s) strand[s] += a[i] * b[i];
  return ((strand[0] + strand[4]) + (strand[2] + strand[6])) + ((strand[1] + strand[5]) + (strand[3] + strand[7]));
}

/// y += c x
inline void add_scaled(double* __restrict y, const double* __restrict x, double c, int n) {
  for (int i = 0; i < n; ++i) y[i] += c * x[i];
}

/// y = S x, S symmetric, both triangles stored.
inline void multiply_symmetric(const double* __restrict S, const double* __restrict x, double* __restrict y, int n) {
  std::fill_n(y, n, 0.0);
  int j = 0;
  for (; j + 4 <= n; j += 4) {
    const double *a = S + Index(j) * n, *b = a + n, *c = b + n, *d = c + n;
    const double xa = x[j], xb = x[j + 1], xc = x[j + 2], xd = x[j + 3];
    for (int i = 0; i < n; ++i) y[i] += (a[i] * xa + b[i] * xb) + (c[i] * xc + d[i] * xd);
  }
  for (; j < n; ++j) add_scaled(y, S + Index(j) * n, x[j], n);
}

/// S -= c v v', both triangles.
inline void subtract_outer(double* __restrict S, const double* __restrict v, double c, int n) {
  for (int j = 0; j < n; ++j) add_scaled(S + Index(j) * n, v, -c * v[j], n);
}

/// S = S^-1 for a symmetric positive definite S, both triangles stored, by n sweeps (Goodnight 1979): each
///     S_kk -> -1/S_kk    S_ik -> S_ik / S_kk    S_ij -> S_ij - S_ik S_kj / S_kk
/// and the inverse with its sign changed is left.  Pivots are those of the Cholesky factorisation.
inline void invert_symmetric(double* S, int n) {
  for (int k = 0; k < n; ++k) {
    double* pivot_row = S + Index(k) * n;
    const double inverse = 1 / pivot_row[k];
    for (int i = 0; i < n; ++i) {
      if (i == k) continue;
      double* row = S + Index(i) * n;
      const double c = row[k] * inverse, kept = row[k];
      add_scaled(row, pivot_row, -c, n);  // also spoils the entries of column k, put right below
      row[k] = kept;
    }
    for (int i = 0; i < n; ++i) {
      if (i == k) continue;
      const double c = pivot_row[i] * inverse;
      S[Index(i) * n + k] = c;
      pivot_row[i] = c;
    }
    pivot_row[k] = -inverse;
  }
  for (Index i = 0; i < Index(n) * n; ++i) S[i] = -S[i];
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < i; ++j) {
      double &a = S[Index(i) * n + j], &b = S[Index(j) * n + i];
      a = b = 0.5 * (a + b);
    }
}

}  // namespace hsmoe
