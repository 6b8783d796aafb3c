#pragma once

namespace hsmoe {

/// How phi is refreshed after a row, coordinate by coordinate or as a block: both leave
/// p(phi, scales | statistics) invariant.
enum class PhiKernel { sweep, block };

/// Prior of a Laplace node, in units of the gate's features.
struct LaplaceNodeOptions {
  double centre_sd = 3.0, intercept_sd = 1.5;
};

}  // namespace hsmoe
