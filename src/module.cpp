// One extension module a SIMD level: _core_base, _core_v3, _core_v4.
#include "bindings.hpp"

PYBIND11_MODULE(HSMOE_MODULE, m) {
  m.doc() = "The compiled core of hsmoe at SIMD level " HSMOE_LEVEL;
  using namespace hsmoe::bind;
  bind_errors(m);
  bind_config(m);
  bind_resampling(m);
  bind_linalg(m);
  bind_engine(m);
}
