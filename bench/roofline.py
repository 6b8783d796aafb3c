"""How far a row of learning is from what one thread of this machine can do.

    python bench/roofline.py

Counts the bytes and operations of a row (nothing retained, balanced tree), measures the machine's
multiply-adds and its bandwidth at a working set as large as the population
(``bench/roofline/machine.cpp``, built for the SIMD level in use), and divides.  A block of W
particles lies in memory lane by lane, so what one of them updates is moved for all W: that is
counted, with W allocations as if drawn uniformly.  Random numbers, gathers, copies at a resampling
and everything per call are not counted: they are what stands between the bound and the time, with
what the pipelines lose.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from bench_row import ROWS, SIZES, _stream

import hsmoe

ROOT = Path(__file__).resolve().parent.parent
LANES = {"base": 2, "v3": 4, "v4": 8}
ELEMENTARY = 20  # operations of an exp, log or division of a lane


@dataclass(frozen=True)
class Work:
    """Of one row and one particle: bytes read, bytes read and written, operations."""

    read: float
    updated: float
    operations: float


def count(n_experts: int, d: int, lanes: int) -> Work:
    """What the formulas of the core ask for (see the headers named)."""
    K, p = n_experts, d
    expert = d * (d + 1) / 2 + d + 4  # factor, a, b, norm, b0: expert/gaussian.hpp
    node = p * (p + 1) / 2 + 4 * p  # A, h, phi, scales: gate/tree_layout.hpp

    def touched(of: float) -> float:  # different ones among so many, by W uniform choices
        return of * (1 - (1 - 1 / of) ** lanes)

    experts = touched(K)
    levels = int(np.ceil(np.log2(K)))
    nodes = sum(touched(min(2.0**level, K / 2)) for level in range(levels))
    read = 8 * (K * expert + (K - 1) * p)
    updated = 8 * (experts * expert + nodes * node)
    weigh = K * (d * (d - 1) + 5 * d + 3 * ELEMENTARY) + (K - 1) * (2 * p + 2 * ELEMENTARY)
    learn = experts * (2 * d * (d + 1) + d * ELEMENTARY) + nodes * (
        p * (p + 1) + 2 * p * p + 6 * p * ELEMENTARY
    )
    return Work(read, updated, weigh + learn)


def machine(sizes: list[int]) -> tuple[float, list[tuple[float, float]]]:
    """Operations a second; then bytes a second, read and updated, at each working set."""
    with tempfile.TemporaryDirectory() as folder:
        configure = [
            "cmake", "-S", ROOT, "-B", folder, "-DHSMOE_PYTHON=OFF", "-DHSMOE_BENCH=ON",
            f"-DHSMOE_LEVELS={hsmoe.simd_level()}", f"-DPython_EXECUTABLE={sys.executable}",
        ]  # fmt: skip
        for command in (configure, ["cmake", "--build", folder, "--target", "machine"]):
            subprocess.run(command, check=True, capture_output=True)
        program = Path(folder) / "bench" / "machine"
        command = [str(program), *map(str, sizes)]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    flops, *lines = out.splitlines()
    found = [line.split() for line in lines]
    return float(flops.split()[1]), [(float(words[2]), float(words[4])) for words in found]


def learn(n_experts: int, n_particles: int, d: int) -> tuple[float, int]:
    """Processor time of a row, and the bytes of the model."""
    X, y = _stream(d)
    model = hsmoe.HSMoERegressor(
        n_experts, n_particles, 1, retain=0, standardize=False, random_state=0
    )
    model.partial_fit(X[:100], y[:100])
    began = time.process_time()
    model.partial_fit(X[100:], y[100:])
    return (time.process_time() - began) / ROWS, model.nbytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    runs = {
        size: [learn(size[1], size[0], size[2]) for _ in range(options.rounds)] for size in SIZES
    }
    flops, bandwidths = machine([run[0][1] for run in runs.values()])
    print(
        f"SIMD level {hsmoe.simd_level()}, {flops / 1e9:.0f} GFlop/s, least of {options.rounds}\n"
    )
    print(
        "| N, K, d | model, MB | GB/s read | GB/s updated | bytes a particle and row | operations "
        "| us, memory | us, arithmetic | us, measured | reached |"
    )
    print("|---|" + "---|" * 9)
    for (size, run), (read, update) in zip(runs.items(), bandwidths, strict=True):
        N, K, d = size
        work = count(K, d, LANES[hsmoe.simd_level()])
        memory = N * (work.read / read + 2 * work.updated / update)
        arithmetic = N * work.operations / flops
        measured, nbytes = min(run)
        moved = work.read + 2 * work.updated
        print(
            f"| {N}, {K}, {d} | {nbytes / 1e6:.1f} "
            f"| {read / 1e9:.0f} | {update / 1e9:.0f} | {moved:,.0f} "
            f"| {work.operations:,.0f} | {1e6 * memory:,.0f} | {1e6 * arithmetic:,.0f} "
            f"| {1e6 * measured:,.0f} | {max(memory, arithmetic) / measured:.0%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
