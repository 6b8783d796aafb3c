"""How the time of a row grows with particles, experts, features, rows and threads.

    python bench/scaling.py
    python bench/scaling.py --only "d;K" --rounds 5 --plot scaling.png

Processor time (wall time for threads), the sizes interleaved and the least of all rounds.  The
slope is that of a straight line through the logarithms: 1 is proportional.  Rows come from three
regimes, so that beyond three experts the others have nothing to do.  Where rows are retained
("K, scans") those are nearly always without rows; where none is (the rest, but for n) rows once
learned stay with the expert that learned them, and all experts have some.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import hsmoe


@dataclass(frozen=True)
class Study:
    """One argument varied: its values, the settings for each, and the slope aimed at."""

    values: tuple[int, ...]
    settings: Callable[[int], dict[str, Any]]
    aim: str
    first: int = 100  # rows learned before the clock starts
    rows: int = 60
    wall: bool = False


def settings(N: int = 256, K: int = 4, d: int = 8, **others: Any) -> dict[str, Any]:
    """Of a model, and d, the number of columns of its designs."""
    return {"d": d, "n_experts": K, "n_particles": N, "n_islands": 1, "retain": 0, **others}


STUDIES = {
    "N": Study((64, 128, 256, 512, 1024, 2048), lambda N: settings(N=N), "1.0"),
    "K": Study((4, 8, 16, 32, 64), lambda K: settings(K=K), ""),
    "K, scans": Study(
        (3, 8, 16, 32, 64),
        lambda K: settings(K=K, N=64, d=16, retain=500, forgetting=1.0),
        "below 1",
        first=2500,
        rows=1000,
    ),
    "d": Study((4, 8, 16, 32, 64), lambda d: settings(d=d), "2.1"),
    "n": Study(
        (4000, 16000, 64000),
        lambda n: {**settings(N=32, retain=500), "n": n},
        "1.0",
        first=2500,
    ),
    "threads": Study((1, 2), lambda j: settings(N=2048, n_jobs=j), "-0.85 (1.8x)", wall=True),
}


@dataclass
class Stream:
    """Rows of three linear regimes told apart by the first feature."""

    d: int
    n: int
    X: np.ndarray = field(init=False)
    y: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(0)
        self.X = rng.normal(size=(self.n, self.d - 1))
        coefficients = rng.normal(size=(3, self.d)) * 4 / np.sqrt(self.d)
        regime = np.digitize(self.X[:, 0], [-0.5, 0.5])
        mean = np.einsum("ij,ij->i", np.c_[np.ones(self.n), self.X], coefficients[regime])
        self.y = mean + 0.3 * rng.normal(size=self.n)


def seconds(study: Study, value: int) -> float:
    """Time of one row (of all of them where their number varies)."""
    given = study.settings(value)
    d, n = given.pop("d"), given.pop("n", 0)
    stream = Stream(d, study.first + (n or study.rows))
    model = hsmoe.HSMoERegressor(standardize=False, random_state=0, **given)
    model.partial_fit(stream.X[: study.first], stream.y[: study.first])
    clock = time.perf_counter if study.wall else time.process_time
    began = clock()
    model.partial_fit(stream.X[study.first :], stream.y[study.first :])
    return (clock() - began) / (1 if n else study.rows)


def slope(values: tuple[int, ...], times: np.ndarray) -> float:
    """Least squares through the logarithms."""
    return float(np.polyfit(np.log(values), np.log(times), 1)[0])


def plot(results: dict[str, tuple[tuple[int, ...], np.ndarray]], file: str) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.2 * len(results), 3.2), layout="constrained")
    axes = figure.subplots(1, len(results), squeeze=False)[0]
    for axis, (name, (values, times)) in zip(axes, results.items(), strict=True):
        axis.loglog(values, 1e6 * times, "o-")
        axis.set(xlabel=name, title=f"slope {slope(values, times):.2f}", xticks=values)
        axis.set_xticklabels(values)
        axis.minorticks_off()
    axes[0].set_ylabel("µs")
    figure.savefig(file, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=";".join(STUDIES), help="studies, with ; between")
    parser.add_argument("--plot", metavar="FILE", help="draw time against each argument")
    options = parser.parse_args()
    names = options.only.split(";")
    if unknown := set(names) - set(STUDIES):
        parser.error(f"--only: there is no study {', '.join(sorted(unknown))}")
    print(f"SIMD level {hsmoe.simd_level()}, least of {options.rounds} interleaved rounds\n")
    print("| varied | values | us a row (n: of all) | slope | aim |\n|---|---|---|---|---|")
    results = {}
    for name in names:
        study = STUDIES[name]
        rounds = [[seconds(study, v) for v in study.values] for _ in range(options.rounds)]
        times = np.min(rounds, axis=0)
        results[name] = (study.values, times)
        values = ", ".join(f"{v:,}" for v in study.values)
        shown = ", ".join(f"{1e6 * t:,.3g}" if t < 1 else f"{1e6 * t:,.0f}" for t in times)
        print(
            f"| {name} | {values} | {shown} | {slope(study.values, times):.2f} | {study.aim} |",
            flush=True,
        )
    if options.plot:
        plot(results, options.plot)


if __name__ == "__main__":
    main()
