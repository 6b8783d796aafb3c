// What the binding files share: array types, shape checks, one function a topic.
#pragma once

#include <string>

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <hsmoe/error.hpp>
#include <hsmoe/expert/expert_options.hpp>
#include <hsmoe/types.hpp>

namespace hsmoe::bind {

namespace py = pybind11;

// Inputs are cast and made contiguous by numpy; outputs are fresh.
template <class T>
using Input = py::array_t<T, py::array::c_style | py::array::forcecast>;
using Doubles = Input<double>;
using Indices = Input<Index>;
using Words = Input<std::uint64_t>;

inline void check_shape(const char* function, const char* name, const py::array& a, std::initializer_list<Index> shape) {
  bool ok = a.ndim() == py::ssize_t(shape.size());
  std::string wanted;
  py::ssize_t i = 0;
  for (Index s : shape) {
    ok = ok && (s < 0 || a.shape(i) == s);
    wanted += (i++ ? ", " : "") + (s < 0 ? std::string("any") : std::to_string(s));
  }
  if (ok) return;
  std::string got;
  for (py::ssize_t j = 0; j < a.ndim(); ++j) got += (j ? ", " : "") + std::to_string(a.shape(j));
  throw InvalidArgument(std::string(function) + ": " + name + " has shape (" + got + "), but must have shape (" + wanted + ")");
}

/// A new array that owns its memory.
template <class T>
py::array_t<T> new_array(std::initializer_list<Index> shape) {
  return py::array_t<T>(std::vector<py::ssize_t>(shape.begin(), shape.end()));
}
template <class T>
py::array_t<T> to_array(const std::vector<T>& v, std::initializer_list<Index> shape) {
  py::array_t<T> a = new_array<T>(shape);
  std::copy(v.begin(), v.end(), a.mutable_data());
  return a;
}

inline double option(const py::dict& d, const char* key, double fallback) {
  return d.contains(key) ? d[key].cast<double>() : fallback;
}
ExpertOptions expert_options(const py::dict& d);

void bind_errors(py::module_& m);
void bind_resampling(py::module_& m);
void bind_linalg(py::module_& m);
void bind_engine(py::module_& m);
void bind_law(py::module_& m);

}  // namespace hsmoe::bind
