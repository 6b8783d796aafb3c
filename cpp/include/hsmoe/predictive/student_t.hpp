// Student's t (location 0, scale 1; df = +infinity is the normal): distribution function and density.
//
// The tail P = P(T > x), x >= 0, df = 2a, with
//
//     q = x^2 / df,   w = log(1 + q),   1/(1 + q) = exp(-w) = X.
//
// 1. df is raised by 2 at fixed X (DLMF 8.17.20 with b = 1/2; P = I_X(a, 1/2) / 2):
//        P_a = P_(a+1) + X^a sqrt(1 - X) G(a) / 2,     G(a) = Gamma(a + 1/2) / (Gamma(a + 1) sqrt(pi)),
//    so that P_a = X^a sqrt(1 - X) G(a) / 2 (1 + (a+1/2)/(a+1) X + ...) + P_(a+n): positive terms only.
// 2. For large df, in the variable sqrt(w) the density is exp(-alpha w / 2) times an even function of
//    sqrt(w) that does not depend on alpha = df - 1/2 (the alpha of Hill 1970, CACM 13, Algorithm 395);
//    integrating by parts (Temme's uniform expansion, DLMF 8.18(ii))
//        P = exp(-z^2 / 2) [m(z) + (z / alpha) h(w, 1 / alpha)],    z = sqrt(alpha w),
//    m(z) = exp(z^2/2) Phi(-z) (Mills' ratio over sqrt(2 pi)), h smooth: h = (-w/48 - 1/(16 alpha) + ...) /
//    sqrt(2 pi).  Rational and polynomial fits of m and h: student_t_fit.hpp.
// Both parts carry the same exponential, so that a tail costs one log and one exp.
#pragma once

#include <hsmoe/predictive/student_t_fit.hpp>
#include <hsmoe/simd/special.hpp>

namespace hsmoe {

namespace student_t_detail {

// df beyond this is the normal to the last bit; |t| beyond max_abs has no tail left in a double's
// absolute precision, unless df < 0.2 (the scalar functions do not clamp).
constexpr double max_df = 1e15, max_abs = 1e150;

/// Value of c[0] + c[1] x + ... (Horner).
template <int n, int W>
HSMOE_INLINE Lane<W> polynomial(const double (&c)[n], Lane<W> x) {
  Lane<W> p(c[n - 1]);
  for (int i = n - 2; i >= 0; --i) p = c[i] + x * p;
  return p;
}

/// log(1 + q) for q >= 0 with small relative error also for tiny q.
template <int W>
HSMOE_INLINE Lane<W> log1p_positive(Lane<W> q) {
  const Lane<W> u = 1.0 + q;
  const LaneU<W> shifted = bits(u) + LaneU<W>(0x3ff0000000000000ull - 0x3fe6a09e667f3bcdull);
  const Lane<W> e = from_bits((shifted >> 52) | LaneU<W>(0x4330000000000000ull)) - (0x1p52 + 1023.0);
  const LaneU<W> m_bits = (shifted & LaneU<W>(0x000fffffffffffffull)) + LaneU<W>(0x3fe6a09e667f3bcdull);
  // Where no power of two was taken out, 1 + q has lost bits of q: q itself is the argument.
  const Lane<W> f = select(e == Lane<W>(0.0), q, from_bits(m_bits) - 1.0);
  const Lane<W> s = f / (2.0 + f), s2 = s * s, s4 = s2 * s2;  // log(1 + f) = 2 atanh(s), as in log()
  const Lane<W> odd = 2.0 / 3 + s4 * (2.0 / 7 + s4 * (2.0 / 11 + s4 * (2.0 / 15 + s4 * (2.0 / 19))));
  const Lane<W> even = 2.0 / 5 + s4 * (2.0 / 9 + s4 * (2.0 / 13 + s4 * (2.0 / 17 + s4 * (2.0 / 21))));
  const Lane<W> t = s2 * (odd + s2 * even);
  return e * 0x1.62e42fefa38p-1 + ((f - s * (f - t)) + e * 0x1.ef35793c7673p-45);
}

/// exp(z^2 / 2) Phi(-z) for z >= 0.
template <class Fit, int W>
HSMOE_INLINE Lane<W> mills(Lane<W> z) {
  const Lane<W> y = min(z, Lane<W>(1e20));  // its powers stay finite; the exponential is 0 by then
  return polynomial(Fit::mills_p, y) / polynomial(Fit::mills_q, y);
}

/// h(w, v) for one pair.
template <class Fit, int W>
HSMOE_INLINE Lane<W> h_correction(Lane<W> w, Lane<W> v) {
  Lane<W> h(0.0);
  for (int j = Fit::h_degree; j >= 0; --j) {
    Lane<W> c(Fit::h[j][Fit::h_degree - j]);
    for (int k = Fit::h_degree - j - 1; k >= 0; --k) c = Fit::h[j][k] + v * c;
    h = c + w * h;
  }
  return h;
}

/// G(a) of the recurrence; ratio = gamma_half_ratio(a).
template <int W>
HSMOE_INLINE Lane<W> first_term(Lane<W> a, Lane<W> ratio) {
  return ratio / sqrt(3.14159265358979323846 * a);
}

/// G(a) / 2 (1 + (a+1/2)/(a+1) X (1 + (a+3/2)/(a+2) X (1 + ...))), n terms, over one common denominator.
template <int n, int W>
HSMOE_INLINE Lane<W> raising_sum(Lane<W> a, Lane<W> ratio, Lane<W> X) {
  Lane<W> num(1.0), den(1.0);
  for (int i = n - 2; i >= 0; --i) {
    const Lane<W> d = (a + (i + 1.0)) * den;
    num = d + (a + (i + 0.5)) * X * num;
    den = d;
  }
  return 0.5 * first_term(a, ratio) * num / den;
}

/// P(T > x) for x in [0, max_abs], df in [0.1, max_df], with w = log(1 + x^2 / df) for the caller's density.
/// ratio = gamma_half_ratio(df / 2), used where df < 16.
template <int W>
HSMOE_INLINE Lane<W> tail(Lane<W> x, Lane<W> df, Lane<W> ratio, Lane<W>& w) {
  using Fit = student_t_fit::Accurate;
  constexpr double n = Fit::shift;
  const Lane<W> a = 0.5 * df, q = x * x / df;
  const Mask<W> low = a < Lane<W>(n);
  w = log1p_positive(q);
  const Lane<W> alpha = df - 0.5 + select(low, Lane<W>(2.0 * n), Lane<W>(0.0));
  const Lane<W> v = 1.0 / alpha, z = sqrt(alpha * w);
  const Lane<W> large = mills<Fit>(z) + z * v * h_correction<Fit>(w, v);
  // exp(-alpha w / 2) = X^(a - 1/4) at df itself; raised, X^a X^n X^(-1/4).
  const Lane<W> front = exp(-(select(low, a, a - 0.25) * w));
  Lane<W> p = front * large;
  if (any(low)) {
    const Lane<W> u = 1.0 + q, X = 1.0 / u, X2 = X * X, X4 = X2 * X2;
    const Lane<W> safe = select(low, a, Lane<W>(1.0));
    const Lane<W> terms = sqrt(q * X) * raising_sum<Fit::shift>(safe, ratio, X);
    p = select(low, front * (terms + (X4 * X4) * (sqrt(sqrt(u)) * large)), p);
  }
  return p;
}

}  // namespace student_t_detail

/// P(T <= t) for df from 0.1 to +infinity: absolute error below 2e-13; the lower tail keeps a relative
/// error of that order times 1 / P until about 1e-12 (student_t_cdf(double, double) keeps it to the end).
template <int W>
HSMOE_INLINE Lane<W> student_t_cdf(Lane<W> t, Lane<W> df) {
  using namespace student_t_detail;
  const Lane<W> nu = min(df, Lane<W>(max_df)), x = min(abs(t), Lane<W>(max_abs));
  const Mask<W> low = nu < Lane<W>(2.0 * student_t_fit::Accurate::shift);
  Lane<W> ratio(1.0), w;
  if (any(low)) ratio = gamma_half_ratio(select(low, 0.5 * nu, Lane<W>(1.0)));
  const Lane<W> p = tail(x, nu, ratio, w);
  return select(t < Lane<W>(0.0), p, 1.0 - p);
}

// Scalars, for any df > 0: relative error of the tails below 1e-12 down to 1e-300.
double student_t_cdf(double t, double df);
double student_t_log_pdf(double t, double df);
/// Inverse of the cdf; p = 0 and 1 give -infinity and +infinity, p outside [0, 1] NaN.
double student_t_quantile(double p, double df);

}  // namespace hsmoe
