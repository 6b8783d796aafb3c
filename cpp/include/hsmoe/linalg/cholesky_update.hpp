// Rank-one update and downdate of a Cholesky factor, for one matrix or a stack of them.
#pragma once

#include <hsmoe/types.hpp>

namespace hsmoe {

/// L (d, d) row-major lower triangular with positive diagonal; on success L L' becomes L L' + sign x x'
/// (sign +1 or -1) and true is returned.  A downdate that would leave the cone of positive definite
/// matrices (or would not be distinguishable from doing so) returns false and leaves L as it was.
/// work: 3 d doubles.
bool cholesky_update(double* L, Index d, const double* x, int sign, double* work);

}  // namespace hsmoe
