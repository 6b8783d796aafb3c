#include <hsmoe/filter/resampling.hpp>

#include "bindings.hpp"

namespace hsmoe::bind {
namespace {

using Scheme = void (*)(const double*, std::size_t, std::size_t, const double*, Index*);

py::array_t<Index> resample(const char* name, Scheme scheme, const Doubles& W, Index M, const Doubles& u, Index n_uniforms) {
  check_shape(name, "W", W, {-1});
  if (W.size() == 0) throw InvalidArgument(std::string(name) + ": W is empty");
  check_at_least(name, "M", M, Index(1));
  check_shape(name, "u", u, {n_uniforms});
  py::array_t<Index> ancestors = new_array<Index>({M});
  const double *w = W.data(), *uniforms = u.data();
  Index* out = ancestors.mutable_data();
  const std::size_t n = std::size_t(W.size());
  {
    py::gil_scoped_release release;
    scheme(w, n, std::size_t(M), uniforms, out);
  }
  return ancestors;
}

void systematic(const double* W, std::size_t n, std::size_t M, const double* u, Index* ancestors) {
  resample_systematic(W, n, M, *u, ancestors);
}

}  // namespace

// resampling.py draws the uniforms and documents the schemes; u may be anything in [0, 1].
void bind_resampling(py::module_& m) {
  m.def("systematic", [](const Doubles& W, Index M, double u) {
    const Doubles one(1, &u);
    return resample("systematic", systematic, W, M, one, 1);
  }, py::arg("W"), py::arg("M"), py::arg("u"));
  m.def("stratified", [](const Doubles& W, Index M, const Doubles& u) {
    return resample("stratified", resample_stratified, W, M, u, M);
  }, py::arg("W"), py::arg("M"), py::arg("u"));
  m.def("residual", [](const Doubles& W, Index M, const Doubles& u) {
    return resample("residual", resample_residual, W, M, u, M);
  }, py::arg("W"), py::arg("M"), py::arg("u"));
  m.def("multinomial", [](const Doubles& W, Index M, const Doubles& u) {
    return resample("multinomial", resample_multinomial, W, M, u, M);
  }, py::arg("W"), py::arg("M"), py::arg("u"));
  m.def("ssp", [](const Doubles& W, Index M, const Doubles& u) {
    return resample("ssp", resample_ssp, W, M, u, W.size());
  }, py::arg("W"), py::arg("M"), py::arg("u"));
}

}  // namespace hsmoe::bind
