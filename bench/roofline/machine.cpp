// What one thread of this machine can do: multiply-adds a second, and bytes a second read, or read and written, at given working sets.
//     machine BYTES...      prints "flops F", then "BYTES read R update U" a line (per second; an update counts both ways)
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include <hsmoe/simd/lane.hpp>
#include <hsmoe/types.hpp>

using namespace hsmoe;

namespace {

constexpr int W = HSMOE_LANES;
volatile double sink;

template <class Work>
double seconds(Work&& work) {
  double best = 1e9;
  for (int round = 0; round < 7; ++round) {
    const auto began = std::chrono::steady_clock::now();
    work();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
  }
  return best;
}

// Enough independent chains to fill the pipelines: latency 4 times 2 units, and some.
double flops() {
  constexpr int chains = 12;
  constexpr int steps = 2000000;
  const double t = seconds([] {
    Lane<W> sum[chains];
    for (int c = 0; c < chains; ++c) sum[c] = Lane<W>(double(c));
    const Lane<W> a(0.999999), b(1e-6);
    for (int i = 0; i < steps; ++i)
      for (int c = 0; c < chains; ++c) sum[c] = sum[c] * a + b;
    for (int c = 1; c < chains; ++c) sum[0] += sum[c];
    sink = sum[0][0];
  });
  return 2.0 * W * chains * double(steps) / t;
}

void bandwidth(std::size_t bytes) {
  const std::size_t n = std::max<std::size_t>(bytes / (8 * 8 * W), 1) * 8 * W, repeats = std::max<std::size_t>(1, (64u << 20) / (8 * n));
  AlignedVector<double> data(n, 1.0);
  const double read = seconds([&] {
    Lane<W> sum[8];
    for (auto& s : sum) s = Lane<W>(0.0);
    for (std::size_t r = 0; r < repeats; ++r)
      for (std::size_t i = 0; i < n; i += 8 * W)
        for (int k = 0; k < 8; ++k) sum[k] += Lane<W>::load(&data[i + std::size_t(k * W)]);
    for (int k = 1; k < 8; ++k) sum[0] += sum[k];
    sink = sum[0][0];
  });
  const double update = seconds([&] {
    for (std::size_t r = 0; r < repeats; ++r)
      for (std::size_t i = 0; i < n; i += W) (Lane<W>::load(&data[i]) + 1e-9).store(&data[i]);
    sink = data[n / 2];
  });
  std::printf("%zu read %.4g update %.4g\n", bytes, 8.0 * double(n * repeats) / read, 16.0 * double(n * repeats) / update);
}

}  // namespace

int main(int argc, char** argv) {
  std::printf("flops %.4g\n", flops());
  for (int i = 1; i < argc; ++i) bandwidth(std::size_t(std::atof(argv[i])));
}
