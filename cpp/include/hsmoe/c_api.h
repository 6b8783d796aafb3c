// The seam between the core and callers with a bit generator of their own (the Cython sampler, other
// bindings): plain data, no Python.  Every function is free of locks and may be called without the GIL;
// the caller keeps the generator to itself while it draws.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// A source of 64 random bits; numpy's bitgen_t begins with these two members.
typedef struct {
  void* state;
  uint64_t (*next_uint64)(void* state);
} hsmoe_bitgen;

/// One PG(h, z) variate, drawing its words straight from `source`.  NaN unless h > 0 and z is a number.
double hsmoe_polya_gamma(const hsmoe_bitgen* source, double h, double z);

/// n variates PG(h[i], z[i]), i < n; a step is 0 to keep a parameter and 1 to walk along it.  Takes 68
/// words from `source` to start 17 streams (random/stream.hpp); out[i] comes from stream i mod 16, very
/// large h from the last, so that it depends on neither n nor the instruction set (but for the last bits).
void hsmoe_polya_gamma_fill(const hsmoe_bitgen* source, const double* h, size_t h_step, const double* z,
                            size_t z_step, size_t n, double* out);

double hsmoe_polya_gamma_log_pdf(double x, double h, double z);
double hsmoe_polya_gamma_log_cdf(double x, double h, double z);

/// The functions above as compiled for one SIMD level: what a core module hands to hsmoe.random.
typedef struct {
  double (*polya_gamma)(const hsmoe_bitgen*, double, double);
  void (*polya_gamma_fill)(const hsmoe_bitgen*, const double*, size_t, const double*, size_t, size_t, double*);
  double (*polya_gamma_log_pdf)(double, double, double);
  double (*polya_gamma_log_cdf)(double, double, double);
} hsmoe_random_api;

const hsmoe_random_api* hsmoe_random_functions(void);

#ifdef __cplusplus
}
#endif
