"""What a user may write, for mypy --strict: every public class, with the types they return."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

import hsmoe
from hsmoe import (
    BinomialExpert,
    ChangingExperts,
    CheckpointError,
    ClassForecast,
    CountForecast,
    ExpertSelection,
    Forecast,
    GateInclusion,
    GaussianExpert,
    GroupHorseshoePrior,
    HorseshoePrior,
    HSMoEClassifier,
    HSMoECountRegressor,
    HSMoERegressor,
    IslandsDisagreeWarning,
    LaplaceExpert,
    LogitExpert,
    MergedExperts,
    NegativeBinomialExpert,
    NormalPrior,
    NotFittedError,
    NumericalError,
    PaperHorseshoePrior,
    PitHistogram,
    SoftmaxMixture,
    StudentExpert,
    TreeMixture,
    Variational,
    plotting,
)
from hsmoe.losses import ExpertErrors
from hsmoe.merging import Dendrogram, MergedAtoms, SoftmaxAtom
from hsmoe.mixtures import KnownMixture

Floats = NDArray[np.float64]


def regression(X: Floats, y: Floats) -> float:
    experts: list[GaussianExpert | StudentExpert | LaplaceExpert] = [
        GaussianExpert(b0=0.05),
        StudentExpert(df=4.0),
        LaplaceExpert(),
    ]
    priors: list[HorseshoePrior | NormalPrior | PaperHorseshoePrior] = [
        HorseshoePrior(tau0=0.5),
        GroupHorseshoePrior(),
        NormalPrior(scale=2.0),
        PaperHorseshoePrior(),
    ]
    model = HSMoERegressor(
        n_experts=2,
        n_particles=8,
        n_islands=2,
        gate="balanced",
        gate_prior=priors[0],
        expert=experts[0],
        random_state=0,
    )
    forecast: Forecast = model.prequential(X, y)
    histogram: PitHistogram = forecast.pit_histogram(bins=4)
    score: float = forecast.mean_log_density
    interval: Floats = model.predict_interval(X, coverage=0.9)
    quantiles: Floats = model.predict_quantiles(X, [0.1, 0.9])
    draws: Floats = model.sample_y(X, n_samples=2, random_state=np.random.default_rng(0))
    density: Floats = model.log_density(X, y)
    report: GateInclusion = model.gate_inclusion()
    strongest: list[tuple[str, float]] = report.strongest(0)
    active: int = model.active_experts(X)
    again: HSMoERegressor = HSMoERegressor.from_bytes(model.to_bytes()).partial_fit(X, y)
    mean = again.predict(X)
    if isinstance(mean, tuple):
        raise TypeError("the standard deviation was not asked for")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IslandsDisagreeWarning)
        error: float = again.log_evidence_se_
    text: str = again.summary()
    shapes = (interval.shape, quantiles.shape, draws.shape, density.shape, mean.shape)
    print(histogram.outside, score, shapes, strongest, active, error, len(text))
    fast = HSMoERegressor(2, inference=Variational(covariance="diagonal"), random_state=0)
    changing = HSMoERegressor(ChangingExperts(most=3), 8, 1, random_state=0).fit(X, y)
    assert changing.n_experts_posterior().shape == (3,)
    return fast.fit(X, y).log_evidence_


def classes_and_counts(X: Floats, label: NDArray[np.str_], count: NDArray[np.int64]) -> None:
    classifier = HSMoEClassifier(2, 8, 1, expert=LogitExpert(), random_state=0)
    of_classes: ClassForecast = classifier.prequential(X, label)
    proba: Floats = classifier.predict_proba(X)
    accuracy: float = classifier.score(X, label)
    counts = HSMoECountRegressor(2, 8, 1, expert=NegativeBinomialExpert(dispersion=2.0))
    of_counts: CountForecast = counts.prequential(X, count)
    bounded = HSMoECountRegressor(1, 8, 1, expert=BinomialExpert(n_trials=100), random_state=0)
    bounded.fit(X, count)
    print(of_classes.log_loss, proba.shape, accuracy, of_counts.mean_crps, bounded.ess_)


def how_many(X: Floats, y: Floats) -> None:
    template = HSMoERegressor(n_particles=8, n_islands=2, random_state=0)
    selection: ExpertSelection = hsmoe.select_n_experts(template, X, y, [1, 2])
    best: int = selection.best
    factor: Floats = selection.log_bayes_factor(2, 1)
    merged: MergedExperts = hsmoe.merge_experts(HSMoERegressor(2, 8, 1, random_state=0).fit(X, y))
    print(best, factor[-1], merged.n_experts, merged.reduced(1).coefficients.shape)


def known(X: Floats) -> None:
    truth = SoftmaxMixture([[0, 1], [1, 2]], [1.0, 0.5], [0.0, 0.0], [[1.0], [-1.0]])
    tree: KnownMixture = TreeMixture([[0, 1], [0, -1]], [0.1, 0.1], [[0, 2]])
    loss: float = hsmoe.voronoi_loss(truth, truth)
    distance: float = hsmoe.losses.gate_l1(
        truth.predict_expert_proba(X), tree.predict_expert_proba(X)
    )
    apart: Floats = hsmoe.losses.hellinger(truth, tree, X)
    errors: ExpertErrors = hsmoe.losses.expert_errors(
        truth.coefficients, np.sqrt(truth.variance), truth, X
    )
    atoms: MergedAtoms = hsmoe.merging.merge_truncate_merge([0.5, 0.5], [[0.0], [0.1]], 0.3)
    merges: Dendrogram[SoftmaxAtom] = hsmoe.merging.dendrogram(truth)
    print(loss, distance, apart.shape, errors.match, atoms.kept, merges.n_atoms)


def parts(X: Floats, y: Floats) -> None:
    omega = hsmoe.random_polyagamma(1.0, 0.5, size=3, random_state=1)
    ancestors: NDArray[np.int64] = hsmoe.resampling.systematic(np.full(4, 0.25), rng=0)
    level: str = hsmoe.simd_level()
    print(omega, hsmoe.polyagamma_pdf(0.2), hsmoe.polyagamma_cdf(0.2), ancestors, level)
    print(sorted(hsmoe.build_config()), hsmoe.__version__)
    try:
        hsmoe.linalg.cholesky_update(np.eye(2), np.array([2.0, 0.0]), sign=-1)
    except NumericalError as error:
        print(error)
    try:
        HSMoERegressor().predict(X)
    except NotFittedError as error:
        print(error)
    try:
        HSMoERegressor.from_bytes(b"no model")
    except CheckpointError as error:
        print(error)
    quantiles = HSMoERegressor(1, 8, 1).fit(X, y).predict_quantiles(X, plotting.BAND_PROBS)
    plotting.plot_predictive_band(y, quantiles).set_title("one expert")


def main() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 1))
    y = np.abs(X[:, 0]) + 0.1 * rng.normal(size=80)
    print(regression(X, y))
    classes_and_counts(X, np.where(y > 0.5, "high", "low"), np.floor(10 * np.abs(y)).astype(int))
    how_many(X, y)
    known(X)
    parts(X, y)


if __name__ == "__main__":
    main()
