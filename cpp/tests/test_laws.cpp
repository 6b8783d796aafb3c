// The laws of forecasts against sums and quadratures written apart from them.
#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include <hsmoe/predictive/incomplete_beta.hpp>
#include <hsmoe/predictive/law.hpp>

#include "check.hpp"
#include "draws.hpp"

using namespace hsmoe;

namespace {

struct Mixture {
  std::vector<double> weight, field;
  ComponentView view() const { return {weight.size(), weight.data(), field.data(), weight.size()}; }
  double at(int f, std::size_t i) const { return field[f * weight.size() + i]; }
};

/// Components of weights that add up to one, some of them zero; fields by draw(f).
template <class Draw>
Mixture random_mixture(int size, int fields, std::uint64_t seed, Draw&& draw) {
  Stream<1> rng = stream_of<1>(seed);
  const Mask<1> one = Mask<1>::all_true();
  Mixture m;
  double total = 0;
  for (int i = 0; i < size; ++i) {
    m.weight.push_back(i % 5 == 3 ? 0.0 : uniform<1>(rng, one)[0]);
    total += m.weight.back();
  }
  for (double& w : m.weight) w /= total;
  for (int f = 0; f < fields; ++f)
    for (int i = 0; i < size; ++i) m.field.push_back(draw(f, uniform<1>(rng, one)[0]));
  return m;
}

void laplace() {
  const auto law = make_law(LaplaceOptions{});
  CHECK(law->fields() == 2 && law->n_classes() == 0);
  MixtureWorkspace workspace;
  for (int size : {1, 2, 7, 40}) {
    // Scales from 0.003 to 20, so that some components are spikes beside others.
    const Mixture m = random_mixture(size, 2, std::uint64_t(size), [&](int f, double u) {
      return f == 0 ? 10 * (u - 0.4) : std::exp(-6 + 9 * u);
    });
    const ComponentView v = m.view();
    const auto density = [&](double t) {
      double sum = 0;
      for (int i = 0; i < size; ++i) sum += m.weight[i] * std::exp(-std::abs(t - m.at(0, i)) / m.at(1, i)) / (2 * m.at(1, i));
      return sum;
    };
    const auto cdf = [&](double t) {
      double sum = 0;
      for (int i = 0; i < size; ++i) {
        const double z = (t - m.at(0, i)) / m.at(1, i);
        sum += m.weight[i] * (z < 0 ? 0.5 * std::exp(z) : 1 - 0.5 * std::exp(-z));
      }
      return sum;
    };
    double mean = 0, square = 0;
    for (int i = 0; i < size; ++i) {
      mean += m.weight[i] * m.at(0, i);
      square += m.weight[i] * (m.at(0, i) * m.at(0, i) + 2 * m.at(1, i) * m.at(1, i));
    }
    CHECK_CLOSE(law->mean(v), mean, 1e-12 * (1 + std::abs(mean)));
    CHECK_CLOSE(law->variance(v), square - mean * mean, 1e-10 * square);
    for (double y : {-30.0, -1.7, 0.3, 2.2, 55.0}) {
      CHECK_CLOSE(law->log_density(v, y), std::log(density(y)), 1e-11 * (1 + std::abs(std::log(density(y)))));
      CHECK_CLOSE(law->cdf(v, y), cdf(y), 1e-13);
      // E|X - y| - E|X - X'|/2 with E|X - X'| = 2 integral of F (1 - F), by panels of Simpson's rule between the kinks.
      std::vector<double> knots{y};
      for (int i = 0; i < size; ++i)
        for (double r : {-40., -12., -4., -1., 0., 1., 4., 12., 40.}) knots.push_back(m.at(0, i) + r * m.at(1, i));
      std::sort(knots.begin(), knots.end());
      double crps = 0;
      for (std::size_t i = 0; i + 1 < knots.size(); ++i) {
        const int panels = 64;
        const double h = (knots[i + 1] - knots[i]) / panels;
        if (!(h > 0)) continue;
        for (int j = 0; j <= panels; ++j) {
          const double F = cdf(knots[i] + j * h), g = knots[i] + (panels * 0.5) * h < y ? F * F : (1 - F) * (1 - F);
          crps += g * h / 3 * (j == 0 || j == panels ? 1 : j % 2 ? 4 : 2);
        }
      }
      CHECK_CLOSE(law->crps(v, y, workspace), crps, 2e-6 * crps);
    }
    const double probs[] = {0.5, 1e-9, 0.03, 0.97, 1 - 1e-9};
    double q[5];
    law->quantiles(v, probs, 5, q, workspace);
    for (int i = 0; i < 5; ++i) {
      const double tail = probs[i] < 0.5 ? cdf(q[i]) / probs[i] : (1 - cdf(q[i])) / (1 - probs[i]);
      CHECK_CLOSE(tail, 1.0, probs[i] > 0.99 ? 1e-6 : 1e-9);
    }
    Stream<1> rng = stream_of<1>(99);
    const int n = 40000;
    int below = 0;
    for (int i = 0; i < n; ++i) below += law->sample(v, rng) < q[2];
    CHECK_CLOSE(below, n * 0.03, 4.5 * std::sqrt(n * 0.03 * 0.97));  // false alarms: 7e-6
  }
}

/// Spikes far apart: between them there is no density that a step could be measured by.
void laplace_gap() {
  const auto law = make_law(LaplaceOptions{});
  MixtureWorkspace workspace;
  for (double scale : {1e-3, 1e-6, 1.0}) {
    const Mixture m{{0.3, 0.3, 0.4}, {-10.0, 10.0, 700.0, scale, 2 * scale, scale}};
    const double probs[] = {0.05, 0.15, 0.29, 0.31, 0.45, 0.59, 0.61, 0.8, 0.999};
    double q[9];
    law->quantiles(m.view(), probs, 9, q, workspace);
    for (int i = 0; i < 9; ++i) CHECK_CLOSE(law->cdf(m.view(), q[i]), probs[i], 1e-9 + 1e-12 / scale);  // rounding near 700
  }
}

/// P(0), P(1), ... of the mixture from the definition, in long double.
std::vector<double> table(const Mixture& m, bool binomial, double trials, int n) {
  std::vector<double> p(std::size_t(n), 0.0);
  for (std::size_t i = 0; i < m.weight.size(); ++i)
    for (int k = 0; k < n; ++k) {
      long double l;
      if (binomial) {
        if (k > trials) break;
        const long double s = m.at(0, i);
        l = std::lgammal(trials + 1) - std::lgammal(k + 1) - std::lgammal(trials - k + 1) + k * std::log(s) + (trials - k) * std::log1p(-s);
      } else {
        const long double mu = m.at(0, i), r = m.at(1, i);
        l = std::lgammal(k + r) - std::lgammal(r) - std::lgammal(k + 1) + r * std::log(r / (r + mu)) + k * std::log(mu / (r + mu));
      }
      p[std::size_t(k)] += m.weight[i] * double(std::exp(l));
    }
  return p;
}

void counts(const PredictiveLaw& law, const Mixture& m, const std::vector<double>& p, double tolerance) {
  MixtureWorkspace workspace;
  const ComponentView v = m.view();
  const int n = int(p.size());
  std::vector<double> F(p.size());
  double mean = 0, square = 0, total = 0;
  for (int k = 0; k < n; ++k) {
    F[k] = total += p[k];
    mean += k * p[k];
    square += double(k) * k * p[k];
  }
  CHECK_CLOSE(total, 1.0, 1e-9);
  CHECK_CLOSE(law.mean(v), mean, 1e-7 * (1 + mean));
  CHECK_CLOSE(law.variance(v), square - mean * mean, 1e-5 * square);
  for (int y : {0, 1, 4, n / 100, n / 10, n / 3}) {
    CHECK_CLOSE(law.log_density(v, y), std::log(p[y]), 1e-9 * (1 + std::abs(std::log(p[y]))));
    CHECK_CLOSE(law.cdf(v, y), F[y], 1e-11);
    double crps = 0;
    for (int k = 0; k < n; ++k) crps += (F[k] - (k >= y)) * (F[k] - (k >= y));
    CHECK_CLOSE(law.crps(v, y, workspace), crps, tolerance * crps);
  }
  const double probs[] = {0.999, 0.0, 0.02, 0.5, 0.9};
  double q[5];
  law.quantiles(v, probs, 5, q, workspace);
  for (int i = 0; i < 5; ++i) {
    CHECK(F[std::size_t(q[i])] >= probs[i] - 1e-11);
    CHECK(q[i] == 0 || F[std::size_t(q[i]) - 1] < probs[i] + 1e-11);
  }
  Stream<1> rng = stream_of<1>(7);
  const int draws = 20000;
  double below = 0;
  for (int i = 0; i < draws; ++i) below += law.sample(v, rng) <= q[3];
  const double share = F[std::size_t(q[3])];
  CHECK_CLOSE(below, draws * share, 4.5 * std::sqrt(draws * share * (1 - share)) + 1e-9);
}

/// I_{1-y}(a, b) by mpmath.betainc with 40 digits.
void cumulative() {
  const double reference[][4] = {
      {31.0, 0.125, 0.8, 1.7023770593777549e-24},
      {514.0, 2.5, 0.01, 0.065984436009225342},
      {4126.0, 0.1125, 3.75e-6, 0.33998384025966831},
      {1784.0, 2.0625, 0.00069, 0.66979849670251053},
      {9969.0, 160.0, 0.015, 0.73492901448873595},
      {2832678.0, 92.25, 4.0e-5, 0.018797619227960193},
      {40000.0, 14.0, 0.00031, 0.63827130463531948},
      {6000.0, 31.0, 0.006, 0.17227716272619378},
      {200.0, 3.0, 0.01, 0.67123817103838937},
      {1000000.0, 1.0, 1.0e-6, 0.36787925723164511},
      {300.0, 250.0, 0.45, 0.58375819514379271},
      {20000.0, 0.05, 1.0e-9, 0.40198412679102539},
  };
  for (const auto& [a, b, y, value] : reference) {
    CHECK_CLOSE(incomplete_beta(a, b, 1 - y, y), value, 1e-10 * value);
    CHECK_CLOSE(incomplete_beta(b, a, y, 1 - y), 1 - value, 1e-10);
  }
  // I_x(a, b) = I_x(a + 1, b) + x^a y^b / (a B(a, b)) wherever one way of evaluating it gives over to another.
  for (double b : {0.05, 0.7, 1.0, 5.0, 30.0, 200.0})
    for (double a = 2; a < 1e5; a *= 1.3)
      for (double ratio : {0.3, 0.9, 1.0, 1.2, 4.0, 50.0}) {
        const double y = b / (b + a * ratio), x = 1 - y;
        const double step = std::exp(std::lgamma(a + b) - std::lgamma(a + 1) - std::lgamma(b) + a * std::log1p(-y) + b * std::log(y));
        CHECK_CLOSE(incomplete_beta(a, b, x, y) - incomplete_beta(a + 1, b, x, y), step, 3e-10);
      }
}

void discrete() {
  const auto negative = make_law(NegativeBinomialOptions{});
  for (double top : {3.0, 40.0}) {
    const Mixture m = random_mixture(9, 2, 5, [&](int f, double u) { return f == 0 ? top * u + 0.01 : std::exp(4 * u - 1); });
    counts(*negative, m, table(m, false, 0, int(80 * top + 400)), 1e-9);
  }
  // Far beyond the table of probabilities, and a component whose probability of zero is no number.
  const Mixture far = random_mixture(3, 2, 6, [](int f, double u) { return f == 0 ? 4000 + 9000 * u : 5 + 200 * u; });
  counts(*negative, far, table(far, false, 0, 120000), 1e-4);
  const Mixture steep{{1.0}, {20000, 1e6}};
  counts(*negative, steep, table(steep, false, 0, 40000), 1e-4);
  // Components that expect millions.  Reference: SciPy's nbinom for each count below 20,000, then a trapezoid rule in log k
  // with the gamma limits of the wide components.
  const Mixture wide{{0.6, 0.3, 0.07, 0.03}, {20, 300, 1e6, 1e12, 3, 0.5, 2, 40}};
  MixtureWorkspace work;
  const double crps_of[][2] = {{0, 819972212.6589788}, {25, 819972199.6338943}, {5000, 819976008.6859951}, {90000, 820044070.8933477}};
  for (const auto& [y, crps] : crps_of) CHECK_CLOSE(negative->crps(wide.view(), y, work), crps, 1e-5 * crps);
  CHECK(!negative->refusal(3, true) && negative->refusal(-1, false) && negative->refusal(0.5, false) && negative->refusal(2e5, true));
  CHECK(!negative->refusal(2e5, false) && negative->refusal(1e300, false));
  // Large counts.  Reference: mpmath, 60 digits.
  const double log_probability_of[][4] = {{1e12, 1e12, 2, -28.244726754809658},      {1e12, 3e11, 0.05, -30.856154957108367},
                                          {123456, 2e5, 205, -30.398482787588357},    {9007199254740992, 1e15, 40, -268.18038586474045},
                                          {5000, 4000, 1e6, -120.39995942866961},     {1500, 2, 0.5, -339.74910439733332}};
  for (const auto& [k, mu, r, log_p] : log_probability_of) {
    const Mixture one{{1.0}, {mu, r}};
    CHECK_CLOSE(negative->log_density(one.view(), k), log_p, 1e-10 * std::abs(log_p) + 1e-15 * r * std::log(r + 1));
  }
  CHECK(negative->refusal(std::numeric_limits<double>::quiet_NaN(), false));

  for (double trials : {1.0, 12.0, 700.0}) {
    BinomialOptions o;
    o.n_trials = trials;
    const auto law = make_law(o);
    const Mixture m = random_mixture(9, 1, 7, [](int, double u) { return u < 0.1 ? 1e-5 : u > 0.9 ? 1 - 1e-7 : u; });
    const std::vector<double> p = table(m, true, trials, int(trials) + 1);
    MixtureWorkspace workspace;
    if (trials > 5) counts(*law, m, p, 1e-9);
    else CHECK_CLOSE(law->crps(m.view(), 1, workspace), p[0] * p[0], 1e-12);
    CHECK(!law->refusal(trials, true) && law->refusal(trials + 1, false) && law->refusal(0.5, false));
  }

  // A probability of success that rounds to one.
  BinomialOptions ten;
  ten.n_trials = 10;
  const auto sure = make_law(ten);
  const Mixture certain{{0.75, 0.25}, {1.0, 0.5}};
  CHECK_CLOSE(sure->cdf(certain.view(), 10), 1.0, 1e-13);
  CHECK_CLOSE(sure->cdf(certain.view(), 9), 0.25 * (1 - std::pow(0.5, 10)), 1e-13);
  CHECK_CLOSE(std::exp(sure->log_density(certain.view(), 10)), 0.75 + 0.25 * std::pow(0.5, 10), 1e-13);
  double q[2];
  const double half[] = {0.2, 0.5};
  sure->quantiles(certain.view(), half, 2, q, work);
  CHECK(q[0] == 6 && q[1] == 10);
  // Counts beyond the whole numbers that a double tells apart.
  const Mixture huge{{1.0}, {1e18, 2.0}};
  Stream<1> bits = stream_of<1>(11);
  for (int i = 0; i < 20; ++i) {
    const double y = negative->sample(huge.view(), bits);
    CHECK(y > 1e13 && y < 1e20);
  }

  LogitOptions o;
  o.n_classes = 3;
  const auto law = make_law(o);
  const Mixture m{{0.25, 0.0, 0.75}, {0.2, 0.9, 0.4, 0.5, 0.1, 0.0, 0.3, 0.0, 0.6}};
  const double p[3] = {0.35, 0.125, 0.525};
  double proba[3];
  law->class_proba(m.view(), proba);
  MixtureWorkspace workspace;
  for (int c = 0; c < 3; ++c) {
    CHECK_CLOSE(proba[c], p[c], 1e-15);
    CHECK_CLOSE(law->log_density(m.view(), c), std::log(p[c]), 1e-14);
    CHECK(!law->refusal(c, true));
  }
  CHECK_CLOSE(law->cdf(m.view(), 1), 0.475, 1e-15);
  CHECK_CLOSE(law->crps(m.view(), 0, workspace), 0.65 * 0.65 + 0.525 * 0.525, 1e-14);
  CHECK(law->refusal(3, true) && law->refusal(-1, true) && law->refusal(1.5, false));
  Stream<1> rng = stream_of<1>(3);
  int count[3] = {};
  for (int i = 0; i < 30000; ++i) ++count[int(law->sample(m.view(), rng))];
  for (int c = 0; c < 3; ++c) CHECK_CLOSE(count[c], 30000 * p[c], 4.5 * std::sqrt(30000 * p[c] * (1 - p[c])));
}

}  // namespace

int main() {
  laplace();
  laplace_gap();
  cumulative();
  discrete();
  return report("laws");
}
