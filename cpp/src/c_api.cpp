#include <hsmoe/c_api.h>

#include <cmath>
#include <limits>

#include <hsmoe/random/polya_gamma_density.hpp>
#include <hsmoe/random/polya_gamma_fill.hpp>
#include <hsmoe/random/polya_gamma_hull.hpp>

namespace {

/// The generator concept of random/ on one caller's bit generator.
struct SourceStream {
  const hsmoe_bitgen* source;
  HSMOE_INLINE hsmoe::LaneU<1> next(hsmoe::Mask<1> mask) {
    return hsmoe::LaneU<1>(mask[0] ? source->next_uint64(source->state) : 0);
  }
};

// From here on the hull is cheaper than ceil(h) parts.  One that serves a whole call pays off sooner.
constexpr double kHullShared = 256;

bool wants_hull(double h, double limit) { return h >= limit && h <= std::numeric_limits<double>::max(); }

template <class Uniform>
double draw_large(double h, double z, Uniform&& uniform) {
  if (std::fabs(z) < hsmoe::detail::kPolyaGammaFlat) return hsmoe::PolyaGammaHull(h, z)(uniform);
  return h / (2 * std::fabs(z));  // NaN stays
}

template <class Next>
auto uniform_from(Next&& next) {
  return [next] { return hsmoe::uniform_from_bits(hsmoe::LaneU<1>(next()))[0]; };
}

}  // namespace

extern "C" {

double hsmoe_polya_gamma(const hsmoe_bitgen* source, double h, double z) {
  if (wants_hull(h, hsmoe::kHullParts))
    return draw_large(h, z, uniform_from([=] { return source->next_uint64(source->state); }));
  SourceStream rng{source};
  const auto mask = hsmoe::Mask<1>::all_true();
  return h == 1.0 ? hsmoe::polya_gamma_one<1>(rng, mask, hsmoe::Lane<1>(z))[0]
                  : hsmoe::polya_gamma<1>(rng, mask, hsmoe::Lane<1>(h), hsmoe::Lane<1>(z))[0];
}

void hsmoe_polya_gamma_fill(const hsmoe_bitgen* source, const double* h, size_t h_step, const double* z,
                            size_t z_step, size_t n, double* out) {
  if (n == 0) return;
  std::uint64_t state[4 * (hsmoe::kFillStreams + 1)];  // the last stream serves the hulls
  for (auto& word : state) word = source->next_uint64(source->state);
  for (int s = 0; s <= hsmoe::kFillStreams; ++s) {  // xoshiro's only forbidden state
    std::uint64_t* w = state + 4 * s;
    if ((w[0] | w[1] | w[2] | w[3]) == 0) w[0] = 1;
  }
  auto hull_stream = hsmoe::Stream<1>::load(state + 4 * hsmoe::kFillStreams);
  const auto uniform = uniform_from([&] { return hull_stream.next(hsmoe::Mask<1>::all_true())[0]; });
  const bool flat = !(std::fabs(*z) < hsmoe::detail::kPolyaGammaFlat);
  if (h_step == 0 && z_step == 0 && wants_hull(*h, kHullShared) && !flat) {
    const hsmoe::PolyaGammaHull hull(*h, *z);
    for (std::size_t i = 0; i < n; ++i) out[i] = hull(uniform);
    return;
  }
  hsmoe::polya_gamma_fill_streams<HSMOE_LANES>(state, h, h_step, z, z_step, n, out);
  // Larger h are left out by the streams.
  for (std::size_t i = 0; i < n && (h_step || *h >= hsmoe::kHullParts); ++i) {
    const double hi = h[i * h_step], zi = z[i * z_step];
    if (wants_hull(hi, hsmoe::kHullParts)) out[i] = draw_large(hi, zi, uniform);
  }
}

double hsmoe_polya_gamma_log_pdf(double x, double h, double z) { return hsmoe::polya_gamma_log_pdf(x, h, z); }
double hsmoe_polya_gamma_log_cdf(double x, double h, double z) { return hsmoe::polya_gamma_log_cdf(x, h, z); }

const hsmoe_random_api* hsmoe_random_functions(void) {
  static const hsmoe_random_api api = {hsmoe_polya_gamma, hsmoe_polya_gamma_fill, hsmoe_polya_gamma_log_pdf,
                                       hsmoe_polya_gamma_log_cdf};
  return &api;
}

}  // extern "C"
