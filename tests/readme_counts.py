"""The numbers of passed checks that the README states, held against those of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

README = Path(__file__).resolve().parent.parent / "README.md"


def release_of(version: str) -> str:
    return ".".join(version.split(".")[:2])


def compare(name: str, suite: str, version: str, passed: int, total: int) -> None:
    """Fail unless the README says so; skip if it speaks of another release of the suite."""
    readme = README.read_text(encoding="utf-8")
    named = f"{suite} {release_of(version)}"
    if named not in readme:
        pytest.skip(f"the README counts the checks of another release than {named}")
    assert f"| `{name}` | {named} | {passed} of {total} |" in readme, f"{name}: {passed} of {total}"
