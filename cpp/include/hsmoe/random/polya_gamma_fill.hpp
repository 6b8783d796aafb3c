// The inner loop of hsmoe_polya_gamma_fill (c_api.h).
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

#include <hsmoe/random/polya_gamma_queue.hpp>

namespace hsmoe {

constexpr int kFillStreams = 16;      // whatever the lanes: out[i] comes from stream i mod 16
constexpr int kFillBlock = 16 * 128;  // places filled at a time; part of the definition of the streams

constexpr double kHullParts = 4096;   // larger h cost more by parts than by polya_gamma_hull.hpp

/// Values with h >= kHullParts are left to the caller.  state: word w of stream s at state[4 s + w].
template <int W>
inline void polya_gamma_fill_streams(std::uint64_t* state, const double* h, std::size_t h_step,
                                     const double* z, std::size_t z_step, std::size_t n, double* out) {
  constexpr int groups = kFillStreams / W;
  Stream<W> rng[groups];
  for (int g = 0; g < groups; ++g) {
    std::uint64_t words[4 * W];
    for (int w = 0; w < 4; ++w)
      for (int l = 0; l < W; ++l) words[w * W + l] = state[4 * (g * W + l) + w];
    rng[g] = Stream<W>::load(words);
  }
  // A lane looks one place past its last one.
  constexpr int padded = kFillBlock + kFillStreams;
  double h_block[padded], z_block[padded], out_block[padded];
  for (int i = 0; i < padded; ++i) h_block[i] = h_step ? 1.0 : *h;
  for (int i = 0; i < padded; ++i) z_block[i] = z_step ? 0.0 : *z;
  for (std::size_t begin = 0; begin < n; begin += kFillBlock) {
    const std::size_t size = n - begin < kFillBlock ? n - begin : kFillBlock;
    for (std::size_t i = 0; h_step && i < size; ++i) h_block[i] = h[begin + i];
    for (std::size_t i = 0; z_step && i < size; ++i) z_block[i] = z[begin + i];
    for (double& v : h_block) v = v < kHullParts ? v : std::numeric_limits<double>::quiet_NaN();
    bool ones = true, whole = true;
    for (std::size_t i = 0; i < (h_step ? size : 1); ++i) {
      ones = ones && h_block[i] == 1.0;
      whole = whole && std::floor(h_block[i]) == h_block[i];
    }
    Lane<W> count[groups];
    for (int s = 0; s < kFillStreams; ++s)
      count[s / W].set(s % W, static_cast<double>((size + kFillStreams - 1 - s) / kFillStreams));
    constexpr int together = groups < 2 ? 1 : 2;
    for (int g = 0; g < groups; g += together) {
      const auto first = static_cast<std::uint64_t>(g * W);
      if (ones) {
        Stream<W> pair[together];
        Lane<W> pair_count[together];
        for (int k = 0; k < together; ++k) pair[k] = rng[g + k], pair_count[k] = count[g + k];
        polya_gamma_one_queue<W, together>(pair, pair_count, z_block, out_block, first, kFillStreams);
        for (int k = 0; k < together; ++k) rng[g + k] = pair[k];
        continue;
      }
      for (int k = 0; k < together; ++k) {
        const auto start = first + static_cast<std::uint64_t>(k * W);
        Stream<W>& stream = rng[g + k];
        const Lane<W> todo = count[g + k];
        if (whole)
          polya_gamma_queue<W, true>(stream, todo, h_block, z_block, out_block, start, kFillStreams);
        else
          polya_gamma_queue<W, false>(stream, todo, h_block, z_block, out_block, start, kFillStreams);
      }
    }
    for (std::size_t i = 0; i < size; ++i) out[begin + i] = out_block[i];
  }
}

}  // namespace hsmoe
