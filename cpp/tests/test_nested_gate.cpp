// Nested gates.  Geweke's joint distribution test ("Getting it right", 2004) of the move: theta drawn from the prior must
// keep its law when
//     children of the rows, and Gaussian observations x = B theta + noise in place of remembered rows, given theta
//     -> one move of theta given them
// is repeated.  Independent chains, each started by an exact draw; up to 60 test functions a gate, |z| < 4.5 has a
// false-alarm rate below 5e-4 a gate.  Then faults must be noticed.  B knows only contrasts of children, as remembered
// rows do.
//
// Functions of the data and theta together see most: a move that gave the observations half their weight would leave
// a theta much like the prior's, but residuals x - B theta larger than the noise.
#include <functional>
#include <memory>

#include <hsmoe/gate/nested_gate.hpp>
#include <hsmoe/gate/tree_gate.hpp>
#include <hsmoe/prior/horseshoe.hpp>
#include <hsmoe/prior/normal.hpp>

#include "check.hpp"
#include "draws.hpp"
#include "faults.hpp"

using namespace hsmoe;

namespace {

constexpr int W = 4, p = 3, n = 6, n_contrasts = 4;
using Values = std::vector<double>;
using Specs = std::vector<NodeSpec>;

const Specs softmax3 = {{NodeKind::softmax, {0, 1, 2, 3}}}, laplace3 = {{NodeKind::laplace, {0, 1, 2, 3}}},
            logistic2 = {{NodeKind::logistic, {0, 1, 2}}},
            softmax_laplace = {{NodeKind::softmax, {0, 3, 4}}, {NodeKind::laplace, {0, 1, 2, 3}}},
            laplace_logistic = {{NodeKind::laplace, {0, 1, 3}}, {NodeKind::logistic, {1, 2, 3}}};

enum class Fault { none, swapped, moved_rows, remembered_half, wrong_local_scale, wrong_global_scale };
enum class Prior { horseshoe, group_horseshoe, normal };

int n_experts(const Specs& specs) { return int(specs[0].bounds.back()); }

std::unique_ptr<NestedGate<W>> make(const Specs& specs, Prior which, Fault fault = Fault::none) {
  std::vector<Index> leaves;  // experts in the reverse order of their leaves
  for (int k = n_experts(specs); k-- > 0;) leaves.push_back(k);
  NodeTree tree(specs, leaves);
  const int rows = NestedGate<W>::n_penalised(tree);
  std::unique_ptr<GatePrior<W>> prior;
  if (which == Prior::normal) prior = std::make_unique<NormalPrior<W>>(rows, p, NormalPriorOptions{1.5, 1.0});
  else {
    HorseshoeOptions options;
    options.group = which == Prior::group_horseshoe;
    prior = std::make_unique<Horseshoe<W>>(rows, p, options);
  }
  const bool local = fault == Fault::wrong_local_scale, global = fault == Fault::wrong_global_scale;
  if (local || global) prior = std::make_unique<faults::WrongScales<W>>(std::move(prior), local, global);
  return std::make_unique<NestedGate<W>>(std::move(tree), p, std::move(prior), LaplaceNodeOptions{1.5, 1.0});
}

struct Design {
  double u[n * p];
  Design() {
    for (int i = 0; i < n; ++i) {  // asymmetric, with large scores
      const double t = -0.8 + 0.55 * i;
      u[i * p] = 1;
      u[i * p + 1] = 1.5 * t + 0.4;
      u[i * p + 2] = t * t - 0.3;
    }
  }
};

struct Chain {
  const Design design;
  const Specs& specs;
  const NestedGate<W>& gate;
  const int K;
  AlignedVector<double> state, sums;
  std::vector<Lane<W>> work, scratch, z;
  // Observations that stand for remembered rows: x = b'theta + N(0, 1), b over all coefficients.
  struct Observation {
    Values b;
    Lane<W> x;
  };
  std::vector<Observation> remembered;
  Stream<W> rng;
  const Mask<W> all = Mask<W>::all_true();

  Chain(const Specs& s, const NestedGate<W>& g, std::uint64_t seed)
      : specs(s), gate(g), K(n_experts(s)), state(std::size_t(W * g.fields())), sums(std::size_t(W * g.sum_fields())),
        work(std::size_t(g.work_lanes())), scratch(std::size_t(g.move_lanes(n))), z(n) {
    rng = stream_of<W>(seed);
    gate.init(state.data(), rng, all, work.data());
  }

  void simulate_data(bool remembering) {
    std::vector<Lane<W>> log_g(std::size_t(K), Lane<W>(0.0)), memo(std::size_t(gate.memo_lanes()), Lane<W>(0.0));
    for (int i = 0; i < n; ++i) {
      gate.log_proba(state.data(), {nullptr, design.u + i * p, nullptr, 0.0}, log_g.data(), memo.data());
      z[std::size_t(i)] = categorical<W>(log_g.data(), K, rng, all);
    }
    std::fill(sums.begin(), sums.end(), 0.0);
    if (!remembering) return;
    // b'theta = v'(theta_r - theta_{r+1}); of a logistic node v'theta.  A += b b', h += b x.
    remembered.clear();
    Index at = 0;
    int first = 0;
    for (const NodeSpec& spec : specs) {
      const int rows = spec.kind == NodeKind::logistic ? 1 : spec.n_children(), q = rows * p;
      double *A = sums.data() + W * at, *h = A + W * packed_size(q);
      for (int c = 0; c < n_contrasts; ++c) {
        Values all_b(std::size_t(gate.n_splits() * p), 0.0);
        double* b = all_b.data() + first * p;
        const int r = rows > 1 ? c % (rows - 1) : 0;
        for (int j = 0; j < p; ++j) {
          b[r * p + j] = 1.4 + 0.5 * c - 0.9 * j;
          if (rows > 1) b[(r + 1) * p + j] = -b[r * p + j];
        }
        Lane<W> x = normal<W>(rng, all);
        for (int lane = 0; lane < W; ++lane) x.set(lane, x[lane] + fitted(all_b, lane));
        for (int i = 0; i < q; ++i) {
          (Lane<W>::load(h + W * i) + b[i] * x).store(h + W * i);
          for (int j = 0; j <= i; ++j) {
            double* a = A + W * packed_index(i, j);
            (Lane<W>::load(a) + b[i] * b[j]).store(a);
          }
        }
        remembered.push_back({all_b, x});
      }
      at += packed_size(q) + q;
      first += rows;
    }
  }

  double fitted(const Values& b, int lane) const {
    Values phi(b.size()), unused(b.size());
    double tau, sum = 0;
    gate.describe(state.data(), lane, phi.data(), unused.data(), unused.data(), &tau);
    for (std::size_t j = 0; j < b.size(); ++j) sum += b[j] * phi[j];
    return sum;
  }

  void move(Fault fault, bool remembering) {
    double U[n * p];
    std::vector<Lane<W>> told = z;
    for (int i = 0; i < n * p; ++i) U[i] = fault == Fault::moved_rows && i % p ? 3.0 * design.u[i] + 2.0 : design.u[i];
    for (Lane<W>& v : told)
      if (fault == Fault::swapped) v = select(v == Lane<W>(0.0), Lane<W>(1.0), select(v == Lane<W>(1.0), Lane<W>(0.0), v));
    if (fault == Fault::remembered_half)
      for (double& v : sums) v *= 0.5;
    gate.move(state.data(), remembering ? sums.data() : nullptr, n, 0, U, told.data(), scratch.data(), rng, all, work.data());
  }

  double log_likelihood(int lane) const {
    std::vector<Lane<W>> log_g(std::size_t(K), Lane<W>(0.0)), memo(std::size_t(gate.memo_lanes()), Lane<W>(0.0));
    double total = 0;
    for (int i = 0; i < n; ++i) {
      gate.log_proba(state.data(), {nullptr, design.u + i * p, nullptr, 0.0}, log_g.data(), memo.data());
      total += log_g[std::size_t(z[std::size_t(i)][lane])][lane];
    }
    return total;
  }

  Values functions(int lane) const {
    const std::size_t size = std::size_t(gate.n_splits() * p);
    Values v, phi(size), lambda(size), inclusion(size);
    double tau;
    gate.describe(state.data(), lane, phi.data(), lambda.data(), inclusion.data(), &tau);
    for (std::size_t j = 0; j < size; ++j) {
      v.push_back(std::tanh(phi[j]));
      v.push_back(std::tanh(phi[j] * phi[j]));
      if (std::isfinite(lambda[j])) v.push_back(std::atan(lambda[j]));
      if (j + p < size) v.push_back(std::tanh(phi[j] * phi[j + p]));  // children against each other
    }
    if (std::isfinite(tau)) v.push_back(std::atan(tau));
    for (const Observation& o : remembered) v.push_back(std::tanh(0.5 * std::pow(o.x[lane] - fitted(o.b, lane), 2)));
    v.push_back(log_likelihood(lane));
    return v;
  }
};

double largest_z(const Specs& specs, Prior prior, Fault fault, bool remembering, int chains) {
  const auto gate = make(specs, prior, fault);
  constexpr int steps = 15;
  Values sum[2], square[2];
  for (int which = 0; which < 2; ++which)
    for (int c = 0; c < chains / W; ++c) {
      Chain chain(specs, *gate, std::uint64_t(2 * c + which + 1));
      if (which == 0) chain.simulate_data(remembering);
      for (int t = 0; which == 1 && t < steps; ++t) {
        chain.simulate_data(remembering);
        chain.move(fault, remembering);
      }
      for (int lane = 0; lane < W; ++lane) {
        const Values v = chain.functions(lane);
        sum[which].resize(v.size());
        square[which].resize(v.size());
        for (std::size_t j = 0; j < v.size(); ++j) {
          sum[which][j] += v[j];
          square[which][j] += v[j] * v[j];
        }
      }
    }
  double worst = 0;
  for (std::size_t j = 0; j < sum[0].size(); ++j) {
    double mean[2], variance[2];
    for (int w = 0; w < 2; ++w) {
      mean[w] = sum[w][j] / chains;
      variance[w] = square[w][j] / chains - mean[w] * mean[w];
    }
    worst = std::fmax(worst, std::abs(mean[1] - mean[0]) / std::sqrt((variance[0] + variance[1]) / chains));
  }
  return worst;
}

// What is remembered of rows has the gradient of their log likelihood at the theta where they left, and for a softmax
// its Hessian; both by central differences.
void remembered_rows(const Specs& specs, bool exact_hessian) {
  const auto gate = make(specs, Prior::normal);
  const int q = gate->n_splits() * p, stride = 2 * p;
  Chain chain(specs, *gate, 5);
  chain.simulate_data(false);
  // No row is retained: theta is drawn from the prior and then all rows are remembered at it.
  gate->move(chain.state.data(), chain.sums.data(), n, n, chain.design.u, chain.z.data(), chain.scratch.data(), chain.rng,
             chain.all, chain.work.data());
  for (int lane : {0, W - 1}) {
    auto theta = [&](int j) -> double& { return chain.state[std::size_t(W * (j / p * stride + j % p) + lane)]; };
    const double *A = chain.sums.data(), *h = A + W * packed_size(q);
    auto entry = [&](int i, int j) { return A[W * packed_index(std::max(i, j), std::min(i, j)) + lane]; };
    auto shifted = [&](int i, double a, int j, double b) {
      const double keep_i = theta(i), keep_j = theta(j);
      theta(i) += a;
      theta(j) += b;
      const double value = chain.log_likelihood(lane);
      theta(i) = keep_i;
      theta(j) = keep_j;
      return value;
    };
    for (int i = 0; i < q; ++i) {
      double gradient = h[W * i + lane];
      for (int j = 0; j < q; ++j) gradient -= entry(i, j) * theta(j);
      CHECK_CLOSE(gradient, (shifted(i, 1e-5, i, 0) - shifted(i, -1e-5, i, 0)) / 2e-5, 1e-7);
      for (int j = 0; exact_hessian && j < i; ++j) {
        const double e = 1e-4, numeric = (shifted(i, e, j, e) - shifted(i, e, j, -e) - shifted(i, -e, j, e) +
                                          shifted(i, -e, j, -e)) / (4 * e * e);
        CHECK_CLOSE(-entry(i, j), numeric, 1e-6);
      }
    }
    for (int i = 0; i < q; ++i) CHECK(entry(i, i) >= 0);
  }
}

// A logistic node is the split of the binary trees: the same probabilities for the same phi.
void logistic_nodes_are_splits() {
  const Specs comb = {{NodeKind::logistic, {0, 1, 3}}, {NodeKind::logistic, {1, 2, 3}}};
  const auto gate = make(comb, Prior::normal);
  const TreeGate<W> tree(Tree({0, 1, 3, 1, 2, 3}, {2, 1, 0}), p, std::make_unique<NormalPrior<W>>(2, p, NormalPriorOptions{}));
  Chain chain(comb, *gate, 9);
  AlignedVector<double> other(std::size_t(W * tree.fields()));
  for (int l = 0; l < 2; ++l)
    for (int j = 0; j < p * W; ++j)
      other[std::size_t(W * (l * (packed_size(p) + 2 * p) + packed_size(p) + p) + j)] = chain.state[std::size_t(W * l * 2 * p + j)];
  Lane<W> a[3], b[3], c[3], memo[3];
  for (int i = 0; i < n; ++i) {
    const Row row{nullptr, chain.design.u + i * p, nullptr, 0.0};
    gate->log_proba(chain.state.data(), row, a, memo);
    tree.log_proba(other.data(), row, b, memo);
    gate->proba(chain.state.data(), row, c, memo);
    for (int k = 0; k < 3; ++k)
      for (int lane = 0; lane < W; ++lane) {
        CHECK_CLOSE(a[k][lane], b[k][lane], 1e-12);
        CHECK_CLOSE(std::log(c[k][lane]), b[k][lane], 1e-12);
      }
  }
}

// Draws without data have the prior's moments; 20,000 draws, 4.5 standard errors.
void prior_draws(const Specs& specs, const Values& mean, const Values& sd) {
  const auto gate = make(specs, Prior::normal);
  const int q = gate->n_splits() * p, draws = 20000;
  Values sum(std::size_t(q), 0.0), square(sum), phi(sum), unused(sum);
  for (int c = 0; c < draws / W; ++c) {
    const Chain chain(specs, *gate, std::uint64_t(c + 1));
    for (int lane = 0; lane < W; ++lane) {
      double tau;
      gate->describe(chain.state.data(), lane, phi.data(), unused.data(), unused.data(), &tau);
      for (int j = 0; j < q; ++j) {
        sum[std::size_t(j)] += phi[std::size_t(j)];
        square[std::size_t(j)] += std::pow(phi[std::size_t(j)] - mean[std::size_t(j)], 2);
      }
    }
  }
  for (std::size_t j = 0; j < std::size_t(q); ++j) {
    CHECK_CLOSE(sum[j] / draws, mean[j], 4.5 * sd[j] / std::sqrt(double(draws)));
    CHECK_CLOSE(square[j] / draws, sd[j] * sd[j], 4.5 * sd[j] * sd[j] * std::sqrt(2.0 / draws));
  }
}

}  // namespace

int main() {
  const double a = std::log(3.0) / 2;  // children of three leaves and of one
  prior_draws(softmax_laplace, {a, 0, 0, -a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
              {1, 1.5, 1.5, 1, 1.5, 1.5, 1, 1.5, 1.5, 1, 1.5, 1.5, 1, 1.5, 1.5});
  prior_draws(logistic2, {0, 0, 0}, {1, 1.5, 1.5});
  logistic_nodes_are_splits();
  remembered_rows(softmax3, true);
  remembered_rows(logistic2, true);
  remembered_rows(laplace3, false);

  const int chains = 12000;
  struct Case {
    const char* name;
    const Specs& specs;
    Prior prior;
  };
  const Case cases[] = {{"softmax", softmax3, Prior::horseshoe},
                        {"softmax, normal prior", softmax3, Prior::normal},
                        {"softmax, group horseshoe", softmax3, Prior::group_horseshoe},
                        {"logistic", logistic2, Prior::horseshoe},
                        {"Laplace", laplace3, Prior::horseshoe},
                        {"softmax over Laplace", softmax_laplace, Prior::horseshoe},
                        {"Laplace over logistic", laplace_logistic, Prior::normal}};
  for (const Case& c : cases)
    for (bool remembering : {false, true}) {
      const double z = largest_z(c.specs, c.prior, Fault::none, remembering, chains);
      std::printf("%s%s: largest |z| %.2f\n", c.name, remembering ? ", remembering" : "", z);
      CHECK(z < 4.5);
    }
  for (const Case& c : {cases[0], cases[4], cases[5]})
    for (Fault f : {Fault::swapped, Fault::moved_rows, Fault::remembered_half}) {
      const double z = largest_z(c.specs, c.prior, f, true, 2 * chains);
      std::printf("%s, fault %d: largest |z| %.2f\n", c.name, int(f), z);
      CHECK(z > 7);
    }
  for (Prior prior : {Prior::horseshoe, Prior::group_horseshoe})
    for (Fault f : {Fault::wrong_local_scale, Fault::wrong_global_scale}) {
      const double z = largest_z(softmax3, prior, f, false, chains);
      std::printf("softmax, fault %d: largest |z| %.2f\n", int(f), z);
      CHECK(z > 7);
    }
  return report("nested_gate");
}
