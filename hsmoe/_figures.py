"""What all pictures share: figures without pyplot, colours, plain axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._core_protocol import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
else:
    Axes = Figure = Any

__all__ = [
    "ACCENT",
    "COLOURS",
    "MAIN",
    "axes_or_new",
    "new_figure",
    "path_of",
    "plain",
    "table_of",
    "thousands",
]

# Okabe & Ito: told apart with any colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000")
MAIN, ACCENT = "#0072B2", "#D55E00"


def axes_or_new(ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    return new_figure(7.0, 4.0).add_subplot()


def path_of(values: Any, name: str) -> FloatArray:
    """Return one number a row as an array.

    Raises
    ------
    ValueError
        If it is something else, a Forecast say.
    """
    numbers = table_of(values, name)
    if numbers.ndim != 1:
        raise ValueError(f"{name} has shape {numbers.shape}; it must have one number a row")
    return numbers


def table_of(values: Any, name: str) -> FloatArray:
    """Return numbers as an array; of an object that has them by that name, say which to pass."""
    if not isinstance(values, np.ndarray) and hasattr(values, name):
        kind = type(values).__name__
        raise ValueError(f"{name} is the whole {kind}; pass what it holds by that name, .{name}")
    return np.asarray(values, dtype=np.float64)


def new_figure(width: float, height: float) -> Figure:
    """Return a figure that no window or global state of pyplot is tied to."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as NewFigure

    figure = NewFigure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def plain(ax: Axes, title: str, xlabel: str, ylabel: str) -> None:
    ax.set_title(title, loc="left", fontsize=11, fontweight="bold")
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    ax.spines[["top", "right"]].set_visible(False)


def thousands(value: float, _: Any = None) -> str:
    return f"{value:,.0f}"
