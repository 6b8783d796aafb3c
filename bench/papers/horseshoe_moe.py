"""Horseshoe mixtures of experts, arXiv 2601.09043, section 4.1: ten experts, three active.

The sizes are the paper's: K = 10, n = 500, d = 5, N = 1000 particles; the paper shows no inference
on them.  Its true parameters are not printed here but drawn: three Gaussian experts under stick
breaking, each split of which depends on one or two of the five features.  Each setting learns the
same rows, one pass; scores are taken at 1,000 fresh rows.

    python bench/papers/horseshoe_moe.py --seeds 10 --jobs 2 --particles 128

``horseshoe_moe.md`` keeps what it printed, and what that says.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

import hsmoe
from hsmoe.losses import expert_errors, gate_l1, hellinger

N_ROWS, N_TEST, N_FEATURES, N_EXPERTS = 500, 1000, 5, 10

ONE_POPULATION = {"n_islands": 1, "forgetting": 1.0}
SETTINGS: dict[str, dict[str, Any]] = {
    "as printed: paper's prior, comb, resampled at every row, never revised": {
        **ONE_POPULATION,
        "gate": "comb",
        "gate_prior": "horseshoe-paper",
        "retain": 0,
        "ess_threshold": 1.0,
    },
    "paper's prior, comb": {**ONE_POPULATION, "gate": "comb", "gate_prior": "horseshoe-paper"},
    "default prior, comb": {**ONE_POPULATION, "gate": "comb"},
    "default prior, balanced tree": ONE_POPULATION,
    "default prior, balanced tree, eight islands": {"n_islands": 8, "forgetting": 1.0},
}


@dataclass(frozen=True)
class Run:
    accuracy: float  # share of the learned rows given to the right expert, labels matched
    gate_l1: float  # mean over draws
    gate_l1_mean: float  # of the posterior mean
    hellinger: float
    log_score: float  # of fresh rows, nats a row, less that of the truth
    online: float  # one step ahead, second half of the rows, less that of the truth
    expert_error: float  # root mean square of the difference of the means, worst of three
    active: int  # experts that carry 99% of the routing
    merged: int  # experts that differ
    log_evidence: float
    seconds: float


def truth_of(seed: int) -> hsmoe.TreeMixture:
    rng = np.random.default_rng([seed, 1])
    phi = np.array([[-0.5, 2.5, 0, 0, 0, 0], [0.3, 0, -2.0, 1.5, 0, 0]])
    coefficients = rng.normal(size=(3, 1 + N_FEATURES))
    return hsmoe.TreeMixture(coefficients, np.array([0.3, 0.5, 0.4]) ** 2, phi)


def allocation_accuracy(draws: Any, X: np.ndarray, y: np.ndarray, expert: np.ndarray) -> float:
    """Return the share of rows whose most probable expert, matched, is the true one."""
    posterior = draws["posterior"]
    beta, sd = posterior["beta"].values[0], posterior["noise_sd"].values[0]
    gate = draws["posterior_predictive"]["expert_proba"].values[0]  # (draws, rows, experts)
    error = y[:, None] - np.einsum("nd,mkd->mnk", np.c_[np.ones(len(X)), X], beta)
    density = gate * np.exp(-0.5 * (error / sd[:, None, :]) ** 2) / sd[:, None, :]
    classes = (density / density.sum(axis=2, keepdims=True)).mean(axis=0).argmax(axis=1)
    # One-hot allocations are gates: half their L1 distance is the share of rows that differ.
    return 1.0 - 0.5 * gate_l1(np.eye(N_EXPERTS)[classes], np.eye(3)[expert])


def one_run(job: tuple[dict[str, Any], int, int]) -> Run:
    settings, n_particles, seed = job
    truth = truth_of(seed)
    rng = np.random.default_rng([seed, 2])
    X, fresh = rng.normal(size=(N_ROWS, N_FEATURES)), rng.normal(size=(N_TEST, N_FEATURES))
    y, expert = truth.sample(X, random_state=seed)
    y_fresh, _ = truth.sample(fresh, random_state=seed + 10_000)
    islands = settings["n_islands"]
    model = hsmoe.HSMoERegressor(
        N_EXPERTS, **{**settings, "n_particles": n_particles // islands}, random_state=seed
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        began = time.perf_counter()
        forecast = model.prequential(X, y, crps=False)
        seconds = time.perf_counter() - began
        draws = model.to_arviz(X, y, n_draws=200)
        routed = model.to_arviz(fresh, y_fresh, n_draws=200)
        merged = hsmoe.merge_experts(model, X, y)
    half = slice(N_ROWS // 2, None)
    gate = routed["posterior_predictive"]["expert_proba"].values[0]
    all_experts = merged.reduced(N_EXPERTS)
    errors = expert_errors(all_experts.coefficients, all_experts.noise_sd, truth, fresh)
    gap = model.log_density(fresh, y_fresh) - truth.log_density(fresh, y_fresh)
    true_gate = truth.predict_expert_proba(fresh)
    return Run(
        accuracy=allocation_accuracy(draws, X, y, expert),
        gate_l1=gate_l1(gate, true_gate),
        gate_l1_mean=gate_l1(gate.mean(axis=0), true_gate),
        hellinger=float(hellinger(model, truth, fresh[:50], n_quantiles=40).mean()),
        log_score=float(gap.mean()),
        online=float((forecast.log_density - truth.log_density(X, y))[half].mean()),
        expert_error=float(errors.mean.max()),
        active=model.active_experts(fresh),
        merged=merged.n_experts,
        log_evidence=model.log_evidence_,
        seconds=seconds,
    )


def oracle_accuracy(seed: int) -> float:
    """Return the share of rows that the true parameters would give to the right expert."""
    truth = truth_of(seed)
    X = np.random.default_rng([seed, 2]).normal(size=(N_ROWS, N_FEATURES))
    y, expert = truth.sample(X, random_state=seed)
    return float((truth.log_classes(X, y).argmax(axis=1) == expert).mean())


def cell(values: Any, digits: int) -> str:
    values = np.asarray(values, dtype=float)
    return f"{values.mean():.{digits}f} ({values.std(ddof=1):.{digits}f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seeds", type=int, default=10, help="data sets, one run each (10)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2)")
    parser.add_argument("--particles", type=int, default=1000, help="in all islands (1000)")
    given = parser.parse_args()
    if given.seeds < 2:
        parser.error("--seeds: at least 2, as standard deviations are printed")
    oracle = np.mean([oracle_accuracy(seed) for seed in range(given.seeds)])
    print("# Ten experts, three active\n")
    print(
        f"`python bench/papers/horseshoe_moe.py {' '.join(sys.argv[1:])}`: K = {N_EXPERTS}, "
        f"n = {N_ROWS}, d = {N_FEATURES}, {given.particles} particles, {given.seeds} data sets; "
        "mean (standard deviation) over them.\n"
        f"With the true parameters {100 * oracle:.1f}% of the rows go to the right expert.\n"
    )
    print("| setting | right expert, % | gate L1 | L1 of mean gate | Hellinger ", end="")
    print("| log score | online | expert error | active, 99% | experts that differ ", end="")
    print("| log evidence | seconds |")
    print("|---|" + "---|" * 11)
    for name, settings in SETTINGS.items():
        work = [(settings, given.particles, seed) for seed in range(given.seeds)]
        with ProcessPoolExecutor(given.jobs) as pool:
            runs = list(pool.map(one_run, work))

        def column(field: str, digits: int, runs: list[Run] = runs, factor: float = 1.0) -> str:
            return cell([factor * getattr(run, field) for run in runs], digits)

        print(
            f"| {name} | {column('accuracy', 1, factor=100)} | {column('gate_l1', 3)} "
            f"| {column('gate_l1_mean', 3)} | {column('hellinger', 3)} | {column('log_score', 3)} "
            f"| {column('online', 3)} | {column('expert_error', 2)} | {column('active', 1)} "
            f"| {column('merged', 1)} | {column('log_evidence', 1)} | {column('seconds', 1)} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
