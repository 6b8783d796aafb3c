// Polya-Gamma variates PG(h, z) over lanes, exact for every real h > 0 and z.
//
// PG(h, z) = X / 4 with X ~ J*(h, c), c = |z| / 2: the law with Laplace transform
// cosh(c)^h cosh(sqrt(2 s + c^2))^-h (Biane, Pitman & Yor 2001; Devroye 2009; Polson, Scott & Windle
// 2013).  Expanding cosh^-h = 2^h e^(-h r) (1 + e^(-2 r))^-h, r = sqrt(2 s), term by term gives
//
//   f(x | h, 0) = sum_n (-1)^n a_n(x),
//   a_n(x) = 2^h Gamma(n + h) / (Gamma(h) n!) (2 n + h) / sqrt(2 pi x^3) exp(-(2 n + h)^2 / (2 x)),
//
// and the tilt by z multiplies every term by cosh(c)^h exp(-c^2 x / 2).
//
// Envelope, 0 < h <= 1.  The transform of a_0 - f is 2^h e^(-h r) (1 - (1 - w)^h) with
// w = e^(-r) / (2 cosh r).  e^(-h r), e^(-r) and 1 / cosh r are transforms of probability laws (Levy
// laws, and the hitting time of +-1 by Brownian motion), hence so are, up to constants, w and its
// powers; 1 - (1 - w)^h is a power series in w with coefficients >= 0 when h <= 1.  So a_0 - f is the
// density of a positive measure: f <= a_0 for ALL x, and the tilted a_0 is an inverse Gaussian law of
// mean h / c and shape h^2 (Levy when c = 0).  No truncation point, no ratio of masses.
//
// Acceptance.  R(x) = f / a_0 = 1 + sum_{n>0} (-1)^n k_n exp(-2 n (n + h) / x), free of z, with
// k_n = (h)_n (2 n + h) / (n! h).  Proposals are kept at the rate (1 + e^-|z|)^-h >= 1/2.
// The ratio of successive terms,
//   (1 + h (2 n + 1 + h) / ((n + 1) (2 n + h))) exp(-2 (2 n + 1 + h) / x),
// falls with n, so the terms fall for ever once they do: partial sums then bracket R.
// R decreases in x (for h = 1 it is Jacobi's product prod_k (1 - q^k)^3, q = exp(-4 / x)).
//
// h > 1: PG(h, z) is the sum of ceil(h) independent parts, the first PG(h - ceil(h) + 1, z), the others PG(1, z), which are
// the cheaper to accept.
#pragma once

#include <hsmoe/random/stream.hpp>

namespace hsmoe {
namespace detail {

/// |z| from here on: PG(h, z) is its mean h / (2 |z|) to double precision (its relative sd is
/// 1 / sqrt(h |z| / 2)); also keeps infinities and NaN out of the rejection loops.
constexpr double kPolyaGammaFlat = 1e100;

/// The squares of two independent N(0, 1): E (1 +- cos(pi v)), E exponential (Box & Muller 1958).
/// 1 - cos(pi v) = 2 sin^2(pi v / 2) keeps its relative accuracy near 0, which small h needs.
template <int W, class Generator>
HSMOE_INLINE void squared_normal_pair(Generator& rng, Mask<W> mask, Lane<W>& first, Lane<W>& second) {
  const Lane<W> e = -log_normal_number(uniform<W>(rng, mask));
  const Lane<W> v = uniform<W>(rng, mask), v1 = 1.0 - v;
  const Lane<W> a = min(v, v1) * 1.57079632679489661923, t = a * a;  // a <= pi / 4
  const Lane<W> sine =
      a + a * t * (-1.0 / 6 + t * (1.0 / 120 + t * (-1.0 / 5040 + t * (1.0 / 362880 +
          t * (-1.0 / 39916800 + t * (1.0 / 6227020800.0 + t * (-1.0 / 1307674368000.0)))))));
  const Lane<W> low = 2.0 * e * (sine * sine), high = 2.0 * e - low;
  const Mask<W> swap = v1 < v;
  first = select(swap, high, low);
  second = select(swap, low, high);
}

/// A proposal for the reciprocal of X, and the threshold of its acceptance: keep it when
/// height < scale R(1 / w).
template <int W>
struct PolyaGammaProposal {
  Lane<W> w, height, scale;
};

/// X ~ inverse Gaussian(mean h / c, shape h^2) from y = N^2 (Michael, Schucany & Haas 1976).  With
/// D = 2 h c + y + sqrt(y (y + 4 h c)) the roots are 2 h^2 / D and D / (2 c^2), free of cancellation
/// and good down to c = 0; the smaller is taken with probability D / (D + 2 h c).  The same uniform
/// serves the acceptance: given the root, (uniform - its left end) is uniform on its share.
template <int W, class Generator>
HSMOE_INLINE PolyaGammaProposal<W> propose_polya_gamma(Generator& rng, Mask<W> mask, Lane<W> y,
                                                       Lane<W> two_c, Lane<W> h, Lane<W> half_h2) {
  const Lane<W> two_hc = h * two_c;
  const Lane<W> D = two_hc + y + sqrt(y * (y + 2.0 * two_hc));
  const Lane<W> height = uniform<W>(rng, mask) * (D + two_hc);
  const Mask<W> small = height < D;
  // half_h2 = 1 / (2 h^2), so that h = 1 costs no division.
  const Lane<W> w = select(small, D * half_h2, two_c * (0.5 * two_c / D));
  return {w, select(small, height, height - D), select(small, D, two_hc)};
}

/// R(1 / w) for h = 1, to a few units of 1e-16 absolutely: Jacobi's series below x = 1 and, above, its
/// image f(x) = pi sum_n (-1)^n (n + 1/2) exp(-(n + 1/2)^2 pi^2 x / 2) divided by a_0.
template <int W>
HSMOE_INLINE Lane<W> polya_gamma_ratio_one(Lane<W> w) {
  const Lane<W> q = exp(-4.0 * max(w, Lane<W>(1.0)));
  const Lane<W> q2 = q * q, q3 = q2 * q;
  const Lane<W> left = 1.0 - q * (3.0 - q2 * (5.0 - q3 * (7.0 - q2 * q2 * 9.0)));
  const Lane<W> x = min(1.0 / w, Lane<W>(1e3));
  const Lane<W> Q = exp(-9.86960440108935861883 * x);
  const Lane<W> right = 1.96870124321530246844 /* (pi / 2)^(3/2) */ * (x * sqrt(x)) *
                        exp(0.5 / x - 1.23370055013616982735 * x) * (1.0 - Q * (3.0 - Q * Q * 5.0));
  return select(w >= Lane<W>(1.0), left, right);
}

/// The proposals for h = 1 that brackets accept; `open`: those, about one in 10^4, that the exact ratio must settle.
template <int W>
HSMOE_INLINE Mask<W> bracket_polya_gamma_one(const PolyaGammaProposal<W>& p, Mask<W>& open) {
  // S = 1 - 3 q + 5 q^3 - 7 q^6 + ... - 15 q^28 <= R <= S + 17 q^36, q = exp(-4 / x); the last term is below 1e-5 for
  // x < 10, and R < 3e-4 for x > 10.  q from a Taylor series of degree 7 has a relative error below 8e-9; it moves a
  // bracket by at most 8e-9 sum_n (2 n + 1) n (n + 1) / 2 < 1.5e-5 (n <= 8).
  LaneU<W> n;
  const Lane<W> a = max(-4.0 * p.w, Lane<W>(-700.0));
  const Lane<W> r = a - round_with_bits(a * 1.44269504088896340736, n) * 0.69314718055994530942, r2 = r * r;
  const Lane<W> taylor = ((1.0 + r) + r2 * (1.0 / 2 + r * (1.0 / 6))) +
                         (r2 * r2) * ((1.0 / 24 + r * (1.0 / 120)) + r2 * (1.0 / 720 + r * (1.0 / 5040)));
  const Lane<W> q = from_bits(bits(taylor) + (n << 52));
  const Lane<W> q2 = q * q, q3 = q2 * q, q4 = q2 * q2, q5 = q3 * q2, q6 = q3 * q3, q7 = q4 * q3;
  const Lane<W> inner = 9.0 - q5 * (11.0 - q6 * (13.0 - q7 * 15.0));
  const Lane<W> S = 1.0 - q * (3.0 - q2 * (5.0 - q3 * (7.0 - q4 * inner)));
  constexpr double margin = 1.5e-5;
  const Mask<W> accept = p.height < p.scale * (S - margin);
  open = (!accept) & (p.height < p.scale * (max(S, Lane<W>(3e-4)) + (margin + 1e-5)));
  return accept;
}

/// Accept or reject a proposal for h = 1.
template <int W>
HSMOE_INLINE Mask<W> accept_polya_gamma_one(Mask<W> mask, const PolyaGammaProposal<W>& p) {
  Mask<W> open, accept = mask & bracket_polya_gamma_one<W>(p, open);
  open = mask & open;
  if (__builtin_expect(any(open), 0))
    accept = accept | (open & (p.height < p.scale * polya_gamma_ratio_one(p.w)));
  return accept;
}

/// Accept or reject a proposal for 0 < h <= 1 by the alternating series, until every lane is settled.
/// R is below 1e-16 for x > 35 (it falls like x^(h + 1/2) exp(-pi^2 x / 8)) and counts as 0 there; below,
/// the terms sum to less than 20, so that R is right to 1e-14 absolutely.
template <int W>
HSMOE_INLINE Mask<W> accept_polya_gamma_series(Mask<W> mask, const PolyaGammaProposal<W>& p, Lane<W> h) {
  const Lane<W> g = exp(-4.0 * p.w);
  Lane<W> fall = exp(-2.0 * (1.0 + h) * p.w);  // exp(-2 (2 n + 1 + h) w)
  Lane<W> term(1.0), sum(1.0);                 // k_n exp(-2 n (n + h) w)
  Mask<W> open = mask & (p.w > Lane<W>(1.0 / 35)), accept = Mask<W>::all_false();
  double sign = -1.0;
  for (int n = 0; any(open); ++n, sign = -sign) {
    const double d = n;
    const Lane<W> ratio = (1.0 + h * (2 * d + 1.0 + h) / ((d + 1.0) * (2 * d + h))) * fall;
    const Mask<W> falling = ratio < Lane<W>(1.0);
    term = term * ratio;
    sum += sign * term;
    // A lower bound settles the lanes below it, an upper bound those above; a tiny term settles all.
    const Mask<W> tiny = term < Lane<W>(1e-17), below = p.height < p.scale * sum;
    const Mask<W> settled = tiny | (falling & (sign < 0 ? below : !below));
    accept = accept | (open & settled & below);
    open = open & !settled;
    fall = fall * g;
  }
  return accept;
}

}  // namespace detail

namespace detail {

/// The parts that PG(h, z) is a sum of: h rounded up.
template <int W>
HSMOE_INLINE Lane<W> polya_gamma_parts(Lane<W> h) {
  LaneU<W> unused;
  const Lane<W> nearest = round_with_bits(h, unused);
  return select(nearest < h, nearest + 1.0, nearest);
}

/// Accept or reject a proposal for 0 < h <= 1, by the cheaper way where h = 1.
template <int W>
HSMOE_INLINE Mask<W> accept_polya_gamma(Mask<W> mask, const PolyaGammaProposal<W>& p, Lane<W> h) {
  const Mask<W> broken = mask & (h < Lane<W>(1.0));
  Mask<W> accept = accept_polya_gamma_one<W>(mask & !broken, p);
  if (any(broken)) accept = accept | accept_polya_gamma_series<W>(broken, p, h);
  return accept;
}

}  // namespace detail

/// PG(1, z) in the lanes of `mask`; each lane takes only its own words from `rng`.
template <int W, class Generator>
inline Lane<W> polya_gamma_one(Generator& rng, Mask<W> mask, Lane<W> z) {
  const Lane<W> two_c = abs(z), one(1.0), half(0.5);
  Lane<W> w = 0.5 * two_c;  // 1 / X
  Mask<W> todo = mask & (two_c < Lane<W>(detail::kPolyaGammaFlat));
  while (any(todo)) {
    Lane<W> y[2];
    detail::squared_normal_pair<W>(rng, todo, y[0], y[1]);
    for (int i = 0; i < 2; ++i) {
      if (W == 1 && !any(todo)) break;  // in wider lanes the branch costs more than it saves
      const auto p = detail::propose_polya_gamma<W>(rng, todo, y[i], two_c, one, half);
      const Mask<W> accept = detail::accept_polya_gamma_one<W>(todo, p);
      w = select(accept, p.w, w);
      todo = todo & !accept;
    }
  }
  return 0.25 / w;
}

/// PG(h, z) in the lanes of `mask`, any real h > 0; the cost grows with ceil(h).  NaN where h <= 0.
template <int W, class Generator>
inline Lane<W> polya_gamma(Generator& rng, Mask<W> mask, Lane<W> h, Lane<W> z) {
  const Lane<W> two_c = abs(z);
  const Mask<W> valid =
      (two_c < Lane<W>(detail::kPolyaGammaFlat)) & (h > Lane<W>(0.0)) & (h < Lane<W>(0x1p51));
  const Lane<W> one(1.0), half(0.5), safe = select(valid, h, one);
  Lane<W> left = detail::polya_gamma_parts(safe), part = safe - (left - 1.0), half_h2 = 0.5 / (part * part), sum(0.0);
  Mask<W> todo = mask & valid;
  while (any(todo)) {
    Lane<W> y[2];
    detail::squared_normal_pair<W>(rng, todo, y[0], y[1]);
    for (int i = 0; i < 2 && any(todo); ++i) {
      const auto p = detail::propose_polya_gamma<W>(rng, todo, y[i], two_c, part, half_h2);
      const Mask<W> accept = detail::accept_polya_gamma<W>(todo, p, part);
      sum += select(accept, 0.25 / p.w, Lane<W>(0.0));
      part = select(accept, one, part);
      half_h2 = select(accept, half, half_h2);
      left = select(accept, left - 1.0, left);
      todo = todo & (left > Lane<W>(0.5));
    }
  }
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Lane<W> flat = select(h > Lane<W>(0.0), h / (2.0 * two_c), Lane<W>(nan));
  return select(valid, sum, flat);
}

}  // namespace hsmoe
