"""Mixtures of experts for river: rows as dictionaries, one at a time or in mini-batches.

The models are those of :mod:`hsmoe`; after the warm-up a row teaches them exactly what
``partial_fit`` would, and mini-batches give the same bits as their rows one by one.

Features may come and go:

- The columns are the features of the warm-up rows (``n_warmup``), whichever row had them.
- A feature that a row lacks (or that is None or NaN) is put at its mean over the warm-up rows that
  had it: 0 in standard units, so that gate and experts go by the others.
- A feature that first comes after the warm-up is ignored: the posterior has no column for it, and
  knows as much of the target given the others as without it.  ``clone()`` begins anew with it.

Classes may come too: a label that was never seen makes a classifier begin again, with one class
more, from the rows that it retains (``retain``).  Labels named beforehand (``classes``) cost
nothing.

During the warm-up forecasts are those of a model of the first 1, 2, 4, 8, ... rows.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from river import base

from ._core_protocol import FloatArray
from ._draws import retained_rows
from ._errors import NotFittedError
from ._named_rows import NamedRow, read_row
from ._named_stream import NamedStream
from ._river_proba import PredictiveCounts, PredictiveDistribution, StreamForecast
from .classifier import HSMoEClassifier as _Classifier
from .counts import HSMoECountRegressor as _CountRegressor
from .regressor import HSMoERegressor as _Regressor

__all__ = [
    "HSMoEClassifier",
    "HSMoECountRegressor",
    "HSMoERegressor",
    "PredictiveCounts",
    "PredictiveDistribution",
]

# ---------------------------------------------------------------------- what the models share


class _Stream(NamedStream):
    """What river asks of every model."""

    @classmethod
    def _unit_test_params(cls) -> Iterator[dict[str, Any]]:
        """Yield parameters for river's checks: a short warm-up, few particles, seldom scanned."""
        few = {"n_experts": 2, "n_particles": 2, "n_islands": 1, "ess_threshold": 0.1}
        yield {**few, "retain": 40, "n_warmup": 20}

    @property
    def _raw_memory_usage(self) -> int:
        inside = 0 if self._model is None else int(self._model.nbytes)
        return int(super()._raw_memory_usage) + inside  # type: ignore[misc]


def _read_frame(X: Any) -> list[NamedRow]:
    """Return the rows of a pandas or polars data frame."""
    if hasattr(X, "to_dicts"):
        return [read_row(row) for row in X.to_dicts()]
    return [read_row(row) for row in X.to_dict(orient="records")]


def _like(X: Any, values: Sequence[Any], name: Any = None) -> Any:
    """Return a series of the library that the data frame ``X`` is of, with its index."""
    if hasattr(X, "to_dicts"):
        import polars

        return polars.Series(name or "", values)
    import pandas

    return pandas.Series(values, index=X.index, name=name)


class _StreamRegressor(_Stream):
    """Regression, of real targets or counts."""

    _forecast_class: ClassVar[type[StreamForecast]]

    def learn_one(self, x: Mapping[Hashable, Any], y: float) -> None:
        """Learn one row.

        Parameters
        ----------
        x : dict
            Features by name; numbers.
        y : float
            The target.
        """
        self._learn([read_row(x)], [_target(y)])

    def learn_many(self, X: Any, y: Any) -> None:
        """Learn the rows of a data frame, in order: the same bits as row by row.

        Parameters
        ----------
        X : pandas or polars data frame, shape (n, d)
        y : series, shape (n,)
        """
        self._learn(_read_frame(X), [_target(value) for value in _pairs(X, y)])

    def predict_one(self, x: Mapping[Hashable, Any], with_dist: bool = False) -> Any:
        """Forecast one row.

        Parameters
        ----------
        x : dict
            Features by name.
        with_dist : bool
            Return the predictive distribution rather than its mean.

        Returns
        -------
        float, or PredictiveDistribution (counts: PredictiveCounts)
            The distribution stays as it is when the model learns on.  The mean is 0 before the
            first row.

        Raises
        ------
        NotFittedError
            If a distribution is asked for before the first row.
        """
        row = read_row(x)
        answer = self._answering()
        if answer is None:
            if with_dist:
                raise NotFittedError("there is no distribution before the first row; learn_one")
            return 0.0
        model, columns = answer
        if not with_dist:
            return float(model.predict(columns.matrix([row]))[0])
        mixture = model._predict_mixture(columns.matrix([row]))
        return self._forecast_class(mixture, self._n_learned)

    def predict_many(self, X: Any) -> Any:
        """Forecast the rows of a data frame; returns a series of means, shape (n,)."""
        rows = _read_frame(X)
        answer = self._answering()
        if answer is None or not rows:
            return _like(X, [0.0] * len(rows))
        model, columns = answer
        return _like(X, model.predict(columns.matrix(rows)).tolist())


def _target(y: Any) -> float:
    value = float(y)
    if not np.isfinite(value):
        raise ValueError(f"y is {value}; targets must be finite")
    return value


def _pairs(X: Any, y: Any) -> list[Any]:
    values = y.to_list() if hasattr(y, "to_list") else list(y)
    if len(values) != len(X):
        raise ValueError(f"y has {len(values)} values, but X has {len(X)} rows")
    return values


class HSMoERegressor(_StreamRegressor, base.MiniBatchRegressor):  # type: ignore[misc]
    """:class:`hsmoe.HSMoERegressor` for river.

    Parameters
    ----------
    n_experts, n_particles, n_islands, gate, gate_prior, expert, ess_threshold, retain, \
forgetting, standardize, inference, n_jobs
        As for :class:`hsmoe.HSMoERegressor`.
    gate_features, expert_features : list of feature names, optional
        Features that the gate and the experts see; all by default.
    n_warmup : int or "auto"
        Rows of the warm-up; "auto": ten a feature, at least 50 and at most 1000.
    seed : None or int
        Seed of the particles' random streams.

    Examples
    --------
    >>> import hsmoe.river
    >>> from river import datasets, evaluate, metrics
    >>> model = hsmoe.river.HSMoERegressor(2, n_particles=16, n_islands=1, seed=1)
    >>> stream = datasets.TrumpApproval().take(300)
    >>> error = evaluate.progressive_val_score(stream, model, metrics.MAE())
    >>> error.get() < 2.0
    True
    >>> x, y = next(iter(datasets.TrumpApproval()))
    >>> forecast = model.predict_one(x, with_dist=True)
    >>> low, high = forecast.interval(0.9)
    >>> low < forecast.mu < high
    True
    """

    _model_class = _Regressor
    _forecast_class = PredictiveDistribution

    def __init__(
        self,
        n_experts: Any = 6,
        n_particles: Any = 128,
        n_islands: Any = 4,
        gate: Any = "balanced",
        gate_prior: Any = "horseshoe",
        expert: Any = "gaussian",
        gate_features: Any = None,
        expert_features: Any = None,
        ess_threshold: Any = 0.5,
        retain: Any = 500,
        forgetting: Any = "auto",
        n_warmup: Any = "auto",
        standardize: Any = True,
        inference: Any = "particles",
        n_jobs: Any = 1,
        seed: Any = None,
    ) -> None:
        self._store(locals())


class HSMoECountRegressor(_StreamRegressor, base.MiniBatchRegressor):  # type: ignore[misc]
    """:class:`hsmoe.HSMoECountRegressor` for river; targets are counts.

    Parameters
    ----------
    n_experts, n_particles, n_islands, gate, gate_prior, expert, gate_features, expert_features, \
ess_threshold, retain, forgetting, n_warmup, standardize, inference, n_jobs, seed
        As for :class:`HSMoERegressor`, with the experts of :class:`hsmoe.HSMoECountRegressor`.

    Examples
    --------
    >>> import hsmoe.river
    >>> model = hsmoe.river.HSMoECountRegressor(1, n_particles=8, n_islands=1, seed=1)
    >>> for i in range(80):
    ...     model.learn_one({"x": i % 4}, i % 4)
    >>> forecast = model.predict_one({"x": 3}, with_dist=True)
    >>> forecast(3) > forecast(9), forecast(2.5)
    (True, 0.0)
    """

    _model_class = _CountRegressor
    _forecast_class = PredictiveCounts

    def __init__(
        self,
        n_experts: Any = 6,
        n_particles: Any = 128,
        n_islands: Any = 4,
        gate: Any = "balanced",
        gate_prior: Any = "horseshoe",
        expert: Any = "negative-binomial",
        gate_features: Any = None,
        expert_features: Any = None,
        ess_threshold: Any = 0.5,
        retain: Any = 500,
        forgetting: Any = "auto",
        n_warmup: Any = "auto",
        standardize: Any = True,
        inference: Any = "particles",
        n_jobs: Any = 1,
        seed: Any = None,
    ) -> None:
        self._store(locals())


def _distinct(classes: Any) -> list[Hashable]:
    """Return the labels that are named beforehand, refusing what cannot be labels."""
    if classes is None:
        return []
    if isinstance(classes, str):
        raise ValueError(f"classes is {classes!r}; pass a tuple of labels")
    labels = list(classes)
    for label in labels:
        if not isinstance(label, Hashable):
            raise ValueError(
                f"classes holds {label!r}, which cannot be a label: it is not hashable"
            )
    if len(set(labels)) < len(labels):
        raise ValueError(f"classes is {classes!r}; it names a label twice")
    return labels


class HSMoEClassifier(_Stream, base.MiniBatchClassifier):  # type: ignore[misc]
    """:class:`hsmoe.HSMoEClassifier` for river; labels are anything that can be a key.

    Parameters
    ----------
    n_experts, n_particles, n_islands, gate, gate_prior, expert, gate_features, expert_features, \
ess_threshold, retain, forgetting, n_warmup, standardize, inference, n_jobs, seed
        As for :class:`HSMoERegressor`, with the experts of :class:`hsmoe.HSMoEClassifier`.
    classes : tuple, optional
        Labels that may come, each once.  Others are learned when they do: in the warm-up at no
        cost, later by beginning again from the retained rows.

    Examples
    --------
    >>> import hsmoe.river
    >>> from river import datasets, evaluate, metrics
    >>> model = hsmoe.river.HSMoEClassifier(1, n_particles=16, n_islands=1, seed=1)
    >>> stream = datasets.Phishing().take(300)
    >>> accuracy = evaluate.progressive_val_score(stream, model, metrics.Accuracy())
    >>> accuracy.get() > 0.75
    True
    >>> x, y = next(iter(datasets.Phishing()))
    >>> sorted(model.predict_proba_one(x))
    [False, True]
    """

    _model_class = _Classifier

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
        n_jobs: Any = 1,
        seed: Any = None,
        classes: Any = None,
    ) -> None:
        self._store(locals())

    def _store(self, values: dict[str, Any]) -> None:
        super()._store(values)
        self._labels = _distinct(values["classes"])  # in order of their numbers

    @property
    def _multiclass(self) -> bool:
        return True

    @property
    def labels(self) -> tuple[Hashable, ...]:
        """The labels known so far."""
        return tuple(self._labels)

    def learn_one(self, x: Mapping[Hashable, Any], y: Hashable) -> None:
        """Learn one row.

        Parameters
        ----------
        x : dict
            Features by name; numbers.
        y : label
        """
        self._learn([read_row(x)], [_label(y)])

    def learn_many(self, X: Any, y: Any) -> None:
        """Learn the rows of a data frame, in order: the same bits as row by row.

        Parameters
        ----------
        X : pandas or polars data frame, shape (n, d)
        y : series of labels, shape (n,)
        """
        self._learn(_read_frame(X), [_label(value) for value in _pairs(X, y)])

    def predict_proba_one(self, x: Mapping[Hashable, Any], **kwargs: Any) -> dict[Hashable, float]:
        """Return the probability of each known label; empty before the first row.

        Parameters
        ----------
        x : dict
            Features by name.
        """
        probabilities = self._probabilities([read_row(x)])
        if probabilities is None:
            return {}
        return dict(zip(self._labels, probabilities[0].tolist(), strict=True))

    def predict_proba_many(self, X: Any) -> Any:
        """Return a data frame of probabilities, shape (n, n_labels), a column a label."""
        probabilities = self._probabilities(_read_frame(X))
        labels = [] if probabilities is None else self._labels
        values = np.empty((len(X), 0)) if probabilities is None else probabilities
        if hasattr(X, "to_dicts"):
            import polars

            return polars.DataFrame({str(c): values[:, k] for k, c in enumerate(labels)})
        import pandas

        return pandas.DataFrame(values, index=X.index, columns=pandas.Index(labels, dtype=object))

    def predict_many(self, X: Any) -> Any:
        """Return a series of the most probable labels, shape (n,); None before the first row."""
        probabilities = self._probabilities(_read_frame(X))
        if probabilities is None:
            return _like(X, [None] * len(X))
        return _like(X, [self._labels[k] for k in np.argmax(probabilities, axis=1)])

    def _probabilities(self, rows: Sequence[NamedRow]) -> FloatArray | None:
        if self._n_learned == 0 or not rows:
            return None
        if len(self._labels) == 1:
            return np.ones((len(rows), 1))
        answer = self._answering()
        if answer is None:
            return None
        model, columns = answer
        return np.asarray(model.predict_proba(columns.matrix(rows)))

    def _ready(self, n_rows: int, n_features: int) -> bool:
        return len(self._labels) > 1 and super()._ready(n_rows, n_features)

    def _preview_key(self, rows: Sequence[Any]) -> Any:
        return len(rows), len(self._labels)

    def _teach(self, model: Any, X: FloatArray, y: Sequence[Any]) -> None:
        model.partial_fit(X, np.asarray(y, dtype=np.int64), classes=np.arange(len(self._labels)))

    def _learn(self, rows: Sequence[NamedRow], targets: Sequence[Hashable]) -> None:
        """Learn rows; those before a label that is new are learned before the model changes."""
        before = {**self.__dict__, "_labels": list(self._labels)}
        firsts = _firsts(targets, self._labels)
        try:
            for start, stop in zip([0, *firsts], [*firsts, len(rows)], strict=True):
                begin = start
                if start in firsts and start < stop:
                    self._labels.append(targets[start])
                    if self._model is not None:
                        self._begin_again(rows[start])
                        begin = start + 1
                numbers = [self._labels.index(label) for label in targets[begin:stop]]
                super()._learn(rows[begin:stop], numbers)
        except BaseException:
            self.__dict__.update(before)
            raise
        # A stream of one label teaches nothing but that; its rows must not pile up.
        if self.retain is not None and len(self._labels) == 1:
            longest = self.n_warmup if isinstance(self.n_warmup, int) else 1000
            self._waiting = self._waiting[-(longest + self.retain) :]

    def _begin_again(self, row: NamedRow) -> None:
        """Replace the model by one with a class more, of the rows it retains and ``row``."""
        assert self._columns is not None
        X, numbers = self._retained()
        if len(numbers) == 0:
            raise ValueError(
                f"label {self._labels[-1]!r} is new, and with retain=0 there are no rows to begin "
                "again from; name all labels beforehand (classes)"
            )
        X = np.concatenate([X, self._columns.matrix([row])])
        numbers = np.append(numbers, len(self._labels) - 1)
        model = self._model_class(**self._core_parameters(self._columns, len(numbers)))
        self._teach(model, X, numbers.tolist())
        self._model = model
        self._n_learned += 1

    def _retained(self) -> tuple[FloatArray, np.ndarray[Any, Any]]:
        """Return the rows that the model retains, in raw units, and the numbers of their labels."""
        assert self._columns is not None
        state, engine, scaling = self._model._view()
        kept = retained_rows(engine)
        X = np.tile(self._columns.centre, (len(kept), 1))
        for which, design in (("expert", kept.expert), ("gate", kept.gate)):
            columns = state.columns(which)
            X[:, columns] = design[:, 1:] * scaling.x_scale[columns] + scaling.x_centre[columns]
        return X, np.rint(kept.target).astype(np.int64)


def _label(y: Any) -> Hashable:
    """Return a label as a Python object."""
    label: Hashable = y.item() if isinstance(y, np.generic) else y
    if label is None or label != label:
        raise ValueError(f"y is {y!r}; a row needs a label")
    return label


def _firsts(targets: Sequence[Hashable], known: Sequence[Hashable]) -> list[int]:
    """Return where labels come for the first time."""
    seen, places = set(known), []
    for i, label in enumerate(targets):
        if label not in seen:
            seen.add(label)
            places.append(i)
    return places
