// PG(h, z) for large h, exact at a cost that does not grow with h.
//
// PG(h, z) is the law of a sum of independent gamma variates of shape h (Polson, Scott & Windle 2013),
// each with a log-concave density when h >= 1; convolution and exponential tilting keep log-concavity.  A
// concave function lies below the chord through any two of its points outside them, and above it
// between them: chords through a few knots give a piecewise exponential envelope and squeeze, free of
// derivatives (Gilks 1992).  The density is the one of polya_gamma_density.hpp.
#pragma once

#include <cmath>

namespace hsmoe {

class PolyaGammaHull {
 public:
  /// h >= 64 (so that all knots are positive), z finite.
  PolyaGammaHull(double h, double z);

  /// uniform() is uniform on (0, 1).
  template <class Uniform>
  double operator()(Uniform&& uniform) const {
    for (;;) {
      const double pick = uniform() * total_, u = uniform();
      int s = 0;
      while (s + 1 < segments_ && pick > cumulative_[s]) ++s;
      const double t = invert(s, u);
      const double upper = level_[s] + slope_[s] * (t - left_[s]), log_u = std::log(uniform());
      const double x = mean_ + sd_ * t;
      if (!(x > 0)) continue;
      if (log_u <= squeeze(t) - upper || log_u <= log_density(t) - upper) return x;
    }
  }

 private:
  static constexpr int kKnots = 9;
  static constexpr int kSegments = 2 * kKnots;

  double log_density(double t) const;  // of t = (x - mean) / sd, up to a constant
  double squeeze(double t) const;
  double invert(int segment, double u) const;
  void add(double left, double right, double knot, double value, double slope);

  double h_, z_, mean_, sd_, top_ = 0;
  double knot_[kKnots], value_[kKnots];
  // exp(level + slope (t - left)) on [left, right]; the outer two are half lines.
  int segments_ = 0;
  double left_[kSegments], right_[kSegments], level_[kSegments], slope_[kSegments], cumulative_[kSegments];
  double total_ = 0;
};

}  // namespace hsmoe
