// hsmoe_polya_gamma_fill for AVX2 (x86-64-v3), reached only when the processor has it (c_api.cpp).
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

// Standard headers above, so that nothing of theirs is compiled for AVX2; ours below in a namespace of
// their own, so that the linker never swaps them with the copies of another instruction set.
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v3")
#define hsmoe hsmoe_v3
#include <hsmoe/random/polya_gamma_fill.hpp>
#undef hsmoe

namespace hsmoe_v3 {
void fill(std::uint64_t* state, const double* h, std::size_t h_step, const double* z, std::size_t z_step,
          std::size_t n, double* out) {
  polya_gamma_fill_streams<4>(state, h, h_step, z, z_step, n, out);
}
}  // namespace hsmoe_v3
#pragma GCC pop_options
#endif
