// The factored regression against dense algebra in Eigen, and against itself rebuilt from sums.
#include <vector>

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <Eigen/LU>

#include <hsmoe/linalg/cholesky_update.hpp>
#include <hsmoe/linalg/factored_regression.hpp>
#include <hsmoe/linalg/gaussian_draw.hpp>

#include "check.hpp"

using namespace hsmoe;

namespace {

template <int W>
void against_dense(int d, double scale) {
  const int n = 60;
  const double precision = 0.1;
  std::srand(7);
  const Eigen::MatrixXd X = scale * Eigen::MatrixXd::Random(n, d);
  const Eigen::VectorXd y = X * Eigen::VectorXd::Random(d) + 0.3 * Eigen::VectorXd::Random(n);
  AlignedVector<double> factor(W * factor_size(d)), sums(W * packed_size(d + 1), 0.0), rebuilt(factor.size());
  AlignedVector<double> scratch(W * (packed_size(d + 1) + d));
  Lane<W>* work = reinterpret_cast<Lane<W>*>(scratch.data());
  factor_init<W>(factor.data(), d, precision);
  const int lane = W - 1;  // this lane learns, lane 0 does not (unless it is the same)
  Lane<W> weight(0.0);
  weight.set(lane, 1.0);
  double residual = 0;
  for (int i = 0; i < n; ++i) {
    const Eigen::VectorXd x = X.row(i);
    residual += factor_update<W>(factor.data(), d, x.data(), y[i], weight, work)[lane];
    for (int a = 0; a <= d; ++a)
      for (int b = 0; b <= a; ++b) {
        const double va = a < d ? x[a] : y[i], vb = b < d ? x[b] : y[i];
        for (int w = 0; w < W; ++w) sums[W * packed_index(a, b) + w] += va * vb;
      }
  }
  const Eigen::MatrixXd P = X.transpose() * X + precision * Eigen::MatrixXd::Identity(d, d);
  const Eigen::VectorXd m = P.llt().solve(X.transpose() * y);
  const double exact_residual = y.squaredNorm() - m.dot(P * m);
  CHECK_CLOSE(residual, exact_residual, 1e-9 * y.squaredNorm());

  const Eigen::VectorXd x = X.row(0) * 0.7;
  Lane<W> leverage, mean;
  factor_solve<W>(factor.data(), d, x.data(), work, leverage, mean);
  CHECK_CLOSE(leverage[lane], x.dot(P.llt().solve(x)), 1e-10);
  CHECK_CLOSE(mean[lane], x.dot(m), 1e-9 * (1 + scale));
  if (W > 1) CHECK_CLOSE(leverage[0], x.squaredNorm() / precision, 0.0 + 1e-12 * x.squaredNorm() / precision);

  std::vector<Lane<W>> back(d);
  factor_mean<W>(factor.data(), d, nullptr, back.data());
  for (int j = 0; j < d; ++j) CHECK_CLOSE(back[j][lane], m[j], 1e-8);

  const Lane<W> r = factor_from_sums<W>(rebuilt.data(), d, precision, sums.data(), work);
  CHECK_CLOSE(r[lane], exact_residual, 1e-9 * y.squaredNorm());
  for (int f = 0; f < factor_size(d); ++f) CHECK_CLOSE(rebuilt[W * f + lane], factor[W * f + lane], 1e-8);
}

void gaussian_draws() {
  // Both kernels leave N(Q^-1 h, Q^-1) invariant: mean and covariance of long runs, 5 standard errors.
  constexpr int W = 4;
  const int p = 3, n = 40000;
  Eigen::Matrix3d A;
  A << 3, 1, -0.5, 1, 2, 0.4, -0.5, 0.4, 1.5;
  const Eigen::Vector3d D(0.5, 2, 0.1), h(1, -2, 0.7);
  const Eigen::Matrix3d cov = (A + Eigen::Matrix3d(D.asDiagonal())).inverse();
  const Eigen::Vector3d mean = cov * h;
  AlignedVector<double> packed(W * packed_size(p));
  for (int i = 0; i < p; ++i)
    for (int j = 0; j <= i; ++j)
      for (int w = 0; w < W; ++w) packed[W * packed_index(i, j) + w] = A(i, j);
  Lane<W> DL[3], hL[3], phi[3], work[packed_size(3) + 3];
  for (int j = 0; j < p; ++j) DL[j] = D[j], hL[j] = h[j], phi[j] = 0.0;
  std::uint64_t words[4 * W];
  for (int i = 0; i < 4 * W; ++i) words[i] = 0x2545f4914f6cdd1dull * std::uint64_t(i + 3);
  for (int kernel = 0; kernel < 2; ++kernel) {
    Stream<W> rng = Stream<W>::load(words);
    Eigen::Vector3d sum = Eigen::Vector3d::Zero();
    Eigen::Matrix3d cross = Eigen::Matrix3d::Zero();
    for (int i = 0; i < n; ++i) {
      if (kernel == 0) gaussian_block_draw<W>(packed.data(), DL, hL, p, work, rng, Mask<W>::all_true(), phi);
      else gaussian_coordinate_sweep<W>(packed.data(), DL, hL, p, rng, Mask<W>::all_true(), phi);
      for (int w = 0; w < W; ++w) {
        const Eigen::Vector3d v(phi[0][w], phi[1][w], phi[2][w]);
        sum += v;
        cross += (v - mean) * (v - mean).transpose();
      }
    }
    const double m = double(n) * W, inflate = kernel == 0 ? 1 : 2;  // the sweep is autocorrelated
    for (int i = 0; i < p; ++i) {
      CHECK_CLOSE(sum[i] / m, mean[i], inflate * 5 * std::sqrt(cov(i, i) / m));
      for (int j = 0; j < p; ++j)
        CHECK_CLOSE(cross(i, j) / m, cov(i, j), inflate * 5 * std::sqrt((cov(i, i) * cov(j, j) + cov(i, j) * cov(i, j)) / m));
    }
  }
}

void downdate() {
  const int d = 6;
  std::srand(3);
  const Eigen::MatrixXd B = Eigen::MatrixXd::Random(d, d);
  const Eigen::MatrixXd P = B * B.transpose() + Eigen::MatrixXd::Identity(d, d);
  using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  RowMajor L = P.llt().matrixL();
  const RowMajor before = L;
  const Eigen::VectorXd x = Eigen::VectorXd::Random(d);
  std::vector<double> work(3 * d);
  CHECK(cholesky_update(L.data(), d, x.data(), +1, work.data()));
  CHECK((L * L.transpose() - P - x * x.transpose()).norm() < 1e-12);
  CHECK(cholesky_update(L.data(), d, x.data(), -1, work.data()));
  CHECK((L - before).norm() < 1e-12);
  const RowMajor kept = L;
  const Eigen::VectorXd large = 100 * x;
  CHECK(!cholesky_update(L.data(), d, large.data(), -1, work.data()));
  CHECK(L == kept);
}

// What is left out where there are no rows changes no bit.
template <int W>
void without_rows() {
  const int d = 7;
  const double precision = 1.0 / 3.0;
  AlignedVector<double> factor(W * factor_size(d)), scratch(W * (packed_size(d) + 2 * d)), A(W * packed_size(d), 0.0);
  Lane<W>* work = reinterpret_cast<Lane<W>*>(scratch.data());
  factor_init<W>(factor.data(), d, precision);
  const double x[d] = {1.0, -0.3, 2.7, 0.0, 1e3, -1.1, 0.4};
  Lane<W> leverage, mean, leverage_short, mean_short;
  factor_solve<W>(factor.data(), d, x, work, leverage, mean);
  factor_solve_initial<W>(d, precision, x, leverage_short, mean_short);
  CHECK(all(leverage == leverage_short) && all(mean == mean_short));

  // The block draw takes the long way as soon as one lane holds a row, if of no weight to speak of.
  const Mask<W> mask = Mask<W>::all_true();
  AlignedVector<double> lanes(W * 4 * d);
  Lane<W>*D = reinterpret_cast<Lane<W>*>(lanes.data()), *h = D + d, *phi = h + d, *phi_short = phi + d;
  std::vector<std::uint64_t> words;
  for (int i = 0; i < 4 * W; ++i) words.push_back(0x9e3779b97f4a7c15ull * std::uint64_t(i + 1));
  for (int j = 0; j < d; ++j) D[j] = Lane<W>(0.1 + j * j), h[j] = Lane<W>(j == 0 ? -0.7 : 0.0);
  Stream<W> rng = Stream<W>::load(words.data());
  CHECK(is_zero<W>(A.data(), d));
  gaussian_block_draw<W>(A.data(), D, h, d, work, rng, mask, phi_short);
  A[W * packed_index(d - 1, d - 1) + W - 1] = 1e-300;
  CHECK(!is_zero<W>(A.data(), d));
  rng = Stream<W>::load(words.data());
  gaussian_block_draw<W>(A.data(), D, h, d, work, rng, mask, phi);
  for (int j = 0; j < d; ++j) CHECK(all(phi[j] == phi_short[j]));
}

}  // namespace

int main() {
  without_rows<1>();
  without_rows<8>();
  for (int d : {1, 2, 5, 12}) {
    against_dense<1>(d, 1.0);
    against_dense<4>(d, 1.0);
    against_dense<8>(d, 30.0);
  }
  gaussian_draws();
  downdate();
  return report("factored regression");
}
