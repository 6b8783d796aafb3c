"""The log evidence of the engine against closed forms and enumeration, through the public API."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import oracles
import pytest
from numpy_reference import NumpyParticleLearner
from one_island import ONE_ISLAND

import hsmoe
from hsmoe import _state
from hsmoe._tuning import TUNING


def _stream(n, d, seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) + 0.3
    y = np.where(X[:, 0] > 0.2, 1.5 + X[:, 0], -0.5 * X[:, 0]) + 0.2 * rng.normal(size=n)
    return X, y


def _model(**parameters):
    settings = dict(
        **ONE_ISLAND,
        n_experts=2,
        n_particles=40,  # seven times as many at first
        standardize=False,
        expert=hsmoe.GaussianExpert(b0_shape=0.0, coefficient_shape=0.0),
    )
    return hsmoe.HSMoERegressor(**(settings | parameters))


@pytest.mark.parametrize(("n", "d"), [(1, 1), (40, 3), (1500, 12)])
@pytest.mark.parametrize("chunk", [1, 1500])
def test_one_expert_equals_the_closed_form(n, d, chunk):
    X, y = _stream(n, d, seed=n)
    model = _model(n_experts=1, n_particles=1)
    for i in range(0, n, chunk):
        model.partial_fit(X[i : i + chunk], y[i : i + chunk])
    exact = oracles.nig_log_evidence(np.c_[np.ones(n), X], y, 2.0, 0.1, 10.0)
    assert model.log_evidence_ == pytest.approx(exact, abs=1e-9 * max(1.0, n / 100))


def test_standardisation_is_undone_in_the_evidence():
    """Rescaling y by c divides its density by c: log evidence falls by n log c, exactly."""
    X, y = _stream(200, 2, seed=3)
    evidence = [
        hsmoe.HSMoERegressor(4, 50, **ONE_ISLAND, random_state=1)
        .fit(X * a, c * y + 5)
        .log_evidence_
        for a, c in ((1.0, 1.0), (1e3, 1024.0))
    ]
    assert evidence[0] - evidence[1] == pytest.approx(200 * np.log(1024.0), rel=1e-6)


def _assert_mean_evidence(X, y, exact, **settings):
    """E[Z-hat] is exp(exact), within 4.5 standard errors of 400 runs (false alarm 7e-6)."""
    ratios = []
    for seed in range(400):
        model = _model(**settings, random_state=seed).partial_fit(X, y)
        ratios.append(np.exp(model.log_evidence_ - exact))
    error = np.std(ratios) / np.sqrt(len(ratios))
    assert error < 0.02
    assert abs(np.mean(ratios) - 1.0) < 4.5 * error


@pytest.mark.parametrize(
    ("n_experts", "n", "gate", "prior", "reference"),
    [
        (2, 7, "comb", hsmoe.NormalPrior(scale=1.0), "normal"),
        (2, 8, "comb", "horseshoe", "horseshoe"),
        (2, 8, "comb", "horseshoe-paper", "horseshoe-paper"),
        (3, 5, "balanced", "horseshoe", "horseshoe"),
    ],
)
@pytest.mark.parametrize("early_rows", [4, 1000])
def test_mean_evidence_equals_the_sum_over_all_allocations(
    n_experts, n, gate, prior, reference, early_rows, monkeypatch
):
    """E[Z-hat] = sum over all K^n paths, gates by quadrature; 4.5 standard errors (7e-6 a case).

    With the same particles all along, and with a cloud that is thinned after four rows.
    """
    changed = replace(TUNING, least_early_rows=early_rows, most_early_rows=early_rows)
    monkeypatch.setattr(_state, "TUNING", changed)
    X, y = _stream(n, 1, seed=n)
    design = np.c_[np.ones(n), X]
    exact = oracles.enumerated_log_evidence(
        design, design, y, oracles.tree_nodes(n_experts, gate), gate_prior=reference
    )
    _assert_mean_evidence(X, y, exact, n_experts=n_experts, gate=gate, gate_prior=prior)


def test_mean_evidence_with_learned_scales():
    """The same where the scale of the noise and that of the coefficients are learned."""
    X, y = _stream(8, 1, seed=8)
    design, cache = np.c_[np.ones(8), X], {}

    def of_rows(rows):
        if rows not in cache:
            inside = list(rows)
            cache[rows] = oracles.nig_log_evidence_of_learned_scales(design[inside], y[inside])
        return cache[rows]

    exact = oracles.enumerated_log_evidence(
        design,
        design,
        y,
        oracles.tree_nodes(2, "comb"),
        gate_prior="normal",
        expert_log_evidence=of_rows,
    )
    _assert_mean_evidence(
        X,
        y,
        exact,
        gate_prior=hsmoe.NormalPrior(scale=1.0),
        expert=hsmoe.GaussianExpert(),
        n_particles=100,
    )


def test_the_oracle_of_learned_scales_knows_the_known_ones():
    X, y = _stream(6, 2, seed=1)
    near = oracles.nig_log_evidence_of_learned_scales(X, y, b0_shape=3e4, coefficient_shape=3e4)
    assert near == pytest.approx(oracles.nig_log_evidence(X, y), abs=2e-2)


def test_same_law_as_the_numpy_twin():
    """One-step predictive densities of the engine and of its independent twin agree on average."""
    X, y = _stream(30, 2, seed=8)
    design = np.c_[np.ones(30), X]
    evidence = {"engine": [], "twin": []}
    for seed in range(40):
        model = _model(n_experts=3, n_particles=200, random_state=seed, retain=0)
        evidence["engine"].append(model.partial_fit(X, y).log_evidence_)
        twin = NumpyParticleLearner(3, 200, 3, 3, rng=np.random.default_rng(seed))
        for row, target in zip(design, y, strict=True):
            twin.step(row, row, target)
        evidence["twin"].append(twin.log_evidence)
    mean = {k: np.mean(v) for k, v in evidence.items()}
    error = np.sqrt(sum(np.var(v) / len(v) for v in evidence.values()))
    assert abs(mean["engine"] - mean["twin"]) < 4.5 * error
