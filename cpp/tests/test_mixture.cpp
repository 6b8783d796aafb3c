// Student's t and the predictive mixture against closed forms, reference values (mpmath at 40 digits, and
// Gauss-Legendre panels over scipy's distribution functions) and a brute-force integration.
// "test_mixture time" also prints the time of each function.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <vector>

#include <hsmoe/error.hpp>
#include <hsmoe/predictive/mixture.hpp>
#include <hsmoe/predictive/student_t.hpp>

#ifndef HSMOE_LANES
#define HSMOE_LANES 2
#endif

using namespace hsmoe;

namespace {

constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double pi = 3.14159265358979323846;
int failures = 0;

void check(bool ok, const char* what, double value = 0, double wanted = 0) {
  if (ok) return;
  ++failures;
  std::printf("FAILED %s: %.17g, wanted %.17g\n", what, value, wanted);
}

void near(double value, double wanted, double tolerance, const char* what) {
  check(std::fabs(value - wanted) <= tolerance || value == wanted, what, value, wanted);
}

void relative(double value, double wanted, double tolerance, const char* what) {
  near(value, wanted, tolerance * std::fabs(wanted), what);
}

struct Mixture {
  std::vector<double> weight, loc, scale, df;
  void add(double w, double l, double s, double d) {
    weight.push_back(w), loc.push_back(l), scale.push_back(s), df.push_back(d);
  }
  void normalise() {
    double total = 0;
    for (double w : weight) total += w;
    for (double& w : weight) w /= total;
  }
  MixtureView view() const { return {weight.size(), weight.data(), loc.data(), scale.data(), df.data()}; }
};

/// Uniforms for test cases.
struct Rng {
  Stream<1> stream;
  explicit Rng(std::uint64_t seed) {
    std::uint64_t s[4] = {seed, 0x9e3779b97f4a7c15ull, 0xbf58476d1ce4e5b9ull, 0x94d049bb133111ebull};
    stream = Stream<1>::load(s);
    for (int i = 0; i < 20; ++i) stream.next(Mask<1>::all_true());
  }
  double operator()(double a = 0, double b = 1) {
    return a + (b - a) * uniform<1>(stream, Mask<1>::all_true())[0];
  }
  int below(int n) { return int((*this)() * n); }
};

/// CRPS by its definition: 12-point Gauss-Legendre on panels that grow geometrically from every centre.
double brute_force_crps(const Mixture& m, double y) {
  const double node[6] = {0.125233408511468915, 0.367831498998180194, 0.587317954286617447,
                          0.769902674194304687, 0.904117256370474857, 0.981560634246719251};
  const double gauss[6] = {0.249147045813402785, 0.233492536538354809, 0.203167426723065922,
                           0.160078328543346226, 0.106939325995318431, 0.047175336386511827};
  std::vector<double> edge = {y};
  for (std::size_t i = 0; i < m.loc.size(); ++i) {
    const double far = m.df[i] < 3 ? 1e9 : m.df[i] < 30 ? 1e6 : 100;
    edge.push_back(m.loc[i]);
    for (double k = 0.4; k < far; k *= 1.35) {
      edge.push_back(m.loc[i] - k * m.scale[i]);
      edge.push_back(m.loc[i] + k * m.scale[i]);
    }
  }
  std::sort(edge.begin(), edge.end());
  double total = 0;
  for (std::size_t i = 0; i + 1 < edge.size(); ++i) {
    const double half = 0.5 * (edge[i + 1] - edge[i]), middle = 0.5 * (edge[i] + edge[i + 1]);
    if (!(half > 1e-14 * std::fabs(middle))) continue;
    for (int k = -6; k < 6; ++k) {
      const double t = middle + half * (k < 0 ? -node[-k - 1] : node[k]);
      double F = 0;  // of the smaller side
      for (std::size_t c = 0; c < m.loc.size(); ++c) {
        const double z = (t - m.loc[c]) / m.scale[c];
        F += m.weight[c] * student_t_cdf(t < y ? z : -z, m.df[c]);
      }
      total += half * gauss[k < 0 ? -k - 1 : k] * F * F;
    }
  }
  return total;
}

Mixture random_mixture(Rng& rng) {
  Mixture m;
  const int size = 2 + rng.below(7), kind = rng.below(4);
  const double spread = std::pow(10, rng(-1, 3)), scales = rng(0, 4), weights = rng(0, 8);
  for (int i = 0; i < size; ++i) {
    const double df = kind == 0   ? 2.1
                      : kind == 1 ? std::pow(10, rng(0.1, 2))
                      : kind == 2 ? inf
                                  : 3 + rng.below(57);
    m.add(std::exp(-weights * rng()), spread * rng(-1, 1), std::pow(10, -scales * rng()), df);
  }
  m.normalise();
  return m;
}

/// K = 4 experts whose particles nearly agree.
Mixture typical_mixture(int size, Rng& rng) {
  Mixture m;
  double loc[4], scale[4], df[4], weight[4];
  for (int k = 0; k < 4; ++k) {
    loc[k] = rng(-4, 4), scale[k] = std::exp(rng(-0.6, 0.6));
    df[k] = std::exp(rng(3, 7)), weight[k] = rng();
  }
  for (int i = 0; i < size; ++i) {
    const int k = i % 4;
    m.add(weight[k] * std::exp(rng(-2, 2)), loc[k] + scale[k] * rng(-0.25, 0.25),
          scale[k] * std::exp(rng(-0.1, 0.1)), df[k] * std::exp(rng(-0.2, 0.2)));
  }
  m.normalise();
  return m;
}

void test_student_t() {
  const struct {
    double df, t, cdf, log_pdf;
  } table[] = {
      {0.1, -0.5, 0.44326011332299353, -2.5989403740407344},
      {0.1, -1000000.0, 0.10484119468057496, -18.373404156275764},
      {0.5, -3.0, 0.18365407799297172, -3.5188621602863399},
      {1.0, -1.0, 0.25, -1.8378770664093455},
      {1.0, -100000000.0, 3.1830988618379066e-9, -37.986091373754131},
      {2.1, -0.7, 0.27668399273128705, -1.35935351045383},
      {2.1, -250.0, 4.9243624177239439e-6, -17.000864727599128},
      {4.0, -2.5, 0.033383272405994073, -3.3332876141730427},
      {7.5, -1.3, 0.11606338940780433, -1.8158299965965345},
      {11.9, -6.0, 3.2188447127987877e-5, -9.9220447388405348},
      {15.99, -2.0, 0.031391479222594092, -2.8312301016473235},
      {16.0, -2.0, 0.031385981757301673, -2.8312735939797902},
      {20.0, -9.0, 9.0202080900967836e-9, -17.93500989489572},
      {31.7, -0.01, 0.49604197866064002, -0.92687523928917764},
      {50.0, -3.0, 0.0021008515935341236, -5.1445563812092671},
      {123.4, -7.0, 7.22788272897711e-11, -21.719788991327735},
      {1000.0, -5.0, 3.3836281823243152e-7, -13.277841134643942},
      {100000.0, -10.0, 7.816507650103639e-24, -50.894457437547873},
      {1000000000.0, -4.0, 3.1671244108233817e-5, -8.9189384774546734},
      {1000000000.0, -37.0, 5.7282584287775696e-300, -685.41847067813182},
  };
  using V = Lane<HSMOE_LANES>;
  for (const auto& r : table) {
    relative(student_t_cdf(r.t, r.df), r.cdf, 2e-13, "scalar cdf");
    near(student_t_cdf(-r.t, r.df), 1 - r.cdf, 1e-15, "scalar cdf, upper side");
    relative(student_t_log_pdf(r.t, r.df), r.log_pdf, 2e-15, "log pdf");
    relative(student_t_quantile(r.cdf, r.df), r.t, r.cdf > 0.4 ? 1e-12 : 1e-13, "quantile");
    near(student_t_cdf(V(r.t), V(r.df))[0], r.cdf, 2e-13, "lane cdf");
    near(student_t_cdf(V(-r.t), V(r.df))[0], 1 - r.cdf, 2e-13, "lane cdf, upper side");
    const double a = r.df / 2, wanted = std::lgamma(a + 0.5) - std::lgamma(a);
    if (a < 100)
      near(lgamma_half_difference(V(a))[0], wanted, 1e-13 * (1 + std::fabs(wanted)),
           "lgamma_half_difference");
  }
  for (double df : {0.3, 1.0, 2.1, 6.0, 15.9, 16.1, 40.0, 1e4, 1e9, inf}) {
    for (double t = -40; t <= 40; t += 0.37) {
      near(student_t_cdf(V(t), V(df))[0], student_t_cdf(t, df), 2e-13, "lane cdf against scalar");
    }
    near(student_t_cdf(V(0.0), V(df))[0], 0.5, 1e-15, "lane cdf at 0");
  }
  relative(student_t_cdf(-38.0, inf), 2.8854294803690597e-316, 1e-3, "normal tail");
  relative(student_t_cdf(-1e300, 1.0), 1 / (pi * 1e300), 1e-12, "Cauchy at 1e300");
  near(student_t_cdf(-3.0, 1e9), student_t_cdf(-3.0, inf), 1e-9, "df = 1e9 against the normal");
  check(student_t_quantile(0.5, 3.0) == 0 && student_t_quantile(0.0, 3.0) == -inf, "quantile at 1/2 and 0");
  check(std::isnan(student_t_quantile(1.5, 3.0)) && std::isnan(student_t_cdf(NAN, 3.0)), "NaN in, NaN out");
}

void test_closed_forms(MixtureWorkspace& ws) {
  for (double df : {1.5, 2.5, 7.0, 30.0, 1e6, inf}) {
    Mixture m;
    m.add(0, 5, 1e-9, 0.5);  // weight 0: never looked at
    m.add(1, 0.5, 2, df);
    m.add(0, NAN, NAN, NAN);
    for (double y : {-30.0, 0.5, 0.9, 3.0, 1e5}) {
      const double z = (y - 0.5) / 2, F = student_t_cdf(z, df), f = std::exp(student_t_log_pdf(z, df));
      near(mixture_cdf(m.view(), y), F, 2e-13, "cdf, M = 1");
      near(mixture_log_density(m.view(), y), student_t_log_pdf(z, df) - std::log(2.0), 1e-12 * (1 + z * z),
           "density, M = 1");
      const double self = df < inf
                              ? 2 * std::sqrt(df) / (df - 1) *
                                    std::exp(std::lgamma(df - 0.5) - std::lgamma(df) - 0.5 * std::log(pi) +
                                             2 * (std::lgamma(df / 2 + 0.5) - std::lgamma(df / 2)))
                              : 1 / std::sqrt(pi);
      const double spread = df < inf ? 2 * f * (df + z * z) / (df - 1) : 2 * f;
      const double wanted = 2 * (z * (2 * F - 1) + spread - self);
      relative(mixture_crps(m.view(), y, ws), wanted, df > 1e5 ? 1e-8 : 1e-12,
               "crps, M = 1");  // lgamma's digits
    }
    near(mixture_mean(m.view()), 0.5, 0, "mean, M = 1");
    relative(mixture_variance(m.view()),
             df <= 2    ? inf
             : df < inf ? 4 * df / (df - 2)
                        : 4,
             1e-14, "variance, M = 1");
    double q;
    const double p = 0.01;
    mixture_quantiles(m.view(), &p, 1, &q, ws);
    relative(student_t_cdf((q - 0.5) / 2, df), p, 1e-13, "quantile, M = 1");
  }
  Mixture same;
  for (int i = 0; i < 50; ++i) same.add(0.02, 0, 1, 7);
  Mixture one;
  one.add(1, 0, 1, 7);
  relative(mixture_crps(same.view(), 0.3, ws), mixture_crps(one.view(), 0.3, ws), 1e-9, "crps, all alike");
  // Normals: 1/2 E|X - X'| is a sum over pairs.
  Mixture normal;
  Rng rng(3);
  for (int i = 0; i < 40; ++i) normal.add(rng(), rng(-3, 3), std::exp(rng(-3, 1)), inf);
  normal.normalise();
  const auto mean_abs = [](double d, double s) {
    return d * (2 * student_t_cdf(d / s, inf) - 1) + 2 * s * std::exp(student_t_log_pdf(d / s, inf));
  };
  for (double y : {-9.0, 0.1, 2.0}) {
    double wanted = 0;
    for (int i = 0; i < 40; ++i) {
      wanted += normal.weight[i] * mean_abs(y - normal.loc[i], normal.scale[i]);
      for (int j = 0; j < 40; ++j)
        wanted -= 0.5 * normal.weight[i] * normal.weight[j] *
                  mean_abs(normal.loc[i] - normal.loc[j], std::hypot(normal.scale[i], normal.scale[j]));
    }
    relative(mixture_crps(normal.view(), y, ws), wanted, 4e-7, "crps of normals against pairs");
  }
}

void test_crps(MixtureWorkspace& ws) {
  Mixture cases[5];
  cases[0].add(.5, -1, 1, 5), cases[0].add(.5, 2, .5, 8);
  cases[1].add(.2, 0, .1, 2.1), cases[1].add(.3, 1000, 50, 3), cases[1].add(.5, -3, 1, inf);
  cases[2].add(.25, 0, 1e-4, 2.1), cases[2].add(.25, 0, 1, 2.1), cases[2].add(.5, 0, .01, 2.1);
  cases[3].add(.999, 0, 1, inf), cases[3].add(.001, 1e4, 1, inf);
  cases[4].add(.6, -1e3, .1, 4), cases[4].add(.4, 1e3, .1, 30);
  const double y[5] = {.3, 2, .5, .1, -1e3};
  const double wanted[5] = {0.5920444672144417, 87.69623711118145, 0.4109478967843784, 0.247906458987192,
                            320.02419199363334};
  for (int i = 0; i < 5; ++i)
    relative(mixture_crps(cases[i].view(), y[i], ws), wanted[i], 4e-7, "crps, reference");
  Rng rng(1);
  double worst = 0;
  for (int i = 0; i < 60; ++i) {
    const Mixture m = random_mixture(rng);
    const int k = rng.below(int(m.loc.size()));
    const double at = m.loc[k] + m.scale[k] * rng(-1, 1) * std::pow(10, rng(-1, 2));
    const double brute = brute_force_crps(m, at), value = mixture_crps(m.view(), at, ws);
    relative(value, brute, 1e-6, "crps against brute force");
    worst = std::max(worst, std::fabs(value / brute - 1));
    MixtureWorkspace fresh;
    check(mixture_crps(m.view(), at, fresh) == value, "crps depends on the workspace's past");
  }
  std::printf("largest relative error of the crps: %.1e\n", worst);
  for (double far : {-1e300, 1e300})
    relative(mixture_crps(cases[0].view(), far, ws), 1e300, 1e-12, "crps far away");
  Mixture heavy;
  heavy.add(.5, 0, 1, 1.0), heavy.add(.5, 0, 1, 5);
  check(std::isnan(mixture_crps(heavy.view(), 0, ws)) && std::isnan(mixture_mean(heavy.view())), "no mean");
}

void test_quantiles(MixtureWorkspace& ws) {
  const std::vector<double> probs = {0.5,   1e-9, 1 - 1e-9, 0,    1,    0.3,  0.025,
                                     0.975, 1e-4, 0.7,      0.05, 0.95, 0.999};
  Rng rng(2);
  for (int i = 0; i < 80; ++i) {
    const Mixture m = i % 4 == 0 ? typical_mixture(60, rng) : random_mixture(rng);
    std::vector<double> q(probs.size());
    mixture_quantiles(m.view(), probs.data(), int(probs.size()), q.data(), ws);
    for (std::size_t k = 0; k < probs.size(); ++k) {
      const double p = probs[k];
      if (p == 0 || p == 1) {
        check(q[k] == (p == 0 ? -inf : inf), "quantile at 0 and 1");
        continue;
      }
      double F = 0, f = 0, nearest = inf;
      for (std::size_t c = 0; c < m.loc.size(); ++c) {
        const double z = (q[k] - m.loc[c]) / m.scale[c];
        F += m.weight[c] * student_t_cdf(p < 0.5 ? z : -z, m.df[c]);
        f += m.weight[c] / m.scale[c] * std::exp(student_t_log_pdf(z, m.df[c]));
        nearest = std::min(nearest, std::hypot(q[k] - m.loc[c], m.scale[c]));
      }
      const double tail = std::min(p, 1 - p);
      const double miss = std::fabs(F - tail);
      check(miss <= 1e-10 * f * nearest + 1e-13 * tail || miss <= 1e-15, "quantile", F, tail);
      for (std::size_t j = 0; j < k; ++j)
        check(probs[j] < p ? q[j] <= q[k] : q[j] >= q[k], "quantiles in order", q[j], q[k]);
    }
  }
  // Far modes: the cdf is flat between them.
  Mixture modes;
  modes.add(.3, -1e6, 1e-3, 5), modes.add(.7, 1e6, 1, inf);
  const double p[5] = {0.15, 0.2999, 0.3001, 0.65, 1e-300};
  double q[5];
  mixture_quantiles(modes.view(), p, 5, q, ws);
  near(q[0], -1e6, 1e-8, "median of the left mode");
  near(q[3], 1e6, 1e-8, "median of the right mode");
  check(q[1] < -9.9e5 && q[2] > 9.9e5, "sides of the gap", q[1], q[2]);
  relative(0.3 * student_t_cdf((q[4] + 1e6) / 1e-3, 5), 1e-300, 1e-6, "quantile at 1e-300");
  const double bad = 1.5;
  bool thrown = false;
  try {
    mixture_quantiles(modes.view(), &bad, 1, q, ws);
  } catch (const InvalidArgument&) {
    thrown = true;
  }
  check(thrown, "a probability of 1.5 is refused");
}

void test_distribution(MixtureWorkspace& ws) {
  Rng rng(4);
  for (int i = 0; i < 20; ++i) {
    const Mixture m = i % 2 ? typical_mixture(203, rng) : random_mixture(rng);
    const double y = m.loc[0] + rng(-3, 3) * m.scale[1];
    double F = 0, f = 0, mean = 0;
    for (std::size_t c = 0; c < m.loc.size(); ++c) {
      const double z = (y - m.loc[c]) / m.scale[c];
      F += m.weight[c] * student_t_cdf(z, m.df[c]);
      f += m.weight[c] / m.scale[c] * std::exp(student_t_log_pdf(z, m.df[c]));
      mean += m.weight[c] * m.loc[c];
    }
    near(mixture_cdf(m.view(), y), F, 1e-12, "cdf");
    if (f > 0) near(mixture_log_density(m.view(), y), std::log(f), 1e-10, "log density");
    if (*std::min_element(m.df.begin(), m.df.end()) > 1)
      near(mixture_mean(m.view()), mean, 1e-12 * (1 + std::fabs(m.loc[0])), "mean");
  }
  Mixture m;
  m.add(.4, 0, 1, 1e9), m.add(.6, 1, 2, 1e9);
  Mixture n = m;
  n.df = {inf, inf};
  relative(mixture_crps(m.view(), .7, ws), mixture_crps(n.view(), .7, ws), 1e-7,
           "df = 1e9 against the normal, crps");
  near(mixture_log_density(m.view(), .7), mixture_log_density(n.view(), .7), 1e-8,
       "df = 1e9 against the normal");
  near(mixture_log_density(n.view(), 200), std::log(.6 / 2) - 0.5 * std::log(2 * pi) - 0.5 * 99.5 * 99.5,
       1e-9, "normal tail");
  check(mixture_log_density(n.view(), 1e300) == -inf && mixture_cdf(n.view(), 1e300) == 1, "y = 1e300");
  check(mixture_log_density(m.view(), -inf) == -inf && mixture_cdf(m.view(), -inf) == 0, "y = -infinity");
  check(std::isnan(mixture_cdf(m.view(), NAN)) && std::isnan(mixture_crps(m.view(), NAN, ws)), "y = NaN");
  // Draws: Kolmogorov-Smirnov against the cdf; sqrt(n) D exceeds 2.4 with probability 2e-5.
  Mixture mix;
  mix.add(.3, -2, .5, 3), mix.add(0, 50, 1, 1), mix.add(.5, 1, 1, inf), mix.add(.2, 4, .2, 0.8);
  std::vector<double> draw(20000);
  for (double& x : draw) x = mixture_sample(mix.view(), rng.stream);
  std::sort(draw.begin(), draw.end());
  double D = 0;
  for (std::size_t i = 0; i < draw.size(); ++i) {
    const double F = mixture_cdf(mix.view(), draw[i]), size = double(draw.size());
    D = std::max({D, F - double(i) / size, double(i + 1) / size - F});
  }
  check(D * std::sqrt(double(draw.size())) < 2.4, "draws follow the cdf", D);
}

template <class Function>
void time_one(const char* name, int size, int repeats, Function function) {
  double best = inf;
  for (int round = 0; round < 15; ++round) {
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < repeats; ++i) function(1e-3 * i);
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  std::printf("W = %d, M = %d, %s: %.1f us\n", HSMOE_LANES, size, name, 1e6 * best / repeats);
}

void time_all(MixtureWorkspace& ws) {
  Rng rng(7);
  for (int size : {512, 4000}) {
    const Mixture m = typical_mixture(size, rng);
    const int n = 8192 / size;
    volatile double sink = 0;
    const double probs[3] = {0.05, 0.5, 0.95};
    double q[3];
    time_one("mean and variance", size, n,
             [&](double) { sink = mixture_mean(m.view()) + mixture_variance(m.view()); });
    time_one("log density", size, n, [&](double y) { sink = mixture_log_density(m.view(), y); });
    time_one("cdf", size, n, [&](double y) { sink = mixture_cdf(m.view(), y); });
    time_one("crps", size, n, [&](double y) { sink = mixture_crps(m.view(), y, ws); });
    time_one("3 quantiles", size, n, [&](double) { mixture_quantiles(m.view(), probs, 3, q, ws); });
    time_one("draw", size, n, [&](double) { sink = mixture_sample(m.view(), rng.stream); });
    (void)sink;
  }
}

}  // namespace

int main(int argc, char** argv) {
  MixtureWorkspace ws;
  test_student_t();
  test_closed_forms(ws);
  test_crps(ws);
  test_quantiles(ws);
  test_distribution(ws);
  if (argc > 1 && std::strcmp(argv[1], "time") == 0) time_all(ws);
  std::printf(failures ? "%d FAILED\n" : "mixture: all passed\n", failures);
  return failures != 0;
}
