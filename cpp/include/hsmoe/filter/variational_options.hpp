#pragma once

#include <hsmoe/types.hpp>

namespace hsmoe {

struct VariationalOptions {
  bool diagonal = false;    // coefficients independent of each other: O(d) instead of O(d^2) a row, node and expert
  Index sampled_rows = 100;  // while there are fewer rows allocations are drawn, not shared out, to tell the experts apart
};

}  // namespace hsmoe
