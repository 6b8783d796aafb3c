// Horseshoe on gate coefficients, with or without a slab.
//
//     phi_lj ~ N(0, tau^2 lambda_lj^2) x N(0, slab^2)    lambda_lj ~ C+(0, 1)    tau ~ C+(0, tau0)
//
// Half-Cauchy scales through inverse-gamma auxiliaries (Makalic & Schmidt 2016), conditionals
//
//     lambda^2 | . ~ IG(1, 1/nu + phi^2 / (2 tau^2))                    nu | . ~ IG(1, 1 + 1/lambda^2)
//     tau^2 | . ~ IG((M+1)/2, 1/xi + sum phi^2 / (2 lambda^2))          xi | . ~ IG(1, 1/tau0^2 + 1/tau^2)
//
// over the M penalised coefficients.  With `group` a node has a scale of its own too, so that whole nodes switch off:
// tau gamma_l in place of tau, gamma_l ~ C+(0, 1) with
//
//     gamma_l^2 | . ~ IG((M_l+1)/2, 1/eta + sum_j phi_lj^2 / (2 tau^2 lambda_lj^2))   eta | . ~ IG(1, 1 + 1/gamma_l^2)
//
// over the M_l penalised coefficients of the node.  Kept as reciprocals: 1/IG(1, c) = Exp(1) / c.
// The intercept is N(log leaf odds, intercept_sd^2) and not penalised; `paper` is the prior exactly as
// printed in arXiv 2601.09043: every coefficient penalised, zero means, no slab, tau0 = 1.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include <hsmoe/error.hpp>
#include <hsmoe/prior/gate_prior.hpp>
#include <hsmoe/prior/horseshoe_marginal.hpp>
#include <hsmoe/prior/prior_options.hpp>
#include <hsmoe/prior/tilted_half_cauchy.hpp>

namespace hsmoe {

template <int W>
class Horseshoe final : public GatePrior<W> {
 public:
  Horseshoe(int n_nodes, int dim, const HorseshoeOptions& o)
      : GatePrior<W>(n_nodes, dim),
        checked_(check(o)),
        first_(o.penalise_intercept ? 0 : 1),
        n_penalised_(n_nodes * (dim - first_)),
        inv_tau0_sq_(1 / (o.tau0 * o.tau0)),
        slab_(o.slab),
        slab_precision_(1 / (o.slab * o.slab)),
        intercept_precision_(1 / (o.intercept_sd * o.intercept_sd)),
        tau_(o.group ? TiltedHalfCauchy(o.tau0, o.slab, dim - first_, n_nodes) : TiltedHalfCauchy(o.tau0, o.slab, n_penalised_)),
        group_(o.group) {}

  /// 1/lambda^2 (dim), 1/nu (dim); 1/gamma^2, 1/eta.
  int node_fields() const override { return 2 * this->dim_ + (group_ ? 2 : 0); }
  int global_fields() const override { return 2; }             // 1/tau^2, 1/xi
  double intercept_mean(double log_leaf_odds) const override { return first_ ? log_leaf_odds : 0.0; }
  bool penalised(int j) const override { return j >= first_; }

  void draw_global(double* global, Stream<W>& rng, Mask<W> mask) const override {
    Lane<W> tau(1.0);
    for (int i = 0; i < W; ++i) {
      Mask<W> one = Mask<W>::all_false();
      one.set(i, mask[i]);
      if (mask[i]) tau.set(i, tau_.draw([&] { return uniform<W>(rng, one)[i]; }));
    }
    const Lane<W> inv_tau_sq = bounded(1.0 / (tau * tau));
    inv_tau_sq.store(global);
    bounded(exponential<W>(rng, mask) / (inv_tau0_sq_ + inv_tau_sq)).store(global + W);
  }

  // lambda ~ C+(0, 1) tilted by 1 / sqrt(1 + c^2 lambda^2), c = tau / slab, by inversion: with v uniform
  //   c < 1: a = arccos c,  lambda = sin(a v) / sqrt(sin(a (1 + v)) sin(a (1 - v)))
  //   c > 1: the same with sinh and a = arccosh c      c = 0: tan(pi v / 2)
  // (the tilted cdf is arctan(lambda s / sqrt(1 + c^2 lambda^2)) / a, s = sqrt(1 - c^2), and its hyperbolic form).
  void draw_node(double* node, const double* global, Stream<W>& rng, Mask<W> mask) const override {
    if (group_) {
      Lane<W> gamma(1.0);
      for (int w = 0; w < W; ++w) {
        if (!mask[w]) continue;
        Mask<W> one = Mask<W>::all_false();
        one.set(w, true);
        const TiltedHalfCauchy law(1.0, slab_ * std::sqrt(global[w]), this->dim_ - first_);
        gamma.set(w, law.draw([&] { return uniform<W>(rng, one)[w]; }));
      }
      const Lane<W> inv_gamma_sq = bounded(1.0 / (gamma * gamma));
      inv_gamma_sq.store(node + W * 2 * this->dim_);
      bounded(exponential<W>(rng, mask) / (1.0 + inv_gamma_sq)).store(node + W * (2 * this->dim_ + 1));
    }
    const Lane<W> tau_sq = 1.0 / inverse_square(node, global);
    for (int j = 0; j < this->dim_; ++j) {
      Lane<W> inv_lambda_sq(1.0), inv_nu(1.0);  // unused for an intercept that is not penalised
      if (j >= first_) {
        const Lane<W> v = uniform<W>(rng, mask);
        for (int w = 0; w < W; ++w)
          if (mask[w]) inv_lambda_sq.set(w, inverse_square_of_tilted(std::sqrt(tau_sq[w] * slab_precision_), v[w]));
        inv_lambda_sq = bounded(inv_lambda_sq);
        inv_nu = bounded(exponential<W>(rng, mask) / (1.0 + inv_lambda_sq));
      }
      inv_lambda_sq.store(node + W * j);
      inv_nu.store(node + W * (this->dim_ + j));
    }
  }

  void precision(const double* node, const double* global, Lane<W>* D) const override {
    const Lane<W> inv_tau_sq = inverse_square(node, global);
    D[0] = Lane<W>(intercept_precision_);
    for (int j = first_; j < this->dim_; ++j)
      D[j] = Lane<W>::load(node + W * j) * inv_tau_sq + slab_precision_;
  }

  void refresh_node(const double* phi, double* node, const double* global, Stream<W>& rng,
                    Mask<W> mask) const override {
    const Lane<W> half_inv_tau_sq = 0.5 * inverse_square(node, global);
    Lane<W> sum(0.0);
    for (int j = first_; j < this->dim_; ++j) {
      double* lambda = node + W * j;
      double* nu = node + W * (this->dim_ + j);
      const Lane<W> f = Lane<W>::load(phi + W * j), inv_nu = Lane<W>::load(nu);
      const Lane<W> inv_lambda_sq =
          bounded(exponential<W>(rng, mask) / (inv_nu + f * f * half_inv_tau_sq));
      select(mask, inv_lambda_sq, Lane<W>::load(lambda)).store(lambda);
      select(mask, bounded(exponential<W>(rng, mask) / (1.0 + inv_lambda_sq)), inv_nu).store(nu);
      if (group_) sum += f * f * Lane<W>::load(lambda);
    }
    if (!group_) return;
    double *gamma_at = node + W * 2 * this->dim_, *eta_at = gamma_at + W;
    const Lane<W> inv_eta = Lane<W>::load(eta_at), shape(0.5 * (this->dim_ - first_ + 1));
    const Lane<W> inv_gamma_sq = bounded(gamma<W>(rng, mask, shape) / (inv_eta + 0.5 * Lane<W>::load(global) * sum));
    select(mask, inv_gamma_sq, Lane<W>::load(gamma_at)).store(gamma_at);
    select(mask, bounded(exponential<W>(rng, mask) / (1.0 + inv_gamma_sq)), inv_eta).store(eta_at);
  }

  void refresh_global(const double* phi, const double* node, Index stride, double* global, Stream<W>& rng,
                      Mask<W> mask) const override {
    Lane<W> sum(0.0);
    for (int l = 0; l < this->n_nodes_; ++l, phi += stride, node += stride)
      for (int j = first_; j < this->dim_; ++j) {
        const Lane<W> f = Lane<W>::load(phi + W * j);
        sum += group_ ? f * f * Lane<W>::load(node + W * j) * Lane<W>::load(node + W * 2 * this->dim_)
                      : f * f * Lane<W>::load(node + W * j);
      }
    const Lane<W> inv_xi = Lane<W>::load(global + W);
    const Lane<W> inv_tau_sq =
        bounded(gamma<W>(rng, mask, Lane<W>(0.5 * (n_penalised_ + 1))) / (inv_xi + 0.5 * sum));
    select(mask, inv_tau_sq, Lane<W>::load(global)).store(global);
    select(mask, bounded(exponential<W>(rng, mask) / (inv_tau0_sq_ + inv_tau_sq)), inv_xi).store(global + W);
  }

  Lane<W> log_marginal(const Lane<W>* phi, const double* node, const double* global, double intercept_mean) const override {
    const Lane<W> inv_tau_sq = inverse_square(node, global);
    Lane<W> total(0.0);
    if (first_) total = -0.5 * intercept_precision_ * (phi[0] - intercept_mean) * (phi[0] - intercept_mean);
    for (int j = first_; j < this->dim_; ++j) {
      const Lane<W> square = phi[j] * phi[j];
      total += log(scaled_exponential_integral(exponent(square, inv_tau_sq))) + 0.5 * log(inv_tau_sq) -
               0.5 * slab_precision_ * square;
    }
    return total;
  }
  void expected_precision(const double* node, const double* global, const Lane<W>* second_moment, Lane<W>* D) const override {
    const Lane<W> inv_tau_sq = inverse_square(node, global);
    D[0] = Lane<W>(intercept_precision_);
    for (int j = first_; j < this->dim_; ++j) {
      const Lane<W> c = exponent(second_moment[j], inv_tau_sq);
      D[j] = max(1.0 / (c * rough_exponential_integral(c)) - 1.0, Lane<W>(0.0)) * inv_tau_sq + slab_precision_;
    }
  }
  int n_normals(int j) const override { return this->penalised(j) ? int(grid_.size()) : 1; }
  // The normals of a grid of local scales: N(phi; 0, s^2) exp(-phi^2 / (2 slab^2)) = N(phi; 0, 1/P) / (s sqrt(P)), P = 1/s^2 + 1/slab^2.
  void normal(const double* node, const double* global, int j, int i, Lane<W>& log_weight, Lane<W>& precision) const override {
    if (!this->penalised(j)) {
      log_weight = Lane<W>(0.0);
      precision = Lane<W>(intercept_precision_);
      return;
    }
    const ScaleGridPoint& point = grid_[std::size_t(i)];
    const Lane<W> inv_s_sq = point.inverse_square * inverse_square(node, global);
    precision = inv_s_sq + slab_precision_;
    log_weight = point.log_mass + 0.5 * log(inv_s_sq / precision);
  }
  void draw_local(const double* phi, double* node, const double* global, Stream<W>& rng, Mask<W> mask) const override {
    const Lane<W> inv_tau_sq = inverse_square(node, global);
    for (int j = first_; j < this->dim_; ++j) {
      const Lane<W> f = Lane<W>::load(phi + W * j);
      const Lane<W> w = bounded(horseshoe_inverse_square<W>(rng, mask, exponent(f * f, inv_tau_sq)));
      double *lambda = node + W * j, *nu = node + W * (this->dim_ + j);
      select(mask, w, Lane<W>::load(lambda)).store(lambda);
      select(mask, bounded(exponential<W>(rng, mask) / (1.0 + w)), Lane<W>::load(nu)).store(nu);
    }
  }
  void typical_scales(double* node, Index stride, double* global) const override {
    Lane<W>(inv_tau0_sq_).store(global);
    Lane<W>(0.5 / inv_tau0_sq_).store(global + W);
    for (int l = 0; l < this->n_nodes_; ++l)
      for (int j = 0; j < 2 * this->dim_; ++j) Lane<W>(1.0).store(node + Index(l) * stride + W * j);
  }
  // The factor of lambda_lj with nu summed out, and those of tau^2 and xi, which are inverse gamma:
  //     E[1/lambda^2] = 1 / (c exp(c) E1(c)) - 1,  c = E[phi^2] E[1/tau^2] / 2
  //     E[1/tau^2] = (M+1)/2 / (E[1/xi] + sum E[phi^2] E[1/lambda^2] / 2)      E[1/xi] = 1 / (1/tau0^2 + E[1/tau^2])
  void expect_scales(const Lane<W>* second_moment, double* node, Index stride, double* global) const override {
    Lane<W> inv_tau_sq = Lane<W>::load(global), inv_xi = Lane<W>::load(global + W);
    for (int round = 0; round < 2; ++round) {
      Lane<W> sum(0.0);
      for (int l = 0; l < this->n_nodes_; ++l)
        for (int j = first_; j < this->dim_; ++j) {
          const Lane<W> m2 = second_moment[l * this->dim_ + j];
          const Lane<W> w = bounded(horseshoe_mean_inverse_square(exponent(m2, inv_tau_sq)));
          w.store(node + Index(l) * stride + W * j);
          sum += m2 * w;
        }
      inv_tau_sq = bounded(0.5 * (n_penalised_ + 1) / (inv_xi + 0.5 * sum));
      inv_xi = bounded(1.0 / (inv_tau0_sq_ + inv_tau_sq));
    }
    inv_tau_sq.store(global);
    inv_xi.store(global + W);
  }
  double local_scale(const double* node, int j, int lane) const override {
    if (j < first_) return std::numeric_limits<double>::quiet_NaN();
    return 1 / std::sqrt(group_ ? node[W * j + lane] * node[W * 2 * this->dim_ + lane] : node[W * j + lane]);
  }
  double global_scale(const double* global, int lane) const override { return 1 / std::sqrt(global[lane]); }
  bool plausible(const double* node, const double* global, int lane) const override {
    bool ok = inside(global[lane]) && inside(global[W + lane]);
    for (int i = 0; i < node_fields(); ++i) ok = ok && inside(node[W * i + lane]);
    return ok;
  }

 private:
  /// 1 / tau^2, or 1 / (tau gamma)^2 of a node.
  HSMOE_INLINE Lane<W> inverse_square(const double* node, const double* global) const {
    return group_ ? Lane<W>::load(global) * Lane<W>::load(node + W * 2 * this->dim_) : Lane<W>::load(global);
  }
  /// phi^2 / (2 tau^2), bounded away from 0 and infinity.
  static HSMOE_INLINE Lane<W> exponent(Lane<W> phi_sq, Lane<W> inv_tau_sq) {
    return min(max(0.5 * phi_sq * inv_tau_sq, Lane<W>(1e-200)), Lane<W>(1e200));
  }
  // Reciprocal scales stay where products of two of them neither overflow nor vanish; the half-Cauchy
  // puts less than 1e-49 of its mass outside.
  static HSMOE_INLINE Lane<W> bounded(Lane<W> v) { return min(max(v, Lane<W>(1e-100)), Lane<W>(1e100)); }
  static bool inside(double v) { return v >= 1e-100 && v <= 1e100; }

  /// 1 / lambda^2 at the quantile v.
  static double inverse_square_of_tilted(double c, double v) {
    if (c <= 1.0) {
      const double a = std::max(std::acos(c), 1e-8), s = std::sin(a * v);
      return std::sin(a * (1.0 + v)) * std::sin(a * (1.0 - v)) / (s * s);
    }
    // sinh(a (1 + v)) sinh(a (1 - v)) / sinh(a v)^2, written so that a large a does not overflow.
    const double a = std::max(std::acosh(std::min(c, 1e300)), 1e-8);
    const double up = -std::expm1(-2 * a * (1 + v)), down = -std::expm1(-2 * a * (1 - v)), s = -std::expm1(-2 * a * v);
    return up * down / (s * s) * std::exp(std::min(2 * a * (1 - v), 600.0));
  }

  static bool check(const HorseshoeOptions& o) {
    check_between("Horseshoe", "tau0", o.tau0, 1e-9, 1e9);
    check_between("Horseshoe", "intercept_sd", o.intercept_sd, 1e-9, 1e9);
    if (!(o.slab >= 1e-9)) detail::invalid("Horseshoe", "slab", o.slab, "at least 1e-9 (infinity: no slab)");
    return true;
  }

  bool checked_;  // first, so that the members below are made of valid options
  int first_, n_penalised_;
  double inv_tau0_sq_, slab_, slab_precision_, intercept_precision_;
  TiltedHalfCauchy tau_;
  ScaleGrid grid_ = half_cauchy_grid();
  bool group_;
};

}  // namespace hsmoe
