// One extension module a SIMD level: _core_base, _core_v3, _core_v4.
#include <hsmoe/c_api.h>

#include "bindings.hpp"

namespace hsmoe::bind {

// What is running: for bug reports and benchmarks.
static void bind_config(py::module_& m) {
  m.attr("LEVEL") = HSMOE_LEVEL;
  m.attr("LANES") = HSMOE_LANES;
  m.def("build_config", [] {
    py::dict d;
    d["version"] = HSMOE_VERSION;
    d["level"] = HSMOE_LEVEL;
    d["lanes"] = HSMOE_LANES;
#if defined(__clang__)
    d["compiler"] = "clang " __clang_version__;
#else
    d["compiler"] = "gcc " __VERSION__;
#endif
    d["cplusplus"] = long(__cplusplus);
    d["eigen"] = HSMOE_EIGEN_VERSION;
    d["pybind11"] = std::to_string(PYBIND11_VERSION_MAJOR) + "." + std::to_string(PYBIND11_VERSION_MINOR);
#ifdef NDEBUG
    d["assertions"] = false;
#else
    d["assertions"] = true;
#endif
    return d;
  });
}

}  // namespace hsmoe::bind

PYBIND11_MODULE(HSMOE_MODULE, m) {
  m.doc() = "The compiled core of hsmoe at SIMD level " HSMOE_LEVEL;
  using namespace hsmoe::bind;
  bind_errors(m);
  bind_config(m);
  bind_resampling(m);
  bind_linalg(m);
  bind_engine(m);
  bind_law(m);
  // The sampler of this level, for hsmoe.random (Cython) to draw from without the GIL.
  m.attr("_random_api") = py::capsule(hsmoe_random_functions(), "hsmoe._random_api");
}
