"""The order of the rows does not matter: the model is exchangeable, and the answers show it.

Several orders of the same rows, several seeds each.  With rejuvenation over all rows the orders
differ by no more than the seeds do; plain particle learning fails the same comparison.
"""

from __future__ import annotations

import numpy as np
import pytest
from one_island import ONE_ISLAND
from scipy import special, stats

import hsmoe

# Of one call of ``_smallest_p`` for fresh seeds, by Bonferroni; the seeds are fixed.
FALSE_ALARM = 1e-3

POINT_X = np.array([[-1.2, 0.0], [-0.2, -0.5], [0.1, 1.0], [0.4, -1.0], [1.5, 0.0]])
POINT_Y = np.array([0.2, 0.9, -0.6, 1.8, 2.6])


def _rows(n):
    rng = np.random.default_rng(7)
    X = rng.normal(size=(n, 2)) + np.array([0.3, 0.0])
    left = rng.uniform(size=n) < special.expit(0.6 + 3 * X[:, 0])
    noise = rng.normal(size=n)
    one = 1.0 + 1.5 * X[:, 0] - 0.5 * X[:, 1] + 0.4 * noise
    return X, np.where(left, one, -1.0 - 0.8 * X[:, 0] + 0.2 * X[:, 1] + 0.7 * noise)


def _orders(X):
    """As drawn, two shuffles, and sorted by what rules the gate: one regime, then the other."""
    n = len(X)
    shuffles = [np.random.default_rng(seed).permutation(n) for seed in (1, 2)]
    return [np.arange(n), *shuffles, np.argsort(X[:, 0])]


def _answers(X, y, **settings):
    """Forecast, gate and log evidence; none depends on how the experts are numbered."""
    model = hsmoe.HSMoERegressor(standardize=False, **{**ONE_ISLAND, **settings}).partial_fit(X, y)
    g, g_sd = model.predict_expert_proba(POINT_X, return_std=True)
    return np.r_[
        model.predict(POINT_X),
        model.log_density(POINT_X, POINT_Y),
        model.predict_cdf(POINT_X, POINT_Y),
        # how decided the gate is: sum over experts of E (g_k - 1/K)^2
        (g_sd**2 + (g - 1 / g.shape[1]) ** 2).sum(1),
        model.log_evidence_,
    ]


def _all_answers(n, n_runs, **settings):
    """Shape (orders, runs, answers)."""
    X, y = _rows(n)
    return np.array(
        [
            [
                _answers(X[order], y[order], random_state=100 * i + seed, **settings)
                for seed in range(n_runs)
            ]
            for i, order in enumerate(_orders(X))
        ]
    )


def _smallest_p(answers, ranks=False):
    """Bonferroni's p-value over all answers and pairs of orders: Welch's t-test, or by ranks."""

    def compare(one, other):
        if ranks:
            return stats.mannwhitneyu(one, other, axis=0).pvalue
        return stats.ttest_ind(one, other, equal_var=False).pvalue

    p = [compare(answers[i], answers[j]) for j in range(len(answers)) for i in range(j)]
    return np.size(p) * np.min(p)


def _spread(answers):
    """Standard deviation of each answer over the seeds, pooled over the orders."""
    return np.sqrt(answers.var(1, ddof=1).mean(0))


@pytest.mark.parametrize("n_experts", [2, 3])
def test_orders_of_the_rows_agree(n_experts):
    answers = _all_answers(300, 8, n_experts=n_experts, n_particles=50, retain=None)
    assert _smallest_p(answers) > FALSE_ALARM


def _check_that_only_rejuvenation_agrees(n, n_runs, n_particles):
    settings = dict(n_experts=2, n_particles=n_particles)
    exact = _all_answers(n, n_runs, retain=None, **settings)
    assert _smallest_p(exact) > FALSE_ALARM
    # Plain particle learning needs more seeds to see through its own wide spread, and ranks, as
    # single runs are far off.
    plain = _all_answers(n, 30, retain=0, **settings)
    assert _smallest_p(plain, ranks=True) < FALSE_ALARM
    # The comparison above is that much sharper than one of plain particle learning could be.
    ratio = _spread(plain) / _spread(exact)
    assert np.median(ratio) > 4.0
    assert ratio.min() > 1.5


def test_plain_particle_learning_depends_on_the_order():
    _check_that_only_rejuvenation_agrees(1000, 5, 200)


@pytest.mark.long
def test_orders_of_many_rows_agree():
    _check_that_only_rejuvenation_agrees(3000, 8, 400)


@pytest.mark.long
def test_orders_agree_for_three_experts_and_many_particles():
    answers = _all_answers(600, 10, n_experts=3, n_particles=1000, retain=None)
    assert _smallest_p(answers) > FALSE_ALARM
