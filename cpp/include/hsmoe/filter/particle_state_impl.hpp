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
  check_state(s, N, S);
  require_state(s.responsibility.empty(), "responsibility", "belongs to a variational model");
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
      require_state(expert_->plausible(state, p.store.lane_of(i)) &&
                  gate_->plausible(state + W * Index(expert_->fields()), p.store.lane_of(i)),
              "particles", "holds numbers that no particle can have");
      if (gate_->leaves())
        require_state(gate_->leaves()->plausible(state + W * Index(expert_->fields()), p.store.lane_of(i), s.n_rows), "particles",
                "holds experts that open or close where they cannot");
      if (freezes()) {
        const double* sums = state + W * core_fields();
        require_state(expert_->plausible_sums(sums, p.store.lane_of(i)) &&
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
