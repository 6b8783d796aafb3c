// A positive number with a Gamma prior, of given mean and shape, one an expert: the scale b0 and the precision tau of the
// coefficients of expert/gaussian.hpp.  Shape 0: the number is known.
#pragma once

#include <hsmoe/random/variates.hpp>

namespace hsmoe {

struct GammaPrior {
  double mean, shape;
  double least;  // so that a draw that underflows leaves densities finite

  bool is_known() const { return shape == 0; }

  template <int W>
  Lane<W> draw(Stream<W>& rng, Mask<W> mask) const {
    if (is_known()) return Lane<W>(mean);
    return max(select(mask, gamma<W>(rng, mask, Lane<W>(shape)) * (mean / shape), Lane<W>(mean)), Lane<W>(least));
  }

  /// The number, at `at`, given a likelihood ~ number^more_shape exp(-more_rate * number).
  template <int W>
  void draw_given(double more_shape, Lane<W> more_rate, Stream<W>& rng, Mask<W> mask, double* at) const {
    if (is_known()) return;
    const Lane<W> drawn = gamma<W>(rng, mask, Lane<W>(shape + more_shape)) / (shape / mean + more_rate);
    select(mask, max(drawn, Lane<W>(least)), Lane<W>::load(at)).store(at);
  }
};

/// Were b0 less, the density of an expert without rows would be infinite at its location.
inline constexpr double smallest_b0 = 1e-12;
/// Were tau less, sums of rows that are all alike (and then have no noise) would leave singular what they must make definite.
inline constexpr double smallest_tau = 1e-6;

inline GammaPrior b0_prior(double b0, double b0_shape) { return {b0, b0_shape, smallest_b0}; }
/// Of tau, the precision of coefficients in units of that of the noise.
inline GammaPrior tau_prior(double coefficient_variance, double coefficient_shape) {
  return {1.0 / coefficient_variance, coefficient_shape, smallest_tau};
}

}  // namespace hsmoe
