"""Draws from a model's posterior as mixtures of known parameters."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._core_protocol import Engine, FloatArray, IntArray
from ._draws import choose_draws
from ._experts import GaussianExpert
from ._gates import GateNodes
from ._scaling import Scaling
from ._seeding import draw_seed
from ._state import LearnedState
from ._trees import GateTree
from ._validation import BoolArray
from .mixtures import KnownMixture, SoftmaxMixture, TreeMixture

__all__ = ["draw_mixtures"]


def draw_mixtures(
    state: LearnedState,
    engine: Engine,
    scaling: Scaling,
    *,
    n_draws: int,
    random_state: Any,
    n_jobs: int,
) -> list[KnownMixture]:
    """Return draws of the parameters as mixtures in the units of the data."""
    settings = state.settings
    gate = settings.gate
    if isinstance(gate, GateNodes) and not (len(gate.nodes) == 1 and gate.kinds() == {"softmax"}):
        raise ValueError(
            f"gate is {settings.parameters['gate']!r}; draw_mixtures knows mixtures under one "
            "softmax or under logistic splits: use to_arviz for draws of the parameters"
        )
    if not isinstance(settings.expert, GaussianExpert):
        raise ValueError(
            f"expert is {settings.parameters['expert']!r}; draw_mixtures knows mixtures of "
            "Gaussian experts: use to_arviz for draws of the parameters"
        )
    draws = choose_draws(
        engine,
        settings.n_experts,
        np.random.default_rng(draw_seed(random_state)),
        n_draws=n_draws,
        by_island=False,
        match=False,
        more_rows=None,
        n_jobs=n_jobs,
    )
    expert_columns, gate_columns = state.columns("expert"), state.columns("gate")
    nowhere = np.empty((0, 1 + len(expert_columns))), np.empty((0, 1 + len(gate_columns)))
    drawn = draws.at(*nowhere, None)
    coefficients = scaling.coefficients(np.asarray(drawn["coefficients"]), expert_columns)
    beta = _all_columns(coefficients, expert_columns, state.n_features)
    variance = scaling.spread(np.sqrt(drawn["noise_variance"])) ** 2
    phi = _gate_units(np.asarray(drawn["phi"]), scaling, gate_columns)
    phi = _all_columns(phi, gate_columns, state.n_features)
    if isinstance(gate, GateTree):
        everywhere = np.ones(settings.n_experts, dtype=bool)
        found: list[KnownMixture] = []
        for m in range(n_draws):
            is_open = drawn["open"][m] > 0 if settings.changing else everywhere
            spec, splits = _open_part(gate, is_open)
            found.append(TreeMixture(beta[m, is_open], variance[m, is_open], phi[m, splits], spec))
        return found
    # Rows of phi stand as the leaves do.
    phi = phi[:, np.argsort(gate.leaves)]
    return [
        SoftmaxMixture(b, v, f[:, 0], f[:, 1:]) for b, v, f in zip(beta, variance, phi, strict=True)
    ]


def _open_part(tree: GateTree, is_open: BoolArray) -> tuple[str | list[Any], list[int]]:
    """Return the tree pruned to its open experts, numbered anew, and the splits that it keeps."""
    number = np.cumsum(is_open) - 1
    place = {(lo, hi): (split, mid) for split, (lo, mid, hi) in enumerate(tree.nodes.tolist())}

    def prune(lo: int, hi: int) -> tuple[Any, list[int]]:
        if hi - lo == 1:
            expert = tree.leaves[lo]
            return (int(number[expert]) if is_open[expert] else None), []
        split, mid = place[lo, hi]
        (left, of_left), (right, of_right) = prune(lo, mid), prune(mid, hi)
        if left is None:
            return right, of_right
        if right is None:
            return left, of_left
        return [left, right], [split, *of_left, *of_right]

    spec, splits = prune(0, len(tree.leaves))
    return ("comb" if isinstance(spec, int) else spec), splits


def _gate_units(standard: FloatArray, scaling: Scaling, columns: IntArray) -> FloatArray:
    """Return gate coefficients (..., 1 + m), intercept first, per unit of the features."""
    slopes = standard[..., 1:] / scaling.x_scale[columns]
    shift = (standard[..., 1:] * (scaling.x_centre / scaling.x_scale)[columns]).sum(axis=-1)
    return np.concatenate([(standard[..., 0] - shift)[..., None], slopes], axis=-1)


def _all_columns(values: FloatArray, columns: IntArray, n_features: int) -> FloatArray:
    """Return coefficients (..., 1 + m) of some columns as those of all, zero elsewhere."""
    full = np.zeros((*values.shape[:-1], 1 + n_features))
    full[..., 0] = values[..., 0]
    full[..., 1 + columns] = values[..., 1:]
    return full
