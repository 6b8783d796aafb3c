"""hsmoe.skpro: skpro's own checks, counted; its distributions are those of the models."""

import copy

import numpy as np
import pandas as pd
import pytest
from readme_counts import compare

import hsmoe

skpro = pytest.importorskip("skpro", minversion="2.9", reason="extra skpro")

from skpro.metrics import CRPS  # noqa: E402
from skpro.utils.estimator_checks import check_estimator  # noqa: E402

import hsmoe.skpro  # noqa: E402

SMALL = {"n_experts": 2, "n_particles": 16, "n_islands": 1, "random_state": 3}
CLASSES = [
    "HSMoERegressor",
    "HSMoECountRegressor",
    "MixtureDistribution",
    "CountMixtureDistribution",
]


@pytest.mark.filterwarnings("ignore::UserWarning")  # of approximate energies
@pytest.mark.parametrize("name", CLASSES)
def test_checks_of_skpro(name):
    results = check_estimator(getattr(hsmoe.skpro, name), verbose=False)
    assert {key: result for key, result in results.items() if result != "PASSED"} == {}
    compare(f"hsmoe.skpro.{name}", "skpro", skpro.__version__, len(results), len(results))


@pytest.mark.parametrize("name", CLASSES[:2])
def test_parameters_are_those_of_the_models(name):
    theirs = getattr(hsmoe, name)().get_params()
    del theirs["missing"]
    assert getattr(hsmoe.skpro, name)().get_params() == theirs


@pytest.fixture(scope="module")
def table(two_regimes):
    X, y = two_regimes
    index = pd.Index([f"row {i}" for i in range(len(y))])
    return pd.DataFrame(X, index=index, columns=["a", "b", "c"]), pd.DataFrame({"t": y}, index)


@pytest.fixture(scope="module")
def fitted(table):
    X, y = table
    model = hsmoe.skpro.HSMoERegressor(**SMALL).fit(X.iloc[:100], y.iloc[:100])
    core = hsmoe.HSMoERegressor(**SMALL).fit(X.iloc[:100], y["t"].to_numpy()[:100])
    return model, core


def test_update_is_partial_fit(table):
    X, y = table
    model = hsmoe.skpro.HSMoERegressor(**SMALL).fit(X.iloc[:100], y.iloc[:100])
    for part in (slice(100, 101), slice(101, 160)):
        model.update(X.iloc[part], y.iloc[part])
    core = hsmoe.HSMoERegressor(**SMALL).fit(X.iloc[:100], y["t"].to_numpy()[:100])
    core.partial_fit(X.iloc[100:], y["t"].to_numpy()[100:])
    assert model.model_.to_bytes() == core.to_bytes()


def test_predictions_are_those_of_the_model(table, fitted):
    X = table[0].iloc[100:110]
    model, core = fitted
    mean, std = core.predict(X, return_std=True)
    assert np.array_equal(model.predict(X)["t"], mean)
    assert np.array_equal(model.predict_var(X)["t"], std**2)
    quantiles = model.predict_quantiles(X, alpha=[0.2, 0.9])
    assert quantiles.columns.tolist() == [("t", 0.2), ("t", 0.9)]
    assert np.array_equal(quantiles, core.predict_quantiles(X, [0.2, 0.9]))
    interval = model.predict_interval(X, coverage=0.8)
    assert interval.columns.tolist() == [("t", 0.8, "lower"), ("t", 0.8, "upper")]
    assert np.allclose(interval, core.predict_interval(X, 0.8), rtol=1e-9)
    assert interval.index.equals(X.index)


def test_the_distribution_is_the_mixture(table, fitted):
    X, y = (frame.iloc[100:110] for frame in table)
    model, core = fitted
    forecast = model.predict_proba(X)
    target = y["t"].to_numpy()
    assert np.array_equal(forecast.log_pdf(y)["t"], core.log_density(X, target))
    assert np.array_equal(forecast.pdf(y)["t"], np.exp(core.log_density(X, target)))
    assert np.array_equal(forecast.cdf(y)["t"], core.predict_cdf(X, target))
    assert np.array_equal(forecast.mean()["t"], core.predict(X))
    assert np.array_equal(forecast.ppf(0.3)["t"], core.predict_quantiles(X, [0.3])[:, 0])
    levels = pd.DataFrame({"t": np.linspace(0.05, 0.95, 10)}, index=X.index)
    by_row = [
        core.predict_quantiles(X.iloc[[i]], [p])[0, 0] for i, p in enumerate(levels["t"].tolist())
    ]
    assert forecast.ppf(levels)["t"].tolist() == by_row
    part = forecast.loc[["row 103", "row 101"]]
    assert part.cdf(50.0)["t"].tolist() == forecast.cdf(50.0)["t"].loc[part.index].tolist()
    assert forecast.iat[2, 0].cdf(50.0) == forecast.cdf(50.0).iloc[2, 0]


def test_it_is_no_normal():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.normal(size=400)})
    y = pd.DataFrame({"y": rng.choice([-5.0, 5.0], size=400) + 0.3 * rng.normal(size=400)})
    forecast = hsmoe.skpro.HSMoERegressor(**SMALL).fit(X, y).predict_proba(X.head(1))
    assert forecast.pdf(5.0).iloc[0, 0] > 10 * forecast.pdf(0.0).iloc[0, 0]
    assert forecast.pdf(-5.0).iloc[0, 0] > 10 * forecast.pdf(0.0).iloc[0, 0]


def test_a_forecast_stays_as_it_was_made(table):
    X, y = table
    model = hsmoe.skpro.HSMoERegressor(**SMALL).fit(X.iloc[:100], y.iloc[:100])
    forecast = model.predict_proba(X.iloc[:5])
    before = forecast.cdf(50.0)
    model.update(X.iloc[100:], y.iloc[100:])
    assert forecast.cdf(50.0).equals(before)
    assert not model.predict_proba(X.iloc[:5]).cdf(50.0).equals(before)
    assert copy.deepcopy(forecast).cdf(50.0).equals(before)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_energies_give_the_crps(table, fitted):
    """A thousand quantiles leave out what lies beyond them: half a per cent here."""
    X, y = (frame.iloc[100:130] for frame in table)
    model, core = fitted
    forecast = model.predict_proba(X)
    exact = core.crps(X, y["t"].to_numpy())
    energies = forecast.energy(y)["energy"] - 0.5 * forecast.energy()["energy"]
    assert np.allclose(energies, exact, rtol=5e-3, atol=2e-3 * exact.mean())
    assert CRPS()(y, forecast) == pytest.approx(exact.mean(), rel=5e-3)


def test_draws_have_the_law(fitted, table):
    """2,000 draws of one row; Kolmogorov-Smirnov at a false alarm rate of 1e-6."""
    from scipy.stats import kstest

    forecast = fitted[0].predict_proba(table[0].iloc[[7, 120]])
    np.random.seed(0)  # noqa: NPY002  # the generator that skpro draws from
    draws = forecast.sample(2000)
    assert draws.shape == (4000, 1)
    row = table[0].index[120]
    values = draws.xs(row, level=1)["t"]
    probabilities = [forecast.loc[[row]].cdf(v).iloc[0, 0] for v in values]
    assert kstest(probabilities, "uniform").pvalue > 1e-6


def test_counts():
    rng = np.random.default_rng(1)
    X = pd.DataFrame({"x": rng.integers(0, 3, size=150)})
    y = pd.DataFrame({"n": rng.poisson(2 + 2 * X["x"])})
    model = hsmoe.skpro.HSMoECountRegressor(**SMALL).fit(X, y)
    forecast = model.predict_proba(X.head(4))
    assert forecast.get_tag("distr:measuretype") == "discrete"
    mass = sum(forecast.pmf(float(k)) for k in range(200))
    assert np.allclose(mass, 1.0, atol=1e-3)
    assert np.allclose(sum(forecast.pmf(float(k)) for k in range(4)), forecast.cdf(3.4), rtol=1e-9)
    assert (forecast.pmf(1.5) == 0.0).all().all() and (forecast.cdf(-1.0) == 0.0).all().all()
    assert (forecast.log_pmf(-1.0) == -np.inf).all().all()
    quantile = model.predict_quantiles(X.head(4), alpha=0.5)
    assert np.array_equal(quantile, model.model_.predict_quantiles(X.head(4), [0.5]))
    with pytest.raises(ValueError, match="counts must be whole numbers"):
        model.update(X.head(2), y.head(2) + 0.5)


def test_names_of_mixed_types(table):
    X, y = table
    mixed = X.rename(columns={"b": 1})
    model = hsmoe.skpro.HSMoERegressor(**SMALL).fit(mixed, y)
    assert model.model_.feature_names_in_.tolist() == ["a", "1", "c"]
    assert np.array_equal(model.predict(mixed), model.predict_proba(mixed).mean())


def test_predictions_outside_the_rows_are_refused(table, fitted):
    X, _ = table
    with pytest.raises(ValueError, match="must have same columns as X in fit"):
        fitted[0].predict(X[["a", "b"]])
