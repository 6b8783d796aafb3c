// Horseshoe on gate coefficients, with or without a slab.
//
//     phi_lj ~ N(0, tau^2 lambda_lj^2) x N(0, slab^2)    lambda_lj ~ C+(0, 1)    tau ~ C+(0, tau0)
//
// Half-Cauchy scales through inverse-gamma auxiliaries (Makalic & Schmidt 2016), conditionals
//
//     lambda^2 | . ~ IG(1, 1/nu + phi^2 / (2 tau^2))                    nu | . ~ IG(1, 1 + 1/lambda^2)
//     tau^2 | . ~ IG((M+1)/2, 1/xi + sum phi^2 / (2 lambda^2))          xi | . ~ IG(1, 1/tau0^2 + 1/tau^2)
//
// over the M penalised coefficients.  Kept as reciprocals: 1/IG(1, c) = Exp(1) / c.
// The intercept is N(log leaf odds, intercept_sd^2) and not penalised; `paper` is the prior exactly as
// printed in arXiv 2601.09043: every coefficient penalised, zero means, no slab, tau0 = 1.
#pragma once

#include <limits>

#include <hsmoe/error.hpp>
#include <hsmoe/prior/gate_prior.hpp>
#include <hsmoe/prior/prior_options.hpp>
#include <hsmoe/prior/tilted_half_cauchy.hpp>

namespace hsmoe {

template <int W>
class Horseshoe final : public GatePrior<W> {
 public:
  Horseshoe(int n_nodes, int dim, const HorseshoeOptions& o)
      : GatePrior<W>(n_nodes, dim),
        first_(o.penalise_intercept ? 0 : 1),
        n_penalised_(n_nodes * (dim - first_)),
        inv_tau0_sq_(1 / (o.tau0 * o.tau0)),
        slab_(o.slab),
        slab_precision_(1 / (o.slab * o.slab)),
        intercept_precision_(1 / (o.intercept_sd * o.intercept_sd)),
        tau_(o.tau0, o.slab, n_penalised_) {
    check_positive("Horseshoe", "tau0", o.tau0);
    check_positive("Horseshoe", "intercept_sd", o.intercept_sd);
    if (!(o.slab > 0)) detail::invalid("Horseshoe", "slab", o.slab, "positive (infinity: no slab)");
  }

  int node_fields() const override { return 2 * this->dim_; }  // 1/lambda^2 (dim), 1/nu (dim)
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

  void draw_node(double* node, const double* global, Stream<W>& rng, Mask<W> mask) const override {
    const Lane<W> c_sq = slab_precision_ / Lane<W>::load(global);  // tau^2 / slab^2
    for (int j = 0; j < this->dim_; ++j) {
      // lambda ~ C+(0, 1) tilted by 1 / sqrt(1 + c^2 lambda^2), by rejection.
      Lane<W> lambda_sq(1.0);
      for (Mask<W> todo = mask; any(todo);) {
        Lane<W> s, c;
        sincos_turn(0.25 * uniform<W>(rng, todo), s, c);
        const Lane<W> l = s / c, u = uniform<W>(rng, todo);
        const Mask<W> accept = todo & (u * u * (1.0 + c_sq * l * l) < Lane<W>(1.0));
        lambda_sq = select(accept, l * l, lambda_sq);
        todo = todo & !accept;
      }
      const Lane<W> inv_lambda_sq = bounded(1.0 / lambda_sq);
      inv_lambda_sq.store(node + W * j);
      bounded(exponential<W>(rng, mask) / (1.0 + inv_lambda_sq)).store(node + W * (this->dim_ + j));
    }
  }

  void precision(const double* node, const double* global, Lane<W>* D) const override {
    const Lane<W> inv_tau_sq = Lane<W>::load(global);
    D[0] = Lane<W>(intercept_precision_);
    for (int j = first_; j < this->dim_; ++j)
      D[j] = Lane<W>::load(node + W * j) * inv_tau_sq + slab_precision_;
  }

  void refresh_node(const double* phi, double* node, const double* global, Stream<W>& rng,
                    Mask<W> mask) const override {
    const Lane<W> half_inv_tau_sq = 0.5 * Lane<W>::load(global);
    for (int j = first_; j < this->dim_; ++j) {
      double* lambda = node + W * j;
      double* nu = node + W * (this->dim_ + j);
      const Lane<W> f = Lane<W>::load(phi + W * j), inv_nu = Lane<W>::load(nu);
      const Lane<W> inv_lambda_sq =
          bounded(exponential<W>(rng, mask) / (inv_nu + f * f * half_inv_tau_sq));
      select(mask, inv_lambda_sq, Lane<W>::load(lambda)).store(lambda);
      select(mask, bounded(exponential<W>(rng, mask) / (1.0 + inv_lambda_sq)), inv_nu).store(nu);
    }
  }

  void refresh_global(const double* phi, const double* node, Index stride, double* global, Stream<W>& rng,
                      Mask<W> mask) const override {
    Lane<W> sum(0.0);
    for (int l = 0; l < this->n_nodes_; ++l, phi += stride, node += stride)
      for (int j = first_; j < this->dim_; ++j) {
        const Lane<W> f = Lane<W>::load(phi + W * j);
        sum += f * f * Lane<W>::load(node + W * j);
      }
    const Lane<W> inv_xi = Lane<W>::load(global + W);
    const Lane<W> inv_tau_sq =
        bounded(gamma<W>(rng, mask, Lane<W>(0.5 * (n_penalised_ + 1))) / (inv_xi + 0.5 * sum));
    select(mask, inv_tau_sq, Lane<W>::load(global)).store(global);
    select(mask, bounded(exponential<W>(rng, mask) / (inv_tau0_sq_ + inv_tau_sq)), inv_xi).store(global + W);
  }

  double local_scale(const double* node, int j, int lane) const override {
    return j < first_ ? std::numeric_limits<double>::quiet_NaN() : 1 / std::sqrt(node[W * j + lane]);
  }
  double global_scale(const double* global, int lane) const override { return 1 / std::sqrt(global[lane]); }
  bool plausible(const double* node, const double* global, int lane) const override {
    bool ok = inside(global[lane]) && inside(global[W + lane]);
    for (int i = 0; i < 2 * this->dim_; ++i) ok = ok && inside(node[W * i + lane]);
    return ok;
  }

 private:
  // Reciprocal scales stay where products of two of them neither overflow nor vanish; the half-Cauchy
  // puts less than 1e-49 of its mass outside.
  static HSMOE_INLINE Lane<W> bounded(Lane<W> v) { return min(max(v, Lane<W>(1e-100)), Lane<W>(1e100)); }
  static bool inside(double v) { return v >= 1e-100 && v <= 1e100; }

  int first_, n_penalised_;
  double inv_tau0_sq_, slab_, slab_precision_, intercept_precision_;
  TiltedHalfCauchy tau_;
};

}  // namespace hsmoe
