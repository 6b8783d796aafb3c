"""Draws for ArviZ, 0.x or 1.x, whichever is installed: contents, units, law, matched experts."""

import json
import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
from one_island import ONE_ISLAND
from scipy import special, stats

import hsmoe
from hsmoe import HSMoERegressor, _state
from hsmoe._tuning import TUNING
from hsmoe.checkpoint import pack, unpack

arviz = None
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # 0.23 announces 1.0
    for name in ("arviz", "arviz_base"):
        try:
            arviz = __import__(name)
            break
        except ImportError:
            continue
if arviz is None:
    pytest.skip("neither arviz nor arviz_base is installed", allow_module_level=True)


OLD = arviz.__version__.startswith("0.")


@pytest.fixture(scope="module", autouse=True)
def one_size():
    """As many particles in the first rows as later."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_state, "TUNING", replace(TUNING, early_factor=1))
        yield


def small(**changes):
    defaults = {**ONE_ISLAND, "n_experts": 3, "n_particles": 16, "n_warmup": 40, "random_state": 5}
    return HSMoERegressor(**{**defaults, **changes})


def values(draws, group, name):
    return np.asarray(draws[group][name].values)


def same(a, b, group="posterior"):
    return all(np.array_equal(values(a, group, v), values(b, group, v)) for v in a[group].data_vars)


@pytest.fixture(scope="module")
def model(two_regimes):
    return small(n_islands=3).fit(*two_regimes)


# ---------------------------------------------------------------- contents


def test_kind_of_object(model):
    draws = model.to_arviz()
    if OLD:
        assert isinstance(draws, arviz.InferenceData)
        assert draws.groups() == ["posterior", "sample_stats", "constant_data"]
    else:
        assert type(draws).__name__ == "DataTree"
        assert set(draws.children) == {"posterior", "sample_stats", "constant_data"}
    for attrs in (draws.attrs, draws["posterior"].attrs):
        assert attrs["inference_library"] == "hsmoe"
        assert attrs["inference_library_version"] == hsmoe.__version__
        assert attrs["settings"] == repr(model)
        assert attrs["n_rows"] == 160
        assert attrs["log_evidence"] == model.log_evidence_


def test_names_of_dimensions(two_regimes):
    import pandas as pd

    X, y = two_regimes
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    model = small(gate_features=["c", "a"], expert_features=["b"]).fit(frame, y)
    posterior = model.to_arviz(frame[:4], y[:4])["posterior"]
    dims = {name: posterior[name].dims for name in posterior.data_vars}
    assert dims == {
        "beta": ("chain", "draw", "expert", "feature"),
        "noise_sd": ("chain", "draw", "expert"),
        "expert_weight": ("chain", "draw", "expert"),
        "phi": ("chain", "draw", "split", "gate_feature"),
        "local_scale": ("chain", "draw", "split", "shrunk_feature"),
        "tau": ("chain", "draw"),
    }
    coords = {name: posterior[name].values.tolist() for name in posterior.coords}
    assert coords["feature"] == ["intercept", "b"]
    assert coords["gate_feature"] == ["intercept", "c", "a"]
    assert coords["shrunk_feature"] == ["c", "a"]
    assert coords["split"] == ["0 | 1,2", "1 | 2"]
    assert coords["expert"] == [0, 1, 2]
    assert posterior.sizes["chain"] == 1
    assert posterior.sizes["draw"] == 16
    for name in posterior.data_vars:
        assert np.isfinite(posterior[name].values).all(), name
    np.testing.assert_allclose(posterior["expert_weight"].sum("expert"), 1.0)


def test_one_expert_has_no_gate(two_regimes):
    draws = small(n_experts=1).fit(*two_regimes).to_arviz()
    assert set(draws["posterior"].data_vars) == {"beta", "noise_sd", "expert_weight"}


def test_a_prior_without_scales_has_none(two_regimes):
    model = small(gate_prior="normal").fit(*two_regimes)
    assert {"tau", "local_scale"}.isdisjoint(model.to_arviz()["posterior"].data_vars)
    paper = small(gate_prior="horseshoe-paper").fit(*two_regimes).to_arviz()["posterior"]
    assert paper["local_scale"].values.shape[2:] == (2, paper.sizes["shrunk_feature"])


def test_rows(model, two_regimes):
    X, y = two_regimes
    draws = model.to_arviz(X[:7], y[:7])
    assert values(draws, "posterior_predictive", "y").shape == (1, 48, 7)
    proba = values(draws, "posterior_predictive", "expert_proba")
    assert proba.shape == (1, 48, 7, 3)
    np.testing.assert_allclose(proba.sum(axis=-1), 1.0)
    assert values(draws, "log_likelihood", "y").shape == (1, 48, 7)
    np.testing.assert_array_equal(values(draws, "observed_data", "y"), y[:7])
    np.testing.assert_array_equal(values(draws, "constant_data", "X"), X[:7])
    without = model.to_arviz(X[:7])
    assert "log_likelihood" not in without
    assert same(without, draws, "posterior_predictive")


def test_incomplete_rows_are_absent(two_regimes):
    X, y = two_regimes
    model = small(missing="skip").fit(X, y)
    X, y = X[:6].copy(), y[:6].copy()
    X[1, 0] = y[4] = np.nan
    draws = model.to_arviz(X, y)
    assert draws["log_likelihood"]["row"].values.tolist() == [0, 2, 3, 5]
    np.testing.assert_array_equal(values(draws, "observed_data", "y"), y[[0, 2, 3, 5]])
    assert np.isfinite(values(draws, "constant_data", "X")).all()
    assert model.to_arviz(X)["posterior_predictive"]["row"].values.tolist() == [0, 2, 3, 4, 5]


def test_warm_up(two_regimes):
    X, y = two_regimes
    model = small().partial_fit(X[:25], y[:25])
    before = model.to_bytes()
    assert model.to_arviz()["posterior"].sizes["draw"] == 16
    assert model.to_bytes() == before


def test_files(model, two_regimes, tmp_path):
    pytest.importorskip("h5netcdf")
    pytest.importorskip("h5py")
    X, y = two_regimes
    draws = model.to_arviz(X[:5], y[:5])
    path = tmp_path / "draws.nc"
    if OLD:
        draws.to_netcdf(str(path))
        back = arviz.from_netcdf(str(path))
    else:
        xarray = pytest.importorskip("xarray")
        draws.to_netcdf(path, engine="h5netcdf")
        back = xarray.open_datatree(path, engine="h5netcdf")
    for group in ("posterior", "sample_stats", "log_likelihood"):
        assert same(draws, back, group)


# ---------------------------------------------------------------- randomness


def test_the_model_stays_as_it_is_and_draws_are_reproducible(model, two_regimes):
    X, y = two_regimes
    before = model.to_bytes()
    a, b = model.to_arviz(X[:5], y[:5]), model.to_arviz(X[:5], y[:5])
    for group in ("posterior", "posterior_predictive", "sample_stats"):
        assert same(a, b, group)
    assert not same(a, model.to_arviz(X[:5], y[:5], random_state=1))
    assert model.to_bytes() == before
    twin = HSMoERegressor.from_bytes(before).set_params(n_jobs=3)
    assert same(a, twin.to_arviz(X[:5], y[:5]))


def test_chains(model):
    weight = values(model.to_arviz(), "constant_data", "island_weight")
    assert weight.shape == (3,)
    assert weight.sum() == pytest.approx(1.0)
    pooled = model.to_arviz(n_draws=3000)
    island = values(pooled, "sample_stats", "island")
    assert island.shape == (1, 3000)
    # Systematic resampling: the islands' numbers of draws are right to within one.
    assert (np.abs(np.bincount(island[0], minlength=3) - 3000 * weight) < 1 + 1e-9).all()
    by_island = model.to_arviz(by_island=True, n_draws=20)
    assert values(by_island, "posterior", "beta").shape == (3, 20, 3, 4)
    island = values(by_island, "sample_stats", "island")
    np.testing.assert_array_equal(island, np.repeat([[0], [1], [2]], 20, axis=1))
    assert by_island["posterior"].attrs["settings"] == repr(model)
    np.testing.assert_array_equal(values(by_island, "constant_data", "island_weight"), weight)


def test_an_island_of_no_share_is_still_a_chain(model):
    metadata, arrays = unpack(model.to_bytes())
    arrays["engine/log_share"] = np.array([0.0, -5000.0, -9000.0])
    lost = HSMoERegressor.from_bytes(pack(metadata, arrays))
    draws = lost.to_arviz(by_island=True)
    assert np.isfinite(values(draws, "posterior", "beta")).all()
    assert values(draws, "constant_data", "island_weight").tolist() == [1.0, 0.0, 0.0]
    assert not values(lost.to_arviz(), "sample_stats", "island").any()


# ---------------------------------------------------------------- law and units


def test_draws_have_the_conjugate_posterior(two_regimes):
    """One particle, one expert: beta is Student t, 1 / s2 is gamma (KS: false alarm 1e-4 each)."""
    X, y = two_regimes
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    expert = hsmoe.GaussianExpert(b0_shape=0.0, coefficient_shape=0.0)
    model = HSMoERegressor(1, 1, 1, expert=expert, standardize=False, random_state=0).fit(X, y)
    posterior = model.to_arviz(n_draws=5000)["posterior"]
    D = np.c_[np.ones(len(y)), X]
    P = D.T @ D + np.eye(4) / 10.0
    m = np.linalg.solve(P, D.T @ y)
    a, b = 2.0 + len(y) / 2, 0.1 + 0.5 * (y @ y - m @ P @ m)
    precision = posterior["noise_sd"].values.ravel() ** -2.0
    assert stats.kstest(precision, stats.gamma(a, scale=1 / b).cdf).pvalue > 1e-4
    scale = np.sqrt(b / a * np.diag(np.linalg.inv(P)))
    beta = posterior["beta"].values[0, :, 0]
    for j in range(4):
        assert stats.kstest(beta[:, j], stats.t(2 * a, m[j], scale[j]).cdf).pvalue > 1e-4
    correlation = np.corrcoef(beta.T)
    exact = np.linalg.inv(P) / np.sqrt(np.outer(*2 * [np.diag(np.linalg.inv(P))]))
    np.testing.assert_allclose(correlation, exact, atol=0.06)


def test_draws_agree_with_the_forecasts(two_regimes):
    """In the units of the data: averages over draws are the model's mean, routing and density."""
    X, y = two_regimes
    model = small(n_islands=2, n_particles=40).fit(X, y)
    rows, n = slice(0, 160, 20), 20_000
    draws = model.to_arviz(X[rows], y[rows], n_draws=n, match=False)
    mean, std = model.predict(X[rows], return_std=True)
    replicated = values(draws, "posterior_predictive", "y")[0]
    assert (np.abs(replicated.mean(axis=0) - mean) < 5 * std / np.sqrt(n)).all()
    cdf = (replicated <= y[rows]).mean(axis=0)
    np.testing.assert_allclose(cdf, model.predict_cdf(X[rows], y[rows]), atol=0.02)
    likelihood = values(draws, "log_likelihood", "y")[0]
    density = np.log(np.exp(likelihood).mean(axis=0))
    np.testing.assert_allclose(density, model.log_density(X[rows], y[rows]), atol=0.1)
    proba = values(draws, "posterior_predictive", "expert_proba")[0].mean(axis=0)
    np.testing.assert_allclose(proba, model.predict_expert_proba(X[rows]), atol=1e-3)
    # The likelihood is that of the drawn parameters.
    posterior = draws["posterior"]
    location = np.einsum("mkj,ij->mik", posterior["beta"].values[0], np.c_[np.ones(8), X[rows]])
    sd = posterior["noise_sd"].values[0][:, None, :]
    f = stats.norm.pdf(y[rows][:, None], location, sd)
    g = values(draws, "posterior_predictive", "expert_proba")[0]
    np.testing.assert_allclose(np.log((f * g).sum(axis=2)), likelihood, rtol=1e-6, atol=1e-6)


# ---------------------------------------------------------------- matched experts


def exchanged(model, which):
    """Return the model with the two experts' numbers exchanged in some particles.

    With a comb of two experts that is to exchange their statistics, and to turn the sign of the
    split: the same mixture.
    """
    metadata, arrays = unpack(model.to_bytes())
    particles = arrays["engine/particles"].copy()
    d = p = 2
    stride = d * (d + 1) // 2 + d + 5
    first = 2 * stride + p * (p + 1) // 2  # h, then phi
    for island, i in which:
        one = particles[island, i]
        one[: 2 * stride] = np.roll(one[: 2 * stride], stride)
        one[first : first + 2 * p] *= -1
    arrays["engine/particles"] = particles
    return HSMoERegressor.from_bytes(pack(metadata, arrays))


@pytest.fixture(scope="module")
def two_lines():
    rng = np.random.default_rng(3)
    X = rng.uniform(-2, 2, size=(300, 1))
    y = np.where(X[:, 0] > 0, 5 + 3 * X[:, 0], -X[:, 0]) + 0.1 * rng.normal(size=300)
    return X, y


def test_known_permutations_are_undone(two_lines):
    X, y = two_lines
    plain = HSMoERegressor(2, 30, n_islands=2, retain=None, random_state=3).fit(X, y)
    some = [(r, i) for r in range(2) for i in range(30) if (i + r) % 3 == 0]
    mixed = exchanged(plain, some)
    # Forecasts know no numbers.
    np.testing.assert_allclose(mixed.predict(X), plain.predict(X), rtol=1e-12)
    np.testing.assert_allclose(mixed.log_density(X, y), plain.log_density(X, y), rtol=1e-9)
    # Probabilities by number do.  The numbers of `plain` differ between particles too (relocations
    # exchange experts), so that the exchange of a third moves them by less than a third.
    assert np.abs(mixed.predict_expert_proba(X) - plain.predict_expert_proba(X)).max() > 0.05

    def columns(model, **options):
        draws = model.to_arviz(X[:20], **options)
        beta, weight = (values(draws, "posterior", v)[0] for v in ("beta", "expert_weight"))
        return draws, beta, weight, values(draws, "posterior_predictive", "expert_proba")[0]

    draws, beta, weight, proba = columns(mixed)
    plain_draws, expected, _, _ = columns(plain)
    assert beta.std(axis=0).max() < 0.1
    np.testing.assert_allclose(
        np.sort(beta.mean(axis=0), axis=0), np.sort(expected.mean(axis=0), axis=0), atol=0.03
    )
    assert weight.std(axis=0).max() < 0.05
    assert proba.std(axis=0).max() < 0.25
    # Of the draws that must be relabelled, those of exchanged particles need the other order.
    island, particle = (values(draws, "sample_stats", v)[0] for v in ("island", "particle"))
    turned = values(draws, "sample_stats", "relabelled") != values(
        plain_draws, "sample_stats", "relabelled"
    )
    swapped = (particle + island) % 3 == 0
    assert len(set(turned[0][swapped])) == len(set(turned[0][~swapped])) == 1
    assert turned[0][swapped][0] != turned[0][~swapped][0]
    _, unmatched, _, _ = columns(mixed, match=False)
    assert unmatched.std(axis=0).max() > 1.0


def test_splits_about_one_expert_are_relabelled_with_it(two_lines):
    X, y = two_lines
    model = small(gate=("softmax", [2, 0, 1]), n_islands=4, standardize=False).fit(X, y)
    draws = model.to_arviz(X[:20])
    assert values(draws, "sample_stats", "relabelled").any()
    phi = values(draws, "posterior", "phi")
    assert list(draws["posterior"]["split"].values) == [
        f"softmax {k} of 2 | 0 | 1" for k in (2, 0, 1)
    ]
    log_weight = np.einsum("cdsj,nj->cdns", phi, np.c_[np.ones(20), X[:20]])
    proba = np.exp(log_weight - log_weight.max(axis=-1, keepdims=True))
    proba /= proba.sum(axis=-1, keepdims=True)
    expected = values(draws, "posterior_predictive", "expert_proba")[..., [2, 0, 1]]
    np.testing.assert_allclose(proba, expected, atol=1e-10)


def test_numbers_are_those_of_the_heaviest_particle(two_lines):
    X, y = two_lines
    plain = HSMoERegressor(2, 30, 1, retain=None, random_state=0).fit(X, y)
    everything = [(0, i) for i in range(30)]
    a, b = (m.to_arviz()["posterior"]["beta"] for m in (plain, exchanged(plain, everything)))
    np.testing.assert_allclose(a.values.mean((0, 1)), b.values.mean((0, 1))[::-1], atol=0.05)


def test_rows_to_match_on(two_lines):
    X, y = two_lines
    model = HSMoERegressor(2, 30, 1, retain=0, random_state=0).fit(X, y)
    with pytest.raises(ValueError, match="no rows to match the experts on"):
        model.to_arviz()
    with pytest.raises(ValueError, match="no rows to match the experts on"):
        model.to_arviz(X[:5])
    assert values(model.to_arviz(X[:50], y[:50]), "posterior", "beta").shape == (1, 30, 2, 2)
    assert not values(model.to_arviz(match=False), "sample_stats", "relabelled").any()


# ---------------------------------------------------------------- errors


def test_arguments_that_cannot_be_used(model, two_regimes):
    X, y = two_regimes
    with pytest.raises(ValueError, match="y was given without X"):
        model.to_arviz(y=y)
    with pytest.raises(ValueError, match="n_draws is 0"):
        model.to_arviz(n_draws=0)
    with pytest.raises(ValueError, match="random_state is -1"):
        model.to_arviz(random_state=-1)
    with pytest.raises(ValueError, match="X has"):
        model.to_arviz(X[:, :2])
    with pytest.raises(hsmoe.NotFittedError):
        small().to_arviz()


@pytest.mark.parametrize("absent", [["scipy"], ["arviz", "arviz_base"]], ids=str)
def test_without_the_extra(absent):
    code = (
        "import json, sys\n"
        "from importlib.abc import MetaPathFinder\n"
        "absent = json.loads(sys.argv[1])\n"
        "class Absent(MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name.split('.')[0] in absent:\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "import hsmoe\n"
        "model = hsmoe.HSMoERegressor(2, 4, 1).fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 0.0])\n"
        "try:\n"
        "    model.to_arviz()\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, json.dumps(absent)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert 'pip install "hsmoe[arviz]"' in done.stdout


@pytest.mark.parametrize("n_classes", [2, 3])
def test_draws_of_a_classifier(two_regimes, n_classes):
    X, y = two_regimes
    number = np.digitize(y, np.quantile(y, [0.4, 0.75][: n_classes - 1]))
    labels = np.array(["low", "middle", "top"])[number]
    settings = {**ONE_ISLAND, "n_particles": 40, "n_islands": 2, "n_warmup": 40, "random_state": 5}
    model = hsmoe.HSMoEClassifier(2, **settings).fit(X, labels)
    rows, n = slice(0, 160, 20), 20_000
    draws = model.to_arviz(X[rows], labels[rows], n_draws=n)
    posterior = draws["posterior"]
    assert posterior["beta"].dims == ("chain", "draw", "expert", "class", "feature")
    assert list(posterior.attrs["classes"]) == model.classes_.tolist()
    assert posterior["class"].values.tolist() == model.classes_[1:].tolist()
    assert {"noise_sd", "df", "dispersion"}.isdisjoint(posterior.data_vars)
    proba = model.predict_proba(X[rows])
    replicated = values(draws, "posterior_predictive", "y")[0]
    share = np.stack([(replicated == c).mean(axis=0) for c in range(n_classes)], axis=1)
    # Systematic resampling aside, binomial errors: 24 numbers, false alarm 2e-4.
    assert (np.abs(share - proba) < 4.5 * np.sqrt(proba * (1 - proba) / n) + 2e-3).all()
    assert values(draws, "observed_data", "y").tolist() == number[rows].tolist()
    # The likelihood is that of the drawn parameters: a comb over classes, the last one first.
    design = np.c_[np.ones(8), X[rows]]
    success = special.expit(np.einsum("mkcj,ij->mikc", posterior["beta"].values[0], design))
    routing = values(draws, "posterior_predictive", "expert_proba")[0]
    left, by_class = np.ones_like(routing), []
    for c in range(n_classes - 1, 0, -1):
        by_class.insert(0, left * success[..., c - 1])
        left = left * (1 - success[..., c - 1])
    by_class.insert(0, left)
    expected = np.stack([(routing * p).sum(axis=2) for p in by_class], axis=2)
    chosen = np.take_along_axis(expected, number[rows][None, :, None], axis=2)[..., 0]
    np.testing.assert_allclose(
        np.exp(values(draws, "log_likelihood", "y")[0]), chosen, rtol=1e-9, atol=1e-12
    )
