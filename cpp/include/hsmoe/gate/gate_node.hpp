// The seam for nodes of a nested gate.  A node sends a row to child c with probability softmax(s)_c, where the score s_r
// of a child depends on the row and on p numbers theta_r of its own:
//
//     softmax    s_r = u'theta_r                 logistic   the same, two children, the last score pinned at 0
//     Laplace    s_r = b_r - |u - c_r|, theta_r = (b_r, c_r), the Euclidean norm over the features (arXiv 2410.02935)
//
// theta has no sufficient statistics (a stored Polya-Gamma statistic of a softmax depends on the scores of the other
// children when it was made), so it stays as it is from row to row: the filter weighs and resamples.  A scan draws it
// anew given the children that the retained rows went to, by a kernel that leaves
//
//     p(theta | children) ~ prod_i softmax(s(u_i))_{child_i} exp(h'theta - theta'A theta / 2) p(theta)
//
// invariant.  A, h remember the rows that are no longer retained: with all rows retained they are zero and the target
// is the posterior; else a row leaves by the quadratic that has the gradient of its log likelihood at the theta just
// drawn, and for curvature its Fisher information there,
//
//     A += J'(diag(pi) - pi pi')J     h += J'(e_child - pi) + J'(diag(pi) - pi pi')J theta,     J = ds/dtheta
//
// exactly the second-order expansion for a softmax, whose score is linear.  Forgetting decays A and h.
#pragma once

#include <hsmoe/gate/node_tree.hpp>
#include <hsmoe/linalg/gaussian_draw.hpp>
#include <hsmoe/random/variates.hpp>
#include <hsmoe/types.hpp>

namespace hsmoe {

/// What a move of a node is given: designs U (n, p), row-major, and the child each row went to; -1: it did not pass.
template <int W>
struct RoutedRows {
  Index n;
  const double* U;
  const Lane<W>* child;
};

template <int W>
class GateNode {
 public:
  /// stride: numbers from one theta_r to the next in the state, theta_r first.
  GateNode(const NodeSpec& spec, int n_rows, int dim, int stride) : m_(spec.n_children()), r_(n_rows), p_(dim), stride_(stride) {
    // Prior means of the intercepts: children with equal scores of slope zero share rows as they share leaves.
    double centre = 0.0;
    for (int c = 0; c < m_; ++c) offset_.push_back(std::log(double(spec.n_leaves(c))));
    for (int c = 0; c < m_; ++c) centre += r_ < m_ ? (c + 1 == m_ ? offset_[std::size_t(c)] : 0.0) : offset_[std::size_t(c)] / m_;
    for (double& v : offset_) v -= centre;
  }
  virtual ~GateNode() = default;

  int n_children() const { return m_; }
  int n_rows() const { return r_; }  // children with a theta of their own
  int n_free() const { return r_ * p_; }
  int sum_fields() const { return packed_size(n_free()) + n_free(); }
  /// Whether theta is under the prior of gate coefficients.
  virtual bool penalised() const = 0;
  virtual int work_lanes() const = 0;
  virtual void init(double* rows, const double* global, Stream<W>& rng, Mask<W> mask) const = 0;
  virtual void scores(const double* rows, const double* u, Lane<W>* s) const = 0;
  /// ds_r / dtheta_r (p).
  virtual void slopes(const double* rows, int r, const double* u, Lane<W>* slope) const = 0;
  /// Draw theta, and the scales that are its own, given the rows.  frozen: A packed, then h; null: zero.  s: the scores
  /// of all rows, n x m, kept up to date.
  virtual void move(double* rows, const double* global, const double* frozen, const RoutedRows<W>& routed, Lane<W>* s,
                    Stream<W>& rng, Mask<W> mask, Lane<W>* work) const = 0;

  /// Remember the rows in `frozen`, see above.
  void freeze(const double* rows, double* frozen, const RoutedRows<W>& routed, Mask<W> mask, Lane<W>* work) const {
    Lane<W>*pi = work, *t = pi + m_, *J = t + r_;
    double* h = frozen + W * packed_size(n_free());
    for (Index i = 0; i < routed.n; ++i) {
      const Mask<W> passed = mask & (routed.child[i] >= Lane<W>(0.0));
      if (!any(passed)) continue;
      const double* u = routed.U + i * p_;
      scores(rows, u, pi);
      const Lane<W> total = log_sum_exp(pi, m_);
      for (int c = 0; c < m_; ++c) pi[c] = exp_nonpositive(min(pi[c] - total, Lane<W>(0.0)));
      Lane<W> mean(0.0);  // sum_r pi_r J_r'theta_r
      for (int r = 0; r < r_; ++r) {
        slopes(rows, r, u, J + r * p_);
        t[r] = Lane<W>(0.0);
        for (int j = 0; j < p_; ++j) t[r] += J[r * p_ + j] * theta(rows, r, j);
        mean += pi[r] * t[r];
      }
      for (int r = 0; r < r_; ++r) {
        const Lane<W> hit = select(routed.child[i] == Lane<W>(double(r)), Lane<W>(1.0), Lane<W>(0.0));
        const Lane<W> linear = select(passed, hit - pi[r] + pi[r] * (t[r] - mean), Lane<W>(0.0));
        for (int a = 0; a < p_; ++a) add(h + W * (r * p_ + a), linear * J[r * p_ + a]);
        for (int q = 0; q <= r; ++q) {
          const Lane<W> weight = select(passed, (q == r ? pi[r] : Lane<W>(0.0)) - pi[r] * pi[q], Lane<W>(0.0));
          for (int a = 0; a < p_; ++a) {
            double* line = frozen + W * packed_index(r * p_ + a, q * p_);
            const Lane<W> scaled = weight * J[r * p_ + a];
            for (int b = 0; b < (q == r ? a + 1 : p_); ++b) add(line + W * b, scaled * J[q * p_ + b]);
          }
        }
      }
    }
  }
  int freeze_lanes() const { return m_ + r_ + r_ * p_; }

  bool plausible_sums(const double* frozen, int lane) const {
    for (int j = 0; j < n_free(); ++j)
      if (!(frozen[W * packed_index(j, j) + lane] >= 0)) return false;
    return true;
  }

 protected:
  double* row(double* rows, int r) const { return rows + W * Index(r) * stride_; }
  const double* row(const double* rows, int r) const { return rows + W * Index(r) * stride_; }
  Lane<W> theta(const double* rows, int r, int j) const { return Lane<W>::load(row(rows, r) + W * j); }
  static void put(double* at, Mask<W> mask, Lane<W> v) { select(mask, v, Lane<W>::load(at)).store(at); }
  static void add(double* at, Lane<W> v) { (Lane<W>::load(at) + v).store(at); }
  double offset(int r) const { return offset_[std::size_t(r)]; }

  /// Entry (r a, q b) of the packed A.
  Lane<W> frozen_entry(const double* frozen, int r, int a, int q, int b) const {
    const int i = r * p_ + a, j = q * p_ + b;
    return Lane<W>::load(frozen + W * (i >= j ? packed_index(i, j) : packed_index(j, i)));
  }
  /// Gradient of the remembered log likelihood in theta_r at `at` (p) in place of theta_r, or without it if null.
  void frozen_gradient(const double* frozen, const double* rows, int r, const Lane<W>* at, Lane<W>* out) const {
    const double* h = frozen + W * packed_size(n_free());
    for (int a = 0; a < p_; ++a) {
      Lane<W> s = Lane<W>::load(h + W * (r * p_ + a));
      for (int q = 0; q < r_; ++q) {
        if (q == r && !at) continue;
        for (int b = 0; b < p_; ++b) s -= frozen_entry(frozen, r, a, q, b) * (q == r ? at[b] : theta(rows, q, b));
      }
      out[a] = s;
    }
  }

  int m_, r_, p_, stride_;
  std::vector<double> offset_;
};

}  // namespace hsmoe
