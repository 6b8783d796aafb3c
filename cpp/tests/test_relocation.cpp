// The proposal to relocate an expert must leave the posterior as it is: parameters, allocations and data drawn from their joint
// law still have it after any number of proposals given the data.  Each chain is compared with itself before, so that the
// standard errors are those of what has moved.  50 functions and three runs, 90 and two with leaves that open and close; |z| < 4.5
// has a false-alarm rate of 2e-3 in all.  Deliberate faults must be noticed.  And the statistics of one expert that it needs are held
// to those of the expert.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <hsmoe/expert/gaussian.hpp>
#include <hsmoe/filter/relocation.hpp>
#include <hsmoe/gate/tree_gate.hpp>
#include <hsmoe/prior/horseshoe.hpp>
#include <hsmoe/prior/normal.hpp>

#include "check.hpp"
#include "draws.hpp"
#include "faults.hpp"
#include "two_samples.hpp"

using namespace hsmoe;

namespace {

constexpr int W = 1, K = 3, d = 2, p = 3, n = 40;
using Values = std::vector<double>;

GaussianOptions options() {
  GaussianOptions o;
  o.b0_shape = o.coefficient_shape = 2.0;
  o.b0 = 0.3;
  o.coefficient_variance = 4.0;
  return o;
}

/// A Gaussian expert with a wrong marginal likelihood, a wrong density where it is empty (which must not matter, for that only
/// shapes the proposal), or statistics that are not those of the rows.
class WrongMarginal final : public ConjugateExpert<W> {
 public:
  enum class Fault { none, marginal, empty, statistics };
  WrongMarginal(const ConjugateExpert<W>& right, Fault fault) : right_(right), fault_(fault) {}
  Lane<W> empty_log_density(const double* state, Lane<W> k, const Row& row) const override {
    return right_.empty_log_density(state, k, row) - (fault_ == Fault::empty ? 2.0 : 0.0);
  }
  int one_fields() const override { return right_.one_fields(); }
  void begin(const double* state, Lane<W> k, double* one) const override { right_.begin(state, k, one); }
  Lane<W> one_log_density(const double* one, const Row& row, Lane<W>* work) const override {
    return right_.one_log_density(one, row, work) * (fault_ == Fault::marginal ? 0.7 : 1.0);
  }
  void learn_one(double* one, const Row& row, Mask<W> mask, Lane<W>* work) const override { right_.learn_one(one, row, mask, work); }
  int one_sum_lanes() const override { return right_.one_sum_lanes(); }
  void add(double* sum, const RowBlock& rows, const Lane<W>* weight) const override { right_.add(sum, rows, weight); }
  void estimate(const double* state, Lane<W> k, const double* sum, Lane<W>* draw, Lane<W> at, Lane<W>* work) const override {
    right_.estimate(state, k, sum, draw, at, work);
  }
  void condense(double* state, const double* sums, Lane<W>* work) const override {
    std::vector<double> wrong(sums, sums + K * right_.one_sum_lanes());
    for (double& s : wrong) s *= fault_ == Fault::statistics ? 0.8 : 1.0;
    right_.condense(state, wrong.data(), work);
  }

 private:
  const ConjugateExpert<W>& right_;
  Fault fault_;
};

/// An expert that offers the wrong marginal likelihood.
class ExpertWithFault final : public faults::FaultyExpert<W> {
 public:
  explicit ExpertWithFault(WrongMarginal::Fault fault) : ExpertWithFault(new GaussianExpert<W>(K, d, options()), fault) {}
  const ConjugateExpert<W>* conjugate() const override { return &conjugate_; }

 private:
  ExpertWithFault(GaussianExpert<W>* right, WrongMarginal::Fault fault)
      : FaultyExpert<W>(std::unique_ptr<Expert<W>>(right), K, {}), conjugate_(*right, fault) {}
  WrongMarginal conjugate_;
};

struct Outcome {
  double largest_z, accepted, swaps_accepted;  // shares of the proposals without and with a change of places
  double changes;                              // proposals that opened or closed a leaf
};

/// Leaves that open and close, or whose first set has another law than the gate believes.
struct Paths {
  std::optional<double> change_rate;
  bool other_set = false;
};

Outcome run(std::unique_ptr<GatePrior<W>> prior, WrongMarginal::Fault fault, int chains, int steps, int tries = 1, Index few_rows = 512,
            const Paths& leaves_of = {}) {
  const TreeGate<W> gate(Tree({0, 1, 3, 1, 2, 3}, {0, 1, 2}), p, std::move(prior), leaves_of.change_rate);
  const OpenLeaves<W>* leaves = gate.leaves();
  const ExpertWithFault expert(fault);
  const GaussianExpert<W> exact(K, d, options());
  std::vector<Lane<W>> draw(expert.draw_lanes()), work(std::max(expert.work_lanes(), gate.work_lanes()));
  AlignedVector<double> state(W * (expert.fields() + gate.fields())), sums(W * expert.sum_fields()), memory;
  const Mask<W> all = Mask<W>::all_true();
  TwoSamples samples;
  double n_accepted[2] = {0, 0}, n_changes = 0;
  for (int c = 0; c < chains; ++c) {
    Stream<W> rng = stream_of<W>(std::uint64_t(c + 1));
    double* gate_state = state.data() + expert.fields();
    expert.init(state.data(), rng, all);
    gate.init(gate_state, rng, all, work.data());
    auto n_open = [&](double row) { return leaves ? leaves->n_open(leaves->paths(gate_state), row)[0] : 0.0; };
    while (leaves_of.other_set && n_open(0) == 2) gate.init(gate_state, rng, all, work.data());
    for (int row = 1; leaves && row <= n; ++row) gate.advance(gate_state, row, rng, all, work.data());
    expert.draw_parameters(state.data(), rng, all, draw.data(), work.data());
    RowBuffer buffer(d, p);
    Lane<W> z[n], log_g[K], memo[K];
    std::fill(sums.begin(), sums.end(), 0.0);
    for (int i = 0; i < n; ++i) {
      const double t = -1.3 + 0.068 * i, x[d] = {1, t}, u[p] = {1, 1.5 * t + 0.4, t * t - 0.3};
      gate.log_proba(gate_state, {x, u, nullptr, 0.0, double(i)}, log_g, memo);
      z[i] = categorical<W>(log_g, K, rng, all);
      const Lane<W>* b = draw.data() + int(z[i][0]) * (d + 2);
      buffer.push(x, u, (b[0] + t * b[1] + normal<W>(rng, all) / sqrt(b[d]))[0]);
    }
    for (int i = 0; i < n; i += 20) exact.absorb(sums.data(), buffer.block(i, i + 20), z + i, all);
    exact.condense(state.data(), sums.data(), work.data());

    auto functions = [&] {
      Values v;
      double phi[(K - 1) * p], lambda[(K - 1) * p], inclusion[(K - 1) * p], tau;
      gate.describe(gate_state, 0, phi, lambda, inclusion, &tau);
      for (int j = 0; j < (K - 1) * p; ++j) {
        v.push_back(std::tanh(phi[j]));
        v.push_back(std::tanh(phi[j] * phi[j]));
        if (std::isfinite(lambda[j])) {
          v.push_back(std::atan(lambda[j]));
          v.push_back(std::atan(lambda[j]) * std::tanh(phi[j] * phi[j]));
        }
      }
      v.push_back(std::tanh(phi[1] * phi[p + 1]));
      double coefficients[K * d], variance[K], shape[K], counts[K];
      expert.describe(state.data(), 0, coefficients, variance, shape, counts);
      double fit = 0, log_likelihood = 0, score[K - 1] = {};
      for (int i = 0; i < n; ++i) {
        gate.log_proba(gate_state, {nullptr, buffer.u(i), nullptr, 0.0, double(i)}, log_g, memo);
        const int k = int(z[i][0]);
        log_likelihood += log_g[k][0];
        for (int l = 0; l < K - 1 && l <= k; ++l) score[l] += (k == l) - 1 / (1 + std::exp(-memo[l][0]));
      }
      v.push_back(std::tanh(0.05 * log_likelihood));
      for (double s : score) v.push_back(s);
      for (int i = 0; i < n; ++i) {
        const int k = int(z[i][0]);
        fit += std::tanh(std::abs(buffer.xy(i)[d] - coefficients[k * d] - coefficients[k * d + 1] * buffer.xy(i)[1]));
      }
      v.push_back(fit);
      v.push_back(1 / (1 + counts[0]) + 1 / (1 + counts[1]) + 1 / (1 + counts[2]));  // the choice of the expert
      for (int k = 0; k < K; ++k) {
        v.push_back(counts[k]);
        v.push_back(counts[k] * counts[k]);
        v.push_back(std::log(variance[k]));
        v.push_back(std::tanh(coefficients[k * d]));
        v.push_back(std::tanh(coefficients[k * d + 1] * coefficients[k * d + 1]));
        v.push_back(double(int(z[0][0]) == k) * phi[1]);
        const double* end = &state[(k + 1) * (expert.fields() / K)];  // the last numbers of an expert
        const double log_b0 = std::log(end[-1]), log_tau = std::log(end[-2]);
        v.push_back(log_b0);
        v.push_back(log_b0 * std::log(variance[k]));
        v.push_back(log_tau);
        v.push_back(log_tau * std::log(variance[k]));
        v.push_back(log_tau * std::tanh(coefficients[k * d + 1] * coefficients[k * d + 1]));
        if (!leaves) continue;
        const double* paths = leaves->paths(gate_state);
        const double opened = leaves->opened(paths, k)[0], closed = leaves->closed(paths, k)[0];
        CHECK(counts[k] == 0 || opened < n);
        for (double path : {double(opened == 0), double(opened == OpenLeaves<W>::never), std::fmin(opened, n), std::fmin(closed, n)}) {
          v.push_back(path);
          v.push_back(path * counts[(k + 1) % K]);
          v.push_back(path * std::tanh(phi[0]));
          v.push_back(path * std::tanh(phi[p]));
        }
      }
      for (int row : {0, n / 2, n}) {
        v.push_back(n_open(row));
        v.push_back(n_open(row) == 2);
      }
      return v;
    };
    const Values before = functions();
    for (int t = 0; t < steps; ++t) {
      const double open_before = n_open(n);
      n_accepted[t % 2] +=
          Relocation<W>(expert, gate, K, d, buffer, n, work.data(), memory, few_rows).propose(state.data(), t % 2, tries, z, rng, all)[0];
      n_changes += n_open(n) != open_before;
    }
    Values after = functions();
    for (std::size_t j = 0; j < after.size(); ++j) after[j] -= before[j];
    samples.add(0, Values(after.size(), 0.0));
    samples.add(1, after);
  }
  const double each = 0.5 * double(chains) * steps;
  return {samples.largest_z(), n_accepted[0] / each, n_accepted[1] / each, n_changes / (2 * each)};
}

std::unique_ptr<GatePrior<W>> horseshoe(bool marginal = false, bool redrawn = false, bool group = false) {
  HorseshoeOptions options;
  options.group = group;
  std::unique_ptr<GatePrior<W>> prior = std::make_unique<Horseshoe<W>>(K - 1, p, options);
  if (marginal || redrawn) prior = std::make_unique<faults::WrongScales<W>>(std::move(prior), false, false, marginal, redrawn);
  return prior;
}

void one_expert() {
  const GaussianExpert<W> expert(K, d, options());
  Stream<W> rng = stream_of<W>(3);
  const Mask<W> all = Mask<W>::all_true();
  AlignedVector<double> state(expert.fields()), sums(expert.sum_fields());
  std::vector<Lane<W>> work(expert.work_lanes());
  expert.init(state.data(), rng, all);
  const AlignedVector<double> empty = state;
  std::vector<AlignedVector<double>> one(K, AlignedVector<double>(expert.one_fields()));
  for (int k = 0; k < K; ++k) expert.begin(empty.data(), Lane<W>(double(k)), one[std::size_t(k)].data());
  Lane<W> log_f[K], log_f_condensed[K], z[20];
  RowBuffer buffer(d, p);
  for (int i = 0; i < 20; ++i) {
    const double t = std::sin(3.0 * i), x[d] = {1, t}, u[p] = {1, 0, 0}, y = std::cos(5.0 * i) + 2 * t;
    z[i] = Lane<W>(double(i % 7 == 0 ? 2 : i % 2));
    const Row row{x, u, nullptr, y};
    expert.log_density(empty.data(), row, log_f, nullptr, work.data());
    for (int k = 0; k < K; ++k)
      CHECK(std::abs(log_f[k][0] - expert.empty_log_density(state.data(), Lane<W>(double(k)), row)[0]) < 1e-12);
    expert.log_density(state.data(), row, log_f, nullptr, work.data());
    AlignedVector<double>& own = one[std::size_t(z[i][0])];
    CHECK(std::abs(expert.one_log_density(own.data(), row, work.data())[0] - log_f[int(z[i][0])][0]) < 1e-12);
    expert.learn(state.data(), row, z[i], rng, all, work.data());
    expert.learn_one(own.data(), row, all, work.data());
    buffer.push(x, u, y);
  }
  std::fill(sums.begin(), sums.end(), 0.0);
  expert.absorb(sums.data(), buffer.block(0, 20), z, all);
  AlignedVector<double> condensed = empty;
  expert.condense(condensed.data(), sums.data(), work.data());
  const double x[d] = {1, 0.3};
  const Row row{x, x, nullptr, 0.8};
  expert.log_density(state.data(), row, log_f, nullptr, work.data());
  expert.log_density(condensed.data(), row, log_f_condensed, nullptr, work.data());
  for (int k = 0; k < K; ++k) CHECK(std::abs(log_f[k][0] - log_f_condensed[k][0]) < 1e-9);
}

// The normals of a horseshoe have its density, up to a constant and a factor of 1.25 either way, from 0.01 tau to 100 tau.
void normals() {
  constexpr int dim = 2;
  for (const HorseshoeOptions& options : {HorseshoeOptions{}, HorseshoeOptions::paper()}) {
    const Horseshoe<W> prior(1, dim, options);
    AlignedVector<double> node(W * prior.node_fields(), 1.0), global(W * prior.global_fields(), 1.0);
    const double tau = 0.3;
    global[0] = 1 / (tau * tau);
    double least = 1e300, most = -1e300;
    for (double phi = 0.01 * tau; phi < 100 * tau; phi *= 1.2) {
      const Lane<W> at[dim] = {Lane<W>(options.penalise_intercept ? phi : 0.0), Lane<W>(phi)};
      double density = 0;
      for (int i = 0; i < prior.n_normals(1); ++i) {
        Lane<W> log_weight, precision;
        prior.normal(node.data(), global.data(), 1, i, log_weight, precision);
        density += std::exp(log_weight[0] - 0.5 * precision[0] * phi * phi) * std::sqrt(precision[0]);
      }
      // Under the paper's prior the intercept is like the other coefficient.
      const double log_marginal = prior.log_marginal(at, node.data(), global.data(), 0.0)[0] / (options.penalise_intercept ? 2 : 1),
                   off = std::log(density) - log_marginal;
      least = std::min(least, off);
      most = std::max(most, off);
    }
    CHECK(most - least < 0.45);
  }
}

// What only the acceptance would show: the steps lead to the maximum, the t around it has the curvature there, `towards` is the
// logit between the sides of two experts, and parameters are estimated from the rows.
void pieces() {
  const TreeGate<W> gate(Tree({0, 1, 3, 1, 2, 3}, {0, 1, 2}), p, std::make_unique<NormalPrior<W>>(K - 1, p, NormalPriorOptions{}));
  const GateRefit<W>& refit = *gate.refitting();
  const int node = packed_size(p) + 2 * p, dim = (K - 1) * p;  // A, h, phi; a normal prior has no scales
  CHECK(gate.fields() == (K - 1) * node && refit.dim() == dim);
  Stream<W> rng = stream_of<W>(5);
  const Mask<W> all = Mask<W>::all_true();
  AlignedVector<double> state(gate.fields()), centre(refit.centre_lanes());
  std::vector<Lane<W>> work(gate.work_lanes());
  gate.init(state.data(), rng, all, work.data());
  auto phi = [&](AlignedVector<double>& of, int a) -> double& { return of[a / p * node + packed_size(p) + p + a % p]; };

  double U[n][p];
  for (int i = 0; i < n; ++i) {
    const double t = -1.3 + 0.068 * i;
    U[i][0] = 1;
    U[i][1] = std::sin(4 * t);
    U[i][2] = t;
  }
  Lane<W> shares[n][K], g[K], memo[n][K - 1];
  auto memorise = [&](int i) { gate.proba(centre.data(), {nullptr, U[i], nullptr, 0.0}, g, memo[i]); };
  auto gather = [&](bool observed) {
    refit.forget(centre.data());
    for (int i = 0; i < n; i += 20) {
      RowBlock rows;
      rows.n = 20;
      for (int t = 0; t < 20; ++t) rows.u[t] = U[i + t];
      refit.gather(centre.data(), rows, shares[i], memo[i], 1.0, observed);
    }
  };
  auto slope = [](auto&& f, double& at, double h) {
    const double was = at;
    at = was + h;
    const double up = f();
    at = was - h;
    const double down = f();
    at = was;
    return (up - down) / (2 * h);
  };

  // Fixed shares: sum share log g + log p(phi) has no slope where the steps end.
  for (int i = 0; i < n; ++i) {
    const double a = 0.2 + 0.6 * (i % 3 == 0), b = (1 - a) * (0.1 + 0.02 * i);
    shares[i][0] = Lane<W>(a);
    shares[i][1] = Lane<W>(b);
    shares[i][2] = Lane<W>(1 - a - b);
  }
  refit.begin(centre.data(), state.data());
  for (int step = 0; step < 15; ++step) {
    for (int i = 0; i < n; ++i) memorise(i);
    gather(false);
    refit.settle(centre.data(), work.data());
  }
  auto expected = [&] {
    double total = refit.log_prior(centre.data(), work.data())[0];
    for (int i = 0; i < n; ++i) {
      memorise(i);
      for (int k = 0; k < K; ++k) total += shares[i][k][0] * std::log(g[k][0]);
    }
    return total;
  };
  for (int a = 0; a < dim; ++a) CHECK_CLOSE(slope(expected, phi(centre, a), 1e-5), 0.0, 1e-6);

  // Shares that follow from phi: steps with the information that is observed end where sum log sum_k g_k f_k + log p(phi) has no slope,
  // and the t there has its curvature, of all pairs of coefficients.
  auto posterior = [&] {
    double total = refit.log_prior(centre.data(), work.data())[0];
    for (int i = 0; i < n; ++i) {
      memorise(i);
      double sum = 0;
      for (int k = 0; k < K; ++k) sum += (shares[i][k] = g[k] * std::exp(k == (7 * i) % 3 ? 1.5 : 0.0))[0];
      for (int k = 0; k < K; ++k) shares[i][k] = shares[i][k] / sum;
      total += std::log(sum);
    }
    return total;
  };
  for (int step = 0; step < 30; ++step) {
    posterior();
    gather(step > 5);
    refit.settle(centre.data(), work.data());
  }
  for (int a = 0; a < dim; ++a) CHECK_CLOSE(slope(posterior, phi(centre, a), 1e-5), 0.0, 1e-6);
  posterior();
  gather(true);
  refit.finish(centre.data(), work.data());
  const std::vector<Lane<W>> normals(dim, Lane<W>(0.0));  // a normal prior has no other
  auto log_t = [&] { return refit.log_density_around(centre.data(), state.data(), normals.data(), work.data())[0]; };
  for (int a = 0; a < dim; ++a) phi(state, a) = phi(centre, a);
  const double df = 30;
  for (int a = 0; a < dim; ++a)
    for (int b = 0; b <= a; ++b) {
      const double curvature = -slope([&] { return slope(posterior, phi(centre, a), 1e-3); }, phi(centre, b), 1e-3);
      const double of_t = -slope([&] { return slope(log_t, phi(state, a), 1e-3); }, phi(state, b), 1e-3);
      CHECK_CLOSE(of_t * df / (df + dim), curvature, 1e-3 * (1 + std::abs(curvature)));
    }
  posterior();

  memorise(3);
  const double g0 = g[0][0], g1 = g[1][0], g2 = g[2][0];
  const double sides[K][K] = {{0, g0 / (g1 + g2), g0 / (g1 + g2)}, {(g1 + g2) / g0, 0, g1 / g2}, {(g1 + g2) / g0, g2 / g1, 0}};
  for (int s = 0; s < K; ++s)
    for (int f = 0; f < K; ++f)
      if (s != f)
        CHECK_CLOSE(refit.towards(Lane<W>(double(s)), Lane<W>(double(f)), memo[3])[0], std::log(sides[s][f]), 1e-10);

  // An estimate of expert 1 from its own rows, in the place of another, is the mean that it reports.
  const GaussianExpert<W> expert(K, d, options());
  AlignedVector<double> experts(expert.fields()), sum(expert.one_sum_lanes(), 0.0);
  std::vector<Lane<W>> draw(expert.draw_lanes()), space(expert.work_lanes());
  expert.init(experts.data(), rng, all);
  double xy[20][d + 1];
  RowBlock rows;
  rows.n = 20;
  Lane<W> weight[20];
  for (int i = 0; i < 20; ++i) {
    xy[i][0] = 1;
    xy[i][1] = std::cos(2.0 * i);
    xy[i][2] = 0.5 - xy[i][1] + 0.3 * std::sin(9.0 * i);
    rows.xy[i] = xy[i];
    weight[i] = Lane<W>(1.0);
    expert.learn(experts.data(), {xy[i], nullptr, nullptr, xy[i][2]}, Lane<W>(1.0), rng, all, space.data());
  }
  expert.add(sum.data(), rows, weight);
  expert.draw_parameters(experts.data(), rng, all, draw.data(), space.data());
  const std::vector<Lane<W>> drawn = draw;
  const int at = 2;
  expert.estimate(experts.data(), Lane<W>(1.0), sum.data(), draw.data(), Lane<W>(double(at)), space.data());
  double coefficients[K * d], variance[K], shape[K], counts[K];
  expert.describe(experts.data(), 0, coefficients, variance, shape, counts);
  const int stride = d + 2;
  for (int j = 0; j < d; ++j) CHECK_CLOSE(draw[at * stride + j][0], coefficients[d + j], 1e-10);
  const double a = options().a0 + 0.5 * 20;  // E[s2] = b / (a - 1), and the precision is a / b
  CHECK_CLOSE(draw[at * stride + d][0], a / (variance[1] * (a - 1)), 1e-8);
  for (int f = 0; f < at * stride; ++f) CHECK(draw[f][0] == drawn[f][0]);
}

}  // namespace

int main(int argc, char** argv) {
  using Fault = WrongMarginal::Fault;
  one_expert();
  pieces();
  normals();
  // `long` for more chains: enough to notice a choice of the expert that does not enter the ratio (tried).
  const bool is_long = argc > 1 && std::string(argv[1]) == "long";
  const int chains = is_long ? 24000 : 1600, steps = 12;
  auto show = [](const char* name, Outcome o) { std::printf("%s: largest |z| %.2f, accepted %.3f, %.3f\n", name, o.largest_z, o.accepted, o.swaps_accepted); };
  for (int tries : {1, 3})
    for (bool normal : {false, true}) {
      const Outcome right =
          run(normal ? std::make_unique<NormalPrior<W>>(K - 1, p, NormalPriorOptions{}) : horseshoe(), Fault::none, chains, steps, tries);
      std::printf("%d tries, ", tries);
      show(normal ? "normal prior" : "horseshoe", right);
      CHECK(right.largest_z < 4.5);
      CHECK(right.accepted > 0.02 && right.swaps_accepted > 0.02);
    }
  const Outcome other = run(horseshoe(false, false, true), Fault::empty, chains, steps, 4, 16);
  show("group horseshoe, other proposal", other);
  CHECK(other.largest_z < 4.5);
  for (double change_rate : {0.0, 0.01}) {
    const Outcome changing = run(horseshoe(), Fault::none, 2 * chains, steps, 3, 512, {change_rate});
    show("leaves that open and close", changing);
    std::printf("leaves opened or closed: %.3f\n", changing.changes);
    CHECK(changing.largest_z < 4.5);
    CHECK(changing.changes > 0.02);
  }
  const std::pair<const char*, Outcome> wrong[] = {{"wrong marginal likelihood", run(horseshoe(), Fault::marginal, chains, steps)},
                                                   {"wrong statistics", run(horseshoe(), Fault::statistics, chains, steps)},
                                                   {"wrong prior density", run(horseshoe(true, false), Fault::none, chains, steps)},
                                                   {"another law of the open leaves", run(horseshoe(), Fault::none, chains, steps, 3, 512, {0.01, true})},
                                                   {"wrong local scales", run(horseshoe(false, true), Fault::none, chains, steps)}};
  for (const auto& [name, outcome] : wrong) {
    show(name, outcome);
    CHECK(outcome.largest_z > 7);
  }
  return report("relocation");
}
