// One row of data, as the layers see it.
#pragma once

#include <hsmoe/types.hpp>

namespace hsmoe {

struct Row {
  const double* x;   // (expert_dim) expert design, leading 1
  const double* u;   // (gate_dim) gate design, leading 1
  const double* uu;  // packed u u', made once a row
  double y;
};

}  // namespace hsmoe
