"""Numbers of experts compared by evidence: exact where it can be, one pass, errors by island."""

import warnings

import numpy as np
import pytest

import hsmoe
from hsmoe import ExpertSelection, HSMoERegressor, IslandsDisagreeWarning, select_n_experts

SMALL = {"n_particles": 6, "n_islands": 4, "forgetting": 1.0, "random_state": 3}
pytestmark = pytest.mark.filterwarnings("ignore::hsmoe.IslandsDisagreeWarning")


@pytest.fixture(scope="module")
def selection(two_regimes):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IslandsDisagreeWarning)
        return select_n_experts(HSMoERegressor(**SMALL), *two_regimes, [3, 1, 2])


def made(log_evidence, log_evidence_se, log_prior=None, **changes):
    z = np.array(log_evidence, dtype=float)
    values = {
        "candidates": tuple(range(1, len(z) + 1)),
        "models": {},
        "path": np.stack([0.5 * z, z]),
        "stations": np.array([2]),
        "path_se": np.array([log_evidence_se], dtype=float),
        "log_evidence": z,
        "log_evidence_se": np.array(log_evidence_se, dtype=float),
        "log_prior": np.full(len(z), -np.log(len(z))) if log_prior is None else log_prior,
        "disagreements": {},
    }
    return ExpertSelection(**{**values, **changes})


def test_models_are_those_of_one_pass(selection, two_regimes):
    """Rows in chunks, side by side: each model is what prequential makes of them, bit for bit."""
    X, y = two_regimes
    assert selection.candidates == (1, 2, 3)
    for column, (k, model) in enumerate(selection.models.items()):
        alone = HSMoERegressor(**{**SMALL, **model.get_params()})
        forecast = alone.prequential(X, y)
        np.testing.assert_array_equal(selection.path[:, column], forecast.log_evidence)
        assert selection.log_evidence[column] == alone.log_evidence_ == selection.path[-1, column]
        assert selection.log_evidence_se[column] == pytest.approx(
            alone.log_evidence_se_, nan_ok=True
        )
        assert model.to_bytes() == alone.to_bytes()
        assert model.n_experts == k
    assert np.isnan(selection.path[:50]).all()  # the warm-up
    assert np.isfinite(selection.path[50:]).all()


def test_evidence_of_one_expert_is_exact(two_regimes):
    """K = 1 against K = 1 with another prior: the Bayes factor in closed form (Student t)."""
    X, y = two_regimes
    X, y = (X - X.mean(axis=0)) / X.std(axis=0), (y - y.mean()) / y.std()
    expert = hsmoe.GaussianExpert(b0_shape=0.0, coefficient_shape=0.0)
    estimator = HSMoERegressor(
        n_particles=2, n_islands=3, standardize=False, expert=expert, random_state=0
    )
    found = select_n_experts(estimator, X, y, [1])
    design = np.c_[np.ones(len(y)), X]
    from scipy import stats

    for n in (1, 7, 160):
        D = design[:n]
        law = stats.multivariate_t(np.zeros(n), 0.1 / 2.0 * (np.eye(n) + 10.0 * D @ D.T), df=4.0)
        assert found.path[n - 1, 0] == pytest.approx(law.logpdf(y[:n]), rel=1e-9)
    assert found.posterior.tolist() == [1.0]
    assert found.path_se.max() < 1e-12  # nothing is random


def test_seeds_of_candidates_are_their_own(selection, two_regimes):
    keys = [model.random_state.spawn_key for model in selection.models.values()]
    assert keys == [(1,), (2,), (3,)]
    again = select_n_experts(HSMoERegressor(**SMALL), *two_regimes, [2])
    np.testing.assert_array_equal(again.path[:, 0], selection.path[:, 1])


def test_the_estimator_stays_as_it_is(two_regimes):
    X, y = two_regimes
    model = HSMoERegressor(**SMALL, n_experts=2).fit(X[:60], y[:60])
    before = model.to_bytes()
    select_n_experts(model, X, y, [1])
    assert model.to_bytes() == before


def test_bayes_factors(selection):
    factor = selection.log_bayes_factor(2, 1)
    np.testing.assert_array_equal(factor, selection.path[:, 1] - selection.path[:, 0])
    np.testing.assert_array_equal(factor, -selection.log_bayes_factor(1, 2))
    assert factor[-1] > 20 and selection.best in (2, 3)
    error = selection.log_bayes_factor_se(2, 3)
    np.testing.assert_array_equal(error, np.hypot(selection.path_se[:, 1], selection.path_se[:, 2]))
    assert (selection.log_bayes_factor_se(2, 2) == 0).all()
    with pytest.raises(ValueError, match=r"5 is not among the candidates \[1, 2, 3\]"):
        selection.log_bayes_factor(5, 1)


def test_stations(selection):
    assert selection.stations[-1] == len(selection.path)
    assert (np.diff(selection.stations) > 0).all()
    np.testing.assert_array_equal(selection.path_se[-1], selection.log_evidence_se)
    waiting = selection.stations < 50
    assert np.isnan(selection.path_se[waiting]).all()
    assert np.isfinite(selection.path_se[~waiting]).all()


def test_posterior_by_hand():
    found = made(np.log([1.0, 4.0, 5.0]) - 2000, [0.0, 0.0, 0.0])
    np.testing.assert_allclose(found.posterior, [0.1, 0.4, 0.5])
    assert found.best == 3
    found = made(np.log([1.0, 4.0, 5.0]) - 2000, [0, 0, 0], np.log([0.8, 0.2, 1e-300]))
    np.testing.assert_allclose(found.posterior, [0.5, 0.5, 0.0], atol=1e-12)
    np.testing.assert_allclose(found.posterior_path.sum(axis=1), 1.0)


def test_error_of_the_posterior_by_simulation():
    """Delta method against 200,000 draws of the evidences, errors small (2% of the error)."""
    z, se = np.log([1.0, 4.0, 5.0]), np.array([0.01, 0.03, 0.02])
    found = made(z, se)
    drawn = z + se * np.random.default_rng(0).normal(size=(200_000, 3))
    p = np.exp(drawn)
    spread = (p / p.sum(axis=1, keepdims=True)).std(axis=0)
    np.testing.assert_allclose(found.posterior_se, spread, rtol=0.02)
    assert np.isnan(made(z, [0.01, np.nan, 0.02]).posterior_se).all()


def test_table(selection):
    table = selection.table()
    assert table["n_experts"].tolist() == [1, 2, 3]
    assert table["log_bayes_factor"].max() == 0.0
    frame = selection.to_pandas()
    assert frame.index.tolist() == [1, 2, 3]
    assert frame.loc[2, "log_evidence"] == selection.log_evidence[1]
    lines = repr(selection).splitlines()
    assert lines[0].split()[0] == "experts" and len(lines) >= 4
    assert f"{selection.log_evidence[1]:.2f}" in lines[2]
    assert "-" in repr(made([0.0, 1.0], [np.nan, np.nan]))


def test_prior(two_regimes):
    X, y = two_regimes
    estimator = HSMoERegressor(**{**SMALL, "n_islands": 1})
    found = select_n_experts(estimator, X[:80], y[:80], [1, 2], prior={1: 3.0, 2: 1.0})
    np.testing.assert_allclose(np.exp(found.log_prior), [0.75, 0.25])
    odds = np.log(found.posterior[1] / found.posterior[0])
    assert odds == pytest.approx(found.log_bayes_factor(2, 1)[-1] - np.log(3))
    never = select_n_experts(estimator, X[:80], y[:80], [1, 2], prior={1: 1.0, 2: 0.0})
    assert never.posterior.tolist() == [1.0, 0.0]


def test_incomplete_rows(two_regimes):
    X, y = two_regimes
    X, y = X.copy(), y.copy()
    X[[0, 70], 1], y[[20, 159]] = np.nan, np.nan
    estimator = HSMoERegressor(**{**SMALL, "n_islands": 1}, missing="skip")
    found = select_n_experts(estimator, X, y, [1])
    model = found.models[1]
    assert model.n_rows_skipped_ == 4 and model.n_rows_seen_ == 160
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(found.path[60:, 0])) + 60, [70, 159])
    kept = np.isfinite(X).all(axis=1) & np.isfinite(y)
    alone = select_n_experts(estimator, X[kept], y[kept], [1])
    np.testing.assert_array_equal(found.path[kept], alone.path)
    assert found.log_evidence == alone.log_evidence


def test_frames(two_regimes):
    import pandas as pd

    X, y = two_regimes
    frame = pd.DataFrame(X, columns=["a", "b", "c"], index=np.arange(160) + 1000)
    found = select_n_experts(HSMoERegressor(**SMALL, gate_features=["a"]), frame, pd.Series(y), [2])
    assert found.models[2].feature_names_in_.tolist() == ["a", "b", "c"]


def test_within_the_warm_up(two_regimes):
    X, y = two_regimes
    found = select_n_experts(HSMoERegressor(**SMALL), X[:30], y[:30], [1, 2])
    assert np.isnan(found.path).all()
    assert np.isfinite(found.log_evidence).all()
    assert found.posterior.sum() == pytest.approx(1.0)


def test_islands_that_disagree_are_named():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 4))
    y = np.where(X[:, 0] > 0, 5 * X[:, 1], -5 * X[:, 2]) + 0.1 * rng.normal(size=600)
    estimator = HSMoERegressor(n_particles=8, n_islands=4, retain=0, forgetting=1.0, random_state=1)
    with pytest.warns(IslandsDisagreeWarning, match="^3 experts: the islands disagree"):
        found = select_n_experts(estimator, X, y, [1, 3])
    assert list(found.disagreements) == [3]
    assert "WARNING 3 experts: the islands disagree" in repr(found)


@pytest.mark.parametrize(
    ("candidates", "changes", "message"),
    [
        ([], {}, "candidates is empty"),
        ([2, 2], {}, r"candidates names a number twice: \[2, 2\]"),
        ([0], {}, "candidates is 0; it must be an integer of at least 1"),
        ([1.5], {}, "candidates is 1.5"),
        (3, {}, r"candidates is 3; pass the numbers of experts to compare"),
        ("12", {}, "candidates is '12'; pass the numbers"),
        ([2], {"gate": [0, 1]}, r"gate is \[0, 1\], which fits one number of experts only"),
        ([2], {"n_particles": 0}, "n_particles is 0"),
    ],
)
def test_refusals(candidates, changes, message, two_regimes):
    with pytest.raises(ValueError, match=message):
        select_n_experts(HSMoERegressor(**{**SMALL, **changes}), *two_regimes, candidates)


def test_more_refusals(two_regimes):
    X, y = two_regimes
    estimator = HSMoERegressor(**SMALL)
    with pytest.raises(ValueError, match=r"prior speaks of \[1\] and candidates are \[1, 2\]"):
        select_n_experts(estimator, X, y, [1, 2], prior={1: 1.0})
    with pytest.raises(ValueError, match="must be finite, not negative, and not all zero"):
        select_n_experts(estimator, X, y, [1, 2], prior={1: 1.0, 2: -1.0})
    with pytest.raises(ValueError, match="every row of X or y has a missing value"):
        select_n_experts(
            estimator.set_params(missing="skip"), X[:2], np.array([np.nan, np.nan]), [1]
        )
    bad = X.copy()
    bad[140, 1] = 1e200
    with pytest.raises(ValueError) as caught:
        select_n_experts(HSMoERegressor(**SMALL), bad, y, [1])
    assert "too far from the warm-up rows" in str(caught.value)
    assert any("the rows counted begin with row" in note for note in caught.value.__notes__)


def test_classes_are_compared_too() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 1))
    label = np.where(X[:, 0] > 0, "up", "down")
    model = hsmoe.HSMoEClassifier(n_particles=16, n_islands=2, random_state=1)
    selection = hsmoe.select_n_experts(model, X, label, [1, 2])
    assert selection.path.shape == (60, 2)
    assert selection.models[2].classes_.tolist() == ["down", "up"]
