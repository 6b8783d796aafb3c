// Ridge: phi_lj ~ N(0, scale^2), intercepts N(log leaf odds, intercept_sd^2).  No scales to draw.
#pragma once

#include <cmath>
#include <limits>

#include <hsmoe/error.hpp>
#include <hsmoe/prior/gate_prior.hpp>
#include <hsmoe/prior/prior_options.hpp>

namespace hsmoe {

template <int W>
class NormalPrior final : public GatePrior<W> {
 public:
  NormalPrior(int n_nodes, int dim, const NormalPriorOptions& options)
      : GatePrior<W>(n_nodes, dim),
        slope_precision_(1 / (options.scale * options.scale)),
        intercept_precision_(1 / (options.intercept_sd * options.intercept_sd)) {
    check_positive("NormalPrior", "scale", options.scale);
    check_positive("NormalPrior", "intercept_sd", options.intercept_sd);
  }
  int node_fields() const override { return 0; }
  int global_fields() const override { return 0; }
  double intercept_mean(double log_leaf_odds) const override { return log_leaf_odds; }
  bool penalised(int j) const override { return j > 0; }
  void draw_global(double*, Stream<W>&, Mask<W>) const override {}
  void draw_node(double*, const double*, Stream<W>&, Mask<W>) const override {}
  void precision(const double*, const double*, Lane<W>* D) const override {
    D[0] = Lane<W>(intercept_precision_);
    for (int j = 1; j < this->dim_; ++j) D[j] = Lane<W>(slope_precision_);
  }
  void refresh_node(const double*, double*, const double*, Stream<W>&, Mask<W>) const override {}
  void refresh_global(const double*, const double*, Index, double*, Stream<W>&, Mask<W>) const override {}
  Lane<W> log_marginal(const Lane<W>* phi, const double*, const double*, double intercept_mean) const override {
    Lane<W> total = -0.5 * intercept_precision_ * (phi[0] - intercept_mean) * (phi[0] - intercept_mean);
    for (int j = 1; j < this->dim_; ++j) total -= 0.5 * slope_precision_ * phi[j] * phi[j];
    return total;
  }
  void expected_precision(const double*, const double*, const Lane<W>*, Lane<W>* D) const override {
    precision(nullptr, nullptr, D);
  }
  int n_normals(int) const override { return 1; }
  void normal(const double*, const double*, int j, int, Lane<W>& log_weight, Lane<W>& precision) const override {
    log_weight = Lane<W>(0.0);
    precision = Lane<W>(j ? slope_precision_ : intercept_precision_);
  }
  void draw_local(const double*, double*, const double*, Stream<W>&, Mask<W>) const override {}
  void typical_scales(double*, Index, double*) const override {}
  void expect_scales(const Lane<W>*, double*, Index, double*) const override {}
  double local_scale(const double*, int, int) const override { return std::numeric_limits<double>::quiet_NaN(); }
  double global_scale(const double*, int) const override { return std::numeric_limits<double>::quiet_NaN(); }
  bool plausible(const double*, const double*, int) const override { return true; }

 private:
  double slope_precision_, intercept_precision_;
};

}  // namespace hsmoe
