"""How the posterior is found: by particles, or by a variational approximation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ._changing import ChangingExperts
from ._experts import (
    BinomialExpert,
    Expert,
    GaussianExpert,
    LogitExpert,
    NegativeBinomialExpert,
)
from ._gates import Gate, GateNodes
from ._priors import GatePrior, GroupHorseshoePrior

__all__ = ["Variational", "resolve_inference"]


@dataclass(frozen=True)
class Variational:
    """Streaming variational Bayes, for sizes where particles are too dear.

    Each island is one member: a product of independent factors for the allocations, the
    coefficients of each split, the scales of the prior, and the parameters of each expert.  A row
    costs ``O(K d^2)`` for each member, or ``O(K d)`` in the diagonal form.

    Parameters
    ----------
    covariance : {"full", "diagonal"}
        Covariance of the coefficients of a split and of an expert.  ``"diagonal"`` takes them for
        independent of each other: cheaper, and worse where features are correlated.

    References
    ----------
    Broderick, Boyd, Wibisono, Wilson & Jordan (2013), Streaming variational Bayes.
    Asuncion, Welling, Smyth & Teh (2009), On smoothing and inference for topic models.

    Examples
    --------
    >>> import hsmoe
    >>> hsmoe.HSMoERegressor(64, inference=hsmoe.Variational(covariance="diagonal"))
    HSMoERegressor(n_experts=64, inference=Variational(covariance='diagonal'))
    """

    covariance: str = "full"

    def __post_init__(self) -> None:
        if not isinstance(self.covariance, str) or self.covariance not in ("full", "diagonal"):
            raise ValueError(
                f"Variational: covariance is {self.covariance!r}; it must be 'full' or 'diagonal'"
            )

    def to_core(self) -> dict[str, Any]:
        """Return the settings as the engine takes them."""
        return {"diagonal": float(self.covariance == "diagonal")}


def resolve_inference(
    inference: Any,
    expert: Expert,
    gate: Gate,
    gate_prior: GatePrior,
    changing: ChangingExperts | None = None,
) -> Variational | None:
    """Return the variational settings that an ``inference`` parameter names; None: particles."""
    if isinstance(inference, str) and inference == "particles":
        return None
    if isinstance(inference, str) and inference == "variational":
        inference = Variational()
    if not isinstance(inference, Variational):
        raise ValueError(
            f"inference is {inference!r}; it must be 'particles', 'variational' or a Variational "
            "object"
        )
    if changing:
        raise ValueError(
            f"n_experts is {changing!r}, and inference is variational, which has a number of "
            "experts that does not change: give a number, or choose inference='particles'"
        )
    if isinstance(gate, GateNodes):
        raise ValueError(
            f"gate has {' and '.join(sorted(gate.kinds()))} nodes, and inference is variational, "
            "which has trees of logistic splits alone: choose gate='balanced', 'comb' or nested "
            "lists, or inference='particles'"
        )
    if isinstance(gate_prior, GroupHorseshoePrior):
        raise ValueError(
            f"gate_prior is {gate_prior!r}, and inference is variational, which has no scale of a "
            "whole split: choose gate_prior='horseshoe', or inference='particles'"
        )
    if isinstance(expert, NegativeBinomialExpert) and expert.dispersion is None:
        raise ValueError(
            f"expert is {expert!r}, and inference is variational, which cannot learn the "
            "dispersion: give it, as NegativeBinomialExpert(dispersion=2.0), or choose "
            "inference='particles'"
        )
    if not isinstance(
        expert, GaussianExpert | LogitExpert | BinomialExpert | NegativeBinomialExpert
    ):
        raise ValueError(
            f"expert is {expert!r}, and inference is variational, which has no closed form for "
            "it: choose expert='gaussian', or inference='particles'"
        )
    return inference
