// Laplace nodes: s_r = b_r - |u - c_r| over the features (the 1 in front of u meets b_r), with
//
//     b_r ~ N(log leaves, intercept_sd^2)     c_rj ~ N(0, centre_sd^2)     in units of the standardised features.
//
// theta_r = (b_r, c_r) has no conditional that could be drawn from.  Random-walk Metropolis, child by child: a step is
// N(0, (f sigma_j)^2) in each coordinate, with sigma_j^-2 the prior precision plus what n passing rows shared evenly
// among m children would tell, n (m - 1) / m^2, plus that of remembered rows on average, and f log-uniform over a decade
// and a half, drawn anew for each step: narrow and wide steps both get their turn, whatever the data look like.  The law
// of a step does not depend on theta, so it is symmetric and the kernel exact.  The shift b_r + c, of which the
// likelihood knows nothing, is drawn from the prior.
#pragma once

#include <algorithm>

#include <hsmoe/error.hpp>
#include <hsmoe/gate/gate_node.hpp>
#include <hsmoe/gate/gate_options.hpp>

namespace hsmoe {

template <int W>
class LaplaceNode final : public GateNode<W> {
  using Node = GateNode<W>;
  using Node::m_, Node::r_, Node::p_;

 public:
  LaplaceNode(const NodeSpec& spec, int dim, int stride, const LaplaceNodeOptions& options)
      : Node(spec, spec.n_children(), dim, stride),
        centre_precision_(1 / (options.centre_sd * options.centre_sd)),
        bias_precision_(1 / (options.intercept_sd * options.intercept_sd)) {
    check_between("LaplaceNode", "centre_sd", options.centre_sd, 1e-9, 1e9);
    check_between("LaplaceNode", "intercept_sd", options.intercept_sd, 1e-9, 1e9);
  }

  bool penalised() const override { return false; }
  int work_lanes() const override { return std::max(this->freeze_lanes(), 4 * p_ + m_); }

  void init(double* rows, const double*, Stream<W>& rng, Mask<W> mask) const override {
    for (int r = 0; r < r_; ++r)
      for (int j = 0; j < p_; ++j)
        Node::put(this->row(rows, r) + W * j, mask, mean(r, j) + normal<W>(rng, mask) / std::sqrt(precision(j)));
  }

  void scores(const double* rows, const double* u, Lane<W>* s) const override {
    for (int r = 0; r < r_; ++r) {
      const double* theta = this->row(rows, r);
      Lane<W> square(0.0);
      for (int j = 1; j < p_; ++j) square += sq(u[j] - Lane<W>::load(theta + W * j));
      s[r] = Lane<W>::load(theta) - sqrt(square);
    }
  }
  void slopes(const double* rows, int r, const double* u, Lane<W>* slope) const override {
    Lane<W> square(0.0);
    for (int j = 1; j < p_; ++j) square += sq(slope[j] = u[j] - this->theta(rows, r, j));
    const Lane<W> scale = 1.0 / sqrt(max(square, Lane<W>(1e-200)));
    slope[0] = Lane<W>(1.0);
    for (int j = 1; j < p_; ++j) slope[j] *= scale;
  }

  void move(double* rows, const double*, const double* frozen, const RoutedRows<W>& routed, Lane<W>* s, Stream<W>& rng,
            Mask<W> mask, Lane<W>* work) const override {
    Lane<W> passing(0.0);
    for (Index i = 0; i < routed.n; ++i) passing += select(routed.child[i] >= Lane<W>(0.0), Lane<W>(1.0), Lane<W>(0.0));
    const Lane<W> told = passing * (double(m_ - 1) / double(m_ * m_));
    for (int step = 0; step < steps; ++step)
      for (int r = 0; r < r_; ++r) propose(r, rows, frozen, told, routed, s, rng, mask, work);
    shift(rows, rng, mask);
  }

 private:
  static constexpr int steps = 3;

  static Lane<W> sq(Lane<W> v) { return v * v; }
  double mean(int r, int j) const { return j ? 0.0 : this->offset(r); }
  double precision(int j) const { return j ? centre_precision_ : bias_precision_; }

  void propose(int r, double* rows, const double* frozen, Lane<W> told, const RoutedRows<W>& routed, Lane<W>* s,
               Stream<W>& rng, Mask<W> mask, Lane<W>* work) const {
    Lane<W>*next = work, *step = next + p_, *middle = step + p_, *pull = middle + p_;
    double* theta = this->row(rows, r);
    if (frozen) {
      Lane<W> sum(0.0);
      for (int j = 0; j < p_; ++j) sum += this->frozen_entry(frozen, r, j, r, j);
      told += sum * (1.0 / p_);
    }
    // 2.4 / sqrt(p) is the best scale for a Gaussian target (Gelman, Roberts & Gilks 1996).
    const Lane<W> f = 2.4 / std::sqrt(double(p_)) * exp(uniform<W>(rng, mask) * -3.5 + 0.7);
    Lane<W> log_ratio(0.0);
    for (int j = 0; j < p_; ++j) {
      const Lane<W> now = Lane<W>::load(theta + W * j);
      step[j] = f * normal<W>(rng, mask) / sqrt(told + precision(j));
      next[j] = now + step[j];
      middle[j] = now + 0.5 * step[j];
      log_ratio += 0.5 * precision(j) * (sq(now - mean(r, j)) - sq(next[j] - mean(r, j)));
    }
    if (frozen) {  // of a quadratic: the difference is the step times the gradient half way
      this->frozen_gradient(frozen, rows, r, middle, pull);
      for (int j = 0; j < p_; ++j) log_ratio += step[j] * pull[j];
    }
    for (Index i = 0; i < routed.n; ++i) {
      const Mask<W> passed = mask & (routed.child[i] >= Lane<W>(0.0));
      if (!any(passed)) continue;
      const Lane<W>* scores = s + i * m_;
      const Lane<W> then = score(next, routed.U + i * p_);
      Lane<W> top = max(then, scores[r]), others(0.0);
      for (int c = 0; c < m_; ++c) top = max(top, scores[c]);
      for (int c = 0; c < m_; ++c)
        if (c != r) others += exp_nonpositive(scores[c] - top);
      const Lane<W> gain = select(routed.child[i] == Lane<W>(double(r)), then - scores[r], Lane<W>(0.0)) +
                           log(max(others + exp_nonpositive(scores[r] - top), Lane<W>(1e-300)) /
                               max(others + exp_nonpositive(then - top), Lane<W>(1e-300)));
      log_ratio += select(passed, gain, Lane<W>(0.0));
    }
    const Mask<W> accept = mask & (log(uniform<W>(rng, mask)) < log_ratio);
    if (!any(accept)) return;
    for (int j = 0; j < p_; ++j) Node::put(theta + W * j, accept, next[j]);
    for (int j = 0; j < p_; ++j) next[j] = Lane<W>::load(theta + W * j);
    for (Index i = 0; i < routed.n; ++i) s[i * m_ + r] = score(next, routed.U + i * p_);
  }

  Lane<W> score(const Lane<W>* theta, const double* u) const {
    Lane<W> square(0.0);
    for (int j = 1; j < p_; ++j) square += sq(u[j] - theta[j]);
    return theta[0] - sqrt(square);
  }

  void shift(double* rows, Stream<W>& rng, Mask<W> mask) const {
    Lane<W> pull(0.0);
    for (int r = 0; r < r_; ++r) pull += mean(r, 0) - this->theta(rows, r, 0);
    const Lane<W> c = pull * (1.0 / r_) + normal<W>(rng, mask) / std::sqrt(r_ * bias_precision_);
    for (int r = 0; r < r_; ++r) Node::put(this->row(rows, r), mask, this->theta(rows, r, 0) + c);
  }

  double centre_precision_, bias_precision_;
};

}  // namespace hsmoe
