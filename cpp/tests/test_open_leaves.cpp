// Leaves that open and close.  Their law: the probabilities of all paths add up to one, and paths drawn forward have them.
// Geweke's joint distribution test ("Getting it right", 2004): paths, coefficients and scales drawn from the prior must have the
// law that they still have after
//     allocations given both -> paths given allocations and coefficients -> Polya-Gamma variables, coefficients and scales given
//     these -> a proposal that two experts change places
// has been repeated T times; with all rows retained, and with the first of them frozen.  Each chain is compared with itself before.
// About 55 functions and three runs; |z| < 4.5 has a false-alarm rate of 1e-3 in all.  Deliberate faults must be noticed.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <hsmoe/gate/tree_gate.hpp>
#include <hsmoe/prior/horseshoe.hpp>
#include <hsmoe/prior/normal.hpp>

#include "check.hpp"
#include "draws.hpp"
#include "two_samples.hpp"

using namespace hsmoe;

namespace {

constexpr int W = 4, K = 4, p = 2, n = 7;
constexpr double rate = 0.6;
using Values = std::vector<double>;
using Leaves = OpenLeaves<W>;

enum class Fault { none, binomial_set, wrong_rate, other_rows, inactive_augmented, paths_stay };

Tree tree() { return Tree({0, 2, 4, 0, 1, 2, 2, 3, 4}, {1, 0, 3, 2}); }

std::unique_ptr<GatePrior<W>> make_prior(bool horseshoe) {
  if (!horseshoe) return std::make_unique<NormalPrior<W>>(K - 1, p, NormalPriorOptions{});
  return std::make_unique<Horseshoe<W>>(K - 1, p, HorseshoeOptions{});
}

void law_of_paths() {
  const TreeGate<W> gate(tree(), p, make_prior(false), rate);
  const Leaves& leaves = *gate.leaves();
  constexpr int last = 3;
  AlignedVector<double> state(W * gate.fields(), 0.0), other(state);
  double* paths = leaves.paths(state.data());
  const Mask<W> all = Mask<W>::all_true();
  const Lane<W> never(Leaves::never);

  // All pairs (opened, closed) that a leaf can have over rows 0 ... last.
  std::vector<std::pair<double, double>> lives = {{Leaves::never, Leaves::never}};
  for (int o = 0; o <= last; ++o) {
    lives.emplace_back(o, Leaves::never);
    for (int c = o + 1; c <= last; ++c) lives.emplace_back(o, c);
  }
  leaves.set(paths, 0, Lane<W>(0.0), never, all);
  double total = 0;
  std::map<std::vector<double>, double> probability;
  for (const auto& a : lives)
    for (const auto& b : lives)
      for (const auto& c : lives) {
        int k = 1;
        for (const auto& life : {a, b, c}) leaves.set(paths, k++, Lane<W>(life.first), Lane<W>(life.second), all);
        CHECK(leaves.plausible(state.data(), 1, last));
        const double here = std::exp(leaves.log_prior(paths, last)[0]);
        probability[{a.first, a.second, b.first, b.second, c.first, c.second}] = here;
        total += here;
      }
  CHECK_CLOSE(total, 1.0, 1e-12);

  Stream<W> rng = stream_of<W>(9);
  std::vector<Lane<W>> work(gate.work_lanes());
  std::map<std::vector<double>, double> drawn;
  const int draws = 100000;
  double size[K] = {0, 0, 0, 0};
  for (int i = 0; i < draws / W; ++i) {
    gate.init(state.data(), rng, all, work.data());
    for (int lane = 0; lane < W; ++lane) size[int(leaves.n_open(paths, 0.0)[lane]) - 1] += 1;
    for (int row = 1; row <= last; ++row) gate.advance(state.data(), row, rng, all, work.data());
    for (int lane = 0; lane < W; ++lane) {
      std::vector<double> path;
      for (int k = 1; k < K; ++k)
        for (Lane<W> v : {leaves.opened(paths, k), leaves.closed(paths, k)}) path.push_back(v[lane]);
      drawn[path] += 1;
    }
  }
  for (double s : size) CHECK(std::abs(s - draws / K) < 4.5 * std::sqrt(draws * 0.1875));
  for (const auto& [path, count] : drawn) {
    const double expected = draws * probability.at(path);
    CHECK(std::abs(count - expected) < 5.5 * std::sqrt(expected) + 6);
  }
}

struct Design {
  double u[n][p];
  Design() {
    for (int i = 0; i < n; ++i) {
      u[i][0] = 1;
      u[i][1] = -0.9 + 0.5 * i;
    }
  }
};

struct Chain {
  const Design& design;
  const TreeGate<W>& gate;
  const Leaves& leaves;
  AlignedVector<double> state, frozen, open_state;
  std::vector<Lane<W>> work;
  Lane<W> z[n], memo[n * (K - 1)], log_g[K];
  Stream<W> rng;
  Mask<W> all = Mask<W>::all_true();
  Index n_exchanged = 0;

  Chain(const Design& d, const TreeGate<W>& g, std::uint64_t seed, Fault fault)
      : design(d), gate(g), leaves(*g.leaves()), state(W * g.fields()), frozen(W * g.sum_fields(), 0.0), open_state(state),
        work(std::size_t(g.work_lanes())) {
    rng = stream_of<W>(seed);
    gate.init(state.data(), rng, all, work.data());
    double* paths = leaves.paths(state.data());
    if (fault == Fault::binomial_set)
      for (int k = 1; k < K; ++k)
        leaves.set(paths, k, select(uniform<W>(rng, all) < Lane<W>(0.5), Lane<W>(0.0), Lane<W>(Leaves::never)), Lane<W>(Leaves::never), all);
    for (int row = 1; row <= n; ++row) {
      gate.advance(state.data(), row, rng, all, work.data());
      if (fault == Fault::wrong_rate && row % 2) gate.advance(state.data(), row, rng, all, work.data());
    }
    allocate(0);
  }

  Row row(int i) const { return {nullptr, design.u[i], nullptr, 0.0, double(i)}; }
  void allocate(int begin) {
    for (int i = begin; i < n; ++i) {
      gate.log_proba(state.data(), row(i), log_g, memo);
      z[i] = categorical<W>(log_g, K, rng, all);
    }
  }
  void absorb(int begin, int end, bool freezing, bool all_open) {
    RowBlock rows;
    rows.n = end - begin;
    double* from = state.data();
    if (all_open) {
      open_state = state;
      from = open_state.data();
      for (int k = 0; k < K; ++k) leaves.set(leaves.paths(from), k, Lane<W>(0.0), Lane<W>(Leaves::never), all);
    }
    for (int i = begin; i < end; ++i) {
      rows.u[i - begin] = design.u[i];
      gate.log_proba(from, row(i), log_g, memo + (i - begin) * (K - 1));
    }
    if (rows.n) gate.absorb(state.data(), freezing ? frozen.data() : nullptr, rows, z + begin, memo, rng, all, work.data());
  }
  void freeze(int begin) {
    gate.load_sums(state.data(), nullptr, all);
    absorb(0, begin, true, false);
  }
  void step(int begin, Fault fault) {
    allocate(begin);
    std::vector<Lane<W>> back(std::size_t(leaves.redraw_lanes(n - begin)));
    const int shift = fault == Fault::other_rows ? 1 : 0;
    std::vector<double> u(design.u[begin], design.u[n]);
    for (int i = 0; i < n - begin; ++i)
      if (shift) u[std::size_t(i * p + 1)] += 1.0;
    for (int k = 1; k < K; ++k) leaves.redraw(state.data(), k, begin, n, u.data(), z + begin, back.data(), rng, all);
    gate.load_sums(state.data(), frozen.data(), all);
    absorb(begin, n, false, fault == Fault::inactive_augmented);
    gate.renew(state.data(), PhiKernel::block, rng, all, work.data());
    if (begin) return;
    Lane<W> first, second, sides[2 * n];
    const AlignedVector<double> before(leaves.paths(state.data()), leaves.paths(state.data()) + W * leaves.fields());
    const Mask<W> accepted = gate.exchange(state.data(), n, design.u[0], z, sides, first, second, rng, all, work.data());
    if (fault == Fault::paths_stay) std::copy(before.begin(), before.end(), leaves.paths(state.data()));
    for (int i = 0; i < n; ++i)
      z[i] = select(accepted & (z[i] == first), second, select(accepted & (z[i] == second), first, z[i]));
    for (int lane = 0; lane < W; ++lane) n_exchanged += accepted[lane];
  }

  Values functions(int lane) {
    Values v;
    double phi[(K - 1) * p], lambda[(K - 1) * p], inclusion[(K - 1) * p], tau;
    gate.describe(state.data(), lane, phi, lambda, inclusion, &tau);
    for (int j = 0; j < (K - 1) * p; ++j) {
      v.push_back(std::tanh(phi[j]));
      v.push_back(std::tanh(phi[j] * phi[j]));
      if (std::isfinite(lambda[j])) v.push_back(std::atan(lambda[j]));
    }
    if (std::isfinite(tau)) v.push_back(std::atan(tau));
    const double* paths = leaves.paths(state.data());
    for (int k = 1; k < K; ++k) {
      const double o = leaves.opened(paths, k)[lane], c = leaves.closed(paths, k)[lane];
      v.push_back(o == 0);
      v.push_back(o == Leaves::never);
      v.push_back(std::fmin(o, n + 1.0));
      v.push_back(std::fmin(c, n + 1.0));
      v.push_back(o < 2 ? std::fmin(c, n + 1.0) : 0.0);
      for (int l = 0; l < K - 1; ++l) v.push_back((o == 0) * std::tanh(phi[l * p]));
    }
    for (int i : {0, 3, n}) {
      const double m = leaves.n_open(paths, i)[lane];
      v.push_back(m);
      v.push_back(m * m);
    }
    double log_likelihood = 0, rows[K] = {};
    for (int i = 0; i < n; ++i) {
      gate.log_proba(state.data(), row(i), log_g, memo);
      const int k = int(z[i][lane]);
      log_likelihood += log_g[k][lane];
      rows[k] += 1;
    }
    v.push_back(std::fmax(log_likelihood, -50.0));
    v.insert(v.end(), rows, rows + K);
    v.push_back((leaves.opened(paths, 1)[lane] == 0) * (leaves.opened(paths, 2)[lane] == 0));
    return v;
  }
};

double largest_z(Fault fault, bool horseshoe, int begin, int chains, int steps, double* exchanged = nullptr) {
  const Design design;
  const TreeGate<W> gate(tree(), p, make_prior(horseshoe), rate);
  TwoSamples samples;
  double accepted = 0;
  for (int c = 0; c < chains / W; ++c) {
    Chain chain(design, gate, std::uint64_t(c + 1), fault);
    std::vector<Values> before;
    for (int lane = 0; lane < W; ++lane) before.push_back(chain.functions(lane));
    if (begin) chain.freeze(begin);
    for (int t = 0; t < steps; ++t) chain.step(begin, fault);
    for (int lane = 0; lane < W; ++lane) {
      CHECK(fault != Fault::none || chain.leaves.plausible(chain.state.data(), lane, n));
      Values after = chain.functions(lane);
      for (std::size_t j = 0; j < after.size(); ++j) after[j] -= before[std::size_t(lane)][j];
      samples.add(0, Values(after.size(), 0.0));
      samples.add(1, after);
    }
    accepted += double(chain.n_exchanged);
  }
  if (exchanged) *exchanged = accepted / (double(chains) * steps);
  return samples.largest_z();
}

// Nodes that are not active: everything goes to the open side, nothing is learned, and the two forms of the probabilities agree.
void pruned_gate() {
  const Design design;
  const TreeGate<W> gate(tree(), p, make_prior(true), rate);
  const Leaves& leaves = *gate.leaves();
  Stream<W> rng = stream_of<W>(4);
  const Mask<W> all = Mask<W>::all_true();
  std::vector<Lane<W>> work(std::size_t(gate.work_lanes()));
  AlignedVector<double> state(W * gate.fields());
  Lane<W> g[K], log_g[K], memo[K - 1];
  for (int t = 0; t < 200; ++t) {
    gate.init(state.data(), rng, all, work.data());
    for (int row = 1; row <= n; ++row) gate.advance(state.data(), row, rng, all, work.data());
    for (int i = 0; i < n; ++i) {
      const Row row{nullptr, design.u[i], nullptr, 0.0, double(i)};
      gate.proba(state.data(), row, g, memo);
      gate.log_proba(state.data(), row, log_g, memo);
      for (int lane = 0; lane < W; ++lane) {
        double total = 0;
        for (int k = 0; k < K; ++k) {
          CHECK_CLOSE(g[k][lane], std::exp(log_g[k][lane]), 1e-13);
          CHECK((g[k][lane] > 0) == leaves.open(leaves.paths(state.data()), k, i)[lane]);
          total += g[k][lane];
        }
        CHECK_CLOSE(total, 1.0, 1e-13);
      }
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  law_of_paths();
  pruned_gate();
  const bool is_long = argc > 1 && std::string(argv[1]) == "long";
  const int chains = is_long ? 400000 : 24000, steps = 8;
  for (bool horseshoe : {true, false}) {
    double exchanged;
    const double z = largest_z(Fault::none, horseshoe, 0, chains, steps, &exchanged);
    std::printf("%s: largest |z| %.2f, exchanged %.3f\n", horseshoe ? "horseshoe" : "normal prior", z, exchanged);
    CHECK(z < 4.5);
    CHECK(exchanged > 0.02);
  }
  const double frozen = largest_z(Fault::none, true, 3, chains, steps);
  std::printf("three rows frozen: largest |z| %.2f\n", frozen);
  CHECK(frozen < 4.5);
  const std::pair<const char*, Fault> faults[] = {{"binomial set", Fault::binomial_set}, {"wrong rate", Fault::wrong_rate},
                                                  {"other rows", Fault::other_rows}, {"inactive nodes augmented", Fault::inactive_augmented},
                                                  {"paths not exchanged", Fault::paths_stay}};
  for (const auto& [name, fault] : faults) {
    const double z = largest_z(fault, false, 0, chains, steps);
    std::printf("%s: largest |z| %.2f\n", name, z);
    CHECK(z > 7);
  }
  return report("open leaves");
}
