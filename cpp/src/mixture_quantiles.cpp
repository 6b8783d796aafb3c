// Quantiles of the predictive mixture: first guesses from a table in the variable of SinhMap, which has a few
// nodes beside every component that matters, then Newton's method on the mixture itself.
#include <hsmoe/predictive/mixture.hpp>

#include <algorithm>
#include <cmath>
#include <vector>

#include <hsmoe/error.hpp>
#include <hsmoe/predictive/mixture_pack.hpp>

namespace hsmoe {

using namespace mixture_detail;

namespace {

constexpr int kNodes = 2;  // nodes of the table a pass over the components
constexpr int kRoots = 4;  // roots sought side by side
constexpr int kMaxSteps = 200;

/// One wanted quantile: the root of log(T(x) / tail), T = F (side -1) or 1 - F (side 1), tail <= 1/2.
struct Root {
  double tail, side, x, low, high, step;
  int steps;
};

/// Table of (t, F or 1 - F) on the grid u0 + j, left of the centre with side -1, right of it with side 1.
struct Table {
  std::vector<double>&t, &tail;
  std::size_t left = 0;  // nodes of side -1; both tails fall away from there

  /// Guess for the root, by linear interpolation of log tail; past the table its end.
  double guess(double p_tail, double side) const {
    // F at every node as a tail on the root's side.
    const auto value = [&](std::size_t i) {
      const bool own = (i < left) == (side < 0);
      return own ? tail[i] : 1 - tail[i];
    };
    std::size_t a = 0, b = t.size() - 1;  // value rises with i if side < 0, falls if side > 0
    if (side < 0 ? value(a) >= p_tail : value(a) <= p_tail) return t[a];
    if (side < 0 ? value(b) <= p_tail : value(b) >= p_tail) return t[b];
    while (b - a > 1) {
      const std::size_t c = (a + b) / 2;
      ((value(c) < p_tail) == (side < 0) ? a : b) = c;
    }
    const double la = std::log(value(a)), lb = std::log(value(b));
    const double fraction = (std::log(p_tail) - la) / (lb - la);
    return fraction > 0 && fraction < 1 ? t[a] + (t[b] - t[a]) * fraction : 0.5 * (t[a] + t[b]);
  }
};

/// Marches from the first representative to both sides in unit steps of u until the tails are below
/// `smallest`.
Table tabulate(MixtureWorkspace::Impl& ws, const double smallest[2]) {
  const SinhMap& map = ws.map;
  const double start = map.loc[0], u0 = map.u(start);
  Table table{ws.t, ws.F};
  table.t.clear();
  table.tail.clear();
  double target[kNodes], node[kNodes], width[kNodes], F[kNodes], f[kNodes], sides[kNodes];
  for (int s = 0; s < 2; ++s) {
    const double side = s == 0 ? -1 : 1;
    std::fill(sides, sides + kNodes, side);
    double last = start, u_last = u0;
    for (int j = s == 0 ? 1 : 0; j < 4000; j += kNodes) {
      for (int k = 0; k < kNodes; ++k) {
        target[k] = u0 + side * (j + k);
        const double middle = last + 0.5 * (target[k] - u_last) / map.slope(last);
        node[k] = last + (target[k] - u_last) / map.slope(middle);
        last = node[k];
        u_last = target[k];
      }
      map.solve(target, node, width, kNodes);
      last = node[kNodes - 1];
      ws.fast.evaluate<false, kNodes>(node, sides, F, f);
      for (int k = 0; k < kNodes; ++k) {
        table.t.push_back(node[k]);
        table.tail.push_back(F[k]);
      }
      if (F[kNodes - 1] < std::max(smallest[s], 1e-8)) break;
    }
    if (s == 0) {
      table.left = table.t.size();
      std::reverse(table.t.begin(), table.t.end());
      std::reverse(table.tail.begin(), table.tail.end());
    }
  }
  return table;
}

/// Takes one safeguarded Newton step given T and the density at x; true when the root is found.
/// log T against x is nearly linear in exponential tails and concave in normal ones: few steps either way.
bool advance(Root& r, double T, double density, double slope) {
  const double g = std::log(T / r.tail);
  if (!(std::fabs(g) > 4e-16)) return true;
  ((g > 0) == (r.side < 0) ? r.high : r.low) = r.x;
  const bool bracketed = r.low > -inf && r.high < inf;
  // A step stays in the neighbourhood that the map sees as smooth, until the search turns out to be a long
  // one.
  const double reach = std::ldexp(2 / slope, bracketed ? 0 : std::min(r.steps, 60));
  double step = r.side * g * (T / density);
  if (!(std::fabs(step) <= reach)) step = (g > 0) == (r.side > 0) ? reach : -reach;
  double next = r.x + step;
  if (bracketed && (!(next > r.low && next < r.high) || (r.steps > 3 && std::fabs(step) > 0.5 * r.step))) {
    next = 0.5 * r.low + 0.5 * r.high;
    step = next - r.x;
  }
  const bool done = std::fabs(step) * slope < 1e-12 || next == r.x || ++r.steps >= kMaxSteps;
  r.step = std::fabs(step);
  r.x = next;
  return done;
}

/// The lane kernel has a small absolute error; a far tail needs a small relative one: Newton steps with the
/// scalar distribution function.
void polish(const MixtureView& m, const std::size_t* index, std::size_t n, double total, double slope,
            Root& r) {
  for (int round = 0; round < 3; ++round) {
    double T = 0, density = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const std::size_t k = index[i];
      const double z = (r.x - m.loc[k]) / m.scale[k], weight = m.weight[k] / total;
      T += weight * student_t_cdf(-r.side * z, m.df[k]);
      density += weight / m.scale[k] * std::exp(student_t_log_pdf(z, m.df[k]));
    }
    const double step = r.side * std::log(T / r.tail) * (T / density);
    if (!(std::fabs(step) * slope < 1)) return;
    r.x += step;
    if (std::fabs(step) * slope < 1e-7) return;
  }
}

template <int nodes>
void iterate(const MixtureWorkspace::Impl& ws, Root** active, int& count) {
  double x[nodes], side[nodes], T[nodes], density[nodes];
  for (int k = 0; k < nodes; ++k) {
    x[k] = active[std::min(k, count - 1)]->x;
    side[k] = active[std::min(k, count - 1)]->side;
  }
  ws.accurate.evaluate<true, nodes>(x, side, T, density);
  int left = 0;
  for (int k = 0; k < count; ++k) {
    if (!advance(*active[k], T[k], density[k], ws.map.slope(x[k]))) active[left++] = active[k];
  }
  count = left;
}

}  // namespace

void mixture_quantiles(const MixtureView& m, const double* probs, int n_probs, double* out,
                       MixtureWorkspace& workspace) {
  MixtureWorkspace::Impl& ws = workspace.impl();
  if (ws.index.size() < m.size) ws.index.resize(m.size);
  std::size_t n = 0;
  double total = 0, width = 0, smallest[2] = {0.5, 0.5};
  for (int i = 0; i < n_probs; ++i) {
    const double p = probs[i];
    if (!(p >= 0 && p <= 1)) detail::invalid("mixture_quantiles", "probs", p, "between 0 and 1");
    if (p > 0 && p < 0.5) smallest[0] = std::min(smallest[0], p);
    if (p < 1 && p >= 0.5) smallest[1] = std::min(smallest[1], 1 - p);
  }
  for (std::size_t i = 0; i < m.size; ++i) {
    if (!(m.weight[i] > 0)) continue;
    ws.index[n++] = i;
    total += m.weight[i];
    width += m.weight[i] * m.scale[i];
  }
  if (n == 0 || !well_placed(m)) {
    std::fill(out, out + n_probs, std::numeric_limits<double>::quiet_NaN());
    return;
  }
  if (n == 1) {
    const std::size_t k = ws.index[0];
    for (int i = 0; i < n_probs; ++i) out[i] = m.loc[k] + m.scale[k] * student_t_quantile(probs[i], m.df[k]);
    return;
  }
  ws.fast.build(m, ws.index.data(), n, 1 / total);
  ws.accurate.build(m, ws.index.data(), n, 1 / total);
  ws.map.choose(m, ws.index.data(), n, 0.5, 1e-4 * width / double(m.size));
  const Table table = tabulate(ws, smallest);

  for (int first = 0; first < n_probs; first += kRoots) {
    Root roots[kRoots];
    Root* active[kRoots];
    const int size = std::min(kRoots, n_probs - first);
    int count = 0;
    for (int k = 0; k < size; ++k) {
      const double p = probs[first + k], side = p < 0.5 ? -1 : 1, tail = std::min(p, 1 - p);
      roots[k] = {tail, side, side * inf, -inf, inf, inf, 0};
      if (tail == 0) continue;
      roots[k].x = table.guess(tail, side);
      active[count++] = &roots[k];
    }
    while (count > 0) {
      if (count == 1) iterate<1>(ws, active, count);
      else if (count == 2) iterate<2>(ws, active, count);
      else if (count == 3) iterate<3>(ws, active, count);
      else iterate<kRoots>(ws, active, count);
    }
    for (int k = 0; k < size; ++k) {
      Root& r = roots[k];
      if (r.tail > 0 && r.tail < 1e-3) polish(m, ws.index.data(), n, total, ws.map.slope(r.x), r);
      out[first + k] = r.x;
    }
  }
  // Two roots closer than the tolerance must not come out in the wrong order.
  ws.order.resize(n_probs);
  for (int i = 0; i < n_probs; ++i) ws.order[i] = i;
  std::sort(ws.order.begin(), ws.order.end(), [&](int a, int b) { return probs[a] < probs[b]; });
  for (int i = 1; i < n_probs; ++i) out[ws.order[i]] = std::max(out[ws.order[i]], out[ws.order[i - 1]]);
}

}  // namespace hsmoe
