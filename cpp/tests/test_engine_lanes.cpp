// The same engine at any number of lanes and threads gives the same bits (built without contraction of
// multiply-adds, as the base level is), and failed calls leave it as it was.
#include <cstring>
#include <optional>

#include <hsmoe/filter/make_engine.hpp>

#include "check.hpp"

using namespace hsmoe;

namespace {

struct Data {
  int n = 160, d = 4;
  std::vector<double> X, y;
  Data() {
    std::vector<std::uint64_t> words = {11, 22, 33, 44};
    Stream<1> rng = Stream<1>::load(words.data());
    const Mask<1> all = Mask<1>::all_true();
    for (int i = 0; i < n; ++i) {
      X.push_back(1);
      for (int j = 1; j < d; ++j) X.push_back(normal<1>(rng, all)[0]);
      const double* x = &X[i * d];
      y.push_back((x[1] > 0 ? 1 + 2 * x[2] : -x[3]) + 0.2 * normal<1>(rng, all)[0]);
    }
  }
};

using Nodes = std::vector<NodeSpec>;
const Nodes mixed = {{NodeKind::laplace, {0, 2, 3}}, {NodeKind::softmax, {0, 1, 2}}};

// No nodes: the tree of logistic splits.
struct GateCase {
  Nodes nodes;
  bool group;
};

std::vector<GateCase> gates() {
  const Nodes softmax = {{NodeKind::softmax, {0, 1, 2, 3}}}, laplace = {{NodeKind::laplace, {0, 1, 2, 3}}},
              softmax_laplace = {{NodeKind::softmax, {0, 2, 3}}, {NodeKind::laplace, {0, 1, 2}}},
              laplace_logistic = {{NodeKind::laplace, {0, 2, 3}}, {NodeKind::logistic, {0, 1, 2}}};
  return {{{}, false},      {{}, true},      {softmax, false},          {softmax, true},
          {laplace, false}, {mixed, false},  {softmax_laplace, false},  {laplace_logistic, true}};
}

EngineConfig config(Index retain) {
  EngineConfig c;
  c.n_experts = 3;
  c.n_particles = 21;  // not a multiple of any W > 1
  c.n_islands = 2;
  c.expert_dim = c.gate_dim = 4;
  c.tree = {0, 1, 3, 1, 2, 3};
  c.leaves = {2, 0, 1};
  c.gate_prior = HorseshoeOptions{};
  c.retain = retain;
  if (retain > 0) c.forgetting = {0.99, 1.0};
  if (retain > 0) c.pool_memory = 0.99;
  if (retain > 0) c.early_particles = 45, c.early_rows = 37;
  c.exchange_rows = retain ? 60 : 0;
  c.relocations = retain ? 16 : 0;
  c.relocation_rows = 10;
  c.relocation_tries = 3;
  auto& expert = std::get<GaussianOptions>(c.expert);
  expert.b0_shape = expert.coefficient_shape = retain ? 1.0 : 0.0;
  return c;
}

std::vector<std::uint64_t> seeds(const EngineConfig& c) {
  std::vector<std::uint64_t> s;
  for (int i = 0; i < c.n_islands * (c.first_particles() + 1) * 4; ++i) s.push_back(0x9e3779b97f4a7c15ull * std::uint64_t(i + 1));
  return s;
}

template <int W>
EngineState run(const Data& data, const EngineConfig& c, int jobs, int chunk, std::vector<double>* crps = nullptr) {
  auto engine = make_engine<W>(c, seeds(c));
  std::vector<double> scores(data.n);
  for (int i = 0; i < data.n; i += chunk) {
    ForecastPath forecast;
    forecast.crps = scores.data() + i;
    engine->learn({std::min(chunk, data.n - i), &data.X[i * data.d], &data.X[i * data.d], &data.y[i]}, jobs, {},
                  crps ? &forecast : nullptr, {});
  }
  if (crps) *crps = scores;
  return engine->state();
}

// Every other kind of expert, with targets of its own made of those of the data.
struct Kind {
  ExpertOptions options;
  double (*target)(double);
};

std::vector<Kind> kinds() {
  StudentOptions student;
  student.shape_grid = {2.5, 5, 10};
  LogitOptions logit;
  logit.n_classes = 3;
  logit.offset = {0.3, -0.2};
  BinomialOptions binomial;
  binomial.n_trials = 4;
  NegativeBinomialOptions count;
  count.shape_grid = {0.5, 2, 8};
  count.intercept_variance = 1.0;  // means of 1e8 would make the CRPS of every row a long quadrature
  count.coefficient_variance = 0.5;
  const auto real = [](double y) { return y; };
  const auto coarse = [](double y) { return std::fmin(std::fmax(std::floor(y + 1), 0.0), 2.0); };
  return {{student, real}, {LaplaceOptions{}, real}, {logit, coarse}, {binomial, coarse},
          {count, [](double y) { return std::floor(std::exp(0.5 * y + 0.5)); }}};
}

bool same(const EngineState& a, const EngineState& b) {
  auto equal = [](const auto& u, const auto& v) {
    return u.size() == v.size() && (u.empty() || std::memcmp(u.data(), v.data(), u.size() * sizeof(u[0])) == 0);
  };
  return a.n_rows == b.n_rows && equal(a.particles, b.particles) && equal(a.log_weight, b.log_weight) &&
         equal(a.island_log_evidence, b.island_log_evidence) && equal(a.streams, b.streams) &&
         equal(a.retained_xy, b.retained_xy) && a.resampling_log.n_events() == b.resampling_log.n_events() &&
         a.scan_log.n_events() == b.scan_log.n_events();
}

// What the gate has learned must be about the rows of the same experts, exchanges of experts included: the constant
// of h, sum kappa, is half the rows that went left minus half those that went right.
void gate_and_experts_agree(const EngineState& s) {
  const EngineConfig c = config(-1);
  const int K = c.n_experts, d = c.expert_dim, p = c.gate_dim;
  const GaussianExpert<1> expert(K, d, std::get<GaussianOptions>(c.expert));
  const Horseshoe<1> prior(K - 1, p, HorseshoeOptions{});
  const Index node = packed_size(p) + 2 * p + prior.node_fields();  // A, h, phi, scales
  const Index fields = expert.fields() + (K - 1) * node + prior.global_fields();
  std::vector<double> coefficients(K * d), variance(K), shape(K), counts(K);
  double worst = 0;
  for (Index i = 0; i < c.n_particles * c.n_islands; ++i) {
    AlignedVector<double> particle(s.particles.begin() + i * fields, s.particles.begin() + (i + 1) * fields);
    expert.describe(particle.data(), 0, coefficients.data(), variance.data(), shape.data(), counts.data());
    const double* at[2] = {counts.data() + 2, counts.data()};  // the comb over the leaves 2, 0, 1
    const double right[2] = {counts[0] + counts[1], counts[1]};
    for (int l = 0; l < 2; ++l) {
      const double h = particle[expert.fields() + l * node + packed_size(p)];
      worst = std::fmax(worst, std::abs(h - 0.5 * (*at[l] - right[l])));
    }
  }
  CHECK(worst < 1e-9);
}

// Draws of every second particle, twice each, with their terms at ten rows.
template <int W>
void draw_from(const Data& data, int jobs, std::optional<double> change_rate, std::vector<double>& out) {
  EngineConfig c = config(30);
  c.change_rate = change_rate;
  auto engine = make_engine<W>(c, seeds(c));
  engine->learn({data.n, data.X.data(), data.X.data(), data.y.data()}, 1, {}, nullptr, {});
  const EngineState before = engine->state();
  std::vector<Index> particles;
  for (Index i = 0; i < 42; i += 2) particles.insert(particles.end(), 2, i);
  const Index M = Index(particles.size()), K = 3, n = 10;
  std::vector<std::vector<double>> parts;
  parts.reserve(10);
  const auto space = [&parts](Index size) { return parts.emplace_back(std::size_t(size), 0.0).data(); };
  PosteriorDraws to;
  to.coefficients = space(M * K * 4);
  to.noise_variance = space(M * K);
  to.shape = space(M * K);
  to.counts = space(M * K);
  to.open = space(M * K);
  to.phi = space(M * 2 * 4);
  to.local_scale = space(M * 2 * 4);
  to.global_scale = space(M);
  to.log_gate = space(M * n * K);
  to.log_density = space(M * n * K);
  EngineConfig other = c;
  other.n_particles = 50;
  engine->draw(particles, seeds(other).data(), {n, data.X.data(), data.X.data(), data.y.data()}, jobs, to);
  double n_open = 0.0;
  for (Index i = 0; i < M * K; ++i) n_open += to.open[i];
  CHECK(change_rate ? n_open >= double(M) && n_open < double(M * K) : n_open == 0.0);
  out.clear();
  for (const auto& values : parts)
    for (double v : values) out.push_back(std::isnan(v) ? -1.0 : v);  // the local scale of an intercept
  CHECK(out[0] != out[std::size_t(K * 4)]);  // two draws of one particle differ
  CHECK(same(before, engine->state()));
}

// A row that the gate sends to one expert and only the other explains, both beyond the range of doubles: the forecast made
// on the way, from products of probabilities where they suffice, is that of the sums of logarithms.
template <int W>
void far_row() {
  EngineConfig c;
  c.n_experts = 2;
  c.n_particles = 5;
  c.expert_dim = c.gate_dim = 2;
  c.tree = {0, 1, 2};
  c.leaves = {0, 1};
  c.gate_prior = NormalPriorOptions{1e4, 1.5};
  GaussianOptions expert;
  expert.b0_shape = 0.0;
  c.expert = expert;
  auto engine = make_engine<W>(c, seeds(c));
  std::vector<std::uint64_t> words = {5, 6, 7, 8};
  Stream<1> rng = Stream<1>::load(words.data());
  double lowest = 0.0;
  for (int i = 0; i <= 400; ++i) {
    const double side = i % 2 ? 1.0 : -1.0, x[2] = {1.0, side * (i == 400 ? 100.0 : 1.0)};
    const double y = (side > 0) != (i == 400) ? 1e6 : normal<1>(rng, Mask<1>::all_true())[0];
    const Rows row{1, x, x, &y};
    double before, on_the_way;
    engine->log_density(row, 1, &before);
    ForecastPath forecast;
    forecast.log_density = &on_the_way;
    engine->learn(row, 1, {}, &forecast, {});
    CHECK_CLOSE(on_the_way, before, 1e-10 * (1.0 + std::abs(before)));
    lowest = std::fmin(lowest, before);
  }
  std::printf("lowest log density of a row: %.1f\n", lowest);
  CHECK(lowest < -700.0);  // below the smallest double
}

}  // namespace

int main() {
  far_row<1>();
  far_row<8>();

  const Data data;
  for (const GateCase& gate : gates())
    for (Index retain : {Index(0), Index(30), Index(-1)}) {
      EngineConfig c = config(retain);
      c.nodes = gate.nodes;
      std::get<HorseshoeOptions>(c.gate_prior).group = gate.group;
      if (retain == 0 && !gate.nodes.empty()) {  // nothing to learn from
        bool thrown = false;
        try {
          make_engine<4>(c, seeds(c));
        } catch (const InvalidArgument&) {
          thrown = true;
        }
        CHECK(thrown);
        continue;
      }
      std::vector<double> crps[3];
      const EngineState reference = run<1>(data, c, 1, data.n, &crps[0]);
      CHECK(reference.resampling_log.n_events() > 3);
      CHECK(retain == 0 || reference.scan_log.n_events() > 3);
      CHECK(same(reference, run<2>(data, c, 1, data.n, &crps[1])));
      CHECK(same(reference, run<4>(data, c, 2, 7)));
      CHECK(same(reference, run<8>(data, c, 3, 1, &crps[2])));
      CHECK(same(reference, run<1>(data, c, 3, 50)));
      CHECK(crps[0] == crps[1]);
      CHECK(crps[0] == crps[2]);
    }
  for (Index retain : {Index(30), Index(-1)}) {  // leaves that open and close, and are free again
    EngineConfig c = config(retain);
    c.change_rate = 0.05;
    std::vector<double> crps[3];
    const EngineState reference = run<1>(data, c, 1, data.n, &crps[0]);
    CHECK(reference.scan_log.n_events() > 3);
    CHECK(same(reference, run<2>(data, c, 1, data.n, &crps[1])));
    CHECK(same(reference, run<4>(data, c, 2, 7)));
    CHECK(same(reference, run<8>(data, c, 3, 1, &crps[2])));
    CHECK(crps[0] == crps[1] && crps[0] == crps[2]);
    auto engine = make_engine<4>(c, seeds(c));
    engine->set_state(reference);
    double total = 0;
    for (double v : engine->n_experts_posterior()) total += v;
    CHECK_CLOSE(total, 1.0, 1e-12);
    EngineState wrong = reference;  // the last number of a particle without frozen sums: where its last expert closed
    if (retain < 0) {
      wrong.particles.back() = double(wrong.n_rows + 1);
      bool thrown = false;
      try {
        engine->set_state(wrong);
      } catch (const InvalidArgument&) {
        thrown = true;
      }
      CHECK(thrown && same(reference, engine->state()));
    }
  }
  for (const Kind& kind : kinds())
    for (const Nodes& nodes : {Nodes{}, mixed})
      for (Index retain : {Index(nodes.empty() ? 0 : -1), Index(30)}) {
        Data other = data;
        other.n = 70;
        for (double& y : other.y) y = kind.target(y);
        EngineConfig c = config(retain);
        c.nodes = nodes;
        c.expert = kind.options;
        std::vector<double> crps[3];
        const EngineState reference = run<1>(other, c, 1, other.n, &crps[0]);
        CHECK(reference.resampling_log.n_events() > 3);
        CHECK(same(reference, run<2>(other, c, 2, 7, &crps[1])));
        CHECK(same(reference, run<8>(other, c, 3, 1, &crps[2])));
        CHECK(crps[0] == crps[1]);
        CHECK(crps[0] == crps[2]);
        // A target that the experts cannot have is refused, and nothing has moved.
        auto engine = make_engine<4>(c, seeds(c));
        engine->set_state(reference);
        std::vector<double> bad(other.y.begin(), other.y.begin() + 5);
        bad[3] = 0.5;
        if (kind.target(0.5) == 0.5) continue;
        bool thrown = false;
        try {
          engine->learn({5, other.X.data(), other.X.data(), bad.data()}, 1, {}, nullptr, {});
        } catch (const InvalidArgument&) {
          thrown = true;
        }
        CHECK(thrown && same(reference, engine->state()));
      }
  for (int n = 1; n <= 60; ++n) {  // after each of the rows that may end in an exchange
    Data young;
    young.n = n;
    gate_and_experts_agree(run<4>(young, config(-1), 1, n));
  }

  // Draws of the parameters: the same bits too, and the particles are only read.
  for (std::optional<double> change_rate : {std::optional<double>(), std::optional<double>(0.05)}) {
    std::vector<double> draws[3];
    draw_from<1>(data, 1, change_rate, draws[0]);
    draw_from<4>(data, 2, change_rate, draws[1]);
    draw_from<8>(data, 3, change_rate, draws[2]);
    CHECK(draws[0] == draws[1]);
    CHECK(draws[0] == draws[2]);
  }

  // A row that no particle can explain: the call throws, and nothing has moved.
  const EngineConfig c = config(30);
  auto engine = make_engine<4>(c, seeds(c));
  engine->learn({100, data.X.data(), data.X.data(), data.y.data()}, 1, {}, nullptr, {});
  const EngineState before = engine->state();
  std::vector<double> bad(data.y.begin() + 100, data.y.begin() + 140);
  bad[33] = 1e200;
  for (Index n : {Index(40), Index(1)}) {
    bool thrown = false;
    const Index first = n == 1 ? 33 : 0;
    try {
      engine->learn({n, &data.X[(100 + first) * 4], &data.X[(100 + first) * 4], &bad[first]}, 2, {}, nullptr, {});
    } catch (const NumericalError&) {
      thrown = true;
    }
    CHECK(thrown);
    CHECK(same(before, engine->state()));
  }
  // Continue from a state read back.
  auto resumed = make_engine<2>(c, seeds(c));
  resumed->set_state(before);
  engine->learn({60, &data.X[400], &data.X[400], &data.y[100]}, 1, {}, nullptr, {});
  resumed->learn({60, &data.X[400], &data.X[400], &data.y[100]}, 1, {}, nullptr, {});
  CHECK(same(engine->state(), resumed->state()));
  return report("engine lanes");
}
