"""HSMoECountRegressor: counts, binomial counts, their forecasts and refusals."""

from __future__ import annotations

import numpy as np
import pytest
from one_island import ONE_ISLAND
from scipy import special, stats

import hsmoe
from hsmoe import HSMoECountRegressor


def small(**parameters):
    settings = {**ONE_ISLAND, "n_experts": 2, "n_particles": 16, "n_warmup": 30, "random_state": 3}
    return HSMoECountRegressor(**(settings | parameters))


@pytest.fixture(scope="module")
def stream():
    """X (150, 2) and counts of two regimes, overdispersed in one of them."""
    rng = np.random.default_rng(4)
    X = rng.normal(size=(150, 2)) * [1.0, 100.0] + [0.0, 1e4]
    mean = np.exp(np.where(X[:, 0] > 0.2, 1 + (X[:, 1] - 1e4) / 150, 0.5))
    shape = np.where(X[:, 0] > 0.2, 2.0, 30.0)
    return X, rng.poisson(rng.gamma(shape, mean / shape))


@pytest.fixture(scope="module")
def fitted(stream):
    return small().fit(*stream)


def test_the_distribution_is_one(fitted, stream):
    """Probabilities, cdf, quantiles, moments, CRPS and draws of a forecast belong together."""
    X, _ = stream
    rows = X[:4]
    k = np.arange(400)
    pmf = np.array([np.exp(fitted.log_density(np.tile(x, (400, 1)), k)) for x in rows])
    cdf = np.array([fitted.predict_cdf(np.tile(x, (400, 1)), k) for x in rows])
    np.testing.assert_allclose(pmf.cumsum(axis=1), cdf, atol=1e-10)
    assert (cdf[:, -1] > 1 - 1e-5).all()
    mean, std = fitted.predict(rows, return_std=True)
    np.testing.assert_allclose(mean, pmf @ k, rtol=1e-2)
    assert (std > 0).all()
    probs = [0.05, 0.5, 0.95]
    quantiles = fitted.predict_quantiles(rows, probs)
    for i in range(4):
        expected = [int(np.argmax(cdf[i] >= p)) for p in probs]
        assert quantiles[i].tolist() == expected
    for y in (0, 3, 12):
        crps = fitted.crps(rows, np.full(4, y))
        direct = ((cdf - (k >= y)) ** 2).sum(axis=1)
        np.testing.assert_allclose(crps, direct, rtol=1e-4)
    draws = fitted.sample_y(rows, 3000, random_state=1)
    share = (draws <= 3).mean(axis=1)
    error = np.sqrt(cdf[:, 3] * (1 - cdf[:, 3]) / 3000)
    assert (np.abs(share - cdf[:, 3]) < 4.5 * error).all()  # false alarms: 3e-5


def test_chunks_threads_and_files_give_the_same_bits(stream, tmp_path):
    X, y = stream
    whole = small(retain=30, forgetting=0.99)
    forecast = whole.prequential(X, y)
    assert isinstance(forecast, hsmoe.CountForecast)
    cut = small(retain=30, forgetting=0.99, n_jobs=3)
    for i in range(0, 150, 23):
        cut.partial_fit(X[i : i + 23], y[i : i + 23])
        cut.save(tmp_path / "m.hsmoe")
        cut = hsmoe.load(tmp_path / "m.hsmoe")
    assert isinstance(cut, HSMoECountRegressor)
    assert cut.set_params(n_jobs=1).to_bytes() == whole.to_bytes()


def test_randomised_pit(stream):
    X, y = stream
    forecast = small().prequential(X, y)
    below = forecast.cdf - np.exp(forecast.log_density)
    pit = forecast.pit[30:]
    assert ((pit >= below[30:] - 1e-12) & (pit <= forecast.cdf[30:])).all()
    np.testing.assert_array_equal(pit, forecast.pit[30:])
    assert (forecast.randomised_pit(1)[30:] != pit).any()
    assert forecast.pit_histogram(5).n == 120
    assert np.isnan(forecast.pit[:30]).all()
    np.testing.assert_allclose(np.asarray(forecast.crps)[30:] >= 0, True)


def test_calibrated_on_counts_of_the_model():
    """PIT of 1,400 rows of negative binomial counts: chi-squared of 10 bins below 27.9 (1e-3)."""
    rng = np.random.default_rng(3)
    X = rng.normal(size=(1500, 1))
    mean = np.exp(1 + 0.7 * X[:, 0])
    y = rng.poisson(rng.gamma(1.5, mean / 1.5))
    model = HSMoECountRegressor(1, 64, **ONE_ISLAND, n_warmup=100, random_state=1)
    forecast = model.prequential(X, y)
    counts = forecast.pit_histogram(10).counts
    assert ((counts - 140) ** 2 / 140).sum() < 27.9
    truth = stats.nbinom.logpmf(y, 1.5, 1.5 / (1.5 + mean))[100:].mean()
    assert truth - 0.02 < forecast.mean_log_density < truth + 0.005
    dispersion = float(model.summary().split("  dispersion ")[1].split()[0])
    assert 1.2 < dispersion < 1.9


def _posterior(log_likelihood, variances, reach=(5, 3.5), points=161):
    a, b = np.meshgrid(
        np.linspace(-reach[0], reach[0], points), np.linspace(-reach[1], reach[1], points)
    )
    log_p = stats.norm.logpdf(a, 0, variances[0] ** 0.5) + stats.norm.logpdf(
        b, 0, variances[1] ** 0.5
    )
    return a, b, log_p + log_likelihood(a, b)


def test_one_expert_is_bayesian_negative_binomial_regression():
    """Predictive probabilities against quadrature over coefficients and dispersion."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=25)
    y = rng.poisson(rng.gamma(1.0, np.exp(0.8 + 0.6 * X)))
    model = HSMoECountRegressor(
        **ONE_ISLAND,
        n_experts=1,
        n_particles=2000,
        expert=hsmoe.NegativeBinomialExpert(None, 1.0, 0.5),
        retain=None,
        standardize=False,
        random_state=1,
    ).partial_fit(X[:, None], y)
    grid = 0.05 * 2.0 ** (np.arange(37) / 3)
    points, k = np.array([-1.0, 0.5, 1.5]), np.arange(8)
    parts, tables = [], []
    for r in grid:

        def likelihood(a, b, r=r):
            mu = np.exp(a + b * X[:, None, None])
            return stats.nbinom.logpmf(y[:, None, None], r, r / (r + mu)).sum(axis=0)

        a, b, log_p = _posterior(likelihood, [1.0, 0.5], points=81)
        parts.append(special.logsumexp(log_p))
        weight = np.exp(log_p - parts[-1])
        mu = np.exp(a + b * points[:, None, None])
        pmf = stats.nbinom.pmf(k[:, None, None, None], r, r / (r + mu))
        tables.append((pmf * weight).sum(axis=(2, 3)))
    share = np.exp(parts - special.logsumexp(parts))
    exact = np.tensordot(share, tables, 1)  # (k, points)
    got = [np.exp(model.log_density(np.tile(x, (8, 1)), k)) for x in points]
    np.testing.assert_allclose(np.transpose(got), exact, atol=0.008)


def test_binomial_counts():
    rng = np.random.default_rng(2)
    X = rng.normal(size=(400, 1))
    p = special.expit(np.where(X[:, 0] > 0, 2.0, -1.0))
    y = rng.binomial(6, p)
    expert = hsmoe.BinomialExpert(n_trials=6)
    model = HSMoECountRegressor(2, 64, **ONE_ISLAND, expert=expert, random_state=1)
    forecast = model.prequential(X, y)
    single = HSMoECountRegressor(1, 64, **ONE_ISLAND, expert=expert, random_state=1)
    truth = stats.binom.logpmf(y, 6, p)[50:].mean()
    assert forecast.mean_log_density > single.prequential(X, y).mean_log_density + 0.05
    assert truth - 0.1 < forecast.mean_log_density < truth + 0.02
    total = sum(np.exp(model.log_density([[0.7]], [k]))[0] for k in range(7))
    assert total == pytest.approx(1.0, abs=1e-10)
    assert model.predict_quantiles([[0.7]], [0.999999])[0, 0] == 6
    again = HSMoECountRegressor.from_bytes(model.to_bytes())
    assert again.expert == expert and again.to_bytes() == model.to_bytes()
    with pytest.raises(ValueError, match=r"y: row 1 is 7; .* from 0 to n_trials=6"):
        model.partial_fit([[0.0], [1.0]], [3, 7])


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([1, 2, -1, 0], r"y: row 2 is -1; counts must be whole numbers from 0"),
        ([1, 2.5, 1, -3], r"y: row 1 is 2.5; .*2 rows are so"),
        ([1, 2, 1, 1e17], r"y: row 3 is 1e\+17; counts must be whole numbers from 0 to "),
        ([1, np.nan, 1, 2], r"y: row 1 is missing"),
        (["1", "2", "1", "2"], r"y has dtype"),
    ],
)
def test_wrong_counts_are_refused_by_name(y, message):
    X = np.arange(8.0).reshape(4, 2)
    model = small(n_warmup=2).partial_fit(X, [1, 4, 0, 2])
    before = model.to_bytes()
    for call in (model.partial_fit, model.prequential, model.log_density, model.crps):
        with pytest.raises(ValueError, match=message):
            call(X, y)
    assert model.to_bytes() == before


def test_scored_counts_may_be_larger_than_learned_ones():
    X = np.arange(8.0).reshape(4, 2)
    model = small(n_warmup=2).fit(X, [1, 4, 0, 2])
    with pytest.raises(ValueError, match=r"y: row 0 is 2e\+06; counts must be .* 0 to 100,000"):
        model.partial_fit(X[:1], [2_000_000])
    mixture = model._predict_mixture(X[:2])
    at = np.array([2e6, 1e12])
    np.testing.assert_allclose(
        model.log_density(X[:2], at), mixture.log_density(at[:, None])[:, 0], rtol=1e-12
    )
    assert (np.diff(model.crps(X[[0, 0]], at)) > 9e11).all()


def test_cumulative_probability_anywhere():
    X = np.arange(8.0).reshape(4, 2)
    model = small(n_warmup=2).fit(X, [1, 4, 0, 2])
    whole = model.predict_cdf(X, [0, 1, 2, 3])
    np.testing.assert_array_equal(model.predict_cdf(X, [0.2, 1.9, 2.5, 3.0]), whole)
    np.testing.assert_array_equal(model.predict_cdf(X, [-1e9, -1.0, -0.5, -1e-9]), 0.0)
    np.testing.assert_allclose(model.predict_cdf(X, [1e15] * 4), 1.0, rtol=1e-9)
    binomial = small(n_warmup=2, expert=hsmoe.BinomialExpert(4)).fit(X, [1, 4, 0, 2])
    np.testing.assert_allclose(binomial.predict_cdf(X, [4, 5, 1e9, 4.5]), 1.0, rtol=1e-12)


def test_experts_of_other_targets_are_refused():
    X = np.arange(8.0).reshape(4, 2)
    for expert in ("gaussian", hsmoe.StudentExpert(), hsmoe.LogitExpert(), 3):
        with pytest.raises(ValueError, match=r"expert is .*NegativeBinomialExpert or Bin"):
            small(expert=expert).fit(X, [1, 4, 0, 2])
    for name, value in (("dispersion", 0), ("intercept_variance", -1), ("dispersion", "2")):
        with pytest.raises(ValueError, match=f"NegativeBinomialExpert: {name} is"):
            hsmoe.NegativeBinomialExpert(**{name: value})
    for value in (0, 2.5, 10**6, True):
        with pytest.raises(ValueError, match="BinomialExpert: n_trials is"):
            hsmoe.BinomialExpert(value)


def test_designs_of_their_own(stream):
    """Experts without features are constants; the gate then does all the work."""
    X, y = stream
    model = small(expert_features=[], gate_features=[0]).fit(X, y)
    moved = X[:5] + np.array([0.0, 300.0])
    np.testing.assert_array_equal(model.predict(X[:5]), model.predict(moved))
    other = small(expert_features=[1], gate_features=[]).fit(X, y)
    routing = other.predict_expert_proba(X[:5])
    np.testing.assert_allclose(routing, np.tile(routing[0], (5, 1)), rtol=1e-12)
    np.testing.assert_array_equal(other.predict(X[:5]), other.predict(X[:5] + np.array([4.0, 0.0])))


def test_posterior_draws(stream):
    X, y = stream
    draws = small().fit(X, y).to_arviz(X[:5], y[:5])
    posterior = draws["posterior"]
    assert "noise_sd" not in posterior and posterior["dispersion"].dims[-1] == "expert"
    replicated = draws["posterior_predictive"]["y"].values
    assert (replicated >= 0).all() and (replicated == np.floor(replicated)).all()
    assert np.isfinite(draws["log_likelihood"]["y"].values).all()


def test_idle_experts_do_not_expect_millions():
    """The prior mean of a count does not explode with the number of features."""
    rng = np.random.default_rng(8)
    X = rng.normal(size=(80, 14))
    y = rng.poisson(np.exp(2 + 0.3 * X[:, 0]))
    model = small(n_experts=4, retain=None).fit(X, y)
    fresh = rng.normal(size=(40, 14))
    assert np.median(model.predict(fresh)) < 20
    assert model.predict(fresh).max() < 300
    assert model.crps(fresh, np.full(40, 7)).max() < 50
    explicit = small(
        n_experts=4,
        retain=None,
        expert=hsmoe.NegativeBinomialExpert(coefficient_variance=1 / 14),
    ).fit(X, y)
    assert (explicit.predict(fresh) == model.predict(fresh)).all()
