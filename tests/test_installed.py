"""What the installed distribution holds: licences, stubs, and no vector code in the base."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import hsmoe


def _files() -> list[importlib.metadata.PackagePath]:
    files = importlib.metadata.files("hsmoe")
    assert files is not None
    return files


def test_licences_are_shipped():
    licences = {p.name: p.read_text() for p in _files() if "licenses" in str(p)}
    assert "Redistribution and use" in licences["LICENSE"]
    assert "Mozilla Public License Version 2.0" in licences["MPL-2.0.txt"]


def test_typing_and_cython_files_are_shipped():
    names = {str(p) for p in _files()}
    assert {"hsmoe/py.typed", "hsmoe/random.pxd", "hsmoe/random.pyi"} <= names
    assert not any(n.endswith((".pyx", ".cpp", ".hpp")) for n in names)


def test_no_eigen_source_is_shipped():
    assert not any("Eigen/" in str(p) for p in _files())


def test_version_is_one():
    assert importlib.metadata.version("hsmoe") == hsmoe.__version__
    assert hsmoe.build_config()["version"] == hsmoe.__version__


def test_citation_has_the_version():
    citation = (Path(__file__).resolve().parent.parent / "CITATION.cff").read_text()
    assert f"\nversion: {hsmoe.__version__}\n" in citation


def test_base_level_holds_no_vector_code_beyond_its_level():
    """Every x86-64 runs the base module: no AVX register may appear in it."""
    if hsmoe.build_config()["platform"] != "linux-x86_64":
        pytest.skip("the levels are those of x86-64")
    objdump = shutil.which("objdump")
    if objdump is None:
        pytest.skip("objdump is not installed")
    (module,) = Path(hsmoe.__file__).parent.glob("_core_base.*.so")
    code = subprocess.run([objdump, "-d", module], capture_output=True, text=True, check=True)
    assert len(code.stdout) > 100_000
    assert not re.search(r"%[yz]mm", code.stdout)
