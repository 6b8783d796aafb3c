// The tree gate under mean field: q(phi_l) normal for each node, Polya-Gamma variables by their means, scales of the prior
// by their expectations.
//
// A row in charge of the experts left of node l with probability r_l, right of it with r'_l, is for phi_l the
// pseudo-observation (belief.hpp) of
//
//     w = (r_l + r'_l) E[omega],  E[omega] = tanh(c/2) / (2c),  c^2 = E[psi_l^2]        kappa = (r_l - r'_l) / 2
//
// (the bound of Jaakkola & Jordan 2000, which Polya-Gamma augmentation is one way to; c is that of the belief that has
// learned the row).  Routing probabilities are products of E sigmoid over the path, exact for independent q(phi_l).
#pragma once

#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include <hsmoe/gate/tree.hpp>
#include <hsmoe/prior/gate_prior.hpp>
#include <hsmoe/variational/belief.hpp>
#include <hsmoe/variational/sigmoid_normal.hpp>

namespace hsmoe::variational {

class VariationalGate {
 public:
  VariationalGate(Tree tree, std::unique_ptr<GatePrior<1>> prior, int dim, bool diagonal)
      : tree_(std::move(tree)), prior_(std::move(prior)), belief_(dim, diagonal) {}

  int n_nodes() const { return tree_.n_nodes(); }
  int dim() const { return belief_.dim(); }
  Index sums() const { return n_nodes() * belief_.sums(); }
  /// Beliefs of the nodes, then their scales, then the global ones.
  Index derived() const { return n_nodes() * (belief_.derived() + prior_->node_fields()) + prior_->global_fields(); }

  /// What one thread needs of a row, and to solve.
  struct Work {
    explicit Work(const VariationalGate& g)
        : node(std::size_t(g.n_nodes())), side(node.size()), v(node.size() * std::size_t(g.dim())), mass(std::size_t(g.n_nodes()) + 2),
          moment(node.size() * std::size_t(g.dim())), D(std::size_t(g.dim())), precision(D.size()), w(), kappa(), residual() {}
    std::vector<Projection> node;
    std::vector<SigmoidMoments> side;
    std::vector<double> v, mass;
    std::vector<Lane<1>> moment, D;
    std::vector<double> precision, w, kappa, residual;
  };

  void init(const double* sums, double* derived, Work& work) const {
    prior_->typical_scales(scales(derived, 0), prior_->node_fields(), global(derived));
    for (int l = 0; l < n_nodes(); ++l) solve(l, sums, derived, work);
  }

  /// All nodes for a row, then log E g_k by expert.
  void project(const double* derived, const double* u, Work& work) const {
    for (int l = 0; l < n_nodes(); ++l)
      work.node[l] = belief_.project(belief(derived, l), u, 0.0, work.v.data() + Index(l) * dim());
  }
  void log_proba(Work& work, double* log_g) const {
    for (int l = 0; l < n_nodes(); ++l) work.side[l] = sigmoid_moments(work.node[l].mean, work.node[l].variance);
    over_leaves(log_g, 0.0, [](double above, double here) { return above + here; },
                [&](int l) { return work.side[l].log_left; }, [&](int l) { return work.side[l].log_right; });
  }
  /// E g_k and E g_k^2.
  void proba_moments(Work& work, double* mean, double* square) const {
    for (int l = 0; l < n_nodes(); ++l) work.side[l] = sigmoid_moments(work.node[l].mean, work.node[l].variance);
    auto product = [](double above, double here) { return above * here; };
    over_leaves(mean, 1.0, product, [&](int l) { return work.side[l].left; }, [&](int l) { return work.side[l].right; });
    for (int l = 0; l < n_nodes(); ++l) work.mass[l] = sigmoid_slope(work.node[l].mean, work.node[l].variance);
    over_leaves(square, 1.0, product, [&](int l) { return std::max(work.side[l].left - work.mass[l], work.side[l].left * work.side[l].left); },
                [&](int l) { return std::max(work.side[l].right - work.mass[l], work.side[l].right * work.side[l].right); });
  }

  /// Learn a row just projected, whose experts have responsibilities r.
  void learn(double* sums, double* derived, const double* u, const double* r, Work& work) const {
    const double* cumulative = accumulate(r, work);
    for (int l = 0; l < n_nodes(); ++l) {
      double passed, kappa;
      sides(cumulative, l, passed, kappa);
      if (passed < negligible) continue;
      const Projection& p = work.node[l];
      belief_.learn(sums + l * belief_.sums(), belief(derived, l), u, p, work.v.data() + Index(l) * dim(), settle(p, passed, kappa),
                    kappa, 0.0);
    }
  }

  /// A row that was learned with responsibilities r, seen without itself: omega of its nodes, and log E g_k.
  void revisit(const double* derived, const double* u, const double* r, double* omega, double* log_g, Work& work) const {
    project(derived, u, work);
    const double* cumulative = accumulate(r, work);
    for (int l = 0; l < n_nodes(); ++l) {
      double passed, kappa;
      sides(cumulative, l, passed, kappa);
      Projection& p = work.node[l];
      omega[l] = polya_gamma_mean(std::sqrt(p.mean * p.mean + p.variance));
      p = belief_.without(belief(derived, l), u, p, passed * omega[l], kappa);
    }
    log_proba(work, log_g);
  }
  /// Sums anew from the rows with responsibilities r (n x K) and omega (n x n_nodes), on top of those of frozen rows; as
  /// Belief::rebuild.
  void rebuild(double* sums, double* derived, const RowSet& rows, const double* r, const double* omega, Index freeze,
               double* frozen, Work& work) const {
    const Index n = rows.n, L = n_nodes();
    work.w.resize(std::size_t(L * n));
    work.kappa.resize(std::size_t(L * n));
    for (Index i = 0; i < n; ++i) {
      const double* cumulative = accumulate(r + i * (L + 1), work);
      for (int l = 0; l < L; ++l) {
        double passed, kappa;
        sides(cumulative, l, passed, kappa);
        const bool counts = passed >= negligible;
        work.w[l * n + i] = counts ? passed * omega[i * L + l] : 0.0;
        work.kappa[l * n + i] = counts ? kappa : 0.0;
      }
    }
    for (int l = 0; l < L; ++l) {
      const double mu = precisions(l, derived, work);
      belief_.rebuild(sums + l * belief_.sums(), belief(derived, l), rows, &work.w[l * n], &work.kappa[l * n], 0.0,
                      work.precision.data(), mu, freeze, frozen ? frozen + l * belief_.sums() : nullptr, work.residual);
    }
  }
  /// Beliefs from the sums, scales from the beliefs, and beliefs under the new scales.
  void refresh(const double* sums, double* derived, Work& work) const {
    if (n_nodes() == 0) return;
    for (int l = 0; l < n_nodes(); ++l) solve(l, sums, derived, work);
    for (int l = 0; l < n_nodes(); ++l)
      for (int j = 0; j < dim(); ++j) {
        const double m = belief_.mean(belief(derived, l))[j];
        work.moment[l * dim() + j] = Lane<1>(m * m + belief_.variance(belief(derived, l), j));
      }
    prior_->expect_scales(work.moment.data(), scales(derived, 0), prior_->node_fields(), global(derived));
    for (int l = 0; l < n_nodes(); ++l) solve(l, sums, derived, work);
  }

  void describe(const double* sums, const double* derived, double* phi, double* local_scale, double* inclusion,
                double* global_scale, Work& work) const {
    const int p = dim();
    for (int l = 0; l < n_nodes(); ++l) {
      prior_->precision(scales(derived, l), global(derived), work.D.data());
      for (int j = 0; j < p; ++j) {
        const double a = belief_.information(sums + l * belief_.sums(), j);
        phi[l * p + j] = belief_.mean(belief(derived, l))[j];
        local_scale[l * p + j] = prior_->local_scale(scales(derived, l), j, 0);
        inclusion[l * p + j] = prior_->penalised(j) ? a / (a + work.D[j][0]) : std::numeric_limits<double>::quiet_NaN();
      }
    }
    *global_scale = n_nodes() ? prior_->global_scale(global(derived), 0) : std::numeric_limits<double>::quiet_NaN();
  }
  /// phi (n_nodes x dim) from the beliefs; next() gives independent standard normals.
  template <class Normals>
  void draw(const double* derived, Normals&& next, double* phi) const {
    for (int l = 0; l < n_nodes(); ++l) belief_.draw(belief(derived, l), 1.0, next, phi + Index(l) * dim());
  }
  /// log g_k at given coefficients.
  void log_proba_at(const double* phi, const double* u, double* log_g) const {
    auto logit = [&](int l) { return dot(phi + Index(l) * dim(), u, dim()); };
    auto log_sigmoid = [](double t) { return t < 0 ? t - std::log1p(std::exp(t)) : -std::log1p(std::exp(-t)); };
    over_leaves(log_g, 0.0, [](double above, double here) { return above + here; },
                [&](int l) { return log_sigmoid(logit(l)); }, [&](int l) { return log_sigmoid(-logit(l)); });
  }
  bool plausible(const double* sums, const double* derived) const {
    for (int l = 0; l < n_nodes(); ++l)
      if (!belief_.plausible(sums + l * belief_.sums(), belief(derived, l)) || !prior_->plausible(scales(derived, l), global(derived), 0))
        return false;
    return true;
  }

 private:
  template <class T> T* belief(T* derived, int l) const { return derived + l * belief_.derived(); }
  template <class T> T* scales(T* derived, int l) const {
    return derived + n_nodes() * belief_.derived() + Index(l) * prior_->node_fields();
  }
  template <class T> T* global(T* derived) const { return scales(derived, n_nodes()); }

  /// Prior precisions of node l to work.precision; returns the prior mean of its intercept.
  double precisions(int l, const double* derived, Work& work) const {
    prior_->precision(scales(derived, l), global(derived), work.D.data());
    for (int j = 0; j < dim(); ++j) work.precision[j] = work.D[j][0];
    return prior_->intercept_mean(tree_.node(l).log_leaf_odds);
  }
  void solve(int l, const double* sums, double* derived, Work& work) const {
    const double mu = precisions(l, derived, work);
    belief_.solve(sums + l * belief_.sums(), work.precision.data(), mu, belief(derived, l));
  }

  /// Sums of r over the leaves before each position.
  const double* accumulate(const double* r, Work& work) const {
    work.mass[0] = 0;
    for (int i = 0; i <= n_nodes(); ++i) work.mass[i + 1] = work.mass[i] + r[tree_.expert_at(i)];
    return work.mass.data();
  }
  void sides(const double* cumulative, int l, double& passed, double& kappa) const {
    const TreeNode& node = tree_.node(l);
    const double left = cumulative[node.middle] - cumulative[node.low], right = cumulative[node.high] - cumulative[node.middle];
    passed = left + right;
    kappa = 0.5 * (left - right);
  }

  /// out[k] = what `join` makes of the nodes on the path to expert k, from `start`.  Nodes stand in preorder: the place of
  /// the first leaf of a subtree holds what has come down to it.
  template <class Join, class Left, class Right>
  void over_leaves(double* out, double start, Join&& join, Left&& left, Right&& right) const {
    out[tree_.expert_at(0)] = start;
    for (int l = 0; l < n_nodes(); ++l) {
      const TreeNode& node = tree_.node(l);
      double& above = out[tree_.expert_at(node.low)];
      out[tree_.expert_at(node.middle)] = join(above, right(l));
      above = join(above, left(l));
    }
  }

  Tree tree_;
  std::unique_ptr<GatePrior<1>> prior_;
  Belief belief_;
};

}  // namespace hsmoe::variational
