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
//
// Draws around a centre follow the prior where the rows say nothing, with its spike and its tails, and the rows where they do:
// first, for each coefficient by itself, which normal of the prior (a mixture of normals) it comes from, then all coefficients from
// a multivariate t around the mean that this precision and the information of the rows give.
#pragma once

#include <algorithm>

#include <hsmoe/gate/gate_refit.hpp>
#include <hsmoe/gate/logistic_fit.hpp>
#include <hsmoe/gate/tree_layout.hpp>
#include <hsmoe/linalg/accumulate.hpp>
#include <hsmoe/linalg/packed_factor.hpp>
#include <hsmoe/prior/gate_prior.hpp>
#include <hsmoe/simd/numbered.hpp>

namespace hsmoe {

template <int W>
class TreeRefit final : public GateRefit<W> {
 public:
  /// state_lanes: of a state of the gate, where centres begin with one.
  TreeRefit(const TreeLayout<W>& layout, const GatePrior<W>& prior, int state_lanes)
      : at_(layout), prior_(prior), nodes_(layout.n_nodes()), p_(layout.dim()), dim_(nodes_ * p_),
        state_lanes_(state_lanes) {
    for (int j = 0; j < p_; ++j) n_normals_ += nodes_ * prior.n_normals(j);
  }

  int dim() const override { return dim_; }
  int centre_lanes() const override {
    return state_lanes_ + (nodes_ + n_pairs()) * packed_size(p_) + 4 * dim_ + scratch_lanes() + packed_size(dim_) + n_normals_;
  }
  int work_lanes() const { return packed_size(dim_) + 4 * dim_ + p_; }

  void begin(double* centre, const double* state) const override {
    std::copy_n(state, W * Index(state_lanes_), centre);
    for (int l = 0; l < nodes_; ++l) std::fill_n(at_.phi_of(at_.node_of(centre, l)), W * p_, 0.0);
    std::fill_n(precisions_of(centre), dim_, Lane<W>(0.1));
  }
  void forget(double* centre) const override { std::fill(known_of(centre, 0), linear_of(centre, nodes_), 0.0); }

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
    Lane<W>*D = precisions_of(centre), *step = work, *space = step + dim_, *L = space + dim_;
    update_precisions(centre, space);
    factor(centre, D, space, L);
    for_each_coefficient([&](int a, int l, int j) {
      step[a] = Lane<W>::load(linear_of(centre, l) + W * j) - D[a] * (phi_at(centre, l, j) - mean_of(a));
    });
    solve_lower<W>(L, step, dim_, space);
    solve_transposed<W>(L, space, dim_, step);
    for_each_coefficient([&](int a, int l, int j) {
      const Lane<W> bounded = min(max(step[a], Lane<W>(-largest_step)), Lane<W>(largest_step));
      (phi_at(centre, l, j) + bounded).store(at_.phi_of(at_.node_of(centre, l)) + W * j);
    });
  }

  // The normals: with V the covariance at the centre, what the rows say of a coefficient is about N(m, 1/I), 1/V_jj = I + D_j and
  // phi_j / V_jj = I m + D_j mean_j (the cavity of expectation propagation, Minka 2001).  Normal i then has probability
  // ~ weight_i N(m; mean_j, 1/I + 1/P_i), P_i its precision.
  void finish(double* centre, Lane<W>* work) const override {
    Lane<W>*Q = information_of(centre), *D = precisions_of(centre), *right_side = right_side_of(centre), *variance = work,
           *space = variance + dim_, *L = space + dim_, *table = normals_of(centre);
    // A wide normal has less precision than D, and must not leave the information indefinite.
    Lane<W>* little = variance;
    for (int i = 0; i < dim_; ++i) little[i] = 0.01 * D[i];
    const Lane<W> taken = factor(centre, little, space, L);
    fill(centre, taken, Q);
    fill_and_factor(centre, taken, D, D, L);
    for (int j = 0; j < dim_; ++j) {  // space: column j of the inverse of L
      std::fill_n(space, dim_, Lane<W>(0.0));
      space[j] = Lane<W>(1.0);
      solve_lower<W>(L, space, dim_, space, j);
      variance[j] = Lane<W>(0.0);
      for (int i = j; i < dim_; ++i) variance[j] += space[i] * space[i];
    }
    for (int i = 0; i < dim_; ++i) right_side[i] = Lane<W>(0.0);
    for_each_coefficient([&](int a, int l, int j) {
      const Lane<W> phi = phi_at(centre, l, j), off = phi - mean_of(a), precision = 1.0 / variance[a],
                    information = max(precision - D[a], 1e-3 * D[a]);
      given_estimate(centre, l, j, precision * off / information, 1.0 / information, table);
      table += prior_.n_normals(j);
      right_side[a] += Q[packed_index(a, a)] * phi + D[a] * off;
      for (int i = 0; i < a; ++i) {
        right_side[a] += Q[packed_index(a, i)] * phi_at(centre, i / p_, i % p_);
        right_side[i] += Q[packed_index(a, i)] * phi;
      }
    });
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

  void draw_around(const double* centre, double* state, Lane<W>* normals, Stream<W>& rng, Mask<W> mask, Lane<W>* work) const override {
    const Lane<W>* table = normals_of(centre);
    for_each_coefficient([&](int a, int, int j) {
      const int n = prior_.n_normals(j);
      draw_normal(table, n, rng, mask, normals[a]);
      table += n;
    });
    Lane<W>*z = work, *e = z + dim_, *mean = e + dim_, *L = mean + dim_, spare;
    around(centre, normals, L, mean, z);
    for (int i = 0; i < dim_; i += 2) normal_pair<W>(rng, mask, z[i], i + 1 < dim_ ? z[i + 1] : spare);
    solve_transposed<W>(L, z, dim_, e);
    const Lane<W> stretch = sqrt(Lane<W>(0.5 * df) / gamma<W>(rng, mask, Lane<W>(0.5 * df)));
    for (int l = 0; l < nodes_; ++l) {
      for (int j = 0; j < p_; ++j) e[l * p_ + j] = mean[l * p_ + j] + e[l * p_ + j] * stretch;
      at_.store_phi(e + l * p_, at_.node_of(state, l), mask);
    }
  }

  // log q(normals) + log|Q|/2 - (df + dim) log(1 + |L'e|^2 / df) / 2, Q = LL' the precision and e the distance from the mean given
  // the normals.
  Lane<W> log_density_around(const double* centre, const double* state, const Lane<W>* normals, Lane<W>* work) const override {
    Lane<W>*e = work, *mean = e + dim_, *L = mean + dim_, square(0.0), log_density(0.0);
    around(centre, normals, L, mean, e);
    for (int l = 0; l < nodes_; ++l) {
      const double* phi = at_.phi_of(at_.node_of(state, l));
      for (int j = 0; j < p_; ++j) e[l * p_ + j] = Lane<W>::load(phi + W * j) - mean[l * p_ + j];
    }
    for (int j = 0; j < dim_; ++j) {
      const Lane<W> reciprocal = L[packed_index(j, j)];
      Lane<W> s = e[j] / reciprocal;
      for (int i = j + 1; i < dim_; ++i) s += L[packed_index(i, j)] * e[i];
      square += s * s;
      log_density -= log(reciprocal);
    }
    const Lane<W>* table = normals_of(centre);
    for_each_coefficient([&](int a, int, int j) {
      const int n = prior_.n_normals(j);
      log_density += log(at_number(table, n, normals[a]));
      table += n;
    });
    return log_density - 0.5 * (df + dim_) * log1p(square / df);
  }

  void draw_normals(const double* state, Lane<W>* normals, Stream<W>& rng, Mask<W> mask) const override {
    Lane<W> probability[most_normals];
    for_each_coefficient([&](int a, int l, int j) {
      given_coefficient(state, l, j, probability);
      draw_normal(probability, prior_.n_normals(j), rng, mask, normals[a]);
    });
  }
  Lane<W> log_probability(const double* state, const Lane<W>* normals) const override {
    Lane<W> probability[most_normals], total(0.0);
    for_each_coefficient([&](int a, int l, int j) {
      given_coefficient(state, l, j, probability);
      total += log(at_number(probability, prior_.n_normals(j), normals[a]));
    });
    return total;
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
  static constexpr double df = 30.0;  // of the t
  // Pivots of what is left of the information are at least this share of those with known allocations.
  static constexpr double least_pivot = 0.02;
  static constexpr int most_halvings = 4;
  static constexpr int most_normals = 16;
  // So that no normal is impossible.
  static constexpr double least_probability = 1e-9;
  // A coefficient moves by no more in one step.
  static constexpr double largest_step = 1.0;

  // A centre: a state, of which the coefficients and the scales are used; then the information with known allocations by nodes,
  // what is missing by pairs of nodes, the score, scratch, the precisions of the prior; and for draws the right-hand side of the
  // equations for the mean, the information, and the probabilities of the normals.
  int n_pairs() const { return nodes_ * (nodes_ + 1) / 2; }
  double* known_of(double* centre, int l) const { return centre + W * (Index(state_lanes_) + Index(l) * packed_size(p_)); }
  double* missing_of(double* centre, int l, int m) const {
    return known_of(centre, nodes_) + W * Index(packed_index(l, m)) * packed_size(p_);
  }
  double* linear_of(double* centre, int l) const { return known_of(centre, nodes_ + n_pairs()) + W * l * p_; }
  Lane<W>* scratch(double* centre) const { return reinterpret_cast<Lane<W>*>(linear_of(centre, nodes_)); }
  int scratch_lanes() const { return 2 * nodes_ * int(RowBlock::most); }
  Lane<W>* precisions_of(double* centre) const { return scratch(centre) + scratch_lanes(); }
  Lane<W>* right_side_of(double* centre) const { return precisions_of(centre) + dim_; }
  Lane<W>* information_of(double* centre) const { return right_side_of(centre) + dim_; }
  Lane<W>* normals_of(double* centre) const { return information_of(centre) + packed_size(dim_); }
  const Lane<W>* right_side_of(const double* centre) const { return right_side_of(const_cast<double*>(centre)); }
  const Lane<W>* normals_of(const double* centre) const { return normals_of(const_cast<double*>(centre)); }
  const Lane<W>* information_of(const double* centre) const { return information_of(const_cast<double*>(centre)); }

  double intercept_mean(int l) const { return prior_.intercept_mean(at_.tree().node(l).log_leaf_odds); }

  double mean_of(int a) const { return a % p_ == 0 ? intercept_mean(a / p_) : 0.0; }
  Lane<W> phi_at(const double* state, int l, int j) const { return Lane<W>::load(at_.phi_of(at_.node_of(state, l)) + W * j); }

  template <class Visit>
  void for_each_coefficient(Visit&& visit) const {
    for (int l = 0; l < nodes_; ++l)
      for (int j = 0; j < p_; ++j) visit(l * p_ + j, l, j);
  }

  void draw_normal(const Lane<W>* probability, int n, Stream<W>& rng, Mask<W> mask, Lane<W>& normal) const {
    normal = select(mask, n > 1 ? number_at_quantile(probability, n, uniform<W>(rng, mask)) : Lane<W>(0.0), normal);
  }

  // Probabilities of the normals given an estimate of a coefficient less its prior mean, and its variance.
  void given_estimate(const double* state, int l, int j, Lane<W> estimate, Lane<W> variance, Lane<W>* probability) const {
    const int n = prior_.n_normals(j);
    const double *scales = at_.scales(at_.node_of(state, l)), *global = at_.global_of(state);
    Lane<W> top(-1e300), total(0.0), precision;
    for (int i = 0; i < n; ++i) {
      prior_.normal(scales, global, j, i, probability[i], precision);
      const Lane<W> v = variance + 1.0 / precision;
      top = max(top, probability[i] -= 0.5 * (log(v) + estimate * estimate / v));
    }
    for (int i = 0; i < n; ++i) total += probability[i] = exp_nonpositive(probability[i] - top);
    const Lane<W> scale = 1.0 / (total + double(n) * least_probability);
    for (int i = 0; i < n; ++i) probability[i] = (probability[i] + least_probability) * scale;
  }
  void given_coefficient(const double* state, int l, int j, Lane<W>* probability) const {
    given_estimate(state, l, j, phi_at(state, l, j) - (j == 0 ? intercept_mean(l) : 0.0), Lane<W>(0.0), probability);
  }

  // Factor of the precision and mean of the coefficients around a centre, given the normals.  space: dim lanes.
  void around(const double* centre, const Lane<W>* normals, Lane<W>* L, Lane<W>* mean, Lane<W>* space) const {
    const Lane<W>*information = information_of(centre), *right_side = right_side_of(centre);
    Lane<W>*y = space, *least = mean;
    std::copy_n(information, packed_size(dim_), L);
    for_each_coefficient([&](int a, int l, int j) {
      const double *scales = at_.scales(at_.node_of(centre, l)), *global = at_.global_of(centre);
      Lane<W> precision(0.0), one, weight;
      for (int i = 0; i < prior_.n_normals(j); ++i) {
        prior_.normal(scales, global, j, i, weight, one);
        precision = select(normals[a] == Lane<W>(double(i)), one, precision);
      }
      L[packed_index(a, a)] += precision;
      y[a] = right_side[a] + precision * mean_of(a);
      least[a] = precision;
    });
    for (int i = 0; i < dim_; ++i) least[i] = max(least[i], least_pivot * L[packed_index(i, i)]);
    // What the rows say may be indefinite where the precision at the centre was not.
    factor_in_place<W>(L, dim_, [&](int i, Lane<W> value) { return max(value, least[i]); });
    solve_lower<W>(L, y, dim_, y);
    solve_transposed<W>(L, y, dim_, mean);
  }

  // Expected precisions of the prior at the coefficients, which the information and the last precisions leave uncertain.
  void update_precisions(double* centre, Lane<W>* second_moment) const {
    Lane<W>* D = precisions_of(centre);
    for (int l = 0; l < nodes_; ++l, D += p_) {
      const double *node = at_.node_of(centre, l), *known = known_of(centre, l);
      for (int j = 0; j < p_; ++j) {
        const Lane<W> phi = Lane<W>::load(at_.phi_of(node) + W * j);
        second_moment[j] = phi * phi + 1.0 / (Lane<W>::load(known + W * packed_index(j, j)) + D[j]);
      }
      prior_.expected_precision(at_.scales(node), at_.global_of(centre), second_moment, D);
    }
  }

  // The factor of the information + D into L, without as much of what is missing as is needed for that.  Returns the share that
  // was taken away.  pivots: dim lanes.
  Lane<W> factor(double* centre, const Lane<W>* D, Lane<W>* pivots, Lane<W>* L) const {
    for (int i = 0; i < dim_; ++i) pivots[i] = Lane<W>(0.0);
    fill_and_factor(centre, Lane<W>(0.0), D, pivots, L);
    for (int i = 0; i < dim_; ++i) {
      const Lane<W> reciprocal = L[packed_index(i, i)];
      pivots[i] = 1.0 / (reciprocal * reciprocal);
    }
    Lane<W> taken(1.0);
    for (int halving = 0; halving <= most_halvings; ++halving) {
      const Mask<W> well = fill_and_factor(centre, taken, D, pivots, L);
      if (!any(!well)) break;
      taken = select(well, taken, halving + 1 < most_halvings ? 0.5 * taken : Lane<W>(0.0));
    }
    return taken;
  }
  // Known information - taken * missing information.
  void fill(double* centre, Lane<W> taken, Lane<W>* Q) const {
    for (int l = 0; l < nodes_; ++l)
      for (int m = 0; m <= l; ++m) {
        const double *known = known_of(centre, l), *missing = missing_of(centre, l, m);
        for (int i = 0; i < p_; ++i)
          for (int j = 0; j < (l == m ? i + 1 : p_); ++j) {
            const int at = W * packed_index(std::max(i, j), std::min(i, j));
            const Lane<W> less = taken * Lane<W>::load(missing + at);
            Q[packed_index(l * p_ + i, m * p_ + j)] = l == m ? Lane<W>::load(known + at) - less : -less;
          }
      }
  }

  // LL' = known information - taken * missing information + D, the diagonal of L as reciprocals; whether its pivots are large
  // enough.
  Mask<W> fill_and_factor(double* centre, Lane<W> taken, const Lane<W>* D, const Lane<W>* known_pivot, Lane<W>* L) const {
    fill(centre, taken, L);
    Mask<W> well = Mask<W>::all_true();
    factor_in_place<W>(L, dim_, [&](int i, Lane<W> value) {
      // Not below D_i without rounding where nothing is taken away.
      const Lane<W> pivot = value + D[i], least = least_pivot * max(known_pivot[i], D[i]);
      well = well & (least <= pivot);
      return max(pivot, least);
    });
    return well;
  }

  const TreeLayout<W>& at_;
  const GatePrior<W>& prior_;
  int nodes_, p_, dim_, state_lanes_, n_normals_ = 0;
};

}  // namespace hsmoe
