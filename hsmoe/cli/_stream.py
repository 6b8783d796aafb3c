"""``hsmoe stream``: forecast and learn rows as they arrive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ._follower import BAD_LINE, READER_GONE, Follower
from ._learner import begin_or_resume
from ._options import FILE, model_options
from ._pipes import AnswerWriter
from ._signals import StopSignals

__all__ = ["stream"]

_EPILOG = f"""\b
Exit codes:
    0  the input has ended
    1  the input, the checkpoint or the output cannot be used; the message says which
    2  the options cannot be understood
    {BAD_LINE}  a bad line, under --on-bad-line stop
  129, 130, 143  SIGHUP, SIGINT (Ctrl-C), SIGTERM
  {READER_GONE}  nobody reads the answers any more
Whatever ended it, all rows that were learned are in the checkpoint, unless that
is what could not be written."""


@click.command(epilog=_EPILOG)
@click.argument(
    "source",
    metavar="[INPUT]",
    default="-",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
)
@click.option("--target", "-t", help="Column to predict; a checkpoint knows its own.")
@click.option(
    "--checkpoint", "-c", type=FILE, required=True, help="Model file to write, and to go on from."
)
@click.option(
    "--every",
    default=1000,
    show_default=True,
    type=click.IntRange(min=1),
    help="Rows from one checkpoint to the next.",
)
@click.option("--resume", is_flag=True, help="Go on from the checkpoint, if there is one.")
@click.option(
    "--skip-seen",
    is_flag=True,
    help="With --resume: INPUT begins again at its first row; pass over the rows that the "
    "checkpoint has seen.",
)
@click.option("--overwrite", is_flag=True, help="Begin anew where a checkpoint exists.")
@click.option(
    "--format",
    "layout",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "jsonl", "csv"]),
    help="Of INPUT; auto: by its extension, or else by its first line.",
)
@click.option(
    "--on-bad-line",
    default="stop",
    show_default=True,
    type=click.Choice(["stop", "skip"]),
    help="What to do with a line that is no row, besides reporting it.",
)
@click.option("--coverage", default=0.9, show_default=True, help="Of the predictive interval.")
@click.option("--quiet", "-q", is_flag=True, help="Report errors and bad lines alone.")
@model_options(
    jobs=1, missing="skip: rows that lack a feature are answered with null, not learned."
)
@click.pass_context
def stream(
    context: click.Context,
    source: str,
    target: str | None,
    checkpoint: Path,
    every: int,
    resume: bool,
    skip_seen: bool,
    overwrite: bool,
    layout: str,
    on_bad_line: str,
    coverage: float,
    quiet: bool,
    **options: Any,
) -> None:
    """Forecast and learn the rows of INPUT as they arrive: JSON lines or CSV; - or none: stdin.

    Each row is forecast from the rows before it; the forecast is written to the standard output, as
    one line of JSON, and then the row is learned.  A row without a target is forecast alone.
    """
    if not 0.0 < coverage < 1.0:
        raise click.BadParameter(f"{coverage} is not between 0 and 1", param_hint="--coverage")
    if resume and overwrite:
        raise click.UsageError("--resume and --overwrite contradict each other; pass one of them.")
    if skip_seen and not resume:
        raise click.UsageError("--skip-seen says what to do with --resume; pass that too.")
    with StopSignals() as signals:
        learner = begin_or_resume(
            context,
            target,
            checkpoint,
            resume=resume,
            overwrite=overwrite,
            coverage=coverage,
            options=options,
        )
        follower = Follower(
            source=source,
            learner=learner,
            writer=AnswerWriter(signals),
            signals=signals,
            options=options,
            layout=layout,
            skip_seen=skip_seen,
            skip_bad=on_bad_line == "skip",
            every=every,
            quiet=quiet,
        )
        code = follower.follow()
    raise SystemExit(code)
