// Most probable coefficients of a tree of logistic nodes given the shares r_k of the experts in each row, and how certain they are.
//
// With k the expert of a row, psi_l = u'phi_l and s_l(k) = 1 - sigmoid(psi_l), -sigmoid(psi_l) or 0 where k stands left of node l,
// right of it or not below, a row contributes to the log likelihood of all coefficients
//
//     score of psi_l:         E s_l = sum_k r_k s_l(k)
//     information:            E[w_l 1(k below l)] on the diagonal, w_l = sigmoid(psi_l) (1 - sigmoid(psi_l))
//     missing information:    Cov(s_l, s_m)
//
// if its allocation were known, less the missing information if it is summed out (Louis 1982).  Of two nodes s_l s_m is zero
// unless one is above the other, and then s_l is one number for all k below m: E s_l s_m = s_l(m) E s_m.
//
// The fit is by Newton steps with the information of known allocations (an EM algorithm) or of those summed out, which need not
// be positive definite far from the maximum: then only 1/2, 1/4, ... or nothing of what is missing is taken away.
#pragma once

#include <algorithm>

#include <hsmoe/gate/gate_refit.hpp>
#include <hsmoe/gate/logistic_fit.hpp>
#include <hsmoe/gate/tree_layout.hpp>
#include <hsmoe/linalg/accumulate.hpp>
#include <hsmoe/linalg/gaussian_draw.hpp>
#include <hsmoe/prior/gate_prior.hpp>

namespace hsmoe {

template <int W>
class TreeRefit final : public GateRefit<W> {
 public:
  TreeRefit(const TreeLayout<W>& layout, const GatePrior<W>& prior)
      : at_(layout), prior_(prior), nodes_(layout.n_nodes()), p_(layout.dim()), dim_(nodes_ * p_),
        state_lanes_(nodes_ * layout.stride() + prior.global_fields()) {}

  int dim() const override { return dim_; }
  int centre_lanes() const override { return state_lanes_ + (nodes_ + n_pairs()) * packed_size(p_) + dim_ + scratch_lanes() + packed_size(dim_); }
  int work_lanes() const { return 2 * dim_ + p_; }

  void begin(double* centre, const double* state) const override {
    std::copy_n(state, W * Index(state_lanes_), centre);
    for (int l = 0; l < nodes_; ++l) std::fill_n(at_.phi_of(at_.node_of(centre, l)), W * p_, 0.0);
    forget(centre);
  }

  void gather(double* centre, const RowBlock& rows, const Lane<W>* share, const Lane<W>* memo, double weight,
              bool observed) const override {
    const Tree& tree = at_.tree();
    const int K = tree.n_experts();
    Lane<W> linear[RowBlock::most], known[RowBlock::most], missing[RowBlock::most];
    Lane<W>*half_tanh = scratch(centre), *score = half_tanh + nodes_ * RowBlock::most;  // by nodes
    for (int l = 0; l < nodes_; ++l, half_tanh += RowBlock::most, score += RowBlock::most) {
      const TreeNode& split = tree.node(l);
      for (int t = 0; t < rows.n; ++t) {
        Lane<W> left(0.0), right(0.0), w;
        for (int i = split.low; i < split.middle; ++i) left += share[t * K + tree.expert_at(i)];
        for (int i = split.middle; i < split.high; ++i) right += share[t * K + tree.expert_at(i)];
        linearise_logistic(memo[t * nodes_ + l], half_tanh[t], w);
        const Lane<W> to_left = 0.5 - half_tanh[t], to_right = 0.5 + half_tanh[t];
        score[t] = left * to_left - right * to_right;
        linear[t] = weight * score[t];
        known[t] = weight * (left + right) * w;
        missing[t] = weight * (left * to_left * to_left + right * to_right * to_right - score[t] * score[t]);
      }
      accumulate_rows<W>(linear_of(centre, l), p_, rows.u, linear, rows.n);
      accumulate_outer<W>(known_of(centre, l), p_, rows.u, known, rows.n);
      if (!observed) continue;
      accumulate_outer<W>(missing_of(centre, l, l), p_, rows.u, missing, rows.n);
      for (int m = 0; m < l; ++m) {  // nodes are in preorder: l is below m, or beside it
        const TreeNode& other = tree.node(m);
        const bool below = split.low >= other.low && split.high <= other.high, left = split.high <= other.middle;
        const Index back = Index(l - m) * RowBlock::most;
        for (int t = 0; t < rows.n; ++t) {
          const Lane<W> s_m = !below ? Lane<W>(0.0) : left ? 0.5 - half_tanh[t - back] : -0.5 - half_tanh[t - back];
          missing[t] = weight * (s_m - score[t - back]) * score[t];
        }
        accumulate_outer<W>(missing_of(centre, l, m), p_, rows.u, missing, rows.n);
      }
    }
  }

  void settle(double* centre, Lane<W>* work) const override {
    Lane<W>*D = work, *step = work + dim_;
    prior_precisions(centre, D, work + 2 * dim_);
    for (int l = 0; l < nodes_; ++l) {
      const double* phi = at_.phi_of(at_.node_of(centre, l));
      for (int j = 0; j < p_; ++j) {
        const double mean = j == 0 ? intercept_mean(l) : 0.0;
        step[l * p_ + j] = Lane<W>::load(linear_of(centre, l) + W * j) - D[l * p_ + j] * (Lane<W>::load(phi + W * j) - mean);
      }
    }
    factor(centre, D, step);
    for (int l = 0; l < nodes_; ++l) {
      double* phi = at_.phi_of(at_.node_of(centre, l));
      for (int j = 0; j < p_; ++j)
        (Lane<W>::load(phi + W * j) + min(max(step[l * p_ + j], Lane<W>(-largest_step)), Lane<W>(largest_step))).store(phi + W * j);
    }
    forget(centre);
  }

  void finish(double* centre, Lane<W>* work) const override {
    Lane<W>*D = work, *none = work + dim_;
    prior_precisions(centre, D, work + 2 * dim_);
    std::fill_n(none, dim_, Lane<W>(0.0));
    factor(centre, D, none);
  }

  Lane<W> towards(Lane<W> first, Lane<W> second, const Lane<W>* memo) const override {
    const Lane<W> place_first = at_.position_of(first), place_second = at_.position_of(second);
    Lane<W> psi(0.0);
    for (int l = 0; l < nodes_; ++l) {
      const Lane<W> middle(at_.tree().node(l).middle);
      const Mask<W> both = at_.passes(l, place_first) & at_.passes(l, place_second), left = place_first < middle,
                    second_left = place_second < middle;
      psi = select(both & left & !second_left, memo[l], select(both & second_left & !left, -memo[l], psi));
    }
    return psi;
  }

  void draw_around(const double* centre, double* state, Stream<W>& rng, Mask<W> mask, Lane<W>* work) const override {
    Lane<W>*z = work, *e = work + dim_, spare;
    for (int i = 0; i < dim_; i += 2) normal_pair<W>(rng, mask, z[i], i + 1 < dim_ ? z[i + 1] : spare);
    detail::solve_transposed<W>(factor_of(centre), z, dim_, e);
    const Lane<W> stretch = sqrt(Lane<W>(0.5 * df) / gamma<W>(rng, mask, Lane<W>(0.5 * df)));
    for (int l = 0; l < nodes_; ++l) {
      const double* phi = at_.phi_of(at_.node_of(centre, l));
      for (int j = 0; j < p_; ++j) e[l * p_ + j] = Lane<W>::load(phi + W * j) + e[l * p_ + j] * stretch;
      at_.store_phi(e + l * p_, at_.node_of(state, l), mask);
    }
  }

  // log|Q|/2 - (df + dim) log(1 + |L'e|^2 / df) / 2, Q = LL' the information and e the distance from the centre.
  Lane<W> log_density_around(const double* centre, const double* state, Lane<W>* work) const override {
    Lane<W> *e = work, square(0.0), log_root(0.0);
    for (int l = 0; l < nodes_; ++l) {
      const double *phi = at_.phi_of(at_.node_of(state, l)), *mean = at_.phi_of(at_.node_of(centre, l));
      for (int j = 0; j < p_; ++j) e[l * p_ + j] = Lane<W>::load(phi + W * j) - Lane<W>::load(mean + W * j);
    }
    const Lane<W>* L = factor_of(centre);
    for (int j = 0; j < dim_; ++j) {
      const Lane<W> reciprocal = L[packed_index(j, j)];
      Lane<W> s = e[j] / reciprocal;
      for (int i = j + 1; i < dim_; ++i) s += L[packed_index(i, j)] * e[i];
      square += s * s;
      log_root -= log(reciprocal);
    }
    return log_root - 0.5 * (df + dim_) * log1p(square / df);
  }

  Lane<W> log_prior(const double* state, Lane<W>* work) const override {
    Lane<W> total(0.0);
    for (int l = 0; l < nodes_; ++l) {
      const double* node = at_.node_of(state, l);
      at_.load_phi(node, work);
      total += prior_.log_marginal(work, at_.scales(node), at_.global_of(state), intercept_mean(l));
    }
    return total;
  }

  void adopt(double* state, const double* from, Stream<W>& rng, Mask<W> mask, Lane<W>* work) const override {
    const double* global = at_.global_of(state);
    for (int l = 0; l < nodes_; ++l) {
      double* node = at_.node_of(state, l);
      at_.load_phi(at_.node_of(from, l), work);
      at_.store_phi(work, node, mask);
      prior_.draw_local(at_.phi_of(node), at_.scales(node), global, rng, mask);
    }
  }

 private:
  static constexpr double df = LogisticFit<W>::df;
  // Pivots of what is left of the information are at least this share of those with known allocations.
  static constexpr double least_pivot = 0.02;
  static constexpr int most_halvings = 4;
  // A coefficient moves by no more in one step.
  static constexpr double largest_step = 1.0;

  // A centre: a state, of which the coefficients and the scales are used; then the information with known allocations by nodes,
  // what is missing by pairs of nodes, the score, scratch, and the factor.
  int n_pairs() const { return nodes_ * (nodes_ + 1) / 2; }
  double* known_of(double* centre, int l) const { return centre + W * (Index(state_lanes_) + Index(l) * packed_size(p_)); }
  double* missing_of(double* centre, int l, int m) const {
    return known_of(centre, nodes_) + W * Index(packed_index(l, m)) * packed_size(p_);
  }
  double* linear_of(double* centre, int l) const { return known_of(centre, nodes_ + n_pairs()) + W * l * p_; }
  Lane<W>* scratch(double* centre) const { return reinterpret_cast<Lane<W>*>(linear_of(centre, nodes_)); }
  int scratch_lanes() const { return std::max(2 * dim_, 2 * nodes_ * int(RowBlock::most)); }
  Lane<W>* factor_of(double* centre) const { return scratch(centre) + scratch_lanes(); }
  const Lane<W>* factor_of(const double* centre) const { return factor_of(const_cast<double*>(centre)); }
  void forget(double* centre) const { std::fill(known_of(centre, 0), linear_of(centre, nodes_), 0.0); }

  double intercept_mean(int l) const { return prior_.intercept_mean(at_.tree().node(l).log_leaf_odds); }

  // Expected precisions of the prior at the coefficients, given the information.
  void prior_precisions(double* centre, Lane<W>* D, Lane<W>* second_moment) const {
    for (int l = 0; l < nodes_; ++l) {
      const double *node = at_.node_of(centre, l), *known = known_of(centre, l);
      for (int j = 0; j < p_; ++j) {
        const Lane<W> phi = Lane<W>::load(at_.phi_of(node) + W * j);
        second_moment[j] = phi * phi + 1.0 / (Lane<W>::load(known + W * packed_index(j, j)) + 0.1);
      }
      prior_.expected_precision(at_.scales(node), at_.global_of(centre), second_moment, D + l * p_);
    }
  }

  // The factor of the information + D; x becomes (information + D)^-1 x.
  void factor(double* centre, const Lane<W>* D, Lane<W>* x) const {
    Lane<W>*L = factor_of(centre), *y = scratch(centre), *known_pivot = y + dim_;
    for (int i = 0; i < dim_; ++i) known_pivot[i] = Lane<W>(0.0);
    fill_and_factor(centre, Lane<W>(0.0), D, known_pivot, L);
    for (int i = 0; i < dim_; ++i) {
      const Lane<W> reciprocal = L[packed_index(i, i)];
      known_pivot[i] = 1.0 / (reciprocal * reciprocal);
    }
    Lane<W> taken(1.0);
    for (int halving = 0; halving <= most_halvings; ++halving) {
      const Mask<W> well = fill_and_factor(centre, taken, D, known_pivot, L);
      if (!any(!well)) break;
      taken = select(well, taken, halving + 1 < most_halvings ? 0.5 * taken : Lane<W>(0.0));
    }
    for (int i = 0; i < dim_; ++i) {
      y[i] = x[i];
      for (int j = 0; j < i; ++j) y[i] -= L[packed_index(i, j)] * y[j];
      y[i] *= L[packed_index(i, i)];
    }
    detail::solve_transposed<W>(L, y, dim_, x);
  }

  // LL' = known information - taken * missing information + D, the diagonal of L as reciprocals; whether its pivots are large
  // enough.
  Mask<W> fill_and_factor(double* centre, Lane<W> taken, const Lane<W>* D, const Lane<W>* known_pivot, Lane<W>* L) const {
    for (int l = 0; l < nodes_; ++l)
      for (int m = 0; m <= l; ++m) {
        const double *known = known_of(centre, l), *missing = missing_of(centre, l, m);
        for (int i = 0; i < p_; ++i)
          for (int j = 0; j < (l == m ? i + 1 : p_); ++j) {
            const int at = W * packed_index(std::max(i, j), std::min(i, j));
            const Lane<W> less = taken * Lane<W>::load(missing + at);
            L[packed_index(l * p_ + i, m * p_ + j)] = l == m ? Lane<W>::load(known + at) - less : -less;
          }
      }
    Mask<W> well = Mask<W>::all_true();
    for (int i = 0; i < dim_; ++i) {
      Lane<W>* Li = L + packed_index(i, 0);
      for (int j = 0; j < i; ++j) {
        const Lane<W>* Lj = L + packed_index(j, 0);
        for (int k = 0; k < j; ++k) Li[j] -= Li[k] * Lj[k];
        Li[j] *= Lj[j];
        Li[i] -= Li[j] * Li[j];
      }
      // Not below D_i without rounding where nothing is taken away.
      const Lane<W> pivot = Li[i] + D[i], least = least_pivot * max(known_pivot[i], D[i]);
      well = well & (least <= pivot);
      Li[i] = 1.0 / sqrt(max(pivot, least));
    }
    return well;
  }

  const TreeLayout<W>& at_;
  const GatePrior<W>& prior_;
  int nodes_, p_, dim_, state_lanes_;
};

}  // namespace hsmoe
