// Weighted sums over a block of rows, W lanes of weights at once.  An accumulator is loaded and stored once
// a block: the statistics of a block of particles are larger than the first-level cache, the rows are not.
// The triangle is cut into square tiles whose sums stay in registers: their chains of additions run side by side, and a
// value of a row is loaded once for a line of a tile.
#pragma once

#include <algorithm>

#include <hsmoe/simd/lane.hpp>
#include <hsmoe/types.hpp>

namespace hsmoe {
namespace detail {

#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kTile = 4;  // 32 vector registers
#else
constexpr int kTile = 3;  // 16
#endif

/// Entries (i, j), i = first ... first + R - 1, j = column ... column + C - 1, of packed += sum_t weight_t r_t r_t'.
/// A tile on the diagonal has column == first and is a triangle.
template <int W, int R, int C, bool Diagonal>
HSMOE_INLINE void accumulate_tile(double* packed, int first, int column, const double* const* rows, const Lane<W>* weight,
                                  int n) {
  Lane<W> sum[R][C];
  auto each = [&](auto&& visit) {
#pragma GCC unroll 4
    for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
      for (int j = 0; j < (Diagonal ? i + 1 : C); ++j)
        visit(sum[i][j], packed + W * (packed_index(first + i, column) + j));
  };
  each([](Lane<W>& s, const double* at) { s = Lane<W>::load(at); });
  for (int t = 0; t < n; ++t) {
    const double *left = rows[t] + first, *right = rows[t] + column;
    const Lane<W> w = weight[t];
#pragma GCC unroll 4
    for (int i = 0; i < R; ++i) {
      const Lane<W> scaled = w * left[i];
#pragma GCC unroll 4
      for (int j = 0; j < (Diagonal ? i + 1 : C); ++j) sum[i][j] += scaled * right[j];
    }
  }
  each([](const Lane<W>& s, double* at) { s.store(at); });
}

template <int W, int R>
inline void accumulate_strip(double* packed, int first, const double* const* rows, const Lane<W>* weight, int n) {
  for (int column = 0; column < first; column += kTile)
    accumulate_tile<W, R, kTile, false>(packed, first, column, rows, weight, n);
  accumulate_tile<W, R, R, true>(packed, first, first, rows, weight, n);
}

}  // namespace detail

/// packed += sum_t weight_t r_t r_t' over n rows of length dim (packed lower triangle by rows).
template <int W>
inline void accumulate_outer(double* packed, int dim, const double* const* rows, const Lane<W>* weight, int n) {
  for (int first = 0; first < dim; first += detail::kTile) switch (std::min(detail::kTile, dim - first)) {
      case 1: detail::accumulate_strip<W, 1>(packed, first, rows, weight, n); break;
      case 2: detail::accumulate_strip<W, 2>(packed, first, rows, weight, n); break;
      case 3: detail::accumulate_strip<W, 3>(packed, first, rows, weight, n); break;
      default: detail::accumulate_strip<W, detail::kTile>(packed, first, rows, weight, n);
    }
}

/// sums += sum_t weight_t r_t.
template <int W>
inline void accumulate_rows(double* sums, int dim, const double* const* rows, const Lane<W>* weight, int n) {
  constexpr int together = 4;
  int j = 0;
  for (; j + together <= dim; j += together, sums += together * W) {
    Lane<W> sum[together];
#pragma GCC unroll 4
    for (int i = 0; i < together; ++i) sum[i] = Lane<W>::load(sums + W * i);
    for (int t = 0; t < n; ++t)
#pragma GCC unroll 4
      for (int i = 0; i < together; ++i) sum[i] += weight[t] * rows[t][j + i];
#pragma GCC unroll 4
    for (int i = 0; i < together; ++i) sum[i].store(sums + W * i);
  }
  for (; j < dim; ++j, sums += W) {
    Lane<W> sum = Lane<W>::load(sums);
    for (int t = 0; t < n; ++t) sum += weight[t] * rows[t][j];
    sum.store(sums);
  }
}

}  // namespace hsmoe
