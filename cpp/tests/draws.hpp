// Small draws that tests of the samplers share, written apart from the filter.
#pragma once

#include <cstdint>

#include <hsmoe/random/variates.hpp>
#include <hsmoe/types.hpp>

/// splitmix64 from a seed far from those of its neighbours (else the words overlap).
inline void fill_words(std::uint64_t seed, std::uint64_t* words, std::size_t n) {
  std::uint64_t s = seed * 0xd1342543de82ef95ull;
  for (std::size_t i = 0; i < n; ++i) {
    std::uint64_t v = (s += 0x9e3779b97f4a7c15ull);
    v = (v ^ (v >> 30)) * 0xbf58476d1ce4e5b9ull;
    v = (v ^ (v >> 27)) * 0x94d049bb133111ebull;
    words[i] = v ^ (v >> 31);
  }
}

template <int W>
hsmoe::Stream<W> stream_of(std::uint64_t seed) {
  std::uint64_t words[4 * W];
  fill_words(seed, words, 4 * W);
  return hsmoe::Stream<W>::load(words);
}

/// z ~ Cat(exp(log_mass)).
template <int W>
hsmoe::Lane<W> categorical(const hsmoe::Lane<W>* log_mass, int K, hsmoe::Stream<W>& rng, hsmoe::Mask<W> mask) {
  using L = hsmoe::Lane<W>;
  L total(0.0), cumulative(0.0), chosen(-1.0);
  const L top = hsmoe::log_sum_exp(log_mass, K);
  for (int k = 0; k < K; ++k) total += exp(log_mass[k] - top);
  const L target = hsmoe::uniform<W>(rng, mask) * total;
  for (int k = 0; k < K; ++k) {
    cumulative += exp(log_mass[k] - top);
    chosen = select((chosen < L(0.0)) & (target < cumulative), L(double(k)), chosen);
  }
  return select(chosen < L(0.0), L(K - 1.0), chosen);
}
