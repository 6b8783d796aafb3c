"""A short form of ``tests/loader_fuzz.py``, which goes on for as long as one likes."""

import io
import os
import signal
import zipfile

import pytest
from loader_fuzz import HEADER, damaged_file, models, seal, try_files

import hsmoe
from hsmoe.checkpoint import pack, unpack

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


@pytest.fixture(scope="module")
def files():
    return models()


def test_damaged_files_are_refused_or_usable(files):
    counts, failures = try_files(range(400), files)
    assert not failures
    assert sum(counts.values()) == 400
    assert counts["refused"] > 200 and counts["used"] > 20  # both are tried


def test_a_crash_would_be_seen(files, monkeypatch):
    """The harness itself: what kills the child, and what raises in it, is reported by number."""

    def use(data, folder):
        number.append(len(data))
        if len(number) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        if len(number) == 2:
            raise TypeError("not an error of the loader")
        return "used"

    number = []
    monkeypatch.setattr("loader_fuzz.use", use)
    counts, failures = try_files(range(5), files)
    assert counts["FAILED"] >= 1 and counts["CRASHED"] >= 1
    assert any("not an error of the loader" in failure for failure in failures)
    assert any("ended with status" in failure for failure in failures)


def test_a_file_is_found_again_by_its_number(files):
    assert [damaged_file(n, files) for n in range(20)] == [
        damaged_file(n, files) for n in range(20)
    ]


@pytest.mark.parametrize("depth", [400, 900, 5_000, 200_000])
@pytest.mark.parametrize("where", ["parameters", "tuning", "seeds", "names"])
def test_nested_too_deep(depth, where, files, tmp_path):
    metadata, arrays = unpack(files["default"])
    metadata["state"][where] = "HERE"
    shallow = pack(metadata, arrays)
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(shallow[HEADER.size :])) as old,
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as new,
    ):
        for member in old.infolist():
            nested = b'{"type": "tuple", "value": [' * depth + b"]}" * depth
            new.writestr(member.filename, old.read(member).replace(b'"HERE"', nested))
    path = tmp_path / "deep.hsmoe"
    path.write_bytes(seal(buffer.getvalue()))
    with pytest.raises(hsmoe.CheckpointError):
        hsmoe.load(path)
