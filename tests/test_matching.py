"""Numbers of experts that are made to agree."""

import numpy as np
import pytest

from hsmoe._matching import classification, match_experts

scipy = pytest.importorskip("scipy")


def probabilities(rng, n_rows, n_experts, sharpness=4.0):
    logits = sharpness * rng.normal(size=(n_rows, n_experts))
    return classification(logits, np.zeros_like(logits))


def test_classification():
    p = classification(np.log([[0.5, 0.5]]), np.array([[-2000.0, -2001.0]]))
    np.testing.assert_allclose(p, [[1 / (1 + np.exp(-1)), 1 / (1 + np.exp(1))]])


@pytest.mark.parametrize("n_experts", [2, 3, 8])
@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_known_permutations(n_experts, noise):
    rng = np.random.default_rng(n_experts)
    logits = 4.0 * rng.normal(size=(200, n_experts))
    orders = np.array([np.arange(n_experts), *(rng.permutation(n_experts) for _ in range(40))])
    p = np.stack(
        [
            classification(logits + noise * rng.normal(size=logits.shape), np.zeros_like(logits))[
                :, np.argsort(order)
            ]
            for order in orders
        ]
    )
    np.testing.assert_array_equal(match_experts(p), orders)


def test_experts_without_rows_keep_their_numbers():
    rng = np.random.default_rng(0)
    p = np.zeros((5, 50, 4))
    p[:, :, [0, 2]] = probabilities(rng, 50, 2)
    p[3] = p[3][:, [2, 1, 0, 3]]
    order = match_experts(p)
    np.testing.assert_array_equal(order[[0, 1, 2, 4]], np.tile(np.arange(4), (4, 1)))
    np.testing.assert_array_equal(order[3], [2, 1, 0, 3])


def test_the_reference_may_be_a_poor_one():
    """Rounds go on from the mean: a vague first draw does not leave the others apart."""
    rng = np.random.default_rng(4)
    p = np.stack([probabilities(rng, 100, 3)] * 21)
    p[0] = 0.98 / 3 + 0.02 * p[0]
    p[11:] = p[11:][:, :, [1, 2, 0]]
    order = match_experts(p)
    matched = np.take_along_axis(p, order[:, None, :], axis=2)
    assert np.ptp(matched[1:], axis=0).max() == 0.0
    np.testing.assert_array_equal(order[0], np.arange(3))


def test_nothing_to_match():
    np.testing.assert_array_equal(match_experts(np.ones((3, 5, 1))), np.zeros((3, 1)))
    np.testing.assert_array_equal(match_experts(np.ones((2, 0, 2))), [[0, 1], [0, 1]])
