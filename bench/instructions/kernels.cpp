// One kernel, so many units of work: callgrind counts the instructions of two sizes, and their difference is what a unit costs.
//     kernels polya-gamma 20000 | row 40 | scan 200 | resampling 20000
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include <hsmoe/filter/make_engine.hpp>
#include <hsmoe/filter/resampling.hpp>
#include <hsmoe/random/polya_gamma_fill.hpp>

using namespace hsmoe;

namespace {

std::vector<std::uint64_t> words(std::size_t n) {
  std::vector<std::uint64_t> w(n);
  for (std::size_t i = 0; i < n; ++i) w[i] = 0x9e3779b97f4a7c15ull * (i + 1);
  return w;
}

// Numbers in [0, 1) from no library, whose instructions would be counted too.
double fraction(std::size_t i, double step) {
  const double x = double(i + 1) * step;
  return x - double(std::size_t(x));
}

// n draws of PG(1, z), z between -4 and 4.
double polya_gamma(std::size_t n) {
  std::vector<double> z(n), out(n);
  for (std::size_t i = 0; i < n; ++i) z[i] = 8.0 * fraction(i, 0.6180339887498949) - 4.0;
  std::vector<std::uint64_t> state = words(4 * kFillStreams);
  const double h = 1.0;
  polya_gamma_fill_streams<HSMOE_LANES>(state.data(), &h, 0, z.data(), 1, n, out.data());
  return out[n - 1];
}

// n rows of two regimes, learned by 64 particles of 4 experts with 6 coefficients each.
double learn(std::size_t n, Index retain) {
  constexpr int d = 6;
  std::vector<double> X, y;
  const double step[d] = {0.6180339887498949, 0.4142135623730951, 0.7320508075688772, 0.2360679774997898, 0.6457513110645906, 0.3166247903553998};
  for (std::size_t i = 0; i < n; ++i) {
    X.push_back(1.0);
    for (int j = 1; j < d; ++j) X.push_back(3.0 * fraction(i, step[j]) - 1.5);
    const double* x = &X[i * d];
    y.push_back((x[1] > 0 ? 1 + 2 * x[2] : -x[3]) + fraction(i, step[0]) - 0.5);
  }
  EngineConfig c;
  c.n_experts = 4;
  c.n_particles = 64;
  c.expert_dim = c.gate_dim = d;
  c.tree = {0, 2, 4, 0, 1, 2, 2, 3, 4};
  c.leaves = {0, 1, 2, 3};
  c.gate_prior = HorseshoeOptions{};
  c.retain = retain;
  auto engine = make_engine<HSMOE_LANES>(c, words(65 * 4));
  engine->learn({Index(n), X.data(), X.data(), y.data()}, 1, {}, nullptr, {});
  return engine->log_evidence();
}

double resampling(std::size_t n) {
  std::vector<double> weight(n);
  for (std::size_t i = 0; i < n; ++i) weight[i] = fraction(i, 0.6180339887498949);
  std::vector<Index> ancestors(n);
  resample_systematic(weight.data(), n, n, 0.4, ancestors.data());
  return double(ancestors[n / 2]);
}

}  // namespace

int main(int argc, char** argv) {
  const char* kernel = argc == 3 ? argv[1] : "";
  const std::size_t n = argc == 3 ? std::size_t(std::atol(argv[2])) : 0;
  double result;
  if (!std::strcmp(kernel, "polya-gamma")) result = polya_gamma(n);
  else if (!std::strcmp(kernel, "row")) result = learn(n, 0);
  else if (!std::strcmp(kernel, "scan")) result = learn(n, -1);
  else if (!std::strcmp(kernel, "resampling")) result = resampling(n);
  else {
    std::fprintf(stderr, "usage: kernels polya-gamma|row|scan|resampling UNITS\n");
    return 2;
  }
  std::printf("%.17g\n", result);
}
