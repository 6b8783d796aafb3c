// Families whose latent precision is Polya-Gamma (Polson, Scott & Windle 2013): with psi the logit,
//
//     exp(a psi) / (1 + exp(psi))^b = 2^-b exp(kappa psi) E exp(-omega psi^2 / 2),  kappa = a - b/2,  omega ~ PG(b, 0)
//
// so omega ~ PG(b, psi) given psi, and with psi = shift + x'beta the linear term is kappa - omega shift.
#pragma once

#include <cmath>
#include <vector>

#include <hsmoe/expert/augmented.hpp>
#include <hsmoe/random/polya_gamma_queue.hpp>
#include <hsmoe/simd/special.hpp>

namespace hsmoe {

/// Classes 0 ... C-1 as a comb of Bernoulli logits, the last class first: predictor m asks "class m+1, of 0 ... m+1?",
///     P(y = c) = sigmoid(eta_{c-1}) prod_{m >= c} sigmoid(-eta_m)      (the first factor is absent for c = 0)
/// and a row of class c speaks of the predictors from c - 1 on.  For two classes eta is the logit of class 1.
template <int W>
class LogitFamily {
 public:
  static constexpr bool has_scale = false, has_shape = false;
  static constexpr int most_regressions = 255;

  explicit LogitFamily(const LogitOptions& o) : C_(o.n_classes), offset_(o.offset) {
    if (C_ < 2 || C_ > most_regressions + 1) detail::invalid("Expert", "n_classes", C_, "from 2 to 256");
    offset_.resize(std::size_t(C_ - 1), 0.0);
  }
  int regressions() const { return C_ - 1; }
  int fields() const { return C_; }
  double offset(int m) const { return offset_[std::size_t(m)]; }
  bool takes_part(double y, int m) const { return y <= m + 1; }

  Lane<W> log_density(double y, const Lane<W>* eta, const Lane<W>*) const {
    Lane<W> sum(0.0);
    for (int m = 0; m < C_ - 1; ++m)
      if (takes_part(y, m)) sum -= softplus(y == m + 1 ? -eta[m] : eta[m]);
    return sum;
  }
  void component(const Lane<W>* eta, const Lane<W>*, Lane<W>* out, int stride) const {
    Lane<W> rest(1.0);
    for (int m = C_ - 2; m >= 0; --m) {
      const Lane<W> e = exp(-abs(eta[m])), s = 1.0 / (1.0 + e), small = e * s;
      const Mask<W> negative = eta[m] < Lane<W>(0.0);
      out[(m + 1) * stride] = rest * select(negative, small, s);
      rest = rest * select(negative, s, small);
    }
    out[0] = rest;
  }
  void augment(int n, const double* y, int m, Lane<W>* eta, const Lane<W>*, Stream<W>& rng, Mask<W> mask, Lane<W>* omega,
               Lane<W>* linear, Lane<W>*) const {
    eta[n] = omega[n] = Lane<W>(0.0);  // read and written, never used
    const Lane<W> count[1] = {select(mask, Lane<W>(double(n)), Lane<W>(0.0))};
    Stream<W> streams[1] = {rng};
    polya_gamma_one_queue<W, 1>(streams, count, reinterpret_cast<const double*>(eta), reinterpret_cast<double*>(omega), 0, W);
    rng = streams[0];
    for (int t = 0; t < n; ++t) linear[t] = (y[t] == m + 1 ? 0.5 : -0.5) - omega[t] * offset(m);
  }
  void set_shape(double*) const {}
  void grid_log_density(double, Lane<W>, const Lane<W>*, Lane<W>*) const {}

 private:
  int C_;
  std::vector<double> offset_;
};

namespace detail {
/// omega[t] ~ PG(b[t], psi[t]) for n rows; places n are read and written.
template <int W, bool Whole>
inline void draw_polya_gamma(int n, Lane<W>* b, Lane<W>* psi, Stream<W>& rng, Mask<W> mask, Lane<W>* omega) {
  b[n] = Lane<W>(1.0);
  psi[n] = Lane<W>(0.0);
  polya_gamma_queue<W, Whole>(rng, select(mask, Lane<W>(double(n)), Lane<W>(0.0)), reinterpret_cast<const double*>(b),
                              reinterpret_cast<const double*>(psi), reinterpret_cast<double*>(omega), 0, W);
}
}  // namespace detail

/// Successes among n_trials, each of probability sigmoid(eta): a = y, b = n_trials.
template <int W>
class BinomialFamily {
 public:
  static constexpr bool has_scale = false, has_shape = false;
  static constexpr int most_regressions = 1;

  explicit BinomialFamily(const BinomialOptions& o) : n_(o.n_trials), offset_(o.offset.empty() ? 0.0 : o.offset[0]) {
    if (!(n_ >= 1 && n_ == std::floor(n_) && n_ < 1e6)) detail::invalid("Expert", "n_trials", n_, "a whole number from 1 to 999999");
  }
  int regressions() const { return 1; }
  int fields() const { return 1; }
  double offset(int) const { return offset_; }
  bool takes_part(double, int) const { return true; }

  Lane<W> log_density(double y, const Lane<W>* eta, const Lane<W>*) const {
    const double choose = std::lgamma(n_ + 1) - std::lgamma(y + 1) - std::lgamma(n_ - y + 1);
    return choose - y * softplus(-eta[0]) - (n_ - y) * softplus(eta[0]);
  }
  void component(const Lane<W>* eta, const Lane<W>*, Lane<W>* out, int) const {
    const Lane<W> e = exp(-abs(eta[0])), s = 1.0 / (1.0 + e);
    out[0] = select(eta[0] < Lane<W>(0.0), e * s, s);
  }
  void augment(int n, const double* y, int, Lane<W>* eta, const Lane<W>*, Stream<W>& rng, Mask<W> mask, Lane<W>* omega,
               Lane<W>* linear, Lane<W>* work) const {
    for (int t = 0; t < n; ++t) work[t] = Lane<W>(n_);
    detail::draw_polya_gamma<W, true>(n, work, eta, rng, mask, omega);
    for (int t = 0; t < n; ++t) linear[t] = (y[t] - 0.5 * n_) - omega[t] * offset_;
  }
  void set_shape(double*) const {}
  void grid_log_density(double, Lane<W>, const Lane<W>*, Lane<W>*) const {}

 private:
  double n_, offset_;
};

/// Negative binomial of mean mu = exp(eta) and dispersion r, variance mu + mu^2 / r.  The logit is psi = eta - log r:
///     f = Gamma(y + r) / (Gamma(r) y!) exp(y psi) / (1 + exp(psi))^(y + r)      a = y, b = y + r
/// In terms of the mean, beta and r hardly depend on each other a posteriori.  The shape parameter is r.
template <int W>
class NegativeBinomialFamily {
 public:
  static constexpr bool has_scale = false, has_shape = true;
  static constexpr int most_regressions = 1;

  explicit NegativeBinomialFamily(const NegativeBinomialOptions& o)
      : offset_(o.offset.empty() ? 0.0 : o.offset[0]), grid_(o.shape_grid) {}
  int regressions() const { return 1; }
  int fields() const { return 2; }
  double offset(int) const { return offset_; }
  bool takes_part(double, int) const { return true; }

  Lane<W> log_density(double y, const Lane<W>* eta, const Lane<W>* par) const {
    const Lane<W> psi = eta[0] - par[kCached], r = par[kShape];
    return log_gamma(y + r) - par[kAlsoCached] - std::lgamma(y + 1) - y * softplus(-psi) - r * softplus(psi);
  }
  /// Mean and dispersion.
  void component(const Lane<W>* eta, const Lane<W>* par, Lane<W>* out, int stride) const {
    out[0] = exp(min(eta[0], Lane<W>(700.0)));
    out[stride] = par[kShape];
  }
  void augment(int n, const double* y, int, Lane<W>* eta, const Lane<W>* par, Stream<W>& rng, Mask<W> mask, Lane<W>* omega,
               Lane<W>* linear, Lane<W>* work) const {
    for (int t = 0; t < n; ++t) {
      const Lane<W>* p = par + t * kAugmentedParameters;
      work[t] = y[t] + p[kShape];
      eta[t] = eta[t] - p[kCached];
    }
    detail::draw_polya_gamma<W, false>(n, work, eta, rng, mask, omega);
    for (int t = 0; t < n; ++t) {
      const Lane<W>* p = par + t * kAugmentedParameters;
      linear[t] = 0.5 * (y[t] - p[kShape]) - omega[t] * (offset_ - p[kCached]);
    }
  }
  void set_shape(double* par) const {
    const Lane<W> r = Lane<W>::load(par + W * kShape);
    log(r).store(par + W * kCached);
    log_gamma(r).store(par + W * kAlsoCached);
  }
  // log f = {lgamma(y + r) - lgamma(r) + r log r - lgamma(y + 1)} + y eta - (y + r) log(r + mu): what is in braces is the
  // same in every lane, so that lanes go over the grid there.
  void grid_log_density(double y, Lane<W> eta, const Lane<W>*, Lane<W>* out) const {
    const Lane<W> mu = exp(min(eta, Lane<W>(700.0)));
    const double factorial = std::lgamma(y + 1);
    const int G = int(grid_.size());
    for (int first = 0; first < G; first += W) {
      Lane<W> r;
      for (int i = 0; i < W; ++i) r.set(i, grid_[std::size_t(std::min(first + i, G - 1))]);
      const Lane<W> front = log_gamma(y + r) - log_gamma(r) + r * log(r) - factorial;
      for (int i = 0; i < W && first + i < G; ++i)
        out[first + i] = front[i] + y * eta - (y + r[i]) * log(r[i] + mu);
    }
  }

 private:
  double offset_;
  std::vector<double> grid_;
};

}  // namespace hsmoe
