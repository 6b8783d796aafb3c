"""Pictures of how many experts there are: evidence by number of experts, and the dendrogram."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._figures import ACCENT, COLOURS, MAIN, axes_or_new, new_figure, plain, thousands
from ._merged_experts import MergedExperts
from ._selection import ExpertSelection
from .merging import Dendrogram

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
else:
    Axes = Figure = Any

__all__ = ["plot_dendrogram", "plot_selection"]

# More points than pixels only make the file large.
_MOST_POINTS = 2000


def plot_selection(selection: ExpertSelection) -> Figure:
    """Draw the evidence of several numbers of experts along the rows, and their posterior.

    Parameters
    ----------
    selection : ExpertSelection
        Of :func:`hsmoe.select_n_experts`.

    Returns
    -------
    matplotlib Figure
        Left: log Bayes factor of each number against the best, with bands of two Monte Carlo
        standard errors.  Right: posterior probabilities, with two of theirs.

    Examples
    --------
    >>> import numpy as np, hsmoe
    >>> from hsmoe import plotting
    >>> X = np.linspace(-1, 1, 200)[:, None]
    >>> estimator = hsmoe.HSMoERegressor(n_particles=16, n_islands=2, random_state=0)
    >>> selection = hsmoe.select_n_experts(estimator, X, np.abs(X[:, 0]), [1, 2])
    >>> figure = plotting.plot_selection(selection)
    >>> len(figure.axes)
    2
    """
    figure = new_figure(10.0, 4.0)
    left, right = figure.subplots(1, 2, width_ratios=(3, 1))
    best, n = selection.best, len(selection.path)
    best_column = selection.candidates.index(best)
    step = max(1, n // _MOST_POINTS)
    # The last row belongs to the picture whatever the step.
    rows = np.unique(np.r_[np.arange(0, n, step), n - 1])
    for i, k in enumerate(selection.candidates):
        colour = COLOURS[i % len(COLOURS)]
        factor = selection.log_bayes_factor(k, best)
        left.plot(rows + 1, factor[rows], color=colour, label=f"{k}")
        error = 2 * selection.log_bayes_factor_se(k, best)
        centre = factor[selection.stations - 1]
        left.fill_between(
            selection.stations, centre - error, centre + error, color=colour, alpha=0.2, linewidth=0
        )
    plain(left, f"Log Bayes factor against {best} experts", "row", "nats")
    left.xaxis.set_major_formatter(thousands)
    left.margins(x=0.01)
    left.legend(
        frameon=False, fontsize=9, title="experts", loc="center left", bbox_to_anchor=(1.0, 0.5)
    )
    # Candidates that are ruled out by thousands of nats must not flatten the others.
    gap = selection.log_evidence - selection.log_evidence[best_column]
    bottom = 2 * float(gap[gap > -100].min()) - 10
    top = max(float(np.nanmax(selection.path - selection.path[:, [best_column]], initial=0.0)), 0.0)
    left.set_ylim(bottom, top - 0.05 * bottom)
    error = np.nan_to_num(2 * selection.posterior_se)
    names = [str(k) for k in selection.candidates]
    right.bar(names, selection.posterior, yerr=error, color=MAIN, alpha=0.75, ecolor="0.2")
    plain(right, "Posterior", "experts", "probability")
    right.set_ylim(0.0, 1.05)
    return figure


def plot_dendrogram(
    merged: MergedExperts | Dendrogram[Any],
    *,
    ax: Axes | None = None,
    title: str = "Experts merged",
) -> Axes:
    """Draw which experts merge, and at what dissimilarity.

    Parameters
    ----------
    merged : MergedExperts or Dendrogram
        Of :func:`hsmoe.merge_experts` or :func:`hsmoe.merging.dendrogram`.
    ax : matplotlib Axes, optional
        Where to draw; a new figure by default.
    title : str
        Title.

    Returns
    -------
    matplotlib Axes
        Heights on a logarithmic scale, which may fall where the weights add up; a line divides the
        merges that lead to ``merged.n_experts`` from those beyond.

    Examples
    --------
    >>> import hsmoe
    >>> from hsmoe import plotting
    >>> mixture = hsmoe.SoftmaxMixture([[0], [1], [5]], [1, 1, 1], [0, 0, 0], [[], [], []])
    >>> ax = plotting.plot_dendrogram(hsmoe.merging.dendrogram(mixture))
    >>> [label.get_text() for label in ax.get_xticklabels()]
    ['0', '1', '2']
    """
    ax = axes_or_new(ax)
    tree = merged.dendrogram if isinstance(merged, MergedExperts) else merged
    n = tree.n_atoms
    order = _leaf_order(tree)
    position = {leaf: float(i) for i, leaf in enumerate(order)}
    heights = tree.linkage[:, 2]
    # Equal atoms merge at height zero, which has no logarithm.
    positive = heights[heights > 0]
    floor = float(positive.min()) / 10 if positive.size else 0.1
    top = dict.fromkeys(range(n), floor)
    for i, (a, b, height, _) in enumerate(tree.linkage.tolist()):
        a, b, height = int(a), int(b), max(height, floor)
        ax.plot(
            [position[a], position[a], position[b], position[b]],
            [top[a], height, height, top[b]],
            color=MAIN,
        )
        position[n + i], top[n + i] = 0.5 * (position[a] + position[b]), height
    if isinstance(merged, MergedExperts) and 1 < merged.n_experts <= n:
        cut = float(tree.heights[merged.n_experts - 2])
        below = [float(h) for h in heights[: n - merged.n_experts]]
        line = np.sqrt(max(cut, floor) * max([floor, *below]))
        label = f"{merged.n_experts} experts"
        ax.axhline(line, color=ACCENT, linestyle="--", linewidth=1, label=label)
        ax.legend(frameon=False, fontsize=9)
    ax.set_yscale("log")
    plain(ax, title, "expert", "dissimilarity")
    ax.set_xticks(range(n), [str(leaf) for leaf in order])
    return ax


def _leaf_order(tree: Dendrogram[Any]) -> list[int]:
    """Return the atoms in an order in which no lines cross."""
    n = tree.n_atoms
    order: list[int] = []
    todo = [2 * n - 2]
    while todo:
        node = todo.pop()
        if node < n:
            order.append(node)
            continue
        a, b = (int(child) for child in tree.linkage[node - n, :2])
        todo += [b, a]
    return order
