// Experts that are Gaussian once a latent precision omega is known (logit, negative binomial, Student-t, Laplace).  With
// eta = offset + x'beta the linear predictor, a row speaks of beta as
//
//     f(y, omega | eta) = exp(linear x'beta - omega (x'beta)^2 / 2) const        (exponent over s2 where there is a scale)
//
// so that, given the omegas of the rows of an expert,
//
//     Lambda = sum omega x x'     h = sum linear x     beta ~ N(Q^-1 h, s2 Q^-1),   Q = Lambda + D, D = prior precisions
//     s2 ~ IG(a0 + n/2, b0 + (sum omega y^2 - h'Q^-1 h) / 2), or 1     b0 | s2, tau | beta, s2 as in gaussian.hpp
//
// The coefficients are part of the particle: a row is weighed by f(y | x, beta), omega integrated out; the expert that
// learns it draws omega given beta, then (s2, beta) given the sums, a Gibbs kernel that leaves their posterior
// invariant.  A scan of the retained rows does the same for all experts at once.
//
// The shape of a law (degrees of freedom, dispersion) lies on a grid.  It is drawn with omega integrated out, given beta,
// s2 and the allocations: p(shape_g | .) ~ prod_rows f(y | eta; shape_g).  Then omega is out of date, so a cycle takes
// two stages: a scan that ends in the shape, then one that draws omega and ends in the coefficients.  While every row
// is retained that is exact.  Rows that left the buffer speak of the shape by their likelihood at the coefficients of
// the time they left, and of the coefficients by their omega at the shape of that time.
//
// A family (families below expert/) answers for one expert:
//     has_scale                        whether s2 is learned
//     regressions()                    linear predictors of an expert, each with coefficients of its own
//     takes_part(y, m)                 whether a row with target y speaks of predictor m (all do if there is but one)
//     offset(m)
//     log_density(y, eta, par)         eta: regressions() lanes
//     component(eta, par, out, stride) fields of the law of the forecast
//     augment(...)                     omega and linear of n rows for predictor m; par of row t at t * kAugmentedParameters
//                                      (only families of one predictor have parameters)
//     set_shape(par)                   what depends on par[kShape] alone
//     grid_log_density(y, eta, par, out)   log density at each value of the grid
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <hsmoe/error.hpp>
#include <hsmoe/expert/expert.hpp>
#include <hsmoe/expert/expert_options.hpp>
#include <hsmoe/expert/gamma_prior.hpp>
#include <hsmoe/linalg/accumulate.hpp>
#include <hsmoe/linalg/gaussian_draw.hpp>
#include <hsmoe/random/variates.hpp>

namespace hsmoe {

/// Parameters of one expert besides its coefficients; two places for what a family wants to compute once.
enum AugmentedParameter { kPrecision, kB0, kTau, kShape, kCached, kAlsoCached, kAugmentedParameters };

template <int W, class Family>
class AugmentedExpert final : public Expert<W> {
 public:
  template <class Options>
  AugmentedExpert(int n_experts, int dim, const Options& options)
      : K_(n_experts), d_(dim), options_(options), b0_prior_(b0_prior(options.b0, options.b0_shape)),
        tau_prior_(tau_prior(options.coefficient_variance, options.coefficient_shape)), family_(options), M_(family_.regressions()),
        G_(int(options.shape_grid.size()) > 1 ? int(options.shape_grid.size()) : 0) {
    check_scales("Expert", options);
    check_positive("Expert", "intercept_variance", options.intercept_variance);
    for (double v : options.shape_grid) check_positive("Expert", "shape_grid", v);
    if (!options.offset.empty() && int(options.offset.size()) != M_)
      detail::invalid("Expert", "offset", double(options.offset.size()), "one number a linear predictor");
    if (Family::has_shape && options.shape_grid.empty()) detail::invalid("Expert", "shape_grid", 0, "of at least one value");
  }

  int fields() const override { return K_ * stride(); }
  int work_lanes() const override {
    return std::max(packed_size(d_) + 4 * d_, (M_ + kAugmentedParameters + 5) * (most + 1) + std::max(M_, 1) + G_);
  }
  int components() const override { return family_.fields(); }
  int coefficients() const override { return M_ * d_; }
  int stages() const override { return G_ ? 2 : 1; }

  void init(double* state, Stream<W>& rng, Mask<W> mask) const override {
    std::vector<Lane<W>> work(static_cast<std::size_t>(work_lanes()));
    for (int k = 0; k < K_; ++k, state += W * stride()) {
      std::fill_n(state, W * stride(), 0.0);
      double* par = parameters(state);
      for (int i = 0; i < kAugmentedParameters; ++i) Lane<W>(1.0).store(par + W * i);
      if (Family::has_scale) {
        b0_prior_.draw<W>(rng, mask).store(par + W * kB0);
        tau_prior_.draw<W>(rng, mask).store(par + W * kTau);
      }
      if (Family::has_shape) {
        Lane<W> shape(options_.shape_grid[0]);
        if (G_) {
          const Lane<W> place = uniform<W>(rng, mask) * double(G_);
          for (int g = 0; g < G_; ++g) shape = select(place >= Lane<W>(double(g)), Lane<W>(options_.shape_grid[g]), shape);
        }
        shape.store(par + W * kShape);
      }
      draw_coefficients(state, true, rng, mask, work.data());  // no rows: a draw from the prior
      family_.set_shape(par);
    }
  }

  void log_density(const double* state, const Row& row, Lane<W>* log_f, Lane<W>* forecast, Lane<W>* work) const override {
    Lane<W> par[kAugmentedParameters];
    for (int k = 0; k < K_; ++k) {
      const double* own = state + W * (Index(k) * stride() + sum_part());
      predictors(own, row.x, work);
      load_parameters(own, par);
      log_f[k] = family_.log_density(row.y, work, par);
      if (forecast) family_.component(work, par, forecast + k, K_);
    }
  }
  void predict(const double* state, const Row& row, Lane<W>* forecast, Lane<W>* work) const override {
    Lane<W> par[kAugmentedParameters];
    for (int k = 0; k < K_; ++k) {
      const double* own = state + W * (Index(k) * stride() + sum_part());
      predictors(own, row.x, work);
      load_parameters(own, par);
      family_.component(work, par, forecast + k, K_);
    }
  }

  void learn(double* state, const Row& row, Lane<W> z, Stream<W>& rng, Mask<W> mask, Lane<W>* work) const override {
    Batch rows{1, {row.x}, {row.y}};
    Lane<W> expert[1] = {z};
    add_augmented(state, stride(), nullptr, 0, rows, expert, state + W * sum_part(), stride(), rng, mask, work);
    for (int k = 0; k < K_; ++k) {
      const Mask<W> chosen = mask & (z == Lane<W>(double(k)));
      if (any(chosen)) move(state + W * Index(k) * stride(), d_ <= options_.widest_block, rng, chosen, work);
    }
  }
  void renew(double* state, Stream<W>& rng, Mask<W> mask, Lane<W>* work) const override {
    for (int k = 0; k < K_; ++k) move(state + W * Index(k) * stride(), true, rng, mask, work);
  }
  void exchange(double* state, Lane<W> first, Lane<W> second, Mask<W> mask) const override {
    exchange_strides<W>(state, stride(), first, second, mask);
  }

  int sum_fields() const override { return K_ * sum_stride(); }
  int draw_lanes() const override { return K_ * own_part(); }

  // The parameters are part of the state.
  void draw_parameters(const double* state, Stream<W>&, Mask<W>, Lane<W>* draw, Lane<W>*) const override {
    for (int k = 0; k < K_; ++k)
      for (int i = 0; i < own_part(); ++i)
        draw[k * own_part() + i] = Lane<W>::load(state + W * (Index(k) * stride() + sum_part() + i));
  }
  void parameter_log_density(const Lane<W>* draw, const Row& row, Lane<W>* log_f) const override {
    Lane<W> eta[Family::most_regressions];
    for (int k = 0; k < K_; ++k, draw += own_part()) {
      predictors(reinterpret_cast<const double*>(draw), row.x, eta);
      log_f[k] = family_.log_density(row.y, eta, draw + M_ * d_);
    }
  }

  void absorb(double* sums, double* frozen, const RowBlock& block, const Lane<W>* z, const Lane<W>* draw, int stage,
              Stream<W>& rng, Mask<W> mask, Lane<W>* work) const override {
    Batch rows{block.n, {}, {}};
    for (int t = 0; t < block.n; ++t) {
      rows.x[t] = block.xy[t];
      rows.y[t] = block.xy[t][d_];
    }
    const double* own = reinterpret_cast<const double*>(draw);
    if (stage == 0) add_augmented(sums, sum_stride(), frozen, sum_stride(), rows, z, own, own_part(), rng, mask, work);
    if (G_ && stage == 1) add_grid(sums, rows, z, own, mask, work);
    if (G_ && frozen) add_grid(frozen, rows, z, own, mask, work);
  }

  void rebuild(double* state, const double* sums, const Lane<W>*, int stage, Stream<W>& rng, Mask<W> mask,
               Lane<W>* work) const override {
    for (int k = 0; k < K_; ++k, state += W * stride(), sums += W * sum_stride()) {
      if (stage == 0) {
        std::copy_n(sums, W * sum_part(), state);
        move(state, true, rng, mask, work);
      } else {
        draw_shape(state, sums + W * sum_part(), rng, mask, work);
      }
    }
  }

  void describe(const double* state, int lane, double* coefficients, double* variance, double* shape,
                double* counts) const override {
    std::vector<Lane<W>> work(std::size_t(packed_size(d_) + 4 * d_));
    Lane<W>*D = work.data(), *h = D + d_, *mean = h + d_, *rest = mean + d_;
    for (int k = 0; k < K_; ++k, state += W * stride()) {
      for (int m = 0; m < M_; ++m) {
        load_regression(state, m, D, h);
        gaussian_solve<W>(state + W * m * moments(), D, h, d_, rest, mean);
        for (int j = 0; j < d_; ++j) coefficients[(k * M_ + m) * d_ + j] = mean[j][lane];
      }
      counts[k] = count(state)[lane];
      describe_parameters(parameters(state) + lane, W, variance[k], shape[k]);
    }
  }
  void describe_draw(const Lane<W>* draw, int lane, double* coefficients, double* variance, double* shape) const override {
    for (int k = 0; k < K_; ++k, draw += own_part()) {
      for (int i = 0; i < M_ * d_; ++i) coefficients[k * M_ * d_ + i] = draw[i][lane];
      describe_parameters(reinterpret_cast<const double*>(draw + M_ * d_) + lane, W, variance[k], shape[k]);
    }
  }
  bool plausible(const double* state, int lane) const override {
    for (int k = 0; k < K_; ++k, state += W * stride()) {
      if (!plausible_moments(state, lane)) return false;
      const double* par = parameters(state) + lane;
      if (!(par[W * kPrecision] > 0 && par[W * kB0] > 0 && par[W * kTau] > 0 && par[W * kShape] > 0)) return false;
    }
    return true;
  }
  bool plausible_sums(const double* sums, int lane) const override {
    for (int k = 0; k < K_; ++k, sums += W * sum_stride())
      if (!plausible_moments(sums, lane)) return false;
    return true;
  }

 private:
  static constexpr int most = RowBlock::most;

  struct Batch {
    int n;
    const double* x[most];
    double y[most];
  };

  // Sums of one expert: Lambda, h of each predictor, sum omega y^2, rows; in `sums` the grid behind them.
  int moments() const { return packed_size(d_) + d_; }
  int sum_part() const { return M_ * moments() + 2; }
  int sum_stride() const { return sum_part() + G_; }
  // The state: its sums, then its own part, the coefficients and the parameters.
  int own_part() const { return M_ * d_ + kAugmentedParameters; }
  int stride() const { return sum_part() + own_part(); }
  template <class T> T* squares(T* sums) const { return sums + W * M_ * moments(); }
  template <class T> T* count(T* sums) const { return squares(sums) + W; }
  template <class T> T* coefficients_of(T* state, int m) const { return state + W * (sum_part() + m * d_); }
  template <class T> T* parameters(T* state) const { return coefficients_of(state, M_); }

  /// eta_m = offset_m + x'beta_m
  void predictors(const double* own, const double* x, Lane<W>* eta) const {
    for (int m = 0; m < M_; ++m, own += W * d_) {
      Lane<W> s = x[0] * Lane<W>::load(own) + family_.offset(m);
      for (int j = 1; j < d_; ++j) s += x[j] * Lane<W>::load(own + W * j);
      eta[m] = s;
    }
  }
  void load_parameters(const double* own, Lane<W>* par) const {
    for (int i = 0; i < kAugmentedParameters; ++i) par[i] = Lane<W>::load(own + W * (M_ * d_ + i));
  }

  /// Predictors (M, most + 1) and parameters (most, kAugmentedParameters) of the experts that the rows belong to.
  void gather(const Batch& rows, const Lane<W>* z, const double* own, int own_stride, Mask<W> mask, Lane<W>* eta,
              Lane<W>* par, Lane<W>* one) const {
    Lane<W> of_expert[kAugmentedParameters];
    for (int k = 0; k < K_; ++k) {
      const double* base = own + W * Index(k) * own_stride;
      load_parameters(base, of_expert);
      for (int t = 0; t < rows.n; ++t) {
        const Mask<W> chosen = mask & (z[t] == Lane<W>(double(k)));
        if (k && !any(chosen)) continue;
        predictors(base, rows.x[t], one);
        const Mask<W> taken = k ? chosen : Mask<W>::all_true();  // lanes that draw nothing still hold numbers
        for (int m = 0; m < M_; ++m) eta[m * (most + 1) + t] = select(taken, one[m], eta[m * (most + 1) + t]);
        Lane<W>* p = par + t * kAugmentedParameters;
        for (int i = 0; i < kAugmentedParameters; ++i) p[i] = select(taken, of_expert[i], p[i]);
      }
    }
  }

  /// Draw omega of each row and add the row to the sums of its expert, and to `frozen` unless null.
  void add_augmented(double* sums, int sums_stride, double* frozen, int frozen_stride, const Batch& rows, const Lane<W>* z,
                     const double* own, int own_stride, Stream<W>& rng, Mask<W> mask, Lane<W>* work) const {
    Lane<W>*eta = work, *par = eta + M_ * (most + 1), *omega = par + kAugmentedParameters * (most + 1),
           *linear = omega + most + 1, *scratch = linear + most + 1;
    gather(rows, z, own, own_stride, mask, eta, par, scratch);
    Lane<W> weight[most], slope[most];
    for (int m = 0; m < M_; ++m) {
      // The rows that speak of predictor m, the same in every lane.
      int n = 0;
      double y[most];
      int at[most];
      Lane<W>* own_eta = eta + m * (most + 1);
      for (int t = 0; t < rows.n; ++t)
        if (family_.takes_part(rows.y[t], m)) {
          y[n] = rows.y[t];
          at[n] = t;
          own_eta[n++] = own_eta[t];
        }
      if (n == 0) continue;
      family_.augment(n, y, m, own_eta, par, rng, mask, omega, linear, scratch);
      for (int k = 0; k < K_; ++k) {
        const double* chosen_rows[most];
        Lane<W> square(0.0);
        int chosen_n = 0;
        for (int i = 0; i < n; ++i) {
          const Mask<W> chosen = mask & (z[at[i]] == Lane<W>(double(k)));
          if (!any(chosen)) continue;
          weight[chosen_n] = select(chosen, omega[i], Lane<W>(0.0));
          slope[chosen_n] = select(chosen, linear[i], Lane<W>(0.0));
          if (Family::has_scale) square += weight[chosen_n] * (y[i] * y[i]);
          chosen_rows[chosen_n++] = rows.x[at[i]];
        }
        if (chosen_n == 0) continue;
        for (double* s : {sums + W * Index(k) * sums_stride, frozen ? frozen + W * Index(k) * frozen_stride : nullptr}) {
          if (!s) continue;
          double* Lambda = s + W * m * moments();
          accumulate_outer<W>(Lambda, d_, chosen_rows, weight, chosen_n);
          accumulate_rows<W>(Lambda + W * packed_size(d_), d_, chosen_rows, slope, chosen_n);
          if (Family::has_scale) (Lane<W>::load(squares(s)) + square).store(squares(s));
        }
      }
    }
    for (int k = 0; k < K_; ++k) {
      Lane<W> rows_of(0.0);
      for (int t = 0; t < rows.n; ++t)
        rows_of += select(mask & (z[t] == Lane<W>(double(k))), Lane<W>(1.0), Lane<W>(0.0));
      for (double* s : {sums + W * Index(k) * sums_stride, frozen ? frozen + W * Index(k) * frozen_stride : nullptr})
        if (s) (Lane<W>::load(count(s)) + rows_of).store(count(s));
    }
  }

  /// Add the log density of each row at each value of the grid to that of its expert.
  void add_grid(double* sums, const Batch& rows, const Lane<W>* z, const double* own, Mask<W> mask, Lane<W>* work) const {
    Lane<W>*eta = work, *par = eta + M_ * (most + 1), *log_f = par + kAugmentedParameters * (most + 1), *scratch = log_f + G_;
    gather(rows, z, own, own_part(), mask, eta, par, scratch);
    for (int t = 0; t < rows.n; ++t) {
      family_.grid_log_density(rows.y[t], eta[t], par + t * kAugmentedParameters, log_f);
      for (int k = 0; k < K_; ++k) {
        const Mask<W> chosen = mask & (z[t] == Lane<W>(double(k)));
        if (!any(chosen)) continue;
        double* grid = sums + W * (Index(k) * sum_stride() + sum_part());
        for (int g = 0; g < G_; ++g) (Lane<W>::load(grid + W * g) + select(chosen, log_f[g], Lane<W>(0.0))).store(grid + W * g);
      }
    }
  }

  void draw_shape(double* state, const double* grid, Stream<W>& rng, Mask<W> mask, Lane<W>* work) const {
    Lane<W> top = Lane<W>::load(grid), total(0.0), cumulative(0.0);
    for (int g = 1; g < G_; ++g) top = max(top, Lane<W>::load(grid + W * g));
    for (int g = 0; g < G_; ++g) total += work[g] = exp(Lane<W>::load(grid + W * g) - top);
    const Lane<W> target = uniform<W>(rng, mask) * total;
    Lane<W> shape(options_.shape_grid[std::size_t(G_ - 1)]);
    Mask<W> open = mask;
    for (int g = 0; g < G_; ++g) {
      cumulative += work[g];
      const Mask<W> here = open & (target < cumulative);
      shape = select(here, Lane<W>(options_.shape_grid[std::size_t(g)]), shape);
      open = open & !here;
    }
    double* par = parameters(state);
    select(mask, shape, Lane<W>::load(par + W * kShape)).store(par + W * kShape);
    family_.set_shape(par);
  }

  void load_regression(const double* state, int m, Lane<W>* D, Lane<W>* h) const {
    const double* stored = state + W * (m * moments() + packed_size(d_));
    for (int j = 0; j < d_; ++j) {
      D[j] = Family::has_scale ? Lane<W>::load(parameters(state) + W * kTau)
                               : Lane<W>(1.0 / (j ? options_.coefficient_variance : options_.intercept_variance));
      h[j] = Lane<W>::load(stored + W * j);
    }
  }

  /// b0 given s2, tau given both, then (s2, beta) given the sums, of one expert.
  void move(double* state, bool block, Stream<W>& rng, Mask<W> mask, Lane<W>* work) const {
    if (Family::has_scale) {
      double* par = parameters(state);
      const double* beta = coefficients_of(state, 0);
      const Lane<W> precision = Lane<W>::load(par + W * kPrecision);
      Lane<W> square(0.0);
      for (int j = 0; j < d_; ++j) square += Lane<W>::load(beta + W * j) * Lane<W>::load(beta + W * j);
      b0_prior_.draw_given<W>(options_.a0, precision, rng, mask, par + W * kB0);
      tau_prior_.draw_given<W>(0.5 * d_, 0.5 * square * precision, rng, mask, par + W * kTau);
    }
    draw_coefficients(state, block, rng, mask, work);
  }

  /// As a block, s2 with beta integrated out; or coordinate by coordinate given s2, then s2 given beta.
  void draw_coefficients(double* state, bool block, Stream<W>& rng, Mask<W> mask, Lane<W>* work) const {
    double* par = parameters(state);
    Lane<W>*D = work, *h = D + d_, *beta = h + d_, *rest = beta + d_;
    for (int m = 0; m < M_; ++m) {
      const double* Lambda = state + W * m * moments();
      double* stored = coefficients_of(state, m);
      load_regression(state, m, D, h);
      Lane<W> scale(1.0);
      if (block) {
        const Lane<W> explained = gaussian_factor<W>(Lambda, D, h, d_, rest);
        if (Family::has_scale)
          scale = draw_scale(state, Lane<W>::load(squares(state)) - explained, 0.0, rng, mask);
        gaussian_draw_factored<W>(d_, rest, scale, rng, mask, beta);
      } else {
        if (Family::has_scale) scale = 1.0 / sqrt(Lane<W>::load(par + W * kPrecision));
        const Lane<W> inverse = 1.0 / scale;
        for (int j = 0; j < d_; ++j) {
          h[j] = h[j] * inverse;
          beta[j] = Lane<W>::load(stored + W * j) * inverse;
        }
        gaussian_coordinate_sweep<W>(Lambda, D, h, d_, rng, mask, beta);
        for (int j = 0; j < d_; ++j) {
          h[j] = h[j] * scale;
          beta[j] = beta[j] * scale;
        }
        if (Family::has_scale) {
          Lane<W> residual = Lane<W>::load(squares(state));  // - 2 h'beta + beta'Q beta
          for (int i = 0; i < d_; ++i) {
            Lane<W> s = 0.5 * (Lane<W>::load(Lambda + W * packed_index(i, i)) + D[i]) * beta[i] - h[i];
            for (int j = 0; j < i; ++j) s += Lane<W>::load(Lambda + W * packed_index(i, j)) * beta[j];
            residual += 2.0 * beta[i] * s;
          }
          draw_scale(state, residual, 0.5 * d_, rng, mask);
        }
      }
      for (int j = 0; j < d_; ++j)
        select(mask, beta[j], Lane<W>::load(stored + W * j)).store(stored + W * j);
    }
  }

  /// s2 ~ IG(a0 + n/2 + more, b0 + residual/2) into the state; returns its root.
  Lane<W> draw_scale(double* state, Lane<W> residual, double more, Stream<W>& rng, Mask<W> mask) const {
    double* par = parameters(state);
    const Lane<W> shape = 0.5 * Lane<W>::load(count(state)) + (options_.a0 + more);
    const Lane<W> rate = Lane<W>::load(par + W * kB0) + 0.5 * max(residual, Lane<W>(0.0));
    const Lane<W> precision = select(mask, gamma<W>(rng, mask, shape) / rate, Lane<W>::load(par + W * kPrecision));
    precision.store(par + W * kPrecision);
    return 1.0 / sqrt(precision);
  }

  void describe_parameters(const double* par, int step, double& variance, double& shape) const {
    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    variance = Family::has_scale ? 1.0 / par[step * kPrecision] : nan;
    shape = Family::has_shape ? par[step * kShape] : nan;
  }
  bool plausible_moments(const double* sums, int lane) const {
    for (int m = 0; m < M_; ++m)
      for (int j = 0; j < d_; ++j)
        if (!(sums[W * (m * moments() + packed_index(j, j)) + lane] >= 0)) return false;
    return squares(sums)[lane] >= 0 && count(sums)[lane] >= 0;
  }

  int K_, d_;
  AugmentedOptions options_;
  GammaPrior b0_prior_, tau_prior_;
  Family family_;
  int M_, G_;
};

}  // namespace hsmoe
