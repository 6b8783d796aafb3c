# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: binding=True, embedsignature=False
"""Exact Polya-Gamma variates, densities and distribution functions.

The functions follow the `polyagamma` package: change the import and nothing else.  For Cython code
``from hsmoe.random cimport random_polyagamma`` gives the same without the GIL (see ``random.pxd``).
"""
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.math cimport exp
from libc.stdint cimport uint64_t
from numpy.random cimport bitgen_t

import numbers

import numpy as np

from hsmoe._dispatch import core as _core

__all__ = ["polyagamma_cdf", "polyagamma_pdf", "random_polyagamma"]


cdef extern from "hsmoe/c_api.h" nogil:
    ctypedef struct hsmoe_bitgen:
        void* state
        uint64_t (*next_uint64)(void*) noexcept nogil

    ctypedef struct hsmoe_random_api:
        double (*polya_gamma)(const hsmoe_bitgen*, double, double) noexcept nogil
        void (*polya_gamma_fill)(
            const hsmoe_bitgen*, const double*, size_t, const double*, size_t, size_t, double*) noexcept nogil
        double (*polya_gamma_log_pdf)(double, double, double) noexcept nogil
        double (*polya_gamma_log_cdf)(double, double, double) noexcept nogil


# The sampler is compiled in the core modules, once for each SIMD level; this is the chosen one's.
cdef const hsmoe_random_api* _api = <const hsmoe_random_api*> PyCapsule_GetPointer(
    _core._random_api, "hsmoe._random_api")


cdef inline hsmoe_bitgen _source(bitgen_t* bitgen_state) noexcept nogil:
    cdef hsmoe_bitgen source
    source.state = bitgen_state.state
    source.next_uint64 = <uint64_t (*)(void*) noexcept nogil> bitgen_state.next_uint64
    return source


# ---- for other people's Cython (random.pxd) ------------------------------------------------

cdef double random_polyagamma(
        bitgen_t* bitgen_state, double h, double z, sampler_t method) noexcept nogil:
    cdef hsmoe_bitgen source = _source(bitgen_state)
    return _api.polya_gamma(&source, h, z)


cdef void random_polyagamma_fill(
        bitgen_t* bitgen_state, double h, double z, sampler_t method, size_t n,
        double* out) noexcept nogil:
    cdef hsmoe_bitgen source = _source(bitgen_state)
    _api.polya_gamma_fill(&source, &h, 0, &z, 0, n, out)


cdef void random_polyagamma_fill2(
        bitgen_t* bitgen_state, const double* h, const double* z, sampler_t method, size_t n,
        double* out) noexcept nogil:
    cdef hsmoe_bitgen source = _source(bitgen_state)
    _api.polya_gamma_fill(&source, h, 1, z, 1, n, out)


cdef double polyagamma_logpdf(double x, double h, double z) noexcept nogil:
    return _api.polya_gamma_log_pdf(x, h, z)


cdef double polyagamma_logcdf(double x, double h, double z) noexcept nogil:
    return _api.polya_gamma_log_cdf(x, h, z)


cdef double polyagamma_pdf(double x, double h, double z) noexcept nogil:
    return exp(_api.polya_gamma_log_pdf(x, h, z))


cdef double polyagamma_cdf(double x, double h, double z) noexcept nogil:
    return exp(_api.polya_gamma_log_cdf(x, h, z))


# ---- for Python ----------------------------------------------------------------------------

_METHODS = (None, "alternate", "devroye", "gamma", "saddle")


def _is_scalar(value):
    return isinstance(value, (numbers.Number, np.generic))


def _as_double(value):
    return np.asarray(value, dtype=np.float64)


def _bit_generator(random_state):
    """Return the BitGenerator behind whatever a caller may hand over as a source of randomness."""
    if isinstance(random_state, np.random.BitGenerator):
        return random_state
    if isinstance(random_state, np.random.RandomState):
        return random_state._bit_generator
    return np.random.default_rng(random_state).bit_generator


def _check_h(h, method):
    whole = method == "devroye"
    if np.any(h <= 0.0) or (whole and np.any(np.floor(h) != h)):
        raise ValueError(
            "Values of `h` must be positive, and also integer if `method` is devroye.")


def _check_out(out):
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a numpy array, not {type(out).__name__}")
    if not np.issubdtype(out.dtype, np.floating):
        raise TypeError(f"out must hold floating point numbers, not {out.dtype}")
    if not out.flags.writeable:
        raise ValueError("out is read-only")


cdef _draw(bit_generator, h, z, result):
    """Fill `result` (float64, C-contiguous) from h and z, each 0-d or of the shape of `result`."""
    cdef const double[::1] h_view = h.reshape(-1)
    cdef const double[::1] z_view = z.reshape(-1)
    cdef double[::1] out_view = result.reshape(-1)
    cdef size_t n = result.size
    cdef size_t h_step = 1 if h.ndim else 0
    cdef size_t z_step = 1 if z.ndim else 0
    cdef hsmoe_bitgen source
    if n == 0:
        return
    capsule = bit_generator.capsule
    source = _source(<bitgen_t*> PyCapsule_GetPointer(capsule, "BitGenerator"))
    with bit_generator.lock, nogil:
        _api.polya_gamma_fill(&source, &h_view[0], h_step, &z_view[0], z_step, n, &out_view[0])


def _random_polyagamma(h=1.0, z=0.0, *, size=None, out=None, method=None, disable_checks=False,
                       random_state=None):
    """Draw Polya-Gamma variates PG(h, z).

    Exact for every real ``h > 0`` and every ``z``; PG(h, z) has mean ``h tanh(z / 2) / (2 z)``.

    Parameters
    ----------
    h : float or array_like, default 1
        Shape, positive and finite.
    z : float or array_like, default 0
        Tilt, finite; broadcast against `h`.
    size : int or tuple of int, optional
        Shape of the result, to which `h` and `z` must broadcast.  By default the shape of `h` and
        `z` broadcast together.
    out : numpy.ndarray of float, optional
        Where to put the variates; its shape is then the shape of the result.  Ignored when `size`
        is given.
    method : {None, "devroye", "alternate", "gamma", "saddle"}, optional
        Accepted so that code written for the `polyagamma` package runs: the name is checked, and
        ``"devroye"`` needs integer `h`, but all draw with the same exact sampler.
    disable_checks : bool, default False
        Skip the check of `h`; the result is NaN where `h` is not positive.
    random_state : {None, int, array_like, SeedSequence, BitGenerator, Generator, RandomState}
        Source of randomness, as for :func:`numpy.random.default_rng`.  The lock of the bit
        generator is held during the call.

    Returns
    -------
    float or numpy.ndarray
        A float when `h` and `z` are scalars and neither `size` nor `out` is given; `out` itself
        when it is given; else a float64 array.

    Raises
    ------
    ValueError
        If an `h` is not positive, `method` is unknown, shapes do not broadcast or `out` is
        read-only.
    TypeError
        If `out` is not an array of floats, or `size` or `random_state` is of the wrong type.

    Notes
    -----
    For ``h <= 1`` the first term of the density's alternating series (Polson, Scott & Windle;
    Biane, Pitman & Yor) dominates it over the whole axis.  A proposal from that term, an inverse
    Gaussian law, is kept with a probability free of `z`, at an overall rate of
    ``(1 + exp(-abs(z))) ** -h``, at least one half.  Larger `h` is a sum of ``ceil(h)`` parts of equal shape in (1/2, 1].  From 4096 on (from 256 when `h` and
    `z` are both 0-d) draws come from chords above the log-density, which is concave for ``h >= 1``,
    at a cost that does not grow with `h`.

    A call takes 68 words from the bit generator and runs 16 streams from them side by side, with
    the widest vector instructions of the machine; the GIL is released.  The i-th variate depends
    on the seed and the parameters up to i only, so that a longer call begins like a shorter one.
    Vector widths agree to rounding.

    References
    ----------
    N. G. Polson, J. G. Scott and J. Windle (2013).  Bayesian inference for logistic models
    using Polya-Gamma latent variables.  JASA 108, 1339-1349.
    J. Windle, N. G. Polson and J. G. Scott (2014).  Sampling Polya-Gamma random variates:
    alternate and approximate techniques.  arXiv:1405.0506.
    L. Devroye (2009).  On exact simulation algorithms for some distributions related to
    Jacobi theta functions.  Statistics & Probability Letters 79, 2251-2259.
    P. Biane, J. Pitman and M. Yor (2001).  Probability laws related to the Jacobi theta and
    Riemann zeta functions, and Brownian excursions.  Bull. AMS 38, 435-465.

    Examples
    --------
    >>> import numpy as np
    >>> from hsmoe.random import random_polyagamma
    >>> rng = np.random.default_rng(1)
    >>> random_polyagamma(2.5, [0.0, 1.0, -3.0], random_state=rng).shape
    (3,)
    >>> omega = random_polyagamma(1, 2.0, size=100_000, random_state=rng)
    >>> bool(abs(omega.mean() - np.tanh(1.0) / 4) < 0.002)
    True
    """
    try:
        known = method in _METHODS
    except Exception:
        known = False
    if not known:
        raise ValueError(f"`method` must be one of {_METHODS}, not {method!r}")
    scalar = _is_scalar(h) and _is_scalar(z)
    h, z = _as_double(h), _as_double(z)
    if not disable_checks:
        _check_h(h, method)
    if size is not None:
        result = np.empty(size)
        out = None
    elif out is not None:
        _check_out(out)
        plain = out.dtype == np.float64 and out.dtype.isnative and out.flags.c_contiguous
        shared = plain and (np.may_share_memory(out, h) or np.may_share_memory(out, z))
        result = out if plain and out.flags.aligned and not shared else np.empty(out.shape)
    else:
        result = np.empty(np.broadcast_shapes(h.shape, z.shape))
    h = h if h.ndim == 0 else np.ascontiguousarray(np.broadcast_to(h, result.shape))
    z = z if z.ndim == 0 else np.ascontiguousarray(np.broadcast_to(z, result.shape))
    _draw(_bit_generator(random_state), h, z, result)
    if out is not None:
        if result is not out:
            out[...] = result
        return out
    return float(result) if scalar and size is None else result


cdef _evaluate(double (*function)(double, double, double) noexcept nogil, x, h, z, bint logarithm):
    scalar = _is_scalar(x) and _is_scalar(h) and _is_scalar(z)
    arrays = np.broadcast_arrays(_as_double(x), _as_double(h), _as_double(z))
    result = np.empty(arrays[0].shape)
    cdef const double[::1] x_view = np.ascontiguousarray(arrays[0]).reshape(-1)
    cdef const double[::1] h_view = np.ascontiguousarray(arrays[1]).reshape(-1)
    cdef const double[::1] z_view = np.ascontiguousarray(arrays[2]).reshape(-1)
    cdef double[::1] out = result.reshape(-1)
    cdef Py_ssize_t i
    with nogil:
        for i in range(out.shape[0]):
            out[i] = function(x_view[i], h_view[i], z_view[i])
            if not logarithm:
                out[i] = exp(out[i])
    return float(result) if scalar else result


def _polyagamma_pdf(x, h=1.0, z=0.0, return_log=False):
    """Density of PG(h, z) at x.

    Parameters
    ----------
    x : float or array_like
        Where to evaluate; the density is 0 for ``x <= 0``.
    h : float or array_like, default 1
        Shape, positive and finite.
    z : float or array_like, default 0
        Tilt, finite.
    return_log : bool, default False
        Return the logarithm, which does not underflow.

    Returns
    -------
    float or numpy.ndarray
        Of the shape of `x`, `h` and `z` broadcast together; a float when all three are scalars.
        NaN where `h` is not positive or a parameter is not finite.

    Raises
    ------
    ValueError
        If the shapes do not broadcast.

    Notes
    -----
    The alternating series of Polson, Scott & Windle where it does not cancel, else an integral of
    the Laplace transform along a parabola through its saddle point: about 1e-11 relative for `h` from 0.001
    to 1000.

    References
    ----------
    N. G. Polson, J. G. Scott and J. Windle (2013).  Bayesian inference for logistic models
    using Polya-Gamma latent variables.  JASA 108, 1339-1349.

    Examples
    --------
    >>> from hsmoe.random import polyagamma_pdf
    >>> round(polyagamma_pdf(0.2), 10)
    2.3391765373
    >>> round(polyagamma_pdf(250.0, h=1000, return_log=True), 6)
    -2.783861
    """
    return _evaluate(_api.polya_gamma_log_pdf, x, h, z, not not return_log)


def _polyagamma_cdf(x, h=1.0, z=0.0, return_log=False):
    """Distribution function of PG(h, z) at x.

    Parameters
    ----------
    x : float or array_like
        Where to evaluate.
    h : float or array_like, default 1
        Shape, positive and finite.
    z : float or array_like, default 0
        Tilt, finite.
    return_log : bool, default False
        Return the logarithm, which keeps its accuracy in both tails.

    Returns
    -------
    float or numpy.ndarray
        Of the shape of `x`, `h` and `z` broadcast together; a float when all three are scalars.
        NaN where `h` is not positive or a parameter is not finite.

    Raises
    ------
    ValueError
        If the shapes do not broadcast.

    Notes
    -----
    See :func:`polyagamma_pdf`.

    References
    ----------
    N. G. Polson, J. G. Scott and J. Windle (2013).  Bayesian inference for logistic models
    using Polya-Gamma latent variables.  JASA 108, 1339-1349.

    Examples
    --------
    >>> from hsmoe.random import polyagamma_cdf
    >>> round(polyagamma_cdf(0.2), 10)
    0.5255125396
    """
    return _evaluate(_api.polya_gamma_log_cdf, x, h, z, not not return_log)


def _publish(function, name):
    # The C functions of random.pxd have the same names, so Python's are bound here.
    function.__name__ = function.__qualname__ = name
    globals()[name] = function


_publish(_random_polyagamma, "random_polyagamma")
_publish(_polyagamma_pdf, "polyagamma_pdf")
_publish(_polyagamma_cdf, "polyagamma_cdf")
