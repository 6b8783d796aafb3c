"""Behaviour of HSMoERegressor: conventions, units, warm-up, reports."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest
from one_island import ONE_ISLAND

import hsmoe
from hsmoe import HSMoERegressor


def small(**changes):
    settings = {**ONE_ISLAND, "n_experts": 3, "n_particles": 16, "n_warmup": 40, "random_state": 5}
    return HSMoERegressor(**{**settings, **changes})


@pytest.fixture(scope="module")
def fitted(two_regimes):
    return small().fit(*two_regimes)


# ---------------------------------------------------------------- conventions


def test_init_stores_what_it_is_given():
    marker = ["anything", object()]
    model = HSMoERegressor(n_experts=marker, gate=None)
    assert model.n_experts is marker
    assert model.gate is None


def test_get_and_set_params():
    model = HSMoERegressor()
    assert model.get_params()["n_experts"] == 6
    assert model.set_params(n_experts=7, random_state=3) is model
    assert model.get_params()["n_experts"] == 7
    with pytest.raises(ValueError, match="no parameter 'experts'"):
        model.set_params(n_particles=9, experts=2)
    assert model.n_particles == HSMoERegressor().n_particles
    # What sklearn.base.clone does:
    twin = type(model)(**model.get_params())
    assert twin.get_params() == model.get_params()


def test_repr_shows_what_differs_from_the_defaults():
    assert repr(HSMoERegressor()) == "HSMoERegressor()"
    assert repr(HSMoERegressor(n_experts=2, gate=[[0, 1]])) == (
        "HSMoERegressor(n_experts=2, gate=[[0, 1]])"
    )
    assert "array" in repr(HSMoERegressor(gate_features=np.array([1, 2])))


def test_learning_methods_return_the_model(two_regimes):
    X, y = two_regimes
    model = small()
    assert model.fit(X, y) is model
    assert model.partial_fit(X, y) is model


@pytest.mark.parametrize(
    "ask",
    [
        lambda m: m.predict([[1.0]]),
        lambda m: m.predict_interval([[1.0]]),
        lambda m: m.predict_expert_proba([[1.0]]),
        lambda m: m.log_density([[1.0]], [1.0]),
        lambda m: m.sample_y([[1.0]]),
        lambda m: m.gate_inclusion(),
        lambda m: m.summary(),
        lambda m: m.log_evidence_,
        lambda m: m.ess_,
        lambda m: m.n_features_in_,
    ],
)
def test_unfitted(ask):
    with pytest.raises(hsmoe.NotFittedError, match="fit or partial_fit"):
        ask(HSMoERegressor())


def test_unfitted_attributes_are_absent():
    model = HSMoERegressor()
    assert not hasattr(model, "n_features_in_")
    assert not hasattr(model, "log_evidence_")
    assert issubclass(hsmoe.NotFittedError, ValueError)
    assert not model.__sklearn_is_fitted__()


def test_inside_scikit_learn(two_regimes):
    pytest.importorskip("sklearn")
    from sklearn.base import clone, is_regressor
    from sklearn.exceptions import NotFittedError
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.utils.validation import check_is_fitted

    X, y = two_regimes
    model = clone(small(gate_prior=hsmoe.NormalPrior(), gate=[[0, 1], 2]))
    assert is_regressor(model)
    with pytest.raises(NotFittedError):
        check_is_fitted(model)
    check_is_fitted(clone(model).fit(X, y))
    pipeline = make_pipeline(StandardScaler(), model).fit(X, y)
    assert pipeline.predict(X).shape == y.shape
    assert (cross_val_score(clone(model), X, y, scoring="r2", cv=3) > 0).all()


def test_import_is_light():
    code = (
        "import sys, hsmoe\n"
        "heavy = {'pandas', 'polars', 'sklearn', 'matplotlib', 'click', 'rich', 'scipy', 'arviz',\n"
        "         'river', 'skpro', 'skbase', 'joblib'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    out = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == "[]"


def test_import_is_quick():
    """0.3 s of processor time, the best of three: numpy's own share is most of it."""
    code = (
        "import time\nbegan = time.process_time()\nimport hsmoe\nprint(time.process_time() - began)"
    )
    command = [sys.executable, "-P", "-c", code]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(3)]
    assert min(float(run.stdout) for run in runs) < 0.3


# ---------------------------------------------------------------- predictions


def test_shapes(fitted, two_regimes):
    X, y = two_regimes
    X, y = X[:7], y[:7]
    mean, std = fitted.predict(X, return_std=True)
    assert mean.shape == std.shape == (7,)
    np.testing.assert_array_equal(mean, fitted.predict(X))
    assert (std > 0).all()
    assert fitted.predict_quantiles(X, [0.1, 0.5, 0.9]).shape == (7, 3)
    assert fitted.predict_quantiles(X, 0.5).shape == (7, 1)
    assert fitted.sample_y(X, 4, random_state=0).shape == (7, 4)
    for scores in (fitted.predict_cdf(X, y), fitted.log_density(X, y), fitted.crps(X, y)):
        assert scores.shape == (7,)
        assert np.isfinite(scores).all()
    proba, spread = fitted.predict_expert_proba(X, return_std=True)
    assert proba.shape == spread.shape == (7, 3)
    np.testing.assert_allclose(proba.sum(axis=1), 1.0)
    assert 1 <= fitted.active_experts(X) <= 3


def test_outputs_agree_with_each_other(fitted, two_regimes):
    X = two_regimes[0][:20]
    probs = [0.02, 0.3, 0.5, 0.97]
    quantiles = fitted.predict_quantiles(X, probs)
    for j, prob in enumerate(probs):
        np.testing.assert_allclose(fitted.predict_cdf(X, quantiles[:, j]), prob, atol=1e-6)
    interval = fitted.predict_interval(X, 0.94)
    np.testing.assert_allclose(interval[:, 1], quantiles[:, 3])
    # The density is the derivative of the cdf, in units of y.
    y, h = quantiles[:, 1], 1e-3
    slope = (fitted.predict_cdf(X, y + h) - fitted.predict_cdf(X, y - h)) / (2 * h)
    np.testing.assert_allclose(np.exp(fitted.log_density(X, y)), slope, rtol=1e-4)


def test_crps_is_the_integral_of_the_squared_distance_of_cdfs(fitted, two_regimes):
    X, y = two_regimes[0][:3], two_regimes[1][:3]
    mean, std = fitted.predict(X, return_std=True)
    for i in range(3):
        below = np.linspace(mean[i] - 60 * std[i], y[i], 20_001)
        above = np.linspace(y[i], mean[i] + 60 * std[i], 20_001)
        rows_below = np.repeat(X[i : i + 1], len(below), axis=0)
        rows_above = np.repeat(X[i : i + 1], len(above), axis=0)
        expected = np.trapezoid(fitted.predict_cdf(rows_below, below) ** 2, below)
        expected += np.trapezoid((1 - fitted.predict_cdf(rows_above, above)) ** 2, above)
        np.testing.assert_allclose(fitted.crps(X[i : i + 1], y[i : i + 1]), expected, rtol=2e-3)


def test_sample_y_has_its_own_seed(fitted, two_regimes):
    X = two_regimes[0][:5]
    before = fitted.to_bytes()
    a = fitted.sample_y(X, 3, random_state=1)
    np.testing.assert_array_equal(a, fitted.sample_y(X, 3, random_state=1))
    assert not np.array_equal(a, fitted.sample_y(X, 3, random_state=2))
    assert not np.array_equal(fitted.sample_y(X), fitted.sample_y(X))
    assert fitted.to_bytes() == before


def test_samples_follow_the_predictive_mixture(fitted, two_regimes):
    X = two_regimes[0][:1]
    draws = fitted.sample_y(X, 4000, random_state=0)[0]
    levels = fitted.predict_cdf(np.repeat(X, len(draws), axis=0), draws)
    # Kolmogorov-Smirnov with the critical value of a false alarm in 10,000.
    grid = np.arange(1, len(draws) + 1) / len(draws)
    assert np.max(np.abs(np.sort(levels) - grid)) < 2.23 / np.sqrt(len(draws))


# ---------------------------------------------------------------- evidence and forecasts


def test_evidence_is_the_sum_of_one_step_ahead_scores(two_regimes):
    X, y = two_regimes
    model = small()
    forecast = model.prequential(X, y)
    assert forecast.n_warmup == 40
    assert len(forecast) == 160
    assert forecast.n_scored == 120
    assert np.isnan(forecast.mean[:40]).all()
    assert np.isfinite(forecast.mean[40:]).all()
    np.testing.assert_allclose(
        np.diff(forecast.log_evidence[40:]), forecast.log_density[41:], atol=1e-8
    )
    np.testing.assert_allclose(forecast.log_evidence[-1], model.log_evidence_, rtol=1e-12)


def test_prequential_scores_are_those_of_predictions(two_regimes):
    X, y = two_regimes
    model = small().partial_fit(X[:100], y[:100])
    row, target = X[100:101], y[100:101]
    mean, std = model.predict(row, return_std=True)
    scores = (model.log_density(row, target), model.predict_cdf(row, target))
    crps = model.crps(row, target)
    forecast = model.prequential(row, target)
    np.testing.assert_allclose(forecast.mean, mean, rtol=1e-10)
    np.testing.assert_allclose(forecast.std, std, rtol=1e-10)
    np.testing.assert_allclose(forecast.log_density, scores[0], rtol=1e-10)
    np.testing.assert_allclose(forecast.cdf, scores[1], rtol=1e-10)
    np.testing.assert_allclose(forecast.crps, crps, rtol=1e-8)


def test_forecast_without_crps(two_regimes):
    forecast = small().prequential(*two_regimes, crps=False)
    assert np.isnan(forecast.crps).all()
    assert np.isfinite(forecast.mean_log_density)


def test_forecast_reports(two_regimes):
    X, y = two_regimes
    model = small()
    parts = [model.prequential(X[i : i + 30], y[i : i + 30]) for i in range(0, 160, 30)]
    joined = hsmoe.Forecast.concatenate(parts)
    whole = small().prequential(X, y)
    for name, values in whole.to_dict().items():
        np.testing.assert_array_equal(values, getattr(joined, name), err_msg=name)
    assert joined.n_warmup == whole.n_warmup == 40
    low, high = whole.coverage([0.5, 0.99])
    assert 0 <= low <= high <= 1
    assert isinstance(float(whole.coverage(0.9)), float)
    names = [name for name in whole.to_dict() if name != "expert_weight"]
    assert list(whole.to_pandas().columns) == [*names, *(f"expert_weight_{k}" for k in range(3))]
    assert "log score" in repr(whole)
    assert "coverage of 90% interval" in whole.summary()
    with pytest.raises(ValueError, match="between 0 and 1"):
        whole.coverage(1.5)
    with pytest.raises(ValueError, match="no forecast"):
        hsmoe.Forecast.concatenate([])


def test_forecast_inside_the_warmup_has_no_scores(two_regimes):
    X, y = two_regimes
    forecast = small().prequential(X[:10], y[:10])
    assert forecast.n_warmup == 10
    assert np.isnan(forecast.mean_log_density)
    assert np.isnan(forecast.coverage(0.9))
    assert "nan" in repr(forecast)


def test_standard_error_needs_islands(two_regimes):
    X, y = two_regimes
    assert np.isnan(small().fit(X, y).log_evidence_se_)
    model = small(n_islands=3).fit(X, y)
    assert model.log_evidence_se_ > 0
    assert 0 < model.ess_ <= 3 * 7 * 16  # seven times as many at first
    assert "Monte Carlo standard error" in model.summary()


def test_resampling_log(fitted):
    log = fitted.resampling_log_
    assert set(log) == {"row", "island", "ess", "unique"}
    assert len({len(column) for column in log.values()}) == 1


# ---------------------------------------------------------------- warm-up


def test_answers_during_the_warmup(two_regimes):
    X, y = two_regimes
    model = small().partial_fit(X[:25], y[:25])
    before = model.to_bytes()
    mean = model.predict(X[:4])
    assert np.isfinite(mean).all()
    np.testing.assert_array_equal(mean, model.predict(X[:4]))
    assert np.isfinite(model.log_evidence_)
    assert "provisional" in model.summary()
    assert model.to_bytes() == before
    # As if the warm-up ended with these rows:
    ended = small(n_warmup=25).fit(X[:25], y[:25])
    np.testing.assert_array_equal(mean, ended.predict(X[:4]))
    # And asking changes nothing of what follows.
    other = small().partial_fit(X[:25], y[:25]).partial_fit(X[25:], y[25:])
    assert model.partial_fit(X[25:], y[25:]).to_bytes() == other.to_bytes()
    assert not np.array_equal(model.predict(X[:4]), mean)


def test_auto_warmup_is_all_rows_of_fit_and_bounded_otherwise(two_regimes):
    X, y = two_regimes
    auto = small(n_warmup="auto").fit(X, y)
    same = small(n_warmup=160).fit(X, y)
    np.testing.assert_array_equal(auto.predict(X), same.predict(X))
    assert small(n_warmup="auto").prequential(X, y).n_warmup == 50
    wide = np.hstack([X, X**2, X**3])
    assert small(n_warmup="auto").prequential(wide, y).n_warmup == 90


def test_without_standardisation_there_is_no_warmup(two_regimes):
    X, y = two_regimes
    Z, t = (X - X.mean(axis=0)) / X.std(axis=0), (y - y.mean()) / y.std()
    forecast = small(standardize=False).prequential(Z, t)
    assert forecast.n_warmup == 0
    assert np.isfinite(forecast.log_density).all()


def test_one_row_is_enough():
    for model in (small().fit([[3.0]], [2.0]), small().partial_fit([[3.0]], [2.0])):
        assert np.isfinite(model.predict([[3.0], [4.0]])).all()
        assert model.n_rows_seen_ == 1


def test_smallest_models(two_regimes):
    X, y = two_regimes
    for settings in ({"n_experts": 1}, {"n_particles": 1}, {"n_experts": 1, "n_particles": 1}):
        model = small(**settings).fit(X, y)
        assert np.isfinite(model.predict(X)).all()
        assert "expert" in model.summary()
        assert len(model.gate_inclusion()) == model.n_experts - 1


def test_zero_variance():
    X = np.column_stack([np.full(80, 7.0), np.zeros(80), np.linspace(0, 1, 80)])
    model = small().fit(X, np.full(80, 3.0))
    np.testing.assert_allclose(model.predict(X[:3]), 3.0, atol=0.1)
    assert np.isfinite(model.log_evidence_)


def test_fit_begins_from_scratch(two_regimes):
    X, y = two_regimes
    model = small().fit(X[:, :2], y)
    assert model.fit(X, y).n_features_in_ == 3
    assert model.to_bytes() == small().fit(X, y).to_bytes()


def test_structural_parameters_are_fixed_by_the_first_row(two_regimes):
    X, y = two_regimes
    model = small().fit(X, y)
    model.set_params(n_experts=5)
    with pytest.raises(ValueError, match=r"n_experts was 3 .* now 5.*call fit"):
        model.partial_fit(X, y)
    assert model.predict_expert_proba(X[:1]).shape == (1, 3)
    assert model.fit(X, y).predict_expert_proba(X[:1]).shape == (1, 5)
    model.set_params(n_jobs=2, missing="skip").partial_fit(X, y)


# ---------------------------------------------------------------- seeds


@pytest.mark.parametrize(
    "make",
    [
        lambda: 3,
        lambda: np.int64(3),
        lambda: np.random.SeedSequence(3, spawn_key=(1,)),
        lambda: np.random.default_rng(3),
    ],
)
def test_seeded_models_repeat(make, two_regimes):
    X, y = two_regimes
    a = small(random_state=make()).fit(X, y)
    b = small(random_state=make()).fit(X, y)
    np.testing.assert_array_equal(a.predict(X), b.predict(X))


def test_unseeded_models_differ(two_regimes):
    a, b = (small(random_state=None).fit(*two_regimes) for _ in range(2))
    assert a.to_bytes() != b.to_bytes()


# ---------------------------------------------------------------- inputs


def test_libraries_and_dtypes_give_the_same_bits(two_regimes):
    X, y = two_regimes
    names = ["a", "b", "c"]
    expected = small().fit(X, y).predict(X)
    frame = pd.DataFrame(X, columns=names)
    for given, target in [
        (frame, pd.Series(y)),
        (frame.astype("Float64"), pd.Series(y, name="y").to_frame()),
        (pl.DataFrame(X, schema=names), pl.Series(y)),
        (X.tolist(), y.tolist()),
        (np.asfortranarray(X), y[:, None]),
        (np.ma.masked_array(X), np.ma.masked_array(y)),
    ]:
        model = small().fit(given, target)
        np.testing.assert_array_equal(model.predict(given), expected)
        np.testing.assert_array_equal(model.predict(X), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int32, np.uint8, bool])
def test_narrow_dtypes_mean_their_values(dtype, two_regimes):
    X = np.abs(two_regimes[0]).astype(dtype)
    y = np.abs(two_regimes[1]).astype(dtype)
    narrow = small().fit(X, y)
    wide = small().fit(X.astype(np.float64), y.astype(np.float64))
    assert narrow.to_bytes() == wide.to_bytes()
    np.testing.assert_array_equal(narrow.predict(X), wide.predict(X.astype(np.float64)))


def test_feature_names(two_regimes):
    X, y = two_regimes
    model = small().fit(pd.DataFrame(X, columns=["a", "b", "c"]), y)
    assert list(model.feature_names_in_) == ["a", "b", "c"]
    assert model.gate_inclusion().features == ("intercept", "a", "b", "c")
    assert not hasattr(small().fit(X, y), "feature_names_in_")
    assert not hasattr(small().fit(pd.DataFrame(X), y), "feature_names_in_")


def test_feature_selection(two_regimes):
    X, y = two_regimes
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    named = small(gate_features=["c", "a"], expert_features=["b"]).fit(frame, y)
    numbered = small(gate_features=[2, 0], expert_features=np.array([1])).fit(X, y)
    np.testing.assert_array_equal(named.predict(X), numbered.predict(X))
    assert named.gate_inclusion().features == ("intercept", "c", "a")
    # Experts that see only b: at a fixed gate, a and c are without effect.
    blind = small(gate_features=[], expert_features=["b"]).fit(frame, y)
    moved = frame.assign(a=5.0, c=-9.0)
    np.testing.assert_array_equal(blind.predict(frame), blind.predict(moved))


def test_missing_rows_are_skipped_and_counted(two_regimes):
    X, y = two_regimes[0].copy(), two_regimes[1].copy()
    X[3, 1] = X[90, 0] = y[50] = np.nan
    complete = np.ones(160, dtype=bool)
    complete[[3, 50, 90]] = False
    model = small(missing="skip")
    forecast = model.prequential(X, y)
    assert model.n_rows_skipped_ == forecast.n_skipped == 3
    assert model.n_rows_seen_ == 160
    assert np.isnan(forecast.mean[[3, 50, 90]]).all()
    assert forecast.n_scored == 160 - 3 - 40 == np.isfinite(forecast.mean).sum()
    clean = small(missing="skip").partial_fit(X[complete], y[complete])
    np.testing.assert_array_equal(model.predict(X[complete]), clean.predict(X[complete]))
    assert model.log_evidence_ == clean.log_evidence_
    predicted = model.predict(X)
    assert np.isnan(predicted[[3, 90]]).all()
    assert np.isnan(predicted).sum() == 2
    assert np.isnan(model.log_density(X, y)).sum() == 3
    assert model.predict_interval(X).shape == (160, 2)


def test_only_missing_rows():
    model = small(missing="skip")
    with pytest.raises(ValueError, match="at least one complete row"):
        small(missing="skip", n_warmup="auto").fit([[np.nan]], [1.0])
    model.partial_fit([[np.nan], [np.nan]], [1.0, 2.0])
    assert model.n_rows_seen_ == 2
    with pytest.raises(hsmoe.NotFittedError):
        model.predict([[1.0]])
    assert np.isfinite(model.partial_fit([[1.0]], [1.0]).predict([[1.0]])).all()


# ---------------------------------------------------------------- gates, priors, experts


@pytest.mark.parametrize("gate", ["comb", "balanced", [[0, 2], 1], [[2, 1, 0]][0], ((0, 1), 2)])
@pytest.mark.parametrize(
    "gate_prior",
    ["group-horseshoe", "horseshoe", "normal", "horseshoe-paper", hsmoe.HorseshoePrior(tau0=0.1)],
)
def test_gates_and_priors(gate, gate_prior, two_regimes):
    X, y = two_regimes
    model = small(gate=gate, gate_prior=gate_prior, expert=hsmoe.GaussianExpert(b0=0.05))
    model.fit(X, y)
    assert np.isfinite(model.predict(X)).all()
    assert len(model.gate_inclusion().splits) == 2


def test_gate_inclusion_table(fitted):
    table = fitted.gate_inclusion()
    assert np.asarray(table).shape == (2, 4)
    assert table.splits == ("0 | 1,2", "1 | 2")
    assert table.to_pandas().loc["1 | 2", "x1"] == table.values[1, 2]
    assert len(table.strongest(0, 2)) == 2
    assert repr(table).count("\n") == 2
    assert "one expert" in repr(small(n_experts=1).fit([[0.0]], [1.0]).gate_inclusion())


def test_summary_in_the_units_of_the_data():
    rng = np.random.default_rng(1)
    X = pd.DataFrame({"price": rng.normal(1e6, 1e4, 400), "size": rng.normal(0, 1e-3, 400)})
    y = 5.0 + 2.0 * X["price"] - 1e7 * X["size"] + rng.normal(0, 2000.0, 400)
    model = HSMoERegressor(1, 1, 1, random_state=0).fit(X, y)
    text = model.summary()
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line.startswith("  ")}
    assert float(rows["price"][1]) == pytest.approx(2.0, rel=0.05)
    assert float(rows["size"][1]) == pytest.approx(-1e7, rel=0.05)
    assert float(rows["noise"][2]) == pytest.approx(2000.0, rel=0.2)
    assert "400 learned" in text


@pytest.mark.parametrize(
    ("gate", "expected"),
    [
        ("balanced", "(logit of going left, per standard deviation of a feature; inclusion)"),
        ("softmax", "(log weight of the child, per standard deviation of a feature; inclusion)"),
        (
            ("laplace", [0, ("logistic", [1, 2])]),
            "(centre of the child in standard deviations of a feature; logit of going left",
        ),
    ],
)
def test_summary_says_what_gate_coefficients_are(gate, expected, two_regimes):
    text = small(gate=gate, retain=50).fit(*two_regimes).summary()
    assert f"gate splits {expected}" in text


def test_verbose_reports_each_call(two_regimes, capsys):
    X, y = two_regimes
    small(verbose=1).partial_fit(X[:10], y[:10]).partial_fit(X[10:], y[10:])
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert "warm-up" in lines[0]
    assert "log evidence" in lines[1]


# ---------------------------------------------------------------- copies


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))]
)
def test_copies_are_independent(duplicate, two_regimes):
    X, y = two_regimes
    model = small().partial_fit(X[:100], y[:100])
    twin = duplicate(model)
    assert twin.to_bytes() == model.to_bytes()
    before = model.to_bytes()
    twin.partial_fit(X[100:], y[100:])
    assert model.to_bytes() == before
    assert model.partial_fit(X[100:], y[100:]).to_bytes() == twin.to_bytes()


def test_a_stuck_target_does_not_shut_the_experts_out():
    """50 constant rows at first: a noiseless expert must not fix the noise prior of others."""
    rng = np.random.default_rng(5)
    X = rng.normal(size=(3000, 3))
    y = np.where(X[:, 0] > 0, X[:, 1], -X[:, 1]) + 0.3 * rng.normal(size=len(X))
    y[:50] = 2.5
    forecast = HSMoERegressor(n_particles=64, random_state=1).prequential(X, y, crps=False)
    assert np.sqrt(np.mean((forecast.mean - y)[2500:] ** 2)) < 0.5


@pytest.mark.parametrize("probs", ["a", [0.5, None], [[0.5]], [0.5, 1.0], float("nan")], ids=repr)
def test_probabilities_are_refused_by_name(fitted, two_regimes, probs):
    with pytest.raises(ValueError, match=r"probs is .*; it must be probabilities between 0 and 1"):
        fitted.predict_quantiles(two_regimes[0][:3], probs)
