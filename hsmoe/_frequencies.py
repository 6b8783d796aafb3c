"""Weights of rows that are learned: how often each of them is."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._core_protocol import IntArray
from ._validation import read_target

__all__ = ["check_frequencies", "read_frequencies"]

_MOST_ROWS = 2**31 - 1  # what the engine counts with


def read_frequencies(sample_weight: Any) -> IntArray | None:
    """Read how often each row is to be learned; None if each once.

    Raises
    ------
    ValueError
        If a weight is not a whole number from 0 on.
    """
    if sample_weight is None:
        return None
    weights, _ = read_target(sample_weight, None, missing="raise", what="sample_weight")
    wrong = (weights < 0) | (weights != np.floor(weights))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"sample_weight: row {row} is {weights[row]:g}; weights are frequencies, whole numbers "
            "from 0 on (a row of weight 2 is learned twice): leave them out, or round them"
        )
    if weights.sum() > _MOST_ROWS:
        raise ValueError(f"sample_weight stands for {weights.sum():g} rows, at most {_MOST_ROWS}")
    return weights.astype(np.int64)


def check_frequencies(frequencies: IntArray | None, n_rows: int) -> None:
    """Refuse frequencies of another number of rows."""
    if frequencies is not None and len(frequencies) != n_rows:
        raise ValueError(
            f"sample_weight has {len(frequencies)} values, but X has {n_rows} rows; pass one "
            "weight for each row"
        )
