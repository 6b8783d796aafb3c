// Streaming variational Bayes (Broderick et al. 2013) for the model of the particle filter: each island is one member, a
// mean-field posterior
//
//     q = prod_i q(z_i) q(omega_i | z_i)  prod_l q(phi_l)  q(scales)  prod_k q(beta_k, s2_k) q(b0_k)
//
// whose sums over the rows take the place of the data.  One row:
//
//   1. forecast:  sum_k E[g_k] f_k, f_k the forecast of expert k with coefficients and noise integrated out
//   2. allocate:  q(z = k) ~ E[g_k] f_k(y); drawn, not shared out, for the first rows, or all experts would stay alike
//   3. learn:     the sums of the gate and of the experts, weighted by q(z)
//
// q(z_i) is that of collapsed variational Bayes in its zero-order form (Teh, Newman & Welling 2006; Asuncion et al. 2009):
// the forecast from everything but the row itself, where plain mean field has exp E[log g_k f_k] in place of it, a bound
// that punishes experts who know little and on streams loses them for good (docs/variational.md).  Scans of the retained
// rows revise allocations: each row is seen without itself (Belief::without), then the sums are made anew.  They come
// after 10, 15, 23, ... rows and then whenever twice the rows to retain have gathered; all but the last `retain` join the
// frozen sums, which fade by `forgetting`.  Members are pooled by their evidence, the sum of their log forecasts, as islands
// of particles are, and like them resampled by it before the first row freezes if they are to forget at different rates.
#pragma once

#include <hsmoe/filter/forecast_batch.hpp>
#include <hsmoe/filter/mixture_engine.hpp>
#include <hsmoe/filter/row_buffer.hpp>
#include <hsmoe/variational/experts.hpp>
#include <hsmoe/variational/gate.hpp>

namespace hsmoe::variational {

class VariationalEngine final : public MixtureEngine {
 public:
  VariationalEngine(const EngineConfig& config, std::unique_ptr<VariationalExperts> experts,
                    std::unique_ptr<VariationalGate> gate, const std::vector<std::uint64_t>& seeds);

  void learn(const Rows& rows, int n_jobs, const LearnPath& path, const ForecastPath* forecast,
             const Poll& poll) override;
  void gate_proba(const Rows& rows, int n_jobs, double* mean, double* sd) const override;
  void active_experts(const Rows& rows, double mass, int n_jobs, double* probability) const override;
  ParticleReport particle(Index i) const override;
  void draw(const std::vector<Index>& particles, const std::uint64_t* seeds, const Rows& rows, int n_jobs,
            const PosteriorDraws& out) const override;
  const std::vector<double>& log_weight() const override { return log_weight_; }
  const std::vector<double>& log_share() const override { return posterior_.log_share; }
  double log_evidence() const override { return posterior_.log_evidence; }
  const std::vector<double>& island_log_evidence() const override { return posterior_.member_log_evidence; }
  const EventLog<ResamplingEvent>& resampling_log() const override { return resampling_log_; }
  const EventLog<ScanEvent>& scan_log() const override { return scan_log_; }
  Index n_rows() const override { return n_rows_; }
  Index n_particles() const override { return 1; }  // members of an island
  Index n_bytes() const override;
  int n_splits() const override { return gate_->n_nodes(); }
  int n_coefficients() const override { return experts_->coefficients(); }
  EngineState state() const override;
  void set_state(const EngineState& state) override;

 private:
  struct Member {
    std::vector<double> state;           // sums, frozen sums if rows freeze, what follows from the sums
    std::vector<double> responsibility;  // (retained rows, K)
    std::uint64_t stream[4];
  };
  // What a run changes; copied to undo a call that failed.
  struct Posterior {
    std::vector<Member> members;
    std::vector<double> member_log_evidence, log_share;
    double log_evidence = 0.0;
    std::uint64_t island_stream[4];  // of resampling members
    RowBuffer buffer;
    Index frozen_until = 0, rows_at_scan = 0;
  };
  // The retained rows as scans take them.
  struct ScanRows {
    RowSet X, U;
    std::vector<double> y, columns;
  };
  // Scratch of one thread.
  struct Scratch {
    VariationalGate::Work gate;
    ExpertWork experts;
    std::vector<double> log_g, log_f, r, components, omega, memo;
  };
  // The row in flight, by member.
  struct Flight {
    std::vector<double> r;  // responsibilities
    Scratch scratch;        // projections, which learning takes up
  };

  Index sums() const { return gate_->sums() + experts_->sums(); }
  Index frozen_size() const { return freezes() ? sums() : 0; }
  bool freezes() const { return config_.retain > 0; }
  double* derived(Member& m) const { return m.state.data() + sums() + frozen_size(); }
  const double* derived(const Member& m) const { return m.state.data() + sums() + frozen_size(); }
  Scratch scratch() const;
  void for_each_forecast(const Rows& rows, int n_jobs, const PerRow& per_row) const override;
  double forecast(const Member& member, const Row& row, Flight& flight) const;
  void learn(Member& member, const Row& row, Flight& flight) const;
  ScanRows scan_rows() const;
  void scan(Member& member, Index island, const ScanRows& rows, Index n_scans, Index freeze, Scratch& scratch) const;
  void refresh(Member& member, VariationalGate::Work& work) const;
  bool scan_due(Index n) const;
  bool refresh_due(Index n) const;
  Index scans_over(Index n) const;
  void part_ways();
  bool samples(Index n) const { return config_.n_experts > 1 && n < config_.variational->sampled_rows; }
  void draw_allocation(Member& member, double* r) const;

  std::unique_ptr<VariationalExperts> experts_;
  std::unique_ptr<VariationalGate> gate_;
  Posterior posterior_;
  Index n_rows_ = 0;
  std::vector<double> log_weight_;  // zeros: a member an island
  EventLog<ResamplingEvent> resampling_log_;
  EventLog<ScanEvent> scan_log_;
};

}  // namespace hsmoe::variational
