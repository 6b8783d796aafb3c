// Geweke's joint distribution test ("Getting it right", 2004) of the scan, and of a single row learned in passing: draws of the parameters from the prior must
// have the law that they still have after
//     data given parameters -> one Gibbs scan of the parameters given the data
// has been repeated T times.  Many independent chains, each started by an exact draw, so that standard errors are
// those of independent samples.  About 30 test functions; |z| < 4.5 has a false-alarm rate below 3e-4 in all.
// Then each deliberate fault must be noticed, or the test would have no power.
#include <functional>
#include <vector>

#include <hsmoe/expert/gaussian.hpp>
#include <hsmoe/gate/tree_gate.hpp>
#include <hsmoe/prior/horseshoe.hpp>
#include <hsmoe/prior/normal.hpp>

#include "check.hpp"
#include "draws.hpp"
#include "faults.hpp"
#include "two_samples.hpp"

using namespace hsmoe;

namespace {

constexpr int W = 4, K = 3, d = 2, p = 3, n = 6;

enum class Fault {
  none, flipped_kappa, wrong_local_scale, wrong_global_scale, stale_logit, wrong_marginal, wrong_redrawn_scale
};
Index n_exchanged = 0;

struct Design {
  double x[n][d], u[n][p], uu[n][packed_size(p)];
  Design() {
    // Asymmetric and with large logits: a sign error must not hide.
    for (int i = 0; i < n; ++i) {
      const double t = -0.8 + 0.55 * i;
      x[i][0] = u[i][0] = 1;
      x[i][1] = t;
      u[i][1] = 1.5 * t + 0.4;
      u[i][2] = t * t - 0.3;
      for (int a = 0, m = 0; a < p; ++a)
        for (int b = 0; b <= a; ++b) uu[i][m++] = u[i][a] * u[i][b];
    }
  }
  Row row(int i) const { return {x[i], u[i], uu[i], 0.0}; }
};

using Values = std::vector<double>;

struct Chain {
  const Design& design;
  const Gate<W>& gate;
  const GaussianExpert<W>& expert;
  AlignedVector<double> expert_state, gate_state, sums, scratch;
  std::vector<Lane<W>> draw, work;
  Lane<W> y[n], z[n];
  Stream<W> rng;
  Mask<W> all = Mask<W>::all_true();

  Chain(const Design& de, const Gate<W>& g, const GaussianExpert<W>& e, std::uint64_t seed)
      : design(de), gate(g), expert(e), expert_state(W * e.fields()), gate_state(W * g.fields()), sums(W * e.sum_fields()),
        draw(e.draw_lanes()), work(std::max(e.work_lanes(), g.work_lanes())) {
    rng = stream_of<W>(seed);
    expert.init(expert_state.data(), rng, all);
    gate.init(gate_state.data(), rng, all, work.data());
    expert.draw_parameters(expert_state.data(), rng, all, draw.data(), work.data());
  }

  // Written anew: the filter's own is not used.
  Lane<W> allocate(const Lane<W>* joint) { return categorical<W>(joint, K, rng, all); }

  void simulate_data() {
    Lane<W> log_g[K], memo[K];
    for (int i = 0; i < n; ++i) {
      gate.log_proba(gate_state.data(), design.row(i), log_g, memo);
      z[i] = allocate(log_g);
      const Lane<W> noise = normal<W>(rng, all);
      for (int k = 0; k < K; ++k) {
        const Lane<W>* b = draw.data() + k * (d + 2);
        y[i] = select(z[i] == Lane<W>(double(k)), b[0] + design.x[i][1] * b[1] + noise / sqrt(b[d]), y[i]);
      }
    }
  }

  void scan(Fault fault, bool exchange) {
    // y differs between the lanes, which a Row does not know: where y enters, the lanes take turns.
    Lane<W> log_g[K], memo[K], joint[K], log_f[K];
    Lane<W> allocation[n];
    std::fill(sums.begin(), sums.end(), 0.0);
    for (int i = 0; i < n; ++i) {
      gate.log_proba(gate_state.data(), design.row(i), log_g, memo);
      for (int lane = 0; lane < W; ++lane) {
        Row row = design.row(i);
        row.y = y[i][lane];
        expert.parameter_log_density(draw.data(), row, log_f);
        for (int k = 0; k < K; ++k) joint[k].set(lane, log_g[k][lane] + log_f[k][lane]);
      }
      allocation[i] = allocate(joint);
      for (int lane = 0; lane < W; ++lane) {
        Mask<W> one = Mask<W>::all_false();
        one.set(lane, true);
        const double xy[d + 1] = {design.x[i][0], design.x[i][1], y[i][lane]};
        RowBlock rows;
        rows.n = 1;
        rows.xy[0] = xy;
        expert.absorb(sums.data(), nullptr, rows, &allocation[i], draw.data(), 0, rng, one, work.data());
      }
    }
    gate.load_sums(gate_state.data(), nullptr, all);
    RowBlock rows;
    rows.n = n;
    Lane<W> memos[n * (K - 1)], told[n];
    for (int i = 0; i < n; ++i) {
      rows.u[i] = design.u[i];
      gate.log_proba(gate_state.data(), design.row(i), log_g, memos + i * (K - 1));
      for (int l = 0; fault == Fault::stale_logit && l < K - 1; ++l) memos[i * (K - 1) + l] = Lane<W>(0.0);
      told[i] = fault == Fault::flipped_kappa ? (K - 1.0) - allocation[i] : allocation[i];
    }
    gate.absorb(gate_state.data(), nullptr, rows, told, memos, rng, all, work.data());
    gate.renew(gate_state.data(), PhiKernel::block, rng, all, work.data());
    expert.rebuild(expert_state.data(), sums.data(), draw.data(), 0, rng, all, work.data());
    if (exchange) {
      Lane<W> first, second, sides[2 * n];
      const Mask<W> accepted =
          gate.exchange(gate_state.data(), n, design.u[0], allocation, sides, first, second, rng, all, work.data());
      for (int lane = 0; lane < W; ++lane) n_exchanged += accepted[lane];
      expert.exchange(expert_state.data(), first, second, accepted);
    }
    expert.draw_parameters(expert_state.data(), rng, all, draw.data(), work.data());
  }

  // The same for one row by Gate::learn, coordinate sweep or block draw: from empty statistics it is a Gibbs
  // kernel for the gate given z of that row.
  void learn_one(PhiKernel kernel, Fault fault) {
    Lane<W> log_g[K], memo[K];
    const Row row = design.row(n - 1);
    gate.log_proba(gate_state.data(), row, log_g, memo);
    const Lane<W> drawn = allocate(log_g);
    for (int l = 0; fault == Fault::stale_logit && l < K - 1; ++l) memo[l] = Lane<W>(0.0);
    gate.load_sums(gate_state.data(), nullptr, all);
    gate.learn(gate_state.data(), row, fault == Fault::flipped_kappa ? (K - 1.0) - drawn : drawn, memo, kernel, rng, all,
               work.data());
  }

  // Bounded or light-tailed functions of the parameters of one lane.
  Values functions(int lane) const {
    Values v;
    double phi[(K - 1) * p], lambda[(K - 1) * p], inclusion[(K - 1) * p], tau;
    gate.describe(gate_state.data(), lane, phi, lambda, inclusion, &tau);
    for (int j = 0; j < (K - 1) * p; ++j) {
      v.push_back(std::tanh(phi[j]));
      v.push_back(std::tanh(phi[j] * phi[j]));
      if (std::isfinite(lambda[j])) v.push_back(std::atan(lambda[j]));
    }
    v.push_back(std::tanh(phi[1] * phi[p + 1]));
    if (std::isfinite(tau)) v.push_back(std::atan(tau));
    for (int k = 0; k < K; ++k) {
      const Lane<W>* b = draw.data() + k * (d + 2);
      v.push_back(std::tanh(b[0][lane]));
      v.push_back(std::tanh(b[1][lane] * b[1][lane]));
      v.push_back(std::log(b[d][lane]));
    }
    for (int last : {1, 2}) v.push_back(std::log(expert_state[W * (expert.fields() - last) + lane]));  // b0 and tau of the last expert
    return v;
  }
};

enum class Kernel { scan, scan_and_exchange, row_by_sweep, row_by_block };

double largest_z(Fault fault, bool horseshoe, int chains, int steps, Kernel kernel = Kernel::scan, bool group = false) {
  const Design design;
  auto make_prior = [&]() -> std::unique_ptr<GatePrior<W>> {
    if (!horseshoe) return std::make_unique<NormalPrior<W>>(K - 1, p, NormalPriorOptions{});
    HorseshoeOptions options;
    options.group = group;
    std::unique_ptr<GatePrior<W>> prior = std::make_unique<Horseshoe<W>>(K - 1, p, options);
    const bool local = fault == Fault::wrong_local_scale, global = fault == Fault::wrong_global_scale;
    const bool marginal = fault == Fault::wrong_marginal, redrawn = fault == Fault::wrong_redrawn_scale;
    if (local || global || marginal || redrawn)
      prior = std::make_unique<faults::WrongScales<W>>(std::move(prior), local, global, marginal, redrawn);
    return prior;
  };
  const TreeGate<W> gate(Tree({0, 1, 3, 1, 2, 3}, {0, 1, 2}), p, make_prior());
  GaussianOptions options;
  options.b0_shape = options.coefficient_shape = 2.0;
  options.b0 = 0.3;
  options.coefficient_variance = 4.0;
  const GaussianExpert<W> expert(K, d, options);
  TwoSamples samples;
  for (int which = 0; which < 2; ++which)
    for (int c = 0; c < chains / W; ++c) {
      Chain chain(design, gate, expert, std::uint64_t(2 * c + which + 1));
      for (int t = 0; which == 1 && t < steps; ++t) {
        if (kernel == Kernel::scan || kernel == Kernel::scan_and_exchange) {
          chain.simulate_data();
          chain.scan(fault, kernel == Kernel::scan_and_exchange);
        } else {
          chain.learn_one(kernel == Kernel::row_by_sweep ? PhiKernel::sweep : PhiKernel::block, fault);
        }
      }
      for (int lane = 0; lane < W; ++lane) samples.add(which, chain.functions(lane));
    }
  return samples.largest_z();
}

}  // namespace

int main() {
  const int chains = 12000, steps = 12;
  const double horseshoe = largest_z(Fault::none, true, chains, steps), normal = largest_z(Fault::none, false, chains, steps);
  std::printf("largest |z|: horseshoe %.2f, normal %.2f\n", horseshoe, normal);
  CHECK(horseshoe < 4.5);
  CHECK(normal < 4.5);
  for (Fault f : {Fault::flipped_kappa, Fault::wrong_local_scale, Fault::wrong_global_scale, Fault::stale_logit}) {
    const double z = largest_z(f, true, chains / 2, steps);
    std::printf("fault %d: largest |z| %.2f\n", int(f), z);
    CHECK(z > 7);
  }
  for (bool prior : {true, false}) {
    n_exchanged = 0;
    const double right = largest_z(Fault::none, prior, 2 * chains, steps, Kernel::scan_and_exchange);
    std::printf("exchange: largest |z| %.2f, accepted %.3f\n", right, double(n_exchanged) / (2.0 * chains * steps));
    CHECK(right < 4.5);
    CHECK(n_exchanged > 0.05 * 2 * chains * steps);
  }
  const double grouped = largest_z(Fault::none, true, 2 * chains, steps, Kernel::scan_and_exchange, true);
  std::printf("exchange, group horseshoe: largest |z| %.2f\n", grouped);
  CHECK(grouped < 4.5);
  for (Fault f : {Fault::wrong_marginal, Fault::wrong_redrawn_scale}) {
    const double z = largest_z(f, true, 2 * chains, steps, Kernel::scan_and_exchange);
    std::printf("exchange, fault %d: largest |z| %.2f\n", int(f), z);
    CHECK(z > 7);
  }
  for (Kernel kernel : {Kernel::row_by_sweep, Kernel::row_by_block}) {
    const double right = largest_z(Fault::none, true, 4 * chains, steps, kernel);
    std::printf("one row: largest |z| %.2f\n", right);
    CHECK(right < 4.5);
    for (Fault f : {Fault::flipped_kappa, Fault::stale_logit}) {
      const double z = largest_z(f, true, 4 * chains, steps, kernel);
      std::printf("one row, fault %d: largest |z| %.2f\n", int(f), z);
      CHECK(z > 7);
    }
  }
  return report("geweke");
}
