"""Islands: what their spread says, and how islands that forget at different rates are pooled."""

from dataclasses import replace

import numpy as np
import pytest

import hsmoe
from hsmoe import _state
from hsmoe._islands import disagreement, evidence_error
from hsmoe._tuning import TUNING


def test_standard_error_by_hand():
    # Z = 1, 3 (in units of e^-1000): mean 2, sd sqrt(2), error sqrt(2) / (sqrt(2) * 2).
    assert evidence_error(np.log([1.0, 3.0]) - 1000) == pytest.approx(0.5)
    assert np.isnan(evidence_error(np.array([-3.0])))


def test_standard_error_covers_the_spread_of_pooled_evidence():
    rng = np.random.default_rng(5)
    island = 0.5 * rng.normal(size=(4000, 16))
    pooled = np.log(np.exp(island).mean(axis=1))
    errors = [evidence_error(row) for row in island]
    assert np.mean(errors) == pytest.approx(pooled.std(), rel=0.1)


def test_islands_that_agree_are_not_warned_about():
    rng = np.random.default_rng(6)
    for spread in (0.0, 0.1, 1.0):
        island = -900 + spread * rng.normal(size=8)
        assert disagreement(island, evidence_error(island)) is None
    assert disagreement(np.array([-3.0]), float("nan")) is None


def test_disagreement_in_words():
    island = np.array([-1000.0, -1040.0, -1025.0, -1060.0])
    words = disagreement(island, evidence_error(island))
    assert words is not None
    assert "disagree by more than the reported error" in words
    assert "standard deviation of 25.3 nats" in words and "holds 100% of the weight" in words
    assert "one of the 4 islands" in words and "error of 1.00" in words


def test_model_warns_when_its_islands_disagree():
    """A handful of particles that never revise an allocation end in different places."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 4))
    y = np.where(X[:, 0] > 0, 5 * X[:, 1], -5 * X[:, 2]) + 0.1 * rng.normal(size=600)
    model = hsmoe.HSMoERegressor(
        n_experts=3, n_particles=8, n_islands=4, retain=0, forgetting=1.0, random_state=1
    ).fit(X, y)
    with pytest.warns(hsmoe.IslandsDisagreeWarning, match="the answer depends on the seed"):
        assert model.log_evidence_se_ <= 1.0
    assert "WARNING       the islands disagree" in model.summary()


RATES = {"n_experts": 3, "n_particles": 16, "n_islands": 8, "random_state": 3, "n_warmup": 20}


def test_rates_make_no_difference_until_rows_freeze(two_regimes):
    """Until then the islands are replicates, pooled by all of their evidence."""
    X, y = two_regimes
    auto = hsmoe.HSMoERegressor(retain=200, forgetting="auto", **RATES)
    same = hsmoe.HSMoERegressor(retain=200, forgetting=1.0, **RATES)
    np.testing.assert_array_equal(
        auto.prequential(X, y).log_density, same.prequential(X, y).log_density
    )
    assert auto.log_evidence_ == same.log_evidence_


def engine_state(model):
    return {name: np.asarray(array) for name, array in model._state.engine.get_state().items()}


def test_islands_are_resampled_by_evidence_when_rates_part_ways(two_regimes):
    X, y = two_regimes
    auto = hsmoe.HSMoERegressor(retain=40, forgetting="auto", **RATES)
    same = hsmoe.HSMoERegressor(retain=40, forgetting=1.0, **RATES)
    for i in range(len(y)):
        for model in (auto, same):
            model.partial_fit(X[i : i + 1], y[i : i + 1])
        if i >= 20 and engine_state(auto)["frozen_until"].max() > 0:
            break
    else:
        pytest.fail("nothing froze")
    parted, replicates = engine_state(auto), engine_state(same)
    np.testing.assert_allclose(parted["log_share"], -np.log(8))
    assert auto.log_evidence_ == same.log_evidence_
    # Systematic resampling: an island of share s leaves between 8 s - 1 and 8 s + 1 copies.
    evidence = replicates["island_log_evidence"]
    share = np.exp(evidence - evidence.max())
    copies = np.array([(parted["island_log_evidence"] == v).sum() for v in evidence])
    assert copies.sum() == 8 and (copies == 0).any()
    assert (np.abs(copies - 8 * share / share.sum()) < 1).all()
    # Copies go on apart: each island has streams of its own.
    first_particles = parted["particles"].reshape(8, 16, -1)[:, 0]
    assert len({particle.tobytes() for particle in first_particles}) == 8


def test_pool_forgets_once_rows_are_frozen(two_regimes):
    """Shares then fade: log share <- 0.99 (log share + growth), renormalised."""
    X, y = two_regimes
    model = hsmoe.HSMoERegressor(retain=20, forgetting="auto", **RATES)
    model.partial_fit(X[:150], y[:150])
    before = engine_state(model)
    assert before["frozen_until"].max() > 0
    model.partial_fit(X[150:151], y[150:151])
    now = engine_state(model)
    growth = now["island_log_evidence"] - before["island_log_evidence"]
    expected = 0.99 * (before["log_share"] + growth)
    expected -= np.log(np.exp(expected).sum())
    np.testing.assert_allclose(now["log_share"], expected, atol=1e-12)


@pytest.mark.filterwarnings("ignore::hsmoe.IslandsDisagreeWarning")
@pytest.mark.parametrize("retain", [None, 0])
def test_auto_is_no_forgetting_where_nothing_freezes(retain, two_regimes):
    X, y = two_regimes
    auto = hsmoe.HSMoERegressor(retain=retain, forgetting="auto", **RATES).fit(X, y)
    same = hsmoe.HSMoERegressor(retain=retain, forgetting=1.0, **RATES).fit(X, y)
    assert auto.log_evidence_ == same.log_evidence_
    assert auto.log_evidence_se_ == same.log_evidence_se_ > 0


@pytest.mark.parametrize("ess_threshold", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(
    ("retain", "open_rows", "first"), [(1, 2000, 4), (25, 2000, 100), (25, 60, 60), (25, 0, 50)]
)
def test_the_first_rows_freeze_late_and_together(
    retain, open_rows, first, ess_threshold, two_regimes, monkeypatch
):
    """At 4 * retain rows, but no later than at open_rows, and not before 2 * retain."""
    monkeypatch.setattr(_state, "TUNING", replace(TUNING, open_rows=open_rows))
    X, y = two_regimes
    model = hsmoe.HSMoERegressor(
        2, 16, n_islands=2, retain=retain, ess_threshold=ess_threshold, standardize=False
    )
    for i in range(first):
        model.partial_fit(X[i : i + 1], y[i : i + 1])
        frozen = engine_state(model)["frozen_until"]
        assert (frozen == (first - retain if i + 1 == first else 0)).all()
    model.partial_fit(X[first : first + 2 * retain], y[first : first + 2 * retain])
    state = engine_state(model)  # twice as many are retained from then on
    assert ((state["n_rows"] - state["frozen_until"]) <= 2 * retain).all()


def test_standard_error_ends_with_the_replicates(two_regimes):
    X, y = two_regimes
    model = hsmoe.HSMoERegressor(retain=25, forgetting="auto", **RATES)
    assert model.partial_fit(X[:99], y[:99]).log_evidence_se_ > 0
    assert np.isnan(model.partial_fit(X[99:100], y[99:100]).log_evidence_se_)
