// The seam for experts.  An expert kind keeps `fields()` numbers a particle for all its K experts and
// answers for W particles at once; the filter knows nothing else of it.
//
// What a particle keeps of its coefficients is up to the kind: a conjugate one integrates them out and draws them for
// the time of a scan, others hold a draw as part of the state, which each row and each scan moves.
//
// A forecast is K components of `components()` fields each, the parameters of the law of predictive/law.hpp.
#pragma once

#include <utility>

#include <hsmoe/expert/conjugate_expert.hpp>
#include <hsmoe/random/stream.hpp>
#include <hsmoe/row.hpp>

namespace hsmoe {

/// Exchange the numbers of experts `first` and `second`, `stride` of them each, in the lanes of the mask.
template <int W>
inline void exchange_strides(double* state, int stride, Lane<W> first, Lane<W> second, Mask<W> mask) {
  for (int w = 0; w < W; ++w) {
    if (!mask[w]) continue;
    double* a = state + w + W * Index(stride) * int(first[w]);
    double* b = state + w + W * Index(stride) * int(second[w]);
    for (int f = 0; f < stride; ++f) std::swap(a[W * f], b[W * f]);
  }
}

template <int W>
class Expert {
 public:
  virtual ~Expert() = default;
  virtual int fields() const = 0;        // doubles a particle, all experts
  virtual int work_lanes() const = 0;    // scratch lanes that the calls below may use
  virtual void init(double* state, Stream<W>& rng, Mask<W> mask) const = 0;
  virtual int components() const = 0;    // fields of a component of the forecast
  virtual int coefficients() const = 0;  // of one expert
  /// log_f[k] = log f_k(y | x); the forecast too unless null, field f of expert k at forecast[f * K + k].
  virtual void log_density(const double* state, const Row& row, Lane<W>* log_f, Lane<W>* forecast,
                           Lane<W>* work) const = 0;
  /// The forecast alone: row.y is not read.
  virtual void predict(const double* state, const Row& row, Lane<W>* forecast, Lane<W>* work) const = 0;
  /// Learn the row in expert z, for the lanes of the mask.
  virtual void learn(double* state, const Row& row, Lane<W> z, Stream<W>& rng, Mask<W> mask,
                     Lane<W>* work) const = 0;
  /// Move what a scan would move, where no rows are retained to scan.
  virtual void renew(double*, Stream<W>&, Mask<W>, Lane<W>*) const {}
  // Rejuvenation: one Gibbs scan over retained rows with the parameters instantiated.  `sums` are the
  // sufficient statistics of allocated rows (additive, free of the prior), `draw` the parameters.  A kind whose
  // conditionals cannot all be drawn from one pass over the rows asks for `stages()` scans in turn, stage 0 the last.
  virtual int stages() const { return 1; }
  virtual int sum_fields() const = 0;   // doubles a particle
  virtual int draw_lanes() const = 0;
  /// Forgetting: sums times share.
  virtual void fade(double* sums, double share) const {
    for (int f = 0; f < W * sum_fields(); ++f) sums[f] *= share;
  }
  /// Draw the parameters of every expert from their conditional given the state.
  virtual void draw_parameters(const double* state, Stream<W>& rng, Mask<W> mask, Lane<W>* draw,
                               Lane<W>* work) const = 0;
  /// log_f[k] = log f_k(y | x; parameters).
  virtual void parameter_log_density(const Lane<W>* draw, const Row& row, Lane<W>* log_f) const = 0;
  /// Augment each row t for expert z[t] and add it to the sums, and to `frozen` unless null.
  virtual void absorb(double* sums, double* frozen, const RowBlock& rows, const Lane<W>* z, const Lane<W>* draw, int stage,
                      Stream<W>& rng, Mask<W> mask, Lane<W>* work) const = 0;
  /// Rebuild the state from the sums, hyper-parameters drawn given the parameters; these are then forgotten.
  virtual void rebuild(double* state, const double* sums, const Lane<W>* draw, int stage, Stream<W>& rng, Mask<W> mask,
                       Lane<W>* work) const = 0;

  /// The parameters of a lane of `draw`, for reports: coefficients (K, coefficients()), noise variance (K), shape (K);
  /// NaN where there is no such parameter.
  virtual void describe_draw(const Lane<W>* draw, int lane, double* coefficients, double* variance, double* shape) const = 0;
  /// Exchange experts `first` and `second` in the lanes of the mask.
  virtual void exchange(double* state, Lane<W> first, Lane<W> second, Mask<W> mask) const = 0;
  /// Experts without rows, drawn from the prior, in the lanes that `fresh` has of each of the K; their frozen sums emptied.
  /// mask: the lanes of any.
  void begin_anew(double* state, double* frozen, const Mask<W>* fresh, int K, Stream<W>& rng, Mask<W> mask) const {
    const Index size = W * Index(fields());
    AlignedVector<double> prior(static_cast<std::size_t>(size), 0.0);
    init(prior.data(), rng, mask);
    const int stride = fields() / K, sum_stride = sum_fields() / K;
    for (int k = 0; k < K; ++k) {
      for (int f = W * k * stride; f < W * (k + 1) * stride; f += W)
        select(fresh[k], Lane<W>::load(&prior[std::size_t(f)]), Lane<W>::load(state + f)).store(state + f);
      for (int f = W * k * sum_stride; f < W * (k + 1) * sum_stride; f += W)
        select(fresh[k], Lane<W>(0.0), Lane<W>::load(frozen + f)).store(frozen + f);
    }
  }
  /// Null where parameters are part of the state.
  virtual const ConjugateExpert<W>* conjugate() const { return nullptr; }

  /// Posterior means, for reports: coefficients (K, coefficients()), noise variance (K), shape (K), rows allocated (K).
  virtual void describe(const double* state, int lane, double* coefficients, double* variance, double* shape,
                        double* counts) const = 0;
  /// Whether the numbers of a lane can be the state of a particle (read from a file).
  virtual bool plausible(const double* state, int lane) const = 0;
  virtual bool plausible_sums(const double* sums, int lane) const = 0;
};

}  // namespace hsmoe
