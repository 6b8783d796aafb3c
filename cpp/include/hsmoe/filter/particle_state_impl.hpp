// The state of a filter in particle order, out and in.
#pragma once

#include <hsmoe/filter/particle_filter.hpp>

namespace hsmoe {

template <int W>
EngineState ParticleFilter<W>::state() const {
  const Index N = n_particles(), R = n_islands(), S = population_.store.fields();
  EngineState s;
  s.n_rows = n_rows_;
  s.particles.resize(std::size_t(R * N * S));
  s.streams.resize(std::size_t(R * (N + 1) * 4));
  for (Index r = 0; r < R; ++r) {
    for (Index i = 0; i < N; ++i) {
      population_.store.read_particle(r, i, s.particles.data() + (r * N + i) * S);
      for (int w = 0; w < 4; ++w)
        s.streams[std::size_t((r * (N + 1) + i) * 4 + w)] =
            population_.streams[std::size_t((population_.store.block_of(r, i) * 4 + w) * W + population_.store.lane_of(i))];
    }
    std::copy_n(population_.island_streams.begin() + r * 4, 4, s.streams.begin() + (r * (N + 1) + N) * 4);
  }
  s.log_weight = population_.log_weight;
  s.island_log_evidence = population_.island_log_evidence;
  s.log_share = population_.log_share;
  s.log_evidence = population_.log_evidence;
  s.resampling_log = resampling_log_;
  s.scan_log = scan_log_;
  s.first_retained = population_.buffer.first();
  s.retained_xy = population_.buffer.all_xy();
  s.retained_u = population_.buffer.all_u();
  s.frozen_until = population_.frozen_until;
  s.rows_at_scan = population_.rows_at_scan;
  return s;
}

template <int W>
void ParticleFilter<W>::set_state(const EngineState& s) {
  const Index N = config_.particles_after(s.n_rows), R = n_islands(), S = population_.store.fields();
  auto require = [](bool ok, const char* array, const char* what) {
    if (!ok) throw InvalidArgument(std::string("Engine.set_state: array '") + array + "' " + what);
  };
  require(s.n_rows >= 0, "n_rows", "is negative");
  require(Index(s.particles.size()) == R * N * S, "particles", "has the wrong size");
  require(Index(s.streams.size()) == R * (N + 1) * 4, "streams", "has the wrong size");
  require(Index(s.log_weight.size()) == R * N, "log_weight", "has the wrong size");
  require(Index(s.island_log_evidence.size()) == R, "island_log_evidence", "has the wrong size");
  for (double v : s.particles) require(std::isfinite(v), "particles", "holds a value that is not finite");
  require(Index(s.log_share.size()) == R && std::abs(hsmoe::log_sum_exp(s.log_share.data(), R)) < 1e-6, "log_share",
          "is not the logarithm of shares that sum to one");
  require(std::isfinite(s.log_evidence), "log_evidence", "is not finite");
  for (double v : s.island_log_evidence) require(std::isfinite(v), "island_log_evidence", "holds a value that is not finite");
  for (Index i = 0; i < R * (N + 1); ++i) {
    const std::uint64_t* w = s.streams.data() + i * 4;
    require((w[0] | w[1] | w[2] | w[3]) != 0, "streams", "holds a stream of zeros");
  }
  for (Index r = 0; r < R; ++r) {
    const double total = hsmoe::log_sum_exp(s.log_weight.data() + r * N, N);
    require(std::abs(total) < 1e-6, "log_weight", "is not normalised");
  }
  const Index width = config_.expert_dim + 1, n_retained = Index(s.retained_xy.size()) / width;
  require(Index(s.retained_xy.size()) == n_retained * width, "retained_xy", "has the wrong size");
  require(Index(s.retained_u.size()) == n_retained * config_.gate_dim, "retained_u", "has the wrong size");
  for (double v : s.retained_xy) require(std::isfinite(v), "retained_xy", "holds a value that is not finite");
  for (Index i = 0; i < n_retained; ++i)
    require(!law_->refusal(s.retained_xy[i * width + width - 1]), "retained_xy", "holds a target that the experts cannot have");
  for (double v : s.retained_u) require(std::isfinite(v), "retained_u", "holds a value that is not finite");
  require(Index(s.frozen_until.size()) == R, "frozen_until", "has the wrong size");
  require(Index(s.rows_at_scan.size()) == R, "rows_at_scan", "has the wrong size");
  require(s.first_retained >= 0 && s.first_retained <= s.n_rows, "first_retained", "lies outside the stream");
  require(config_.retain != 0 ? n_retained == s.n_rows - s.first_retained : n_retained == 0, "retained_xy",
          "does not end with the last row");
  for (Index r = 0; r < R; ++r) {
    require(config_.retain == 0 || (s.frozen_until[r] >= s.first_retained && s.frozen_until[r] <= s.n_rows), "frozen_until",
            "lies outside the retained rows");
    require(freezes() || s.frozen_until[r] == 0, "frozen_until", "must be 0 where nothing is frozen");
    require(s.rows_at_scan[r] >= 0 && s.rows_at_scan[r] <= s.n_rows, "rows_at_scan", "lies outside the stream");
  }
  auto happened = [&](Index row, Index island) { return row >= 0 && row < s.n_rows && island >= 0 && island < R; };
  for (const ResamplingEvent& e : s.resampling_log)
    require(happened(e.row, e.island) && e.unique >= 1 && e.unique <= config_.particles_after(e.row), "resampling_*", "hold what cannot have happened");
  for (const ScanEvent& e : s.scan_log)
    require(happened(e.row, e.island) && e.n_scans >= 1 && e.n_rows >= 0, "scan_*", "hold what cannot have happened");
  Population p = population_;
  InFlight row = in_flight(N);
  p.store = empty_store(N);
  p.streams.assign(std::size_t(p.store.n_blocks() * 4 * W), 1);
  for (Index r = 0; r < R; ++r) {
    for (Index i = 0; i < N; ++i) {
      p.store.write_particle(r, i, s.particles.data() + (r * N + i) * S);
      for (int w = 0; w < 4; ++w)
        p.streams[std::size_t((p.store.block_of(r, i) * 4 + w) * W + p.store.lane_of(i))] =
            s.streams[std::size_t((r * (N + 1) + i) * 4 + w)];
      const double* state = p.store.block(p.store.block_of(r, i));
      require(expert_->plausible(state, p.store.lane_of(i)) &&
                  gate_->plausible(state + W * Index(expert_->fields()), p.store.lane_of(i)),
              "particles", "holds numbers that no particle can have");
      if (gate_->leaves())
        require(gate_->leaves()->plausible(state + W * Index(expert_->fields()), p.store.lane_of(i), s.n_rows), "particles",
                "holds experts that open or close where they cannot");
      if (freezes()) {
        const double* sums = state + W * core_fields();
        require(expert_->plausible_sums(sums, p.store.lane_of(i)) &&
                    gate_->plausible_sums(sums + W * Index(expert_->sum_fields()), p.store.lane_of(i)),
                "particles", "holds frozen sums that no rows can have");
      }
    }
    std::copy_n(s.streams.begin() + (r * (N + 1) + N) * 4, 4, p.island_streams.begin() + r * 4);
  }
  p.store.pad();
  p.log_weight = s.log_weight;
  p.island_log_evidence = s.island_log_evidence;
  p.log_share = s.log_share;
  p.log_evidence = s.log_evidence;
  p.buffer.assign(s.first_retained, s.retained_xy, s.retained_u);
  p.frozen_until = s.frozen_until;
  p.rows_at_scan = s.rows_at_scan;
  population_ = std::move(p);
  in_flight_ = std::move(row);
  resampling_log_ = s.resampling_log;
  scan_log_ = s.scan_log;
  n_rows_ = s.n_rows;
}

}  // namespace hsmoe
