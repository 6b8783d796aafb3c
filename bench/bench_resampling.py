"""Resampling of 1e5 particles, beside inversion with searchsorted in NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from hsmoe import resampling

N = 100_000


def _numpy_systematic(W, M=None, rng=None):
    positions = (np.arange(len(W)) + rng.random()) / len(W)
    return np.searchsorted(np.cumsum(W / W.sum()), positions)


SCHEMES = {
    name: getattr(resampling, name)
    for name in ("systematic", "stratified", "residual", "multinomial", "ssp")
} | {"numpy systematic": _numpy_systematic}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_resampling(record, scheme):
    rng = np.random.default_rng(0)
    W = rng.exponential(size=N)
    record.group = "resampling 1e5"
    ancestors = record(SCHEMES[scheme], W, rng=rng)
    assert len(ancestors) == N
    counts = np.bincount(ancestors, minlength=N)
    assert abs(np.corrcoef(counts, W)[0, 1]) > 0.5
