"""Forecasts of one row as distributions of river."""

from __future__ import annotations

from typing import Any

import numpy as np
from river import proba

from ._checks import check_number
from ._predictive import PredictiveMixture

__all__ = ["PredictiveCounts", "PredictiveDistribution", "StreamForecast"]


class StreamForecast(proba.base.Distribution):  # type: ignore[misc]
    """One row's forecast, frozen as it was made."""

    def __init__(self, mixture: PredictiveMixture, n_samples: int, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mixture = mixture
        self._n_samples = n_samples
        mean, std = mixture.moments()
        self._mu, self._sigma = float(mean[0]), float(std[0])

    @property
    def mu(self) -> float:
        """The mean."""
        return self._mu

    @property
    def sigma(self) -> float:
        """The standard deviation; infinite where it does not exist."""
        return self._sigma

    @property
    def n_samples(self) -> int:
        """How many rows the model had learned when it made the forecast."""
        return self._n_samples

    @property
    def mode(self) -> float:
        """The most likely value."""
        return float(self.mixture.modes()[0])

    def cdf(self, x: float) -> float:
        """Return P(Y <= x)."""
        return float(self.mixture.cdf(np.array([[float(x)]]))[0, 0])

    def log_pdf(self, x: float) -> float:
        """Return the logarithm of the density (of counts: of the probability) at x."""
        return float(self.mixture.log_density(np.array([[float(x)]]))[0, 0])

    def __call__(self, x: float) -> float:
        """Return the density (of counts: the probability) at x."""
        return float(np.exp(self.log_pdf(x)))

    def quantile(self, p: float) -> float:
        """Return the p-quantile, p between 0 and 1."""
        return float(self.mixture.quantiles([p])[0, 0])

    def interval(self, coverage: float = 0.9) -> tuple[float, float]:
        """Return the equal-tailed interval of that coverage."""
        tail = 0.5 * (1.0 - check_number("coverage", coverage, 0.0, 1.0))
        low, high = self.mixture.quantiles([tail, 1.0 - tail])[0]
        return float(low), float(high)

    def sample(self) -> float:
        """Return a draw."""
        return float(self.mixture.sample(1, self._rng.getrandbits(64))[0, 0])

    def update(self, x: Any) -> None:
        """Refuse: a forecast is of one row; the model learns."""
        raise NotImplementedError("a forecast does not learn; call learn_one of the model")

    def revert(self, x: Any) -> None:
        """Refuse: see :meth:`update`."""
        raise NotImplementedError("a forecast has learned nothing that could be reverted")

    def __repr__(self) -> str:
        return f"{type(self).__name__}(mu={self.mu:.6g}, sigma={self.sigma:.6g})"


class PredictiveDistribution(StreamForecast, proba.base.ContinuousDistribution):  # type: ignore[misc]
    """The predictive distribution of a real target: the exact mixture over the particles."""


class PredictiveCounts(StreamForecast):
    """The predictive distribution of a count; calling it gives a probability."""
