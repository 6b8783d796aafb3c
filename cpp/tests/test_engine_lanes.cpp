// The same engine at any number of lanes and threads gives the same bits (built without contraction of
// multiply-adds, as the base level is), and failed calls leave it as it was.
#include <cstring>

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

EngineConfig config(Index retain, const Nodes& nodes = {}) {
  EngineConfig c;
  c.n_experts = 3;
  c.n_particles = 21;  // not a multiple of any W > 1
  c.n_islands = 2;
  c.expert_dim = c.gate_dim = 4;
  c.tree = {0, 1, 3, 1, 2, 3};
  c.leaves = {2, 0, 1};
  c.nodes = nodes;
  c.gate_prior = HorseshoeOptions{};
  c.retain = retain;
  if (retain > 0) c.forgetting = {0.99, 1.0};
  if (retain > 0) c.pool_memory = 0.99;
  c.exchange_rows = retain ? 60 : 0;
  c.expert.b0_shape = retain ? 1.0 : 0.0;
  return c;
}

std::vector<std::uint64_t> seeds(const EngineConfig& c) {
  std::vector<std::uint64_t> s;
  for (int i = 0; i < c.n_islands * (c.n_particles + 1) * 4; ++i) s.push_back(0x9e3779b97f4a7c15ull * std::uint64_t(i + 1));
  return s;
}

template <int W>
EngineState run(const Data& data, Index retain, int jobs, int chunk, std::vector<double>* crps = nullptr,
                const Nodes& nodes = {}) {
  const EngineConfig c = config(retain, nodes);
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

bool same(const EngineState& a, const EngineState& b) {
  auto equal = [](const auto& u, const auto& v) {
    return u.size() == v.size() && std::memcmp(u.data(), v.data(), u.size() * sizeof(u[0])) == 0;
  };
  return a.n_rows == b.n_rows && equal(a.particles, b.particles) && equal(a.log_weight, b.log_weight) &&
         equal(a.island_log_evidence, b.island_log_evidence) && equal(a.streams, b.streams) &&
         equal(a.retained_xy, b.retained_xy) && a.resampling_log.size() == b.resampling_log.size() &&
         a.sweep_log.size() == b.sweep_log.size();
}

// What the gate has learned must be about the rows of the same experts, exchanges of experts included: the constant
// of h, sum kappa, is half the rows that went left minus half those that went right.
void gate_and_experts_agree(const EngineState& s) {
  const EngineConfig c = config(-1);
  const int K = c.n_experts, d = c.expert_dim, p = c.gate_dim;
  const GaussianExpert<1> expert(K, d, c.expert);
  const Horseshoe<1> prior(K - 1, p, HorseshoeOptions{});
  const Index node = packed_size(p) + 2 * p + prior.node_fields();  // A, h, phi, scales
  const Index fields = expert.fields() + (K - 1) * node + prior.global_fields();
  std::vector<double> coefficients(K * d), variance(K), counts(K);
  double worst = 0;
  for (Index i = 0; i < c.n_particles * c.n_islands; ++i) {
    AlignedVector<double> particle(s.particles.begin() + i * fields, s.particles.begin() + (i + 1) * fields);
    expert.describe(particle.data(), 0, coefficients.data(), variance.data(), counts.data());
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
void draw_from(const Data& data, int jobs, std::vector<double>& out) {
  const EngineConfig c = config(30);
  auto engine = make_engine<W>(c, seeds(c));
  engine->learn({data.n, data.X.data(), data.X.data(), data.y.data()}, 1, {}, nullptr, {});
  const EngineState before = engine->state();
  std::vector<Index> particles;
  for (Index i = 0; i < 42; i += 2) particles.insert(particles.end(), 2, i);
  const Index M = Index(particles.size()), K = 3, n = 10;
  const Index sizes[] = {M * K * 4, M * K, M * K, M * 2 * 4, M * 2 * 4, M, M * n * K, M * n * K};
  std::vector<double> part[8];
  for (int i = 0; i < 8; ++i) part[i].resize(std::size_t(sizes[i]));
  EngineConfig other = c;
  other.n_particles = 50;
  const PosteriorDraws to{part[0].data(), part[1].data(), part[2].data(), part[3].data(),
                          part[4].data(), part[5].data(), part[6].data(), part[7].data()};
  engine->draw(particles, seeds(other).data(), {n, data.X.data(), data.X.data(), data.y.data()}, jobs, to);
  out.clear();
  for (const auto& values : part)
    for (double v : values) out.push_back(std::isnan(v) ? -1.0 : v);  // the local scale of an intercept
  CHECK(out[0] != out[std::size_t(K * 4)]);  // two draws of one particle differ
  CHECK(same(before, engine->state()));
}

}  // namespace

int main() {
  const Data data;
  for (Index retain : {Index(0), Index(30), Index(-1)}) {
    std::vector<double> crps[3];
    const EngineState reference = run<1>(data, retain, 1, data.n, &crps[0]);
    CHECK(reference.resampling_log.size() > 3);
    CHECK(same(reference, run<2>(data, retain, 1, data.n, &crps[1])));
    CHECK(same(reference, run<4>(data, retain, 2, 7)));
    CHECK(same(reference, run<8>(data, retain, 3, 1, &crps[2])));
    CHECK(same(reference, run<1>(data, retain, 3, 50)));
    CHECK(crps[0] == crps[1]);
    CHECK(crps[0] == crps[2]);
  }
  const Nodes softmax = {{NodeKind::softmax, {0, 1, 2, 3}}}, laplace = {{NodeKind::laplace, {0, 1, 2, 3}}},
              mixed = {{NodeKind::laplace, {0, 2, 3}}, {NodeKind::logistic, {0, 1, 2}}};
  for (const Nodes& nodes : {softmax, laplace, mixed})
    for (Index retain : {Index(30), Index(-1)}) {
      std::vector<double> crps[2];
      const EngineState reference = run<1>(data, retain, 1, data.n, &crps[0], nodes);
      CHECK(reference.sweep_log.size() > 3);
      CHECK(same(reference, run<2>(data, retain, 1, data.n, nullptr, nodes)));
      CHECK(same(reference, run<4>(data, retain, 2, 7, nullptr, nodes)));
      CHECK(same(reference, run<8>(data, retain, 3, 1, &crps[1], nodes)));
      CHECK(crps[0] == crps[1]);
    }
  for (int n = 1; n <= 60; ++n) {  // after each of the rows that may end in an exchange
    Data young;
    young.n = n;
    gate_and_experts_agree(run<4>(young, -1, 1, n));
  }

  // Draws of the parameters: the same bits too, and the particles are only read.
  std::vector<double> draws[3];
  draw_from<1>(data, 1, draws[0]);
  draw_from<4>(data, 2, draws[1]);
  draw_from<8>(data, 3, draws[2]);
  CHECK(draws[0] == draws[1]);
  CHECK(draws[0] == draws[2]);

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
