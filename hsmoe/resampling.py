"""Resampling: from weights to ancestor numbers.

Each function draws ``M`` ancestors so that particle ``i`` has ``M W_i`` offspring on average; they
differ in how much the number of offspring varies.  A particle of zero weight is never picked.

Weights need not be normalised.  The vocabulary (``W``, ``M``, ancestors) is that of Chopin &
Papaspiliopoulos (2020), An Introduction to Sequential Monte Carlo, chapter 9.
"""

from __future__ import annotations

import operator

import numpy as np
from numpy.typing import ArrayLike

from ._core_protocol import FloatArray, IntArray
from ._dispatch import core

__all__ = ["multinomial", "residual", "ssp", "stratified", "systematic"]

RngLike = None | int | np.random.SeedSequence | np.random.BitGenerator | np.random.Generator


def _prepare(
    W: ArrayLike, M: int | None, rng: RngLike
) -> tuple[FloatArray, int, np.random.Generator]:
    weights = np.ascontiguousarray(W, dtype=np.float64)
    if weights.ndim != 1 or weights.size == 0:
        raise ValueError(
            f"W has shape {weights.shape}; it must be a 1-D array of at least one weight"
        )
    wrong = ~(np.isfinite(weights) & (weights >= 0.0))
    if wrong.any():
        i = int(np.argmax(wrong))
        raise ValueError(
            f"W[{i}] is {weights[i]}; weights must be finite and not negative "
            "(for log weights pass numpy.exp(lw - lw.max()))"
        )
    if not weights.any():
        raise ValueError("every weight in W is zero; at least one must be positive")
    if M is None:
        count = weights.size
    else:
        try:
            count = operator.index(M)
        except TypeError:
            raise ValueError(f"M is {M!r}; it must be an integer of at least 1") from None
        if count < 1:
            raise ValueError(f"M is {M}; it must be an integer of at least 1")
    return weights, count, np.random.default_rng(rng)


def systematic(W: ArrayLike, M: int | None = None, rng: RngLike = None) -> IntArray:
    """Draw ancestors by systematic resampling: one uniform, ``M`` equally spaced points.

    Particle ``i`` has ``floor(M W_i)`` or ``ceil(M W_i)`` offspring.  The fastest scheme, and the
    one the estimators use.

    Parameters
    ----------
    W : array_like, shape (N,)
        Non-negative weights; they need not sum to one.
    M : int, optional
        Number of ancestors to draw; N by default.
    rng : None, int, SeedSequence, BitGenerator or Generator
        Source of randomness, as for :func:`numpy.random.default_rng`.

    Returns
    -------
    ancestors : ndarray of int64, shape (M,)
        Indices into ``W``, in increasing order.

    Raises
    ------
    ValueError
        If a weight is negative or not finite, all are zero, or ``M`` is less than 1.

    References
    ----------
    Kitagawa (1996), Monte Carlo filter and smoother for non-Gaussian nonlinear state space models.

    Examples
    --------
    >>> from hsmoe import resampling
    >>> resampling.systematic([0.5, 0.0, 0.5], M=4, rng=1)
    array([0, 0, 2, 2])
    """
    weights, count, generator = _prepare(W, M, rng)
    return core.systematic(weights, count, generator.random())


def stratified(W: ArrayLike, M: int | None = None, rng: RngLike = None) -> IntArray:
    """Draw ancestors by stratified resampling: one uniform in each of ``M`` equal strata.

    Parameters
    ----------
    W : array_like, shape (N,)
        Non-negative weights; they need not sum to one.
    M : int, optional
        Number of ancestors to draw; N by default.
    rng : None, int, SeedSequence, BitGenerator or Generator
        Source of randomness, as for :func:`numpy.random.default_rng`.

    Returns
    -------
    ancestors : ndarray of int64, shape (M,)
        Indices into ``W``, in increasing order.

    Raises
    ------
    ValueError
        If a weight is negative or not finite, all are zero, or ``M`` is less than 1.

    References
    ----------
    Kitagawa (1996), Monte Carlo filter and smoother for non-Gaussian nonlinear state space models.

    Examples
    --------
    >>> from hsmoe import resampling
    >>> resampling.stratified([0.5, 0.0, 0.5], M=4, rng=1)
    array([0, 0, 2, 2])
    """
    weights, count, generator = _prepare(W, M, rng)
    return core.stratified(weights, count, generator.random(count))


def residual(W: ArrayLike, M: int | None = None, rng: RngLike = None) -> IntArray:
    """Draw ancestors by residual resampling: ``floor(M W_i)`` copies each, the rest at random.

    The remaining ancestors are drawn independently, in proportion to the fractional parts.

    Parameters
    ----------
    W : array_like, shape (N,)
        Non-negative weights; they need not sum to one.
    M : int, optional
        Number of ancestors to draw; N by default.
    rng : None, int, SeedSequence, BitGenerator or Generator
        Source of randomness, as for :func:`numpy.random.default_rng`.

    Returns
    -------
    ancestors : ndarray of int64, shape (M,)
        Indices into ``W``.

    Raises
    ------
    ValueError
        If a weight is negative or not finite, all are zero, or ``M`` is less than 1.

    References
    ----------
    Liu & Chen (1998), Sequential Monte Carlo methods for dynamic systems.

    Examples
    --------
    >>> import numpy as np
    >>> from hsmoe import resampling
    >>> np.bincount(resampling.residual([0.5, 0.25, 0.25], M=4, rng=1))
    array([2, 1, 1])
    """
    weights, count, generator = _prepare(W, M, rng)
    return core.residual(weights, count, generator.random(count))


def multinomial(W: ArrayLike, M: int | None = None, rng: RngLike = None) -> IntArray:
    """Draw ancestors independently of each other.

    Parameters
    ----------
    W : array_like, shape (N,)
        Non-negative weights; they need not sum to one.
    M : int, optional
        Number of ancestors to draw; N by default.
    rng : None, int, SeedSequence, BitGenerator or Generator
        Source of randomness, as for :func:`numpy.random.default_rng`.

    Returns
    -------
    ancestors : ndarray of int64, shape (M,)
        Indices into ``W``.

    Raises
    ------
    ValueError
        If a weight is negative or not finite, all are zero, or ``M`` is less than 1.

    References
    ----------
    Gordon, Salmond & Smith (1993), Novel approach to nonlinear/non-Gaussian Bayesian state
    estimation.

    Examples
    --------
    >>> from hsmoe import resampling
    >>> resampling.multinomial([0.0, 1.0], M=3, rng=1)
    array([1, 1, 1])
    """
    weights, count, generator = _prepare(W, M, rng)
    return core.multinomial(weights, count, generator.random(count))


def ssp(W: ArrayLike, M: int | None = None, rng: RngLike = None) -> IntArray:
    """Draw ancestors by Srinivasan sampling process resampling.

    As in systematic resampling particle ``i`` has ``floor(M W_i)`` or ``ceil(M W_i)`` offspring,
    but the numbers of offspring are negatively associated, so that estimates are consistent in
    any order of the particles.

    Parameters
    ----------
    W : array_like, shape (N,)
        Non-negative weights; they need not sum to one.
    M : int, optional
        Number of ancestors to draw; N by default.
    rng : None, int, SeedSequence, BitGenerator or Generator
        Source of randomness, as for :func:`numpy.random.default_rng`.

    Returns
    -------
    ancestors : ndarray of int64, shape (M,)
        Indices into ``W``, in increasing order.

    Raises
    ------
    ValueError
        If a weight is negative or not finite, all are zero, or ``M`` is less than 1.

    References
    ----------
    Gerber, Chopin & Whiteley (2019), Negative association, ordering and convergence of resampling
    methods.

    Examples
    --------
    >>> from hsmoe import resampling
    >>> resampling.ssp([0.5, 0.0, 0.5], M=4, rng=1)
    array([0, 0, 2, 2])
    """
    weights, count, generator = _prepare(W, M, rng)
    return core.ssp(weights, count, generator.random(weights.size))
