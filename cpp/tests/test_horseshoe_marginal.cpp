// The horseshoe with its local scale integrated out: the exponential integral against that of the C++ library and
// its asymptotic series, and draws of 1/lambda^2 against moments by quadrature.
#include <cmath>

#include <hsmoe/prior/horseshoe_marginal.hpp>

#include "check.hpp"
#include "draws.hpp"

using namespace hsmoe;

namespace {

constexpr int W = HSMOE_LANES;

// int_0^inf f(w) exp(-c w) / (1 + w) dw by the trapezoidal rule in log w, which converges geometrically.
template <class F>
double integral(double c, F&& f) {
  double sum = 0;
  const double h = 1.0 / 64;
  for (double t = -60; t < std::log(800 / c); t += h) sum += f(std::exp(t)) * std::exp(t - c * std::exp(t)) / (1 + std::exp(t));
  return sum * h;
}

}  // namespace

int main() {
  double worst = 0;
  auto compare = [&](double c, double right) {
    worst = std::fmax(worst, std::abs(scaled_exponential_integral(Lane<W>(c))[0] / right - 1));
  };
  for (double c = 1e-200; c < 50; c *= c < 1e-3 ? 10.0 : 1.01) compare(c, std::exp(c) * -std::expint(-c));
  // From there (std::expint of libstdc++ is off by 1/c above 100) the asymptotic series 5.1.51, sum (-1)^k k! / c^(k+1).
  for (double c = 50; c < 1e200; c *= c < 1e3 ? 1.01 : 10.0) {
    double right = 0;
    for (int k = 20; k >= 0; --k) right = 1 - (k + 1) / c * (k == 20 ? 1 : right);
    compare(c, right / c);
  }
  std::printf("exp(c) E1(c): relative error at most %.1e\n", worst);
  CHECK(worst < 1e-12);

  // Means of bounded functions of w over 2^20 draws; 12 tests, |z| < 5 has a false-alarm rate below 1e-5.
  Stream<W> rng = stream_of<W>(7);
  const Mask<W> all = Mask<W>::all_true();
  for (double c : {1e-30, 1e-4, 0.3, 0.99, 1.0, 20.0}) {
    const int n = 1 << 20;
    const double mass = integral(c, [](double) { return 1.0; });
    auto near = [](double w) { return w / (1 + w); };
    auto far = [c](double w) { return std::exp(-c * w); };
    double sum[2] = {}, square[2] = {};
    for (int i = 0; i < n; i += W) {
      const Lane<W> w = horseshoe_inverse_square<W>(rng, all, Lane<W>(c));
      for (int lane = 0; lane < W; ++lane) {
        const double v[2] = {near(w[lane]), far(w[lane])};
        for (int f = 0; f < 2; ++f) {
          sum[f] += v[f];
          square[f] += v[f] * v[f];
        }
      }
    }
    for (int f = 0; f < 2; ++f) {
      const double mean = sum[f] / n, error = std::sqrt((square[f] / n - mean * mean) / n);
      const double right = (f == 0 ? integral(c, near) : integral(c, far)) / mass;
      const double z = (mean - right) / error;
      std::printf("c = %g: mean %.6f, by quadrature %.6f, z %.2f\n", c, mean, right, z);
      CHECK(std::abs(z) < 5);
    }
  }
  return report("horseshoe marginal");
}
