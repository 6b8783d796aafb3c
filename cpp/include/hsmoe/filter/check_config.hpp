// What can be said of a configuration before an engine is made of it.
#pragma once

#include <limits>

#if defined(__unix__) || defined(__APPLE__)
#include <unistd.h>
#endif

#include <hsmoe/error.hpp>
#include <hsmoe/filter/engine.hpp>

namespace hsmoe {

/// Bytes of memory of this machine; infinite where it cannot be asked.
inline double physical_memory() {
#if defined(_SC_PHYS_PAGES)
  return double(sysconf(_SC_PHYS_PAGES)) * double(sysconf(_SC_PAGE_SIZE));
#else
  return std::numeric_limits<double>::infinity();
#endif
}

/// What every engine asks of its configuration.
inline void check_config(const EngineConfig& c) {
  check_at_least("Engine", "n_experts", c.n_experts, 1);
  check_at_least("Engine", "n_particles", c.n_particles, 1);
  check_at_least("Engine", "n_islands", c.n_islands, 1);
  check_at_least("Engine", "expert_dim", c.expert_dim, 1);
  check_at_least("Engine", "gate_dim", c.gate_dim, 1);
  // Packed triangles are counted in int; a state that large would not fit in memory anyway.
  constexpr int widest = 20000;
  if (c.expert_dim > widest) detail::invalid("Engine", "expert_dim", c.expert_dim, "at most 20000: choose fewer expert_features");
  if (c.gate_dim > widest) detail::invalid("Engine", "gate_dim", c.gate_dim, "at most 20000: choose fewer gate_features");
  check_between("Engine", "ess_threshold", c.ess_threshold, 0.0, 1.0);
  check_at_least("Engine", "retain", c.retain, Index(-1));
  check_at_least("Engine", "n_scans", c.n_scans, 1);
  check_at_least("Engine", "exchange_rows", c.exchange_rows, Index(0));
  check_at_least("Engine", "relocations", c.relocations, 0);
  check_at_least("Engine", "relocation_rows", c.relocation_rows, Index(1));
  check_at_least("Engine", "relocation_tries", c.relocation_tries, 1);
  check_at_least("Engine", "open_rows", c.open_rows, Index(0));
  check_at_least("Engine", "scan_rows", c.scan_rows, Index(0));
  check_at_least("Engine", "early_particles", c.early_particles, 0);
  check_at_least("Engine", "early_rows", c.early_rows, Index(0));
  check_between("Engine", "pool_memory", c.pool_memory, 1e-3, 1.0);
  for (double rate : c.forgetting) check_between("Engine", "forgetting", rate, 1e-3, 1.0);
  for (double rate : c.forgetting)
    if (rate < 1.0 && c.retain <= 0)
      detail::invalid("Engine", "forgetting", rate, "1 unless retain is positive: what decays are rows no longer retained");
  if (!c.forgetting.empty() && Index(c.forgetting.size()) != c.n_islands)
    detail::invalid("Engine", "forgetting", c.forgetting.size(), "one rate an island");
  if (c.change_rate) {
    check_at_least("Engine", "n_experts", c.n_experts, 2);
    if (!(*c.change_rate >= 0.0 && *c.change_rate < 1.0)) detail::invalid("Engine", "change_rate", *c.change_rate, "from 0 to below 1");
    if (c.variational || !c.nodes.empty())
      throw InvalidArgument("Engine: change_rate is for trees of logistic splits learned by particles");
    if (c.retain == 0)
      detail::invalid("Engine", "retain", c.retain, "positive, or -1 for all rows, with change_rate: paths are revised in scans");
  }
  const Index n_leaves = Index(c.leaves.size());
  if (n_leaves != c.n_experts) detail::invalid("Engine", "leaves", n_leaves, "as many as n_experts");
}

}  // namespace hsmoe
