// Forecasts of a run of rows, kept as mixture components until a batch is full and then scored row by row
// on all threads.  Component (island, particle, expert) of slot s stands at s * size + (island * N + i) * K + k, the
// fields of all slots one after the other.
#pragma once

#include <algorithm>
#include <vector>

#include <hsmoe/filter/engine.hpp>
#include <hsmoe/filter/thread_pool.hpp>
#include <hsmoe/predictive/law.hpp>

namespace hsmoe {

class ForecastBatch {
 public:
  ForecastBatch(const PredictiveLaw& law, Index n_particles, Index n_experts, Index n_rows, int n_threads)
      : law_(law),
        particles_(n_particles),
        experts_(n_experts),
        slots_(std::clamp<Index>(Index(1 << 19) / (n_particles * n_experts), 1, std::min<Index>(n_rows, 64))),
        size_(n_particles * n_experts),
        weight(slots_ * size_),
        field(slots_ * size_ * law.fields()),
        particle_weight_(slots_ * n_particles),
        y_(slots_),
        workspaces_(n_threads) {}

  Index slots() const { return slots_; }
  Index offset(Index slot, Index particle) const { return slot * size_ + particle * experts_; }
  Index stride() const { return slots_ * size_; }  // from a field to the next

  /// The weights that the particles carried into the row of this slot, and its target.
  void close(Index slot, const std::vector<double>& particle_weight, double y) {
    std::copy(particle_weight.begin(), particle_weight.end(), particle_weight_.begin() + slot * particles_);
    y_[slot] = y;
  }

  /// Score slots 0 ... n-1 into rows first ... first+n-1 of the path.
  void flush(Index first, Index n, const ForecastPath& path, ThreadPool& pool) {
    pool.run(n, [&](Index begin, Index end, int thread) {
      for (Index s = begin; s < end; ++s) {
        for (Index i = 0; i < particles_; ++i)
          for (Index k = 0; k < experts_; ++k) weight[offset(s, i) + k] *= particle_weight_[s * particles_ + i];
        if (path.expert_weight) {
          double* mean = path.expert_weight + (first + s) * experts_;
          std::fill_n(mean, experts_, 0.0);
          for (Index i = 0; i < particles_; ++i)
            for (Index k = 0; k < experts_; ++k) mean[k] += weight[offset(s, i) + k];
        }
        const Index at = offset(s, 0);
        const ComponentView mixture{std::size_t(size_), &weight[at], &field[at], std::size_t(stride())};
        if (path.mean) path.mean[first + s] = law_.mean(mixture);
        if (path.variance) path.variance[first + s] = law_.variance(mixture);
        if (path.cdf) path.cdf[first + s] = law_.cdf(mixture, y_[s]);
        if (path.crps) path.crps[first + s] = law_.crps(mixture, y_[s], workspaces_[thread]);
        if (path.class_proba) law_.class_proba(mixture, path.class_proba + (first + s) * law_.n_classes());
      }
    });
  }

 private:
  const PredictiveLaw& law_;
  Index particles_, experts_, slots_, size_;

 public:
  std::vector<double> weight, field;  // weight: g_k until flush, then W_i g_k

 private:
  std::vector<double> particle_weight_, y_;
  std::vector<MixtureWorkspace> workspaces_;
};

}  // namespace hsmoe
