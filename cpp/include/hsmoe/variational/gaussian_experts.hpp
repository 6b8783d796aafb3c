// Gaussian experts under mean field.  Given the responsibilities r the posterior of (beta_k, s2_k) is normal-inverse-gamma,
//
//     beta_k | s2_k ~ N(m, s2_k P^-1)    P = E[tau_k] I + sum r x x'    P m = h = sum r y x
//     s2_k ~ IG(a, b)    a = a0 + sum r / 2    b = E[b0_k] + R / 2    R = T - m'h    T = sum r y^2
//
// (R grows by r e^2 / (1 + r x'P^-1 x) a row, e = y - x'm before it: that holds in the diagonal form too, where T is what
// makes it so).  The sums h and T are free of the prior.  Where tau is learned (expert/gaussian.hpp)
//
//     q(tau_k) = Gamma(c + d/2, c V0 + E[beta'beta / s2] / 2)    E[beta'beta / s2] = m'm a/b + tr P^-1
//
// which is taken up when the beliefs are made anew from the sums.  Where b0 is learned, q(b0_k) = Gamma(c + a0, c / b0 + E[1/s2_k])
// with E[1/s2_k] = a / b; for g = E[b0_k] the two make
//
//     (c/b0) g^2 + (c R / (2 b0) + a - c - a0) g - (c + a0) R / 2 = 0
//
// which has one positive root.  Forecasts have s2 integrated out: Student-t(2a, x'm, (b/a)(1 + x'P^-1 x)).
#pragma once

#include <cmath>
#include <limits>

#include <hsmoe/expert/gamma_prior.hpp>
#include <hsmoe/simd/special.hpp>
#include <hsmoe/variational/experts.hpp>

namespace hsmoe::variational {

class GaussianExperts final : public VariationalExperts {
 public:
  GaussianExperts(int n_experts, int dim, bool diagonal, const GaussianOptions& o)
      : VariationalExperts(n_experts, 1, dim, diagonal), o_(o) {
    check_scales("GaussianExpert", o);
  }

  // Sums of the belief, then T, then sum r.  Derived: the belief, then R, a, b, E[tau].
  Index sums() const override { return K_ * sums_stride(); }
  Index derived() const override { return K_ * derived_stride(); }
  int memo() const override { return 0; }

  void init(const double* sums, double* derived) const override {
    for (int k = 0; k < K_; ++k, sums += sums_stride(), derived += derived_stride()) {
      tau(derived) = 1 / o_.coefficient_variance;
      solve(sums, derived);
    }
  }
  void refresh(const double* sums, double* derived) const override {
    for (int k = 0; k < K_; ++k, sums += sums_stride(), derived += derived_stride()) {
      solve(sums, derived);
      if (!(o_.coefficient_shape > 0)) continue;
      const double *own = derived + belief_.derived(), *m = belief_.mean(derived), c = o_.coefficient_shape;
      double square = dot(m, m, belief_.dim()) * own[1] / own[2];
      for (int j = 0; j < belief_.dim(); ++j) square += belief_.variance(derived, j);
      tau(derived) = std::max((c + 0.5 * belief_.dim()) / (c * o_.coefficient_variance + 0.5 * square), smallest_tau);
      solve(sums, derived);
    }
  }

  void forecast(const double* derived, const double* x, double* components, ExpertWork& work) const override {
    for (int k = 0; k < K_; ++k, derived += derived_stride()) {
      const Projection p = belief_.project(derived, x, 0.0, v(work, k));
      work.row[k] = p;
      const double *own = derived + belief_.derived(), a = own[1], b = own[2];
      component(components + k, p, a, b);
    }
  }
  void log_density(const double* components, double y, double* log_f) const override {
    for (int k = 0; k < K_; ++k) {
      const double scale = components[K_ + k], a = 0.5 * components[2 * K_ + k], t = (y - components[k]) / scale;
      log_f[k] = lgamma_half_difference(Lane<1>(a))[0] - 0.5 * std::log(6.283185307179586477 * a) - std::log(scale) -
                 (a + 0.5) * std::log1p(t * t / (2 * a));
    }
  }
  void learn(double* sums, double* derived, const double* x, double y, const double* r, ExpertWork& work) const override {
    for (int k = 0; k < K_; ++k, sums += sums_stride(), derived += derived_stride())
      if (r[k] >= negligible) {
        take(sums, derived, x, y, r[k], work.row[k], v(work, k));
        scales(sums, derived);
      }
  }

  void revisit(const double* derived, const double* x, double y, const double* r, double*, double* components,
               ExpertWork& work) const override {
    for (int k = 0; k < K_; ++k, derived += derived_stride()) {
      const Projection whole = belief_.project(derived, x, 0.0, v(work, k)), p = belief_.without(derived, x, whole, r[k], r[k] * y);
      const double *own = derived + belief_.derived(), e = y - p.mean;
      const double a = own[1] - 0.5 * r[k], b = own[2] - 0.5 * r[k] * e * e / (1 + r[k] * p.variance);
      component(components + k, p, std::max(a, o_.a0), std::max(b, own[2] - 0.5 * own[0]));
    }
  }
  void rebuild(double* sums, double* derived, const RowSet& rows, const double* y, const double* r, const double*, Index freeze,
               double* frozen, ExpertWork& work) const override {
    work.w.resize(std::size_t(rows.n));
    work.kappa.resize(std::size_t(rows.n));
    for (int k = 0; k < K_; ++k, sums += sums_stride(), derived += derived_stride()) {
      double squares[2] = {0, 0}, counts[2] = {0, 0};  // of the rows to freeze, of those retained
      const std::vector<double> D = prior(derived);
      double* own = sums + belief_.sums();
      const double before = belief_.diagonal() ? own[0] - explained(sums, D) : 0.0;  // R of what was frozen
      for (Index i = 0; i < rows.n; ++i) {
        const double weight = r[i * K_ + k] >= negligible ? r[i * K_ + k] : 0.0;
        work.w[i] = weight;
        work.kappa[i] = weight * y[i];
        squares[i >= freeze] += weight * y[i] * y[i];
        counts[i >= freeze] += weight;
      }
      const Belief::Squares rest = belief_.rebuild(sums, derived, rows, work.w.data(), work.kappa.data(), 0.0, D.data(), 0.0, freeze,
                                                   frozen, work.residual);
      if (frozen) {
        frozen[belief_.sums()] = std::max(belief_.diagonal() ? before + rest.frozen + explained(frozen, D) : own[0] + squares[0], 0.0);
        frozen[belief_.sums() + 1] = own[1] + counts[0];
        frozen += sums_stride();
      }
      own[0] = belief_.diagonal() ? before + rest.all + explained(sums, D) : own[0] + squares[0] + squares[1];
      own[1] += counts[0] + counts[1];
    }
  }

  void describe(const double* sums, const double* derived, double* coefficients, double* variance, double* shape,
                double* counts) const override {
    const int d = belief_.dim();
    for (int k = 0; k < K_; ++k, sums += sums_stride(), derived += derived_stride()) {
      const double* own = derived + belief_.derived();
      std::copy_n(belief_.mean(derived), d, coefficients + Index(k) * d);
      variance[k] = own[1] > 1 ? own[2] / (own[1] - 1) : std::numeric_limits<double>::infinity();
      shape[k] = std::numeric_limits<double>::quiet_NaN();
      counts[k] = sums[belief_.sums() + 1];
    }
  }
  void draw(const double* derived, const Normals& normal, const Gammas& gamma, double* coefficients,
            double* variance) const override {
    for (int k = 0; k < K_; ++k, derived += derived_stride()) {
      const double* own = derived + belief_.derived();
      variance[k] = own[2] / gamma(own[1]);
      belief_.draw(derived, std::sqrt(variance[k]), normal, coefficients + Index(k) * belief_.dim());
    }
  }
  void log_density_at(const double* coefficients, const double* variance, const double* x, double y,
                      double* log_f) const override {
    for (int k = 0; k < K_; ++k) {
      const double e = y - dot(coefficients + Index(k) * belief_.dim(), x, belief_.dim());
      log_f[k] = -0.5 * (std::log(6.283185307179586477 * variance[k]) + e * e / variance[k]);
    }
  }
  bool plausible(const double* sums, const double* derived) const override {
    for (int k = 0; k < K_; ++k, sums += sums_stride(), derived += derived_stride()) {
      const double *more = sums + belief_.sums(), *own = derived + belief_.derived();
      if (!(belief_.plausible(sums, derived) && more[0] >= 0 && more[1] >= 0 && own[0] >= 0 && own[1] >= o_.a0 && own[2] > 0 && own[3] > 0))
        return false;
    }
    return true;
  }

 private:
  Index sums_stride() const { return belief_.sums() + 2; }
  Index derived_stride() const { return belief_.derived() + 4; }
  double& tau(double* derived) const { return derived[belief_.derived() + 3]; }
  std::vector<double> prior(double* derived) const { return std::vector<double>(std::size_t(belief_.dim()), tau(derived)); }
  double* v(ExpertWork& work, int k) const { return work.v.data() + Index(k) * belief_.dim(); }

  /// h'(sums + D)^-1 h of the diagonal form.
  double explained(const double* sums, const std::vector<double>& D) const {
    const double* h = belief_.linear(sums);
    double sum = 0;
    for (int j = 0; j < belief_.dim(); ++j) sum += h[j] * h[j] / (sums[j] + D[j]);
    return sum;
  }
  /// Beliefs of one expert from its sums.
  void solve(const double* sums, double* derived) const {
    belief_.solve(sums, prior(derived).data(), 0.0, derived);
    derived[belief_.derived()] = std::max(sums[belief_.sums()] - dot(belief_.mean(derived), belief_.linear(sums), belief_.dim()), 0.0);
    scales(sums, derived);
  }
  void component(double* out, const Projection& p, double a, double b) const {
    out[0] = p.mean;
    out[K_] = std::sqrt(b / a * (1 + p.variance));
    out[2 * K_] = 2 * a;
  }
  void take(double* sums, double* derived, const double* x, double y, double r, const Projection& p, const double* v) const {
    const double e = y - p.mean, growth = r * e * e / (1 + r * p.variance);
    belief_.learn(sums, derived, x, p, v, r, r * y, 0.0);
    sums[belief_.sums() + 1] += r;
    derived[belief_.derived()] += growth;
    if (belief_.diagonal()) sums[belief_.sums()] = derived[belief_.derived()] + dot(belief_.mean(derived), belief_.linear(sums), belief_.dim());
    else sums[belief_.sums()] += r * y * y;
  }
  void scales(const double* sums, double* derived) const {
    double* own = derived + belief_.derived();
    const double R = own[0], a = o_.a0 + 0.5 * sums[belief_.sums() + 1];
    double b0 = o_.b0;
    if (o_.b0_shape > 0) {
      const double c = o_.b0_shape, A = c / o_.b0, B = 0.5 * c * R / o_.b0 + a - c - o_.a0, C = 0.5 * (c + o_.a0) * R;
      const double root = std::sqrt(B * B + 4 * A * C);
      b0 = B > 0 ? 2 * C / (B + root) : (root - B) / (2 * A);  // whichever does not cancel
    }
    own[1] = a;
    own[2] = std::max(b0, smallest_b0) + 0.5 * R;
  }

  GaussianOptions o_;
};

}  // namespace hsmoe::variational
