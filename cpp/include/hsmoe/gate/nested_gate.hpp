// A gate that is a tree of nodes of any kind (gate_node.hpp): g_k is the product along the path to leaf k.
//
// A particle holds, for every child with coefficients of its own, theta (p), p sums for reports and the scales of the
// prior; those under the gate prior, which share its global scales, come first.  Given the allocations z the nodes are
// independent but for these: a move takes the nodes in turn, then the global scales.
#pragma once

#include <algorithm>
#include <limits>
#include <memory>

#include <hsmoe/gate/gate.hpp>
#include <hsmoe/gate/laplace_node.hpp>
#include <hsmoe/gate/node_tree.hpp>
#include <hsmoe/gate/softmax_node.hpp>
#include <hsmoe/prior/gate_prior.hpp>

namespace hsmoe {

template <int W>
class NestedGate final : public Gate<W> {
 public:
  /// Children with coefficients under the gate prior.
  static int n_penalised(const NodeTree& tree) {
    int n = 0;
    for (int l = 0; l < tree.n_nodes(); ++l)
      n += tree.node(l).kind == NodeKind::laplace ? 0 : tree.node(l).kind == NodeKind::logistic ? 1 : tree.node(l).n_children();
    return n;
  }

  NestedGate(NodeTree tree, int dim, std::unique_ptr<GatePrior<W>> prior, const LaplaceNodeOptions& laplace)
      : tree_(std::move(tree)), p_(dim), prior_(std::move(prior)), stride_(2 * dim + prior_->node_fields()) {
    for (int l = 0; l < tree_.n_nodes(); ++l) {
      const NodeSpec& spec = tree_.node(l);
      if (spec.kind == NodeKind::laplace) nodes_.push_back(std::make_unique<LaplaceNode<W>>(spec, dim, stride_, laplace));
      else nodes_.push_back(std::make_unique<SoftmaxNode<W>>(spec, dim, *prior_));
    }
    for (bool penalised : {true, false})
      for (const auto& node : nodes_)
        if (node->penalised() == penalised) n_rows_ += node->n_rows(), n_penalised_ += penalised ? node->n_rows() : 0;
    int next[2] = {0, n_penalised_};
    for (const auto& node : nodes_) {
      first_row_.push_back(next[!node->penalised()]);
      next[!node->penalised()] += node->n_rows();
      first_sum_.push_back(n_sums_);
      n_sums_ += node->sum_fields();
      widest_ = std::max(widest_, node->n_children());
      work_lanes_ = std::max(work_lanes_, node->work_lanes());
    }
  }

  int fields() const override { return n_rows_ * stride_ + (n_penalised_ ? prior_->global_fields() : 0); }
  int memo_lanes() const override { return widest_; }  // the scores of a node
  int work_lanes() const override { return work_lanes_; }
  int n_splits() const override { return n_rows_; }

  void init(double* state, Stream<W>& rng, Mask<W> mask, Lane<W>*) const override {
    if (n_penalised_) prior_->draw_global(global_of(state), rng, mask);
    for (int l = 0; l < tree_.n_nodes(); ++l) nodes_[std::size_t(l)]->init(rows_of(state, l), global_of(state), rng, mask);
  }

  // Nodes are in preorder: the mass of a node is written by its parent into the slot of its first leaf, and child 0
  // takes that slot over last.
  void log_proba(const double* state, const Row& row, Lane<W>* log_g, Lane<W>* memo) const override {
    reach(0, log_g) = Lane<W>(0.0);
    for (int l = 0; l < tree_.n_nodes(); ++l) {
      const NodeSpec& spec = tree_.node(l);
      nodes_[std::size_t(l)]->scores(rows_of(state, l), row.u, memo);
      const int m = spec.n_children();
      Lane<W> top = memo[0];
      for (int c = 1; c < m; ++c) top = max(top, memo[c]);
      for (int c = 0; c < m; ++c) memo[c] -= top;  // far away scores are as large as the row, and differ by little
      const Lane<W> here = reach(spec.bounds[0], log_g) - log_sum_exp(memo, m);
      for (int c = 0; c < m; ++c) reach(spec.bounds[std::size_t(c)], log_g) = here + memo[c];
    }
  }
  void proba(const double* state, const Row& row, Lane<W>* g, Lane<W>* memo) const override {
    reach(0, g) = Lane<W>(1.0);
    for (int l = 0; l < tree_.n_nodes(); ++l) {
      const NodeSpec& spec = tree_.node(l);
      const int m = spec.n_children();
      nodes_[std::size_t(l)]->scores(rows_of(state, l), row.u, memo);
      Lane<W> top = memo[0], total(0.0);
      for (int c = 1; c < m; ++c) top = max(top, memo[c]);
      for (int c = 0; c < m; ++c) total += memo[c] = exp_nonpositive(memo[c] - top);
      const Lane<W> here = reach(spec.bounds[0], g) / total;
      for (int c = 0; c < m; ++c) reach(spec.bounds[std::size_t(c)], g) = here * memo[c];
    }
  }

  bool moves_by_rows() const override { return true; }
  Index move_lanes(Index n) const override { return n * (2 + widest_); }
  void move(double* state, double* sums, Index n, Index n_freeze, const double* U, const Lane<W>* z, Lane<W>* scratch,
            Stream<W>& rng, Mask<W> mask, Lane<W>* work) const override {
    Lane<W>*position = scratch, *child = position + n, *scores = child + n;
    for (Index i = 0; i < n; ++i) {
      position[i] = Lane<W>(0.0);
      for (int k = 0; k < tree_.n_experts(); ++k)
        position[i] = select(z[i] == Lane<W>(double(k)), Lane<W>(double(tree_.position_of(k))), position[i]);
    }
    double* global = global_of(state);
    for (int l = 0; l < tree_.n_nodes(); ++l) {
      const GateNode<W>& node = *nodes_[std::size_t(l)];
      double* rows = rows_of(state, l);
      for (Index i = 0; i < n; ++i) {
        child[i] = child_of(tree_.node(l), position[i]);
        node.scores(rows, U + i * p_, scores + i * node.n_children());
      }
      double* frozen = sums ? sums + W * Index(first_sum_[std::size_t(l)]) : nullptr;
      node.move(rows, global, frozen, {n, U, child}, scores, rng, mask, work);
      if (n_freeze) node.freeze(rows, frozen, {n_freeze, U, child}, mask, work);
    }
    if (n_penalised_)
      prior_->refresh_global(state, state + W * 2 * p_, W * Index(stride_), global, rng, mask);
  }

  // Between moves nothing is learned, and no statistics are kept but the sums of rows that are no longer retained.
  void learn(double*, const Row&, Lane<W>, const Lane<W>*, PhiKernel, Stream<W>&, Mask<W>, Lane<W>*) const override {}
  int sum_fields() const override { return n_sums_; }
  void load_sums(double*, const double*, Mask<W>) const override {}
  void absorb(double*, double*, const RowBlock&, const Lane<W>*, const Lane<W>*, Stream<W>&, Mask<W>,
              Lane<W>*) const override {}
  void renew(double*, PhiKernel, Stream<W>&, Mask<W>, Lane<W>*) const override {}
  bool has_exchanges() const override { return false; }
  Mask<W> exchange(double*, Index, const double*, const Lane<W>*, Lane<W>*, Lane<W>&, Lane<W>&, Stream<W>&, Mask<W>,
                   Lane<W>*) const override {
    return Mask<W>::all_false();
  }

  /// Coefficients node after node, child after child; of a Laplace node bias and centre.
  void describe(const double* state, int lane, double* phi, double* local_scale, double* inclusion,
                double* global_scale) const override {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    std::vector<Lane<W>> D(std::size_t(p_), Lane<W>(1.0));
    Index out = 0;
    for (int l = 0; l < tree_.n_nodes(); ++l)
      for (int r = 0; r < nodes_[std::size_t(l)]->n_rows(); ++r) {
        const double *row = rows_of(state, l) + W * Index(r) * stride_, *scales = row + W * 2 * p_;
        const bool penalised = nodes_[std::size_t(l)]->penalised();
        if (penalised) prior_->precision(scales, global_of(state), D.data());
        for (int j = 0; j < p_; ++j, ++out) {
          const double a = row[W * (p_ + j) + lane];
          phi[out] = row[W * j + lane];
          local_scale[out] = penalised ? prior_->local_scale(scales, j, lane) : nan;
          // The share of the data in the precision of phi_rj at the last move.
          inclusion[out] = penalised && prior_->penalised(j) ? a / (a + D[std::size_t(j)][lane]) : nan;
        }
      }
    *global_scale = n_penalised_ ? prior_->global_scale(global_of(state), lane) : nan;
  }
  bool plausible(const double* state, int lane) const override {
    for (int r = 0; r < n_penalised_; ++r) {
      const double* row = state + W * Index(r) * stride_;
      for (int j = 0; j < p_; ++j)
        if (!(row[W * (p_ + j) + lane] >= 0)) return false;
      if (!prior_->plausible(row + W * 2 * p_, global_of(state), lane)) return false;
    }
    return true;
  }
  bool plausible_sums(const double* sums, int lane) const override {
    for (int l = 0; l < tree_.n_nodes(); ++l)
      if (!nodes_[std::size_t(l)]->plausible_sums(sums + W * Index(first_sum_[std::size_t(l)]), lane)) return false;
    return true;
  }

 private:
  template <class T> T* rows_of(T* state, int l) const { return state + W * Index(first_row_[std::size_t(l)]) * stride_; }
  template <class T> T* global_of(T* state) const { return state + W * Index(n_rows_) * stride_; }
  Lane<W>& reach(Index position, Lane<W>* g) const { return g[tree_.expert_at(position)]; }
  Lane<W> child_of(const NodeSpec& spec, Lane<W> position) const {
    Lane<W> child(-1.0);
    for (int c = 0; c <= spec.n_children(); ++c)
      child = select(position >= Lane<W>(double(spec.bounds[std::size_t(c)])), Lane<W>(double(c)), child);
    return select(child == Lane<W>(double(spec.n_children())), Lane<W>(-1.0), child);
  }

  NodeTree tree_;
  int p_;
  std::unique_ptr<GatePrior<W>> prior_;
  int stride_, n_rows_ = 0, n_penalised_ = 0, n_sums_ = 0, widest_ = 1, work_lanes_ = 0;
  std::vector<std::unique_ptr<GateNode<W>>> nodes_;
  std::vector<int> first_row_, first_sum_;
};

}  // namespace hsmoe
