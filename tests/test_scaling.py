"""Standardisation is undone in every output, at any scale."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from one_island import ONE_ISLAND

from hsmoe import HSMoERegressor
from hsmoe._scaling import Scaling, centre_and_scale


def test_centre_and_scale():
    assert centre_and_scale(np.array([3.0, 3.0])) == (3.0, 3.0)
    assert centre_and_scale(np.array([-3.0])) == (-3.0, 3.0)
    assert centre_and_scale(np.zeros(4)) == (0.0, 1.0)
    assert centre_and_scale(np.array([0.0, 0.0, 0.0, 1.0])) == (0.25, 0.5)
    centre, scale = centre_and_scale(np.array([1.0, 2.0, 6.0]))
    assert (centre, scale) == pytest.approx((3.0, np.std([1.0, 2.0, 6.0])))


@given(exponent=st.integers(-1000, 1000), seed=st.integers(0, 100))
@settings(max_examples=60, deadline=None)
def test_powers_of_two_scale_exactly(exponent, seed):
    column = np.random.default_rng(seed).normal(1.0, 1.0, size=20)
    centre, scale = centre_and_scale(column)
    moved = centre_and_scale(np.ldexp(column, exponent))
    assert moved == (np.ldexp(centre, exponent), np.ldexp(scale, exponent))


@given(st.lists(st.floats(-1.7e308, 1.7e308), min_size=1, max_size=30))
@settings(max_examples=200, deadline=None)
def test_any_finite_column_has_a_usable_scale(values):
    column = np.array(values)
    centre, scale = centre_and_scale(column)
    assert np.isfinite(centre)
    assert np.isfinite(scale)
    assert scale > 0
    assert column.min() <= centre <= column.max() or np.isclose(centre, column.min(), rtol=1e-12)


def outputs(model, X, y):
    mean, std = model.predict(X, return_std=True)
    return {
        "mean": mean,
        "std": std,
        "quantiles": model.predict_quantiles(X, [0.1, 0.5, 0.9]),
        "cdf": model.predict_cdf(X, y),
        "log_density": model.log_density(X, y),
        "crps": model.crps(X, y),
        "samples": model.sample_y(X, 2, random_state=3),
        "log_evidence": np.array(model.log_evidence_),
    }


@pytest.mark.parametrize("power", [-990, -30, 30, 990])
def test_units_of_the_data_change_outputs_as_they_should(power, two_regimes):
    """A power of two changes no rounding, so everything is exact but for the logarithms."""
    X, y = two_regimes
    settings = {**ONE_ISLAND, "n_experts": 2, "n_particles": 12, "n_warmup": 50, "random_state": 0}
    plain = outputs(HSMoERegressor(**settings).fit(X, y), X[:9], y[:9])
    factor = 2.0**power
    scaled_X, scaled_y = X * factor, y * factor
    scaled = outputs(HSMoERegressor(**settings).fit(scaled_X, scaled_y), scaled_X[:9], scaled_y[:9])
    for name in ("mean", "std", "quantiles", "crps", "samples"):
        np.testing.assert_array_equal(scaled[name], plain[name] * factor, err_msg=name)
    np.testing.assert_array_equal(scaled["cdf"], plain["cdf"])
    shift = power * np.log(2.0)
    np.testing.assert_allclose(scaled["log_density"], plain["log_density"] - shift, rtol=1e-12)
    np.testing.assert_allclose(
        scaled["log_evidence"], plain["log_evidence"] - len(y) * shift, rtol=1e-12
    )


def test_forecasts_are_in_the_units_of_the_data(two_regimes):
    X, y = two_regimes
    settings = {**ONE_ISLAND, "n_experts": 2, "n_particles": 12, "n_warmup": 50, "random_state": 0}
    plain = HSMoERegressor(**settings).prequential(X, y)
    scaled = HSMoERegressor(**settings).prequential(X, y * 1024.0)
    np.testing.assert_array_equal(scaled.mean, plain.mean * 1024.0)
    np.testing.assert_array_equal(scaled.std, plain.std * 1024.0)
    np.testing.assert_array_equal(scaled.crps, plain.crps * 1024.0)
    np.testing.assert_array_equal(scaled.cdf, plain.cdf)
    known = slice(50, None)
    np.testing.assert_allclose(
        scaled.log_density[known], plain.log_density[known] - np.log(1024.0), rtol=1e-12
    )
    rows = np.arange(1, len(y) + 1)
    np.testing.assert_allclose(
        scaled.log_evidence[known], (plain.log_evidence - rows * np.log(1024.0))[known], rtol=1e-12
    )


def test_a_shift_of_the_data_shifts_the_predictions(two_regimes):
    X, y = two_regimes
    settings = {**ONE_ISLAND, "n_experts": 2, "n_particles": 12, "n_warmup": 50, "random_state": 0}
    plain = HSMoERegressor(**settings).fit(X, y)
    moved = HSMoERegressor(**settings).fit(X, y + 1000.0)
    # Rounding of the shifted target differs, and may decide a draw: compare loosely.
    np.testing.assert_allclose(np.median(moved.predict(X) - plain.predict(X)), 1000.0, rtol=1e-3)


def test_a_rare_dummy_does_not_blow_up():
    X = np.zeros((60, 1))
    X[7] = 1.0
    scaling = Scaling.from_rows(X, np.arange(60.0))
    standard = scaling.features(np.array([[1.0]]), ["d"], str)
    assert abs(standard[0, 0]) <= 2.0


def test_coefficients_in_original_units():
    rng = np.random.default_rng(2)
    X = rng.normal(size=(30, 3)) * [1e8, 1.0, 1e-8] + [1e9, 0.0, 1.0]
    beta = np.array([2e-8, 3.0, 4e8])
    y = 7.0 + X @ beta
    scaling = Scaling.from_rows(X, y)
    columns = np.array([2, 0, 1])
    Z = scaling.features(X, ["a", "b", "c"], str)[:, columns]
    design = np.column_stack([np.ones(30), Z])
    standard = np.linalg.lstsq(design, scaling.target(y, str), rcond=None)[0]
    back = scaling.coefficients(standard, columns)
    np.testing.assert_allclose(back[1:], beta[columns], rtol=1e-6)
    np.testing.assert_allclose(back[0] + X[:, columns] @ back[1:], y, rtol=1e-6)
