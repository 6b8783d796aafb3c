"""Particle learning of a Gaussian mixture of experts, in plain NumPy.

This module is written from the formulas alone and shares no code with the package.  It serves
twice: as an independent check of the results, and as the speed baseline, the program that a good
NumPy user would write (vectorised over particles, Polya-Gamma draws from ``polyagamma``).

The model: experts ``y | z=k ~ N(x'beta_k, s2_k)`` with a normal-inverse-gamma prior; a binary
tree whose node ``l`` sends a row left with probability ``sigmoid(u'phi_l)``.

References
----------
Carvalho, Johannes, Lopes & Polson (2010), Particle learning and smoothing.
Polson, Scott & Windle (2013), Bayesian inference for logistic models using Polya-Gamma variables.
Makalic & Schmidt (2016), A simple sampler for the horseshoe estimator.
Piironen & Vehtari (2017), Sparsity information and regularization in the horseshoe (the slab).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import dger
from scipy.special import gammaln, log_ndtr

try:
    from polyagamma import random_polyagamma
except ImportError:  # the sampler below is used instead
    random_polyagamma = None

Array = NDArray[np.float64]
PG_SPLIT = 0.64  # where the two expansions of the Jacobi density meet
POLYAGAMMA_MAX_Z = 170.0  # the polyagamma package returns wrong values from about 178 on

__all__ = [
    "NumpyParticleLearner",
    "build_tree",
    "draw_horseshoe_prior",
    "random_pg1",
    "systematic_resampling",
]


# --------------------------------------------------------------------------- Polya-Gamma


def _truncated_inverse_gaussian(z: Array, rng: np.random.Generator) -> Array:
    """Draw ``IG(mu=1/z, shape 1)`` conditioned on being below ``PG_SPLIT``."""
    t = PG_SPLIT
    out = np.empty_like(z)
    # mu > t: 1/chi2 restricted to (0, t), thinned by exp(-z^2 X / 2).
    todo = np.flatnonzero(z * t < 1.0)
    while todo.size:
        e1, e2 = rng.standard_exponential((2, todo.size))
        x = t / (1.0 + t * e1) ** 2
        ok = (e1 * e1 <= 2.0 * e2 / t) & (rng.random(todo.size) <= np.exp(-0.5 * z[todo] ** 2 * x))
        out[todo[ok]] = x[ok]
        todo = todo[~ok]
    # mu <= t: unrestricted draws (Michael, Schucany & Haas 1976) until one is below t.
    todo = np.flatnonzero(z * t >= 1.0)
    while todo.size:
        mu = 1.0 / z[todo]
        w = mu * rng.standard_normal(todo.size) ** 2
        # the smaller root mu (1 + w/2 - sqrt(w + w^2/4)), without cancellation
        x = mu / (1.0 + 0.5 * w + np.sqrt(w + 0.25 * w * w))
        x = np.where(rng.random(todo.size) * (mu + x) > mu, mu * mu / x, x)
        ok = x <= t
        out[todo[ok]] = x[ok]
        todo = todo[~ok]
    return out


def _jacobi_term(n: int, x: Array) -> Array:
    """Term ``a_n(x)`` of the alternating series of the Jacobi density (Devroye 2009)."""
    c = n + 0.5
    small = np.minimum(x, PG_SPLIT)
    left = np.pi * c * (2.0 / (np.pi * small)) ** 1.5 * np.exp(-2.0 * c * c / small)
    right = np.pi * c * np.exp(-0.5 * (c * np.pi) ** 2 * x)
    return np.where(x <= PG_SPLIT, left, right)


def random_pg1(z: Array, rng: np.random.Generator) -> Array:
    """Exact draws from PG(1, z), vectorised (Polson, Scott & Windle 2013, section 4).

    ``PG(1, z) = J*(1, z/2) / 4``; ``J*`` is drawn by rejection from an inverse Gaussian below
    0.64 and an exponential above it, with the squeeze of the alternating series.

    Parameters
    ----------
    z : array_like
        Tilts, of any shape and sign.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    ndarray
        One draw for each element of `z`.
    """
    z = np.asarray(z, dtype=np.float64)
    shape = z.shape
    half = 0.5 * np.abs(z).ravel()
    t = PG_SPLIT
    rate = np.pi**2 / 8.0 + 0.5 * half * half
    log_p = np.log(np.pi / (2.0 * rate)) - rate * t
    log_q = np.log(2.0) + np.logaddexp(
        -half + log_ndtr((t * half - 1.0) / np.sqrt(t)),
        half + log_ndtr(-(t * half + 1.0) / np.sqrt(t)),
    )
    prob_right = np.exp(log_p - np.logaddexp(log_p, log_q))
    out = np.empty_like(half)
    todo = np.arange(half.size)
    while todo.size:
        right = rng.random(todo.size) < prob_right[todo]
        x = np.empty(todo.size)
        x[right] = t + rng.standard_exponential(int(right.sum())) / rate[todo[right]]
        x[~right] = _truncated_inverse_gaussian(half[todo[~right]], rng)
        s = _jacobi_term(0, x)
        v = rng.random(todo.size) * s
        accepted = np.zeros(todo.size, dtype=bool)
        open_ = np.arange(todo.size)
        n = 0
        while open_.size:  # decided as soon as a partial sum lies on one side of v
            n += 1
            if n % 2:
                s[open_] -= _jacobi_term(n, x[open_])
                done = v[open_] <= s[open_]
                accepted[open_[done]] = True
            else:
                s[open_] += _jacobi_term(n, x[open_])
                done = v[open_] > s[open_]
            open_ = open_[~done]
        out[todo[accepted]] = 0.25 * x[accepted]
        todo = todo[~accepted]
    return out.reshape(shape)


def _draw_pg(z: Array, rng: np.random.Generator) -> Array:
    """PG(1, z): the ``polyagamma`` package where it is right, :func:`random_pg1` elsewhere."""
    if random_polyagamma is None or z.size == 0:
        return random_pg1(z, rng)
    far = np.abs(z) >= POLYAGAMMA_MAX_Z
    if not far.any():
        return random_polyagamma(1.0, z, random_state=rng, disable_checks=True)
    out = random_polyagamma(1.0, np.where(far, 0.0, z), random_state=rng, disable_checks=True)
    out[far] = random_pg1(z[far], rng)
    return out


# --------------------------------------------------------------------------- tree and prior


def build_tree(n_experts: int, tree: Literal["comb", "balanced"]) -> tuple[Array, Array]:
    """Which leaves lie left and right of each node, as 0/1 matrices ``(K-1, K)``.

    Nodes are numbered from the root in depth-first order, left before right.  A balanced node over
    ``m`` leaves sends the first ``ceil(m/2)`` of them left.
    """
    rows: list[tuple[range, range]] = []

    def split(first: int, last: int) -> None:
        if last - first < 2:
            return
        middle = first + (1 if tree == "comb" else (last - first + 1) // 2)
        rows.append((range(first, middle), range(middle, last)))
        split(first, middle)
        split(middle, last)

    if tree not in ("comb", "balanced"):
        raise ValueError(f"tree must be 'comb' or 'balanced', got {tree!r}")
    split(0, n_experts)
    left = np.zeros((n_experts - 1, n_experts))
    right = np.zeros_like(left)
    for node, (to_left, to_right) in enumerate(rows):
        left[node, list(to_left)] = 1.0
        right[node, list(to_right)] = 1.0
    return left, right


def _log_slab_normaliser(c: Array) -> Array:
    """``log E[1/sqrt(1 + c^2 lambda^2)]`` for ``lambda ~ C+(0, 1)``.

    ``(2/pi) arccos(c)/sqrt(1-c^2)`` below ``c = 1``, ``(2/pi) arccosh(c)/sqrt(c^2-1)`` above.
    """
    c = np.asarray(c, dtype=np.float64)
    low, high = np.minimum(c, 1.0 - 1e-9), np.maximum(c, 1.0 + 1e-9)
    below = np.arccos(low) / np.sqrt((1.0 - low) * (1.0 + low))
    above = np.arccosh(high) / (np.sqrt(high - 1.0) * np.sqrt(high + 1.0))
    return np.log(2.0 / np.pi) + np.log(np.where(c < 1.0, below, above))


def draw_horseshoe_prior(
    n: int, m: int, tau0: float, slab: float, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Exact draws of ``(tau, lambda)`` from the horseshoe with a slab.

    The joint density is proportional to ``N(phi; 0, tau^2 lambda^2) N(phi; 0, slab^2) p(lambda)
    p(tau)``, so the scales alone are tilted by ``prod_j 1/sqrt(1 + (tau lambda_j / slab)^2)``.
    Hence ``tau`` has density ``p(tau) C(tau)^m`` up to a constant (drawn by inversion on a fine
    grid in ``log tau``), and given ``tau`` the ``lambda_j`` are independent.  With ``c =
    tau/slab`` and ``lambda = tan(theta)`` the density of ``sin(theta)`` is proportional to
    ``1/sqrt(1 - (1 - c^2) sin^2)``, whose distribution function is an arcsine, so that
    ``lambda = sin(va) / sqrt(sin(a (1+v)) sin(a (1-v)))`` with ``v`` uniform and ``a =
    arccos(c)``; for ``c > 1`` with hyperbolic sines and ``a = arccosh(c)``.

    Parameters
    ----------
    n, m : int
        Number of draws and of coefficients that share a ``tau``.
    tau0, slab : float
        Scale of the half-Cauchy of ``tau``; sd of the slab (``inf`` for none).
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    tau, lam : ndarray
        Of shapes ``(n,)`` and ``(n, m)``.
    """
    if m == 0 or np.isinf(slab):
        return (
            tau0 * np.abs(np.tan(np.pi * (rng.random(n) - 0.5))),
            np.abs(np.tan(np.pi * (rng.random((n, m)) - 0.5))),
        )
    log_tau = np.log(tau0) + np.linspace(-25.0, 25.0, 50_001)
    tau_grid = np.exp(log_tau)
    log_pdf = log_tau - np.log1p((tau_grid / tau0) ** 2) + m * _log_slab_normaliser(tau_grid / slab)
    pdf = np.exp(log_pdf - log_pdf.max())
    cdf = np.concatenate([[0.0], np.cumsum(0.5 * (pdf[1:] + pdf[:-1]))])
    tau = np.exp(np.interp(rng.random(n) * cdf[-1], cdf, log_tau))
    c = (tau / slab)[:, None]
    v = rng.random((n, m))
    a = np.maximum(np.arccos(np.minimum(c, 1.0)), 1e-8)
    b = np.maximum(np.arccosh(np.maximum(c, 1.0)), 1e-8)
    lam = np.where(
        c < 1.0,
        np.sin(v * a) / np.sqrt(np.sin(a * (1.0 + v)) * np.sin(a * (1.0 - v))),
        np.sinh(v * b) / np.sqrt(np.sinh(b * (1.0 + v)) * np.sinh(b * (1.0 - v))),
    )
    return tau, lam


def systematic_resampling(weights: Array, rng: np.random.Generator) -> NDArray[np.int64]:
    """Ancestors by systematic resampling: one uniform, equally spaced points."""
    n = weights.size
    cumulative = np.cumsum(weights)
    points = (np.arange(n) + rng.random()) * (cumulative[-1] / n)
    return np.minimum(np.searchsorted(cumulative, points, side="right"), n - 1)


def _logsumexp(a: Array, axis: int) -> Array:
    top = a.max(axis=axis, keepdims=True)
    return np.log(np.exp(a - top).sum(axis=axis)) + np.squeeze(top, axis)


def _dot(a: Array, x: Array) -> Array:
    """Compute ``a @ x`` as one matrix-vector product (faster than a stack of small ones)."""
    return (a.reshape(-1, x.size) @ x).reshape(a.shape[:-1])


# --------------------------------------------------------------------------- the learner


class NumpyParticleLearner:
    """Particle learning with Gaussian experts and a binary-tree gate.

    Parameters
    ----------
    n_experts, n_particles : int
        ``K`` and ``N``.
    expert_dim, gate_dim : int
        Lengths ``d`` of ``x`` and ``p`` of ``u``, both with a leading 1.
    tree : {"comb", "balanced"}
        Topology of the gate.
    gate_prior : {"horseshoe", "normal", "horseshoe-paper"}
        Prior of the gate coefficients.  The intercept is ``N(mu_l, intercept_sd^2)``, except in
        ``"horseshoe-paper"``, where every coefficient has a horseshoe prior with ``tau ~
        C+(0, 1)`` and no slab, as printed in arXiv 2601.09043 (comb only).
    tau0, slab : float
        Global scale and slab of the horseshoe.
    normal_sd, intercept_sd : float
        Standard deviations of the ``"normal"`` prior and of the intercepts.
    a0, b0, coefficient_variance : float
        ``s2 ~ IG(a0, b0)``, ``beta | s2 ~ N(0, s2 coefficient_variance I)``.
    ess_threshold : float
        Resample when the effective sample size falls below this fraction of ``N``.
    phi_kernel : {"sweep", "block"}
        One coordinate sweep, or a draw by Cholesky factorisation.
    rng : numpy.random.Generator or int, optional
        Source of randomness.

    Attributes
    ----------
    log_weights : ndarray (N,)
        Normalised.
    m, V, b, count : ndarray (N, K, ...)
        Expert posterior mean, ``P^-1``, ``b`` and number of rows; ``a = a0 + count / 2``.
    A, h, phi : ndarray (N, K-1, ...)
        Polya-Gamma statistics (free of the prior) and coefficients of each node.
    lam2, nu : ndarray (N, K-1, number of penalised columns)
    tau2, xi : ndarray (N,)
        Scales.
    """

    def __init__(
        self,
        n_experts: int,
        n_particles: int,
        expert_dim: int,
        gate_dim: int,
        tree: Literal["comb", "balanced"] = "comb",
        gate_prior: Literal["horseshoe", "normal", "horseshoe-paper"] = "horseshoe",
        tau0: float = 1.0,
        slab: float = 10.0,
        normal_sd: float = 1.0,
        intercept_sd: float = 1.5,
        a0: float = 2.0,
        b0: float = 0.1,
        coefficient_variance: float = 10.0,
        ess_threshold: float = 0.5,
        phi_kernel: Literal["sweep", "block"] = "sweep",
        rng: np.random.Generator | int | None = None,
    ) -> None:
        if gate_prior not in ("horseshoe", "normal", "horseshoe-paper"):
            raise ValueError(f"unknown gate_prior {gate_prior!r}")
        if phi_kernel not in ("sweep", "block"):
            raise ValueError(f"unknown phi_kernel {phi_kernel!r}")
        paper = gate_prior == "horseshoe-paper"
        if paper and tree != "comb":
            raise ValueError("gate_prior='horseshoe-paper' is defined for the comb only")
        self.rng = np.random.default_rng(rng)
        self.gate_prior, self.phi_kernel = gate_prior, phi_kernel
        self.tau0, self.slab = (1.0, np.inf) if paper else (tau0, slab)
        self.normal_sd, self.intercept_sd = normal_sd, intercept_sd
        self.a0, self.ess_threshold = a0, ess_threshold
        self.log_evidence, self.n_rows, self.n_resamplings = 0.0, 0, 0

        n, k, d, p, nodes = n_particles, n_experts, expert_dim, gate_dim, n_experts - 1
        self.log_weights = np.full(n, -np.log(n))
        self.m = np.zeros((n, k, d))
        self.V = np.tile(coefficient_variance * np.eye(d), (n, k, 1, 1))
        self.b = np.full((n, k), float(b0))
        self.count = np.zeros((n, k), dtype=np.int64)
        self._log_norm = np.empty(0)  # table over counts

        self.left, self.right = build_tree(k, tree)
        self.first_penalised = 0 if paper else 1
        self.gate_mean = np.zeros((nodes, p))
        if not paper:
            self.gate_mean[:, 0] = np.log(self.left.sum(1) / self.right.sum(1))
        self.A = np.zeros((n, nodes, p, p))
        self.h = np.zeros((n, nodes, p))
        self.draw_gate_prior()

    # ------------------------------------------------------------------ prior and accessors

    @property
    def a(self) -> Array:
        """Shape of the inverse gamma of each expert."""
        return self.a0 + 0.5 * self.count

    @property
    def ess(self) -> float:
        """Effective sample size of the current weights, ``1 / sum W^2``."""
        return float(1.0 / np.exp(2.0 * self.log_weights).sum())

    def draw_gate_prior(self) -> None:
        """Draw ``phi`` and all scales of every particle from the prior."""
        n, nodes, p = self.h.shape
        free = p - self.first_penalised
        rng = self.rng
        if self.gate_prior == "normal":
            self.tau2, self.xi = np.ones(n), np.ones(n)
            self.lam2, self.nu = np.ones((2, n, nodes, free))
        else:
            tau, lam = draw_horseshoe_prior(n, nodes * free, self.tau0, self.slab, rng)
            self.tau2, self.lam2 = tau**2, (lam**2).reshape(n, nodes, free)
            self.nu = (1.0 + 1.0 / self.lam2) / rng.standard_exponential(self.lam2.shape)
            self.xi = (self.tau0**-2 + 1.0 / self.tau2) / rng.standard_exponential(n)
        self.phi = np.empty((n, nodes, p))
        for node in range(nodes):
            sd = 1.0 / np.sqrt(self.prior_precision(slice(None), node))
            self.phi[:, node] = self.gate_mean[node] + sd * rng.standard_normal((n, p))

    def prior_precision(self, rows: slice | NDArray[np.int64], node: int) -> Array:
        """``D_l = diag(1/(tau^2 lambda^2) + 1/slab^2)``; the intercept has ``1/s0^2``."""
        scale2 = self.lam2[rows, node]
        out = np.empty((scale2.shape[0], self.h.shape[2]))
        out[:, : self.first_penalised] = self.intercept_sd**-2
        if self.gate_prior == "normal":
            out[:, 1:] = self.normal_sd**-2
        else:
            slab = 0.0 if np.isinf(self.slab) else self.slab**-2
            out[:, self.first_penalised :] = 1.0 / (self.tau2[rows, None] * scale2) + slab
        return out

    def _log_gate(self, psi: Array) -> Array:
        """``log g_k`` from the node logits: sums of ``log sigmoid(+-psi)`` along the path."""
        soft = np.log1p(np.exp(-np.abs(psi)))
        return (np.minimum(psi, 0.0) - soft) @ self.left - (
            np.maximum(psi, 0.0) + soft
        ) @ self.right

    def predictive(self, x: Array, u: Array) -> tuple[Array, Array, Array, Array]:
        """Student-t mixture that predicts ``y`` at ``(x, u)``.

        Returns
        -------
        weights, loc, scale, df : ndarray (N * K,)
            Component ``i * K + k`` belongs to particle ``i`` and expert ``k``.
        """
        x, u = np.asarray(x, float), np.asarray(u, float)
        weights = np.exp(self.log_weights[:, None] + self._log_gate(self.phi @ u))
        q = 1.0 + (self.V @ x) @ x
        scale = np.sqrt(self.b / self.a * q)
        return weights.ravel(), (self.m @ x).ravel(), scale.ravel(), (2.0 * self.a).ravel()

    # ------------------------------------------------------------------ one row

    def step(self, x: Array, u: Array, y: float) -> float:
        """Learn one row; return the log of its one-step predictive density."""
        x, u = np.asarray(x, float), np.asarray(u, float)
        n = self.log_weights.size
        psi = _dot(self.phi, u)
        # log f: Student-t, df 2a, location x'm, scale^2 (b/a) q
        error = y - _dot(self.m, x)
        vx = _dot(self.V, x)
        q = 1.0 + _dot(vx, x)
        if self.n_rows >= self._log_norm.size:
            a = self.a0 + 0.5 * np.arange(2 * self.n_rows + 64)
            self._log_norm = gammaln(a + 0.5) - gammaln(a) - 0.5 * np.log(2.0 * np.pi)
        log_f = self._log_norm[self.count] - 0.5 * np.log(self.b * q)
        log_f -= (self.a + 0.5) * np.log1p(error**2 / (2.0 * self.b * q))
        log_joint = self._log_gate(psi) + log_f
        increment = _logsumexp(log_joint, axis=1)

        log_weights = self.log_weights + increment
        total = float(_logsumexp(log_weights, axis=0))
        self.log_weights = log_weights - total
        self.log_evidence += total
        self.n_rows += 1
        source = np.arange(n)
        if self.ess < self.ess_threshold * n:
            source = systematic_resampling(np.exp(self.log_weights), self.rng)
            self._select(source)

        # z ~ Cat(g_k f_k), with the phi that entered the weight
        prob = np.exp(log_joint[source] - increment[source, None])
        cumulative = np.cumsum(prob, axis=1)
        z = (self.rng.random(n)[:, None] * cumulative[:, -1:] >= cumulative[:, :-1]).sum(axis=1)

        # rank-one update of expert z: m += V x e/q, V -= V x x'V / q, a += 1/2, b += e^2/(2q)
        i = np.arange(n)
        gain, qz, ez = vx[source, z], q[source, z], error[source, z]
        self.m[i, z] += gain * (ez / qz)[:, None]
        chosen = i * self.b.shape[1] + z
        flat = self.V.reshape(-1, *self.V.shape[2:])
        block = flat[chosen]
        block -= gain[:, :, None] * (gain / qz[:, None])[:, None, :]
        flat[chosen] = block
        self.b[i, z] += 0.5 * ez**2 / qz
        self.count[i, z] += 1

        if self.left.shape[0]:
            went_left, passed = self.left.T[z] > 0.0, (self.left + self.right).T[z] > 0.0
            self.augment(u, psi[source], went_left, passed)
            self.refresh(passed)
        return total

    def _select(self, ancestors: NDArray[np.int64]) -> None:
        for name in ("m", "V", "b", "count", "A", "h", "phi", "lam2", "nu", "tau2", "xi"):
            setattr(self, name, getattr(self, name)[ancestors])
        self.log_weights = np.full(ancestors.size, -np.log(ancestors.size))
        self.n_resamplings += 1

    def augment(
        self, u: Array, psi: Array, went_left: NDArray[np.bool_], passed: NDArray[np.bool_]
    ) -> None:
        """Draw ``omega ~ PG(1, psi)`` for passed nodes; ``A += omega u u'``, ``h += kappa u``."""
        omega = np.zeros_like(psi)
        omega[passed] = _draw_pg(psi[passed], self.rng)
        n, nodes, p = self.h.shape
        flat = self.A.reshape(n * nodes, p * p)  # one pass over memory: BLAS rank one, in place
        flat = dger(1.0, np.outer(u, u).ravel(), omega.ravel(), a=flat.T, overwrite_a=1)
        self.A = flat.T.reshape(n, nodes, p, p)
        self.h += self._kappa(went_left, passed)[:, :, None] * u

    @staticmethod
    def _kappa(went_left: NDArray[np.bool_], passed: NDArray[np.bool_]) -> Array:
        """``+1/2`` if the row went left, ``-1/2`` if it went right, 0 if it did not pass."""
        return np.where(passed, np.where(went_left, 0.5, -0.5), 0.0)

    def refresh(self, passed: NDArray[np.bool_]) -> None:
        """Refresh ``phi`` then ``lambda, nu`` of the passed nodes, then ``tau`` and ``xi``."""
        for node in range(passed.shape[1]):
            rows = np.flatnonzero(passed[:, node])
            if rows.size:
                self.draw_phi(slice(None) if rows.size == passed.shape[0] else rows, node)
        if self.gate_prior != "normal":
            self.draw_tau()

    def draw_phi(self, rows: slice | NDArray[np.int64], node: int) -> None:
        """``phi | A, h, scales ~ N(Q^-1 h', Q^-1)``, ``Q = A + D``; then ``lambda^2, nu``."""
        precision = self.prior_precision(rows, node)
        target = self.h[rows, node] + precision * self.gate_mean[node]
        draw = _block_draw if self.phi_kernel == "block" else _sweep_draw
        phi = draw(self.A[rows, node], target, precision, self.phi[rows, node], self.rng)
        self.phi[rows, node] = phi
        if self.gate_prior != "normal":
            beta2 = phi[:, self.first_penalised :] ** 2
            self.lam2[rows, node], self.nu[rows, node] = self._draw_local(
                beta2, self.nu[rows, node], self.tau2[rows]
            )

    def _draw_local(self, beta2: Array, nu: Array, tau2: Array) -> tuple[Array, Array]:
        """``lambda^2 ~ IG(1, 1/nu + phi^2/(2 tau^2))``, then ``nu ~ IG(1, 1 + 1/lambda^2)``."""
        e = self.rng.standard_exponential((2, *beta2.shape))
        lam2 = (1.0 / nu + beta2 / (2.0 * tau2[:, None])) / e[0]
        return lam2, (1.0 + 1.0 / lam2) / e[1]

    def draw_tau(self) -> None:
        """``tau^2 ~ IG((M+1)/2, 1/xi + sum phi^2/(2 lambda^2))``, ``xi ~ IG(1, ...)``."""
        ratio = self.phi[:, :, self.first_penalised :] ** 2 / self.lam2
        size = ratio.shape[1] * ratio.shape[2]
        rate = 1.0 / self.xi + 0.5 * ratio.sum(axis=(1, 2))
        self.tau2 = rate / self.rng.standard_gamma(0.5 * (size + 1), rate.size)
        self.xi = (self.tau0**-2 + 1.0 / self.tau2) / self.rng.standard_exponential(rate.size)


def _sweep_draw(
    a: Array, target: Array, precision: Array, phi: Array, rng: np.random.Generator
) -> Array:
    """One coordinate sweep: ``phi_j ~ N((h'_j - sum_{i!=j} A_ji phi_i)/(A_jj+D_j), ...)``."""
    phi = phi.copy()
    noise = rng.standard_normal(phi.shape)
    diagonal = np.einsum("njj->nj", a)
    variance = 1.0 / (diagonal + precision)
    noise *= np.sqrt(variance)
    for j in range(phi.shape[1]):
        others = np.einsum("ni,ni->n", a[:, j], phi) - diagonal[:, j] * phi[:, j]
        phi[:, j] = (target[:, j] - others) * variance[:, j] + noise[:, j]
    return phi


def _block_draw(
    a: Array, target: Array, precision: Array, phi: Array, rng: np.random.Generator
) -> Array:
    """Draw all coordinates at once: ``Q = L L'``, ``phi = L^-T (L^-1 h' + eps)``."""
    p = phi.shape[1]
    factor = a.copy()
    factor[:, np.arange(p), np.arange(p)] += precision
    factor = np.linalg.cholesky(factor)
    out = np.empty_like(phi)
    for j in range(p):  # forward substitution
        s = np.einsum("ni,ni->n", factor[:, j, :j], out[:, :j])
        out[:, j] = (target[:, j] - s) / factor[:, j, j]
    out += rng.standard_normal(out.shape)
    for j in reversed(range(p)):  # backward substitution
        s = np.einsum("ni,ni->n", factor[:, j + 1 :, j], out[:, j + 1 :])
        out[:, j] = (out[:, j] - s) / factor[:, j, j]
    return out
