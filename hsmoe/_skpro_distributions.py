"""Forecasts of rows as distributions of skpro: the exact mixtures over the particles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from skpro.distributions.base import BaseDistribution

from ._core_protocol import FloatArray
from ._predictive import PredictiveMixture

__all__ = ["CountMixtureDistribution", "MixtureDistribution"]

# Levels of the quantiles that stand for a distribution in the energies.
_ENERGY_LEVELS = (np.arange(1000) + 0.5) / 1000


class _PredictiveDistribution(BaseDistribution):  # type: ignore[misc]
    """The mixtures of rows, one column; frozen as they were forecast."""

    def __init__(self, mixture: PredictiveMixture, index: Any = None, columns: Any = None) -> None:
        self.mixture = mixture
        super().__init__(index=index, columns=columns)

    def _mean(self) -> Any:
        return self._shaped(self.mixture.moments()[0])

    def _var(self) -> Any:
        return self._shaped(self.mixture.moments()[1] ** 2)

    def _cdf(self, x: Any) -> Any:
        return self._at(self.mixture.cdf, x)

    def _log_at(self, x: Any) -> Any:
        return self._at(self.mixture.log_density, x)

    def _at(self, function: Any, x: Any) -> Any:
        """Return a function of the mixtures at one value each."""
        values = np.asarray(x, dtype=np.float64).reshape(len(self.mixture), 1)
        return self._shaped(function(values)[:, 0])

    def _ppf(self, p: Any) -> Any:
        levels = np.asarray(p, dtype=np.float64).reshape(-1)
        if len(levels) and (levels == levels[0]).all():
            return self._shaped(self.mixture.quantiles(levels[:1])[:, 0])
        rows = (self.mixture.rows(slice(i, i + 1)) for i in range(len(levels)))
        quantiles = [row.quantiles([level])[0, 0] for row, level in zip(rows, levels, strict=True)]
        return self._shaped(np.array(quantiles, dtype=np.float64))

    def _energy_x(self, x: Any) -> Any:
        """Return E|X - x|, the mean over a thousand quantiles of X."""
        values = np.asarray(x, dtype=np.float64).reshape(len(self.mixture), 1)
        distance = np.abs(self.mixture.quantiles(_ENERGY_LEVELS) - values)
        return self._shaped(distance.mean(axis=1))

    def _energy_self(self) -> Any:
        """Return E|X - Y| = 2 E[(2 U - 1) F^-1(U)], U uniform, over the same quantiles."""
        quantiles = self.mixture.quantiles(_ENERGY_LEVELS)
        return self._shaped(2 * np.mean((2 * _ENERGY_LEVELS - 1) * quantiles, axis=1))

    def _sample(self, n_samples: int | None = None) -> Any:
        seed = int(np.random.randint(0, 2**31 - 1))  # noqa: NPY002  # skpro's tests seed this one
        draws = self.mixture.sample(1 if n_samples is None else n_samples, seed)
        if self.ndim == 0:
            return float(draws[0, 0]) if n_samples is None else pd.DataFrame(draws.T)
        if n_samples is None:
            return pd.DataFrame(draws, index=self.index, columns=self.columns)
        frames = [
            pd.DataFrame(draws[:, [i]], index=self.index, columns=self.columns)
            for i in range(n_samples)
        ]
        return pd.concat(frames, keys=range(n_samples))

    def _shaped(self, values: FloatArray) -> Any:
        return values[0] if self.ndim == 0 else values[:, None]

    def _iloc(self, rowidx: Any = None, colidx: Any = None) -> Any:
        if np.isscalar(rowidx) and np.isscalar(colidx):
            return self._iat(rowidx, colidx)
        rows, columns = np.arange(len(self.index)), np.arange(len(self.columns))
        rows = rows if rowidx is None else np.atleast_1d(rows[rowidx])
        columns = columns if colidx is None else np.atleast_1d(columns[colidx])
        return type(self)(
            self.mixture.rows(rows), index=self.index[rows], columns=self.columns[columns]
        )

    def _iat(self, rowidx: Any = None, colidx: Any = None) -> Any:
        if rowidx is None or colidx is None:
            raise ValueError("iat takes the number of a row and of a column")
        row = range(len(self.index))[rowidx]
        return type(self)(self.mixture.rows(slice(row, row + 1)))

    @classmethod
    def _examples(cls, model: Any, y: Any) -> list[dict[str, Any]]:
        """Return parameters for skpro's checks: several rows, and one."""
        X = np.linspace(-1, 1, 40)[:, None]
        mixture = model.fit(X, y(X[:, 0]))._predict_mixture(X[::10])
        index = pd.Index([3, 1, 4, 15])
        return [
            {"mixture": mixture, "index": index, "columns": pd.Index(["y"])},
            {"mixture": mixture.rows(slice(0, 1))},
        ]


class MixtureDistribution(_PredictiveDistribution):
    """Predictive distributions of a real target: what ``predict_proba`` returns.

    Density, distribution function, quantiles and moments are those of the exact mixture, of
    Student-t (or normal, or Laplace) components; energies are taken over a thousand quantiles.

    Parameters
    ----------
    mixture : PredictiveMixture
        The forecasts, frozen: it stays as it is when the model learns on.
    index, columns : pandas.Index, optional
        Of the rows, and of the target; without them the distribution is a scalar.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from hsmoe.skpro import HSMoERegressor
    >>> X = pd.DataFrame({"x": np.linspace(-1, 1, 100)})
    >>> y = pd.DataFrame({"y": 2 * X["x"]})
    >>> model = HSMoERegressor(1, n_particles=4, n_islands=1, random_state=0).fit(X, y)
    >>> model.predict_proba(X.head(2)).ppf(0.5).round(1)["y"].tolist()
    [-2.0, -2.0]
    """

    _tags = {  # noqa: RUF012
        "capabilities:approx": ["energy", "pdfnorm"],
        "capabilities:exact": ["mean", "var", "pdf", "log_pdf", "cdf", "ppf"],
        "distr:measuretype": "continuous",
        "distr:paramtype": "nonparametric",
    }

    def _log_pdf(self, x: Any) -> Any:
        return self._log_at(x)

    def _pdf(self, x: Any) -> Any:
        return np.exp(self._log_at(x))

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Return parameters for skpro's checks."""
        from .regressor import HSMoERegressor

        return cls._examples(HSMoERegressor(2, 4, 1, random_state=0), np.abs)


class CountMixtureDistribution(_PredictiveDistribution):
    """Predictive distributions of counts: what ``predict_proba`` of a count regressor returns.

    Parameters
    ----------
    mixture : PredictiveMixture
        The forecasts, frozen: it stays as it is when the model learns on.
    index, columns : pandas.Index, optional
        Of the rows, and of the target; without them the distribution is a scalar.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from hsmoe.skpro import HSMoECountRegressor
    >>> X = pd.DataFrame({"x": np.arange(80) % 4})
    >>> model = HSMoECountRegressor(1, n_particles=8, n_islands=1, random_state=0)
    >>> model.fit(X, X.rename(columns={"x": "y"})).predict_proba(X.head(1)).pmf(2.5)["y"].tolist()
    [0.0]
    """

    _tags = {  # noqa: RUF012
        "capabilities:approx": ["energy", "pdfnorm"],
        "capabilities:exact": ["mean", "var", "pmf", "log_pmf", "cdf", "ppf"],
        "distr:measuretype": "discrete",
        "distr:paramtype": "nonparametric",
    }

    def _log_pmf(self, x: Any) -> Any:
        return self._log_at(x)

    def _pmf(self, x: Any) -> Any:
        return np.exp(self._log_at(x))

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Return parameters for skpro's checks."""
        from .counts import HSMoECountRegressor

        model = HSMoECountRegressor(2, 4, 1, random_state=0)
        return cls._examples(model, lambda x: np.rint(3 + 2 * x))
