"""Softmax and Laplace gates and trees of them, through the public API."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import oracles
import pytest
from retained_rows import TRUTH, three_regimes
from scipy import special
from test_evidence import _model, _stream

import hsmoe
from hsmoe import HSMoERegressor
from hsmoe.mixtures import KnownMixture

GATES = ["softmax", "laplace", ("softmax", "laplace", [1, 2]), ("laplace", [[0, 2], 1])]


# ---------------------------------------------------------------- evidence


def gate_draws(gate, prior, u, rng, size):
    """Return log gates (size, n, K) at designs (n, 2) drawn from the prior, and log weights.

    Written apart from the core.  Under the horseshoe, draws without the slab (10) are weighted by
    it; the centres of a Laplace node have a standard deviation of 3.
    """
    log_weight = np.zeros(size)
    tau = np.abs(rng.standard_cauchy(size))

    def coefficients(offset):
        nonlocal log_weight
        intercept = offset + 1.5 * rng.normal(size=size)
        if prior == "normal":
            return np.stack([intercept, rng.normal(size=size)])
        slope = tau * np.abs(rng.standard_cauchy(size)) * rng.normal(size=size)
        if prior == "group-horseshoe":
            slope = slope * np.abs(rng.standard_cauchy(size))
        log_weight = log_weight - 0.5 * (slope / 10.0) ** 2
        return np.stack([intercept, np.clip(slope, -1e100, 1e100)])

    def scores(kind, sizes):
        offsets = np.log(sizes) - np.log(sizes).mean()
        if kind == "logistic":
            one = coefficients(np.log(sizes[0] / sizes[1]))
            return np.stack([(u @ one).T, np.zeros((size, len(u)))], axis=2)
        if kind == "softmax":
            return np.stack([(u @ coefficients(o)).T for o in offsets], axis=2)
        slope_sd = 1.0 if prior == "normal" else 3.0
        centres = slope_sd * rng.normal(size=(size, 1, len(sizes)))
        return offsets + 1.5 * rng.normal(size=centres.shape) - np.abs(u[None, :, 1:] - centres)

    def walk(node):
        if isinstance(node, int):
            return {node: 0.0}
        kind, children = node
        below = [walk(child) for child in children]
        log_g = special.log_softmax(scores(kind, np.array([len(b) for b in below])), axis=2)
        return {
            k: log_g[:, :, c] + inner for c, part in enumerate(below) for k, inner in part.items()
        }

    leaves = walk(gate)
    return np.stack([leaves[k] for k in sorted(leaves)], axis=2), log_weight


def monte_carlo_log_evidence(gate, prior, X, y, size=200_000):
    """Return log p(y), experts integrated out, allocations summed, and its relative error."""
    design = np.c_[np.ones(len(y)), X]
    log_g, log_weight = gate_draws(gate, prior, design, np.random.default_rng(0), size)
    n, K = log_g.shape[1:]
    total = np.zeros(size)
    for z in itertools.product(range(K), repeat=n):
        member = np.array(z)
        experts = sum(
            oracles.nig_log_evidence(design[member == k], y[member == k]) for k in range(K)
        )
        total += np.exp(experts + log_g[:, np.arange(n), member].sum(axis=1))
    w = np.exp(log_weight)
    mean = np.sum(w * total) / w.sum()
    error = np.sqrt(np.sum((w * (total - mean)) ** 2)) / w.sum()
    return np.log(mean), error / mean


def check_mean_evidence(exact, exact_error, X, y, **parameters):
    """E[Z-hat] is the evidence, with moves after every row; 4.5 standard errors (7e-6 a case)."""
    ratios = []
    for seed in range(250):
        model = _model(
            **parameters, ess_threshold=1.0, retain=None, random_state=seed, n_particles=60
        )
        ratios.append(np.exp(model.partial_fit(X, y).log_evidence_ - exact))
    error = np.hypot(np.std(ratios) / np.sqrt(len(ratios)), exact_error)
    assert error < 0.02
    assert abs(np.mean(ratios) - 1.0) < 4.5 * error


def test_softmax_of_two_is_a_logistic_split():
    """Normal coefficients of two children differ by normal ones of sqrt(2) times the scale."""
    X, y = _stream(7, 1, seed=7)
    design = np.c_[np.ones(7), X]
    exact = oracles.enumerated_log_evidence(
        design,
        design,
        y,
        oracles.tree_nodes(2, "comb"),
        gate_prior="normal",
        normal_sd=np.sqrt(2),
        intercept_sd=1.5 * np.sqrt(2),
    )
    by_draws, error = monte_carlo_log_evidence(("softmax", [0, 1]), "normal", X, y)
    assert abs(by_draws - exact) < 4.5 * error  # the other oracle of this file
    check_mean_evidence(exact, 0.0, X, y, gate="softmax", gate_prior="normal")


@pytest.mark.parametrize(
    ("gate", "prior", "n"),
    [
        (("softmax", [0, 1, 2]), "horseshoe", 5),
        (("softmax", [0, 1, 2]), "group-horseshoe", 5),
        (("logistic", [0, ("logistic", [1, 2])]), "group-horseshoe", 5),
        (("laplace", [0, 1]), "horseshoe", 7),
        (("laplace", [0, 1, 2]), "normal", 5),
        (("softmax", [2, ("laplace", [0, 1])]), "horseshoe", 5),
        (("laplace", [("logistic", [0, 2]), 1]), "horseshoe", 5),
    ],
)
def test_mean_evidence_equals_the_sum_over_all_allocations(gate, prior, n):
    X, y = _stream(n, 1, seed=n)
    exact, error = monte_carlo_log_evidence(gate, prior, X, y)
    n_experts = 2 if n == 7 else 3
    check_mean_evidence(exact, error, X, y, gate=gate, gate_prior=prior, n_experts=n_experts)


# ---------------------------------------------------------------- the same bits


@pytest.mark.parametrize("gate", GATES, ids=str)
@pytest.mark.parametrize(
    "memory",
    [
        {"retain": 20, "forgetting": 0.98},
        {"retain": 15, "forgetting": "auto", "n_islands": 4},
        {"retain": None, "n_islands": 2},
    ],
    ids=str,
)
def test_chunks_threads_and_files(gate, memory, two_regimes):
    X, y = two_regimes

    def make(**more):
        settings = {"n_islands": 1, "forgetting": 1.0, **memory, **more}
        return HSMoERegressor(3, 24, gate=gate, n_warmup=37, random_state=11, **settings)

    whole = make().partial_fit(X, y)
    pieces = make(n_jobs=3)
    for start in range(0, len(y), 23):
        part = slice(start, start + 23)
        pieces = HSMoERegressor.from_bytes(pieces.partial_fit(X[part], y[part]).to_bytes())
    assert pieces.set_params(n_jobs=1).to_bytes() == whole.to_bytes()
    assert np.isfinite(whole.log_evidence_)


# ---------------------------------------------------------------- what is learned


@dataclass(frozen=True, eq=False)
class LaplaceMixture(KnownMixture):
    """Gaussian experts under a Laplace gate."""

    bias: np.ndarray
    centre: np.ndarray

    def log_gate(self, X):
        distance = np.linalg.norm(X[:, None] - self.centre, axis=2)
        return special.log_softmax(self.bias - distance, axis=1)


def test_routing_of_a_laplace_gate_is_learned():
    """Forecasts of new rows come within 0.03 nats of the truth's."""
    truth = LaplaceMixture(
        np.array([[6.0, 1, 0], [0, 0, 2], [-6, -1, 0]]),
        np.full(3, 0.09),
        np.array([0.0, 0.5, 0.0]),
        np.array([[-3.0, 0], [0, 3], [4, -1]]),
    )
    rng = np.random.default_rng(0)
    X, new_X = rng.normal(size=(1500, 2)), rng.normal(size=(1000, 2))
    y, new_y = truth.sample(X, 1)[0], truth.sample(new_X, 2)[0]
    model = HSMoERegressor(3, 64, 2, gate="laplace", retain=None, random_state=3).fit(X, y)
    lost = truth.log_density(new_X, new_y).mean() - model.log_density(new_X, new_y).mean()
    assert lost < 0.03


@pytest.fixture(scope="module")
def fitted():
    X, y = three_regimes(600, seed=1)
    settings = {"n_particles": 64, "n_islands": 2, "retain": None, "random_state": 3}
    return {
        str(gate): HSMoERegressor(3, gate=gate, **settings).fit(X, y)
        for gate in ["softmax", "laplace", ("softmax", "laplace", [1, 2])]
    }


@pytest.mark.parametrize("gate", ["softmax", "laplace", "('softmax', 'laplace', [1, 2])"])
def test_routing(fitted, gate):
    X, y = three_regimes(400, seed=2)
    model = fitted[gate]
    proba, sd = model.predict_expert_proba(X, return_std=True)
    np.testing.assert_allclose(proba.sum(axis=1), 1.0, rtol=1e-12)
    assert sd.shape == proba.shape
    lost = TRUTH.log_density(X, y).mean() - model.log_density(X, y).mean()
    # The score of a Laplace node changes by one a standard deviation at most: too soft for this.
    assert lost < 0.03 if gate == "softmax" else 0.1 < lost < 0.4


@pytest.mark.parametrize("gate", ["softmax", "laplace", "('softmax', 'laplace', [1, 2])"])
@pytest.mark.parametrize("scale", [1e6, 1e12, 1e15])
def test_routing_far_away(fitted, gate, scale):
    """Scores are as large as the row; what is left of their differences must be weights."""
    X = scale * np.array([[1.0, 0.3], [-1.0, 2.0], [0.1, -1.0]])
    model = fitted[gate]
    np.testing.assert_allclose(model.predict_expert_proba(X).sum(axis=1), 1.0, rtol=1e-12)
    np.testing.assert_allclose(model.predict_cdf(X, np.full(3, 1e40)), 1.0, rtol=1e-9)


def test_reports(fitted):
    for gate, model in fitted.items():
        table = model.gate_inclusion()
        assert table.values.shape == (len(table.splits), 3)
        softmax = np.array([label.startswith("softmax") for label in table.splits])
        inside = table.values[softmax][:, 1:]
        assert ((inside > 0) & (inside < 1)).all()
        assert np.isnan(table.values[~softmax]).all()  # a Laplace node has no coefficient to shrink
        text = model.summary()
        assert all(label in text for label in table.splits), gate


def test_draws(fitted):
    pytest.importorskip("arviz")
    data = fitted["softmax"].to_arviz(n_draws=20)
    phi = data["posterior"]["phi"]
    assert phi.shape[-2:] == (3, 3)
    assert "softmax 0 of 0 | 1 | 2" in phi.coords["split"].values
    assert data["posterior"]["local_scale"].shape[-2:] == (3, 2)
    assert fitted["laplace"].to_arviz(n_draws=20)["posterior"]["phi"].shape[-2:] == (3, 3)


def test_voronoi_loss_of_what_was_learned():
    """The softmax pair of arXiv 2604.20551: the loss falls as rows come."""
    truth = hsmoe.SoftmaxMixture([[15, -20], [-5, 20]], [0.09, 0.16], [-8, 0], [[25], [0]])
    rng = np.random.default_rng(4)
    X = rng.random((1500, 1))
    y, _ = truth.sample(X, 5)
    losses = []
    for n in (60, 1500):
        model = HSMoERegressor(2, 64, 2, gate="softmax", retain=None, random_state=6)
        drawn = model.fit(X[:n], y[:n]).draw_mixtures(16, random_state=7)
        losses.append(np.mean([hsmoe.voronoi_loss(one, truth) for one in drawn]))
        at = np.linspace(0, 1, 50)[:, None]
        average = np.mean([np.sort(one.predict_expert_proba(at), axis=1) for one in drawn], axis=0)
        np.testing.assert_allclose(
            average, np.sort(truth.predict_expert_proba(at), axis=1), atol=0.3 if n == 60 else 0.06
        )
    assert losses[1] < 0.4 * losses[0]


def test_only_a_softmax_gate_is_a_softmax_mixture(fitted):
    with pytest.raises(ValueError, match=r"gate is 'laplace'.*draw_mixtures"):
        fitted["laplace"].draw_mixtures(2)


# ---------------------------------------------------------------- rows that left the buffer


@pytest.mark.parametrize("gate", ["softmax", "laplace"])
def test_remembered_rows_stand_for_the_rows(gate):
    """With a sixth of the rows retained, forecasts are close to those with all of them."""
    X, y = three_regimes(900, seed=5)
    new_X, new_y = three_regimes(600, seed=6)
    score = {}
    for retain in (None, 150):
        model = HSMoERegressor(
            3, 64, 2, gate=gate, retain=retain, forgetting=1.0, random_state=8
        ).fit(X, y)
        score[retain] = model.log_density(new_X, new_y).mean()
    young = HSMoERegressor(3, 64, 2, gate=gate, retain=None, random_state=8).fit(X[-150:], y[-150:])
    young_score = young.log_density(new_X, new_y).mean()
    assert abs(score[150] - score[None]) < 0.02
    assert score[150] > young_score + 0.5 * (score[None] - young_score)
