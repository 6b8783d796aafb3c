"""The default scores of predictions, as scikit-learn defines them for ``score``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._core_protocol import FloatArray
from ._validation import read_target

__all__ = ["accuracy", "r2_score", "read_score_weights"]


def read_score_weights(sample_weight: Any, n_rows: int) -> FloatArray:
    """Return the weights of rows in a score, ones by default; any numbers from 0 on."""
    if sample_weight is None:
        return np.ones(n_rows)
    weights, _ = read_target(sample_weight, n_rows, missing="raise", what="sample_weight")
    if (weights < 0).any():
        row = int(np.argmax(weights < 0))
        raise ValueError(
            f"sample_weight: row {row} is {weights[row]:g}; weights must not be below 0"
        )
    if not weights.any():
        raise ValueError("sample_weight is zero for every row; at least one weight must not be")
    return weights


def r2_score(y: FloatArray, predicted: FloatArray, weights: FloatArray) -> float:
    """Return the coefficient of determination, shape of all arguments (n,).

    ``1 - sum w (y - predicted)^2 / sum w (y - mean)^2``, with the weighted mean of y.  Of a
    constant y: 1 if the predictions are exact, else 0.  NaN for fewer than two rows.
    """
    if len(y) < 2:
        return float("nan")
    error = float(np.sum(weights * (y - predicted) ** 2))
    spread = float(np.sum(weights * (y - np.average(y, weights=weights)) ** 2))
    if spread == 0.0:
        return 1.0 if error == 0.0 else 0.0
    return 1.0 - error / spread


def accuracy(y: NDArray[Any], predicted: NDArray[Any], weights: FloatArray) -> float:
    """Return the share of the weight whose prediction is right, shape of all arguments (n,)."""
    return float(np.average(predicted == y, weights=weights))
