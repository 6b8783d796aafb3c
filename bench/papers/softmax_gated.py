"""Softmax-gated experts, arXiv 2604.20551: rates of the posterior, and how many experts it finds.

The truth is the example of the literature with two experts: gate logits -8 + 25 x and 0, experts
15 - 20 x with standard deviation 0.3 and -5 + 20 x with 0.4, x uniform on [0, 1].  Models of 2, 3
and 4 experts under a softmax gate learn n rows, one pass, all rows open to revision; each size has
data sets of its own, so that all points of a slope are independent.

    python bench/papers/softmax_gated.py --seeds 16

``softmax_gated.md`` keeps what it printed, and what that says.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from convergence import geometric_cell, slope_cell

import hsmoe
from hsmoe.losses import hellinger, voronoi_loss

TRUTH = hsmoe.SoftmaxMixture([[15, -20], [-5, 20]], [0.09, 0.16], [-8, 0], [[25], [0]])
SIZES = (100, 316, 1000, 3162, 10_000)
FITTED = (2, 3, 4)
CANDIDATES = (1, 2, 3, 4)
N_GRID = 40  # rows that routing and densities are compared at

# Per standard deviation of x the true gate slope is 7.2, and the slopes of the experts are 19 and
# 14 times their noise.  The default priors hold both back: a slab of 3, and a variance of 10 in
# units of that of the noise.  The theory asks for priors that are positive and smooth at the truth.
PRIORS: dict[str, dict[str, Any]] = {
    "wide": {
        "gate_prior": hsmoe.NormalPrior(scale=5.0, intercept_sd=5.0),
        "expert": hsmoe.GaussianExpert(coefficient_variance=400.0, coefficient_shape=0.0),
    },
    "default": {},
}

# The loss depends on units and on where x is zero: it weighs atom i by exp(b0_i), its share of the
# gate there, and takes powers of differences.  As the example is written the shares are 1 : 3000.
# Counted from 0.32, where the gate is even, and in units of a standard deviation, both experts
# count, and differences are near one rather than near ten.
UNITS = {"raw": (0.0, 1.0, 1.0), "standard": (0.32, 12**-0.5, 3.8)}  # zero of x, units of x and y

# r(4) is known to be at least 7; with 7 the loss of a cell of four close atoms is at its largest.
EXPONENTS = {4: 7.0}


@dataclass(frozen=True)
class Fit:
    """Errors of one model, posterior medians but for the Hellinger distance."""

    loss: tuple[float, ...]  # Voronoi loss, in several units
    slope_error: float  # of an expert, weighted by its routing
    intercept_error: float
    hellinger: float  # of the forecast, mean over rows


@dataclass(frozen=True)
class Run:
    evidence: int  # number of experts chosen
    posterior_2: float  # posterior probability of two
    merged: int
    dendrogram: int
    seconds: float
    fits: dict[int, Fit]


def in_units(mixture: hsmoe.SoftmaxMixture, units: str) -> hsmoe.SoftmaxMixture:
    """Return the mixture of ``y / y_unit`` as a function of ``(x - zero) / x_unit``."""
    zero, x_unit, y_unit = UNITS[units]
    beta = mixture.coefficients
    return hsmoe.SoftmaxMixture(
        np.c_[beta[:, 0] + zero * beta[:, 1], x_unit * beta[:, 1]] / y_unit,
        mixture.variance / y_unit**2,
        mixture.gate_intercept + zero * mixture.gate_slopes[:, 0],
        x_unit * mixture.gate_slopes,
    )


def expert_errors(mixture: hsmoe.SoftmaxMixture, X: np.ndarray) -> tuple[float, float]:
    """Return the errors of slope and intercept, each expert compared with the true one nearest.

    ``sum_i w_i |a_i - a*_j(i)|`` with ``w_i`` the mean routing to atom i over the rows.
    """
    atoms, true_atoms = (np.c_[m.coefficients, m.variance] for m in (mixture, TRUTH))
    nearest = ((atoms[:, None, :] - true_atoms) ** 2).sum(axis=2).argmin(axis=1)
    gap = np.abs(mixture.coefficients - TRUTH.coefficients[nearest])
    intercept, slope = mixture.predict_expert_proba(X).mean(axis=0) @ gap
    return float(slope), float(intercept)


def fit_of(model: hsmoe.HSMoERegressor, units: tuple[str, ...], n_draws: int, seed: int) -> Fit:
    grid = ((np.arange(N_GRID) + 0.5) / N_GRID)[:, None]
    draws = model.draw_mixtures(n_draws, random_state=seed)
    loss = [
        float(
            np.median(
                [
                    voronoi_loss(in_units(draw, one), in_units(TRUTH, one), exponents=EXPONENTS)
                    for draw in draws
                ]
            )
        )
        for one in units
    ]
    slope, intercept = np.median([expert_errors(draw, grid) for draw in draws], axis=0)
    distance = float(hellinger(model, TRUTH, grid, n_quantiles=30).mean())
    return Fit(tuple(loss), float(slope), float(intercept), distance)


def one_run(job: tuple[str, tuple[str, ...], int, int, int, int]) -> Run:
    prior, units, n, seed, n_particles, n_draws = job
    rng = np.random.default_rng([seed, n])
    X = rng.uniform(size=(n, 1))
    y, _ = TRUTH.sample(X, random_state=rng)
    estimator = hsmoe.HSMoERegressor(
        n_particles=n_particles,
        gate="softmax",
        **PRIORS[prior],
        retain=None,
        forgetting=1.0,
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        began = time.process_time()
        selection = hsmoe.select_n_experts(estimator, X, y, CANDIDATES)
        seconds = time.process_time() - began
        merged = hsmoe.merge_experts(selection.models[max(CANDIDATES)])
        fits = {k: fit_of(selection.models[k], units, n_draws, seed) for k in FITTED}
    return Run(
        evidence=selection.best,
        posterior_2=float(selection.posterior[CANDIDATES.index(2)]),
        merged=merged.n_experts,
        dendrogram=merged.n_experts_by_criterion,
        seconds=seconds,
        fits=fits,
    )


def print_rates(prior: str, units: tuple[str, ...], runs: dict[int, list[Run]]) -> None:
    """Print the errors at each size, with slopes."""

    def print_row(error: str, n_experts: int, theory: str, of: str, index: Any = None) -> None:
        values = [[getattr(run.fits[n_experts], of) for run in runs[n]] for n in SIZES]
        errors = np.array(values if index is None else np.array(values)[:, :, index])
        cells = [geometric_cell(row) for row in errors]
        print(f"| {prior} | {error} | {n_experts} | {' | '.join(cells)} ", end="")
        print(f"| {slope_cell(SIZES, errors)} | {theory} |", flush=True)

    for index, one in enumerate(units):
        for k in FITTED:
            print_row(f"Voronoi loss, {one} units", k, "-1/2", "loss", index)
    rates = {2: ("-1/2", "-1/2"), 3: ("-1/4", "-1/8"), 4: ("-1/6", "-1/12")}
    for of, which in (("slope_error", 0), ("intercept_error", 1)):
        for k in FITTED:
            print_row(f"{of.replace('_error', '')} of an expert", k, rates[k][which], of)
    for k in FITTED:
        print_row("Hellinger distance of the forecast", k, "-1/2", "hellinger")


def print_selection(prior: str, runs: dict[int, list[Run]]) -> None:
    for n in SIZES:
        cells = [
            ", ".join(
                f"{k}: {times}"
                for k, times in sorted(Counter(getattr(run, of) for run in runs[n]).items())
            )
            for of in ("evidence", "merged", "dendrogram")
        ]
        share = np.array([run.posterior_2 for run in runs[n]])
        seconds = np.mean([run.seconds for run in runs[n]])
        print(f"| {prior} | {n:,} | {' | '.join(cells)} | {share.mean():.2f} ", end="")
        print(f"({share.std(ddof=1) / len(share) ** 0.5:.2f}) | {seconds:.1f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seeds", type=int, default=16, help="data sets of each size (16)")
    parser.add_argument("--jobs", type=int, default=1, help="processes (1)")
    parser.add_argument("--particles", type=int, default=64, help="of each of four islands (64)")
    parser.add_argument("--draws", type=int, default=8, help="posterior draws of a loss (8)")
    given = parser.parse_args()
    if given.seeds < 2:
        parser.error("--seeds: at least 2, as standard errors are printed")
    # The losses take most of the time: for one of the two priors alone.
    found, units = {}, {"wide": tuple(UNITS), "default": ()}
    with ProcessPoolExecutor(given.jobs) as pool:
        for prior in PRIORS:
            work = {
                n: [
                    (prior, units[prior], n, seed, given.particles, given.draws)
                    for seed in range(given.seeds)
                ]
                for n in SIZES
            }
            found[prior] = {n: list(pool.map(one_run, jobs)) for n, jobs in work.items()}
    print("# Softmax gate, two experts fitted as two, three and four\n")
    print(
        f"`python bench/papers/softmax_gated.py {' '.join(sys.argv[1:])}`: {given.seeds} data sets "
        f"of each size, 4 islands of {given.particles} particles, all rows retained.\n"
    )
    print("| prior | error | experts | " + " | ".join(f"n = {n:,}" for n in SIZES), end="")
    print(" | slope | theory |")
    print("|---|---|---|" + "---|" * (len(SIZES) + 2))
    for prior, runs in found.items():
        print_rates(prior, units[prior], runs)
    print("\n| prior | n | evidence | merge-truncate-merge | dendrogram ", end="")
    print("| P(2 experts) | seconds |")
    print("|---|---|---|---|---|---|---|")
    for prior, runs in found.items():
        print_selection(prior, runs)


if __name__ == "__main__":
    main()
