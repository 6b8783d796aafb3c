// Every kind of expert and its settings, one type a kind.
#pragma once

#include <variant>
#include <vector>

#include <hsmoe/expert/gaussian_options.hpp>

namespace hsmoe {

/// What the experts of expert/augmented.hpp share.
struct AugmentedOptions {
  double intercept_variance = 10.0, coefficient_variance = 10.0;  // prior, in units of the noise variance if there is one
  double a0 = 2.0, b0 = 0.1, b0_shape = 1.0;  // of the scale, as for the Gaussian expert; unused without a scale
  double coefficient_shape = 0.0;             // likewise
  int widest_block = 16;  // columns up to which a row learned is followed by a block draw, else by a coordinate sweep
  std::vector<double> shape_grid;  // values of the shape parameter, a priori equally likely; one value: it is known
  std::vector<double> offset;      // of each linear predictor (empty: 0): where coefficients of zero put the target
};

struct StudentOptions : AugmentedOptions {};  // shape: degrees of freedom
struct LaplaceOptions : AugmentedOptions {};
struct LogitOptions : AugmentedOptions {
  int n_classes = 2;
};
struct BinomialOptions : AugmentedOptions {
  double n_trials = 1;
};
struct NegativeBinomialOptions : AugmentedOptions {};  // shape: dispersion

using ExpertOptions = std::variant<GaussianOptions, StudentOptions, LaplaceOptions, LogitOptions, BinomialOptions,
                                   NegativeBinomialOptions>;

}  // namespace hsmoe
