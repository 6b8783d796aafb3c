// What a gate offers to proposals that move all of its coefficients at once: the most probable coefficients where rows are
// shared between experts, found by one Newton step after the other, and draws around them.
#pragma once

#include <hsmoe/random/stream.hpp>
#include <hsmoe/row.hpp>

namespace hsmoe {

template <int W>
class GateRefit {
 public:
  virtual ~GateRefit() = default;
  /// Coefficients.
  virtual int dim() const = 0;

  /// A centre begins with a state of the gate, whose coefficients are fitted, followed by what the rows say.
  virtual int centre_lanes() const = 0;
  /// All coefficients zero, scales those of the state.
  virtual void begin(double* centre, const double* state) const = 0;
  /// What the rows said before gathering them anew.
  virtual void forget(double* centre) const = 0;
  /// What the rows say at the coefficients, each counted `weight` times.  share: K lanes a row, which
  /// add up to one at most; memo: of proba, a row after the other.  Information: of the allocations with these shares or, observed,
  /// what is left of it when they are summed out.
  virtual void gather(double* centre, const RowBlock& rows, const Lane<W>* share, const Lane<W>* memo, double weight,
                      bool observed) const = 0;
  /// The Newton step from the rows gathered.
  virtual void settle(double* centre, Lane<W>* work) const = 0;
  /// The centre is ready for draws, with the information from the rows gathered last.
  virtual void finish(double* centre, Lane<W>* work) const = 0;
  /// The logit of the node where the paths to two experts part, positive towards `first`.
  virtual Lane<W> towards(Lane<W> first, Lane<W> second, const Lane<W>* memo) const = 0;

  // Draws around a centre are of the coefficients and, for each, of which normal of the prior it comes from (dim lanes).
  /// Draw both; the coefficients into `state`.
  virtual void draw_around(const double* centre, double* state, Lane<W>* normals, Stream<W>& rng, Mask<W> mask, Lane<W>* work) const = 0;
  /// Log density of the coefficients of `state` and of the normals, up to a constant.
  virtual Lane<W> log_density_around(const double* centre, const double* state, const Lane<W>* normals, Lane<W>* work) const = 0;
  /// Draw the normals given the coefficients of `state` alone, and the log probability of those given.
  virtual void draw_normals(const double* state, Lane<W>* normals, Stream<W>& rng, Mask<W> mask) const = 0;
  virtual Lane<W> log_probability(const double* state, const Lane<W>* normals) const = 0;
  /// log p(phi | global scales), local scales integrated out, up to a constant.
  virtual Lane<W> log_prior(const double* state, Lane<W>* work) const = 0;
  /// Coefficients from another state in the lanes of the mask, local scales anew given them.
  virtual void adopt(double* state, const double* from, Stream<W>& rng, Mask<W> mask, Lane<W>* work) const = 0;
};

}  // namespace hsmoe
