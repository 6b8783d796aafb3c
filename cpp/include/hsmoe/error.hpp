// Errors of the core.  The bindings map InvalidArgument to ValueError and
// NumericalError to hsmoe.NumericalError; nothing else is thrown on purpose.
#pragma once

#include <cmath>
#include <sstream>
#include <stdexcept>
#include <string>

namespace hsmoe {

struct InvalidArgument : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

struct NumericalError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

namespace detail {
template <class T>
[[noreturn]] inline void invalid(const char* function, const char* name, const T& value,
                                 const char* requirement) {
  std::ostringstream message;
  message.precision(17);
  message << function << ": " << name << " is " << value << ", but must be " << requirement;
  throw InvalidArgument(message.str());
}
}  // namespace detail

// check_*(function, name, value): one line a check at the top of a public function.
template <class T>
void check_positive(const char* function, const char* name, T value) {
  if (!(value > T(0)) || !std::isfinite(static_cast<double>(value)))
    detail::invalid(function, name, value, "positive and finite");
}
template <class T>
void check_at_least(const char* function, const char* name, T value, T bound) {
  if (!(value >= bound)) detail::invalid(function, name, value, ("at least " + std::to_string(bound)).c_str());
}
inline void check_between(const char* function, const char* name, double value, double low, double high) {
  if (!(value >= low && value <= high))
    detail::invalid(function, name, value,
                    ("between " + std::to_string(low) + " and " + std::to_string(high)).c_str());
}

}  // namespace hsmoe
