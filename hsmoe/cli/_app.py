"""Commands: fit, stream, predict, show and demo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console

import hsmoe

from ._checkpoints import read_checkpoint
from ._files import label_column, numeric_columns, read_table, require, write_table
from ._options import FILE, chosen_features, labels, model_options, new_model
from ._progress import RowProgress, chunks
from ._stream import stream

__all__ = ["app"]

_EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(hsmoe.__version__, prog_name="hsmoe")
def app() -> None:
    """Bayesian mixtures of experts, learned row by row."""


@app.command()
@click.argument("data", type=_EXISTING)
@click.option("--target", "-t", required=True, help="Column to predict.")
@click.option("--output", "-o", type=FILE, required=True, help="Model file to write.")
@model_options(jobs=-1, missing="What to do with rows that have missing values.")
def fit(data: Path, target: str, output: Path, **options: Any) -> None:
    """Learn a model from the rows of DATA (CSV or Parquet), in the order of the file.

    Ctrl-C stops early and keeps what was learned.
    """
    if not output.resolve().parent.is_dir():
        raise click.ClickException(f"{output}: the folder to write to does not exist")
    model = new_model(options)
    frame, missing = read_table(data), options["missing"]
    chosen = chosen_features([str(name) for name in frame.columns], target, options, str(data))
    classes: dict[str, Any] = {}
    if options["model"] == "classifier":
        X = numeric_columns(frame, chosen, data, missing=missing)
        y = label_column(frame, target, data, missing=missing)
        given = options["classes"]
        classes["classes"] = y.dropna().unique() if given is None else labels(given)
    else:
        table = numeric_columns(frame, [*chosen, target], data, missing=missing)
        X, y = table[chosen], table[target]
    console = Console(stderr=True)
    try:
        with RowProgress(len(y), "learning", console) as progress:
            for part in chunks(len(y)):
                model.partial_fit(X[part], y[part], **classes)
                progress.advance(part.stop - part.start)
    except KeyboardInterrupt:
        console.print("[yellow]interrupted[/yellow]: the rows learned so far are kept")
        _save_if_begun(model, output, console)
        raise SystemExit(130) from None
    except (ValueError, ArithmeticError) as error:
        raise click.ClickException(f"{data}: {error}") from None
    _save_if_begun(model, output, console)
    click.echo(model.summary())


def _save_if_begun(model: Any, output: Path, console: Console) -> None:
    if not model.__sklearn_is_fitted__():
        console.print("no row was learned; nothing is written")
        return
    try:
        model.save(output)
    except OSError as error:
        raise click.ClickException(f"{output}: cannot be written: {error}") from None
    console.print(f"{model.n_rows_seen_:,} rows; model written to {output}", highlight=False)


app.add_command(stream)


@app.command()
@click.argument("model", type=_EXISTING)
@click.argument("data", type=_EXISTING)
@click.option("--coverage", default=0.9, show_default=True, help="Of the predictive interval.")
@click.option("--output", "-o", type=FILE, help="CSV or Parquet file [default: CSV to stdout].")
@click.option("--jobs", default=-1, show_default=True, help="Threads; -1 for all processors.")
@click.option(
    "--missing",
    default="raise",
    show_default=True,
    type=click.Choice(["raise", "skip"]),
    help="skip: rows with missing values get empty predictions.",
)
def predict(
    model: Path, data: Path, coverage: float, output: Path | None, jobs: int, missing: str
) -> None:
    """Predict the rows of DATA with MODEL: mean, standard deviation and interval.

    Of a classifier: the most probable class, and the probability of each.
    """
    if not 0.0 < coverage < 1.0:
        raise click.BadParameter(f"{coverage} is not between 0 and 1", param_hint="--coverage")
    pandas = require("pandas", "predict", "cli")
    learned = read_checkpoint(model)[0].set_params(missing=missing, n_jobs=jobs)
    frame = read_table(data)
    names = getattr(learned, "feature_names_in_", None)
    columns = list(frame.columns) if names is None else [str(name) for name in names]
    X = numeric_columns(frame, columns, data, missing=missing)
    try:
        if isinstance(learned, hsmoe.HSMoEClassifier):
            proba = learned.predict_proba(X)
            known = ~np.isnan(proba).any(axis=1)
            label = np.full(len(proba), None, dtype=object)
            label[known] = learned.classes_[np.argmax(proba[known], axis=1)]
            columns_of = {f"proba_{c}": proba[:, k] for k, c in enumerate(learned.classes_)}
            table = {"label": label, **columns_of}
        else:
            mean, std = learned.predict(X, return_std=True)
            interval = learned.predict_interval(X, coverage)
            table = {"mean": mean, "std": std, "lower": interval[:, 0], "upper": interval[:, 1]}
    except (ValueError, ArithmeticError) as error:
        raise click.ClickException(f"{data}: {error}") from None
    write_table(pandas.DataFrame(table), output)


@app.command()
@click.argument("model", type=_EXISTING)
@click.option("--plot", type=FILE, help="Draw experts and gate to this picture (PNG, PDF, SVG).")
def show(model: Path, plot: Path | None) -> None:
    """Describe MODEL: settings, evidence, experts and gate."""
    learned, position = read_checkpoint(model)
    try:
        text = learned.summary()
    except hsmoe.NotFittedError:
        text = f"{learned!r}\n  has not learned a row yet"
        plot = None
    if position is not None:
        text += f"\n  stream        {position.describe()}"
    click.echo(text)
    if plot is not None:
        require("matplotlib", "--plot", "plot")
        from hsmoe import plotting

        try:
            plotting.save_figure(plotting.plot_model(learned), plot)
        except (OSError, ValueError) as error:
            raise click.ClickException(f"{plot}: cannot be written: {error}") from None
        click.echo(f"picture written to {plot}")


@app.command()
@click.option("--rows", type=click.IntRange(min=1), help="Stop after so many [default: all].")
@click.option("--experts", default=4, show_default=True, type=click.IntRange(min=1))
@click.option("--particles", default=48, show_default=True, type=click.IntRange(min=1))
@click.option("--seed", default=1, show_default=True, type=click.IntRange(min=0))
@click.option("--jobs", default=-1, show_default=True, help="Threads; -1: all processors.")
@click.option(
    "--output",
    type=FILE,
    default=Path("hsmoe-demo.png"),
    show_default=True,
    help="Picture to write.",
)
def demo(
    rows: int | None,
    experts: int,
    particles: int,
    seed: int,
    jobs: int,
    output: Path,
) -> None:
    """Forecast the arrival delay of every flight that left New York in 2013, row by row.

    Each flight is forecast from what is known at its departure and from all flights before it;
    then it is learned.  Beside the mixture run Bayesian linear regressions with learned noise.
    """
    require("pandas", "the demo", "demo")
    require("matplotlib", "the demo", "demo")
    from ._demo import run_demo

    run_demo(
        n_rows=rows,
        n_experts=experts,
        n_particles=particles,
        seed=seed,
        n_jobs=jobs,
        output=output,
        console=Console(),
    )
