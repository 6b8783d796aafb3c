"""Diagnostics of a run: the scan log, what a forecast says of resampling and routing, PIT."""

import numpy as np
import pytest
from one_island import ONE_ISLAND
from scipy import stats

import hsmoe
from hsmoe import HSMoERegressor, plotting
from hsmoe._pit import binomial_interval
from hsmoe.checkpoint import pack, unpack


def small(**changes):
    defaults = {**ONE_ISLAND, "n_experts": 3, "n_particles": 16, "n_warmup": 40, "random_state": 5}
    return HSMoERegressor(**{**defaults, **changes})


# ---------------------------------------------------------------- scan log


def test_every_resampling_is_followed_by_a_scan(two_regimes):
    model = small(n_islands=2, retain=25).fit(*two_regimes)
    log, resampling = model.scan_log_, model.resampling_log_
    assert set(log) == {"row", "island", "n_scans", "n_rows", "forced"}
    assert log["forced"].dtype == bool
    after = ~log["forced"]
    for name in ("row", "island"):
        np.testing.assert_array_equal(log[name][after], resampling[name])
    assert (log["n_scans"] >= 1).all()
    assert (log["n_rows"] % log["n_scans"] == 0).all()
    assert (log["n_rows"] // log["n_scans"] <= 100).all()
    assert (np.diff(log["row"]) >= 0).all()


def test_scans_that_are_due(two_regimes):
    """Without resampling, a scan each time that as many rows again as are retained have come."""
    log = small(retain=30, ess_threshold=0.0).fit(*two_regimes).scan_log_
    assert log["forced"].all()
    np.testing.assert_array_equal(np.diff(log["row"]), 30)
    np.testing.assert_array_equal(log["n_rows"][1:], 60)


def test_plain_particle_learning_never_scans(two_regimes):
    model = small(retain=0).fit(*two_regimes)
    assert len(model.resampling_log_["row"])
    assert all(len(column) == 0 for column in model.scan_log_.values())


def test_the_log_is_kept(two_regimes):
    model = small(retain=20).fit(*two_regimes)
    log = model.scan_log_
    assert log["forced"].any()
    back = HSMoERegressor.from_bytes(model.to_bytes())
    for name, column in log.items():
        np.testing.assert_array_equal(back.scan_log_[name], column)


def test_a_log_keeps_the_last_of_a_long_stream():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(5_300, 1))
    y = np.abs(X[:, 0]) + 0.3 * rng.normal(size=len(X))

    def model():
        return HSMoERegressor(2, 4, 1, retain=0, ess_threshold=1, random_state=3)

    whole = model().partial_fit(X, y)
    log = whole.resampling_log_
    assert len(log["row"]) == 5_000 and log["row"][-1] == 5_299
    assert "resampled 5,300 times" in whole.summary()
    parts = model()
    for rows in np.split(np.arange(len(X)), [2_000, 5_090, 5_091, 5_200]):
        parts.partial_fit(X[rows], y[rows])
    assert parts.to_bytes() == whole.to_bytes()
    back = HSMoERegressor.from_bytes(whole.to_bytes()).partial_fit(X[:5], y[:5])
    assert back.to_bytes() == whole.partial_fit(X[:5], y[:5]).to_bytes()
    assert back.resampling_log_["row"][-1] == 5_304

    metadata, arrays = unpack(whole.to_bytes())
    for fault in ({"resampling_dropped": np.array([-1])}, {"scan_dropped": np.array([1])}):
        damaged = arrays | {f"engine/{name}": value for name, value in fault.items()}
        with pytest.raises(hsmoe.CheckpointError, match="are not the last of their number"):
            HSMoERegressor.from_bytes(pack(metadata, damaged))


def test_a_log_that_cannot_be(two_regimes):
    metadata, arrays = unpack(small().fit(*two_regimes).to_bytes())
    for name, wrong in {
        "scan_row": 160,
        "scan_island": 1,
        "scan_n_scans": 0,
        "scan_n_rows": -1,
        "resampling_row": -1,
        "resampling_unique": 113,  # seven times 16 at first
    }.items():
        changed = dict(arrays)
        column = arrays[f"engine/{name}"].copy()
        column[-1] = wrong
        changed[f"engine/{name}"] = column
        with pytest.raises(hsmoe.CheckpointError, match="cannot have happened"):
            HSMoERegressor.from_bytes(pack(metadata, changed))


# ---------------------------------------------------------------- forecasts


def test_forecasts_tell_the_routing_before_the_row(two_regimes):
    X, y = two_regimes
    forecast = small(n_islands=2).prequential(X, y)
    assert forecast.expert_weight.shape == (160, 3)
    assert np.isnan(forecast.expert_weight[:40]).all()
    np.testing.assert_allclose(forecast.expert_weight[40:].sum(axis=1), 1.0)
    for n in (40, 101):
        before = small(n_islands=2).partial_fit(X[:n], y[:n])
        proba = before.predict_expert_proba(X[n : n + 1])[0]
        np.testing.assert_allclose(forecast.expert_weight[n], proba, rtol=1e-9)


def test_forecasts_tell_who_resampled(two_regimes):
    X, y = two_regimes
    model = small(n_islands=3)
    forecast = model.prequential(X, y)
    assert np.isnan(forecast.resampled[:40]).all()
    counts = np.bincount(model.resampling_log_["row"], minlength=160)
    np.testing.assert_array_equal(forecast.resampled[40:], counts[40:])
    assert forecast.resampled[40:].max() <= 3


def test_forecasts_in_the_warm_up_and_of_skipped_rows(two_regimes):
    X, y = two_regimes
    model = small(missing="skip")
    first = model.prequential(X[:10], y[:10])
    assert first.expert_weight.shape == (10, 3)
    assert np.isnan(first.expert_weight).all()
    X = X[10:80].copy()
    X[50, 1] = np.nan
    rest = model.prequential(X, y[10:80])
    assert np.isnan(rest.expert_weight[50]).all()
    assert np.isnan(rest.resampled[50])
    whole = hsmoe.Forecast.concatenate([first, rest])
    assert whole.expert_weight.shape == (80, 3)
    frame = whole.to_pandas()
    np.testing.assert_array_equal(frame["expert_weight_2"], whole.expert_weight[:, 2])
    assert "expert_weight" not in frame


# ---------------------------------------------------------------- PIT


def test_pit_is_the_cdf(two_regimes):
    forecast = small().prequential(*two_regimes)
    assert forecast.pit is forecast.cdf
    histogram = forecast.pit_histogram(bins=8)
    assert histogram.n == 120
    np.testing.assert_array_equal(histogram.edges, np.linspace(0, 1, 9))
    np.testing.assert_array_equal(histogram.counts, np.histogram(forecast.cdf[40:], 8, (0, 1))[0])
    low, high = histogram.band
    assert histogram.outside == ((histogram.counts < low) | (histogram.counts > high)).sum()
    assert "of 8 bins" in repr(histogram)
    with pytest.raises(ValueError, match="bins is 0"):
        forecast.pit_histogram(0)
    with pytest.raises(ValueError, match="coverage is 1"):
        forecast.pit_histogram(coverage=1.0)


@pytest.mark.parametrize("n", [1, 7, 120, 327_346])
@pytest.mark.parametrize("probability", [0.5, 0.05, 1e-3])
@pytest.mark.parametrize("coverage", [0.5, 0.95, 0.999])
def test_binomial_interval(n, probability, coverage):
    exact = stats.binom(n, probability).interval(coverage)
    assert binomial_interval(n, probability, coverage) == exact


def test_binomial_interval_of_nothing():
    assert binomial_interval(0, 0.1, 0.9) == (0, 0)
    assert binomial_interval(9, 1.0, 0.9) == (9, 9)


def test_a_right_model_stays_in_the_band():
    """Uniform transforms: 1,000 bins of 95% bands; 20 standard errors would be 138 of them."""
    rng = np.random.default_rng(8)
    outside = sum(hsmoe.PitHistogram.of(rng.random(1000), 20, 0.95).outside for _ in range(50))
    assert 20 < outside < 80


# ---------------------------------------------------------------- pictures


@pytest.fixture(scope="module")
def run(two_regimes):
    model = small(n_islands=3, retain=40)
    return model, model.prequential(*two_regimes)


def test_plot_ess(run, tmp_path):
    _, forecast = run
    ax = plotting.plot_ess(forecast.ess, forecast.resampled, n_particles=48, ess_threshold=0.5)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == [
        f"resampled ({int((forecast.resampled > 0).sum())} rows)",
        "threshold (0.5 of the particles)",
    ]
    assert plotting.plot_ess(forecast.ess, ax=ax) is ax
    assert plotting.plot_ess(np.full(5, np.nan)).get_legend() is None
    long = plotting.plot_ess(np.arange(5000.0) % 7)
    assert len(long.lines[0].get_xdata()) == 1000
    plotting.save_figure(ax.figure, tmp_path / "ess.png")
    assert (tmp_path / "ess.png").stat().st_size > 10_000


def test_plot_pit(run, tmp_path):
    _, forecast = run
    ax = plotting.plot_pit(forecast.pit, bins=10)
    heights = [bar.get_height() for bar in ax.patches[:10]]
    assert np.mean(heights) == pytest.approx(1.0)
    assert plotting.plot_pit(np.full(3, np.nan), ax=ax) is ax
    plotting.save_figure(ax.figure, tmp_path / "pit.png")


def test_plots_say_which_part_of_a_forecast_they_take(run):
    _, forecast = run
    for draw, name in (
        (plotting.plot_ess, "ess"),
        (plotting.plot_pit, "pit"),
        (plotting.plot_expert_weight, "expert_weight"),
        (plotting.plot_evidence, "log_evidence"),
    ):
        with pytest.raises(ValueError, match=rf"{name} is the whole Forecast; pass .*\.{name}"):
            draw(forecast)
    with pytest.raises(ValueError, match=r"pit has shape \(2, 2\); it must have one number a row"):
        plotting.plot_pit(np.full((2, 2), 0.5))
    with pytest.raises(ValueError, match=r"quantiles has shape \(3, 2\); it must be \(3, 5\)"):
        plotting.plot_predictive_band(np.zeros(3), np.zeros((3, 2)))


def test_plot_expert_weight(run, tmp_path):
    _, forecast = run
    for window in (None, 1, 7, 1000):
        ax = plotting.plot_expert_weight(forecast.expert_weight, window=window)
        assert len(ax.collections) == 3
    plotting.save_figure(ax.figure, tmp_path / "weight.png")
    with pytest.raises(ValueError, match="two dimensions"):
        plotting.plot_expert_weight(forecast.ess)
    with pytest.raises(ValueError, match="window is 0"):
        plotting.plot_expert_weight(forecast.expert_weight, window=0)
    assert len(plotting.plot_expert_weight(np.full((200, 9), 1 / 9)).collections) == 9


def test_plot_resampling(run, two_regimes, tmp_path):
    model, _ = run
    figure = plotting.plot_resampling(model)
    above, below = figure.axes
    drawn = sum(len(points.get_offsets()) for points in above.collections)
    assert drawn == len(model.resampling_log_["row"])
    assert sum(len(p.get_offsets()) for p in below.collections) == len(model.scan_log_["row"])
    plotting.save_figure(figure, tmp_path / "log.png")
    plotting.plot_resampling(small(n_particles=1, retain=0).fit(*two_regimes))


def test_memory_is_that_of_the_packed_state():
    """At most 1.2 times the statistics of experts and nodes, without retained rows."""
    n_particles, n_experts, d = 1000, 4, 6
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, d - 1))
    model = hsmoe.HSMoERegressor(
        n_experts, n_particles, 1, retain=0, standardize=False, random_state=0
    ).fit(X, X[:, 0])
    expert = d * (d + 1) / 2 + d + 2
    node = d * (d + 1) / 2 + 4 * d
    packed = 8 * n_particles * (n_experts * expert + (n_experts - 1) * node)
    assert packed < model.nbytes < 1.2 * packed
