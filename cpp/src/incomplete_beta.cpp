#include <hsmoe/predictive/incomplete_beta.hpp>

#include <algorithm>
#include <cmath>

namespace hsmoe {

namespace {

constexpr double tiny = 1e-300;
double guarded(double v) { return std::abs(v) < tiny ? tiny : v; }

/// By the continued fraction of DLMF 8.17.22 and the method of Lentz, for x <= (a + 1) / (a + b + 2).
double by_fraction(double a, double b, double x, double y) {
  const double front = std::exp(std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) + a * std::log(x) + b * std::log(y)) / a;
  if (front == 0) return 0;
  double c = 1, d = 1 / guarded(1 - (a + b) * x / (a + 1)), f = d;
  for (int k = 1; k < 100000; ++k) {
    double term = k * (b - k) * x / ((a + 2 * k - 1) * (a + 2 * k));
    d = 1 / guarded(1 + term * d);
    c = guarded(1 + term / c);
    f *= d * c;
    term = -(a + k) * (a + b + k) * x / ((a + 2 * k) * (a + 2 * k + 1));
    d = 1 / guarded(1 + term * d);
    c = guarded(1 + term / c);
    f *= d * c;
    if (std::abs(d * c - 1) < 1e-15) break;
  }
  return std::min(1.0, front * f);
}

/// P(b, u) and Q(b, u) = 1 - P(b, u), the regularised incomplete gamma functions: the series DLMF 8.11.4 or the fraction 8.9.2.
struct IncompleteGamma {
  double lower, upper;
  double term;  // u^b exp(-u) / Gamma(b + 1)
  IncompleteGamma(double b, double u) : term(std::exp(b * std::log(u) - u - std::lgamma(b + 1))) {
    if (u < b + 1) {
      double sum = 1, next = 1;
      for (double k = b + 1; next > 1e-16 * sum; k += 1) sum += next *= u / k;
      lower = std::min(1.0, term * sum), upper = 1 - lower;
    } else {
      double v = u + 1 - b, c = 1 / tiny, d = 1 / v, f = d;
      for (int k = 1; k < 10000; ++k) {
        const double an = -k * (k - b);
        v += 2;
        d = 1 / guarded(an * d + v);
        c = guarded(v + an / c);
        f *= d * c;
        if (std::abs(d * c - 1) < 1e-15) break;
      }
      upper = std::min(1.0, term * b * f), lower = 1 - upper;
    }
  }
};

/// For a large beside b (Didonato & Morris 1992 begin alike).  With x = exp(-t0) and T = a + (b - 1) / 2,
///
///     I_x(a, b) = 1 / B(a, b) int_{t0}^inf exp(-T t) t^(b-1) [sinh(t/2) / (t/2)]^(b-1) dt,
///     [sinh(t/2) / (t/2)]^(b-1) = 1 + (b - 1) t^2 / 24 + {(b - 1)^2 / 1152 - (b - 1) / 2880} t^4 + ...
///
/// Each power gives an incomplete gamma function at u = T t0, and B(a, b) is the same sum with t0 = 0.
struct LargeA {
  double a, b, t0, T;
  LargeA(double a_, double b_, double x, double y)
      : a(a_), b(b_), t0(y < 0.5 ? -std::log1p(-y) : -std::log(x)), T(a_ + 0.5 * (b_ - 1)) {}
  /// The third power left out is below 1e-10 of the sum.
  bool holds() const { return a > b && (b + 3) * (b + 3) * (b + 3) < 0.012 * T * T && (b + 1) * t0 * t0 < 0.012; }
  double value(bool complement) const {
    const double u = T * t0, T2 = T * T;
    const double c2 = (b - 1) / 24 * b * (b + 1) / T2;
    const double c4 = ((b - 1) * (b - 1) / 1152 - (b - 1) / 2880) * b * (b + 1) * (b + 2) * (b + 3) / (T2 * T2);
    const IncompleteGamma g(b, u);
    // Q(b + 1, u) = Q(b, u) + u^b exp(-u) / Gamma(b + 1)
    const double first = g.term * (1 + u / (b + 1)), second = first + g.term * u / (b + 1) * u / (b + 2) * (1 + u / (b + 3));
    const double sum = complement ? g.lower + c2 * (g.lower - first) + c4 * (g.lower - second)
                                  : g.upper + c2 * (g.upper + first) + c4 * (g.upper + second);
    return std::clamp(sum / (1 + c2 + c4), 0.0, 1.0);
  }
};

}  // namespace

double incomplete_beta(double a, double b, double x, double y) {
  if (!(x > 0)) return 0;
  if (!(y > 0)) return 1;
  if (const LargeA s(a, b, x, y); s.holds()) return s.value(false);
  if (const LargeA s(b, a, y, x); s.holds()) return s.value(true);
  return x > (a + 1) / (a + b + 2) ? 1 - by_fraction(b, a, y, x) : by_fraction(a, b, x, y);
}

}  // namespace hsmoe
