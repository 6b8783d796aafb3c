"""Simulation-based calibration of a number of experts that changes along the stream.

Paths of the leaves, coefficients and experts are drawn from the prior as ``ChangingExperts`` states
it, with NumPy alone, and rows given them.  Of the model that learned the rows two things must be
uniform: where the number of experts open at the next row falls in its posterior (ties broken at
random), and the cdf of the next target in its forecast.  Neither depends on labels.
"""

from __future__ import annotations

import numpy as np
import pytest
from one_island import ONE_ISLAND
from scipy import special, stats

import hsmoe

N_ROWS, MOST, BINS = 30, 3, 8
GATE = hsmoe.NormalPrior(scale=1.5, intercept_sd=1.0)
EXPERT = hsmoe.GaussianExpert(b0_shape=0.0, coefficient_shape=0.0)
FALSE_ALARM, NOTICED = 1e-3, 1e-6


def paths(n, rate, rng):
    """Whether each leaf is open at the rows 0 ... n, shape (n + 1, MOST)."""
    size = rng.integers(1, MOST + 1)
    state = np.zeros(MOST, dtype=int)  # 0 free, 1 open, 2 closed
    state[0] = 1
    state[1 + rng.permutation(MOST - 1)[: size - 1]] = 1
    rows = [state]
    for _ in range(n):
        moves = (rng.random(MOST) < rate / (MOST - 1)) & (np.arange(MOST) > 0) & (rows[-1] < 2)
        rows.append(rows[-1] + moves)
    return np.array(rows) == 1


def expert_of(is_open, phi, x, rng):
    """The expert of one row, drawn down the comb 0 | (1 | 2)."""
    if not is_open[1:].any() or rng.random() < special.expit(phi[0] @ [1.0, x]):
        return 0
    if is_open[1:].all():
        return 1 if rng.random() < special.expit(phi[1] @ [1.0, x]) else 2
    return 1 + int(is_open[2])


def replicate(seed, rate, rate_of_truth, n_particles):
    """The two numbers that are uniform if all is right."""
    rng = np.random.default_rng([seed, 3])
    is_open = paths(N_ROWS, rate_of_truth, rng)
    means = np.array([[-np.log(2.0), 0.0], [0.0, 0.0]])  # all leaves hold one expert
    phi = means + np.array([GATE.intercept_sd, GATE.scale]) * rng.standard_normal((2, 2))
    s2 = EXPERT.b0 / rng.gamma(EXPERT.a0, size=MOST)
    beta = np.sqrt(EXPERT.coefficient_variance * s2)[:, None] * rng.standard_normal((MOST, 2))
    x = -1.0 + 2.6 * (0.6180339887498949 * np.arange(1, N_ROWS + 2) % 1)
    z = np.array([expert_of(o, phi, t, rng) for o, t in zip(is_open, x, strict=True)])
    y = beta[z, 0] + beta[z, 1] * x + np.sqrt(s2[z]) * rng.standard_normal(N_ROWS + 1)
    model = hsmoe.HSMoERegressor(
        hsmoe.ChangingExperts(MOST, rate),
        **ONE_ISLAND,
        n_particles=n_particles,  # seven times as many while rows are so few
        gate_prior=GATE,
        expert=EXPERT,
        standardize=False,
        retain=None,
        random_state=seed,
    )
    model.partial_fit(x[:-1, None], y[:-1])
    p, count = model.n_experts_posterior(), is_open[-1].sum()
    return p[: count - 1].sum() + rng.random() * p[count - 1], float(
        model.predict_cdf(x[-1:, None], y[-1:])[0]
    )


def smallest_p(replications, rate=0.06, rate_of_truth=0.06, n_particles=64):
    """Bonferroni's p-value of both numbers and three tests of each."""
    p = []
    for u in np.array(
        [replicate(seed, rate, rate_of_truth, n_particles) for seed in range(replications)]
    ).T:
        counts = np.bincount(np.minimum((BINS * u).astype(int), BINS - 1), minlength=BINS)
        p.append(stats.chisquare(counts).pvalue)
        # Mean and variance of (u - 1/2)^2 are 1/12 and 1/180.
        for v, mean, variance in ((u, 1 / 2, 1 / 12), ((u - 0.5) ** 2, 1 / 12, 1 / 180)):
            p.append(2 * stats.norm.sf(abs(v.mean() - mean) / np.sqrt(variance / replications)))
    return min(1.0, len(p) * min(p)), np.round(p, 4)


def test_calibrated():
    p, parts = smallest_p(150)
    assert p > FALSE_ALARM, parts


@pytest.mark.long
def test_calibrated_in_many_replications():
    p, parts = smallest_p(600, n_particles=128)
    print(f"changing experts: p = {p:.2g}")
    assert p > FALSE_ALARM, parts


@pytest.mark.long
@pytest.mark.parametrize(("rate", "rate_of_truth"), [(0.001, 0.1), (0.2, 0.0)])
def test_a_wrong_rate_is_noticed(rate, rate_of_truth):
    p, parts = smallest_p(400, rate, rate_of_truth)
    print(f"rate {rate} for {rate_of_truth}: p = {p:.2g}")
    assert p < NOTICED, parts
