"""Rows as dictionaries, whose features come and go, into the fixed columns of a model."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._core_protocol import FloatArray

__all__ = ["Columns", "NamedRow", "feature_order", "read_row"]

NamedRow = dict[Hashable, float]


def read_row(x: Mapping[Hashable, Any]) -> NamedRow:
    """Return the features of one row that have a value, as floats.

    None and NaN count as absent.  Raises ValueError for what is no finite number.
    """
    row: NamedRow = {}
    for name, value in x.items():
        if value is None:
            continue
        try:
            if isinstance(value, str | bytes):
                raise TypeError
            number = float(value)
        except (TypeError, ValueError):
            raise ValueError(
                f"feature {name!r} is {value!r}, a {type(value).__name__}; features must be "
                "numbers: encode it first, for example with river.preprocessing.OneHotEncoder"
            ) from None
        if math.isinf(number):
            raise ValueError(f"feature {name!r} is {number}; values must be finite")
        if not math.isnan(number):
            row[name] = number
    return row


def feature_order(names: Any) -> tuple[Hashable, ...]:
    """Return distinct names in an order that does not depend on the order they came in."""
    return tuple(sorted(set(names), key=lambda name: (str(type(name)), str(name), repr(name))))


@dataclass(frozen=True)
class Columns:
    """The features a model was begun with, and what stands for one that a row lacks.

    An absent feature is put at its centre, the mean of the values it had in the rows that the model
    was begun with: 0 in standard units, so that its coefficients have no say.
    """

    names: tuple[Hashable, ...]
    centre: FloatArray  # (d,)

    @classmethod
    def of(cls, rows: Sequence[NamedRow]) -> Columns:
        """Return the columns of all features that occur in ``rows``."""
        names = feature_order(name for row in rows for name in row)
        means = [math.fsum(v) / len(v) for v in ([r[n] for r in rows if n in r] for n in names)]
        return cls(names, np.array(means, dtype=np.float64))

    def matrix(self, rows: Sequence[NamedRow]) -> FloatArray:
        """Return ``rows`` as an array (n, d); features that are not among the columns are left."""
        values = np.tile(self.centre, (len(rows), 1))
        place = {name: j for j, name in enumerate(self.names)}
        for i, row in enumerate(rows):
            for name, value in row.items():
                j = place.get(name)
                if j is not None:
                    values[i, j] = value
        return values

    def selection(self, selected: Any, parameter: str) -> Any:
        """Return ``gate_features`` or ``expert_features``, given by name, as column numbers."""
        if selected is None:
            return None
        missing = [name for name in selected if name not in self.names]
        if missing:
            raise ValueError(
                f"{parameter} names {missing}, which no row of the warm-up had; its features are "
                f"{list(self.names)}"
            )
        return [self.names.index(name) for name in selected]
