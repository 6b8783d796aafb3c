#include <hsmoe/random/polya_gamma_hull.hpp>

#include <algorithm>
#include <limits>

#include <hsmoe/random/polya_gamma_density.hpp>

namespace hsmoe {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

/// Variance of PG(h, z): h (sinh z - z) sech^2(z / 2) / (4 z^3).
double variance(double h, double z) {
  const double a = std::fabs(z);
  if (a < 0.05) return h / 24 * (1 - a * a / 5 + 17 * a * a * a * a / 560);
  const double e = std::exp(-a), sech = 2 * std::sqrt(e) / (1 + e);
  // (sinh a - a) sech^2(a / 2) = 2 (1 - e) / (1 + e) - a sech^2: nothing overflows.
  return h * (2 * (1 - e) / (1 + e) - a * sech * sech) / (4 * a * a * a);
}

}  // namespace

PolyaGammaHull::PolyaGammaHull(double h, double z) : h_(h), z_(z) {
  const double c = 0.5 * std::fabs(z);
  mean_ = c < 1e-4 ? 0.25 * h * (1 - c * c / 3) : 0.25 * h * std::tanh(c) / c;
  sd_ = std::sqrt(variance(h, z));
  const double place[kKnots] = {-3.0, -1.9, -1.15, -0.5, 0.0, 0.5, 1.15, 1.9, 3.0};
  if (h <= 1e16) top_ = polya_gamma_log_pdf(mean_, h, z);
  for (int i = 0; i < kKnots; ++i) {
    knot_[i] = place[i];
    value_[i] = log_density(place[i]);
  }
  double chord[kKnots - 1];
  for (int i = 0; i + 1 < kKnots; ++i) chord[i] = (value_[i + 1] - value_[i]) / (knot_[i + 1] - knot_[i]);
  const int last = kKnots - 1;
  add(-kInf, knot_[0], knot_[0], value_[0], chord[0]);
  for (int i = 0; i < last; ++i) {
    // Between knots i and i + 1: under the chord before, extended, and under the chord after.
    const double a = knot_[i], b = knot_[i + 1];
    double cross = i == 0 ? a : b;
    if (i > 0 && i + 1 < last) {
      const double width = chord[i - 1] - chord[i + 1];
      cross = width > 0 ? a + (value_[i + 1] - value_[i] - chord[i + 1] * (b - a)) / width : b;
      cross = std::min(std::max(cross, a), b);
    }
    if (i > 0 && cross > a) add(a, cross, a, value_[i], chord[i - 1]);
    if (i + 1 < last && cross < b) add(cross, b, b, value_[i + 1], chord[i + 1]);
  }
  add(knot_[last], kInf, knot_[last], value_[last], chord[last - 1]);
}

double PolyaGammaHull::log_density(double t) const {
  // The skewness, of order h^(-1/2), is then below the rounding of the exact density.
  if (h_ > 1e16) return -0.5 * t * t;
  return polya_gamma_log_pdf(mean_ + sd_ * t, h_, z_) - top_;
}

double PolyaGammaHull::squeeze(double t) const {
  if (t < knot_[0] || t > knot_[kKnots - 1]) return -kInf;
  int i = 0;
  while (i + 2 < kKnots && t > knot_[i + 1]) ++i;
  const double part = (t - knot_[i]) / (knot_[i + 1] - knot_[i]);
  return value_[i] + part * (value_[i + 1] - value_[i]);
}

void PolyaGammaHull::add(double left, double right, double knot, double value, double slope) {
  // `left` is where the exponential is anchored; on the left half line that is its right end.
  const int s = segments_++;
  const bool open = left == -kInf;
  left_[s] = open ? right : left;
  right_[s] = open ? -kInf : right;
  slope_[s] = slope;
  level_[s] = value + slope * (left_[s] - knot);
  const double width = right_[s] - left_[s];
  const double area = std::isinf(width) ? 1 / std::fabs(slope)
                      : std::fabs(slope * width) < 1e-12 ? width
                                                         : std::expm1(slope * width) / slope;
  total_ += std::exp(level_[s]) * area;
  cumulative_[s] = total_;
}

double PolyaGammaHull::invert(int s, double u) const {
  const double width = right_[s] - left_[s], slope = slope_[s];
  if (std::isinf(width)) return left_[s] + std::log(u) / slope;
  if (std::fabs(slope * width) < 1e-12) return left_[s] + u * width;
  return left_[s] + std::log1p(u * std::expm1(slope * width)) / slope;
}

}  // namespace hsmoe
