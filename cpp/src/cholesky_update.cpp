#include <hsmoe/linalg/cholesky_update.hpp>

#include <cmath>
#include <limits>

#include <Eigen/Core>

namespace hsmoe {
namespace {
using Matrix = Eigen::Map<Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;
using Vector = Eigen::Map<Eigen::VectorXd>;
using ConstVector = Eigen::Map<const Eigen::VectorXd>;

/// sqrt(a^2 + b^2); std::hypot, several times slower, where the squares leave the range of a double.
inline double length(double a, double b) {
  const double square = a * a + b * b;
  return square > 1e-280 && square < 1e280 ? std::sqrt(square) : std::hypot(a, b);
}

}  // namespace

bool cholesky_update(double* data, Index d, const double* x_data, int sign, double* work) {
  Matrix L(data, d, d);
  ConstVector x(x_data, d);
  Vector w(work, d);
  if (sign > 0) {
    // Column by column a Givens rotation of (L_jj, w_j) onto (r, 0), applied to (L_.j, w).
    w = x;
    for (Index j = 0; j < d; ++j) {
      const double r = length(L(j, j), w[j]), c = L(j, j) / r, s = w[j] / r;
      L(j, j) = r;
      for (Index i = j + 1; i < d; ++i) {
        const double l = L(i, j);
        L(i, j) = c * l + s * w[i];
        w[i] = c * w[i] - s * l;
      }
    }
    return true;
  }
  // Downdate (Stewart 1979; Golub & Van Loan 6.5.4): with L p = x the new matrix is positive definite
  // if and only if p'p < 1.  Rotations that turn (p, alpha), alpha^2 = 1 - p'p, onto (0, 1) from the last
  // coordinate upwards carry (L, 0) to the new factor.  Orthogonal, hence backward stable.
  w = L.triangularView<Eigen::Lower>().solve(x);
  const double norm = w.norm();
  const double alpha_sq = (1.0 - norm) * (1.0 + norm);
  if (!(alpha_sq > double(d) * std::numeric_limits<double>::epsilon())) return false;
  Vector c(work + d, d), s(work + 2 * d, d);
  double alpha = std::sqrt(alpha_sq);
  for (Index j = d - 1; j >= 0; --j) {
    const double r = length(alpha, w[j]);
    c[j] = alpha / r;
    s[j] = w[j] / r;
    alpha = r;
  }
  for (Index i = 0; i < d; ++i) {
    double carried = 0.0;  // row i of the column that starts as zero
    for (Index j = i; j >= 0; --j) {
      const double l = L(i, j);
      L(i, j) = c[j] * l - s[j] * carried;
      carried = s[j] * l + c[j] * carried;
    }
  }
  return true;
}

}  // namespace hsmoe
