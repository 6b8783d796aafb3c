"""Mixtures with known parameters: densities, quantiles, gates, draws, refusals."""

import numpy as np
import pytest
from scipy import integrate, stats

from hsmoe import HSMoERegressor, SoftmaxMixture, TreeMixture

TRUTH = SoftmaxMixture([[15, -20], [-5, 20]], [0.09, 0.16], [-8, 0], [[25], [0]])


def test_by_hand():
    x, y = 0.3, 8.0
    g = 1 / (1 + np.exp(-(-8 + 25 * x)))
    f = stats.norm.pdf(y, [15 - 20 * x, -5 + 20 * x], [0.3, 0.4])
    np.testing.assert_allclose(TRUTH.predict_expert_proba([[x]]), [[g, 1 - g]])
    np.testing.assert_allclose(TRUTH.log_density([[x]], [y]), np.log(g * f[0] + (1 - g) * f[1]))
    np.testing.assert_allclose(TRUTH.predict([[x]]), g * 9 + (1 - g) * 1)


@pytest.mark.parametrize("x", [0.1, 0.32, 0.7])
def test_density_and_quantiles_belong_together(x):
    row = np.array([[x]])

    def density(y):
        return np.exp(TRUTH.log_density(row, [y]))[0]

    means = [15 - 20 * x, -5 + 20 * x]
    assert integrate.quad(density, -30, 30, points=means)[0] == pytest.approx(1)
    probs = [0.001, 0.3, 0.5, 0.9]
    for p, q in zip(probs, TRUTH.predict_quantiles(row, probs)[0], strict=True):
        inside = [m for m in means if m < q]
        below = integrate.quad(density, -30, q, points=inside or None, epsabs=1e-12)[0]
        assert below == pytest.approx(p, abs=1e-8)


def test_softmax_is_stable_and_blind_to_shifts():
    X = np.linspace(0, 1, 7)[:, None]
    moved = SoftmaxMixture(TRUTH.coefficients, TRUTH.variance, [992, 1000], [[-4], [-29]])
    np.testing.assert_allclose(moved.log_gate(X), TRUTH.log_gate(X), atol=1e-10)
    assert np.isfinite(
        SoftmaxMixture([[0]] * 2, [1, 1], [0, -5000], [[], []]).log_gate(X[:, :0])
    ).all()


@pytest.mark.parametrize("gate", ["comb", "balanced", [[3, 0], [1, [2, 4]]]])
def test_tree_gate_is_that_of_a_model(gate, two_regimes):
    """One particle, and its own coefficients: the same probabilities as the engine's."""
    X, y = two_regimes
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    model = HSMoERegressor(5, 1, 1, gate=gate, standardize=False, retain=0, random_state=2).fit(
        X, y
    )
    particle = model._state.engine.particle()
    mixture = TreeMixture(
        particle["coefficients"], particle["noise_variance"], particle["phi"], gate=gate
    )
    np.testing.assert_allclose(
        mixture.predict_expert_proba(X), model.predict_expert_proba(X), atol=1e-12
    )


def test_draws():
    """Chi-square of the experts and KS of the targets' PIT, false alarm 1e-4 each."""
    X = np.full((20_000, 1), 0.35)
    y, expert = TRUTH.sample(X, random_state=1)
    g = TRUTH.predict_expert_proba(X[:1])[0]
    assert stats.chisquare(np.bincount(expert), len(X) * g).pvalue > 1e-4
    for k in (0, 1):
        mine = (y - TRUTH.expert_mean(X)[:, k])[expert == k] / np.sqrt(TRUTH.variance[k])
        assert stats.kstest(mine, "norm").pvalue > 1e-4
    np.testing.assert_array_equal(TRUTH.sample(X, random_state=1)[0], y)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[1, 2]], [1, 1], [0], [[0]]), r"variance has 2 entries for 1 experts"),
        (([[1, 2]], [0], [0], [[0]]), r"variance of expert 0 is 0; it must be positive"),
        (([[1, np.nan]], [1], [0], [[0]]), r"coefficients at \(0, 1\) is nan"),
        (([1, 2], [1], [0], [[0]]), r"coefficients has shape \(2,\)"),
        (([[1, 2]], [1], [0], [[0, 0]]), r"gate_slopes \(1, 2\); they must be \(1,\) and \(1, 1\)"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(ValueError, match=message):
        SoftmaxMixture(*arguments)


def test_more_refusals():
    with pytest.raises(ValueError, match=r"phi has shape \(2, 2\); it must have \(1, 2\)"):
        TreeMixture([[1, 2], [3, 4]], [1, 1], [[0, 0], [0, 0]])
    with pytest.raises(ValueError, match="X has 2 columns; this mixture has 1 features"):
        TRUTH.predict([[1, 2]])
    with pytest.raises(ValueError, match="probs is"):
        TRUTH.predict_quantiles([[1]], [0.0])
