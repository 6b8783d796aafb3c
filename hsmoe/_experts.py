"""Experts: what each component of the mixture says about the target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ._checks import check_number

__all__ = ["Expert", "GaussianExpert", "resolve_expert"]


@dataclass(frozen=True)
class GaussianExpert:
    """Linear regression with unknown noise variance (normal-inverse-gamma).

    ``y ~ N(x'beta, s2)``, ``beta | s2 ~ N(0, s2 coefficient_variance I)``, ``s2 ~ IG(a0, b0)``,
    on standardised features and target.

    Parameters
    ----------
    a0 : float
        Shape of the inverse gamma prior of the noise variance.
    b0 : float
        Its scale; ``b0 / (a0 - 1)`` is the prior mean of the noise variance.  The prior mean of the
        scale where it is learned.
    b0_shape : float
        If positive the scale is learned, one for each expert: ``b0_k ~ Gamma(shape b0_shape,
        mean b0)``, drawn anew at every rejuvenation.  0: b0 is fixed.
    coefficient_variance : float
        Prior variance of a coefficient, in units of the noise variance.

    Examples
    --------
    >>> import hsmoe
    >>> hsmoe.GaussianExpert(b0=0.05)
    GaussianExpert(a0=2.0, b0=0.05, b0_shape=1.0, coefficient_variance=10.0)
    """

    a0: float = 2.0
    b0: float = 0.1
    b0_shape: float = 1.0
    coefficient_variance: float = 10.0

    def __post_init__(self) -> None:
        check_number("GaussianExpert: a0", self.a0)
        check_number("GaussianExpert: b0", self.b0)
        check_number("GaussianExpert: b0_shape", self.b0_shape, 0.0, closed=True)
        check_number("GaussianExpert: coefficient_variance", self.coefficient_variance)

    def to_core(self) -> dict[str, Any]:
        """Return the settings as the engine takes them."""
        return {
            "kind": "gaussian",
            "a0": float(self.a0),
            "b0": float(self.b0),
            "b0_shape": float(self.b0_shape),
            "coefficient_variance": float(self.coefficient_variance),
        }


Expert = GaussianExpert

_BY_NAME: dict[str, Expert] = {"gaussian": GaussianExpert()}


def resolve_expert(expert: Any) -> Expert:
    """Return the expert object that an ``expert`` parameter names."""
    if isinstance(expert, Expert):
        return expert
    if isinstance(expert, str) and expert in _BY_NAME:
        return _BY_NAME[expert]
    names = ", ".join(repr(name) for name in _BY_NAME)
    raise ValueError(f"expert is {expert!r}; it must be {names} or a GaussianExpert object")
