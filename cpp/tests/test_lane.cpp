// Lane arithmetic against the C library in long double, and the independence of lanes.
#include <initializer_list>
#include <limits>

#include <hsmoe/random/variates.hpp>
#include <hsmoe/simd/lane.hpp>
#include <hsmoe/simd/special.hpp>

#include "check.hpp"

using namespace hsmoe;

namespace {

double relative(double value, long double exact) { return std::abs(double((value - exact) / exact)); }

void accuracy() {
  double worst_exp = 0, worst_log = 0, worst_log1p = 0, worst_turn = 0;
  for (int i = 0; i < 400000; ++i) {
    const double x = -690 + 1390.0 * i / 400000 + 1e-4 * (i % 7);
    worst_exp = std::fmax(worst_exp, relative(exp(Lane<1>(x))[0], std::exp((long double)x)));
    const double y = i % 2 ? 0.3 + 1.4 * i / 4e5 : std::exp(x);
    if (std::abs(y - 1) > 1e-9) worst_log = std::fmax(worst_log, relative(log(Lane<1>(y))[0], std::log((long double)y)));
    const double t = std::ldexp(1.0 + i / 4e5, -(i % 60)) * (i % 2 ? 1 : -0.49);
    worst_log1p = std::fmax(worst_log1p, relative(log1p(Lane<1>(t))[0], std::log1p((long double)t)));
    Lane<1> s, c;
    sincos_turn(Lane<1>(i / 4e5), s, c);
    const long double angle = 2 * 3.14159265358979323846264338327950288L * (i / 4e5L);
    worst_turn = std::fmax(worst_turn, std::abs(double(s[0] - std::sin(angle))));
    worst_turn = std::fmax(worst_turn, std::abs(double(c[0] - std::cos(angle))));
  }
  CHECK(worst_exp < 5e-16);
  CHECK(worst_log < 3e-16);
  CHECK(worst_log1p < 6e-16);
  CHECK(worst_turn < 8e-16);
}

void functions() {
  double worst_gamma = 0, worst_softplus = 0;
  for (int i = 0; i < 200000; ++i) {
    const double a = std::exp(-40 + 65.0 * i / 200000);
    const long double exact = std::lgammal(a);
    worst_gamma = std::fmax(worst_gamma, std::abs(double(log_gamma(Lane<1>(a))[0] - exact)) / std::fmax(10.0, std::abs(double(exact))));
    const double x = -60 + 120.0 * i / 200000;
    worst_softplus = std::fmax(worst_softplus, relative(softplus(Lane<1>(x))[0], std::log1p(std::exp((long double)x))));
  }
  CHECK(worst_gamma < 1.5e-15);
  CHECK(worst_softplus < 2e-15);
}

// Inverse Gaussian of mean 1/c, shape 1: P(X < x) = Phi((c x - 1)/sqrt(x)) + exp(2c) Phi(-(c x + 1)/sqrt(x)).
// Counts below 6 points for 4 means, within 5 standard errors: 1.4e-5.
void inverse_gaussians() {
  std::uint64_t words[8];
  for (int i = 0; i < 8; ++i) words[i] = 0x9e3779b97f4a7c15ull * std::uint64_t(i + 3);
  Stream<2> rng = Stream<2>::load(words);
  const int n = 100000;
  const auto Phi = [](double t) { return 0.5 * std::erfc(-t / std::sqrt(2.0)); };
  for (double c : {0.0, 0.05, 1.0, 6.0}) {
    const double points[] = {0.05, 0.15, 0.4, 1.0, 4.0, 30.0};
    int below[6] = {};
    for (int i = 0; i < n / 2; ++i) {
      const Lane<2> x = inverse_gaussian<2>(rng, Mask<2>::all_true(), Lane<2>(c));
      for (int j = 0; j < 6; ++j) below[j] += (x[0] < points[j]) + (x[1] < points[j]);
    }
    for (int j = 0; j < 6; ++j) {
      const double x = points[j], r = std::sqrt(x), p = Phi((c * x - 1) / r) + std::exp(2 * c) * Phi(-(c * x + 1) / r);
      CHECK_CLOSE(below[j], n * p, 5 * std::sqrt(n * p * (1 - p)) + 1e-6);
    }
  }
}

void special_values() {
  const double inf = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(exp(Lane<2>(-inf))[0] == 0.0);
  CHECK(exp(Lane<2>(inf))[1] == inf);
  CHECK(std::isnan(exp(Lane<2>(nan))[0]));
  CHECK(exp(Lane<1>(-800.0))[0] == 0.0);
  CHECK(log(Lane<2>(0.0))[0] == -inf);
  CHECK(log(Lane<2>(inf))[0] == inf);
  CHECK(std::isnan(log(Lane<2>(-1.0))[0]));
  CHECK(std::isnan(log(Lane<2>(nan))[0]));
  CHECK_CLOSE(log(Lane<1>(5e-324))[0], std::log(5e-324), 1e-12);
  CHECK(log1p(Lane<1>(inf))[0] == inf);
  const Lane<4> minus_inf[2] = {Lane<4>(-inf), Lane<4>(-inf)};
  CHECK(log_sum_exp(minus_inf, 2)[3] == -inf);
  const Lane<4> far[2] = {Lane<4>(-1e5), Lane<4>(-1e5)};
  CHECK_CLOSE(log_sum_exp(far, 2)[0], -1e5 + std::log(2.0), 1e-9);
}

// A lane draws the same numbers alone, among others, and whatever the others do.
template <int W>
void stream_independence() {
  std::uint64_t words[4 * W], alone[4];
  for (int i = 0; i < 4 * W; ++i) words[i] = 0x9e3779b97f4a7c15ull * std::uint64_t(i + 1) ^ (std::uint64_t(i) << 40);
  for (int lane = 0; lane < W; ++lane) {
    for (int i = 0; i < 4; ++i) alone[i] = words[i * W + lane];
    Stream<W> together = Stream<W>::load(words);
    Stream<1> single = Stream<1>::load(alone);
    Mask<W> mask = Mask<W>::all_true();
    for (int step = 0; step < 200; ++step) {
      for (int w = 0; w < W; ++w) mask.set(w, w == lane || (step * 7 + w * 3) % 5 < 2);
      const Lane<W> a = gamma<W>(together, mask, Lane<W>(0.3 + 0.1 * step));
      const Lane<1> b = gamma<1>(single, Mask<1>::all_true(), Lane<1>(0.3 + 0.1 * step));
      CHECK(a[lane] == b[0]);
      CHECK(normal<W>(together, mask)[lane] == normal<1>(single, Mask<1>::all_true())[0]);
    }
  }
}

void moments() {
  std::uint64_t words[4] = {1, 2, 3, 4};
  Stream<1> rng = Stream<1>::load(words);
  const Mask<1> all = Mask<1>::all_true();
  const int n = 400000;
  for (double shape : {0.05, 0.7, 1.0, 4.5, 300.0}) {
    double mean = 0, log_mean = 0;
    for (int i = 0; i < n; ++i) {
      const double g = gamma<1>(rng, all, Lane<1>(shape))[0];
      CHECK(g >= 0);
      mean += g / n;
      log_mean += std::log(g) / n;
    }
    // Six standard errors; E log = digamma by a difference of lgamma.
    const double digamma = (std::lgamma(shape + 1e-5) - std::lgamma(shape - 1e-5)) / 2e-5;
    CHECK_CLOSE(mean, shape, 6 * std::sqrt(shape / n));
    CHECK_CLOSE(log_mean, digamma, 6 * (1 / shape + 1) / std::sqrt(double(n)));
  }
  double m1 = 0, m2 = 0, m4 = 0, cross = 0, e1 = 0, e2 = 0;
  for (int i = 0; i < n; ++i) {
    Lane<1> a, b;
    normal_pair<1>(rng, all, a, b);
    m1 += a[0] / n;
    m2 += a[0] * a[0] / n;
    m4 += std::pow(a[0], 4) / n;
    cross += a[0] * b[0] / n;
    const double e = exponential<1>(rng, all)[0];
    e1 += e / n;
    e2 += e * e / n;
  }
  const double se = 1 / std::sqrt(double(n));
  CHECK_CLOSE(m1, 0.0, 6 * se);
  CHECK_CLOSE(m2, 1.0, 6 * std::sqrt(2.0) * se);
  CHECK_CLOSE(m4, 3.0, 6 * std::sqrt(96.0) * se);
  CHECK_CLOSE(cross, 0.0, 6 * se);
  CHECK_CLOSE(e1, 1.0, 6 * se);
  CHECK_CLOSE(e2, 2.0, 6 * std::sqrt(20.0) * se);
}

}  // namespace

int main() {
  accuracy();
  functions();
  inverse_gaussians();
  special_values();
  stream_independence<2>();
  stream_independence<4>();
  stream_independence<8>();
  moments();
  return report("lane");
}
