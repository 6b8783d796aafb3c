// Histograms of ranks that should be uniform on 0 ... L, and tests of it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

class RankHistogram {
 public:
  static constexpr int bins = 8;

  /// L + 1 must be a multiple of `bins`.
  RankHistogram(std::string name, int L) : name_(std::move(name)), L_(L), count_(std::size_t(L + 1), 0) {}
  void add(int rank) { ++count_[std::size_t(rank)]; }

  // With n ranks r, v = (r + 1/2) / (L + 1) - 1/2 and moments of the uniform law E v^2, E v^4:
  //   chi2       = sum over bins of (count - n / bins)^2 / (n / bins)             ~ chi-squared, bins - 1
  //   trend      = sum v / sqrt(n E v^2)                                          ~ N(0, 1): shift
  //   dispersion = sum (v^2 - E v^2) / sqrt(n (E v^4 - (E v^2)^2))                ~ N(0, 1): > 0 a U, < 0 a hump
  // the last two are the first components of Neyman's smooth test.
  struct Tests {
    double chi2, trend, dispersion;
    /// The least of the three two-sided p values; the bound of all three is 3 p.
    double least_p() const {
      // Survival function of chi-squared with 7 degrees of freedom.
      const double series = 1 + chi2 / 3 + chi2 * chi2 / 15;
      const double tail = std::erfc(std::sqrt(chi2 / 2)) +
                          std::sqrt(2 * chi2 / 3.141592653589793) * std::exp(-chi2 / 2) * series;
      const double z = std::max(std::abs(trend), std::abs(dispersion));
      return std::min(tail, std::erfc(z / std::sqrt(2.0)));
    }
  };

  Tests tests() const {
    double n = 0, sum = 0, square = 0, second = 0, fourth = 0;
    for (int r = 0; r <= L_; ++r) {
      const double c = double(count_[r]), v = (r + 0.5) / (L_ + 1) - 0.5;
      n += c;
      sum += c * v;
      square += c * v * v;
      second += v * v / (L_ + 1);
      fourth += v * v * v * v / (L_ + 1);
    }
    double chi2 = 0;
    for (int b = 0; b < bins; ++b) chi2 += (in_bin(b) - n / bins) * (in_bin(b) - n / bins) * bins / n;
    const double spread = std::sqrt(n * (fourth - second * second));
    return {chi2, sum / std::sqrt(n * second), (square - n * second) / spread};
  }

  void print() const {
    std::printf("  %-14s", name_.c_str());
    for (int b = 0; b < bins; ++b) std::printf(" %5ld", in_bin(b));
    const Tests t = tests();
    std::printf("  %7.1f  %6.2f  %6.2f\n", t.chi2, t.trend, t.dispersion);
  }
  static void print_header() {
    std::printf("  %-14s %-47s  %7s  %6s  %6s\n", "quantity", " ranks by eighths of 0 ... L", "chi2(7)", "trend",
                "disp.");
  }
  const std::string& name() const { return name_; }

 private:
  static_assert(bins == 8, "least_p has 7 degrees of freedom");
  long in_bin(int b) const {
    long sum = 0;
    for (int r = b * (L_ + 1) / bins; r < (b + 1) * (L_ + 1) / bins; ++r) sum += count_[std::size_t(r)];
    return sum;
  }
  std::string name_;
  int L_;
  std::vector<long> count_;
};

/// Of all tests of all quantities, and the quantity that stands out most.
struct Verdict {
  double p;  // Bonferroni
  std::string quantity;
  RankHistogram::Tests tests;
};

inline Verdict verdict(const std::vector<RankHistogram>& histograms) {
  Verdict v{2.0, "", {}};
  for (const RankHistogram& h : histograms) {
    const RankHistogram::Tests t = h.tests();
    if (t.least_p() < v.p) v = {t.least_p(), h.name(), t};
  }
  v.p = std::min(1.0, 3.0 * double(histograms.size()) * v.p);
  return v;
}
