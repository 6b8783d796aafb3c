"""Simulation-based calibration (Talts et al. 2018) of every expert, through the Python interface.

Parameters are drawn from the prior as the docstrings state it, with NumPy alone, and rows given
them; the model learns the rows, and the rank of each true number among its posterior draws must be
uniform.  Every replication with ``retain=None``: weights, rows learned in passing and scans.

K = 2: the two labellings of a draw are equally probable under prior and posterior, so that of each
draw is chosen by a coin.  Without it ranks of labelled numbers gather at the ends: the shares of
the labellings drift when few particles are resampled (docs/statistics.md).

``--long`` runs more replications, and experts whose prior differs from that of the truth: that must
be noticed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from one_island import ONE_ISLAND
from scipy import special, stats

import hsmoe
from hsmoe._draws import choose_draws

N_ROWS, N_DRAWS, BINS = 25, 31, 8
GATE = hsmoe.NormalPrior(scale=1.5, intercept_sd=1.0)
DFS = 2.5 * 2.0 ** (np.arange(21) / 4)
DISPERSIONS = 0.05 * 2.0 ** (np.arange(37) / 3)
FALSE_ALARM = 1e-3
NOTICED = 1e-6


@dataclass
class Parameters:
    """One point of the parameter space; experts on the first axis."""

    phi: np.ndarray  # (2,): P(expert 0) = sigmoid(phi_0 + phi_1 x)
    beta: np.ndarray  # (2, C, 2)
    variance: np.ndarray  # (2,), NaN where there is none
    shape: np.ndarray  # (2,), likewise

    def relabelled(self) -> Parameters:
        return Parameters(-self.phi, self.beta[::-1], self.variance[::-1], self.shape[::-1])


class Noisy:
    """Real targets: prior and law of one expert with noise."""

    def prior(self, expert: Any, rng: np.random.Generator) -> tuple[np.ndarray, float, float]:
        b0 = expert.b0
        if expert.b0_shape:
            b0 = rng.gamma(expert.b0_shape, expert.b0 / expert.b0_shape)
        s2 = b0 / rng.gamma(expert.a0)
        variance = expert.coefficient_variance
        if expert.coefficient_shape:
            variance *= expert.coefficient_shape / rng.gamma(expert.coefficient_shape)
        beta = np.sqrt(variance * s2) * rng.standard_normal((1, 2))
        df = getattr(expert, "df", np.nan)
        return beta, s2, rng.choice(DFS) if df is None else np.nan if np.isnan(df) else df

    def law(self, expert: Any, eta: np.ndarray, s2: float, shape: float) -> Any:
        scale = np.sqrt(s2)
        if isinstance(expert, hsmoe.StudentExpert):
            return stats.t(shape, eta[0], scale)
        if isinstance(expert, hsmoe.LaplaceExpert):
            return stats.laplace(eta[0], scale)
        return stats.norm(eta[0], scale)


class Discrete:
    """Classes and counts: prior and law of one expert without noise."""

    def __init__(self, classes: int = 2) -> None:
        self.classes = classes

    def prior(self, expert: Any, rng: np.random.Generator) -> tuple[np.ndarray, float, float]:
        sds = np.sqrt([expert.intercept_variance, expert.coefficient_variance])
        beta = sds * rng.standard_normal((self.classes - 1, 2))
        shape = getattr(expert, "dispersion", np.nan)
        return beta, np.nan, rng.choice(DISPERSIONS) if shape is None else shape

    def law(self, expert: Any, eta: np.ndarray, s2: float, shape: float) -> Any:
        if isinstance(expert, hsmoe.BinomialExpert):
            return stats.binom(expert.n_trials, special.expit(eta[0]))
        if isinstance(expert, hsmoe.NegativeBinomialExpert):
            return stats.nbinom(shape, shape / (shape + np.exp(eta[0])))
        return Classes(eta)


class Classes:
    """Comb of logits: for each class from the last down, whether it is that one of those left."""

    def __init__(self, eta: np.ndarray) -> None:
        below = np.ones_like(eta[0])
        p = []
        for row in eta[::-1]:
            p.append(below * special.expit(row))
            below = below * special.expit(-row)
        self.p = np.array([below, *p[::-1]])  # (classes, n)

    def logpmf(self, y: np.ndarray) -> np.ndarray:
        return np.log(self.p[np.asarray(y, dtype=int), np.arange(self.p.shape[1])])

    def rvs(self, random_state: np.random.Generator) -> np.ndarray:
        return (random_state.random(self.p.shape[1]) > self.p.cumsum(axis=0)).sum(axis=0)


@dataclass(frozen=True)
class Case:
    estimator: type
    expert: Any
    family: Any = Noisy()  # noqa: RUF009 - holds nothing
    of_truth: Any = None  # the prior of the truth if it is another one

    def prior(self, rng: np.random.Generator) -> Parameters:
        phi = np.array([GATE.intercept_sd, GATE.scale]) * rng.standard_normal(2)
        draws = [self.family.prior(self.of_truth or self.expert, rng) for _ in range(2)]
        return Parameters(phi, *(np.array(v) for v in zip(*draws, strict=True)))

    def laws(self, q: Parameters, x: np.ndarray) -> list[Any]:
        eta = q.beta[:, :, :1] + q.beta[:, :, 1:] * x  # (2, C, n)
        return [self.family.law(self.expert, eta[k], q.variance[k], q.shape[k]) for k in range(2)]

    def log_density(self, q: Parameters, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        psi = q.phi[0] + q.phi[1] * x
        terms = []
        for side, law in zip((psi, -psi), self.laws(q, x), strict=True):
            log_f = law.logpmf(y) if isinstance(self.family, Discrete) else law.logpdf(y)
            terms.append(special.log_expit(side) + log_f)
        return np.logaddexp(*terms)

    def draw(self, q: Parameters, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        left = rng.random(len(x)) < special.expit(q.phi[0] + q.phi[1] * x)
        values = [law.rvs(random_state=rng, **size) for law, size in self._sized(q, x)]
        return np.where(left, *values)

    def _sized(self, q: Parameters, x: np.ndarray) -> list[tuple[Any, dict[str, int]]]:
        return [
            (law, {} if isinstance(law, Classes) else {"size": len(x)}) for law in self.laws(q, x)
        ]

    def quantities(self, q: Parameters, x: np.ndarray, y: np.ndarray) -> dict[str, float]:
        """The numbers that are ranked; x and y end with a row that the model has not seen."""
        named = {
            "phi": q.phi,
            "beta": q.beta.ravel(),
            "variance": q.variance,
            "shape": q.shape,
            "least beta": [q.beta.min()],
            "least variance": [q.variance.min()],
            "largest variance": [q.variance.max()],
            "least shape": [q.shape.min()],
        }
        values = {
            f"{name} {i}": float(v)
            for name, all_of_it in named.items()
            for i, v in enumerate(np.asarray(all_of_it))
            if np.isfinite(v)
        }
        log_f = self.log_density(q, x, y)
        return {**values, "log likelihood": log_f[:-1].sum(), "of the last row": log_f[-2]}

    def posterior(self, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> list[Parameters]:
        model = self.estimator(
            **ONE_ISLAND,
            n_experts=2,
            n_particles=128,  # 896 while rows are so few
            gate_prior=GATE,
            expert=self.expert,
            standardize=False,
            retain=None,
            random_state=int(rng.integers(2**31)),
        )
        more = {}
        if isinstance(self.family, Discrete) and isinstance(self.expert, hsmoe.LogitExpert):
            more = {"classes": np.arange(self.family.classes)}
        model.partial_fit(x[:, None], y, **more)
        draws = choose_draws(
            model._state.engine, 2, rng, n_draws=N_DRAWS, by_island=False, match=False,
            more_rows=None, n_jobs=1,
        )  # fmt: skip
        nowhere = np.empty((0, 2))
        d = draws.at(nowhere, nowhere, None)
        coefficients = np.asarray(d["coefficients"]).reshape(N_DRAWS, 2, -1, 2)
        numbers = zip(d["phi"][:, 0], coefficients, d["noise_variance"], d["shape"], strict=True)
        return [Parameters(*(np.array(v) for v in q)) for q in numbers]


def ranks(case: Case, seed: int) -> dict[str, int]:
    """Ranks, 0 to N_DRAWS, of the numbers of one truth among those of posterior draws."""
    rng = np.random.default_rng([seed, 9])
    truth = case.prior(rng)
    # Asymmetric, early rows span the range.
    x = -1.0 + 2.6 * (0.6180339887498949 * np.arange(1, N_ROWS + 2) % 1)
    y = case.draw(truth, x, rng)
    of_truth = case.quantities(truth, x, y)
    below = dict.fromkeys(of_truth, 0)
    ties = dict.fromkeys(of_truth, 0)
    for q in case.posterior(x[:-1], y[:-1], rng):
        values = case.quantities(q.relabelled() if rng.random() < 0.5 else q, x, y)
        for name, value in values.items():
            below[name] += value < of_truth[name]
            ties[name] += value == of_truth[name]
    return {name: n + int(rng.integers(ties[name] + 1)) for name, n in below.items()}


def smallest_p(case: Case, replications: int) -> tuple[float, str]:
    """Bonferroni's p-value over all quantities and three tests of each, and which was least."""
    table: dict[str, list[int]] = {}
    for seed in range(replications):
        for name, rank in ranks(case, seed).items():
            table.setdefault(name, []).append(rank)
    p = {}
    for name, of_name in table.items():
        u = (np.array(of_name) + 0.5) / (N_DRAWS + 1)
        counts = np.bincount((BINS * u).astype(int), minlength=BINS)
        p[f"{name}, bins"] = stats.chisquare(counts).pvalue
        for moment, v in (("trend", u - 0.5), ("dispersion", (u - 0.5) ** 2)):
            scores = (np.arange(N_DRAWS + 1) + 0.5) / (N_DRAWS + 1) - 0.5
            scores = scores if moment == "trend" else scores**2
            z = (v.mean() - scores.mean()) / (scores.std() / np.sqrt(replications))
            p[f"{name}, {moment}"] = 2 * stats.norm.sf(abs(z))
    worst = min(p, key=p.__getitem__)
    return min(1.0, len(p) * p[worst]), worst


CASES = {
    "gaussian": Case(hsmoe.HSMoERegressor, hsmoe.GaussianExpert()),
    "student": Case(hsmoe.HSMoERegressor, hsmoe.StudentExpert()),
    "student, df known": Case(
        hsmoe.HSMoERegressor, hsmoe.StudentExpert(df=4.0, b0_shape=0.0, coefficient_shape=0.0)
    ),
    "laplace": Case(hsmoe.HSMoERegressor, hsmoe.LaplaceExpert()),
    "two classes": Case(hsmoe.HSMoEClassifier, hsmoe.LogitExpert(), Discrete()),
    "three classes": Case(hsmoe.HSMoEClassifier, hsmoe.LogitExpert(), Discrete(3)),
    "binomial": Case(hsmoe.HSMoECountRegressor, hsmoe.BinomialExpert(5), Discrete()),
    "counts": Case(
        hsmoe.HSMoECountRegressor,
        hsmoe.NegativeBinomialExpert(coefficient_variance=0.5),
        Discrete(),
    ),
}
WRONG = {
    "student": hsmoe.StudentExpert(coefficient_variance=40.0),
    "laplace": hsmoe.LaplaceExpert(a0=6.0),
    "two classes": hsmoe.LogitExpert(coefficient_variance=20.0),
    "three classes": hsmoe.LogitExpert(intercept_variance=30.0),
    "binomial": hsmoe.BinomialExpert(5, coefficient_variance=12.0),
    "counts": hsmoe.NegativeBinomialExpert(dispersion=0.2, coefficient_variance=0.5),
}


@pytest.mark.parametrize("name", ["laplace", "three classes"])
def test_calibrated(name):
    p, worst = smallest_p(CASES[name], 60)
    assert p > FALSE_ALARM, worst


@pytest.mark.long
@pytest.mark.parametrize("name", CASES)
def test_calibrated_in_many_replications(name):
    p, worst = smallest_p(CASES[name], 400)
    print(f"{name}: p = {p:.2g} ({worst})")
    assert p > FALSE_ALARM, worst


@pytest.mark.long
@pytest.mark.parametrize("name", WRONG)
def test_a_truth_from_another_prior_is_noticed(name):
    p, worst = smallest_p(replace(CASES[name], of_truth=WRONG[name]), 150)
    print(f"{name}: p = {p:.2g} ({worst})")
    assert p < NOTICED, worst
