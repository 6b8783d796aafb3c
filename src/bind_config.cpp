// What is running: for bug reports and benchmarks.
#include "bindings.hpp"

namespace hsmoe::bind {

void bind_config(py::module_& m) {
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
