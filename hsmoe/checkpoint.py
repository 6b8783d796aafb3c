"""Model files: versioned, checksummed, written atomically, and free of pickle.

A file is a header and a payload::

    magic (8 bytes) | version (uint32) | payload length (uint64) | SHA-256 of payload | payload

little-endian.  The payload is an uncompressed ``.npz`` archive of plain arrays and one member
``meta.json``.  Every size is checked against the payload before memory is taken for it.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import re
import struct
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._changing import ChangingExperts
from ._errors import CheckpointError
from ._experts import (
    BinomialExpert,
    GaussianExpert,
    LaplaceExpert,
    LogitExpert,
    NegativeBinomialExpert,
    StudentExpert,
)
from ._inference import Variational
from ._priors import GroupHorseshoePrior, HorseshoePrior, NormalPrior, PaperHorseshoePrior
from ._version import __version__

__all__ = ["decode_value", "encode_value", "pack", "remove_leftovers", "unpack", "write_atomically"]

# The byte above 127 and the line ending show transfers that stripped bits or changed newlines.
MAGIC = b"\x93HSMOE\r\n"
FORMAT_VERSION = 1
_HEADER = struct.Struct("<8sIQ32s")
_METADATA = "meta.json"
_LARGEST_POOL = 1024  # of a seed sequence; mixing takes the square of it

_PARTS = {
    part.__name__: part
    for part in (
        BinomialExpert,
        ChangingExperts,
        GaussianExpert,
        GroupHorseshoePrior,
        HorseshoePrior,
        LaplaceExpert,
        LogitExpert,
        NegativeBinomialExpert,
        NormalPrior,
        PaperHorseshoePrior,
        StudentExpert,
        Variational,
    )
}


def encode_value(value: Any, name: str) -> Any:
    """Return a parameter value as JSON; what JSON lacks becomes ``{"type": ..., "value": ...}``.

    Raises
    ------
    TypeError
        If the value cannot be stored, naming the parameter.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value)
    if isinstance(value, list):
        return [encode_value(entry, name) for entry in value]
    if isinstance(value, tuple):
        return {"type": "tuple", "value": [encode_value(entry, name) for entry in value]}
    if isinstance(value, dict):
        items = [[encode_value(k, name), encode_value(v, name)] for k, v in value.items()]
        return {"type": "dict", "value": items}
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufU":
        return {
            "type": "ndarray",
            "dtype": value.dtype.str,
            "shape": list(value.shape),
            "value": value.ravel().tolist(),
        }
    if type(value).__name__ in _PARTS and isinstance(value, _PARTS[type(value).__name__]):
        fields = {key: encode_value(entry, name) for key, entry in vars(value).items()}
        return {"type": type(value).__name__, "value": fields}
    if isinstance(value, np.random.SeedSequence):
        return {
            "type": "SeedSequence",
            "value": encode_value(dict(value.state), name),
        }
    if isinstance(value, np.random.Generator):
        return {"type": "Generator", "value": encode_value(value.bit_generator.state, name)}
    raise TypeError(
        f"{name} is {value!r}, which a model file cannot hold; use numbers, strings, lists, or "
        "hsmoe's own prior and expert objects"
    )


def decode_value(value: Any) -> Any:
    """Return the parameter value that :func:`encode_value` encoded."""
    if isinstance(value, list):
        return [decode_value(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    kind, content = value["type"], value["value"]
    if kind == "tuple":
        return tuple(decode_value(entry) for entry in content)
    if kind == "dict":
        return {decode_value(key): decode_value(entry) for key, entry in content}
    if kind == "ndarray":
        return np.array(content, dtype=np.dtype(value["dtype"])).reshape(value["shape"])
    if kind == "SeedSequence":
        state = decode_value(content)
        if not state["pool_size"] <= _LARGEST_POOL:
            raise ValueError(f"a seed sequence has a pool of {state['pool_size']} words")
        return np.random.SeedSequence(**state)
    if kind == "Generator":
        state = decode_value(content)
        names = ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")
        if state["bit_generator"] not in names:
            raise ValueError(f"unknown bit generator {state['bit_generator']!r}")
        bit_generator = getattr(np.random, state["bit_generator"])()
        bit_generator.state = state
        return np.random.Generator(bit_generator)
    return _PARTS[kind](**{key: decode_value(entry) for key, entry in content.items()})


def pack(metadata: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return metadata and arrays as the bytes of a model file; the same input, the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        text = json.dumps(metadata, sort_keys=True, ensure_ascii=True)
        archive.writestr(zipfile.ZipInfo(_METADATA), text)
        for name in sorted(arrays):
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asarray(arrays[name]), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getbuffer())
    payload = buffer.getvalue()
    digest = hashlib.sha256(payload).digest()
    return _HEADER.pack(MAGIC, FORMAT_VERSION, len(payload), digest) + payload


def unpack(
    data: bytes | bytearray | memoryview, source: str = "the model"
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return metadata and arrays of a model file.

    Parameters
    ----------
    data : bytes-like
    source : str
        What messages call it: the name of the file.

    Raises
    ------
    CheckpointError
        If the data are not a whole, undamaged model file of a known version.
    """
    view = memoryview(data).cast("B")
    start = bytes(view[: len(MAGIC)])
    if not MAGIC.startswith(start):
        raise CheckpointError(
            f"{source} is not an hsmoe model file (it does not begin with its mark); pass a file "
            "written by save()"
        )
    truncated = f"{source} is truncated; copy it again, or load an earlier checkpoint"
    if len(view) < _HEADER.size:
        raise CheckpointError(f"{truncated} ({len(view)} bytes do not hold even the header)")
    _, version, length, digest = _HEADER.unpack(view[: _HEADER.size])
    if version > FORMAT_VERSION:
        raise CheckpointError(
            f"{source} has format version {version}; hsmoe {__version__} reads versions up to "
            f"{FORMAT_VERSION}: install a newer hsmoe to load it"
        )
    payload = view[_HEADER.size :]
    if len(payload) < length:
        raise CheckpointError(f"{truncated} ({len(payload)} of {length} bytes are there)")
    damaged = f"{source} is damaged; copy it again, or load an earlier checkpoint"
    if len(payload) > length or version < 1:
        raise CheckpointError(f"{damaged} (its header does not fit its contents)")
    if hashlib.sha256(payload).digest() != digest:
        raise CheckpointError(f"{damaged} (its checksum does not match)")
    try:
        return _read_payload(bytes(payload))
    except CheckpointError as error:
        raise CheckpointError(f"{damaged} ({error})") from None
    except (zipfile.BadZipFile, ValueError, KeyError, RuntimeError, EOFError) as error:
        raise CheckpointError(f"{damaged} ({error})") from error


def _read_payload(payload: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    metadata: dict[str, Any] | None = None
    arrays: dict[str, NDArray[Any]] = {}
    with zipfile.ZipFile(io.BytesIO(payload)) as archive:
        members = archive.infolist()
        # Members of a stored archive do not overlap, so together they are no longer than it.
        stored = all(
            member.compress_type == zipfile.ZIP_STORED and member.file_size == member.compress_size
            for member in members
        )
        if not stored or sum(member.file_size for member in members) > len(payload):
            raise CheckpointError("its members are compressed or longer than the file")
        if len({member.filename for member in members}) < len(members):
            raise CheckpointError("it names a member twice")
        for member in members:
            content = archive.read(member)
            if member.filename == _METADATA:
                metadata = json.loads(content)
            elif member.filename.endswith(".npy"):
                arrays[member.filename.removesuffix(".npy")] = _read_array(content)
            else:
                raise CheckpointError(f"it has an unknown member {member.filename!r}")
    if not isinstance(metadata, dict):
        raise CheckpointError(f"it has no {_METADATA}")
    return metadata, arrays


def _read_array(content: bytes) -> NDArray[Any]:
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    if version != (1, 0):
        raise CheckpointError(f"an array has the unknown format {version}")
    shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype.kind not in "biuf" or fortran_order:
        raise CheckpointError(f"an array has dtype {dtype} in an unknown order")
    offset = stream.tell()
    if math.prod(shape) * dtype.itemsize != len(content) - offset:
        raise CheckpointError("an array is not as long as it says")
    return np.frombuffer(content, dtype=dtype, offset=offset).reshape(shape).copy()


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file so that at any moment, and after a crash, there is the old or the new one."""
    target = Path(os.path.realpath(path))  # through a link, to the file it names
    if target.exists() and not target.is_file():
        raise ValueError(f"{os.fspath(path)!r} is not a regular file; choose another path")
    folder = target.parent
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, _mode_of(target))
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_folder(folder)


def remove_leftovers(path: str | os.PathLike[str]) -> None:
    """Remove what a killed :func:`write_atomically` left behind; nobody may be writing now."""
    target = Path(os.path.realpath(path))
    temporary = re.compile(
        re.escape(f".{target.name}.") + r"[a-z0-9_]{8}\.tmp"
    )  # as mkstemp names it
    for entry in target.parent.iterdir():
        if temporary.fullmatch(entry.name):
            entry.unlink(missing_ok=True)


def _mode_of(target: Path) -> int:
    """Return the permissions the file has, or would have if it were simply opened for writing."""
    try:
        return target.stat().st_mode & 0o777
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


def _sync_folder(folder: Path) -> None:
    """Make the renaming itself durable, where folders can be opened (not on Windows)."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
