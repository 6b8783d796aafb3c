"""Checks of hyper-parameters, one line each at the place of use."""

from __future__ import annotations

import math
import numbers
import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["check_integer", "check_number", "check_probs"]


_LARGEST = 2**31 - 1  # what the engine counts with


def check_integer(name: str, value: Any, minimum: int) -> int:
    """Return ``value`` as int, or raise ValueError naming the parameter."""
    try:
        if isinstance(value, bool | np.bool_):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise ValueError(
            f"{name} is {value!r}; it must be an integer of at least {minimum}"
        ) from None
    if number < minimum:
        raise ValueError(f"{name} is {number}; it must be an integer of at least {minimum}")
    if number > _LARGEST:
        raise ValueError(f"{name} is {number}; it must be an integer of at most {_LARGEST}")
    return number


def check_number(
    name: str,
    value: Any,
    low: float = 0.0,
    high: float = math.inf,
    *,
    closed: bool = False,
) -> float:
    """Return ``value`` as float if it lies between ``low`` and ``high``, else raise ValueError."""
    wanted = (
        "positive and finite"
        if (low, high, closed) == (0.0, math.inf, False)
        else f"between {low:g} and {high:g}" + ("" if closed else ", neither included")
    )
    usable = isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_)
    if usable:
        number = float(value)
        if low < number < high or (closed and number in (low, high)):
            return number
    raise ValueError(f"{name} is {value!r}; it must be a number {wanted}")


def check_probs(probs: Any, *, closed: bool = False) -> NDArray[np.float64]:
    """Return probabilities as an array of one dimension, or raise ValueError.

    ``closed``: 0 and 1 are among them.
    """
    wanted = "from 0 to 1" if closed else "between 0 and 1, neither included"
    try:
        levels = np.atleast_1d(np.asarray(probs, dtype=np.float64))
    except (TypeError, ValueError):
        levels = np.array([np.nan])
    inside = (levels >= 0) & (levels <= 1) if closed else (levels > 0) & (levels < 1)
    if levels.ndim != 1 or not inside.all():
        raise ValueError(f"probs is {probs!r}; it must be probabilities {wanted}")
    return np.ascontiguousarray(levels)
