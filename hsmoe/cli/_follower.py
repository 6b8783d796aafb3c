"""Following a stream: one answer a row, until the stream ends or is ended."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from ._answers import as_line
from ._checkpoints import Position, chained
from ._learner import Learner
from ._options import chosen_features
from ._pipes import AnswerWriter, ReaderGone, called, note, open_input
from ._progress import RowProgress
from ._rows import BadLine, CsvLines, Decoder, JsonLines, Row, RowReader, read_lines
from ._signals import Stopped, StopSignals

__all__ = ["BAD_LINE", "READER_GONE", "Follower"]

# Exit codes, beside those of Click and 128 and more of a signal.
BAD_LINE = 3
READER_GONE = 141  # what shells report of a program that wrote to a closed pipe

Lines = Iterator[tuple[int, bytes]]

_LAYOUTS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}

_REFRESH = 0.1  # seconds from one update of the progress bar to the next


@dataclass
class Follower:
    """Follows one input from where the learner stands."""

    source: str
    learner: Learner
    writer: AnswerWriter
    signals: StopSignals
    options: Mapping[str, Any]  # of the model
    layout: str  # auto, jsonl or csv
    skip_seen: bool
    skip_bad: bool
    every: int
    quiet: bool

    def __post_init__(self) -> None:
        self._called = called(self.source)
        self._resumed = self.learner.begun
        self._first = True  # no row was decoded yet
        self._progress: RowProgress | None = None

    def follow(self) -> int:
        """Read the input until it ends, or something ends it; return the exit code."""
        self._say_where()
        shown = not self.quiet and sys.stderr.isatty() and not sys.stdout.isatty()
        if shown:  # else the bar would stand among the answers, or in a log
            self._progress = RowProgress(None, "rows", Console(stderr=True))
        try:
            with self._progress or nullcontext():
                code = self._read()
        except ReaderGone:
            code = READER_GONE
        except Stopped:
            code = self.signals.exit_code
        finally:  # what was learned is kept, whatever has happened
            self._progress = None
            self.learner.save_if_new()
        if code != READER_GONE:
            self._say_end()
        return code

    def _read(self) -> int:
        data: Any = open_input(self.source, self.signals)

        def read(size: int) -> bytes:
            try:
                return bytes(self.signals.wait_for(lambda: data.read1(size)))
            except OSError as error:
                raise click.ClickException(f"{self._called}: cannot be read: {error}") from None

        lines = read_lines(read)
        first = next(lines, None)
        if first is None:
            return self._pass_over(lines) if self.skip_seen else 0
        reader, lines = self._reader(first, lines)
        if self.skip_seen:
            self._pass_over(lines)
        shown, waiting = time.monotonic(), 0
        for number, line in lines:
            if not self._take(reader, number, line):
                return BAD_LINE
            position = self.learner.position
            if position.rows - max(self.learner.saved_rows, 0) >= self.every:
                self.learner.save()
            if self._progress is not None:
                waiting += 1
                if time.monotonic() - shown > _REFRESH:
                    self._progress.advance(waiting)
                    shown, waiting = time.monotonic(), 0
            if self.signals.received is not None:
                raise Stopped
        return 0

    # ------------------------------------------------------------------ one row

    def _take(self, reader: RowReader, number: int, line: bytes) -> bool:
        """Answer a line and learn it; False: it is bad, and that ends the stream."""
        learner = self.learner
        row_number = learner.position.rows + 1
        answered = False
        try:
            row = self._row(reader, line)
            answer = {"row": row_number, **learner.answer(row)}
            # An answer is handed over before its row is learned: what a checkpoint has learned was
            # answered, even if nobody reads any more.
            self.writer.write(as_line(answer))
            answered = True
            learner.learn(row)
        except BadLine as error:
            self._say(f"{self._called}: line {number} (row {row_number}): {error}")
            if not self.skip_bad:
                return False
            if not answered:
                self.writer.write(as_line({"row": row_number, "error": str(error)}))
            learner.position = learner.position.after(line, bad=True)
            return True
        learner.position = learner.position.after(line)
        return True

    def _row(self, reader: RowReader, line: bytes) -> Row:
        """Return the row of a line.  The first one that can be used gives the model its columns."""
        learner, target = self.learner, self.learner.position.target
        record = reader.decode(line)
        first, self._first = self._first, False
        if learner.features is not None:
            if first and not any(name in record for name in learner.features):
                raise click.ClickException(
                    f"{self._called}: its first row has none of the features of {learner.path} "
                    f"({', '.join(learner.features)}); pass the checkpoint of this stream, or "
                    "--overwrite instead of --resume"
                )
            return reader.row(record, learner.features)
        if self.options["features"] is None and all(name == target for name in record):
            raise BadLine(f"holds no feature besides the target {target!r}")
        features = chosen_features(list(record), target, self.options, self._called)
        row = reader.row(record, features)
        learner.begin(features)
        if target not in record:
            self._say(
                f"{self._called}: its first row has no column {target!r}, the target; such rows "
                "are forecast and not learned",
                always=False,
            )
        return row

    # ------------------------------------------------------------------ the beginning

    def _reader(self, first: tuple[int, bytes], lines: Lines) -> tuple[RowReader, Lines]:
        """Return what reads the rows, and the rows; the header, if there is one, is read."""
        number, line = first
        start = line.lstrip()[:1]
        layout = self.layout
        if layout == "auto":
            layout = _LAYOUTS.get(Path(self.source).suffix.lower(), "auto")
        decoder: Decoder
        if layout == "csv" or (layout == "auto" and start not in (b"{", b"[")):
            try:
                decoder = CsvLines(line)
            except BadLine as error:
                raise click.ClickException(f"{self._called}: line {number}: {error}") from None
            self._check_header(decoder.names)
        elif layout == "auto" and start == b"[":
            raise click.ClickException(
                f"{self._called}: line {number}: begins a list; pass one JSON object a line (jq -c "
                "'.[]' makes them of a list), or --format csv"
            )
        else:
            decoder, lines = JsonLines(), chain([first], lines)
        learner = self.learner
        skip_missing = learner.model.missing == "skip"
        target, read_target = learner.position.target, learner.answers.read_target
        return RowReader(decoder, target, read_target, skip_missing), lines

    def _check_header(self, names: list[str]) -> None:
        """Refuse a header that lacks a column, before any row is read."""
        learner, target = self.learner, self.learner.position.target
        features = learner.features or chosen_features(names, target, self.options, self._called)
        for name in (*features, target):
            if name in names:
                continue
            if name == target and learner.begun:
                self._say(
                    f"{self._called}: has no column {target!r}, the target; its rows are forecast "
                    "and not learned",
                    always=False,
                )
                continue
            owner = f", which {learner.path} has learned from" if learner.begun else ""
            raise click.ClickException(
                f"{self._called}: has no column {name!r}{owner}; its columns are "
                + ", ".join(names)
            )

    def _pass_over(self, lines: Lines) -> int:
        """Read the rows that the checkpoint has seen, and check that they are the same."""
        seen: Position = self.learner.position
        digest, n_read = "", 0
        while n_read < seen.rows:
            if self.signals.received is not None:
                raise Stopped
            _, line = next(lines, (0, None))
            if line is None:
                raise click.ClickException(
                    f"{self._called}: ends after {n_read:,} rows, but {self.learner.path} has seen "
                    f"{seen.rows:,}; leave out --skip-seen if the input goes on after those"
                )
            digest, n_read = chained(digest, line), n_read + 1
        if digest != seen.digest:
            raise click.ClickException(
                f"{self._called}: its first {seen.rows:,} rows are not those that "
                f"{self.learner.path} has seen; pass the same input, or leave out --skip-seen if "
                "it goes on after those"
            )
        return 0

    # ------------------------------------------------------------------ what people are told

    def _say(self, text: str, *, always: bool = True) -> None:
        if self.quiet and not always:
            return
        if self._progress is None:
            note(text)
        else:
            self._progress.print(text)

    def _say_where(self) -> None:
        learner = self.learner
        if learner.saved_rows < 0:
            return
        if learner.position.rows == 0:  # what learned them was no stream
            where = f"{learner.n_learned:,} rows learned; the stream begins"
        else:
            how = "passing over them" if self.skip_seen else "the input goes on after them"
            where = f"{learner.position.describe()}; {how}"
        self._say(f"going on from {learner.path}: {where}", always=False)

    def _say_end(self) -> None:
        learner = self.learner
        if learner.saved_rows < 0:
            self._say("no row was read; nothing is written", always=False)
            return
        self._say(
            f"{learner.position.describe()}; {learner.n_learned:,} rows learned in all; checkpoint "
            f"written to {learner.path}",
            always=False,
        )
