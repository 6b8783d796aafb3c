// Experts with a logit under mean field: the likelihood of predictor t is that of expert/polya_gamma_families.hpp,
//
//     exp(a t) / (1 + exp(t))^b:   kappa = a - b/2,   E[omega] = b tanh(c/2) / (2c),   t = shift + x'beta
//
// and a row of responsibility r counts r times.  q(beta) is normal; forecasts integrate it out: class probabilities by
// E sigmoid (the predictors of a comb are independent under q, so their products are exact), a count by the negative
// binomial of the same mean and variance, a number of successes by the binomial of the same mean.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include <hsmoe/error.hpp>
#include <hsmoe/simd/special.hpp>
#include <hsmoe/variational/experts.hpp>

namespace hsmoe::variational {

/// What a target says of one predictor: b and kappa above; b = 0: nothing.
struct Evidence {
  double trials, kappa;
};

inline double softplus(double t) { return std::max(t, 0.0) + std::log1p(std::exp(-std::abs(t))); }

/// Classes as a comb, the last first: predictor m asks "class m+1, of 0 ... m+1?".
class LogitLikelihood {
 public:
  explicit LogitLikelihood(const LogitOptions& o) : C_(o.n_classes), shift_(o.offset) {
    if (C_ < 2 || C_ > 256) hsmoe::detail::invalid("Expert", "n_classes", C_, "from 2 to 256");
    shift_.resize(std::size_t(C_ - 1), 0.0);
  }
  int predictors() const { return C_ - 1; }
  double shift(int m) const { return shift_[std::size_t(m)]; }
  double shape() const { return std::numeric_limits<double>::quiet_NaN(); }
  Evidence evidence(double y, int m) const {
    if (y > m + 1) return {0, 0};
    return {1, y == m + 1 ? 0.5 : -0.5};
  }
  void component(const Projection* t, double* out, int stride) const {
    double rest = 1;
    for (int m = C_ - 2; m >= 0; --m) {
      const SigmoidMoments side = sigmoid_moments(t[m].mean, t[m].variance);
      out[(m + 1) * stride] = rest * side.left;
      rest *= side.right;
    }
    out[0] = rest;
  }
  double log_density(const double* component, int stride, double y) const {
    return std::log(std::max(component[int(y) * stride], 1e-300));
  }
  double log_density_at(const double* t, double y) const {
    double sum = 0;
    for (int m = 0; m < C_ - 1; ++m)
      if (y <= m + 1) sum -= softplus(y == m + 1 ? -t[m] : t[m]);
    return sum;
  }

 private:
  int C_;
  std::vector<double> shift_;
};

/// Successes among n trials.
class BinomialLikelihood {
 public:
  explicit BinomialLikelihood(const BinomialOptions& o) : n_(o.n_trials), shift_(o.offset.empty() ? 0.0 : o.offset[0]) {
    if (!(n_ >= 1 && n_ == std::floor(n_) && n_ < 1e6))
      hsmoe::detail::invalid("Expert", "n_trials", n_, "a whole number from 1 to 999999");
  }
  int predictors() const { return 1; }
  double shift(int) const { return shift_; }
  double shape() const { return std::numeric_limits<double>::quiet_NaN(); }
  Evidence evidence(double y, int) const { return {n_, y - 0.5 * n_}; }
  void component(const Projection* t, double* out, int) const { out[0] = sigmoid_moments(t->mean, t->variance).left; }
  double log_density(const double* component, int, double y) const {
    const double p = std::clamp(*component, 1e-300, 1 - 1e-16);
    return choose(y) + y * std::log(p) + (n_ - y) * std::log1p(-p);
  }
  double log_density_at(const double* t, double y) const { return choose(y) - y * softplus(-*t) - (n_ - y) * softplus(*t); }

 private:
  double choose(double y) const { return std::lgamma(n_ + 1) - std::lgamma(y + 1) - std::lgamma(n_ - y + 1); }
  double n_, shift_;
};

/// Counts of mean exp(eta) and known dispersion r: t = eta - log r.
class NegativeBinomialLikelihood {
 public:
  explicit NegativeBinomialLikelihood(const NegativeBinomialOptions& o)
      : r_(o.shape_grid.at(0)), shift_((o.offset.empty() ? 0.0 : o.offset[0]) - std::log(r_)) {
    check_positive("Expert", "shape_grid", r_);
  }
  int predictors() const { return 1; }
  double shift(int) const { return shift_; }
  double shape() const { return r_; }
  Evidence evidence(double y, int) const { return {y + r_, 0.5 * (y - r_)}; }
  /// Mean E exp(eta) = r exp(m + v/2), and the dispersion s that gives the variance: 1 + 1/s = (1 + 1/r) exp(v).
  void component(const Projection* t, double* out, int stride) const {
    out[0] = r_ * std::exp(std::min(t->mean + 0.5 * t->variance, 690.0));
    out[stride] = 1 / (std::expm1(std::min(t->variance, 600.0)) + std::exp(std::min(t->variance, 600.0)) / r_);
  }
  double log_density(const double* component, int stride, double y) const {
    return density(std::log(component[0]) - std::log(component[stride]), component[stride], y);
  }
  double log_density_at(const double* t, double y) const { return density(*t, r_, y); }

 private:
  static double density(double t, double r, double y) {
    return log_gamma(Lane<1>(y + r))[0] - log_gamma(Lane<1>(r))[0] - std::lgamma(y + 1) - y * softplus(-t) - r * softplus(t);
  }
  double r_, shift_;
};

template <class Likelihood>
class PolyaGammaExperts final : public VariationalExperts {
 public:
  template <class Options>
  PolyaGammaExperts(int n_experts, int dim, bool diagonal, const Options& o)
      : VariationalExperts(n_experts, Likelihood(o).predictors(), dim, diagonal), likelihood_(o), D_(std::size_t(dim), 1 / o.coefficient_variance) {
    check_positive("Expert", "coefficient_variance", o.coefficient_variance);
    check_positive("Expert", "intercept_variance", o.intercept_variance);
    if (!o.offset.empty() && int(o.offset.size()) != n_)
      hsmoe::detail::invalid("Expert", "offset", double(o.offset.size()), "one number a linear predictor");
    D_[0] = 1 / o.intercept_variance;
  }

  // Beliefs of the K x n_ predictors, then the rows by expert.
  Index sums() const override { return predictors() * belief_.sums() + K_; }
  Index derived() const override { return predictors() * belief_.derived(); }
  int memo() const override { return K_ * n_; }

  void init(const double* sums, double* derived) const override { refresh(sums, derived); }
  void refresh(const double* sums, double* derived) const override {
    for (Index i = 0; i < predictors(); ++i) belief_.solve(sums + i * belief_.sums(), D_.data(), 0.0, derived + i * belief_.derived());
  }
  void forecast(const double* derived, const double* x, double* components, ExpertWork& work) const override {
    project(derived, x, work);
    for (int k = 0; k < K_; ++k) likelihood_.component(&work.row[k * n_], components + k, K_);
  }
  void log_density(const double* components, double y, double* log_f) const override {
    for (int k = 0; k < K_; ++k) log_f[k] = likelihood_.log_density(components + k, K_, y);
  }
  void learn(double* sums, double* derived, const double* x, double y, const double* r, ExpertWork& work) const override {
    for (int k = 0; k < K_; ++k) {
      if (r[k] < negligible) continue;
      sums[predictors() * belief_.sums() + k] += r[k];
      for (int m = 0; m < n_; ++m) {
        const Index i = k * n_ + m;
        const Evidence e = likelihood_.evidence(y, m);
        if (e.trials == 0) continue;
        const Projection& p = work.row[i];
        belief_.learn(sums + i * belief_.sums(), derived + i * belief_.derived(), x, p, v(work, i), settle(p, r[k] * e.trials, r[k] * e.kappa),
                      r[k] * e.kappa, likelihood_.shift(m));
      }
    }
  }

  void revisit(const double* derived, const double* x, double y, const double* r, double* omega, double* components,
               ExpertWork& work) const override {
    project(derived, x, work);
    for (int k = 0; k < K_; ++k) {
      for (int m = 0; m < n_; ++m) {
        const Index i = k * n_ + m;
        const Evidence e = likelihood_.evidence(y, m);
        Projection& p = work.row[i];
        omega[i] = e.trials * polya_gamma_mean(std::sqrt(p.mean * p.mean + p.variance));
        if (e.trials > 0) p = belief_.without(derived + i * belief_.derived(), x, p, r[k] * omega[i], r[k] * e.kappa);
      }
      likelihood_.component(&work.row[k * n_], components + k, K_);
    }
  }
  void rebuild(double* sums, double* derived, const RowSet& rows, const double* y, const double* r, const double* omega, Index freeze,
               double* frozen, ExpertWork& work) const override {
    work.w.resize(std::size_t(rows.n));
    work.kappa.resize(std::size_t(rows.n));
    double* counts = sums + predictors() * belief_.sums();
    for (int k = 0; k < K_; ++k) {
      double taken[2] = {0, 0};  // of the rows to freeze, of those retained
      for (Index t = 0; t < rows.n; ++t)
        if (r[t * K_ + k] >= negligible) taken[t >= freeze] += r[t * K_ + k];
      if (frozen) frozen[predictors() * belief_.sums() + k] = counts[k] + taken[0];
      counts[k] += taken[0] + taken[1];
      for (int m = 0; m < n_; ++m) {
        const Index i = k * n_ + m;
        for (Index t = 0; t < rows.n; ++t) {
          const double weight = r[t * K_ + k] >= negligible ? r[t * K_ + k] : 0.0;
          work.w[t] = weight * omega[t * K_ * n_ + i];
          work.kappa[t] = work.w[t] > 0 ? weight * likelihood_.evidence(y[t], m).kappa : 0.0;
        }
        belief_.rebuild(sums + i * belief_.sums(), derived + i * belief_.derived(), rows, work.w.data(), work.kappa.data(),
                        likelihood_.shift(m), D_.data(), 0.0, freeze, frozen ? frozen + i * belief_.sums() : nullptr, work.residual);
      }
    }
  }

  void describe(const double* sums, const double* derived, double* coefficients, double* variance, double* shape,
                double* counts) const override {
    for (Index i = 0; i < predictors(); ++i)
      std::copy_n(belief_.mean(derived + i * belief_.derived()), belief_.dim(), coefficients + i * belief_.dim());
    std::fill_n(variance, K_, std::numeric_limits<double>::quiet_NaN());
    std::fill_n(shape, K_, likelihood_.shape());
    std::copy_n(sums + predictors() * belief_.sums(), K_, counts);
  }
  void draw(const double* derived, const Normals& normal, const Gammas&, double* coefficients, double*) const override {
    for (Index i = 0; i < predictors(); ++i)
      belief_.draw(derived + i * belief_.derived(), 1.0, normal, coefficients + i * belief_.dim());
  }
  void log_density_at(const double* coefficients, const double*, const double* x, double y, double* log_f) const override {
    std::vector<double> t(static_cast<std::size_t>(n_));
    for (int k = 0; k < K_; ++k) {
      for (int m = 0; m < n_; ++m)
        t[m] = likelihood_.shift(m) + dot(coefficients + Index(k * n_ + m) * belief_.dim(), x, belief_.dim());
      log_f[k] = likelihood_.log_density_at(t.data(), y);
    }
  }
  bool plausible(const double* sums, const double* derived) const override {
    for (Index i = 0; i < predictors(); ++i)
      if (!belief_.plausible(sums + i * belief_.sums(), derived + i * belief_.derived())) return false;
    for (int k = 0; k < K_; ++k)
      if (!(sums[predictors() * belief_.sums() + k] >= 0)) return false;
    return true;
  }

 private:
  Index predictors() const { return Index(K_) * n_; }
  double* v(ExpertWork& work, Index i) const { return work.v.data() + i * belief_.dim(); }
  void project(const double* derived, const double* x, ExpertWork& work) const {
    for (Index i = 0; i < predictors(); ++i)
      work.row[i] = belief_.project(derived + i * belief_.derived(), x, likelihood_.shift(int(i % n_)), v(work, i));
  }

  Likelihood likelihood_;
  std::vector<double> D_;
};

}  // namespace hsmoe::variational
