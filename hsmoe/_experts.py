"""Experts: what each component of the mixture says about the target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from ._checks import check_integer, check_number
from ._core_protocol import FloatArray

__all__ = [
    "BinomialExpert",
    "Expert",
    "GaussianExpert",
    "LaplaceExpert",
    "LogitExpert",
    "NegativeBinomialExpert",
    "StudentExpert",
    "resolve_expert",
]


@dataclass(frozen=True)
class GaussianExpert:
    """Linear regression with unknown noise variance (normal-inverse-gamma).

    ``y ~ N(x'beta, s2)``, ``beta | s2 ~ N(0, s2 V I)``, ``s2 ~ IG(a0, b0)``, on standardised
    features and target; ``V`` is learned, around ``coefficient_variance``.

    Parameters
    ----------
    a0 : float
        Shape of the inverse gamma prior of the noise variance.
    b0 : float
        Its scale; ``b0 / (a0 - 1)`` is the prior mean of the noise variance.  The prior mean of the
        scale where it is learned.
    b0_shape : float
        If positive the scale is learned, one for each expert: ``b0_k ~ Gamma(shape b0_shape,
        mean b0)``, drawn anew at every rejuvenation.  0: b0 is fixed.
    coefficient_variance : float
        Prior variance ``V`` of a coefficient, in units of the noise variance.  The reciprocal of
        the prior mean of ``1 / V`` where it is learned.
    coefficient_shape : float
        If positive ``V`` is learned, one for each expert: ``1 / V_k ~ Gamma(shape
        coefficient_shape, mean 1 / coefficient_variance)``, drawn anew at every rejuvenation; the
        smaller, the further an expert may go from ``coefficient_variance``.  0: V is fixed.

    Notes
    -----
    The fraction of the target's variance that an expert explains is about ``V x'x / (1 + V x'x)``
    under the prior: one V for all data is too small where there is little noise and too large where
    there is little to explain, and both cost forecasts.  A learned V makes the prior of ``beta``
    a multivariate Student-t one with ``2 * coefficient_shape`` degrees of freedom.  With
    ``retain=0`` nothing is rejuvenated: each particle keeps the b0 and V it drew from their priors.

    Examples
    --------
    >>> import hsmoe
    >>> hsmoe.GaussianExpert(b0=0.05)
    GaussianExpert(a0=2.0, b0=0.05, b0_shape=1.0, coefficient_variance=10.0, coefficient_shape=1.0)
    """

    a0: float = 2.0
    b0: float = 0.1
    b0_shape: float = 1.0
    coefficient_variance: float = 10.0
    coefficient_shape: float = 1.0

    def __post_init__(self) -> None:
        _check_noise(self)

    def to_core(self, n_columns: int) -> dict[str, Any]:
        """Return the settings as the engine takes them, for so many features."""
        return {
            "kind": "gaussian",
            "a0": float(self.a0),
            "b0": float(self.b0),
            "b0_shape": float(self.b0_shape),
            "coefficient_variance": float(self.coefficient_variance),
            "coefficient_shape": float(self.coefficient_shape),
        }

    def draw(
        self, rng: np.random.Generator, eta: FloatArray, noise_sd: FloatArray, shape: FloatArray
    ) -> FloatArray:
        """Return one target for each linear predictor (..., 1), given the noise."""
        return eta[..., 0] + noise_sd * rng.standard_normal(eta.shape[:-1])


# The degrees of freedom and the dispersion lie on grids of these values where they are learned.
_DF_GRID = tuple(2.5 * 2.0 ** (j / 4) for j in range(21))  # 2.5 ... 80
_DISPERSION_GRID = tuple(0.05 * 2.0 ** (j / 3) for j in range(37))  # 0.05 ... 205


@dataclass(frozen=True)
class StudentExpert:
    """Linear regression with Student-t errors: outliers move it little.

    ``y = x'beta + s t_df``, ``beta | s ~ N(0, s^2 coefficient_variance I)``,
    ``s^2 ~ IG(a0, b0)``, on standardised features and target.

    Parameters
    ----------
    df : float or None
        Degrees of freedom; None: learned, one for each expert, on a grid of 21 values from 2.5 to
        80 that are equally likely beforehand.  Below 2 the predictive variance is infinite, up to
        1 there is no mean.
    a0, b0, b0_shape, coefficient_variance, coefficient_shape : float
        As for :class:`GaussianExpert`, with the squared scale in place of the noise variance.

    Notes
    -----
    The degrees of freedom move only in the scans of rejuvenation (never with ``retain=0``).  Rows
    no longer retained speak of them by their likelihood at the coefficients of the time they left.

    Examples
    --------
    >>> import hsmoe
    >>> model = hsmoe.HSMoERegressor(expert=hsmoe.StudentExpert(df=4.0))
    >>> model.expert.df
    4.0
    """

    df: float | None = None
    a0: float = 2.0
    b0: float = 0.1
    b0_shape: float = 1.0
    coefficient_variance: float = 10.0
    coefficient_shape: float = 1.0

    def __post_init__(self) -> None:
        if self.df is not None:
            check_number("StudentExpert: df", self.df)
        _check_noise(self)

    def to_core(self, n_columns: int) -> dict[str, Any]:
        """Return the settings as the engine takes them, for so many features."""
        grid = _DF_GRID if self.df is None else (float(self.df),)
        return {"kind": "student", "shape_grid": list(grid), **_noise_to_core(self)}

    def draw(
        self, rng: np.random.Generator, eta: FloatArray, noise_sd: FloatArray, shape: FloatArray
    ) -> FloatArray:
        """Return one target for each linear predictor, given noise scale and df."""
        return eta[..., 0] + noise_sd * rng.standard_t(shape)


@dataclass(frozen=True)
class LaplaceExpert:
    """Median regression: linear, with Laplace errors.

    ``y ~ Laplace(x'beta, s)`` of density ``exp(-|y - x'beta| / s) / (2 s)``,
    ``beta | s ~ N(0, s^2 coefficient_variance I)``, ``s^2 ~ IG(a0, b0)``, on standardised features
    and target.

    Parameters
    ----------
    a0, b0, b0_shape, coefficient_variance, coefficient_shape : float
        As for :class:`GaussianExpert`, with the squared scale in place of the noise variance.

    Examples
    --------
    >>> import hsmoe
    >>> hsmoe.LaplaceExpert()
    LaplaceExpert(a0=2.0, b0=0.1, b0_shape=1.0, coefficient_variance=10.0, coefficient_shape=1.0)
    """

    a0: float = 2.0
    b0: float = 0.1
    b0_shape: float = 1.0
    coefficient_variance: float = 10.0
    coefficient_shape: float = 1.0

    def __post_init__(self) -> None:
        _check_noise(self)

    def to_core(self, n_columns: int) -> dict[str, Any]:
        """Return the settings as the engine takes them, for so many features."""
        return {"kind": "laplace", **_noise_to_core(self)}

    def draw(
        self, rng: np.random.Generator, eta: FloatArray, noise_sd: FloatArray, shape: FloatArray
    ) -> FloatArray:
        """Return one target for each linear predictor, given the noise scale."""
        return eta[..., 0] + rng.laplace(0.0, noise_sd)


@dataclass(frozen=True)
class LogitExpert:
    """Logistic regression on the class.

    Two classes: ``P(classes_[1] | x) = sigmoid(c + x'beta)``.  More: a comb, for each class from
    the last down to the second, whether it is that one of those left,
    ``P(class j | class <= j, x) = sigmoid(c_j + x'beta_j)``.  The constants ``c`` are the log odds
    of the warm-up rows (0 without standardisation), so that coefficients near zero mean the usual
    shares; ``beta ~ N(0, diag(intercept_variance, coefficient_variance, ...))`` on standardised
    features.

    Parameters
    ----------
    intercept_variance, coefficient_variance : float
        Prior variances.

    Examples
    --------
    >>> import hsmoe
    >>> hsmoe.LogitExpert(coefficient_variance=1.0)
    LogitExpert(intercept_variance=4.0, coefficient_variance=1.0)
    """

    intercept_variance: float = 4.0
    coefficient_variance: float = 2.0

    def __post_init__(self) -> None:
        _check_variances(self)

    def to_core(self, n_columns: int) -> dict[str, Any]:
        """Return the settings as the engine takes them, for so many features."""
        return {"kind": "logit", **_variances_to_core(self)}

    def draw(
        self, rng: np.random.Generator, eta: FloatArray, noise_sd: FloatArray, shape: FloatArray
    ) -> FloatArray:
        """Return one class number for each row of linear predictors."""
        success = rng.random(eta.shape) < _sigmoid(eta)
        # The last success counts; without any it is class 0.
        numbers = np.where(success, np.arange(1, eta.shape[-1] + 1), 0)
        return numbers.max(axis=-1).astype(np.float64)


@dataclass(frozen=True)
class BinomialExpert:
    """Logistic regression on a number of successes out of ``n_trials``.

    ``y ~ Binomial(n_trials, sigmoid(c + x'beta))``, priors as for :class:`LogitExpert`.

    Parameters
    ----------
    n_trials : int
        Trials of each row.
    intercept_variance, coefficient_variance : float
        Prior variances.

    Examples
    --------
    >>> import hsmoe
    >>> hsmoe.BinomialExpert(n_trials=10)
    BinomialExpert(n_trials=10, intercept_variance=4.0, coefficient_variance=2.0)
    """

    n_trials: int
    intercept_variance: float = 4.0
    coefficient_variance: float = 2.0

    def __post_init__(self) -> None:
        if check_integer("BinomialExpert: n_trials", self.n_trials, 1) >= 10**6:
            raise ValueError(
                f"BinomialExpert: n_trials is {self.n_trials}; it must be below 1,000,000"
            )
        _check_variances(self)

    def to_core(self, n_columns: int) -> dict[str, Any]:
        """Return the settings as the engine takes them, for so many features."""
        return {"kind": "binomial", "n_trials": float(self.n_trials), **_variances_to_core(self)}

    def draw(
        self, rng: np.random.Generator, eta: FloatArray, noise_sd: FloatArray, shape: FloatArray
    ) -> FloatArray:
        """Return one number of successes for each linear predictor."""
        return rng.binomial(self.n_trials, _sigmoid(eta[..., 0])).astype(np.float64)


@dataclass(frozen=True)
class NegativeBinomialExpert:
    """Regression of overdispersed counts, with a logarithmic link.

    ``y`` has mean ``mu = exp(c + x'beta)`` and variance ``mu + mu^2 / dispersion``; ``c`` is the
    logarithm of the mean of the warm-up rows (0 without standardisation), and ``beta ~
    N(0, diag(intercept_variance, coefficient_variance, ...))`` on standardised features.

    Parameters
    ----------
    dispersion : float or None
        None: learned, one for each expert, on a grid of 37 values from 0.05 to 205 that are
        equally likely beforehand.  205 is nearly Poisson where means are well below 205; with
        means of 1,000 its standard deviation is 2.4 times that of a Poisson law, and intervals
        of Poisson counts are too wide by as much.
    intercept_variance : float
        Prior variance of the intercept.
    coefficient_variance : float or None
        Prior variance of each slope.  None: 1 / (number of features), so that the logarithm of the
        mean of a typical row has the same prior variance with many features as with few.  Means
        are exponentials: with a fixed variance and a dozen features an expert without rows would
        expect counts in the millions.

    Notes
    -----
    The dispersion moves only in the scans of rejuvenation (never with ``retain=0``).  While all
    rows are retained that is exact.  Rows no longer retained speak of the dispersion by their
    likelihood at the coefficients of the time they left, and of the coefficients as they did at
    the dispersion of that time.  The cost of a row grows with its count and with the dispersion,
    as a sum of so many Polya-Gamma draws: for counts of thousands, or to fix a dispersion of
    thousands, :class:`hsmoe.HSMoERegressor` for their logarithm or square root is the better
    choice.

    Examples
    --------
    >>> import hsmoe
    >>> hsmoe.NegativeBinomialExpert(dispersion=2.0)
    NegativeBinomialExpert(dispersion=2.0, intercept_variance=1.0, coefficient_variance=None)
    """

    dispersion: float | None = None
    intercept_variance: float = 1.0
    coefficient_variance: float | None = None

    def __post_init__(self) -> None:
        if self.dispersion is not None:
            check_number("NegativeBinomialExpert: dispersion", self.dispersion, 1e-3, 1e6)
        _check_variances(self)

    def to_core(self, n_columns: int) -> dict[str, Any]:
        """Return the settings as the engine takes them, for so many features."""
        grid = _DISPERSION_GRID if self.dispersion is None else (float(self.dispersion),)
        return {
            "kind": "negative-binomial",
            "shape_grid": list(grid),
            **_variances_to_core(self, 1.0 / max(1, n_columns)),
        }

    def draw(
        self, rng: np.random.Generator, eta: FloatArray, noise_sd: FloatArray, shape: FloatArray
    ) -> FloatArray:
        """Return one count for each linear predictor, given the dispersion."""
        mean = np.exp(np.minimum(eta[..., 0], 40.0))
        return rng.poisson(rng.gamma(shape, mean / shape)).astype(np.float64)


def _sigmoid(t: FloatArray) -> FloatArray:
    small = np.exp(-np.abs(t))
    result: FloatArray = np.where(t < 0, small, 1.0) / (1.0 + small)
    return result


def _check_noise(expert: Any) -> None:
    name = type(expert).__name__
    check_number(f"{name}: a0", expert.a0)
    check_number(f"{name}: b0", expert.b0)
    check_number(f"{name}: b0_shape", expert.b0_shape, 0.0, closed=True)
    check_number(f"{name}: coefficient_variance", expert.coefficient_variance)
    check_number(f"{name}: coefficient_shape", expert.coefficient_shape, 0.0, closed=True)


def _noise_to_core(expert: Any) -> dict[str, Any]:
    variance = float(expert.coefficient_variance)
    return {
        "a0": float(expert.a0),
        "b0": float(expert.b0),
        "b0_shape": float(expert.b0_shape),
        "intercept_variance": variance,
        "coefficient_variance": variance,
        "coefficient_shape": float(expert.coefficient_shape),
    }


def _check_variances(expert: Any) -> None:
    name = type(expert).__name__
    check_number(f"{name}: intercept_variance", expert.intercept_variance)
    if expert.coefficient_variance is not None or not isinstance(expert, NegativeBinomialExpert):
        check_number(f"{name}: coefficient_variance", expert.coefficient_variance)


def _variances_to_core(expert: Any, otherwise: float | None = None) -> dict[str, Any]:
    """Return the prior variances; ``otherwise`` is that of slopes the expert leaves open."""
    slope = expert.coefficient_variance
    return {
        "intercept_variance": float(expert.intercept_variance),
        "coefficient_variance": otherwise if slope is None else float(slope),
    }


RealExpert = GaussianExpert | StudentExpert | LaplaceExpert
CountExpert = NegativeBinomialExpert | BinomialExpert
Expert = RealExpert | LogitExpert | CountExpert

# What each kind of target may be given, by name or as an object.
_BY_NAME: dict[str, dict[str, Expert]] = {
    "real": {
        "gaussian": GaussianExpert(),
        "student": StudentExpert(),
        "laplace": LaplaceExpert(),
    },
    "class": {"logit": LogitExpert()},
    "count": {"negative-binomial": NegativeBinomialExpert()},
}
_CLASSES: dict[str, tuple[type, ...]] = {
    "real": (GaussianExpert, StudentExpert, LaplaceExpert),
    "class": (LogitExpert,),
    "count": (NegativeBinomialExpert, BinomialExpert),
}


def resolve_expert(expert: Any, kind: str) -> Expert:
    """Return the expert object that an ``expert`` parameter names, for targets of a kind."""
    if isinstance(expert, _CLASSES[kind]):
        return cast(Expert, expert)
    if isinstance(expert, str) and expert in _BY_NAME[kind]:
        return _BY_NAME[kind][expert]
    names = ", ".join(repr(name) for name in _BY_NAME[kind])
    *others, last = (cls.__name__ for cls in _CLASSES[kind])
    objects = f"{', '.join(others)} or {last}" if others else last
    raise ValueError(f"expert is {expert!r}; it must be {names} or a {objects} object")
