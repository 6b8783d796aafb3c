// The lane type: W particles side by side.  Every formula of the engine is written once, elementwise
// over a Lane<W>; W = 1 is the plain scalar.  The arithmetic of a lane never depends on its
// neighbours, so that the same particle gives the same numbers for any W.
//
// Built on the vector extensions of GCC and Clang: the compiler splits a Lane<W> into whatever
// registers the instruction set of the build has.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#if !defined(__GNUC__) && !defined(__clang__)
#error "hsmoe needs the vector extensions of GCC or Clang (on Windows: clang-cl)"
#endif

#define HSMOE_INLINE inline __attribute__((always_inline))

namespace hsmoe {

namespace detail {
template <class T, int W>
struct Rep {
  typedef T type __attribute__((vector_size(W * sizeof(T))));
};
template <class T>
struct Rep<T, 1> {
  using type = T;
};
}  // namespace detail

/// W booleans; a lane is all ones or all zeros.
template <int W>
struct Mask {
  using V = typename detail::Rep<std::int64_t, W>::type;
  V v;
  HSMOE_INLINE bool operator[](int i) const {
    if constexpr (W == 1) return v != 0;
    else return v[i] != 0;
  }
  static HSMOE_INLINE Mask all_true() { return {V{} - 1}; }
  static HSMOE_INLINE Mask all_false() { return {V{}}; }
  HSMOE_INLINE void set(int i, bool b) {
    if constexpr (W == 1) v = -std::int64_t(b);
    else v[i] = -std::int64_t(b);
  }
};
template <int W> HSMOE_INLINE Mask<W> operator&(Mask<W> a, Mask<W> b) { return {a.v & b.v}; }
template <int W> HSMOE_INLINE Mask<W> operator|(Mask<W> a, Mask<W> b) { return {a.v | b.v}; }
template <int W> HSMOE_INLINE Mask<W> operator!(Mask<W> a) { return {~a.v}; }
template <int W>
HSMOE_INLINE bool any(Mask<W> m) {
  if constexpr (W == 1) {
    return m.v != 0;
#if defined(__AVX512F__)
  } else if constexpr (W == 8) {  // the compiler's own reduction takes twice as long
    const __m512i v = reinterpret_cast<__m512i>(m.v);
    return _mm512_test_epi64_mask(v, v) != 0;
#endif
  } else {
    std::int64_t r = 0;
    for (int i = 0; i < W; ++i) r |= m.v[i];
    return r != 0;
  }
}
template <int W> HSMOE_INLINE bool all(Mask<W> m) { return !any(!m); }

/// W unsigned 64-bit words.
template <int W>
struct LaneU {
  using V = typename detail::Rep<std::uint64_t, W>::type;
  V v;
  LaneU() = default;
  HSMOE_INLINE LaneU(std::uint64_t s) : v(V{} + s) {}
  static HSMOE_INLINE LaneU raw(V v) {
    LaneU r;
    r.v = v;
    return r;
  }
  static HSMOE_INLINE LaneU load(const std::uint64_t* p) {
    LaneU r;
    std::memcpy(&r.v, p, sizeof(V));
    return r;
  }
  HSMOE_INLINE void store(std::uint64_t* p) const { std::memcpy(p, &v, sizeof(V)); }
  HSMOE_INLINE std::uint64_t operator[](int i) const {
    if constexpr (W == 1) return v;
    else return v[i];
  }
};
#define HSMOE_LANEU_OP(op)                                            \
  template <int W>                                                    \
  HSMOE_INLINE LaneU<W> operator op(LaneU<W> a, LaneU<W> b) {         \
    return LaneU<W>::raw(a.v op b.v);                                 \
  }
HSMOE_LANEU_OP(+) HSMOE_LANEU_OP(-) HSMOE_LANEU_OP(^) HSMOE_LANEU_OP(|) HSMOE_LANEU_OP(&)
#undef HSMOE_LANEU_OP
template <int W> HSMOE_INLINE LaneU<W> operator<<(LaneU<W> a, int k) { return LaneU<W>::raw(a.v << k); }
template <int W> HSMOE_INLINE LaneU<W> operator>>(LaneU<W> a, int k) { return LaneU<W>::raw(a.v >> k); }
template <int W> HSMOE_INLINE LaneU<W> rotl(LaneU<W> a, int k) { return (a << k) | (a >> (64 - k)); }

/// W doubles.
template <int W>
struct Lane {
  static constexpr int width = W;
  using V = typename detail::Rep<double, W>::type;
  V v;
  Lane() = default;
  HSMOE_INLINE Lane(double s) : v(s - V{}) {}  // s - 0 is s, which a compiler knows; 0 + s is not for s = -0
  static HSMOE_INLINE Lane raw(V v) {
    Lane r;
    r.v = v;
    return r;
  }
  static HSMOE_INLINE Lane load(const double* p) {
    Lane r;
    std::memcpy(&r.v, p, sizeof(V));
    return r;
  }
  HSMOE_INLINE void store(double* p) const { std::memcpy(p, &v, sizeof(V)); }
  HSMOE_INLINE double operator[](int i) const {
    if constexpr (W == 1) return v;
    else return v[i];
  }
  HSMOE_INLINE void set(int i, double s) {
    if constexpr (W == 1) v = s;
    else v[i] = s;
  }
  HSMOE_INLINE Lane& operator+=(Lane b) { v += b.v; return *this; }
  HSMOE_INLINE Lane& operator-=(Lane b) { v -= b.v; return *this; }
  HSMOE_INLINE Lane& operator*=(Lane b) { v *= b.v; return *this; }
  HSMOE_INLINE Lane operator-() const { return raw(-v); }
};
#define HSMOE_LANE_OP(op)                                                                              \
  template <int W> HSMOE_INLINE Lane<W> operator op(Lane<W> a, Lane<W> b) { return Lane<W>::raw(a.v op b.v); } \
  template <int W> HSMOE_INLINE Lane<W> operator op(Lane<W> a, double b) { return a op Lane<W>(b); }   \
  template <int W> HSMOE_INLINE Lane<W> operator op(double a, Lane<W> b) { return Lane<W>(a) op b; }
HSMOE_LANE_OP(+) HSMOE_LANE_OP(-) HSMOE_LANE_OP(*) HSMOE_LANE_OP(/)
#undef HSMOE_LANE_OP
#define HSMOE_LANE_CMP(op)                                                     \
  template <int W>                                                             \
  HSMOE_INLINE Mask<W> operator op(Lane<W> a, Lane<W> b) {                     \
    if constexpr (W == 1) return {-std::int64_t(a.v op b.v)};                  \
    else return {a.v op b.v};                                                  \
  }                                                                            \
  template <int W> HSMOE_INLINE Mask<W> operator op(Lane<W> a, double b) { return a op Lane<W>(b); }
HSMOE_LANE_CMP(<) HSMOE_LANE_CMP(<=) HSMOE_LANE_CMP(>) HSMOE_LANE_CMP(>=) HSMOE_LANE_CMP(==)
#undef HSMOE_LANE_CMP

/// Elementwise m ? a : b.
template <int W>
HSMOE_INLINE Lane<W> select(Mask<W> m, Lane<W> a, Lane<W> b) {
  return Lane<W>::raw(m.v ? a.v : b.v);
}
template <int W>
HSMOE_INLINE LaneU<W> select(Mask<W> m, LaneU<W> a, LaneU<W> b) {
  return LaneU<W>::raw(m.v ? a.v : b.v);
}

template <int W>
HSMOE_INLINE LaneU<W> bits(Lane<W> a) {
  LaneU<W> r;
  std::memcpy(&r.v, &a.v, sizeof(a.v));
  return r;
}
template <int W>
HSMOE_INLINE Lane<W> from_bits(LaneU<W> a) {
  Lane<W> r;
  std::memcpy(&r.v, &a.v, sizeof(a.v));
  return r;
}

template <int W>
HSMOE_INLINE Mask<W> differ(LaneU<W> a, LaneU<W> b) {
  if constexpr (W == 1) return {-std::int64_t(a.v != b.v)};
  else return {a.v != b.v};
}

/// from[at] by lane; to[at] = value by lane.
template <int W>
HSMOE_INLINE Lane<W> gather(const double* from, LaneU<W> at) {
#if defined(__AVX512F__)
  if constexpr (W == 8)
    return Lane<W>::raw(reinterpret_cast<typename Lane<W>::V>(_mm512_i64gather_pd(reinterpret_cast<__m512i>(at.v), from, 8)));
#endif
  Lane<W> r;
  for (int i = 0; i < W; ++i) r.set(i, from[at[i]]);
  return r;
}
template <int W>
HSMOE_INLINE LaneU<W> gather(const std::uint64_t* from, LaneU<W> at) {
#if defined(__AVX512F__)
  if constexpr (W == 8)
    return LaneU<W>::raw(reinterpret_cast<typename LaneU<W>::V>(_mm512_i64gather_epi64(reinterpret_cast<__m512i>(at.v), from, 8)));
#endif
  std::uint64_t r[W];
  for (int i = 0; i < W; ++i) r[i] = from[at[i]];
  return LaneU<W>::load(r);
}
template <int W>
HSMOE_INLINE void scatter(double* to, LaneU<W> at, Lane<W> value) {
#if defined(__AVX512F__)
  if constexpr (W == 8) {
    _mm512_i64scatter_pd(to, reinterpret_cast<__m512i>(at.v), reinterpret_cast<__m512d>(value.v), 8);
    return;
  }
#endif
  for (int i = 0; i < W; ++i) to[at[i]] = value[i];
}

/// A mask from words that are all ones or all zeros.
template <int W>
HSMOE_INLINE Mask<W> mask_from_bits(LaneU<W> a) {
  Mask<W> r;
  std::memcpy(&r.v, &a.v, sizeof(a.v));
  return r;
}

template <int W>
HSMOE_INLINE Lane<W> sqrt(Lane<W> a) {
  if constexpr (W == 1) {
    return Lane<W>::raw(__builtin_sqrt(a.v));
  } else {
    Lane<W> r;
    for (int i = 0; i < W; ++i) r.v[i] = __builtin_sqrt(a.v[i]);
    return r;
  }
}
template <int W>
HSMOE_INLINE Lane<W> abs(Lane<W> a) {
  return from_bits(bits(a) & LaneU<W>(0x7fffffffffffffffull));
}
template <int W> HSMOE_INLINE Lane<W> min(Lane<W> a, Lane<W> b) { return select(b < a, b, a); }
template <int W> HSMOE_INLINE Lane<W> max(Lane<W> a, Lane<W> b) { return select(a < b, b, a); }

/// Nearest integer for |a| < 2^51, and that integer's two's complement in the low bits.
template <int W>
HSMOE_INLINE Lane<W> round_with_bits(Lane<W> a, LaneU<W>& integer) {
  constexpr double magic = 0x1.8p52;
  const Lane<W> t = a + magic;
  integer = bits(t);
  return t - magic;
}

namespace detail {
/// exp(r) on |r| <= log(2) / 2: Taylor series to degree 13, the first term left out is below 2^-57.
template <int W>
HSMOE_INLINE Lane<W> exp_polynomial(Lane<W> r) {
  const Lane<W> r2 = r * r, r4 = r2 * r2, r8 = r4 * r4;
  const Lane<W> p0 = (1.0 + r) + r2 * (1.0 / 2 + r * (1.0 / 6));
  const Lane<W> p1 = (1.0 / 24 + r * (1.0 / 120)) + r2 * (1.0 / 720 + r * (1.0 / 5040));
  const Lane<W> p2 = (1.0 / 40320 + r * (1.0 / 362880)) + r2 * (1.0 / 3628800 + r * (1.0 / 39916800));
  const Lane<W> p3 = 1.0 / 479001600 + r * (1.0 / 6227020800.0);
  return p0 + r4 * p1 + r8 * (p2 + r4 * p3);
}

/// log(x) for a positive normal x; relative error about 1 ulp.
template <int W>
HSMOE_INLINE Lane<W> log_normal_number(Lane<W> x) {
  // x = 2^e m with m in [sqrt(1/2), sqrt(2)): shifting the bits by those of sqrt(1/2) carries into e.
  const LaneU<W> shifted = bits(x) + LaneU<W>(0x3ff0000000000000ull - 0x3fe6a09e667f3bcdull);
  const LaneU<W> e_bits = (shifted >> 52) | LaneU<W>(0x4330000000000000ull);
  const Lane<W> e = from_bits(e_bits) - (0x1p52 + 1023.0);
  const LaneU<W> m_bits = (shifted & LaneU<W>(0x000fffffffffffffull)) + LaneU<W>(0x3fe6a09e667f3bcdull);
  const Lane<W> f = from_bits(m_bits) - 1.0;
  // log(1 + f) = 2 atanh(s), s = f / (2 + f); 2 s = f - s f;  |s| < 0.1716.
  const Lane<W> s = f / (2.0 + f), s2 = s * s, s4 = s2 * s2;
  const Lane<W> odd = 2.0 / 3 + s4 * (2.0 / 7 + s4 * (2.0 / 11 + s4 * (2.0 / 15 + s4 * (2.0 / 19))));
  const Lane<W> even = 2.0 / 5 + s4 * (2.0 / 9 + s4 * (2.0 / 13 + s4 * (2.0 / 17 + s4 * (2.0 / 21))));
  const Lane<W> t = s2 * (odd + s2 * even);
  return e * 0x1.62e42fefa38p-1 + ((f - s * (f - t)) + e * 0x1.ef35793c7673p-45);
}
}  // namespace detail

/// exp(x); 0 below -708 and infinity above 709.78; relative error about 1 ulp.
template <int W>
HSMOE_INLINE Lane<W> exp(Lane<W> x) {
  const Lane<W> y = min(max(x, Lane<W>(-709.0)), Lane<W>(710.0));
  LaneU<W> n;
  const Lane<W> k = round_with_bits(y * 1.44269504088896340736, n);
  // r = x - k log 2 in two pieces; the first product is exact.
  const Lane<W> r = (y - k * 0x1.62e42fefap-1) - k * 0x1.cf79abc9e3b39p-40;
  const Lane<W> p = detail::exp_polynomial<W>(r);
  // 2^k as 2^(k-1) * 2: k = 1024 would leave the exponent's range.
  const Lane<W> scale = from_bits((n + LaneU<W>(1022)) << 52);
  Lane<W> e = (p * scale) * 2.0;
  e = select(x < Lane<W>(-708.0), Lane<W>(0.0), e);
  e = select(x > Lane<W>(709.78), Lane<W>(std::numeric_limits<double>::infinity()), e);
  return select(x == x, e, x);
}

/// exp(x) for x <= 0; 0 below -708, where exp is next to the smallest normal number.
template <int W>
HSMOE_INLINE Lane<W> exp_nonpositive(Lane<W> x) {
  const Lane<W> y = max(x, Lane<W>(-708.0));
  LaneU<W> n;
  const Lane<W> k = round_with_bits(y * 1.44269504088896340736, n);
  const Lane<W> p = detail::exp_polynomial<W>((y - k * 0x1.62e42fefap-1) - k * 0x1.cf79abc9e3b39p-40);
  return select(x < Lane<W>(-708.0), Lane<W>(0.0), from_bits(bits(p) + (n << 52)));  // p is in [0.7, 1.42]
}

/// log(x); -infinity at 0, NaN below; relative error about 1 ulp.
template <int W>
HSMOE_INLINE Lane<W> log(Lane<W> x) {
  const Mask<W> tiny = x < Lane<W>(std::numeric_limits<double>::min());
  const Lane<W> raised = detail::log_normal_number<W>(select(tiny, x * 0x1p54, x));
  const Lane<W> l = raised - select(tiny, Lane<W>(54 * 0.69314718055994530942), Lane<W>(0.0));
  const double inf = std::numeric_limits<double>::infinity();
  const Lane<W> special = select(x == Lane<W>(0.0), Lane<W>(-inf),
                                 select(x < Lane<W>(0.0), Lane<W>(std::numeric_limits<double>::quiet_NaN()), x));
  return select((x > Lane<W>(0.0)) & (x < Lane<W>(inf)), l, special);
}

/// log(1 + x) for x > -1, accurate near 0 (the correction of Kahan for the rounding of 1 + x).
template <int W>
HSMOE_INLINE Lane<W> log1p(Lane<W> x) {
  const Lane<W> u = 1.0 + x;
  const Lane<W> l = log(u);
  const Lane<W> c = l + (x - (u - 1.0)) / u;
  return select(u < Lane<W>(std::numeric_limits<double>::infinity()), c, l);
}

/// sin and cos of 2 pi u for u in [0, 1].
template <int W>
HSMOE_INLINE void sincos_turn(Lane<W> u, Lane<W>& sine, Lane<W>& cosine) {
  LaneU<W> j;
  const Lane<W> q = u * 4.0;
  const Lane<W> x = (q - round_with_bits(q, j)) * 1.57079632679489661923;  // |x| <= pi / 4
  const Lane<W> z = x * x;
  const Lane<W> s = x + x * z * (-1.0 / 6 + z * (1.0 / 120 + z * (-1.0 / 5040 + z * (1.0 / 362880 +
                    z * (-1.0 / 39916800 + z * (1.0 / 6227020800.0 + z * (-1.0 / 1307674368000.0)))))));
  const Lane<W> c = 1.0 + z * (-1.0 / 2 + z * (1.0 / 24 + z * (-1.0 / 720 + z * (1.0 / 40320 +
                    z * (-1.0 / 3628800 + z * (1.0 / 479001600 + z * (-1.0 / 87178291200.0 +
                    z * (1.0 / 20922789888000.0))))))));
  // Quadrant j: odd quadrants swap sine and cosine; bit 1 of j (of j + 1) is the sign of the sine (cosine).
  const Mask<W> odd = mask_from_bits(LaneU<W>(0) - (j & LaneU<W>(1)));
  sine = from_bits(bits(select(odd, c, s)) ^ ((j & LaneU<W>(2)) << 62));
  cosine = from_bits(bits(select(odd, s, c)) ^ (((j + LaneU<W>(1)) & LaneU<W>(2)) << 62));
}

/// log sum exp over K lanes, and the maximum; all minus infinity gives minus infinity.
template <int W>
HSMOE_INLINE Lane<W> log_sum_exp(const Lane<W>* l, int K) {
  Lane<W> top = l[0];
  for (int k = 1; k < K; ++k) top = max(top, l[k]);
  const Lane<W> safe = select(top > Lane<W>(-std::numeric_limits<double>::max()), top, Lane<W>(0.0));
  Lane<W> sum(0.0);
  for (int k = 0; k < K; ++k) sum += exp(l[k] - safe);
  return safe + log(sum);
}

}  // namespace hsmoe
