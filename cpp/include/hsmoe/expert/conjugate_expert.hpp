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
  /// log p(all rows of expert k (by lane)), parameters integrated out.
  virtual Lane<W> log_marginal(const double* state, Lane<W> k) const = 0;
  /// Lanes of the sums of one expert.
  virtual int one_sum_lanes() const = 0;
  /// Add rows with these weights to the sums of one expert.
  virtual void add(double* one_sum, const RowBlock& rows, const Lane<W>* weight) const = 0;
  /// Parameters of expert k (by lane) in `draw`: those of expert j or, given its sums, typical ones of their posterior.
  virtual void imitate(Lane<W>* draw, Lane<W> k, Lane<W> j) const = 0;
  virtual void estimate(const double* state, Lane<W> k, const double* one_sum, Lane<W>* draw, Lane<W>* work) const = 0;
  /// The statistics from the sums, hyper-parameters as they are.
  virtual void condense(double* state, const double* sums, Lane<W>* work) const = 0;
};

}  // namespace hsmoe
