"""Mixtures of Gaussian experts with known parameters: truths to compare models with.

``p(y | x) = sum_k g_k(x) N(y; beta_k0 + x'beta_k, s2_k)``, everything in the units of the data.
They answer the questions that a model answers (:meth:`~KnownMixture.predict_expert_proba`,
:meth:`~KnownMixture.log_density`, :meth:`~KnownMixture.predict_quantiles`), so that the losses of
:mod:`hsmoe.losses` take either.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ._checks import check_probs
from ._core_protocol import FloatArray, IntArray
from ._gates import resolve_gate
from ._optional import scipy_part
from ._seeding import draw_seed
from ._trees import GateTree

__all__ = ["KnownMixture", "SoftmaxMixture", "TreeMixture"]


@dataclass(frozen=True, eq=False)
class KnownMixture(ABC):
    """What all mixtures with known Gaussian experts share; a subclass adds its gate.

    Attributes
    ----------
    coefficients : ndarray, shape (K, 1 + d)
        Of the experts, intercepts first.
    variance : ndarray, shape (K,)
        Of their noise.

    Examples
    --------
    Two experts of equal share, one at 0 and one at 1 + 2x:

    >>> import hsmoe
    >>> truth = hsmoe.SoftmaxMixture([[0, 0], [1, 2]], [1.0, 1.0], [0, 0], [[0], [0]])
    >>> isinstance(truth, hsmoe.mixtures.KnownMixture), truth.n_experts, truth.n_features
    (True, 2, 1)
    >>> X = [[0.0], [1.0]]
    >>> truth.expert_mean(X).tolist(), truth.predict(X).tolist()
    ([[0.0, 1.0], [0.0, 3.0]], [0.5, 1.5])
    >>> truth.log_gate(X).round(3).tolist()
    [[-0.693, -0.693], [-0.693, -0.693]]
    >>> truth.log_classes(X, [0.0, 3.0]).round(2).tolist()
    [[-1.61, -2.11], [-6.11, -1.61]]
    >>> truth.log_density(X, [0.0, 3.0]).round(3).tolist()
    [-1.138, -1.601]
    >>> truth.predict_quantiles(X, [0.5]).round(6).tolist()
    [[0.5], [1.5]]
    >>> y, expert = truth.sample(X, random_state=0)
    >>> y.shape, expert.shape
    ((2,), (2,))
    """

    coefficients: FloatArray
    variance: FloatArray

    def __post_init__(self) -> None:
        coefficients = _array("coefficients", self.coefficients, 2)
        variance = _array("variance", self.variance, 1)
        if len(coefficients) == 0 or coefficients.shape[1] == 0:
            raise ValueError(
                f"coefficients has shape {coefficients.shape}; it must have a row for each expert "
                "and at least the column of the intercepts"
            )
        if len(variance) != len(coefficients):
            raise ValueError(
                f"variance has {len(variance)} entries for {len(coefficients)} experts; it must "
                "have one for each row of coefficients"
            )
        if not (variance > 0).all():
            k = int(np.argmin(variance > 0))
            raise ValueError(f"variance of expert {k} is {variance[k]:g}; it must be positive")
        object.__setattr__(self, "coefficients", coefficients)
        object.__setattr__(self, "variance", variance)

    @property
    def n_experts(self) -> int:
        """Number of experts K."""
        return len(self.coefficients)

    @property
    def n_features(self) -> int:
        """Number of columns of X."""
        return self.coefficients.shape[1] - 1

    @abstractmethod
    def log_gate(self, X: Any) -> FloatArray:
        """Return the log routing probabilities, shape (n, K)."""

    def predict_expert_proba(self, X: Any) -> FloatArray:
        """Return the routing probabilities, shape (n, K); rows sum to one."""
        return np.exp(self.log_gate(X))

    def expert_mean(self, X: Any) -> FloatArray:
        """Return the mean of each expert, shape (n, K)."""
        mean: FloatArray = self._design(X) @ self.coefficients.T
        return mean

    def predict(self, X: Any) -> FloatArray:
        """Return the mean of the mixture, shape (n,)."""
        mean: FloatArray = (self.predict_expert_proba(X) * self.expert_mean(X)).sum(axis=1)
        return mean

    def log_classes(self, X: Any, y: Any) -> FloatArray:
        """Return ``log g_k(x) + log N(y; x'beta_k, s2_k)``, shape (n, K)."""
        error = _array("y", y, 1)[:, None] - self.expert_mean(X)
        density = -0.5 * (np.log(2 * np.pi * self.variance) + error**2 / self.variance)
        return self.log_gate(X) + density

    def log_density(self, X: Any, y: Any) -> FloatArray:
        """Return the log density at ``y``, in nats, shape (n,)."""
        density: FloatArray = np.logaddexp.reduce(self.log_classes(X, y), axis=1)
        return density

    def predict_quantiles(self, X: Any, probs: ArrayLike) -> FloatArray:
        """Return quantiles of the mixture, shape (n, q), by bisection (needs scipy)."""
        special = scipy_part("special", "predict_quantiles of a known mixture")
        levels = check_probs(probs)
        gate, mean = self.predict_expert_proba(X)[:, None, :], self.expert_mean(X)[:, None, :]
        sd = np.sqrt(self.variance)
        # A quantile of a mixture lies between those of its parts.
        parts = mean + sd * special.ndtri(levels)[None, :, None]
        low, high = parts.min(axis=2), parts.max(axis=2)
        for _ in range(60):
            middle = 0.5 * (low + high)
            below = (gate * special.ndtr((middle[:, :, None] - mean) / sd)).sum(axis=2) < levels
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        quantile: FloatArray = 0.5 * (low + high)
        return quantile

    def sample(self, X: Any, random_state: Any = None) -> tuple[FloatArray, IntArray]:
        """Draw one target for each row.

        Returns
        -------
        y : ndarray, shape (n,)
        expert : ndarray, shape (n,)
            Which expert it came from.
        """
        rng = np.random.default_rng(draw_seed(random_state))
        gate = self.predict_expert_proba(X)
        expert = (rng.random(len(gate))[:, None] > gate.cumsum(axis=1)).sum(axis=1)
        expert = np.minimum(expert, self.n_experts - 1)
        mean = self.expert_mean(X)[np.arange(len(gate)), expert]
        return mean + np.sqrt(self.variance[expert]) * rng.standard_normal(len(gate)), expert

    def _design(self, X: Any) -> FloatArray:
        values = _array("X", X, 2)
        if values.shape[1] != self.n_features:
            raise ValueError(
                f"X has {values.shape[1]} columns; this mixture has {self.n_features} features"
            )
        return np.c_[np.ones(len(values)), values]


@dataclass(frozen=True, eq=False)
class SoftmaxMixture(KnownMixture):
    """Gaussian experts under a softmax gate: ``g_k(x)`` proportional to ``exp(b0_k + x'b1_k)``.

    Parameters
    ----------
    coefficients : array_like, shape (K, 1 + d)
        Of the experts, intercepts first.
    variance : array_like, shape (K,)
        Of their noise.
    gate_intercept : array_like, shape (K,)
        ``b0``; known up to a number added to all.
    gate_slopes : array_like, shape (K, d)
        ``b1``; known up to a vector added to all.

    Examples
    --------
    >>> import numpy as np, hsmoe
    >>> truth = hsmoe.SoftmaxMixture([[15, -20], [-5, 20]], [0.09, 0.16], [-8, 0], [[25], [0]])
    >>> truth.predict_expert_proba(np.array([[0.32]])).round(2).tolist()
    [[0.5, 0.5]]
    """

    gate_intercept: FloatArray
    gate_slopes: FloatArray

    if TYPE_CHECKING:  # fields hold arrays, made of what is given

        def __init__(
            self,
            coefficients: ArrayLike,
            variance: ArrayLike,
            gate_intercept: ArrayLike,
            gate_slopes: ArrayLike,
        ) -> None: ...

    def __post_init__(self) -> None:
        super().__post_init__()
        intercept = _array("gate_intercept", self.gate_intercept, 1)
        slopes = _array("gate_slopes", self.gate_slopes, 2)
        shape = (self.n_experts, self.n_features)
        if intercept.shape != shape[:1] or slopes.shape != shape:
            raise ValueError(
                f"gate_intercept has shape {intercept.shape} and gate_slopes {slopes.shape}; they "
                f"must be {shape[:1]} and {shape}, as the experts are"
            )
        object.__setattr__(self, "gate_intercept", intercept)
        object.__setattr__(self, "gate_slopes", slopes)

    def log_gate(self, X: Any) -> FloatArray:
        """Return the log routing probabilities, shape (n, K)."""
        logits = self._design(X)[:, 1:] @ self.gate_slopes.T + self.gate_intercept
        normalised: FloatArray = logits - np.logaddexp.reduce(logits, axis=1)[:, None]
        return normalised


@dataclass(frozen=True, eq=False)
class TreeMixture(KnownMixture):
    """Gaussian experts under a binary tree of logistic splits.

    Parameters
    ----------
    coefficients : array_like, shape (K, 1 + d)
        Of the experts, intercepts first.
    variance : array_like, shape (K,)
        Of their noise.
    phi : array_like, shape (K - 1, 1 + d)
        Logit of going left at each split, intercepts first; splits as the model numbers them.
    gate : {"comb", "balanced"} or nested lists of int
        As in :class:`HSMoERegressor`.

    Examples
    --------
    >>> import numpy as np, hsmoe
    >>> truth = hsmoe.TreeMixture([[0, 1], [0, -1]], [0.1, 0.1], [[0, 2]])
    >>> truth.predict_expert_proba(np.array([[0.0]])).tolist()
    [[0.5, 0.5]]
    """

    phi: FloatArray
    gate: str | Sequence[Any] = "comb"
    _tree: GateTree = field(init=False, repr=False)

    if TYPE_CHECKING:

        def __init__(
            self,
            coefficients: ArrayLike,
            variance: ArrayLike,
            phi: ArrayLike,
            gate: str | Sequence[Any] = "comb",
        ) -> None: ...

    def __post_init__(self) -> None:
        super().__post_init__()
        phi = _array("phi", self.phi, 2)
        shape = (self.n_experts - 1, 1 + self.n_features)
        if phi.shape != shape:
            raise ValueError(f"phi has shape {phi.shape}; it must have {shape}, a row a split")
        object.__setattr__(self, "phi", phi)
        tree = resolve_gate(self.gate, self.n_experts)
        if not isinstance(tree, GateTree):
            raise ValueError(f"gate is {self.gate!r}; a TreeMixture has logistic splits alone")
        object.__setattr__(self, "_tree", tree)

    def log_gate(self, X: Any) -> FloatArray:
        """Return the log routing probabilities, shape (n, K)."""
        design = self._design(X)
        logits = design @ self.phi.T
        by_position = np.zeros((len(design), self.n_experts))
        for split, (lo, mid, hi) in enumerate(self._tree.nodes.tolist()):
            by_position[:, lo:mid] -= np.logaddexp(0.0, -logits[:, split])[:, None]
            by_position[:, mid:hi] -= np.logaddexp(0.0, logits[:, split])[:, None]
        by_expert = np.empty_like(by_position)
        by_expert[:, self._tree.leaves] = by_position
        return by_expert


def _array(name: str, value: Any, n_dims: int) -> FloatArray:
    array = np.asarray(value, dtype=np.float64)
    if array.ndim != n_dims:
        raise ValueError(f"{name} has shape {array.shape}; it must have {n_dims} dimensions")
    if not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"{name} at {where} is {array[where]}; it must be finite")
    return array
