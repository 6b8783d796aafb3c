// Mixtures of classes, of binomial and of negative binomial counts.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <hsmoe/predictive/incomplete_beta.hpp>
#include <hsmoe/random/variates.hpp>
#include <hsmoe/simd/special.hpp>

#include "law_kinds.hpp"

#ifndef HSMOE_LANES
#define HSMOE_LANES 2
#endif

namespace hsmoe {

namespace {

constexpr int W = HSMOE_LANES;
using L = Lane<W>;
constexpr double inf = std::numeric_limits<double>::infinity();

/// Fields: the probabilities of the classes.
class ClassLaw final : public PredictiveLaw {
 public:
  explicit ClassLaw(int n_classes) : C_(n_classes) {}
  int fields() const override { return C_; }
  int n_classes() const override { return C_; }
  const char* refusal(double y, bool) const override {
    return y >= 0 && y < C_ && y == std::floor(y) ? nullptr : "the number of a class";
  }
  void class_proba(const ComponentView& m, double* out) const override {
    for (int c = 0; c < C_; ++c) {
      out[c] = 0;
      const double* p = m[c];
      for (std::size_t i = 0; i < m.size; ++i)
        if (m.weight[i] > 0) out[c] += m.weight[i] * p[i];
    }
  }
  // Of the number of the class.
  double mean(const ComponentView& m) const override {
    double sum = 0;
    const std::vector<double> p = proba(m);
    for (int c = 0; c < C_; ++c) sum += c * p[c];
    return sum;
  }
  double variance(const ComponentView& m) const override {
    double sum = 0;
    const double centre = mean(m);
    const std::vector<double> p = proba(m);
    for (int c = 0; c < C_; ++c) sum += (c - centre) * (c - centre) * p[c];
    return sum;
  }
  double log_density(const ComponentView& m, double y) const override { return std::log(proba(m)[std::size_t(y)]); }
  double cdf(const ComponentView& m, double y) const override {
    const std::vector<double> p = proba(m);
    double sum = 0;
    for (int c = 0; c <= int(y); ++c) sum += p[c];
    return std::min(sum, 1.0);
  }
  void quantiles(const ComponentView& m, const double* probs, int n, double* out, MixtureWorkspace&) const override {
    check_probabilities(probs, n);
    const std::vector<double> p = proba(m);
    for (int i = 0; i < n; ++i) {
      int c = 0;
      for (double sum = p[0]; sum < probs[i] && c + 1 < C_; sum += p[c]) ++c;
      out[i] = c;
    }
  }
  /// The ranked probability score; for two classes the Brier score of class 1.
  double crps(const ComponentView& m, double y, MixtureWorkspace&) const override {
    const std::vector<double> p = proba(m);
    double F = 0, sum = 0;
    for (int c = 0; c + 1 < C_; ++c) {
      F += p[c];
      const double e = F - (c >= y);
      sum += e * e;
    }
    return sum;
  }
  double sample(const ComponentView& m, Stream<1>& rng) const override {
    const std::size_t i = draw_component(m.weight, m.size, rng);
    double left = uniform<1>(rng, Mask<1>::all_true())[0];
    int c = 0;
    while (c + 1 < C_ && (left -= m[c][i]) >= 0) ++c;
    return c;
  }

 private:
  std::vector<double> proba(const ComponentView& m) const {
    std::vector<double> p(static_cast<std::size_t>(C_));
    class_proba(m, p.data());
    return p;
  }
  int C_;
};

/// Counts with P(k + 1) / P(k) = rate_k (rational in k); what follows from that for mixtures.
///
/// The probabilities of 0, 1, 2, ... are made for all components together, `chunk` at a time, each chunk anew from its
/// logarithm, so that components that begin below the smallest number come up in time.  Beyond `table_end` sums over k
/// become integrals of the cdf continued to real k (midpoint rule; the components there are wide).
class CountLaw : public PredictiveLaw {
 public:
  double log_density(const ComponentView& m, double y) const override {
    std::vector<double> terms(m.size);
    double top = -inf;
    for (std::size_t i = 0; i < m.size; ++i) {
      terms[i] = m.weight[i] > 0 ? std::log(m.weight[i]) + log_probability(m, i, y) : -inf;
      top = std::max(top, terms[i]);
    }
    if (!(top > -inf)) return -inf;
    double sum = 0;
    for (double t : terms) sum += std::exp(t - top);
    return top + std::log(sum);
  }
  double cdf(const ComponentView& m, double y) const override {
    return y < small_count ? Table(*this, m).up_to(y) : 1 - Tail(*this, m).beyond(y);
  }
  void quantiles(const ComponentView& m, const double* probs, int n, double* out, MixtureWorkspace&) const override {
    check_probabilities(probs, n);
    Table table(*this, m);
    for (int i = 0; i < n; ++i) {
      const double p = probs[i];
      if (p >= 1) {
        out[i] = largest();
        continue;
      }
      while (table.total() < p && table.size() < table_end && table.size() <= largest()) table.extend();
      if (table.total() >= p || table.size() > largest()) {
        out[i] = std::min(largest(), table.first_at_least(p));
        continue;
      }
      double low = double(table.size()) - 1, high = 2 * low;
      Tail tail(*this, m);
      while (tail.beyond(high) > 1 - p) tail.prune(low = high), high *= 2;
      while (high - low > 1) {  // F(low) < p <= F(high)
        const double middle = std::floor(0.5 * (low + high));
        if (!(middle > low && middle < high)) break;  // neighbouring numbers beyond 2^53
        (tail.beyond(middle) > 1 - p ? low : high) = middle;
      }
      out[i] = high;
    }
  }
  /// Sum over k of (F(k) - 1{k >= y})^2; relative error below 1e-4 where counts beyond 4096 matter, else of rounding.
  double crps(const ComponentView& m, double y, MixtureWorkspace&) const override {
    Table table(*this, m);
    double sum = 0, F = 0;
    std::size_t k = 0;
    for (; k < table_end && k < largest(); ++k) {
      if (k >= table.size()) {
        if (k > y && 1 - F < 1e-13) return sum;
        table.extend();
      }
      F += table[k];
      const double e = double(k) >= y ? std::max(0.0, 1 - F) : F;
      sum += e * e;
    }
    if (k >= largest()) return sum;
    Tail tail(*this, m);
    const auto integral = [&](bool above, double a, double b) {
      tail.prune(a);
      const auto f = [&](double log_k) {
        const double k = std::exp(log_k), beyond = tail.beyond(k), e = above ? beyond : 1 - beyond;
        return e * e * k;
      };
      const double low = std::log(a), high = std::log(b);
      return adaptive_simpson(f, low, f(low), high, f(high), f(0.5 * (low + high)), 1e-6 * (1 + sum));
    };
    double from = double(table_end) - 0.5;
    if (y - 0.5 > from) {
      sum += integral(false, from, y - 0.5);
      from = y - 0.5;
    }
    for (int doubling = 0; doubling < 1000; ++doubling, from *= 2) {
      sum += integral(true, from, 2 * from);
      const double e = tail.beyond(2 * from);
      if (e * e * from < 1e-7 * (1 + sum)) break;
    }
    return sum;
  }
  double sample(const ComponentView& m, Stream<1>& rng) const override {
    const std::size_t i = draw_component(m.weight, m.size, rng);
    const double u = uniform<1>(rng, Mask<1>::all_true())[0];
    if (component_cdf(m, i, 0, false) >= u) return 0;
    double low = 0, high = 1;
    while (high < largest() && component_cdf(m, i, high, true) > 1 - u) low = high, high *= 2;
    high = std::min(high, largest());
    while (high - low > 1) {
      const double middle = std::floor(0.5 * (low + high));
      if (!(middle > low && middle < high)) break;  // neighbouring numbers beyond 2^53
      (component_cdf(m, i, middle, true) > 1 - u ? low : high) = middle;
    }
    return high;
  }

 protected:
  static constexpr std::size_t table_end = 4096;
  static constexpr double small_count = 512;

  virtual double largest() const = 0;
  virtual double log_probability(const ComponentView& m, std::size_t i, double k) const = 0;
  /// F(k) of component i, or 1 - F(k) if above, for any real k >= 0.
  virtual double component_cdf(const ComponentView& m, std::size_t i, double k, bool above) const = 0;
  /// rate_k = (first + sign k) / (k + 1) * factor
  struct Rate {
    double first, sign, factor;
  };
  virtual Rate rate(const ComponentView& m, std::size_t i) const = 0;

 private:
  /// What the mixture holds beyond large counts.
  class Tail {
   public:
    Tail(const CountLaw& law, const ComponentView& m) : law_(law), m_(m) {
      for (std::size_t i = 0; i < m.size; ++i)
        if (m.weight[i] > 0) reaching_.push_back(i);
    }
    /// 1 - F(k)
    double beyond(double k) const {
      double sum = 0;
      for (std::size_t i : reaching_) sum += m_.weight[i] * law_.component_cdf(m_, i, k, true);
      return std::min(sum, 1.0);
    }
    /// Forget the components that end before k: what is left of all of them together is below rounding.
    void prune(double k) {
      const double least = 1e-17 / double(m_.size);
      const auto ends = [&](std::size_t i) { return m_.weight[i] * law_.component_cdf(m_, i, k, true) < least; };
      reaching_.erase(std::remove_if(reaching_.begin(), reaching_.end(), ends), reaching_.end());
    }

   private:
    const CountLaw& law_;
    const ComponentView& m_;
    std::vector<std::size_t> reaching_;
  };

  /// Probabilities of the mixture from 0 on.
  class Table {
   public:
    static constexpr int chunk = 16;
    Table(const CountLaw& law, const ComponentView& m) {
      for (std::size_t i = 0; i < m.size; ++i) {
        if (!(m.weight[i] > 0)) continue;
        const Rate r = law.rate(m, i);
        push(m.weight[i], law.log_probability(m, i, 0), r);
      }
      while (weight_.size() % W) push(0.0, 0.0, {1.0, 0.0, 0.0});
    }
    void extend() {
      L sum[chunk];
      for (L& s : sum) s = L(0.0);
      const double k0 = double(probability_.size());
      for (std::size_t i = 0; i < weight_.size(); i += W) {
        const L log_p = L::load(&log_p_[i]), w = L::load(&weight_[i]) * exp(log_p);
        const L first = L::load(&first_[i]), sign = L::load(&sign_[i]), factor = L::load(&factor_[i]);
        L product(1.0);
        for (int j = 0; j < chunk; ++j) {
          sum[j] += w * product;
          product = product * (max(first + sign * (k0 + j), L(0.0)) * (factor * (1.0 / (k0 + j + 1))));
        }
        max(log_p + log(product), L(-1e300)).store(&log_p_[i]);
      }
      for (const L& s : sum) {
        double p = s[0];
        for (int w = 1; w < W; ++w) p += s[w];
        probability_.push_back(p);
        total_ += p;
      }
    }
    double operator[](std::size_t k) const { return probability_[k]; }
    std::size_t size() const { return probability_.size(); }
    double total() const { return total_; }
    double up_to(double y) {
      double sum = 0;
      for (std::size_t k = 0; double(k) <= y; ++k) {
        if (k >= size()) extend();
        sum += probability_[k];
      }
      return std::min(sum, 1.0);
    }
    double first_at_least(double p) const {
      double sum = 0;
      for (std::size_t k = 0; k < size(); ++k)
        if ((sum += probability_[k]) >= p) return double(k);
      return double(size());
    }

   private:
    void push(double weight, double log_p, const Rate& r) {
      weight_.push_back(weight);
      log_p_.push_back(log_p);
      first_.push_back(r.first);
      sign_.push_back(r.sign);
      factor_.push_back(r.factor);
    }
    std::vector<double> weight_, log_p_, first_, sign_, factor_, probability_;
    double total_ = 0;
  };
};

/// Fields: mean mu, dispersion r.
class NegativeBinomialLaw final : public CountLaw {
 public:
  int fields() const override { return 2; }
  const char* refusal(double y, bool learned) const override {
    if (y >= 0 && y == std::floor(y) && y <= (learned ? 1e5 : 9007199254740992.0)) return nullptr;
    return learned ? "a whole number from 0 to 100000" : "a whole number from 0 to 2^53";
  }
  double mean(const ComponentView& m) const override {
    double sum = 0;
    for (std::size_t i = 0; i < m.size; ++i)
      if (m.weight[i] > 0) sum += m.weight[i] * m[0][i];
    return sum;
  }
  double variance(const ComponentView& m) const override {
    double sum = 0;
    const double centre = mean(m);
    for (std::size_t i = 0; i < m.size; ++i) {
      const double mu = m[0][i], e = mu - centre;
      if (m.weight[i] > 0) sum += m.weight[i] * (e * e + mu + mu * mu / m[1][i]);
    }
    return sum;
  }

 protected:
  double largest() const override { return inf; }
  double log_probability(const ComponentView& m, std::size_t i, double k) const override {
    const double mu = m[0][i], r = m[1][i];
    if (!(mu > 0)) return k == 0 ? 0 : -inf;
    const double log_miss = -std::log1p(mu / r);  // log r/(r + mu)
    return log_gamma_ratio(k + 1, r - 1) - std::lgamma(r) + r * log_miss - k * std::log1p(r / mu);
  }
  /// log Gamma(z + a) / Gamma(z).  Of large z the difference of Stirling's series, term by term, where that of the
  /// logarithms would cancel:
  ///     (z - 1/2) log(1 + a/z) + a log(z + a) - a + s(z + a) - s(z)    s(z) = 1/(12 z) - 1/(360 z^3) + ...
  static double log_gamma_ratio(double z, double a) {
    if (z < 1000) return std::lgamma(z + a) - std::lgamma(z);
    const auto s = [](double t) { return (1.0 / 12 - 1 / (360 * t * t)) / t; };
    return (z - 0.5) * std::log1p(a / z) + a * (std::log(z + a) - 1) + s(z + a) - s(z);
  }
  double component_cdf(const ComponentView& m, std::size_t i, double k, bool above) const override {
    const double mu = m[0][i], r = m[1][i], hit = 1 / (1 + mu / r), miss = 1 / (1 + r / mu);
    return above ? incomplete_beta(k + 1, r, miss, hit) : incomplete_beta(r, k + 1, hit, miss);
  }
  Rate rate(const ComponentView& m, std::size_t i) const override { return {m[1][i], 1.0, 1 / (1 + m[1][i] / m[0][i])}; }
};

/// Field: the probability of success of each of n trials.
class BinomialLaw final : public CountLaw {
 public:
  explicit BinomialLaw(double n_trials)
      : n_(n_trials), wanted_("a whole number from 0 to n_trials = " + std::to_string(long(n_trials))) {}
  int fields() const override { return 1; }
  const char* refusal(double y, bool) const override {
    return y >= 0 && y <= n_ && y == std::floor(y) ? nullptr : wanted_.c_str();
  }
  double mean(const ComponentView& m) const override {
    double sum = 0;
    for (std::size_t i = 0; i < m.size; ++i)
      if (m.weight[i] > 0) sum += m.weight[i] * n_ * m[0][i];
    return sum;
  }
  double variance(const ComponentView& m) const override {
    double sum = 0;
    const double centre = mean(m);
    for (std::size_t i = 0; i < m.size; ++i) {
      const double p = m[0][i], e = n_ * p - centre;
      if (m.weight[i] > 0) sum += m.weight[i] * (e * e + n_ * p * (1 - p));
    }
    return sum;
  }

 protected:
  double largest() const override { return n_; }
  double log_probability(const ComponentView& m, std::size_t i, double k) const override {
    const double p = m[0][i];
    const double choose = std::lgamma(n_ + 1) - std::lgamma(k + 1) - std::lgamma(n_ - k + 1);
    return choose + (k > 0 ? k * std::log(p) : 0.0) + (k < n_ ? (n_ - k) * std::log(miss(p)) : 0.0);
  }
  double component_cdf(const ComponentView& m, std::size_t i, double k, bool above) const override {
    const double p = m[0][i];
    if (k >= n_) return above ? 0 : 1;
    return above ? incomplete_beta(k + 1, n_ - k, p, 1 - p) : incomplete_beta(n_ - k, k + 1, 1 - p, p);
  }
  Rate rate(const ComponentView& m, std::size_t i) const override { return {n_, -1.0, m[0][i] / miss(m[0][i])}; }

 private:
  /// 1 - p.  Odds beyond 1e15 are those of rounding; with p = 1 the recurrence over k would begin at a probability of zero.
  static double miss(double p) { return std::max(1 - p, 1e-15); }
  double n_;
  std::string wanted_;
};

}  // namespace

std::unique_ptr<PredictiveLaw> make_class_law(int n_classes) { return std::make_unique<ClassLaw>(n_classes); }
std::unique_ptr<PredictiveLaw> make_binomial_law(double n_trials) { return std::make_unique<BinomialLaw>(n_trials); }
std::unique_ptr<PredictiveLaw> make_negative_binomial_law() { return std::make_unique<NegativeBinomialLaw>(); }

}  // namespace hsmoe
