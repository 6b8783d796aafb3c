"""Rank-one Cholesky updates, beside a NumPy loop over columns vectorised over the stack."""

from __future__ import annotations

import numpy as np
import pytest

from hsmoe.linalg import cholesky_update


def _numpy_update(L, x):
    L, x = L.copy(), x.copy()
    for j in range(x.shape[1]):
        r = np.hypot(L[:, j, j], x[:, j])
        c, s = L[:, j, j] / r, x[:, j] / r
        L[:, j, j] = r
        below, rest = L[:, j + 1 :, j].copy(), x[:, j + 1 :]
        L[:, j + 1 :, j] = c[:, None] * below + s[:, None] * rest
        x[:, j + 1 :] = c[:, None] * rest - s[:, None] * below
    return L


@pytest.mark.parametrize("update", [cholesky_update, _numpy_update], ids=["hsmoe", "numpy"])
@pytest.mark.parametrize("shape", [(1000, 6), (1000, 32), (1, 200)], ids=str)
def test_cholesky_update(record, shape, update):
    B, d = shape
    rng = np.random.default_rng(0)
    A = rng.normal(size=(B, d, d))
    P = A @ A.swapaxes(1, 2) + d * np.eye(d)
    L, x = np.linalg.cholesky(P), rng.normal(size=(B, d))
    record.group = f"cholesky update {shape}"
    new = record(update, L, x)
    assert np.allclose(new @ new.swapaxes(1, 2), P + x[:, :, None] * x[:, None, :])
