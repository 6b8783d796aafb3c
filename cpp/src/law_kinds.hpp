// The laws of law.cpp and its neighbours, and what they share.
#pragma once

#include <hsmoe/error.hpp>
#include <hsmoe/predictive/law.hpp>

namespace hsmoe {

std::unique_ptr<PredictiveLaw> make_laplace_law();
std::unique_ptr<PredictiveLaw> make_class_law(int n_classes);
std::unique_ptr<PredictiveLaw> make_binomial_law(double n_trials);
std::unique_ptr<PredictiveLaw> make_negative_binomial_law();

/// Throws InvalidArgument unless all lie in [0, 1].
void check_probabilities(const double* probs, int n);

/// Adaptive Simpson rule for the integral of f over [a, b] with an absolute error near `tolerance`.
template <class F>
double adaptive_simpson(F&& f, double a, double fa, double b, double fb, double fm, double tolerance, int depth = 0) {
  const double m = 0.5 * (a + b), h = b - a;
  const double left = f(0.5 * (a + m)), right = f(0.5 * (m + b));
  const double whole = h / 6 * (fa + 4 * fm + fb);
  const double halves = h / 12 * (fa + 4 * left + 2 * fm + 4 * right + fb), change = halves - whole;
  if (depth >= 40 || (change < 15 * tolerance && change > -15 * tolerance)) return halves + change / 15;
  return adaptive_simpson(f, a, fa, m, fm, left, 0.5 * tolerance, depth + 1) +
         adaptive_simpson(f, m, fm, b, fb, right, 0.5 * tolerance, depth + 1);
}

}  // namespace hsmoe
