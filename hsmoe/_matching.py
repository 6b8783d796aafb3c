"""Which expert of one draw is which of another: numbers made to agree.

Two particles may use the experts' numbers differently.  Following Stephens (2000), the numbers of
each draw ``m`` are permuted so that its classification probabilities ``p[m, i, k]``, that row ``i``
belongs to expert ``k``, come as close as they can to common ones ``q[i, k]``, in Kullback-Leibler
divergence; ``q`` is then their mean, and so on until that gains nothing.  Each permutation is a
linear assignment.  The first ``q`` is that of a reference, whose numbers all others take.

Stephens (2000), Dealing with label switching in mixture models, JRSS B 62, 795-809, algorithm 2.
"""

from __future__ import annotations

import numpy as np

from ._core_protocol import FloatArray, IntArray
from ._optional import scipy_part

__all__ = ["assign", "classification", "match_experts"]

# Probabilities below this are raised to it before their logarithm: a row that is impossible under
# one draw must not decide alone.
_FLOOR = 1e-6
_MOST_ROUNDS = 20
# Rounds end when the loss falls by less than this share.
_GAIN = 1e-4
# A number that could as well stay stays (experts without rows fit anywhere).
_MOVING = 1e-9


def classification(log_gate: FloatArray, log_density: FloatArray) -> FloatArray:
    """Return the probabilities that rows belong to experts, (..., K), from log g and log f."""
    joint = log_gate + log_density
    joint = np.exp(joint - joint.max(axis=-1, keepdims=True))
    probability: FloatArray = joint / joint.sum(axis=-1, keepdims=True)
    return probability


def assign(cost: FloatArray) -> IntArray:
    """Return which column each row takes so that the costs add up to the least, (m,).

    Parameters
    ----------
    cost : ndarray, shape (m, k)
        m <= k; no column is taken twice.
    """
    optimize = scipy_part("optimize", "matching experts")
    columns: IntArray = optimize.linear_sum_assignment(cost)[1]
    return columns


def match_experts(p: FloatArray) -> IntArray:
    """Return which expert of each draw takes which number of the first draw.

    Parameters
    ----------
    p : ndarray, shape (M, n, K)
        Probabilities that row ``i`` belongs to expert ``k``; draw 0 is the reference.

    Returns
    -------
    ndarray, shape (M, K)
        ``order[m, k]`` is the expert of draw ``m`` that is expert ``k`` of draw 0; row 0 is
        ``0 ... K-1``.  To relabel draw ``m``: ``beta[m][order[m]]``.
    """
    n_draws, n_rows, n_experts = p.shape
    own = np.arange(n_experts)
    order = np.tile(own, (n_draws, 1))
    if n_experts == 1 or n_rows == 0:
        return order
    every = np.arange(n_draws)[:, None]
    by_expert = np.ascontiguousarray(np.swapaxes(p, 1, 2))  # (M, K, n)
    moving = _MOVING * n_rows * (1.0 - np.eye(n_experts))
    q = by_expert[0]
    least = np.inf
    for _ in range(_MOST_ROUNDS):
        # The loss of giving expert k the number l, but for what does not depend on l.
        loss = moving - by_expert @ np.log(np.maximum(q.T, _FLOOR))  # (M, K, K)
        order = np.stack([assign(one) for one in np.swapaxes(loss, 1, 2)])
        total = float(loss[every, order, own].sum())
        if total >= least - _GAIN * abs(least):
            break
        least = total
        q = by_expert[every, order].mean(axis=0)
    # The numbers of the reference are its own.
    result: IntArray = order[:, np.argsort(order[0])]
    return result
