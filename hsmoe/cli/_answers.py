"""What a stream answers to a row: the forecast of its target, as one line of strict JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

import hsmoe
from hsmoe._state import resolve_n_jobs
from hsmoe._targets import LARGEST_COUNT

from ._options import labels
from ._rows import BadLine, Decoder

__all__ = ["Answers", "answers_of", "as_line"]


def as_line(answer: Mapping[str, Any]) -> bytes:
    """Return one line of JSON; a number is written so that reading gives the same bits."""
    return json.dumps(answer, allow_nan=False).encode() + b"\n"


def _finite(value: float) -> float | None:
    """Return the number, or None for what JSON has no number for."""
    return value if math.isfinite(value) else None


class Answers(Protocol):
    """What a kind of target supplies."""

    def read_target(self, decoder: Decoder, value: Any) -> Any:
        """Return a field as a target, None if it is missing; raises BadLine."""

    def nothing(self) -> dict[str, Any]:
        """Return the answer to a row that cannot be forecast: every number is None."""

    def forecast(self, x: list[float], y: Any) -> dict[str, Any]:
        """Return the answer to a complete row, ``y`` being its target or None.

        Raises
        ------
        ValueError
            If a value is too far from those of the warm-up.
        """


class NumberAnswers:
    """Answers of a model of real numbers or counts."""

    def __init__(self, model: Any, target: str, coverage: float) -> None:
        self._model, self._target = model, target
        tail = 0.5 * (1.0 - coverage)
        self._probs = np.array([tail, 1.0 - tail])
        expert = model.expert
        self._counts = isinstance(model, hsmoe.HSMoECountRegressor)
        trials = expert.n_trials if isinstance(expert, hsmoe.BinomialExpert) else None
        self._highest = LARGEST_COUNT if trials is None else trials

    def read_target(self, decoder: Decoder, value: Any) -> Any:
        number = decoder.number(value, self._target)
        if math.isnan(number):
            return None
        if math.isinf(number):
            raise BadLine(f"column {self._target!r} is {number}; values must be finite")
        if self._counts and not (number.is_integer() and 0 <= number <= self._highest):
            raise BadLine(
                f"column {self._target!r} is {number:g}; counts must be whole numbers from 0 to "
                f"{self._highest:,}"
            )
        return number

    def nothing(self) -> dict[str, Any]:
        return dict.fromkeys(("mean", "std", "lower", "upper", "log_density"))

    def forecast(self, x: list[float], y: Any) -> dict[str, Any]:
        # What predict, predict_quantiles and log_density return, in the same bits: but the row is
        # read once, which for a small model is most of the time.
        model = self._model
        _, engine, scaling, expert, gate, _ = model._read_designs(np.array([x]))
        n_jobs = resolve_n_jobs(model.n_jobs)
        density = None
        if y is not None:
            observed = scaling.target(np.array([y]), lambda i: "row 0")
            density = scaling.log_density(engine.log_density(expert, gate, observed, n_jobs))[0]
        mean, variance = engine.moments(expert, gate, n_jobs)
        ends = scaling.location(engine.quantiles(expert, gate, self._probs, n_jobs))[0]
        lower, upper = ends.tolist()
        if self._counts:
            lower, upper = int(lower), int(upper)
        return {
            "mean": _finite(float(scaling.location(mean)[0])),
            "std": _finite(float(scaling.spread(np.sqrt(variance))[0])),
            "lower": _finite(lower),
            "upper": _finite(upper),
            "log_density": None if density is None else _finite(float(density)),
        }


class ClassAnswers:
    """Answers of a classifier."""

    def __init__(self, model: Any, target: str, classes: list[Any]) -> None:
        self._model, self._target, self._classes = model, target, classes
        self._label = {label: label for label in classes}
        self._text = isinstance(classes[0], str)

    def read_target(self, decoder: Decoder, value: Any) -> Any:
        label = decoder.label(value)
        if label is None:
            return None
        if isinstance(label, str) and not self._text:
            label = labels([label])[0]
        try:
            return self._label[label]
        except (KeyError, TypeError):  # the latter of lists and objects
            shown = ", ".join(repr(c) for c in self._classes[:8])
            raise BadLine(
                f"column {self._target!r} is {label!r:.60}, which is none of the classes {shown}"
                + (", ..." if len(self._classes) > 8 else "")
            ) from None

    def nothing(self) -> dict[str, Any]:
        return dict.fromkeys(("label", "probabilities", "log_density"))

    def forecast(self, x: list[float], y: Any) -> dict[str, Any]:
        X = np.array([x])
        density = None if y is None else float(self._model.log_density(X, [y])[0])
        proba = self._model.predict_proba(X)[0]
        return {
            "label": self._classes[int(np.argmax(proba))],
            "probabilities": dict(zip(self._classes, map(_finite, proba.tolist()), strict=True)),
            "log_density": None if density is None else _finite(density),
        }


def answers_of(model: Any, target: str, coverage: float, classes: list[Any] | None) -> Answers:
    """Return what answers for a model; ``classes`` are those of a classifier."""
    if isinstance(model, hsmoe.HSMoEClassifier):
        assert classes is not None
        return ClassAnswers(model, target, classes)
    return NumberAnswers(model, target, coverage)
