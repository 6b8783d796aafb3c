"""The NumPy reference against closed forms, enumeration, quadrature and a joint simulation test.

The random tests use fixed seeds, so they do not flicker; the false alarm rates quoted are those
of a fresh seed, for a reader who changes it.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy_reference as reference
import oracles
import pytest
from numpy_reference import NumpyParticleLearner
from scipy import integrate, special, stats

# --------------------------------------------------------------------------- the oracles


def test_nig_evidence_is_the_multivariate_t_density():
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(9, 3)), rng.normal(size=9) + 1.0
    shape = 0.3 / 1.7 * (np.eye(9) + 4.0 * X @ X.T)
    expected = stats.multivariate_t.logpdf(y, shape=shape, df=2 * 1.7)
    assert oracles.nig_log_evidence(X, y, 1.7, 0.3, 4.0) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("tau", [0.02, 0.9, 1.0, 2.9, 3.1, 70.0])
def test_horseshoe_closed_forms_agree_with_quadrature(tau):
    slab = 3.0

    def scale_mixture(lam, phi):
        return stats.norm.pdf(phi, 0, tau * lam) * stats.halfcauchy.pdf(lam)

    for phi in (0.03, -1.3):
        parts = [
            integrate.quad(scale_mixture, a, b, args=(phi,))[0]
            for a, b in ((0, 0.1), (0.1, 1), (1, 10), (10, np.inf))
        ]
        assert oracles.horseshoe_conditional_pdf(phi, tau) == pytest.approx(sum(parts), rel=1e-6)
    by_phi = 2 * sum(
        integrate.quad(
            lambda t: oracles.horseshoe_conditional_pdf(t, tau) * stats.norm.pdf(t, 0, slab), a, b
        )[0]
        for a, b in ((0, 1e-4), (1e-4, 1e-2), (1e-2, 1), (1, 40))
    )
    mass = float(oracles.slab_mass(tau, slab))
    assert mass == pytest.approx(by_phi, rel=1e-6)
    # the normaliser in closed form: (2/pi) arccos(c)/sqrt(1-c^2), arccosh for c > 1
    closed = np.exp(reference._log_slab_normaliser(np.array(tau / slab)))
    assert mass * slab * np.sqrt(2 * np.pi) == pytest.approx(float(closed), rel=1e-9)


MIXTURE = (
    np.array([0.2, 0.5, 0.3]),
    np.array([-2.0, 0.3, 4.0]),
    np.array([0.5, 1.2, 0.1]),
    np.array([3.0, 4.5, 60.0]),
)


def test_student_t_mixture_oracles():
    cdf, pdf = oracles.student_t_mixture_cdf, oracles.student_t_mixture_pdf
    for t in (-3.0, 0.4, 3.9):
        slope = (cdf(t + 1e-5, *MIXTURE) - cdf(t - 1e-5, *MIXTURE)) / 2e-5
        assert pdf(t, *MIXTURE) == pytest.approx(slope, rel=1e-7)
    for prob in (1e-4, 0.21, 0.5, 0.97):
        root = oracles.student_t_mixture_quantile(prob, *MIXTURE)
        assert cdf(root, *MIXTURE) == pytest.approx(prob, abs=1e-12)
    cuts = (-np.inf, -10, -2, 0, 3.5, 4, 4.5, 10, np.inf)
    moments = [
        sum(
            integrate.quad(lambda t, r=r: t**r * pdf(t, *MIXTURE), a, b)[0]
            for a, b in pairwise(cuts)
        )
        for r in (1, 2)
    ]
    mean = oracles.student_t_mixture_mean(*MIXTURE)
    assert mean == pytest.approx(moments[0], rel=1e-7)
    assert oracles.student_t_mixture_var(*MIXTURE) == pytest.approx(moments[1] - mean**2, rel=1e-6)


@pytest.mark.parametrize("df", [1.6, 4.0, 51.0])
@pytest.mark.parametrize("t", [-1.3, 0.0, 6.0])
def test_crps_oracle_of_one_student_t(df, t):
    """Closed form of Jordan, Krueger & Lerch (2019)."""
    loc, scale = 0.7, 2.5
    f, cdf = stats.t.pdf(t, df), stats.t.cdf(t, df)
    spread = special.beta(0.5, df - 0.5) / special.beta(0.5, df / 2) ** 2
    unit = t * (2 * cdf - 1) + 2 * f * (df + t * t) / (df - 1) - 2 * np.sqrt(df) / (df - 1) * spread
    one = (np.ones(1), np.array([loc]), np.array([scale]), np.array([df]))
    assert oracles.student_t_mixture_crps(loc + scale * t, *one) == pytest.approx(
        scale * unit, rel=1e-7
    )


def test_crps_oracle_of_a_mixture_is_an_energy_score():
    """``CRPS = E|Y - y| - E|Y - Y'| / 2``, by simulation (4 standard errors: 6e-5)."""
    rng = np.random.default_rng(4)
    which = rng.choice(3, p=MIXTURE[0], size=(2, 400_000))
    draws = MIXTURE[1][which] + MIXTURE[2][which] * rng.standard_t(MIXTURE[3][which])
    score = np.abs(draws[0] - 1.1) - 0.5 * np.abs(draws[0] - draws[1])
    error = score.mean() - oracles.student_t_mixture_crps(1.1, *MIXTURE)
    assert abs(error) < 4 * score.std() / np.sqrt(score.size)


def _pg_cdf_series(x: float, h: float, z: float) -> float:
    """PG cdf as an alternating sum of first-passage probabilities of level ``n + h/2``."""
    n = np.arange(60)
    a = n + h / 2
    log_c = special.gammaln(n + h) - special.gammaln(h) - special.gammaln(n + 1)
    log_c += h * (np.log(np.cosh(z / 2)) + np.log(2))
    passage = np.logaddexp(
        -a * z + special.log_ndtr((z * x - a) / np.sqrt(x)),
        a * z + special.log_ndtr(-(z * x + a) / np.sqrt(x)),
    )
    return float(np.sum((-1.0) ** n * np.exp(log_c + passage)))


@pytest.mark.parametrize(("h", "z"), [(1, 0.0), (1, 2.3), (0.4, 1.0), (2.5, 0.6), (6, 4.0)])
def test_pg_oracles_agree(h, z):
    mean, sd = oracles.pg_mean(h, z), np.sqrt(oracles.pg_var(h, z))
    for x in (mean - 0.6 * sd, mean, mean + 2.0 * sd):
        if x > 0:
            cdf = oracles.pg_cdf_oracle(x, h, z)
            assert cdf == pytest.approx(_pg_cdf_series(x, h, z), abs=1e-10)
    # moments are derivatives of log L at 0
    e = 1e-3
    up, down = (float(np.log(oracles.pg_laplace(s, h, z))) for s in (e, -e))
    assert -(up - down) / (2 * e) == pytest.approx(mean, rel=1e-5)
    assert (up + down) / e**2 == pytest.approx(sd**2, rel=1e-5)


# --------------------------------------------------------------------------- Polya-Gamma draws


@pytest.mark.parametrize("z", [0.0, -0.5, 1.3, 3.1, 3.2, 9.0, 60.0])
def test_own_pg_sampler_has_the_right_law(z):
    """Mean, variance and Kolmogorov-Smirnov; false alarm about 3e-4 a case."""
    n = 60_000
    draws = reference.random_pg1(np.full(n, z), np.random.default_rng(int(1000 + 10 * z)))
    mean, var = oracles.pg_mean(1, z), oracles.pg_var(1, z)
    assert abs(draws.mean() - mean) < 4 * np.sqrt(var / n)
    square = (draws - mean) ** 2
    assert abs(square.mean() - var) < 4 * square.std() / np.sqrt(n)
    grid = np.linspace(max(draws.min(), 1e-3 * mean), np.quantile(draws, 0.9999), 250)
    table = np.array([oracles.pg_cdf_oracle(t, 1, z) for t in grid])
    empirical = np.searchsorted(np.sort(draws), grid, side="right") / n
    assert np.abs(empirical - table).max() < stats.kstwobign.isf(1e-4) / np.sqrt(n)


def test_pg_draws_with_and_without_the_package(monkeypatch):
    z = np.array([0.4, -6.0, 176.0, -300.0])
    tilted = np.tile(z, (40_000, 1))
    for absent in (False, True):
        if absent:
            monkeypatch.setattr(reference, "random_polyagamma", None)
        draws = reference._draw_pg(tilted, np.random.default_rng(8))
        for column, t in zip(draws.T, z, strict=True):
            se = np.sqrt(oracles.pg_var(1, t) / column.size)
            assert abs(column.mean() - oracles.pg_mean(1, t)) < 4 * se


# --------------------------------------------------------------------------- trees and prior


@pytest.mark.parametrize("tree", ["comb", "balanced"])
@pytest.mark.parametrize("n_experts", [1, 2, 3, 4, 5, 7, 8])
def test_tree(tree, n_experts):
    left, right = reference.build_tree(n_experts, tree)
    expected = oracles.tree_nodes(n_experts, tree)
    assert len(expected) == n_experts - 1
    for row, (to_left, to_right) in enumerate(expected):
        assert list(np.flatnonzero(left[row])) == to_left
        assert list(np.flatnonzero(right[row])) == to_right
    # with psi at its prior mean every leaf has weight 1/K
    learner = NumpyParticleLearner(n_experts, 2, 1, 2, tree=tree, gate_prior="normal", rng=0)
    gate = np.exp(learner._log_gate(np.tile(learner.gate_mean[:, 0], (2, 1))))
    np.testing.assert_allclose(gate, 1 / n_experts, rtol=1e-13)


@pytest.mark.parametrize(("m", "tau0", "slab"), [(1, 1.0, 3.0), (4, 0.3, 2.0), (12, 2.0, 0.5)])
def test_prior_draws(m, tau0, slab):
    """Kolmogorov-Smirnov for tau, each lambda through phi; false alarm 3e-4 a case."""
    rng = np.random.default_rng(m)
    n = 20_000
    tau, lam = reference.draw_horseshoe_prior(n, m, tau0, slab, rng)
    assert stats.kstest(tau, lambda t: oracles.horseshoe_tau_cdf(t, tau0, slab, m)).pvalue > 1e-4
    phi = rng.standard_normal((n, m)) / np.sqrt(1 / (tau[:, None] * lam) ** 2 + 1 / slab**2)
    for j in {0, m - 1}:
        law = stats.kstest(phi[:, j], lambda t: oracles.horseshoe_coefficient_cdf(t, tau0, slab, m))
        assert law.pvalue > 1e-4


def test_learner_starts_from_the_prior():
    learner = NumpyParticleLearner(4, 20_000, 2, 3, tau0=0.5, slab=2.0, rng=3)
    m = 6
    for value, cdf in (
        (np.sqrt(learner.tau2), lambda t: oracles.horseshoe_tau_cdf(t, 0.5, 2.0, m)),
        (learner.phi[:, 1, 2], lambda t: oracles.horseshoe_coefficient_cdf(t, 0.5, 2.0, m)),
        (learner.phi[:, 0, 0], stats.norm(np.log(1 / 3), 1.5).cdf),
        (learner.phi[:, 2, 0], stats.norm(0.0, 1.5).cdf),
    ):
        assert stats.kstest(value, cdf).pvalue > 1e-4
    paper = NumpyParticleLearner(3, 20_000, 2, 2, gate_prior="horseshoe-paper", rng=3)
    tau = np.sqrt(paper.tau2)
    assert stats.kstest(tau, stats.halfcauchy.cdf).pvalue > 1e-4
    assert stats.kstest(np.sqrt(paper.lam2[:, 1, 0]), stats.halfcauchy.cdf).pvalue > 1e-4
    unit = paper.phi[:, 1, 0] / np.sqrt(paper.lam2[:, 1, 0]) / tau
    assert stats.kstest(unit, stats.norm.cdf).pvalue > 1e-4


# --------------------------------------------------------------------------- evidence


def _regimes(n: int, seed: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """Two regimes, nothing symmetric: uneven split, different slopes, shifted feature."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0.4, 1.0, n)
    left = rng.random(n) < special.expit(0.6 + 1.5 * x)
    y = np.where(left, 1.2 - 0.5 * x, -0.7 + x) + 0.3 * rng.normal(size=n)
    return np.column_stack([np.ones(n), x]), y


def test_one_expert_is_exact():
    rng = np.random.default_rng(2)
    X = np.column_stack([np.ones(150), 3.0 + rng.normal(size=(150, 4)) * [1, 5, 0.2, 1]])
    y = X @ [1.0, -2.0, 0.3, 0.0, 4.0] + 0.7 * rng.normal(size=150)
    learner = NumpyParticleLearner(
        1, 3, 5, 2, a0=1.5, b0=0.2, coefficient_variance=7.0, ess_threshold=0.5, rng=0
    )
    increments = [learner.step(X[i], X[i, :2], y[i]) for i in range(150)]
    expected = oracles.nig_log_evidence(X, y, 1.5, 0.2, 7.0)
    assert learner.log_evidence == pytest.approx(expected, abs=1e-9)
    assert sum(increments) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("tree", ["comb", "balanced"])
def test_increment_is_the_predictive_density(tree):
    X, y = _regimes(60)
    learner = NumpyParticleLearner(5, 30, 2, 2, tree=tree, ess_threshold=0.4, rng=1)
    for i in range(60):
        mixture = learner.predictive(X[i], X[i])
        assert mixture[0].sum() == pytest.approx(1.0, abs=1e-12)
        expected = np.log(oracles.student_t_mixture_pdf(y[i], *mixture))
        assert learner.step(X[i], X[i], y[i]) == pytest.approx(expected, abs=1e-9)
    assert learner.n_resamplings > 0
    assert learner.count.sum(axis=1).tolist() == [60] * 30


def _evidence_ratio(
    n_experts: int,
    n: int,
    n_runs: int,
    learner_options: dict,
    prior_options: dict,
    p: int = 2,
    wrong_mean: bool = False,
) -> tuple[float, float]:
    """Mean and standard error of ``Z-hat / Z`` over runs."""
    X, y = _regimes(n)
    exact = oracles.enumerated_log_evidence(
        X,
        X[:, :p],
        y,
        oracles.tree_nodes(n_experts, learner_options.get("tree", "comb")),
        **prior_options,
    )
    ratio = np.empty(n_runs)
    for run in range(n_runs):
        learner = NumpyParticleLearner(
            n_experts, 150, 2, p, rng=run, **learner_options, **prior_options
        )
        if wrong_mean:
            learner.gate_mean[:] = 0.0
            learner.draw_gate_prior()
        for i in range(n):
            learner.step(X[i], X[i, :p], y[i])
        ratio[run] = np.exp(learner.log_evidence - exact)
    return ratio.mean(), ratio.std() / np.sqrt(n_runs)


@pytest.mark.parametrize(
    ("n_experts", "n", "p", "learner_options", "prior_options"),
    [
        (2, 7, 2, {"phi_kernel": "sweep"}, {"gate_prior": "normal", "normal_sd": 1.3}),
        (2, 8, 2, {"phi_kernel": "block"}, {"gate_prior": "horseshoe", "tau0": 0.7}),
        (2, 8, 1, {}, {"gate_prior": "horseshoe", "intercept_sd": 0.8}),
        (2, 7, 2, {"ess_threshold": 1.0}, {"gate_prior": "horseshoe", "slab": 1.0}),
        (2, 6, 2, {}, {"gate_prior": "horseshoe-paper"}),
        (3, 4, 2, {}, {"gate_prior": "horseshoe", "a0": 1.2, "b0": 0.5}),
        (4, 4, 2, {"tree": "balanced"}, {"gate_prior": "normal", "coefficient_variance": 3.0}),
    ],
)
def test_mean_evidence_equals_enumeration(n_experts, n, p, learner_options, prior_options):
    """Z-hat is unbiased.  Four standard errors: false alarm 6e-5 a case, 4e-4 in all."""
    mean, se = _evidence_ratio(n_experts, n, 300, learner_options, prior_options, p)
    assert se < 0.02
    assert abs(mean - 1.0) < 4 * se


def test_enumeration_notices_a_wrong_intercept_mean():
    mean, se = _evidence_ratio(3, 4, 100, {}, {"gate_prior": "normal"}, wrong_mean=True)
    assert abs(mean - 1.0) > 8 * se


# --------------------------------------------------------------------------- kernels


@pytest.mark.parametrize("kernel", ["sweep", "block"])
def test_phi_kernels_on_frozen_statistics(kernel):
    """Mean and covariance against ``Q^-1 h'``, ``Q^-1``; 14 z-scores below 4.5: 1e-4."""
    rng = np.random.default_rng(5)
    n, p = 20_000, 4
    U = np.column_stack([np.ones(12), rng.normal(0.8, 1.0, (12, p - 1))])
    A = (U * rng.gamma(2.0, 0.2, 12)[:, None]).T @ U
    precision = np.array([0.4, 3.0, 0.15, 40.0])
    target = np.array([1.0, -2.5, 0.7, 3.0])
    draw = {"sweep": reference._sweep_draw, "block": reference._block_draw}[kernel]
    phi = np.zeros((n, p))
    for _ in range(150 if kernel == "sweep" else 1):
        phi = draw(
            np.broadcast_to(A, (n, p, p)),
            np.broadcast_to(target, (n, p)),
            np.broadcast_to(precision, (n, p)),
            phi,
            rng,
        )
    cov = np.linalg.inv(A + np.diag(precision))
    error = phi - cov @ target
    z_mean = error.mean(0) / np.sqrt(np.diag(cov) / n)
    z_cov = (error.T @ error / n - cov) / np.sqrt(
        (cov**2 + np.outer(np.diag(cov), np.diag(cov))) / n
    )
    assert np.abs(z_mean).max() < 4.5
    assert np.abs(z_cov).max() < 4.5


class _WrongKappa(NumpyParticleLearner):
    @staticmethod
    def _kappa(went_left, passed):
        return 1.2 * NumpyParticleLearner._kappa(went_left, passed)


class _FlippedKappa(NumpyParticleLearner):
    @staticmethod
    def _kappa(went_left, passed):
        return NumpyParticleLearner._kappa(~went_left, passed)


class _WrongLocalScale(NumpyParticleLearner):
    """The factor 1/2 of ``phi^2 / (2 tau^2)`` is forgotten."""

    def _draw_local(self, beta2, nu, tau2):
        return super()._draw_local(2.0 * beta2, nu, tau2)


class _WrongGlobalShape(NumpyParticleLearner):
    """Shape ``M/2`` in place of ``(M+1)/2``."""

    def draw_tau(self):
        ratio = self.phi[:, :, 1:] ** 2 / self.lam2
        rate = 1.0 / self.xi + 0.5 * ratio.sum(axis=(1, 2))
        self.tau2 = rate / self.rng.standard_gamma(0.5 * ratio[0].size, rate.size)
        self.xi = (self.tau0**-2 + 1.0 / self.tau2) / self.rng.standard_exponential(rate.size)


class _LostMean(NumpyParticleLearner):
    """The prior mean of the intercept is left out of ``h'``."""

    def draw_phi(self, rows, node):
        keep, self.gate_mean = self.gate_mean, np.zeros_like(self.gate_mean)
        super().draw_phi(rows, node)
        self.gate_mean = keep


def _geweke_z(
    cls: type[NumpyParticleLearner],
    kernel: str,
    *,
    n_experts: int = 2,
    p: int = 2,
    n_chains: int = 1500,
    n_steps: int = 60,
) -> np.ndarray:
    """Joint distribution test of Geweke (2004); z-scores of the test functions.

    Marginal-conditional: ``(phi, scales)`` from the prior, then the rows' paths.
    Successive-conditional: ``omega | phi``, ``phi | A, h, scales``, scales, new paths, in turn.
    The chains run in parallel from stationarity and are independent, so the standard error from
    the spread of the chain means is right whatever the autocorrelation within a chain.
    """
    rows = np.array([[1.0, 0.8, -0.3], [1.0, 2.0, 0.5], [1.0, -0.4, 1.5], [1.0, 1.1, 0.9]])[:, :p]

    def prior(n: int, seed: int) -> NumpyParticleLearner:
        learner = cls(
            n_experts, n, 1, p, tau0=0.8, slab=2.0, phi_kernel=kernel, rng=seed, intercept_sd=1.1
        )
        learner.gate_mean[0, 0] = 0.7
        learner.draw_gate_prior()
        return learner

    def draw_paths(learner: NumpyParticleLearner) -> np.ndarray:
        """Leaf of each row in each particle, by walking down the tree."""
        psi = np.einsum("nlp,rp->nrl", learner.phi, rows)
        prob = np.exp(learner._log_gate(psi))
        uniform = learner.rng.random((*prob.shape[:2], 1))
        return (uniform > np.cumsum(prob, axis=2)[:, :, :-1]).sum(axis=2)

    def functions(learner: NumpyParticleLearner, leaf: np.ndarray) -> np.ndarray:
        phi = learner.phi.reshape(len(leaf), -1)
        first = (leaf == 0).astype(float)
        return np.column_stack(
            [
                phi,
                phi**2,
                np.log(learner.tau2),
                np.log(learner.xi),
                np.log(learner.lam2).reshape(len(leaf), -1),
                np.log(learner.nu).reshape(len(leaf), -1),
                first @ rows,
                (first @ rows) * learner.phi[:, 0],
            ]
        )

    big = prior(60_000, 1)
    direct = functions(big, draw_paths(big))
    chain = prior(n_chains, 2)
    leaf = draw_paths(chain)
    total = np.zeros((n_chains, direct.shape[1]))
    for _ in range(n_steps):
        chain.A[:], chain.h[:] = 0.0, 0.0
        passed_any = np.zeros(chain.phi.shape[:2], dtype=bool)
        for r, u in enumerate(rows):
            went_left = chain.left.T[leaf[:, r]] > 0
            passed = went_left | (chain.right.T[leaf[:, r]] > 0)
            chain.augment(u, chain.phi @ u, went_left, passed)
            passed_any |= passed
        chain.refresh(np.ones_like(passed_any))
        leaf = draw_paths(chain)
        total += functions(chain, leaf)
    mean = total / n_steps
    variance = mean.var(axis=0) / n_chains + direct.var(axis=0) / len(direct)
    return (mean.mean(axis=0) - direct.mean(axis=0)) / np.sqrt(variance)


@pytest.mark.parametrize("kernel", ["sweep", "block"])
@pytest.mark.parametrize(("n_experts", "p"), [(2, 2), (3, 3)])
def test_geweke_joint_distribution(kernel, n_experts, p):
    """At most 30 z-scores below 4.5: false alarm 2e-4 a case."""
    z = _geweke_z(NumpyParticleLearner, kernel, n_experts=n_experts, p=p)
    assert np.abs(z).max() < 4.5


@pytest.mark.parametrize(
    "wrong", [_WrongKappa, _FlippedKappa, _WrongLocalScale, _WrongGlobalShape, _LostMean]
)
def test_geweke_has_power(wrong):
    assert np.abs(_geweke_z(wrong, "sweep")).max() > 8
