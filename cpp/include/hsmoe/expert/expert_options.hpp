// Every kind of expert and its settings, one type a kind.
#pragma once

#include <variant>

#include <hsmoe/expert/gaussian_options.hpp>

namespace hsmoe {

using ExpertOptions = std::variant<GaussianOptions>;

}  // namespace hsmoe
