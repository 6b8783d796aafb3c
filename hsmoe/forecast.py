"""One-step-ahead forecasts of a stream, and how good they were."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ._core_protocol import FloatArray
from ._pit import PitHistogram

if TYPE_CHECKING:
    import pandas

__all__ = ["Forecast"]

LEVELS = (0.5, 0.9, 0.99)


@dataclass(frozen=True, eq=False)
class Forecast:
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
    >>> bool(0.8 < forecast.coverage(0.9) < 1.0)
    True
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

    @classmethod
    def _arrays(cls) -> tuple[str, ...]:
        return tuple(field.name for field in fields(cls) if not field.name.startswith("n_"))

    @classmethod
    def concatenate(cls, parts: Iterable[Forecast]) -> Forecast:
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
        return cls(
            **joined,
            n_warmup=sum(chunk.n_warmup for chunk in chunks),
            n_skipped=sum(chunk.n_skipped for chunk in chunks),
        )

    def __len__(self) -> int:
        return len(self.mean)

    @property
    def n_scored(self) -> int:
        """Number of rows that were forecast."""
        return len(self) - self.n_warmup - self.n_skipped

    @property
    def mean_log_density(self) -> float:
        """Average log score in nats a row (higher is better); NaN if no row was forecast."""
        return _mean(self.log_density)

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
        return PitHistogram.of(self.cdf, bins, coverage)

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
        distance = np.abs(2.0 * self.cdf[~np.isnan(self.cdf)] - 1.0)
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
            ("rows forecast", f"{self.n_scored:,}"),
            ("rows of warm-up", f"{self.n_warmup:,}"),
            ("rows skipped", f"{self.n_skipped:,}"),
            ("log score (nats a row)", f"{self.mean_log_density:.4f}"),
            ("CRPS (units of y)", f"{self.mean_crps:.5g}"),
        ]
        for level, share in zip(levels, np.atleast_1d(self.coverage(levels)), strict=True):
            lines.append((f"coverage of {100 * level:g}% interval", f"{100 * share:.1f}%"))
        evidence = self.log_evidence[~np.isnan(self.log_evidence)]
        if evidence.size:
            lines.append(("log evidence", f"{evidence[-1]:.2f}"))
        width = max(len(name) for name, _ in lines)
        return "\n".join(f"{name:<{width}}  {value:>12}" for name, value in lines)

    def to_dict(self) -> dict[str, FloatArray]:
        """Return the arrays by name."""
        return {name: getattr(self, name) for name in self._arrays()}

    def to_pandas(self) -> pandas.DataFrame:
        """Return one row for each forecast, each expert's weight a column (needs pandas)."""
        import pandas as pd

        columns = {name: values for name, values in self.to_dict().items() if values.ndim == 1}
        for k in range(self.expert_weight.shape[1]):
            columns[f"expert_weight_{k}"] = self.expert_weight[:, k]
        return pd.DataFrame(columns)

    def __repr__(self) -> str:
        scores: dict[str, Any] = {
            "log score": self.mean_log_density,
            "CRPS": self.mean_crps,
            "90% coverage": float(self.coverage(0.9)),
        }
        text = ", ".join(f"{name} {value:.4g}" for name, value in scores.items())
        return f"<Forecast of {self.n_scored} rows after {self.n_warmup} of warm-up: {text}>"


def _mean(scores: FloatArray) -> float:
    usable = scores[~np.isnan(scores)]
    return float(usable.mean()) if usable.size else float("nan")
