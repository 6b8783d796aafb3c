// The prior of the global scale tau under the regularised horseshoe.
//
// The joint prior is the unnormalised product
//
//     p(phi, lambda, tau) ~ prod_j N(phi_j; 0, tau^2 lambda_j^2) N(phi_j; 0, slab^2) C+(lambda_j; 1) C+(tau; tau0)
//
// (Piironen & Vehtari 2017 write the same shape with a normalised product; the unnormalised one keeps the
// conditionals of the horseshoe).  Integrating phi leaves a factor slab / sqrt(tau^2 lambda_j^2 + slab^2)
// a coefficient, and integrating lambda_j too leaves, with c = tau / slab,
//
//     C(c) = E[1 / sqrt(1 + c^2 lambda^2)] = (2 / pi) arccos(c) / sqrt(1 - c^2)     c < 1
//                                          = (2 / pi) arccosh(c) / sqrt(c^2 - 1)    c > 1
//
// so that tau ~ C+(tau; tau0) C(tau / slab)^M (with a scale gamma_l ~ C+(0, 1) of each of L nodes too, that of a node is
// C+(gamma) C(tau gamma / slab)^M_l given tau, and tau ~ C+(tau; tau0) {int C+(gamma) C(tau gamma / slab)^M_l dgamma}^L)
// with M penalised coefficients.  With tau = tau0 tan(pi t / 2)
// the half-Cauchy is uniform in t, and the density of t is the decreasing function C^M.  Exact draws:
// pick a cell of a grid in t by the mass of its left edge, a point in it, and accept by the ratio.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

namespace hsmoe {

inline double slab_normaliser(double c) {
  const double e = c - 1.0;
  if (std::abs(e) < 1e-4) return 0.63661977236758134308 * (1.0 - e / 3.0 + 2.0 / 15.0 * e * e);
  const double s = std::sqrt(std::abs(1.0 - c) * (1.0 + c));
  return 0.63661977236758134308 * (c < 1.0 ? std::acos(c) : std::acosh(c)) / s;
}

class TiltedHalfCauchy {
 public:
  /// slab = infinity gives the plain half-Cauchy.
  TiltedHalfCauchy(double tau0, double slab, int n_coefficients) : TiltedHalfCauchy(tau0, slab, n_coefficients, 0) {}

  /// For nodes with a scale of their own, n_coefficients each; 0 nodes: none has one.
  TiltedHalfCauchy(double tau0, double slab, int n_coefficients, int n_nodes)
      : tau0_(tau0), slab_(slab), power_(n_coefficients), n_nodes_(n_nodes) {
    // Geometric towards t = 0, where C^M concentrates when M is large, and towards t = 1.
    constexpr int cells = 400;
    edges_.push_back(0.0);
    for (int i = 0; i <= cells; ++i) edges_.push_back(0.5 * std::pow(10.0, 8.0 * (double(i) / cells - 1.0)));
    for (int i = cells - 1; i >= 0; --i) edges_.push_back(1.0 - edges_[1 + i]);
    edges_.push_back(1.0);
    double total = 0.0;
    for (std::size_t i = 0; i + 1 < edges_.size(); ++i) {
      top_.push_back(log_density(edges_[i]));
      total += std::exp(top_.back()) * (edges_[i + 1] - edges_[i]);
      cumulative_.push_back(total);
    }
  }

  /// Draws with a source of uniforms on (0, 1).
  template <class Uniform>
  double draw(Uniform&& uniform) const {
    for (;;) {
      const double target = uniform() * cumulative_.back();
      const std::size_t i = std::min<std::size_t>(
          std::upper_bound(cumulative_.begin(), cumulative_.end(), target) - cumulative_.begin(), top_.size() - 1);
      const double t = edges_[i] + (edges_[i + 1] - edges_[i]) * uniform();
      if (std::log(uniform()) <= log_density(t) - top_[i]) return tau0_ * std::tan(1.57079632679489661923 * t);
    }
  }

 private:
  double log_density(double t) const {
    if (!std::isfinite(slab_) || power_ == 0) return 0.0;
    if (t >= 1.0) return -std::numeric_limits<double>::infinity();
    const double c = tau0_ * std::tan(1.57079632679489661923 * t) / slab_;
    return n_nodes_ ? n_nodes_ * log_node_normaliser(c) : power_ * std::log(slab_normaliser(c));
  }

  // log int C+(gamma; 1) C(c gamma)^M dgamma by the trapezoid rule in log gamma: the integrand is analytic and falls off
  // exponentially, so the rule is exact to rounding; it decreases in c at every point.
  double log_node_normaliser(double c) const {
    constexpr double step = 0.2, most = 40.0;
    double total = 0.0;
    for (double x = -most; x <= most; x += step)
      total += std::exp(power_ * std::log(slab_normaliser(std::min(c * std::exp(x), 1e300)))) / std::cosh(x);
    return std::log(total * step / 3.14159265358979323846);
  }

  double tau0_, slab_;
  int power_, n_nodes_;
  std::vector<double> edges_, top_, cumulative_;
};

}  // namespace hsmoe
