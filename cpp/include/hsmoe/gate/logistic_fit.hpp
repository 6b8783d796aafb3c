// A multivariate t fitted to the posterior of the coefficients of one logistic node given which rows passed it and where
// they went, Polya-Gamma variables and local scales integrated out.  With psi = u'phi and side = +-1/2,
//
//     log p(phi | .) = sum_rows [side psi - log(2 cosh(psi/2))] + log p(phi | global scales) + const
//
// Newton steps from zero, the prior replaced by the Gaussian of equal expected precision at the current fit.  The
// number of steps is fixed: the fit is a function of the rows and the global scales, as a Metropolis-Hastings
// proposal needs; how well it fits only moves the acceptance.
#pragma once

#include <algorithm>

#include <hsmoe/linalg/accumulate.hpp>
#include <hsmoe/linalg/gaussian_draw.hpp>
#include <hsmoe/prior/gate_prior.hpp>
#include <hsmoe/row.hpp>

namespace hsmoe {

/// half_tanh = tanh(psi/2)/2 and curvature = s(1-s), s = sigmoid(psi).
template <int W>
HSMOE_INLINE void linearise_logistic(Lane<W> psi, Lane<W>& half_tanh, Lane<W>& curvature) {
  const Lane<W> e = exp_nonpositive(-abs(psi)), s = 1.0 / (1.0 + e);
  curvature = e * s * s;
  half_tanh = select(psi < Lane<W>(0.0), Lane<W>(-0.5), Lane<W>(0.5)) * ((1.0 - e) * s);
}

template <int W>
class LogisticFit {
 public:
  static constexpr double df = 6.0;  // of the t

  LogisticFit(const GatePrior<W>& prior, int dim, Lane<W>* work)
      : prior_(prior), p_(dim), Q_(work), h_(Q_ + packed_size(p_)), D_(h_ + p_), mean_(D_ + p_), scratch_(mean_ + p_) {}

  static int work_lanes(int p) { return 2 * packed_size(p) + 8 * p + 2 * RowBlock::most; }

  /// side: for each of n rows (designs U, row-major) +1/2 (left), -1/2 (right), 0 (did not pass).
  void fit(Index n, const double* U, const Lane<W>* side, const double* scales, const double* global, double intercept_mean) {
    double* Q = reinterpret_cast<double*>(Q_);
    for (int j = 0; j < p_; ++j) mean_[j] = Lane<W>(0.0);
    for (int step = 0; step < newton_steps; ++step) {
      std::fill(Q, reinterpret_cast<double*>(h_ + p_), 0.0);
      linearise(n, U, side, step == 0);
      for (int j = 0; j < p_; ++j) {
        Lane<W>& second_moment = scratch_[j];
        second_moment = mean_[j] * mean_[j] + 1.0 / (Lane<W>::load(Q + W * packed_index(j, j)) + (step ? D_[j] : Lane<W>(0.1)));
      }
      prior_.expected_precision(scales, global, scratch_, D_);
      h_[0] += D_[0] * intercept_mean;
      log_det_ = gaussian_solve<W>(Q, D_, h_, p_, scratch_, mean_);
    }
  }

  void draw(Stream<W>& rng, Mask<W> mask, Lane<W>* phi) const {
    gaussian_block_draw<W>(reinterpret_cast<const double*>(Q_), D_, h_, p_, scratch_, rng, mask, phi);
    const Lane<W> stretch = sqrt(Lane<W>(0.5 * df) / gamma<W>(rng, mask, Lane<W>(0.5 * df)));
    for (int j = 0; j < p_; ++j) phi[j] = mean_[j] + (phi[j] - mean_[j]) * stretch;
  }

  /// Log density of the t at phi, up to a constant.
  Lane<W> log_density(const Lane<W>* phi) const {
    const double* Q = reinterpret_cast<const double*>(Q_);
    Lane<W> q(0.0), *e = scratch_;
    for (int i = 0; i < p_; ++i) {
      e[i] = phi[i] - mean_[i];
      Lane<W> s = 0.5 * (Lane<W>::load(Q + W * packed_index(i, i)) + D_[i]) * e[i];
      for (int j = 0; j < i; ++j) s += Lane<W>::load(Q + W * packed_index(i, j)) * e[j];
      q += e[i] * s;
    }
    return 0.5 * log_det_ - 0.5 * (df + p_) * log1p(2.0 * q / df);
  }

  /// log p(sides | phi)
  Lane<W> log_likelihood(Index n, const double* U, const Lane<W>* side, const Lane<W>* phi) const {
    Lane<W> total(0.0);
    for (Index i = 0; i < n; ++i) {
      const Mask<W> in = !(side[i] == Lane<W>(0.0));
      if (!any(in)) continue;
      const double* u = U + i * p_;
      Lane<W> psi = phi[0] * u[0];
      for (int j = 1; j < p_; ++j) psi += phi[j] * u[j];
      total += select(in, side[i] * psi - 0.5 * abs(psi) - log1p(exp_nonpositive(-abs(psi))), Lane<W>(0.0));
    }
    return total;
  }

 private:
  static constexpr int newton_steps = 5;

  // Q += sum s(1-s) u u', h += sum (side - tanh(psi/2)/2 + s(1-s) psi) u, s = sigmoid(psi) at the current mean.
  // At zero s = 1/2.
  void linearise(Index n, const double* U, const Lane<W>* side, bool at_zero) {
    Lane<W>*weight = scratch_, *linear = weight + RowBlock::most;
    const double* rows[RowBlock::most];
    int count = 0;
    for (Index i = 0; i < n; ++i) {
      const Mask<W> in = !(side[i] == Lane<W>(0.0));
      if (any(in)) {
        const double* u = U + i * p_;
        rows[count] = u;
        if (at_zero) {
          weight[count] = select(in, Lane<W>(0.25), Lane<W>(0.0));
          linear[count++] = side[i];
        } else {
          Lane<W> psi = mean_[0] * u[0];
          for (int j = 1; j < p_; ++j) psi += mean_[j] * u[j];
          Lane<W> half_tanh, w;
          linearise_logistic(psi, half_tanh, w);
          weight[count] = select(in, w, Lane<W>(0.0));
          linear[count++] = select(in, side[i] - half_tanh + w * psi, Lane<W>(0.0));
        }
      }
      if (count == RowBlock::most || (i + 1 == n && count)) {
        accumulate_outer<W>(reinterpret_cast<double*>(Q_), p_, rows, weight, count);
        accumulate_rows<W>(reinterpret_cast<double*>(h_), p_, rows, linear, count);
        count = 0;
      }
    }
  }

  const GatePrior<W>& prior_;
  int p_;
  Lane<W>*Q_, *h_, *D_, *mean_, *scratch_;
  Lane<W> log_det_;
};

}  // namespace hsmoe
