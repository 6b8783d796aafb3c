// Builds an engine from its configuration: the one place that knows every kind of expert, gate and prior.
#pragma once

#include <hsmoe/expert/augmented.hpp>
#include <hsmoe/expert/gaussian.hpp>
#include <hsmoe/expert/polya_gamma_families.hpp>
#include <hsmoe/expert/scale_mixture_families.hpp>
#include <hsmoe/filter/check_config.hpp>
#include <hsmoe/filter/particle_filter.hpp>
#include <hsmoe/gate/nested_gate.hpp>
#include <hsmoe/gate/tree_gate.hpp>
#include <hsmoe/prior/make_prior.hpp>

namespace hsmoe {

// One overload a kind of options.
template <int W>
std::unique_ptr<Expert<W>> make_expert(const GaussianOptions& o, int n_experts, int dim) {
  return std::make_unique<GaussianExpert<W>>(n_experts, dim, o);
}
template <int W>
std::unique_ptr<Expert<W>> make_expert(const StudentOptions& o, int n_experts, int dim) {
  return std::make_unique<AugmentedExpert<W, StudentFamily<W>>>(n_experts, dim, o);
}
template <int W>
std::unique_ptr<Expert<W>> make_expert(const LaplaceOptions& o, int n_experts, int dim) {
  return std::make_unique<AugmentedExpert<W, LaplaceFamily<W>>>(n_experts, dim, o);
}
template <int W>
std::unique_ptr<Expert<W>> make_expert(const LogitOptions& o, int n_experts, int dim) {
  return std::make_unique<AugmentedExpert<W, LogitFamily<W>>>(n_experts, dim, o);
}
template <int W>
std::unique_ptr<Expert<W>> make_expert(const BinomialOptions& o, int n_experts, int dim) {
  return std::make_unique<AugmentedExpert<W, BinomialFamily<W>>>(n_experts, dim, o);
}
template <int W>
std::unique_ptr<Expert<W>> make_expert(const NegativeBinomialOptions& o, int n_experts, int dim) {
  return std::make_unique<AugmentedExpert<W, NegativeBinomialFamily<W>>>(n_experts, dim, o);
}

template <int W>
std::unique_ptr<Gate<W>> make_gate(const EngineConfig& c) {
  if (c.nodes.empty()) {
    Tree tree(c.tree, c.leaves);
    auto prior = make_prior<W>(c.gate_prior, tree.n_nodes(), c.gate_dim);
    return std::make_unique<TreeGate<W>>(std::move(tree), c.gate_dim, std::move(prior), c.change_rate);
  }
  if (c.retain == 0)
    detail::invalid("Engine", "retain", c.retain,
                    "positive, or -1 for all rows, with softmax and Laplace nodes: they learn in scans of the retained rows");
  NodeTree tree(c.nodes, c.leaves);
  double doubles = 0;
  for (int l = 0; l < tree.n_nodes(); ++l) doubles += 0.5 * std::pow(double(tree.node(l).n_children()) * c.gate_dim, 2);
  if (c.retain > 0 && (doubles > 1e9 || double(c.n_islands) * c.first_particles() * doubles * 8 > 0.9 * physical_memory()))
    throw InvalidArgument("Engine: a gate node of many children over " + std::to_string(c.gate_dim) +
                          " columns remembers too much of the rows that are no longer retained: choose fewer experts, "
                          "particles or gate_features, or retain all rows");
  auto prior = make_prior<W>(c.gate_prior, NestedGate<W>::n_penalised(tree), c.gate_dim);
  return std::make_unique<NestedGate<W>>(std::move(tree), c.gate_dim, std::move(prior), c.laplace_node);
}

template <int W>
std::unique_ptr<Engine> make_engine(const EngineConfig& c, const std::vector<std::uint64_t>& seeds) {
  check_config(c);
  const auto* logit = std::get_if<LogitOptions>(&c.expert);
  const double regressions = logit ? logit->n_classes - 1 : 1;  // of an expert
  const double doubles = double(c.n_islands) * (c.first_particles() + W) * c.n_experts *
                         (regressions * (0.5 * c.expert_dim + 2) * (c.expert_dim + 1) * (c.retain > 0 ? 2 : 1) +
                          (0.5 * c.gate_dim + 5) * (c.gate_dim + 1) * (c.retain > 0 ? 2 : 1));
  if (doubles > 2e9 && doubles * 8 > 0.9 * physical_memory())
    throw InvalidArgument("Engine: " + std::to_string(c.n_islands) + " islands of " + std::to_string(c.first_particles()) +
                          " particles with " + std::to_string(c.n_experts) + " experts over " + std::to_string(c.expert_dim) +
                          " columns need about " + std::to_string(Index(doubles * 8 / 1e9)) +
                          " GB, more than this machine has: choose fewer particles, experts or columns");
  if (double(c.n_experts) * regressions * (0.5 * c.expert_dim + 2) * (c.expert_dim + 1) > 2e9 ||
      double(c.n_experts) * (0.5 * c.gate_dim + 5) * (c.gate_dim + 1) > 2e9)
    throw InvalidArgument("Engine: a particle of " + std::to_string(c.n_experts) + " experts over " +
                          std::to_string(c.expert_dim) + " columns is too large: choose fewer experts or columns");
  auto expert = std::visit([&](const auto& o) { return make_expert<W>(o, c.n_experts, c.expert_dim); }, c.expert);
  return std::make_unique<ParticleFilter<W>>(c, std::move(expert), make_gate<W>(c), seeds);
}

}  // namespace hsmoe
