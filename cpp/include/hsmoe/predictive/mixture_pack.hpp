// A mixture laid out for many evaluations: the constants of each component computed once, components that
// need the raising of df (student_t.hpp) behind those that do not, both padded with weight 0 to full lanes.
// Private to cpp/src/mixture*.cpp.
#pragma once

#include <cstddef>
#include <limits>
#include <type_traits>
#include <vector>

#include <hsmoe/predictive/mixture.hpp>
#include <hsmoe/predictive/student_t.hpp>

#ifndef HSMOE_LANES
#define HSMOE_LANES 2
#endif

namespace hsmoe {
namespace mixture_detail {

constexpr int W = HSMOE_LANES;
using L = Lane<W>;
constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double inv_sqrt_2pi = 0.39894228040143267794;

/// Lanes i .. i + W - 1 of an array of n values, `fill` behind its end.
HSMOE_INLINE L load_padded(const double* p, std::size_t i, std::size_t n, double fill) {
  if (i + W <= n) return L::load(p + i);
  double buffer[W];
  for (int k = 0; k < W; ++k) buffer[k] = i + k < n ? p[i + k] : fill;
  return L::load(buffer);
}

/// Sum of the lanes in order.
HSMOE_INLINE double sum_lanes(L a) {
  double s = a[0];
  for (int k = 1; k < W; ++k) s += a[k];
  return s;
}

/// Elementary functions for student_t_fit::Accurate: those of the lane type.
template <class Fit>
struct Elementary {
  static HSMOE_INLINE L log1p_positive(L q) { return student_t_detail::log1p_positive(q); }
  static HSMOE_INLINE L exp_negative(L x) { return exp(x); }
  static HSMOE_INLINE L root(L x) { return sqrt(x); }
  static HSMOE_INLINE L ratio(L a, L b) { return a / b; }
};

/// For student_t_fit::Fast: relative errors near 1e-10, half the work.
template <>
struct Elementary<student_t_fit::Fast> {
  static HSMOE_INLINE L log1p_positive(L q) {
    const L u = 1.0 + q;
    const LaneU<W> shifted = bits(u) + LaneU<W>(0x3ff0000000000000ull - 0x3fe6a09e667f3bcdull);
    const L e = from_bits((shifted >> 52) | LaneU<W>(0x4330000000000000ull)) - (0x1p52 + 1023.0);
    const LaneU<W> m_bits = (shifted & LaneU<W>(0x000fffffffffffffull)) + LaneU<W>(0x3fe6a09e667f3bcdull);
    const L f = select(e == L(0.0), q, from_bits(m_bits) - 1.0);
    const L s = ratio_near_two(f), s2 = s * s;
    const L t = s2 * (2.0 / 3 + s2 * (2.0 / 5 + s2 * (2.0 / 7 + s2 * (2.0 / 9 + s2 * (2.0 / 11)))));
    return e * 0.69314718055994530942 + (s + s + s * t);
  }
  /// exp(x) for x <= 0.
  static HSMOE_INLINE L exp_negative(L x) {
    const L y = max(x, L(-700.0));
    LaneU<W> n;
    const L k = round_with_bits(y * 1.44269504088896340736, n);
    const L r = y - k * 0.69314718055994530942, r2 = r * r, r4 = r2 * r2;
    const L p =
        ((1.0 + r) + r2 * (1.0 / 2 + r * (1.0 / 6))) +
        r4 * ((1.0 / 24 + r * (1.0 / 120)) + r2 * (1.0 / 720 + r * (1.0 / 5040)) + r4 * (1.0 / 40320));
    return p * from_bits((n + LaneU<W>(1023)) << 52);
  }
#ifdef __AVX512F__
  // Quotients and roots of 512-bit vectors block the multipliers for 16 to 30 cycles: a guess and two steps
  // of third or fourth order are faster (measured: 25 % of the whole; with AVX2 it is the other way round).
  /// a / b for b > 0.
  static HSMOE_INLINE L ratio(L a, L b) {
    const L r0 = from_bits(LaneU<W>(0x7fde623822fc16e6ull) - bits(b));  // relative error below 0.13
    const L e0 = 1.0 - b * r0, p0 = r0 + r0 * e0, r1 = p0 + p0 * (e0 * e0);
    const L e1 = 1.0 - b * r1, p1 = r1 + r1 * e1;
    return a * (p1 + p1 * (e1 * e1));
  }
  /// sqrt(x), x = 0 or normal.
  static HSMOE_INLINE L root(L x) {
    const L y0 = from_bits(LaneU<W>(0x5fe6eb50c7b537a9ull) - (bits(x) >> 1));  // 1/sqrt(x) to 3.5 %
    const L e0 = 1.0 - x * y0 * y0, y1 = y0 + y0 * e0 * (0.5 + 0.375 * e0);
    const L e1 = 1.0 - x * y1 * y1;
    return x * (y1 + y1 * e1 * (0.5 + 0.375 * e1));
  }
  /// f / (2 + f) for 1 + f in [sqrt(1/2), sqrt(2)].
  static HSMOE_INLINE L ratio_near_two(L f) {
    const L b = 2.0 + f, r = 0.500319254 + f * (-0.254992544 + f * 0.116862844), e = 1.0 - b * r,
            p = r + r * e;
    return f * (p + p * (e * e));
  }
#else
  static HSMOE_INLINE L ratio(L a, L b) { return a / b; }
  static HSMOE_INLINE L root(L x) { return sqrt(x); }
  static HSMOE_INLINE L ratio_near_two(L f) { return f / (2.0 + f); }
#endif
};

/// The packed mixture.  Columns of `stride` doubles each: weight, loc, g = 1 / (scale sqrt(df)), alpha
/// (raised where needed), v h_0(v) ... v h_J(v) (the polynomial of h in w), then a, the density's constant,
/// and the coefficients of the raising sum in X.
///
/// student_t_fit::Fast with df >= Direct::min_df takes a shorter way, without log, exp and sqrt, that has a
/// small absolute error only: T's tail at x is the normal tail at z = x R(s, 1/df), s = q / (q + 3) (Hill's z
/// with a polynomial R fitted), and Phi(-z) = polynomial(z)^-16 (the form of Hastings; Abramowitz &
/// Stegun 7.1.28).
template <class Fit>
class Pack {
 public:
  static constexpr int J = Fit::h_degree, n_shift = Fit::shift;
  static constexpr bool with_density = std::is_same<Fit, student_t_fit::Accurate>::value;
  // Where the components that need no raising begin, and how many columns their polynomial has.
  using Direct = student_t_fit::Direct;
  static constexpr double plain_df = with_density ? 2.0 * n_shift : Direct::min_df;
  static constexpr int direct_terms = sizeof(Direct::z) / sizeof(Direct::z[0]);
  static constexpr int poly_terms = with_density ? J + 1 : direct_terms;
  enum Column {
    kWeight,
    kLoc,
    kG,
    kAlpha,
    kH,
    kA = kH + poly_terms,
    kDensity,
    kTerm,
    kColumns = kTerm + n_shift
  };

  std::size_t plain = 0, total = 0, stride = 0;  // components [0, plain) need no raising; padded counts

  double* column(int c) { return data_.data() + c * stride; }
  const double* column(int c) const { return data_.data() + c * stride; }

  /// Packs the components named by index[0 .. n) with weights times `factor`.
  void build(const MixtureView& m, const std::size_t* index, std::size_t n, double factor) {
    stride = ((n + W - 1) / W + 1) * W;
    if (data_.size() < stride * kColumns) data_.resize(stride * kColumns);
    plain = total = 0;
    for (int pass = 0; pass < 2; ++pass) {
      for (std::size_t i = 0; i < n; ++i) {
        const std::size_t k = index[i];
        if ((m.df[k] < plain_df) == (pass == 1)) put(m.weight[k] * factor, m.loc[k], m.scale[k], m.df[k]);
      }
      while (total % W != 0) put(0.0, column(kLoc)[total - 1], column(kG)[total - 1], inf);
      if (pass == 0) plain = total;
    }
    for (std::size_t i = 0; i < total; i += W) constants(i);
  }

  /// At each node t: F(t) if side = -1, 1 - F(t) if side = 1, in first; in second the sum of w_m F_m^2 (of
  /// w_m (1 - F_m)^2 if side = 1), or the density if Density.
  template <bool Density, int nodes>
  void evaluate(const double* t, const double* side, double* first, double* second) const {
    L sum[nodes], other[nodes];
    for (int j = 0; j < nodes; ++j) sum[j] = other[j] = L(0.0);
    for (std::size_t i = 0; i < plain; i += W) block<Density, nodes, false>(i, t, side, sum, other);
    for (std::size_t i = plain; i < total; i += W) block<Density, nodes, true>(i, t, side, sum, other);
    for (int j = 0; j < nodes; ++j) {
      first[j] = sum_lanes(sum[j]);
      second[j] = sum_lanes(other[j]);
    }
  }

 private:
  void put(double weight, double loc, double scale, double df) {
    column(kWeight)[total] = weight;
    column(kLoc)[total] = loc;
    column(kG)[total] = scale;
    column(kA)[total] = df;
    ++total;
  }

  /// Columns from kG on, of components i .. i + W - 1, from scale and df.
  void constants(std::size_t i) {
    const L scale = L::load(column(kG) + i);
    const L df = min(L::load(column(kA) + i), L(student_t_detail::max_df)), a = 0.5 * df;
    const L g = 1.0 / (scale * sqrt(df));
    const L alpha = df - 0.5 + (i < plain ? 0.0 : 2.0 * n_shift), v = 1.0 / alpha;
    g.store(column(kG) + i);
    alpha.store(column(kAlpha) + i);
    a.store(column(kA) + i);
    if (!with_density && i < plain) {
      const L v1 = 1.0 / df, root = sqrt(df);
      for (int j = 0; j < direct_terms; ++j) {
        constexpr int top = sizeof(Direct::z[0]) / sizeof(double) - 1;
        L c(Direct::z[j][top]);
        for (int k = top - 1; k >= 0; --k) c = Direct::z[j][k] + v1 * c;
        (c * root).store(column(kH + j) + i);
      }
      return;
    }
    for (int j = 0; j <= J; ++j) {
      L c(Fit::h[j][J - j]);
      for (int k = J - j - 1; k >= 0; --k) c = Fit::h[j][k] + v * c;
      (v * c).store(column(kH + j) + i);
    }
    const L ratio = gamma_half_ratio(a);
    if (with_density)
      (L::load(column(kWeight) + i) * ratio * inv_sqrt_2pi / scale).store(column(kDensity) + i);
    if (i < plain) return;
    L c = 0.5 * student_t_detail::first_term(a, ratio);
    for (int k = 0; k < n_shift; ++k) {
      c.store(column(kTerm + k) + i);
      c = c * ((a + (k + 0.5)) / (a + (k + 1.0)));
    }
  }

  template <bool Density, int nodes, bool raised>
  HSMOE_INLINE void block(std::size_t i, const double* t, const double* side, L* sum, L* other) const {
    using E = Elementary<Fit>;
    const L weight = L::load(column(kWeight) + i), loc = L::load(column(kLoc) + i);
    const L g = L::load(column(kG) + i);
    if constexpr (!with_density && !raised) {
      for (int j = 0; j < nodes; ++j) {
        const L x = (loc - t[j]) * side[j], d = min(abs(x * g), L(1e100)), q = d * d;
        const L s = E::ratio(q, q + Direct::offset);
        L R = L::load(column(kH + direct_terms - 1) + i);
        for (int c = direct_terms - 2; c >= 0; --c) R = L::load(column(kH + c) + i) + s * R;
        const L y =
            E::ratio(L(1.0), student_t_detail::polynomial(Direct::normal, min(d * R, L(Direct::max_z))));
        const L y2 = y * y, y4 = y2 * y2, y8 = y4 * y4, p = y8 * y8;
        const L F = select(x < L(0.0), p, 1.0 - p), wF = weight * F;
        sum[j] += wF;
        other[j] += wF * F;
      }
      return;
    }
    const L alpha = L::load(column(kAlpha) + i);
    for (int j = 0; j < nodes; ++j) {
      const L x = (loc - t[j]) * side[j];  // F of x is what the side asks for
      const L scaled = min(abs(x * g), L(student_t_detail::max_abs)), q = scaled * scaled;
      const L w = E::log1p_positive(q);
      const L z2 = alpha * w, z = E::root(z2);
      L h = L::load(column(kH + J) + i);
      for (int c = J - 1; c >= 0; --c) h = L::load(column(kH + c) + i) + w * h;
      const L y = min(z, L(1e18));  // its powers stay finite; the exponential is 0 by then
      const L m = E::ratio(student_t_detail::polynomial(Fit::mills_p, y),
                           student_t_detail::polynomial(Fit::mills_q, y));
      L p = E::exp_negative(-0.5 * z2) * (m + z * h);
      if (raised) {
        const L X = E::ratio(L(1.0), 1.0 + q);
        L terms = L::load(column(kTerm + n_shift - 1) + i);
        for (int c = n_shift - 2; c >= 0; --c) terms = L::load(column(kTerm + c) + i) + X * terms;
        p += E::exp_negative(-(L::load(column(kA) + i) * w)) * E::root(q * X) * terms;
      }
      const L F = select(x < L(0.0), p, 1.0 - p), wF = weight * F;
      sum[j] += wF;
      if (Density) {
        other[j] += L::load(column(kDensity) + i) * E::exp_negative(-((L::load(column(kA) + i) + 0.5) * w));
      } else {
        other[j] += wF * F;
      }
    }
  }

  std::vector<double> data_;
};

/// The change of variable of the quadrature and of the quantiles' first guesses:
///     u(t) = sum_c asinh((t - loc_c) / scale_c)
/// over a few representative components c: its slope is of the order of 1 / scale beside every component.
struct SinhMap {
  std::vector<double> loc, scale, density;  // density: of the candidates, see choose()
  std::size_t size = 0;
  double least = 1;  // least slope * scale at the centre of a component that matters

  void choose(const MixtureView& m, const std::size_t* index, std::size_t n, double coverage,
              double negligible);
  double u(double t) const;
  double slope(double t) const;  // du / dt
  /// Solves u(t) = target from guesses within a few per cent of a unit of u; also dt / du.
  void solve(const double* target, double* t, double* dt, int count) const;
};

}  // namespace mixture_detail

struct MixtureWorkspace::Impl {
  mixture_detail::Pack<student_t_fit::Fast> fast;
  mixture_detail::Pack<student_t_fit::Accurate> accurate;
  mixture_detail::SinhMap map;
  std::vector<std::size_t> index;
  std::vector<int> order;
  std::vector<double> t, dt, F, scratch_t, scratch_dt;
};

}  // namespace hsmoe
