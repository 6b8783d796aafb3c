"""Rank-one Cholesky updates and downdates."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hsmoe
from hsmoe.linalg import cholesky_update


def factor(rng, d, *stack):
    A = rng.normal(size=(*stack, d, 2 * d))
    return np.linalg.cholesky(A @ np.swapaxes(A, -1, -2))


def outer(x):
    return x[..., :, None] * x[..., None, :]


def gram(L):
    return L @ np.swapaxes(L, -1, -2)


@given(d=st.integers(1, 40), seed=st.integers(0, 1000), size=st.floats(1e-8, 1e8))
@settings(max_examples=60, deadline=None)
def test_update_and_back(d, seed, size):
    rng = np.random.default_rng(seed)
    L = factor(rng, d)
    x = size * rng.normal(size=d)
    up = cholesky_update(L, x)
    target = gram(L) + outer(x)
    np.testing.assert_allclose(gram(up), target, rtol=1e-10, atol=1e-12 * np.abs(target).max())
    assert (np.triu(up, 1) == 0).all()
    assert (np.diag(up) > 0).all()
    if size < 1e3:
        back = cholesky_update(up, x, sign=-1)
        np.testing.assert_allclose(back, L, rtol=1e-5, atol=1e-6 * np.abs(L).max())


def test_stack():
    rng = np.random.default_rng(0)
    L, x = factor(rng, 5, 7), rng.normal(size=(7, 5))
    up = cholesky_update(L, x)
    for b in range(7):
        np.testing.assert_array_equal(up[b], cholesky_update(L[b], x[b]))
    np.testing.assert_array_equal(cholesky_update(L, x[0])[3], cholesky_update(L[3], x[0]))


def test_overwrite():
    rng = np.random.default_rng(1)
    L, x = factor(rng, 4), rng.normal(size=4)
    original = L.copy()
    new = cholesky_update(L, x)
    np.testing.assert_array_equal(L, original)
    same = cholesky_update(L, x, overwrite=True)
    assert np.shares_memory(same, L)
    np.testing.assert_array_equal(L, new)
    frozen = original.copy()
    frozen.flags.writeable = False
    for unusable in (original.tolist(), np.asfortranarray(original), original.astype("f4"), frozen):
        with pytest.raises(ValueError, match="overwrite=True"):
            cholesky_update(unusable, x, overwrite=True)


def test_above_the_diagonal_is_neither_read_nor_changed():
    rng = np.random.default_rng(2)
    L, x = factor(rng, 4), rng.normal(size=4)
    above = np.triu(np.full((4, 4), 9.0), 1)
    np.testing.assert_array_equal(cholesky_update(L + above, x), cholesky_update(L, x) + above)


@pytest.mark.parametrize("overwrite", [False, True])
def test_failed_downdate(overwrite):
    L = np.stack([np.eye(3)] * 4)
    x = np.zeros((4, 3))
    x[2] = [0.0, 1.5, 0.0]
    before = L.copy()
    with pytest.raises(hsmoe.NumericalError, match="2"):
        cholesky_update(L, x, sign=-1, overwrite=overwrite)
    np.testing.assert_array_equal(L, before)
    with pytest.raises(hsmoe.NumericalError):
        cholesky_update(np.eye(2), [1.0, 0.0], sign=-1)  # exactly singular


def test_other_inputs():
    expected = cholesky_update(np.eye(2) * 2.0, np.array([1.0, 1.0]))
    np.testing.assert_array_equal(cholesky_update([[2, 0], [0, 2]], [1, 1]), expected)
    np.testing.assert_array_equal(
        cholesky_update(2 * np.eye(2, dtype="f4"), np.ones(2, dtype="f4")), expected
    )


@pytest.mark.parametrize(
    ("L", "x", "sign", "words"),
    [
        (np.eye(2), [1.0, 2.0, 3.0], 1, "x has shape"),
        (np.ones((2, 3)), [1.0, 2.0], 1, "L has shape"),
        (np.ones(3), [1.0], 1, "L has shape"),
        (np.empty((0, 0)), [], 1, "L has shape"),
        (np.eye(2), [1.0, 2.0], 2, "sign is 2"),
        (np.eye(2), [1.0, np.nan], 1, r"x\[1\] is not finite"),
        (np.array([[1.0, 0.0], [np.inf, 1.0]]), [1.0, 1.0], 1, r"L\[1, 0\] is not finite"),
        (-np.eye(2), [1.0, 1.0], 1, "positive"),
    ],
)
def test_refusals(L, x, sign, words):
    with pytest.raises(ValueError, match=words):
        cholesky_update(L, x, sign=sign)
