// A normal belief about the coefficients of a linear predictor, learned from weighted pseudo-observations: a row x with
// precision w and linear term kappa speaks of t = shift + x'b by exp(kappa t - w t^2 / 2).
//
//     full:      Q = D + sum w x x'           Q m = D mu + sum (kappa - w shift) x
//     diagonal:  Q_j = D_j + sum w x_j^2      m += Q^-1 x (kappa - w t) / (1 + w x'Q^-1 x), t at the m before
//
// D is the diagonal precision of the prior, mu its mean (not zero for the first coefficient alone).  The linear sums of the
// diagonal form are Q m - D mu.  Both keep the sums free of the prior, which may change: a new D takes effect in `solve`.
//
// Row by row the diagonal form is the best law with independent coefficients given the one before, and what that loses
// adds up; `rebuild`, with rows in hand, finds their joint best: the mean of the full form, with variances 1 / Q_j.
//
// Sums: matrix (packed lower triangle or diagonal), then the linear ones.  Derived: Q^-1 (full square or diagonal), then m.
// Loops run in a fixed order over memory of any alignment: the same bits always.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include <hsmoe/linalg/dense.hpp>
#include <hsmoe/types.hpp>
#include <hsmoe/variational/sigmoid_normal.hpp>

namespace hsmoe::variational {

// What is less sure than this is not learned from: a million such rows add nothing that could be seen.
constexpr double negligible = 1e-10;

/// Mean and variance of t = shift + x'b of a row, the latter in the units of Q^-1.
struct Projection {
  double mean, variance;
};

/// The best w for a row of projection p that speaks of a logit by `weight` Polya-Gamma variables and the linear term kappa:
/// w = weight E[omega] at c^2 = E[t^2] under the belief that has learned the row.  Learning moves t alone along Q^-1 x, so
/// that the two are settled in numbers.
inline double settle(const Projection& p, double weight, double kappa) {
  double mean = p.mean, variance = p.variance, w = 0;
  for (int round = 0; round < 5; ++round) {
    w = weight * polya_gamma_mean(std::sqrt(mean * mean + variance));
    const double scale = 1 / (1 + w * p.variance);
    variance = p.variance * scale;
    mean = p.mean + p.variance * (kappa - w * p.mean) * scale;
  }
  return w;
}

/// Designs of the rows of a scan; by columns too (dim x n) for the diagonal form.
struct RowSet {
  Index n;
  std::vector<const double*> x;
  const double* columns;
};

class Belief {
 public:
  Belief(int dim, bool diagonal) : d_(dim), diagonal_(diagonal) {}

  int dim() const { return d_; }
  bool diagonal() const { return diagonal_; }
  Index sums() const { return (diagonal_ ? d_ : Index(packed_size(d_))) + d_; }
  Index derived() const { return (diagonal_ ? d_ : Index(d_) * d_) + d_; }
  const double* mean(const double* derived) const { return derived + this->derived() - d_; }
  double variance(const double* derived, int j) const { return derived[diagonal_ ? j : Index(j) * d_ + j]; }
  double information(const double* sums, int j) const { return sums[diagonal_ ? j : packed_index(j, j)]; }
  const double* linear(const double* sums) const { return sums + this->sums() - d_; }

  void solve(const double* sums, const double* D, double mu, double* derived) const {
    const double* h = linear(sums);
    double* m = derived + this->derived() - d_;
    if (diagonal_) {
      for (int j = 0; j < d_; ++j) {
        derived[j] = 1 / (sums[j] + D[j]);
        m[j] = derived[j] * (h[j] + (j == 0 ? D[0] * mu : 0.0));
      }
      return;
    }
    for (int i = 0; i < d_; ++i) {
      for (int j = 0; j <= i; ++j) derived[Index(i) * d_ + j] = derived[Index(j) * d_ + i] = sums[packed_index(i, j)];
      derived[Index(i) * d_ + i] += D[i];
    }
    invert_symmetric(derived, d_);
    std::fill_n(m, d_, 0.0);
    for (int j = 0; j < d_; ++j) add_scaled(m, derived + Index(j) * d_, h[j] + (j == 0 ? D[0] * mu : 0.0), d_);
  }

  /// v (dim): Q^-1 x.
  Projection project(const double* derived, const double* x, double shift, double* v) const {
    if (diagonal_) {
      for (int j = 0; j < d_; ++j) v[j] = derived[j] * x[j];
    } else {
      multiply_symmetric(derived, x, v, d_);
    }
    return {shift + dot(mean(derived), x, d_), std::max(dot(v, x, d_), 0.0)};
  }

  /// The projection without the pseudo-observation (w, kappa) of the row itself, whose projection is p.
  Projection without(const double* derived, const double* x, const Projection& p, double w, double kappa) const {
    // A row is never all that is known: rounding, and a diagonal form that depends on the order of the rows, could say so.
    constexpr double least = 0.05;
    double variance = 0;
    if (diagonal_) {
      for (int j = 0; j < d_; ++j) variance += x[j] * x[j] * derived[j] / std::max(1 - w * x[j] * x[j] * derived[j], least);
    } else {
      variance = p.variance / std::max(1 - w * p.variance, least);
    }
    return {p.mean + variance * (w * p.mean - kappa), variance};
  }

  /// Learn the pseudo-observation of a row of projection p, v.
  void learn(double* sums, double* derived, const double* x, const Projection& p, const double* v, double w, double kappa,
             double shift) const {
    const double scale = 1 / (1 + w * p.variance), gain = (kappa - w * p.mean) * scale;
    double *m = derived + this->derived() - d_, *h = sums + this->sums() - d_;
    if (diagonal_) {
      for (int j = 0; j < d_; ++j) {
        const double before = 1 / derived[j], after = before + w * x[j] * x[j], moved = m[j] + v[j] * gain;
        h[j] += after * moved - before * m[j];
        sums[j] += w * x[j] * x[j];
        derived[j] = 1 / after;
        m[j] = moved;
      }
      return;
    }
    add_scaled(m, v, gain, d_);
    subtract_outer(derived, v, w * scale, d_);
    accumulate(sums, x, w, kappa - w * shift);
  }

  /// What `rebuild` says of the squares at the mean: over all rows and what was frozen, and over the newly frozen alone.
  struct Squares {
    double all = 0, frozen = 0;
  };

  /// Sums of n rows with weights w and linear terms kappa (0 where w is), on top of those in `sums`, which are of rows
  /// frozen before.  `frozen`, unless null, receives what the sums are without the rows from `freeze` on.
  ///
  /// Diagonal: with Q', m' what the frozen sums alone make of the belief, minimise over m, by sweeps over coordinates,
  ///     sum_j Q'_j (m_j - m'_j)^2 + sum_i w_i (kappa_i / w_i - t_i)^2,   whose least value `all` is.
  /// Frozen sums are such that the same m is the minimum again when the first rows are taken for frozen.
  Squares rebuild(double* sums, double* derived, const RowSet& rows, const double* w, const double* kappa, double shift,
                  const double* D, double mu, Index freeze, double* frozen, std::vector<double>& residual) const {
    double* h = sums + this->sums() - d_;
    if (!diagonal_) {
      for (Index i = 0; i < rows.n; ++i) {
        if (w[i] > 0) accumulate(sums, rows.x[i], w[i], kappa[i] - w[i] * shift);
        if (frozen && i + 1 == freeze) std::copy_n(sums, this->sums(), frozen);
      }
      return {};
    }
    double* m = derived + d_;
    residual.resize(std::size_t(rows.n));
    double* rest = residual.data();
    std::fill_n(rest, rows.n, shift);
    for (int j = 0; j < d_; ++j) add_scaled(rest, rows.columns + j * rows.n, m[j], int(rows.n));
    for (Index i = 0; i < rows.n; ++i) rest[i] = kappa[i] - w[i] * rest[i];
    for (int sweep = 0; sweep < n_sweeps; ++sweep)
      for (int j = 0; j < d_; ++j) {
        const double* x = rows.columns + j * rows.n;
        if (sweep == 0) {
          double gained = 0;
          for (Index i = 0; i < rows.n; ++i) gained += w[i] * x[i] * x[i];
          derived[j] = sums[j] + D[j] + gained;  // Q_j, until the end
        }
        const double pull = dot(x, rest, int(rows.n)) + h[j] + (j == 0 ? D[0] * mu : 0.0) - (sums[j] + D[j]) * m[j];
        const double step = pull / derived[j];
        m[j] += step;
        for (Index i = 0; i < rows.n; ++i) rest[i] -= w[i] * x[i] * step;
      }
    Squares squares;
    double retained = 0;
    for (Index i = 0; i < rows.n; ++i) {
      const double square = w[i] > 0 ? rest[i] * rest[i] / w[i] : 0.0;
      squares.all += square;
      if (i >= freeze) retained += square;
    }
    for (int j = 0; j < d_; ++j) {
      const double *x = rows.columns + j * rows.n, Q = derived[j], prior = D[j], offset = j == 0 ? D[0] * mu : 0.0;
      const double before = sums[j] + prior, from = m[j] - (h[j] + offset) / before;
      squares.all += before * from * from;
      if (frozen) {
        double lost = 0, pull = 0;
        for (Index i = freeze; i < rows.n; ++i) {
          lost += w[i] * x[i] * x[i];
          pull += x[i] * rest[i];
        }
        frozen[j] = std::max(Q - lost - prior, 0.0);
        frozen[d_ + j] = (frozen[j] + prior) * m[j] - offset - pull;
        retained += pull * pull / (frozen[j] + prior);
      }
      sums[j] = Q - prior;
      h[j] = Q * m[j] - offset;
      derived[j] = 1 / Q;
    }
    squares.frozen = squares.all - retained;
    return squares;
  }

  /// b ~ N(m, scale^2 Q^-1); next() gives independent standard normals.  Full: m + scale L z, L the Cholesky factor.
  template <class Normals>
  void draw(const double* derived, double scale, Normals&& next, double* b) const {
    const double* m = mean(derived);
    if (diagonal_) {
      for (int j = 0; j < d_; ++j) b[j] = m[j] + scale * std::sqrt(derived[j]) * next();
      return;
    }
    std::vector<double> L(derived, derived + Index(d_) * d_);
    std::copy_n(m, d_, b);
    for (int j = 0; j < d_; ++j) {  // column by column, each spent as soon as it is known
      double* column = L.data() + Index(j) * d_;
      const double pivot = std::sqrt(std::max(column[j], 0.0)), z = scale * next();
      for (int i = j; i < d_; ++i) column[i] = pivot > 0 ? column[i] / pivot : 0.0;
      for (int i = j; i < d_; ++i) b[i] += column[i] * z;
      for (int k = j + 1; k < d_; ++k)
        for (int i = k; i < d_; ++i) L[Index(k) * d_ + i] -= column[k] * column[i];
    }
  }

  bool plausible(const double* sums, const double* derived) const {
    for (int j = 0; j < d_; ++j)
      if (!(information(sums, j) >= 0 && variance(derived, j) > 0)) return false;
    return true;
  }

 private:
  static constexpr int n_sweeps = 2;

  void accumulate(double* sums, const double* x, double w, double linear) const {
    for (int i = 0; i < d_; ++i) add_scaled(sums + packed_index(i, 0), x, w * x[i], i + 1);
    add_scaled(sums + this->sums() - d_, x, linear, d_);
  }

  int d_;
  bool diagonal_;
};

}  // namespace hsmoe::variational
