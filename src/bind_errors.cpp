// The one place where errors of the core become Python's.
#include "bindings.hpp"

namespace hsmoe::bind {

void bind_errors(py::module_& m) {
  // hsmoe.NumericalError is an ArithmeticError: the arguments were valid, the numbers gave out.
  py::register_local_exception<NumericalError>(m, "NumericalError", PyExc_ArithmeticError);
  py::register_local_exception_translator([](std::exception_ptr p) {
    try {
      if (p) std::rethrow_exception(p);
    } catch (const InvalidArgument& e) {
      PyErr_SetString(PyExc_ValueError, e.what());
    }
  });
}

}  // namespace hsmoe::bind
