"""The options that say which model to begin with: those of ``fit`` and ``stream``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

import hsmoe
from hsmoe._seeding import seed_sequence
from hsmoe._state import Settings, resolve_n_jobs

__all__ = [
    "FILE",
    "MODELS",
    "PARAMETERS",
    "chosen_features",
    "labels",
    "model_options",
    "new_model",
]

FILE = click.Path(dir_okay=False, path_type=Path)

MODELS: dict[str, Any] = {
    "regressor": hsmoe.HSMoERegressor,
    "classifier": hsmoe.HSMoEClassifier,
    "counts": hsmoe.HSMoECountRegressor,
}

# Option by option the parameter of the estimators that it sets.
PARAMETERS = {
    "experts": "n_experts",
    "change_rate": "n_experts",
    "particles": "n_particles",
    "islands": "n_islands",
    "gate": "gate",
    "gate_prior": "gate_prior",
    "gate_features": "gate_features",
    "inference": "inference",
    "retain": "retain",
    "forgetting": "forgetting",
    "warmup": "n_warmup",
    "missing": "missing",
    "jobs": "n_jobs",
    "seed": "random_state",
}

# A model made here is the one that the estimators make, unless an option says otherwise.
_DEFAULTS = hsmoe.HSMoERegressor().get_params()

Command = TypeVar("Command", bound=Callable[..., Any])


def _names(context: click.Context, option: click.Parameter, value: str | None) -> list[str] | None:
    if value is None:
        return None
    return [name.strip() for name in value.split(",") if name.strip()]


def _gate(context: click.Context, option: click.Parameter, value: str) -> Any:
    if not value.lstrip().startswith("["):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        raise click.BadParameter(
            f"{value!r} is not a nested list in JSON such as [[0, 1], [2, 3]]"
        ) from None


def _retain(context: click.Context, option: click.Parameter, value: str) -> int | None:
    if value == "all":
        return None
    try:
        return int(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is neither a number of rows nor 'all'") from None


def _forgetting(context: click.Context, option: click.Parameter, value: str) -> float | str:
    if value == "auto":
        return value
    try:
        return float(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is neither a number nor 'auto'") from None


def model_options(*, jobs: int, missing: str) -> Callable[[Command], Command]:
    """Return a decorator that gives a command the options of a model.

    Parameters
    ----------
    jobs : int
        Threads by default.
    missing : str
        What ``--missing`` does, for its help.
    """
    options = [
        click.option(
            "--model",
            default="regressor",
            show_default=True,
            type=click.Choice(list(MODELS)),
            help="What the target is: a real number, a class, or a count.",
        ),
        click.option(
            "--classes", callback=_names, help="Of a classifier: labels that may come, by commas."
        ),
        click.option(
            "--features", callback=_names, help="Columns to use, by commas [default: all]."
        ),
        click.option("--exclude", callback=_names, help="Columns to leave out, by commas."),
        click.option(
            "--gate-features", callback=_names, help="Columns the gate sees [default: all]."
        ),
        click.option(
            "--experts",
            default=_DEFAULTS["n_experts"],
            show_default=True,
            help="Number of experts.",
        ),
        click.option(
            "--change-rate",
            type=float,
            help="Let experts open and close, --experts of them at most: openings expected a row, "
            "for example 0.001.",
        ),
        click.option(
            "--particles",
            default=_DEFAULTS["n_particles"],
            show_default=True,
            help="Particles of an island.",
        ),
        click.option(
            "--islands",
            default=_DEFAULTS["n_islands"],
            show_default=True,
            help="Independent populations.",
        ),
        click.option(
            "--gate",
            default=_DEFAULTS["gate"],
            show_default=True,
            callback=_gate,
            help="comb, balanced, softmax, laplace, or lists in JSON: nested expert numbers, or "
            '["softmax", [0, ["laplace", [1, 2]]]].',
        ),
        click.option(
            "--gate-prior",
            default=_DEFAULTS["gate_prior"],
            show_default=True,
            type=click.Choice(["horseshoe", "group-horseshoe", "normal", "horseshoe-paper"]),
            help="Prior of the gate coefficients.",
        ),
        click.option(
            "--inference",
            default=_DEFAULTS["inference"],
            show_default=True,
            type=click.Choice(["particles", "variational"]),
            help="variational: cheaper where experts or features are many.",
        ),
        click.option(
            "--retain",
            default=str(_DEFAULTS["retain"]),
            show_default=True,
            callback=_retain,
            help="Rows open to revision; 0: plain particle learning; all: every row.",
        ),
        click.option(
            "--forgetting",
            default=str(_DEFAULTS["forgetting"]),
            show_default=True,
            callback=_forgetting,
            help="Share of older statistics kept a row, or auto: islands try several.",
        ),
        click.option(
            "--warmup", type=int, help="Rows that fix the standardisation [default: auto]."
        ),
        click.option("--seed", type=int, help="Seed; the same seed gives the same model."),
        click.option(
            "--jobs", default=jobs, show_default=True, help="Threads; -1 for all processors."
        ),
        click.option(
            "--missing",
            default="raise",
            show_default=True,
            type=click.Choice(["raise", "skip"]),
            help=missing,
        ),
    ]

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def new_model(options: Mapping[str, Any]) -> Any:
    """Return the model that the options describe, which has not learned a row.

    Raises
    ------
    click.ClickException
        If their values cannot be used, before any row is read.
    """
    if options["classes"] and options["model"] != "classifier":
        raise click.ClickException("--classes is for --model classifier alone; leave it out")
    try:
        n_experts = options["experts"]
        if options["change_rate"] is not None:
            n_experts = hsmoe.ChangingExperts(n_experts, options["change_rate"])
        model = MODELS[options["model"]](
            n_experts=n_experts,
            n_particles=options["particles"],
            n_islands=options["islands"],
            gate=options["gate"],
            gate_prior=options["gate_prior"],
            gate_features=options["gate_features"],
            inference=options["inference"],
            retain=options["retain"],
            forgetting=options["forgetting"],
            n_warmup="auto" if options["warmup"] is None else options["warmup"],
            missing=options["missing"],
            n_jobs=options["jobs"],
            random_state=options["seed"],
        )
        Settings.resolve(model.get_params(), model._kind)
        seed_sequence(model.random_state)
        resolve_n_jobs(model.n_jobs)
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    return model


def chosen_features(
    columns: Sequence[str], target: str, options: Mapping[str, Any], source: str
) -> list[str]:
    """Return the features that --features and --exclude choose among the columns of ``source``."""
    features, exclude = options["features"], options["exclude"] or []
    for name in exclude:
        if name not in columns:
            raise click.ClickException(f"{source}: --exclude names {name!r}, which is no column")
    chosen = [name for name in columns if name != target] if features is None else list(features)
    chosen = [name for name in chosen if name not in exclude]
    if target in chosen:
        raise click.ClickException(f"--features names the target {target!r}; leave it out")
    for name in chosen:
        if chosen.count(name) > 1:
            raise click.ClickException(f"--features names {name!r} twice; name each column once")
        if not name:
            raise click.ClickException(
                f"{source}: a column has no name; name it, or choose the others with --features"
            )
    if not chosen:
        raise click.ClickException(f"{source}: no feature is left besides the target {target!r}")
    return chosen


def labels(texts: Sequence[str]) -> list[Any]:
    """Return class labels given as text: booleans or whole numbers if all are, else the text."""
    for read in (_boolean, int):
        try:
            return [read(text) for text in texts]
        except ValueError:
            continue
    return list(texts)


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError
    return text.lower() == "true"
