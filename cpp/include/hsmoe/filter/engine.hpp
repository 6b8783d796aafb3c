// The face of the engine: plain doubles in and out, no lanes.  ParticleFilter<W> and VariationalEngine implement it.
#pragma once

#include <algorithm>
#include <atomic>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <hsmoe/expert/expert_options.hpp>
#include <hsmoe/filter/event_log.hpp>
#include <hsmoe/filter/variational_options.hpp>
#include <hsmoe/gate/gate_options.hpp>
#include <hsmoe/gate/node_tree.hpp>
#include <hsmoe/prior/prior_options.hpp>
#include <hsmoe/types.hpp>

namespace hsmoe {

struct EngineConfig {
  int n_experts = 1, n_particles = 1, n_islands = 1;
  int expert_dim = 1, gate_dim = 1;
  std::vector<NodeSpec> nodes;  // of the gate; empty: the binary tree of logistic splits below
  std::vector<Index> tree;      // (K-1) x 3
  std::vector<Index> leaves;    // K
  LaplaceNodeOptions laplace_node;
  PriorOptions gate_prior;
  ExpertOptions expert;
  double ess_threshold = 0.5;
  PhiKernel phi_kernel = PhiKernel::sweep;
  Index retain = 0;         // rows that scans may revise; 0: none (plain particle learning); -1: all
  int n_scans = 1;          // Gibbs scans at a rejuvenation, at least
  Index scan_rows = 0;      // and as many more as visit this many rows: thorough while rows are few
  Index exchange_rows = 0;  // rows that proposals to exchange experts visit, a particle and rejuvenation
  // Particles of an island, on average, that propose to relocate an expert at a rejuvenation when there are relocation_rows rows;
  // in proportion if fewer.
  int relocations = 0;
  Index relocation_rows = 1;
  // Draws that each of them makes around its centres, of which one is chosen.
  int relocation_tries = 1;
  Index open_rows = 0;  // none freezes before there are so many rows, twice those to retain at least
  int early_particles = 0;  // particles of an island until early_rows rows are learned, if more than n_particles
  Index early_rows = 0;
  std::vector<double> forgetting;  // by island: decay of the frozen statistics a row (empty: 1)
  double pool_memory = 1.0;        // once rows are frozen, islands are pooled by evidence that decays so much a row
  std::optional<double> change_rate;  // experts that open and close, so many openings a row; without it all are always open
  std::optional<VariationalOptions> variational;  // mean field, one member an island, instead of particles

  // Doubles of a particle as a model file has them, or of a member; 0: whatever it takes.  Another size is refused before memory
  // is taken for all, so a file gets no more than it brings.
  Index stored_fields = 0;

  int first_particles() const { return early_rows > 0 ? std::max(early_particles, n_particles) : n_particles; }
  /// Particles of an island that has learned so many rows.
  int particles_after(Index n_rows) const { return n_rows < early_rows ? first_particles() : n_particles; }
};

/// n rows of designs with their leading ones, row-major.
struct Rows {
  Index n;
  const double* X;  // (n, expert_dim)
  const double* U;  // (n, gate_dim)
  const double* y;  // (n), null where only designs are needed
};

/// Per-row results of learning; null members are not filled.
struct LearnPath {
  double* log_evidence = nullptr;  // cumulative, pooled over islands, after the row
  double* ess = nullptr;           // sum over islands, after the row, before resampling
  Index* resampled = nullptr;      // islands that resampled on the row
};

/// Per-row forecasts made before the row was learned; null members are not filled.
struct ForecastPath {
  double *mean = nullptr, *variance = nullptr, *log_density = nullptr, *cdf = nullptr, *crps = nullptr;
  double* expert_weight = nullptr;  // (n, K) mean over the particles of the routing probabilities
  double* class_proba = nullptr;    // (n, n_classes)
};

struct ResamplingEvent {
  Index row, island;
  double ess;
  Index unique;  // distinct ancestors
};

/// The scans of one island after a row.
struct ScanEvent {
  Index row, island;
  Index n_scans, n_rows;  // rows visited: scans times retained rows
  bool forced;            // for the retained rows were many, not because the island resampled
};

/// Everything that a run needs to continue bit for bit, in particle order (free of W).
struct EngineState {
  Index n_rows = 0;
  std::vector<double> particles;            // (islands, particles, fields), frozen sums last
  std::vector<double> log_weight;           // (islands, particles), normalised by island
  std::vector<double> island_log_evidence;  // (islands)
  std::vector<double> log_share;            // (islands), normalised
  double log_evidence = 0.0;
  std::vector<std::uint64_t> streams;       // (islands, particles + 1, 4); the last of an island is its own
  EventLog<ResamplingEvent> resampling_log;
  EventLog<ScanEvent> scan_log;
  Index first_retained = 0;                             // stream index of the first row below
  std::vector<double> retained_xy, retained_u;          // (n, expert_dim + 1), (n, gate_dim)
  std::vector<double> responsibility;                   // (islands, n, K) of mean field; else empty
  std::vector<Index> frozen_until, rows_at_scan;            // (islands)
};

struct ParticleReport {
  double weight, global_scale;
  std::vector<double> phi, local_scale, inclusion;          // (n_splits, p)
  std::vector<double> coefficients, noise_variance, shape, counts;  // (K, n_coefficients), (K) each
};

/// Where draws of M particles go; log_density may be null, and then the rows need no y.
struct PosteriorDraws {
  double *coefficients, *noise_variance;        // (M, K, n_coefficients), (M, K): drawn given the particle
  double *shape;                                // (M, K) of the law of an expert; NaN where it has none
  double *counts;                               // (M, K) rows allocated
  double *open;                                 // (M, K) whether open at the next row; written where experts open and close
  double *phi, *local_scale, *global_scale;     // (M, n_splits, p) twice, (M)
  double *log_gate, *log_density;               // (M, n, K) log g_k(u), log f_k(y | x; coefficients, noise)
};

/// Who uses an engine now: many readers, or one that changes it.  Not a lock: the second comer is refused.
class EngineUse {
 public:
  bool try_read() {
    int now = users_.load();
    while (now >= 0)
      if (users_.compare_exchange_weak(now, now + 1)) return true;
    return false;
  }
  void end_read() { users_.fetch_sub(1); }
  bool try_change() {
    int none = 0;
    return users_.compare_exchange_strong(none, -1);
  }
  void end_change() { users_.store(0); }

 private:
  std::atomic<int> users_{0};
};

class Engine {
 public:
  mutable EngineUse use;  // for callers that share an engine between threads

  using Poll = std::function<void()>;  // called between rows; may throw to stop

  virtual ~Engine() = default;

  /// Learn rows in order.  All or nothing: after an exception the engine is as it was.
  virtual void learn(const Rows& rows, int n_jobs, const LearnPath& path, const ForecastPath* forecast,
                     const Poll& poll) = 0;

  // Forecasts for rows, nothing learned.
  virtual void moments(const Rows& rows, int n_jobs, double* mean, double* variance) const = 0;
  virtual void quantiles(const Rows& rows, const double* probs, int n_probs, int n_jobs, double* out) const = 0;
  virtual void cdf(const Rows& rows, int n_jobs, double* out) const = 0;
  virtual void log_density(const Rows& rows, int n_jobs, double* out) const = 0;
  virtual void crps(const Rows& rows, int n_jobs, double* out) const = 0;
  virtual void class_proba(const Rows& rows, int n_jobs, double* out) const = 0;  // (n, n_classes)
  virtual void sample(const Rows& rows, Index n_samples, const std::uint64_t seed[4], double* out) const = 0;
  virtual void gate_proba(const Rows& rows, int n_jobs, double* mean, double* sd) const = 0;
  /// The mixtures themselves, for forecast_components.hpp: weight (n, size), field (n, fields, size).
  virtual void components(const Rows& rows, int n_jobs, double* weight, double* field) const = 0;
  virtual Index n_components() const = 0;     // of a mixture
  virtual int n_component_fields() const = 0;
  virtual void active_experts(const Rows& rows, double mass, int n_jobs, double* probability) const = 0;

  // Reports.
  virtual std::vector<double> n_experts_posterior() const = 0;  // probabilities of 1, 2, ... experts open at the next row
  virtual std::vector<double> gate_inclusion() const = 0;
  virtual ParticleReport particle(Index i) const = 0;  // -1: the heaviest
  /// The parameters of the particles (numbered over all islands), those they integrate out drawn by one
  /// stream of 4 words a draw; and the terms of their mixtures at the rows.
  virtual void draw(const std::vector<Index>& particles, const std::uint64_t* seeds, const Rows& rows, int n_jobs,
                    const PosteriorDraws& out) const = 0;
  virtual const std::vector<double>& log_weight() const = 0;  // (islands, particles), normalised by island
  virtual const std::vector<double>& log_share() const = 0;   // (islands) of the pooled forecasts, normalised
  virtual double log_evidence() const = 0;
  virtual const std::vector<double>& island_log_evidence() const = 0;
  virtual std::vector<double> ess() const = 0;
  virtual const EventLog<ResamplingEvent>& resampling_log() const = 0;
  virtual const EventLog<ScanEvent>& scan_log() const = 0;
  virtual Index n_rows() const = 0;
  virtual Index n_particles() const = 0;  // of an island, now
  virtual Index n_bytes() const = 0;
  virtual int n_splits() const = 0;
  virtual int n_coefficients() const = 0;  // of one expert
  virtual int n_classes() const = 0;       // 0: targets are numbers
  virtual const EngineConfig& config() const = 0;

  virtual EngineState state() const = 0;
  /// Throws InvalidArgument naming the array, and stays as it was, if the state cannot be this engine's.
  virtual void set_state(const EngineState& state) = 0;
};

/// seeds: (islands, particles + 1, 4) words, for as many particles as there are at first.
template <int W>
std::unique_ptr<Engine> make_engine(const EngineConfig& config, const std::vector<std::uint64_t>& seeds);

std::unique_ptr<Engine> make_variational_engine(const EngineConfig& config, const std::vector<std::uint64_t>& seeds);

/// What the configuration asks for, with the lanes of this build.
std::unique_ptr<Engine> make_engine(const EngineConfig& config, const std::vector<std::uint64_t>& seeds);

}  // namespace hsmoe
