"""A model at its place in a stream: rows in, answers out, learning and checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

import hsmoe
from hsmoe._learning import begin
from hsmoe._parameters import same_value
from hsmoe._targets import class_labels
from hsmoe._validation import Rows

from ._answers import Answers, answers_of
from ._checkpoints import Position, make_ready, read_checkpoint, write_checkpoint
from ._options import MODELS, PARAMETERS, labels, new_model
from ._rows import BadLine, Row

__all__ = ["Learner", "begin_or_resume"]


@dataclass
class Learner:
    """A model, how far it has come in the stream, and the file that holds both."""

    model: Any
    position: Position
    path: Path
    features: list[str] | None  # None: the first row says
    classes: list[Any] | None  # of a classifier
    answers: Answers
    saved_rows: int  # rows read when the file was written last; -1: there is no file

    @property
    def begun(self) -> bool:
        """Whether the model has its columns."""
        return self.model._state is not None

    @property
    def n_learned(self) -> int:
        return int(self.model._state.n_learned) if self.begun else 0

    def begin(self, features: list[str]) -> None:
        """Give the model its columns, and write the first checkpoint.

        From then on what a run without ``--seed`` draws is settled: killed at any time and begun
        again with ``--resume``, it gives the same answers.

        Raises
        ------
        click.ClickException
            If the model cannot be begun, or not be written.
        """
        model = self.model
        columns = Rows(np.empty((0, len(features))), np.empty(0), tuple(features), None)
        try:
            if self.classes is None:
                target = model._new_target(None)
            else:
                target = model._target_of(self.classes)
            model._state = begin(model.get_params(), target, columns)
        except ValueError as error:
            raise click.ClickException(str(error)) from None
        self.features = features
        self.save()

    def answer(self, row: Row) -> dict[str, Any]:
        """Return the forecast of a row, made from the rows before it.

        Raises
        ------
        BadLine
            If a value is too far from those of the warm-up.
        """
        state = self.model._state
        if not row.complete or state.engine is None:  # or it waits for the warm-up to end
            return self.answers.nothing()
        try:
            return self.answers.forecast(row.x, row.y)
        except ValueError as error:
            raise self._bad(error) from None

    def learn(self, row: Row) -> None:
        """Learn a row that has a target.  An incomplete one is counted as skipped by the model.

        Raises
        ------
        BadLine
            If the model cannot learn it; it is then as before.
        """
        if row.complete and row.y is None:
            return
        absent = None if self.classes is not None else np.nan
        try:
            self.model.partial_fit(np.array([row.x]), [absent if row.y is None else row.y])
        except (ValueError, ArithmeticError) as error:
            raise self._bad(error) from None

    def _bad(self, error: Exception) -> BadLine:
        """Return what a model says of its only row in the words of a line."""
        text = str(error).replace("X: row 0, ", "")
        return BadLine(text.replace("y: row 0 is", f"column {self.position.target!r} is"))

    def save(self) -> None:
        """Write a checkpoint; raises click.ClickException if that cannot be done."""
        try:
            write_checkpoint(self.path, self.model, self.position)
        except (OSError, ValueError) as error:
            held = f"holds {self.saved_rows:,} rows" if self.saved_rows >= 0 else "does not exist"
            raise click.ClickException(
                f"{self.path}: cannot be written: {error}; the checkpoint {held}, and "
                f"{self.position.rows:,} were read: make room, then go on with --resume"
            ) from None
        self.saved_rows = self.position.rows

    def save_if_new(self) -> None:
        """Write a checkpoint if there is something that the last one does not hold."""
        if self.position.rows > max(self.saved_rows, 0):
            self.save()


def begin_or_resume(
    context: click.Context,
    target: str | None,
    path: Path,
    *,
    resume: bool,
    overwrite: bool,
    coverage: float,
    options: Mapping[str, Any],
) -> Learner:
    """Return the model to go on with: a new one, or that of the checkpoint.

    Raises
    ------
    click.ClickException
        If it cannot be read or written, or is of another stream than the options say.
    """
    make_ready(path)
    if resume and path.exists():
        return _resumed(context, target, path, coverage, options)
    if path.exists() and not overwrite:
        raise click.ClickException(
            f"{path}: exists already; pass --resume to go on from it, or --overwrite to begin anew"
        )
    if target is None:
        raise click.UsageError("Missing option '--target' / '-t'.")
    model = new_model(options)
    classes = _classes(model, options)
    answers = answers_of(model, target, coverage, classes)
    return Learner(model, Position(target), path, None, classes, answers, -1)


def _resumed(
    context: click.Context,
    target: str | None,
    path: Path,
    coverage: float,
    options: Mapping[str, Any],
) -> Learner:
    model, position = read_checkpoint(path)
    given = {name for name in context.params if _is_given(context, name)}
    if position is None:  # a model file that no stream has written
        if target is None:
            raise click.ClickException(
                f"{path}: does not say what its target is called; pass --target"
            )
        position = Position(target)
    elif target not in (None, position.target):
        raise click.ClickException(
            f"{path}: its target is {position.target!r}, but --target is {target!r}; pass the "
            "checkpoint of this stream, or --overwrite instead of --resume"
        )
    _check_parameters(model, path, given, options)
    model.set_params(n_jobs=options["jobs"])  # which says nothing of the model
    if "missing" in given:
        model.set_params(missing=options["missing"])
    classes = _classes(model, options)
    if classes is not None and "classes" in given:
        asked = _named_classes(options)
        if asked != classes:
            raise click.ClickException(
                f"{path}: its classes are {classes}, but --classes makes them {asked}"
            )
    features = _features(model, position.target, path, options)
    answers = answers_of(model, position.target, coverage, classes)
    return Learner(model, position, path, features, classes, answers, position.rows)


def _classes(model: Any, options: Mapping[str, Any]) -> list[Any] | None:
    """Return the classes that a model knows, or else those of --classes; None of a regressor."""
    if not isinstance(model, hsmoe.HSMoEClassifier):
        return None
    return _named_classes(options) if model._state is None else list(model.classes_.tolist())


def _named_classes(options: Mapping[str, Any]) -> list[Any]:
    if options["classes"] is None:
        raise click.ClickException(
            "--classes is needed for a classifier: name all labels that will ever come, for "
            "example --classes no,yes"
        )
    try:
        return list(class_labels(labels(options["classes"]), "--classes").tolist())
    except ValueError as error:
        raise click.ClickException(str(error)) from None


def _is_given(context: click.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source not in (None, click.core.ParameterSource.DEFAULT)


def _check_parameters(model: Any, path: Path, given: set[str], options: Mapping[str, Any]) -> None:
    """Refuse options that contradict the model; those that were not given do not count."""
    kind = next(kind for kind, cls in MODELS.items() if type(model) is cls)
    if "model" in given and options["model"] != kind:
        raise click.ClickException(
            f"{path}: is of --model {kind}, but --model is {options['model']}"
        )
    asked = new_model({**options, "model": kind}).get_params()
    begun = model.get_params()
    for option, parameter in PARAMETERS.items():
        if option in given and option not in ("jobs", "missing"):
            if not same_value(begun[parameter], asked[parameter]):
                raise click.ClickException(
                    f"{path}: was begun with {parameter}={begun[parameter]!r}, but "
                    f"--{option.replace('_', '-')} makes it {asked[parameter]!r}; leave the option "
                    "out, or pass --overwrite instead of --resume"
                )


def _features(model: Any, target: str, path: Path, options: Mapping[str, Any]) -> list[str] | None:
    """Return the columns of a model, checked against --features and --exclude."""
    state, features, exclude = model._state, options["features"], options["exclude"] or []
    if state is None:
        return None
    if state.names is None:
        if features is None or len(features) != state.n_features:
            raise click.ClickException(
                f"{path}: does not say what its {state.n_features} columns are called; name them "
                "in their order with --features"
            )
        names = list(features)
    else:
        names = list(state.names)
    if features is not None and [name for name in features if name not in exclude] != names:
        raise click.ClickException(
            f"{path}: its features are {', '.join(names)}, but --features is {', '.join(features)}"
        )
    for name in (*exclude, target):
        if name in names:
            raise click.ClickException(
                f"{path}: {name!r} is one of its features, {', '.join(names)}; pass the checkpoint "
                "of this stream, or --overwrite instead of --resume"
            )
    return names
