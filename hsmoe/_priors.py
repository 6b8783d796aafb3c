"""Priors of the gate coefficients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ._checks import check_number

__all__ = [
    "GatePrior",
    "GroupHorseshoePrior",
    "HorseshoePrior",
    "NormalPrior",
    "PaperHorseshoePrior",
    "resolve_gate_prior",
]


@dataclass(frozen=True)
class HorseshoePrior:
    """Regularised horseshoe on the gate coefficients; intercepts are not shrunk.

    ``phi_lj ~ N(0, tau^2 lambda_lj^2) x N(0, slab^2)``, ``lambda_lj ~ C+(0, 1)``,
    ``tau ~ C+(0, tau0)``.  The intercept of a split is normal around the logit that gives its
    experts equal prior weight.

    Parameters
    ----------
    tau0 : float
        Scale of the global half-Cauchy; smaller means sparser gates.
    slab : float
        Standard deviation beyond which even unshrunk coefficients are held back, in units of a
        standardised feature.
    intercept_sd : float
        Standard deviation of the intercepts.
    centre_sd : float
        Standard deviation of the centres of a Laplace node, in units of a standardised feature.
        Centres are places among the rows, not slopes, so no horseshoe shrinks them.

    References
    ----------
    Carvalho, Polson & Scott (2010), The horseshoe estimator for sparse signals.
    Piironen & Vehtari (2017), Sparsity information and regularization in the horseshoe.

    Examples
    --------
    >>> import hsmoe
    >>> hsmoe.HSMoERegressor(gate_prior=hsmoe.HorseshoePrior(tau0=0.1))
    HSMoERegressor(gate_prior=HorseshoePrior(tau0=0.1, slab=10.0, intercept_sd=1.5, centre_sd=3.0))
    """

    tau0: float = 1.0
    slab: float = 10.0
    intercept_sd: float = 1.5
    centre_sd: float = 3.0

    def __post_init__(self) -> None:
        for name in ("tau0", "slab", "intercept_sd", "centre_sd"):
            check_number(f"{type(self).__name__}: {name}", getattr(self, name))

    def to_core(self) -> dict[str, Any]:
        """Return the settings as the engine takes them."""
        return {
            "kind": "horseshoe",
            "tau0": float(self.tau0),
            "slab": float(self.slab),
            "intercept_sd": float(self.intercept_sd),
        }

    def laplace_node(self) -> dict[str, float]:
        """Return the prior of a Laplace node."""
        return {"centre_sd": float(self.centre_sd), "intercept_sd": float(self.intercept_sd)}


@dataclass(frozen=True)
class GroupHorseshoePrior(HorseshoePrior):
    """A horseshoe with one more scale a split, so that whole splits switch off.

    As :class:`HorseshoePrior`, with ``phi_lj ~ N(0, tau^2 gamma_l^2 lambda_lj^2) x N(0, slab^2)``
    and ``gamma_l ~ C+(0, 1)`` for split ``l`` (for each child of a softmax).  A split whose slopes
    are switched off sends every row the same way with the same probability.

    Parameters
    ----------
    tau0, slab, intercept_sd, centre_sd : float
        As for :class:`HorseshoePrior`.

    References
    ----------
    Xu, Schmidt, Makalic, Qian & Hopper (2016), Bayesian grouped horseshoe regression with
    application to additive models.

    Examples
    --------
    >>> import hsmoe
    >>> hsmoe.GroupHorseshoePrior(tau0=0.3)
    GroupHorseshoePrior(tau0=0.3, slab=10.0, intercept_sd=1.5, centre_sd=3.0)
    """

    def to_core(self) -> dict[str, Any]:
        """Return the settings as the engine takes them."""
        return {**super().to_core(), "kind": "group-horseshoe"}


@dataclass(frozen=True)
class NormalPrior:
    """Independent normal (ridge) prior on the gate coefficients.

    Parameters
    ----------
    scale : float
        Standard deviation of the coefficients of standardised features.
    intercept_sd : float
        Standard deviation of the intercepts.

    Examples
    --------
    >>> import hsmoe
    >>> hsmoe.NormalPrior(scale=2.0)
    NormalPrior(scale=2.0, intercept_sd=1.5)
    """

    scale: float = 1.0
    intercept_sd: float = 1.5

    def __post_init__(self) -> None:
        check_number("NormalPrior: scale", self.scale)
        check_number("NormalPrior: intercept_sd", self.intercept_sd)

    def to_core(self) -> dict[str, Any]:
        """Return the settings as the engine takes them."""
        return {
            "kind": "normal",
            "scale": float(self.scale),
            "intercept_sd": float(self.intercept_sd),
        }

    def laplace_node(self) -> dict[str, float]:
        """Return the prior of a Laplace node: centres as slopes, biases as intercepts."""
        return {"centre_sd": float(self.scale), "intercept_sd": float(self.intercept_sd)}


@dataclass(frozen=True)
class PaperHorseshoePrior:
    """The horseshoe exactly as printed in the HS-MoE paper, for comparison.

    No slab, and the intercept is shrunk like any other coefficient.  It favours low expert
    numbers in a comb and lets early rows decide too much; prefer :class:`HorseshoePrior`.

    References
    ----------
    arXiv 2601.09043, section on the gate prior.

    Examples
    --------
    >>> import hsmoe
    >>> hsmoe.PaperHorseshoePrior()
    PaperHorseshoePrior()
    """

    def to_core(self) -> dict[str, Any]:
        """Return the settings as the engine takes them."""
        return {"kind": "horseshoe-paper"}

    def laplace_node(self) -> dict[str, float]:
        """Return the prior of a Laplace node: none, without a slab."""
        return {}


GatePrior = HorseshoePrior | NormalPrior | PaperHorseshoePrior

_BY_NAME: dict[str, GatePrior] = {
    "horseshoe": HorseshoePrior(),
    "group-horseshoe": GroupHorseshoePrior(),
    "normal": NormalPrior(),
    "horseshoe-paper": PaperHorseshoePrior(),
}


def resolve_gate_prior(gate_prior: Any) -> GatePrior:
    """Return the prior object that a ``gate_prior`` parameter names."""
    if isinstance(gate_prior, GatePrior):
        return gate_prior
    if isinstance(gate_prior, str) and gate_prior in _BY_NAME:
        return _BY_NAME[gate_prior]
    names = ", ".join(repr(name) for name in _BY_NAME)
    raise ValueError(
        f"gate_prior is {gate_prior!r}; it must be one of {names}, or a HorseshoePrior, "
        "GroupHorseshoePrior, NormalPrior or PaperHorseshoePrior object"
    )
