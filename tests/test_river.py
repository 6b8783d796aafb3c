"""hsmoe.river: river's own checks, counted; features and labels that come and go."""

import math
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest
from readme_counts import compare

import hsmoe

river = pytest.importorskip("river", minversion="0.25", reason="extra river")

from river import (  # noqa: E402
    checks,
    compose,
    dummy,
    evaluate,
    metrics,
    preprocessing,
    proba,
    stats,
)

import hsmoe.river  # noqa: E402

SMALL = {"n_experts": 2, "n_particles": 8, "n_islands": 1, "seed": 3}


class RoundedCounts(hsmoe.river.HSMoECountRegressor):
    """Rounds targets, as river's checks know of no counts."""

    def learn_one(self, x, y):
        super().learn_one(x, round(y))

    def learn_many(self, X, y):
        super().learn_many(X, y.round())


MODELS = {
    "HSMoERegressor": hsmoe.river.HSMoERegressor,
    "HSMoECountRegressor": RoundedCounts,
    "HSMoEClassifier": hsmoe.river.HSMoEClassifier,
}


@pytest.mark.parametrize("name", list(MODELS))
def test_checks_of_river(name):
    cls, passed = MODELS[name], 0
    for parameters in cls._unit_test_params():
        model = cls(**parameters)
        assert model._unit_test_skips() == set()
        for check in checks.yield_checks(model):
            check(model.clone())
            passed += 1
    compare(f"hsmoe.river.{name}", "river", river.__version__, passed, passed)


@pytest.mark.parametrize("name", list(MODELS))
def test_parameters_are_those_of_the_models(name):
    ours = vars(getattr(hsmoe.river, name)())
    theirs = getattr(hsmoe, name)().get_params()
    renamed = {"random_state": "seed"}
    for parameter, value in theirs.items():
        if parameter not in ("missing", "verbose"):  # absent values are river's daily bread
            assert ours[renamed.get(parameter, parameter)] == value


def test_the_package_river_is_not_hidden():
    code = (
        "import hsmoe.river, river, river.base\n"
        "assert hsmoe.river is not river and river.base.Regressor\n"
        "assert isinstance(hsmoe.river.HSMoERegressor(), river.base.Regressor)\n"
    )
    subprocess.run([sys.executable, "-P", "-c", code], check=True)


# ---------------------------------------------------------------------- streams


@pytest.fixture(scope="module")
def stream(two_regimes):
    X, y = two_regimes
    names = ["speed", "height", 7]  # names may be of any type
    rows = [dict(zip(names, row, strict=True)) for row in X.tolist()]
    return rows, y.tolist()


def taught(rows, targets, **changes):
    model = hsmoe.river.HSMoERegressor(**{**SMALL, "n_warmup": 60, **changes})
    for x, y in zip(rows, targets, strict=True):
        model.learn_one(x, y)
    return model


def test_rows_teach_what_partial_fit_teaches(stream, two_regimes):
    rows, targets = stream
    model = taught(rows, targets)
    X, y = two_regimes
    order = [["speed", "height", 7].index(name) for name in model.features]
    core = hsmoe.HSMoERegressor(2, 8, 1, n_warmup=60, random_state=3).partial_fit(X[:, order], y)
    assert model.model.to_bytes() == core.to_bytes()
    assert [model.predict_one(x) for x in rows[:5]] == core.predict(X[:5, order]).tolist()
    assert model.n_rows_seen == len(rows)


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
@pytest.mark.parametrize("size", [1, 17, 160])
def test_batches_are_their_rows(stream, frame, size):
    rows = [{str(name): value for name, value in x.items()} for x in stream[0]]
    targets = stream[1]
    one = taught(rows, targets)
    many = hsmoe.river.HSMoERegressor(**SMALL, n_warmup=60)
    series = pd.Series if frame is pd.DataFrame else pl.Series
    for start in range(0, len(rows), size):
        part = slice(start, start + size)
        many.learn_many(frame(rows[part]), series(targets[part]))
    assert pickle.dumps(one) == pickle.dumps(many)
    forecast = many.predict_many(frame(rows[:9]))
    assert isinstance(forecast, series)
    assert forecast.to_list() == [one.predict_one(x) for x in rows[:9]]


def test_batches_keep_the_index(stream):
    model = taught(*stream)
    X = pd.DataFrame(stream[0][:3], index=["p", "q", "r"])
    assert model.predict_many(X).index.tolist() == ["p", "q", "r"]


def test_the_order_of_the_keys_is_nothing(stream):
    rows, targets = stream
    turned = [dict(reversed(x.items())) for x in rows]
    assert pickle.dumps(taught(rows, targets)) == pickle.dumps(taught(turned, targets))


@pytest.mark.parametrize("gone", ["absent", None, math.nan])
def test_an_absent_feature_is_put_at_its_mean(stream, gone):
    rows, targets = stream
    mean = math.fsum(x["height"] for x in rows[:60]) / 60

    def without(x):
        return {k: v for k, v in {**x, "height": gone}.items() if v != "absent"}

    model = taught([*rows[:60], *map(without, rows[60:])], targets)
    filled = taught([*rows[:60], *({**x, "height": mean} for x in rows[60:])], targets)
    assert model.model.to_bytes() == filled.model.to_bytes()
    assert model.predict_one(without(rows[0])) == filled.predict_one({**rows[0], "height": mean})


def test_the_mean_is_of_the_rows_that_had_the_feature(stream):
    rows, targets = stream
    some = [x if i % 3 else {"speed": x["speed"]} for i, x in enumerate(rows)]
    model = taught(some, targets)
    had = [x["height"] for x in some[:60] if "height" in x]
    j = model.features.index("height")
    assert len(had) == 40
    assert model.model._state.scaling.x_centre[j] == pytest.approx(np.mean(had), rel=1e-12)


def test_a_feature_after_the_warm_up_is_ignored(stream):
    rows, targets = stream
    late = [x if i < 60 else {**x, "new": float(i)} for i, x in enumerate(rows)]
    model = taught(late, targets)
    assert pickle.dumps(model) == pickle.dumps(taught(rows, targets))
    assert "new" not in model.features
    early = [x if i < 59 else {**x, "new": float(i)} for i, x in enumerate(rows)]
    assert "new" in taught(early, targets).features


def test_a_row_of_nothing_known(stream):
    model = taught(*stream)
    assert math.isfinite(model.predict_one({}))
    assert model.predict_one({"other": 4.0}) == model.predict_one({})


def test_features_for_the_gate_by_name(stream):
    rows, targets = stream
    model = taught(rows, targets, gate_features=["speed"], expert_features=["height", 7])
    state = model.model._state
    assert [model.features[j] for j in state.columns("gate")] == ["speed"]
    assert [model.features[j] for j in state.columns("expert")] == ["height", 7]
    with pytest.raises(ValueError, match=r"gate_features names \['depth'\]"):
        taught(rows, targets, gate_features=["depth"])


def test_the_warm_up_by_default(stream):
    rows, targets = stream
    model = taught(rows[:49], targets[:49], n_warmup="auto")
    assert model.model is None and model.features == ()
    model.learn_one(rows[49], targets[49])
    assert model.model.n_rows_seen_ == 50
    wide = [{f"x{j}": float(i * j) for j in range(7)} for i in range(70)]
    assert taught(wide[:69], targets[:69], n_warmup="auto").model is None
    assert taught(wide, targets[:70], n_warmup="auto").model is not None


def test_forecasts_of_the_warm_up_are_of_its_first_rows(stream):
    rows, targets = stream
    model = taught(rows[:45], targets[:45])
    assert model.predict_one(rows[50]) == taught(rows[:32], targets[:32]).predict_one(rows[50])
    assert model.predict_one(rows[50]) != taught(rows[:31], targets[:31]).predict_one(rows[50])
    assert hsmoe.river.HSMoERegressor().predict_one(rows[0]) == 0.0
    with pytest.raises(hsmoe.NotFittedError):
        hsmoe.river.HSMoERegressor().predict_one(rows[0], with_dist=True)


def test_forecasts_change_nothing(stream):
    rows, targets = stream
    for n in (20, 100):
        model = taught(rows[:n], targets[:n])
        before = pickle.dumps(model)
        model.predict_one(rows[0], with_dist=True).sample()
        model.predict_many(pd.DataFrame(rows[:4]))
        assert pickle.dumps(model) == before


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        ({"speed": "fast"}, 1.0, "'speed' is 'fast', a str"),
        ({"speed": "1.5"}, 1.0, "'speed' is '1.5', a str"),
        ({"speed": math.inf}, 1.0, "'speed' is inf"),
        ({"speed": [1]}, 1.0, "'speed' is"),
        ({"speed": 1.0}, math.nan, "y is nan"),
        ({"speed": 1.0}, math.inf, "y is inf"),
    ],
)
def test_what_cannot_be_learned_leaves_the_model(stream, x, y, words):
    for n in (20, 100):
        model = taught(stream[0][:n], stream[1][:n])
        before = pickle.dumps(model)
        with pytest.raises(ValueError, match=words):
            model.learn_one(x, y)
        frame = pd.DataFrame([stream[0][0], x])
        with pytest.raises(ValueError, match=words):
            model.learn_many(frame, pd.Series([1.0, y]))
        assert pickle.dumps(model) == before


def test_a_batch_needs_a_target_for_each_row(stream):
    model = taught(*stream)
    with pytest.raises(ValueError, match="y has 2 values, but X has 3 rows"):
        model.learn_many(pd.DataFrame(stream[0][:3]), pd.Series([1.0, 2.0]))


def test_clones_and_copies(stream):
    rows, targets = stream
    model = taught(rows[:100], targets[:100])
    copy = pickle.loads(pickle.dumps(model))
    for x, y in zip(rows[100:], targets[100:], strict=True):
        model.learn_one(x, y)
        copy.learn_one(x, y)
    assert pickle.dumps(model) == pickle.dumps(copy)
    assert model.clone().n_rows_seen == 0
    assert model._raw_memory_usage > model.model.nbytes > 0


def test_in_a_pipeline_of_river(stream):
    rows, targets = stream
    rows = [{str(k): v for k, v in x.items()} for x in rows]
    model = compose.Pipeline(
        preprocessing.StandardScaler(), hsmoe.river.HSMoERegressor(**SMALL, n_warmup=30)
    )
    error = evaluate.progressive_val_score(zip(rows, targets, strict=True), model, metrics.MAE())
    mean = dummy.StatisticRegressor(stats.Mean())
    plain = evaluate.progressive_val_score(zip(rows, targets, strict=True), mean, metrics.MAE())
    assert error.get() < 0.9 * plain.get()


# ---------------------------------------------------------------------- distributions


def test_a_forecast_is_the_mixture_of_the_model(stream):
    model = taught(*stream)
    x = stream[0][5]
    forecast = model.predict_one(x, with_dist=True)
    assert isinstance(forecast, proba.base.ContinuousDistribution)
    core = model.model
    row = np.array([[x[name] for name in model.features]])
    mean, std = core.predict(row, return_std=True)
    assert (forecast.mu, forecast.sigma) == (mean[0], std[0])
    assert forecast.mu == model.predict_one(x)
    assert forecast.cdf(60.0) == core.predict_cdf(row, [60.0])[0]
    assert forecast.log_pdf(60.0) == core.log_density(row, [60.0])[0]
    assert forecast(60.0) == pytest.approx(math.exp(forecast.log_pdf(60.0)))
    assert forecast.interval(0.8) == tuple(core.predict_interval(row, 0.8)[0])
    assert forecast.quantile(0.3) == core.predict_quantiles(row, [0.3])[0, 0]
    assert forecast.n_samples == len(stream[0])
    assert "mu=" in repr(forecast)
    for refused in (forecast.update, forecast.revert):
        with pytest.raises(NotImplementedError):
            refused(1.0)


def test_a_forecast_stays_as_it_was_made(stream):
    rows, targets = stream
    model = taught(rows[:100], targets[:100])
    forecast = model.predict_one(rows[0], with_dist=True)
    before = forecast.mu, forecast.cdf(50.0), forecast.mode, forecast.quantile(0.9)
    for x, y in zip(rows[100:], targets[100:], strict=True):
        model.learn_one(x, y)
    assert (forecast.mu, forecast.cdf(50.0), forecast.mode, forecast.quantile(0.9)) == before
    assert model.predict_one(rows[0]) != before[0]
    again = pickle.loads(pickle.dumps(forecast))
    assert again.cdf(50.0) == before[1]


def test_the_mode_is_the_highest_point(stream):
    """Two regimes without a gate: far apart, of different weight."""
    rng = np.random.default_rng(1)
    y = np.where(rng.random(300) < 0.7, 5.0, -5.0) + 0.3 * rng.normal(size=300)
    model = hsmoe.river.HSMoERegressor(**{**SMALL, "n_particles": 32}, n_warmup=50)
    for value in y.tolist():
        model.learn_one({"x": float(rng.normal())}, value)
    forecast = model.predict_one({"x": 0.0}, with_dist=True)
    grid = np.linspace(-8, 8, 2001)
    density = np.array([forecast(t) for t in grid])
    assert abs(forecast.mode - grid[np.argmax(density)]) <= grid[1] - grid[0]
    assert forecast(forecast.mode) >= density.max()
    assert abs(forecast.mu) < 4 < forecast.mode  # a normal would have them at one place
    assert np.sum(density) * (grid[1] - grid[0]) == pytest.approx(1.0, abs=1e-2)


def test_draws_have_the_law(stream):
    """2,000 draws; Kolmogorov-Smirnov at a false alarm rate of 1e-6."""
    from scipy.stats import kstest

    forecast = taught(*stream).predict_one(stream[0][5], with_dist=True)
    draws = [forecast.sample() for _ in range(2000)]
    assert kstest([forecast.cdf(t) for t in draws], "uniform").pvalue > 1e-6


def test_counts():
    rng = np.random.default_rng(2)
    model = hsmoe.river.HSMoECountRegressor(**SMALL, n_warmup=40)
    for x in rng.integers(0, 3, size=120).tolist():
        model.learn_one({"x": x}, int(rng.poisson(2 + 3 * x)))
    forecast = model.predict_one({"x": 2}, with_dist=True)
    mass = [forecast(k) for k in range(200)]
    assert sum(mass) == pytest.approx(1.0, abs=1e-3)
    assert forecast(2.5) == forecast(-1) == 0.0
    assert forecast.cdf(-0.5) == 0.0
    assert forecast.cdf(4.7) == forecast.cdf(4) == pytest.approx(sum(mass[:5]), rel=1e-9)
    assert forecast.mode == np.argmax(mass)
    assert all(forecast.sample() % 1 == 0 for _ in range(20))
    with pytest.raises(ValueError, match="counts must be whole numbers"):
        model.learn_one({"x": 1}, 2.5)


# ---------------------------------------------------------------------- labels


def labelled(n, seed=4):
    """Rows of two features; the label "late" comes after row 150, None of text or number before."""
    rng = np.random.default_rng(seed)
    rows, labels = [], []
    for i in range(n):
        a, b = rng.normal(size=2).tolist()
        late = i >= 150 and a > 1.0
        rows.append({"a": a, "b": b})
        labels.append("late" if late else ("up" if b > 0 else 3))
    return rows, labels


def classifier(**changes):
    return hsmoe.river.HSMoEClassifier(
        **{**SMALL, "n_particles": 16, "n_warmup": 40, "retain": 100, **changes}
    )


def test_a_new_label_begins_again_from_the_retained_rows():
    rows, labels = labelled(300)
    model = classifier()
    first = labels.index("late")
    for x, y in zip(rows[:first], labels[:first], strict=True):
        model.learn_one(x, y)
    assert set(model.predict_proba_one(rows[0])) == {"up", 3}
    kept = len(model.model._state.engine.get_state()["retained_xy"])
    assert kept >= 100
    model.learn_one(rows[first], "late")
    assert model.model.n_rows_seen_ == kept + 1
    assert set(model.predict_proba_one(rows[0])) == {"up", 3, "late"}
    # What it begins from are the last rows, in their own units.
    X = [[x[name] for name in model.features] for x in rows[first - kept : first + 1]]
    numbers = [model.labels.index(y) for y in labels[first - kept : first + 1]]
    core = hsmoe.HSMoEClassifier(2, 16, 1, retain=100, n_warmup=kept + 1, random_state=3)
    core.partial_fit(X, numbers, classes=[0, 1, 2])
    expected = core.predict_proba(X[:4])
    assert np.allclose(model.model.predict_proba(X[:4]), expected, rtol=1e-6, atol=1e-9)
    for x, y in zip(rows[first + 1 :], labels[first + 1 :], strict=True):
        model.learn_one(x, y)
    chance = {a: model.predict_proba_one({"a": a, "b": 0.0})["late"] for a in (-1.0, 2.0)}
    share = labels[first - kept :].count("late") / len(labels[first - kept :])
    assert chance[2.0] > 2 * share > 4 * chance[-1.0]


@pytest.mark.parametrize("size", [1, 40, 300])
def test_batches_of_labels_are_their_rows(size):
    rows, labels = labelled(300)
    one, many = classifier(), classifier()
    for x, y in zip(rows, labels, strict=True):
        one.learn_one(x, y)
    for start in range(0, 300, size):
        part = slice(start, start + size)
        many.learn_many(pd.DataFrame(rows[part]), pd.Series(labels[part], dtype=object))
    assert one.model.to_bytes() == many.model.to_bytes()
    X = pd.DataFrame(rows[:6], index=list("uvwxyz"))
    table = many.predict_proba_many(X)
    assert table.index.tolist() == list("uvwxyz")
    for (_, row), x in zip(table.iterrows(), rows, strict=False):
        assert row.to_dict() == one.predict_proba_one(x)
    assert many.predict_many(X).tolist() == [one.predict_one(x) for x in rows[:6]]


def test_labels_named_beforehand_cost_nothing():
    rows, labels = labelled(300)
    model = classifier(classes=("up", 3, "late"))
    for x, y in zip(rows, labels, strict=True):
        model.learn_one(x, y)
    assert model.model.n_rows_seen_ == 300
    assert model.labels == ("up", 3, "late")


def test_a_new_label_without_retained_rows_is_refused():
    rows, labels = labelled(300)
    model = classifier(retain=0, forgetting=1.0)
    first = labels.index("late")
    model.learn_many(pd.DataFrame(rows[:first]), pd.Series(labels[:first], dtype=object))
    before = pickle.dumps(model)
    with pytest.raises(ValueError, match="label 'late' is new, and with retain=0"):
        model.learn_one(rows[first], "late")
    assert pickle.dumps(model) == before


def test_a_stream_of_one_label():
    rows, _ = labelled(300)
    one, many = classifier(), classifier()
    for x in rows:
        one.learn_one(x, "up")
    many.learn_many(pd.DataFrame(rows), pd.Series(["up"] * 300))
    assert pickle.dumps(one) == pickle.dumps(many)
    assert one.model is None and len(one._waiting) == 140
    assert one.predict_proba_one(rows[0]) == {"up": 1.0} and one.predict_one(rows[0]) == "up"
    one.learn_one(rows[0], "down")
    assert one.model is not None and one.n_rows_seen == 301


def test_before_the_first_label():
    model, X = classifier(), pd.DataFrame([{"a": 1.0}])
    assert model.predict_proba_one({"a": 1.0}) == {} and model.predict_one({"a": 1.0}) is None
    assert model.predict_proba_many(X).shape == (1, 0)
    assert model.predict_many(X).tolist() == [None]
    with pytest.raises(ValueError, match="a row needs a label"):
        model.learn_one({"a": 1.0}, None)


def test_a_refused_row_leaves_the_labels():
    rows, labels = labelled(100)
    model = classifier()
    model.learn_many(pd.DataFrame(rows), pd.Series(labels, dtype=object))
    before = pickle.dumps(model)
    with pytest.raises(ValueError, match="'a' is 'x'"):
        model.learn_one({"a": "x"}, "new")
    assert pickle.dumps(model) == before and "new" not in model.labels


@pytest.mark.parametrize(
    ("classes", "words"),
    [(("a", "a", "b"), "twice"), ((["a"], "b"), "not hashable"), ("ab", "a tuple of labels")],
)
def test_labels_named_beforehand_are_checked(classes, words):
    with pytest.raises(ValueError, match=words):
        hsmoe.river.HSMoEClassifier(classes=classes)


def test_answers_of_a_count_forecast_at_odd_places():
    model = hsmoe.river.HSMoECountRegressor(1, n_particles=8, n_islands=1, seed=1)
    for i in range(60):
        model.learn_one({"x": float(i % 7)}, i % 5)
    forecast = model.predict_one({"x": 3.0}, with_dist=True)
    assert math.isnan(forecast.cdf(math.nan))
    assert (forecast.cdf(-1), forecast.cdf(math.inf)) == (0.0, 1.0)
    with pytest.raises(ValueError, match=r"coverage is 1\.5"):
        forecast.interval(1.5)
