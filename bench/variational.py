"""Variational inference: what a row costs, and how far the answers are from those of particles.

    python bench/variational.py cost
    python bench/variational.py regimes --seeds 4
    python bench/variational.py streams --seeds 2 --rows 5000
    python bench/variational.py gates --seeds 3

Tables in Markdown.  ``streams`` reads real data (see ``real_streams.py``).  Particles are those of
the defaults but for 32 an island rather than 64.
"""

from __future__ import annotations

import argparse
import itertools
import time
from typing import Any

import numpy as np
from real_streams import STREAMS, Stream
from statistical import three_regimes

import hsmoe

KINDS: dict[str, dict[str, Any]] = {
    "particles": {"n_particles": 32},
    "variational": {"inference": "variational"},
    "variational, 32 islands": {"inference": "variational", "n_islands": 32},
    "variational, diagonal": {"inference": hsmoe.Variational("diagonal")},
}


def cost(options: argparse.Namespace) -> None:
    """Microseconds a row and member, one thread, after the first 200 rows; no row is retained."""
    settings = {"n_islands": 1, "retain": 0, "forgetting": 1.0, "standardize": False}
    print("| covariance | d | K=4 | K=16 | K=64 | K=256 |\n|---|---|---|---|---|---|")
    rng = np.random.default_rng(0)
    for covariance, d in itertools.product(("full", "diagonal"), (8, 32, 128)):
        cells = []
        for n_experts in (4, 16, 64, 256):
            X, y = rng.normal(size=(456, d - 1)), rng.normal(size=456)
            model = hsmoe.HSMoERegressor(
                n_experts, inference=hsmoe.Variational(covariance), random_state=0, **settings
            )
            model.partial_fit(X[:200], y[:200])
            began = time.process_time()
            model.partial_fit(X[200:], y[200:])
            cells.append(f"{1e6 * (time.process_time() - began) / 256:.0f}")
        print(f"| {covariance} | {d} | " + " | ".join(cells) + " |", flush=True)


def chosen(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    wanted = options.kinds.split(";") if options.kinds else KINDS
    return {kind: KINDS[kind] for kind in wanted}


def scores(stream: Stream, seeds: int, **settings: Any) -> str:
    rows = []
    for seed in range(seeds):
        model = hsmoe.HSMoERegressor(**{"standardize": False, **settings}, random_state=seed)
        began = time.process_time()
        forecast = model.prequential(stream.X, stream.y)
        seconds = time.process_time() - began
        scored = slice(stream.warmup, None)
        off_centre = np.abs(forecast.cdf[scored] - 0.5)
        rows.append(
            [
                forecast.log_density[scored].mean(),
                forecast.log_density[len(stream.y) // 2 :].mean(),
                forecast.crps[scored].mean(),
                *(100 * (off_centre <= c / 2).mean() for c in (0.5, 0.9, 0.99)),
                1e6 * seconds / len(stream.y),
            ]
        )
    score, late, crps, *coverage, micro = np.mean(rows, axis=0)
    covered = " | ".join(f"{c:.1f}" for c in coverage)
    return f"{score:.3f} | {late:.3f} | {crps:.4f} | {covered} | {micro:.0f}"


HEAD = "| log score | late half | CRPS | 50% | 90% | 99% | us a row |"


def regimes(options: argparse.Namespace) -> None:
    """Scores of the streams of docs/statistics.md, all rows retained, four experts."""
    print(f"| set | inference {HEAD}\n" + "|---" * 9 + "|")
    for number in range(3):
        stream = Stream(*three_regimes(number), 50)
        for kind, settings in chosen(options).items():
            line = scores(stream, options.seeds, n_experts=4, retain=None, **settings)
            print(f"| {number} | {kind} | {line} |", flush=True)


def streams(options: argparse.Namespace) -> None:
    """Scores of the first rows of five streams, with the defaults."""
    print(f"| stream | inference {HEAD}\n" + "|---" * 9 + "|")
    for name, read in STREAMS.items():
        whole = read()
        stream = Stream(whole.X[: options.rows], whole.y[: options.rows], whole.warmup)
        for kind, settings in chosen(options).items():
            seeds = 1 if kind == "particles" else options.seeds
            print(f"| {name} | {kind} | {scores(stream, seeds, **settings)} |", flush=True)


def true_gate(X: np.ndarray) -> np.ndarray:
    logits = np.c_[2 * X[:, 0], 2 * X[:, 1], np.zeros(len(X))]
    return np.exp(logits - np.logaddexp.reduce(logits, axis=1)[:, None])


def mean_gate(model: hsmoe.HSMoERegressor, X: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The posterior mean of the gate, each draw numbered as fits the truth best."""
    _, engine, _, _, gate, _ = model._read_designs(X)
    share = np.asarray(engine.log_share())[:, None]
    weight = np.exp(np.asarray(engine.log_weight()) + share).ravel()
    rng = np.random.default_rng(0)
    chosen = rng.choice(len(weight), size=200, p=weight / weight.sum())
    words = rng.integers(1, 2**63, size=(200, 4), dtype=np.uint64)
    g = np.exp(engine.draw(chosen, words, gate, gate, None, 1)["log_gate"])
    orders = [list(order) for order in itertools.permutations(range(3))]
    best = [min((draw[:, o] for o in orders), key=lambda a: np.abs(a - truth).sum()) for draw in g]
    return np.mean(best, axis=0)


def gates(options: argparse.Namespace) -> None:
    """Total variation between routings: of posterior means and the truth, and of two posteriors."""
    X = three_regimes(99, 300)[0]
    truth = true_gate(X)
    print("| rows | inference | to the truth | to particles |\n|---|---|---|---|")
    kinds = {kind: settings for kind, settings in KINDS.items() if "islands" not in kind}
    for n in (300, 1000, 3000):
        found: dict[str, list[np.ndarray]] = {kind: [] for kind in kinds}
        for seed in range(options.seeds):
            data = three_regimes(seed, n)
            for kind, settings in kinds.items():
                model = hsmoe.HSMoERegressor(
                    3, retain=None, standardize=False, random_state=seed, **settings
                )
                found[kind].append(mean_gate(model.partial_fit(*data), X, truth))
        for kind in kinds:
            own, exact = np.array(found[kind]), np.array(found["particles"])
            distance = 0.5 * np.abs(own - truth).sum(axis=-1).mean()
            apart = 0.5 * np.abs(own - exact).sum(axis=-1).mean()
            print(f"| {n:,} | {kind} | {distance:.3f} | {apart:.3f} |", flush=True)


STUDIES = {study.__name__: study for study in (cost, regimes, streams, gates)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("study", choices=[*STUDIES, "all"], help="what to measure")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each (3)")
    parser.add_argument("--rows", type=int, default=5000, help="rows of each real stream (5000)")
    parser.add_argument("--kinds", default="", help=f"some of {'; '.join(KINDS)}, with ; between")
    options = parser.parse_args()
    for name in STUDIES if options.study == "all" else [options.study]:
        print(f"\n## {name}\n", flush=True)
        STUDIES[name](options)


if __name__ == "__main__":
    main()
