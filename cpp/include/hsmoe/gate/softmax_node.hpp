// Softmax and logistic nodes: s_r = u'phi_r.
//
// All children of a softmax have a phi, under one symmetric prior: the children of equally many leaves are exchangeable,
// which pinning one of them at 0 would spoil (two free children would then differ by less than a free one and the
// pinned one).  The gate depends on differences alone; what is common to all is moved by its own draw below.  A logistic
// node pins the last of its two children: it is the split of the binary trees.
//
// Gibbs over the children in turn (Polson, Scott & Windle 2013, section 4; Holmes & Held 2006 for the offset): given the
// others, child r against the rest is logistic with C_i = log sum_{c != r} exp(s_ic), so that with psi_i = s_ir - C_i and
// kappa_i = +-1/2
//
//     omega_i ~ PG(1, psi_i)      phi_r | . ~ N(Q^-1 h', Q^-1)
//     Q = D_r + A_rr + sum_i omega_i u_i u_i'
//     h' = D_r mu_r + h_r - sum_{q != r} A_rq phi_q + sum_i (kappa_i + omega_i C_i) u_i
//
// A, h of rows no longer retained.  Then scales given phi, and where every child has a phi the shift phi_r + c, of which
// the likelihood knows nothing: c_j | . ~ N(sum_r D_rj (mu_rj - phi_rj) / sum_r D_rj, 1 / sum_r D_rj).
#pragma once

#include <algorithm>

#include <hsmoe/gate/gate_node.hpp>
#include <hsmoe/linalg/accumulate.hpp>
#include <hsmoe/prior/gate_prior.hpp>
#include <hsmoe/random/polya_gamma_table.hpp>
#include <hsmoe/row.hpp>

namespace hsmoe {

template <int W>
class SoftmaxNode final : public GateNode<W> {
  using Node = GateNode<W>;
  using Node::m_, Node::r_, Node::p_;

 public:
  /// In the state, after phi_r: p sums of omega u_j^2 of the last move, then the scales of the prior.
  SoftmaxNode(const NodeSpec& spec, int dim, const GatePrior<W>& prior)
      : Node(spec, spec.kind == NodeKind::logistic ? 1 : spec.n_children(), dim, 2 * dim + prior.node_fields()),
        prior_(prior) {}

  bool penalised() const override { return true; }
  int work_lanes() const override {
    return std::max(this->freeze_lanes(), 2 * packed_size(p_) + 5 * p_ + PolyaGammaTable<W>::work_lanes(RowBlock::most));
  }

  void init(double* rows, const double* global, Stream<W>& rng, Mask<W> mask) const override {
    for (int r = 0; r < r_; ++r) {
      double* row = this->row(rows, r);
      prior_.draw_node(row + W * 2 * p_, global, rng, mask);
      std::vector<Lane<W>> D(std::size_t(p_), Lane<W>(1.0));
      prior_.precision(row + W * 2 * p_, global, D.data());
      for (int j = 0; j < p_; ++j)
        Node::put(row + W * j, mask, (j ? 0.0 : mean(r)) + normal<W>(rng, mask) / sqrt(D[std::size_t(j)]));
    }
  }

  void scores(const double* rows, const double* u, Lane<W>* s) const override {
    for (int r = 0; r < r_; ++r) s[r] = score(this->row(rows, r), u);
    if (r_ < m_) s[m_ - 1] = Lane<W>(0.0);
  }
  void slopes(const double*, int, const double* u, Lane<W>* slope) const override {
    for (int j = 0; j < p_; ++j) slope[j] = Lane<W>(u[j]);
  }

  void move(double* rows, const double* global, const double* frozen, const RoutedRows<W>& routed, Lane<W>* s,
            Stream<W>& rng, Mask<W> mask, Lane<W>* work) const override {
    Lane<W>*A = work, *D = A + packed_size(p_), *h = D + p_, *phi = h + p_, *rest = phi + p_,
           *table = rest + packed_size(p_) + p_;
    for (int r = 0; r < r_; ++r) {
      double *row = this->row(rows, r), *scales = row + W * 2 * p_, *sums = reinterpret_cast<double*>(A);
      std::fill_n(A, packed_size(p_), Lane<W>(0.0));
      std::fill_n(h, p_, Lane<W>(0.0));
      if (frozen) {
        this->frozen_gradient(frozen, rows, r, nullptr, h);
        for (int a = 0; a < p_; ++a)
          for (int b = 0; b <= a; ++b) A[packed_index(a, b)] = this->frozen_entry(frozen, r, a, r, b);
      }
      for (Index i = 0; i < routed.n; i += RowBlock::most)
        absorb(r, int(std::min<Index>(RowBlock::most, routed.n - i)), routed.U + i * p_, routed.child + i, s + i * m_, sums,
               reinterpret_cast<double*>(h), table, rng, mask);
      prior_.precision(scales, global, D);
      h[0] += D[0] * mean(r);
      for (int j = 0; j < p_; ++j) Node::put(row + W * (p_ + j), mask, A[packed_index(j, j)]);
      gaussian_block_draw<W>(sums, D, h, p_, rest, rng, mask, phi);
      for (int j = 0; j < p_; ++j) Node::put(row + W * j, mask, phi[j]);
      for (Index i = 0; i < routed.n; ++i) s[i * m_ + r] = score(row, routed.U + i * p_);
      prior_.refresh_node(row, scales, global, rng, mask);
    }
    if (r_ == m_) shift(rows, global, rng, mask, D);
  }

 private:
  double mean(int r) const { return prior_.intercept_mean(this->offset(r)); }
  Lane<W> score(const double* phi, const double* u) const {
    Lane<W> s = u[0] * Lane<W>::load(phi);
    for (int j = 1; j < p_; ++j) s += u[j] * Lane<W>::load(phi + W * j);
    return s;
  }

  // A += omega u u', h += (kappa + omega C) u over a block of rows.
  void absorb(int r, int n, const double* U, const Lane<W>* child, const Lane<W>* s, double* A, double* h, Lane<W>* table,
              Stream<W>& rng, Mask<W> mask) const {
    PolyaGammaTable<W> omegas(table, n);
    Lane<W> omega[RowBlock::most], linear[RowBlock::most], others[RowBlock::most];
    const double* at[RowBlock::most];
    for (int t = n - 1; t >= 0; --t) {
      others[t] = log_sum_of_others(s + t * m_, r);
      omegas.tell(mask & (child[t] >= Lane<W>(0.0)), s[t * m_ + r] - others[t]);
    }
    omegas.draw(rng);
    int count = 0;
    for (int t = 0; t < n; ++t) {
      const Mask<W> passed = mask & (child[t] >= Lane<W>(0.0));
      if (!any(passed)) continue;
      omega[count] = select(passed, omegas[t], Lane<W>(0.0));
      const Lane<W> kappa = select(child[t] == Lane<W>(double(r)), Lane<W>(0.5), Lane<W>(-0.5));
      linear[count] = select(passed, kappa, Lane<W>(0.0)) + omega[count] * others[t];
      at[count++] = U + t * p_;
    }
    if (!count) return;
    accumulate_outer<W>(A, p_, at, omega, count);
    accumulate_rows<W>(h, p_, at, linear, count);
  }

  Lane<W> log_sum_of_others(const Lane<W>* s, int r) const {
    if (m_ == 2) return s[1 - r];
    Lane<W> top(-std::numeric_limits<double>::infinity()), sum(0.0);
    for (int c = 0; c < m_; ++c)
      if (c != r) top = max(top, s[c]);
    for (int c = 0; c < m_; ++c)
      if (c != r) sum += exp_nonpositive(s[c] - top);
    return top + log(sum);
  }

  void shift(double* rows, const double* global, Stream<W>& rng, Mask<W> mask, Lane<W>* D) const {
    Lane<W>*precision = D + p_, *pull = precision + p_;
    std::fill_n(precision, 2 * p_, Lane<W>(0.0));
    for (int r = 0; r < r_; ++r) {
      const double* row = this->row(rows, r);
      prior_.precision(row + W * 2 * p_, global, D);
      for (int j = 0; j < p_; ++j) {
        precision[j] += D[j];
        pull[j] += D[j] * ((j ? 0.0 : mean(r)) - Lane<W>::load(row + W * j));
      }
    }
    for (int j = 0; j < p_; ++j) {
      const Lane<W> c = pull[j] / precision[j] + normal<W>(rng, mask) / sqrt(precision[j]);
      for (int r = 0; r < r_; ++r) {
        double* at = this->row(rows, r) + W * j;
        Node::put(at, mask, Lane<W>::load(at) + c);
      }
    }
  }

  const GatePrior<W>& prior_;
};

}  // namespace hsmoe
