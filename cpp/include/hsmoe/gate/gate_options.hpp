#pragma once

namespace hsmoe {

/// How phi is refreshed after a row, coordinate by coordinate or as a block: both leave
/// p(phi, scales | statistics) invariant.
enum class PhiKernel { sweep, block };

}  // namespace hsmoe
