"""How the number of experts is learned: a static stream, and regimes that come and go.

    python bench/changing_experts.py static --seeds 4
    python bench/changing_experts.py change --seeds 4

``static``: ``three_regimes`` of ``statistical.py``, so three is right; models of fixed numbers
beside ``ChangingExperts(6)``.  ``change``: two regimes, a third on three rows in ten from row 1,500
to row 2,500 of 4,000.  Means over seeds, with their standard errors.
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np
from statistical import three_regimes

import hsmoe

ROWS, APPEARS, VANISHES = 4000, 1500, 2500
# Where the stream that changes is looked at.
MARKS = (500, 1500, 1510, 1520, 1550, 1600, 2500, 2600, 2800, 3200, 4000)
SPANS = ((500, 1500), (1500, 1600), (1600, 2500), (2500, 2600), (2600, 4000))


def changing_stream(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return features (4000, 4) and target (4000,); the third regime has a feature of its own."""
    rng = np.random.default_rng([11, seed])
    X = rng.normal(size=(ROWS, 4))
    row = np.arange(ROWS)
    third = (row >= APPEARS) & (row < VANISHES) & (X[:, 1] > 0.5)
    z = np.where(third, 2, (X[:, 0] > 0).astype(int))
    slope = np.array([[1.0, 0.0, 2.0, -1.0], [-1.0, 1.0, 0.0, 1.0], [0.5, -2.0, 1.0, 0.0]])[z]
    location = np.array([1.0, -1.0, 3.0])[z] + (X * slope).sum(1)
    return X, location + 0.3 * rng.normal(size=ROWS)


def mean_and_error(values: list[float], digits: int) -> str:
    """Return a mean and, of several values, its standard error as text."""
    error = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return f"{np.mean(values):.{digits}f} ({error:.{digits}f})"


def number(model: hsmoe.HSMoERegressor) -> float:
    """Return the posterior mean of the number of experts."""
    posterior = model.n_experts_posterior()
    return float(posterior @ np.arange(1, len(posterior) + 1))


def static(candidates: list[object], seeds: int, particles: int) -> None:
    print("| experts | log evidence, less that of 3 | its s.e. | P(3) | mean number | CPU s |")
    print("|---|---|---|---|---|---|")
    of_three: list[float] = []
    for n_experts in candidates:
        rows = []
        for seed in range(seeds):
            X, y = three_regimes(seed, 1000)
            model = hsmoe.HSMoERegressor(n_experts, particles, 4, forgetting=1.0, random_state=seed)
            began = time.process_time()
            model.fit(X, y)
            seconds = time.process_time() - began
            posterior = np.r_[model.n_experts_posterior(), 0.0, 0.0]
            if n_experts == 3:
                of_three.append(model.log_evidence_)
            gain = model.log_evidence_ - of_three[seed]
            rows.append((gain, model.log_evidence_se_, posterior[2], number(model), seconds))
        columns = zip(zip(*rows, strict=True), (1, 2, 3, 2, 1), strict=True)
        cells = [mean_and_error(list(v), digits) for v, digits in columns]
        print(f"| {n_experts} | {' | '.join(cells)} |", flush=True)


def change(candidates: list[object], seeds: int, particles: int) -> None:
    spans = " | ".join(f"{a:,}-{b:,}" for a, b in SPANS)
    print(f"| log score of rows | {spans} | CPU s |\n|{'---|' * (len(SPANS) + 2)}")
    numbers = {}
    for n_experts in candidates:
        rows, counts = [], []
        for seed in range(seeds):
            X, y = changing_stream(seed)
            model = hsmoe.HSMoERegressor(n_experts, particles, 4, n_warmup=100, random_state=seed)
            began, density, count, start = time.process_time(), [], [], 0
            for stop in MARKS:
                density.append(
                    model.prequential(X[start:stop], y[start:stop], crps=False).log_density
                )
                count.append(number(model))
                start = stop
            scores = np.concatenate(density)
            seconds = time.process_time() - began
            rows.append([*(scores[a:b].mean() for a, b in SPANS), seconds])
            counts.append(count)
        digits = [3] * len(SPANS) + [0]
        cells = [
            mean_and_error(list(v), d) for v, d in zip(zip(*rows, strict=True), digits, strict=True)
        ]
        print(f"| {n_experts} | {' | '.join(cells)} |", flush=True)
        numbers[repr(n_experts)] = counts
    marks = " | ".join(f"{m:,}" for m in MARKS)
    print(f"\n| experts after row | {marks} |\n|{'---|' * (len(MARKS) + 1)}")
    for name, counts in numbers.items():
        if name.startswith("Changing"):
            cells = [mean_and_error(list(v), 2) for v in zip(*counts, strict=True)]
            print(f"| {name} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("what", choices=("static", "change"))
    parser.add_argument("--seeds", type=int, default=4, help="data sets (4)")
    parser.add_argument("--particles", type=int, default=32, help="of each of four islands (32)")
    given = parser.parse_args()
    changing = hsmoe.ChangingExperts(6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if given.what == "static":
            static([3, 2, 4, 6, changing], given.seeds, given.particles)
        else:
            change([2, 3, 6, changing], given.seeds, given.particles)


if __name__ == "__main__":
    main()
