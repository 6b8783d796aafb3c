"""The same bits for any chunking and any number of threads."""

import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from one_island import ONE_ISLAND

from hsmoe import HSMoERegressor


def make(**changes):
    defaults = {**ONE_ISLAND, "n_experts": 3, "n_particles": 24, "n_warmup": 37, "random_state": 11}
    return HSMoERegressor(**{**defaults, **changes})


def bits(model):
    """Everything a model is, but for how many threads it may use."""
    return model.set_params(n_jobs=1).to_bytes()


@pytest.fixture(scope="module")
def whole(two_regimes):
    return bits(make().partial_fit(*two_regimes))


@pytest.mark.parametrize(
    "memory",
    [
        {"retain": 0},
        {"retain": 20},
        {"retain": 20, "forgetting": 0.98},
        {"retain": 15, "forgetting": "auto", "n_islands": 4},
        {"retain": None, "n_islands": 2},
    ],
    ids=str,
)
def test_rows_that_are_frozen_and_forgotten(memory, two_regimes):
    """Freezing, forced scans and decay fall on the same rows however rows come."""
    X, y = two_regimes
    whole = make(**memory).partial_fit(X, y)
    pieces = make(**memory, n_jobs=3)
    for start in range(0, len(y), 23):
        part = slice(start, start + 23)
        pieces = HSMoERegressor.from_bytes(pieces.partial_fit(X[part], y[part]).to_bytes())
    assert bits(pieces) == bits(whole)
    assert np.isfinite(whole.log_evidence_)


@pytest.mark.parametrize("size", [1, 7, 36, 37, 38, 159])
def test_chunks(size, two_regimes, whole):
    X, y = two_regimes
    model = make()
    for start in range(0, len(y), size):
        model.partial_fit(X[start : start + size], y[start : start + size])
    assert bits(model) == whole


@given(cuts=st.lists(st.integers(1, 159), max_size=6, unique=True), data=st.data())
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_mixture_of_calls(cuts, data, two_regimes, whole):
    X, y = two_regimes
    model = make()
    edges = [0, *sorted(cuts), len(y)]
    for start, stop in itertools.pairwise(edges):
        part = slice(start, stop)
        how = data.draw(st.sampled_from(["partial_fit", "prequential", "reload", "ask"]))
        if how == "prequential":
            model.prequential(X[part], y[part])
        else:
            model.partial_fit(X[part], y[part])
        if how == "reload":
            model = HSMoERegressor.from_bytes(model.to_bytes())
        if how == "ask":
            model.predict_interval(X[:3])
    assert bits(model) == whole


def test_fit_is_partial_fit_with_a_numbered_warmup(two_regimes, whole):
    assert bits(make().fit(*two_regimes)) == whole


def test_forecasts_do_not_depend_on_chunks(two_regimes):
    X, y = two_regimes
    whole = make().prequential(X, y)
    model = make()
    for i in range(len(y)):
        row = model.prequential(X[i : i + 1], y[i : i + 1])
        for name, values in row.to_dict().items():
            np.testing.assert_array_equal(values[0], getattr(whole, name)[i], err_msg=name)


@pytest.mark.parametrize("n_jobs", [2, 3, 8, -1])
@pytest.mark.parametrize("shape", [{}, {"n_islands": 3, "n_particles": 9}, {"n_particles": 1}])
def test_threads(n_jobs, shape, two_regimes):
    X, y = two_regimes
    one, many = make(**shape), make(n_jobs=n_jobs, **shape)
    a, b = one.prequential(X, y), many.prequential(X, y)
    for name, values in a.to_dict().items():
        np.testing.assert_array_equal(values, getattr(b, name), err_msg=name)
    for method, arguments in [
        ("predict", (X,)),
        ("predict_quantiles", (X, [0.05, 0.5])),
        ("predict_cdf", (X, y)),
        ("log_density", (X, y)),
        ("crps", (X, y)),
        ("predict_expert_proba", (X,)),
    ]:
        np.testing.assert_array_equal(
            getattr(one, method)(*arguments), getattr(many, method)(*arguments), err_msg=method
        )
    assert bits(one) == bits(many)
