// The particles of all islands in blocks of W: field f of lane w of block b stands at
// data[(b * fields + f) * W + w].  The last block of an island is padded with lanes that no mask contains.
#pragma once

#include <algorithm>

#include <hsmoe/random/stream.hpp>
#include <hsmoe/types.hpp>

namespace hsmoe {

template <int W>
class ParticleStore {
 public:
  ParticleStore(Index n_islands, Index n_particles, Index fields)
      : islands_(n_islands), particles_(n_particles), fields_(fields), blocks_((n_particles + W - 1) / W) {
    data_.assign(std::size_t(islands_ * blocks_ * fields_ * W), 0.0);
  }

  Index blocks_per_island() const { return blocks_; }
  Index n_blocks() const { return islands_ * blocks_; }
  Index fields() const { return fields_; }
  double* block(Index b) { return data_.data() + b * fields_ * W; }
  const double* block(Index b) const { return data_.data() + b * fields_ * W; }
  /// Block and lane of particle i of an island.
  Index block_of(Index island, Index i) const { return island * blocks_ + i / W; }
  static int lane_of(Index i) { return int(i % W); }
  /// The lanes of a block that are particles.
  Mask<W> mask(Index b) const {
    Mask<W> m = Mask<W>::all_false();
    const Index first = (b % blocks_) * W;
    for (int w = 0; w < W; ++w) m.set(w, first + w < particles_);
    return m;
  }

  void copy_island(Index from, Index to) {
    const Index size = blocks_ * fields_ * W;
    std::copy_n(data_.data() + from * size, size, data_.data() + to * size);
  }
  void read_particle(Index island, Index i, double* out) const {
    const double* source = block(block_of(island, i)) + lane_of(i);
    for (Index f = 0; f < fields_; ++f) out[f] = source[f * W];
  }
  void write_particle(Index island, Index i, const double* in) {
    double* target = block(block_of(island, i)) + lane_of(i);
    for (Index f = 0; f < fields_; ++f) target[f * W] = in[f];
  }
  Index n_bytes() const { return Index(data_.size() * sizeof(double)); }

 private:
  Index islands_, particles_, fields_, blocks_;
  AlignedVector<double> data_;
};

/// A particle that is overwritten by another, which survives in its slot.
struct ParticleCopy {
  Index from, to;
};

/// The copies [begin, end), all `to` of one block, of `fields` numbers a particle: the block that is written passes
/// through the cache once, whatever the number of its dead.  at(i): where particle i begins, its lane included.
template <int W, class Place>
inline void copy_particles(const ParticleCopy* begin, const ParticleCopy* end, Index fields, Place&& at) {
  double* target[W];
  const double* source[W];
  const int n = int(end - begin);
  for (int i = 0; i < n; ++i) {
    target[i] = at(begin[i].to);
    source[i] = at(begin[i].from);
  }
  for (Index f = 0; f < fields * W; f += W)
    for (int i = 0; i < n; ++i) target[i][f] = source[i][f];
}

/// Replace particles by their ancestors in place: survivors stay in their slots, only the slots of the
/// dead are overwritten, in order, by the further copies.  copy(from, to) is called for each.
template <class Copy>
inline Index apply_ancestors(const std::vector<Index>& ancestors, std::vector<Index>& offspring, Copy&& copy) {
  offspring.assign(ancestors.size(), 0);
  for (Index a : ancestors) ++offspring[std::size_t(a)];
  Index unique = 0;
  std::size_t dead = 0;
  for (std::size_t i = 0; i < offspring.size(); ++i) {
    if (offspring[i] > 0) ++unique;
    for (Index c = 1; c < offspring[i]; ++c) {
      while (offspring[dead] != 0) ++dead;
      copy(Index(i), Index(dead++));
    }
  }
  return unique;
}

}  // namespace hsmoe
