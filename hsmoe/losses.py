"""How far a mixture of experts is from a true one (needs scipy).

For softmax gates the Voronoi loss of the theory; for any gate the L1 distance of the gates, the
Hellinger distance of the conditional densities, and the errors of matched experts.  Numbers of
experts are labels in all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from ._checks import check_integer, check_number
from ._core_protocol import FloatArray, IntArray
from ._matching import assign
from ._optional import scipy_part
from .mixtures import KnownMixture, SoftmaxMixture

__all__ = [
    "ExpertErrors",
    "expert_errors",
    "gate_l1",
    "hellinger",
    "voronoi_cells",
    "voronoi_loss",
]

# r(m): the least r for which the system of polynomial equations
#   sum_j c_j^2 sum_{n1 + 2 n2 = s} a_j^n1 b_j^n2 / (n1! n2!) = 0,  s = 1 ... r,  c_j != 0,
# in m atoms has no solution with some a_j != 0 (Ho & Nguyen 2016, Singularity structures and
# impacts on parameter estimation in finite mixtures): r(2) = 4, r(3) = 6; beyond that only
# r(m) >= 7 is known.
_EXPONENTS = {2: 4.0, 3: 6.0}

# How many descents, from the best of the starting points, and how often cells are found anew.
_DESCENTS = 8
_MOST_ROUNDS = 10


class _Mixture(Protocol):
    """What the Hellinger distance asks of a mixture, a model or a known one."""

    def log_density(self, X: Any, y: Any) -> FloatArray: ...

    def predict_quantiles(self, X: Any, probs: ArrayLike) -> FloatArray: ...


def voronoi_cells(
    fitted: SoftmaxMixture, truth: SoftmaxMixture, shift: ArrayLike | None = None
) -> IntArray:
    """Return the true atom nearest to each fitted atom, shape (K,).

    Parameters
    ----------
    fitted, truth : SoftmaxMixture
        An atom is ``(b1, a, b, s2)``: gate slopes, slopes, intercept and noise variance.
    shift : array_like, shape (d,), optional
        Vector by which the fitted gate slopes lie above the true ones; zero by default.

    Examples
    --------
    >>> import hsmoe
    >>> truth = hsmoe.SoftmaxMixture([[15, -20], [-5, 20]], [0.09, 0.16], [-8, 0], [[25], [0]])
    >>> fitted = hsmoe.SoftmaxMixture([[-5, 20.1], [15, -20]], [0.16, 0.09], [3, -5], [[1], [26]])
    >>> hsmoe.losses.voronoi_cells(fitted, truth).tolist()
    [1, 0]
    """
    _same_features(fitted, truth)
    t = np.zeros(fitted.n_features) if shift is None else np.asarray(shift, dtype=np.float64)
    if t.shape != (fitted.n_features,):
        raise ValueError(f"shift has shape {t.shape}; it must be ({fitted.n_features},)")
    gap = _atoms(fitted)[:, None, :] - _atoms(truth)[None, :, :]
    gap[:, :, : fitted.n_features] -= t
    nearest: IntArray = np.argmin((gap**2).sum(axis=2), axis=1)
    return nearest


def voronoi_loss(
    fitted: SoftmaxMixture,
    truth: SoftmaxMixture,
    *,
    exponents: Mapping[int, float] | None = None,
    translate: bool = True,
) -> float:
    """Return the Voronoi loss of a softmax-gated mixture, fitted with too many experts or not.

    Fitted atoms fall into the Voronoi cells ``A_j`` of the true ones, and with
    ``w_i = exp(b0_i) / sum exp(b0)``::

        D = sum_{j: |A_j| = 1} sum_{i in A_j} w_i |(db1, da, db, ds2)|
          + sum_{j: |A_j| > 1} sum_{i in A_j} w_i {|(db1, db)|^r + |(da, ds2)|^(r/2)}
          + sum_j |sum_{i in A_j} w_i - w*_j|,     r = r(|A_j|), r(2) = 4, r(3) = 6.

    The maximum likelihood estimate, and the posterior, have ``D = O(n^-1/2)`` up to logarithms: an
    expert that is fitted twice is learned at ``n^-1/8`` in ``(b1, b)`` and ``n^-1/4`` in
    ``(a, s2)``.

    Parameters
    ----------
    fitted, truth : SoftmaxMixture
        In the same units; the loss depends on them, and on where x is zero.
    exponents : mapping from int to float, optional
        ``r`` for cells of that many atoms, for those where no value is proved (four and more).
    translate : bool
        Gate slopes are known up to a vector ``t`` added to all.  True: the least loss over ``t``,
        as the theory has it; False: the slopes are compared as they are.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If the features differ, or a cell holds so many atoms that its exponent is unknown (at every
        shift tried).

    Notes
    -----
    The paper takes the least over a number added to all ``b0*`` too.  Here the weights of both
    mixtures add up to one, so that the loss does not depend on the numbers added to either; it
    changes the loss by a bounded factor.

    The cells change with ``t`` and the loss jumps where they do.  Descents begin at shifts that
    give different cells, and at the best of zero, the difference of the weighted mean slopes, all
    ``b1_i - b1*_j`` and the middles between two of them; where mixtures of many features are far
    apart, what is found need not be the least.

    References
    ----------
    Nguyen, Nguyen & Ho (2023), Demystifying softmax gating function in Gaussian mixture of experts,
    arXiv 2305.03288.

    Examples
    --------
    >>> import hsmoe
    >>> truth = hsmoe.SoftmaxMixture([[15, -20], [-5, 20]], [0.09, 0.16], [-8, 0], [[25], [0]])
    >>> fitted = hsmoe.SoftmaxMixture([[-5, 20.1], [15, -20]], [0.16, 0.09], [3, -5], [[1], [26]])
    >>> round(hsmoe.voronoi_loss(fitted, truth), 3)
    0.1
    """
    _same_features(fitted, truth)
    rates = dict(_EXPONENTS)
    for m, r in (exponents or {}).items():
        rates[check_integer("exponents: number of atoms", m, 2)] = check_number(
            f"exponents[{m}]", r
        )
    mass, true_mass = _masses(fitted), _masses(truth)

    def loss(t: FloatArray) -> float:
        return _cell_loss(fitted, truth, t, voronoi_cells(fitted, truth, t), rates, mass, true_mass)

    starts = [np.zeros(fitted.n_features)]
    if not translate or fitted.n_features == 0:
        return _finite(loss(starts[0]), fitted, truth)
    gaps = fitted.gate_slopes[:, None, :] - truth.gate_slopes[None, :, :]
    gaps = gaps.reshape(-1, fitted.n_features)
    starts.append(mass @ fitted.gate_slopes - true_mass @ truth.gate_slopes)
    starts += [0.5 * (one + other) for i, one in enumerate(gaps) for other in gaps[i:]]
    starts = sorted(starts, key=loss)[:_DESCENTS] + _between_cells(fitted, truth, starts[1])
    best = np.inf
    for start in starts:
        best = min(best, _descend(start, loss, fitted, truth, rates, mass, true_mass))
    return _finite(best, fitted, truth)


def _between_cells(
    fitted: SoftmaxMixture, truth: SoftmaxMixture, t: FloatArray
) -> list[FloatArray]:
    """Return shifts with different cells, in the directions between two true atoms.

    With ``n = b1*_l - b1*_j``, atom i is nearer to j than to l where

        2 t'n > |theta_i - theta*_j|^2 - |theta_i - theta*_l|^2:

    between two such bounds, and outside all, one shift each.
    """
    d, atoms, true_atoms = fitted.n_features, _atoms(fitted), _atoms(truth)
    shifts = []
    for j in range(truth.n_experts):
        for l in range(j):
            n = true_atoms[l, :d] - true_atoms[j, :d]
            size = float(n @ n)
            if size == 0.0:
                continue
            near, far = (((atoms - true_atoms[k]) ** 2).sum(axis=1) for k in (j, l))
            bounds = np.sort(0.5 * (near - far)) / size
            outside = [bounds[0] - 1.0, bounds[-1] + 1.0]
            for along in [*outside, *(0.5 * (bounds[1:] + bounds[:-1]))]:
                shifts.append(t + (along - float(n @ t) / size) * n)
    return shifts


def _finite(loss: float, fitted: SoftmaxMixture, truth: SoftmaxMixture) -> float:
    """Return the loss, or say which cell's exponent is unknown."""
    if np.isfinite(loss):
        return loss
    size = np.bincount(voronoi_cells(fitted, truth), minlength=truth.n_experts)
    m, j = int(size.max()), int(size.argmax())
    raise ValueError(
        f"{m} fitted atoms are nearest to atom {j} of the truth, and no exponent is proved for "
        f"cells of more than 3; pass exponents={{{m}: r}} with an r of at least 7, or merge fitted "
        "atoms first"
    )


def _descend(
    t: FloatArray,
    loss: Any,
    fitted: SoftmaxMixture,
    truth: SoftmaxMixture,
    rates: Mapping[int, float],
    mass: FloatArray,
    true_mass: FloatArray,
) -> float:
    """Return the loss where a descent from ``t`` ends.

    Given the cells the loss is convex in t (powers of at least 1 of norms), so one descent finds
    its least; then the cells are found anew, until that gains nothing.  As the least for some cells
    may lie where there are others, a descent of the loss itself comes last.
    """
    minimize = scipy_part("optimize", "voronoi_loss").minimize
    start, least = t, loss(t)
    if not np.isfinite(least):
        return least
    for _ in range(_MOST_ROUNDS):
        cells = voronoi_cells(fitted, truth, t)
        found = minimize(
            lambda s, cells=cells: _cell_loss(fitted, truth, s, cells, rates, mass, true_mass),
            t,
            method="Powell",
            options={"xtol": 1e-8, "ftol": 1e-12},
        )
        value = loss(found.x)
        if not value < least:
            break
        t, least = found.x, value
    for begin in (start, t):
        last = minimize(loss, begin, method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-12})
        least = min(least, float(last.fun))
    return least


def _cell_loss(
    fitted: SoftmaxMixture,
    truth: SoftmaxMixture,
    t: FloatArray,
    cells: IntArray,
    rates: Mapping[int, float],
    mass: FloatArray,
    true_mass: FloatArray,
) -> float:
    """Return the loss for a given shift and given cells; infinite where an exponent is unknown."""
    size = np.bincount(cells, minlength=truth.n_experts)[cells]  # of the cell of each atom
    slopes = fitted.gate_slopes - truth.gate_slopes[cells] - t
    experts = fitted.coefficients - truth.coefficients[cells]
    spread = fitted.variance - truth.variance[cells]
    # |(db1, db)| and |(da, ds2)|
    gate_side = np.sqrt((slopes**2).sum(axis=1) + experts[:, 0] ** 2)
    mean_side = np.sqrt((experts[:, 1:] ** 2).sum(axis=1) + spread**2)
    r = np.array([1.0 if m == 1 else rates.get(int(m), np.nan) for m in size])
    if np.isnan(r).any():
        return np.inf
    several = gate_side**r + mean_side ** (r / 2)
    gap = np.where(size == 1, np.hypot(gate_side, mean_side), several)
    covered = np.bincount(cells, weights=mass, minlength=truth.n_experts)
    return float(mass @ gap + np.abs(covered - true_mass).sum())


def _atoms(mixture: SoftmaxMixture) -> FloatArray:
    return np.c_[mixture.gate_slopes, mixture.coefficients, mixture.variance]


def _masses(mixture: SoftmaxMixture) -> FloatArray:
    mass = np.exp(mixture.gate_intercept - mixture.gate_intercept.max())
    normalised: FloatArray = mass / mass.sum()
    return normalised


def _same_features(fitted: KnownMixture, truth: KnownMixture) -> None:
    if fitted.n_features != truth.n_features:
        raise ValueError(
            f"the fitted mixture has {fitted.n_features} features and the true one "
            f"{truth.n_features}; they must be the same"
        )


def gate_l1(fitted: ArrayLike, truth: ArrayLike) -> float:
    """Return the L1 distance of two gates, the labels of the experts matched.

    ``min over matchings of  mean_i sum_k |g_k(x_i) - g*_k(x_i)|``; experts that one side has more
    of are matched with experts that are never in charge.  Between 0 and 2.

    Parameters
    ----------
    fitted : array_like, shape (n, K) or (M, n, K)
        Routing probabilities at rows; of M draws, and then the mean of their distances.
    truth : array_like, shape (n, K*)
        True routing probabilities of the same rows.

    Raises
    ------
    ValueError
        If the rows differ.

    Examples
    --------
    >>> import hsmoe
    >>> hsmoe.losses.gate_l1([[0.25, 0.75], [1.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]])
    0.25
    """
    g, g_true = np.asarray(fitted, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    for name, values in (("fitted", g), ("truth", g_true)):
        if values.size and not np.allclose(values.sum(axis=-1), 1.0, rtol=0, atol=1e-6):
            raise ValueError(f"{name} holds rows that are no probabilities: they must add up to 1")
    if g_true.ndim != 2 or g.ndim not in (2, 3) or g.shape[-2] != len(g_true) or g.size == 0:
        raise ValueError(
            f"fitted has shape {g.shape} and truth {g_true.shape}; they must be (n, K), or "
            "(M, n, K) for M draws, and (n, K*), for the same rows"
        )
    if g.ndim == 3:
        return float(np.mean([gate_l1(one, g_true) for one in g]))
    most = max(g.shape[1], g_true.shape[1])
    g = np.pad(g, [(0, 0), (0, most - g.shape[1])])
    g_true = np.pad(g_true, [(0, 0), (0, most - g_true.shape[1])])
    cost = np.stack([np.abs(g - g_true[:, [k]]).mean(axis=0) for k in range(most)])
    return float(cost[np.arange(most), assign(cost)].sum())


def hellinger(fitted: _Mixture, truth: _Mixture, X: Any, *, n_quantiles: int = 100) -> FloatArray:
    """Return the Hellinger distance between the conditional densities at each row, shape (n,).

    ``H(x)^2 = 1/2 int (sqrt p - sqrt q)^2 dy``, between 0 and 1.

    Parameters
    ----------
    fitted, truth : a model or a known mixture
        Whatever has ``log_density`` and ``predict_quantiles``.
    X : array_like, shape (n, d)
        Rows.
    n_quantiles : int
        Nodes of the quadrature, from each of the two.

    Notes
    -----
    ``1 - H^2 = E_m[sqrt(p q) / m]`` for ``m = (p + q) / 2``, half the expectation under ``p`` and
    half that under ``q``.  The integrand lies between 0 and 1, and each expectation is a
    Gauss-Legendre quadrature over the probabilities of quantiles.  What one of the two gives a
    probability below ``1 / n_quantiles`` is seen roughly: a component of probability 0.001 that the
    other lacks makes a distance of 0.0224, and 0.0247 with 100 nodes.

    Examples
    --------
    >>> import numpy as np, hsmoe
    >>> p = hsmoe.SoftmaxMixture([[0.0]], [1.0], [0.0], [[]])
    >>> q = hsmoe.SoftmaxMixture([[1.0]], [1.0], [0.0], [[]])
    >>> hsmoe.losses.hellinger(p, q, np.empty((1, 0))).round(4).tolist()
    [0.3428]
    >>> round(float(np.sqrt(1 - np.exp(-1 / 8))), 4)
    0.3428
    """
    count = check_integer("n_quantiles", n_quantiles, 2)
    rows = np.asarray(X, dtype=np.float64)
    nodes, weights = np.polynomial.legendre.leggauss(count)
    probs, weights = 0.5 * (nodes + 1.0), 0.5 * weights
    every = np.repeat(rows, count, axis=0)
    affinity = np.zeros(len(rows))
    for side in (fitted, truth):
        y = np.asarray(side.predict_quantiles(rows, probs)).ravel()
        # sqrt(p q) / m = 1 / cosh((log p - log q) / 2)
        ratio = np.asarray(fitted.log_density(every, y)) - np.asarray(truth.log_density(every, y))
        tail = np.exp(-0.5 * np.abs(ratio))
        share = 2.0 * tail / (1.0 + tail**2)
        affinity += 0.5 * share.reshape(len(rows), count) @ weights
    distance: FloatArray = np.sqrt(np.maximum(1.0 - affinity, 0.0))
    return distance


@dataclass(frozen=True, eq=False)
class ExpertErrors:
    """Errors of matched experts.

    Attributes
    ----------
    match : ndarray, shape (K*,)
        Which fitted expert stands for each true one.
    mean : ndarray, shape (K*,)
        Root mean square, over the rows, of the difference of their means, in units of y.
    noise_sd : ndarray, shape (K*,)
        Fitted minus true standard deviation of the noise.
    coefficients : ndarray, shape (K*, 1 + d)
        Fitted minus true coefficients.

    Examples
    --------
    >>> import hsmoe
    >>> truth = hsmoe.SoftmaxMixture([[1, 2], [0, 0]], [1, 1], [0, 0], [[0], [0]])
    >>> errors = hsmoe.losses.expert_errors([[0, 0], [1, 2.5]], [1, 2], truth, [[1.0], [-1.0]])
    >>> errors.coefficients.tolist()
    [[0.0, 0.5], [0.0, 0.0]]
    """

    match: IntArray
    mean: FloatArray
    noise_sd: FloatArray
    coefficients: FloatArray


def expert_errors(
    coefficients: ArrayLike, noise_sd: ArrayLike, truth: KnownMixture, X: Any
) -> ExpertErrors:
    """Return the errors of fitted experts, each true expert matched with one of its own.

    The matching has the least sum of ``E_x[(x'beta - x'beta*)^2] + (sd - sd*)^2``.

    Parameters
    ----------
    coefficients : array_like, shape (K, 1 + d)
        Of the fitted experts, intercepts first, in the units of the data; K is at least K*.
    noise_sd : array_like, shape (K,)
        Their noise.
    truth : KnownMixture
        The truth.
    X : array_like, shape (n, d)
        Rows that the means are compared at.

    Examples
    --------
    >>> import numpy as np, hsmoe
    >>> truth = hsmoe.SoftmaxMixture([[1, 2], [0, 0]], [1, 1], [0, 0], [[0], [0]])
    >>> errors = hsmoe.losses.expert_errors([[0, 0], [1, 2.5]], [1, 2], truth, [[1.0], [-1.0]])
    >>> errors.match.tolist(), errors.mean.tolist(), errors.noise_sd.tolist()
    ([1, 0], [0.5, 0.0], [1.0, 0.0])
    """
    beta, sd = np.asarray(coefficients, dtype=np.float64), np.asarray(noise_sd, dtype=np.float64)
    true_sd = np.sqrt(truth.variance)
    if beta.ndim != 2 or sd.shape != beta.shape[:1] or beta.shape[1] != 1 + truth.n_features:
        raise ValueError(
            f"coefficients has shape {beta.shape} and noise_sd {sd.shape}; they must be "
            f"(K, {1 + truth.n_features}) and (K,)"
        )
    if len(beta) < truth.n_experts:
        raise ValueError(
            f"there are {len(beta)} fitted experts for {truth.n_experts} true ones; there must be "
            "at least as many"
        )
    rows = np.asarray(X, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] != truth.n_features:
        raise ValueError(f"X has shape {rows.shape}; it must be (n, {truth.n_features})")
    fitted_mean = np.c_[np.ones(len(rows)), rows] @ beta.T
    gap = fitted_mean[:, None, :] - truth.expert_mean(rows)[:, :, None]  # (n, K*, K)
    square = (gap**2).mean(axis=0)
    match = assign(square + (sd[None, :] - true_sd[:, None]) ** 2)
    own = np.arange(truth.n_experts)
    return ExpertErrors(
        match=match,
        mean=np.sqrt(square[own, match]),
        noise_sd=sd[match] - true_sd,
        coefficients=beta[match] - truth.coefficients,
    )
