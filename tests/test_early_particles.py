"""The larger cloud of the first rows, and how it is thinned."""

from dataclasses import replace

import numpy as np
import pytest
from one_island import ONE_ISLAND

import hsmoe
from hsmoe import HSMoERegressor, _state
from hsmoe._tuning import TUNING
from hsmoe.checkpoint import pack, unpack


def make(**changes):
    defaults = {**ONE_ISLAND, "n_experts": 3, "n_particles": 24, "n_warmup": 37, "random_state": 11}
    return HSMoERegressor(**{**defaults, **changes})


def thin_after(rows, monkeypatch):
    changed = replace(TUNING, least_early_rows=rows, most_early_rows=rows)
    monkeypatch.setattr(_state, "TUNING", changed)


def bits(model):
    """Everything a model is, but for how many threads it may use."""
    return model.set_params(n_jobs=1).to_bytes()


@pytest.mark.parametrize(
    ("given", "retain", "early"),
    [(1, 500, 7), (128, 500, 896), (200, None, 896), (900, 500, 900), (2000, 1, 2000), (32, 0, 32)],
)
def test_how_many(given, retain, early, two_regimes):
    model = make(n_particles=given, retain=retain, n_experts=1, standardize=False)
    model.partial_fit(two_regimes[0][:1], two_regimes[1][:1])
    assert f"particles     {early:,}" in model.summary()


def test_particles_stay_as_often_as_their_weight_says(two_regimes, monkeypatch):
    """Systematic resampling: each of the early particles is kept floor(N W) or ceil(N W) times."""
    n = 100
    states = []
    for early_rows in (n + 1, n):
        thin_after(early_rows, monkeypatch)
        # Never resampled, so that the weights are far from equal.
        model = make(n_islands=2, n_particles=30, ess_threshold=0.0)
        model.partial_fit(two_regimes[0][:n], two_regimes[1][:n])
        states.append(model._state.engine.get_state())
    before, after = states
    assert before["particles"].shape[:2] == (2, 210)
    assert after["particles"].shape[:2] == (2, 30)
    np.testing.assert_allclose(after["log_weight"], -np.log(30))
    for island in range(2):
        weight = np.exp(before["log_weight"][island])
        assert 30 * weight.max() > 3  # to be kept three times at least
        same = after["particles"][island][:, None] == before["particles"][island][None]
        kept = same.all(axis=2).sum(axis=0)
        assert kept.sum() == 30
        assert (kept >= np.floor(30 * weight - 1e-9)).all()
        assert (kept <= np.ceil(30 * weight + 1e-9)).all()
        # Streams belong to the slots.
        np.testing.assert_array_equal(after["streams"][island][:30], before["streams"][island][:30])
        assert (after["streams"][island][30] != before["streams"][island][210]).any()
    assert after["log_evidence"] == before["log_evidence"]


@pytest.mark.parametrize("early_rows", [60, 160])
def test_thinned_on_the_same_row_however_rows_come(early_rows, two_regimes, monkeypatch):
    """It is, between calls, within one, and across a file."""
    thin_after(early_rows, monkeypatch)
    X, y = two_regimes
    whole = make(n_islands=2, retain=30).partial_fit(X, y)
    assert whole.resampling_log_["unique"].max() > 24
    for size in (1, 23, 60, 61):
        pieces = make(n_islands=2, retain=30, n_jobs=2)
        for start in range(0, len(y), size):
            part = slice(start, start + size)
            pieces = HSMoERegressor.from_bytes(pieces.partial_fit(X[part], y[part]).to_bytes())
        assert bits(pieces) == bits(whole)
        assert pieces.nbytes < 0.5 * make(n_islands=2, retain=30).partial_fit(X[:50], y[:50]).nbytes


def test_a_model_goes_on_with_the_tuning_it_began_with(two_regimes, monkeypatch):
    """Files of a version with other numbers load, and learn what they would have learned."""
    X, y = two_regimes
    other = replace(TUNING, early_factor=2, scan_rows=40, relocations=0, auto_rates=(1.0, 0.98))
    monkeypatch.setattr(_state, "TUNING", other)
    whole = make(n_islands=2, retain=30).partial_fit(X, y)
    part = make(n_islands=2, retain=30).partial_fit(X[:80], y[:80]).to_bytes()
    monkeypatch.setattr(_state, "TUNING", TUNING)
    assert bits(HSMoERegressor.from_bytes(part).partial_fit(X[80:], y[80:])) == bits(whole)
    assert bits(make(n_islands=2, retain=30).partial_fit(X, y)) != bits(whole)


@pytest.mark.parametrize(
    "wrong",
    [{"early_factor": 17}, {"scan_rows": -1}, {"auto_rates": []}, {"auto_pool_memory": 2.0},
     {"phi_kernel": "exact"}, {"from_a_later_version": 1}],
)  # fmt: skip
def test_a_tuning_that_cannot_be(wrong, two_regimes):
    metadata, arrays = unpack(make().fit(*two_regimes).to_bytes())
    metadata["state"]["tuning"].update(wrong)
    with pytest.raises(hsmoe.CheckpointError, match=next(iter(wrong))):
        HSMoERegressor.from_bytes(pack(metadata, arrays))
