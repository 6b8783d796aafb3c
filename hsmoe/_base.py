"""Learning and state: what every online mixture of experts shares.

A class for another kind of target (classes, counts) supplies its parameters and predictions; rows,
warm-up, chunking and all-or-nothing calls are here.
"""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from ._core_protocol import Engine, FloatArray, IntArray
from ._errors import NotFittedError
from ._frequencies import check_frequencies, read_frequencies
from ._learning import advance, begin, log_evidence, warmed_up
from ._parameters import same_value
from ._persistence import ModelFileMixin
from ._posterior_export import PosteriorExportMixin
from ._reports import ReportsMixin
from ._scaling import Scaling
from ._sklearn import SklearnMixin, not_fitted
from ._state import STRUCTURAL_PARAMETERS, LearnedState, resolve_n_jobs
from ._targets import Target
from ._validation import Known, Rows, read_features, read_rows
from .forecast import Forecast, StreamForecast

__all__ = ["OnlineMixture"]

Self = TypeVar("Self", bound="OnlineMixture")


class OnlineMixture(SklearnMixin, ModelFileMixin, ReportsMixin, PosteriorExportMixin, ABC):
    """A Bayesian mixture of experts that learns row by row."""

    n_experts: Any
    n_particles: Any
    n_islands: Any
    gate: Any
    gate_prior: Any
    expert: Any
    gate_features: Any
    expert_features: Any
    ess_threshold: Any
    retain: Any
    forgetting: Any
    n_warmup: Any
    standardize: Any
    inference: Any
    missing: Any
    n_jobs: Any
    random_state: Any
    verbose: Any

    _kind: ClassVar[str] = "real"  # of the target
    _state: LearnedState | None = None
    # A model of the waiting rows alone, for questions asked during the warm-up; see _view.
    _preview: tuple[LearnedState, Engine, Scaling] | None = None

    # ------------------------------------------------------------------ learning

    def fit(self: Self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn rows from scratch, in order, in one pass.

        With ``n_warmup="auto"`` the standardisation comes from all these rows; with a number it
        comes from the first ``n_warmup``, exactly as in :meth:`partial_fit`.

        Parameters
        ----------
        X : array_like or data frame, shape (n, d)
            Features, in raw units.
        y : array_like, shape (n,)
            Target.
        sample_weight : array_like, shape (n,), optional
            How often each row is learned: frequencies, whole numbers from 0 on.  The model is, bit
            for bit, that of ``np.repeat(X, sample_weight, axis=0)`` and y likewise.  Fractions are
            refused: the posterior of a mixture has no row of weight one half.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If rows or parameters cannot be used; the model is then what it was before.
        """
        began = time.perf_counter()
        with self._all_or_nothing():
            frequencies = read_frequencies(sample_weight)
            if frequencies is not None and not frequencies.any():
                raise ValueError(
                    "sample_weight is zero for every row; at least one weight must not be"
                )
            target = self._new_target(y, frequencies)
            rows = self._read_rows(X, y, target, None, frequencies)
            state = begin(self.get_params(), target, rows)
            if state.settings.standardize and state.settings.n_warmup is None:
                if len(rows.y) == 0:
                    raise ValueError(
                        "every row of X or y has a missing value; fit needs at least one "
                        "complete row"
                    )
                state = replace(state, n_warmup=len(rows.y))
            state, _ = advance(state, rows, resolve_n_jobs(self.n_jobs))
        self._commit(state, rows, began)
        return self

    def partial_fit(self: Self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn further rows, in order.

        Any division of a stream into calls gives the same model, bit for bit.  The first rows
        (``n_warmup``) are kept back until they are all there, then fix the standardisation and
        are learned.

        Parameters
        ----------
        X : array_like or data frame, shape (n, d)
            Features, in raw units; the same columns in every call.
        y : array_like, shape (n,)
            Target.
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
        self._learn(X, y, sample_weight)
        return self

    def _learn(self, X: Any, y: Any, sample_weight: Any, target: Target | None = None) -> None:
        """Learn further rows; ``target`` is for a model that has not seen a row."""
        began = time.perf_counter()
        with self._all_or_nothing():
            state, rows = self._continue(X, y, target, read_frequencies(sample_weight))
            state, _ = advance(state, rows, resolve_n_jobs(self.n_jobs))
        self._commit(state, rows, began)

    def _forecast_and_learn(
        self, X: Any, y: Any, crps: bool, target: Target | None = None
    ) -> StreamForecast:
        """Forecast each row, then learn it."""
        began = time.perf_counter()
        with self._all_or_nothing():
            state, rows = self._continue(X, y, target)
            n_jobs = resolve_n_jobs(self.n_jobs)
            state, forecast = advance(state, rows, n_jobs, forecast=True, crps=crps)
        assert forecast is not None
        self._commit(state, rows, began)
        return forecast

    def prequential(self, X: Any, y: Any, *, crps: bool = True) -> Forecast:
        """Forecast each row from all rows before it, then learn it.

        Afterwards the model is, bit for bit, what :meth:`partial_fit` would have made of it.

        Parameters
        ----------
        X : array_like or data frame, shape (n, d)
            Features, in raw units.
        y : array_like, shape (n,)
            Target.
        crps : bool
            Compute the CRPS too (it takes longer than the other scores).

        Returns
        -------
        Forecast
            Rows of the warm-up hold NaN; ``Forecast.n_warmup`` says how many they are.

        Raises
        ------
        ValueError
            If rows or parameters cannot be used; the model is then what it was before.

        Examples
        --------
        >>> import numpy as np, hsmoe
        >>> X = np.linspace(-1, 1, 200)[:, None]
        >>> model = hsmoe.HSMoERegressor(n_experts=2, n_particles=20, random_state=0)
        >>> forecast = model.prequential(X, np.abs(X[:, 0]))
        >>> forecast.n_warmup, forecast.n_scored
        (50, 150)
        """
        forecast = self._forecast_and_learn(X, y, bool(crps))
        assert isinstance(forecast, Forecast)
        return forecast

    def _continue(
        self, X: Any, y: Any, target: Target | None = None, frequencies: IntArray | None = None
    ) -> tuple[LearnedState, Rows]:
        """Return the state so far and the rows; ``target`` is for a model without a state."""
        state = self._state
        if state is None:
            target = self._new_target(y, frequencies) if target is None else target
            rows = self._read_rows(X, y, target, None, frequencies)
            return begin(self.get_params(), target, rows), rows
        for name in STRUCTURAL_PARAMETERS:
            began, now = state.settings.parameters[name], getattr(self, name)
            if not same_value(began, now):
                raise ValueError(
                    f"{name} was {began!r} when the model learned its first row, and is now "
                    f"{now!r}; set it back, or call fit to begin again"
                )
        return state, self._read_rows(X, y, state.target, self._known(state), frequencies)

    def _known(self, state: LearnedState) -> Known:
        return Known(state.names, state.n_features, type(self).__name__)

    @abstractmethod
    def _new_target(self, y: Any, frequencies: IntArray | None = None) -> Target:
        """Return what is to be predicted, for a model that has not seen a row."""

    def _read_target(
        self,
        y: Any,
        n_rows: int,
        target: Target,
        ignored: NDArray[np.bool_] | None = None,
        scored: bool = False,
    ) -> tuple[FloatArray, NDArray[np.bool_] | None]:
        return target.read(
            y, n_rows, expert=self.expert, missing=self.missing, ignored=ignored, scored=scored
        )

    def _read_rows(
        self,
        X: Any,
        y: Any,
        target: Target,
        expected: Known | None,
        frequencies: IntArray | None = None,
    ) -> Rows:
        def read(values: Any, n_rows: int) -> tuple[FloatArray, NDArray[np.bool_] | None]:
            check_frequencies(frequencies, n_rows)
            ignored = None if frequencies is None else frequencies == 0
            return self._read_target(values, n_rows, target, ignored)

        rows = read_rows(X, y, read, expected=expected, missing=self.missing)
        return rows.repeated(frequencies)

    def _commit(self, state: LearnedState, rows: Rows, began: float) -> None:
        """Take over what a call has learned; nothing can fail any more."""
        self._state = state
        if self.verbose:
            print(_report(state, rows, time.perf_counter() - began), file=sys.stderr)

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """Rewind the caller's generator if the call fails; the rest is replaced only on success."""
        if not isinstance(self.random_state, np.random.Generator):
            yield
            return
        bits = self.random_state.bit_generator
        drawn = bits.state
        try:
            yield
        except BaseException:
            bits.state = drawn
            raise

    # ------------------------------------------------------------------ what was learned

    def _view(self) -> tuple[LearnedState, Engine, Scaling]:
        """Return the state, engine and scaling to answer from.

        During the warm-up that is a model of the waiting rows, as if the warm-up ended with them;
        it is kept until the next row and the real state stays as it is.
        """
        state = self._state
        if state is None or state.n_learned == 0:
            raise self._not_fitted()
        if state.engine is not None and state.scaling is not None:
            return state, state.engine, state.scaling
        if self._preview is None or self._preview[0] is not state:
            n_jobs = resolve_n_jobs(self.n_jobs)
            warmed = warmed_up(state, state.waiting_X, state.waiting_y, n_jobs)
            assert warmed.engine is not None and warmed.scaling is not None
            self._preview = (state, warmed.engine, warmed.scaling)
        return self._preview

    def _read_designs(
        self, X: Any
    ) -> tuple[LearnedState, Engine, Scaling, FloatArray, FloatArray, NDArray[np.bool_] | None]:
        """Read rows to predict; returns their complete rows' designs and which rows those are."""
        state, engine, scaling = self._view()
        values, _, kept = read_features(X, expected=self._known(state), missing=self.missing)
        numbers = None if kept is None else np.flatnonzero(kept)
        expert, gate = state.designs(
            values if kept is None else values[kept],
            scaling,
            lambda i: f"row {i if numbers is None else numbers[i]}",
        )
        return state, engine, scaling, expert, gate, kept

    def _read_scored(
        self, X: Any, y: Any
    ) -> tuple[
        LearnedState,
        Engine,
        Scaling,
        FloatArray,
        FloatArray,
        FloatArray,
        NDArray[np.bool_] | None,
    ]:
        """Read rows with a target; of the complete ones designs and target, and which they are."""
        state, engine, scaling, expert, gate, kept = self._read_designs(X)
        n_rows = len(expert) if kept is None else len(kept)
        values, present = self._read_target(y, n_rows, state.target, scored=True)
        if present is not None:
            inside = present if kept is None else present[kept]
            same = gate is expert
            expert = np.ascontiguousarray(expert[inside])
            gate = expert if same else np.ascontiguousarray(gate[inside])
            kept = present if kept is None else kept & present
        return state, engine, scaling, expert, gate, values if kept is None else values[kept], kept

    def _begun(self) -> LearnedState:
        if self._state is None:
            raise self._not_fitted()
        return self._state

    def _not_fitted(self) -> NotFittedError:
        return not_fitted(
            f"this {type(self).__name__} has not learned a row yet; call fit or partial_fit first"
        )

    def __sklearn_is_fitted__(self) -> bool:
        return self._state is not None and self._state.n_learned > 0


def _report(state: LearnedState, rows: Rows, seconds: float) -> str:
    text = f"[hsmoe] {rows.n_given:,} rows in {seconds:.2f} s, {state.n_learned:,} learned"
    if state.engine is None:
        return text + f", warm-up of {state.n_warmup:,} rows"
    ess = float(np.sum(state.engine.ess))
    return text + f", log evidence {log_evidence(state):.2f}, ESS {ess:.1f}"
