// Many Polya-Gamma variates a lane, without waiting: a lane whose proposal is kept goes on to its next
// parameter at once, while its neighbours still try.  About 1.3 proposals a variate instead of the
// slowest lane's count, and no branch that depends on an acceptance.
#pragma once

#include <cstddef>

#include <hsmoe/random/polya_gamma.hpp>

namespace hsmoe {
namespace detail {

/// A lane's place in its queue: it reads z[at], z[at + stride], ... and writes out at the same places.
template <int W>
struct PolyaGammaQueue {
  LaneU<W> at;
  Lane<W> waiting;  // how many are still to be drawn, this one included

  HSMOE_INLINE void start(std::uint64_t first, Lane<W> count) {
    std::uint64_t lane[W];
    for (int i = 0; i < W; ++i) lane[i] = first + static_cast<std::uint64_t>(i);
    at = LaneU<W>::load(lane);
    waiting = count;
  }
  HSMOE_INLINE Mask<W> busy() const { return waiting > Lane<W>(0.5); }
  HSMOE_INLINE Lane<W> read(const double* from) const {
    Lane<W> r;
    for (int i = 0; i < W; ++i) r.set(i, from[at[i]]);
    return r;
  }
  /// Writes in every lane: a value that was not accepted is written over later.
  HSMOE_INLINE void write(double* to, Lane<W> value) const {
    for (int i = 0; i < W; ++i) to[at[i]] = value[i];
  }
  HSMOE_INLINE void advance(Mask<W> done, std::uint64_t stride) {
    at = at + select(done, LaneU<W>(stride), LaneU<W>(0));
    waiting = select(done, waiting - 1.0, waiting);
  }
};

/// The parts of h: m = ceil(h) of size h / m.  No parts where the value is known: `sum` then holds it.
template <int W>
struct PolyaGammaParts {
  Lane<W> two_c, part, half_h2, left, sum;

  HSMOE_INLINE PolyaGammaParts(Lane<W> h, Lane<W> z) : two_c(abs(z)), sum(0.0) {
    const Mask<W> positive = (h > Lane<W>(0.0)) & (h < Lane<W>(0x1p51));
    const Mask<W> valid = positive & (two_c < Lane<W>(kPolyaGammaFlat));
    const Lane<W> safe = select(valid, h, Lane<W>(1.0));
    LaneU<W> unused;
    left = round_with_bits(safe, unused);
    left = select(left < safe, left + 1.0, left);
    part = safe / left;
    half_h2 = 0.5 / (part * part);
    const Lane<W> nan(std::numeric_limits<double>::quiet_NaN());
    sum = select(valid, sum, select(positive, h / (2.0 * two_c), nan));
    left = select(valid, left, Lane<W>(0.0));
  }
};

}  // namespace detail

/// PG(1, z): lane l of group g draws for z[at], z[at + stride], ..., at = first + g W + l, `count` values
/// of that lane, each into the same place of `out`.  Both arrays need `stride` readable (writable)
/// doubles after a lane's last place.  Two groups hide each other's latency; what a lane draws depends
/// on neither W nor G.
template <int W, int G, class Generator>
HSMOE_INLINE void polya_gamma_one_queue(Generator (&rng)[G], const Lane<W> (&count)[G], const double* z,
                                        double* out, std::uint64_t first, std::uint64_t stride) {
  const Lane<W> one(1.0), half(0.5), flat(detail::kPolyaGammaFlat);
  detail::PolyaGammaQueue<W> queue[G];
  Lane<W> two_c[G];
  Mask<W> busy = Mask<W>::all_false();
  for (int g = 0; g < G; ++g) {
    queue[g].start(first + static_cast<std::uint64_t>(g * W), count[g]);
    two_c[g] = abs(queue[g].read(z));
    busy = busy | queue[g].busy();
  }
  while (any(busy)) {
    Lane<W> y[G][2];
    for (int g = 0; g < G; ++g) detail::squared_normal_pair<W>(rng[g], queue[g].busy(), y[g][0], y[g][1]);
    for (int i = 0; i < 2; ++i) {
      for (int g = 0; g < G; ++g) {
        const Mask<W> waiting = queue[g].busy(), drawing = waiting & (two_c[g] < flat);
        const auto p = detail::propose_polya_gamma<W>(rng[g], drawing, y[g][i], two_c[g], one, half);
        const Mask<W> done = detail::accept_polya_gamma_one<W>(drawing, p) | (waiting & !drawing);
        queue[g].write(out, 0.25 / select(drawing, p.w, 0.5 * two_c[g]));
        queue[g].advance(done, stride);
        two_c[g] = abs(queue[g].read(z));
      }
    }
    busy = Mask<W>::all_false();
    for (int g = 0; g < G; ++g) busy = busy | queue[g].busy();
  }
}

/// PG(h, z), any h > 0; like polya_gamma_one_queue.  `Whole`: every h of the queue is an integer.
template <int W, bool Whole, class Generator>
HSMOE_INLINE void polya_gamma_queue(Generator& rng, Lane<W> count, const double* h, const double* z,
                                    double* out, std::uint64_t first, std::uint64_t stride) {
  detail::PolyaGammaQueue<W> queue;
  queue.start(first, count);
  detail::PolyaGammaParts<W> a(queue.read(h), queue.read(z));
  while (any(queue.busy())) {
    Lane<W> y[2];
    detail::squared_normal_pair<W>(rng, queue.busy(), y[0], y[1]);
    for (int i = 0; i < 2; ++i) {
      const Mask<W> busy = queue.busy(), drawing = busy & (a.left > Lane<W>(0.5));
      const auto p = detail::propose_polya_gamma<W>(rng, drawing, y[i], a.two_c, a.part, a.half_h2);
      const Mask<W> accept = Whole ? detail::accept_polya_gamma_one<W>(drawing, p)
                                   : detail::accept_polya_gamma_series<W>(drawing, p, a.part);
      a.sum = select(accept, a.sum + 0.25 / p.w, a.sum);
      a.left = select(accept, a.left - 1.0, a.left);
      const Mask<W> done = busy & (a.left < Lane<W>(0.5));
      if (!any(done)) continue;
      queue.write(out, a.sum);
      queue.advance(done, stride);
      const detail::PolyaGammaParts<W> b(queue.read(h), queue.read(z));
      a.two_c = select(done, b.two_c, a.two_c);
      a.part = select(done, b.part, a.part);
      a.half_h2 = select(done, b.half_h2, a.half_h2);
      a.left = select(done, b.left, a.left);
      a.sum = select(done, b.sum, a.sum);
    }
  }
}

}  // namespace hsmoe
