"""Every gate with every kind of expert, and with everything that is done to a model."""

from __future__ import annotations

import numpy as np
import pytest

import hsmoe
from hsmoe import plotting

GATES = ["softmax", "laplace", ("softmax", "laplace", [1, 2]), ("laplace", [[0, 2], 1])]
SMALL = {"n_experts": 3, "n_particles": 16, "n_islands": 2, "random_state": 2}


def rows(n=160, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 2))
    return X, np.where(X[:, 0] > 0.3, 1.0 + 2.0 * X[:, 1], -X[:, 0]) + 0.3 * rng.normal(size=n)


def real(y):
    return y


def labels(y):
    return np.array(["few", "many", "none"])[(y > 0).astype(int) + (y > 1.5)]


def sides(y):
    return y > 0


def counts(y):
    return np.floor(np.exp(0.4 * y + 1)).clip(0, 9)


EXPERTS = [
    (hsmoe.HSMoERegressor, "gaussian", real),
    (hsmoe.HSMoERegressor, "student", real),
    (hsmoe.HSMoERegressor, "laplace", real),
    (hsmoe.HSMoEClassifier, "logit", labels),
    (hsmoe.HSMoEClassifier, "logit", sides),
    (hsmoe.HSMoECountRegressor, "negative-binomial", counts),
    (hsmoe.HSMoECountRegressor, hsmoe.BinomialExpert(9), counts),
]
WITH_ARVIZ = [case for case in EXPERTS if case[0] is not hsmoe.HSMoEClassifier]


def name(value):
    return getattr(value, "__name__", str(value))


@pytest.mark.parametrize("gate", GATES, ids=str)
@pytest.mark.parametrize(("kind", "expert", "target"), EXPERTS, ids=name)
def test_same_bits_however_rows_come(gate, kind, expert, target):
    """Chunks, threads and files, with rows leaving the buffer; forecasts are finite."""
    X, y = rows()
    y = target(y)
    settings = {**SMALL, "gate": gate, "expert": expert, "retain": 30, "n_warmup": 40}
    first = {"classes": np.unique(y)} if kind is hsmoe.HSMoEClassifier else {}
    whole = kind(**settings).partial_fit(X, y, **first)
    pieces = kind(**settings, n_jobs=2)
    for start in range(0, len(y), 33):
        part = slice(start, start + 33)
        pieces = kind.from_bytes(pieces.partial_fit(X[part], y[part], **first).to_bytes())
    assert pieces.set_params(n_jobs=1).to_bytes() == whole.to_bytes()
    assert np.isfinite(whole.log_density(X, y)).all()
    np.testing.assert_allclose(whole.predict_expert_proba(X).sum(axis=1), 1.0, rtol=1e-12)
    assert "splits" in whole.summary()


@pytest.mark.parametrize(("kind", "expert", "target"), WITH_ARVIZ, ids=name)
@pytest.mark.parametrize("gate", ["softmax", ("laplace", [[0, 2], 1])], ids=str)
def test_draws_for_arviz(gate, kind, expert, target):
    pytest.importorskip("arviz")
    X, y = rows()
    model = kind(**SMALL, gate=gate, expert=expert).fit(X, target(y))
    data = model.to_arviz(X[:5], target(y)[:5], n_draws=12)
    phi = data["posterior"]["phi"]
    assert phi.shape[-2:] == (3, 3)
    assert list(phi.coords["split"].values) == list(model.gate_inclusion().splits)
    proba = np.asarray(data["posterior_predictive"]["expert_proba"])
    np.testing.assert_allclose(proba.sum(axis=-1), 1.0, rtol=1e-9)


@pytest.fixture(scope="module", params=GATES, ids=str)
def fitted(request):
    X, y = rows(300)
    return hsmoe.HSMoERegressor(**SMALL, gate=request.param, retain=None).fit(X, y)


def test_experts_are_merged(fitted):
    """Three experts of two lines: merging needs routing and experts, whatever the gate."""
    merged = hsmoe.merge_experts(fitted, n_draws=40)
    assert merged.n_experts == 2
    slopes = np.sort(merged.reduced().coefficients[:, 2])
    np.testing.assert_allclose(slopes, [0.0, 2.0], atol=0.3)


def test_numbers_of_experts_are_compared():
    X, y = rows(200)
    for gate in ("softmax", "laplace"):
        estimator = hsmoe.HSMoERegressor(
            n_particles=16, n_islands=2, gate=gate, retain=None, random_state=1
        )
        selection = hsmoe.select_n_experts(estimator, X, y, [1, 2])
        assert selection.best == 2
        assert selection.log_bayes_factor(2, 1)[-1] > 20
    with pytest.raises(ValueError, match=r"fits one number of experts only"):
        hsmoe.select_n_experts(
            hsmoe.HSMoERegressor(gate=("softmax", [0, 1])), X, y, candidates=[1, 2]
        )


def test_pictures_and_tables(fitted):
    pytest.importorskip("matplotlib")
    plotting.plot_model(fitted)
    plotting.plot_resampling(fitted)
    pandas = pytest.importorskip("pandas")
    table = fitted.gate_inclusion().to_pandas()
    assert isinstance(table, pandas.DataFrame)
    assert list(table.index) == list(fitted.gate_inclusion().splits)


def test_mixtures_are_drawn_from_logistic_nodes_by_name():
    X, y = rows(120)
    settings = {"n_particles": 16, "n_islands": 2, "random_state": 1}
    named, nested = (
        hsmoe.HSMoERegressor(3, gate=gate, **settings).fit(X, y)
        for gate in (("logistic", [0, ("logistic", [1, 2])]), [0, [1, 2]])
    )
    for one, other in zip(named.draw_mixtures(3), nested.draw_mixtures(3), strict=True):
        np.testing.assert_array_equal(one.predict_expert_proba(X), other.predict_expert_proba(X))
    with pytest.raises(ValueError, match="logistic splits alone"):
        hsmoe.TreeMixture(np.zeros((2, 2)), np.ones(2), np.zeros((1, 2)), "softmax")


def test_mixtures_are_drawn_or_refused_by_name(fitted):
    gate = fitted.gate
    if gate == "softmax":
        X, _ = rows(50, seed=1)
        drawn = fitted.draw_mixtures(200)
        mean = np.mean([one.predict_expert_proba(X) for one in drawn], axis=0)
        np.testing.assert_allclose(mean, fitted.predict_expert_proba(X), atol=0.1)
    else:
        with pytest.raises(ValueError, match=r"draw_mixtures.*use to_arviz"):
            fitted.draw_mixtures(2)


@pytest.mark.parametrize(("kind", "expert", "target"), EXPERTS[1:3] + EXPERTS[5:], ids=name)
def test_mixtures_of_other_experts_are_refused_by_name(kind, expert, target):
    X, y = rows(60)
    model = kind(**SMALL, gate="softmax", expert=expert).fit(X, target(y))
    with pytest.raises(ValueError, match=r"draw_mixtures.*Gaussian experts.*use to_arviz"):
        model.draw_mixtures(2)
    with pytest.raises(ValueError, match="merge_experts takes moments of Gaussian experts"):
        hsmoe.merge_experts(model)
