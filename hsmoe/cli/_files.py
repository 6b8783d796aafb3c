"""Tables from CSV and Parquet files, with errors that name the file, the line and the column."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

if TYPE_CHECKING:
    import pandas

__all__ = ["label_column", "numeric_columns", "read_table", "require", "write_table"]

_PARQUET = {".parquet", ".pq"}


def require(module: str, what: str, extra: str) -> Any:
    """Import an optional module, or end with a message that says what to install."""
    try:
        return __import__(module)
    except ImportError:
        raise click.ClickException(
            f'{what} needs {module}; install with: pip install "hsmoe[{extra}]"'
        ) from None


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() in _PARQUET


def read_table(path: Path) -> pandas.DataFrame:
    """Read a table; the index of the result holds line numbers (CSV) or row numbers (Parquet)."""
    pandas = require("pandas", f"reading {path}", "cli")
    try:
        if _is_parquet(path):
            require("pyarrow", f"reading {path}", "cli")
            frame = pandas.read_parquet(path)
            frame.index = range(len(frame))
        else:
            # Blank lines are kept while reading so that the index can count lines.
            # Numbers are read as they were written: by default the last digits may be others.
            frame = pandas.read_csv(
                path, skip_blank_lines=False, skipinitialspace=True, float_precision="round_trip"
            )
            if not isinstance(frame.index, pandas.RangeIndex):
                raise click.ClickException(
                    f"{path}: lines have more fields than the header has names; check the header"
                )
            frame.index = range(2, 2 + len(frame))
            frame = frame[~frame.isna().all(axis=1)]
    except (OSError, ValueError, pandas.errors.ParserError) as error:
        reason = str(error).replace("Error tokenizing data. C error: ", "").strip()
        raise click.ClickException(f"{path}: cannot be read: {reason}") from None
    if len(frame) == 0:
        raise click.ClickException(f"{path}: holds no rows")
    return frame


def numeric_columns(
    frame: pandas.DataFrame, columns: Sequence[str], path: Path, *, missing: str
) -> pandas.DataFrame:
    """Return the named columns as numbers.

    Raises
    ------
    click.ClickException
        If a column is absent, or a value is not a number, infinite, or (with
        ``missing="raise"``) missing; names the line and the column.
    """
    pandas = require("pandas", f"reading {path}", "cli")
    absent = [name for name in columns if name not in frame.columns]
    if absent:
        raise click.ClickException(
            f"{path}: has no column {absent[0]!r}; its columns are "
            + ", ".join(str(name) for name in frame.columns)
        )
    unit = "row" if _is_parquet(path) else "line"
    numbers = {}
    for name in columns:
        column = frame[name]
        if column.dtype.kind in "mM":
            raise click.ClickException(
                f"{path}: column {name!r} holds dates or times; make numbers of it, or leave it "
                f"out with --exclude {name}"
            )
        values = pandas.to_numeric(column, errors="coerce")
        text = values.isna() & column.notna()
        if text.any():
            where = text.idxmax()
            raise click.ClickException(
                f"{path}: {unit} {where}, column {name!r}: {column[where]!r} is not a number; "
                f"correct it, or leave the column out with --exclude {name}"
            )
        array = values.to_numpy(dtype=np.float64, na_value=np.nan)
        wrong = np.isinf(array) if missing == "skip" else ~np.isfinite(array)
        if wrong.any():
            i = int(np.argmax(wrong))
            what = "is missing" if np.isnan(array[i]) else f"is {array[i]}"
            advice = (
                "fill it in, or pass --missing skip"
                if np.isnan(array[i])
                else "values must be finite"
            )
            raise click.ClickException(
                f"{path}: {unit} {frame.index[i]}, column {name!r} {what}; {advice}"
            )
        numbers[name] = array
    return pandas.DataFrame(numbers, index=frame.index)


def label_column(
    frame: pandas.DataFrame, name: str, path: Path, *, missing: str
) -> pandas.Series[Any]:
    """Return the column of class labels, as it is.

    Raises
    ------
    click.ClickException
        If it is absent, or (with ``missing="raise"``) a label is missing; names the line.
    """
    if name not in frame.columns:
        raise click.ClickException(
            f"{path}: has no column {name!r}; its columns are "
            + ", ".join(str(column) for column in frame.columns)
        )
    column = frame[name]
    absent = column.isna()
    if missing == "raise" and absent.any():
        unit = "row" if _is_parquet(path) else "line"
        raise click.ClickException(
            f"{path}: {unit} {absent.idxmax()}, column {name!r} is missing; fill it in, or pass "
            "--missing skip"
        )
    return column


def write_table(frame: pandas.DataFrame, path: Path | None) -> None:
    """Write a table to a file by its extension, or as CSV to the standard output."""
    if path is None:
        click.echo(frame.to_csv(index=False), nl=False)
        return
    try:
        if _is_parquet(path):
            frame.to_parquet(path, index=False)
        else:
            frame.to_csv(path, index=False)
    except OSError as error:
        raise click.ClickException(f"{path}: cannot be written: {error}") from None
