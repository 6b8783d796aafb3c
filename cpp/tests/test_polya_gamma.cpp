// The Polya-Gamma samplers without Python: streams that do not depend on the number of lanes or on the
// neighbours, moments, and the C seam.  Exits with 1 if a check fails.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <vector>

#include <hsmoe/random/polya_gamma_fill.hpp>
#include <hsmoe/c_api.h>
#include <hsmoe/random/polya_gamma_density.hpp>
#include <hsmoe/random/polya_gamma_queue.hpp>

using namespace hsmoe;

namespace {

int failures = 0;

void check(bool ok, const char* what, double a = 0, double b = 0) {
  if (ok) return;
  ++failures;
  std::printf("FAILED %s (%.17g, %.17g)\n", what, a, b);
}

std::uint64_t splitmix(std::uint64_t& x) {
  std::uint64_t z = (x += 0x9e3779b97f4a7c15ull);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

/// The streams of slots first ... first + W - 1.
template <int W>
Stream<W> streams(int first) {
  std::uint64_t words[4 * W];
  for (int l = 0; l < W; ++l) {
    std::uint64_t seed = 1000003ull * static_cast<std::uint64_t>(first + l) + 17;
    for (int w = 0; w < 4; ++w) words[w * W + l] = splitmix(seed);
  }
  return Stream<W>::load(words);
}

constexpr int kSlots = 8, kRounds = 400;

/// Slot s at round r: a mixture of shapes and tilts, and lanes that sit out.
double shape(int s, int r) {
  const double h[] = {1, 2, 0.5, 3.7, 1, 0.01, 6, 1.5};
  return h[(s + r) % 8];
}
double tilt(int s, int r) {
  const double z[] = {0, 1.5, -3, 40, 1e-9, 2000, -0.2};
  return z[(3 * s + r) % 7];
}
bool draws(int s, int r) { return (s * 7 + r) % 5 != 0; }

template <int W>
std::vector<double> table(bool one) {
  std::vector<double> values(kSlots * kRounds, -1.0);
  for (int first = 0; first < kSlots; first += W) {
    Stream<W> rng = streams<W>(first);
    for (int r = 0; r < kRounds; ++r) {
      Lane<W> h(1.0), z(0.0);
      Mask<W> mask = Mask<W>::all_false();
      for (int l = 0; l < W; ++l) {
        h.set(l, shape(first + l, r));
        z.set(l, tilt(first + l, r));
        mask.set(l, draws(first + l, r));
      }
      const Lane<W> x = one ? polya_gamma_one<W>(rng, mask, z) : polya_gamma<W>(rng, mask, h, z);
      for (int l = 0; l < W; ++l)
        if (mask[l]) values[static_cast<std::size_t>((first + l) * kRounds + r)] = x[l];
    }
  }
  return values;
}

/// Queues: slot s draws its own rounds one after the other.
template <int W>
std::vector<double> queued(bool whole) {
  std::vector<double> h(kSlots * (kRounds + 1)), z(h.size()), out(h.size());
  for (int r = 0; r <= kRounds; ++r)
    for (int s = 0; s < kSlots; ++s) {
      h[static_cast<std::size_t>(r * kSlots + s)] = whole ? std::ceil(shape(s, r)) : shape(s, r);
      z[static_cast<std::size_t>(r * kSlots + s)] = tilt(s, r);
    }
  for (int first = 0; first < kSlots; first += W) {
    Stream<W> rng = streams<W>(first);
    if (whole)
      polya_gamma_queue<W, true>(rng, Lane<W>(kRounds), h.data(), z.data(), out.data(),
                                 static_cast<std::uint64_t>(first), kSlots);
    else
      polya_gamma_queue<W, false>(rng, Lane<W>(kRounds), h.data(), z.data(), out.data(),
                                  static_cast<std::uint64_t>(first), kSlots);
  }
  out.resize(kSlots * kRounds);
  return out;
}

template <int W>
std::vector<double> queued_one() {
  std::vector<double> z(kSlots * (kRounds + 1)), out(z.size());
  for (int r = 0; r <= kRounds; ++r)
    for (int s = 0; s < kSlots; ++s) z[static_cast<std::size_t>(r * kSlots + s)] = tilt(s, r);
  for (int first = 0; first < kSlots; first += W) {
    Stream<W> rng[1] = {streams<W>(first)};
    const Lane<W> count[1] = {Lane<W>(kRounds)};
    polya_gamma_one_queue<W, 1>(rng, count, z.data(), out.data(), static_cast<std::uint64_t>(first), kSlots);
  }
  out.resize(kSlots * kRounds);
  return out;
}

/// Tables of cells, some of them not wanted, and slots that want none or all; then one more word of each stream.
template <int W>
std::vector<double> celled() {
  constexpr int cells = kRounds;
  std::vector<double> out(kSlots * (cells + 1), -1.0);
  for (int first = 0; first < kSlots; first += W) {
    Stream<W> rng = streams<W>(first);
    std::vector<double> z(W * (cells + 1), 0.0), w(W * (cells + 1), 0.0);
    std::vector<std::uint64_t> next(W * (cells + 2));
    auto wanted = [](int s, int c) { return s != 3 && (s == 5 || draws(s, c)); };
    for (int l = 0; l < W; ++l) {
      std::uint64_t found = static_cast<std::uint64_t>(W * cells + l);
      next[static_cast<std::size_t>(W * (cells + 1) + l)] = next[static_cast<std::size_t>(W * cells + l)] = found;
      for (int c = cells - 1; c >= 0; --c) {
        const auto place = static_cast<std::size_t>(W * c + l);
        if (wanted(first + l, c)) found = place;
        next[place] = found;
        z[place] = std::fabs(tilt(first + l, c));
      }
    }
    polya_gamma_one_cells<W>(rng, z.data(), next.data(), w.data(), cells);
    const LaneU<W> word = rng.next(Mask<W>::all_true());
    for (int l = 0; l < W; ++l) {
      double* to = &out[static_cast<std::size_t>((first + l) * (cells + 1))];
      for (int c = 0; c < cells; ++c)
        if (wanted(first + l, c)) to[c] = 0.25 / w[static_cast<std::size_t>(W * c + l)];
      to[cells] = static_cast<double>(word[l] >> 12);
    }
  }
  return out;
}

/// The same to rounding: contraction to fused operations may differ with the width of the vectors.
void same(const std::vector<double>& a, const std::vector<double>& b, const char* what) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    const bool ok = std::fabs(a[i] - b[i]) <= 1e-12 * std::fabs(a[i]);
    check(ok, what, a[i], b[i]);
    if (!ok) return;
  }
}

double mean(double h, double z) { return std::fabs(z) < 1e-4 ? h / 4 : h * std::tanh(z / 2) / (2 * z); }
double variance(double h, double z) {
  if (std::fabs(z) < 1e-2) return h / 24;
  const double sech = 1 / std::cosh(z / 2);
  return h * (2 * std::tanh(z / 2) - z * sech * sech) / (4 * z * z * z);
}

void moments(const char* what, const double* x, int n, double h, double z) {
  double total = 0;
  for (int i = 0; i < n; ++i) total += x[i];
  const double error = (total / n - mean(h, z)) / std::sqrt(variance(h, z) / n);
  check(std::fabs(error) < 5.8, what, h, error);
}

std::uint64_t next_word(void* state) { return splitmix(*static_cast<std::uint64_t*>(state)); }

}  // namespace

int main() {
  for (const bool one : {true, false}) {
    const std::vector<double> reference = table<1>(one);
    same(reference, table<2>(one), "2 lanes against 1");
    same(reference, table<4>(one), "4 lanes against 1");
    same(reference, table<8>(one), "8 lanes against 1");
    same(queued<1>(one), queued<2>(one), "queues of 2 lanes against 1");
    same(queued<1>(one), queued<8>(one), "queues of 8 lanes against 1");
  }
  same(queued_one<1>(), queued_one<2>(), "queues of PG(1, z), 2 lanes against 1");
  same(queued_one<1>(), queued_one<4>(), "queues of PG(1, z), 4 lanes against 1");
  same(queued_one<1>(), queued_one<8>(), "queues of PG(1, z), 8 lanes against 1");

  same(celled<1>(), celled<2>(), "cells of 2 lanes against 1");
  same(celled<1>(), celled<4>(), "cells of 4 lanes against 1");
  same(celled<1>(), celled<8>(), "cells of 8 lanes against 1");
  for (const double z : {0.0, 0.5, 3.0, 40.0, 1e100}) {
    constexpr int cells = 4000;
    std::vector<double> tilts(8 * (cells + 1), z), w(8 * (cells + 1));
    std::vector<std::uint64_t> next(8 * (cells + 2));
    for (std::size_t i = 0; i < next.size(); ++i) next[i] = i < 8 * cells ? i : 8 * cells + i % 8;
    Stream<8> rng = streams<8>(0);
    polya_gamma_one_cells<8>(rng, tilts.data(), next.data(), w.data(), cells);
    w.resize(8 * cells);
    for (double& v : w) v = 0.25 / v;
    if (z > 1e99) check(std::fabs(w[0] * 2 * z - 1) < 1e-12, "cells, huge tilt", w[0]);
    else moments("cells", w.data(), 8 * cells, 1.0, z);
  }

  // The C seam: single draws, fills at every level, large shapes.
  std::uint64_t seed = 5;
  const hsmoe_bitgen source = {&seed, next_word};
  constexpr int n = 30000;
  std::vector<double> x(n);
  for (const double h : {0.01, 0.5, 1.0, 1.5, 2.0, 3.7})
    for (const double z : {0.0, 1e-8, 0.5, 10.0, 178.0}) {
      for (double& v : x) v = hsmoe_polya_gamma(&source, h, z);
      moments("single draws", x.data(), n, h, z);
      hsmoe_polya_gamma_fill(&source, &h, 0, &z, 0, n, x.data());
      moments("fill", x.data(), n, h, z);
    }
  const double large = 20000, z = 1;
  for (int i = 0; i < 200; ++i) x[static_cast<std::size_t>(i)] = hsmoe_polya_gamma(&source, large, z);
  moments("large shape", x.data(), 200, large, z);
  hsmoe_polya_gamma_fill(&source, &large, 0, &z, 0, n, x.data());
  moments("large shape, fill", x.data(), n, large, z);

  // out[i] comes from stream i mod 16 whatever the lanes.
  std::uint64_t words[4 * kFillStreams];
  for (auto& w : words) w = next_word(&seed);
  std::vector<double> wide(n);
  const double shape = 1.5, tilt = 0.7;
  polya_gamma_fill_streams<2>(words, &shape, 0, &tilt, 0, n, x.data());
  polya_gamma_fill_streams<8>(words, &shape, 0, &tilt, 0, n, wide.data());
  same(x, wide, "lanes of the fill");

  // Values that are not drawn.
  check(std::isnan(hsmoe_polya_gamma(&source, -1, 0)), "h < 0 is NaN");
  check(std::isnan(hsmoe_polya_gamma(&source, 1, std::nan(""))), "z NaN is NaN");
  check(hsmoe_polya_gamma(&source, 1, HUGE_VAL) == 0, "z infinite is 0");
  check(std::fabs(hsmoe_polya_gamma(&source, 2.5, 1e150) - 1.25e-150) < 1e-160, "z huge is the mean");

  // Density: both ways to it meet, and agree with the closed value at h = 1.
  check(std::fabs(std::exp(hsmoe_polya_gamma_log_pdf(0.2, 1, 0)) - 2.339176537265802) < 1e-13, "pdf(0.2)");
  check(std::fabs(std::exp(hsmoe_polya_gamma_log_cdf(0.2, 1, 0)) - 0.5255125396202509) < 1e-12, "cdf(0.2)");
  for (double h = 0.01; h < 2000; h *= 1.7)
    for (double q = 0.05; q < 20; q *= 1.3) {
      const double m = q * mean(h, 0.3);
      const double lower = polya_gamma_log_cdf(m, h, 0.3), upper = polya_gamma_log_survival(m, h, 0.3);
      check(std::fabs(std::exp(lower) + std::exp(upper) - 1) < 1e-12, "tails add to one", h, q);
      check(std::isfinite(polya_gamma_log_pdf(m, h, 0.3)), "finite log density", h, q);
    }

  std::printf("%s\n", failures ? "test_polya_gamma: failed" : "test_polya_gamma: ok");
  return failures ? 1 : 0;
}
