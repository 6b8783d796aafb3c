// The engine: convert, validate shapes, release the GIL, call.
#include <algorithm>
#include <limits>
#include <optional>

#include <pybind11/stl.h>

#include <hsmoe/filter/engine.hpp>

#include "bindings.hpp"

namespace hsmoe::bind {
namespace {

// A model that learns must not be read or taught from elsewhere, another thread or a signal handler.
struct Reading {
  explicit Reading(const Engine& e) : use(e.use) {
    if (!use.try_read())
      throw std::runtime_error("this model is learning in another thread; wait until it has finished, or give each "
                               "thread a model of its own (from_bytes(to_bytes()) copies one)");
  }
  ~Reading() { use.end_read(); }
  EngineUse& use;
};
struct Changing {
  explicit Changing(const Engine& e) : use(e.use) {
    if (!use.try_change())
      throw std::runtime_error("this model is in use by another thread and cannot learn now; wait until that has "
                               "finished, or give each thread a model of its own");
  }
  ~Changing() { use.end_change(); }
  EngineUse& use;
};

PriorOptions prior_options(const py::dict& d) {
  const auto kind = d["kind"].cast<std::string>();
  if (kind == "horseshoe" || kind == "group-horseshoe") {
    HorseshoeOptions o;
    o.tau0 = option(d, "tau0", o.tau0);
    o.slab = option(d, "slab", o.slab);
    o.intercept_sd = option(d, "intercept_sd", o.intercept_sd);
    o.group = kind == "group-horseshoe";
    return o;
  }
  if (kind == "horseshoe-paper") return HorseshoeOptions::paper();
  if (kind == "normal") {
    NormalPriorOptions o;
    o.scale = option(d, "scale", o.scale);
    o.intercept_sd = option(d, "intercept_sd", o.intercept_sd);
    return o;
  }
  throw InvalidArgument("Engine: gate_prior kind '" + kind + "' is not one of horseshoe, group-horseshoe, horseshoe-paper, normal");
}

NodeKind node_kind(const std::string& name) {
  if (name == "logistic") return NodeKind::logistic;
  if (name == "softmax") return NodeKind::softmax;
  if (name == "laplace") return NodeKind::laplace;
  throw InvalidArgument("Engine: node kind '" + name + "' is not one of logistic, softmax, laplace");
}

PhiKernel phi_kernel(const std::string& name) {
  if (name == "sweep") return PhiKernel::sweep;
  if (name == "block") return PhiKernel::block;
  throw InvalidArgument("Engine: phi_kernel '" + name + "' is not one of sweep, block");
}

std::unique_ptr<Engine> build(int n_experts, int n_particles, int n_islands, int expert_dim, int gate_dim,
                              const std::vector<std::pair<std::string, std::vector<Index>>>& nodes, const Indices& tree,
                              const Indices& leaves, const py::dict& gate_prior, const py::dict& laplace_node,
                              const py::dict& expert, double ess_threshold, const std::string& kernel, Index retain, int n_scans, Index scan_rows,
                              Index exchange_rows, int relocations, Index relocation_rows, int relocation_tries, Index open_rows, int early_particles, Index early_rows, const Doubles& forgetting,
                              double pool_memory, std::optional<double> change_rate, const std::optional<py::dict>& variational, const Words& seeds, Index stored_fields) {
  check_at_least("Engine", "n_experts", n_experts, 1);
  check_at_least("Engine", "n_particles", n_particles, 1);
  check_at_least("Engine", "n_islands", n_islands, 1);
  if (nodes.empty()) check_shape("Engine", "tree", tree, {n_experts - 1, 3});
  check_shape("Engine", "leaves", leaves, {n_experts});
  EngineConfig c;
  c.n_experts = n_experts;
  c.n_particles = n_particles;
  c.n_islands = n_islands;
  c.early_particles = early_particles;
  c.early_rows = early_rows;
  check_shape("Engine", "seeds", seeds, {Index(n_islands) * (c.first_particles() + 1), 4});
  c.expert_dim = expert_dim;
  c.gate_dim = gate_dim;
  for (const auto& [kind, bounds] : nodes) c.nodes.push_back({node_kind(kind), bounds});
  c.laplace_node.centre_sd = option(laplace_node, "centre_sd", c.laplace_node.centre_sd);
  c.laplace_node.intercept_sd = option(laplace_node, "intercept_sd", c.laplace_node.intercept_sd);
  c.tree.assign(tree.data(), tree.data() + tree.size());
  c.leaves.assign(leaves.data(), leaves.data() + leaves.size());
  c.gate_prior = prior_options(gate_prior);
  c.expert = expert_options(expert);
  c.ess_threshold = ess_threshold;
  c.phi_kernel = phi_kernel(kernel);
  c.retain = retain;
  c.n_scans = n_scans;
  c.scan_rows = scan_rows;
  c.exchange_rows = exchange_rows;
  c.relocations = relocations;
  c.relocation_rows = relocation_rows;
  c.relocation_tries = relocation_tries;
  c.open_rows = open_rows;
  c.forgetting.assign(forgetting.data(), forgetting.data() + forgetting.size());
  c.pool_memory = pool_memory;
  c.change_rate = change_rate;
  c.stored_fields = stored_fields;
  if (variational) {
    VariationalOptions o;
    o.diagonal = option(*variational, "diagonal", o.diagonal) != 0;
    o.sampled_rows = Index(option(*variational, "sampled_rows", double(o.sampled_rows)));
    c.variational = o;
  }
  return make_engine(c, std::vector<std::uint64_t>(seeds.data(), seeds.data() + seeds.size()));
}

Rows rows_of(const Engine& e, const char* f, const Doubles* X, const Doubles* U, const Doubles* y) {
  const Index n = (X ? *X : *U).ndim() == 2 ? (X ? *X : *U).shape(0) : 0;
  if (X) check_shape(f, "X", *X, {n, e.config().expert_dim});
  if (U) check_shape(f, "U", *U, {n, e.config().gate_dim});
  if (y) check_shape(f, "y", *y, {n});
  return {n, X ? X->data() : nullptr, U ? U->data() : nullptr, y ? y->data() : nullptr};
}

// Ctrl-C between rows: the pending signal becomes the Python exception.
void poll_signals() {
  py::gil_scoped_acquire acquire;
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
}

py::dict learn(Engine& e, const Doubles& X, const Doubles& U, const Doubles& y, int n_jobs, const ForecastPath* forecast) {
  const Changing changing(e);
  const Rows rows = rows_of(e, "Engine.learn", &X, &U, &y);
  auto evidence = new_array<double>({rows.n}), ess = new_array<double>({rows.n});
  auto resampled = new_array<Index>({rows.n});
  const LearnPath path{evidence.mutable_data(), ess.mutable_data(), resampled.mutable_data()};
  {
    py::gil_scoped_release release;
    e.learn(rows, n_jobs, path, forecast, poll_signals);
  }
  py::dict d;
  d["log_evidence"] = evidence;
  d["ess"] = ess;
  d["resampled"] = resampled;
  return d;
}

py::dict prequential(Engine& e, const Doubles& X, const Doubles& U, const Doubles& y, int n_jobs, bool with_crps) {
  const Index n = y.size();
  auto mean = new_array<double>({n}), variance = new_array<double>({n}), density = new_array<double>({n}),
       cdf = new_array<double>({n}), crps = new_array<double>({n}),
       expert_weight = new_array<double>({n, e.config().n_experts}), proba = new_array<double>({n, e.n_classes()});
  std::fill_n(crps.mutable_data(), n, std::numeric_limits<double>::quiet_NaN());
  const ForecastPath forecast{mean.mutable_data(), variance.mutable_data(), density.mutable_data(), cdf.mutable_data(),
                              with_crps ? crps.mutable_data() : nullptr, expert_weight.mutable_data(),
                              e.n_classes() ? proba.mutable_data() : nullptr};
  py::dict d = learn(e, X, U, y, n_jobs, &forecast);
  d["mean"] = mean;
  d["variance"] = variance;
  d["log_density"] = density;
  d["cdf"] = cdf;
  d["crps"] = crps;
  d["expert_weight"] = expert_weight;
  d["class_proba"] = proba;
  return d;
}

// One value a row of (X, U, y) by one of the engine's scoring functions.
using Score = void (Engine::*)(const Rows&, int, double*) const;
template <Score score>
py::array_t<double> scored(const Engine& e, const Doubles& X, const Doubles& U, const Doubles& y, int n_jobs) {
  const Reading reading(e);
  const Rows rows = rows_of(e, "Engine", &X, &U, &y);
  auto out = new_array<double>({rows.n});
  double* data = out.mutable_data();
  py::gil_scoped_release release;
  (e.*score)(rows, n_jobs, data);
  return out;
}

py::dict particle(const Engine& e, Index i) {
  const Reading reading(e);
  const ParticleReport r = e.particle(i);
  const Index K = e.config().n_experts, splits = e.n_splits(), p = e.config().gate_dim, d = e.n_coefficients();
  py::dict out;
  out["weight"] = r.weight;
  out["phi"] = to_array(r.phi, {splits, p});
  out["local_scale"] = to_array(r.local_scale, {splits, p});
  out["global_scale"] = r.global_scale;
  out["coefficients"] = to_array(r.coefficients, {K, d});
  out["noise_variance"] = to_array(r.noise_variance, {K});
  out["shape"] = to_array(r.shape, {K});
  out["counts"] = to_array(r.counts, {K});
  return out;
}

template <class Event, class T>
py::array column(const std::vector<Event>& events, T Event::* field) {
  auto out = new_array<T>({Index(events.size())});
  for (std::size_t i = 0; i < events.size(); ++i) out.mutable_data()[i] = events[i].*field;
  return out;
}

py::dict log_dict(const std::vector<ResamplingEvent>& events) {
  using E = ResamplingEvent;
  using namespace py::literals;
  return py::dict("row"_a = column(events, &E::row), "island"_a = column(events, &E::island),
                  "ess"_a = column(events, &E::ess), "unique"_a = column(events, &E::unique));
}

py::dict log_dict(const std::vector<ScanEvent>& events) {
  using E = ScanEvent;
  using namespace py::literals;
  return py::dict("row"_a = column(events, &E::row), "island"_a = column(events, &E::island),
                  "n_scans"_a = column(events, &E::n_scans), "n_rows"_a = column(events, &E::n_rows),
                  "forced"_a = column(events, &E::forced));
}

// Draws of M particles, (M, ...); with the terms of their mixtures at n rows, (M, n, K).
py::dict draw(const Engine& e, const Indices& particles, const Words& seeds, const Doubles& X, const Doubles& U,
              const std::optional<Doubles>& y, int n_jobs) {
  const Reading reading(e);
  check_shape("Engine.draw", "particles", particles, {-1});
  const Index M = particles.size(), K = e.config().n_experts, splits = e.n_splits(), p = e.config().gate_dim;
  check_shape("Engine.draw", "seeds", seeds, {M, 4});
  const Rows rows = rows_of(e, "Engine.draw", &X, &U, y ? &*y : nullptr);
  const std::vector<Index> numbers(particles.data(), particles.data() + M);
  py::dict d;
  const auto part = [&d](const char* name, std::initializer_list<Index> shape) {
    auto values = new_array<double>(shape);
    d[name] = values;
    return values.mutable_data();
  };
  PosteriorDraws out;
  out.coefficients = part("coefficients", {M, K, e.n_coefficients()});
  out.noise_variance = part("noise_variance", {M, K});
  out.shape = part("shape", {M, K});
  out.counts = part("counts", {M, K});
  out.open = part("open", {M, K});
  out.phi = part("phi", {M, splits, p});
  out.local_scale = part("local_scale", {M, splits, p});
  out.global_scale = part("global_scale", {M});
  out.log_gate = part("log_gate", {M, rows.n, K});
  out.log_density = y ? part("log_density", {M, rows.n, K}) : nullptr;
  std::fill_n(out.open, M * K, 1.0);
  const std::uint64_t* words = seeds.data();
  {
    py::gil_scoped_release release;
    e.draw(numbers, words, rows, n_jobs, out);
  }
  return d;
}

py::dict get_state(const Engine& e) {
  const Reading reading(e);
  const EngineState s = e.state();
  const Index R = e.config().n_islands, N = e.n_particles();
  py::dict out;
  for (auto item : log_dict(s.resampling_log.events())) out[py::str("resampling_" + item.first.cast<std::string>())] = item.second;
  for (auto item : log_dict(s.scan_log.events())) out[py::str("scan_" + item.first.cast<std::string>())] = item.second;
  out["resampling_dropped"] = to_array(std::vector<Index>{s.resampling_log.n_dropped()}, {1});
  out["scan_dropped"] = to_array(std::vector<Index>{s.scan_log.n_dropped()}, {1});
  out["n_rows"] = to_array(std::vector<Index>{s.n_rows}, {1});
  out["particles"] = to_array(s.particles, {R, N, Index(s.particles.size()) / (R * N)});
  out["log_weight"] = to_array(s.log_weight, {R, N});
  out["island_log_evidence"] = to_array(s.island_log_evidence, {R});
  out["log_share"] = to_array(s.log_share, {R});
  out["log_evidence"] = to_array(std::vector<double>{s.log_evidence}, {1});
  out["streams"] = to_array(s.streams, {R, N + 1, 4});
  const Index width = e.config().expert_dim + 1, n = Index(s.retained_xy.size()) / width;
  out["first_retained"] = to_array(std::vector<Index>{s.first_retained}, {1});
  out["retained_xy"] = to_array(s.retained_xy, {n, width});
  out["retained_u"] = to_array(s.retained_u, {n, e.config().gate_dim});
  if (e.config().variational) out["responsibility"] = to_array(s.responsibility, {R, n, Index(e.config().n_experts)});
  out["frozen_until"] = to_array(s.frozen_until, {R});
  out["rows_at_scan"] = to_array(s.rows_at_scan, {R});
  return out;
}

// Exactly the dtype that get_state gave: a state is read, never converted.
template <class T>
std::vector<T> state_array(const py::dict& d, const char* name) {
  if (!d.contains(name)) throw InvalidArgument(std::string("Engine.set_state: array '") + name + "' is missing");
  if (!py::isinstance<py::array_t<T>>(d[name]))
    throw InvalidArgument(std::string("Engine.set_state: array '") + name + "' has the wrong dtype");
  const auto a = Input<T>::ensure(d[name]);
  return std::vector<T>(a.data(), a.data() + a.size());
}

template <class T>
T state_number(const py::dict& d, const char* name) {
  const auto values = state_array<T>(d, name);
  if (values.size() != 1) throw InvalidArgument(std::string("Engine.set_state: array '") + name + "' must hold one number");
  return values[0];
}

void set_state(Engine& e, const py::dict& d) {
  EngineState s;
  s.n_rows = state_number<Index>(d, "n_rows");
  s.first_retained = state_number<Index>(d, "first_retained");
  s.retained_xy = state_array<double>(d, "retained_xy");
  s.retained_u = state_array<double>(d, "retained_u");
  if (e.config().variational) s.responsibility = state_array<double>(d, "responsibility");
  s.frozen_until = state_array<Index>(d, "frozen_until");
  s.rows_at_scan = state_array<Index>(d, "rows_at_scan");
  s.particles = state_array<double>(d, "particles");
  s.log_weight = state_array<double>(d, "log_weight");
  s.island_log_evidence = state_array<double>(d, "island_log_evidence");
  s.log_share = state_array<double>(d, "log_share");
  s.log_evidence = state_number<double>(d, "log_evidence");
  s.streams = state_array<std::uint64_t>(d, "streams");
  const auto row = state_array<Index>(d, "resampling_row"), island = state_array<Index>(d, "resampling_island"),
             unique = state_array<Index>(d, "resampling_unique");
  const auto ess = state_array<double>(d, "resampling_ess");
  if (island.size() != row.size() || unique.size() != row.size() || ess.size() != row.size())
    throw InvalidArgument("Engine.set_state: the arrays 'resampling_*' differ in length");
  std::vector<ResamplingEvent> resamplings;
  for (std::size_t i = 0; i < row.size(); ++i) resamplings.push_back({row[i], island[i], ess[i], unique[i]});
  s.resampling_log = {std::move(resamplings), state_number<Index>(d, "resampling_dropped")};
  const auto scan_row = state_array<Index>(d, "scan_row"), scan_island = state_array<Index>(d, "scan_island"),
             n_scans = state_array<Index>(d, "scan_n_scans"), n_visited = state_array<Index>(d, "scan_n_rows");
  const auto forced = state_array<bool>(d, "scan_forced");
  for (std::size_t size : {scan_island.size(), n_scans.size(), n_visited.size(), forced.size()})
    if (size != scan_row.size()) throw InvalidArgument("Engine.set_state: the arrays 'scan_*' differ in length");
  std::vector<ScanEvent> scans;
  for (std::size_t i = 0; i < scan_row.size(); ++i)
    scans.push_back({scan_row[i], scan_island[i], n_scans[i], n_visited[i], bool(forced[i])});
  s.scan_log = {std::move(scans), state_number<Index>(d, "scan_dropped")};
  const Changing changing(e);
  e.set_state(s);
}

}  // namespace

void bind_engine(py::module_& m) {
  using namespace py::literals;
  py::class_<Engine>(m, "Engine", py::module_local())
      .def(py::init(&build), py::kw_only(), "n_experts"_a, "n_particles"_a, "n_islands"_a, "expert_dim"_a, "gate_dim"_a,
           "nodes"_a, "tree"_a, "leaves"_a, "gate_prior"_a, "laplace_node"_a, "expert"_a, "ess_threshold"_a, "phi_kernel"_a,
           "retain"_a = Index(0), "n_scans"_a = 1, "scan_rows"_a = Index(0), "exchange_rows"_a = Index(0), "relocations"_a = 0, "relocation_rows"_a = Index(1), "relocation_tries"_a = 1, "open_rows"_a = Index(0), "early_particles"_a = 0,
           "early_rows"_a = Index(0), "forgetting"_a = Doubles(0), "pool_memory"_a = 1.0, "change_rate"_a = py::none(), "variational"_a = py::none(), "seeds"_a, "stored_fields"_a = Index(0))
      .def("learn", [](Engine& e, const Doubles& X, const Doubles& U, const Doubles& y, int n_jobs) {
        return learn(e, X, U, y, n_jobs, nullptr);
      }, "X"_a, "U"_a, "y"_a, "n_jobs"_a)
      .def("prequential", &prequential, "X"_a, "U"_a, "y"_a, "n_jobs"_a, "crps"_a)
      .def("moments", [](const Engine& e, const Doubles& X, const Doubles& U, int n_jobs) {
        const Reading reading(e);
        const Rows rows = rows_of(e, "Engine.moments", &X, &U, nullptr);
        auto mean = new_array<double>({rows.n}), variance = new_array<double>({rows.n});
        double *a = mean.mutable_data(), *b = variance.mutable_data();
        {
          py::gil_scoped_release release;
          e.moments(rows, n_jobs, a, b);
        }
        return py::make_tuple(mean, variance);
      }, "X"_a, "U"_a, "n_jobs"_a)
      .def("quantiles", [](const Engine& e, const Doubles& X, const Doubles& U, const Doubles& probs, int n_jobs) {
        const Reading reading(e);
        const Rows rows = rows_of(e, "Engine.quantiles", &X, &U, nullptr);
        check_shape("Engine.quantiles", "probs", probs, {-1});
        auto out = new_array<double>({rows.n, probs.size()});
        double* data = out.mutable_data();
        const double* q = probs.data();
        const int n_probs = int(probs.size());
        py::gil_scoped_release release;
        e.quantiles(rows, q, n_probs, n_jobs, data);
        return out;
      }, "X"_a, "U"_a, "probs"_a, "n_jobs"_a)
      .def("cdf", &scored<&Engine::cdf>, "X"_a, "U"_a, "y"_a, "n_jobs"_a)
      .def("log_density", &scored<&Engine::log_density>, "X"_a, "U"_a, "y"_a, "n_jobs"_a)
      .def("crps", &scored<&Engine::crps>, "X"_a, "U"_a, "y"_a, "n_jobs"_a)
      .def("class_proba", [](const Engine& e, const Doubles& X, const Doubles& U, int n_jobs) {
        const Reading reading(e);
        const Rows rows = rows_of(e, "Engine.class_proba", &X, &U, nullptr);
        auto out = new_array<double>({rows.n, e.n_classes()});
        double* data = out.mutable_data();
        py::gil_scoped_release release;
        if (e.n_classes()) e.class_proba(rows, n_jobs, data);
        return out;
      }, "X"_a, "U"_a, "n_jobs"_a)
      .def("sample", [](const Engine& e, const Doubles& X, const Doubles& U, Index n_samples, const Words& seed) {
        const Reading reading(e);
        const Rows rows = rows_of(e, "Engine.sample", &X, &U, nullptr);
        check_shape("Engine.sample", "seed", seed, {4});
        check_at_least("Engine.sample", "n_samples", n_samples, Index(1));
        auto out = new_array<double>({rows.n, n_samples});
        double* data = out.mutable_data();
        const std::uint64_t* words = seed.data();
        py::gil_scoped_release release;
        e.sample(rows, n_samples, words, data);
        return out;
      }, "X"_a, "U"_a, "n_samples"_a, "seed"_a)
      .def("components", [](const Engine& e, const Doubles& X, const Doubles& U, int n_jobs) {
        const Reading reading(e);
        const Rows rows = rows_of(e, "Engine.components", &X, &U, nullptr);
        auto weight = new_array<double>({rows.n, e.n_components()});
        auto field = new_array<double>({rows.n, e.n_component_fields(), e.n_components()});
        double *a = weight.mutable_data(), *b = field.mutable_data();
        {
          py::gil_scoped_release release;
          e.components(rows, n_jobs, a, b);
        }
        return py::make_tuple(weight, field);
      }, "X"_a, "U"_a, "n_jobs"_a)
      .def("gate_proba", [](const Engine& e, const Doubles& U, int n_jobs) {
        const Reading reading(e);
        const Rows rows = rows_of(e, "Engine.gate_proba", nullptr, &U, nullptr);
        auto mean = new_array<double>({rows.n, e.config().n_experts}), sd = new_array<double>({rows.n, e.config().n_experts});
        double *a = mean.mutable_data(), *b = sd.mutable_data();
        {
          py::gil_scoped_release release;
          e.gate_proba(rows, n_jobs, a, b);
        }
        return py::make_tuple(mean, sd);
      }, "U"_a, "n_jobs"_a)
      .def("active_experts", [](const Engine& e, const Doubles& U, double mass, int n_jobs) {
        const Reading reading(e);
        const Rows rows = rows_of(e, "Engine.active_experts", nullptr, &U, nullptr);
        check_between("Engine.active_experts", "mass", mass, 0.0, 1.0);
        auto out = new_array<double>({e.config().n_experts});
        double* data = out.mutable_data();
        py::gil_scoped_release release;
        e.active_experts(rows, mass, n_jobs, data);
        return out;
      }, "U"_a, "mass"_a, "n_jobs"_a)
      .def("n_experts_posterior", [](const Engine& e) {
        const Reading reading(e);
        return to_array(e.n_experts_posterior(), {e.config().n_experts});
      })
      .def("gate_inclusion", [](const Engine& e) {
        const Reading reading(e);
        return to_array(e.gate_inclusion(), {e.n_splits(), e.config().gate_dim});
      })
      .def("particle", &particle, "i"_a = Index(-1))
      .def("draw", &draw, "particles"_a, "seeds"_a, "X"_a, "U"_a, "y"_a, "n_jobs"_a)
      .def("log_weight", [](const Engine& e) {
        const Reading reading(e);
        return to_array(e.log_weight(), {e.config().n_islands, e.n_particles()});
      })
      .def("log_share", [](const Engine& e) {
        const Reading reading(e);
        return to_array(e.log_share(), {e.config().n_islands});
      })
      .def("scan_log", [](const Engine& e) {
        const Reading reading(e);
        return log_dict(e.scan_log().events());
      })
      .def("resampling_log", [](const Engine& e) {
        const Reading reading(e);
        return log_dict(e.resampling_log().events());
      })
      .def_property_readonly("n_resamplings", [](const Engine& e) {
        const Reading reading(e);
        return e.resampling_log().n_events();
      })
      .def("get_state", &get_state)
      .def("set_state", &set_state, "state"_a)
      .def_property_readonly("log_evidence", &Engine::log_evidence)
      .def_property_readonly("island_log_evidence", [](const Engine& e) {
        const Reading reading(e);
        return to_array(e.island_log_evidence(), {Index(e.island_log_evidence().size())});
      })
      .def_property_readonly("ess", [](const Engine& e) {
        const Reading reading(e);
        const auto v = e.ess();
        return to_array(v, {Index(v.size())});
      })
      .def_property_readonly("n_rows", &Engine::n_rows)
      .def_property_readonly("n_particles", &Engine::n_particles)
      .def_property_readonly("nbytes", &Engine::n_bytes);
}

}  // namespace hsmoe::bind
