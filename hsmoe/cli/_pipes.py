"""Where a stream comes from and where its answers go, either of which may block or go away."""

from __future__ import annotations

import os
import select
import sys
from pathlib import Path
from typing import BinaryIO

import click

from ._signals import StopSignals

__all__ = ["AnswerWriter", "ReaderGone", "called", "note", "open_input"]


class ReaderGone(Exception):
    """Nobody reads the answers any more."""


def _descriptor(stream: object) -> int | None:
    """Return the file descriptor of a stream, or None where it has none, as in tests."""
    try:
        return int(stream.fileno())  # type: ignore[attr-defined]
    except (AttributeError, OSError):
        return None


def _discard(stream: object) -> None:
    """Let what is still buffered for a stream go nowhere, lest Python fail on it at its exit."""
    descriptor = _descriptor(stream)
    if descriptor is not None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)


def open_input(source: str, signals: StopSignals) -> BinaryIO:
    """Return the input, whose ``read1`` gives what has arrived.

    Raises
    ------
    click.ClickException
        If it cannot be opened.
    """
    try:
        if source != "-":  # a named pipe waits here for who writes to it
            return signals.wait_for(lambda: Path(source).open("rb"))
        if sys.stdin is None:
            raise OSError("it is closed")
        if os.name == "posix" and (descriptor := _descriptor(sys.stdin)) is not None:
            os.set_blocking(descriptor, True)  # else a pause would look like the end
        return sys.stdin.buffer
    except OSError as error:
        raise click.ClickException(f"{called(source)}: cannot be read: {error}") from None


def called(source: str) -> str:
    """Return what messages call an input."""
    return "standard input" if source == "-" else source


class AnswerWriter:
    """Hands over answers on the standard output, each at once."""

    def __init__(self, signals: StopSignals) -> None:
        if sys.stdout is None:
            raise click.ClickException("standard output: cannot be written: it is closed")
        self._signals = signals
        self._out = sys.stdout.buffer
        self._descriptor = _descriptor(sys.stdout) if os.name == "posix" else None
        if self._descriptor is not None:
            os.set_blocking(self._descriptor, True)

    def write(self, line: bytes) -> None:
        """Write one line.

        Raises
        ------
        ReaderGone
            If nobody reads any more.
        Stopped
            If a signal has come and nobody reads now; nothing is written then.
        click.ClickException
            If it cannot be written for another reason.
        """
        try:
            if self._descriptor is not None and not _writable(self._descriptor, 0.0):
                self._signals.wait_for(lambda: _writable(self._descriptor))
            self._out.write(line)
            self._out.flush()
        except BrokenPipeError:
            _discard(sys.stdout)
            raise ReaderGone from None
        except OSError as error:
            _discard(sys.stdout)
            raise click.ClickException(
                f"standard output: cannot be written: {error}; what was learned is saved"
            ) from None


def _writable(descriptor: int | None, seconds: float | None = None) -> bool:
    """Return whether a write would not wait, after so many seconds at most; None: no limit."""
    assert descriptor is not None
    return bool(select.select([], [descriptor], [], seconds)[1])


def note(text: str) -> None:
    """Say something on the standard error stream, if anybody listens there."""
    try:
        click.echo(text, err=True)
    except OSError:
        _discard(sys.stderr)
