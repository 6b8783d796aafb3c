"""Bad input is refused by an error that names it, and the model is then what it was before."""

import os
import re
import signal
import threading
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import polars as pl
import pytest
from one_island import ONE_ISLAND

import hsmoe
from hsmoe import HSMoERegressor, _state
from hsmoe._tuning import TUNING

NAMES = ["a", "b", "c"]


@pytest.fixture(scope="module", params=["in the warm-up", "learning"])
def begun(request, two_regimes):
    n = 20 if request.param == "in the warm-up" else 100
    model = HSMoERegressor(**ONE_ISLAND, n_experts=2, n_particles=8, n_warmup=40, random_state=1)
    return model.partial_fit(pd.DataFrame(two_regimes[0][:n], columns=NAMES), two_regimes[1][:n])


def rows(**changes):
    X = pd.DataFrame(np.arange(12.0).reshape(4, 3), columns=NAMES)
    return X.assign(**changes)


GOOD_Y = [1.0, 2.0, 3.0, 4.0]

# X, y, and what the message must say.
BAD_ROWS = {
    "nan": (rows(b=[1, 2, np.nan, 4]), GOOD_Y, ["row 2", "'b'", "NaN", "missing='skip'"]),
    "several nan": (rows(b=[1, np.nan, np.nan, 4]), GOOD_Y, ["row 1", "2 rows"]),
    "infinity": (rows(c=[1, np.inf, 3, 4]), GOOD_Y, ["row 1", "'c'", "inf", "finite"]),
    "minus infinity in an array": (
        [[1, 2, 3], [1, -np.inf, 3]],
        [1, 2],
        ["row 1", "'b'", "-inf"],
    ),
    "too few columns": (rows()[["a", "b"]], GOOD_Y, ["2 features", "3 features", "HSMoERegressor"]),
    "too many columns": (np.ones((4, 5)), GOOD_Y, ["5 features", "3 features"]),
    "renamed column": (rows().rename(columns={"b": "z"}), GOOD_Y, ["'z'", "'b'"]),
    "reordered columns": (rows()[["b", "a", "c"]], GOOD_Y, ["order", "feature_names_in_"]),
    "duplicated column": (
        pd.DataFrame(np.ones((4, 3)), columns=["a", "a", "c"]),
        GOOD_Y,
        ["two columns named 'a'"],
    ),
    "mixed column names": (
        pd.DataFrame(np.ones((4, 3)), columns=["a", 1, "c"]),
        GOOD_Y,
        ["column names", "1"],
    ),
    "strings": (rows(b=list("wxyz")), GOOD_Y, ["'b'", "dtype", "numbers"]),
    "strings in an array": (np.full((4, 3), "1.5"), GOOD_Y, ["dtype", "<U3"]),
    "strings in polars": (pl.DataFrame({"a": [1], "b": ["x"], "c": [2]}), [1], ["'b'", "String"]),
    "dates": (rows(c=pd.date_range("2020", periods=4)), GOOD_Y, ["'c'", "datetime"]),
    "categories": (rows(c=pd.Categorical(list("xxyy"))), GOOD_Y, ["'c'", "category"]),
    "objects": (np.array([[1, 2, None]] * 4, dtype=object), GOOD_Y, ["object", "astype"]),
    "object column": (rows(a=np.array([1, 2, "3", 4], dtype=object)), GOOD_Y, ["'a'", "row 2"]),
    "too large an integer": (np.full((4, 3), 10**400, dtype=object), GOOD_Y, ["float64"]),
    "complex": (np.ones((4, 3), dtype=complex), GOOD_Y, ["complex"]),
    "complex column": (rows(a=np.ones(4, dtype=complex)), GOOD_Y, ["'a'", "complex"]),
    "no rows": (np.empty((0, 3)), [], ["no rows"]),
    "no rows in a frame": (rows().head(0), [], ["no rows"]),
    "empty list": ([], [], ["shape (0,)"]),
    "no columns": (np.empty((4, 0)), GOOD_Y, ["no columns"]),
    "one dimension": (np.ones(3), [1.0], ["shape (3,)", "reshape(1, -1)"]),
    "three dimensions": (np.ones((4, 3, 1)), GOOD_Y, ["shape (4, 3, 1)"]),
    "a number": (5.0, [1.0], ["shape ()"]),
    "nothing": (None, [1.0], ["NoneType"]),
    "a dict": ({"a": [1]}, [1.0], ["dict"]),
    "ragged lists": ([[1, 2, 3], [1, 2]], [1, 2], ["same length"]),
    "lazy frame": (pl.DataFrame(rows()).lazy(), GOOD_Y, ["collect()"]),
    "series": (pd.Series([1.0, 2.0]), [1.0, 2.0], ["shape (2,)"]),
    "masked value": (
        np.ma.masked_array(np.ones((2, 3)), [[0, 0, 0], [0, 1, 0]]),
        [1, 2],
        ["row 1", "'b'"],
    ),
    "null in polars": (
        pl.DataFrame({"a": [1, 2], "b": [1, None], "c": [1, 2]}),
        [1, 2],
        ["row 1", "'b'", "NaN"],
    ),
    "too long a double": (
        np.full((1, 3), np.longdouble("1e4000") if np.longdouble != np.double else np.inf),
        [1],
        ["inf"],
    ),
    "y too short": (rows(), [1.0, 2.0], ["2 values", "4 rows"]),
    "y too long": (rows(), np.ones(5), ["5 values", "4 rows"]),
    "y with nan": (rows(), [1, 2, 3, np.nan], ["y: row 3", "NaN"]),
    "y with infinity": (rows(), [1, np.inf, 3, 4], ["y: row 1", "inf"]),
    "y of strings": (rows(), list("abcd"), ["y has dtype"]),
    "y of objects": (rows(), np.array([1, 2, 3, None], dtype=object), ["y", "object"]),
    "y complex": (rows(), np.ones(4, dtype=complex), ["y has dtype complex"]),
    "y of two columns": (rows(), np.ones((4, 2)), ["(4, 2)", "one dimension"]),
    "y a number": (rows(), 3.0, ["y has shape ()"]),
    "y missing": (rows(), None, ["the target y is None"]),
    "overflow": (rows(b=[1, 1.7e308, 3, 4]), GOOD_Y, []),
}


def refused(call, words, model):
    before = model.to_bytes()
    with pytest.raises((ValueError, ArithmeticError)) as caught:
        call()
    for word in words:
        assert word in str(caught.value)
    assert model.to_bytes() == before


@pytest.mark.parametrize("kind", [kind for kind in BAD_ROWS if kind != "overflow"])
@pytest.mark.parametrize("method", ["partial_fit", "prequential", "log_density"])
def test_rows(kind, method, begun):
    X, y, words = BAD_ROWS[kind]
    refused(lambda: getattr(begun, method)(X, y), words, begun)


FIRST_ROWS = [
    kind
    for kind in BAD_ROWS
    if kind
    not in (
        "overflow",
        "too few columns",
        "too many columns",
        "renamed column",
        "reordered columns",
    )
]


@pytest.mark.parametrize("kind", FIRST_ROWS)
def test_first_rows(kind):
    X, y, words = BAD_ROWS[kind]
    words = [word for word in words if word != "'b'" or hasattr(X, "columns")]
    for method in ("fit", "partial_fit", "prequential"):
        model = HSMoERegressor(**ONE_ISLAND, n_experts=2, n_particles=8)
        refused(lambda model=model, method=method: getattr(model, method)(X, y), words, model)


@pytest.mark.parametrize("kind", [kind for kind in BAD_ROWS if not kind.startswith(("y ", "over"))])
def test_rows_to_predict(kind, begun):
    X, _, words = BAD_ROWS[kind]
    for method in ("predict", "predict_interval", "predict_expert_proba", "sample_y"):
        refused(lambda method=method: getattr(begun, method)(X), words, begun)


def test_a_refused_fit_keeps_the_old_model(begun):
    refused(lambda: begun.fit(rows(a=np.nan), GOOD_Y), ["'a'"], begun)


def test_a_value_too_far_out_is_refused_whole(two_regimes):
    X, y = two_regimes
    model = HSMoERegressor(**ONE_ISLAND, n_experts=2, n_particles=8, n_warmup=40, random_state=1)
    model.partial_fit(X * 1e-200, y * 1e-200)
    far = X[:3] * 1e-200
    far[1, 2] = 1e200
    refused(lambda: model.partial_fit(far, y[:3] * 1e-200), ["row 1", "'x2'", "too far"], model)
    refused(lambda: model.predict(far), ["row 1", "'x2'", "too far"], model)
    far_y = [1e-200, 1e-200, 1e200]
    refused(lambda: model.partial_fit(X[:3] * 1e-200, far_y), ["y: row 2", "too far"], model)


def test_numbers_that_give_out_are_refused_whole(two_regimes):
    """Values that square beyond the range of float64 after standardisation."""
    X, y = two_regimes
    model = HSMoERegressor(**ONE_ISLAND, n_experts=2, n_particles=8, n_warmup=40, random_state=1)
    model.partial_fit(X, y)
    before = model.to_bytes()
    for bad_X, bad_y in [(X[:2] * [[1, 1, 1], [1e250, 1, 1]], y[:2]), (X[:2], [1.0, 1e250])]:
        try:
            model.partial_fit(bad_X, bad_y)
        except (ValueError, ArithmeticError):
            assert model.to_bytes() == before
        else:  # or it works, if the engine can carry such numbers
            assert np.isfinite(model.log_evidence_)
            model = HSMoERegressor.from_bytes(before)


PARAMETERS = [
    ("n_experts", 0, "n_experts is 0"),
    ("n_experts", 2.5, "n_experts is 2.5"),
    ("n_experts", "four", "n_experts is 'four'"),
    ("n_experts", True, "n_experts is True"),
    ("n_particles", -3, "n_particles is -3"),
    ("n_islands", None, "n_islands is None"),
    ("gate", "softmux", "gate is 'softmux'"),
    ("gate", 3, "gate is 3"),
    ("gate", [0], "list [0] of 1"),
    ("gate", [0, 1, 2], "expert 2"),
    ("gate", [0, 0], "expert 0 twice"),
    ("gate", [[0, 1], []], "of 0 entries"),
    ("gate", [0, "1"], "'1'"),
    ("gate", [0, [1]], "of 1 entries"),
    ("gate", ("softmax", [0]), "at least two"),
    ("gate", ("softmax", "logit", [1, 1]), "'logit'"),
    ("inference", "vb", "inference is 'vb'"),
    ("gate_prior", "lasso", "gate_prior is 'lasso'"),
    ("expert", "poisson", "expert is 'poisson'"),
    ("gate_features", "a", "gate_features is 'a'"),
    ("gate_features", ["q"], "'q'"),
    ("gate_features", [3], "column 3"),
    ("expert_features", [-1], "column -1"),
    ("expert_features", [0, 0], "twice"),
    ("expert_features", [True], "True"),
    ("expert_features", [1.0], "1.0"),
    ("ess_threshold", 1.5, "ess_threshold is 1.5"),
    ("ess_threshold", float("nan"), "ess_threshold is nan"),
    ("retain", -1, "or None for all rows"),
    ("retain", False, "retain is False"),
    ("retain", "all", "or None for all rows"),
    ("retain", 10.5, "retain is 10.5"),
    ("retain", 2**40, "retain is 1099511627776"),
    ("n_particles", 2**40, "n_particles is 1099511627776"),
    ("forgetting", 0.1, "forgetting is 0.1"),
    ("forgetting", "fast", "forgetting is 'fast'"),
    ("n_warmup", 0, "standardize=False"),
    ("n_warmup", "some", "n_warmup is 'some'"),
    ("standardize", "yes", "standardize is 'yes'"),
    ("missing", "drop", "missing is 'drop'"),
    ("n_jobs", 0, "n_jobs is 0"),
    ("n_jobs", -2, "n_jobs is -2"),
    ("random_state", -1, "random_state is -1"),
    ("random_state", "seed", "random_state is 'seed'"),
]


@pytest.mark.parametrize(("name", "value", "words"), PARAMETERS)
def test_parameters(name, value, words, two_regimes):
    model = HSMoERegressor(**{**ONE_ISLAND, "n_experts": 2, "n_particles": 8, name: value})
    for method in ("fit", "partial_fit", "prequential"):
        refused(lambda method=method: getattr(model, method)(*two_regimes), [words], model)
    assert not hasattr(model, "n_features_in_")


def test_forgetting_needs_rows_to_forget(two_regimes):
    for retain in (0, None):
        model = HSMoERegressor(forgetting=0.99, retain=retain)
        refused(lambda model=model: model.fit(*two_regimes), ["pass a positive retain"], model)


def test_a_state_beyond_memory_is_refused_before_it_is_allocated():
    X = np.random.default_rng(0).normal(size=(60, 2000))
    model = HSMoERegressor(**ONE_ISLAND, n_experts=8, n_particles=100_000, n_warmup=30)
    refused(lambda: model.partial_fit(X, X[:, 0]), ["GB", "choose fewer particles"], model)


def test_names_without_names(two_regimes):
    model = HSMoERegressor(gate_features=["a"])
    with pytest.raises(ValueError, match="no column names"):
        model.fit(*two_regimes)


@pytest.mark.parametrize(
    ("part", "name"),
    [
        (hsmoe.HorseshoePrior, "tau0"),
        (hsmoe.HorseshoePrior, "slab"),
        (hsmoe.NormalPrior, "scale"),
        (hsmoe.NormalPrior, "intercept_sd"),
        (hsmoe.GaussianExpert, "a0"),
        (hsmoe.GaussianExpert, "b0"),
        (hsmoe.GaussianExpert, "coefficient_variance"),
    ],
)
@pytest.mark.parametrize("value", [0.0, -1.0, np.inf, np.nan, "1", None, True])
def test_parts(part, name, value):
    with pytest.raises(ValueError, match=f"{part.__name__}: {name} is {re.escape(repr(value))}"):
        part(**{name: value})


def test_arguments_of_predictions(begun):
    X = rows()
    for call, word in [
        (lambda: begun.predict_quantiles(X, [0.5, 1.0]), "probs"),
        (lambda: begun.predict_quantiles(X, [[0.5]]), "probs"),
        (lambda: begun.predict_interval(X, 1.0), "coverage is 1.0"),
        (lambda: begun.predict_interval(X, np.nan), "coverage is nan"),
        (lambda: begun.predict_interval(X, "0.9"), "coverage is '0.9'"),
        (lambda: begun.active_experts(X, "a"), "mass is 'a'"),
        (lambda: begun.active_experts(X, mass=0.0), "mass is 0.0"),
        (lambda: begun.sample_y(X, 0), "n_samples is 0"),
        (lambda: begun.sample_y(X, random_state="x"), "random_state is 'x'"),
    ]:
        refused(call, [word], begun)


def test_a_failed_call_does_not_advance_the_generator(two_regimes):
    generator = np.random.default_rng(1)
    state = generator.bit_generator.state
    model = HSMoERegressor(**ONE_ISLAND, n_particles=8, random_state=generator, n_jobs=0)
    with pytest.raises(ValueError, match="n_jobs"):
        model.fit(*two_regimes)
    assert generator.bit_generator.state == state


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT to itself")
@pytest.mark.parametrize("method", ["fit", "partial_fit", "prequential"])
def test_ctrl_c_leaves_the_model_as_it_was(method, monkeypatch):
    # The thinning of the cloud is undone too.
    monkeypatch.setattr(_state, "TUNING", replace(TUNING, least_early_rows=105))
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200_000, 4))
    y = X[:, 0] + rng.normal(size=len(X))
    model = HSMoERegressor(**ONE_ISLAND, n_experts=4, n_particles=256, random_state=0)
    model.partial_fit(X[:100], y[:100])
    before = model.to_bytes()
    # A test run in the background inherits SIGINT as ignored, and Python then leaves it so.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    began = time.perf_counter()
    try:
        with pytest.raises(KeyboardInterrupt):
            getattr(model, method)(X, y)
    finally:
        timer.cancel()
        signal.signal(signal.SIGINT, handler)
    assert time.perf_counter() - began < 5.0
    assert model.to_bytes() == before
    later = slice(100, 120)
    undone = model.partial_fit(X[later], y[later]).to_bytes()
    assert undone == HSMoERegressor.from_bytes(before).partial_fit(X[later], y[later]).to_bytes()


def test_values_too_far_out_to_square_are_refused(two_regimes):
    X, y = two_regimes
    model = HSMoERegressor(**ONE_ISLAND, n_particles=8, random_state=0).fit(X, y)
    far = X[:3].copy()
    far[1, 0] = 1e200
    refused(lambda: model.predict_interval(far), ["row 1", "too far"], model)
    refused(lambda: model.partial_fit(X[:3], [0.0, 1e200, 0.0]), ["row 1", "too far"], model)


def test_two_threads_cannot_teach_one_model():
    X = np.random.default_rng(0).normal(size=(20_000, 3))
    model = HSMoERegressor(**ONE_ISLAND, n_particles=64, random_state=0).partial_fit(
        X[:60], X[:60, 0]
    )
    errors, snapshots = [], []

    def learn():
        try:
            model.partial_fit(X, X[:, 0])
        except RuntimeError as error:
            errors.append(str(error))

    threads = [threading.Thread(target=learn) for _ in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        try:
            snapshots.append(model.to_bytes())
        except RuntimeError as error:
            errors.append(str(error))
    assert errors and all("thread" in error for error in errors)
    assert (model.n_rows_seen_ - 60) % len(X) == 0
    for snapshot in snapshots[:: max(1, len(snapshots) // 5)]:
        HSMoERegressor.from_bytes(snapshot)
