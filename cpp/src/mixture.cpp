// Moments, density, distribution function and draws of the predictive mixture.
#include <hsmoe/predictive/mixture.hpp>

#include <algorithm>
#include <cmath>

#include <hsmoe/predictive/mixture_pack.hpp>
#include <hsmoe/random/variates.hpp>

namespace hsmoe {

using namespace mixture_detail;

namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

struct Moments {
  double mean, variance;
};

/// Two passes: sum w loc, then sum w (loc - mean)^2 + w scale^2 df / (df - 2).
Moments moments(const MixtureView& m) {
  L first(0.0);
  Mask<W> no_mean = Mask<W>::all_false(), no_variance = Mask<W>::all_false();
  for (std::size_t i = 0; i < m.size; i += W) {
    const L w = load_padded(m.weight, i, m.size, 0.0), df = load_padded(m.df, i, m.size, inf);
    const Mask<W> on = w > L(0.0);
    no_mean = no_mean | (on & (df <= L(1.0)));
    no_variance = no_variance | (on & (df <= L(2.0)));
    first += select(on, w * load_padded(m.loc, i, m.size, 0.0), L(0.0));
  }
  if (any(no_mean)) return {nan, nan};
  const double mean = sum_lanes(first);
  if (any(no_variance)) return {mean, inf};
  L second(0.0);
  for (std::size_t i = 0; i < m.size; i += W) {
    const L w = load_padded(m.weight, i, m.size, 0.0), df = load_padded(m.df, i, m.size, inf);
    const L d = load_padded(m.loc, i, m.size, 0.0) - mean, s = load_padded(m.scale, i, m.size, 1.0);
    const L spread = select(df < L(student_t_detail::max_df), df / (df - 2.0), L(1.0));
    second += select(w > L(0.0), w * (d * d + s * s * spread), L(0.0));
  }
  return {mean, sum_lanes(second)};
}

}  // namespace

double mixture_mean(const MixtureView& m) { return moments(m).mean; }

double mixture_variance(const MixtureView& m) { return moments(m).variance; }

double mixture_log_density(const MixtureView& m, double y) {
  using namespace student_t_detail;
  if (std::isnan(y)) return nan;
  // sum_m w_m R(df/2) / (sqrt(2 pi) s_m) (1 + x^2 / df)^(-(df + 1) / 2),  R = gamma_half_ratio.
  L sum(0.0);
  for (std::size_t i = 0; i < m.size; i += W) {
    const L w = load_padded(m.weight, i, m.size, 0.0), s = load_padded(m.scale, i, m.size, 1.0);
    const L df = min(load_padded(m.df, i, m.size, inf), L(max_df));
    const L x = min(abs((y - load_padded(m.loc, i, m.size, 0.0)) / s), L(max_abs));
    const L f = exp(-(0.5 * (df + 1.0) * log1p_positive(x * x / df))) * gamma_half_ratio(0.5 * df);
    sum += select(w > L(0.0), w * f / s, L(0.0));
  }
  const double density = sum_lanes(sum) * inv_sqrt_2pi;
  if (density > 1e-280 && density < inf && std::fabs(y) < 1e100) return std::log(density);
  // Far in the tails: log sum exp in two passes over the scalar function.
  if (std::isinf(y)) return -inf;
  double top = -inf, total = 0;
  for (int pass = 0; pass < 2; ++pass) {
    for (std::size_t i = 0; i < m.size; ++i) {
      if (!(m.weight[i] > 0)) continue;
      const double l =
          std::log(m.weight[i] / m.scale[i]) + student_t_log_pdf((y - m.loc[i]) / m.scale[i], m.df[i]);
      if (pass == 0) top = std::max(top, l);
      else total += std::exp(l - top);
    }
    if (!(top > -inf)) return top;
  }
  return top + std::log(total);
}

double mixture_cdf(const MixtureView& m, double y) {
  if (std::isnan(y)) return nan;
  // The two sides apart, so that neither tail drowns the other: F = left + (total weight right - right).
  L left(0.0), weight(0.0), right(0.0);
  for (std::size_t i = 0; i < m.size; i += W) {
    const L w = load_padded(m.weight, i, m.size, 0.0), loc = load_padded(m.loc, i, m.size, 0.0);
    const L t = (y - loc) / load_padded(m.scale, i, m.size, 1.0);
    const L p = student_t_cdf(-abs(t), load_padded(m.df, i, m.size, inf));  // the smaller tail
    const Mask<W> on = w > L(0.0), below = t < L(0.0);
    const L wp = select(on, w * p, L(0.0));
    left += select(below, wp, L(0.0));
    right += select(below, L(0.0), wp);
    weight += select(on & !below, w, L(0.0));
  }
  return std::min(1.0, std::max(0.0, sum_lanes(left) + (sum_lanes(weight) - sum_lanes(right))));
}

std::size_t draw_component(const double* weight, std::size_t size, Stream<1>& rng) {
  const double u = uniform<1>(rng, Mask<1>::all_true())[0];
  double total = 0;
  std::size_t last = 0;
  for (std::size_t i = 0; i < size; ++i) {
    if (!(weight[i] > 0)) continue;
    last = i;
    total += weight[i];
    if (u < total) break;
  }
  return last;  // also where rounding left the total below u
}

double mixture_sample(const MixtureView& m, Stream<1>& rng) {
  const Mask<1> on = Mask<1>::all_true();
  const std::size_t k = draw_component(m.weight, m.size, rng);
  const double z = normal<1>(rng, on)[0];
  if (!(m.df[k] < student_t_detail::max_df)) return m.loc[k] + m.scale[k] * z;
  const double half = 0.5 * m.df[k], chi = gamma<1>(rng, on, Lane<1>(half))[0] / half;
  return m.loc[k] + m.scale[k] * z / std::sqrt(chi);
}

}  // namespace hsmoe
