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

/// What is left of a sum of parts (polya_gamma.hpp), its fractional one first.  No parts where the value is known: `sum` then holds it.
template <int W>
struct PolyaGammaParts {
  Lane<W> two_c, part, half_h2, left, sum;

  HSMOE_INLINE PolyaGammaParts(Lane<W> h, Lane<W> z) : two_c(abs(z)), sum(0.0) {
    const Mask<W> positive = (h > Lane<W>(0.0)) & (h < Lane<W>(0x1p51));
    const Mask<W> valid = positive & (two_c < Lane<W>(kPolyaGammaFlat));
    const Lane<W> safe = select(valid, h, Lane<W>(1.0));
    left = polya_gamma_parts(safe);
    part = safe - (left - 1.0);
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

/// PG(1, z), |z| <= kPolyaGammaFlat given, at the cells of a table that a lane wants: cell c of lane l stands at place W c + l, and
/// next[place] is the place of the first wanted cell from c on, W cells + l after the last.  Written is w with
/// omega = 1 / (4 w).  A lane has two cells in hand, one for each normal of a pair, so that two chains of operations run
/// side by side; its words do not wait for acceptances.  abs_z and w have cells + 1 rows, next has cells + 2.
template <int W, class Generator>
inline void polya_gamma_one_cells(Generator& rng, const double* abs_z, const std::uint64_t* next, double* w, int cells) {
  const Lane<W> one(1.0), half(0.5);
  const LaneU<W> step(W);
  const Mask<W> all = Mask<W>::all_true();
  const LaneU<W> end = LaneU<W>::load(next + W * cells);
  // In hand: places at[i], tilts two_c[i]; then the first place that nobody has taken.
  LaneU<W> at[2], free;
  Lane<W> two_c[2];
  at[0] = LaneU<W>::load(next);
  at[1] = gather<W>(next, at[0] + step);
  free = gather<W>(next, at[1] + step);
  for (int i = 0; i < 2; ++i) two_c[i] = gather<W>(abs_z, at[i]);
  Generator running = rng;  // goes on in every lane; `rng` stops where its lane is done
  for (;;) {
    const Mask<W> busy = differ(at[0], end) | differ(at[1], end);
    if (!any(busy)) return;
    const LaneU<W> then = gather<W>(next, free + step);
    const Lane<W> z_free = gather<W>(abs_z, free), z_then = gather<W>(abs_z, then);
    const LaneU<W> after = gather<W>(next, then + step);
    Lane<W> y[2];
    Mask<W> done[2];
    detail::squared_normal_pair<W>(running, all, y[0], y[1]);
    const auto p = detail::propose_polya_gamma<W>(running, all, y[0], two_c[0], one, half);
    const auto q = detail::propose_polya_gamma<W>(running, all, y[1], two_c[1], one, half);
    Mask<W> open[2];
    done[0] = detail::bracket_polya_gamma_one<W>(p, open[0]);
    done[1] = detail::bracket_polya_gamma_one<W>(q, open[1]);
    if (__builtin_expect(any(open[0] | open[1]), 0)) {
      done[0] = done[0] | (open[0] & (p.height < p.scale * detail::polya_gamma_ratio_one(p.w)));
      done[1] = done[1] | (open[1] & (q.height < q.scale * detail::polya_gamma_ratio_one(q.w)));
    }
    scatter<W>(w, at[0], p.w);  // not accepted: written over later
    scatter<W>(w, at[1], q.w);
    rng.keep(busy, running);
    const Mask<W> both = done[0] & done[1], either = done[0] | done[1];
    at[0] = select(done[0], free, at[0]);
    two_c[0] = select(done[0], z_free, two_c[0]);
    at[1] = select(both, then, select(done[1], free, at[1]));
    two_c[1] = select(both, z_then, select(done[1], z_free, two_c[1]));
    free = select(both, after, select(either, then, free));
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
                                   : detail::accept_polya_gamma<W>(drawing, p, a.part);
      a.sum = select(accept, a.sum + 0.25 / p.w, a.sum);
      if (!Whole) {
        a.part = select(accept, Lane<W>(1.0), a.part);
        a.half_h2 = select(accept, Lane<W>(0.5), a.half_h2);
      }
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
