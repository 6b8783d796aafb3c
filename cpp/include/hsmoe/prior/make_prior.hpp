// From the options of a prior to the prior.
#pragma once

#include <memory>

#include <hsmoe/prior/horseshoe.hpp>
#include <hsmoe/prior/normal.hpp>

namespace hsmoe {

template <int W>
std::unique_ptr<GatePrior<W>> make_prior(const PriorOptions& options, int n_nodes, int dim) {
  if (const auto* o = std::get_if<HorseshoeOptions>(&options)) return std::make_unique<Horseshoe<W>>(n_nodes, dim, *o);
  return std::make_unique<NormalPrior<W>>(n_nodes, dim, std::get<NormalPriorOptions>(options));
}

}  // namespace hsmoe
