"""What is predicted: real numbers, classes, or counts; how each is read, scaled and reported.

A target belongs to the learned state, for what it knows may come from the rows (the classes).  The
engine sees real targets in standard units, classes by their number, counts as they are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._core_protocol import FloatArray, IntArray
from ._experts import BinomialExpert, Expert
from ._scaling import Scaling
from ._validation import BoolArray, read_labels, read_target

__all__ = ["LARGEST_SCORED", "ClassTarget", "CountTarget", "RealTarget", "Target", "class_labels"]


@dataclass(frozen=True)
class RealTarget:
    """A real number, standardised like a feature."""

    kind = "real"

    def read(
        self,
        y: Any,
        n_rows: int,
        *,
        expert: Any,
        missing: Any,
        ignored: BoolArray | None = None,
        scored: bool = False,
    ) -> tuple[FloatArray, BoolArray | None]:
        """Return ``n_rows`` values as the engine numbers them, and which are present."""
        return read_target(y, n_rows, missing=missing, ignored=ignored)

    def scaling(self, X: FloatArray, y: FloatArray, standardize: bool, expert: Expert) -> Scaling:
        """Return the scaling that the warm-up rows determine."""
        return Scaling.from_rows(X, y) if standardize else Scaling.identity(X.shape[1])

    def to_core(self, expert: Expert, n_columns: int, scaling: Scaling) -> dict[str, Any]:
        """Return the settings of an expert of so many features as the engine takes them."""
        return expert.to_core(n_columns)


@dataclass(frozen=True)
class CountTarget:
    """A whole number from 0 on, or up to the number of trials."""

    kind = "count"

    def read(
        self,
        y: Any,
        n_rows: int,
        *,
        expert: Any,
        missing: Any,
        ignored: BoolArray | None = None,
        scored: bool = False,
    ) -> tuple[FloatArray, BoolArray | None]:
        """Return ``n_rows`` counts, and which are present.

        Those to be ``scored`` only may be larger than those to be learned.
        """
        values, present = read_target(y, n_rows, missing=missing, ignored=ignored)
        trials = expert.n_trials if isinstance(expert, BinomialExpert) else None
        largest = LARGEST_SCORED if scored else LARGEST_COUNT
        highest = largest if trials is None else trials
        given = np.where(np.isnan(values), 0.0, values)
        wrong = (given < 0) | (given > highest) | (given != np.floor(given))
        if wrong.any():
            row = int(np.argmax(wrong))
            many = int(np.count_nonzero(wrong))
            rule = (
                f"counts must be whole numbers from 0 to {highest:,}"
                if trials is None
                else f"counts must be whole numbers from 0 to n_trials={trials}"
            )
            raise ValueError(
                f"y: row {row} is {values[row]:g}; {rule}: correct it, drop the row, or use "
                "HSMoERegressor" + (f" ({many} rows are so)" if many > 1 else "")
            )
        return values, present

    def scaling(self, X: FloatArray, y: FloatArray, standardize: bool, expert: Expert) -> Scaling:
        """Return the scaling of the features, and the link of the mean as offset."""
        if not standardize:
            return Scaling.identity(X.shape[1])
        if isinstance(expert, BinomialExpert):
            odds = (y.sum() + 0.5) / (len(y) * expert.n_trials - y.sum() + 0.5)
            return Scaling.of_features(X, np.array([math.log(odds)]))
        return Scaling.of_features(X, np.array([math.log((y.sum() + 0.5) / len(y))]))

    def to_core(self, expert: Expert, n_columns: int, scaling: Scaling) -> dict[str, Any]:
        """Return the settings of an expert of so many features as the engine takes them."""
        return {**expert.to_core(n_columns), "offset": _offset(scaling, 1)}


@dataclass(frozen=True)
class ClassTarget:
    """One of the classes, sorted."""

    classes: NDArray[Any] = field(compare=False)

    kind = "class"

    def read(
        self,
        y: Any,
        n_rows: int,
        *,
        expert: Any,
        missing: Any,
        ignored: BoolArray | None = None,
        scored: bool = False,
    ) -> tuple[FloatArray, BoolArray | None]:
        """Return the numbers of ``n_rows`` classes, and which are present.

        Rows that are ``ignored`` may be of an unknown class, or of none; they get any number.
        """
        labels, present = read_labels(y, n_rows, missing=missing, ignored=ignored)
        numbers = np.full(n_rows, np.nan)
        inside = slice(None) if present is None else present
        known = labels[inside]
        place = {label: float(c) for c, label in enumerate(self.classes.tolist())}
        numbers[inside] = [place.get(label, np.inf) for label in known.tolist()]
        if ignored is not None:
            numbers[ignored & ~np.isfinite(numbers)] = 0.0
            present = None if present is None else present | ignored
        unknown = np.isinf(numbers)
        if unknown.any():
            row = int(np.argmax(unknown))
            raise ValueError(
                f"y: row {row} is {labels.tolist()[row]!r}, which is none of the classes "
                f"{_listed(self.classes)}; correct it, or begin again with all classes (fit, or "
                "partial_fit(..., classes=...))"
            )
        return numbers, present

    def scaling(self, X: FloatArray, y: FloatArray, standardize: bool, expert: Expert) -> Scaling:
        """Return the scaling of the features, and the log odds of the classes as offsets."""
        if not standardize:
            return Scaling.identity(X.shape[1])
        counts = np.bincount(y.astype(np.int64), minlength=len(self.classes)) + 0.5
        return Scaling.of_features(X, np.log(counts[1:] / np.cumsum(counts)[:-1]))

    def to_core(self, expert: Expert, n_columns: int, scaling: Scaling) -> dict[str, Any]:
        """Return the settings of an expert of so many features as the engine takes them."""
        n_classes = len(self.classes)
        return {
            **expert.to_core(n_columns),
            "n_classes": float(n_classes),
            "offset": _offset(scaling, n_classes - 1),
        }


Target = RealTarget | CountTarget | ClassTarget

LARGEST_COUNT = 100_000  # the cost of a row grows with its count
LARGEST_SCORED = 2**53  # whole numbers beyond it are not all numbers of the type float
_MOST_CLASSES = 256


def _offset(scaling: Scaling, size: int) -> list[float]:
    return scaling.offset.tolist() if scaling.offset.size else [0.0] * size


def class_labels(classes: Any, what: str, frequencies: IntArray | None = None) -> NDArray[Any]:
    """Return distinct labels, sorted; raises ValueError if there are not 2 to 256 of one type.

    A label whose ``frequencies`` are all 0 does not count.
    """
    labels, present = read_labels(classes, None, missing="skip")
    counted = np.ones(len(labels), dtype=bool) if present is None else present
    if frequencies is not None and len(frequencies) == len(labels):  # else refused with the rows
        counted = counted & (frequencies > 0)
    distinct: NDArray[Any] = np.unique(labels[counted])
    if not 2 <= len(distinct) <= _MOST_CLASSES:
        number = "1 class" if len(distinct) == 1 else f"{len(distinct)} classes"
        raise ValueError(
            f"{what} has {number} ({_listed(distinct)}); a classifier needs from 2 to "
            f"{_MOST_CLASSES}"
        )
    return distinct


def _listed(classes: NDArray[Any]) -> str:
    shown = ", ".join(repr(label) for label in classes[:8].tolist())
    return shown + (", ..." if len(classes) > 8 else "")
