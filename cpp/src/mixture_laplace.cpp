// Mixtures of Laplace components.  Fields: location, scale s; density exp(-|y - loc|/s) / (2s).
//
// CRPS = sum_m w_m CRPS(F_m, y) - integral V(t) dt, V = sum_m w_m F_m^2 - F^2 (see mixture_crps.cpp), where
//     CRPS(Laplace, z) = s (|z| + exp(-|z|) - 3/4),  z = (y - loc)/s
// (Jordan, Krueger & Lerch 2019).  The rest goes by the trapezoid rule in the variable of SinhMap, in which nothing is
// narrower than about a unit.  At every location the second derivative of V jumps, which leaves an error of third order
// in the step, of one sign for a few components and of any for many.
#include <algorithm>
#include <cmath>

#include <hsmoe/predictive/mixture_pack.hpp>
#include <hsmoe/random/variates.hpp>

#include "law_kinds.hpp"

namespace hsmoe {

using namespace mixture_detail;

namespace {

class LaplaceLaw final : public PredictiveLaw {
 public:
  int fields() const override { return 2; }

  double mean(const ComponentView& m) const override {
    double sum = 0;
    for (std::size_t i = 0; i < m.size; ++i)
      if (m.weight[i] > 0) sum += m.weight[i] * m[0][i];
    return sum;
  }
  double variance(const ComponentView& m) const override {
    const double centre = mean(m);
    double sum = 0;
    for (std::size_t i = 0; i < m.size; ++i) {
      const double e = m[0][i] - centre, s = m[1][i];
      if (m.weight[i] > 0) sum += m.weight[i] * (e * e + 2 * s * s);
    }
    return sum;
  }
  double log_density(const ComponentView& m, double y) const override {
    L top(-inf);
    const auto term = [&](std::size_t i) {
      const L w = load_padded(m.weight, i, m.size, 0.0), s = load_padded(m[1], i, m.size, 1.0);
      const L l = log(w / (2.0 * s)) - abs((y - load_padded(m[0], i, m.size, 0.0)) / s);
      return select(w > L(0.0), l, L(-inf));
    };
    for (std::size_t i = 0; i < m.size; i += W) top = max(top, term(i));
    double highest = top[0];
    for (int k = 1; k < W; ++k) highest = std::max(highest, top[k]);
    if (!(y == y)) return y;
    if (!(highest > -inf)) return -inf;
    L sum(0.0);
    for (std::size_t i = 0; i < m.size; i += W) sum += exp(term(i) - highest);
    return highest + std::log(sum_lanes(sum));
  }
  double cdf(const ComponentView& m, double y) const override {
    if (!(y == y)) return y;
    double below, density, square;
    evaluate(m, y, -1, below, density, square);
    return std::min(1.0, below);
  }

  // Newton steps inside a bracket: some component lies below, and some above.
  void quantiles(const ComponentView& m, const double* probs, int n, double* out, MixtureWorkspace&) const override {
    check_probabilities(probs, n);
    for (int i = 0; i < n; ++i) {
      const double p = probs[i];
      if (p == 0 || p == 1) {
        out[i] = p ? inf : -inf;
        continue;
      }
      const double q = p < 0.5 ? std::log(2 * p) : -std::log(2 * (1 - p));
      double low = inf, high = -inf;
      for (std::size_t c = 0; c < m.size; ++c) {
        if (!(m.weight[c] > 0)) continue;
        const double t = m[0][c] + m[1][c] * q;
        low = std::min(low, t);
        high = std::max(high, t);
      }
      // From the side where the probability is small, whose relative accuracy is kept.
      const double side = p < 0.5 ? -1 : 1, goal = p < 0.5 ? p : 1 - p;
      double t = 0.5 * (low + high);
      for (int step = 0; step < 200 && high - low > 1e-15 * (std::abs(low) + std::abs(high)); ++step) {
        double tail, density, square;
        evaluate(m, t, side, tail, density, square);
        const double excess = side < 0 ? tail - goal : goal - tail;  // F(t) - p
        if (excess == 0) break;
        (excess > 0 ? high : low) = t;
        double next = t - excess / density;
        const bool newton = next > low && next < high && step % 8 != 7;
        if (!newton) next = 0.5 * (low + high);
        // A midpoint in a gap between components has no density, however far it is from the quantile.
        const bool there = newton ? std::abs(next - t) * density < 1e-13 * goal : !(next > low && next < high);
        t = next;
        if (there) break;
      }
      out[i] = t;
    }
    // Rounding must not reverse neighbours.
    for (int i = 0; i < n; ++i)
      for (int j = 0; j < n; ++j)
        if (probs[j] < probs[i]) out[i] = std::max(out[i], out[j]);
  }

  double crps(const ComponentView& m, double y, MixtureWorkspace& workspace) const override {
    if (!(y == y)) return y;
    double score = 0;
    for (std::size_t i = 0; i < m.size; ++i) {
      if (!(m.weight[i] > 0)) continue;
      const double s = m[1][i], z = std::abs(y - m[0][i]) / s;
      score += m.weight[i] * s * (z + std::exp(-z) - 0.75);
    }
    if (!(score < inf) || m.size < 2) return score;
    MixtureWorkspace::Impl& ws = workspace.impl();
    ws.index.resize(std::max(ws.index.size(), m.size));
    const MixtureView view{m.size, m.weight, m[0], m[1], m[1]};
    const double tolerance = 1e-7 * score;
    std::size_t n = 0;
    double low = inf, high = -inf;
    for (std::size_t i = 0; i < m.size; ++i) {
      if (!(m.weight[i] > 0)) continue;
      ws.index[n++] = i;
      low = std::min(low, m[0][i]);
      high = std::max(high, m[0][i]);
    }
    if (n < 2) return score;
    ws.map.choose(view, ws.index.data(), n, 0.7, tolerance / double(m.size));
    // Outward from a representative by units of u until nothing is left (V < F there, which falls at least like the
    // widest tail); then steps halved, each old node used again.
    const double start = ws.map.loc[0], u0 = ws.map.u(start);
    double t = start, tail = 0;
    const auto value = [&](double u) {
      t = place(ws.map, u, t);
      double density, square;
      evaluate(m, t, u < u0 ? -1 : 1, tail, density, square);
      return (square - tail * tail) / ws.map.slope(t);
    };
    double integral = value(u0), first = u0, last = u0;
    for (int side = -1; side <= 1; side += 2) {
      double& end = side < 0 ? first : last;
      t = start;
      for (int step = 0; step < 4000; ++step) {
        integral += value(end += side);
        if ((side < 0 ? t < low : t > high) && tail / ws.map.slope(t) < tolerance) break;
      }
    }
    double h = 1;
    for (int halving = 0; halving < 16; ++halving) {
      const int count = int(std::lround((last - first) / h));
      double odd = 0;
      t = place(ws.map, first, start);
      for (int k = 0; k < count; ++k) odd += value(first + (k + 0.5) * h);
      h *= 0.5;
      const double finer = 0.5 * integral + h * odd, change = std::abs(finer - integral);
      integral = finer;
      // What is left is about a seventh of the change (third order), or far less.
      if (halving > 0 && change < 2e-6 * std::abs(score - finer)) break;
    }
    return score - integral;
  }

  double sample(const ComponentView& m, Stream<1>& rng) const override {
    const std::size_t i = draw_component(m.weight, m.size, rng);
    const double u = uniform<1>(rng, Mask<1>::all_true())[0];
    return m[0][i] + m[1][i] * (u < 0.5 ? std::log(2 * u) : -std::log(2 * (1 - u)));
  }

 private:
  /// tail = F(t) if side < 0, 1 - F(t) else; the density; square = sum of w_m tail_m^2.
  static void evaluate(const ComponentView& m, double t, double side, double& tail, double& density, double& square) {
    L sum(0.0), slope(0.0), squares(0.0);
    for (std::size_t i = 0; i < m.size; i += W) {
      const L w = load_padded(m.weight, i, m.size, 0.0), s = load_padded(m[1], i, m.size, 1.0);
      const L z = (load_padded(m[0], i, m.size, 0.0) - t) * side / s, half = 0.5 * exp(-abs(z));
      const Mask<W> on = w > L(0.0);
      const L F = select(z < L(0.0), half, 1.0 - half);  // side < 0: z > 0 beyond the location
      sum += select(on, w * F, L(0.0));
      squares += select(on, w * F * F, L(0.0));
      slope += select(on, w * half / s, L(0.0));
    }
    tail = sum_lanes(sum);
    square = sum_lanes(squares);
    density = sum_lanes(slope);
  }
  /// t with map.u(t) = u, from a guess: |d slope / du| is at most the slope, so steps of half a unit are safe.
  static double place(const SinhMap& map, double u, double t) {
    for (int step = 0; step < 400; ++step) {
      const double miss = u - map.u(t);
      t += std::clamp(miss, -0.5, 0.5) / map.slope(t);
      if (std::abs(miss) < 1e-9) break;
    }
    return t;
  }
};

}  // namespace

std::unique_ptr<PredictiveLaw> make_laplace_law() { return std::make_unique<LaplaceLaw>(); }

}  // namespace hsmoe
