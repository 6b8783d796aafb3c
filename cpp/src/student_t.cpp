#include <hsmoe/predictive/student_t.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace hsmoe {

namespace {

constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double log_sqrt_2pi = 0.91893853320467274178;

/// log(1 + x^2 / df) without overflow.
double log1p_square(double x, double df) {
  return x > 1e100 ? 2 * std::log(x) - std::log(df) + std::log1p(df / x / x) : std::log1p(x * x / df);
}

/// P(T > x), x >= 0; formulas in student_t.hpp.
double upper_tail(double x, double df) {
  using Fit = student_t_fit::Relative;
  if (!(df < student_t_detail::max_df)) return 0.5 * std::erfc(x * 0.70710678118654752440);
  if (x == 0) return 0.5;
  const double a = 0.5 * df, w = log1p_square(x, df), X = std::exp(-w);
  const double front = 0.5 * std::exp(-a * w) * std::sqrt(-std::expm1(-w));
  const double G = student_t_detail::first_term(Lane<1>(a), gamma_half_ratio(Lane<1>(a)))[0];
  double term = 1, sum = 0;
  if (w > 0.7) {  // X < 1/2: the terms end the matter
    for (double b = a; term > 1e-17 * sum; b += 1) {
      sum += term;
      term *= (b + 0.5) / (b + 1) * X;
    }
    return front * G * sum;
  }
  double b = a;
  for (; b < Fit::shift; b += 1) {
    sum += term;
    term *= (b + 0.5) / (b + 1) * X;
  }
  const double alpha = 2 * b - 0.5, z = std::sqrt(alpha * w);
  const double h = student_t_detail::h_correction<Fit>(Lane<1>(w), Lane<1>(1 / alpha))[0];
  const double large = student_t_detail::mills<Fit>(Lane<1>(z))[0] + z / alpha * h;
  return front * G * sum + std::exp(-0.5 * alpha * w) * large;
}

}  // namespace

double student_t_cdf(double t, double df) {
  if (!(df > 0) || !(t == t)) return nan;
  return t < 0 ? upper_tail(-t, df) : 1 - upper_tail(t, df);
}

double student_t_log_pdf(double t, double df) {
  if (!(df > 0) || !(t == t)) return nan;
  if (!(df < student_t_detail::max_df)) return -0.5 * t * t - log_sqrt_2pi;
  const double log_ratio = std::log(gamma_half_ratio(Lane<1>(0.5 * df))[0]);
  return log_ratio - log_sqrt_2pi - 0.5 * (df + 1) * log1p_square(std::fabs(t), df);
}

double student_t_quantile(double p, double df) {
  if (!(df > 0) || !(p >= 0 && p <= 1)) return nan;
  if (p == 0 || p == 1) return p == 0 ? -inf : inf;
  const double tail = std::min(p, 1 - p);
  if (tail == 0.5) return 0;
  // The tail is convex: its tangent at 0 gives a lower bound.  log P against log x is concave and falls, so
  // that Newton's steps in log x stay above the root after the first; that one may overshoot to P = 0.
  double x = (0.5 - tail) * std::exp(-student_t_log_pdf(0, df)), low = x, high = inf;
  for (int i = 0; i < 200; ++i) {
    const double P = upper_tail(x, df);
    (P < tail ? high : low) = x;
    double next = 0;
    if (P > 0) {
      const double step = std::log(P / tail) * std::exp(std::log(P / x) - student_t_log_pdf(x, df));
      next = x * std::exp(std::min(step, 2 + 100 / df));
    }
    if (!(next >= low && next <= high)) next = std::sqrt(low) * std::sqrt(high);
    const double change = std::fabs(next / x - 1);
    x = next;
    if (!(change > 1e-14)) break;
  }
  return p < 0.5 ? -x : x;
}

}  // namespace hsmoe
