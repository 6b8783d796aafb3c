// PG(1, psi) for a table of cells of which each lane wants some: told from the last cell to the first which lanes want
// it, then drawn in one pass.
#pragma once

#include <hsmoe/random/polya_gamma_queue.hpp>

namespace hsmoe {

template <int W>
class PolyaGammaTable {
 public:
  static int work_lanes(int cells) { return 3 * cells + 4; }
  PolyaGammaTable(Lane<W>* work, int cells)
      : cells_(cells), abs_logits_(reinterpret_cast<double*>(work)), w_(abs_logits_ + W * (cells + 1)),
        next_(reinterpret_cast<std::uint64_t*>(w_ + W * (cells + 1))), place_(0), first_wanted_(0) {
    std::uint64_t lanes[W];
    for (int i = 0; i < W; ++i) lanes[i] = std::uint64_t(W * cells + i);
    place_ = first_wanted_ = LaneU<W>::load(lanes);
    Lane<W>(0.0).store(abs_logits_ + W * cells);
    first_wanted_.store(next_ + W * cells);
    first_wanted_.store(next_ + W * (cells + 1));
  }
  /// The cell before the one told last, the last cell first.
  HSMOE_INLINE void tell(Mask<W> wanted, Lane<W> psi) {
    place_ = place_ - LaneU<W>(W);
    first_wanted_ = select(wanted, place_, first_wanted_);
    --told_;
    first_wanted_.store(next_ + W * (cells_ + told_));
    // From `flat` on, omega is 0 to double precision and has no spread.
    min(Lane<W>(detail::kPolyaGammaFlat), abs(psi)).store(abs_logits_ + W * (cells_ + told_));
  }
  template <class Generator>
  void draw(Generator& rng) { polya_gamma_one_cells<W>(rng, abs_logits_, next_, w_, cells_); }
  /// omega, in the lanes that wanted it.
  HSMOE_INLINE Lane<W> operator[](int cell) const { return 0.25 / Lane<W>::load(w_ + W * cell); }

 private:
  int cells_, told_ = 0;
  double *abs_logits_, *w_;  // omega = 1 / (4 w)
  std::uint64_t* next_;
  LaneU<W> place_, first_wanted_;
};

}  // namespace hsmoe
