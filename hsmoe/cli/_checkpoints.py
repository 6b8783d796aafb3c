"""Checkpoints of a stream: a model file that also says how far the stream was read."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

import hsmoe
from hsmoe._load import load_with_metadata
from hsmoe._persistence import model_to_parts
from hsmoe.checkpoint import pack, remove_leftovers, write_atomically

__all__ = ["Position", "make_ready", "read_checkpoint", "write_checkpoint"]

_KEY = "stream"  # in the metadata of the model file, beside those of the model


@dataclass(frozen=True)
class Position:
    """How far a stream was read.

    ``rows`` counts every line that was dealt with, learned or not, but blank ones and the header;
    ``bad`` those among them that were no rows.  ``digest`` is a chain of hashes over these lines:
    with it a second reading of the stream is known to be of the same lines.
    """

    target: str
    rows: int = 0
    bad: int = 0
    digest: str = ""

    def after(self, line: bytes, bad: bool = False) -> Position:
        """Return the position one line further on."""
        return replace(
            self,
            rows=self.rows + 1,
            bad=self.bad + bad,
            digest=chained(self.digest, line),
        )

    def describe(self) -> str:
        """Return a line for people."""
        bad = f", {self.bad:,} of them bad lines" if self.bad else ""
        return f"{self.rows:,} rows read{bad}; target {self.target!r}"


def chained(digest: str, line: bytes) -> str:
    """Return the digest of a chain that is one line longer."""
    return hashlib.blake2b(digest.encode() + line, digest_size=16).hexdigest()


def read_checkpoint(path: Path) -> tuple[Any, Position | None]:
    """Return the model of a file and, if a stream wrote it, how far that was read.

    Raises
    ------
    click.ClickException
        If it cannot be read.
    """
    try:
        model, metadata = load_with_metadata(path)
        stored = metadata.get(_KEY)
        return model, None if stored is None else _restored(stored, path)
    except hsmoe.CheckpointError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"{path}: cannot be read: {error}") from None


def _restored(stored: Any, path: Path) -> Position:
    try:
        position = Position(**stored)
    except TypeError:
        position = Position(target="", rows=-1)
    texts = isinstance(position.target, str) and isinstance(position.digest, str)
    counts = all(type(count) is int for count in (position.rows, position.bad))
    if not (texts and counts and 0 <= position.bad <= position.rows):
        raise hsmoe.CheckpointError(
            f"{path} is damaged or was written by another program (what it says of its stream is "
            "no position); load an earlier checkpoint"
        )
    return position


def write_checkpoint(path: Path, model: Any, position: Position) -> None:
    """Write model and position, together and atomically; raises OSError or ValueError."""
    metadata, arrays = model_to_parts(model)
    write_atomically(path, pack({**metadata, _KEY: vars(position)}, arrays))


def make_ready(path: Path) -> None:
    """Remove what a killed run left; raise click.ClickException if no checkpoint can be written."""
    target = Path(os.path.realpath(path))
    try:
        if target.exists() and not target.is_file():
            raise OSError("it is not a regular file")
        if not target.parent.is_dir():
            raise OSError("the folder to write to does not exist")
        with tempfile.TemporaryFile(prefix=f".{target.name}.", dir=target.parent) as file:
            file.write(b"x")
        remove_leftovers(target)
    except OSError as error:
        raise click.ClickException(f"{path}: cannot be written: {error}") from None
