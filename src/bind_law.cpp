// Options of the experts, and the law of their forecasts on components that were taken from an engine.
#include <pybind11/stl.h>

#include <hsmoe/predictive/forecast_components.hpp>

#include "bindings.hpp"

namespace hsmoe::bind {
namespace {

template <class Options>
Options noise_options(const py::dict& d) {
  Options o;
  o.a0 = option(d, "a0", o.a0);
  o.b0 = option(d, "b0", o.b0);
  o.b0_shape = option(d, "b0_shape", o.b0_shape);
  o.coefficient_variance = option(d, "coefficient_variance", o.coefficient_variance);
  o.coefficient_shape = option(d, "coefficient_shape", o.coefficient_shape);
  return o;
}

template <class Options>
Options augmented_options(const py::dict& d) {
  Options o = noise_options<Options>(d);
  o.intercept_variance = option(d, "intercept_variance", o.intercept_variance);
  if (d.contains("shape_grid")) o.shape_grid = d["shape_grid"].cast<std::vector<double>>();
  if (d.contains("offset")) o.offset = d["offset"].cast<std::vector<double>>();
  return o;
}

}  // namespace

ExpertOptions expert_options(const py::dict& d) {
  const auto kind = d["kind"].cast<std::string>();
  if (kind == "gaussian") return noise_options<GaussianOptions>(d);
  if (kind == "student") return augmented_options<StudentOptions>(d);
  if (kind == "laplace") return augmented_options<LaplaceOptions>(d);
  if (kind == "negative-binomial") return augmented_options<NegativeBinomialOptions>(d);
  if (kind == "logit") {
    auto o = augmented_options<LogitOptions>(d);
    o.n_classes = int(option(d, "n_classes", o.n_classes));
    return o;
  }
  if (kind == "binomial") {
    auto o = augmented_options<BinomialOptions>(d);
    o.n_trials = option(d, "n_trials", o.n_trials);
    return o;
  }
  throw InvalidArgument("Engine: expert kind '" + kind +
                        "' is not one of gaussian, student, laplace, logit, binomial, negative-binomial");
}

namespace {

ForecastComponents components_of(const ForecastLaw& law, const char* function, const Doubles& weight, const Doubles& field) {
  check_shape(function, "weight", weight, {-1, -1});
  check_shape(function, "field", field, {weight.shape(0), law.fields(), weight.shape(1)});
  return {weight.shape(0), weight.shape(1), weight.data(), field.data()};
}

using Score = void (ForecastLaw::*)(const ForecastComponents&, const double*, Index, double*) const;

template <Score score>
py::array_t<double> scored(const ForecastLaw& law, const Doubles& weight, const Doubles& field, const Doubles& y) {
  const ForecastComponents c = components_of(law, "ForecastLaw", weight, field);
  check_shape("ForecastLaw", "y", y, {c.n, -1});
  const Index n_values = y.shape(1);
  auto out = new_array<double>({c.n, n_values});
  double* data = out.mutable_data();
  const double* values = y.data();
  py::gil_scoped_release release;
  (law.*score)(c, values, n_values, data);
  return out;
}

}  // namespace

void bind_law(py::module_& m) {
  using namespace py::literals;
  py::class_<ForecastLaw>(m, "ForecastLaw", py::module_local())
      .def(py::init([](const py::dict& expert) { return std::make_unique<ForecastLaw>(expert_options(expert)); }), "expert"_a)
      .def("moments", [](const ForecastLaw& law, const Doubles& weight, const Doubles& field) {
        const ForecastComponents c = components_of(law, "ForecastLaw.moments", weight, field);
        auto mean = new_array<double>({c.n}), variance = new_array<double>({c.n});
        double *a = mean.mutable_data(), *b = variance.mutable_data();
        {
          py::gil_scoped_release release;
          law.moments(c, a, b);
        }
        return py::make_tuple(mean, variance);
      }, "weight"_a, "field"_a)
      .def("quantiles", [](const ForecastLaw& law, const Doubles& weight, const Doubles& field, const Doubles& probs) {
        const ForecastComponents c = components_of(law, "ForecastLaw.quantiles", weight, field);
        check_shape("ForecastLaw.quantiles", "probs", probs, {-1});
        auto out = new_array<double>({c.n, probs.size()});
        double* data = out.mutable_data();
        const double* q = probs.data();
        const int n_probs = int(probs.size());
        py::gil_scoped_release release;
        law.quantiles(c, q, n_probs, data);
        return out;
      }, "weight"_a, "field"_a, "probs"_a)
      .def("cdf", &scored<&ForecastLaw::cdf>, "weight"_a, "field"_a, "y"_a)
      .def("log_density", &scored<&ForecastLaw::log_density>, "weight"_a, "field"_a, "y"_a)
      .def("crps", &scored<&ForecastLaw::crps>, "weight"_a, "field"_a, "y"_a)
      .def("sample", [](const ForecastLaw& law, const Doubles& weight, const Doubles& field, Index n_samples, const Words& seed) {
        const ForecastComponents c = components_of(law, "ForecastLaw.sample", weight, field);
        check_shape("ForecastLaw.sample", "seed", seed, {4});
        check_at_least("ForecastLaw.sample", "n_samples", n_samples, Index(1));
        auto out = new_array<double>({c.n, n_samples});
        double* data = out.mutable_data();
        const std::uint64_t* words = seed.data();
        py::gil_scoped_release release;
        law.sample(c, n_samples, words, data);
        return out;
      }, "weight"_a, "field"_a, "n_samples"_a, "seed"_a);
}

}  // namespace hsmoe::bind
