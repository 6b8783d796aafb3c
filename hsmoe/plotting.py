"""Pictures of forecasts and models (needs matplotlib, extra ``plot``)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ._diagnostic_plots import plot_ess, plot_expert_weight, plot_pit, plot_resampling
from ._figures import ACCENT, COLOURS, MAIN, axes_or_new, new_figure, path_of, plain, thousands
from ._selection_plots import plot_dendrogram, plot_selection
from ._summary import predictors

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ._base import OnlineMixture
    from .regressor import HSMoERegressor
else:
    Axes = Figure = Any

__all__ = [
    "BAND_PROBS",
    "demo_layout",
    "plot_dendrogram",
    "plot_ess",
    "plot_evidence",
    "plot_expert_weight",
    "plot_model",
    "plot_pit",
    "plot_predictive_band",
    "plot_resampling",
    "plot_routing",
    "plot_selection",
    "save_figure",
]

# Quantiles of a predictive band: the 90% and 50% intervals around the median.
BAND_PROBS = (0.05, 0.25, 0.5, 0.75, 0.95)


def demo_layout() -> tuple[Figure, tuple[Axes, Axes, Axes]]:
    """Return a figure with one wide axes above two.

    Examples
    --------
    >>> from hsmoe import plotting
    >>> figure, (top, left, right) = plotting.demo_layout()
    >>> len(figure.axes)
    3
    """
    figure = new_figure(12.0, 8.0)
    grid = figure.add_gridspec(2, 2)
    axes = (
        figure.add_subplot(grid[0, :]),
        figure.add_subplot(grid[1, 0]),
        figure.add_subplot(grid[1, 1]),
    )
    return figure, axes


def plot_predictive_band(
    y: ArrayLike,
    quantiles: ArrayLike,
    *,
    x: ArrayLike | None = None,
    ax: Axes | None = None,
    xlabel: str = "row",
    ylabel: str = "y",
) -> Axes:
    """Draw observations over the predictive intervals that were forecast for them.

    Parameters
    ----------
    y : array_like, shape (n,)
        What came.
    quantiles : array_like, shape (n, 5)
        Predictive quantiles at ``BAND_PROBS``.
    x : array_like, shape (n,), optional
        Horizontal positions; row numbers by default.
    ax : matplotlib Axes, optional
        Where to draw; a new figure by default.
    xlabel, ylabel : str
        Labels of the axes.

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> import numpy as np, hsmoe
    >>> from hsmoe import plotting
    >>> X = np.linspace(-1, 1, 200)[:, None]
    >>> model = hsmoe.HSMoERegressor(2, 20, 1, random_state=0).fit(X, X[:, 0])
    >>> quantiles = model.predict_quantiles(X[:40], plotting.BAND_PROBS)
    >>> ax = plotting.plot_predictive_band(X[:40, 0], quantiles, ylabel="metres")
    >>> ax.get_ylabel()
    'metres'
    """
    values = path_of(y, "y")
    bands = np.asarray(quantiles, dtype=np.float64)
    if bands.shape != (len(values), len(BAND_PROBS)):
        raise ValueError(
            f"quantiles has shape {bands.shape}; it must be ({len(values)}, {len(BAND_PROBS)}): "
            "the predictive quantiles at plotting.BAND_PROBS for each value of y"
        )
    low, q1, median, q3, high = bands.T
    ax = axes_or_new(ax)
    position = np.arange(1, len(values) + 1) if x is None else np.asarray(x)
    outside = (values < low) | (values > high)
    # Rows do not follow from each other, so each has its own bar rather than a ribbon.
    ax.vlines(position, low, high, color=MAIN, alpha=0.25, linewidth=4, label="90% interval")
    ax.vlines(position, q1, q3, color=MAIN, alpha=0.6, linewidth=4, label="50% interval")
    ax.scatter(position, median, s=14, marker="_", color="white", zorder=3)
    ax.scatter(
        position[~outside], values[~outside], s=12, color="black", zorder=4, label="observed"
    )
    ax.scatter(
        position[outside],
        values[outside],
        s=18,
        color=ACCENT,
        zorder=4,
        label="observed, outside the 90% interval",
    )
    plain(ax, "Forecast before each row was seen", xlabel, ylabel)
    ax.margins(x=0.01)
    ax.legend(frameon=False, ncols=4, loc="upper right", fontsize=9)
    bottom, top = ax.get_ylim()
    ax.set_ylim(bottom, top + 0.12 * (top - bottom))  # room for the legend
    return ax


def plot_routing(
    model: HSMoERegressor,
    row: ArrayLike,
    column: int,
    values: ArrayLike,
    *,
    ax: Axes | None = None,
    xlabel: str | None = None,
) -> Axes:
    """Draw the experts' routing probabilities as one feature varies.

    Parameters
    ----------
    model : HSMoERegressor
        A model that has learned rows.
    row : array_like, shape (d,)
        Values of all features, of which one is varied.
    column : int
        Which feature to vary.
    values : array_like, shape (m,)
        The values it takes.
    ax : matplotlib Axes, optional
        Where to draw; a new figure by default.
    xlabel : str, optional
        The feature's name by default.

    Returns
    -------
    matplotlib Axes
        One line for each expert, with a band of two posterior standard deviations.

    Examples
    --------
    >>> import numpy as np, hsmoe
    >>> from hsmoe import plotting
    >>> X = np.linspace(-1, 1, 200)[:, None]
    >>> model = hsmoe.HSMoERegressor(2, 20, 1, random_state=0).fit(X, np.abs(X[:, 0]))
    >>> ax = plotting.plot_routing(model, [0.0], 0, np.linspace(-1, 1, 21))
    >>> ax.get_xlabel(), len(ax.lines)
    ('x0', 2)
    """
    ax = axes_or_new(ax)
    grid = np.asarray(values, dtype=np.float64)
    X = np.repeat(np.asarray(row, dtype=np.float64)[None, :], len(grid), axis=0)
    X[:, column] = grid
    mean, std = model.predict_expert_proba(X, return_std=True)
    for k in range(mean.shape[1]):
        colour = COLOURS[k % len(COLOURS)]
        low, high = np.clip([mean[:, k] - 2 * std[:, k], mean[:, k] + 2 * std[:, k]], 0.0, 1.0)
        ax.fill_between(grid, low, high, color=colour, alpha=0.2, linewidth=0)
        ax.plot(grid, mean[:, k], color=colour, label=f"expert {k}")
    names = getattr(model, "feature_names_in_", None)
    default = f"x{column}" if names is None else str(names[column])
    plain(ax, "Routing, with two posterior standard deviations", xlabel or default, "probability")
    ax.set_ylim(-0.02, 1.02)
    ax.margins(x=0)
    if mean.shape[1] <= len(COLOURS):
        # Beside the axes: the bands may be anywhere inside.
        ax.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return ax


def plot_evidence(
    log_evidence: ArrayLike,
    *,
    ax: Axes | None = None,
    title: str = "Evidence",
    xlabel: str = "rows learned",
    ylabel: str = "log evidence (nats)",
) -> Axes:
    """Draw a path of log evidence, or of a difference of two, over rows.

    Parameters
    ----------
    log_evidence : array_like, shape (n,)
        After each row; NaN is left out.
    ax : matplotlib Axes, optional
        Where to draw; a new figure by default.
    title, xlabel, ylabel : str
        Title and labels of the axes.

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> import numpy as np, hsmoe
    >>> from hsmoe import plotting
    >>> X = np.linspace(-1, 1, 200)[:, None]
    >>> forecast = hsmoe.HSMoERegressor(2, 20, 1, random_state=0).prequential(X, np.abs(X[:, 0]))
    >>> plotting.plot_evidence(forecast.log_evidence).get_xlabel()
    'rows learned'
    """
    path = path_of(log_evidence, "log_evidence")
    ax = axes_or_new(ax)
    position = np.arange(1, len(path) + 1)
    # More points than pixels only make the file large.
    step = max(1, len(path) // 4000)
    ax.axhline(0.0, color="0.7", linewidth=1)
    ax.plot(position[::step], path[::step], color=MAIN)
    known = path[~np.isnan(path)]
    if known.size:
        ax.annotate(
            f"{known[-1]:,.0f}",
            (position[-1], known[-1]),
            xytext=(-4, 6),
            textcoords="offset points",
            ha="right",
        )
    plain(ax, title, xlabel, ylabel)
    ax.margins(x=0.01)
    ax.xaxis.set_major_formatter(thousands)
    ax.yaxis.set_major_formatter(thousands)
    return ax


def plot_model(model: OnlineMixture) -> Figure:
    """Draw what a model has learned: the experts' coefficients and the gate's inclusion.

    Parameters
    ----------
    model : HSMoERegressor, HSMoEClassifier or HSMoECountRegressor
        A model that has learned rows.

    Returns
    -------
    matplotlib Figure
        Left: coefficients of the heaviest particle's experts, in standard units.  Right: how much
        each gate coefficient escapes shrinkage.

    Examples
    --------
    >>> import numpy as np, hsmoe
    >>> from hsmoe import plotting
    >>> X = np.linspace(-1, 1, 200)[:, None]
    >>> model = hsmoe.HSMoERegressor(2, 20, 1, random_state=0).fit(X, np.abs(X[:, 0]))
    >>> [ax.get_title(loc="left") for ax in plotting.plot_model(model).axes[:2]]
    ['Coefficients in standard units', 'Gate inclusion']
    """
    state, engine, _ = model._view()
    particle = engine.particle()
    coefficients = np.asarray(particle["coefficients"])
    counts = np.asarray(particle["counts"], dtype=np.float64)
    shares = 100.0 * counts / max(float(counts.sum()), 1.0)
    inclusion = model.gate_inclusion()
    features = ["intercept", *(state.labels[j] for j in state.columns("expert"))]
    about = predictors(state)[1]
    if len(about) > 1:
        features = [f"{title}: {name}" for title in about for name in features]
    height = 1.8 + 0.3 * max(len(features), len(inclusion.features))
    figure = new_figure(11.0, min(height, 40.0))
    left, right = figure.subplots(1, 2)
    reach = float(np.abs(coefficients).max()) or 1.0
    _heat_map(
        left,
        coefficients.T,
        [f"{k}\n{share:.0f}%" for k, share in enumerate(shares)],
        features,
        ("RdBu_r", -reach, reach),
    )
    plain(left, "Coefficients in standard units", "expert, share of rows", "")
    if len(inclusion):
        _heat_map(
            right, inclusion.values.T, inclusion.splits, inclusion.features, ("Blues", 0.0, 1.0)
        )
        plain(right, "Gate inclusion", "split: experts left | right", "")
    else:
        right.text(0.5, 0.5, "one expert: no gate", ha="center", va="center")
        right.set_axis_off()
    return figure


def _heat_map(
    ax: Axes,
    values: Any,
    columns: Sequence[str],
    rows: Sequence[str],
    colours: tuple[str, float, float],
) -> None:
    name, low, high = colours
    image = ax.imshow(values, cmap=name, vmin=low, vmax=high, aspect="auto")
    ax.set_xticks(range(len(columns)), columns)
    ax.set_yticks(range(len(rows)), rows)
    ax.figure.colorbar(image, ax=ax)


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure to a file; the extension says the format.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from hsmoe import plotting
    >>> figure, _ = plotting.demo_layout()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "picture.svg")
    ...     plotting.save_figure(figure, path)
    ...     path.read_text()[:5]
    '<?xml'
    """
    figure.savefig(path, dpi=120)
