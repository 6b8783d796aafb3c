"""From bytes as they arrive to rows of numbers: lines, JSON or CSV, features and target."""

from __future__ import annotations

import csv
import json
import math
import reprlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["BadLine", "CsvLines", "Decoder", "JsonLines", "Row", "RowReader", "read_lines"]

LONGEST_LINE = 2**20  # bytes; input that never ends a line must not fill the memory
_CHUNK = 2**16

# What pandas takes for a missing value, and thus ``hsmoe fit``: a file means the same to both.
_ABSENT = frozenset(
    "#N/A|#N/A N/A|#NA|-1.#IND|-1.#QNAN|-NaN|-nan|1.#IND|1.#QNAN|<NA>|N/A|NA|NULL|NaN|None|n/a|nan"
    "|null".split("|")
) | {""}
_BOOLEANS = {
    **dict.fromkeys(("True", "TRUE", "true"), 1.0),
    **dict.fromkeys(("False", "FALSE", "false"), 0.0),
}

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 60


class BadLine(ValueError):
    """A line that is no row; the message says what is wrong with it, not where it stands."""


def read_lines(read: Callable[[int], bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield number (from 1) and bytes of each line that is not blank, as soon as it is whole.

    Parameters
    ----------
    read : callable
        Returns at most so many bytes, those that are there if there are any; none at the end.

    Of a line that is too long only the first ``LONGEST_LINE + 1`` bytes are kept.
    """
    begun, number = b"", 0
    while data := read(_CHUNK):
        *whole, rest = data.split(b"\n")
        if whole:
            whole[0], begun = begun + whole[0], rest
        else:
            begun += rest
        # Kept up to twice the limit while it grows, so that cutting costs little.
        if len(begun) > 2 * LONGEST_LINE:
            begun = begun[: LONGEST_LINE + 8]  # with room for a byte order mark
        for line in whole:
            number += 1
            if line := _clean(line, number):
                yield number, line
    if line := _clean(begun, number + 1):
        yield number + 1, line


def _clean(line: bytes, number: int) -> bytes:
    """Return a line without its ending and, of the first, its byte order mark; b"" if blank."""
    if number == 1:
        line = line.removeprefix(b"\xef\xbb\xbf")
    if len(line) > LONGEST_LINE:
        return line[: LONGEST_LINE + 1]
    return line.removesuffix(b"\r") if line.strip() else b""


def _text(line: bytes) -> str:
    if len(line) > LONGEST_LINE:
        raise BadLine(f"is longer than {LONGEST_LINE:,} bytes; one row must be one line")
    if b"\0" in line:
        raise BadLine("holds a NUL byte; the input must be text")
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise BadLine(
            f"is not UTF-8: byte 0x{line[error.start]:02x} at position {error.start + 1}; "
            "convert the input to UTF-8"
        ) from None


class Decoder(Protocol):
    """What a format supplies: the fields of a line by name, and what a field means."""

    def decode(self, line: bytes) -> Mapping[str, Any]:
        """Return the fields of a line; raises BadLine."""

    def number(self, value: Any, name: str) -> float:
        """Return a field as a number, NaN if it is missing; raises BadLine."""

    def label(self, value: Any) -> Any:
        """Return a field as a class label, None if it is missing."""


class JsonLines:
    """One JSON object a line.  Absent keys, null and NaN are missing values."""

    def decode(self, line: bytes) -> Mapping[str, Any]:
        try:
            record = json.loads(_text(line))
        except json.JSONDecodeError as error:
            raise BadLine(f"is not JSON: {error.msg} at character {error.pos + 1}") from None
        except BadLine:
            raise
        except (ValueError, RecursionError) as error:  # numbers of thousands of digits, nesting
            raise BadLine(f"is not usable JSON: {error}") from None
        if not isinstance(record, dict):
            raise BadLine(f"holds {_short.repr(record)}; a row must be an object such as {{...}}")
        return record

    def number(self, value: Any, name: str) -> float:
        if value is None:
            return math.nan
        if not isinstance(value, int | float):
            raise BadLine(f"column {name!r}: {_short.repr(value)} is not a number")
        try:
            return float(value)
        except OverflowError:
            raise BadLine(
                f"column {name!r} is a whole number beyond the range of floating point"
            ) from None

    def label(self, value: Any) -> Any:
        return None if value is None or value != value else value


class CsvLines:
    """Comma-separated values under a header.  A row is one line: no field goes over its end."""

    def __init__(self, header: bytes) -> None:
        self.names = self._fields(header)
        for name in self.names:
            if self.names.count(name) > 1:
                raise BadLine(f"the header has two columns {name!r}; give each its own name")

    def decode(self, line: bytes) -> Mapping[str, Any]:
        fields = self._fields(line)
        if len(fields) != len(self.names):
            raise BadLine(f"has {len(fields)} fields, but the header has {len(self.names)} names")
        return dict(zip(self.names, fields, strict=True))

    def _fields(self, line: bytes) -> list[str]:
        try:
            return next(csv.reader([_text(line)], strict=True, skipinitialspace=True))
        except csv.Error as error:
            raise BadLine(f"is not CSV: {error}") from None

    def number(self, value: Any, name: str) -> float:
        if value is None:
            return math.nan
        try:
            if "_" not in value and value.isascii():  # which float() takes, and no other reader
                return float(value)
        except ValueError:
            pass
        text = value.strip()
        if text in _ABSENT:
            return math.nan
        if text in _BOOLEANS:
            return _BOOLEANS[text]
        raise BadLine(f"column {name!r}: {_short.repr(value)} is not a number")

    def label(self, value: Any) -> Any:
        return None if value is None or value in _ABSENT else value


@dataclass(frozen=True, slots=True)
class Row:
    """Features, NaN where they are missing, and the target, None if it did not come."""

    x: list[float]
    y: Any
    complete: bool  # no feature is missing


class RowReader:
    """Reads rows of known columns.

    Parameters
    ----------
    decoder : Decoder
    target : str
        Its column.
    read_target : callable
        From a field, never a missing one, to a target; raises BadLine.
    skip_missing : bool
        Whether rows may have missing features.
    """

    def __init__(
        self,
        decoder: Decoder,
        target: str,
        read_target: Callable[[Decoder, Any], Any],
        skip_missing: bool,
    ) -> None:
        self._decoder = decoder
        self._target = target
        self._read_target = read_target
        self._skip_missing = skip_missing

    def decode(self, line: bytes) -> Mapping[str, Any]:
        """Return the fields of a line by name; raises BadLine."""
        return self._decoder.decode(line)

    def row(self, record: Mapping[str, Any], features: Sequence[str]) -> Row:
        """Return the row that the fields of a line make; raises BadLine."""
        number, complete = self._decoder.number, True
        x = []
        for name in features:
            value = number(record.get(name), name)
            if not math.isfinite(value):
                if not math.isnan(value):
                    raise BadLine(f"column {name!r} is {value}; values must be finite")
                if not self._skip_missing:
                    raise self._missing(record, name)
                complete = False
            x.append(value)
        return Row(x, self._read_target(self._decoder, record.get(self._target)), complete)

    def _missing(self, record: Mapping[str, Any], name: str) -> BadLine:
        if name in record:
            return BadLine(f"column {name!r} is missing; fill it in, or pass --missing skip")
        return BadLine(
            f"has no column {name!r}; its columns are {_short.repr(list(record))}: add it, or "
            "pass --missing skip"
        )
