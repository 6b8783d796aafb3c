"""Slow, clear ground truth for the tests: closed forms, enumeration and quadrature.

Nothing here shares code with the package or with the NumPy reference.

References
----------
Polson, Scott & Windle (2013) for Polya-Gamma; Carvalho, Polson & Scott (2010) for the closed form
of the horseshoe density; Piironen & Vehtari (2017) for the slab.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import integrate, optimize, special, stats

Array = NDArray[np.float64]


# --------------------------------------------------------------------------- experts


def nig_log_evidence(
    X: ArrayLike, y: ArrayLike, a0: float = 2.0, b0: float = 0.1, coefficient_variance: float = 10.0
) -> float:
    """Log evidence of Bayesian linear regression with a normal-inverse-gamma prior.

    ``y ~ t_{2 a0}(0, (b0/a0) S)`` with ``S = I + v X X'``, that is::

        log p(y) = lgamma(a0 + n/2) - lgamma(a0) - (n/2) log(2 pi b0) - log|S|/2
                   - (a0 + n/2) log(1 + y' S^-1 y / (2 b0))
    """
    X, y = np.asarray(X, float), np.asarray(y, float)
    n = y.size
    if n == 0:
        return 0.0
    S = np.eye(n) + coefficient_variance * X @ X.T
    quadratic = y @ np.linalg.solve(S, y)
    return float(
        special.gammaln(a0 + n / 2)
        - special.gammaln(a0)
        - n / 2 * np.log(2 * np.pi * b0)
        - np.linalg.slogdet(S)[1] / 2
        - (a0 + n / 2) * np.log1p(quadratic / (2 * b0))
    )


def nig_log_evidence_of_learned_scales(
    X: ArrayLike,
    y: ArrayLike,
    a0: float = 2.0,
    b0: float = 0.1,
    coefficient_variance: float = 10.0,
    *,
    b0_shape: float = 1.0,
    coefficient_shape: float = 1.0,
) -> float:
    """The same with ``b0 ~ Gamma(b0_shape)`` and ``1/v ~ Gamma(coefficient_shape)``.

    Their means are ``b0`` and ``1 / coefficient_variance``.  By the trapezoid rule over the
    logarithms of both, with the eigenvectors of ``X X'``.
    """
    X, y = np.asarray(X, float), np.asarray(y, float)
    n = y.size
    if n == 0:
        return 0.0
    eigenvalue, basis = np.linalg.eigh(X @ X.T)
    eigenvalue = np.maximum(eigenvalue, 0.0)
    square = (basis.T @ y) ** 2

    def grid(shape: float, mean: float) -> tuple[Array, Array]:
        prior = stats.gamma(shape, scale=mean / shape)
        t = np.linspace(np.log(prior.ppf(1e-13)), np.log(prior.isf(1e-13)), 241)
        log_prior = prior.logpdf(np.exp(t)) + t
        return np.exp(t), log_prior + np.log(t[1] - t[0])

    scale, log_scale = grid(b0_shape, b0)
    precision, log_precision = grid(coefficient_shape, 1.0 / coefficient_variance)
    S = 1.0 + eigenvalue / precision[:, None]
    quadratic, log_det = (square / S).sum(axis=1), np.log(S).sum(axis=1)
    log_p = (
        special.gammaln(a0 + n / 2)
        - special.gammaln(a0)
        - n / 2 * np.log(2 * np.pi * scale)
        - log_det[:, None] / 2
        - (a0 + n / 2) * np.log1p(quadratic[:, None] / (2 * scale))
    )
    return float(special.logsumexp(log_p + log_scale + log_precision[:, None]))


# --------------------------------------------------------------------------- trees and scales


def tree_nodes(n_experts: int, tree: str = "comb") -> list[tuple[list[int], list[int]]]:
    """Leaves to the left and to the right of each node, root first, left subtree before right.

    ``comb``: one leaf goes left, the others right.  ``balanced``: of ``m`` leaves the first
    ``ceil(m/2)`` go left.
    """

    def below(leaves: list[int]) -> list[tuple[list[int], list[int]]]:
        if len(leaves) == 1:
            return []
        cut = {"comb": 1, "balanced": -(-len(leaves) // 2)}[tree]
        left, right = leaves[:cut], leaves[cut:]
        return [(left, right), *below(left), *below(right)]

    return below(list(range(n_experts)))


def horseshoe_conditional_pdf(phi: ArrayLike, tau: ArrayLike) -> Array:
    """Horseshoe density given ``tau``: ``int N(phi; 0, tau^2 l^2) (2/pi)/(1 + l^2) dl``.

    In closed form ``exp(w) E1(w) / (tau sqrt(2 pi^3))`` with ``w = phi^2 / (2 tau^2)``.
    """
    tau = np.asarray(tau, float)
    w = (np.asarray(phi, float) / tau) ** 2 / 2
    near = np.minimum(w, 300.0)
    far = np.maximum(w, 300.0)
    scaled = np.where(
        w < 300.0,
        np.exp(near) * special.exp1(near),
        (1 - 1 / far + 2 / far**2 - 6 / far**3 + 24 / far**4) / far,
    )
    return scaled / (tau * np.sqrt(2 * np.pi**3))


def _log_grid(low: float, high: float, n: int) -> tuple[Array, Array]:
    """Points and trapezoid weights for ``int_0^inf f(t) dt`` on a grid uniform in ``log t``."""
    s = np.linspace(np.log(low), np.log(high), n)
    return np.exp(s), np.exp(s) * (s[1] - s[0])


def _half_cauchy_pdf(t: ArrayLike, scale: float) -> Array:
    return 2 / (np.pi * scale) / (1 + (np.asarray(t) / scale) ** 2)


def slab_mass(tau: ArrayLike, slab: float) -> Array:
    """``int HS(phi | tau) N(phi; 0, slab^2) dphi`` by quadrature over ``lambda``.

    The integral over ``phi`` is ``N(0; 0, tau^2 l^2 + slab^2)``, so that the mass is
    ``int C+(l; 0, 1) (2 pi (tau^2 l^2 + slab^2))^{-1/2} dl``: trapezoid rule in ``log l``, whose
    error falls exponentially with the step.
    """
    tau = np.asarray(tau, float)
    lam, weight = _log_grid(1e-19, 1e19, 1751)
    variance = (tau[..., None] * lam) ** 2 + slab**2
    return (1 / np.sqrt(2 * np.pi * variance)) @ (weight * _half_cauchy_pdf(lam, 1.0))


def horseshoe_tau_cdf(tau: ArrayLike, tau0: float, slab: float, n_coefficients: int) -> Array:
    """Prior cdf of ``tau`` under the product with the slab, ``p(tau) slab_mass(tau)^M``."""
    grid, weight = _log_grid(tau0 * 1e-8, tau0 * 1e10, 2001)
    mass = weight * _half_cauchy_pdf(grid, tau0) * slab_mass(grid, slab) ** n_coefficients
    cdf = np.cumsum(mass) - mass / 2
    return np.interp(np.log(tau), np.log(grid), cdf / mass.sum())


def horseshoe_coefficient_cdf(
    phi: ArrayLike, tau0: float, slab: float, n_coefficients: int
) -> Array:
    """Prior cdf of one coefficient when ``M`` of them share ``tau``.

    Density proportional to ``int p(tau) slab_mass(tau)^{M-1} HS(phi | tau) N(phi; 0, slab^2)
    dtau``.
    """
    tau, w_tau = _log_grid(tau0 * 1e-8, tau0 * 1e10, 401)
    w_tau = w_tau * _half_cauchy_pdf(tau, tau0) * slab_mass(tau, slab) ** (n_coefficients - 1)
    grid, weight = _log_grid(1e-14, 12 * slab, 3001)
    pdf = horseshoe_conditional_pdf(grid[:, None], tau) @ w_tau * stats.norm.pdf(grid, 0, slab)
    mass = weight * pdf
    half = (np.cumsum(mass) - mass / 2) / (2 * mass.sum())
    phi = np.asarray(phi, float)
    upper = np.interp(np.log(np.abs(phi)), np.log(grid), half)
    return 0.5 + np.sign(phi) * upper


# --------------------------------------------------------------------------- the whole model


def enumerated_log_evidence(
    X: ArrayLike,
    U: ArrayLike,
    y: ArrayLike,
    tree: list[tuple[list[int], list[int]]],
    gate_prior: str = "horseshoe",
    *,
    tau0: float = 1.0,
    slab: float = 10.0,
    normal_sd: float = 1.0,
    intercept_sd: float = 1.5,
    a0: float = 2.0,
    b0: float = 0.1,
    coefficient_variance: float = 10.0,
    n_grid: int = 241,
    n_tau: int = 121,
    expert_log_evidence: Callable[[tuple[int, ...]], float] | None = None,
    open_experts: ArrayLike | None = None,
) -> float:
    """Exact log evidence of a small mixture of experts by enumeration and quadrature.

    ::

        p(y) = sum_z prod_k NIG(y_{z=k}) int p(tau) prod_l G_l(z, tau) dtau
                                         / int p(tau) prod_l G_l(no rows, tau) dtau
        G_l(z, tau) = int prod_{rows of z that pass l} sigmoid(+-u'phi) p(phi | tau) dphi

    where the sum runs over all ``K^n`` allocations (``n <= 8`` for ``K = 2``) and ``p(phi | tau)``
    is the unnormalised product ``HS(phi_1 | tau) N(phi_1; 0, slab^2) N(phi_0; mu, s0^2)``.  The
    local scales are integrated out in closed form, ``tau`` and ``phi`` by the trapezoid rule on
    grids uniform in the logarithm.  The gate has one column (the intercept) or two.

    Parameters
    ----------
    X, U, y : array_like
        Expert design (n, d), gate design (n, 1 or 2), target.  Column 0 is the intercept.
    tree : list of (left leaves, right leaves)
        From :func:`tree_nodes`.
    gate_prior : {"normal", "horseshoe", "horseshoe-paper"}
        As in the model; ``"horseshoe-paper"`` penalises the intercept too, without a slab.
    n_grid, n_tau : int
        Number of quadrature points for each (half) axis of ``phi`` and for ``tau``.
    expert_log_evidence : callable, optional
        From the numbers of rows, ascending, to the log evidence of one expert that has them; the
        normal-inverse-gamma regression by default.
    open_experts : array_like of bool, shape (n, K), optional
        Which experts are open at which row; all of them by default.  A split that does not have an
        open expert on both sides sends the row to the side that has one.
    """
    X, U, y = np.asarray(X, float), np.asarray(U, float), np.asarray(y, float)
    n, p = U.shape
    if p > 2:
        raise ValueError("one gate coefficient besides the intercept at most")
    paper = gate_prior == "horseshoe-paper"

    # Quadrature over tau.  With a normal prior nothing depends on it.
    if gate_prior == "normal":
        tau, w_tau = np.ones(1), np.ones(1)
    else:
        scale = 1.0 if paper else tau0
        tau, w_tau = _log_grid(scale * 1e-8, scale * 1e9, n_tau)
        w_tau = w_tau * _half_cauchy_pdf(tau, scale)

    def axis(penalised: bool, mean: float) -> tuple[Array, Array]:
        """Points, and prior mass of each point given tau (tau, points)."""
        if penalised and gate_prior != "normal":
            half, weight = _log_grid(1e-13, 1e11 if paper else 9 * slab, n_grid)
            point, weight = np.r_[-half[::-1], half], np.r_[weight[::-1], weight]
            pdf = horseshoe_conditional_pdf(point, tau[:, None])
            if not paper:
                pdf = pdf * stats.norm.pdf(point, 0, slab)
            return point, pdf * weight
        sd = normal_sd if penalised else intercept_sd
        point = mean + sd * np.linspace(-8.5, 8.5, n_grid)
        return point, np.tile(
            stats.norm.pdf(point, mean, sd) * (point[1] - point[0]), (tau.size, 1)
        )

    def gate_integrals(signs: Array, mean: float) -> Array:
        """``G_l`` of each sign pattern (patterns, n) with entries +1, -1, 0: (patterns, tau)."""
        intercept, mass0 = axis(paper, mean)
        slope, mass1 = axis(True, 0.0) if p == 2 else (np.zeros(1), np.ones((tau.size, 1)))
        psi = U[:, 0, None] * intercept + (U[:, 1, None] * slope[:, None, None] if p == 2 else 0)
        psi = np.moveaxis(np.broadcast_to(psi, (slope.size, n, intercept.size)), 1, 0)
        log_left, log_right = special.log_expit(psi), special.log_expit(-psi)
        out = np.empty((len(signs), tau.size))
        for row, s in enumerate(signs):
            log_lik = np.tensordot((s > 0) * 1.0, log_left, 1)
            log_lik += np.tensordot((s < 0) * 1.0, log_right, 1)
            lik = np.exp(log_lik)  # (slope, intercept)
            if paper:
                out[row] = np.einsum("ts,ts->t", mass1, (lik @ mass0.T).T)
            else:
                out[row] = mass1 @ (lik @ mass0[0])
        return out

    allocations = np.array(list(itertools.product(range(_n_leaves(tree)), repeat=n)))
    is_open = (
        np.ones((n, _n_leaves(tree)), bool) if open_experts is None else np.asarray(open_experts)
    )
    allocations = allocations[is_open[np.arange(n), allocations].all(1)]
    numerator = np.tile(w_tau, (len(allocations), 1))
    denominator = w_tau.copy()
    for left, right in tree:
        signs = np.isin(allocations, left) * 1 - np.isin(allocations, right) * 1
        signs *= is_open[:, left].any(1) & is_open[:, right].any(1)
        patterns, which = np.unique(signs, axis=0, return_inverse=True)
        mean = 0.0 if paper else np.log(len(left) / len(right))
        numerator *= gate_integrals(patterns, mean)[which.ravel()]
        denominator *= gate_integrals(np.zeros((1, n)), mean)[0]
    log_gate = np.log(numerator.sum(1)) - np.log(denominator.sum())

    def gaussian(rows: tuple[int, ...]) -> float:
        return nig_log_evidence(X[list(rows)], y[list(rows)], a0, b0, coefficient_variance)

    of_rows = expert_log_evidence or gaussian
    log_terms = [
        gate + sum(of_rows(tuple(np.flatnonzero(z == k).tolist())) for k in set(z))
        for z, gate in zip(allocations, log_gate, strict=True)
    ]
    return float(special.logsumexp(log_terms))


def _n_leaves(tree: list[tuple[list[int], list[int]]]) -> int:
    return len(tree) + 1


# --------------------------------------------------------------------------- Student-t mixtures


def student_t_mixture_pdf(t: float, weights: Array, loc: Array, scale: Array, df: Array) -> float:
    """``sum_i w_i f(t)``."""
    return float(np.sum(weights * stats.t.pdf(t, df, loc, scale)))


def student_t_mixture_cdf(t: float, weights: Array, loc: Array, scale: Array, df: Array) -> float:
    """``sum_i w_i F(t)``."""
    return float(np.sum(weights * stats.t.cdf(t, df, loc, scale)))


def student_t_mixture_quantile(
    prob: float, weights: Array, loc: Array, scale: Array, df: Array
) -> float:
    """Root of ``F(t) = prob`` by Brent's method; the component quantiles bracket it."""
    parts = stats.t.ppf(prob, df, loc, scale)
    low, high = float(parts.min()), float(parts.max())
    width = 1e-9 * (1 + abs(low) + abs(high))
    return float(
        optimize.brentq(
            lambda t: student_t_mixture_cdf(t, weights, loc, scale, df) - prob,
            low - width,
            high + width,
            xtol=1e-13,
            rtol=1e-14,
        )
    )


def student_t_mixture_mean(weights: Array, loc: Array, scale: Array, df: Array) -> float:
    """``sum_i w_i loc_i``; NaN if a component has no mean."""
    return float(np.sum(weights * np.where(df > 1, loc, np.nan)))


def student_t_mixture_var(weights: Array, loc: Array, scale: Array, df: Array) -> float:
    """``sum_i w_i (scale_i^2 df_i/(df_i-2) + loc_i^2) - mean^2``; infinite if a ``df <= 2``."""
    if np.any(df <= 2):
        return np.inf
    mean = student_t_mixture_mean(weights, loc, scale, df)
    return float(np.sum(weights * (scale**2 * df / (df - 2) + (loc - mean) ** 2)))


def student_t_mixture_crps(y: float, weights: Array, loc: Array, scale: Array, df: Array) -> float:
    """``int (F(t) - 1{t >= y})^2 dt``, adaptive quadrature on each side of ``y``.

    Each side is cut at quantiles of the mixture, and the tails are mapped by ``t = cut +- e^s``.
    """

    def cdf(t: float) -> float:
        return student_t_mixture_cdf(t, weights, loc, scale, df)

    def sf(t: float) -> float:
        return float(np.sum(weights * stats.t.sf(t, df, loc, scale)))

    probs = [0.001, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.999]
    knots = [student_t_mixture_quantile(q, weights, loc, scale, df) for q in probs]
    knots = sorted({*knots, y, *map(float, loc)})
    total = 0.0
    for a, b in itertools.pairwise(knots):
        f = cdf if b <= y else sf
        total += integrate.quad(lambda t, f=f: f(t) ** 2, a, b, epsabs=1e-13, limit=200)[0]
    low, high = knots[0], knots[-1]
    total += integrate.quad(lambda s: np.exp(s) * cdf(low - np.exp(s)) ** 2, -40, 60, limit=400)[0]
    total += integrate.quad(lambda s: np.exp(s) * sf(high + np.exp(s)) ** 2, -40, 60, limit=400)[0]
    return float(total)


# --------------------------------------------------------------------------- Polya-Gamma


def pg_mean(h: float, z: float) -> float:
    """``E PG(h, z) = h tanh(z/2) / (2z)``, ``h/4`` at 0."""
    z = abs(z)
    return h / 4 * (1 - z**2 / 12) if z < 1e-4 else h * np.tanh(z / 2) / (2 * z)


def pg_var(h: float, z: float) -> float:
    """``h (sinh z - z) sech^2(z/2) / (4 z^3)``, ``h/24`` at 0; written without overflow.

    ``sinh(z) sech^2(z/2) = 2 tanh(z/2)``.
    """
    z = abs(z)
    if z < 1e-2:
        return h / 24 * (1 - z**2 / 5)
    sech2 = 4 * np.exp(-z) / (1 + np.exp(-z)) ** 2
    return h * (2 * np.tanh(z / 2) - z * sech2) / (4 * z**3)


def _log_cosh(w: complex | Array) -> complex | Array:
    return w + np.log1p(np.exp(-2 * w)) - np.log(2)


def pg_laplace(s: ArrayLike, h: float, z: float) -> Array:
    """``E exp(-s X) = cosh^h(z/2) / cosh^h(sqrt((z^2/2 + s)/2))``, for real or complex ``s``.

    Finite for ``Re s > -(z^2 + pi^2)/2``; below ``-z^2/2`` the hyperbolic cosine becomes a cosine.
    """
    s = np.asarray(s)
    w = np.sqrt((z * z / 2 + s.astype(complex)) / 2)
    value = np.exp(h * (_log_cosh(abs(z) / 2) - _log_cosh(w)))
    return value if np.iscomplexobj(s) else value.real


def pg_cdf_oracle(x: float, h: float, z: float) -> float:
    """Cdf of PG(h, z), ``h > 0``, by numerical inversion of its Laplace transform ``L``.

    Trapezoid rule (step ``2 pi / T``) for the Bromwich integral of ``L(s)/s`` along
    ``Re s = c``::

        F(x) = e^{cx} (2/T) [L(c)/(2c) + sum_{k>=1} Re(e^{i s_k x} L(c + i s_k) / (c + i s_k))]

    The only discretisation error is ``sum_{j>=1} e^{-jcT} F(x + jT) <= e^{-cT}``, here below
    1e-15; with ``T`` long against ``x`` the factor ``e^{cx}`` stays near 1, so that the absolute
    error is of the order of 1e-13.  The sum stops where ``|L|`` is below 1e-18.
    """
    if x <= 0:
        return 0.0
    period = 20 * max(x, pg_mean(h, z))
    c = 36 / period
    step = 2 * np.pi / period

    def log_modulus(t: float) -> float:
        w = np.sqrt((z * z / 2 + c + 1j * t) / 2)
        return float(np.real(h * (_log_cosh(abs(z) / 2) - _log_cosh(w))))

    top = step
    while log_modulus(top) > np.log(1e-18):
        top *= 1.5
    total = float(pg_laplace(c, h, z)) / (2 * c)
    last = int(np.ceil(top / step))
    for start in range(1, last + 1, 1 << 20):
        t = step * np.arange(start, min(last + 1, start + (1 << 20)))
        s = c + 1j * t
        total += float(np.sum(np.real(np.exp(1j * t * x) * pg_laplace(s, h, z) / s)))
    return float(np.clip(np.exp(c * x) * 2 / period * total, 0.0, 1.0))
