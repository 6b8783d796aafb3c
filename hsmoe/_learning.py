"""How a model's state moves on: its beginning, its warm-up, and rows after that.

Plain functions from one state to the next; the estimator takes the new one over when all went well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._core_protocol import FloatArray, IntArray
from ._scaling import Scaling
from ._seeding import seed_sequence
from ._state import LearnedState, Settings
from ._targets import ClassTarget, Target
from ._validation import Rows
from .forecast import ClassForecast, CountForecast, Forecast, StreamForecast

__all__ = ["advance", "begin", "log_evidence", "scatter", "warmed_up"]


def begin(parameters: Mapping[str, Any], target: Target, rows: Rows) -> LearnedState:
    """Return the state of a model that is about to see its first rows."""
    settings = Settings.resolve(parameters, target.kind)
    n_features = rows.X.shape[1]
    state = LearnedState(
        settings=settings,
        target=target,
        seeds=seed_sequence(parameters["random_state"]),
        names=rows.names,
        n_features=n_features,
        n_warmup=settings.warmup_rows(n_features),
        n_skipped=0,
        waiting_X=np.empty((0, n_features)),
        waiting_y=np.empty(0),
    )
    state.columns("expert"), state.columns("gate")  # refuse a wrong selection right away
    return state


def advance(
    state: LearnedState, rows: Rows, n_jobs: int, *, forecast: bool = False, crps: bool = False
) -> tuple[LearnedState, StreamForecast | None]:
    """Return the state after ``rows``, and their forecasts if asked.

    The given state is left alone but for its engine, which learns all rows or none.
    """
    n_waiting = len(state.waiting_y)
    first = 0
    if state.engine is None:
        first = min(state.n_warmup - n_waiting, len(rows.y))
        X = np.concatenate([state.waiting_X, rows.X[:first]])
        y = np.concatenate([state.waiting_y, rows.y[:first]])
        if len(y) < state.n_warmup:
            state = replace(state, waiting_X=X, waiting_y=y)
        else:
            state = warmed_up(state, X, y, n_jobs)
    numbers = rows.numbers

    def describe_row(i: int) -> str:
        return f"row {first + i if numbers is None else numbers[first + i]}"

    scores: dict[str, NDArray[Any]] = {}
    n_before = state.n_learned
    if first < len(rows.y):
        assert state.engine is not None and state.scaling is not None
        expert, gate = state.designs(rows.X[first:], state.scaling, describe_row)
        target = state.scaling.target(rows.y[first:], describe_row)
        try:
            if forecast:
                scores = state.engine.prequential(expert, gate, target, n_jobs, crps)
            else:
                state.engine.learn(expert, gate, target, n_jobs)
        except (ValueError, ArithmeticError) as error:
            if first or rows.n_skipped:
                error.add_note(
                    f"rows are counted from {describe_row(0)} of the call, complete rows only"
                )
            raise
    state = replace(state, n_skipped=state.n_skipped + rows.n_skipped)
    if not forecast:
        return state, None
    return state, _forecast(state, rows, first, scores, n_before)


def warmed_up(state: LearnedState, X: FloatArray, y: FloatArray, n_jobs: int) -> LearnedState:
    """Return the state after a warm-up of the rows ``X``, ``y``."""
    scaling = state.target.scaling(X, y, state.settings.standardize, state.settings.expert)
    engine = state.new_engine(scaling)
    if len(y):

        def describe_row(i: int) -> str:
            return f"row {i} of the warm-up"

        expert, gate = state.designs(X, scaling, describe_row)
        try:
            engine.learn(expert, gate, scaling.target(y, describe_row), n_jobs)
        except (ValueError, ArithmeticError) as error:
            error.add_note("rows are counted from the first of the warm-up")
            raise
    return replace(
        state,
        waiting_X=np.empty((0, state.n_features)),
        waiting_y=np.empty(0),
        scaling=scaling,
        engine=engine,
    )


def log_evidence(state: LearnedState) -> float:
    assert state.engine is not None and state.scaling is not None
    return state.engine.log_evidence - state.engine.n_rows * state.scaling.log_y_scale


def scatter(values: FloatArray, kept: NDArray[np.bool_] | None) -> FloatArray:
    """Return ``values`` of the kept rows, with NaN for the others."""
    if kept is None:
        return values
    full = np.full((len(kept), *values.shape[1:]), np.nan)
    full[kept] = values
    return full


def _forecast(
    state: LearnedState,
    rows: Rows,
    first: int,
    scores: dict[str, NDArray[Any]],
    n_before: int,
) -> StreamForecast:
    """Return the engine's scores of the rows from ``first`` on, in the units of y."""
    n = len(rows.y)
    standard = {
        name: np.asarray(scores.get(name, np.empty(0)), dtype=np.float64)
        for name in (
            "mean",
            "variance",
            "log_density",
            "cdf",
            "crps",
            "ess",
            "log_evidence",
            "resampled",
        )
    }
    routing = scores.get("expert_weight", np.empty((0, state.settings.n_experts)))
    scaling = state.scaling or Scaling.identity(state.n_features)
    n_rows: IntArray = np.arange(1, n - first + 1, dtype=np.int64) + n_before
    arrays: dict[str, Any] = {
        "mean": scaling.location(standard["mean"]),
        "std": scaling.spread(np.sqrt(standard["variance"])),
        "log_density": scaling.log_density(standard["log_density"]),
        "cdf": standard["cdf"],
        "crps": scaling.spread(standard["crps"]),
        "ess": standard["ess"],
        "log_evidence": scaling.log_evidence(standard["log_evidence"], n_rows),
        "resampled": standard["resampled"],
        "expert_weight": np.asarray(routing, dtype=np.float64),
    }
    kept = np.ones(n, dtype=bool) if rows.kept is None else rows.kept.copy()
    kept[np.flatnonzero(kept)[:first]] = False
    counts: dict[str, Any] = {"n_warmup": first, "n_skipped": rows.n_skipped}
    if isinstance(state.target, ClassTarget):
        classes = state.target.classes
        for name in ("mean", "std", "cdf", "crps"):
            del arrays[name]
        arrays["proba"] = np.asarray(
            scores.get("class_proba", np.empty((0, len(classes)))), dtype=np.float64
        )
        arrays["observed"] = rows.y[first:]
        scattered: dict[str, Any] = {name: scatter(values, kept) for name, values in arrays.items()}
        return ClassForecast(**scattered, classes=classes, **counts)
    scattered = {name: scatter(values, kept) for name, values in arrays.items()}
    kind = CountForecast if state.settings.kind == "count" else Forecast
    return kind(**scattered, **counts)
