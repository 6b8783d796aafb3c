"""The text of ``summary()``."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from ._core_protocol import Engine, FloatArray
from ._experts import BinomialExpert
from ._scaling import Scaling
from ._state import LearnedState
from ._targets import ClassTarget

__all__ = ["predictors", "summarise"]

_MAX_FEATURES = 12  # columns of the coefficient table
_MAX_NAME = 24


def summarise(
    title: str,
    state: LearnedState,
    engine: Engine,
    scaling: Scaling,
    log_evidence: float,
    log_evidence_se: float,
    disagreement: str | None,
) -> str:
    """Return a report on a model in lines of text, data units throughout."""
    settings = state.settings
    rows = f"{engine.n_rows:,} learned"
    if state.engine is None:
        rows += f" (still in the warm-up of {state.n_warmup:,}; what follows is provisional)"
    elif state.n_warmup:
        rows += f", the first {state.n_warmup:,} of them fixed the standardisation"
    if state.n_skipped:
        rows += f"; {state.n_skipped:,} skipped as incomplete"
    evidence = f"{log_evidence:.2f}"
    if not math.isnan(log_evidence_se):
        evidence += f" (Monte Carlo standard error {log_evidence_se:.2f})"
    lines = [
        title,
        f"  rows          {rows}",
        f"  log evidence  {evidence}",
        *([f"  WARNING       {disagreement}"] if disagreement else []),
        _population(state, engine),
        *([_open_experts(engine)] if settings.changing else []),
        f"  gate prior    {settings.gate_prior!r}",
        f"  expert        {settings.expert!r}",
        "",
        *_experts(state, engine, scaling),
    ]
    if settings.n_experts > 1:
        lines += ["", *_splits(state, engine)]
    return "\n".join(lines)


def _experts(state: LearnedState, engine: Engine, scaling: Scaling) -> list[str]:
    particle = engine.particle()
    columns = state.columns("expert")
    coefficients = scaling.predictors(np.asarray(particle["coefficients"]), columns)
    noise = scaling.spread(np.sqrt(np.asarray(particle["noise_variance"])))
    shape = np.asarray(particle["shape"])
    counts = np.asarray(particle["counts"], dtype=np.float64)
    shares = counts / max(float(counts.sum()), 1.0)
    names = ["intercept", *(state.labels[j] for j in columns)]
    # With many features, those whose effect is largest in standard units, of any expert.
    effect = np.asarray(particle["coefficients"]).reshape(-1, len(names))[:, 1:]
    effect = np.abs(effect).max(axis=0)
    shown = np.sort(np.argsort(-effect, kind="stable")[:_MAX_FEATURES]) + 1
    unit, of_predictor = predictors(state)
    extra = {name: v for name, v in (("noise sd", noise), (unit.shape, shape)) if _known(v)}
    lines = [f"experts of the heaviest particle ({unit.coefficients})"]
    for m, title in enumerate(of_predictor):
        table = [
            ["expert", "rows", *extra, "intercept", *(_short(names[j]) for j in shown)],
            *(
                [
                    str(k),
                    f"{100 * shares[k]:.1f}%",
                    *(f"{values[k]:.4g}" for values in extra.values()),
                    f"{coefficients[k, m, 0]:.4g}",
                    *(f"{coefficients[k, m, j]:.4g}" for j in shown),
                ]
                for k in np.argsort(-shares, kind="stable")
            ),
        ]
        lines += [f" {title}"] * (len(of_predictor) > 1) + _transposed(table)
    left_out = len(columns) - len(shown)
    if left_out:
        lines.append(f"  ({left_out} features of smaller effect left out)")
    return lines


@dataclass(frozen=True)
class _Units:
    """What the numbers of an expert are called."""

    coefficients: str
    shape: str


_UNITS = {
    "real": _Units("coefficients in units of y per unit of x", "df"),
    "class": _Units("coefficients are log odds per unit of x", ""),
    "count": _Units("coefficients are logarithms of the mean per unit of x", "dispersion"),
}


# What the coefficients of a split say, by the kind of its node.
_MEANING = {
    "laplace": "centre of the child in standard deviations of a feature",
    "logistic": "logit of going left, per standard deviation of a feature",
    "softmax": "log weight of the child, per standard deviation of a feature",
}


def predictors(state: LearnedState) -> tuple[_Units, list[str]]:
    """Return units, and what each linear predictor of an expert is about."""
    unit = _UNITS[state.settings.kind]
    if isinstance(state.settings.expert, BinomialExpert):
        unit = _UNITS["class"]
    if not isinstance(state.target, ClassTarget):
        return unit, [""]
    labels = [str(label) for label in state.target.classes.tolist()]
    if len(labels) == 2:
        return replace(unit, coefficients=f"{unit.coefficients}, of {_short(labels[1])!r}"), [""]
    return unit, [
        f"{_short(labels[m + 1])!r} among {m + 2} classes" for m in range(len(labels) - 1)
    ]


def _population(state: LearnedState, engine: Engine) -> str:
    """Return the line on particles, or on the members of a variational approximation."""
    settings = state.settings
    if settings.variational:
        members = "1 member" if settings.n_islands == 1 else f"{settings.n_islands:,} members"
        return f"  variational   {members}, {settings.variational.covariance} covariance"
    total = engine.n_particles * settings.n_islands
    islands = f" on {settings.n_islands} islands" if settings.n_islands > 1 else ""
    resamplings = engine.n_resamplings
    return (
        f"  particles     {total:,}{islands}, ESS {float(np.sum(engine.ess)):.1f}, "
        f"resampled {resamplings:,} times"
    )


def _open_experts(engine: Engine) -> str:
    probability = np.asarray(engine.n_experts_posterior())
    likely = [k for k in np.argsort(-probability, kind="stable") if probability[k] >= 0.01]
    numbers = ", ".join(f"{k + 1} ({100 * probability[k]:.0f}%)" for k in likely)
    return f"  experts open  {numbers} of {len(probability)}"


def _known(values: FloatArray) -> bool:
    return not bool(np.isnan(values).any())


def _splits(state: LearnedState, engine: Engine) -> list[str]:
    particle = engine.particle()
    phi: FloatArray = np.asarray(particle["phi"])
    inclusion = np.asarray(engine.gate_inclusion())
    names = ["intercept", *(state.labels[j] for j in state.columns("gate"))]
    meaning = "; ".join(_MEANING[kind] for kind in sorted(state.settings.gate.kinds()))
    lines = [f"gate splits ({meaning}; inclusion)"]
    for l, label in enumerate(state.settings.gate.split_labels()):
        order = np.argsort(-np.abs(phi[l, 1:]), kind="stable")[:3] + 1
        terms = [f"intercept {phi[l, 0]:+.2f}"]
        for j in order:
            held = "" if np.isnan(inclusion[l, j]) else f" ({inclusion[l, j]:.2f})"
            terms.append(f"{_short(names[j])} {phi[l, j]:+.2f}{held}")
        lines.append(f"  {label}: " + ", ".join(terms))
    return lines


def _short(name: str) -> str:
    return name if len(name) <= _MAX_NAME else name[: _MAX_NAME - 1] + "…"


def _transposed(table: list[list[str]]) -> list[str]:
    """Return the table with one line a quantity and one column an expert."""
    columns = list(zip(*table, strict=True))
    first = max(len(column[0]) for column in columns)
    widths = [max(len(column[i]) for column in columns) for i in range(1, len(table))]
    return [
        "  "
        + f"{column[0]:<{first}}"
        + "".join(f"  {cell:>{w}}" for cell, w in zip(column[1:], widths, strict=True))
        for column in columns
    ]
