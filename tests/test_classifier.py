"""HSMoEClassifier: labels in and out, forecasts, state, refusals."""

from __future__ import annotations

import copy

import numpy as np
import pandas as pd
import polars as pl
import pytest
from one_island import ONE_ISLAND
from scipy import special, stats

import hsmoe
from hsmoe import HSMoEClassifier, NotFittedError


def small(**parameters):
    settings = {**ONE_ISLAND, "n_experts": 2, "n_particles": 16, "n_warmup": 30, "random_state": 3}
    return HSMoEClassifier(**(settings | parameters))


@pytest.fixture(scope="module")
def stream():
    """X (160, 3) and three classes, asymmetric, features of very different scales."""
    rng = np.random.default_rng(4)
    X = rng.normal(size=(160, 3)) * [1.0, 100.0, 1e-3] + [0.0, 1e4, 0.5]
    bend = np.where(X[:, 0] > 0.2, 2 * X[:, 0], (X[:, 1] - 1e4) / 60)
    number = np.digitize(bend + rng.logistic(size=160), [-0.5, 1.5])
    return X, np.array(["low", "middle", "top"])[number]


@pytest.fixture(scope="module")
def fitted(stream):
    return small().fit(*stream)


def test_shapes_and_agreement(fitted, stream):
    X, y = stream
    assert fitted.classes_.tolist() == ["low", "middle", "top"]
    proba = fitted.predict_proba(X[:9])
    assert proba.shape == (9, 3)
    np.testing.assert_allclose(proba.sum(axis=1), 1.0, rtol=1e-14)
    assert fitted.predict(X[:9]).tolist() == fitted.classes_[proba.argmax(axis=1)].tolist()
    places = np.searchsorted(fitted.classes_, y[:9])
    expected = np.log(proba[np.arange(9), places])
    np.testing.assert_allclose(fitted.log_density(X[:9], y[:9]), expected, rtol=1e-12)
    np.testing.assert_array_equal(fitted.predict_log_proba(X[:9]), np.log(proba))
    routing = fitted.predict_expert_proba(X[:9])
    np.testing.assert_allclose(routing.sum(axis=1), 1.0)
    assert 0 <= fitted.score(X, y) <= 1
    assert "'top' among 3 classes" in fitted.summary()


def test_draws_follow_the_probabilities(fitted, stream):
    """Counts of 4,000 draws within 4.5 standard errors (false alarms: 7e-6 a count)."""
    X, _ = stream
    draws = fitted.sample_y(X[:3], 4000, random_state=0)
    proba = fitted.predict_proba(X[:3])
    for c, label in enumerate(fitted.classes_):
        share = (draws == label).mean(axis=1)
        error = np.sqrt(proba[:, c] * (1 - proba[:, c]) / 4000)
        assert (np.abs(share - proba[:, c]) < 4.5 * error + 1e-9).all()
    np.testing.assert_array_equal(draws, fitted.sample_y(X[:3], 4000, random_state=0))


@pytest.mark.parametrize(
    "encode",
    [
        lambda y: y,
        lambda y: y.tolist(),
        lambda y: y.astype(object),
        lambda y: pd.Series(y),
        lambda y: pd.Series(y, dtype="category"),
        lambda y: pl.Series(y),
        lambda y: y[:, None],
        lambda y: np.searchsorted(["low", "middle", "top"], y) * 10 - 3,
        lambda y: np.searchsorted(["low", "middle", "top"], y).astype(float),
    ],
)
def test_kinds_of_labels(encode, fitted, stream):
    X, y = stream
    model = small().fit(X, encode(y))
    assert len(model.classes_) == 3
    np.testing.assert_array_equal(model.predict_proba(X[:4]), fitted.predict_proba(X[:4]))
    again = HSMoEClassifier.from_bytes(model.to_bytes())
    assert again.classes_.tolist() == model.classes_.tolist()
    assert again.classes_.dtype == model.classes_.dtype


def test_booleans(stream):
    X, y = stream
    model = small().fit(X, y == "top")
    assert model.classes_.tolist() == [False, True]
    assert model.predict(X[:3]).dtype == bool
    assert "of 'True'" in model.summary()


def test_chunks_threads_and_files_give_the_same_bits(stream, tmp_path):
    X, y = stream
    classes = ["top", "low", "middle"]
    whole = small(retain=30, forgetting=0.99)
    forecast = whole.prequential(X, y)
    cut = small(retain=30, forgetting=0.99, n_jobs=3)
    for i in range(0, 160, 23):
        cut.partial_fit(X[i : i + 23], y[i : i + 23], classes=classes)
        cut.save(tmp_path / "m.hsmoe")
        cut = hsmoe.load(tmp_path / "m.hsmoe")
    cut.set_params(n_jobs=1)
    assert cut.to_bytes() == whole.to_bytes()
    assert isinstance(cut, HSMoEClassifier)
    copied = copy.deepcopy(cut)
    np.testing.assert_array_equal(copied.predict_proba(X), whole.predict_proba(X))
    parts = small(retain=30, forgetting=0.99)
    joined = hsmoe.ClassForecast.concatenate(
        [parts.prequential(X[:70], y[:70], classes=classes), parts.prequential(X[70:], y[70:])]
    )
    for name, values in forecast.to_dict().items():
        np.testing.assert_array_equal(values, getattr(joined, name), err_msg=name)


def test_forecast_scores(stream):
    X, y = stream
    forecast = small().prequential(X, y)
    known = slice(30, None)
    assert forecast.n_warmup == 30 and np.isnan(forecast.proba[:30]).all()
    number = np.searchsorted(forecast.classes, y[known])
    np.testing.assert_array_equal(forecast.observed[known], number)
    p = forecast.proba[known]
    hit = np.eye(3)[number]
    np.testing.assert_allclose(forecast.log_density[known], np.log(p[hit == 1]), rtol=1e-10)
    assert forecast.log_loss == pytest.approx(-np.mean(np.log(p[hit == 1])))
    assert forecast.mean_brier == pytest.approx(np.mean(((p - hit) ** 2).sum(axis=1)))
    assert forecast.accuracy == pytest.approx(np.mean(p.argmax(axis=1) == number))
    table = forecast.calibration("middle", bins=4)
    assert table["count"].sum() == 130
    inside = (p[:, 1] >= 0.25) & (p[:, 1] < 0.5)
    assert table["forecast"][1] == pytest.approx(p[inside, 1].mean())
    assert table["observed"][1] == pytest.approx(hit[inside, 1].mean())
    assert forecast.to_pandas().shape == (160, 5 + 3 + 2)
    assert "Brier" in repr(forecast) and "log loss" in forecast.summary()
    with pytest.raises(ValueError, match="label is 'none'"):
        forecast.calibration("none")


def test_one_expert_is_bayesian_logistic_regression():
    """Posterior mean probabilities against quadrature; Monte Carlo error of 4,000 particles."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(30, 1))
    y = (rng.random(30) < special.expit(1.5 * X[:, 0] - 0.7)).astype(int)
    model = HSMoEClassifier(
        **ONE_ISLAND,
        n_experts=1,
        n_particles=4000,
        expert=hsmoe.LogitExpert(3.0, 2.0),
        retain=None,
        standardize=False,
        random_state=1,
    ).partial_fit(X, y, classes=[0, 1])
    a, b = np.meshgrid(np.linspace(-6, 6, 301), np.linspace(-6, 6, 301))
    log_p = stats.norm.logpdf(a, 0, np.sqrt(3.0)) + stats.norm.logpdf(b, 0, np.sqrt(2.0))
    for x, label in zip(X[:, 0], y, strict=True):
        log_p = log_p + special.log_expit((a + b * x) * (1 if label else -1))
    weight = np.exp(log_p - special.logsumexp(log_p))
    points = np.array([-2.0, -0.3, 1.0, 2.5])
    exact = [float((weight * special.expit(a + b * x)).sum()) for x in points]
    np.testing.assert_allclose(model.predict_proba(points[:, None])[:, 1], exact, atol=0.01)


def test_regimes_are_found():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(900, 3))
    eta = np.where(X[:, 0] > 0.3, 2 * X[:, 1] - 1, 1.5 - 2 * X[:, 2])
    y = (rng.random(900) < special.expit(eta)).astype(int)
    settings = {**ONE_ISLAND, "n_particles": 64, "random_state": 1}
    loss = [HSMoEClassifier(K, **settings).prequential(X, y).log_loss for K in (1, 2)]
    truth = -np.mean(special.log_expit(eta * (2 * y - 1)))
    assert loss[1] < loss[0] - 0.06
    assert loss[1] < truth + 0.07


def test_offsets_are_the_log_odds_of_the_warm_up():
    """Without features the first forecast after the warm-up is near the shares of its classes."""
    y = np.array(["a"] * 85 + ["b"] * 10 + ["c"] * 5)
    model = small(n_experts=1, expert_features=[], gate_features=[], n_particles=200)
    model.fit(np.zeros((100, 1)), np.random.default_rng(0).permutation(y))
    np.testing.assert_allclose(model.predict_proba([[0.0]])[0], [0.85, 0.10, 0.05], atol=0.03)


def test_questions_during_the_warm_up(stream):
    X, y = stream
    model = small()
    with pytest.raises(NotFittedError):
        model.predict_proba(X)
    with pytest.raises(NotFittedError):
        _ = model.classes_
    model.partial_fit(X[:10], y[:10], classes=["low", "middle", "top"])
    assert model.predict_proba(X[:2]).shape == (2, 3)
    again = HSMoEClassifier.from_bytes(model.to_bytes())
    np.testing.assert_array_equal(again.predict_proba(X[:2]), model.predict_proba(X[:2]))


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (["a", "b", "a", "z"], r"y: row 3 is 'z', which is none of the classes 'a', 'b'"),
        (["a", None, "a", "b"], r"y: row 1 is missing"),
        ([0, 1, 0, 1], r"y: row 0 is 0, which is none of the classes"),
        (["a", "b", 1, 2], r"mixes text and numbers"),
        ([0.5, 1.0, 0.0, 1.0], r"y: row 0 is 0.5, a fraction"),
        (["a", "b"], r"y has 2 values, but X has 4 rows"),
        ([["a", "b"]] * 4, r"y has shape \(4, 2\)"),
        ("abab", r"y is a str"),
        (np.array(["2020-01-01"] * 4, dtype="datetime64[D]"), r"dtype datetime64"),
    ],
)
def test_wrong_labels_are_refused_by_name(y, message):
    X = np.arange(8.0).reshape(4, 2)
    model = small().partial_fit(X, ["a", "b", "b", "a"], classes=["a", "b"])
    before = model.to_bytes()
    with pytest.raises(ValueError, match=message):
        model.partial_fit(X, y)
    assert model.to_bytes() == before


def test_refusals():
    X = np.arange(8.0).reshape(4, 2)
    with pytest.raises(ValueError, match="classes is None in the first call"):
        small().partial_fit(X, [0, 1, 0, 1])
    with pytest.raises(ValueError, match="y has 1 class "):
        small().fit(X, [1, 1, 1, 1])
    with pytest.raises(ValueError, match="classes has 300 classes"):
        small().partial_fit(X, [0, 1, 0, 1], classes=range(300))
    with pytest.raises(ValueError, match="expert is 'gaussian'; it must be 'logit' or a LogitE"):
        small(expert="gaussian").fit(X, [0, 1, 0, 1])
    with pytest.raises(ValueError, match="expert is LogitExpert"):
        hsmoe.HSMoERegressor(expert=hsmoe.LogitExpert()).fit(X, [0, 1, 0, 1])
    with pytest.raises(ValueError, match="coefficient_variance is -1"):
        hsmoe.LogitExpert(coefficient_variance=-1)
    model = small().partial_fit(X, [0, 1, 0, 1], classes=[0, 1])
    with pytest.raises(ValueError, match=r"classes is \[0, 1, 2\], but the model began with"):
        model.partial_fit(X, [0, 1, 0, 1], classes=[0, 1, 2])
    with pytest.raises(hsmoe.CheckpointError, match="'HSMoEClassifier', not a HSMoERegressor"):
        hsmoe.HSMoERegressor.from_bytes(model.to_bytes())


def test_missing_rows_are_skipped(stream):
    X, y = stream
    holes, gaps = X.copy(), y.astype(object)
    holes[50, 1] = np.nan
    gaps[[60, 61]] = None
    model = small(missing="skip")
    forecast = model.prequential(holes, gaps)
    assert forecast.n_skipped == 3 and model.n_rows_skipped_ == 3
    inside = np.setdiff1d(np.arange(160), [50, 60, 61])
    plain = small().fit(X[inside], y[inside])
    np.testing.assert_array_equal(model.predict_proba(X[:4]), plain.predict_proba(X[:4]))
    assert np.isnan(model.predict_proba(holes[49:52])[1]).all()
    with pytest.raises(ValueError, match="row 1 is incomplete"):
        model.predict(holes[49:52])


def test_parameters_follow_scikit_learn():
    model = HSMoEClassifier(n_experts=3, expert=hsmoe.LogitExpert(1.0))
    assert HSMoEClassifier(**model.get_params()).get_params() == model.get_params()
    assert repr(model) == (
        "HSMoEClassifier(n_experts=3, expert=LogitExpert(intercept_variance=1.0, "
        "coefficient_variance=2.0))"
    )
    assert model.set_params(n_experts=2).n_experts == 2


@pytest.mark.parametrize("kind", [HSMoEClassifier, hsmoe.HSMoECountRegressor])
def test_defaults_are_those_of_the_regressor(kind):
    own, regressor = kind().get_params(), hsmoe.HSMoERegressor().get_params()
    assert list(own) == list(regressor)
    assert own.pop("expert") != regressor.pop("expert")
    assert own == regressor


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (["a"], "y has 1 values, but X has 160 rows"),
        (["zzz"] * 160, "row 0 is 'zzz', which is none of the classes"),
        (["low"] * 159 + [None], "y.*row 159"),
    ],
    ids=["one label", "unknown label", "missing label"],
)
def test_score_refuses_labels_by_name(fitted, stream, y, message):
    with pytest.raises(ValueError, match=message):
        fitted.score(stream[0], y)


def test_score_of_a_column_of_labels(fitted, stream):
    X, y = stream
    share = (fitted.predict(X) == y).mean()
    assert fitted.score(X, np.asarray(y)[:, None]) == fitted.score(X, y) == pytest.approx(share)


def test_score_leaves_missing_labels_out(stream):
    X, y = stream
    model = small(missing="skip").fit(X, y)
    gone = np.asarray(y, dtype=object).copy()
    gone[::3] = None
    kept = np.arange(len(y)) % 3 > 0
    assert model.score(X, gone) == model.score(X[kept], np.asarray(y)[kept])


@pytest.mark.parametrize("dtype", ["string", "object", "boolean"])
def test_missing_labels_of_pandas(stream, dtype):
    X, y = stream
    labels = pd.Series(y == "top" if dtype == "boolean" else y, dtype=dtype)
    labels[7] = pd.NA
    whole = small(missing="skip").fit(X, labels)
    rest = np.arange(len(y)) != 7
    assert whole.n_rows_skipped_ == 1
    assert (
        whole.log_evidence_
        == small().fit(X[rest], labels[rest].to_numpy(dtype=object)).log_evidence_
    )
    with pytest.raises(ValueError, match="row 7"):
        small().fit(X, labels)
