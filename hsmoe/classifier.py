"""Mixture of experts for classes."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ._base import OnlineMixture
from ._checks import check_integer
from ._core_protocol import FloatArray, IntArray
from ._learning import scatter
from ._scores import accuracy, read_score_weights
from ._seeding import draw_seed
from ._state import resolve_n_jobs
from ._targets import ClassTarget, Target, class_labels
from .forecast import ClassForecast

__all__ = ["HSMoEClassifier"]

Self = TypeVar("Self", bound="HSMoEClassifier")


class HSMoEClassifier(OnlineMixture):
    """Bayesian mixture of logistic regressions for two or more classes, learned online.

    ``P(y = c | x) = sum_k g_k(x) f_k(c | x)``: the gate ``g`` of :class:`HSMoERegressor` routes a
    row to one of ``n_experts`` logistic regressions (for more than two classes a comb of them, see
    :class:`LogitExpert`).  Everything is learned together, row by row, by particle learning;
    predictions are averages over the particles.

    Parameters
    ----------
    expert : "logit" or LogitExpert
        What an expert is.
    n_experts, n_particles, n_islands, gate, gate_prior, gate_features, expert_features, \
ess_threshold, retain, forgetting, n_warmup, standardize, inference, missing, n_jobs, \
random_state, verbose
        As for :class:`HSMoERegressor`; features alone are standardised.

    Attributes
    ----------
    classes_ : ndarray, shape (n_classes,)
        The labels, sorted.
    n_features_in_, feature_names_in_, n_rows_seen_, n_rows_skipped_, log_evidence_, \
log_evidence_se_, ess_, resampling_log_, scan_log_
        As for :class:`HSMoERegressor`.

    References
    ----------
    Polson, Scott & Windle (2013), Bayesian inference for logistic models using Polya-Gamma latent
    variables.

    Examples
    --------
    A boundary that bends at zero (one small island, to be quick):

    >>> import numpy as np, hsmoe
    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(-2, 2, size=(600, 2))
    >>> y = np.where(X[:, 1] > np.abs(X[:, 0]) - 1, "above", "below")
    >>> model = hsmoe.HSMoEClassifier(2, n_particles=32, n_islands=1, random_state=1).fit(X, y)
    >>> model.classes_.tolist()
    ['above', 'below']
    >>> model.predict([[0.0, 1.0], [1.8, -1.0]]).tolist()
    ['above', 'below']
    >>> model.predict_proba([[0.0, 1.0]]).shape, model.sample_y([[0.0, 1.0]], 5).shape
    ((1, 2), (1, 5))
    >>> np.exp(model.predict_log_proba([[0.0, 1.0]])).sum().round(9)
    np.float64(1.0)
    >>> bool(model.log_density([[0.0, 1.0]], ["above"])[0] > -0.5)
    True
    >>> bool(model.score(X, y) > 0.9)
    True
    """

    _kind = "class"

    def __init__(
        self,
        n_experts: Any = 6,
        n_particles: Any = 128,
        n_islands: Any = 4,
        gate: Any = "balanced",
        gate_prior: Any = "horseshoe",
        expert: Any = "logit",
        gate_features: Any = None,
        expert_features: Any = None,
        ess_threshold: Any = 0.5,
        retain: Any = 500,
        forgetting: Any = "auto",
        n_warmup: Any = "auto",
        standardize: Any = True,
        inference: Any = "particles",
        missing: Any = "raise",
        n_jobs: Any = 1,
        random_state: Any = None,
        verbose: Any = 0,
    ) -> None:
        self._store(locals())

    def _new_target(self, y: Any, frequencies: IntArray | None = None) -> Target:
        return ClassTarget(class_labels(y, "y", frequencies))

    def _target_of(self, classes: Any) -> Target | None:
        """Return the target that ``classes`` name, checked against what was learned."""
        if classes is None:
            return None
        target = ClassTarget(class_labels(classes, "classes"))
        if self._state is not None and not np.array_equal(target.classes, self.classes_):
            raise ValueError(
                f"classes is {target.classes.tolist()}, but the model began with "
                f"{self.classes_.tolist()}; call fit to begin again"
            )
        return target

    @property
    def classes_(self) -> NDArray[Any]:
        """The class labels, sorted, shape (n_classes,)."""
        target = self._begun().target
        assert isinstance(target, ClassTarget)
        return target.classes

    def partial_fit(  # type: ignore[override]  # the order of arguments is scikit-learn's
        self: Self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None
    ) -> Self:
        """Learn further rows, in order.

        Any division of a stream into calls gives the same model, bit for bit.

        Parameters
        ----------
        X : array_like or data frame, shape (n, d)
            Features, in raw units; the same columns in every call.
        y : array_like, shape (n,)
            Labels: text, whole numbers or booleans.
        classes : array_like, shape (n_classes,)
            All labels that will ever come; needed in the first call, and may be left out later.
        sample_weight : array_like, shape (n,), optional
            How often each row is learned, as in :meth:`fit`.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If rows or parameters cannot be used; the model is then what it was before.
        """
        if classes is None and self._state is None:
            raise ValueError(
                "classes is None in the first call of partial_fit; pass all labels that will ever "
                "come, for example classes=['no', 'yes']"
            )
        self._learn(X, y, sample_weight, self._target_of(classes))
        return self

    def prequential(self, X: Any, y: Any, *, classes: Any = None) -> ClassForecast:  # type: ignore[override]
        """Forecast each row from all rows before it, then learn it.

        Afterwards the model is, bit for bit, what :meth:`partial_fit` would have made of it.

        Parameters
        ----------
        X : array_like or data frame, shape (n, d)
            Features, in raw units.
        y : array_like, shape (n,)
            Labels.
        classes : array_like, shape (n_classes,), optional
            All labels that will ever come, in the first call; those of y by default.

        Returns
        -------
        ClassForecast
            Rows of the warm-up hold NaN; ``ClassForecast.n_warmup`` says how many they are.

        Raises
        ------
        ValueError
            If rows or parameters cannot be used; the model is then what it was before.
        """
        forecast = self._forecast_and_learn(X, y, False, self._target_of(classes))
        assert isinstance(forecast, ClassForecast)
        return forecast

    def predict_proba(self, X: Any) -> FloatArray:
        """Return the predictive probability of each class, shape (n, n_classes).

        Parameters
        ----------
        X : array_like or data frame, shape (n, d)
            Features, in raw units.

        Raises
        ------
        NotFittedError
            If no row was learned.
        ValueError
            If X cannot be used.
        """
        _, engine, _, expert, gate, kept = self._read_designs(X)
        proba = engine.class_proba(expert, gate, resolve_n_jobs(self.n_jobs))
        return scatter(proba / proba.sum(axis=1, keepdims=True), kept)

    def predict_log_proba(self, X: Any) -> FloatArray:
        """Return the logarithms of :meth:`predict_proba`, shape (n, n_classes)."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the most probable class of each row, shape (n,).

        Parameters
        ----------
        X : array_like or data frame, shape (n, d)
            Features, in raw units.

        Raises
        ------
        NotFittedError
            If no row was learned.
        ValueError
            If X cannot be used, or a row is incomplete: there is no label for it, even with
            ``missing="skip"``.
        """
        proba = self.predict_proba(X)
        if np.isnan(proba).any():
            row = int(np.argmax(np.isnan(proba[:, 0])))
            raise ValueError(
                f"X: row {row} is incomplete and has no most probable class; drop it, or use "
                "predict_proba, which gives NaN"
            )
        labels: NDArray[Any] = self.classes_[np.argmax(proba, axis=1)]
        return labels

    def log_density(self, X: Any, y: Any) -> FloatArray:
        """Return the log predictive probability of the labels ``y``, in nats, shape (n,).

        Parameters
        ----------
        X : array_like or data frame, shape (n, d)
            Features, in raw units.
        y : array_like, shape (n,)
            Labels.
        """
        _, engine, _, expert, gate, values, kept = self._read_scored(X, y)
        return scatter(engine.log_density(expert, gate, values, resolve_n_jobs(self.n_jobs)), kept)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the share of rows whose most probable class is ``y``.

        Parameters
        ----------
        X : array_like or data frame, shape (n, d)
            Complete rows of features, in raw units.
        y : array_like, shape (n,)
            Labels; those missing (``missing="skip"``) do not count.
        sample_weight : array_like, shape (n,), optional
            Weights of the rows in the score, any numbers from 0 on.

        Raises
        ------
        ValueError
            If ``y`` is not one label a row, each of a class that the model knows.
        """
        predicted = self.predict(X)
        weights = read_score_weights(sample_weight, len(predicted))
        number, present = self._read_target(y, len(predicted), self._begun().target)
        known = np.ones(len(predicted), dtype=bool) if present is None else present
        observed = self.classes_[number[known].astype(np.int64)]
        return accuracy(observed, predicted[known], weights[known])

    def sample_y(self, X: Any, n_samples: int = 1, random_state: Any = None) -> NDArray[Any]:
        """Draw labels from the predictive distribution, shape (n, n_samples).

        Parameters
        ----------
        X : array_like or data frame, shape (n, d)
            Complete rows of features, in raw units.
        n_samples : int
            Draws for each row.
        random_state : None, int, SeedSequence or Generator
            Seed of these draws; the model's own streams are not touched.
        """
        count = check_integer("n_samples", n_samples, 1)
        _, engine, _, expert, gate, kept = self._read_designs(X)
        if kept is not None and not kept.all():
            raise ValueError(f"X: row {int(np.argmin(kept))} is incomplete; drop it")
        numbers = engine.sample(expert, gate, count, draw_seed(random_state))
        labels: NDArray[Any] = self.classes_[numbers.astype(np.int64)]
        return labels
