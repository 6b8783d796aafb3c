// The seam for experts.  An expert kind keeps `fields()` numbers a particle for all its K experts and
// answers for W particles at once; the filter knows nothing else of it.
#pragma once

#include <hsmoe/random/stream.hpp>
#include <hsmoe/row.hpp>

namespace hsmoe {

/// Predictive components of the K experts: Student-t (or normal, df = infinity) by lane.
template <int W>
struct Components {
  Lane<W>*loc, *scale, *df;  // (K) each
};

template <int W>
class Expert {
 public:
  virtual ~Expert() = default;
  virtual int fields() const = 0;        // doubles a particle, all experts
  virtual int work_lanes() const = 0;    // scratch lanes that the calls below may use
  virtual void init(double* state, Stream<W>& rng, Mask<W> mask) const = 0;
  /// log_f[k] = log f_k(y | x); components of the forecast too when asked for.
  virtual void log_density(const double* state, const Row& row, Lane<W>* log_f, const Components<W>* forecast,
                           Lane<W>* work) const = 0;
  /// The forecast alone: row.y is not read.
  virtual void predict(const double* state, const Row& row, const Components<W>& forecast,
                       Lane<W>* work) const = 0;
  /// Learn the row in expert z, for the lanes of the mask.
  virtual void learn(double* state, const Row& row, Lane<W> z, Stream<W>& rng, Mask<W> mask,
                     Lane<W>* work) const = 0;
  // Rejuvenation: one Gibbs scan over retained rows with the parameters instantiated.  `sums` are the
  // sufficient statistics of allocated rows (additive, free of the prior), `draw` the parameters.
  virtual int sum_fields() const = 0;   // doubles a particle
  virtual int draw_lanes() const = 0;
  /// Draw the parameters of every expert from their conditional given the state.
  virtual void draw_parameters(const double* state, Stream<W>& rng, Mask<W> mask, Lane<W>* draw,
                               Lane<W>* work) const = 0;
  /// log_f[k] = log f_k(y | x; parameters).
  virtual void parameter_log_density(const Lane<W>* draw, const Row& row, Lane<W>* log_f) const = 0;
  /// Add each row t to the sums of expert z[t].
  virtual void absorb(double* sums, const RowBlock& rows, const Lane<W>* z, Mask<W> mask) const = 0;
  /// Rebuild the state from the sums, hyper-parameters drawn given the parameters; these are then forgotten.
  virtual void rebuild(double* state, const double* sums, const Lane<W>* draw, Stream<W>& rng, Mask<W> mask,
                       Lane<W>* work) const = 0;

  /// The parameters of a lane of `draw`, for reports: coefficients (K, d), noise variance (K).
  virtual void describe_draw(const Lane<W>* draw, int lane, double* coefficients, double* variance) const = 0;
  /// Exchange experts `first` and `second` in the lanes of the mask.
  virtual void exchange(double* state, Lane<W> first, Lane<W> second, Mask<W> mask) const = 0;

  /// Posterior means, for reports: coefficients (K, d), noise variance (K), rows allocated (K).
  virtual void describe(const double* state, int lane, double* coefficients, double* variance,
                        double* counts) const = 0;
  /// Whether the numbers of a lane can be the state of a particle (read from a file).
  virtual bool plausible(const double* state, int lane) const = 0;
  virtual bool plausible_sums(const double* sums, int lane) const = 0;
};

}  // namespace hsmoe
