#include <cmath>

#include <hsmoe/linalg/cholesky_update.hpp>

#include "bindings.hpp"

namespace hsmoe::bind {
namespace {

std::string position(bool stack, Index matrix, Index i) {
  return stack ? "[" + std::to_string(matrix) + ", " + std::to_string(i) + "]" : "[" + std::to_string(i) + "]";
}

// L: (d, d) or (B, d, d); overwrite needs a writable C-contiguous float64 array (linalg.py sees to it).
// All or nothing over the stack.
py::array_t<double> update(const Doubles& given, const Doubles& x, int sign, bool overwrite) {
  constexpr const char* f = "cholesky_update";
  py::array_t<double> L = given;
  if (!overwrite) L = py::array_t<double>(std::vector<py::ssize_t>(given.shape(), given.shape() + given.ndim()), given.data());
  if (L.ndim() != 2 && L.ndim() != 3) check_shape(f, "L", L, {-1, -1});
  const bool stack = L.ndim() == 3;
  const Index d = L.shape(L.ndim() - 1), B = stack ? L.shape(0) : 1;
  if (stack) {
    check_shape(f, "L", L, {B, d, d});
    check_shape(f, "x", x, {B, d});
  } else {
    check_shape(f, "L", L, {d, d});
    check_shape(f, "x", x, {d});
  }
  if (sign != 1 && sign != -1) detail::invalid(f, "sign", sign, "+1 (update) or -1 (downdate)");
  double* factors = L.mutable_data();
  const double* rows = x.data();
  Index failed = -1;
  {
    py::gil_scoped_release release;
    for (Index i = 0; i < B * d; ++i) {
      const double x_i = rows[i], pivot = factors[i * d + i % d];
      if (!std::isfinite(x_i)) detail::invalid(f, ("x" + position(stack, i / d, i % d)).c_str(), x_i, "finite");
      if (!(pivot > 0) || !std::isfinite(pivot))
        detail::invalid(f, ("the diagonal of L at " + position(stack, i / d, i % d)).c_str(), pivot, "positive and finite");
    }
    std::vector<double> work(std::size_t(3 * d)), old;
    // A downdate of a stack may fail half-way: keep what was there to put it back.
    if (stack && sign < 0) old.assign(factors, factors + B * d * d);
    for (Index b = 0; b < B && failed < 0; ++b)
      if (!cholesky_update(factors + b * d * d, d, rows + b * d, sign, work.data())) failed = b;
    if (failed >= 0 && !old.empty()) std::copy(old.begin(), old.end(), factors);
  }
  if (failed < 0) return L;
  throw NumericalError(std::string(f) + ": the downdate" + (stack ? " of matrix " + std::to_string(failed) : "") +
                         " would not leave a positive definite matrix; L is as it was");
}

}  // namespace

void bind_linalg(py::module_& m) {
  m.def("cholesky_update", &update, py::arg("L"), py::arg("x"), py::arg("sign"), py::arg("overwrite"));
}

}  // namespace hsmoe::bind
