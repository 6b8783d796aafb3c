"""Numbers that shape how an engine learns, chosen by measurement and not by the user.

A model keeps those it began with, in its file too: a model that a later version resumes goes on as
it was, whatever that version has for new ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from ._checks import check_integer, check_number

__all__ = ["TUNING", "Tuning"]

_MAY_BE_ZERO = {"scan_rows", "exchange_rows", "relocations", "open_rows", "least_early_rows"}


@dataclass(frozen=True)
class Tuning:
    """One choice of these numbers; the defaults are those of new models."""

    # phi is refreshed coordinate by coordinate after each row: O(p^2), no factorisation.
    phi_kernel: str = "sweep"

    # A rejuvenation scans the retained rows at least once, and while rows are few as often as it
    # takes to visit this many: early allocations decide which mode a run ends in.
    scan_rows: int = 500

    # Scans of a variational approximation at a time.
    variational_scans: int = 4

    # Rows that proposals to let two experts change their places in the gate visit, per particle and
    # rejuvenation; with more rows than that a share of the particles proposes, until rows freeze.
    # It mends regimes at the wrong leaves, and costs some scans' time.
    exchange_rows: int = 250

    # So many particles of an island also propose that an expert with little to do becomes the twin
    # of another when there are so many rows, in proportion if fewer: an island without a twin that
    # pays loses that much a row, for ever, but with few rows a twin hardly ever pays.  Each makes
    # so many tries, of which one is chosen: they cost a third of what they have in common.
    relocations: int = 48
    relocation_rows: int = 1000
    relocation_tries: int = 15

    # The first rows freeze together: when there are twice as many as the model retains and, as far
    # as four times as many go, at least so many.  Until then experts can still be rearranged.
    open_rows: int = 2000

    # Two thirds of the variance of the log evidence come from the first rows, where more particles
    # cost little: an island has so many times as many at first, but no more than so many for that
    # reason.  It keeps them for 2 * retain rows, where that is between these bounds.
    early_factor: int = 7
    early_particles: int = 896
    least_early_rows: int = 1000
    most_early_rows: int = 4000

    # forgetting="auto": the islands take these rates in turn; once they differ in what they have
    # forgotten, the evidence of about the last 1 / (1 - memory) rows pools them.
    auto_rates: tuple[float, ...] = (0.999, 0.99, 1.0, 0.995)
    auto_pool_memory: float = 0.99

    def to_stored(self) -> dict[str, Any]:
        """Return the numbers as a model file holds them."""
        return {**asdict(self), "auto_rates": list(self.auto_rates)}

    @classmethod
    def from_stored(cls, stored: Mapping[str, Any]) -> Tuning:
        """Return the numbers that a model file holds; ValueError if they cannot be."""
        unknown = set(stored) - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"tuning holds {sorted(unknown)[0]!r}, which this version lacks")
        values: dict[str, Any] = {}
        for name in (field.name for field in fields(cls)):
            value = stored[name]
            if name == "phi_kernel":
                if value not in ("sweep", "block"):
                    raise ValueError(f"tuning: phi_kernel is {value!r}")
                values[name] = value
            elif name == "auto_rates":
                if not isinstance(value, list) or not value:
                    raise ValueError(f"tuning: auto_rates is {value!r}")
                values[name] = tuple(_rate(name, rate) for rate in value)
            elif name == "auto_pool_memory":
                values[name] = _rate(name, value)
            else:
                values[name] = check_integer(
                    f"tuning: {name}", value, 0 if name in _MAY_BE_ZERO else 1
                )
        if values["early_factor"] > 16:  # memory that the file does not justify
            raise ValueError(f"tuning: early_factor is {values['early_factor']}")
        return cls(**values)


def _rate(name: str, value: Any) -> float:
    return check_number(f"tuning: {name}", value, 0.5, 1.0, closed=True)


TUNING = Tuning()
