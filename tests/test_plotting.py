"""Pictures are drawn, on given axes or new ones."""

import numpy as np
import pytest
from one_island import ONE_ISLAND

from hsmoe import HSMoERegressor, plotting


@pytest.fixture(scope="module")
def model(two_regimes):
    return HSMoERegressor(**ONE_ISLAND, n_experts=3, n_particles=8, random_state=0).fit(
        *two_regimes
    )


def test_parts_draw_on_new_and_given_axes(model, two_regimes, tmp_path):
    X, y = two_regimes
    quantiles = model.predict_quantiles(X[:30], plotting.BAND_PROBS)
    figure, axes = plotting.demo_layout()
    for ax in (None, axes[0]):
        drawn = plotting.plot_predictive_band(y[:30], quantiles, ax=ax)
        assert ax is None or drawn is ax
        assert drawn.get_legend() is not None
    drawn = plotting.plot_routing(model, X.mean(axis=0), 0, np.linspace(-1, 1, 20), ax=axes[1])
    assert len(drawn.lines) == 3
    assert drawn.get_xlabel() == "x0"
    path = np.r_[np.full(10, np.nan), np.arange(20.0)]
    assert plotting.plot_evidence(path, ax=axes[2]) is axes[2]
    plotting.save_figure(figure, tmp_path / "parts.png")
    assert (tmp_path / "parts.png").stat().st_size > 10_000


@pytest.mark.parametrize("n_experts", [1, 3])
def test_model(n_experts, two_regimes, tmp_path):
    model = HSMoERegressor(**ONE_ISLAND, n_experts=n_experts, n_particles=8, random_state=0).fit(
        *two_regimes
    )
    plotting.save_figure(plotting.plot_model(model), tmp_path / "model.pdf")
    assert (tmp_path / "model.pdf").read_bytes().startswith(b"%PDF")
