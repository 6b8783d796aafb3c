// Families of real targets that are scale mixtures of normals: y = eta + sqrt(s2 / omega) N(0, 1), with omega of a law
// that does not depend on s2, so that (s2, beta) is normal-inverse-gamma given omega.  The linear term is omega y.
#pragma once

#include <cmath>
#include <vector>

#include <hsmoe/expert/augmented.hpp>
#include <hsmoe/random/variates.hpp>
#include <hsmoe/simd/special.hpp>

namespace hsmoe {

/// Student-t of nu degrees of freedom, omega ~ Gamma(nu/2, rate nu/2); given e = y - eta,
///     omega ~ Gamma((nu + 1)/2, rate (nu + e^2/s2)/2)
/// The shape parameter is nu.
template <int W>
class StudentFamily {
 public:
  static constexpr bool has_scale = true, has_shape = true;
  static constexpr int most_regressions = 1;

  explicit StudentFamily(const StudentOptions& o) : grid_(o.shape_grid), front_(o.shape_grid) {
    for (double& v : front_) v = front(Lane<1>(v))[0];
  }
  int regressions() const { return 1; }
  int fields() const { return 3; }
  double offset(int) const { return 0.0; }
  bool takes_part(double, int) const { return true; }

  Lane<W> log_density(double y, const Lane<W>* eta, const Lane<W>* par) const {
    const Lane<W> e = y - eta[0], nu = par[kShape], precision = par[kPrecision];
    return par[kCached] + 0.5 * log(precision) - 0.5 * (nu + 1.0) * log1p(e * e * precision / nu);
  }
  /// Location, scale, df.
  void component(const Lane<W>* eta, const Lane<W>* par, Lane<W>* out, int stride) const {
    out[0] = eta[0];
    out[stride] = 1.0 / sqrt(par[kPrecision]);
    out[2 * stride] = par[kShape];
  }
  void augment(int n, const double* y, int, Lane<W>* eta, const Lane<W>* par, Stream<W>& rng, Mask<W> mask, Lane<W>* omega,
               Lane<W>* linear, Lane<W>*) const {
    for (int t = 0; t < n; ++t) {
      const Lane<W>* p = par + t * kAugmentedParameters;
      const Lane<W> e = y[t] - eta[t], nu = p[kShape];
      omega[t] = 2.0 * gamma<W>(rng, mask, 0.5 * (nu + 1.0)) / (nu + e * e * p[kPrecision]);
      linear[t] = omega[t] * y[t];
    }
  }
  void set_shape(double* par) const { front(Lane<W>::load(par + W * kShape)).store(par + W * kCached); }
  void grid_log_density(double y, Lane<W> eta, const Lane<W>* par, Lane<W>* out) const {
    const Lane<W> e = y - eta, square = e * e * par[kPrecision], scale = 0.5 * log(par[kPrecision]);
    for (std::size_t g = 0; g < grid_.size(); ++g)
      out[g] = front_[g] + scale - 0.5 * (grid_[g] + 1.0) * log1p(square * (1.0 / grid_[g]));
  }

 private:
  /// lgamma((nu + 1)/2) - lgamma(nu/2) - log(nu pi)/2
  template <int V>
  static Lane<V> front(Lane<V> nu) {
    return lgamma_half_difference(0.5 * nu) - 0.5 * log(nu * 3.14159265358979323846);
  }
  std::vector<double> grid_, front_;
};

/// Laplace errors of scale s, density exp(-|e|/s) / (2s): 1/omega ~ Exp(rate 1/2) (Andrews & Mallows 1974), and given e
///     omega ~ inverse Gaussian(mean s/|e|, shape 1)
template <int W>
class LaplaceFamily {
 public:
  static constexpr bool has_scale = true, has_shape = false;
  static constexpr int most_regressions = 1;

  explicit LaplaceFamily(const LaplaceOptions&) {}
  int regressions() const { return 1; }
  int fields() const { return 2; }
  double offset(int) const { return 0.0; }
  bool takes_part(double, int) const { return true; }

  Lane<W> log_density(double y, const Lane<W>* eta, const Lane<W>* par) const {
    return 0.5 * log(0.25 * par[kPrecision]) - abs(y - eta[0]) * sqrt(par[kPrecision]);
  }
  /// Location and scale.
  void component(const Lane<W>* eta, const Lane<W>* par, Lane<W>* out, int stride) const {
    out[0] = eta[0];
    out[stride] = 1.0 / sqrt(par[kPrecision]);
  }
  void augment(int n, const double* y, int, Lane<W>* eta, const Lane<W>* par, Stream<W>& rng, Mask<W> mask, Lane<W>* omega,
               Lane<W>* linear, Lane<W>*) const {
    for (int t = 0; t < n; ++t) {
      const Lane<W>* p = par + t * kAugmentedParameters;
      // A row on the line has a precision with infinite mean; one of 1e12 already pins the line to a millionth of s.
      omega[t] = min(inverse_gaussian<W>(rng, mask, abs(y[t] - eta[t]) * sqrt(p[kPrecision])), Lane<W>(1e12));
      linear[t] = omega[t] * y[t];
    }
  }
  void set_shape(double*) const {}
  void grid_log_density(double, Lane<W>, const Lane<W>*, Lane<W>*) const {}
};

}  // namespace hsmoe
