// Binary-tree gate with logistic nodes: node l sends a row left with probability sigmoid(u'phi_l), and
// g_k is the product along the path to leaf k.
//
// Polya-Gamma augmentation (Polson, Scott & Windle 2013), for a node passed by the row:
//
//     kappa = +1/2 if it went left, else -1/2      omega ~ PG(1, psi), psi = u'phi_l
//     A_l += omega u u'      h_l += kappa u
//     phi_l | A, h, scales ~ N(Q^-1 h', Q^-1)      Q = A_l + D_l, h' = h_l + D_l mu_l
//
// A is kept free of the prior, because D moves with every draw of a scale.  A node that the row did not pass has
// unchanged statistics and is left alone, and so is a node that is not active at the row (gate/open_leaves.hpp), whose logit in
// the memo then says so.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>

#include <hsmoe/gate/gate.hpp>
#include <hsmoe/gate/logistic_fit.hpp>
#include <hsmoe/gate/tree_layout.hpp>
#include <hsmoe/gate/tree_refit.hpp>
#include <hsmoe/linalg/accumulate.hpp>
#include <hsmoe/linalg/gaussian_draw.hpp>
#include <hsmoe/prior/gate_prior.hpp>
#include <hsmoe/random/polya_gamma_table.hpp>

namespace hsmoe {

template <int W>
class TreeGate final : public Gate<W>, private TreeLayout<W> {
 public:
  /// change_rate: of experts that open and close; without it all are open at every row.
  TreeGate(Tree tree, int dim, std::unique_ptr<GatePrior<W>> prior, std::optional<double> change_rate = {})
      : TreeLayout<W>(std::move(tree), dim, prior->node_fields()), prior_(std::move(prior)), leaves_(make_leaves(change_rate)),
        refit_(*this, *prior_, fields()) {}

  TreeGate(const TreeGate&) = delete;  // refit_ and leaves_ point to it
  TreeGate& operator=(const TreeGate&) = delete;

  int fields() const override { return fixed_fields() + (leaves_ ? leaves_->fields() : 0); }
  int memo_lanes() const override { return tree_.n_nodes(); }
  int work_lanes() const override {
    return std::max({2 * LogisticFit<W>::work_lanes(p_) + p_ * (tree_.n_nodes() + 1) + (leaves_ ? leaves_->fields() : 0), refit_.work_lanes(),
                     PolyaGammaTable<W>::work_lanes(tree_.n_nodes() * RowBlock::most)});
  }
  int n_splits() const override { return tree_.n_nodes(); }

  void init(double* state, Stream<W>& rng, Mask<W> mask, Lane<W>* work) const override {
    if (!tree_.n_nodes()) return;
    double* global = global_of(state);
    prior_->draw_global(global, rng, mask);
    for (int l = 0; l < tree_.n_nodes(); ++l) {
      double* node = state + W * Index(l) * stride();
      std::fill(node, node + W * stride(), 0.0);
      prior_->draw_node(scales(node), global, rng, mask);
      draw_phi(node, l, global, PhiKernel::block, rng, mask, work);  // A = h = 0: a draw from the prior
    }
    if (leaves_) leaves_->init(state, rng, mask);
  }

  void log_proba(const double* state, const Row& row, Lane<W>* log_g, Lane<W>* memo) const override {
    if (!tree_.n_nodes()) {
      log_g[0] = Lane<W>(0.0);
      return;
    }
    // memo[l] becomes the logit psi_l.  Nodes are in preorder: the probability of reaching a node is
    // written by its parent into the slot of the leaf position `low` (left child) or `middle` (right child),
    // which no other node below has touched yet.
    logits(state, row, memo);
    reach(0, log_g) = Lane<W>(0.0);
    for (int l = 0; l < tree_.n_nodes(); ++l) {
      const Lane<W> psi = memo[l];
      // log sigmoid(psi) = min(psi, 0) - log(1 + exp(-|psi|)), and log sigmoid(-psi) = log sigmoid(psi) - psi.
      const Lane<W> log_left = min(psi, Lane<W>(0.0)) - log1p(exp(-abs(psi)));
      const TreeNode& node = tree_.node(l);
      const Lane<W> here = reach(node.low, log_g);
      reach(node.middle, log_g) = here + (log_left - psi);
      reach(node.low, log_g) = here + log_left;
    }
  }

  void proba(const double* state, const Row& row, Lane<W>* g, Lane<W>* memo) const override {
    logits(state, row, memo);
    reach(0, g) = Lane<W>(1.0);
    for (int l = 0; l < tree_.n_nodes(); ++l) {
      // Both sides from one exp: sigmoid(|psi|) = 1 / (1 + exp(-|psi|)), and exp(-|psi|) times that.
      const Lane<W> psi = memo[l], e = exp_nonpositive(-abs(psi)), large = 1.0 / (1.0 + e), small = e * large;
      const Mask<W> right = psi < Lane<W>(0.0);
      const TreeNode& node = tree_.node(l);
      const Lane<W> here = reach(node.low, g);
      reach(node.middle, g) = here * select(right, large, small);
      reach(node.low, g) = here * select(right, small, large);
    }
  }

  void learn(double* state, const Row& row, Lane<W> z, const Lane<W>* memo, PhiKernel kernel, Stream<W>& rng,
             Mask<W> mask, Lane<W>* work) const override {
    if (!tree_.n_nodes()) return;
    const Lane<W> position = position_of(z);
    const bool pruned = leaves_ != nullptr;
    double* global = global_of(state);
    for (int l = 0; l < tree_.n_nodes(); ++l) {
      Mask<W> passed = mask & passes(l, position);
      if (pruned) passed = passed & OpenLeaves<W>::is_active(memo[l]);
      if (!any(passed)) continue;
      double* node = state + W * Index(l) * stride();
      augment(node, l, row, position, memo[l], rng, passed);
      draw_phi(node, l, global, kernel, rng, passed, work);
      prior_->refresh_node(phi_of(node), scales(node), global, rng, passed);
    }
    prior_->refresh_global(phi_of(state), scales(state), W * Index(stride()), global, rng, mask);
  }

  int sum_fields() const override { return tree_.n_nodes() * node_sums(); }

  void load_sums(double* state, const double* sums, Mask<W> mask) const override {
    for (int l = 0; l < tree_.n_nodes(); ++l) {
      double* node = state + W * Index(l) * stride();
      const double* from = sums ? sums + W * Index(l) * node_sums() : nullptr;
      if (is_zero<W>(node, p_) && (!from || is_zero<W>(from, p_))) continue;  // no row has passed, so h is zero too
      for (int i = 0; i < node_sums(); ++i, node += W, from += from ? W : 0)
        select(mask, from ? Lane<W>::load(from) : Lane<W>(0.0), Lane<W>::load(node)).store(node);
    }
  }

  void absorb(double* state, double* frozen, const RowBlock& rows, const Lane<W>* z, const Lane<W>* memo,
              Stream<W>& rng, Mask<W> mask, Lane<W>* work) const override {
    const int n_nodes = tree_.n_nodes();
    if (!n_nodes) return;
    const bool pruned = leaves_ != nullptr;
    auto met = [&](int l, int t, Lane<W> position) {
      const Mask<W> passed = mask & passes(l, position);
      return pruned ? passed & OpenLeaves<W>::is_active(memo[t * n_nodes + l]) : passed;
    };
    // A table of all logits, row after row, and of which of them a lane meets; one pass draws for them all.
    const int cells = n_nodes * rows.n;
    PolyaGammaTable<W> omegas(work, cells);
    Lane<W> position[RowBlock::most];
    for (int t = rows.n - 1; t >= 0; --t) {
      position[t] = position_of(z[t]);
      for (int l = n_nodes - 1; l >= 0; --l) omegas.tell(met(l, t, position[t]), memo[t * n_nodes + l]);
    }
    omegas.draw(rng);

    for (int l = 0; l < n_nodes; ++l) {
      const double* passed_rows[RowBlock::most];
      Lane<W> omega[RowBlock::most], kappa[RowBlock::most];
      int n = 0;
      for (int t = 0; t < rows.n; ++t) {
        const Mask<W> passed = met(l, t, position[t]);
        if (!any(passed)) continue;
        omega[n] = select(passed, omegas[t * n_nodes + l], Lane<W>(0.0));
        kappa[n] = side_of(l, position[t], passed);
        passed_rows[n++] = rows.u[t];
      }
      if (!n) continue;
      for (double* sums : {state + W * Index(l) * stride(), frozen ? frozen + W * Index(l) * node_sums() : nullptr}) {
        if (!sums) continue;
        accumulate_outer<W>(sums, p_, passed_rows, omega, n);
        accumulate_rows<W>(h_of(sums), p_, passed_rows, kappa, n);
      }
    }
  }

  void renew(double* state, PhiKernel kernel, Stream<W>& rng, Mask<W> mask, Lane<W>* work) const override {
    if (!tree_.n_nodes()) return;
    double* global = global_of(state);
    for (int l = 0; l < tree_.n_nodes(); ++l) {
      double* node = state + W * Index(l) * stride();
      draw_phi(node, l, global, kernel, rng, mask, work);
      prior_->refresh_node(phi_of(node), scales(node), global, rng, mask);
    }
    prior_->refresh_global(phi_of(state), scales(state), W * Index(stride()), global, rng, mask);
  }

  const OpenLeaves<W>* leaves() const override { return leaves_.get(); }

  void advance(double* state, double next, Stream<W>& rng, Mask<W> mask, Lane<W>* work) const override {
    if (!leaves_) return;
    const Mask<W> opened = leaves_->advance(state, next, rng, mask);
    if (!any(opened)) return;
    // A Gibbs draw: else all copies of a particle would open the leaf with the same coefficients.
    for (int l = 0; l < tree_.n_nodes(); ++l) {
      const double* paths = leaves_->paths(state);
      const Mask<W> fresh = opened & leaves_->active(paths, l, next) & !leaves_->active(paths, l, next - 1);
      if (!any(fresh)) continue;
      double *node = state + W * Index(l) * stride(), *global = global_of(state);
      draw_phi(node, l, global, PhiKernel::block, rng, fresh, work);
      prior_->refresh_node(phi_of(node), scales(node), global, rng, fresh);
    }
  }

  Mask<W> forget_closed(double* state, double* frozen, Index begin, Index n, Mask<W>* freed, Stream<W>& rng, Mask<W> mask,
                        Lane<W>* work) const override {
    const Mask<W> some = leaves_ ? leaves_->forget(state, double(begin), freed, mask) : Mask<W>::all_false();
    if (!any(some)) return some;
    for (int l = 0; l < tree_.n_nodes(); ++l) {
      const Mask<W> idle = some & !leaves_->ever_active(leaves_->paths(state), l, double(begin), double(n));
      if (!any(idle)) continue;
      double *node = state + W * Index(l) * stride(), *of_node = frozen + W * Index(l) * node_sums();
      for (double* sums : {node, of_node})
        for (int i = 0; i < node_sums(); ++i, sums += W) select(idle, Lane<W>(0.0), Lane<W>::load(sums)).store(sums);
      // draw_node writes all lanes.
      const AlignedVector<double> kept(scales(node), scales(node) + W * prior_->node_fields());
      prior_->draw_node(scales(node), global_of(state), rng, idle);
      for (std::size_t f = 0; f < kept.size(); f += W)
        select(idle, Lane<W>::load(scales(node) + f), Lane<W>::load(&kept[f])).store(scales(node) + f);
      draw_phi(node, l, global_of(state), PhiKernel::block, rng, idle, work);
    }
    return some;
  }

  bool has_exchanges() const override { return !tree_.exchanges().empty(); }

  // With z' = z, the two experts exchanged, phi' ~ q(. | z') at the nodes above just one of them or with one on each
  // side, and q the fit of such a node, accept with probability
  //     p(z' | phi') p(phi' | tau) q(phi | z) / {p(z | phi) p(phi | tau) q(phi' | z')}
  Mask<W> exchange(double* state, Index n, const double* U, const Lane<W>* z, Lane<W>* sides, Lane<W>& first,
                   Lane<W>& second, Stream<W>& rng, Mask<W> mask, Lane<W>* work) const override {
    const auto& pairs = tree_.exchanges();
    const Lane<W> choice = uniform<W>(rng, mask) * double(pairs.size());
    first = second = Lane<W>(0.0);
    for (std::size_t i = 0; i < pairs.size(); ++i) {
      const Mask<W> here = Lane<W>(double(i)) <= choice;
      first = select(here, Lane<W>(double(pairs[i].first)), first);
      second = select(here, Lane<W>(double(pairs[i].second)), second);
    }
    const double* global = global_of(state);
    LogisticFit<W> now(*prior_, p_, work), then(*prior_, p_, work + LogisticFit<W>::work_lanes(p_));
    Lane<W>*phi = work + 2 * LogisticFit<W>::work_lanes(p_), *proposed = phi + p_, log_ratio(0.0);
    // The paths of the two leaves are exchanged too, which leaves p(paths) as it is; expert 0 is always open.
    const double *paths = leaves_ ? leaves_->paths(state) : nullptr;
    double* paths_then = reinterpret_cast<double*>(proposed + p_ * tree_.n_nodes());
    if (leaves_) {
      mask = mask & leaves_->exchangeable(paths, first, second);
      std::copy_n(paths, W * leaves_->fields(), paths_then);
      leaves_->exchange(paths_then, first, second, mask);
    }
    const Lane<W> place_first = position_of(first), place_second = position_of(second);
    auto affected = [&](int l) {
      const Lane<W> middle(tree_.node(l).middle);
      const Mask<W> a = passes(l, place_first), b = passes(l, place_second), a_left = place_first < middle,
                    b_left = place_second < middle;
      const Mask<W> together = a & b & ((a_left & b_left) | !(a_left | b_left));
      const Mask<W> apart = !together;
      return mask & (a | b) & apart;
    };
    std::vector<Mask<W>> touched(std::size_t(tree_.n_nodes()), Mask<W>::all_false());
    for (int l = 0; l < tree_.n_nodes(); ++l) {
      Mask<W> moved = affected(l);
      if (!any(moved)) continue;
      Lane<W>*side_now = sides, *side_then = sides + n;
      for (Index i = 0; i < n; ++i) {
        const Lane<W> swapped = select(z[i] == first, second, select(z[i] == second, first, z[i]));
        side_now[i] = side_of(l, position_of(z[i]), moved);
        side_then[i] = side_of(l, position_of(swapped), moved);
        if (!leaves_) continue;
        side_now[i] = select(leaves_->active(paths, l, double(i)), side_now[i], Lane<W>(0.0));
        side_then[i] = select(leaves_->active(paths_then, l, double(i)), side_then[i], Lane<W>(0.0));
      }
      if (leaves_) {  // a node without rows before and after stays as it is
        Mask<W> met = Mask<W>::all_false();
        for (Index i = 0; i < 2 * n; ++i) met = met | !(sides[i] == Lane<W>(0.0));
        moved = moved & met;
        if (!any(moved)) continue;
      }
      touched[std::size_t(l)] = moved;
      const double mean = prior_->intercept_mean(tree_.node(l).log_leaf_odds);
      const double* node = state + W * Index(l) * stride();
      load_phi(node, phi);
      Lane<W>* next = proposed + l * p_;
      const Lane<W> gain = refit_node(then, node, global, mean, n, U, side_then, &rng, moved, next) -
                           refit_node(now, node, global, mean, n, U, side_now, nullptr, moved, phi);
      log_ratio += select(moved, gain, Lane<W>(0.0));
    }
    const Mask<W> accept = mask & (log(uniform<W>(rng, mask)) < log_ratio);
    for (int l = 0; l < tree_.n_nodes(); ++l) {
      const Mask<W> moved = accept & touched[std::size_t(l)];
      if (!any(moved)) continue;
      double* node = state + W * Index(l) * stride();
      double* stored = phi_of(node);
      store_phi(proposed + l * p_, node, moved);
      prior_->draw_local(stored, scales(node), global, rng, moved);
    }
    if (leaves_) leaves_->exchange(leaves_->paths(state), first, second, accept);
    return accept;
  }

  const GateRefit<W>* refitting() const override { return tree_.n_nodes() ? &refit_ : nullptr; }

  void describe(const double* state, int lane, double* phi, double* local_scale, double* inclusion,
                double* global_scale) const override {
    const double* global = global_of(state);
    std::vector<Lane<W>> D(p_);
    for (int l = 0; l < tree_.n_nodes(); ++l) {
      const double* node = state + W * Index(l) * stride();
      prior_->precision(scales(node), global, D.data());
      for (int j = 0; j < p_; ++j) {
        const double a = node[W * packed_index(j, j) + lane], prior = D[j][lane];
        phi[l * p_ + j] = phi_of(node)[W * j + lane];
        local_scale[l * p_ + j] = prior_->local_scale(scales(node), j, lane);
        // Shrinkage factor kappa = D / (A + D): the share of the prior in the precision of phi_lj.
        inclusion[l * p_ + j] = prior_->penalised(j) ? a / (a + prior) : std::numeric_limits<double>::quiet_NaN();
      }
    }
    *global_scale = tree_.n_nodes() ? prior_->global_scale(global, lane) : std::numeric_limits<double>::quiet_NaN();
  }
  bool plausible_sums(const double* sums, int lane) const override {
    for (int l = 0; l < tree_.n_nodes(); ++l)
      for (int j = 0; j < p_; ++j)
        if (!(sums[W * (Index(l) * node_sums() + packed_index(j, j)) + lane] >= 0)) return false;
    return true;
  }

  bool plausible(const double* state, int lane) const override {
    const double* global = global_of(state);
    for (int l = 0; l < tree_.n_nodes(); ++l) {
      const double* node = state + W * Index(l) * stride();
      for (int j = 0; j < p_; ++j)
        if (!(node[W * packed_index(j, j) + lane] >= 0)) return false;
      if (!prior_->plausible(scales(node), global, lane)) return false;
    }
    return true;
  }

 private:
  using TreeLayout<W>::tree_, TreeLayout<W>::p_, TreeLayout<W>::stride, TreeLayout<W>::node_sums, TreeLayout<W>::h_of,
      TreeLayout<W>::phi_of, TreeLayout<W>::scales, TreeLayout<W>::global_of, TreeLayout<W>::load_phi, TreeLayout<W>::store_phi,
      TreeLayout<W>::position_of, TreeLayout<W>::passes;

  // log p(sides | phi) + log p(phi | global scales) - log q(phi | sides) of a node, q its fit; at phi or, given rng, a draw
  // from q.
  Lane<W> refit_node(LogisticFit<W>& fit, const double* node, const double* global, double intercept_mean, Index n, const double* U,
                     const Lane<W>* sides, Stream<W>* rng, Mask<W> mask, Lane<W>* phi) const {
    fit.fit(n, U, sides, scales(node), global, intercept_mean);
    if (rng) fit.draw(*rng, mask, phi);
    return fit.log_likelihood(n, U, sides, phi) + prior_->log_marginal(phi, scales(node), global, intercept_mean) -
           fit.log_density(phi);
  }

  void logits(const double* state, const Row& row, Lane<W>* psi) const {
    for (int l = 0; l < tree_.n_nodes(); ++l) psi[l] = this->logit(state, l, row.u);
    if (leaves_) leaves_->prune(state, row.at, psi);
  }

  int fixed_fields() const { return tree_.n_nodes() * stride() + prior_->global_fields(); }
  std::unique_ptr<const OpenLeaves<W>> make_leaves(std::optional<double> change_rate) const {
    const TreeLayout<W>& layout = *this;
    return change_rate ? std::make_unique<const OpenLeaves<W>>(layout, fixed_fields(), *change_rate) : nullptr;
  }

  Lane<W>& reach(int position, Lane<W>* log_g) const { return log_g[tree_.expert_at(position)]; }

  // +-1/2 for a row of the leaf at `position` that node l sends left or right, 0 for one that does not pass.
  Lane<W> side_of(int l, Lane<W> position, Mask<W> mask) const {
    const Lane<W> side = select(position < Lane<W>(tree_.node(l).middle), Lane<W>(0.5), Lane<W>(-0.5));
    return select(mask & passes(l, position), side, Lane<W>(0.0));
  }

  // omega ~ PG(1, psi); A += omega u u', h += kappa u.
  void augment(double* node, int l, const Row& row, Lane<W> position, Lane<W> psi, Stream<W>& rng,
               Mask<W> passed) const {
    const Mask<W> left = position < Lane<W>(tree_.node(l).middle);
    const Lane<W> omega = select(passed, polya_gamma_one<W>(rng, passed, psi), Lane<W>(0.0));
    const Lane<W> kappa = select(passed, select(left, Lane<W>(0.5), Lane<W>(-0.5)), Lane<W>(0.0));
    const int m = packed_size(p_);
    for (int i = 0; i < m; ++i) {
      double* a = node + W * i;
      (Lane<W>::load(a) + omega * row.uu[i]).store(a);
    }
    double* h = h_of(node);
    for (int j = 0; j < p_; ++j) (Lane<W>::load(h + W * j) + kappa * row.u[j]).store(h + W * j);
  }

  void draw_phi(double* node, int l, const double* global, PhiKernel kernel, Stream<W>& rng, Mask<W> mask,
                Lane<W>* work) const {
    Lane<W>*D = work, *h = D + p_, *phi = h + p_, *rest = phi + p_;
    prior_->precision(scales(node), global, D);
    const double* stored_h = h_of(node);
    double* stored_phi = phi_of(node);
    for (int j = 0; j < p_; ++j) {
      h[j] = Lane<W>::load(stored_h + W * j);
      phi[j] = Lane<W>::load(stored_phi + W * j);
    }
    h[0] += D[0] * prior_->intercept_mean(tree_.node(l).log_leaf_odds);
    if (kernel == PhiKernel::block) gaussian_block_draw<W>(node, D, h, p_, rest, rng, mask, phi);
    else gaussian_coordinate_sweep<W>(node, D, h, p_, rng, mask, phi);
    for (int j = 0; j < p_; ++j)
      select(mask, phi[j], Lane<W>::load(stored_phi + W * j)).store(stored_phi + W * j);
  }

  std::unique_ptr<GatePrior<W>> prior_;
  std::unique_ptr<const OpenLeaves<W>> leaves_;
  TreeRefit<W> refit_;
};

}  // namespace hsmoe
