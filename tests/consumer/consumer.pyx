# cython: language_level=3, boundscheck=False, wraparound=False
"""Polya-Gamma variates and densities in somebody else's loops, without the GIL."""
from cpython.pycapsule cimport PyCapsule_GetPointer
from numpy.random cimport bitgen_t

import numpy as np

from hsmoe.random cimport (
    HYBRID,
    polyagamma_cdf,
    polyagamma_logcdf,
    polyagamma_logpdf,
    polyagamma_pdf,
    random_polyagamma,
    random_polyagamma_fill,
    random_polyagamma_fill2,
)


cdef bitgen_t* _state(bit_generator) except NULL:
    return <bitgen_t*> PyCapsule_GetPointer(bit_generator.capsule, "BitGenerator")


def one_by_one(bit_generator, double h, double[::1] z):
    """Draw PG(h, z[i]) in a loop of single draws."""
    result = np.empty(z.shape[0])
    cdef double[::1] out = result
    cdef bitgen_t* state = _state(bit_generator)
    cdef Py_ssize_t i
    with bit_generator.lock, nogil:
        for i in range(z.shape[0]):
            out[i] = random_polyagamma(state, h, z[i], HYBRID)
    return result


def fill(bit_generator, double h, double z, Py_ssize_t n):
    result = np.empty(n)
    cdef double[::1] out = result
    cdef bitgen_t* state = _state(bit_generator)
    with bit_generator.lock, nogil:
        random_polyagamma_fill(state, h, z, HYBRID, n, &out[0])
    return result


def fill_pairs(bit_generator, double[::1] h, double[::1] z):
    result = np.empty(h.shape[0])
    cdef double[::1] out = result
    cdef bitgen_t* state = _state(bit_generator)
    with bit_generator.lock, nogil:
        random_polyagamma_fill2(state, &h[0], &z[0], HYBRID, h.shape[0], &out[0])
    return result


def densities(double x, double h, double z):
    cdef double pdf, cdf, log_pdf, log_cdf
    with nogil:
        pdf = polyagamma_pdf(x, h, z)
        cdf = polyagamma_cdf(x, h, z)
        log_pdf = polyagamma_logpdf(x, h, z)
        log_cdf = polyagamma_logcdf(x, h, z)
    return pdf, cdf, log_pdf, log_cdf
