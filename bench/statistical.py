"""Statistical quality of the answers: how much they depend on the seed, and what forgetting costs.

Each study prints a table in Markdown, with the settings and the time of a run:

    python bench/statistical.py modes --seeds 20
    python bench/statistical.py drift --seeds 10
    python bench/statistical.py modes --seeds 5 --set n_islands=8 --set gate=comb

The data are made here, from fixed seeds, with known truth.  Runs are spread over processes
(``--jobs``); times are those of a run on one thread beside the others.
"""

from __future__ import annotations

import argparse
import ast
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np

import hsmoe

Rows = tuple[np.ndarray, np.ndarray]


def three_regimes(seed: int, n: int = 1000, d: int = 5) -> Rows:
    """Three linear regimes under a softmax of two features; noise 0.3, 0.6 and 0.2."""
    rng = np.random.default_rng(seed)
    X = np.c_[np.ones(n), rng.normal(size=(n, d))]
    coefficients = rng.normal(size=(3, d + 1))
    logits = np.c_[2 * X[:, 1], 2 * X[:, 2], np.zeros(n)]
    regime = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    noise = np.array([0.3, 0.6, 0.2])[regime] * rng.normal(size=n)
    return X[:, 1:], (X * coefficients[regime]).sum(axis=1) + noise


def two_regimes(seed: int, n: int, change_at: int | None) -> Rows:
    """Two regimes told apart by one feature; all coefficients are new from ``change_at`` on."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    before, after = rng.normal(size=(2, 2, 4))
    design = np.c_[np.ones(n), X]
    right = (X[:, 0] + 0.3 * rng.normal(size=n) > 0.4).astype(int)
    y = (design * before[right]).sum(axis=1)
    if change_at is not None:
        y[change_at:] = (design * after[right]).sum(axis=1)[change_at:]
    return X, y + 0.3 * rng.normal(size=n)


def one_run(job: tuple[Rows, dict[str, Any], int]) -> tuple[float, float, float]:
    """Return log evidence, mean log score of the second half, and seconds."""
    (X, y), settings, seed = job
    began = time.perf_counter()
    model = hsmoe.HSMoERegressor(**{"standardize": False, **settings}, random_state=seed)
    forecast = model.prequential(X, y, crps=False)
    late = float(np.nanmean(forecast.log_density[len(y) // 2 :]))
    return model.log_evidence_, late, time.perf_counter() - began


def runs(
    streams: dict[str, Rows], settings: dict[str, Any], seeds: int, jobs: int
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the name of each stream and its results, shape (seeds, 3)."""
    with ProcessPoolExecutor(jobs) as pool:
        for name, rows in streams.items():
            work = [(rows, settings, seed) for seed in range(seeds)]
            yield name, np.array(list(pool.map(one_run, work)))


def modes(settings: dict[str, Any], seeds: int, jobs: int) -> None:
    """Spread of the log evidence between seeds, where a fourth expert has nothing to do."""
    print(f"n = 1000, d = 6, three regimes; settings {settings or 'default'}; {seeds} seeds\n")
    print("| set | best | mean | sd | worst - best | sd of the late log score | seconds |")
    print("|---|---|---|---|---|---|---|")
    streams = {str(seed): three_regimes(seed) for seed in range(3)}
    for name, result in runs(streams, settings, seeds, jobs):
        evidence, late, seconds = result.T
        print(
            f"| {name} | {evidence.max():.1f} | {evidence.mean():.1f} | {evidence.std(ddof=1):.2f} "
            f"| {evidence.min() - evidence.max():.1f} | {late.std(ddof=1):.4f} "
            f"| {seconds.mean():.1f} |",
            flush=True,
        )


def drift(settings: dict[str, Any], seeds: int, jobs: int) -> None:
    """Late log score, in nats a row, with and without forgetting: a change at row 3000, or none."""
    streams = {
        "change": two_regimes(0, 6000, change_at=3000),
        "static": two_regimes(0, 6000, change_at=None),
    }
    print(f"n = 6000, log score of rows 3000 to 6000; settings {settings or 'default'}\n")
    print("| forgetting | stream | log score | sd between seeds | seconds |")
    print("|---|---|---|---|---|")
    for forgetting in (1.0, 0.999, 0.99, "auto"):
        chosen = {"n_islands": 4, **settings, "forgetting": forgetting}
        for name, result in runs(streams, chosen, seeds, jobs):
            _, late, seconds = result.T
            print(
                f"| {forgetting} | {name} | {late.mean():.4f} | {late.std(ddof=1):.4f} "
                f"| {seconds.mean():.1f} |",
                flush=True,
            )


STUDIES: dict[str, Callable[[dict[str, Any], int, int], None]] = {"modes": modes, "drift": drift}


def setting(text: str) -> tuple[str, Any]:
    """Read ``name=value``; a value that is no Python literal is a string."""
    name, _, value = text.partition("=")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("study", choices=[*STUDIES, "all"], help="what to measure")
    parser.add_argument("--seeds", type=int, default=20, help="runs of each stream (20)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2)")
    parser.add_argument(
        "--set",
        type=setting,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of HSMoERegressor other than its default; may be repeated",
    )
    arguments = parser.parse_args()
    names = list(STUDIES) if arguments.study == "all" else [arguments.study]
    for name in names:
        print(f"\n## {name}\n")
        STUDIES[name](dict(arguments.set), arguments.seeds, arguments.jobs)


if __name__ == "__main__":
    main()
