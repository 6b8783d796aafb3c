"""Mixtures of experts for skpro: probabilistic regression on data frames.

The models are those of :mod:`hsmoe`, with their parameters; ``update`` is their ``partial_fit``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from skpro.regression.base import BaseProbaRegressor

from ._core_protocol import FloatArray
from ._skpro_distributions import CountMixtureDistribution, MixtureDistribution
from .counts import HSMoECountRegressor as _CountRegressor
from .regressor import HSMoERegressor as _Regressor

__all__ = [
    "CountMixtureDistribution",
    "HSMoECountRegressor",
    "HSMoERegressor",
    "MixtureDistribution",
]


class _SkproRegressor(BaseProbaRegressor):  # type: ignore[misc]
    """Regression, of real targets or counts."""

    _model_class: ClassVar[Any]
    _distribution_class: ClassVar[Any]

    _tags = {  # noqa: RUF012
        "capability:update": True,
        "capability:multioutput": False,
        "capability:missing": False,
        "X_inner_mtype": "pd_DataFrame_Table",
        "y_inner_mtype": "pd_DataFrame_Table",
    }

    def _fit(self, X: pd.DataFrame, y: pd.DataFrame, C: Any = None) -> Any:
        self.model_ = self._model_class(**self.get_params(deep=False))
        self.model_.fit(_named(X), y.iloc[:, 0].to_numpy())
        return self

    def _update(self, X: pd.DataFrame, y: pd.DataFrame, C: Any = None) -> Any:
        self.model_.partial_fit(_named(X), y.iloc[:, 0].to_numpy())
        return self

    def _predict(self, X: pd.DataFrame) -> pd.DataFrame:
        return self._frame(X, self.model_.predict(_named(X))[:, None])

    def _predict_var(self, X: pd.DataFrame) -> pd.DataFrame:
        _, std = self.model_.predict(_named(X), return_std=True)
        return self._frame(X, std[:, None] ** 2)

    def _predict_quantiles(self, X: pd.DataFrame, alpha: Sequence[float]) -> pd.DataFrame:
        columns = self._get_columns(method="predict_quantiles", alpha=alpha)
        return self._frame(X, self.model_.predict_quantiles(_named(X), alpha), columns)

    def _predict_proba(self, X: pd.DataFrame) -> Any:
        mixture = self.model_._predict_mixture(_named(X))
        return self._distribution_class(mixture, index=X.index, columns=self._get_varnames())

    def _frame(self, X: pd.DataFrame, values: FloatArray, columns: Any = None) -> pd.DataFrame:
        names = self._get_varnames() if columns is None else columns
        return pd.DataFrame(np.asarray(values), index=X.index, columns=names)

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Return parameters for skpro's checks: few particles, seldom scanned."""
        small = {"n_particles": 2, "n_islands": 1, "ess_threshold": 0.1, "random_state": 0}
        return [{"n_experts": 2, **small}, {"n_experts": 3, "gate": "softmax", **small}]


def _named(X: pd.DataFrame) -> pd.DataFrame:
    """Return ``X`` with text for column names if only some of them are text."""
    texts = [isinstance(name, str) for name in X.columns]
    return X.rename(columns=str) if any(texts) and not all(texts) else X


class HSMoERegressor(_SkproRegressor):
    """:class:`hsmoe.HSMoERegressor` for skpro.

    Parameters
    ----------
    n_experts, n_particles, n_islands, gate, gate_prior, expert, gate_features, expert_features, \
ess_threshold, retain, forgetting, n_warmup, standardize, inference, n_jobs, random_state, verbose
        As for :class:`hsmoe.HSMoERegressor`.

    Attributes
    ----------
    model_ : hsmoe.HSMoERegressor
        The model underneath.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from hsmoe.skpro import HSMoERegressor
    >>> X = pd.DataFrame({"x": np.linspace(-1, 1, 200)})
    >>> y = pd.DataFrame({"y": np.abs(X["x"])})
    >>> model = HSMoERegressor(2, n_particles=16, n_islands=1, random_state=0)
    >>> model = model.fit(X.iloc[::2], y.iloc[::2])
    >>> model = model.update(X.iloc[1::2], y.iloc[1::2])
    >>> model.predict_interval(X.head(3), coverage=0.9).shape
    (3, 2)
    >>> model.predict_proba(X.head(3)).cdf(5.0).round(3)["y"].tolist()
    [1.0, 1.0, 1.0]
    """

    _model_class = _Regressor
    _distribution_class = MixtureDistribution

    def __init__(
        self,
        n_experts: Any = 6,
        n_particles: Any = 128,
        n_islands: Any = 4,
        gate: Any = "balanced",
        gate_prior: Any = "horseshoe",
        expert: Any = "gaussian",
        gate_features: Any = None,
        expert_features: Any = None,
        ess_threshold: Any = 0.5,
        retain: Any = 500,
        forgetting: Any = "auto",
        n_warmup: Any = "auto",
        standardize: Any = True,
        inference: Any = "particles",
        n_jobs: Any = 1,
        random_state: Any = None,
        verbose: Any = 0,
    ) -> None:
        self.n_experts = n_experts
        self.n_particles = n_particles
        self.n_islands = n_islands
        self.gate = gate
        self.gate_prior = gate_prior
        self.expert = expert
        self.gate_features = gate_features
        self.expert_features = expert_features
        self.ess_threshold = ess_threshold
        self.retain = retain
        self.forgetting = forgetting
        self.n_warmup = n_warmup
        self.standardize = standardize
        self.inference = inference
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose
        super().__init__()


class HSMoECountRegressor(_SkproRegressor):
    """:class:`hsmoe.HSMoECountRegressor` for skpro; targets are counts.

    Parameters
    ----------
    n_experts, n_particles, n_islands, gate, gate_prior, expert, gate_features, expert_features, \
ess_threshold, retain, forgetting, n_warmup, standardize, inference, n_jobs, random_state, verbose
        As for :class:`hsmoe.HSMoECountRegressor`.

    Attributes
    ----------
    model_ : hsmoe.HSMoECountRegressor
        The model underneath.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from hsmoe.skpro import HSMoECountRegressor
    >>> X = pd.DataFrame({"x": np.arange(80) % 4})
    >>> y = pd.DataFrame({"y": X["x"]})
    >>> model = HSMoECountRegressor(1, n_particles=8, n_islands=1, random_state=0).fit(X, y)
    >>> forecast = model.predict_proba(X.iloc[[3]])
    >>> bool(forecast.pmf(3).iloc[0, 0] > forecast.pmf(9).iloc[0, 0])
    True
    """

    _model_class = _CountRegressor
    _distribution_class = CountMixtureDistribution

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
        n_jobs: Any = 1,
        random_state: Any = None,
        verbose: Any = 0,
    ) -> None:
        self.n_experts = n_experts
        self.n_particles = n_particles
        self.n_islands = n_islands
        self.gate = gate
        self.gate_prior = gate_prior
        self.expert = expert
        self.gate_features = gate_features
        self.expert_features = expert_features
        self.ess_threshold = ess_threshold
        self.retain = retain
        self.forgetting = forgetting
        self.n_warmup = n_warmup
        self.standardize = standardize
        self.inference = inference
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose
        super().__init__()
