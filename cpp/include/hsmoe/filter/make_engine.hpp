// Builds an engine from its configuration: the one place that knows every kind of expert, gate and prior.
#pragma once

#include <hsmoe/expert/gaussian.hpp>
#include <hsmoe/filter/particle_filter.hpp>
#include <hsmoe/gate/tree_gate.hpp>
#include <hsmoe/prior/horseshoe.hpp>
#include <hsmoe/prior/normal.hpp>

namespace hsmoe {

template <int W>
std::unique_ptr<GatePrior<W>> make_prior(const PriorOptions& options, int n_nodes, int dim) {
  if (const auto* o = std::get_if<HorseshoeOptions>(&options)) return std::make_unique<Horseshoe<W>>(n_nodes, dim, *o);
  return std::make_unique<NormalPrior<W>>(n_nodes, dim, std::get<NormalPriorOptions>(options));
}

template <int W>
std::unique_ptr<Engine> make_engine(const EngineConfig& c, const std::vector<std::uint64_t>& seeds) {
  check_at_least("Engine", "n_experts", c.n_experts, 1);
  check_at_least("Engine", "n_particles", c.n_particles, 1);
  check_at_least("Engine", "n_islands", c.n_islands, 1);
  check_at_least("Engine", "expert_dim", c.expert_dim, 1);
  check_at_least("Engine", "gate_dim", c.gate_dim, 1);
  check_between("Engine", "ess_threshold", c.ess_threshold, 0.0, 1.0);
  check_at_least("Engine", "retain", c.retain, Index(-1));
  check_at_least("Engine", "n_scans", c.n_scans, 1);
  check_at_least("Engine", "scan_rows", c.scan_rows, Index(0));
  check_between("Engine", "forgetting", c.forgetting, 1e-3, 1.0);
  Tree tree(c.tree, c.leaves);
  if (tree.n_experts() != c.n_experts)
    detail::invalid("Engine", "leaves", tree.n_experts(), "as many as n_experts");
  auto expert = std::make_unique<GaussianExpert<W>>(c.n_experts, c.expert_dim, c.expert);
  auto prior = make_prior<W>(c.gate_prior, tree.n_nodes(), c.gate_dim);
  auto gate = std::make_unique<TreeGate<W>>(std::move(tree), c.gate_dim, std::move(prior));
  return std::make_unique<ParticleFilter<W>>(c, std::move(expert), std::move(gate), seeds);
}

}  // namespace hsmoe
