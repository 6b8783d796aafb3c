"""Models of streams whose rows are dictionaries: the warm-up, and forecasts before it has ended."""

from __future__ import annotations

import inspect
from collections.abc import Hashable, Sequence
from typing import Any, ClassVar

import numpy as np

from ._core_protocol import FloatArray
from ._named_rows import Columns, NamedRow
from ._state import Settings

__all__ = ["NamedStream"]


class NamedStream:
    """A model of rows with named features: rows that wait for the warm-up to end, then the model.

    A subclass has the parameters of its ``_model_class``, with ``random_state`` called ``seed``.
    """

    _model_class: ClassVar[Any]  # an estimator of hsmoe

    n_warmup: Any
    standardize: Any
    retain: Any

    def _store(self, values: dict[str, Any]) -> None:
        """Keep the arguments of ``__init__``, its ``locals()``; nothing is learned yet."""
        for name in self._parameter_names():
            setattr(self, name, values[name])
        self._model: Any = None
        self._columns: Columns | None = None
        self._waiting: list[tuple[NamedRow, Any]] = []
        self._features: frozenset[Hashable] = frozenset()  # of the waiting rows
        self._n_learned = 0
        self._preview: Any = None  # (key, (model, columns)) that answers during the warm-up

    @classmethod
    def _parameter_names(cls) -> list[str]:
        return [name for name in inspect.signature(cls.__init__).parameters if name != "self"]

    @property
    def features(self) -> tuple[Hashable, ...]:
        """The features in use; empty during the warm-up."""
        return () if self._columns is None else self._columns.names

    @property
    def n_rows_seen(self) -> int:
        """How many rows were learned, those of the warm-up included."""
        return self._n_learned

    @property
    def model(self) -> Any:
        """The model of :mod:`hsmoe` underneath; None during the warm-up."""
        return self._model

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_preview": None}

    def _core_parameters(self, columns: Columns, n_rows: int) -> dict[str, Any]:
        """Return the parameters of a model whose warm-up is ``n_rows`` rows of these columns."""
        values = {name: getattr(self, name) for name in self._parameter_names()}
        values.pop("classes", None)
        values["random_state"] = values.pop("seed")
        values["n_warmup"] = n_rows
        for name in ("gate_features", "expert_features"):
            values[name] = columns.selection(values[name], name)
        return values

    def _rows_of_warmup(self, n_features: int) -> int:
        """Return how many rows the warm-up takes."""
        parameters = {
            **self._model_class().get_params(),
            "n_warmup": self.n_warmup,
            "standardize": self.standardize,
        }
        settings = Settings.resolve(parameters, self._model_class._kind)
        return max(1, settings.warmup_rows(n_features))

    def _ready(self, n_rows: int, n_features: int) -> bool:
        """Return whether so many rows of so many features end the warm-up."""
        return n_features > 0 and n_rows >= self._rows_of_warmup(n_features)

    def _begin(self, rows: Sequence[tuple[NamedRow, Any]]) -> tuple[Any, Columns]:
        """Return a model whose warm-up is ``rows``, and its columns."""
        columns = Columns.of([row for row, _ in rows])
        model = self._model_class(**self._core_parameters(columns, len(rows)))
        self._teach(model, columns.matrix([row for row, _ in rows]), [y for _, y in rows])
        return model, columns

    def _teach(self, model: Any, X: FloatArray, y: Sequence[Any]) -> None:
        model.partial_fit(X, np.asarray(y, dtype=np.float64))

    def _learn(self, rows: Sequence[NamedRow], targets: Sequence[Any]) -> None:
        """Learn rows, all or none."""
        model, columns = self._model, self._columns
        waiting, features = list(self._waiting), self._features
        n_used = 0
        while model is None and n_used < len(rows):
            waiting.append((rows[n_used], targets[n_used]))
            features = features.union(rows[n_used])
            n_used += 1
            if self._ready(len(waiting), len(features)):
                model, columns = self._begin(waiting)
                waiting, features = [], frozenset()
        if model is not None and n_used < len(rows):
            assert columns is not None
            self._teach(model, columns.matrix(rows[n_used:]), targets[n_used:])
        self._model, self._columns = model, columns
        self._waiting, self._features = waiting, features
        self._n_learned += len(rows)
        if model is not None:
            self._preview = None

    def _answering(self) -> tuple[Any, Columns] | None:
        """Return the model that forecasts now, and its columns; None if there is none.

        During the warm-up it has learned the first 1, 2, 4, 8, ... rows, as many as there are: a
        model of all of them for each row would cost the square of their number.
        """
        if self._model is not None:
            assert self._columns is not None
            return self._model, self._columns
        if not self._waiting:
            return None
        rows = self._waiting[: 1 << (len(self._waiting).bit_length() - 1)]
        if not any(row for row, _ in rows):
            return None
        key = self._preview_key(rows)
        if self._preview is None or self._preview[0] != key:
            self._preview = (key, self._begin(rows))
        answer: tuple[Any, Columns] = self._preview[1]
        return answer

    def _preview_key(self, rows: Sequence[Any]) -> Any:
        return len(rows)
