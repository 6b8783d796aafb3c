"""Mixture of experts for counts."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._core_protocol import FloatArray, IntArray
from ._experts import BinomialExpert
from ._targets import LARGEST_SCORED, CountTarget, Target
from ._validation import read_target
from .forecast import CountForecast
from .regressor import HSMoERegressor

__all__ = ["HSMoECountRegressor"]


class HSMoECountRegressor(HSMoERegressor):
    """Bayesian mixture of count regressions, learned online.

    ``P(y | x) = sum_k g_k(x) f_k(y | x)`` with the gate of :class:`HSMoERegressor` and experts
    that are negative binomial regressions, or binomial ones.  Features are standardised by the
    first rows, counts are not.  Every method of :class:`HSMoERegressor` speaks of counts here:
    ``log_density`` is the logarithm of a probability, ``predict_cdf`` is P(Y <= y), quantiles are
    counts, ``crps`` is the sum over counts of the squared error of the distribution function.

    Parameters
    ----------
    expert : "negative-binomial", NegativeBinomialExpert or BinomialExpert
        What an expert is; counts out of a known number of trials need
        ``BinomialExpert(n_trials=...)``.  Under variational inference the dispersion of a negative
        binomial must be given.
    n_experts, n_particles, n_islands, gate, gate_prior, gate_features, expert_features, \
ess_threshold, retain, forgetting, n_warmup, standardize, inference, missing, n_jobs, \
random_state, verbose
        As for :class:`HSMoERegressor`.

    References
    ----------
    Polson, Scott & Windle (2013), Bayesian inference for logistic models using Polya-Gamma latent
    variables.

    Examples
    --------
    >>> import numpy as np, hsmoe
    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(-2, 2, size=(400, 1))
    >>> y = rng.poisson(np.where(X[:, 0] > 0, np.exp(2 * X[:, 0]), 3.0))
    >>> model = hsmoe.HSMoECountRegressor(2, 32, 1, random_state=1).fit(X, y)
    >>> model.predict(np.array([[-1.0], [1.5]])).round().tolist()
    [3.0, 20.0]
    >>> model.predict_interval(np.array([[1.5]]), coverage=0.9).shape
    (1, 2)
    """

    _kind = "count"

    def __init__(
        self,
        n_experts: Any = 6,
        n_particles: Any = 128,
        n_islands: Any = 4,
        gate: Any = "balanced",
        gate_prior: Any = "horseshoe",
        expert: Any = "negative-binomial",
        gate_features: Any = None,
        expert_features: Any = None,
        ess_threshold: Any = 0.5,
        retain: Any = 500,
        forgetting: Any = "auto",
        n_warmup: Any = "auto",
        standardize: Any = True,
        inference: Any = "particles",
        missing: Any = "raise",
        n_jobs: Any = 1,
        random_state: Any = None,
        verbose: Any = 0,
    ) -> None:
        self._store(locals())

    def _new_target(self, y: Any, frequencies: IntArray | None = None) -> Target:
        return CountTarget()

    def predict_cdf(self, X: Any, y: Any) -> FloatArray:
        """Return the predictive probability of a count up to ``y``, shape (n,).

        Parameters
        ----------
        X : array_like or data frame, shape (n, d)
            Features, in raw units.
        y : array_like, shape (n,)
            Where to evaluate: any finite numbers; above 2^53, where not every whole number is one
            that a float can be, at 2^53.
        """
        values, _ = read_target(y, None, missing=self.missing)
        probability = super().predict_cdf(X, np.clip(np.floor(values), 0.0, self._highest()))
        return np.where(values < 0, 0.0, probability)

    def _highest(self) -> int:
        expert = self._begun().settings.expert
        return expert.n_trials if isinstance(expert, BinomialExpert) else LARGEST_SCORED

    def prequential(self, X: Any, y: Any, *, crps: bool = True) -> CountForecast:
        """Forecast each row from all rows before it, then learn it.

        As :meth:`HSMoERegressor.prequential`, for counts.

        Returns
        -------
        CountForecast
            With randomised probability integral transforms.
        """
        forecast = super().prequential(X, y, crps=crps)
        assert isinstance(forecast, CountForecast)
        return forecast
