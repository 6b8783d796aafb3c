"""One-step-ahead forecasts of a stream, and how good they were."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from ._checks import check_integer
from ._core_protocol import FloatArray
from ._pit import PitHistogram

if TYPE_CHECKING:
    import pandas

__all__ = ["ClassForecast", "CountForecast", "Forecast", "StreamForecast"]

Self = TypeVar("Self", bound="StreamForecast")

LEVELS = (0.5, 0.9, 0.99)


class StreamForecast:
    """What forecasts of a stream have in common, whatever is forecast."""

    log_density: FloatArray
    log_evidence: FloatArray
    n_warmup: int
    n_skipped: int

    @classmethod
    def _arrays(cls) -> tuple[str, ...]:
        names = (entry.name for entry in fields(cls))  # type: ignore[arg-type]
        return tuple(name for name in names if name not in ("n_warmup", "n_skipped", "classes"))

    @classmethod
    def concatenate(cls: type[Self], parts: Iterable[Self]) -> Self:
        """Join the forecasts of consecutive chunks.

        Raises
        ------
        ValueError
            If there is no part.
        """
        chunks = list(parts)
        if not chunks:
            raise ValueError("there is no forecast to concatenate; pass at least one")
        joined = {
            name: np.concatenate([getattr(chunk, name) for chunk in chunks])
            for name in cls._arrays()
        }
        first: Any = chunks[0]
        return replace(
            first,
            **joined,
            n_warmup=sum(chunk.n_warmup for chunk in chunks),
            n_skipped=sum(chunk.n_skipped for chunk in chunks),
        )

    def __len__(self) -> int:
        return len(self.log_density)

    @property
    def n_scored(self) -> int:
        """Number of rows that were forecast."""
        return len(self) - self.n_warmup - self.n_skipped

    @property
    def mean_log_density(self) -> float:
        """Average log score in nats a row (higher is better); NaN if no row was forecast."""
        return _mean(self.log_density)

    def to_dict(self) -> dict[str, FloatArray]:
        """Return the arrays by name."""
        return {name: getattr(self, name) for name in self._arrays()}

    def to_pandas(self) -> pandas.DataFrame:
        """Return one row for each forecast, each expert's weight a column (needs pandas)."""
        import pandas as pd

        columns = {name: values for name, values in self.to_dict().items() if values.ndim == 1}
        for name, values in self.to_dict().items():
            if values.ndim == 2:
                columns |= {f"{name}_{k}": values[:, k] for k in range(values.shape[1])}
        return pd.DataFrame(columns)

    def _table(self, scores: list[tuple[str, str]]) -> str:
        """Return counts of rows, the scores and the log evidence as a small text table."""
        lines = [
            ("rows forecast", f"{self.n_scored:,}"),
            ("rows of warm-up", f"{self.n_warmup:,}"),
            ("rows skipped", f"{self.n_skipped:,}"),
            *scores,
        ]
        evidence = self.log_evidence[~np.isnan(self.log_evidence)]
        if evidence.size:
            lines.append(("log evidence", f"{evidence[-1]:.2f}"))
        width = max(len(name) for name, _ in lines)
        return "\n".join(f"{name:<{width}}  {value:>12}" for name, value in lines)


@dataclass(frozen=True, eq=False)
class Forecast(StreamForecast):
    """Forecasts of ``n`` rows, each made before its row was learned.

    Rows of the warm-up, and incomplete rows under ``missing="skip"``, hold NaN; averages and
    coverage leave them out.

    Attributes
    ----------
    mean, std : ndarray, shape (n,)
        Mean and standard deviation of the predictive mixture, in units of y.  The standard
        deviation is infinite where it does not exist (after very few rows).
    log_density : ndarray, shape (n,)
        Log predictive density at the y that came, in nats: the log score.
    cdf : ndarray, shape (n,)
        Predictive probability of a value up to that y: the probability integral transform.
    crps : ndarray, shape (n,)
        Continuous ranked probability score, in units of y (lower is better); NaN if not asked.
    ess : ndarray, shape (n,)
        Effective sample size of the particles after the row, summed over islands.
    log_evidence : ndarray, shape (n,)
        Log evidence of all rows so far, the row included, in nats.
    resampled : ndarray, shape (n,)
        How many islands resampled after the row.
    expert_weight : ndarray, shape (n, n_experts)
        Posterior mean of the routing probabilities as forecast, before y was known; rows sum to
        one.  Experts go by their numbers, which particles may use differently: a change of weight
        may be a change of numbers, and experts that mean different things to different particles
        show as weights that are nearly equal.  ``to_arviz`` matches them.
    n_warmup : int
        How many rows were part of the warm-up.
    n_skipped : int
        How many rows were skipped as incomplete.

    Examples
    --------
    >>> import numpy as np, hsmoe
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(300, 2))
    >>> y = X[:, 0] + 0.1 * rng.normal(size=300)
    >>> model = hsmoe.HSMoERegressor(n_experts=1, n_particles=1, random_state=0)
    >>> forecast = model.prequential(X, y)
    >>> forecast.n_warmup, len(forecast)
    (50, 300)
    >>> bool(0.8 < forecast.coverage(0.9) < 1.0), forecast.n_scored, forecast.pit.shape
    (True, 250, (300,))
    >>> bool(forecast.mean_log_density > 0), bool(forecast.mean_crps < 0.1)
    (True, True)
    >>> print(forecast.summary(levels=[0.9]).splitlines()[0])
    rows forecast                      250
    >>> sorted(forecast.to_dict()) == sorted(set(forecast.to_dict()) & set(dir(forecast)))
    True
    >>> forecast.to_pandas().shape, len(type(forecast).concatenate([forecast, forecast]))
    ((300, 9), 600)
    """

    mean: FloatArray
    std: FloatArray
    log_density: FloatArray
    cdf: FloatArray
    crps: FloatArray
    ess: FloatArray
    log_evidence: FloatArray
    resampled: FloatArray
    expert_weight: FloatArray
    n_warmup: int = 0
    n_skipped: int = 0

    @property
    def mean_crps(self) -> float:
        """Average CRPS in units of y (lower is better); NaN if no row was forecast."""
        return _mean(self.crps)

    @property
    def pit(self) -> FloatArray:
        """The probability integral transform of each row, shape (n,): another name of ``cdf``.

        Uniform on (0, 1) and independent from row to row if the forecasts are right.
        """
        return self.cdf

    def pit_histogram(self, bins: int = 20, coverage: float = 0.95) -> PitHistogram:
        """Return how the probability integral transforms spread over equal bins of (0, 1).

        Parameters
        ----------
        bins : int
            Number of bins.
        coverage : float
            Probability that the count of one bin lies in its band if the forecasts are right; of
            ``bins`` bins about ``bins * (1 - coverage)`` lie outside even then.

        Returns
        -------
        PitHistogram

        Raises
        ------
        ValueError
            If ``bins`` is below 1 or ``coverage`` not between 0 and 1.

        References
        ----------
        Diebold, Gunther & Tay (1998), Evaluating density forecasts.
        Gneiting, Balabdaoui & Raftery (2007), Probabilistic forecasts, calibration and sharpness.

        Examples
        --------
        >>> import numpy as np, hsmoe
        >>> rng = np.random.default_rng(0)
        >>> X = rng.normal(size=(300, 2))
        >>> y = X[:, 0] + 0.1 * rng.normal(size=300)
        >>> model = hsmoe.HSMoERegressor(n_experts=1, n_particles=1, random_state=0)
        >>> histogram = model.prequential(X, y).pit_histogram(bins=5)
        >>> int(histogram.counts.sum()), histogram.band
        (250, (38, 63))
        """
        return PitHistogram.of(self.pit, bins, coverage)

    def coverage(self, levels: ArrayLike = LEVELS) -> FloatArray | np.float64:
        """Return the share of rows inside their central predictive intervals.

        Parameters
        ----------
        levels : float or array_like, shape (q,)
            Nominal coverages between 0 and 1.

        Returns
        -------
        float, or ndarray of shape (q,)
            NaN if no row was forecast.

        Raises
        ------
        ValueError
            If a level is not between 0 and 1.
        """
        nominal = np.asarray(levels, dtype=np.float64)
        if not ((nominal > 0) & (nominal < 1)).all():
            raise ValueError(f"levels is {levels!r}; coverages must lie between 0 and 1")
        # In the central interval of coverage c just if |2 cdf - 1| <= c.
        pit = self.pit
        distance = np.abs(2.0 * pit[~np.isnan(pit)] - 1.0)
        if distance.size == 0:
            return np.full(nominal.shape, np.nan)[()]
        inside = [np.mean(distance <= level) for level in nominal.ravel()]
        return np.array(inside).reshape(nominal.shape)[()]

    def summary(self, levels: Sequence[float] = LEVELS) -> str:
        """Return the scores as a small text table.

        Parameters
        ----------
        levels : sequence of float
            Nominal coverages to report.
        """
        lines = [
            ("log score (nats a row)", f"{self.mean_log_density:.4f}"),
            ("CRPS (units of y)", f"{self.mean_crps:.5g}"),
        ]
        for level, share in zip(levels, np.atleast_1d(self.coverage(levels)), strict=True):
            lines.append((f"coverage of {100 * level:g}% interval", f"{100 * share:.1f}%"))
        return self._table(lines)

    def __repr__(self) -> str:
        scores: dict[str, Any] = {
            "log score": self.mean_log_density,
            "CRPS": self.mean_crps,
            "90% coverage": float(self.coverage(0.9)),
        }
        text = ", ".join(f"{name} {value:.4g}" for name, value in scores.items())
        return (
            f"<{type(self).__name__} of {self.n_scored} rows after {self.n_warmup} of warm-up: "
            f"{text}>"
        )


@dataclass(frozen=True, eq=False, repr=False)
class CountForecast(Forecast):
    """Forecasts of counts, each made before its row was learned.

    As :class:`Forecast`, with these differences: ``log_density`` is the logarithm of a
    probability; ``cdf`` jumps at the counts, so that ``pit``, and with it ``coverage`` and
    ``pit_histogram``, is randomised between the two ends of the jump.

    Examples
    --------
    >>> import numpy as np, hsmoe
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(120, 1))
    >>> y = rng.poisson(np.exp(1 + X[:, 0]))
    >>> model = hsmoe.HSMoECountRegressor(1, 20, 1, random_state=0)
    >>> forecast = model.prequential(X, y)
    >>> bool((forecast.pit[50:] <= forecast.cdf[50:]).all()), forecast.randomised_pit(1).shape
    (True, (120,))
    """

    @property
    def pit(self) -> FloatArray:
        """Randomised probability integral transform, shape (n,); the same at every look."""
        return self.randomised_pit(0)

    def randomised_pit(self, random_state: Any = None) -> FloatArray:
        """Return ``P(Y < y) + v P(Y = y)`` with ``v`` uniform on (0, 1), shape (n,).

        Parameters
        ----------
        random_state : None, int, SeedSequence or Generator
            Seed of ``v``.

        References
        ----------
        Czado, Gneiting & Held (2009), Predictive model assessment for count data.
        """
        uniform = np.random.default_rng(random_state).random(len(self))
        return np.clip(self.cdf - uniform * np.exp(self.log_density), 0.0, 1.0)


@dataclass(frozen=True, eq=False)
class ClassForecast(StreamForecast):
    """Forecasts of classes, each made before its row was learned.

    Rows of the warm-up, and incomplete rows under ``missing="skip"``, hold NaN; averages leave
    them out.

    Attributes
    ----------
    proba : ndarray, shape (n, n_classes)
        Predictive probability of each class.
    observed : ndarray, shape (n,)
        Number of the class that came, counted in ``classes``.
    classes : ndarray, shape (n_classes,)
        The labels.
    log_density : ndarray, shape (n,)
        Logarithm of the probability of the class that came: minus the log loss.
    ess, log_evidence, resampled, expert_weight, n_warmup, n_skipped
        As in :class:`Forecast`.

    Examples
    --------
    >>> import numpy as np, hsmoe
    >>> X = np.random.default_rng(0).normal(size=(200, 2))
    >>> model = hsmoe.HSMoEClassifier(1, 20, 1, random_state=0)
    >>> forecast = model.prequential(X, np.where(X[:, 0] > 0, "up", "down"))
    >>> forecast.n_scored, forecast.classes.tolist()
    (150, ['down', 'up'])
    >>> bool(forecast.log_loss < 0.5), bool(forecast.accuracy > 0.8)
    (True, True)
    >>> bool(forecast.mean_brier < 0.4), forecast.brier.shape
    (True, (200,))
    >>> list(forecast.calibration("up", bins=5))
    ['forecast', 'observed', 'count']
    """

    proba: FloatArray
    observed: FloatArray
    log_density: FloatArray
    ess: FloatArray
    log_evidence: FloatArray
    resampled: FloatArray
    expert_weight: FloatArray
    classes: np.ndarray[Any, Any]
    n_warmup: int = 0
    n_skipped: int = 0

    @property
    def log_loss(self) -> float:
        """Average log loss in nats a row (lower is better); NaN if no row was forecast."""
        return -self.mean_log_density

    @property
    def brier(self) -> FloatArray:
        """Brier score of each row, ``sum_c (proba_c - 1{y = c})^2``, shape (n,).

        From 0 to 2; for two classes twice the squared error of the probability of one of them.
        """
        score = np.full(len(self), np.nan)
        known = ~np.isnan(self.observed)
        hit = np.arange(len(self.classes)) == self.observed[known, None]
        score[known] = ((self.proba[known] - hit) ** 2).sum(axis=1)
        return score

    @property
    def mean_brier(self) -> float:
        """Average Brier score (lower is better); NaN if no row was forecast."""
        return _mean(self.brier)

    @property
    def accuracy(self) -> float:
        """Share of rows whose most probable class came; NaN if no row was forecast."""
        known = ~np.isnan(self.observed)
        if not known.any():
            return float("nan")
        return float(np.mean(np.argmax(self.proba[known], axis=1) == self.observed[known]))

    def calibration(self, label: Any = None, bins: int = 10) -> dict[str, FloatArray]:
        """Return how often a class came where it was forecast with a probability.

        Parameters
        ----------
        label : label of a class, optional
            The last class by default.
        bins : int
            Equal bins of the forecast probability.

        Returns
        -------
        dict
            ``forecast`` and ``observed``, mean probability and share of the class in each bin (NaN
            in empty bins), and ``count``, each of shape (bins,).
        """
        count = check_integer("bins", bins, 1)
        number = len(self.classes) - 1
        if label is not None:
            places = np.flatnonzero(self.classes == label)
            if not places.size:
                raise ValueError(f"label is {label!r}; the classes are {self.classes.tolist()}")
            number = int(places[0])
        known = ~np.isnan(self.observed)
        p, came = self.proba[known, number], self.observed[known] == number
        place = np.minimum((p * count).astype(np.int64), count - 1)
        rows = np.bincount(place, minlength=count).astype(np.float64)
        with np.errstate(invalid="ignore"):
            return {
                "forecast": np.bincount(place, p, minlength=count) / rows,
                "observed": np.bincount(place, came, minlength=count) / rows,
                "count": rows,
            }

    def summary(self) -> str:
        """Return the scores as a small text table."""
        return self._table(
            [
                ("log loss (nats a row)", f"{self.log_loss:.4f}"),
                ("Brier score", f"{self.mean_brier:.4f}"),
                ("accuracy", f"{100 * self.accuracy:.1f}%"),
            ]
        )

    def __repr__(self) -> str:
        return (
            f"<ClassForecast of {self.n_scored} rows after {self.n_warmup} of warm-up: log loss "
            f"{self.log_loss:.4g}, Brier {self.mean_brier:.4g}, accuracy {self.accuracy:.4g}>"
        )


def _mean(scores: FloatArray) -> float:
    usable = scores[~np.isnan(scores)]
    return float(usable.mean()) if usable.size else float("nan")
