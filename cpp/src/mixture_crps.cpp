// The continuous ranked probability score of the predictive mixture, and the change of variable that its
// quadrature shares with the quantiles.
//
//   CRPS(F, y) = integral (F - 1{t >= y})^2 dt = sum_m w_m CRPS(F_m, y) - integral V(t) dt,
//   V(t) = sum_m w_m F_m(t)^2 - F(t)^2, the variance of F_m(t) between the components,
//
// since (1/2) E|X - X'| (Gneiting & Raftery 2007, eq. 21) is the integral of F (1 - F) and the same holds of
// each F_m.  The first sum is in closed form (Jordan, Krueger & Lerch 2019, JSS 90(12), appendix A):
//
//   CRPS(t_df, z) = z (2 F(z) - 1) + 2 f(z) (df + z^2) / (df - 1) - S(df),
//   S(df) = 2 sqrt(df) / (df - 1) B(1/2, df - 1/2) / B(1/2, df/2)^2,
//
// so that only what the components disagree about is left to quadrature, and its tails fall like the square
// of a component's tail.  V is analytic with features no narrower than the components: the trapezoid rule in
// the variable of SinhMap converges geometrically in 1 / h, and halving h re-uses every node.
#include <hsmoe/predictive/mixture.hpp>

#include <algorithm>
#include <cmath>

#include <hsmoe/predictive/mixture_pack.hpp>

namespace hsmoe {

using namespace mixture_detail;

MixtureWorkspace::MixtureWorkspace() : impl_(new Impl) {}
MixtureWorkspace::~MixtureWorkspace() = default;
MixtureWorkspace::MixtureWorkspace(MixtureWorkspace&&) noexcept = default;
MixtureWorkspace& MixtureWorkspace::operator=(MixtureWorkspace&&) noexcept = default;

namespace mixture_detail {

void SinhMap::choose(const MixtureView& m, const std::size_t* index, std::size_t n, double coverage,
                     double negligible) {
  // Narrowest first: a narrow representative also resolves wider components around it, 1 / sqrt(s^2 + d^2)
  // being what a component asks of the slope at distance d.  A component is covered when the slope at its
  // centre reaches coverage / scale, or when its weight over the slope there cannot matter.
  loc.clear();
  scale.clear();
  size = 0;
  const std::size_t padded = (n + W - 1) / W * W;
  if (density.size() < 4 * padded) density.resize(4 * padded);
  double *rho = density.data(), *at = rho + padded, *s = at + padded, *weight = s + padded;
  for (std::size_t i = 0; i < padded; ++i) {
    const std::size_t k = index[std::min(i, n - 1)];
    rho[i] = 0;
    at[i] = m.loc[k];
    s[i] = m.scale[k];
    weight[i] = m.weight[k];
  }
  double next_loc = 0, next_scale = inf;
  for (std::size_t i = 0; i < n; ++i) {
    if (s[i] < next_scale) next_scale = s[i], next_loc = at[i];
  }
  while (next_scale < inf) {
    loc.push_back(next_loc);
    scale.push_back(next_scale);
    ++size;
    const double new_loc = next_loc, square = next_scale * next_scale;
    L best(inf), best_loc(0.0), lowest(inf);
    for (std::size_t i = 0; i < padded; i += W) {
      const L d = L::load(at + i) - new_loc, si = L::load(s + i);
      const L r = L::load(rho + i) + 1.0 / sqrt(d * d + square);
      r.store(rho + i);
      const Mask<W> matters = L::load(weight + i) > negligible * r;
      const Mask<W> open = (r * si < L(coverage)) & matters & (si < best);
      lowest = select(matters, min(lowest, r * si), lowest);
      best = select(open, si, best);
      best_loc = select(open, L::load(at + i), best_loc);
    }
    next_scale = least = inf;
    for (int k = 0; k < W; ++k) {
      least = std::min(least, lowest[k]);
      if (best[k] < next_scale) next_scale = best[k], next_loc = best_loc[k];
    }
  }
  if (!(least < inf)) least = 1;
}

double SinhMap::u(double t) const {
  double sum = 0;
  for (std::size_t c = 0; c < size; ++c) sum += std::asinh((t - loc[c]) / scale[c]);
  return sum;
}

double SinhMap::slope(double t) const {
  double sum = 0;
  for (std::size_t c = 0; c < size; ++c) {
    const double d = t - loc[c];
    sum += 1 / std::sqrt(scale[c] * scale[c] + d * d);
  }
  return sum;
}

void SinhMap::solve(const double* target, double* t, double* dt, int count) const {
  constexpr int V = 4;
  using L4 = Lane<V>;
  for (int first = 0; first < count; first += V) {
    double buffer[2 * V];
    for (int k = 0; k < V; ++k) {
      buffer[k] = target[std::min(first + k, count - 1)];
      buffer[V + k] = t[std::min(first + k, count - 1)];
    }
    const L4 goal = L4::load(buffer);
    L4 x = L4::load(buffer + V), width(1.0);
    for (int round = 0; round < 8; ++round) {
      L4 u(0.0), rho(0.0);
      for (std::size_t c = 0; c < size; ++c) {
        const double inverse = 1 / scale[c];
        const L4 d = (x - loc[c]) * inverse, r = sqrt(1.0 + d * d);
        const L4 a = log(abs(d) + r);
        u += select(d < L4(0.0), -a, a);
        rho += inverse / r;
      }
      const L4 miss = u - goal;
      width = 1.0 / rho;
      // |d(dt/du)/du| <= dt/du: the step leaves an error of at most miss^2 / 2, and the slope at the new
      // point follows to the same order from one more pass.
      if (!any(abs(miss) > L4(1e-12))) break;
      x = x - min(max(miss, L4(-0.5)), L4(0.5)) * width;
    }
    for (int k = 0; k < V && first + k < count; ++k) {
      t[first + k] = x[k];
      dt[first + k] = width[k];
    }
  }
}

}  // namespace mixture_detail

namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double inv_sqrt_pi = 0.56418958354775628695;

/// sum_m w_m CRPS(F_m, y); NaN if a component of positive weight has df <= 1.
double mean_of_scores(const MixtureView& m, double y) {
  using namespace student_t_detail;
  L sum(0.0);
  Mask<W> bad = Mask<W>::all_false();
  for (std::size_t i = 0; i < m.size; i += W) {
    const L weight = load_padded(m.weight, i, m.size, 0.0), scale = load_padded(m.scale, i, m.size, 1.0);
    const L raw_df = load_padded(m.df, i, m.size, inf);
    const Mask<W> on = weight > L(0.0);
    bad = bad | (on & !(raw_df > L(1.0)));
    const L df = max(min(raw_df, L(max_df)), L(1.0 + 0x1p-40));
    const L distance = abs(y - load_padded(m.loc, i, m.size, 0.0)), x = min(distance / scale, L(max_abs));
    const L R = gamma_half_ratio(0.5 * df), R2 = gamma_half_ratio(df - 0.5);
    L w;
    const L p = tail(x, df, R, w);
    // 2 f (df + z^2) / (df - 1) = 2 R / sqrt(2 pi) df / (df - 1) exp(-(df - 1) w / 2), and S in terms of R.
    const L over = df / (df - 1.0);
    const L spread = (2.0 * inv_sqrt_2pi) * R * exp(-(0.5 * (df - 1.0) * w));
    const L self = inv_sqrt_pi * R * R * sqrt(df / (df - 0.5)) / R2;
    sum += select(on, weight * (distance * (1.0 - 2.0 * p) + scale * over * (spread - self)), L(0.0));
  }
  return any(bad) ? nan : sum_lanes(sum);
}

struct Quadrature {
  double integral, error;
};

/// Integral of V over the packed components with an absolute error near `tolerance`; [low, high] holds every
/// component's centre and one scale to each side.
Quadrature between_components(MixtureWorkspace::Impl& ws, double low, double high, double min_df,
                              double tolerance);

}  // namespace

double mixture_crps(const MixtureView& m, double y, MixtureWorkspace& workspace) {
  const double score = mean_of_scores(m, y);
  if (!(score < inf) || m.size < 2) return score;
  if (!well_placed(m)) return std::numeric_limits<double>::quiet_NaN();
  MixtureWorkspace::Impl& ws = workspace.impl();
  if (ws.index.size() < m.size) ws.index.resize(m.size);

  double centre = 0, total = 0;
  for (std::size_t i = 0; i < m.size; ++i) {
    if (m.weight[i] > 0) centre += m.weight[i] * m.loc[i], total += m.weight[i];
  }
  centre /= total;
  // reach = bound of E|X_m - centre|, with E|T| <= 0.8 df / (df - 1).
  const auto reach = [&](std::size_t i) {
    const double spread = m.df[i] < inf ? m.df[i] / (m.df[i] - 1) : 1.0;
    return std::fabs(m.loc[i] - centre) + 0.8 * m.scale[i] * spread;
  };
  double mean_reach = 0;
  for (std::size_t i = 0; i < m.size; ++i) {
    if (m.weight[i] > 0) mean_reach += m.weight[i] * reach(i);
  }

  // Leaving a component out of V changes the integral by at most w_m E|X_m - X|.  The sum of all that is left
  // out, and the error of the quadrature, must be small against the score, which is known only afterwards:
  // guess it, and repeat with the value found if that guess was far too high.
  double scale = 0.25 * score, result = score;
  for (int round = 0; round < 4; ++round) {
    const double negligible = 2e-7 * scale / double(m.size);
    double kept = 0, low = inf, high = -inf, min_df = inf;
    std::size_t n = 0;
    for (std::size_t i = 0; i < m.size; ++i) {
      if (!(m.weight[i] > 0 && m.weight[i] * (reach(i) + mean_reach) > negligible)) continue;
      ws.index[n++] = i;
      kept += m.weight[i];
      low = std::min(low, m.loc[i] - m.scale[i]);
      high = std::max(high, m.loc[i] + m.scale[i]);
      min_df = std::min(min_df, m.df[i]);
    }
    if (n < 2) return score;
    ws.fast.build(m, ws.index.data(), n, 1 / kept);
    ws.map.choose(m, ws.index.data(), n, 0.7, negligible);
    const Quadrature q = between_components(ws, low, high, min_df, 4e-7 * scale);
    result = score - q.integral;
    if (result > 0.25 * scale) break;
    scale = std::max(result, 0.01 * scale);
  }
  return result;
}

namespace {

constexpr int kBlock = 2;       // nodes a pass over the components
constexpr double kStep = 0.65;  // first step in u where the slope at every centre is at least 1 / scale
constexpr int kMaxNodes = 400000;

Quadrature between_components(MixtureWorkspace::Impl& ws, double low, double high, double min_df,
                              double tolerance) {
  const SinhMap& map = ws.map;
  const double start = map.loc[0], u0 = map.u(start);
  // Outside [low, high] V <= sum w F_m^2 comes to fall like |t|^(-2 df): what is left is near d V / (2 df -
  // 1), d the distance from whatever component it is that has the tail: at most that of the far end.  A large
  // df reaches its power only far out: 3 stands for it.
  const double tail_factor = 1 / (2 * std::min(min_df, 3.0) - 1);
  double h = kStep * std::min(map.least, 2.0), integral = 0;
  std::vector<double>&t = ws.t, &dt = ws.dt;
  t.clear();
  dt.clear();

  double target[kBlock], node[kBlock], width[kBlock], F[kBlock], F2[kBlock];
  const auto variance = [&](double side) {
    double sides[kBlock];
    std::fill(sides, sides + kBlock, side);
    ws.fast.evaluate<false, kBlock>(node, sides, F, F2);
    double sum = 0;
    for (int k = 0; k < kBlock; ++k) sum += (F2[k] - F[k] * F[k]) * width[k];
    return sum;
  };
  // March left from the node before `start`, then right from `start`, in blocks.
  std::size_t left_count = 0;
  for (int side = -1; side <= 1; side += 2) {
    double last = start, u_last = u0;
    for (int j = side < 0 ? 1 : 0; j < kMaxNodes; j += kBlock) {
      for (int k = 0; k < kBlock; ++k) {
        target[k] = u0 + side * h * (j + k);
        const double middle = last + 0.5 * (target[k] - u_last) / map.slope(last);
        node[k] = last + (target[k] - u_last) / map.slope(middle);
        last = node[k];
        u_last = target[k];
      }
      map.solve(target, node, width, kBlock);
      last = node[kBlock - 1];
      variance(side);
      // The first node behind which nothing is left is the last.
      bool done = false;
      for (int k = 0; k < kBlock && !done; ++k) {
        const double V = F2[k] - F[k] * F[k], reach = side < 0 ? high - node[k] : node[k] - low;
        t.push_back(node[k]);
        dt.push_back(width[k]);
        integral += V * width[k];
        // V itself has zeros where two components cross.
        done = (side < 0 ? node[k] < low : node[k] > high) && F2[k] * reach * tail_factor < 0.25 * tolerance;
      }
      if (done) break;
    }
    if (side < 0) {
      left_count = t.size();
      std::reverse(t.begin(), t.end());
      std::reverse(dt.begin(), dt.end());
    }
  }
  integral *= h;

  double error = inf;
  for (int level = 0; level < 12; ++level) {
    const std::size_t old = t.size();
    const double first = u0 - h * double(left_count);
    ws.scratch_t.resize(2 * old - 1);
    ws.scratch_dt.resize(2 * old - 1);
    for (std::size_t i = 0; i < old; ++i) ws.scratch_t[2 * i] = t[i], ws.scratch_dt[2 * i] = dt[i];
    double sum = 0;
    for (std::size_t i = 0; i + 1 < old; i += kBlock) {
      const int count = int(std::min<std::size_t>(kBlock, old - 1 - i));
      for (int k = 0; k < kBlock; ++k) {
        const std::size_t a = i + std::min(k, count - 1);  // cubic Hermite interpolation of t(u)
        target[k] = first + h * (double(a) + 0.5);
        node[k] = 0.5 * (t[a] + t[a + 1]) + 0.125 * h * (dt[a] - dt[a + 1]);
      }
      map.solve(target, node, width, kBlock);
      for (int k = 0; k < count; ++k) {
        ws.scratch_t[2 * (i + k) + 1] = node[k];
        ws.scratch_dt[2 * (i + k) + 1] = width[k];
      }
      for (int k = count; k < kBlock; ++k) width[k] = 0;
      sum += variance(node[0] < start ? -1 : 1);
    }
    t.swap(ws.scratch_t);
    dt.swap(ws.scratch_dt);
    left_count *= 2;
    h *= 0.5;
    const double finer = 0.5 * integral + h * sum, change = std::fabs(finer - integral);
    integral = finer;
    // Geometric convergence squares the relative error when h is halved; measured, it does a little better.
    error = std::min(change, 2 * change * change / std::max(integral, 1e-300));
    if (error < tolerance || t.size() > kMaxNodes) break;
  }
  return {integral, error};
}

}  // namespace

}  // namespace hsmoe
