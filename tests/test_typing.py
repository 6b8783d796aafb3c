"""The types that users see: a script that uses every public class passes mypy --strict and runs."""

from __future__ import annotations

import importlib.util
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

import hsmoe

SCRIPT = Path(__file__).resolve().parent / "typing" / "user_script.py"


def test_the_script_uses_every_public_name():
    text = SCRIPT.read_text(encoding="utf-8")
    missing = [
        name
        for name in hsmoe.__all__
        if name not in text and not inspect.ismodule(getattr(hsmoe, name)) and name != "load"
    ]
    assert missing == []


def test_the_script_runs(tmp_path):
    done = subprocess.run(
        [sys.executable, "-P", str(SCRIPT)], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def strict(script, tmp_path):
    """Check a script against the installed package, with nothing but --strict."""
    environment = {k: v for k, v in os.environ.items() if k not in ("MYPYPATH", "PYTHONPATH")}
    command = [sys.executable, "-P", "-m", "mypy", "--strict", "--config-file="]
    return subprocess.run(
        [*command, "--cache-dir", str(tmp_path / "cache"), str(script)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )


@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed")
def test_the_script_is_typed(tmp_path):
    done = strict(SCRIPT, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed")
def test_wrong_types_are_found(tmp_path):
    """The package is typed for its users, not silently Any."""
    script = tmp_path / "wrong.py"
    script.write_text(
        "import hsmoe\n"
        "model = hsmoe.HSMoERegressor()\n"
        "text: str = model.log_evidence_\n"
        "level: int = hsmoe.simd_level()\n"
        "model.no_such_method()\n"
        "pdf: str = hsmoe.polyagamma_pdf(0.2)\n"
    )
    done = strict(script, tmp_path)
    assert done.returncode == 1
    for line in (3, 4, 5, 6):
        assert f"wrong.py:{line}: error" in done.stdout, done.stdout
