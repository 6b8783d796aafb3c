"""One row of learning: the engine beside the same step in NumPy, forty rows a round.

pytest bench/bench_row.py --benchmark-enable --benchmark-group-by=group
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy_reference import NumpyParticleLearner

import hsmoe

SIZES = [(1000, 4, 6), (1000, 8, 16), (200, 32, 32)]
ROWS = 40


def _stream(d):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100 + ROWS, d - 1))
    y = np.where(X[:, 0] > 0, X[:, 1], -X[:, 2]) + 0.3 * rng.normal(size=len(X))
    return X, y


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_engine(record, size):
    N, K, d = size
    X, y = _stream(d)
    record.group = f"row {size}"
    record.extra_info["rows"] = ROWS

    def start():
        model = hsmoe.HSMoERegressor(
            K, n_particles=N, n_islands=1, retain=0, standardize=False, random_state=0
        )
        return (model.partial_fit(X[:100], y[:100]),), {}

    model = record.pedantic(
        lambda m: m.partial_fit(X[100:], y[100:]), setup=start, rounds=5, iterations=1
    )
    assert model.n_rows_seen_ == len(y)
    assert np.isfinite(model.log_evidence_)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_numpy(record, size):
    N, K, d = size
    X, y = _stream(d)
    design = np.c_[np.ones(len(y)), X]
    record.group = f"row {size}"
    record.extra_info["rows"] = ROWS

    def start():
        learner = NumpyParticleLearner(K, N, d, d, rng=np.random.default_rng(0))
        for i in range(20):
            learner.step(design[i], design[i], y[i])
        return (learner,), {}

    def learn(learner):
        for i in range(20, 20 + ROWS):
            learner.step(design[i], design[i], y[i])
        return learner

    learner = record.pedantic(learn, setup=start, rounds=2, iterations=1)
    assert np.isfinite(learner.log_evidence)
