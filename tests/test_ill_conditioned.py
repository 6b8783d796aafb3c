"""Rows that numbers of 53 bits do not like: forecasts stay finite, intervals keep covering."""

import warnings

import numpy as np
import pytest

import hsmoe

N_ROWS = 600
OUTLIERS = [150, 300, 450]

SETTINGS = {
    "balanced": {},
    "plain particle learning": {"retain": 0},
    "softmax": {"gate": "softmax"},
    "variational": {"inference": "variational"},
}


def tiny_and_huge(X, y):
    return X * [1e-12, 1e12, 1], y


def far_from_zero(X, y):
    return X + np.array([1e12, 0, 0]), y + 1e12


def duplicated(X, y):
    return X[:, [0, 1, 2, 1, 0]], y


def constant(X, y):
    return np.c_[X, np.full(len(X), 7.0)], y


def becoming_constant(X, y):
    column = np.random.default_rng(1).normal(size=len(X))
    column[200:] = column[200]
    return np.c_[X, column], y


def beginning_to_vary(X, y):
    column = np.random.default_rng(1).normal(size=len(X))
    column[:200] = 5
    return np.c_[X, column], y


def large_targets(X, y):
    return X, y * 1e15


def small_targets(X, y):
    return X, y * 1e-15


def outlying_targets(X, y):
    y = y.copy()
    y[OUTLIERS] += 1e6 * np.std(y) * np.array([1, -1, 1])
    return X, y


def outlying_features(X, y):
    X = X.copy()
    X[OUTLIERS, 1] = 1e6
    return X, y


def identical_for_a_while(X, y):
    X, y = X.copy(), y.copy()
    X[100:400], y[100:400] = X[100], y[100]
    return X, y


def separable(X, y):
    return X, np.where(X[:, 0] > 0, 100.0, -100.0) + 0.01 * y


def without_noise(X, y):
    return X, 3 * X[:, 0]


ROWS = [
    tiny_and_huge,
    far_from_zero,
    duplicated,
    constant,
    becoming_constant,
    beginning_to_vary,
    large_targets,
    small_targets,
    outlying_targets,
    outlying_features,
    identical_for_a_while,
    separable,
    without_noise,
]


def two_regimes_of_noise(n=N_ROWS):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 3))
    return X, np.where(X[:, 0] > 0, 2 * X[:, 1], -X[:, 2]) + 0.3 * rng.normal(size=n)


def finite_forecast(model, X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        forecast = model.prequential(X, y)
    for name in ("mean", "std", "log_density", "cdf", "crps", "expert_weight"):
        assert np.isfinite(getattr(forecast, name)[forecast.n_warmup :]).all(), name
    return forecast


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("change", ROWS, ids=lambda change: change.__name__)
def test_regression(change, settings):
    X, y = change(*two_regimes_of_noise())
    model = hsmoe.HSMoERegressor(4, 24, 2, random_state=1, **settings)
    forecast = finite_forecast(model, X, y)
    # 200 rows: 90% of them with an sd of 2.1%; too much is covered where there is no noise.
    covered = np.mean(np.abs(forecast.cdf[-200:] - 0.5) <= 0.45)
    least = 0.8 if "inference" in settings else 0.83  # mean field is narrower
    if change is identical_for_a_while and settings.get("retain") == 0:
        least = 0.7  # it cannot revise what it made of those rows: 0.77 to 0.90 over seeds
    assert covered >= least
    # The median and the interval, for the mean expects outliers where there were some.
    typical = np.setdiff1d(np.arange(400, N_ROWS), OUTLIERS)
    lower, median, upper = model.predict_quantiles(X[typical], [0.05, 0.5, 0.95]).T
    spread = np.std(y[typical])
    assert (lower <= median).all() and (median <= upper).all()
    assert np.median(upper - lower) < 2.5 * spread
    assert np.sqrt(np.mean((median - y[typical]) ** 2)) < 0.75 * spread


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_ten_thousand_identical_rows(settings):
    X, y = np.tile([[1.0, -2.0, 3.0]], (10_000, 1)), np.full(10_000, 5.0)
    model = hsmoe.HSMoERegressor(3, 8, 1, random_state=1, **settings)
    forecast = finite_forecast(model, X, y)
    assert np.abs(forecast.mean[-100:] - 5).max() < 1e-3
    assert forecast.std[-1] < forecast.std[200]


@pytest.mark.parametrize("scale", [[1, 1, 1], [1e12, 1e-12, 1]], ids=["plain", "scaled"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_separable_classes(n_classes, scale):
    X, _ = two_regimes_of_noise()
    labels = np.digitize(X[:, 0], [0] if n_classes == 2 else [-0.5, 0.5])
    model = hsmoe.HSMoEClassifier(3, 24, 2, random_state=1)
    forecast = model.prequential(X * scale, labels)
    scores = forecast.log_density[forecast.n_warmup :]
    assert np.isfinite(scores).all() and scores[-200:].mean() > -0.25
    proba = model.predict_proba(X * scale * 1e3)
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-12)


def test_counts_with_outliers():
    X, _ = two_regimes_of_noise()
    rng = np.random.default_rng(2)
    counts = rng.poisson(np.exp(X[:, 0]))
    usual = hsmoe.HSMoECountRegressor(2, 16, 1, random_state=1).prequential(X, counts)
    far = X.copy()
    far[OUTLIERS, 0] = [-1e6, 1e6, 1e6]
    model = hsmoe.HSMoECountRegressor(2, 16, 1, random_state=1)
    forecast = model.prequential(far, counts)
    for name in ("mean", "log_density", "crps"):
        assert np.isfinite(getattr(forecast, name)[forecast.n_warmup :]).all(), name
    typical = np.setdiff1d(np.arange(400, N_ROWS), OUTLIERS)
    loss = usual.log_density[typical].mean() - forecast.log_density[typical].mean()
    assert loss < 0.5  # a slope that must be flat out there is not refitted at once
