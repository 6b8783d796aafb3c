"""Instructions of four kernels, counted by callgrind: numbers that do not drift with the machine.

    pytest bench/bench_instructions.py      # fails where a kernel is off its record by over 2%
    python bench/bench_instructions.py      # count anew, and record

Level ``base`` of the core, which valgrind runs on every x86-64.  What a unit of work costs is the
difference between two sizes, so that starting the program counts for nothing.  The counts belong
to a compiler: with another one they are not compared.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
RECORD = Path(__file__).parent / "instructions" / "counts.json"
TOLERANCE = 0.02

# kernel: (what a unit is, a size, a larger one)
KERNELS = {
    "polya-gamma": ("draw of PG(1, z)", 20_480, 61_440),
    "row": ("row, 64 particles, K = 4, d = 6, nothing retained", 40, 120),
    "scan": ("row, the same with all rows retained: scans at each resampling", 100, 200),
    "resampling": ("particle resampled", 20_000, 60_000),
}


def build(folder: Path) -> Path:
    configure = [
        "cmake", "-S", ROOT, "-B", folder, "-DHSMOE_PYTHON=OFF", "-DHSMOE_BENCH=ON",
        "-DHSMOE_LEVELS=base", f"-DPython_EXECUTABLE={sys.executable}",
    ]  # fmt: skip
    make = ["cmake", "--build", folder, "--parallel", "2", "--target", "kernels"]
    for command in (configure, make):
        subprocess.run(command, check=True, capture_output=True)
    return folder / "bench" / "kernels"


def compiler(folder: Path) -> str:
    """Name and major version of the compiler that a build folder uses."""
    (text,) = folder.glob("CMakeFiles/*/CMakeCXXCompiler.cmake")
    found = dict(re.findall(r'set\(CMAKE_CXX_COMPILER_(ID|VERSION) "([^"]*)"\)', text.read_text()))
    return f"{found['ID']} {found['VERSION'].split('.')[0]}"


def instructions(program: Path, kernel: str, size: int) -> int:
    callgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    command = [*callgrind, program, kernel, str(size)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    assert found is not None, done.stderr
    return int(found[1])


def count(program: Path, kernel: str) -> float:
    """Instructions of a unit of work."""
    _, small, large = KERNELS[kernel]
    more = instructions(program, kernel, large) - instructions(program, kernel, small)
    return more / (large - small)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    for tool in ("valgrind", "cmake"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    folder = tmp_path_factory.mktemp("instructions")
    program = build(folder)
    recorded = json.loads(RECORD.read_text())
    if (used := compiler(folder)) != recorded["compiler"]:
        pytest.skip(f"counts were recorded with {recorded['compiler']}, this is {used}")
    return program, recorded["instructions"]


@pytest.mark.parametrize("kernel", KERNELS)
def test_instructions(built, kernel):
    program, recorded = built
    now, before = count(program, kernel), recorded[kernel]
    assert now == pytest.approx(before, rel=TOLERANCE), (
        f"{kernel}: {now:,.0f} instructions a {KERNELS[kernel][0]}, recorded {before:,.0f}; "
        "if that is meant, run python bench/bench_instructions.py and commit the new counts"
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        program = build(Path(name))
        counts = {kernel: round(count(program, kernel), 1) for kernel in KERNELS}
        record = {"compiler": compiler(Path(name)), "instructions": counts}
    RECORD.write_text(json.dumps(record, indent=2) + "\n")
    for kernel, value in counts.items():
        print(f"{value:14,.1f}  {KERNELS[kernel][0]}")


if __name__ == "__main__":
    main()
