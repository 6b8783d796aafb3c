"""Speed as ratios to what a user would write or pick, each measured in one run, interleaved.

    python bench/speed.py
    python bench/speed.py --rounds 5 --only row,pg

A line gives the work, the median time of both sides, their ratio, and what is aimed at.  The aims
are those of a machine with AVX-512; one thread unless said.  A rejuvenated run has no other side
here: its aim is a time, a tenth of the 11 s of a plain C++ prototype on the machine of
``docs/statistics.md`` when nothing else runs there.
"""

# ruff: noqa: E402
from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

# One thread for the other side too: two BLAS threads on a busy machine wait for each other.
for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np
from bench_row import ROWS, SIZES, _stream
from numpy_reference import NumpyParticleLearner
from statistical import three_regimes

import hsmoe
from hsmoe.random import random_polyagamma

try:
    import polyagamma
except ImportError:
    polyagamma = None
try:
    from particles import resampling as particles_resampling
except ImportError:
    particles_resampling = None


@dataclass(frozen=True)
class Comparison:
    """Two ways to do the same work; each returns the seconds of one round."""

    work: str
    ours: Callable[[], float]
    other: Callable[[], float] | None
    aim: str


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def row(size: tuple[int, int, int], aim: str) -> Comparison:
    n_particles, n_experts, d = size
    X, y = _stream(d)
    design = np.c_[np.ones(len(y)), X]

    def ours() -> float:
        model = hsmoe.HSMoERegressor(
            n_experts, n_particles, 1, retain=0, standardize=False, random_state=0
        )
        model.partial_fit(X[:100], y[:100])
        return seconds(lambda: model.partial_fit(X[100:], y[100:])) / ROWS

    def other() -> float:
        learner = NumpyParticleLearner(n_experts, n_particles, d, d, rng=0)
        rows = 5 if n_experts > 8 else 20
        for i in range(5):
            learner.step(design[i], design[i], y[i])

        def learn() -> None:
            for i in range(5, 5 + rows):
                learner.step(design[i], design[i], y[i])

        return seconds(learn) / rows

    return Comparison(f"row, N={n_particles} K={n_experts} d={d}, against NumPy", ours, other, aim)


def rejuvenated(n_jobs: int, n_particles: int = 1000) -> float:
    X, y = three_regimes(0)
    model = hsmoe.HSMoERegressor(
        4, n_particles, 1, gate="comb", retain=None, forgetting=1.0, standardize=False,
        random_state=0, n_jobs=n_jobs,
    )  # fmt: skip
    return seconds(lambda: model.partial_fit(X, y))


def comparisons() -> Iterator[tuple[str, Comparison]]:
    if polyagamma is not None:
        z = np.random.default_rng(1).normal(0.0, 2.0, 1_000_000)
        rng = np.random.default_rng(2)
        yield (
            "pg",
            Comparison(
                "PG(1, z), z ~ N(0, 4), 1e6 draws, against polyagamma",
                lambda: seconds(lambda: random_polyagamma(1, z, random_state=rng)),
                lambda: seconds(lambda: polyagamma.random_polyagamma(1, z, random_state=rng)),
                "8 (AVX2: 4)",
            ),
        )
    for size, aim in zip(SIZES, ("15", "15", "40"), strict=True):
        yield "row", row(size, aim)
    if particles_resampling is not None:
        W = np.random.default_rng(3).exponential(size=100_000)
        W /= W.sum()
        yield (
            "resampling",
            Comparison(
                "systematic resampling, N=1e5, against particles",
                lambda: seconds(lambda: hsmoe.resampling.systematic(W, rng=0)),
                lambda: seconds(lambda: particles_resampling.systematic(W)),
                "4",
            ),
        )
    yield (
        "run",
        Comparison("rejuvenated run, N=1000 n=1000 K=4 d=6", lambda: rejuvenated(1), None, "1.1 s"),
    )
    yield (
        "threads",
        Comparison(
            "rejuvenated run, N=1000, two threads against one",
            lambda: rejuvenated(2),
            lambda: rejuvenated(1),
            "1.8",
        ),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="pg,row,resampling,run,threads")
    options = parser.parse_args()
    print(f"SIMD level {hsmoe.simd_level()}, {options.rounds} interleaved rounds, medians\n")
    print("| work | ms | other, ms | ratio | aim |\n|---|---|---|---|---|")
    for name, c in comparisons():
        if name not in options.only.split(","):
            continue
        pairs = [(c.ours(), c.other() if c.other else np.nan) for _ in range(options.rounds)]
        ours, other = np.median(pairs, axis=0)
        ratio = f"{other / ours:.1f}" if c.other else ""
        print(
            f"| {c.work} | {1e3 * ours:.3g} | {1e3 * other:.3g} | {ratio} | {c.aim} |", flush=True
        )


if __name__ == "__main__":
    main()
