// What forgetting leaves of the sums of Gaussian experts, and that an expert of which nothing is left is the prior again.
#include <vector>

#include <hsmoe/expert/gaussian.hpp>

#include "check.hpp"

using namespace hsmoe;

int main() {
  constexpr int W = 4, K = 2, d = 3;
  GaussianOptions options;
  options.b0_shape = 0.0;
  const GaussianExpert<W> expert(K, d, options);
  const int stride = expert.sum_fields() / K, count = stride - 1;
  AlignedVector<double> sums(std::size_t(W * expert.sum_fields()), 0.0), state(std::size_t(W * expert.fields()), 0.0), fresh = state;

  // Expert 0: 3 rows, the last of a long time ago, one that is as good as forgotten, none.  Expert 1: 7 rows in every lane.
  const double rows[W] = {3.0, 1e-10, 1e-13, 0.0};
  for (int k = 0; k < K; ++k)
    for (int lane = 0; lane < W; ++lane) {
      const double n = k == 0 ? rows[lane] : 7.0;
      double* of_expert = sums.data() + W * k * stride + lane;
      for (int i = 0; i <= d; ++i)
        for (int j = 0; j <= i; ++j) of_expert[W * packed_index(i, j)] = n * (i == j ? 1e3 : 1.0);
      of_expert[W * count] = n;
    }
  const AlignedVector<double> before = sums;
  expert.fade(sums.data(), 0.25);
  for (int k = 0; k < K; ++k)
    for (int f = 0; f < stride; ++f)
      for (int lane = 0; lane < W; ++lane) {
        const std::size_t at = std::size_t(W * (k * stride + f) + lane);
        const bool forgotten = k == 0 && lane >= 2;
        CHECK(sums[at] == (forgotten ? 0.0 : 0.25 * before[at]));
      }

  std::vector<std::uint64_t> words;
  for (int i = 0; i < 4 * W; ++i) words.push_back(0x9e3779b97f4a7c15ull * std::uint64_t(i + 1));
  Stream<W> rng = Stream<W>::load(words.data());
  AlignedVector<double> scratch(std::size_t(W * (expert.work_lanes() + expert.draw_lanes() + K)), 1.0);
  Lane<W>*work = reinterpret_cast<Lane<W>*>(scratch.data()), *draw = work + expert.work_lanes(), *log_f = draw + expert.draw_lanes();
  expert.init(state.data(), rng, Mask<W>::all_true());
  fresh = state;
  expert.rebuild(state.data(), sums.data(), draw, 0, rng, Mask<W>::all_true(), work);
  const int fields = expert.fields() / K;
  for (int f = 0; f < fields; ++f)  // what is left of one lane does not spill into the others
    for (int lane = 2; lane < W; ++lane) CHECK(state[std::size_t(W * f + lane)] == fresh[std::size_t(W * f + lane)]);
  CHECK(state[0] < fresh[0] && state[1] < fresh[1]);  // 1 / D of lanes with rows

  // Emptied in every lane, after rows were held: every number is the prior's, and so is the density.
  std::fill_n(sums.begin(), W * stride, 0.0);
  expert.rebuild(state.data(), sums.data(), draw, 0, rng, Mask<W>::all_true(), work);
  for (int f = 0; f < W * fields; ++f) CHECK(state[std::size_t(f)] == fresh[std::size_t(f)]);
  const double x[d] = {1.0, -0.4, 2.0};
  const Row row{x, x, nullptr, 0.7, 0.0};
  expert.log_density(state.data(), row, log_f, nullptr, work);
  const Lane<W> prior = expert.empty_log_density(fresh.data(), Lane<W>(0.0), row);
  for (int lane = 0; lane < W; ++lane) {
    CHECK_CLOSE(log_f[0][lane], prior[lane], 1e-12);
    CHECK(std::abs(log_f[1][lane] - prior[lane]) > 1e-3);
  }
  return report("gaussian expert");
}
