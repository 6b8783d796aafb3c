"""The evidence of experts with latent variables against enumeration and quadrature.

Nothing of the engine's augmentation is used: marginal likelihoods are integrals over coefficients,
scale and shape of densities from scipy.  ``E[Z-hat]`` over runs must be the exact evidence, through
weights, rows learned in passing and scans; 4.5 standard errors (7e-6 a case).
"""

from __future__ import annotations

import itertools

import numpy as np
import oracles
import pytest
from one_island import ONE_ISLAND
from scipy import special, stats

import hsmoe


def coefficient_grid(sds, points=121, reach=7.0):
    """Points (N, d) and log prior masses (N,) of independent centred normals."""
    axes = [np.linspace(-reach, reach, points) * sd for sd in sds]
    grid = np.stack([a.ravel() for a in np.meshgrid(*axes, indexing="ij")], axis=1)
    step = np.prod([a[1] - a[0] for a in axes])
    return grid, stats.norm.logpdf(grid, 0, sds).sum(axis=1) + np.log(step)


def integrate(log_prior, log_likelihood):
    return float(special.logsumexp(log_prior + log_likelihood))


def logit_evidence(X, y, n_classes, variances):
    beta, prior = coefficient_grid(np.sqrt(variances))
    total = 0.0
    for c in range(1, n_classes):  # "class c, of 0 ... c?"
        part = y <= c
        eta = beta @ X[part].T
        sign = np.where(y[part] == c, 1.0, -1.0)
        total += integrate(prior, special.log_expit(sign * eta).sum(axis=1))
    return total


def binomial_evidence(X, y, trials, variances):
    beta, prior = coefficient_grid(np.sqrt(variances))
    log_f = stats.binom.logpmf(y, trials, special.expit(beta @ X.T))
    return integrate(prior, log_f.sum(axis=1))


def count_evidence(X, y, variances, grid):
    beta, prior = coefficient_grid(np.sqrt(variances), points=81, reach=6.5)
    mu = np.exp(beta @ X.T)
    parts = [integrate(prior, stats.nbinom.logpmf(y, r, r / (r + mu)).sum(axis=1)) for r in grid]
    return float(special.logsumexp(parts) - np.log(len(grid)))


def real_evidence(y, expert, law, shapes):
    """Intercept only: over s2 in its logarithm, b0 in closed form, the intercept, and the shape."""
    a, b, c, v = expert.a0, expert.b0, expert.b0_shape, expert.coefficient_variance
    log_s2 = np.linspace(np.log(1e-4), np.log(1e4), 97)
    s2 = np.exp(log_s2)
    if c == 0:
        prior = stats.invgamma.logpdf(s2, a, scale=b)
    else:  # IG(s2; a, b0) with b0 ~ Gamma(c, rate c / b) integrated out
        prior = (
            special.gammaln(a + c) - special.gammaln(a) - special.gammaln(c) + c * np.log(c / b)
            - (a + 1) * log_s2 - (a + c) * np.log(c / b + 1 / s2)
        )  # fmt: skip
    prior += log_s2 + np.log(log_s2[1] - log_s2[0])
    s, g = np.sqrt(s2)[:, None], expert.coefficient_shape
    if g == 0:
        unit = np.linspace(-7, 7, 281)
        log_unit = stats.norm.logpdf(unit) + np.log(unit[1] - unit[0])
    else:  # 1/v ~ Gamma(g, mean 1 / v) integrated out: Student-t of 2 g degrees of freedom
        t = np.linspace(-9, 9, 721)
        unit = np.sinh(t)
        log_unit = stats.t.logpdf(unit, 2 * g) + np.log(np.cosh(t)) + np.log(t[1] - t[0])
    beta = np.sqrt(v) * s * unit  # (S, B)
    prior = prior[:, None] + log_unit
    parts = []
    for shape in shapes:
        log_f = sum(law(value, beta, s, shape) for value in y)
        parts.append(integrate(prior, log_f))
    return float(special.logsumexp(parts) - np.log(len(shapes)))


def student(value, loc, scale, df):
    return stats.t.logpdf(value, df, loc, scale)


def laplace(value, loc, scale, _):
    return stats.laplace.logpdf(value, loc, scale)


X6 = np.array([-1.3, -0.4, 0.2, 0.9, 1.6, -0.8])[:, None]
Y_REAL = np.array([0.3, -0.2, 2.9, 0.1, 1.4])
DISPERSIONS = 0.05 * 2.0 ** (np.arange(37) / 3)
DFS = 2.5 * 2.0 ** (np.arange(21) / 4)

CASES = {
    "two classes": (
        hsmoe.HSMoEClassifier,
        hsmoe.LogitExpert(3.0, 2.0),
        X6,
        np.array([1, 0, 0, 1, 1, 0]),
        lambda X, y: logit_evidence(X, y, 2, [3.0, 2.0]),
    ),
    "three classes": (
        hsmoe.HSMoEClassifier,
        hsmoe.LogitExpert(3.0, 2.0),
        X6,
        np.array([1, 0, 2, 1, 2, 0]),
        lambda X, y: logit_evidence(X, y, 3, [3.0, 2.0]),
    ),
    "binomial": (
        hsmoe.HSMoECountRegressor,
        hsmoe.BinomialExpert(4, 3.0, 2.0),
        X6[:5],
        np.array([0, 4, 3, 1, 2]),
        lambda X, y: binomial_evidence(X, y, 4, [3.0, 2.0]),
    ),
    "counts": (
        hsmoe.HSMoECountRegressor,
        hsmoe.NegativeBinomialExpert(None, 1.0, 0.5),
        X6[:5],
        np.array([0, 5, 1, 2, 7]),
        lambda X, y: count_evidence(X, y, [1.0, 0.5], DISPERSIONS),
    ),
    "counts of known dispersion": (
        hsmoe.HSMoECountRegressor,
        hsmoe.NegativeBinomialExpert(1.5, 1.0, 0.5),
        X6[:5],
        np.array([0, 5, 1, 2, 7]),
        lambda X, y: count_evidence(X, y, [1.0, 0.5], [1.5]),
    ),
    "student": (
        hsmoe.HSMoERegressor,
        hsmoe.StudentExpert(a0=2.5, b0=0.4, coefficient_variance=4.0),
        X6[:4],
        Y_REAL[:4],
        lambda X, y: real_evidence(
            y, hsmoe.StudentExpert(a0=2.5, b0=0.4, coefficient_variance=4.0), student, DFS
        ),
    ),
    "student of known df": (
        hsmoe.HSMoERegressor,
        hsmoe.StudentExpert(
            df=1.0, a0=2.5, b0=0.4, b0_shape=0.0, coefficient_variance=4.0, coefficient_shape=0.0
        ),
        X6[:5],
        Y_REAL,
        lambda X, y: real_evidence(
            y,
            hsmoe.StudentExpert(
                a0=2.5, b0=0.4, b0_shape=0.0, coefficient_variance=4.0, coefficient_shape=0.0
            ),
            student,
            [1.0],
        ),
    ),
    "laplace": (
        hsmoe.HSMoERegressor,
        hsmoe.LaplaceExpert(a0=2.5, b0=0.4, coefficient_variance=4.0),
        X6[:5],
        Y_REAL,
        lambda X, y: real_evidence(
            y, hsmoe.LaplaceExpert(a0=2.5, b0=0.4, coefficient_variance=4.0), laplace, [0]
        ),
    ),
}


# Rows are frozen where no shape is learned, of which they would speak as of their time.
FROZEN = ("two classes", "laplace", "counts of known dispersion")


@pytest.mark.parametrize(
    ("case", "retain"),
    [*((case, retain) for case in CASES for retain in (0, None)), *((case, 2) for case in FROZEN)],
)
def test_mean_evidence_equals_the_sum_over_all_allocations(case, retain):
    estimator, expert, X, y, evidence = CASES[case]
    design = np.c_[np.ones(len(X)), X]
    constant = estimator is hsmoe.HSMoERegressor
    cache = {}

    def of_rows(rows):
        if rows not in cache:
            inside = list(rows)
            cache[rows] = evidence(design[inside], y[inside]) if inside else 0.0
        return cache[rows]

    exact = oracles.enumerated_log_evidence(
        design,
        design,
        y,
        oracles.tree_nodes(2),
        gate_prior="normal",
        expert_log_evidence=of_rows,
    )
    ratios = []
    for seed in range(300 if retain == 0 else 40):
        model = estimator(
            **ONE_ISLAND,
            n_experts=2,
            n_particles=200 if retain == 0 else 50,  # seven times as many at first if retained
            gate_prior=hsmoe.NormalPrior(scale=1.0),
            expert=expert,
            expert_features=[] if constant else None,
            standardize=False,
            retain=retain,
            ess_threshold=0.9,
            random_state=seed,
        )
        more = {"classes": np.unique(y)} if estimator is hsmoe.HSMoEClassifier else {}
        for i in range(len(y)):
            model.partial_fit(X[i : i + 1], y[i : i + 1], **more)
        ratios.append(np.exp(model.log_evidence_ - exact))
    error = np.std(ratios) / np.sqrt(len(ratios))
    assert error < (0.03 if retain == 0 else 0.07)  # scans are dear; Geweke tests their kernels
    assert abs(np.mean(ratios) - 1.0) < 4.5 * error


def test_the_quadratures_agree_with_closed_forms():
    """Exchangeable rows: all allocations to one expert, no data, and a density that integrates."""
    assert logit_evidence(np.ones((1, 2)) * [1, 0], np.array([1]), 2, [3.0, 2.0]) == pytest.approx(
        np.log(0.5), abs=1e-9
    )
    total = sum(
        np.exp(binomial_evidence(np.array([[1.0, 0.3]]), np.array([k]), 4, [3.0, 2.0]))
        for k in range(5)
    )
    assert total == pytest.approx(1.0, abs=1e-9)
    triples = itertools.product(range(3), repeat=2)
    X = np.array([[1.0, 0.3], [1.0, -0.8]])
    total = sum(np.exp(logit_evidence(X, np.array(t), 3, [3.0, 2.0])) for t in triples)
    assert total == pytest.approx(1.0, abs=1e-9)
    expert = hsmoe.LaplaceExpert(a0=2.5, b0=0.4, coefficient_variance=4.0)
    log_y = np.linspace(np.log(1e-4), np.log(1e4), 201)  # symmetric, peaked at 0, heavy tails
    density = [np.exp(real_evidence([value], expert, laplace, [0])) for value in np.exp(log_y)]
    assert 2 * np.trapezoid(density * np.exp(log_y), log_y) == pytest.approx(1.0, abs=2e-3)
