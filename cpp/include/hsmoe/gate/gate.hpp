// The seam for gates.  A gate keeps `fields()` numbers a particle and answers for W particles at once;
// the filter knows nothing else of it.
#pragma once

#include <hsmoe/gate/gate_options.hpp>
#include <hsmoe/gate/gate_refit.hpp>
#include <hsmoe/gate/open_leaves.hpp>
#include <hsmoe/random/stream.hpp>
#include <hsmoe/row.hpp>

namespace hsmoe {

template <int W>
class Gate {
 public:
  virtual ~Gate() = default;
  virtual int fields() const = 0;      // doubles a particle
  virtual int memo_lanes() const = 0;  // lanes that log_proba leaves for learn (the logits)
  virtual int work_lanes() const = 0;
  virtual int n_splits() const = 0;    // rows of the coefficient table
  virtual void init(double* state, Stream<W>& rng, Mask<W> mask, Lane<W>* work) const = 0;
  /// log_g[k] = log g_k(u; phi); memo: what learn needs of this row.
  virtual void log_proba(const double* state, const Row& row, Lane<W>* log_g, Lane<W>* memo) const = 0;
  /// g[k] = g_k(u; phi), 0 where it is below the range of doubles; memo as above.
  virtual void proba(const double* state, const Row& row, Lane<W>* g, Lane<W>* memo) const = 0;
  /// Learn that the row went to expert z; refresh phi and the scales of what the row touched by `kernel`.
  virtual void learn(double* state, const Row& row, Lane<W> z, const Lane<W>* memo, PhiKernel kernel,
                     Stream<W>& rng, Mask<W> mask, Lane<W>* work) const = 0;

  // Rejuvenation: the statistics are rebuilt row by row with phi held fixed, then phi is drawn anew.
  virtual int sum_fields() const = 0;  // doubles a particle: the statistics alone, free of the prior
  virtual void load_sums(double* state, const double* sums, Mask<W> mask) const = 0;  // null: empty statistics
  /// Augment each row t for expert z[t] and add it to the statistics of the state, and to `frozen` unless
  /// null.  memo: memo_lanes a row.
  virtual void absorb(double* state, double* frozen, const RowBlock& rows, const Lane<W>* z, const Lane<W>* memo,
                      Stream<W>& rng, Mask<W> mask, Lane<W>* work) const = 0;
  /// Draw all phi given the statistics by `kernel`, then the scales.
  virtual void renew(double* state, PhiKernel kernel, Stream<W>& rng, Mask<W> mask, Lane<W>* work) const = 0;

  /// Whether exchange can change anything.
  virtual bool has_exchanges() const = 0;
  /// Metropolis-Hastings proposal to exchange the places of two experts, drawn by lane, given the allocations z of all n
  /// rows so far (designs U, row-major).  Their Polya-Gamma variables are integrated out: where a proposal was
  /// accepted they must be drawn anew.  Returns the lanes that accepted, and the experts.  sides: 2 n lanes of scratch.
  virtual Mask<W> exchange(double* state, Index n, const double* U, const Lane<W>* z, Lane<W>* sides, Lane<W>& first,
                           Lane<W>& second, Stream<W>& rng, Mask<W> mask, Lane<W>* work) const = 0;

  /// Null where there is no such fit.
  virtual const GateRefit<W>* refitting() const { return nullptr; }

  // Experts that open and close (gate/open_leaves.hpp): null where all are open at every row.
  virtual const OpenLeaves<W>* leaves() const { return nullptr; }
  /// Draw what is open at row `next`, after the row before was learned; the coefficients of nodes that become active anew.
  virtual void advance(double*, double /*next*/, Stream<W>&, Mask<W>, Lane<W>* /*work*/) const {}
  /// The leaves that were closed before row `begin` of n are free again, as expert statistics in the lanes of `freed` (K) must be;
  /// nodes active at none of the rows from `begin` on have their frozen sums emptied.  Returns where there were such leaves.
  virtual Mask<W> forget_closed(double*, double* /*frozen*/, Index /*begin*/, Index /*n*/, Mask<W>* /*freed*/, Stream<W>&, Mask<W>,
                                Lane<W>* /*work*/) const { return Mask<W>::all_false(); }

  // A gate whose coefficients have no sufficient statistics: learn leaves them as they are, and a scan ends with a move
  // given the allocations of all retained rows, which then takes the place of renew; sums remember the rows before.
  virtual bool moves_by_rows() const { return false; }
  /// Lanes of scratch that move needs beside work.
  virtual Index move_lanes(Index) const { return 0; }
  /// n retained rows (designs U, row-major) that went to z.  sums: those of the rows before them (null: none); the first
  /// n_freeze rows join them.
  virtual void move(double*, double* /*sums*/, Index /*n*/, Index /*n_freeze*/, const double* /*U*/, const Lane<W>* /*z*/,
                    Lane<W>* /*scratch*/, Stream<W>&, Mask<W>, Lane<W>* /*work*/) const {}

  /// For reports: phi (n_splits, p), lambda (n_splits, p), inclusion = 1 - shrinkage factor (n_splits, p), tau.
  virtual void describe(const double* state, int lane, double* phi, double* local_scale, double* inclusion,
                        double* global_scale) const = 0;
  /// Whether the numbers of a lane can be the state of a particle (read from a file).
  virtual bool plausible(const double* state, int lane) const = 0;
  virtual bool plausible_sums(const double* sums, int lane) const = 0;
};

}  // namespace hsmoe
