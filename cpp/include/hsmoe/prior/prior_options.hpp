// The priors a user can name, with their hyper-parameters.
#pragma once

#include <limits>
#include <variant>

namespace hsmoe {

struct HorseshoeOptions {
  double tau0 = 1.0;
  double slab = 10.0;
  double intercept_sd = 1.5;
  bool penalise_intercept = false;
  bool group = false;  // one more half-Cauchy scale a node

  static HorseshoeOptions paper() { return {1.0, std::numeric_limits<double>::infinity(), 1.0, true, false}; }
};

struct NormalPriorOptions {
  double scale = 1.0;
  double intercept_sd = 1.5;
};

using PriorOptions = std::variant<HorseshoeOptions, NormalPriorOptions>;

}  // namespace hsmoe
