"""Pictures of how a run went: effective sample size, calibration, experts over time, resampling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ._core_protocol import FloatArray
from ._figures import (
    ACCENT,
    COLOURS,
    MAIN,
    axes_or_new,
    new_figure,
    path_of,
    plain,
    table_of,
    thousands,
)
from ._pit import PitHistogram

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .regressor import HSMoERegressor
else:
    Axes = Figure = Any

__all__ = ["plot_ess", "plot_expert_weight", "plot_pit", "plot_resampling"]

# More points than pixels only make the file large, and hide what lies between.
_MOST_BLOCKS = 1000


def plot_ess(
    ess: ArrayLike,
    resampled: ArrayLike | None = None,
    *,
    n_particles: int | None = None,
    ess_threshold: float | None = None,
    ax: Axes | None = None,
    title: str = "Effective sample size",
    xlabel: str = "row",
) -> Axes:
    """Draw the path of the effective sample size, with a tick where particles were resampled.

    Parameters
    ----------
    ess : array_like, shape (n,)
        After each row, before it was resampled, summed over islands: ``Forecast.ess``.  NaN is
        left out.
    resampled : array_like, shape (n,), optional
        Number of islands that resampled after the row: ``Forecast.resampled``.
    n_particles : int, optional
        Particles of all islands together, the largest it can be; the axis then ends there.
    ess_threshold : float, optional
        Share of the particles below which an island is resampled; drawn with ``n_particles``.
    ax : matplotlib Axes, optional
        Where to draw; a new figure by default.
    title, xlabel : str
        Title and label of the horizontal axis.

    Returns
    -------
    matplotlib Axes
        Beyond 1,000 rows the line is the mean of neighbouring rows, the shade their range.

    Examples
    --------
    >>> import numpy as np, hsmoe
    >>> from hsmoe import plotting
    >>> X = np.linspace(-1, 1, 200)[:, None]
    >>> model = hsmoe.HSMoERegressor(n_experts=2, n_particles=20, random_state=0)
    >>> forecast = model.prequential(X, np.abs(X[:, 0]))
    >>> ax = plotting.plot_ess(forecast.ess, forecast.resampled, n_particles=20)
    >>> ax.get_ylabel()
    'particles'
    """
    path = path_of(ess, "ess")
    ax = axes_or_new(ax)
    position, means, low, high = _blocks(path[:, None], _MOST_BLOCKS)
    if len(position) < len(path):
        ax.fill_between(position, low[:, 0], high[:, 0], color=MAIN, alpha=0.35, linewidth=0)
    ax.plot(position, means[:, 0], color=MAIN, linewidth=1)
    top = float(n_particles) if n_particles else float(np.nanmax(path, initial=1.0))
    if resampled is not None:
        rows = np.flatnonzero(np.nan_to_num(np.asarray(resampled, dtype=np.float64)) > 0) + 1
        thin = len(rows) > 200
        ax.vlines(
            rows,
            -0.06 * top,
            -0.02 * top,
            color=ACCENT,
            linewidth=0.4 if thin else 1.0,
            label=f"resampled ({len(rows):,} rows)",
        )
    if n_particles and ess_threshold is not None:
        label = f"threshold ({ess_threshold:g} of the particles)"
        line = ess_threshold * n_particles
        ax.axhline(line, color="0.5", linewidth=1, linestyle="--", label=label)
    plain(ax, title, xlabel, "particles")
    ax.set_ylim(-0.08 * top, 1.15 * top)
    ax.margins(x=0.01)
    ax.xaxis.set_major_formatter(thousands)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(frameon=False, fontsize=9, ncols=2, loc="upper right")
    return ax


def plot_pit(
    pit: ArrayLike,
    *,
    bins: int = 20,
    coverage: float = 0.95,
    ax: Axes | None = None,
    title: str = "Calibration: probability integral transform",
) -> Axes:
    """Draw the histogram of probability integral transforms over what chance allows.

    Parameters
    ----------
    pit : array_like, shape (n,)
        ``Forecast.pit``, or the values of ``predict_cdf`` at what came.  NaN is left out.
    bins : int
        Number of bins.
    coverage : float
        Probability of the band of one bin, from the binomial distribution.
    ax : matplotlib Axes, optional
        Where to draw; a new figure by default.
    title : str
        Title.

    Returns
    -------
    matplotlib Axes
        Bins outside the band have a colour of their own.

    Raises
    ------
    ValueError
        If ``bins`` is below 1 or ``coverage`` not between 0 and 1.

    References
    ----------
    Diebold, Gunther & Tay (1998), Evaluating density forecasts.

    Examples
    --------
    >>> import numpy as np, hsmoe
    >>> from hsmoe import plotting
    >>> X = np.linspace(-1, 1, 200)[:, None]
    >>> model = hsmoe.HSMoERegressor(n_experts=2, n_particles=20, random_state=0)
    >>> forecast = model.prequential(X, np.abs(X[:, 0]))
    >>> ax = plotting.plot_pit(forecast.pit, bins=5)
    >>> ax.get_ylabel()
    'density'
    """
    histogram = PitHistogram.of(path_of(pit, "pit"), bins, coverage)
    ax = axes_or_new(ax)
    n_bins, n = len(histogram.counts), max(histogram.n, 1)
    density = histogram.counts * n_bins / n
    low, high = (count * n_bins / n for count in histogram.band)
    outside = (density < low) | (density > high)
    ax.bar(
        histogram.edges[:-1],
        density,
        width=1.0 / n_bins,
        align="edge",
        color=[ACCENT if out else MAIN for out in outside],
        alpha=0.75,
        edgecolor="white",
        linewidth=0.8,
    )
    label = f"{100 * coverage:g}% band of a bin ({histogram.outside} of {n_bins} outside)"
    ax.axhspan(low, high, color="0.2", alpha=0.15, linewidth=0, zorder=3, label=label)
    ax.axhline(1.0, color="black", linewidth=1, linestyle="--", zorder=4)
    plain(ax, title, "predictive probability of a value up to y", "density")
    ax.set_xlim(0.0, 1.0)
    ax.set_ylim(0.0, 1.2 * max(float(density.max(initial=0.0)), high, 1.0))
    ax.legend(frameon=False, fontsize=9, loc="upper right")
    return ax


def plot_expert_weight(
    expert_weight: ArrayLike,
    *,
    window: int | None = None,
    ax: Axes | None = None,
    title: str = "Weight of the experts",
    xlabel: str = "row",
) -> Axes:
    """Draw how the routing is shared among the experts as the rows go by.

    Parameters
    ----------
    expert_weight : array_like, shape (n, n_experts)
        ``Forecast.expert_weight``.  Rows of NaN are left out.  Numbers of experts are labels: a
        sudden exchange of two bands may be an exchange of their numbers.
    window : int, optional
        Rows to average over; by default such that there are at most 150 averages.
    ax : matplotlib Axes, optional
        Where to draw; a new figure by default.
    title, xlabel : str
        Title and label of the horizontal axis.

    Returns
    -------
    matplotlib Axes
        One band for each expert, expert 0 lowest; they add up to one.

    Raises
    ------
    ValueError
        If ``expert_weight`` does not have two dimensions, or ``window`` is below 1.

    Examples
    --------
    >>> import numpy as np, hsmoe
    >>> from hsmoe import plotting
    >>> X = np.linspace(-1, 1, 200)[:, None]
    >>> model = hsmoe.HSMoERegressor(n_experts=2, n_particles=20, random_state=0)
    >>> forecast = model.prequential(X, np.abs(X[:, 0]))
    >>> ax = plotting.plot_expert_weight(forecast.expert_weight, window=10)
    >>> ax.get_ylabel()
    'mean routing probability'
    """
    weight = table_of(expert_weight, "expert_weight")
    if weight.ndim != 2:
        raise ValueError(
            f"expert_weight has shape {weight.shape}; it must have two dimensions, rows and experts"
        )
    if window is not None and window < 1:
        raise ValueError(f"window is {window!r}; it must be at least 1")
    ax = axes_or_new(ax)
    n, n_experts = weight.shape
    position, means, _, _ = _blocks(weight, 150 if window is None else -(-n // window))
    known = ~np.isnan(means).any(axis=1)
    colours = [COLOURS[k % len(COLOURS)] for k in range(n_experts)]
    labels = [f"expert {k}" for k in range(n_experts)]
    ax.stackplot(
        position[known], means[known].T, colors=colours, labels=labels, alpha=0.8, linewidth=0
    )
    plain(ax, title, xlabel, "mean routing probability")
    ax.set_ylim(0.0, 1.0)
    ax.margins(x=0)
    ax.xaxis.set_major_formatter(thousands)
    if n_experts <= len(COLOURS):
        ax.legend(
            frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5), reverse=True
        )
    return ax


def plot_resampling(model: HSMoERegressor) -> Figure:
    """Draw the log of a run: how narrow each resampling was, and what was scanned afterwards.

    Parameters
    ----------
    model : HSMoERegressor
        A model that has learned rows.

    Returns
    -------
    matplotlib Figure
        Above: distinct ancestors of each resampling.  Below: retained rows that the Gibbs scans of
        each rejuvenation visited, those that followed a resampling and those that were due.

    Raises
    ------
    NotFittedError
        If no row was learned.

    Examples
    --------
    >>> import numpy as np, hsmoe
    >>> from hsmoe import plotting
    >>> X = np.linspace(-1, 1, 200)[:, None]
    >>> model = hsmoe.HSMoERegressor(n_experts=2, n_particles=20, random_state=0)
    >>> figure = plotting.plot_resampling(model.fit(X, np.abs(X[:, 0])))
    >>> len(figure.axes)
    2
    """
    state, engine, _ = model._view()
    islands, n_particles = state.settings.n_islands, state.settings.n_particles
    resampling, scans = model.resampling_log_, model.scan_log_
    figure = new_figure(8.0, 5.5)
    above, below = figure.subplots(2, 1, sharex=True)
    size = 14 if len(resampling["row"]) <= 500 else 4
    coloured = 1 < islands <= len(COLOURS)
    for island in range(islands if coloured else 1):
        mine = resampling["island"] == island if coloured else slice(None)
        above.scatter(
            resampling["row"][mine] + 1,
            resampling["unique"][mine],
            s=size,
            linewidth=0,
            color=COLOURS[island] if coloured else MAIN,
            label=f"island {island}",
        )
    most = max(n_particles, int(np.max(resampling["unique"], initial=0)))
    above.axhline(n_particles, color="0.5", linewidth=1, linestyle="--")
    above.set_ylim(0.0, 1.1 * most)
    count = len(resampling["row"])
    plain(above, f"Resamplings ({count:,})", "", f"distinct ancestors of {n_particles:,}")
    if coloured:
        above.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
    forced = scans["forced"]
    for which, colour, label in (
        (~forced, MAIN, "after a resampling"),
        (forced, ACCENT, "due, as rows had gathered"),
    ):
        below.scatter(
            scans["row"][which] + 1,
            scans["n_rows"][which],
            s=size,
            linewidth=0,
            color=colour,
            label=f"{label} ({int(which.sum()):,})",
        )
    plain(below, f"Rejuvenations ({len(forced):,})", "rows learned", "retained rows visited")
    below.set_ylim(0.0, 1.35 * max(float(scans["n_rows"].max(initial=0)), 1.0))
    below.set_xlim(0.0, max(engine.n_rows, 1) * 1.01)
    below.legend(frameon=False, fontsize=9, loc="upper right", ncols=2)
    below.xaxis.set_major_formatter(thousands)
    below.yaxis.set_major_formatter(thousands)
    return figure


def _blocks(values: FloatArray, most: int) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return position (from 1), mean, least and greatest of at most ``most`` blocks of rows.

    ``values`` has shape (n, m).  NaN is left out; a block of nothing else is NaN.
    """
    n = len(values)
    if n == 0:
        return np.empty(0), values, values, values
    edges = np.linspace(0, n, min(n, max(most, 1)) + 1).round().astype(np.int64)
    starts = edges[:-1]
    known = ~np.isnan(values)
    counts = np.add.reduceat(known, starts, axis=0, dtype=np.int64)
    empty = counts == 0
    total = np.add.reduceat(np.where(known, values, 0.0), starts, axis=0)
    low = np.minimum.reduceat(np.where(known, values, np.inf), starts, axis=0)
    high = np.maximum.reduceat(np.where(known, values, -np.inf), starts, axis=0)
    mean = np.where(empty, np.nan, total / np.maximum(counts, 1))
    centre = (edges[:-1] + 1 + edges[1:]).astype(np.float64) * 0.5
    return centre, mean, np.where(empty, np.nan, low), np.where(empty, np.nan, high)
