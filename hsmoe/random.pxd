# cython: language_level=3
# Polya-Gamma variates for other people's Cython, without the GIL and without a header:
#
#     from numpy.random cimport bitgen_t
#     from hsmoe.random cimport random_polyagamma, HYBRID
#
# Names and arguments are those of the `polyagamma` package.  Hold the bit generator's lock while drawing.
from numpy.random cimport bitgen_t


# Accepted for compatibility: every method draws with the same exact sampler.
cdef enum sampler_t:
    GAMMA
    DEVROYE
    ALTERNATE
    SADDLE
    HYBRID


# One variate, its random words drawn straight from the bit generator; NaN unless h > 0.
cdef double random_polyagamma(
    bitgen_t* bitgen_state, double h, double z, sampler_t method) noexcept nogil
# n variates of one PG(h, z).  Much faster than n single ones; takes 68 words and runs 16 streams from them.
cdef void random_polyagamma_fill(
    bitgen_t* bitgen_state, double h, double z, sampler_t method, size_t n, double* out) noexcept nogil
# One variate for each of n pairs.
cdef void random_polyagamma_fill2(
    bitgen_t* bitgen_state, const double* h, const double* z, sampler_t method, size_t n,
    double* out) noexcept nogil

cdef double polyagamma_pdf(double x, double h, double z) noexcept nogil
cdef double polyagamma_cdf(double x, double h, double z) noexcept nogil
cdef double polyagamma_logpdf(double x, double h, double z) noexcept nogil
cdef double polyagamma_logcdf(double x, double h, double z) noexcept nogil
