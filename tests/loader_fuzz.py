"""Damage model files in ways that a checksum does not show, and watch what the loader does.

    python tests/loader_fuzz.py --minutes 60

A file is taken apart, one or a few of its parts are changed, and it is sealed again with a right
checksum.  Loading it must end in :class:`hsmoe.CheckpointError` or in a model that forecasts,
learns and is saved, or refuses with an error of its own; without a crash, a hang, another exception
or memory that the size of the file does not justify.  What is changed depends on the seed alone, so
a failure is found again by its number.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import signal
import struct
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import hsmoe
from hsmoe.checkpoint import FORMAT_VERSION, MAGIC, pack, unpack

HEADER = struct.Struct("<8sIQ32s")
SECONDS = 20  # for one file, the rows after it included
ROOM = 64 << 20  # bytes that may be taken whatever the file's size
FACTOR = 40  # bytes that may be taken for a byte of the file

NUMBERS = [0, 1, -1, 2, 3, 7, 127, 255, 2**31, 2**32, 2**53, 2**63 - 1, -(2**63), 10**30, 0.5, -0.5]
NUMBERS += [1e-300, 1e300, 1e18, float("nan"), float("inf"), float("-inf"), True, False]
THINGS = [None, "", "x", "softmax", [], {}, [0], {"type": "dict", "value": []}, {"type": "tuple"}]
THINGS += [{"type": "Generator", "value": {}}, {"type": "ndarray", "value": [1], "dtype": "O"}]
DTYPES = ["<f8", "<f4", "<i8", "<i4", "<u8", "|b1", ">f8", "<u2"]


def models() -> dict[str, bytes]:
    """One small file of every kind of model."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(70, 2))
    y = np.abs(X[:, 0]) + 0.1 * rng.normal(size=70)
    size = {"n_particles": 3, "n_islands": 2, "n_warmup": 20, "random_state": 1}
    regressor = hsmoe.HSMoERegressor
    made = {
        "default": regressor(3, **size).partial_fit(X, y),
        "frozen": regressor(3, retain=10, **size).partial_fit(X, y),
        "plain": regressor(3, retain=0, **size).partial_fit(X, y),
        "softmax": regressor(3, gate="softmax", **size).partial_fit(X, y),
        "laplace": regressor(3, gate="laplace", **size).partial_fit(X, y),
        "student": regressor(2, expert=hsmoe.StudentExpert(), **size).partial_fit(X, y),
        "group": regressor(3, gate_prior=hsmoe.GroupHorseshoePrior(), **size).partial_fit(X, y),
        "variational": regressor(3, inference="variational", **size).partial_fit(X, y),
        "changing": regressor(hsmoe.ChangingExperts(3, 0.05), **size).partial_fit(X, y),
        "waiting": regressor(3, **size).partial_fit(X[:5], y[:5]),
        "new": regressor(3, random_state=np.random.default_rng(1)),
        "classes": hsmoe.HSMoEClassifier(2, **size).partial_fit(
            X, np.digitize(X[:, 0], [-0.4, 0.4]), classes=[0, 1, 2]
        ),
        "counts": hsmoe.HSMoECountRegressor(2, **size).partial_fit(
            X, rng.poisson(1 + X[:, 0] ** 2)
        ),
    }
    return {name: model.to_bytes() for name, model in made.items()}


def seal(payload: bytes) -> bytes:
    digest = hashlib.sha256(payload).digest()
    return HEADER.pack(MAGIC, FORMAT_VERSION, len(payload), digest) + payload


def one_of(rng: np.random.Generator, values: Any) -> Any:
    return values[int(rng.integers(len(values)))]


def changed_bytes(rng: np.random.Generator, data: bytes) -> bytes:
    """Flip, cut, repeat or swap bytes of the archive."""
    payload = bytearray(data[HEADER.size :])
    for _ in range(int(rng.integers(1, 6))):
        at = int(rng.integers(len(payload)))
        length = int(rng.integers(1, 40))
        match int(rng.integers(4)):
            case 0:
                payload[at] ^= 1 << int(rng.integers(8))
            case 1:
                del payload[at : at + length]
            case 2:
                payload[at:at] = payload[at : at + length]
            case 3:
                payload[at : at + length] = rng.bytes(length)
        if not payload:
            break
    return seal(bytes(payload))


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths to everything inside a JSON value."""
    entries: Any = ()
    if isinstance(value, dict):
        entries = value.items()
    elif isinstance(value, list):
        entries = enumerate(value)
    inner = [path] if path else []
    for key, entry in entries:
        inner += places(entry, (*path, key))
    return inner


def changed_metadata(rng: np.random.Generator, data: bytes) -> bytes:
    metadata, arrays = unpack(data)
    for _ in range(int(rng.integers(1, 4))):
        path = one_of(rng, places(metadata))
        holder = metadata
        for key in path[:-1]:
            holder = holder[key]
        match int(rng.integers(5)):
            case 0:
                del holder[path[-1]]
            case 1:
                holder[path[-1]] = one_of(rng, NUMBERS)
            case 2:
                holder[path[-1]] = one_of(rng, THINGS)
            case 3:
                other: Any = metadata
                for key in one_of(rng, places(metadata)):
                    other = other[key]
                holder[path[-1]] = json.loads(json.dumps(other))
            case 4:
                nested: Any = holder[path[-1]]
                for _ in range(int(rng.integers(1, 40))):
                    nested = [nested] if rng.random() < 0.99 else {"type": "tuple", "value": nested}
                holder[path[-1]] = nested
        if not places(metadata):
            break
    return pack(metadata, arrays)


def changed_array(rng: np.random.Generator, array: np.ndarray) -> np.ndarray:
    if array.size == 0:
        return np.zeros(int(rng.integers(1, 5)), dtype=array.dtype)
    flat = array.ravel().copy()
    match int(rng.integers(9)):
        case 0 | 1 | 2 | 3:
            for _ in range(int(rng.integers(1, 4))):
                value = one_of(rng, NUMBERS)
                with np.errstate(all="ignore"), warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    try:
                        flat[int(rng.integers(len(flat)))] = np.array(value).astype(array.dtype)
                    except (OverflowError, ValueError):
                        pass
            return flat.reshape(array.shape)
        case 4:
            bits = flat.view(np.uint8)
            bits[int(rng.integers(len(bits)))] ^= np.uint8(1 << int(rng.integers(8)))
            return flat.reshape(array.shape)
        case 5:
            return flat[: int(rng.integers(len(flat)))]
        case 6:
            return np.concatenate([flat, flat])[: int(rng.integers(1, 2 * len(flat)))]
        case 7:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return array.astype(one_of(rng, DTYPES))
        case _:
            return flat[rng.permutation(len(flat))].reshape(array.shape)


def changed_arrays(rng: np.random.Generator, data: bytes) -> bytes:
    metadata, arrays = unpack(data)
    if not arrays:
        return changed_metadata(rng, data)
    for _ in range(int(rng.integers(1, 3))):
        name = one_of(rng, sorted(arrays))
        if rng.random() < 0.05:
            del arrays[name]
        elif rng.random() < 0.05:
            arrays[name] = arrays[one_of(rng, sorted(arrays))]
        else:
            arrays[name] = changed_array(rng, arrays[name])
        if not arrays:
            break
    return pack(metadata, arrays)


CHANGES: list[Callable[[np.random.Generator, bytes], bytes]] = [
    changed_bytes,
    changed_metadata,
    changed_arrays,
    changed_arrays,
]


def damaged_file(seed: int, files: dict[str, bytes]) -> tuple[str, bytes]:
    rng = np.random.default_rng(seed)
    name = one_of(rng, sorted(files))
    try:
        return name, one_of(rng, CHANGES)(rng, files[name])
    except RecursionError:  # nested too deep to be written
        return name, changed_bytes(rng, files[name])


def use(data: bytes, folder: str) -> str:
    """Load a file and use the model; say how it went, or raise what must not be raised."""
    path = Path(f"{folder}/model.hsmoe")
    path.write_bytes(data)
    try:
        model = hsmoe.load(path)
    except hsmoe.CheckpointError:
        return "refused"
    rng = np.random.default_rng(1)
    X = rng.normal(size=(6, 2))
    y = rng.integers(0, 3, size=6)
    before = model.to_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if model._state is not None and model._state.engine is not None:
                model.predict(X)
            model.partial_fit(X, y)
            model.predict(X) if model._state.engine is not None else None
        except (ValueError, ArithmeticError):
            if model.to_bytes() != before:
                raise AssertionError("a failed call changed the model") from None
            return "refuses to go on"
    if len(model.to_bytes()) == 0:
        raise AssertionError("a model of no bytes")
    return "used"


def peak() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def try_file(seed: int, files: dict[str, bytes]) -> str:
    """Say how the file of this number was taken; raises what must not be."""
    _, data = damaged_file(seed, files)
    at_first = peak()
    signal.alarm(SECONDS)
    with tempfile.TemporaryDirectory() as folder:
        how = use(data, folder)
    signal.alarm(0)
    if peak() - at_first > ROOM + FACTOR * len(data):
        raise AssertionError(f"{peak() - at_first:,} bytes taken for a file of {len(data):,}")
    return how


def try_files(seeds: range, files: dict[str, bytes]) -> tuple[Counter[str], list[str]]:
    """Try files in child processes, so that a crash is a result; the counts and the failures."""
    counts: Counter[str] = Counter()
    failures = []
    at = seeds.start
    while at < seeds.stop:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            for seed in range(at, seeds.stop):
                os.write(writer, struct.pack("<q", seed))
                try:
                    line = try_file(seed, files)
                except BaseException:
                    line = "FAILED " + traceback.format_exc(limit=-3)
                signal.alarm(0)
                text = line.encode()
                os.write(writer, struct.pack("<q", len(text)) + text)
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as answers:
            while number := answers.read(8):
                (at,) = struct.unpack("<q", number)
                size = answers.read(8)
                if len(size) < 8:
                    break
                line = answers.read(struct.unpack("<q", size)[0]).decode()
                if line.startswith("FAILED"):
                    failures.append(f"{at} ({damaged_file(at, files)[0]}): {line}")
                    line = "FAILED"
                counts[line] += 1
                at += 1
        _, status = os.waitpid(child, 0)
        if status:
            failures.append(f"{at} ({damaged_file(at, files)[0]}): ended with status {status}")
            counts["CRASHED"] += 1
            at += 1
    return counts, failures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--first", type=int, default=0, help="number of the first file")
    parser.add_argument("--only", type=int, help="the file of this number alone, in this process")
    given = parser.parse_args()
    files = models()
    if given.only is not None:
        print(damaged_file(given.only, files)[0], try_file(given.only, files))
        return
    total: Counter[str] = Counter()
    end, at, n_failures = time.monotonic() + 60 * given.minutes, given.first, 0
    while time.monotonic() < end:
        counts, failures = try_files(range(at, at + 500), files)
        total += counts
        at += 500
        n_failures += len(failures)
        for failure in failures:
            print(failure, flush=True)
    print(f"files {given.first} to {at - 1}: {dict(total)}; {n_failures} failures")
    sys.exit(n_failures > 0)


if __name__ == "__main__":
    main()
