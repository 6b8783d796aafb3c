// Weights of one island, in logs.  Sums run in the order of the particles, whatever the lanes.
#pragma once

#include <cmath>
#include <limits>
#include <vector>

#include <hsmoe/simd/lane.hpp>
#include <hsmoe/types.hpp>

namespace hsmoe {

inline double log_sum_exp(const double* v, Index n) {
  double top = -std::numeric_limits<double>::infinity();
  for (Index i = 0; i < n; ++i) top = v[i] > top || std::isnan(v[i]) ? v[i] : top;
  if (!std::isfinite(top)) return top;
  double sum = 0.0;
  for (Index i = 0; i < n; ++i) sum += exp(Lane<1>(v[i] - top))[0];
  return top + std::log(sum);
}

/// log_weight += increment, renormalised; returns log sum_i W_i exp(increment_i), or a value that is not
/// finite and leaves log_weight alone.  `normalised` receives the new weights.
template <int W>
inline double reweight(double* log_weight, const double* increment, Index n, double* normalised) {
  double top = -std::numeric_limits<double>::infinity();
  bool bad = false;
  for (Index i = 0; i < n; ++i) {
    const double v = log_weight[i] + increment[i];
    bad = bad || !(v < std::numeric_limits<double>::infinity());
    top = v > top ? v : top;
    normalised[i] = v;
  }
  if (bad || !std::isfinite(top)) return std::numeric_limits<double>::quiet_NaN();
  Index i = 0;
  for (; i + W <= n; i += W) exp(Lane<W>::load(normalised + i) - top).store(normalised + i);
  for (; i < n; ++i) normalised[i] = exp(Lane<1>(normalised[i] - top))[0];
  double sum = 0.0;
  for (i = 0; i < n; ++i) sum += normalised[i];
  const double growth = top + std::log(sum);
  for (i = 0; i < n; ++i) {
    log_weight[i] += increment[i] - growth;
    normalised[i] /= sum;
  }
  return growth;
}

/// Effective sample size 1 / sum W^2 of normalised weights.
inline double effective_sample_size(const double* weight, Index n) {
  double sum = 0.0;
  for (Index i = 0; i < n; ++i) sum += weight[i] * weight[i];
  return 1.0 / sum;
}

}  // namespace hsmoe
