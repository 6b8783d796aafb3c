#include <hsmoe/filter/resampling.hpp>

#include <algorithm>
#include <cmath>
#include <vector>

#include <hsmoe/error.hpp>

namespace hsmoe {
namespace {

struct Total {
  double mass;
  std::size_t last_positive;
};

// cumulative (n), unless null: the sums of the first 1 ... n weights.
Total check_weights(const char* scheme, const double* weight, std::size_t n, double* cumulative = nullptr) {
  Total t{0.0, n};
  for (std::size_t i = 0; i < n; ++i) {
    if (!(weight[i] >= 0.0) || !std::isfinite(weight[i]))
      throw InvalidArgument(std::string(scheme) + ": W[" + std::to_string(i) + "] is " + std::to_string(weight[i]) +
                            ", but weights must be finite and not negative");
    if (weight[i] > 0.0) t.last_positive = i;
    t.mass += weight[i];
    if (cumulative) cumulative[i] = t.mass;
  }
  if (t.last_positive == n) throw InvalidArgument(std::string(scheme) + ": all weights W are zero");
  if (!std::isfinite(t.mass)) throw InvalidArgument(std::string(scheme) + ": the weights W sum to infinity");
  return t;
}

// Inversion of the cumulative weights at increasing positions in [0, mass]: the first particle whose
// cumulative weight exceeds the position.  Strictly exceeds: a zero weight adds nothing and is passed
// over.  A position that rounding has put at or beyond the total belongs to the last positive weight.
class Inverse {
 public:
  Inverse(const double* weight, Total total) : weight_(weight), total_(total), cumulative_(weight[0]) {}
  Index at(double position) {
    while (cumulative_ <= position && i_ < total_.last_positive) cumulative_ += weight_[++i_];
    return Index(i_);
  }

 private:
  const double* weight_;
  Total total_;
  std::size_t i_ = 0;
  double cumulative_;
};

void check_uniform(const char* scheme, double u) {
  if (!(u >= 0.0 && u <= 1.0))
    throw InvalidArgument(std::string(scheme) + ": a uniform is " + std::to_string(u) + ", but must lie in [0, 1]");
}

void invert_sorted(const char* scheme, const double* weight, Total total, std::size_t M, const double* u,
                   Index* ancestors) {
  std::vector<double> sorted(u, u + M);
  for (double v : sorted) check_uniform(scheme, v);
  std::sort(sorted.begin(), sorted.end());
  Inverse inverse(weight, total);
  for (std::size_t m = 0; m < M; ++m) ancestors[m] = inverse.at(sorted[m] * total.mass);
}

}  // namespace

// Positions p_m = (m + u) / M mass, and particle i has those in [c_{i-1}, c_i).  Where a walk along both would take a branch that nobody
// can foresee at every step, each o_i = #{m: p_m < c_i} is computed on its own: ceil(c_i M / mass - u) or the integer nearest to half
// above it, and where that is past a position, one up or down.
void resample_systematic(const double* weight, std::size_t n, std::size_t M, double u, Index* ancestors) {
  std::vector<double> cumulative(n);
  const Total total = check_weights("systematic", weight, n, cumulative.data());
  check_uniform("systematic", u);
  if (M == 0) return;
  const double count = double(M), step = count / total.mass;
  constexpr double to_integer = 4503599627370496.0;  // 2^52: what is added to it is rounded to a whole number
  const auto position = [&](double m) { return (m + u) / count * total.mass; };
  // ancestors[o_{i-1}] = i, where of several i with the same o_{i-1} the last stays, the one with a position; then each
  // place without an i has that of the place before it.
  std::fill_n(ancestors, M, Index(0));
  constexpr std::size_t block = 256;
  double before[block];
  std::size_t start = 0;
  for (std::size_t begin = 0; begin <= total.last_positive && start < M; begin += block) {
    const std::size_t size = std::min(block, total.last_positive + 1 - begin);
    for (std::size_t j = 0; j < size; ++j) {
      const double c = cumulative[begin + j];
      double o = std::min((std::max(c * step - u + 0.5, 0.0) + to_integer) - to_integer, count);
      o += position(o) < c && o < count ? 1.0 : 0.0;
      o -= position(o - 1.0) >= c && o > 0.0 ? 1.0 : 0.0;
      before[j] = o;
    }
    for (std::size_t j = 0; j < size && start < M; ++j) {
      ancestors[start] = Index(begin + j);
      start = std::size_t(before[j]);
    }
  }
  Index i = 0;
  for (std::size_t m = 0; m < M; ++m) ancestors[m] = i = std::max(i, ancestors[m]);
}

void resample_stratified(const double* weight, std::size_t n, std::size_t M, const double* u, Index* ancestors) {
  const Total total = check_weights("stratified", weight, n);
  Inverse inverse(weight, total);
  for (std::size_t m = 0; m < M; ++m) {
    check_uniform("stratified", u[m]);
    ancestors[m] = inverse.at((double(m) + u[m]) / double(M) * total.mass);
  }
}

void resample_multinomial(const double* weight, std::size_t n, std::size_t M, const double* u, Index* ancestors) {
  invert_sorted("multinomial", weight, check_weights("multinomial", weight, n), M, u, ancestors);
}

void resample_residual(const double* weight, std::size_t n, std::size_t M, const double* u, Index* ancestors) {
  const Total total = check_weights("residual", weight, n);
  std::vector<double> remainder(n);
  std::size_t m = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const double expected = weight[i] / total.mass * double(M), copies = std::floor(expected);
    remainder[i] = expected - copies;
    for (double c = 0; c < copies && m < M; ++c) ancestors[m++] = Index(i);
  }
  if (m == M) return;
  Total rest{0.0, n};
  for (std::size_t i = 0; i < n; ++i) {
    rest.mass += remainder[i];
    if (remainder[i] > 0.0) rest.last_positive = i;
  }
  // Rounding alone may leave a copy to give and nothing to give it by: then by the weights themselves.
  if (rest.last_positive == n) invert_sorted("residual", weight, total, M - m, u, ancestors + m);
  else invert_sorted("residual", remainder.data(), rest, M - m, u, ancestors + m);
  std::sort(ancestors, ancestors + M);
}

void resample_ssp(const double* weight, std::size_t n, std::size_t M, const double* u, Index* ancestors) {
  const Total total = check_weights("ssp", weight, n);
  std::vector<Index> copies(n);
  std::vector<double> fraction(n);
  for (std::size_t i = 0; i < n; ++i) {
    const double expected = weight[i] / total.mass * double(M);
    copies[i] = Index(std::floor(expected));
    fraction[i] = expected - double(copies[i]);
  }
  // Walk along the particles with one open fraction a; meet the next, b.  Below 1 in sum, one of the two
  // takes it all (a with probability a / (a+b)); else one is filled up to 1 and the other keeps the rest
  // a+b-1 (a is filled with probability (1-b) / (2-a-b)).  Expectations are kept at every step.
  std::size_t open = 0;
  for (std::size_t j = 1; j < n; ++j) {
    check_uniform("ssp", u[j - 1]);
    const double a = fraction[open], b = fraction[j], sum = a + b;
    if (b == 0.0) continue;
    if (a == 0.0) {
      open = j;
      continue;
    }
    if (sum < 1.0) {
      if (u[j - 1] * sum >= a) open = j;
      fraction[open] = sum;
    } else {
      const std::size_t filled = u[j - 1] * (2.0 - sum) < 1.0 - b ? open : j;
      open = filled == j ? open : j;
      ++copies[filled];
      fraction[open] = sum - 1.0;
    }
  }
  // The last fraction is 0 or 1 but for rounding: what is missing to M says which.
  Index given = 0;
  for (Index c : copies) given += c;
  Index missing = Index(M) - given;
  if (missing > 0) copies[fraction[open] > 0.0 ? open : total.last_positive] += missing;
  for (std::size_t i = 0; missing < 0 && i < n; ++i) {
    const Index back = std::min(copies[i], -missing);
    copies[i] -= back;
    missing += back;
  }
  std::size_t m = 0;
  for (std::size_t i = 0; i < n; ++i)
    for (Index c = 0; c < copies[i]; ++c) ancestors[m++] = Index(i);
}

}  // namespace hsmoe
