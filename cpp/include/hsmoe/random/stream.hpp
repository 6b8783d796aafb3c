// One random stream a particle slot: xoshiro256++ (Blackman & Vigna 2021, "Scrambled linear
// pseudorandom number generators"), W of them side by side.  A stream advances only in the lanes of
// the mask: what a particle draws never depends on its neighbours.
#pragma once

#include <hsmoe/simd/lane.hpp>

namespace hsmoe {

/// Uniform on the open interval (0, 1) from 64 random bits: the midpoints of 2^52 equal cells.
template <int W>
HSMOE_INLINE Lane<W> uniform_from_bits(LaneU<W> u) {
  return from_bits((u >> 12) | LaneU<W>(0x3ff0000000000000ull)) - (1.0 - 0x1p-53);
}

/// The generator concept of every sampler in random/: next(mask) -> 64 bits in each lane, advancing
/// only the lanes of the mask (the words of the other lanes must not be used).
template <int W>
struct Stream {
  LaneU<W> s[4];

  /// state: 4 x W words, state[word * W + lane].
  static HSMOE_INLINE Stream load(const std::uint64_t* state) {
    Stream r;
    for (int i = 0; i < 4; ++i) r.s[i] = LaneU<W>::load(state + i * W);
    return r;
  }
  HSMOE_INLINE void store(std::uint64_t* state) const {
    for (int i = 0; i < 4; ++i) s[i].store(state + i * W);
  }
  /// Take the place of another stream in the lanes of the mask.
  HSMOE_INLINE void keep(Mask<W> mask, const Stream& other) {
    for (int i = 0; i < 4; ++i) s[i] = select(mask, other.s[i], s[i]);
  }
  HSMOE_INLINE LaneU<W> next(Mask<W> mask) {
    const LaneU<W> result = rotl(s[0] + s[3], 23) + s[0];
    const LaneU<W> t = s[1] << 17;
    LaneU<W> a = s[0], b = s[1], c = s[2], d = s[3];
    c = c ^ a;
    d = d ^ b;
    b = b ^ c;
    a = a ^ d;
    c = c ^ t;
    d = rotl(d, 45);
    s[0] = select(mask, a, s[0]);
    s[1] = select(mask, b, s[1]);
    s[2] = select(mask, c, s[2]);
    s[3] = select(mask, d, s[3]);
    return result;
  }
};

template <int W, class Generator>
HSMOE_INLINE Lane<W> uniform(Generator& rng, Mask<W> mask) {
  return uniform_from_bits(rng.next(mask));
}

}  // namespace hsmoe
