// Geweke's joint distribution test (2004; see test_geweke.cpp) of the experts with latent variables, under routing that
// is known: parameters drawn from the prior must keep their law when
//     data given parameters -> one cycle of scans, or rows learned in passing one after the other
// is repeated, and data and parameters must keep their joint law: the log likelihood is among the functions.  Data are
// simulated by code of the test's own, from the reported parameters.  At most 40 test functions a case, 15 cases: |z| < 5 has a false-alarm rate below 2e-4 in all.  Every deliberate fault must be noticed.
#include <string>
#include <vector>

#include <hsmoe/filter/make_engine.hpp>

#include "check.hpp"
#include "draws.hpp"
#include "two_samples.hpp"

using namespace hsmoe;

namespace {

constexpr int W = 4, K = 2, d = 2, n = 6;
constexpr double share[K] = {0.6, 0.4}, offset = 0.4;

enum class Fault { none, stale_predictor, counted_thrice, shape_fourfold, stale_omega };

struct Case {
  const char* name;
  ExpertOptions options;
  std::vector<Fault> faults;
};

struct Design {
  double x[n][d];
  Design() {
    for (int i = 0; i < n; ++i) {  // asymmetric: a sign error must not hide
      x[i][0] = 1;
      x[i][1] = -0.8 + 0.55 * i;
    }
  }
};

// Each row followed by a coordinate sweep.
void sweep(AugmentedOptions& o) { o.widest_block = 0; }
void sweep(GaussianOptions&) {}

double uniform01(Stream<1>& rng) { return uniform<1>(rng, Mask<1>::all_true())[0]; }
double normal01(Stream<1>& rng) { return normal<1>(rng, Mask<1>::all_true())[0]; }
double gamma1(Stream<1>& rng, double shape) { return gamma<1>(rng, Mask<1>::all_true(), Lane<1>(shape))[0]; }
double logistic(double t) { return 1 / (1 + std::exp(-t)); }

/// y given the coefficients of its expert (predictors after one another), noise variance and shape.
struct Simulate {
  const double* x;
  const double* beta;
  double variance, shape;
  Stream<1>& rng;
  double eta(int m, double c) const { return c + x[0] * beta[m * d] + x[1] * beta[m * d + 1]; }
  double operator()(const GaussianOptions&) const { return 0; }
  double operator()(const StudentOptions&) const {
    const double chi = gamma1(rng, 0.5 * shape) / (0.5 * shape);
    return eta(0, 0) + std::sqrt(variance / chi) * normal01(rng);
  }
  double operator()(const LaplaceOptions&) const {
    const double e = -std::log(uniform01(rng)) * std::sqrt(variance);
    return eta(0, 0) + (uniform01(rng) < 0.5 ? -e : e);
  }
  double operator()(const LogitOptions& o) const {
    for (int c = o.n_classes - 1; c > 0; --c)
      if (uniform01(rng) < logistic(eta(c - 1, o.offset[c - 1]))) return c;
    return 0;
  }
  double operator()(const BinomialOptions& o) const {
    double y = 0;
    for (int i = 0; i < int(o.n_trials); ++i) y += uniform01(rng) < logistic(eta(0, o.offset[0]));
    return y;
  }
  double operator()(const NegativeBinomialOptions& o) const {
    const double rate = gamma1(rng, shape) * std::exp(eta(0, o.offset[0])) / shape;
    double y = -1, time = 0;  // arrivals in a unit of time
    while (time < rate && y < 1e4) time -= std::log(uniform01(rng)), ++y;
    return y;
  }
};

struct Chain {
  const Design& design;
  const Expert<W>& expert;
  const ExpertOptions& options;
  AlignedVector<double> state, sums;
  std::vector<Lane<W>> draw, work;
  Lane<W> y[n];
  Stream<W> rng;
  Stream<1> noise;
  Mask<W> all = Mask<W>::all_true();

  Chain(const Design& de, const Expert<W>& e, const ExpertOptions& o, std::uint64_t seed)
      : design(de), expert(e), options(o), state(W * e.fields()), sums(W * e.sum_fields()), draw(e.draw_lanes()),
        work(e.work_lanes()), rng(stream_of<W>(2 * seed)), noise(stream_of<1>(2 * seed + 1)) {
    expert.init(state.data(), rng, all);
    expert.draw_parameters(state.data(), rng, all, draw.data(), work.data());
  }

  void simulate(int i) {
    const int P = expert.coefficients();
    std::vector<double> beta(K * P), variance(K), shape(K);
    for (int lane = 0; lane < W; ++lane) {
      expert.describe_draw(draw.data(), lane, beta.data(), variance.data(), shape.data());
      const int z = uniform01(noise) < share[0] ? 0 : 1;
      y[i].set(lane, std::visit(Simulate{design.x[i], &beta[z * P], variance[z], shape[z], noise}, options));
    }
  }
  /// z given y and the parameters; y differs between the lanes, which a row does not know: the lanes take turns.
  Lane<W> allocate(int i) {
    Lane<W> joint[K], log_f[K];
    for (int lane = 0; lane < W; ++lane) {
      expert.parameter_log_density(draw.data(), {design.x[i], nullptr, nullptr, y[i][lane]}, log_f);
      for (int k = 0; k < K; ++k) joint[k].set(lane, std::log(share[k]) + log_f[k][lane]);
    }
    return categorical<W>(joint, K, rng, all);
  }
  void absorb(int stage, Fault fault) {
    std::vector<Lane<W>> told = draw;
    if (fault == Fault::stale_predictor) {  // the coefficients of every expert lead the block of its numbers
      const int stride = int(draw.size()) / K;
      for (int k = 0; k < K; ++k) std::fill_n(told.begin() + k * stride, expert.coefficients(), Lane<W>(0.0));
    }
    std::fill(sums.begin(), sums.end(), 0.0);
    for (int i = 0; i < n; ++i) {
      const Lane<W> z = allocate(i);
      const int times = fault == Fault::counted_thrice && stage == 0 ? 3 : fault == Fault::shape_fourfold && stage == 1 ? 4 : 1;
      for (int lane = 0; lane < W; ++lane) {
        Mask<W> one = Mask<W>::all_false();
        one.set(lane, true);
        const double xy[d + 1] = {design.x[i][0], design.x[i][1], y[i][lane]};
        RowBlock rows;
        rows.n = 1;
        rows.xy[0] = xy;
        for (int time = 0; time < times; ++time)
          expert.absorb(sums.data(), nullptr, rows, &z, told.data(), stage, rng, one, work.data());
      }
    }
  }
  void cycle(Fault fault) {
    for (int i = 0; i < n; ++i) simulate(i);
    AlignedVector<double> early;
    if (fault == Fault::stale_omega) {
      absorb(0, fault);
      early = sums;
    }
    for (int stage = expert.stages() - 1; stage >= 0; --stage) {
      absorb(stage, fault);
      if (fault == Fault::stale_omega && stage == 0) sums = early;
      expert.rebuild(state.data(), sums.data(), draw.data(), stage, rng, all, work.data());
      expert.draw_parameters(state.data(), rng, all, draw.data(), work.data());
    }
  }
  void learn_all(Fault fault) {
    for (int i = 0; i < n; ++i) {
      simulate(i);
      const Lane<W> z = allocate(i);
      for (int lane = 0; lane < W; ++lane) {
        Mask<W> one = Mask<W>::all_false();
        one.set(lane, true);
        for (int time = 0; time < 1 + 2 * (fault == Fault::counted_thrice); ++time)
          expert.learn(state.data(), {design.x[i], nullptr, nullptr, y[i][lane]}, z, rng, one, work.data());
      }
      expert.draw_parameters(state.data(), rng, all, draw.data(), work.data());
    }
  }

  /// log p(y | parameters) of one lane, a row at a time.
  double log_likelihood(int lane) const {
    double sum = 0;
    for (int i = 0; i < n; ++i) {
      Lane<W> log_f[K];
      expert.parameter_log_density(draw.data(), {design.x[i], nullptr, nullptr, y[i][lane]}, log_f);
      double density = 0;
      for (int k = 0; k < K; ++k) density += share[k] * std::exp(log_f[k][lane]);
      sum += std::log(density);
    }
    return sum;
  }
  // Bounded or light-tailed functions of the parameters and data of one lane.
  std::vector<double> functions(int lane) const {
    const int P = expert.coefficients();
    std::vector<double> beta(K * P), variance(K), shape(K), v;
    expert.describe_draw(draw.data(), lane, beta.data(), variance.data(), shape.data());
    const double fit = log_likelihood(lane) / n;
    v.push_back(fit);
    for (int k = 0; k < K; ++k) {
      v.push_back(fit * std::tanh(beta[k * P]));
      if (std::isfinite(shape[k])) v.push_back(fit * std::log(shape[k]));
      for (int j = 0; j < P; ++j) {
        v.push_back(std::tanh(beta[k * P + j]));
        v.push_back(std::tanh(beta[k * P + j] * beta[k * P + j]));
      }
      v.push_back(std::tanh(beta[k * P] * beta[k * P + 1]));
      if (std::isfinite(variance[k])) v.push_back(std::log(variance[k]));
      if (std::isfinite(shape[k])) {
        v.push_back(std::log(shape[k]));
        v.push_back(std::log(shape[k]) * std::log(shape[k]));
        v.push_back(std::log(shape[k]) * std::tanh(beta[k * P]));
        v.push_back(std::log(shape[k]) * std::tanh(beta[k * P + 1] * beta[k * P + 1]));
        if (std::isfinite(variance[k])) v.push_back(std::log(shape[k]) * std::log(variance[k]));
      }
    }
    return v;
  }
};

double largest_z(const ExpertOptions& options, Fault fault, int chains, int steps, bool passing) {
  const Design design;
  const auto expert = std::visit([](const auto& o) { return make_expert<W>(o, K, d); }, options);
  TwoSamples samples;
  for (int which = 0; which < 2; ++which)
    for (int c = 0; c < chains / W; ++c) {
      Chain chain(design, *expert, options, std::uint64_t(2 * c + which + 1));
      for (int i = 0; i < n; ++i) chain.simulate(i);
      if (which == 1 && passing) chain.learn_all(fault);
      for (int t = 0; which == 1 && !passing && t < steps; ++t) chain.cycle(fault);
      for (int lane = 0; lane < W; ++lane) samples.add(which, chain.functions(lane));
    }
  return samples.largest_z();
}

// What is frozen is what is added: the same omegas go into both sums, and the grid too in the last stage.
void frozen_sums_are_the_sums(const ExpertOptions& options) {
  const Design design;
  const auto expert = std::visit([](const auto& o) { return make_expert<W>(o, K, d); }, options);
  Chain chain(design, *expert, options, 7);
  AlignedVector<double> frozen(chain.sums.size(), 0.0);
  std::fill(chain.sums.begin(), chain.sums.end(), 0.0);
  double xy[n][d + 1];
  RowBlock rows;
  rows.n = n;
  Lane<W> z[n];
  for (int i = 0; i < n; ++i) {
    chain.simulate(i);
    xy[i][0] = design.x[i][0];
    xy[i][1] = design.x[i][1];
    xy[i][2] = chain.y[i][0];
    rows.xy[i] = xy[i];
    z[i] = Lane<W>(double(i % K));
  }
  const std::size_t stride = frozen.size() / K;
  expert->absorb(chain.sums.data(), frozen.data(), rows, z, chain.draw.data(), 0, chain.rng, chain.all, chain.work.data());
  AlignedVector<double> shape(frozen.size(), 0.0);
  if (expert->stages() == 2)
    expert->absorb(shape.data(), nullptr, rows, z, chain.draw.data(), 1, chain.rng, chain.all, chain.work.data());
  double largest = 0;
  for (std::size_t i = 0; i < frozen.size(); ++i) {
    CHECK(frozen[i] == chain.sums[i] + shape[i]);
    largest = std::fmax(largest, std::abs(frozen[i]));
  }
  CHECK(largest > 0 && stride > 0);
}

}  // namespace

int main(int argc, char** argv) {  // argument: the name of one case
  StudentOptions student;
  student.a0 = 3;
  student.b0 = 0.5;
  student.b0_shape = 2;
  student.coefficient_shape = 3;
  student.intercept_variance = 3;
  student.coefficient_variance = 1.5;
  student.shape_grid = {0.7, 4, 40};
  LaplaceOptions laplace;
  static_cast<AugmentedOptions&>(laplace) = student;
  laplace.shape_grid.clear();
  LogitOptions logit;
  logit.n_classes = 3;
  logit.intercept_variance = 5;
  logit.coefficient_variance = 4;
  logit.offset = {offset, -0.7};
  BinomialOptions binomial;
  static_cast<AugmentedOptions&>(binomial) = logit;
  binomial.offset = {offset};
  binomial.n_trials = 3;
  NegativeBinomialOptions count;
  static_cast<AugmentedOptions&>(count) = binomial;
  count.intercept_variance = 0.5;
  count.coefficient_variance = 0.3;
  count.shape_grid = {0.2, 2, 20};
  count.offset = {1.2};
  using F = Fault;
  const std::vector<Case> cases = {{"student", student, {F::stale_predictor, F::counted_thrice, F::shape_fourfold}},
                                   {"laplace", laplace, {F::stale_predictor, F::counted_thrice}},
                                   {"logit", logit, {F::stale_predictor, F::counted_thrice}},
                                   {"binomial", binomial, {F::stale_predictor, F::counted_thrice}},
                                   {"negative binomial", count, {F::stale_predictor, F::counted_thrice, F::shape_fourfold, F::stale_omega}}};
  const int chains = 12000, steps = 8;
  for (const Case& c : cases) {
    if (argc > 1 && std::string(argv[1]) != c.name) continue;
    const double scan = largest_z(c.options, F::none, chains, steps, false);
    const double passing = largest_z(c.options, F::none, 2 * chains, 1, true);
    ExpertOptions sweeping = c.options;
    std::visit([](auto& o) { sweep(o); }, sweeping);
    const double swept = largest_z(sweeping, F::none, 2 * chains, 1, true);
    std::printf("%s: largest |z| %.2f, rows in passing %.2f, by sweeps %.2f\n", c.name, scan, passing, swept);
    CHECK(scan < 5);
    CHECK(passing < 5);
    CHECK(swept < 5);
    for (F f : c.faults) {
      // Omega of another shape leaves each parameter its law, and shows in how they hang together: it takes many chains.
      const double z = largest_z(c.options, f, f == F::stale_omega ? 2 * chains : chains / 2, steps, false);
      std::printf("  fault %d: largest |z| %.2f\n", int(f), z);
      CHECK(z > 7);
    }
    const double z = largest_z(c.options, F::counted_thrice, chains, 1, true);
    std::printf("  in passing, fault %d: largest |z| %.2f\n", int(F::counted_thrice), z);
    CHECK(z > 7);
    frozen_sums_are_the_sums(c.options);
  }
  return report("geweke of the experts");
}
