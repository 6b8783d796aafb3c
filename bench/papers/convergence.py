"""How errors fall with the number of rows: slopes of log error on log n, and cells of tables."""

from __future__ import annotations

import math

import numpy as np

__all__ = ["fitted_slope", "geometric_cell", "slope_cell"]


def fitted_slope(sizes: tuple[int, ...], errors: np.ndarray) -> tuple[float, float]:
    """Return the least squares slope of log error on log n, and its standard error.

    The slope ``sum_i c_i m_i`` is linear in the means ``m_i`` of the log errors at each size, and
    the data sets are independent, so its variance is ``sum_i c_i^2 var(m_i)``: no assumption that
    the spread is the same at all sizes, or that the points lie on a line.

    Parameters
    ----------
    sizes : tuple of int
        Numbers of rows.
    errors : ndarray, shape (sizes, data sets)
        Positive; all data sets independent.
    """
    log_error = np.log(errors)
    centred = np.log(sizes) - np.log(sizes).mean()
    c = centred / (centred @ centred)
    variance = log_error.var(axis=1, ddof=1) / log_error.shape[1]
    return float(c @ log_error.mean(axis=1)), math.sqrt(float(c**2 @ variance))


def slope_cell(sizes: tuple[int, ...], errors: np.ndarray) -> str:
    slope, error = fitted_slope(sizes, errors)
    return f"{slope:.2f} ± {error:.2f}"


def geometric_cell(errors: np.ndarray) -> str:
    """Return the geometric mean over data sets, and its standard error by the delta method."""
    log_error = np.log(errors)
    mean = math.exp(log_error.mean())
    error = mean * log_error.std(ddof=1) / math.sqrt(len(log_error))
    digits = max(0, 1 - math.floor(math.log10(mean)))
    return f"{mean:,.{digits}f} ({error:,.{digits}f})"
