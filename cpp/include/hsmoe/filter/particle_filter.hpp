// Particle learning (Carvalho, Johannes, Lopes & Polson 2010) over islands of particles.  One row:
//
//   1. weigh:      increment_i = log sum_k g_k(u; phi_i) f_k(y | x; statistics_i), in every particle
//   2. reweight:   log Z += log sum_i W_i exp(increment_i); systematic resampling below the ESS threshold
//   3. propagate:  z ~ Cat(g_k f_k) with the phi that entered the weight; then the expert z and the gate
//                  learn the row, and phi and the scales are refreshed; where experts open and close
//                  (gate/open_leaves.hpp), it is drawn which are open at the next row
//   4. rejuvenate: in an island that resampled, Gibbs scans of every particle over the retained rows
//   5. thin:       after early_rows rows systematic resampling leaves n_particles of the early_particles of an island
//
// Rejuvenation revises what plain particle learning never does, the old allocations z and omega.  A scan
// draws the expert parameters from the statistics, then for each retained row z given them and phi, and omega
// given z, rebuilds the statistics = frozen sums + retained rows, and draws phi and the scales anew: a Gibbs
// kernel for the posterior, hence exact.  Rows leave the buffer only in a scan: their fresh contributions
// join the frozen sums, so no particle stores a history.  While all rows are retained a Metropolis-Hastings step also
// proposes that two experts change their places in the tree of the gate: where regimes sit at the wrong leaves the
// evidence suffers by tens of nats, and moves of single rows do not mend that.  Another (filter/relocation.hpp) makes an expert
// that has little to do the twin of another one, at a leaf where that pays.  A scan is forced when 2 * retain rows have gathered,
// at first open_rows if more; none freezes before.
//
// Most of the variance of log Z comes from the first rows, when few of them tell the regimes apart: more particles cost
// little there, for the rows are few, and the estimate of Z stays unbiased, for so does resampling to any number.
//
// Islands are pooled by their evidence, share_r ~ Z_r, so that log Z = log mean_r Z_r.  Where islands differ in
// how fast they forget, the evidence that shares them decays too, as in dynamic model averaging (Raftery,
// Karny & Ettler 2010): log share <- pool_memory (log share + log p_r(y)), and log Z is the sum of the pooled
// log forecasts.  Until something is frozen such islands are replicates: they are pooled by all of their evidence, and
// resampled by it before the first row freezes, so that each rate sets out from a good arrangement of experts.
//
// Steps 1, 3 and 4 run over blocks of W particles on any number of threads; they make
// one pass over the block from a row to the next.  Step 2 is serial and in particle order, but for the copying: the same
// bits for any thread count.
// Row by row and in chunks is the same code path, hence the same bits.
#pragma once

#include <chrono>
#include <cmath>

#include <hsmoe/error.hpp>
#include <hsmoe/expert/expert.hpp>
#include <hsmoe/filter/forecast_batch.hpp>
#include <hsmoe/filter/mixture_engine.hpp>
#include <hsmoe/filter/particle_store.hpp>
#include <hsmoe/filter/relocation.hpp>
#include <hsmoe/filter/resampling.hpp>
#include <hsmoe/filter/row_buffer.hpp>
#include <hsmoe/filter/thread_pool.hpp>
#include <hsmoe/filter/weights.hpp>
#include <hsmoe/gate/gate.hpp>

namespace hsmoe {

template <int W>
class ParticleFilter final : public MixtureEngine {
 public:
  ParticleFilter(const EngineConfig& config, std::unique_ptr<Expert<W>> expert, std::unique_ptr<Gate<W>> gate,
                 const std::vector<std::uint64_t>& seeds);

  void learn(const Rows& rows, int n_jobs, const LearnPath& path, const ForecastPath* forecast,
             const Poll& poll) override;

  void gate_proba(const Rows& rows, int n_jobs, double* mean, double* sd) const override;
  void active_experts(const Rows& rows, double mass, int n_jobs, double* probability) const override;
  std::vector<double> n_experts_posterior() const override;

  ParticleReport particle(Index i) const override;
  void draw(const std::vector<Index>& particles, const std::uint64_t* seeds, const Rows& rows, int n_jobs,
            const PosteriorDraws& out) const override;
  const std::vector<double>& log_weight() const override { return population_.log_weight; }
  const std::vector<double>& log_share() const override { return population_.log_share; }
  double log_evidence() const override { return population_.log_evidence; }
  const std::vector<double>& island_log_evidence() const override { return population_.island_log_evidence; }
  const EventLog<ResamplingEvent>& resampling_log() const override { return resampling_log_; }
  const EventLog<ScanEvent>& scan_log() const override { return scan_log_; }
  Index n_rows() const override { return n_rows_; }
  Index n_particles() const override { return population_.store.particles(); }
  Index n_bytes() const override;
  int n_splits() const override { return gate_->n_splits(); }
  int n_coefficients() const override { return expert_->coefficients(); }
  EngineState state() const override;
  void set_state(const EngineState& state) override;

 private:
  // What a run changes; copied to undo a call that failed.
  struct Population {
    ParticleStore<W> store;
    AlignedVector<std::uint64_t> streams;          // block b: 4 x W words
    std::vector<std::uint64_t> island_streams;     // 4 words an island
    std::vector<double> log_weight;                // (islands, particles), normalised by island
    std::vector<double> island_log_evidence;
    std::vector<double> log_share;                 // of the islands in a forecast, normalised
    double log_evidence = 0.0;                     // of the pooled forecasts
    RowBuffer buffer;
    std::vector<Index> frozen_until;  // by island: rows before are in the frozen sums
    std::vector<Index> rows_at_scan;      // by island: rows there were at the last scan
  };
  // Of the row in flight, made by weigh, read by propagate.
  struct InFlight {
    AlignedVector<double> memory;            // by block: K lanes of cumulative g_k f_k, then the memo of the gate
    std::vector<double> increment, weight;   // (islands, particles)
  };
  // Scratch of one thread.
  struct Scratch {
    AlignedVector<double> lanes;
    AlignedVector<double> forecast;  // fields of the K components
    AlignedVector<double> allocation, relocation;
    std::vector<double> uu;
  };

  ParticleStore<W> empty_store(Index n_particles) const;
  InFlight in_flight(Index n_particles) const;
  void learn_run(const Rows& rows, Index first, Index last, ThreadPool& pool, std::vector<Scratch>& scratch,
                 const LearnPath& path, const ForecastPath* forecast, const Poll& poll);
  void thin();
  Row row_at(const Rows& rows, Index i, Index at, std::vector<double>& uu) const;  // row `at` of the stream
  void weigh(Index block, const Row& row, ForecastBatch* batch, Index slot, Scratch& scratch);
  void propagate(Index block, const Row& row, Scratch& scratch);
  void rejuvenate(Index block, Scratch& scratch);
  Lane<W> weigh_experts(const double* gate_state, const Row& row, const Lane<W>* log_f, Lane<W>* g, Lane<W>* mass,
                Lane<W>* memo, Lane<W>* joint) const;
  Lane<W> draw_allocation(const Lane<W>* mass, Stream<W>& rng, Mask<W> mask) const;
  void reweight_islands(Index row_in_call, std::vector<double>& growth);
  Index resample_islands(ThreadPool& pool);
  void part_ways();
  void plan_scans();
  void finish_scans();
  double turn(Index block) const;
  void rearrange_experts(bool exchanging, bool relocating, bool swapping, double* state, Index n, Stream<W>& rng, Mask<W> mask,
                         Lane<W>* g, Lane<W>* memo, Lane<W>* work, Scratch& scratch) const;
  double* weights_of(Index island) { return in_flight_.weight.data() + island * n_particles(); }
  std::vector<Scratch> scratches(int n_threads) const;
  void for_each_forecast(const Rows& rows, int n_jobs, const PerRow& per_row) const override;
  bool freezes() const { return config_.retain > 0; }
  Index core_fields() const { return expert_->fields() + gate_->fields(); }
  bool full(Index island, Index n) const;
  Index freeze_before(Index island, Index n) const;
  bool any_frozen() const;
  bool scan_due(Index island) const;
  Index scans_over(Index begin, Index end) const;
  int memo_rows() const { return config_.retain ? RowBlock::most : 1; }
  Index memo_offset() const { return config_.n_experts; }
  double* memory(Index block) { return in_flight_.memory.data() + block * memory_lanes_ * W; }

  std::unique_ptr<Expert<W>> expert_;
  std::unique_ptr<Gate<W>> gate_;
  Population population_;
  Index n_rows_ = 0;
  EventLog<ResamplingEvent> resampling_log_;
  EventLog<ScanEvent> scan_log_;

  Index memory_lanes_;
  InFlight in_flight_;
  std::vector<char> resampled_;             // islands that resampled on this row
  std::vector<char> scanning_;              // islands to scan after this row
};

}  // namespace hsmoe

#include <hsmoe/filter/particle_draws_impl.hpp>
#include <hsmoe/filter/particle_filter_impl.hpp>
#include <hsmoe/filter/particle_forecast_impl.hpp>
#include <hsmoe/filter/particle_rejuvenation_impl.hpp>
#include <hsmoe/filter/particle_state_impl.hpp>
