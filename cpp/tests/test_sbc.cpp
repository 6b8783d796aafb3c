// Simulation-based calibration (Talts, Betancourt, Simpson, Vehtari & Gelman 2018) of the whole filter.
// One replication:
//
//     theta ~ prior      y | theta, rows of a fixed design      theta_1 ... theta_L ~ posterior, by the filter
//     rank of f(theta, y) among f(theta_1, y) ... f(theta_L, y): uniform on 0 ... L, whatever f
//
// That takes in weights, resampling, rows learned in passing, scans and frozen rows.  f are the labelled
// parameters (experts may swap names, but the exact posterior does so too), the noise variances in order, and
// functions of the data.  The likelihood sees most: a filter that ignored the data would return its prior,
// which is calibrated for every f of theta alone.  Of a new row, y is ranked among forecast draws, and its cdf
// is binned like a rank.
//
// The posterior of N particles is right for N -> infinity only.  What deviates first is the share of each
// labelling: resampling lets it drift, so that ranks of labelled parameters (hardly those of label-free ones)
// gather at both ends.  In the setting `plain` the variance of the ranks of beta is too large by 27%, 10% and 4%
// for N = 32, 128 and 512: it goes with 1/N, so it is no fault of a kernel; and it is gone when the labels of
// each draw are drawn anew (`relabel`).  N below is large enough not to show in the numbers of replications.
//
// False alarms: a right filter fails a setting with probability at most 1e-3 (Bonferroni over its tests).  Each fault
// must be noticed at 1e-6, in a setting that the right filter passes.  `test_sbc long` runs more settings, larger
// and many more times, and prints all histograms.
#include <cstring>
#include <ctime>

#include <hsmoe/expert/gaussian.hpp>
#include <hsmoe/filter/particle_filter.hpp>
#include <hsmoe/gate/nested_gate.hpp>
#include <hsmoe/gate/tree_gate.hpp>
#include <hsmoe/prior/horseshoe.hpp>
#include <hsmoe/prior/normal.hpp>

#include "check.hpp"
#include "faults.hpp"
#include "rank_histogram.hpp"

using namespace hsmoe;

namespace {

constexpr int W = HSMOE_LANES, L = 31;

enum class Fault { none, late_redraw, flipped_kappa, tenth_flipped, local_scale, global_scale, b0, coefficient_scale, no_normaliser,
                   lost_frozen, redrawn_phi, experts_stay };
constexpr const char* fault_names[] = {"none", "phi redrawn after z (allowed)", "kappa of the wrong sign",
                                       "kappa of the wrong sign in 1 row of 10", "local scale conditional",
                                       "global scale conditional", "b0 conditional", "V conditional", "z without the normaliser",
                                       "frozen sums of the gate lost", "phi redrawn between weight and z",
                                       "experts that stay where the gate exchanged them"};

struct Setting {
  const char* name;
  std::vector<Index> tree, leaves;
  int n, N;
  Index retain, scan_rows;
  PriorOptions prior = HorseshoeOptions{};
  // Each row in a direction of the gate of its own, the experts constant.  Else both see one feature, and the
  // gate its square.
  bool fresh = false;
  bool relabel = false;  // K=2: the labels of each posterior draw at random, which is exact by symmetry
  std::vector<NodeSpec> nodes = {};  // of a nested gate; empty: the tree of logistic splits
  bool relocating = false;  // half of the particles propose to relocate an expert
  /// Rows of the coefficient table.
  int n_splits() const {
    if (nodes.empty()) return K() - 1;
    int rows = 0;
    for (const NodeSpec& node : nodes) rows += node.kind == NodeKind::logistic ? 1 : node.n_children();
    return rows;
  }
  int K() const { return int(leaves.size()); }
  int d() const { return fresh ? 1 : 2; }
  int p() const { return fresh ? n + 1 : 3; }
};

constexpr GaussianOptions expert_options = {2.0, 0.1, 1.0, 10.0, 1.0};  // those of the Python API: b0 and V are learned

constexpr LaplaceNodeOptions laplace_options{2.0, 1.5};

/// n rows and a new one.
struct Design {
  std::vector<double> X, U;
  explicit Design(const Setting& s) {
    for (int i = 0; i <= s.n; ++i)
      if (s.fresh) {
        X.push_back(1);
        for (int j = 0; j <= s.n; ++j) U.push_back(j == 0 || j == i % s.n + 1);
      } else {
        // Asymmetric, and with large logits: a sign error must not hide.  Early rows span the range.
        const double turn = 0.6180339887498949 * (i + 1), t = -1.0 + 2.6 * (turn - std::floor(turn));
        X.insert(X.end(), {1.0, t});
        U.insert(U.end(), {1.0, 1.5 * t + 0.4, t * t - 0.3});
      }
  }
};

struct Model {
  std::unique_ptr<Expert<W>> expert;
  std::unique_ptr<Gate<W>> gate;
};

Model make_model(const Setting& s, Fault fault) {
  auto make_gate = [&]() -> std::unique_ptr<Gate<W>> {
    std::unique_ptr<GatePrior<W>> prior;
    const int p = s.p();
    const bool nested = !s.nodes.empty();
    const int nodes = nested ? NestedGate<W>::n_penalised(NodeTree(s.nodes, s.leaves)) : s.K() - 1;
    if (const auto* o = std::get_if<HorseshoeOptions>(&s.prior)) prior = std::make_unique<Horseshoe<W>>(nodes, p, *o);
    else prior = std::make_unique<NormalPrior<W>>(nodes, p, std::get<NormalPriorOptions>(s.prior));
    const bool local = fault == Fault::local_scale, global = fault == Fault::global_scale;
    if (local || global) prior = std::make_unique<faults::WrongScales<W>>(std::move(prior), local, global);
    if (nested)
      return std::make_unique<NestedGate<W>>(NodeTree(s.nodes, s.leaves), p, std::move(prior), laplace_options);
    return std::make_unique<TreeGate<W>>(Tree(s.tree, s.leaves), p, std::move(prior));
  };
  Model m{std::make_unique<GaussianExpert<W>>(s.K(), s.d(), expert_options), make_gate()};
  if (fault == Fault::none) return m;
  faults::FaultyGate<W>::Faults gate;
  faults::FaultyExpert<W>::Faults expert;
  gate.renews = fault == Fault::late_redraw;
  gate.flipped = fault == Fault::flipped_kappa ? 1.0 : fault == Fault::tenth_flipped ? 0.1 : 0.0;
  gate.loses_frozen = fault == Fault::lost_frozen;
  expert.b0_precision = fault == Fault::b0 ? 2.0 : 1.0;
  expert.beta_of_scale = fault == Fault::coefficient_scale ? 2.0 : 1.0;
  expert.stays = fault == Fault::experts_stay;
  expert.no_normaliser = fault == Fault::no_normaliser;
  if (fault == Fault::redrawn_phi) {
    expert.redrawn = gate.redrawn = std::make_shared<faults::Stash<W>>();
    expert.gate = make_gate();
  }
  return {std::make_unique<faults::FaultyExpert<W>>(std::move(m.expert), s.K(), expert),
          std::make_unique<faults::FaultyGate<W>>(std::move(m.gate), s.K(), gate)};
}

/// A point of the parameter space; the model, written anew.
struct Parameters {
  const Setting& s;
  std::vector<double> phi, lambda, beta, s2, b0, V;
  double tau;

  /// log g_k(u; phi).
  std::vector<double> log_gate(const double* u) const {
    std::vector<double> log_g(s.leaves.size(), 0.0);
    const double* row = phi.data();
    for (const NodeSpec& node : s.nodes) {
      std::vector<double> score(std::size_t(node.n_children()), 0.0);
      for (int c = 0; c < node.n_children(); ++c) {
        if (node.kind == NodeKind::logistic && c == 1) break;  // its score is 0
        double linear = 0, square = 0;
        for (int j = 0; j < s.p(); ++j) {
          linear += u[j] * row[j];
          if (j > 0) square += (u[j] - row[j]) * (u[j] - row[j]);
        }
        score[std::size_t(c)] = node.kind == NodeKind::laplace ? row[0] - std::sqrt(square) : linear;
        row += s.p();
      }
      const double total = log_sum_exp(score.data(), node.n_children());
      for (int c = 0; c < node.n_children(); ++c)
        for (Index at = node.bounds[std::size_t(c)]; at < node.bounds[std::size_t(c) + 1]; ++at)
          log_g[s.leaves[at]] += score[std::size_t(c)] - total;
    }
    for (int l = 0; s.nodes.empty() && l < s.K() - 1; ++l) {
      const Index low = s.tree[3 * l], middle = s.tree[3 * l + 1], high = s.tree[3 * l + 2];
      double psi = 0;
      for (int j = 0; j < s.p(); ++j) psi += u[j] * phi[l * s.p() + j];
      for (Index at = low; at < high; ++at) log_g[s.leaves[at]] -= std::log1p(std::exp(at < middle ? -psi : psi));
    }
    return log_g;
  }
  double mean(const double* x, int k) const {
    double m = 0;
    for (int j = 0; j < s.d(); ++j) m += x[j] * beta[k * s.d() + j];
    return m;
  }
  double log_density(const double* x, const double* u, double y) const {
    std::vector<double> joint = log_gate(u);
    for (int k = 0; k < s.K(); ++k) {
      const double e = y - mean(x, k);
      joint[k] -= 0.5 * (std::log(6.283185307179586 * s2[k]) + e * e / s2[k]);
    }
    return log_sum_exp(joint.data(), s.K());
  }
  /// Of K=2 with the experts' names exchanged: as probable as before, under the prior and given data.
  void exchange() {
    for (double& v : phi) v = -v;
    for (auto* of_experts : {&beta, &s2, &b0, &V})
      std::swap_ranges(of_experts->begin(), of_experts->begin() + of_experts->size() / 2,
                       of_experts->begin() + of_experts->size() / 2);
  }
  double draw_y(const double* x, const double* u, Stream<1>& rng) const {
    const Mask<1> one = Mask<1>::all_true();
    const std::vector<double> log_g = log_gate(u);
    double v = uniform<1>(rng, one)[0];
    int k = 0;
    while (k + 1 < s.K() && v > std::exp(log_g[k])) v -= std::exp(log_g[k++]);
    return mean(x, k) + std::sqrt(s2[k]) * normal<1>(rng, one)[0];
  }
};

/// Draws parameters from the prior, and given the states of particles.
class Reader {
 public:
  Reader(const Model& m, const Setting& s)
      : m_(m), s_(s), expert_(W * m.expert->fields()), gate_(W * m.gate->fields()), draw_(m.expert->draw_lanes()),
        work_(std::max(m.expert->work_lanes(), m.gate->work_lanes())) {}

  Parameters prior(Stream<W>& rng) {
    m_.expert->init(expert_.data(), rng, all_);
    m_.gate->init(gate_.data(), rng, all_, work_.data());
    m_.expert->draw_parameters(expert_.data(), rng, all_, draw_.data(), work_.data());
    return parameters(0);
  }
  std::vector<Parameters> posterior(const std::vector<const double*>& states, Stream<W>& rng) {
    const int E = m_.expert->fields(), G = m_.gate->fields();
    std::vector<Parameters> out;
    for (std::size_t first = 0; first < states.size(); first += W) {
      for (int w = 0; w < W; ++w) {
        const double* state = states[std::min(first + w, states.size() - 1)];
        for (int f = 0; f < E; ++f) expert_[f * W + w] = state[f];
        for (int f = 0; f < G; ++f) gate_[f * W + w] = state[E + f];
      }
      m_.expert->draw_parameters(expert_.data(), rng, all_, draw_.data(), work_.data());
      for (int w = 0; w < W && first + w < states.size(); ++w) out.push_back(parameters(w));
    }
    return out;
  }

 private:
  Parameters parameters(int lane) const {
    const int M = s_.n_splits() * s_.p(), d = s_.d(), stride = m_.expert->fields() / s_.K();
    Parameters q{s_, std::vector<double>(M), std::vector<double>(M), {}, {}, {}, {}, 0.0};
    std::vector<double> inclusion(M);
    m_.gate->describe(gate_.data(), lane, q.phi.data(), q.lambda.data(), inclusion.data(), &q.tau);
    for (int k = 0; k < s_.K(); ++k) {
      const Lane<W>* b = draw_.data() + k * (d + 2);
      for (int j = 0; j < d; ++j) q.beta.push_back(b[j][lane]);
      q.s2.push_back(1 / b[d][lane]);
      const double* end = &expert_[W * (k + 1) * stride];  // its last fields
      q.b0.push_back(end[-W + lane]);
      q.V.push_back(1 / end[-2 * W + lane]);
    }
    return q;
  }
  const Model& m_;
  const Setting& s_;
  Mask<W> all_ = Mask<W>::all_true();
  AlignedVector<double> expert_, gate_;
  std::vector<Lane<W>> draw_, work_;
};

struct Quantity {
  std::string name;
  double value;
};

std::vector<Quantity> quantities(const Parameters& q, const Design& design, const std::vector<double>& y,
                                 double y_new) {
  const Setting& s = q.s;
  const int d = s.d(), p = s.p();
  std::vector<Quantity> v;
  auto add = [&](const char* name, const std::vector<double>& values, int columns) {
    for (int i = 0; i < int(values.size()); ++i) {
      if (std::isnan(values[i])) continue;  // a scale that the prior does not have
      v.push_back({name + std::to_string(i / columns), values[i]});
      if (columns > 1) v.back().name += "," + std::to_string(i % columns);
    }
  };
  add("phi ", q.phi, p);
  add("lambda ", q.lambda, p);
  add("tau ", {q.tau}, 1);
  add("beta ", q.beta, d);
  add("s2 ", q.s2, 1);
  add("b0 ", q.b0, 1);
  add("V ", q.V, 1);
  double log_likelihood = 0, last = 0;
  for (int i = 0; i < s.n; ++i) log_likelihood += last = q.log_density(&design.X[i * d], &design.U[i * p], y[i]);
  v.push_back({"least s2", *std::min_element(q.s2.begin(), q.s2.end())});
  v.push_back({"largest s2", *std::max_element(q.s2.begin(), q.s2.end())});
  v.push_back({"log likelihood", log_likelihood});
  v.push_back({"of last row", last});
  v.push_back({"new y", y_new});
  return v;
}

void replicate(const Setting& s, Fault fault, std::uint64_t seed, std::vector<RankHistogram>& histograms) {
  const Design design(s);
  const int d = s.d(), p = s.p(), n = s.n;
  const double *x_new = &design.X[n * d], *u_new = &design.U[n * p];
  const Model right = make_model(s, Fault::none);
  Reader reader(right, s);
  Stream<W> rng = stream_of<W>(4 * seed + 1);
  Stream<1> noise = stream_of<1>(4 * seed + 2);
  const Parameters truth = reader.prior(rng);
  std::vector<double> y;
  for (int i = 0; i <= n; ++i) y.push_back(truth.draw_y(&design.X[i * d], &design.U[i * p], noise));

  EngineConfig c;
  c.n_experts = s.K();
  c.n_particles = s.N;
  c.expert_dim = d;
  c.gate_dim = p;
  c.retain = s.retain;
  c.scan_rows = s.scan_rows;
  c.exchange_rows = 250;  // no effect on K=2
  c.relocations = s.relocating ? s.N / 2 : 0;
  c.relocation_tries = 3;
  std::vector<std::uint64_t> seeds((s.N + 1) * 4);
  fill_words(4 * seed + 3, seeds.data(), seeds.size());
  Model model = make_model(s, fault);
  ParticleFilter<W> filter(c, std::move(model.expert), std::move(model.gate), seeds);
  filter.learn({n, design.X.data(), design.U.data(), y.data()}, 1, {}, nullptr, {});

  // L particles by weight, all different unless one weighs more than 1/L.
  const EngineState state = filter.state();
  std::vector<double> weight;
  for (double v : state.log_weight) weight.push_back(std::exp(v));
  Index chosen[L];
  resample_systematic(weight.data(), weight.size(), L, uniform<1>(noise, Mask<1>::all_true())[0], chosen);
  std::vector<const double*> states;
  for (Index i : chosen) states.push_back(&state.particles[i * (state.particles.size() / s.N)]);

  const std::vector<Quantity> of_truth = quantities(truth, design, y, y[n]);
  std::vector<int> rank(of_truth.size(), 0);
  for (Parameters& q : reader.posterior(states, rng)) {
    if (s.relabel && uniform<1>(noise, Mask<1>::all_true())[0] < 0.5) q.exchange();
    const std::vector<Quantity> v = quantities(q, design, y, q.draw_y(x_new, u_new, noise));
    for (std::size_t i = 0; i < v.size(); ++i) rank[i] += v[i].value < of_truth[i].value;
  }
  double cdf;
  filter.cdf({1, x_new, u_new, &y[n]}, 1, &cdf);
  rank.push_back(std::min(L, int(cdf * (L + 1))));

  if (histograms.empty()) {
    for (const Quantity& q : of_truth) histograms.emplace_back(q.name, L);
    histograms.emplace_back("new y, cdf", L);
  }
  for (std::size_t i = 0; i < rank.size(); ++i) histograms[i].add(rank[i]);
}

Verdict calibrate(const Setting& s, Fault fault, int replications, bool print) {
  const std::clock_t start = std::clock();
  std::vector<RankHistogram> histograms;
  std::uint64_t seed = 0;  // of its own for a setting, the same for all faults
  for (const char* c = s.name; *c; ++c) seed = 31 * seed + std::uint64_t(*c);
  for (int r = 0; r < replications; ++r) replicate(s, fault, (seed << 20) + std::uint64_t(r), histograms);
  const Verdict v = verdict(histograms);
  std::printf("%s (n=%d N=%d retain=%d scan_rows=%d), fault: %s; %d replications, %.1f s\n", s.name, s.n, s.N,
              int(s.retain), int(s.scan_rows), fault_names[int(fault)], replications,
              double(std::clock() - start) / CLOCKS_PER_SEC);
  std::printf("  p = %.1e; most of all %s: chi2(7) %.1f, trend %.2f, dispersion %.2f\n", v.p, v.quantity.c_str(),
              v.tests.chi2, v.tests.trend, v.tests.dispersion);
  if (print) {
    RankHistogram::print_header();
    for (const RankHistogram& h : histograms) h.print();
  }
  return v;
}

void must_pass(const Setting& s, int replications, bool print, Fault fault = Fault::none) {
  CHECK(calibrate(s, fault, replications, print).p > 1e-3);
}
void must_fail(const Setting& s, int replications, bool print, const std::vector<Fault>& faults) {
  for (Fault f : faults) CHECK(calibrate(s, f, replications, print).p < 1e-6);
}

}  // namespace

int main(int argc, char** argv) {
  const bool thorough = argc > 1 && std::strcmp(argv[1], "long") == 0;
  const std::vector<Index> two = {0, 1, 2};
  constexpr Index all = -1, product = 500;  // rows that a rejuvenation of the Python API visits
  const NormalPriorOptions wide{8.0, 8.0};

  // One scan an event is as exact as the many of the product, and cheap.
  Setting plain{"K=2", two, {0, 1}, 20, 128, all, 0};
  Setting frozen{"K=2, frozen rows", two, {0, 1}, 30, 256, 4, 0};
  // Steep gates and rows that each meet an untried direction: g is near 0 or 1, and which of them is not
  // known.  Then p(z | y) = E[g_z] f_z / sum_k E[g_k] f_k follows f, while z given a phi redrawn in disregard
  // of y, E[g_z f_z / sum_k g_k f_k], does not: it is E[g_z] for g in {0, 1}.
  Setting passing{"K=2, no scans, steep gate", two, {0, 1}, 8, 512, 0, 0, wide, true};
  const std::vector<Index> comb = {0, 1, 3, 1, 2, 3};
  auto nested = [](const char* name, std::vector<NodeSpec> nodes, int N, bool group = false) {
    Setting s{name, {}, {}, 20, N, all, 0};
    for (Index k = nodes[0].bounds.back(); k-- > 0;) s.leaves.push_back(k);
    s.nodes = std::move(nodes);
    HorseshoeOptions prior;
    prior.group = group;
    s.prior = prior;
    return s;
  };
  const std::vector<NodeSpec> softmax = {{NodeKind::softmax, {0, 1, 2}}}, laplace = {{NodeKind::laplace, {0, 1, 2}}},
                              mixed = {{NodeKind::softmax, {0, 2, 3}}, {NodeKind::laplace, {0, 1, 2}}};
  Setting relocated{"K=3 comb, relocations", comb, {2, 0, 1}, 20, 64, all, 0};
  relocated.relocating = true;
  if (!thorough) {
    must_pass(relocated, 200, false);
    must_pass({"K=2, scans of the product", two, {0, 1}, 20, 64, all, product}, 100, false);
    must_pass({"K=3 comb", comb, {2, 0, 1}, 20, 128, all, 0}, 200, false);
    must_fail({"K=3 comb", comb, {2, 0, 1}, 20, 128, all, 0}, 700, false, {Fault::experts_stay});
    must_pass(plain, 400, false);
    must_fail(plain, 150, false, {Fault::flipped_kappa, Fault::global_scale, Fault::b0, Fault::coefficient_scale});
    must_fail(plain, 300, false, {Fault::local_scale});
    must_fail(plain, 500, false, {Fault::tenth_flipped});
    must_pass(frozen, 300, false);
    must_fail(frozen, 150, false, {Fault::lost_frozen});
    must_pass(passing, 400, false);
    must_pass(passing, 200, false, Fault::late_redraw);
    must_fail(passing, 200, false, {Fault::redrawn_phi});
    must_pass(nested("softmax", softmax, 128), 200, false);
    must_fail(nested("softmax", softmax, 128), 150, false, {Fault::flipped_kappa, Fault::global_scale});
    must_pass(nested("Laplace", laplace, 128), 200, false);
    must_fail(nested("Laplace", laplace, 128), 150, false, {Fault::flipped_kappa});
    return report("sbc");
  }

  // Too few particles: the deviation goes as 1/N.
  for (int N : {32, 128, 512}) {
    plain.N = N;
    calibrate(plain, Fault::none, 6000, true);
  }
  plain.N = 512;
  frozen.N = 2048;
  frozen.retain = 8;
  must_pass(plain, 3000, true);
  must_fail(plain, 1000, true, {Fault::flipped_kappa, Fault::tenth_flipped, Fault::local_scale, Fault::global_scale,
                                Fault::b0, Fault::coefficient_scale});
  must_fail(plain, 6000, true, {Fault::no_normaliser});
  must_pass(frozen, 3000, true);
  must_fail(frozen, 1000, true, {Fault::lost_frozen});
  passing.N = 1024;
  must_pass(passing, 3000, true);
  must_pass(passing, 3000, true, Fault::late_redraw);
  must_fail(passing, 1000, true, {Fault::redrawn_phi});
  // Where phi hardly depends on one row the redraw does little: how little, for the record.
  calibrate(plain, Fault::redrawn_phi, 3000, true);
  must_pass({"K=2, scans of the product", two, {0, 1}, 20, 256, all, product}, 1500, true);
  must_pass({"K=2, frozen rows, scans of the product", two, {0, 1}, 30, 256, 8, product}, 1500, true);
  relocated.N = 256;
  must_pass(relocated, 1000, true);
  must_pass({"K=3 comb, scans of the product", comb, {2, 0, 1}, 20, 256, all, product}, 1000, true);
  const std::vector<Index> crest = {0, 2, 3, 0, 1, 2}, balanced = {0, 2, 4, 0, 1, 2, 2, 3, 4};
  must_pass({"K=3 (0, 1 | 2), scans of the product", crest, {0, 1, 2}, 20, 256, all, product}, 400, true);
  must_pass({"K=4 balanced, scans of the product", balanced, {0, 1, 2, 3}, 20, 256, all, product}, 400, true);
  must_pass(nested("softmax", softmax, 512), 2000, true);
  must_fail(nested("softmax", softmax, 512), 1000, true, {Fault::tenth_flipped, Fault::local_scale, Fault::global_scale});
  must_pass(nested("softmax, group horseshoe", softmax, 512, true), 500, true);
  must_pass(nested("Laplace", laplace, 512), 2000, true);
  must_fail(nested("Laplace", laplace, 512), 300, true, {Fault::flipped_kappa});
  must_pass(nested("softmax over Laplace", mixed, 512), 1000, true);
  // The deviation of small N is in the labels.
  Setting relabelled{"K=2, labels at random", two, {0, 1}, 20, 256, all, 0};
  relabelled.relabel = true;
  must_pass(relabelled, 6000, true);
  return report("sbc");
}
