// With X = 4 x and c = |z| / 2 (see polya_gamma.hpp for the law J*(h, c) of X) there are two ways to the
// density, and to either tail; each is used where it does not cancel.
//
// Series.  With lambda_n = 2 n + h, k_n = (h)_n (2 n + h) / (n! h), b_n = (h)_n / n!,
//   f(X)     = (1 + e^(-2c))^h h / sqrt(2 pi X^3) exp(-(h - c X)^2 / (2 X)) sum (-1)^n k_n e^(-2n(n+h)/X)
//   P(<= X)  = (1 + e^(-2c))^h e^(hc) sum (-1)^n b_n H(lambda_n),
//   H(l) = int_0^X l / sqrt(2 pi t^3) exp(-l^2/(2t) - c^2 t/2) dt  (inverse Gaussian, untilted mass e^(-lc)),
// and the same with the complement of H for P(> X), c > 0.  A sum S of terms t_n is trusted when
// sum |t_n| <= 1e3 |S|: rounding then costs 1e-13, and the condition is checked, not predicted.
//
// Inversion.  Otherwise, with s the transform's variable relative to the tilt,
//   f(X) = 1/(2 pi i) int e^(sX) M(s) ds,   M(s) = (cosh c / cosh r)^h,  r = sqrt(2 s + c^2),
// and M(s)/s (to the right of 0) for P(<= X), -M(s)/s (between the singularity and 0) for P(> X).
// M is analytic off 2 s + c^2 <= -pi^2/4.  The path is the parabola 2 s + c^2 + pi^2/4 = 2 d (1 + i v)^2 with
// focus there and vertex at the saddle point of the integrand on the real axis: it leaves the saddle
// along the ridge, the integrand does not oscillate near it, and falls like exp(-X d v^2).  In
// v = b sinh(t) the trapezoidal rule converges exponentially (Trefethen & Weideman 2014); the step is
// halved until two rules agree to 1e-13.
#include <cmath>
#include <complex>
#include <limits>

#include <hsmoe/random/polya_gamma_density.hpp>

namespace hsmoe {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kPi = 3.14159265358979323846;
constexpr double kLog2Pi = 1.83787706640934548356;
constexpr double kCut = kPi * kPi / 8;  // the singularity of cosh(sqrt(2 s))^-h nearest 0 is at -kCut
constexpr double kTrusted = 1e3;        // largest sum |t_n| / |sum t_n| of a series in use

enum class Target { density, lower, upper };

/// exp(x^2) erfc(x) for x >= 0.
double erfcx(double x) {
  if (x < 8.0) return std::exp(x * x) * std::erfc(x);
  // Laplace's continued fraction: 12 levels are exact to rounding from x = 8.
  double tail = x;
  for (int k = 12; k >= 1; --k) tail = x + 0.5 * k / tail;
  return 0.56418958354775628695 / tail;
}

/// H(l) e^(hc) times exp((h - cX)^2 / (2X)), or its complement in e^(-lc): the common factor
/// exp(-(h - cX)^2 / (2X)) is left out so that nothing underflows.
double scaled_mass(double l, double h, double c, double X, bool upper) {
  const double root = std::sqrt(2 * X);
  const double near = (upper ? c * X - l : l - c * X) / root, far = (l + c * X) / root;
  // exp(-l^2/(2X) - c^2 X/2 + hc + (h - cX)^2/(2X)) = exp((h - l)(h + l) / (2X)).
  const double common = 0.5 * std::exp((h - l) * (h + l) / (2 * X));
  const double sign = upper ? -1.0 : 1.0;
  if (near >= 0) return common * (erfcx(near) + sign * erfcx(far));
  // Beyond the mean: e^(-lc) less the other tail.
  const double top = std::exp((h - l) * c + (h - c * X) * (h - c * X) / (2 * X));
  return top - common * (erfcx(-near) - sign * erfcx(far));
}

struct Series {
  double log_value;
  bool trusted;
};

Series series(Target target, double X, double h, double c) {
  const double gap = (h - c * X) * (h - c * X) / (2 * X);
  if (target != Target::density && gap > 600 && (target == Target::upper) != (c * X > h))
    return {0, false};  // the far side of the mean: exp(gap) would overflow
  double sum = 0, absolute = 0, b = 1, peak = 0;
  const double first = target == Target::density ? 1.0 : scaled_mass(h, h, c, X, target == Target::upper);
  for (int n = 0; n < 400; ++n) {
    const double l = 2.0 * n + h;
    double term = b;
    if (n == 0) term = first;
    else if (target == Target::density) term *= l / h * std::exp(-2.0 * n * (n + h) / X);
    else term *= scaled_mass(l, h, c, X, target == Target::upper);
    sum += n % 2 ? -term : term;
    absolute += std::fabs(term);
    if (!(absolute <= 1e12 * first)) return {0, false};
    if (std::fabs(term) < peak && std::fabs(term) < 1e-17 * std::fabs(sum)) break;
    if (n == 399) return {0, false};
    peak = std::fabs(term);
    b *= (n + h) / (n + 1.0);
  }
  const bool trusted = sum > 0 && absolute <= kTrusted * sum;
  double value = h * std::log1p(std::exp(-2 * c)) - gap + std::log(sum);
  if (target == Target::density) value += std::log(h) - 0.5 * (kLog2Pi + 3 * std::log(X));
  return {value, trusted};
}

/// T(w) = tanh(r) / r for r^2 = w > -pi^2/4: h T is the mean of the law tilted to w.
double mean_ratio(double w) {
  if (std::fabs(w) < 1e-5) return 1 - w / 3 + 2 * w * w / 15;
  const double r = std::sqrt(std::fabs(w));
  return w > 0 ? std::tanh(r) / r : std::tan(r) / r;
}

struct Inversion {
  Target target;
  double X, h, c;

  /// log of the integrand at s (up to the sign of s), given q = 2 s + c^2 = r^2.
  std::complex<double> exponent(std::complex<double> s, std::complex<double> q) const {
    const std::complex<double> r = std::sqrt(q);
    // log cosh r - log cosh c; r - c = 2 s / (r + c), and |exp(-2 r)| <= 1.
    const std::complex<double> drop = c + r.real() > 0 ? 2.0 * s / (r + c) : r - c;
    const double at_zero = std::log1p(std::exp(-2 * c));
    return s * X - h * (drop + std::log(1.0 + std::exp(-2.0 * r)) - at_zero);
  }

  /// Where the path crosses the real axis, as d = s + c^2/2 + pi^2/8 > 0: the saddle point, but not much
  /// closer to the singularity than 1 / X (for small h the path would hug the next ones; costs e^2).
  double vertex() const {
    const double pole = 0.5 * c * c + kCut;
    const double room = target == Target::upper ? 0.5 * pole : 0.5 * kCut;
    return std::fmax(saddle(pole), std::fmin(room, 2 / X));
  }

  double saddle(double pole) const {
    const auto slope = [&](double d) {
      const double g = X - h * mean_ratio(2 * (d - kCut));
      return target == Target::density ? g : g - 1 / (d - pole);
    };
    // The slope grows along the real axis: bisection of log(d), or of log(d - pole) to the right of the pole.
    const double base = target == Target::lower ? pole : 0.0;
    double low = -690, high = target == Target::upper ? std::log(pole) : 690;
    for (int i = 0; i < 60; ++i) {
      const double middle = 0.5 * (low + high);
      (slope(base + std::exp(middle)) < 0 ? low : high) = middle;
    }
    return base + std::exp(0.5 * (low + high));
  }

  double log_value() const {
    const double d = vertex(), s0 = d - kCut - 0.5 * c * c;
    // Where the integrand's nearest singularity is, in units of v: the cut at 1, the pole closer.
    double b = 1;
    if (target != Target::density) b = std::fmin(1.0, std::fabs(std::sqrt((0.5 * c * c + kCut) / d) - 1));
    const std::complex<double> i(0, 1), top = exponent(s0, 2 * (d - kCut));
    const auto term = [&](double t) {
      const double v = b * std::sinh(t);
      // s - s0 = d (2 i v - v^2), without the cancellation of (1 + i v)^2 - 1.
      const std::complex<double> step(-d * v * v, 2 * d * v), s = s0 + step;
      std::complex<double> g = std::exp(exponent(s, 2 * (d - kCut) + 2.0 * step) - top.real());
      g *= 2 * d * (1.0 + i * v) * b * std::cosh(t);
      if (target == Target::lower) g /= s;
      if (target == Target::upper) g /= -s;
      return g.real();
    };
    // The half line t >= 0 (the integrand is even); step halved until two rules agree.
    const double start = 0.5 * term(0);
    double width = 0.5 / b * std::fmin(1.0, 1 / std::sqrt(d * X + 1e-300));
    double step = std::fmin(0.5, width), sum = start, old = kNaN, change = kInf;
    const auto sweep = [&](double first, double stride) {
      double total = 0;
      int quiet = 0;
      for (double t = first; quiet < 4 && t < 50; t += stride) {
        const double g = term(t);
        total += g;
        quiet = std::fabs(g) < 1e-17 * start ? quiet + 1 : 0;
      }
      return total;
    };
    sum += sweep(step, step);
    for (int halving = 0; halving < 8; ++halving) {
      const double before = change;
      old = sum * step;
      sum += sweep(0.5 * step, step);
      step *= 0.5;
      change = std::fabs(sum * step / old - 1);
      // Each halving squares the error; one that no longer helps has met rounding.
      if (change <= 1e-13 || (change < 1e-8 && change > 0.1 * before)) break;
    }
    return top.real() + std::log(sum * step / kPi);
  }
};

double log_value(Target target, double X, double h, double c) {
  const Series s = series(target, X, h, c);
  return s.trusted ? s.log_value : Inversion{target, X, h, c}.log_value();
}

bool bad(double x, double h, double z) {
  return std::isnan(x) || !(h > 0) || h > 1e15 || !std::isfinite(z);
}

/// log(1 - e^a), a <= 0.
double log1mexp(double a) {
  return a > -0.69314718055994530942 ? std::log(-std::expm1(a)) : std::log1p(-std::exp(a));
}

/// log of one tail: by itself on its own side of the mean, else as one less the other.
double log_tail(Target target, double x, double h, double z) {
  const double c = 0.5 * std::fabs(z), X = 4 * x;
  const bool below = X < h * mean_ratio(c * c);
  const Target direct = below ? Target::lower : Target::upper;
  const double value = std::fmin(log_value(direct, X, h, c), 0.0);
  return direct == target ? value : log1mexp(value);
}

}  // namespace

double polya_gamma_log_pdf(double x, double h, double z) {
  if (bad(x, h, z)) return kNaN;
  if (!(x > 0) || std::isinf(x)) return -kInf;
  return std::log(4.0) + log_value(Target::density, 4 * x, h, 0.5 * std::fabs(z));
}

double polya_gamma_log_cdf(double x, double h, double z) {
  if (bad(x, h, z)) return kNaN;
  if (!(x > 0)) return -kInf;
  return std::isinf(x) ? 0.0 : log_tail(Target::lower, x, h, z);
}

double polya_gamma_log_survival(double x, double h, double z) {
  if (bad(x, h, z)) return kNaN;
  if (!(x > 0)) return 0.0;
  return std::isinf(x) ? -kInf : log_tail(Target::upper, x, h, z);
}

}  // namespace hsmoe
