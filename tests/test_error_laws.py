"""HSMoERegressor with Student-t and Laplace errors."""

from __future__ import annotations

import numpy as np
import pytest
from one_island import ONE_ISLAND
from scipy import special, stats

import hsmoe
from hsmoe import HSMoERegressor

LAWS = ["student", "laplace", hsmoe.StudentExpert(df=4.0)]


def small(**parameters):
    settings = {**ONE_ISLAND, "n_experts": 2, "n_particles": 16, "n_warmup": 30, "random_state": 3}
    return HSMoERegressor(**(settings | parameters))


@pytest.mark.parametrize("expert", LAWS)
def test_chunks_threads_and_files_give_the_same_bits(expert, two_regimes, tmp_path):
    X, y = two_regimes
    whole = small(expert=expert, retain=30, forgetting=0.99)
    whole.prequential(X, y)
    cut = small(expert=expert, retain=30, forgetting=0.99, n_jobs=3)
    for i in range(0, 160, 23):
        cut.partial_fit(X[i : i + 23], y[i : i + 23])
        cut.save(tmp_path / "m.hsmoe")
        cut = hsmoe.load(tmp_path / "m.hsmoe")
    assert cut.set_params(n_jobs=1).to_bytes() == whole.to_bytes()


@pytest.mark.parametrize("expert", LAWS)
def test_forecasts_belong_together(expert, two_regimes):
    """Density, cdf, quantiles and CRPS of one forecast, in units of y."""
    X, y = two_regimes
    model = small(expert=expert).fit(X, y)
    x = X[:1]
    low, middle, high = model.predict_quantiles(x, [1e-4, 0.5, 1 - 1e-4])[0]
    t = np.linspace(low, high, 4001)
    rows = np.repeat(x, len(t), axis=0)
    density, cdf = np.exp(model.log_density(rows, t)), model.predict_cdf(rows, t)
    np.testing.assert_allclose(cdf[[0, 2000, -1]][[0, 2]], [1e-4, 1 - 1e-4], atol=1e-9)
    assert np.interp(middle, t, cdf) == pytest.approx(0.5, abs=1e-5)
    mass = np.trapezoid(density, t)
    assert mass == pytest.approx(1 - 2e-4, abs=2e-4)
    for value in (middle, high):
        score = model.crps(x, [value])[0]
        direct = np.trapezoid((cdf - (t >= value)) ** 2, t)
        assert score == pytest.approx(direct, rel=5e-3)
    draws = model.sample_y(x, 4000, random_state=0)[0]
    assert abs((draws < middle).mean() - 0.5) < 4.5 * np.sqrt(0.25 / 4000)


def _constant_posterior(y, log_density, shapes, a0, b0, v):
    """Log posterior of (shape, s2, constant) on a grid, and the grid; intercept alone, b0 known."""
    log_s2 = np.linspace(np.log(1e-3), np.log(1e3), 141)[:, None]
    s2 = np.exp(log_s2)
    loc = np.sqrt(v * s2) * np.linspace(-6, 6, 401)
    prior = (
        stats.invgamma.logpdf(s2, a0, scale=b0)
        + log_s2
        + stats.norm.logpdf(np.linspace(-6, 6, 401))
    )
    log_p = np.stack([prior + sum(log_density(t, loc, np.sqrt(s2), h) for t in y) for h in shapes])
    return log_p - special.logsumexp(log_p), loc, np.sqrt(s2)


@pytest.mark.parametrize("law", ["student", "laplace"])
def test_one_expert_against_quadrature(law):
    y = np.array([0.4, -0.9, 0.1, 5.0, 0.7, 0.2, -0.3, 0.5])
    settings = {"a0": 2.5, "b0": 0.4, "b0_shape": 0.0, "coefficient_variance": 4.0}
    settings["coefficient_shape"] = 0.0
    student = law == "student"
    shapes = 2.5 * 2.0 ** (np.arange(21) / 4) if student else [0.0]
    expert = (hsmoe.StudentExpert if student else hsmoe.LaplaceExpert)(**settings)

    def log_density(t, loc, scale, shape):
        if student:
            return stats.t.logpdf(t, shape, loc, scale)
        return stats.laplace.logpdf(t, loc, scale)

    log_p, loc, scale = _constant_posterior(y, log_density, shapes, 2.5, 0.4, 4.0)
    points = np.array([-2.0, 0.2, 1.0, 6.0])
    exact = [
        special.logsumexp([log_p[i] + log_density(t, loc, scale, h) for i, h in enumerate(shapes)])
        for t in points
    ]
    model = HSMoERegressor(
        **ONE_ISLAND,
        n_experts=1,
        n_particles=3000,
        expert=expert,
        expert_features=[],
        retain=None,
        standardize=False,
        random_state=2,
    ).partial_fit(np.zeros((8, 1)), y)
    got = model.log_density(np.zeros((4, 1)), points)
    np.testing.assert_allclose(np.exp(got), np.exp(exact), rtol=0.06, atol=0.003)


def test_outliers_move_it_little():
    """The slope under 4% of gross errors; errors in y of one regime alone."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 1))
    y = 2 * X[:, 0] + 0.2 * rng.normal(size=400)
    y[::25] += 40
    slopes = {}
    for expert in ("gaussian", "student", "laplace"):
        model = HSMoERegressor(1, 32, **ONE_ISLAND, expert=expert, random_state=1).fit(X, y)
        slopes[expert] = float(np.diff(model.predict([[0.0], [1.0]]))[0])
        median = model.predict_quantiles([[0.0]], [0.5])[0, 0]
        if expert != "gaussian":
            assert abs(slopes[expert] - 2) < 0.08 and abs(median) < 0.12
        else:
            assert abs(median) > 1


def test_reports(two_regimes):
    X, y = two_regimes
    model = small(expert="student").fit(X, y)
    assert "\n  df " in model.summary() and "noise sd" in model.summary()
    draws = model.to_arviz(X[:4], y[:4])
    df = draws["posterior"]["df"].values
    assert set(np.round(np.log2(df / 2.5) * 4, 9).ravel()) <= set(range(21))
    assert np.isfinite(draws["posterior_predictive"]["y"].values).all()
    laplace = small(expert="laplace").fit(X, y).to_arviz()
    assert "df" not in laplace["posterior"] and "noise_sd" in laplace["posterior"]


def test_refusals():
    with pytest.raises(
        ValueError, match="expert is 'cauchy'; it must be 'gaussian', 'student', 'l"
    ):
        small(expert="cauchy").fit([[0.0], [1.0]], [1.0, 2.0])
    for make, name in ((hsmoe.StudentExpert, "df"), (hsmoe.LaplaceExpert, "b0")):
        with pytest.raises(ValueError, match=f"{make.__name__}: {name} is 0"):
            make(**{name: 0})
