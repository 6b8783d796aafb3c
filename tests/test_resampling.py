"""Resampling: unbiased, never a particle of zero weight, at every edge."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsmoe import resampling
from hsmoe._dispatch import core

SCHEMES = ["systematic", "stratified", "residual", "multinomial", "ssp"]
scheme = pytest.mark.parametrize("scheme", [getattr(resampling, name) for name in SCHEMES])


class Fixed(np.random.Generator):
    """A generator whose uniforms are all the same number."""

    def __init__(self, value):
        super().__init__(np.random.PCG64(0))
        self.value = value

    def random(self, size=None):
        return self.value if size is None else np.full(size, self.value)


@scheme
def test_shape_and_range(scheme):
    W = np.array([0.1, 0.2, 0.3, 0.4])
    for M in (1, 3, 4, 100):
        ancestors = scheme(W, M, rng=0)
        assert ancestors.shape == (M,)
        assert ancestors.dtype == np.int64
        assert ((0 <= ancestors) & (ancestors < 4)).all()
    assert len(scheme(W)) == 4
    np.testing.assert_array_equal(scheme(W, 50, rng=3), scheme(W, 50, rng=3))


@scheme
def test_expected_offspring(scheme):
    """Mean offspring over 4000 calls within 5 standard errors of M W: a false alarm in 100,000."""
    rng = np.random.default_rng(1)
    W = np.array([0.05, 0.0, 0.5, 0.15, 0.3])
    M, repeats = 7, 4000
    counts = np.array([np.bincount(scheme(W, M, rng), minlength=5) for _ in range(repeats)])
    error = counts.std(axis=0) / np.sqrt(repeats) + 1e-12
    assert (np.abs(counts.mean(axis=0) - M * W) <= 5 * error).all()
    assert (counts[:, 1] == 0).all()


@pytest.mark.parametrize("name", ["systematic", "ssp"])
def test_offspring_are_rounded_expectations(name):
    rng = np.random.default_rng(2)
    for _ in range(200):
        W = rng.dirichlet(np.full(10, 0.5))
        counts = np.bincount(getattr(resampling, name)(W, 23, rng), minlength=10)
        assert (np.abs(counts - 23 * W) < 1 + 1e-9).all()


def test_residual_keeps_whole_copies():
    W = np.array([0.5, 0.26, 0.24])
    counts = np.bincount(resampling.residual(W, 100, rng=0), minlength=3)
    np.testing.assert_array_equal(counts, [50, 26, 24])


@scheme
@given(
    W=st.lists(
        st.sampled_from([0.0, 1e-300, 1e-17, 1e-3, 1.0, 3.0, 1e300]), min_size=1, max_size=12
    ),
    M=st.integers(1, 20),
    u=st.sampled_from([0.0, 5e-324, 0.5, 1.0 - 2**-53, 1.0]),
)
@settings(max_examples=80, deadline=None)
def test_zero_weights_are_never_picked(scheme, W, M, u):
    W = np.array(W)
    if not W.any():
        with pytest.raises(ValueError, match="every weight"):
            scheme(W, M, Fixed(u))
        return
    ancestors = scheme(W, M, Fixed(u))
    assert ancestors.shape == (M,)
    assert (W[ancestors] > 0).all()


@scheme
def test_rounding_of_the_total_mass(scheme):
    """Ten weights of 0.1 sum to less than 1; the last particles weigh nothing."""
    W = np.array([0.1] * 10 + [0.0] * 3)
    for u in (0.0, 1.0 - 2**-53, 1.0):
        assert scheme(W, 1000, Fixed(u)).max() <= 9


@scheme
def test_one_particle_has_all_the_weight(scheme):
    W = np.zeros(1000)
    W[617] = 1e-12
    assert (scheme(W, rng=0) == 617).all()


@scheme
def test_scale_does_not_matter(scheme):
    W = np.random.default_rng(0).random(50)
    expected = scheme(W, 70, rng=1)
    np.testing.assert_array_equal(scheme(W * 2.0**600, 70, rng=1), expected)
    np.testing.assert_array_equal(scheme(W * 2.0**-600, 70, rng=1), expected)


@scheme
def test_large(scheme):
    rng = np.random.default_rng(5)
    W = rng.exponential(size=100_000)
    counts = np.bincount(scheme(W, rng=rng), minlength=len(W))
    assert counts.sum() == len(W)


@scheme
@pytest.mark.parametrize(
    ("W", "M", "words"),
    [
        ([], None, "shape"),
        ([[0.5, 0.5]], None, "shape"),
        ([0.5, -0.1], None, r"W\[1\] is -0.1"),
        ([0.5, np.nan], None, r"W\[1\] is nan"),
        ([np.inf, 1.0], None, r"W\[0\] is inf"),
        ([0.0, 0.0], None, "every weight"),
        ([1.0], 0, "M is 0"),
        ([1.0], 2.5, "M is 2.5"),
    ],
)
def test_refusals(scheme, W, M, words):
    with pytest.raises(ValueError, match=words):
        scheme(W, M)


@pytest.mark.parametrize("name", ["systematic", "stratified", "residual", "multinomial", "ssp"])
def test_the_engine_checks_too(name):
    u = 0.5 if name == "systematic" else np.full(2, 0.5)
    with pytest.raises(ValueError):
        getattr(core, name)(np.array([0.5, np.nan]), 2, u)


def by_search(W, M, u):
    cumulative = np.cumsum(W)
    positions = (np.arange(M) + u) / M * cumulative[-1]
    found = np.searchsorted(cumulative, positions, side="right")
    return np.minimum(found, np.flatnonzero(W)[-1])


@pytest.mark.parametrize("u", [0.0, 1.0, 1 / 3, None])
@pytest.mark.parametrize("whole", [True, False])
def test_systematic_is_the_inverse_of_the_cumulative_weights(u, whole):
    rng = np.random.default_rng(5)
    for n, M in [
        (1, 1),
        (1, 5),
        (7, 7),
        (7, 40),
        (300, 300),
        (1000, 10),
        (3000, 3000),
        (257, 4096),
    ]:
        W = rng.integers(0, 4, n).astype(float) if whole else rng.exponential(size=n) ** 4
        W[rng.random(n) < 0.3] = 0.0
        W[n // 2] += 1.0
        at = rng.random() if u is None else u
        np.testing.assert_array_equal(
            resampling.systematic(W, M, rng=Fixed(at)), by_search(W, M, at)
        )


@pytest.mark.parametrize("scale", [1.0, 0.1, 7.0])
def test_systematic_where_only_rounding_tells_positions_from_sums(scale):
    """Equal weights and no offset: m / M mass is a sum of weights, or just beside it."""
    for M in range(1, 400):
        W = np.full(M, scale)
        np.testing.assert_array_equal(
            resampling.systematic(W, M, rng=Fixed(0.0)), by_search(W, M, 0.0)
        )
