// The engine of this SIMD level.
#include <hsmoe/filter/make_engine.hpp>

namespace hsmoe {

std::unique_ptr<Engine> make_engine(const EngineConfig& config, const std::vector<std::uint64_t>& seeds) {
  return config.variational ? make_variational_engine(config, seeds) : make_engine<HSMOE_LANES>(config, seeds);
}

}  // namespace hsmoe
