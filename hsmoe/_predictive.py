"""Forecasts as values: the mixtures themselves, which stay as they are when the model learns on.

A mixture holds the components of the forecast of each row (particles times experts of them); the
core evaluates their law.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ._checks import check_probs
from ._core_protocol import Engine, FloatArray
from ._dispatch import core
from ._scaling import Scaling
from ._seeding import draw_seed
from ._state import LearnedState
from ._targets import LARGEST_SCORED

__all__ = ["PredictiveMixture", "predictive_mixture"]


@dataclass(frozen=True, eq=False)
class PredictiveMixture:
    """Predictive mixtures of ``n`` rows, ``m`` components each, in units of y."""

    expert: Mapping[str, Any]  # kind and settings of an expert, as the engine takes them
    scaling: Scaling
    weight: FloatArray  # (n, m)
    field: FloatArray  # (n, fields, m): parameters of the components, in standard units
    discrete: bool  # counts
    highest: float  # the largest target there can be

    def __eq__(self, other: object) -> bool:
        """Tell whether another object is the same mixtures, bit for bit."""
        if not isinstance(other, PredictiveMixture):
            return NotImplemented
        mine, theirs = self.scaling, other.scaling
        return (
            self.expert == other.expert
            and (self.discrete, self.highest) == (other.discrete, other.highest)
            and (mine.y_centre, mine.y_scale) == (theirs.y_centre, theirs.y_scale)
            and np.array_equal(self.weight, other.weight)
            and np.array_equal(self.field, other.field)
        )

    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return len(self.weight)

    def rows(self, index: Any) -> PredictiveMixture:
        """Return the mixtures of some rows: a slice, a mask or a list of numbers."""
        return replace(self, weight=self.weight[index], field=self.field[index])

    def _law(self) -> Any:
        return core.ForecastLaw(dict(self.expert))

    def moments(self) -> tuple[FloatArray, FloatArray]:
        """Return mean and standard deviation, shape (n,) each."""
        mean, variance = self._law().moments(self.weight, self.field)
        return self.scaling.location(mean), self.scaling.spread(np.sqrt(variance))

    def quantiles(self, probs: ArrayLike) -> FloatArray:
        """Return quantiles, shape (n, q), at probabilities (q,) from 0 to 1."""
        quantiles = self._law().quantiles(self.weight, self.field, check_probs(probs, closed=True))
        return self.scaling.location(np.asarray(quantiles))

    def cdf(self, y: FloatArray) -> FloatArray:
        """Return P(Y <= y) at ``y`` (n, q), q values for each row."""
        if not self.discrete:
            standard = (y - self.scaling.y_centre) / self.scaling.y_scale
            return np.asarray(self._law().cdf(self.weight, self.field, standard))
        known = ~np.isnan(y)
        counts = np.where(known, np.clip(np.floor(y), 0.0, self.highest), 0.0)
        probability = np.asarray(self._law().cdf(self.weight, self.field, counts))
        return np.where(known, np.where(y < 0, 0.0, probability), np.nan)

    def log_density(self, y: FloatArray) -> FloatArray:
        """Return the log density (counts: log probability) at ``y`` (n, q)."""
        if not self.discrete:
            standard = (y - self.scaling.y_centre) / self.scaling.y_scale
            log = np.asarray(self._law().log_density(self.weight, self.field, standard))
            return self.scaling.log_density(log)
        possible = (y >= 0) & (y <= self.highest) & (y == np.floor(y))
        counts = np.where(possible, y, 0.0)
        log = np.asarray(self._law().log_density(self.weight, self.field, counts))
        return np.where(possible, log, -np.inf)

    def sample(self, n_samples: int, random_state: Any) -> FloatArray:
        """Return draws, shape (n, n_samples)."""
        seed = draw_seed(random_state)
        draws = self._law().sample(self.weight, self.field, n_samples, seed)
        return self.scaling.location(np.asarray(draws))

    def modes(self) -> FloatArray:
        """Return where the density or probability is highest, shape (n,).

        The best of 257 points between the 0.001 and the 0.999 quantile, closer together where there
        is more probability; then of ever finer ones around it, to 1e-6 of the scale of y.
        """
        levels = np.linspace(0.001, 0.999, 33)
        places = np.linspace(0, len(levels) - 1, 257)
        rows = (self.rows(slice(i, i + 1)) for i in range(len(self)))
        return np.array(
            [
                row._highest(np.interp(places, np.arange(len(levels)), row.quantiles(levels)[0]))
                for row in rows
            ]
        )

    def _highest(self, points: FloatArray) -> float:
        """Return the mode of the one row, from sorted ``points`` one of which is next to it."""
        finest = 1.0 if self.discrete else 1e-6 * self.scaling.y_scale
        while True:
            if self.discrete:
                points = np.unique(np.round(points))
            place = int(np.argmax(self.log_density(points[None, :])[0]))
            low, high = points[max(place - 1, 0)], points[min(place + 1, len(points) - 1)]
            if high - low <= 2 * finest:
                return float(points[place])
            points = np.unique(np.append(np.linspace(low, high, 33), points[place]))


def predictive_mixture(
    state: LearnedState,
    engine: Engine,
    scaling: Scaling,
    expert: FloatArray,
    gate: FloatArray,
    n_jobs: int,
) -> PredictiveMixture:
    """Return the forecasts of rows, given by their designs, as a value."""
    weight, field = engine.components(expert, gate, n_jobs)
    settings = state.expert_to_core(scaling)
    discrete = state.target.kind == "count"
    return PredictiveMixture(
        expert=settings,
        scaling=scaling,
        weight=np.asarray(weight),
        field=np.asarray(field),
        discrete=discrete,
        highest=float(settings.get("n_trials", LARGEST_SCORED)),
    )
