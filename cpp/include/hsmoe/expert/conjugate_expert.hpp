// What an expert that keeps no parameters in its state offers to proposals that move many rows at once.
#pragma once

#include <hsmoe/random/stream.hpp>
#include <hsmoe/row.hpp>

namespace hsmoe {

template <int W>
class ConjugateExpert {
 public:
  virtual ~ConjugateExpert() = default;
  /// log p(y | x) of the row in expert k (by lane), as if this expert had no rows.
  virtual Lane<W> empty_log_density(const double* state, Lane<W> k, const Row& row) const = 0;
  /// The statistics of one expert: those of expert k (by lane) without its rows, the log density of a row given them, and learning
  /// it in the lanes of the mask.
  virtual int one_fields() const = 0;
  virtual void begin(const double* state, Lane<W> k, double* one) const = 0;
  virtual Lane<W> one_log_density(const double* one, const Row& row, Lane<W>* work) const = 0;
  virtual void learn_one(double* one, const Row& row, Mask<W> mask, Lane<W>* work) const = 0;
  /// Lanes of the sums of one expert.
  virtual int one_sum_lanes() const = 0;
  /// Add rows with these weights to the sums of one expert.
  virtual void add(double* one_sum, const RowBlock& rows, const Lane<W>* weight) const = 0;
  /// Typical parameters of the posterior of expert k (by lane) given its sums, in the place of expert `at` of `draw`.
  virtual void estimate(const double* state, Lane<W> k, const double* one_sum, Lane<W>* draw, Lane<W> at, Lane<W>* work) const = 0;
  /// The statistics from the sums, hyper-parameters as they are.
  virtual void condense(double* state, const double* sums, Lane<W>* work) const = 0;
};

}  // namespace hsmoe
