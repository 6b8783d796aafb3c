// Gaussian expert with a conjugate normal-inverse-gamma prior, coefficients and variance integrated out.
//
//     y | z=k ~ N(x'beta_k, s2_k)    beta_k | s2_k ~ N(0, s2_k / tau_k I)    s2_k ~ IG(a0, b0_k)
//
// Collapsed forecast and update (P, m as in linalg/factored_regression.hpp):
//
//     e = y - x'm    q = 1 + x'P^-1 x    f = Student-t(y; df 2a, location x'm, scale^2 (b/a) q)
//     log f = lgamma(a+1/2) - lgamma(a) - log(2 pi b)/2 - log(q)/2 - (a+1/2) log(1 + e^2 / (2 b q))
//     a += 1/2    b += e^2 / (2q)
//
// Rejuvenation instantiates (beta_k, s2_k), draws allocations given them, and rebuilds the statistics from the
// sums X'X, X'y, y'y, n of the rows of each expert.  b0 may be learned, one an expert: b0_k ~ Gamma(shape c,
// rate c / b0_mean) has, given s2_k, the conditional Gamma(c + a0, c / b0_mean + 1 / s2_k).  (One b0 shared by all
// experts lets a single noiseless expert, say on a stuck sensor, shut all others out for good.)  So may tau_k, the precision of
// the coefficients in units of the noise: tau_k ~ Gamma(shape c, rate c V), V the coefficient_variance, has, given beta_k and
// s2_k, the conditional Gamma(c + d/2, c V + |beta_k|^2 / (2 s2_k)).  Given s2_k, b0_k and tau_k are independent.
//
// The first three terms of log f change only when the expert learns: they are kept as `norm`.
#pragma once

#include <algorithm>

#include <hsmoe/expert/expert.hpp>
#include <hsmoe/expert/gamma_prior.hpp>
#include <hsmoe/expert/gaussian_options.hpp>
#include <hsmoe/linalg/accumulate.hpp>
#include <hsmoe/linalg/factored_regression.hpp>
#include <hsmoe/random/variates.hpp>
#include <hsmoe/simd/special.hpp>

namespace hsmoe {

template <int W>
class GaussianExpert final : public Expert<W>, public ConjugateExpert<W> {
 public:
  GaussianExpert(int n_experts, int dim, const GaussianOptions& options)
      : K_(n_experts), d_(dim), options_(options), b0_prior_(b0_prior(options.b0, options.b0_shape)),
        tau_prior_(tau_prior(options.coefficient_variance, options.coefficient_shape)) {
    check_scales("GaussianExpert", options);
  }

  int fields() const override { return K_ * stride(); }
  int work_lanes() const override { return packed_size(d_ + 1) + d_ + factor_size(d_) + d_ + 2; }
  int components() const override { return 3; }  // location, scale, df of a Student-t
  int coefficients() const override { return d_; }

  void init(double* state, Stream<W>& rng, Mask<W> mask) const override {
    for (int k = 0; k < K_; ++k, state += W * stride()) {
      const Lane<W> b0 = b0_prior_.draw<W>(rng, mask), tau = tau_prior_.draw<W>(rng, mask);
      clear(state, b0, tau);
    }
  }

  void log_density(const double* state, const Row& row, Lane<W>* log_f, Lane<W>* forecast,
                   Lane<W>* work) const override {
    for (int k = 0; k < K_; ++k, state += W * stride()) {
      Lane<W> mean, q;
      log_f[k] = student_log_density(state, row, mean, q, work);
      if (forecast) store_component(forecast + k, mean, q, Lane<W>::load(a(state)), Lane<W>::load(b(state)));
    }
  }

  void predict(const double* state, const Row& row, Lane<W>* forecast, Lane<W>* work) const override {
    for (int k = 0; k < K_; ++k, state += W * stride()) {
      Lane<W> leverage, mean;
      solve(state, row, leverage, mean, work);
      store_component(forecast + k, mean, 1.0 + leverage, Lane<W>::load(a(state)), Lane<W>::load(b(state)));
    }
  }

  void learn(double* state, const Row& row, Lane<W> z, Stream<W>&, Mask<W> mask,
             Lane<W>* work) const override {
    for (int k = 0; k < K_; ++k, state += W * stride()) {
      const Mask<W> chosen = mask & (z == Lane<W>(double(k)));
      if (any(chosen)) learn_one(state, row, chosen, work);
    }
  }

  void exchange(double* state, Lane<W> first, Lane<W> second, Mask<W> mask) const override {
    exchange_strides<W>(state, stride(), first, second, mask);
  }

  const ConjugateExpert<W>* conjugate() const override { return this; }

  Lane<W> empty_log_density(const double* state, Lane<W> k, const Row& row) const override {
    double square = 0.0;
    for (int j = 0; j < d_; ++j) square += row.x[j] * row.x[j];
    const Lane<W> q = 1.0 + square / select_expert(tau_of(state), k), b0 = select_expert(b0_of(state), k);
    return lgamma_half_difference(Lane<W>(options_.a0)) - 0.5 * log(6.283185307179586477 * q * b0) -
           (options_.a0 + 0.5) * log1p(row.y * row.y / (2.0 * q * b0));
  }

  int one_fields() const override { return stride(); }
  void begin(const double* state, Lane<W> k, double* one) const override {
    clear(one, select_expert(b0_of(state), k), select_expert(tau_of(state), k));
  }
  Lane<W> one_log_density(const double* one, const Row& row, Lane<W>* work) const override {
    Lane<W> mean, q;
    return student_log_density(one, row, mean, q, work);
  }
  void learn_one(double* one, const Row& row, Mask<W> mask, Lane<W>* work) const override {
    const Lane<W> weight = select(mask, Lane<W>(1.0), Lane<W>(0.0));
    const Lane<W> growth = factor_update<W>(one, d_, row.x, row.y, weight, work);
    (Lane<W>::load(a(one)) + 0.5 * weight).store(a(one));
    (Lane<W>::load(b(one)) + 0.5 * growth).store(b(one));
    store_norm(one);
  }

  int one_sum_lanes() const override { return sum_stride(); }
  void add(double* one_sum, const RowBlock& rows, const Lane<W>* weight) const override {
    accumulate_outer<W>(one_sum, d_ + 1, rows.xy, weight, rows.n);
    double* total = one_sum + W * packed_size(d_ + 1);
    Lane<W> count = Lane<W>::load(total);
    for (int t = 0; t < rows.n; ++t) count += weight[t];
    count.store(total);
  }
  // The posterior mean of beta, and the ratio of the means of shape and rate as precision.
  void estimate(const double* state, Lane<W> k, const double* one_sum, Lane<W>* draw, Lane<W> at, Lane<W>* work) const override {
    double* factor = reinterpret_cast<double*>(work + packed_size(d_ + 1) + d_);
    Lane<W>* mean = work + packed_size(d_ + 1) + d_ + factor_size(d_);
    const Lane<W> residual = factor_from_sums<W>(factor, d_, select_expert(tau_of(state), k), one_sum, work);
    factor_mean<W>(factor, d_, nullptr, mean);
    const Lane<W> count = Lane<W>::load(one_sum + W * packed_size(d_ + 1)),
                  precision = (options_.a0 + 0.5 * count) / (select_expert(b0_of(state), k) + 0.5 * residual);
    for (int f = 0; f < d_; ++f) put_parameter(draw, at, f, mean[f]);
    put_parameter(draw, at, d_, precision);
    put_parameter(draw, at, d_ + 1, 0.5 * log(precision * 0.15915494309189533577));
  }
  void condense(double* state, const double* sums, Lane<W>* work) const override {
    for (int k = 0; k < K_; ++k, state += W * stride(), sums += W * sum_stride()) {
      const Lane<W> count = Lane<W>::load(sums + W * packed_size(d_ + 1));
      if (all(count == Lane<W>(0.0))) {
        const Lane<W> b0 = Lane<W>::load(b0_of(state)), tau = Lane<W>::load(tau_of(state));  // may be new
        if (is_empty(state)) factor_init_again<W>(state, d_, tau), b0.store(b(state)), store_norm(state);
        else clear(state, b0, tau);
        continue;
      }
      const Lane<W> residual = factor_from_sums<W>(state, d_, Lane<W>::load(tau_of(state)), sums, work);
      (options_.a0 + 0.5 * count).store(a(state));
      (Lane<W>::load(b0_of(state)) + 0.5 * residual).store(b(state));
      store_norm(state);
    }
  }

  int sum_fields() const override { return K_ * sum_stride(); }
  void fade(double* sums, double share) const override {
    // What is left of an expert long unused is nothing, so that a == a0 where there are no rows and only there.
    constexpr double least = 1e-12;
    for (int k = 0; k < K_; ++k, sums += W * sum_stride()) {
      const Lane<W> count = share * Lane<W>::load(sums + W * packed_size(d_ + 1)),
                    kept = select(count > Lane<W>(least * options_.a0), Lane<W>(share), Lane<W>(0.0));
      for (int f = 0; f < sum_stride(); ++f) (kept * Lane<W>::load(sums + W * f)).store(sums + W * f);
    }
  }
  int draw_lanes() const override { return K_ * (d_ + 2); }

  void draw_parameters(const double* state, Stream<W>& rng, Mask<W> mask, Lane<W>* draw,
                       Lane<W>* work) const override {
    for (int k = 0; k < K_; ++k, state += W * stride(), draw += d_ + 2) {
      // s2 = b / Gamma(a); beta = m + s P^{-1/2} xi: L' beta = w + s D^{-1/2} xi.
      const Lane<W> precision = gamma<W>(rng, mask, Lane<W>::load(a(state))) / Lane<W>::load(b(state));
      const Lane<W> variance = 1.0 / precision;
      const double* pivot = state;
      for (int j = 0; j < d_; pivot += W * (d_ - j + 1), ++j) {
        if (j % 2 == 0) normal_pair<W>(rng, mask, work[j], work[j + 1]);  // work has room for d + 1
        work[j] *= sqrt(variance * Lane<W>::load(pivot));
      }
      if (is_empty(state)) std::copy_n(work, d_, draw);  // L is the identity and w zero
      else factor_mean<W>(state, d_, work, draw);
      draw[d_] = precision;
      draw[d_ + 1] = 0.5 * log(precision * 0.15915494309189533577);  // 1 / (2 pi)
    }
  }

  void parameter_log_density(const Lane<W>* draw, const Row& row, Lane<W>* log_f) const override {
    for (int k = 0; k < K_; ++k, draw += d_ + 2) {
      Lane<W> e(row.y);
      for (int j = 0; j < d_; ++j) e -= row.x[j] * draw[j];
      log_f[k] = draw[d_ + 1] - 0.5 * e * e * draw[d_];
    }
  }

  void absorb(double* sums, double* frozen, const RowBlock& rows, const Lane<W>* z, const Lane<W>*, int, Stream<W>&,
              Mask<W> mask, Lane<W>*) const override {
    absorb(sums, rows, z, mask);
    if (frozen) absorb(frozen, rows, z, mask);
  }
  void absorb(double* sums, const RowBlock& rows, const Lane<W>* z, Mask<W> mask) const {
    for (int k = 0; k < K_; ++k, sums += W * sum_stride()) {
      const double* chosen_rows[RowBlock::most];
      Lane<W> weight[RowBlock::most], count(0.0);
      int n = 0;
      for (int t = 0; t < rows.n; ++t) {
        const Mask<W> chosen = mask & (z[t] == Lane<W>(double(k)));
        if (!any(chosen)) continue;
        chosen_rows[n] = rows.xy[t];
        weight[n] = select(chosen, Lane<W>(1.0), Lane<W>(0.0));
        count += weight[n++];
      }
      if (n == 0) continue;
      accumulate_outer<W>(sums, d_ + 1, chosen_rows, weight, n);
      double* total = sums + W * packed_size(d_ + 1);
      (Lane<W>::load(total) + count).store(total);
    }
  }

  void rebuild(double* state, const double* sums, const Lane<W>* draw, int, Stream<W>& rng, Mask<W> mask,
               Lane<W>* work) const override {
    double* expert = state;
    for (int k = 0; k < K_; ++k, expert += W * stride())
      b0_prior_.draw_given<W>(options_.a0, draw[k * (d_ + 2) + d_], rng, mask, b0_of(expert));
    expert = state;
    for (int k = 0; k < K_; ++k, expert += W * stride(), draw += d_ + 2) {
      Lane<W> square(0.0);
      for (int j = 0; j < d_; ++j) square += draw[j] * draw[j];
      tau_prior_.draw_given<W>(0.5 * d_, 0.5 * square * draw[d_], rng, mask, tau_of(expert));
    }
    condense(state, sums, work);
  }

  void describe(const double* state, int lane, double* coefficients, double* variance, double* shape_parameter,
                double* counts) const override {
    std::vector<Lane<W>> m(d_);
    for (int k = 0; k < K_; ++k, state += W * stride()) {
      factor_mean<W>(state, d_, nullptr, m.data());
      for (int j = 0; j < d_; ++j) coefficients[k * d_ + j] = m[j][lane];
      const double shape = a(state)[lane], rate = b(state)[lane];
      variance[k] = shape > 1 ? rate / (shape - 1) : std::numeric_limits<double>::infinity();
      shape_parameter[k] = std::numeric_limits<double>::quiet_NaN();
      counts[k] = 2 * (shape - options_.a0);
    }
  }
  void describe_draw(const Lane<W>* draw, int lane, double* coefficients, double* variance, double* shape) const override {
    for (int k = 0; k < K_; ++k, draw += d_ + 2) {
      shape[k] = std::numeric_limits<double>::quiet_NaN();
      for (int j = 0; j < d_; ++j) coefficients[k * d_ + j] = draw[j][lane];
      variance[k] = 1.0 / draw[d_][lane];
    }
  }
  bool plausible_sums(const double* sums, int lane) const override {
    for (int k = 0; k < K_; ++k, sums += W * sum_stride()) {
      for (int j = 0; j <= d_; ++j)
        if (!(sums[W * packed_index(j, j) + lane] >= 0)) return false;
      if (!(sums[W * packed_size(d_ + 1) + lane] >= 0)) return false;
    }
    return true;
  }

  bool plausible(const double* state, int lane) const override {
    for (int k = 0; k < K_; ++k, state += W * stride()) {
      const double* pivot = state + lane;
      for (int j = 0; j < d_; pivot += W * (d_ - j + 1), ++j)
        if (!(*pivot > 0)) return false;
      if (!(a(state)[lane] >= options_.a0 && b(state)[lane] > 0 && b0_of(state)[lane] > 0 && tau_of(state)[lane] > 0)) return false;
    }
    return true;
  }

 private:
  int stride() const { return factor_size(d_) + 5; }
  int sum_stride() const { return packed_size(d_ + 1) + 1; }  // augmented X'X by rows, then n
  template <class T> T* a(T* state) const { return state + W * factor_size(d_); }
  template <class T> T* b(T* state) const { return a(state) + W; }
  template <class T> T* norm(T* state) const { return b(state) + W; }
  template <class T> T* tau_of(T* state) const { return norm(state) + W; }
  template <class T> T* b0_of(T* state) const { return tau_of(state) + W; }

  // The number of expert k (by lane), given that of the first.
  Lane<W> select_expert(const double* of_first, Lane<W> k) const {
    Lane<W> value = Lane<W>::load(of_first);
    for (int i = 1; i < K_; ++i) value = select(k == Lane<W>(double(i)), Lane<W>::load(of_first + W * Index(i) * stride()), value);
    return value;
  }

  void put_parameter(Lane<W>* draw, Lane<W> k, int field, Lane<W> value) const {
    for (int i = 0; i < K_; ++i) {
      Lane<W>& at = draw[i * (d_ + 2) + field];
      at = select(k == Lane<W>(double(i)), value, at);
    }
  }

  // An expert without rows.
  void clear(double* expert, Lane<W> b0, Lane<W> tau) const {
    b0.store(b0_of(expert));
    tau.store(tau_of(expert));
    factor_init<W>(expert, d_, tau);
    Lane<W>(options_.a0).store(a(expert));
    b0.store(b(expert));
    store_norm(expert);
  }
  // Without rows in any lane: a is a0, and everything as `clear` left it.
  bool is_empty(const double* expert) const { return all(Lane<W>::load(a(expert)) == Lane<W>(options_.a0)); }
  HSMOE_INLINE void solve(const double* expert, const Row& row, Lane<W>& leverage, Lane<W>& mean, Lane<W>* work) const {
    if (is_empty(expert)) factor_solve_initial<W>(d_, Lane<W>::load(tau_of(expert)), row.x, leverage, mean);
    else factor_solve<W>(expert, d_, row.x, work, leverage, mean);
  }
  HSMOE_INLINE Lane<W> student_log_density(const double* expert, const Row& row, Lane<W>& mean, Lane<W>& q, Lane<W>* work) const {
    Lane<W> leverage;
    solve(expert, row, leverage, mean, work);
    q = 1.0 + leverage;
    const Lane<W> shape = Lane<W>::load(a(expert)), rate = Lane<W>::load(b(expert)), e = row.y - mean;
    return Lane<W>::load(norm(expert)) - 0.5 * log(q) - (shape + 0.5) * log1p(e * e / (2.0 * rate * q));
  }
  void store_norm(double* state) const {
    const Lane<W> shape = Lane<W>::load(a(state)), rate = Lane<W>::load(b(state));
    (lgamma_half_difference(shape) - 0.5 * log(6.283185307179586477 * rate)).store(norm(state));
  }
  HSMOE_INLINE void store_component(Lane<W>* out, Lane<W> mean, Lane<W> q, Lane<W> shape, Lane<W> rate) const {
    out[0] = mean;
    out[K_] = sqrt(rate / shape * q);
    out[2 * K_] = 2.0 * shape;
  }

  int K_, d_;
  GaussianOptions options_;
  GammaPrior b0_prior_, tau_prior_;
};

}  // namespace hsmoe
