// Which leaves of a binary tree are open at each row, and the law of that.
//
// Leaf (expert) k is open at the rows opened_k <= i < closed_k; expert 0 always is.  A node is active at a row where a leaf is
// open on both of its sides; any other sends everything to its open side, so that the gate is that of the tree pruned to its open
// leaves.  A leaf has one life: it is free, then open, then closed (until its life is forgotten, see `forget`).  Over rows 0 ... n
//
//     p(paths) = p(set S open at row 0) prod_{k >= 1} prod_{i < n} p(state of k at i+1 | state of k at i)
//     p(S) = 1/K 1/C(K-1, |S|-1)            |S| uniform on 1 ... K, the set uniform given its size
//     free -> open, open -> closed          with probability r each, else it stays; closed stays closed
//
// so that leaf k, given that m of the others are open at row 0 (expert 0 among them), is open with probability
// C(K-1, m)^-1 / {C(K-1, m)^-1 + C(K-1, m-1)^-1} = m / K.
//
// `redraw` is a Gibbs draw of the whole path of leaf k given the experts z of the rows, the coefficients and the other paths,
// Polya-Gamma variables integrated out.  Opening k at a row changes the activity of one node, l(k, i): the lowest one above k
// that has an open leaf on the other side.  With the row beyond it, s = +-psi_l(k,i) its logit towards that other side,
//
//     p(z_i | k open) / p(z_i | k not open) = sigmoid(s) if z_i stands on the other side of l(k, i), 1 if not below it,
//
// and rows with z_i = k have k open.  The path is then that of a Markov chain with three states: forward filtering, backward
// sampling (Carter & Kohn 1994).
#pragma once

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include <hsmoe/gate/tree_layout.hpp>
#include <hsmoe/random/variates.hpp>
#include <hsmoe/simd/numbered.hpp>

namespace hsmoe {

template <int W>
class OpenLeaves {
 public:
  /// No row: of a leaf that is still free, or not closed yet.
  static constexpr double never = 1e300;
  /// The logit of a node that is not active, towards the side that is open.
  static constexpr double inactive_logit = 1e300;

  /// first_field: of 2 K numbers a particle, opened_k then closed_k.  change_rate: openings a row while every leaf is free.
  OpenLeaves(const TreeLayout<W>& layout, int first_field, double change_rate)
      : at_(layout), K_(layout.tree().n_experts()), first_(first_field), rate_(K_ > 1 ? change_rate / (K_ - 1) : 0.0) {
    // Of a set of m leaves beside expert 0.
    for (int m = 0; m < K_; ++m)
      log_set_.emplace_back(std::lgamma(m + 1.0) + std::lgamma(double(K_ - m)) - std::lgamma(double(K_)) - std::log(double(K_)));
    const Tree& tree = layout.tree();
    above_.resize(std::size_t(K_));
    for (int k = 0; k < K_; ++k)
      for (int l = tree.n_nodes() - 1; l >= 0; --l) {  // preorder: the lowest first
        const TreeNode& node = tree.node(l);
        const int place = tree.position_of(k);
        if (place < node.low || place >= node.high) continue;
        const bool left = place < node.middle;
        above_[std::size_t(k)].push_back({l, left, left ? node.middle : node.low, left ? node.high : node.middle});
      }
  }

  int fields() const { return 2 * K_; }
  double* paths(double* state) const { return state + W * Index(first_); }
  const double* paths(const double* state) const { return state + W * Index(first_); }
  // Of `paths`, those of a state or a copy.
  Lane<W> opened(const double* paths, int k) const { return Lane<W>::load(paths + W * k); }
  Lane<W> closed(const double* paths, int k) const { return Lane<W>::load(paths + W * (K_ + k)); }
  Mask<W> open(const double* paths, int k, double row) const {
    return (opened(paths, k) <= Lane<W>(row)) & (Lane<W>(row) < closed(paths, k));
  }
  void set(double* paths, int k, Lane<W> opened_at, Lane<W> closed_at, Mask<W> mask) const {
    select(mask, opened_at, opened(paths, k)).store(paths + W * k);
    select(mask, closed_at, closed(paths, k)).store(paths + W * (K_ + k));
  }
  /// Exchange the paths of two leaves.
  void exchange(double* paths, Lane<W> first, Lane<W> second, Mask<W> mask) const {
    for (double* of : {paths, paths + W * K_}) {
      Lane<W>* lanes = reinterpret_cast<Lane<W>*>(of);
      const Lane<W> a = at_number(lanes, K_, first), b = at_number(lanes, K_, second);
      put_at_number(lanes, K_, first, select(mask, b, a));
      put_at_number(lanes, K_, second, select(mask, a, b));
    }
  }
  /// Whether their exchange leaves expert 0 open all along.
  Mask<W> exchangeable(const double* paths, Lane<W> first, Lane<W> second) const {
    const Lane<W>* lanes = reinterpret_cast<const Lane<W>*>(paths);
    const Mask<W> same = (at_number(lanes, K_, first) == at_number(lanes, K_, second)) &
                         (at_number(lanes + K_, K_, first) == at_number(lanes + K_, K_, second));
    return same | !((first == Lane<W>(0.0)) | (second == Lane<W>(0.0)));
  }
  Lane<W> n_open(const double* paths, double row) const {
    Lane<W> count(0.0);
    for (int k = 0; k < K_; ++k) count += select(open(paths, k, row), Lane<W>(1.0), Lane<W>(0.0));
    return count;
  }

  /// Draw from the prior: leaf by leaf, open with probability (still to be opened) / (leaves left).
  void init(double* state, Stream<W>& rng, Mask<W> mask) const {
    double* at = paths(state);
    Lane<W>(0.0).store(at);
    Lane<W>(never).store(at + W * K_);
    Lane<W> wanted(0.0);
    const Lane<W> size = uniform<W>(rng, mask) * double(K_);
    for (int k = 1; k < K_; ++k) wanted += select(Lane<W>(double(k)) <= size, Lane<W>(1.0), Lane<W>(0.0));
    for (int k = 1; k < K_; ++k) {
      const Mask<W> opens = uniform<W>(rng, mask) * double(K_ - k) < wanted;
      select(opens, Lane<W>(0.0), Lane<W>(never)).store(at + W * k);
      Lane<W>(never).store(at + W * (K_ + k));
      wanted -= select(opens, Lane<W>(1.0), Lane<W>(0.0));
    }
  }

  /// Draw what is open at row `next` given the row before; returns where a leaf opened.
  Mask<W> advance(double* state, double next, Stream<W>& rng, Mask<W> mask) const {
    double* at = paths(state);
    Mask<W> opened_one = Mask<W>::all_false();
    for (int k = 1; k < K_; ++k) {
      const Mask<W> changes = mask & (uniform<W>(rng, mask) < Lane<W>(rate_)), is_free = opened(at, k) == Lane<W>(never),
                    is_open = (closed(at, k) == Lane<W>(never)) & !is_free;
      set(at, k, select(is_free, Lane<W>(next), opened(at, k)), select(is_open, Lane<W>(next), closed(at, k)), changes);
      opened_one = opened_one | (changes & is_free);
    }
    return opened_one;
  }

  /// log p(paths) over rows 0 ... n.
  Lane<W> log_prior(const double* paths, Index n) const {
    const Lane<W> last{double(n)}, change(std::log(rate_)), stay(std::log1p(-rate_));
    Lane<W> initial(0.0), total(0.0);
    for (int k = 1; k < K_; ++k) {
      const Lane<W> o = opened(paths, k), c = closed(paths, k);
      const Mask<W> is_initial = o == Lane<W>(0.0), is_free = last < o, is_closed = c <= last;
      initial += select(is_initial, Lane<W>(1.0), Lane<W>(0.0));
      Lane<W> changes = select(is_initial | is_free, Lane<W>(0.0), Lane<W>(1.0)) + select(is_closed, Lane<W>(1.0), Lane<W>(0.0));
      total += (min(c, last) - changes) * stay;
      total += select(changes > Lane<W>(0.0), changes * change, Lane<W>(0.0));
    }
    return total + at_number(log_set_.data(), K_, initial);
  }

  /// The logits of the nodes that are not active at a row.  (Not inline: gates whose leaves are always open are not to pay for it.)
  __attribute__((noinline)) void prune(const double* state, double row, Lane<W>* psi) const {
    const double* at = paths(state);
    const Tree& tree = at_.tree();
    // Whether a leaf below a child is open stands in the place of the child's first leaf; nodes are in preorder.
    Mask<W> few[16];
    std::vector<Mask<W>> many;
    Mask<W>* below = few;
    if (K_ > 16) {
      many.resize(std::size_t(K_));
      below = many.data();
    }
    for (int i = 0; i < K_; ++i) below[i] = open(at, tree.expert_at(i), row);
    for (int l = tree.n_nodes() - 1; l >= 0; --l) {
      const TreeNode& node = tree.node(l);
      const Mask<W> left = below[node.low], right = below[node.middle];
      psi[l] = select(left & right, psi[l], select(right, Lane<W>(-inactive_logit), Lane<W>(inactive_logit)));
      below[node.low] = left | right;
    }
  }
  static Mask<W> is_active(Lane<W> logit) { return abs(logit) < Lane<W>(inactive_logit); }

  /// Whether node l is active at a row.
  Mask<W> active(const double* paths, int l, double row) const {
    const TreeNode& node = at_.tree().node(l);
    return any_open(paths, node.low, node.middle, row) & any_open(paths, node.middle, node.high, row);
  }
  /// Whether node l is active at one of the rows begin ... end.
  Mask<W> ever_active(const double* paths, int l, double begin, double end) const {
    const Tree& tree = at_.tree();
    const TreeNode& node = tree.node(l);
    Mask<W> found = Mask<W>::all_false();
    for (int i = node.low; i < node.middle; ++i)
      for (int j = node.middle; j < node.high; ++j) {
        const int a = tree.expert_at(i), b = tree.expert_at(j);
        const Lane<W> from = max(max(opened(paths, a), opened(paths, b)), Lane<W>(begin)),
                      to = min(min(closed(paths, a), closed(paths, b)), Lane<W>(end + 1));
        found = found | (from < to);
      }
    return found;
  }

  int redraw_lanes(Index n) const { return int(2 * (n + 1)); }
  /// Draw the path of leaf k > 0 anew, see above, given the experts z of rows begin ... n-1 (gate designs U, row-major); what it was before
  /// row `begin` stays.  back: redraw_lanes(n - begin) lanes of scratch.
  void redraw(double* state, int k, Index begin, Index n, const double* U, const Lane<W>* z, Lane<W>* back, Stream<W>& rng,
              Mask<W> mask) const {
    double* at = paths(state);
    const Lane<W> zero(0.0), one(1.0), own{double(k)}, was_opened = opened(at, k), was_closed = closed(at, k);
    Lane<W> is_free, is_open, is_closed;  // probabilities given the rows so far
    auto step = [&](Lane<W>* to) {        // probabilities of a change just now, given the state after it
      const Lane<W> opens = rate_ * is_free, closes = rate_ * is_open;
      is_free = (1.0 - rate_) * is_free;
      is_open = (1.0 - rate_) * is_open + opens;
      is_closed += closes;
      to[0] = opens / max(is_open, Lane<W>(1e-300));
      to[1] = closes / max(is_closed, Lane<W>(1e-300));
    };
    if (begin == 0) {
      Lane<W> others(0.0);
      for (int j = 0; j < K_; ++j)
        if (j != k) others += select(opened(at, j) == zero, one, zero);
      is_open = others * (1.0 / K_);
      is_free = 1.0 - is_open;
      is_closed = zero;
    } else {
      const Lane<W> before{double(begin - 1)};
      is_free = select(before < was_opened, one, zero);
      is_closed = select(was_closed <= before, one, zero);
      is_open = 1.0 - is_free - is_closed;
      step(back);
    }
    Mask<W> possible = mask;
    for (Index i = begin; i < n; ++i) {
      const Lane<W> row_z = z[i - begin], weight = others_given_open(state, k, double(i), U + (i - begin) * at_.dim(), row_z);
      const Mask<W> is_own = row_z == own;
      is_open = is_open * weight;
      is_free = select(is_own, zero, is_free);
      is_closed = select(is_own, zero, is_closed);
      const Lane<W> total = is_free + is_open + is_closed;
      possible = possible & (total > Lane<W>(1e-290));  // else (no changes, and logits in the hundreds) the path stays
      const Lane<W> scale = 1.0 / total;
      is_free = is_free * scale;
      is_open = is_open * scale;
      is_closed = is_closed * scale;
      step(back + 2 * (i + 1 - begin));
    }
    if (!any(possible)) return;
    const Lane<W> u = uniform<W>(rng, possible) * (is_free + is_open + is_closed);
    Mask<W> now_closed = u < is_closed, now_open = (u < is_closed + is_open) & !now_closed;
    Lane<W> opened_at(never), closed_at(never);
    for (Index i = n; i > (begin == 0 ? 0 : begin - 1); --i) {  // the change from row i-1 to row i
      const Lane<W>*change = back + 2 * (i - begin), v = uniform<W>(rng, possible), row{double(i)};
      const Mask<W> opens = now_open & (v < change[0]), closes = now_closed & (v < change[1]);
      opened_at = select(opens, row, opened_at);
      closed_at = select(closes, row, closed_at);
      now_open = (now_open & !opens) | closes;
      now_closed = now_closed & !closes;
    }
    opened_at = select(now_open | now_closed, begin == 0 ? zero : was_opened, opened_at);
    closed_at = select(now_closed, was_closed, closed_at);
    set(at, k, opened_at, closed_at, possible);
  }

  /// Leaves that were closed before row `begin` are free again; returns where that happened and, in `freed` (K), to which.
  Mask<W> forget(double* state, double begin, Mask<W>* freed, Mask<W> mask) const {
    double* at = paths(state);
    Mask<W> some = Mask<W>::all_false();
    for (int k = 0; k < K_; ++k) {
      freed[k] = mask & (closed(at, k) <= Lane<W>(begin));
      set(at, k, Lane<W>(never), Lane<W>(never), freed[k]);
      some = some | freed[k];
    }
    return some;
  }

  /// Whether the paths of a lane can be those after n rows.
  bool plausible(const double* state, int lane, Index n) const {
    const double* at = paths(state) + lane;
    for (int k = 0; k < K_; ++k) {
      const double o = at[W * k], c = at[W * (K_ + k)];
      auto row = [&](double v) { return v == never || (v >= 0 && v <= double(n) && v == std::floor(v)); };
      if (!row(o) || !row(c) || (c != never && c <= o) || (k == 0 && (o != 0 || c != never))) return false;
    }
    return true;
  }

 private:
  // A node above a leaf, on which side of it the leaf stands, and the places of the other side.
  struct Above {
    int node;
    bool left;
    int low, high;
  };

  Mask<W> any_open(const double* paths, int low, int high, double row) const {
    Mask<W> some = Mask<W>::all_false();
    for (int i = low; i < high; ++i) some = some | open(paths, at_.tree().expert_at(i), row);
    return some;
  }

  // p(z | k open) / p(z | k not open) of a row.
  Lane<W> others_given_open(const double* state, int k, double row, const double* u, Lane<W> z) const {
    const double* at = paths(state);
    Lane<W> ratio(1.0);
    Mask<W> looking = Mask<W>::all_true();
    for (const Above& a : above_[std::size_t(k)]) {
      Mask<W> some = Mask<W>::all_false(), there = some;
      for (int i = a.low; i < a.high; ++i) {
        const int j = at_.tree().expert_at(i);
        some = some | open(at, j, row);
        there = there | (z == Lane<W>(double(j)));
      }
      const Mask<W> here = looking & some & there;
      if (any(here)) {
        Lane<W> phi_u = at_.logit(state, a.node, u);
        if (!a.left) phi_u = -phi_u;  // towards k
        const Lane<W> e = exp_nonpositive(-abs(phi_u)), large = 1.0 / (1.0 + e);
        ratio = select(here, select(phi_u < Lane<W>(0.0), large, e * large), ratio);
      }
      looking = looking & !some;
      if (!any(looking)) break;
    }
    return ratio;
  }

  const TreeLayout<W>& at_;
  int K_, first_;
  double rate_;
  std::vector<Lane<W>> log_set_;
  std::vector<std::vector<Above>> above_;  // by expert, the lowest first
};

}  // namespace hsmoe
