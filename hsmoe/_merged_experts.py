"""The experts of a model that differ: draws from its posterior merged, and their dendrogram.

Tree gates have no atoms of their own that could be averaged, but the gate of two experts together
is the sum of their gates, whatever the gate.  So an expert is its routing ``g_k`` at rows and its
regression, and merging is a projection: of all linear experts with Gaussian noise the one nearest,
in Kullback-Leibler divergence over the rows, to ``sum_k g_k N(x'beta_k, s2_k)`` has

    S = E[g x x'],   w = E[g],   beta = S^-1 sum_k S_k beta_k,
    s2 = sum_k {w_k s2_k + (beta_k - beta)' S_k (beta_k - beta)} / w,

``g = sum_k g_k``; the order of merges does not matter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._checks import check_integer, check_number
from ._core_protocol import FloatArray
from ._draws import StandardRows, choose_draws, retained_rows
from ._experts import GaussianExpert
from ._scaling import Scaling
from ._seeding import draw_seed
from ._state import resolve_n_jobs
from .merging import Dendrogram, agglomerate, merge_truncate_merge, selection_criterion
from .regressor import HSMoERegressor

__all__ = ["MergedExperts", "ReducedMixture", "merge_experts"]

# Routing is averaged over at most this many rows, evenly spaced.
_MOST_ROWS = 500


@dataclass(frozen=True, eq=False)
class RoutedAtom:
    """An expert with its routing at rows, in standardised units."""

    routing: FloatArray  # (n,)
    beta: FloatArray  # (1 + m,)
    variance: float
    design: FloatArray  # (n, 1 + m)
    negligible: bool = False  # truncated: a share too small to tell its parameters from the prior's

    @property
    def weight(self) -> float:
        return float(self.routing.mean())

    def moment(self) -> FloatArray:
        """Return ``S = E[g x x']``."""
        moment: FloatArray = (self.design * self.routing[:, None]).T @ self.design
        return moment / len(self.design)

    def dissimilarity(self, other: RoutedAtom) -> float:
        """Return ``(1/w_i + 1/w_j)^-1 {E[(x'(beta_i - beta_j))^2] + |s2_i - s2_j|}``.

        Of arXiv 2403.01684 for location and scale, the location being a function of x.
        """
        total = self.weight + other.weight
        share = self.weight * other.weight / total if total > 0 else 0.0
        gap = self.design @ (self.beta - other.beta)
        return float(share * ((gap**2).mean() + abs(self.variance - other.variance)))

    def merged(self, other: RoutedAtom) -> RoutedAtom:
        """Return the expert nearest to both, where each is in charge.

        One that is negligible gives its routing alone, as in merge-truncate-merge: what it knows
        of beta and s2 is the prior, whose spread would pass for noise.
        """
        mine, theirs = self.moment(), other.moment()
        weight = self.weight + other.weight
        if weight == 0.0:
            return self
        routing = self.routing + other.routing
        if self.negligible != other.negligible:
            main = other if self.negligible else self
            return RoutedAtom(routing, main.beta, main.variance, self.design)
        # As a deviation from one of them; S may be singular where hardly a row is routed.
        beta = self.beta + np.linalg.pinv(mine + theirs, hermitian=True) @ (
            theirs @ (other.beta - self.beta)
        )
        variance = 0.0
        for atom, moment in ((self, mine), (other, theirs)):
            gap = atom.beta - beta
            variance += (atom.weight * atom.variance + float(gap @ moment @ gap)) / weight
        return RoutedAtom(routing, beta, variance, self.design, self.negligible)


@dataclass(frozen=True, eq=False)
class ReducedMixture:
    """A mixture of fewer experts, in the units of the data.

    Attributes
    ----------
    groups : list of tuple of int
        Which experts of the model each stands for, numbered as in ``to_arviz``.
    weight : ndarray, shape (k,)
        Mean routing probability.
    coefficients : ndarray, shape (k, 1 + m)
        In units of y per unit of x, intercepts first.
    noise_sd : ndarray, shape (k,)
        In units of y.
    routing : ndarray, shape (n, k)
        Routing probabilities at ``MergedExperts.rows``.
    """

    groups: list[tuple[int, ...]]
    weight: FloatArray
    coefficients: FloatArray
    noise_sd: FloatArray
    routing: FloatArray

    @property
    def n_experts(self) -> int:
        """Number of experts."""
        return len(self.weight)


@dataclass(frozen=True, eq=False)
class MergedExperts:
    """How many experts of a model differ, and which.

    Attributes
    ----------
    posterior : ndarray, shape (K,)
        Posterior probability that 1 ... K experts are left by merge-truncate-merge.
    n_experts : int
        The most probable number.
    dendrogram : Dendrogram
        Of the posterior mean of the experts, matched across draws, in standardised units.
    criterion : ndarray, shape (K - 1,)
        Dendrogram selection criterion of 2 ... K experts; the least is best.
    log_likelihood : ndarray, shape (K,)
        Mean log density of the rows under the mixture reduced to 1 ... K experts, in nats per unit
        of y.
    rows : ndarray, shape (n, 1 + m)
        Standardised designs of the rows that routing was averaged over.
    omega : float
        Rate of contraction used.

    Examples
    --------
    Four experts for a line with one bend, of which two are left:

    >>> import numpy as np, hsmoe
    >>> X = np.linspace(-1, 1, 400)[:, None]
    >>> y = np.abs(X[:, 0]) + 0.05 * np.random.default_rng(0).normal(size=400)
    >>> merged = hsmoe.merge_experts(hsmoe.HSMoERegressor(4, 32, 2, random_state=1).fit(X, y))
    >>> merged.n_experts, merged.n_experts_by_criterion
    (2, 2)
    >>> len(merged.reduced(3).groups), merged.reduced().coefficients.shape
    (3, (2, 2))
    """

    posterior: FloatArray
    n_experts: int
    dendrogram: Dendrogram[RoutedAtom]
    criterion: FloatArray
    log_likelihood: FloatArray
    rows: FloatArray
    omega: float
    _scaling: Scaling
    _columns: Any

    @property
    def n_experts_by_criterion(self) -> int:
        """The number of experts, from 2 on, with the least ``criterion``; 1 of one expert."""
        return 2 + int(np.argmin(self.criterion)) if len(self.criterion) else 1

    def reduced(self, n_experts: int | None = None) -> ReducedMixture:
        """Return the mixture reduced to ``n_experts`` (by default the most probable number)."""
        k = self.n_experts if n_experts is None else check_integer("n_experts", n_experts, 1)
        atoms = self.dendrogram.atoms(k)
        beta = np.stack([atom.beta for atom in atoms])
        variance = np.array([atom.variance for atom in atoms])
        return ReducedMixture(
            groups=self.dendrogram.groups(k),
            weight=np.array([atom.weight for atom in atoms]),
            coefficients=self._scaling.coefficients(beta, self._columns),
            noise_sd=self._scaling.spread(np.sqrt(variance)),
            routing=np.stack([atom.routing for atom in atoms], axis=1),
        )

    def __repr__(self) -> str:
        lines = ["experts  posterior   merge height   log likelihood   criterion"]
        for k in range(1, len(self.posterior) + 1):
            line = f"{k:7d}  {self.posterior[k - 1]:9.3f}"
            more = f"{'-':>13}  {self.log_likelihood[k - 1]:15.4f}  {'-':>10}"
            if k > 1:
                height, criterion = self.dendrogram.heights[k - 2], self.criterion[k - 2]
                more = f"{height:13.4g}  {self.log_likelihood[k - 1]:15.4f}  {criterion:10.4f}"
            lines.append(f"{line}  {more}")
        return "\n".join(lines)


def merge_experts(
    model: HSMoERegressor,
    X: Any = None,
    y: Any = None,
    *,
    n_draws: int = 200,
    c: float = 0.7,
    omega: float | None = None,
    random_state: Any = 0,
) -> MergedExperts:
    """Merge the experts of a model that do not differ, and drop those with nothing to do.

    Parameters
    ----------
    model : HSMoERegressor
        A model that has learned rows, with more experts than needed.
    X : array_like or data frame, shape (n, d), optional
        Rows to average the routing over, in raw units; the retained rows by default.
    y : array_like, shape (n,), optional
        Their target; X and y come together.
    n_draws : int
        Draws from the posterior.
    c : float
        Constant of merge-truncate-merge: experts of a share below ``(c omega)^2`` are dropped.
    omega : float, optional
        Rate of contraction of the experts' parameters, in standardised units: experts nearer than
        this are one.  ``(log n / n)^(1/4)`` after n rows by default.
    random_state : None, int, SeedSequence or Generator
        Seed of the draws.  By default the same model gives the same answer.

    Returns
    -------
    MergedExperts
        The posterior of the number of experts, the dendrogram, and the reduced mixtures.

    Raises
    ------
    NotFittedError
        If no row was learned.
    ValueError
        If X or y cannot be used, or ``retain=0`` kept no rows and none are given.

    Notes
    -----
    Merge-truncate-merge looks at each draw by itself, so that no matching of labels enters the
    posterior of the number.  The distance of two experts is
    ``{E[(x'(beta_i - beta_j))^2] + (s2_i - s2_j)^2}^(1/2)`` in standardised units, the mean over
    the rows.  Experts with one regression in two places of the gate are one expert.

    The default rate is that of mixtures identified to second order.  Gaussian experts whose noise
    is learned, fitted m to one, contract as slowly as ``n^(-1 / (2 r(m)))`` (see
    :func:`voronoi_loss`); a larger ``omega`` merges more.

    References
    ----------
    Guha, Ho & Nguyen (2021), On posterior contraction of parameters and interpretability in
    Bayesian mixture modeling.
    arXiv 2403.01684 and 2510.12744, dendrograms of mixing measures.

    Examples
    --------
    >>> import numpy as np, hsmoe
    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(-2, 2, size=(500, 1))
    >>> y = np.where(X[:, 0] > 0, 3 * X[:, 0], -X[:, 0]) + 0.1 * rng.normal(size=500)
    >>> model = hsmoe.HSMoERegressor(4, n_particles=64, n_islands=2, random_state=1).fit(X, y)
    >>> merged = hsmoe.merge_experts(model)
    >>> merged.n_experts
    2
    >>> sorted(merged.reduced().coefficients[:, 1].round().tolist())
    [-1.0, 3.0]
    """
    if not isinstance(model, HSMoERegressor):
        raise ValueError(
            f"model is a {type(model).__name__}; merge_experts takes an HSMoERegressor that has "
            "learned rows"
        )
    count = check_integer("n_draws", n_draws, 1)
    check_number("c", c)
    if (X is None) != (y is None):
        given, absent = ("X", "y") if y is None else ("y", "X")
        raise ValueError(f"{given} was given without {absent}; pass both, or neither")
    state, engine, scaling = model._view()
    if not isinstance(state.settings.expert, GaussianExpert):
        raise ValueError(
            f"model has experts of the kind {state.settings.expert!r}; merge_experts takes moments "
            "of Gaussian experts: use a model with expert='gaussian'"
        )
    if X is None:
        rows, more = retained_rows(engine), None
    else:
        given_rows = model._given_rows(X, y)
        assert given_rows.target is not None
        rows = more = StandardRows(given_rows.expert, given_rows.gate, given_rows.target)
    if len(rows) == 0:
        raise ValueError(
            "there are no rows to average the routing over: retain=0 keeps none, or none of X, y "
            "is complete; pass complete rows"
        )
    n_learned = int(engine.n_rows)
    rate = (
        (math.log(max(n_learned, 3)) / max(n_learned, 3)) ** 0.25
        if omega is None
        else check_number("omega", omega)
    )
    rows = rows.some(_MOST_ROWS)
    n_experts = state.settings.n_experts
    rng = np.random.default_rng(draw_seed(random_state))
    draws = choose_draws(
        engine,
        n_experts,
        rng,
        n_draws=count,
        by_island=False,
        match=True,
        more_rows=more,
        n_jobs=resolve_n_jobs(model.n_jobs),
    )
    drawn = draws.at(rows.expert, rows.gate, None)
    beta = draws.by_expert(drawn["coefficients"])  # (M, K, 1 + m)
    variance = draws.by_expert(drawn["noise_variance"])  # (M, K)
    gate = np.exp(draws.by_expert(np.asarray(drawn["log_gate"]), 2))  # (M, n, K)
    gate /= gate.sum(axis=2, keepdims=True)

    weight = gate.mean(axis=1)
    # |R b|^2 = E[(x'b)^2]
    R = np.asarray(np.linalg.qr(rows.expert / math.sqrt(len(rows)), mode="r"))
    atoms = np.concatenate([beta @ R.T, variance[:, :, None]], axis=2)
    left = [
        len(merge_truncate_merge(w, theta, rate, c=c, random_state=rng).kept)
        for w, theta in zip(weight, atoms, strict=True)
    ]
    posterior = np.bincount(left, minlength=n_experts + 1)[1:] / count

    tree = agglomerate(_mean_atoms(rows.expert, gate, beta, variance, (c * rate) ** 2))
    log_likelihood = np.array([_log_likelihood(tree, k, rows) for k in range(1, n_experts + 1)])
    return MergedExperts(
        posterior=posterior,
        n_experts=1 + int(np.argmax(posterior)),
        dendrogram=tree,
        criterion=selection_criterion(tree.heights, log_likelihood[1:], n_learned),
        log_likelihood=scaling.log_density(log_likelihood),
        rows=rows.expert,
        omega=rate,
        _scaling=scaling,
        _columns=state.columns("expert"),
    )


def _mean_atoms(
    design: FloatArray, gate: FloatArray, beta: FloatArray, variance: FloatArray, least: float
) -> list[RoutedAtom]:
    """Return the posterior mean of each expert; draws count by what they route to it.

    Experts of a share of at most ``least`` are negligible.
    """
    weight = gate.mean(axis=1)  # (M, K)
    total = weight.sum(axis=0)
    # An expert that is closed in every draw gets no rows at all.
    share = np.where(total > 0, weight / np.maximum(total, np.finfo(float).tiny), 1 / len(weight))
    mean = (share[:, :, None] * beta).sum(axis=0)
    noise = (share * variance).sum(axis=0)
    routing = gate.mean(axis=0)
    return [
        RoutedAtom(one, mean[k], float(noise[k]), design, bool(one.mean() <= least))
        for k, one in enumerate(routing.T)
    ]


def _log_likelihood(tree: Dendrogram[RoutedAtom], n_experts: int, rows: StandardRows) -> float:
    """Return the mean log density of the rows under a level of a dendrogram, standardised."""
    joint = [
        np.log(np.maximum(atom.routing, np.finfo(float).tiny))
        - 0.5 * math.log(2 * math.pi * atom.variance)
        - 0.5 * (rows.target - rows.expert @ atom.beta) ** 2 / atom.variance
        for atom in tree.atoms(n_experts)
    ]
    return float(np.logaddexp.reduce(np.stack(joint), axis=0).mean())
