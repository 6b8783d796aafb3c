"""Experts that open and close: against enumeration, and what they are for."""

from __future__ import annotations

import itertools
import math

import numpy as np
import oracles
import pytest
from one_island import ONE_ISLAND
from scipy import special

import hsmoe
from hsmoe import ChangingExperts


def _stream(n, seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 1)) + 0.3
    y = np.where(X[:, 0] > 0.2, 1.5 + X[:, 0], -0.5 * X[:, 0]) + 0.2 * rng.normal(size=n)
    return X, y


def _paths(most, n, rate):
    """Every path over rows 0 ... n: when experts 1, 2, ... are open (n + 1, most), log prior."""
    r = rate / (most - 1)
    lives = [(math.inf, math.inf)]
    lives += [(o, c) for o in range(n + 1) for c in (*range(o + 1, n + 1), math.inf)]
    rows = np.arange(n + 1)
    for path in itertools.product(lives, repeat=most - 1):
        is_open = np.ones((n + 1, most), bool)
        size = sum(opened == 0 for opened, _ in path)
        probability = 1.0 / most / math.comb(most - 1, size)
        for k, (opened, closed) in enumerate(path, 1):
            is_open[:, k] = (opened <= rows) & (rows < closed)
            changes = (0 < opened <= n) + (closed <= n)
            stays = min(closed, n) - changes
            probability *= r**changes * (1 - r) ** stays
        if probability:
            yield is_open, math.log(probability)


@pytest.mark.parametrize(
    ("most", "n", "rate", "gate"),
    [(2, 6, 0.0, "comb"), (2, 5, 0.2, "comb"), (3, 4, 0.0, "balanced"), (3, 3, 0.3, "balanced")],
)
def test_evidence_and_posterior_equal_the_sum_over_paths_and_allocations(most, n, rate, gate):
    """E[Z-hat] and E[Z-hat p-hat(K)]; 4.5 standard errors of seeds, for up to four functions."""
    X, y = _stream(n, seed=n)
    design = np.c_[np.ones(n), X]
    tree = oracles.tree_nodes(most, gate)
    terms, numbers, known = [], [], {}
    for is_open, log_prior in _paths(most, n, rate):
        key = is_open[:n].tobytes()
        if key not in known:
            known[key] = oracles.enumerated_log_evidence(
                design, design, y, tree, "normal", n_grid=81, open_experts=is_open[:n]
            )
        terms.append(known[key] + log_prior)
        numbers.append(is_open[n].sum())
    exact = special.logsumexp(terms)
    joint = [
        np.exp(np.array(terms)[np.array(numbers) == k] - exact).sum() for k in range(1, most + 1)
    ]
    found = []
    for seed in range(400):
        model = hsmoe.HSMoERegressor(
            ChangingExperts(most, rate),
            **(ONE_ISLAND | {"gate": gate}),
            n_particles=40,
            standardize=False,
            retain=None,
            gate_prior="normal",
            expert=hsmoe.GaussianExpert(a0=2.0, b0=0.1, b0_shape=0.0, coefficient_variance=10.0),
            random_state=seed,
        ).partial_fit(X, y)
        ratio = np.exp(model.log_evidence_ - exact)
        found.append([ratio, *(ratio * model.n_experts_posterior())])
    mean, error = np.mean(found, 0), np.std(found, 0) / np.sqrt(len(found))
    assert (error < 0.02).all()
    assert (np.abs(mean - [1.0, *joint]) < 4.5 * error).all(), (mean, [1.0, *joint], error)
