"""What few retained rows cost under each gate, in the log score of new rows.

Three lines in a plane, told apart by a softmax of two features, with idle features beside:

    python bench/retained_rows.py --features 8
"""

from __future__ import annotations

import argparse

import numpy as np

import hsmoe

TRUTH = hsmoe.SoftmaxMixture(
    [[3, 1, 0], [-3, 0, 2], [0, -1, 0]], [0.09] * 3, [0, 0, 0], [[6, 0], [0, 6], [-4, -5]]
)
KEPT = (None, 5, 20, 40, 80, 150)


def three_regimes(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return X (n, 2) and y."""
    X = np.random.default_rng(seed).uniform(-2, 2, size=(n, 2))
    return X, TRUTH.sample(X, seed)[0]


def score(gate: str, retain: int | None, n_features: int, seed: int) -> float:
    """Return the mean log score of 500 new rows after 900."""
    idle = np.random.default_rng(seed)
    X, y = three_regimes(900, 5 + seed)
    X = np.c_[X, idle.normal(size=(900, n_features - 2))]
    new_X, new_y = three_regimes(500, 60 + seed)
    new_X = np.c_[new_X, idle.normal(size=(500, n_features - 2))]
    model = hsmoe.HSMoERegressor(
        3, 64, 1, gate=gate, retain=retain, forgetting=1.0, random_state=8
    ).fit(X, y)
    return float(model.log_density(new_X, new_y).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--features", type=int, default=2, help="features, the idle ones too (2)")
    parser.add_argument("--seeds", type=int, default=4, help="streams (4)")
    given = parser.parse_args()
    print("| gate |", " | ".join("all" if kept is None else str(kept) for kept in KEPT), "|")
    print("|---" * (1 + len(KEPT)) + "|")
    for gate in ("softmax", "laplace", "balanced"):
        scores = np.array(
            [
                [score(gate, kept, given.features, seed) for seed in range(given.seeds)]
                for kept in KEPT
            ]
        )
        lost = scores.mean(axis=1) - scores[0].mean()
        error = scores.std(axis=1) / np.sqrt(given.seeds)
        cells = (f"{a:.3f} ± {b:.3f}" for a, b in zip(lost, error, strict=True))
        print(f"| {gate} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
