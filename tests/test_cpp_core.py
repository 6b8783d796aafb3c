"""Build the tests of the core without Python, and run them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed")
    if not any(shutil.which(c) for c in (os.environ.get("CXX"), "c++", "g++", "clang++") if c):
        pytest.skip("no C++ compiler")
    folder = tmp_path_factory.mktemp("cpp")
    commands = [
        ["cmake", "-S", ROOT, "-B", folder, "-DHSMOE_PYTHON=OFF", "-DHSMOE_TESTS=ON",
         "-DHSMOE_LEVELS=base", f"-DPython_EXECUTABLE={sys.executable}"],
        ["cmake", "--build", folder, "--parallel", "2"],
    ]  # fmt: skip
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return folder


@pytest.mark.parametrize("name", sorted(p.stem for p in (ROOT / "cpp/tests").glob("test_*.cpp")))
def test_core(build, name):
    done = subprocess.run([build / "cpp" / "tests" / name], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
