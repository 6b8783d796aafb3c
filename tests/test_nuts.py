"""The whole posterior against an independent long run: Hamiltonian Monte Carlo with z summed out.

The joint density is written here from the model alone (one logistic split, or one softmax or
Laplace node): gate coefficients, horseshoe scales, regression coefficients, noise variances and
their scales are all explicit, the allocations are summed out, and NUTS draws from it.  Nothing is
shared with the package: no Polya-Gamma variables, no conjugate update, no particles.

Permuting the experts with the gate leaves the posterior as it is, so that chains and particles may
hold the labellings in any proportion.  What is compared does not depend on labels; of two experts
the gate is that of the one that is in charge far out along the first feature, draw by draw.

The false alarm rate of one call of ``_smallest_p`` is ``FALSE_ALARM`` for fresh seeds, by
Bonferroni over all its comparisons; the seeds are fixed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from one_island import ONE_ISLAND
from scipy import special, stats

import hsmoe
from hsmoe._draws import choose_draws

FALSE_ALARM = 1e-3

# Where the gate is compared: the middle points are the uncertain ones.
GATE_X = np.array([[-1.2, 0.0], [-0.6, 0.8], [-0.2, -0.5], [0.1, 1.0], [0.4, -1.0], [1.5, 0.0]])
MIDDLE = slice(1, 4)
# Where the forecast is: on, between and off the two lines, and past the data.
FORECAST_X = np.array(
    [[-1.2, 0.0], [-0.2, -0.5], [-0.2, -0.5], [0.1, 1.0], [0.4, -1.0], [1.5, 0.0], [2.5, 2.0]]
)
FORECAST_Y = np.array([0.2, 0.9, -0.9, -0.6, 1.8, 2.6, 2.9])
ANCHOR_X1 = 30.0


@dataclass(frozen=True)
class Case:
    """A data set and the priors it is analysed with."""

    n: int = 120
    n_features: int = 2
    gate: str = "balanced"
    n_experts: int = 2
    gate_prior: object = hsmoe.HorseshoePrior(tau0=1.0, slab=3.0, intercept_sd=1.5)
    expert: object = hsmoe.GaussianExpert(
        a0=2.0, b0=0.1, b0_shape=1.0, coefficient_variance=10.0, coefficient_shape=1.0
    )

    def rows(self):
        """X, y: two regimes that overlap, unlike in size, slope and noise; x2 idle in the gate."""
        rng = np.random.default_rng(1)
        X = rng.normal(size=(self.n, self.n_features)) + np.r_[0.3, np.zeros(self.n_features - 1)]
        left = rng.uniform(size=self.n) < special.expit(0.6 + 3 * X[:, 0])
        noise = rng.normal(size=self.n)
        if self.n_experts == 3:  # the right one again in two, by the second feature
            upper = rng.uniform(size=self.n) < special.expit(3 * X[:, 1] - 0.5)
            other = np.where(upper, 3.0 + X[:, 0] + 0.3 * noise, -1.0 - 0.8 * X[:, 0] + 0.5 * noise)
            return X, np.where(left, 1.0 + 1.5 * X[:, 0] - 0.5 * X[:, 1] + 0.4 * noise, other)
        one = 1.0 + 1.5 * X[:, 0] - 0.5 * X[:, 1] + 0.4 * noise
        other = -1.0 - 0.8 * X[:, 0] + 0.2 * X[:, 1] + 0.7 * noise
        return X, np.where(left, one, other)

    def widen(self, points):
        """Give the points the features that only the wider data sets have."""
        return np.c_[points, np.full((len(points), self.n_features - points.shape[1]), 0.3)]

    @property
    def anchor(self):
        return self.widen(np.array([[ANCHOR_X1, 0.0]]))


DEFAULT = Case()
SOFTMAX = Case(gate="softmax")
LAPLACE = Case(gate="laplace")


def _of_anchor(g, at_anchor):
    """Return the gate (..., n) of the expert that takes more than half at the anchor (..., 1)."""
    return np.where(at_anchor > 0.5, g, 1.0 - g)


def _scores(case, theta, design):
    """Scores (..., n, K) whose softmax is the gate, of coefficients (..., rows, p); NumPy or JAX.

    ``u'phi_k`` of a softmax, ``b_k - |x - c_k|`` of a Laplace node; a split pins its second at 0.
    """
    if case.gate == "laplace":
        gap = design[:, None, 1:] - theta[..., None, :, 1:]
        return theta[..., None, :, 0] - (gap**2).sum(-1) ** 0.5
    scores = (theta @ design.T).swapaxes(-1, -2)
    return scores if case.gate == "softmax" else scores * np.r_[1.0, 0.0]


# --------------------------------------------------------------------------- NUTS


def _draws(case, n_chains, n_warmup, n_kept):
    """Draws of theta (c, s, rows, p), of the prior precision of its slopes, beta, s2 (c, s, K)."""
    import jax
    import jax.numpy as jnp
    import numpyro
    from jax.flatten_util import ravel_pytree
    from numpyro.infer import MCMC, NUTS

    X, y = case.rows()
    design = np.c_[np.ones(len(X)), X]
    prior, expert = case.gate_prior, case.expert
    paper = isinstance(prior, hsmoe.PaperHorseshoePrior)
    K = case.n_experts
    n_rows = 1 if case.gate == "balanced" else K
    # Centres of a Laplace node have no scales, only a deviation.
    ridge = isinstance(prior, hsmoe.NormalPrior) or case.gate == "laplace"
    group = isinstance(prior, hsmoe.GroupHorseshoePrior) and not ridge
    d = 1 + X.shape[1]
    slopes = (n_rows, d if paper else d - 1)  # penalised coefficients
    tau0 = 1.0 if paper or ridge else prior.tau0
    slab_precision = 0.0 if paper or ridge else prior.slab**-2

    def log_scale(q):
        return q["log_tau"] + q["log_lambda"] + (q["log_gamma"][:, None] if group else 0.0)

    def gate(q):
        """theta, and the precision of its penalised part given the scales."""
        if ridge:
            scale = prior.scale if isinstance(prior, hsmoe.NormalPrior) else prior.centre_sd
            precision = jnp.full(slopes, scale**-2)
        else:
            precision = jnp.exp(-2 * log_scale(q)) + slab_precision
        slope = q["slope"] / jnp.sqrt(precision)  # sampled in units of its prior
        if not paper:
            slope = jnp.concatenate([q["intercept"][:, None], slope], 1)
        return slope, precision

    def log_joint(q):
        theta, precision = gate(q)
        log_p = -0.5 * jnp.sum(q["slope"] ** 2)
        if not ridge:
            log_p += q["log_tau"] - jnp.log1p(jnp.exp(2 * q["log_tau"]) / tau0**2)
            for name in ("log_lambda", "log_gamma") if group else ("log_lambda",):
                log_p += jnp.sum(q[name] - jnp.log1p(jnp.exp(2 * q[name])))
            # N(phi; 0, s^2) exp(-phi^2 / (2 slab^2)) dphi: 1/s times the sd of the product
            log_p -= jnp.sum(log_scale(q) + 0.5 * jnp.log(precision))
        if not paper:  # all leaves hold one expert: the mean of the intercepts is 0
            log_p -= 0.5 * jnp.sum((q["intercept"] / prior.intercept_sd) ** 2)
        log_s2, beta = q["log_s2"], q["beta"]
        if expert.b0_shape > 0:
            log_b0 = q["log_b0"]
            rate = expert.b0_shape / expert.b0
            log_p += jnp.sum(expert.b0_shape * log_b0 - rate * jnp.exp(log_b0))
        else:
            log_b0 = jnp.full(K, jnp.log(expert.b0))
        log_p += jnp.sum(expert.a0 * (log_b0 - log_s2) - jnp.exp(log_b0 - log_s2))
        if expert.coefficient_shape > 0:  # of 1 / V
            log_kappa = q["log_kappa"]
            rate = expert.coefficient_shape * expert.coefficient_variance
            log_p += jnp.sum(expert.coefficient_shape * log_kappa - rate * jnp.exp(log_kappa))
        else:
            log_kappa = jnp.full(K, -jnp.log(expert.coefficient_variance))
        beta_precision = jnp.exp(log_kappa - log_s2)
        log_p -= 0.5 * jnp.sum(beta**2 * beta_precision[:, None])
        log_p += 0.5 * d * jnp.sum(log_kappa - log_s2)
        error = y - beta @ design.T
        log_f = -0.5 * (error**2 * jnp.exp(-log_s2)[:, None] + log_s2[:, None])
        log_g = jax.nn.log_softmax(_scores(case, theta, design), -1)
        return log_p + jnp.sum(jax.nn.logsumexp(log_g + log_f.T, -1))

    sizes = {"slope": slopes, "log_s2": (K,), "beta": (K, d)}
    if not paper:
        sizes["intercept"] = (n_rows,)
    if not ridge:
        sizes |= {"log_tau": (), "log_lambda": slopes}
    if group:
        sizes["log_gamma"] = (n_rows,)
    if expert.b0_shape > 0:
        sizes["log_b0"] = (K,)
    if expert.coefficient_shape > 0:
        sizes["log_kappa"] = (K,)
    rng = np.random.default_rng(3)
    numpyro.enable_x64()
    # One flat vector: a step over one array is much cheaper than over many small ones.
    flat, named = ravel_pytree({name: jnp.zeros(size) for name, size in sizes.items()})
    # Scattered starts: both labellings are found, and any third mode would be.
    start = jnp.array(0.5 * rng.normal(size=(n_chains, flat.size)))
    # Scales without a slab have tails that long steps diverge in.
    acceptance = 0.995 if paper else 0.7
    run = MCMC(
        NUTS(potential_fn=lambda q: -log_joint(named(q)), target_accept_prob=acceptance),
        num_warmup=n_warmup,
        num_samples=n_kept,
        num_chains=n_chains,
        chain_method="vectorized",
        progress_bar=False,
    )
    run.run(jax.random.PRNGKey(0), init_params=start, extra_fields=("diverging",))
    assert np.mean(run.get_extra_fields()["diverging"]) < 1e-3
    q = jax.vmap(jax.vmap(named))(run.get_samples(group_by_chain=True))
    draws = (*jax.vmap(jax.vmap(gate))(q), q["beta"], jnp.exp(q["log_s2"]))
    theta, precision, beta, s2 = (np.array(a) for a in draws)
    assert theta.dtype == np.float64
    return theta, precision, beta, s2


def _polya_gamma(rng, psi):
    """PG(1, psi) as its sum of exponentials, the far terms by their mean."""
    total = 1 / 4 * np.ones_like(psi)
    small = np.abs(psi) < 1e-6
    np.divide(np.tanh(psi / 2), 2 * psi, out=total, where=~small)
    for k in range(40):
        rate = 2 * np.pi**2 * ((k + 0.5) ** 2 + (psi / (2 * np.pi)) ** 2)
        total += (rng.exponential(size=psi.shape) - 1) / rate
    return total


@cache
def _nuts(case, n_chains=16, n_warmup=250, n_kept=400):
    """Estimates and their standard errors by name; see ``_estimates`` for the names."""
    from numpyro.diagnostics import effective_sample_size, split_gelman_rubin

    theta, precision, beta, s2 = _draws(case, n_chains, n_warmup, n_kept)
    out = {}

    def mean_of(values):
        assert split_gelman_rubin(values).max() < 1.03
        mean = values.mean((0, 1))
        size = effective_sample_size(values)
        return mean, values.std((0, 1)) / np.sqrt(size)

    def sd_from(squares):
        variance, error = mean_of(squares)
        return np.sqrt(variance), error / (2 * np.sqrt(variance))

    def design(points):
        return np.c_[np.ones(len(points)), case.widen(points)]

    def gate(points):
        return special.softmax(_scores(case, theta, design(points)), -1)

    g = gate(GATE_X)
    out["gate spread"] = mean_of(((g - 1 / case.n_experts) ** 2).sum(-1))
    if case.n_experts == 2:
        g = _of_anchor(g[..., 0], gate(case.anchor[:, :2])[..., 0])
        out["gate mean"] = mean_of(g)
        # Elsewhere nearly nothing.
        out["gate sd"] = sd_from((g - g.mean((0, 1)))[..., MIDDLE] ** 2)

    U = design(FORECAST_X)
    g = gate(FORECAST_X)
    location = np.einsum("ij,cskj->csik", U, beta)
    sd = np.sqrt(s2)[:, :, None, :]
    mean = (g * location).sum(-1)
    out["mean"] = mean_of(mean)
    second = (g * (location**2 + sd**2)).sum(-1)
    centre = mean.mean((0, 1))
    out["sd"] = sd_from(second - 2 * centre * mean + centre**2)
    y = FORECAST_Y[:, None]
    density, error = mean_of((g * stats.norm.pdf(y, location, sd)).sum(-1))
    out["log density"] = np.log(density), error / density
    out["cdf"] = mean_of((g * special.ndtr((y - location) / sd)).sum(-1))

    if case.gate == "balanced":
        # Inclusion is the share of the data in the precision of a coefficient given the Polya-Gamma
        # variables, which the posterior of the rest gives independent laws PG(1, psi).
        X, _ = case.rows()
        rng = np.random.default_rng(5)
        rows = np.c_[np.ones(len(X)), X]
        omega = _polya_gamma(rng, _scores(case, theta, rows)[..., 0])
        data = omega @ rows[:, -precision.shape[-1] :] ** 2
        out["inclusion"] = mean_of(data / (data + precision[..., 0, :]))
    return out


# --------------------------------------------------------------------------- the package


def _runs(case, n_runs, n_particles, ess_threshold=0.5, **wrong):
    """Each run's raw answers by name, stacked: (runs, points)."""
    X, y = case.rows()
    answers = []
    for seed in range(n_runs):
        model = hsmoe.HSMoERegressor(
            **{**ONE_ISLAND, "gate": case.gate},
            n_experts=case.n_experts,
            n_particles=n_particles,
            gate_prior=wrong.get("gate_prior", case.gate_prior),
            expert=wrong.get("expert", case.expert),
            ess_threshold=ess_threshold,
            retain=None,
            standardize=False,
            random_state=seed,
        ).partial_fit(X, y)
        g, g_sd = model.predict_expert_proba(case.widen(GATE_X), return_std=True)
        points = case.widen(FORECAST_X)
        drawn = _drawn_gate(model, np.r_[case.anchor, case.widen(GATE_X)])[..., 0]
        drawn = _of_anchor(drawn[:, 1:], drawn[:, :1])
        mean, sd = model.predict(points, return_std=True)
        inclusion = model.gate_inclusion().values[0]
        spread = g_sd**2 + (g - 1 / case.n_experts) ** 2
        answers.append(
            {
                "gate spread": spread.sum(axis=1),
                "gate": drawn.mean(axis=0),
                "gate square": (drawn**2).mean(axis=0),
                "mean": mean,
                "second": sd**2 + mean**2,
                "density": np.exp(model.log_density(points, FORECAST_Y)),
                "cdf": model.predict_cdf(points, FORECAST_Y),
                "inclusion": inclusion[~np.isnan(inclusion)],
            }
        )
    return {name: np.array([a[name] for a in answers]) for name in answers[0]}


def _drawn_gate(model, points):
    """The gate (draws, n, K) at points, as many draws as there are particles."""
    design = np.c_[np.ones(len(points)), points]  # nothing is standardised
    _, engine, _ = model._view()
    draws = choose_draws(
        engine,
        model.n_experts,
        np.random.default_rng(0),
        n_draws=model.n_particles,
        by_island=False,
        match=False,
        more_rows=None,
        n_jobs=1,
    )
    return np.exp(draws.at(design, design, None)["log_gate"])


def _estimates(runs):
    """Pool runs.  Comparisons that NUTS does not make of a case are left alone."""
    mean, gate = runs["mean"].mean(0), runs["gate"].mean(0)
    return {
        "gate mean": gate,
        "gate spread": runs["gate spread"].mean(0),
        "gate sd": np.sqrt(runs["gate square"].mean(0) - gate**2)[MIDDLE],
        "mean": mean,
        "sd": np.sqrt(runs["second"].mean(0) - mean**2),
        "log density": np.log(runs["density"].mean(0)),
        "cdf": runs["cdf"].mean(0),
        "inclusion": runs["inclusion"].mean(0),
    }


def _jackknife(runs):
    """Estimates of all runs pooled, and their standard errors, by name."""
    n = len(runs["mean"])
    without = [_estimates({name: np.delete(a, i, 0) for name, a in runs.items()}) for i in range(n)]
    return {
        name: (value, np.sqrt((n - 1) * np.var([w[name] for w in without], axis=0)))
        for name, value in _estimates(runs).items()
    }


def _smallest_p(nuts, runs):
    """Bonferroni's p-value of all comparisons together, and z-scores by name."""
    ours = _jackknife(runs)
    z, p = {}, []
    for name, (value, error) in nuts.items():
        mine, mine_error = ours[name]
        total = np.hypot(error, mine_error)
        z[name] = (mine - value) / total
        df = (len(runs["mean"]) - 1) * (total / mine_error) ** 4  # Welch; NUTS errors are sharp
        p.extend(2 * stats.t.sf(np.abs(z[name]), df))
    return len(p) * min(p), {name: np.round(value, 1).tolist() for name, value in z.items()}


# --------------------------------------------------------------------------- the tests


@pytest.fixture(scope="module")
def needs_numpyro():
    pytest.importorskip("numpyro", reason="the independent sampler is numpyro's NUTS")


@pytest.mark.usefixtures("needs_numpyro")
def test_posterior_agrees_with_nuts():
    """45 numbers: gate, forecast and shrinkage, each within Monte Carlo error of both samplers."""
    p, z = _smallest_p(_nuts(DEFAULT), _runs(DEFAULT, 80, 512))
    assert p > FALSE_ALARM, z


@pytest.mark.long
@pytest.mark.usefixtures("needs_numpyro")
@pytest.mark.parametrize(
    "case",
    [
        Case(n=200, n_features=3),
        Case(gate_prior=hsmoe.HorseshoePrior(tau0=0.2, slab=2.0, intercept_sd=0.8)),
        Case(gate_prior=hsmoe.NormalPrior(scale=2.0, intercept_sd=1.0)),
        Case(gate_prior=hsmoe.PaperHorseshoePrior()),
        Case(
            expert=hsmoe.GaussianExpert(
                a0=3.0, b0=0.3, b0_shape=0.0, coefficient_variance=2.0, coefficient_shape=0.0
            )
        ),
        SOFTMAX,
        Case(n=200, n_features=3, gate="softmax", gate_prior=hsmoe.GroupHorseshoePrior()),
        Case(n=200, gate="softmax", n_experts=3),
        LAPLACE,
        Case(n=200, n_features=3, gate="laplace"),
        Case(gate="laplace", gate_prior=hsmoe.NormalPrior(scale=2.0, intercept_sd=1.0)),
    ],
    ids=[
        "more rows and features",
        "tighter horseshoe",
        "normal",
        "paper",
        "fixed scales",
        "softmax",
        "softmax, group horseshoe",
        "softmax of three",
        "Laplace",
        "Laplace, more rows and features",
        "Laplace, normal",
    ],
)
def test_posterior_agrees_with_nuts_for_other_models(case):
    p, z = _smallest_p(_nuts(case), _runs(case, 80, 1024))
    assert p > FALSE_ALARM, z


WRONG = [
    {"gate_prior": hsmoe.HorseshoePrior(slab=1.0)},
    {"gate_prior": hsmoe.HorseshoePrior(tau0=0.1)},
    {"gate_prior": hsmoe.HorseshoePrior(intercept_sd=0.75)},
    {"expert": hsmoe.GaussianExpert(b0_shape=0.0)},
    {"expert": hsmoe.GaussianExpert(a0=3.0)},
    {"expert": hsmoe.GaussianExpert(coefficient_variance=2.0)},
    {"expert": hsmoe.GaussianExpert(coefficient_shape=0.0, coefficient_variance=2.0)},
]


def _id(wrong):
    return repr(next(iter(wrong.values())))


@pytest.mark.usefixtures("needs_numpyro")
@pytest.mark.parametrize("wrong", WRONG, ids=_id)
def test_the_comparison_sees_a_wrong_prior(wrong):
    """With fewer runs than the test above and one prior changed the agreement is gone."""
    p, z = _smallest_p(_nuts(DEFAULT), _runs(DEFAULT, 16, 512, **wrong))
    assert p < FALSE_ALARM, z


@pytest.mark.long
@pytest.mark.usefixtures("needs_numpyro")
@pytest.mark.parametrize(
    ("case", "wrong"),
    [(SOFTMAX, wrong) for wrong in WRONG[:3]]
    + [(LAPLACE, WRONG[0]), (LAPLACE, {"gate_prior": hsmoe.HorseshoePrior(intercept_sd=0.25)})],
    ids=lambda value: value.gate if isinstance(value, Case) else _id(value),
)
def test_the_comparison_sees_a_wrong_prior_of_other_gates(case, wrong):
    p, z = _smallest_p(_nuts(case), _runs(case, 40, 512, **wrong))
    assert p < FALSE_ALARM, z
