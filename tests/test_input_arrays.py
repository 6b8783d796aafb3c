"""Whatever the memory of an array looks like, its values count; what fails, fails whole."""

import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import hsmoe

DTYPES = ["f2", "f4", "f8", ">f4", ">f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"]
BEGUN = {}


def begun(kind):
    """A small model after its warm-up, as bytes, so that every example begins alike."""
    if kind not in BEGUN:
        rng = np.random.default_rng(0)
        X = rng.normal(size=(40, 3))
        target, size = np.abs(X[:, 0]), {"n_particles": 4, "n_islands": 2, "random_state": 1}
        BEGUN[kind] = {
            "regressor": lambda: hsmoe.HSMoERegressor(3, n_warmup=20, **size).partial_fit(
                X, target
            ),
            "classifier": lambda: hsmoe.HSMoEClassifier(2, n_warmup=20, **size).partial_fit(
                X, target > 0.6, classes=[False, True]
            ),
            "counts": lambda: hsmoe.HSMoECountRegressor(2, n_warmup=20, **size).partial_fit(
                X, np.floor(3 * target)
            ),
        }[kind]().to_bytes()
    return {
        "regressor": hsmoe.HSMoERegressor,
        "classifier": hsmoe.HSMoEClassifier,
        "counts": hsmoe.HSMoECountRegressor,
    }[kind].from_bytes(BEGUN[kind])


@st.composite
def laid_out(draw, values):
    """The same values in another layout: order, strides, offset, byte order, read-only."""
    array = np.asarray(values)
    layout = draw(st.sampled_from(["C", "F", "strided", "reversed", "inside", "broadcast"]))
    if layout == "F":
        array = np.asfortranarray(array)
    elif layout == "strided":
        wide = np.full([3 * n for n in array.shape], 7, dtype=array.dtype)
        wide[tuple(slice(1, None, 3) for _ in array.shape)] = array
        array = wide[tuple(slice(1, None, 3) for _ in array.shape)]
    elif layout == "reversed":
        array = array[::-1].copy()[::-1]
    elif layout == "inside":
        room = np.zeros(array.nbytes + 1, dtype=np.uint8)[1:]  # not aligned
        inside = room.view(array.dtype) if array.size else array
        inside = inside.reshape(array.shape)
        inside[...] = array
        array = inside
    elif layout == "broadcast" and len(array):
        array = np.broadcast_to(array[:1], array.shape)
    if draw(st.booleans()):
        array = array.view()
        array.flags.writeable = False
    return array


@st.composite
def rows(draw, n_features=3):
    n = draw(st.integers(1, 6))
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    if dtype.kind == "f":
        elements = st.floats(-8, 8, width=16)  # every float type has them
    else:
        elements = st.integers(0, 1) if dtype.kind == "b" else st.integers(0, 9)
    values = draw(hnp.arrays(np.float64, (n, n_features), elements=elements)).astype(dtype)
    return draw(laid_out(values)), draw(laid_out((np.arange(n) % 2).astype(dtype)))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(given_rows=rows(), kind=st.sampled_from(["regressor", "classifier", "counts"]))
def test_the_layout_of_an_array_does_not_count(given_rows, kind):
    X, y = given_rows
    X_plain, y_plain = np.array(X, dtype=np.float64, order="C"), np.array(y, dtype=np.float64)
    if kind == "classifier":
        y, y_plain = y.astype(bool), y_plain.astype(bool)
    one, two = begun(kind), begun(kind)
    X_before, y_before = X.tobytes(), y.tobytes()
    np.testing.assert_array_equal(one.predict(X), two.predict(X_plain))
    np.testing.assert_array_equal(one.log_density(X, y), two.log_density(X_plain, y_plain))
    one.partial_fit(X, y)
    two.partial_fit(X_plain, y_plain)
    assert one.to_bytes() == two.to_bytes()
    assert X.tobytes() == X_before and y.tobytes() == y_before


ANY_NUMBER = st.floats(allow_nan=True, allow_infinity=True, width=64)
MOSTLY_USUAL = st.one_of(st.floats(-3, 3), st.floats(-3, 3), ANY_NUMBER)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), kind=st.sampled_from(["regressor", "classifier", "counts"]))
def test_what_fails_fails_whole(data, kind):
    """Any numbers at all: learned, and then all is finite, or refused, and then nothing changed."""
    n = data.draw(st.integers(1, 4))
    width = data.draw(st.sampled_from([3, 3, 3, 3, 2, 0]))
    X = data.draw(hnp.arrays(np.float64, (n, width), elements=MOSTLY_USUAL))
    y = data.draw(hnp.arrays(np.float64, n, elements=MOSTLY_USUAL))
    model = begun(kind)
    before = model.to_bytes()
    calls = data.draw(
        st.lists(st.sampled_from(["learn", "forecast", "predict", "sample"]), max_size=4)
    )
    for call in calls:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                if call == "learn":
                    model.partial_fit(X, y)
                elif call == "forecast":
                    model.prequential(X, y)
                elif call == "predict":
                    model.predict(X)
                else:
                    model.sample_y(X, 2, random_state=0)
        except (ValueError, ArithmeticError) as error:
            assert str(error)
            assert model.to_bytes() == before
        else:
            if call in ("predict", "sample"):
                assert model.to_bytes() == before
            before = model.to_bytes()
    X_usual = np.random.default_rng(3).normal(size=(20, 3))
    if kind == "classifier":
        np.testing.assert_allclose(model.predict_proba(X_usual).sum(axis=1), 1, rtol=1e-9)
    else:
        assert not np.isnan(model.predict(X_usual)).any()


@pytest.mark.parametrize("kind", ["regressor", "classifier", "counts"])
def test_no_rows(kind):
    model = begun(kind)
    before = model.to_bytes()
    try:
        model.partial_fit(np.empty((0, 3)), np.empty(0))
    except ValueError as error:
        assert "row" in str(error)
    assert model.to_bytes() == before
