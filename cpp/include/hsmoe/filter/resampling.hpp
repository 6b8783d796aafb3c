// Resampling schemes (Douc & Cappe 2005; SSP: Gerber, Chopin & Whiteley 2019).  Each turns weights, not
// necessarily normalised, into M sorted ancestors.  Uniforms come from the caller and may be 0 or 1.
// In all of them a particle of zero weight is never picked, whatever the rounding of the total.
#pragma once

#include <cstddef>

#include <hsmoe/types.hpp>

namespace hsmoe {

/// One uniform, positions (m + u) / M.
void resample_systematic(const double* weight, std::size_t n, std::size_t M, double u, Index* ancestors);
/// M uniforms, one a stratum: positions (m + u_m) / M.
void resample_stratified(const double* weight, std::size_t n, std::size_t M, const double* u, Index* ancestors);
/// floor(M W) copies each, the rest multinomially from the remainders; the first uniforms are used.
void resample_residual(const double* weight, std::size_t n, std::size_t M, const double* u, Index* ancestors);
/// M independent draws by inversion.
void resample_multinomial(const double* weight, std::size_t n, std::size_t M, const double* u, Index* ancestors);
/// Srinivasan sampling: floor or ceiling of M W copies each, expectation M W; n uniforms.
void resample_ssp(const double* weight, std::size_t n, std::size_t M, const double* u, Index* ancestors);

}  // namespace hsmoe
