"""Walking through rows: chunks of a steady duration, and a progress bar."""

from __future__ import annotations

import time
from collections.abc import Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

__all__ = ["RowProgress", "chunks"]


def chunks(n_rows: int, seconds: float = 0.25, first: int = 32) -> Iterator[slice]:
    """Yield consecutive slices of ``n_rows`` rows, each sized to take about ``seconds``.

    Chunking never changes what a model learns, so it can follow the clock.
    """
    start, size = 0, first
    while start < n_rows:
        began = time.perf_counter()
        stop = min(start + size, n_rows)
        yield slice(start, stop)
        elapsed = time.perf_counter() - began
        start = stop
        size = int(min(4.0, max(0.25, seconds / max(elapsed, 1e-9))) * size) or 1


class RowProgress:
    """A progress bar over rows that shows rows per second and a line of running figures.

    ``n_rows`` is None if nobody knows how many will come.
    """

    def __init__(self, n_rows: int | None, title: str, console: Console) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TextColumn("{task.fields[rate]} rows/s"),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=console,
        )
        self._task = self._bar.add_task(title, total=n_rows, rate="-", figures="")
        self._began = time.perf_counter()
        self._done = 0

    def __enter__(self) -> RowProgress:
        self._began = time.perf_counter()
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    @property
    def seconds(self) -> float:
        """Seconds since the bar was started."""
        return time.perf_counter() - self._began

    def print(self, text: str) -> None:
        """Print a line above the bar."""
        console = self._bar.console
        console.print(text, markup=False, highlight=False, emoji=False, soft_wrap=True)

    def advance(self, n_rows: int, figures: str = "") -> None:
        """Report that ``n_rows`` more rows are done."""
        self._done += n_rows
        self._bar.update(
            self._task,
            advance=n_rows,
            rate=f"{self._done / max(self.seconds, 1e-9):,.0f}",
            figures=figures,
        )
