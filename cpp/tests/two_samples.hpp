// Two samples of the same functions, compared by the difference of their means.
#pragma once

#include <cmath>
#include <vector>

namespace hsmoe {

class TwoSamples {
 public:
  /// One more draw of the functions for sample 0 or 1.
  void add(int which, const std::vector<double>& values) {
    Sums& s = sums_[which];
    s.first.resize(values.size());
    s.second.resize(values.size());
    ++s.count;
    for (std::size_t j = 0; j < values.size(); ++j) {
      s.first[j] += values[j];
      s.second[j] += values[j] * values[j];
    }
  }
  /// The largest |mean difference| in standard errors; huge where one is not a number, so that it cannot pass.  Functions
  /// that are constant in both samples agree.
  double largest_z() const {
    double worst = 0;
    for (std::size_t j = 0; j < sums_[0].first.size(); ++j) {
      double mean[2], variance[2];
      for (int w = 0; w < 2; ++w) {
        mean[w] = sums_[w].first[j] / sums_[w].count;
        variance[w] = sums_[w].second[j] / sums_[w].count - mean[w] * mean[w];
      }
      const double gap = mean[1] - mean[0];
      const double z = gap == 0 ? 0 : gap / std::sqrt(variance[0] / sums_[0].count + variance[1] / sums_[1].count);
      worst = std::fmax(worst, std::isfinite(z) ? std::abs(z) : 1e9);
    }
    return worst;
  }

 private:
  struct Sums {
    std::vector<double> first, second;
    double count = 0;
  };
  Sums sums_[2];
};

}  // namespace hsmoe
