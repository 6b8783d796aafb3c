"""A number of experts that changes along the stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ._checks import check_integer, check_number
from ._gates import Gate, GateNodes

__all__ = ["ChangingExperts", "check_changing", "resolve_n_experts"]


@dataclass(frozen=True)
class ChangingExperts:
    """Experts that open and close along the stream, up to ``most`` of them: K is learned.

    A leaf of the gate is open or closed at each row, and the gate is that of the tree pruned to its
    open leaves.  The number of experts open at the first row is uniform on ``1 ... most``.  Between
    two rows each leaf that is free opens with probability ``change_rate / (most - 1)``, and each
    that is open, but for expert 0, closes with that probability.  What opens is a new expert, its
    parameters from the prior.  A closed leaf is free again once all rows of its life have left the
    retained rows, never with ``retain=None``.  ``n_experts_posterior()`` of a model says how many
    experts are open now.

    Parameters
    ----------
    most : int
        Leaves of the gate, at least 2: no more experts are open at a time.
    change_rate : float
        Expected openings a row while all leaves but one are free; from 0 (the set of experts is
        unknown, but does not change) to below 1.

    References
    ----------
    Carter & Kohn (1994), On Gibbs sampling for state space models.

    Examples
    --------
    >>> import hsmoe
    >>> hsmoe.HSMoERegressor(hsmoe.ChangingExperts(6))
    HSMoERegressor(n_experts=ChangingExperts(most=6, change_rate=0.001))
    """

    most: int
    change_rate: float = 1e-3

    def __post_init__(self) -> None:
        check_integer("ChangingExperts: most", self.most, 2)
        if check_number("ChangingExperts: change_rate", self.change_rate, 0, 1, closed=True) == 1:
            raise ValueError(
                f"ChangingExperts: change_rate is {self.change_rate!r}; it must be less than 1"
            )


def resolve_n_experts(n_experts: Any) -> tuple[int, ChangingExperts | None]:
    """Return the number of leaves that an ``n_experts`` parameter asks for, and how they change."""
    if isinstance(n_experts, ChangingExperts):
        return int(n_experts.most), n_experts
    try:
        return check_integer("n_experts", n_experts, 1), None
    except ValueError as error:
        raise ValueError(f"{error}, or ChangingExperts") from None


def check_changing(changing: ChangingExperts, gate: Gate, retain: int | None) -> None:
    """Raise ValueError where experts cannot open and close."""
    if isinstance(gate, GateNodes):
        raise ValueError(
            f"n_experts is {changing!r}, and gate has {' and '.join(sorted(gate.kinds()))} nodes; "
            "leaves open and close in trees of logistic splits alone: choose gate='balanced', "
            "'comb' or nested lists, or a number of experts"
        )
    if retain == 0:
        raise ValueError(
            f"n_experts is {changing!r} with retain=0; when experts opened and closed is revised "
            "in scans of the retained rows: pass a positive retain, or None for all rows"
        )
