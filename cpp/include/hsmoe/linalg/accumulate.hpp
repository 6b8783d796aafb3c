// Weighted sums over a block of rows, W lanes of weights at once.  An accumulator is loaded and stored once
// a block: the statistics of a block of particles are larger than the first-level cache, the rows are not.
#pragma once

#include <hsmoe/simd/lane.hpp>
#include <hsmoe/types.hpp>

namespace hsmoe {

/// packed += sum_t weight_t r_t r_t' over n rows of length dim (packed lower triangle by rows).  work: n lanes.
template <int W>
inline void accumulate_outer(double* packed, int dim, const double* const* rows, const Lane<W>* weight, int n,
                             Lane<W>* work) {
  for (int i = 0; i < dim; ++i) {
    for (int t = 0; t < n; ++t) work[t] = weight[t] * rows[t][i];
    double* out = packed + W * packed_index(i, 0);
    int j = 0;
    for (; j + 4 <= i + 1; j += 4, out += 4 * W) {  // four sums hide the latency of each other
      Lane<W> a = Lane<W>::load(out), b = Lane<W>::load(out + W), c = Lane<W>::load(out + 2 * W),
              d = Lane<W>::load(out + 3 * W);
      for (int t = 0; t < n; ++t) {
        const double* r = rows[t] + j;
        a += work[t] * r[0];
        b += work[t] * r[1];
        c += work[t] * r[2];
        d += work[t] * r[3];
      }
      a.store(out);
      b.store(out + W);
      c.store(out + 2 * W);
      d.store(out + 3 * W);
    }
    for (; j <= i; ++j, out += W) {
      Lane<W> a = Lane<W>::load(out);
      for (int t = 0; t < n; ++t) a += work[t] * rows[t][j];
      a.store(out);
    }
  }
}

/// sums += sum_t weight_t r_t.
template <int W>
inline void accumulate_rows(double* sums, int dim, const double* const* rows, const Lane<W>* weight, int n) {
  for (int j = 0; j < dim; ++j) {
    Lane<W> a = Lane<W>::load(sums + W * j);
    for (int t = 0; t < n; ++t) a += weight[t] * rows[t][j];
    a.store(sums + W * j);
  }
}

}  // namespace hsmoe
