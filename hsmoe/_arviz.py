"""A model as draws from its posterior, in ArviZ's terms."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._core_protocol import Engine, FloatArray, IntArray
from ._draws import StandardRows, choose_draws
from ._scaling import Scaling
from ._seeding import draw_seed
from ._state import LearnedState
from ._targets import ClassTarget
from ._version import __version__

__all__ = ["Exported", "GivenRows", "as_inference_data", "import_arviz", "posterior_draws"]

_MISSING = 'to_arviz needs arviz and scipy; install them with: pip install "hsmoe[arviz]"'

# What the shape parameter of an expert is called.
_SHAPES = {"real": "df", "count": "dispersion"}


@dataclass(frozen=True)
class GivenRows:
    """Complete rows that a caller wants to see the draws at."""

    X: FloatArray  # (n, d), in the units of the data
    y: FloatArray | None  # (n,), in the units of the data
    numbers: IntArray  # (n,), of the rows as they were given
    expert: FloatArray  # (n, 1 + m), standardised designs
    gate: FloatArray
    target: FloatArray | None  # (n,), standardised


@dataclass
class Exported:
    """Groups of variables by name, what their dimensions are called, and where they stand."""

    groups: dict[str, dict[str, NDArray[Any]]] = field(default_factory=dict)
    dims: dict[str, list[str]] = field(default_factory=dict)
    coords: dict[str, NDArray[Any]] = field(default_factory=dict)
    attrs: dict[str, Any] = field(default_factory=dict)

    def add(self, group: str, name: str, values: NDArray[Any], *dims: str) -> None:
        self.groups.setdefault(group, {})[name] = values
        self.dims[name] = list(dims)


def posterior_draws(
    state: LearnedState,
    engine: Engine,
    scaling: Scaling,
    rows: GivenRows | None,
    *,
    n_draws: int | None,
    by_island: bool,
    match: bool,
    random_state: Any,
    n_jobs: int,
    attrs: Mapping[str, Any],
) -> Exported:
    """Return draws from the posterior that the particles of an engine stand for."""
    settings = state.settings
    rng = np.random.default_rng(draw_seed(random_state))
    more_rows = None
    if rows is not None and rows.target is not None:
        more_rows = StandardRows(rows.expert, rows.gate, rows.target)
    draws = choose_draws(
        engine,
        settings.n_experts,
        rng,
        n_draws=n_draws,
        by_island=by_island,
        match=match,
        more_rows=more_rows,
        n_jobs=n_jobs,
    )
    by_expert, chains, share = draws.by_expert, draws.chains, draws.share
    order, chosen = draws.order, draws.particles
    n_islands, n_particles = settings.n_islands, engine.n_particles
    expert_columns, gate_columns = state.columns("expert"), state.columns("gate")
    nowhere = np.empty((0, 1 + len(expert_columns))), np.empty((0, 1 + len(gate_columns)))
    X, U, target = (*nowhere, None) if rows is None else (rows.expert, rows.gate, rows.target)
    drawn = draws.at(X, U, target)
    out = Exported(attrs=dict(attrs))
    out.attrs |= {"inference_library": "hsmoe", "inference_library_version": __version__}
    out.coords["expert"] = np.arange(settings.n_experts)
    out.coords["feature"] = np.array(["intercept", *(state.labels[j] for j in expert_columns)])
    coefficients = by_expert(scaling.predictors(np.asarray(drawn["coefficients"]), expert_columns))
    if isinstance(state.target, ClassTarget):
        names = [str(label) for label in state.target.classes.tolist()]
        out.attrs["classes"] = names
        out.coords["class"] = np.array(names[1:])
        out.add("posterior", "beta", chains(coefficients), "expert", "class", "feature")
    else:
        out.add("posterior", "beta", chains(coefficients[:, :, 0]), "expert", "feature")
    noise = scaling.spread(np.sqrt(by_expert(drawn["noise_variance"])))
    shape = by_expert(drawn["shape"])
    for name, values in (("noise_sd", noise), (_SHAPES.get(settings.kind, "shape"), shape)):
        if not np.isnan(values).any():
            out.add("posterior", name, chains(values), "expert")
    counts = np.maximum(by_expert(drawn["counts"]), 0.0)
    counts /= np.maximum(counts.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    out.add("posterior", "expert_weight", chains(counts), "expert")
    if settings.changing is not None:
        out.add("posterior", "open", chains(by_expert(drawn["open"]) > 0), "expert")
    if settings.n_experts > 1:
        _add_gate(out, state, gate_columns, drawn, chains, by_expert)

    out.add("sample_stats", "island", chains(chosen // n_particles))
    out.add("sample_stats", "particle", chains(chosen % n_particles))
    moved = (order != np.arange(settings.n_experts)).any(axis=1)
    out.add("sample_stats", "relabelled", chains(moved))
    out.coords["island_number"] = np.arange(n_islands)
    out.add("constant_data", "island_weight", share, "island_number")
    if rows is not None:
        _add_rows(out, state, scaling, rows, drawn, rng, chains, by_expert)
    return out


def _add_gate(
    out: Exported,
    state: LearnedState,
    columns: IntArray,
    drawn: dict[str, Any],
    chains: Any,
    by_expert: Any,
) -> None:
    """Add the gate, split by split.

    Splits that are about one expert each are relabelled with them; those of a tree cannot be.
    """
    names = np.array(["intercept", *(state.labels[j] for j in columns)])
    gate = state.settings.gate
    out.coords["split"] = np.array(gate.split_labels())
    out.coords["gate_feature"] = names
    phi, scales = np.asarray(drawn["phi"]), np.asarray(drawn["local_scale"])
    experts = gate.split_experts()
    if experts is not None:
        by_number = np.argsort(experts)
        phi, scales = (by_expert(v[:, by_number])[:, experts] for v in (phi, scales))
    out.add("posterior", "phi", chains(phi), "split", "gate_feature")
    tau = np.asarray(drawn["global_scale"])
    shrunk = ~np.isnan(scales).any(axis=(0, 1))  # not the intercept; none under a normal prior
    if shrunk.any():
        out.coords["shrunk_feature"] = names[shrunk]
        local = chains(scales[:, :, shrunk])
        out.add("posterior", "local_scale", local, "split", "shrunk_feature")
    if not np.isnan(tau).any():
        out.add("posterior", "tau", chains(tau))


def _add_rows(
    out: Exported,
    state: LearnedState,
    scaling: Scaling,
    rows: GivenRows,
    drawn: dict[str, Any],
    rng: np.random.Generator,
    chains: Any,
    by_expert: Any,
) -> None:
    """Add routing, predictive draws, and, where y is known, the likelihood of the rows."""
    gate = np.exp(np.asarray(drawn["log_gate"]))  # (M, n, K)
    out.coords["row"] = rows.numbers
    out.coords["column"] = np.array(state.labels)
    out.add("constant_data", "X", rows.X, "row", "column")
    # One expert a draw and row by inversion, then a target of its law.
    uniform = rng.random(gate.shape[:2])[:, :, None] * gate.sum(axis=2, keepdims=True)
    picked = np.minimum((uniform >= gate.cumsum(axis=2)).sum(axis=2), gate.shape[2] - 1)
    index = np.arange(len(gate))[:, None]
    regressions = np.asarray(drawn["coefficients"])[index, picked]
    regressions = regressions.reshape(*picked.shape, -1, rows.expert.shape[1])
    eta = np.einsum("mnrd,nd->mnr", regressions, rows.expert)
    eta += scaling.offset if scaling.offset.size else 0.0
    sd = np.sqrt(np.asarray(drawn["noise_variance"])[index, picked])
    shape = np.asarray(drawn["shape"])[index, picked]
    replicated = scaling.location(state.settings.expert.draw(rng, eta, sd, shape))
    out.add("posterior_predictive", "y", chains(replicated), "row")
    out.add("posterior_predictive", "expert_proba", chains(by_expert(gate, 2)), "row", "expert")
    if rows.y is not None:
        joint = np.asarray(drawn["log_gate"]) + np.asarray(drawn["log_density"])
        likelihood = scaling.log_density(np.logaddexp.reduce(joint, axis=2))
        out.add("log_likelihood", "y", chains(likelihood), "row")
        out.add("observed_data", "y", rows.y, "row")


def as_inference_data(arviz: Any, exported: Exported) -> Any:
    """Return what the given ArviZ keeps draws in."""
    attrs = {"posterior": exported.attrs}
    if "posterior" in inspect.signature(arviz.from_dict).parameters:  # 0.x
        groups: dict[str, Any] = {
            **exported.groups,
            **{f"{group}_attrs": values for group, values in attrs.items()},
        }
        return arviz.from_dict(
            **groups, dims=exported.dims, coords=exported.coords, attrs=exported.attrs
        )
    return arviz.from_dict(
        exported.groups,
        dims=exported.dims,
        coords=exported.coords,
        attrs={**attrs, "/": exported.attrs},
    )


def import_arviz() -> Any:
    """Return ``arviz``, or its part ``arviz_base`` where that alone is installed."""
    try:
        importlib.import_module("scipy.optimize")
        if importlib.util.find_spec("arviz") is None:
            return importlib.import_module("arviz_base")
        return importlib.import_module("arviz")
    except ModuleNotFoundError as error:
        raise ImportError(_MISSING) from error
