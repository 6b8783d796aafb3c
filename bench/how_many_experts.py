"""How often each strategy finds the true number of experts: evidence, merging, dendrogram.

Three linear regimes (``three_regimes`` of ``statistical.py``), so three is right:

    python bench/how_many_experts.py --seeds 10 --jobs 2

Evidence compares models of 1, 2, 3, 4 and 6 experts; merging starts from the model of 6.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

from statistical import three_regimes

import hsmoe

CANDIDATES = (1, 2, 3, 4, 6)


def one_run(job: tuple[int, int, int]) -> tuple[int, int, int, float, float]:
    """Return the numbers that the strategies choose, and the seconds of learning and of merging."""
    n, n_particles, seed = job
    X, y = three_regimes(seed, n)
    estimator = hsmoe.HSMoERegressor(
        n_particles=n_particles, n_islands=4, forgetting=1.0, random_state=seed
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        began = time.perf_counter()
        selection = hsmoe.select_n_experts(estimator, X, y, CANDIDATES)
        learned = time.perf_counter()
        merged = hsmoe.merge_experts(selection.models[max(CANDIDATES)])
        done = time.perf_counter()
    chosen = (selection.best, merged.n_experts, merged.n_experts_by_criterion)
    return *chosen, learned - began, done - learned


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seeds", type=int, default=10, help="data sets of each size (10)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2)")
    parser.add_argument("--particles", type=int, default=32, help="of each of four islands (32)")
    given = parser.parse_args()
    print("| rows | evidence | merge-truncate-merge | dendrogram | s, evidence | s, merging |")
    print("|---|---|---|---|---|---|")
    for n in (200, 500, 1000, 2000):
        work = [(n, given.particles, seed) for seed in range(given.seeds)]
        with ProcessPoolExecutor(given.jobs) as pool:
            *choices, learning, merging = zip(*pool.map(one_run, work), strict=True)
        cells = [
            ", ".join(f"{k}: {times}" for k, times in sorted(Counter(found).items()))
            for found in choices
        ]
        seconds = [f"{sum(times) / len(times):.1f}" for times in (learning, merging)]
        print(f"| {n:,} | {' | '.join(cells + seconds)} |", flush=True)


if __name__ == "__main__":
    main()
