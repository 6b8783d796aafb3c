"""Merging: by hand, against the algorithm step by step, invariances, orders of approximation."""

import itertools

import numpy as np
import pytest
from one_island import ONE_ISLAND

import hsmoe
from hsmoe import HSMoERegressor, SoftmaxMixture, merge_experts
from hsmoe._merged_experts import RoutedAtom
from hsmoe.merging import (
    SoftmaxAtom,
    agglomerate,
    dendrogram,
    merge_truncate_merge,
    reduced_mixture,
    selection_criterion,
)

# ---------------------------------------------------------------- merge-truncate-merge


def test_by_hand():
    """(c omega)^r = 0.0625: atom 3 within omega of 0; 2 too light; 4 too near 1 for its weight."""
    weights = [0.40, 0.25, 0.05, 0.10, 0.20]
    atoms = [[0.0], [5.0], [9.0], [0.2], [5.5]]
    merged = merge_truncate_merge(weights, atoms, 0.25, c=1.0, r=2.0)
    # 0 and 3 are one; whichever was drawn first stands for both.
    assert merged.kept[0] in (0, 3) and merged.kept[1] == 1
    np.testing.assert_allclose(merged.weights, [0.5, 0.5])
    np.testing.assert_array_equal(merged.label, [0, 1, 1, 0, 1])
    # With a smaller constant the light atom and the near one stay: 0.2 * 0.25 > 0.0156.
    apart = merge_truncate_merge(weights, atoms, 0.25, c=0.5, r=2.0)
    np.testing.assert_allclose(apart.weights, [0.5, 0.25, 0.2, 0.05])
    np.testing.assert_array_equal(apart.kept[1:], [1, 4, 2])


def test_two_steps_of_merging():
    """Two atoms that merge and together are still too light both go to the nearest that stays."""
    merged = merge_truncate_merge(
        [0.5, 0.44, 0.03, 0.03], [[100.0], [4.0], [5.0], [5.1]], 0.25, c=1.0, r=2.0
    )
    np.testing.assert_array_equal(merged.kept, [0, 1])
    np.testing.assert_array_equal(merged.label, [0, 1, 1, 1])
    np.testing.assert_allclose(merged.weights, [0.5, 0.5])


def test_the_heavier_atom_is_more_often_kept():
    """Drawn by weight without replacement: P(0 before 1) = 0.8 (binomial, false alarm 1e-4)."""
    rng = np.random.default_rng(0)
    first = [
        merge_truncate_merge([0.8, 0.2], [[0.0], [0.1]], 1.0, random_state=rng).kept[0]
        for _ in range(4000)
    ]
    assert np.mean(np.array(first) == 0) == pytest.approx(0.8, abs=4 * np.sqrt(0.16 / 4000))


@pytest.mark.parametrize("seed", range(20))
def test_properties(seed):
    rng = np.random.default_rng(seed)
    k, omega, c = int(rng.integers(1, 9)), float(rng.uniform(0.1, 1)), float(rng.uniform(0.3, 1))
    p, theta = rng.dirichlet(np.ones(k)), rng.normal(size=(k, 2))
    merged = merge_truncate_merge(p, theta, omega, c=c, random_state=seed)
    assert merged.weights.sum() == pytest.approx(1.0)
    assert (np.diff(merged.weights) <= 0).all()
    np.testing.assert_array_equal(merged.label[merged.kept], np.arange(len(merged.kept)))
    np.testing.assert_allclose(np.bincount(merged.label, weights=p), merged.weights)
    for i, j in itertools.combinations(merged.kept, 2):
        assert np.linalg.norm(theta[i] - theta[j]) > omega
    # Distances alone matter.
    turn, _ = np.linalg.qr(rng.normal(size=(2, 2)))
    other = merge_truncate_merge(p, theta @ turn + 5, omega, c=c, random_state=seed)
    np.testing.assert_array_equal(other.label, merged.label)


def test_one_atom_is_left_however_large_omega_is():
    assert merge_truncate_merge([0.5, 0.5], [[0.0], [1.0]], 50.0).weights.tolist() == [1.0]
    assert merge_truncate_merge([0.4, 0.6], [[0.0], [60.0]], 50.0).weights.tolist() == [1.0]


def test_count_is_right_for_a_measure_that_contracts():
    """Atoms blurred and light ones added at the rate omega_n: the true three, for n large."""
    rng = np.random.default_rng(2)
    truth = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]])
    for n in (10**3, 10**5):
        omega = (np.log(n) / n) ** 0.25
        found = []
        for _ in range(50):
            own = rng.integers(0, 3, size=6)
            own[:3] = np.arange(3)
            theta = truth[own] + 0.3 * omega * rng.normal(size=(6, 2)) / np.sqrt(2)
            p = rng.dirichlet(np.full(6, 5.0)) * (1 - 0.2 * omega**2)
            stray = 3 * rng.normal(size=(1, 2))
            merged = merge_truncate_merge(
                np.r_[p, 0.2 * omega**2], np.r_[theta, stray], omega, c=0.7, random_state=rng
            )
            found.append(len(merged.kept))
        assert np.mean(np.array(found) == 3) > 0.9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.5, 0.4], [[0], [1]], 0.1), r"weights is \[0.5, 0.4\]"),
        (([0.5, 0.5], [[0]], 0.1), r"weights has shape \(2,\) and atoms \(1, 1\)"),
        (([1.0], [[0]], 0.0), "omega is 0.0"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(ValueError, match=message):
        merge_truncate_merge(*arguments)


# ---------------------------------------------------------------- dendrogram of softmax atoms


def mixture(seed, n_experts=5, d=2):
    rng = np.random.default_rng(seed)
    return SoftmaxMixture(
        rng.normal(size=(n_experts, 1 + d)),
        rng.uniform(0.5, 2, size=n_experts),
        rng.normal(size=n_experts),
        rng.normal(size=(n_experts, d)),
    )


def test_dissimilarity_by_hand():
    one = SoftmaxAtom(0.2, np.array([1.0, 0.0]), 2.0, np.array([0.0, 3.0]), 1.0)
    other = SoftmaxAtom(0.6, np.array([1.0, 2.0]), 1.0, np.array([3.0, 3.0]), 5.0)
    # (1/0.2 + 1/0.6)^-1 = 0.15; |(0, 2, 1)|^2 = 5; |(3, 0, 4)| = 5
    assert one.dissimilarity(other) == pytest.approx(0.15 * 10)
    assert other.dissimilarity(one) == one.dissimilarity(other)


def moments(atoms, x):
    """Mean and variance of y under the atoms' own mixture at x."""
    w = np.array([a.weight * np.exp(a.slopes @ x) for a in atoms])
    w /= w.sum()
    mean = np.array([a.intercept + a.coefficients @ x for a in atoms])
    centre = w @ mean
    return centre, w @ np.array([a.variance for a in atoms]) + w @ (mean - centre) ** 2


def test_a_merged_atom_has_the_moments_of_both_to_third_order():
    """Slopes and intercepts e apart, coefficients and variances e^2, as the rates have it."""
    rng = np.random.default_rng(3)
    base, step = rng.normal(size=6), rng.normal(size=6)
    X = rng.normal(size=(10, 2))
    errors = []
    for e in (0.02, 0.01):
        v = base + np.outer([1, -0.5], step) * np.array([e, e, e, e**2, e**2, e**2])
        atoms = [
            SoftmaxAtom(w, u[:2], float(u[2]), u[3:5], 2.0 + float(u[5] - base[5]))
            for w, u in zip([0.3, 0.6], v, strict=True)
        ]
        one = atoms[0].merged(atoms[1])
        assert one.weight == pytest.approx(0.9)
        gaps = [np.subtract(moments(atoms, x), moments([one], x)) for x in X]
        errors.append(np.abs(gaps).max(axis=0))
    assert (np.log2(errors[0] / errors[1]) > 2.8).all()
    # At second order, as without the terms in p q, that would be 2.


@pytest.mark.parametrize("seed", range(4))
def test_dendrogram_is_blind_to_labels_and_shifts(seed):
    m = mixture(seed)
    order = np.random.default_rng(seed).permutation(5)
    other = SoftmaxMixture(
        m.coefficients[order],
        m.variance[order],
        m.gate_intercept[order] + 4.0,
        m.gate_slopes[order] - 3.0,
    )
    a, b = dendrogram(m), dendrogram(other)
    np.testing.assert_allclose(a.heights, b.heights)
    for k in range(1, 6):
        mine = {frozenset(group) for group in a.groups(k)}
        theirs = {frozenset(order[list(group)].tolist()) for group in b.groups(k)}
        assert mine == theirs
        assert sum(atom.weight for atom in a.atoms(k)) == pytest.approx(1.0)


def test_each_merge_is_the_least_of_its_level():
    tree = dendrogram(mixture(11, 6))
    for k in range(2, 7):
        atoms = tree.atoms(k)
        least = min(a.dissimilarity(b) for a, b in itertools.combinations(atoms, 2))
        assert tree.heights[k - 2] == least
        assert sorted(i for group in tree.groups(k) for i in group) == list(range(6))
    with pytest.raises(ValueError, match="n_experts is 7; it must lie between 1 and 6"):
        tree.groups(7)


def test_linkage_is_scipys():
    from scipy.cluster import hierarchy

    tree = dendrogram(mixture(11, 6))
    # Heights may fall, which SciPy's drawing refuses; its reading of the tree does not mind.
    assert hierarchy.is_valid_linkage(tree.linkage)
    leaves = hierarchy.leaves_list(tree.linkage)
    assert sorted(leaves) == list(range(6))


def test_duplicates_merge_without_loss():
    """An atom split in two, at any ratio, merges first, at height 0, into what it was."""
    m = mixture(5, 3)
    w = np.exp(m.gate_intercept[1])
    split = SoftmaxMixture(
        m.coefficients[[0, 1, 1, 2]],
        m.variance[[0, 1, 1, 2]],
        np.r_[m.gate_intercept[0], np.log([0.3 * w, 0.7 * w]), m.gate_intercept[2]],
        m.gate_slopes[[0, 1, 1, 2]],
    )
    tree = dendrogram(split)
    assert tree.groups(3) == [(0,), (1, 2), (3,)]
    assert tree.heights[-1] == pytest.approx(0, abs=1e-15)
    np.testing.assert_allclose(tree.heights[:-1], dendrogram(m).heights)
    assert hsmoe.voronoi_loss(reduced_mixture(tree, 3), m) == pytest.approx(0, abs=1e-10)


def test_selection_criterion():
    np.testing.assert_allclose(
        selection_criterion([3.0, 0.1], [-2.0, -1.5], 100),
        [-(3 - 2 * np.log(100)), -(0.1 - 1.5 * np.log(100))],
    )
    with pytest.raises(ValueError, match="they must be the same"):
        selection_criterion([1.0], [1.0, 2.0], 100)


# ---------------------------------------------------------------- experts with their routing


def routed(seed, n_experts=4, n=60, d=3):
    rng = np.random.default_rng(seed)
    design = np.c_[np.ones(n), rng.normal(size=(n, d - 1))]
    gate = rng.dirichlet(np.ones(n_experts), size=n)
    return [
        RoutedAtom(gate[:, k], rng.normal(size=d), float(rng.uniform(0.5, 2)), design)
        for k in range(n_experts)
    ]


def test_merging_is_a_projection():
    """The merged expert is the best linear one: no other has a larger expected log density."""
    one, other = routed(0)[:2]
    both = one.merged(other)

    def expected(beta, s2):
        total = 0.0
        for a in (one, other):
            square = a.variance + (a.design @ (a.beta - beta)) ** 2
            total += (a.routing * (-0.5 * np.log(s2) - 0.5 * square / s2)).mean()
        return total

    best = expected(both.beta, both.variance)
    rng = np.random.default_rng(1)
    for _ in range(200):
        step = 1e-3 * rng.normal(size=4)
        assert expected(both.beta + step[:3], both.variance + step[3]) < best
    np.testing.assert_allclose(both.routing, one.routing + other.routing)


def test_order_of_merges_does_not_matter():
    a, b, c, _ = routed(2)
    results = [a.merged(b).merged(c), a.merged(c.merged(b)), c.merged(a).merged(b)]
    for other in results[1:]:
        np.testing.assert_allclose(other.beta, results[0].beta)
        assert other.variance == pytest.approx(results[0].variance)


def test_merging_with_an_expert_that_is_never_in_charge_changes_nothing():
    one, other = routed(3)[:2]
    never = RoutedAtom(np.zeros_like(other.routing), other.beta, other.variance, other.design)
    for both in (one.merged(never), never.merged(one)):
        np.testing.assert_allclose(both.beta, one.beta)
        assert both.variance == pytest.approx(one.variance)
    assert one.dissimilarity(never) == 0.0
    tree = agglomerate([one, never, other])
    assert tree.heights[-1] == 0.0


def test_dissimilarity_does_not_depend_on_the_features_basis():
    one, other = routed(4)[:2]
    turn = np.random.default_rng(0).normal(size=(3, 3))
    back = np.linalg.inv(turn)
    a, b = (RoutedAtom(r.routing, back @ r.beta, r.variance, r.design @ turn) for r in (one, other))
    assert a.dissimilarity(b) == pytest.approx(one.dissimilarity(other))
    np.testing.assert_allclose(turn @ a.merged(b).beta, one.merged(other).beta)


# ---------------------------------------------------------------- models


def stream(n, seed=0):
    """Three regimes in raw units of very different sizes."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 2))
    regime = np.where(X[:, 0] > 0.6, 0, np.where(X[:, 0] < -0.6, 1, 2))
    beta = np.array([[5, 3, 0], [-5, 0, 3], [0, -3, -3]], dtype=float)
    y = (np.c_[np.ones(n), X] * beta[regime]).sum(axis=1) + 0.5 * rng.normal(size=n)
    return X * [10, 0.1] + [100, 0], 1000 + 20 * y, beta


@pytest.fixture(scope="module")
def fitted():
    X, y, _ = stream(1500)
    return HSMoERegressor(6, n_particles=12, n_islands=2, forgetting=1.0, random_state=1).fit(X, y)


def test_three_of_six(fitted):
    merged = merge_experts(fitted)
    assert merged.n_experts == 3 and merged.posterior[2] > 0.8
    assert merged.posterior.sum() == pytest.approx(1.0)
    assert merged.n_experts_by_criterion == 3
    reduced = merged.reduced()
    assert reduced.n_experts == 3
    np.testing.assert_allclose(reduced.routing.sum(axis=1), 1.0)
    np.testing.assert_allclose(reduced.weight, reduced.routing.mean(axis=0))
    assert sorted(i for group in reduced.groups for i in group) == list(range(6))
    # In the units of the data: y = 1000 + 20 (b0 + b1 (x1 - 100) / 10 + b2 x2 / 0.1).
    _, _, beta = stream(2)
    raw = np.c_[1000 + 20 * (beta[:, 0] - 10 * beta[:, 1]), 2 * beta[:, 1], 200 * beta[:, 2]]
    X = stream(400, 7)[0]
    truth = hsmoe.TreeMixture(raw, np.full(3, 100.0), np.zeros((2, 3)))
    errors = hsmoe.losses.expert_errors(reduced.coefficients, reduced.noise_sd, truth, X)
    assert (errors.mean < 12).all()  # sd of y: 100; standard error of a mean: 1
    assert (np.abs(errors.noise_sd) < 4).all()


def test_all_experts_are_the_mean_of_matched_draws(fitted):
    """Reduced to all six: weights of to_arviz, and a log likelihood near that of the model."""
    X, y, _ = stream(1500)
    merged = merge_experts(fitted, X[:300], y[:300], n_draws=96)
    draws = fitted.to_arviz(X[:300], y[:300], n_draws=96)
    proba = draws["posterior_predictive"]["expert_proba"].values[0].mean(axis=0)
    reduced = merged.reduced(6)
    rows = np.argsort(proba.mean(axis=0))
    np.testing.assert_allclose(np.sort(reduced.weight), proba.mean(axis=0)[rows], atol=1e-12)
    density = fitted.log_density(X[:300], y[:300]).mean()
    assert merged.log_likelihood[5] == pytest.approx(density, abs=0.05)
    assert merged.log_likelihood[2] == pytest.approx(density, abs=0.05)
    assert merged.log_likelihood[0] < density - 0.5


def test_reproducible_and_the_model_stays_as_it_is(fitted):
    before = fitted.to_bytes()
    one, other = merge_experts(fitted), merge_experts(fitted)
    np.testing.assert_array_equal(one.posterior, other.posterior)
    np.testing.assert_array_equal(one.dendrogram.linkage, other.dendrogram.linkage)
    assert fitted.to_bytes() == before


def test_units_do_not_matter(fitted):
    X, y, _ = stream(1500)
    moved = HSMoERegressor(6, n_particles=12, n_islands=2, forgetting=1.0, random_state=1).fit(
        X * 4.0 - 32.0, 0.5 * y
    )
    one, other = merge_experts(fitted), merge_experts(moved)
    np.testing.assert_allclose(one.posterior, other.posterior, atol=0.1)
    np.testing.assert_allclose(one.dendrogram.heights[:2], other.dendrogram.heights[:2], rtol=0.05)


def test_wide_omega_leaves_one_expert_and_a_narrow_one_many(fitted):
    assert merge_experts(fitted, omega=50.0).n_experts == 1
    narrow = merge_experts(fitted, omega=1e-6)
    assert narrow.n_experts == 6
    assert merge_experts(fitted).omega == pytest.approx((np.log(1500) / 1500) ** 0.25)


def test_one_expert(two_regimes):
    merged = merge_experts(
        HSMoERegressor(**ONE_ISLAND, n_experts=1, n_particles=4).fit(*two_regimes)
    )
    assert merged.n_experts == 1 and merged.n_experts_by_criterion == 1
    assert len(merged.criterion) == 0 and merged.reduced().groups == [(0,)]


def test_text(fitted):
    lines = repr(merge_experts(fitted)).splitlines()
    assert len(lines) == 7
    assert lines[1].split()[0] == "1" and lines[1].split()[-1] == "-"


def test_model_refusals(fitted, two_regimes):
    X, y = two_regimes
    with pytest.raises(ValueError, match="X was given without y"):
        merge_experts(fitted, X)
    with pytest.raises(ValueError, match="n_draws is 0"):
        merge_experts(fitted, n_draws=0)
    with pytest.raises(ValueError, match="c is -1"):
        merge_experts(fitted, c=-1)
    with pytest.raises(hsmoe.NotFittedError):
        merge_experts(HSMoERegressor())
    with pytest.raises(ValueError, match="model is a list; merge_experts takes an HSMoERegressor"):
        merge_experts([fitted])
    forgetful = HSMoERegressor(
        **ONE_ISLAND, n_experts=2, n_particles=8, retain=0, random_state=0
    ).fit(X, y)
    with pytest.raises(ValueError, match="retain=0 keeps none"):
        merge_experts(forgetful)
    assert merge_experts(forgetful, X, y).posterior.sum() == pytest.approx(1.0)


# ---------------------------------------------------------------- pictures


def test_pictures(fitted, tmp_path):
    from hsmoe import plotting

    merged = merge_experts(fitted)
    ax = plotting.plot_dendrogram(merged)
    assert sorted(int(label.get_text()) for label in ax.get_xticklabels()) == list(range(6))
    assert ax.get_legend().get_texts()[0].get_text() == "3 experts"
    line = ax.lines[-1].get_ydata()[0]
    assert merged.dendrogram.heights[2] < line < merged.dendrogram.heights[1]
    other = plotting.plot_dendrogram(merged.dendrogram, ax=plotting.plot_dendrogram(merged))
    assert other.get_ylabel() == "dissimilarity"
    plotting.save_figure(ax.figure, tmp_path / "tree.png")
    X, y, _ = stream(200)
    estimator = HSMoERegressor(n_particles=8, n_islands=2, random_state=0)
    found = hsmoe.select_n_experts(estimator, X, y, [1, 2])
    figure = plotting.plot_selection(found)
    left, right = figure.axes
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["1", "2"]
    assert len(right.patches) == 2
    plotting.save_figure(figure, tmp_path / "selection.png")
    assert (tmp_path / "selection.png").stat().st_size > 10_000


def test_other_experts_are_refused_by_name() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(30, 1)), rng.normal(size=30)
    model = hsmoe.HSMoERegressor(2, n_particles=8, n_islands=1, expert="student", random_state=1)
    with pytest.raises(ValueError, match="Gaussian experts"):
        hsmoe.merge_experts(model.fit(X, y))
