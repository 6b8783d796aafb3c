"""Variational inference: the engine against a plain twin, the bound it climbs, and closed forms."""

import io
import re

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit, gammaln
from scipy.stats import t as student_t
from variational_twin import Batch, Twin, inverse_square

import hsmoe
from hsmoe import HSMoEClassifier, HSMoECountRegressor, HSMoERegressor, Variational
from hsmoe._dispatch import core
from hsmoe._trees import gate_tree

FORMS = ["full", "diagonal"]
GAUSSIAN = {
    "kind": "gaussian",
    "a0": 2.0,
    "b0": 0.1,
    "b0_shape": 1.0,
    "coefficient_variance": 10.0,
    "coefficient_shape": 1.0,
}


def regimes(n, seed=0, d=2, noise=0.2):
    """Two linear regimes told apart by the first feature; asymmetric."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    y = np.where(X[:, 0] > 0.3, 1.5 * X[:, 1] + 1, -X[:, 1] - 0.5) + noise * rng.normal(size=n)
    return X, y


def design(X):
    return np.ascontiguousarray(np.c_[np.ones(len(X)), X])


def engine(n_experts, dim, seeds, *, form="full", gate="balanced", prior=None, **options):
    tree = gate_tree(gate, n_experts)
    settings = {"retain": -1, "n_scans": 4, "n_islands": len(seeds)}
    variational = {"diagonal": float(form == "diagonal"), "sampled_rows": 20.0}
    variational |= options.pop("variational", {})
    return core.Engine(
        n_experts=n_experts,
        n_particles=1,
        expert_dim=dim,
        gate_dim=dim,
        **tree.to_core(),
        laplace_node={},
        gate_prior=prior or {"kind": "horseshoe"},
        expert=options.pop("expert", GAUSSIAN),
        ess_threshold=0.5,
        phi_kernel="sweep",
        variational=variational,
        seeds=seeds.reshape(-1, 4),
        **{**settings, **options},
    )


def streams(n_islands, seed=0):
    return np.random.default_rng(seed).integers(1, 2**63, size=(n_islands, 2, 4), dtype=np.uint64)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("n_experts, gate", [(3, "balanced"), (4, "comb"), (2, "balanced")])
def test_the_engine_is_the_twin(form, n_experts, gate):
    X, y = regimes(45, seed=n_experts)
    words = streams(1, seed=n_experts)
    e = engine(n_experts, 3, words, form=form, gate=gate)
    # Allocations are drawn for 20 rows: both must draw the same, or nothing agrees.
    twin = Twin(
        gate_tree(gate, n_experts).nodes,
        n_experts,
        3,
        words[0, 0],
        diagonal=form == "diagonal",
        sampled_rows=20,
    )
    found = e.prequential(design(X), design(X), y, 1, False)["log_density"]
    wanted = [twin.learn(x, t) for x, t in zip(design(X), y, strict=True)]
    np.testing.assert_allclose(found, wanted, atol=2e-5)
    assert len(e.scan_log()["row"]) == 4
    report = e.particle(0)
    np.testing.assert_allclose(
        report["phi"],
        [twin.solve(b, D, mu)[0] for b, D, mu in zip(twin.gate, twin.D, twin.mu, strict=True)],
        atol=2e-4,
    )
    np.testing.assert_allclose(report["counts"], [b["n"] for b in twin.expert], atol=1e-4)
    np.testing.assert_allclose(report["global_scale"], twin.inv_tau**-0.5, rtol=1e-4)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("forgetting", [1.0, 0.97])
def test_frozen_and_forgotten_rows_as_in_the_twin(form, forgetting):
    X, y = regimes(60, seed=9)
    words = streams(1, seed=4)
    e = engine(3, 3, words, form=form, retain=15, forgetting=np.array([forgetting]))
    twin = Twin(
        gate_tree("balanced", 3).nodes,
        3,
        3,
        words[0, 0],
        diagonal=form == "diagonal",
        sampled_rows=20,
        retain=15,
        forgetting=forgetting,
    )
    found = e.prequential(design(X), design(X), y, 1, False)["log_density"]
    wanted = [twin.learn(x, t) for x, t in zip(design(X), y, strict=True)]
    np.testing.assert_allclose(found, wanted, atol=2e-5)
    assert twin.n_frozen == 45 == e.get_state()["frozen_until"][0]
    np.testing.assert_allclose(e.particle(0)["counts"], [b["n"] for b in twin.expert], atol=1e-4)


@pytest.mark.parametrize("retain", [0, None])
def test_without_scans_too(retain):
    X, y = regimes(40, seed=2)
    words = streams(1, seed=3)
    e = engine(3, 3, words, retain=0 if retain == 0 else -1)
    twin = Twin(gate_tree("balanced", 3).nodes, 3, 3, words[0, 0], sampled_rows=20, retain=retain)
    found = e.prequential(design(X), design(X), y, 1, False)["log_density"]
    np.testing.assert_allclose(
        found, [twin.learn(x, t) for x, t in zip(design(X), y, strict=True)], atol=2e-5
    )


def test_the_bound_never_falls():
    """Every coordinate that the engine updates climbs the bound of plain mean field."""
    X, y = regimes(60, seed=5)
    rng = np.random.default_rng(1)
    twin = Twin(gate_tree("comb", 3).nodes, 3, 3, [1, 2, 3, 4])
    batch = Batch(twin, design(X), y, rng.dirichlet(np.ones(3), size=60))
    batch.update_gate()
    batch.update_experts()
    steps = (
        batch.update_omega,
        batch.update_gate,
        batch.update_scales_moments,
        batch.update_experts,
        twin.taus,
        batch.update_responsibilities,
    )
    bound, climbed = batch.elbo(), np.zeros(len(steps))
    for _ in range(30):
        for i, step in enumerate(steps):
            step()
            now = batch.elbo()
            assert now >= bound - 1e-8 * abs(bound), step.__name__
            climbed[i] += now - bound
            bound = now
    assert (climbed > 1e-3).all()


# ---------------------------------------------------------------------- closed forms


@pytest.mark.parametrize("c", [1e-6, 0.01, 0.5, 3.0, 30.0])
def test_the_twin_knows_the_mean_of_an_inverse_square(c):
    """The density exp(-c w) / (1 + w) of w = 1/lambda^2, in v = log w."""

    def moment(power):
        return quad(
            lambda v: np.exp((power + 1) * v - c * np.exp(v)) / (1 + np.exp(v)), -40, 25, limit=500
        )[0]

    assert inverse_square(c) == pytest.approx(moment(1) / moment(0), rel=1e-6)


@pytest.mark.parametrize("b0_shape", [0.0])
def test_one_expert_is_conjugate_regression(b0_shape):
    X, y = regimes(50)
    e = engine(
        1,
        3,
        streams(1),
        expert={**GAUSSIAN, "b0_shape": b0_shape, "coefficient_shape": 0.0},
        retain=0,
    )
    found = e.prequential(design(X), design(X), y, 1, False)["log_density"]
    P, h, square = np.eye(3) / 10, np.zeros(3), 0.0
    for i, (x, t) in enumerate(zip(design(X), y, strict=True)):
        m, V = np.linalg.solve(P, h), np.linalg.inv(P)
        a, b = 2 + i / 2, 0.1 + (square - m @ h) / 2
        wanted = student_t.logpdf(t, 2 * a, x @ m, np.sqrt(b / a * (1 + x @ V @ x)))
        assert found[i] == pytest.approx(wanted, abs=1e-9)
        P, h, square = P + np.outer(x, x), h + t * x, square + t**2
    a, b = 2 + 25, 0.1 + (square - h @ np.linalg.solve(P, h)) / 2
    evidence = gammaln(a) - gammaln(2) + 2 * np.log(0.1) - a * np.log(b) - 25 * np.log(2 * np.pi)
    evidence += 0.5 * (-3 * np.log(10) - np.linalg.slogdet(P)[1])
    assert e.log_evidence == pytest.approx(evidence, abs=1e-8)


def test_one_diagonal_expert_has_the_mean_of_conjugate_regression():
    """Independent coefficients: the mean of least squares with the prior, variances 1 / P_jj."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(64, 2)) @ [[1.0, 0.8], [0.0, 0.6]]  # correlated
    y = X @ [1.0, -2.0] + 0.3 * rng.normal(size=64)
    D = design(X)
    known = {**GAUSSIAN, "coefficient_shape": 0.0}
    e = engine(1, 3, streams(1), form="diagonal", expert=known, retain=8, n_scans=200)
    e.learn(D[:16], D[:16], y[:16], 1)  # a scan of all 16 rows
    P = np.eye(3) / 10 + D[:16].T @ D[:16]
    np.testing.assert_allclose(
        e.particle(0)["coefficients"][0], np.linalg.solve(P, D[:16].T @ y[:16]), atol=1e-9
    )
    # Orthogonal columns: nothing is lost, rows frozen or not.
    Q = np.linalg.qr(rng.normal(size=(64, 3)))[0] * 8
    t = Q @ [1.0, -2.0, 0.5] + 0.3 * rng.normal(size=64)
    e = engine(
        1,
        3,
        streams(1),
        form="diagonal",
        retain=32,
        n_scans=50,
        expert={**known, "b0_shape": 0.0},
    )
    e.learn(Q, Q, t, 1)
    mean = (Q.T @ t) / (64 + 0.1)
    b = 0.1 + (t @ t - mean @ (Q.T @ t)) / 2
    report = e.particle(0)
    np.testing.assert_allclose(report["coefficients"][0], mean, atol=1e-9)
    assert report["noise_variance"][0] == pytest.approx(b / (2 + 32 - 1), rel=1e-9)


def test_routing_probabilities_are_those_of_the_normal_logits():
    """E sigmoid and E sigmoid^2 against quadrature, of a gate that has learned something."""
    X, y = regimes(50)
    e = engine(4, 3, streams(1), prior={"kind": "normal", "scale": 3.0})
    e.learn(design(X), design(X), y, 1)
    new = design(np.random.default_rng(3).normal(size=(6, 2)))
    mean, sd = e.gate_proba(new, 1)
    M = 60_000  # draws; standard errors of means are below 0.5 / sqrt(M) = 0.002
    seeds = np.random.default_rng(0).integers(1, 2**63, size=(M, 4), dtype=np.uint64)
    g = np.exp(e.draw(np.zeros(M, dtype=np.int64), seeds, new, new, None, 1)["log_gate"])
    np.testing.assert_allclose(mean.sum(axis=1), 1.0, atol=1e-12)
    np.testing.assert_allclose(g.mean(axis=0), mean, atol=5 * 0.5 / np.sqrt(M))
    np.testing.assert_allclose(g.std(axis=0), sd, atol=0.004)
    assert sd.max() > 0.05


@pytest.mark.parametrize("form", FORMS)
def test_a_gate_node_maximises_the_bound_of_its_row(form):
    """After one row q(phi) is where quadrature finds the top of the Jaakkola-Jordan bound."""
    u = np.array([[1.0, 0.7, -1.2]])
    e = engine(
        2,
        3,
        streams(1, seed=8),
        form=form,
        retain=0,
        prior={"kind": "normal", "scale": 1.5},
        variational={"sampled_rows": 1.0},
    )
    e.learn(u, u, np.array([0.4]), 1)
    report = e.particle(0)
    kappa = report["counts"][0] - 0.5
    D = np.array([1 / 1.5**2] * 3)

    def elbo(w):
        """The bound as a function of the precision of the row, q(phi) the best for it."""
        V = (
            np.linalg.inv(np.diag(D) + w * u.T @ u)
            if form == "full"
            else np.diag(1 / (D + w * u[0] ** 2))
        )
        exact = np.linalg.inv(np.diag(D) + w * u.T @ u)
        m = exact @ u[0] * kappa
        mean, c = u[0] @ m, np.sqrt((u[0] @ m) ** 2 + u[0] @ exact @ u[0])
        prior = -0.5 * (D @ (m**2 + np.diag(exact))) + 0.5 * np.linalg.slogdet(exact)[1]
        return np.log(expit(c)) - c / 2 + kappa * mean + prior, m, V

    best = max((elbo(w)[0], w) for w in np.linspace(0.02, 0.25, 23_001))
    np.testing.assert_allclose(report["phi"][0], elbo(best[1])[1], atol=1e-4)


# ---------------------------------------------------------------------- estimators


def model(form="full", **parameters):
    settings = {"n_experts": 3, "n_islands": 4, "retain": 60, "random_state": 1}
    return HSMoERegressor(**{**settings, "inference": Variational(form), **parameters})


@pytest.mark.parametrize("form", FORMS)
def test_recovers_regimes_with_honest_intervals(form):
    X, y = regimes(1200)
    m = model(form, n_experts=2, retain=500, forgetting=1.0)
    forecast = m.prequential(X, y)
    late = slice(600, None)
    inside = np.abs(forecast.cdf[late] - 0.5) < 0.45
    # 600 rows: the share inside a calibrated 90% interval has a standard error of 0.0122.
    assert abs(inside.mean() - 0.9) < 4 * 0.0122
    truth = -0.5 * np.log(2 * np.pi * 0.2**2) - 0.5
    assert forecast.log_density[late].mean() > truth - 0.13  # particles: 0.08 below
    np.testing.assert_allclose(m.predict([[2.0, 1.0], [-2.0, 1.0]]), [2.5, -1.5], atol=0.1)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("at", [20, 105, 170])
def test_a_saved_model_goes_on_exactly(tmp_path, form, at):
    X, y = regimes(220)
    whole = model(form).partial_fit(X, y)
    part = model(form).partial_fit(X[:at], y[:at])
    part.save(tmp_path / "m.hsmoe")
    part = hsmoe.load(tmp_path / "m.hsmoe").partial_fit(X[at:], y[at:])
    assert part.to_bytes() == whole.to_bytes()


@pytest.mark.parametrize("form", FORMS)
def test_chunks_and_threads_do_not_matter(form):
    X, y = regimes(220)
    whole = model(form).partial_fit(X, y)
    rows, threads = model(form), model(form, n_jobs=3)
    for i in range(len(y)):
        rows.partial_fit(X[i : i + 1], y[i : i + 1])
    forecast = threads.prequential(X, y)
    assert rows.to_bytes() == whole.to_bytes()
    assert threads.set_params(n_jobs=1).to_bytes() == whole.to_bytes()
    again = model(form).prequential(X, y)
    np.testing.assert_array_equal(again.log_density, forecast.log_density)


def test_forecasts_agree_with_each_other():
    X, y = regimes(200)
    m = model().partial_fit(X, y)
    new, target = regimes(5, seed=7)
    mean, std = m.predict(new, return_std=True)
    draws = m.sample_y(new, 20_000, random_state=0)
    np.testing.assert_allclose(draws.mean(axis=1), mean, atol=5 * std.max() / np.sqrt(20_000))
    quantiles = m.predict_quantiles(new, [0.1, 0.9])
    np.testing.assert_allclose(m.predict_cdf(new, quantiles[:, 1]), 0.9, atol=1e-9)
    step = 1e-5
    slope = (m.predict_cdf(new, target + step) - m.predict_cdf(new, target - step)) / (2 * step)
    np.testing.assert_allclose(np.exp(m.log_density(new, target)), slope, rtol=1e-4)
    before = m.log_density(new[:1], target[:1])
    assert m.prequential(new[:1], target[:1]).log_density[0] == pytest.approx(before[0], abs=1e-12)
    assert m.crps(new, target).shape == (5,)
    assert m.ess_ == 4.0 and np.isnan(m.log_evidence_se_)
    assert "4 members, full covariance" in m.summary() and m.active_experts(new) in (1, 2, 3)


def test_evidence_is_the_sum_of_the_log_forecasts():
    X, y = regimes(150)
    m = model(standardize=False)
    forecast = m.prequential(X, y)
    assert m.log_evidence_ == pytest.approx(forecast.log_density.sum(), abs=1e-9)


def test_a_failed_call_leaves_the_model_as_it_was():
    X, y = regimes(120)
    e, D = engine(3, 3, streams(2), retain=20), design(X)
    e.learn(D, D, y, 1)
    before = e.get_state()
    worse = D.copy()
    worse[60, 1:] = 1e200
    with pytest.raises(hsmoe.NumericalError, match="row 60"):
        e.learn(worse, worse, y, 1)
    after = e.get_state()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    m = model().partial_fit(X, y)
    stored = m.to_bytes()
    with pytest.raises(ValueError, match="row 60"):
        m.partial_fit(np.where(np.arange(120)[:, None] == 60, np.nan, X), y)
    assert m.to_bytes() == stored


@pytest.mark.parametrize("array", ["responsibility", "particles", "log_share", "frozen_until"])
def test_states_of_another_engine_are_refused(array):
    X, y = regimes(60)
    e = engine(3, 3, streams(2), retain=20)
    e.learn(design(X), design(X), y, 1)
    state = e.get_state()
    fresh = engine(3, 3, streams(2), retain=20)
    fresh.set_state(state)
    broken = {**state, array: state[array] + 7}
    with pytest.raises(
        ValueError, match=array if array != "particles" else "particles|responsibility"
    ):
        fresh.set_state(
            {**broken, **({"particles": -state["particles"]} if array == "particles" else {})}
        )
    with pytest.raises(ValueError, match="responsibility"):
        fresh.set_state({k: v for k, v in state.items() if k != "responsibility"})


REFUSED = [
    ({"inference": "laplace"}, ["inference is 'laplace'", "'particles'", "'variational'"]),
    ({"expert": "student"}, ["StudentExpert", "expert='gaussian'", "inference='particles'"]),
    ({"expert": "laplace"}, ["LaplaceExpert", "inference='particles'"]),
    ({"gate": "softmax"}, ["softmax", "inference"]),
    ({"gate": ("softmax", "laplace", [2, 1])}, ["laplace and softmax", "inference"]),
    ({"gate_prior": "group-horseshoe"}, ["gate_prior", "inference"]),
]


@pytest.mark.parametrize("parameters, words", REFUSED)
def test_what_it_cannot_do_is_refused_by_name(parameters, words):
    with pytest.raises(ValueError) as error:
        model(**parameters).fit(*regimes(60))
    assert all(word in str(error.value) for word in words)


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match="covariance is 'banded'"):
        Variational("banded")
    with pytest.raises(ValueError, match=re.escape("dispersion=2.0")):
        HSMoECountRegressor(2, inference="variational").fit(np.ones((5, 1)), [1, 2, 3, 0, 1])
    with pytest.raises(ValueError, match="inference was"):
        model().partial_fit(*regimes(80)).set_params(inference="particles").partial_fit(
            *regimes(80)
        )


@pytest.mark.parametrize("form", FORMS)
def test_classes_and_counts(form):
    """Each kind of expert learns what it was made for: forecasts near those of the truth.

    Particles fall short of it by about half of what is allowed, one expert by several times that.
    """
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, size=(900, 2))
    t = np.where(X[:, 0] > 0, 3 * X[:, 1], 1 - 3 * X[:, 1])
    settings = {"n_experts": 2, "n_islands": 8, "inference": Variational(form), "random_state": 0}
    late = slice(450, None)

    y = (rng.random(900) < expit(t)).astype(int)
    truth = np.log(np.where(y, expit(t), expit(-t)))[late]
    found = HSMoEClassifier(**settings).prequential(X, y).log_density[late]
    assert found.mean() > truth.mean() - 0.06

    three = np.where(rng.random(900) < 0.3, 2, y)
    share = np.c_[0.7 * expit(-t), 0.7 * expit(t), np.full(900, 0.3)]
    truth = np.log(share[np.arange(900), three])[late]
    classifier = HSMoEClassifier(**settings)
    assert classifier.prequential(X, three).log_density[late].mean() > truth.mean() - 0.09
    np.testing.assert_allclose(classifier.predict_proba(X[:5]).sum(axis=1), 1.0)

    b = rng.binomial(8, expit(t))
    truth = (
        gammaln(9)
        - gammaln(b + 1)
        - gammaln(9 - b)
        + b * np.log(expit(t))
        + (8 - b) * np.log(expit(-t))
    )
    m = HSMoECountRegressor(**settings, expert=hsmoe.BinomialExpert(8))
    assert m.prequential(X, b).log_density[late].mean() > truth[late].mean() - 0.15

    mu = np.exp(np.where(X[:, 0] > 0, 1 + X[:, 1], 1 - X[:, 1]))
    c = rng.negative_binomial(2.0, 2 / (2 + mu))
    truth = gammaln(c + 2) - gammaln(c + 1) + 2 * np.log(2 / (2 + mu)) + c * np.log(mu / (2 + mu))
    m = HSMoECountRegressor(**settings, expert=hsmoe.NegativeBinomialExpert(dispersion=2.0))
    assert m.prequential(X, c).log_density[late].mean() > truth[late].mean() - 0.08
    restored = HSMoECountRegressor.from_bytes(m.to_bytes()).partial_fit(X[:50], c[:50])
    assert restored.to_bytes() == m.partial_fit(X[:50], c[:50]).to_bytes()


def test_reports_for_other_tools():
    X, y = regimes(150)
    m = model().partial_fit(X, y)
    assert hsmoe.merge_experts(m, random_state=0) is not None
    assert m.gate_inclusion().values.shape == (2, 3)
    assert np.isfinite(m.nbytes) and len(m.resampling_log_["row"]) == 0
    assert isinstance(io.BytesIO(m.to_bytes()).getvalue(), bytes)
