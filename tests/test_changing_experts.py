"""Experts that open and close: against enumeration, and what they are for."""

from __future__ import annotations

import itertools
import math

import numpy as np
import oracles
import pytest
from one_island import ONE_ISLAND
from scipy import special

import hsmoe
from hsmoe import ChangingExperts


def _stream(n, seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 1)) + 0.3
    y = np.where(X[:, 0] > 0.2, 1.5 + X[:, 0], -0.5 * X[:, 0]) + 0.2 * rng.normal(size=n)
    return X, y


def _paths(most, n, rate):
    """Every path over rows 0 ... n: when experts 1, 2, ... are open (n + 1, most), log prior."""
    r = rate / (most - 1)
    lives = [(math.inf, math.inf)]
    lives += [(o, c) for o in range(n + 1) for c in (*range(o + 1, n + 1), math.inf)]
    rows = np.arange(n + 1)
    for path in itertools.product(lives, repeat=most - 1):
        is_open = np.ones((n + 1, most), bool)
        size = sum(opened == 0 for opened, _ in path)
        probability = 1.0 / most / math.comb(most - 1, size)
        for k, (opened, closed) in enumerate(path, 1):
            is_open[:, k] = (opened <= rows) & (rows < closed)
            changes = (0 < opened <= n) + (closed <= n)
            stays = min(closed, n) - changes
            probability *= r**changes * (1 - r) ** stays
        if probability:
            yield is_open, math.log(probability)


@pytest.mark.parametrize(
    ("most", "n", "rate", "gate"),
    [(2, 6, 0.0, "comb"), (2, 5, 0.2, "comb"), (3, 4, 0.0, "balanced"), (3, 3, 0.3, "balanced")],
)
def test_evidence_and_posterior_equal_the_sum_over_paths_and_allocations(most, n, rate, gate):
    """E[Z-hat] and E[Z-hat p-hat(K)]; 4.5 standard errors of seeds, for up to four functions."""
    X, y = _stream(n, seed=n)
    design = np.c_[np.ones(n), X]
    tree = oracles.tree_nodes(most, gate)
    terms, numbers, known = [], [], {}
    for is_open, log_prior in _paths(most, n, rate):
        key = is_open[:n].tobytes()
        if key not in known:
            known[key] = oracles.enumerated_log_evidence(
                design, design, y, tree, "normal", n_grid=81, open_experts=is_open[:n]
            )
        terms.append(known[key] + log_prior)
        numbers.append(is_open[n].sum())
    exact = special.logsumexp(terms)
    joint = [
        np.exp(np.array(terms)[np.array(numbers) == k] - exact).sum() for k in range(1, most + 1)
    ]
    found = []
    for seed in range(400):
        model = hsmoe.HSMoERegressor(
            ChangingExperts(most, rate),
            **(ONE_ISLAND | {"gate": gate}),
            n_particles=40,
            standardize=False,
            retain=None,
            gate_prior="normal",
            expert=hsmoe.GaussianExpert(b0_shape=0.0, coefficient_shape=0.0),
            random_state=seed,
        ).partial_fit(X, y)
        ratio = np.exp(model.log_evidence_ - exact)
        found.append([ratio, *(ratio * model.n_experts_posterior())])
    mean, error = np.mean(found, 0), np.std(found, 0) / np.sqrt(len(found))
    assert (error < 0.02).all()
    assert (np.abs(mean - [1.0, *joint]) < 4.5 * error).all(), (mean, [1.0, *joint], error)


def _regimes(n, seed, third):
    """Two regimes by the sign of a feature, and a third where ``third`` (n,) says so."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 2))
    z = np.where(third & (X[:, 1] > 0.3), 2, (X[:, 0] > 0).astype(int))
    slope = np.array([[1.0, 0.0], [-1.0, 1.0], [0.5, -2.0]])[z]
    y = np.array([0.0, -2.0, 4.0])[z] + (X * slope).sum(1) + 0.2 * rng.normal(size=n)
    return X, y


def _model(n_experts, **parameters):
    settings = {"n_particles": 32, "n_islands": 1, "random_state": 1, "n_warmup": 50}
    return hsmoe.HSMoERegressor(n_experts, **(settings | parameters))


def _expected(model):
    posterior = model.n_experts_posterior()
    assert posterior.sum() == pytest.approx(1.0)
    return float(posterior @ np.arange(1, len(posterior) + 1))


def test_a_regime_that_appears_is_given_an_expert_and_one_that_vanishes_loses_it():
    n, appears, vanishes = 1800, 600, 1000
    row = np.arange(n)
    third = (row >= appears) & (row < vanishes)
    X, y = _regimes(n, 3, third)
    model = _model(ChangingExperts(4), retain=100)
    fixed = _model(2, retain=100)
    log_score, known, number = [], [], {}
    for start, stop in itertools.pairwise((0, 600, 660, 1000, 1800)):
        log_score.append(model.prequential(X[start:stop], y[start:stop]).log_density)
        known.append(fixed.prequential(X[start:stop], y[start:stop]).log_density)
        number[stop] = _expected(model)
    assert number[600] < 2.2
    assert number[660] > 2.8  # 60 rows after a regime of four rows in ten has appeared
    assert number[1000] > 2.8
    assert number[1800] < number[1000] - 0.5
    # Two experts alone have no place for the third regime.
    assert log_score[2].mean() > known[2].mean() + 0.3


def test_the_number_of_experts_of_a_static_stream():
    X, y = _regimes(500, 4, np.ones(500, bool))
    model = _model(ChangingExperts(5), n_islands=2).fit(X, y)
    posterior = model.n_experts_posterior()
    assert posterior.shape == (5,)
    assert posterior[:2].sum() < 1e-3
    assert "experts open" in model.summary()
    fixed = _model(3).fit(X, y)
    assert fixed.n_experts_posterior().tolist() == [0.0, 0.0, 1.0]
    assert "experts open" not in fixed.summary()


def test_what_is_reported_follows_the_open_experts():
    X, y = _regimes(300, 5, np.zeros(300, bool))
    model = _model(ChangingExperts(5)).fit(X, y)
    routing = model.predict_expert_proba(X[:7])
    assert routing.shape == (7, 5)
    assert routing.sum(1) == pytest.approx(1.0)
    assert model.active_experts(X) <= 3
    mean, std = model.predict(X[:7], return_std=True)
    assert np.isfinite(mean).all() and np.isfinite(std).all()
    merged = hsmoe.merge_experts(model, n_draws=50)
    assert 2 <= merged.n_experts <= 3
    pytest.importorskip("arviz")
    draws = model.to_arviz(X[:7], y[:7], n_draws=20)
    assert np.isfinite(draws.posterior["beta"].values).all()
    assert np.isfinite(draws.log_likelihood["y"].values).all()
    shares = draws.posterior_predictive["expert_proba"].values
    assert shares.sum(-1) == pytest.approx(1.0)
    selection = hsmoe.select_n_experts(model, X, y, [1, 2])
    assert selection.candidates == (1, 2)


def test_same_bits_in_chunks_with_threads_and_from_a_file():
    n = 420
    X, y = _regimes(n, 6, np.arange(n) > 200)
    settings = {"retain": 60, "n_particles": 24, "n_islands": 2}
    whole = _model(ChangingExperts(4, 0.02), **settings).partial_fit(X, y)
    parts = _model(ChangingExperts(4, 0.02), n_jobs=2, **settings)
    for start in range(0, n, 105):
        parts.partial_fit(X[start : start + 105], y[start : start + 105])
        parts = hsmoe.HSMoERegressor.from_bytes(parts.to_bytes())
    assert parts.set_params(n_jobs=1).to_bytes() == whole.to_bytes()
    assert parts.n_experts == ChangingExperts(4, 0.02)
    copy = hsmoe.HSMoERegressor(**whole.get_params())
    assert copy.n_experts is whole.n_experts


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (hsmoe.HSMoEClassifier, lambda y: y > 0),
        (hsmoe.HSMoECountRegressor, lambda y: np.floor(np.exp(np.clip(y, -3, 2)))),
        (lambda *a, **k: hsmoe.HSMoERegressor(*a, expert="student", **k), lambda y: y),
    ],
)
def test_every_kind_of_expert(make, wanted):
    X, y = _regimes(260, 7, np.arange(260) > 120)
    model = make(ChangingExperts(3, 0.05), 16, 1, retain=40, random_state=0)
    model.fit(X, wanted(y))
    assert 1.0 <= _expected(model) <= 3.0
    assert np.isfinite(model.log_evidence_)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"retain": 0, "forgetting": 1}, "n_experts is ChangingExperts.* with retain=0"),
        ({"gate": "softmax"}, "n_experts is ChangingExperts.*gate has softmax nodes"),
        ({"inference": "variational"}, "n_experts is ChangingExperts.*inference is variational"),
        ({"n_experts": "six"}, "n_experts is 'six'; it must be an integer .* or ChangingExperts"),
    ],
)
def test_refused_by_name(parameters, message):
    X, y = _regimes(60, 8, np.zeros(60, bool))
    with pytest.raises(ValueError, match=message):
        _model(**({"n_experts": ChangingExperts(3)} | parameters)).fit(X, y)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1,), "ChangingExperts: most is 1; it must be an integer of at least 2"),
        ((2.5,), "ChangingExperts: most is 2.5"),
        ((4, 1.0), "ChangingExperts: change_rate is 1.0"),
        ((4, -1e-3), "ChangingExperts: change_rate is -0.001"),
        ((4, math.nan), "ChangingExperts: change_rate is nan"),
        ((4, "often"), "ChangingExperts: change_rate is 'often'"),
    ],
)
def test_changing_experts_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        ChangingExperts(*arguments)


def test_draws_say_which_experts_are_open(two_regimes):
    pytest.importorskip("arviz")
    X, y = two_regimes
    changing = hsmoe.HSMoERegressor(
        hsmoe.ChangingExperts(most=3, change_rate=0.02), 32, 2, random_state=0
    ).fit(X[:150], y[:150])
    is_open = changing.to_arviz(n_draws=4000)["posterior"]["open"]
    assert is_open.dims == ("chain", "draw", "expert")
    assert is_open.dtype == bool
    counts = np.bincount(is_open.values.sum(axis=-1).ravel(), minlength=4)[1:]
    np.testing.assert_allclose(counts / 4000, changing.n_experts_posterior(), atol=1e-3)
    fixed = hsmoe.HSMoERegressor(3, 8, 1, random_state=0).fit(X[:150], y[:150])
    assert "open" not in fixed.to_arviz()["posterior"]


@pytest.mark.parametrize("gate", ["balanced", "comb", [[0, 3], [1, [2, 4]]]], ids=str)
def test_mixtures_are_drawn_of_the_open_experts_alone(gate):
    """The draws have as many experts as the posterior says, and their mean is the forecast."""
    X, y = _stream(250, seed=3)
    settings = {**ONE_ISLAND, "n_particles": 64, "random_state": 5, "gate": gate}
    model = hsmoe.HSMoERegressor(ChangingExperts(5, change_rate=0.02), **settings).fit(X, y)
    drawn = model.draw_mixtures(400, random_state=2)
    share = np.bincount([one.n_experts for one in drawn], minlength=6)[1:] / 400
    posterior = model.n_experts_posterior()
    assert (share[[0, 4]] < 0.5).all() and (share > 0.05).sum() > 1  # several numbers are at stake
    # Draws are of particles resampled to equal weight: their counts are within 1 of n * share.
    assert np.abs(share - posterior).max() < 0.1
    density = np.mean([np.exp(one.log_density(X[:60], y[:60])) for one in drawn], axis=0)
    np.testing.assert_allclose(np.log(density), model.log_density(X[:60], y[:60]), atol=0.2)
