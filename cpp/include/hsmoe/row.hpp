// Rows of data, as the layers see them.
#pragma once

#include <hsmoe/types.hpp>

namespace hsmoe {

struct Row {
  const double* x;   // (expert_dim) expert design, leading 1
  const double* u;   // (gate_dim) gate design, leading 1
  const double* uu;  // packed u u', made once a row
  double y;
  double at = 0.0;   // which row of the stream it is
};

/// At most `most` consecutive rows of the buffer, which scans visit together.
struct RowBlock {
  static constexpr int most = 32;
  int n;
  const double* xy[most];  // (expert_dim + 1): expert design, then the target
  const double* u[most];   // (gate_dim)
  double at[most];         // which rows of the stream they are
};

}  // namespace hsmoe
