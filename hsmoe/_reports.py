"""What a model says of itself: rows, evidence, particles, routing, the number of experts."""

from __future__ import annotations

import numbers
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ._core_protocol import FloatArray
from ._gate_report import GateInclusion
from ._islands import IslandsDisagreeWarning, disagreement, evidence_error
from ._learning import log_evidence, scatter
from ._state import resolve_n_jobs
from ._summary import summarise

__all__ = ["ReportsMixin"]


class ReportsMixin:
    """Attributes and reports of a model that has a state."""

    if TYPE_CHECKING:
        n_jobs: Any
        _begun: Any
        _view: Any
        _read_designs: Any

    @property
    def n_features_in_(self) -> int:
        """Number of columns of X."""
        return self._begun().n_features

    @property
    def feature_names_in_(self) -> NDArray[Any]:
        """Column names of X, if it came as a data frame with text names."""
        names = self._begun().names
        if names is None:
            raise AttributeError(
                f"this {type(self).__name__} has no feature_names_in_: X had no column names"
            )
        return np.array(names, dtype=object)

    @property
    def n_rows_seen_(self) -> int:
        """Number of rows given so far: learned, waiting in the warm-up, or skipped."""
        state = self._begun()
        return state.n_learned + state.n_skipped

    @property
    def n_rows_skipped_(self) -> int:
        """Number of rows skipped because a value was missing (``missing="skip"``)."""
        return self._begun().n_skipped

    @property
    def log_evidence_(self) -> float:
        """Log evidence of the rows so far, in nats, for y in its own units.

        The mean over islands of their evidences.  The standardisation is taken as given.  Under
        variational inference it is prequential: the evidence of a member is the sum of the log
        densities of its forecasts, each made before its row was learned, and neither a bound nor an
        unbiased estimate of the marginal likelihood.
        """
        state, engine, scaling = self._view()
        return log_evidence(replace(state, engine=engine, scaling=scaling))

    @property
    def log_evidence_se_(self) -> float:
        """Monte Carlo standard error of ``log_evidence_`` from the spread between islands.

        By the delta method, ``sd(Z_r) / (sqrt(R) mean(Z_r))``; NaN for a single island, and once
        the first rows are no longer retained with ``forgetting="auto"``: islands that forgot
        at different rates are no replicates, nor are the members of variational inference, whose
        error is not one of Monte Carlo.  Warns with :class:`IslandsDisagreeWarning` if the
        islands are further apart than this number says.
        """
        error, warning = self._evidence_error()
        if warning:
            warnings.warn(warning, IslandsDisagreeWarning, stacklevel=2)
        return error

    def _evidence_error(self) -> tuple[float, str | None]:
        """Return the standard error of the log evidence, and what to say if it is too small."""
        state, engine, _ = self._view()
        if not state.settings.replicates(engine.n_rows):
            return float("nan"), None
        island = np.asarray(engine.island_log_evidence)
        error = evidence_error(island)
        return error, disagreement(island, error)

    @property
    def ess_(self) -> float:
        """Effective sample size of the particles now, summed over islands."""
        _, engine, _ = self._view()
        return float(np.sum(engine.ess))

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the particles and the rows they may still revise take.

        Examples
        --------
        >>> import numpy as np, hsmoe
        >>> X = np.linspace(-1, 1, 60)[:, None]
        >>> small, large = (
        ...     hsmoe.HSMoERegressor(2, n, 1, random_state=0).fit(X, np.abs(X[:, 0])).nbytes
        ...     for n in (1000, 2000)
        ... )
        >>> 1.8 < large / small < 2.0
        True
        """
        _, engine, _ = self._view()
        return int(engine.nbytes)

    @property
    def resampling_log_(self) -> dict[str, NDArray[Any]]:
        """The last 5,000 resamplings: arrays ``row``, ``island``, ``ess`` and ``unique``.

        ``row`` counts learned rows from 0; ``unique`` is the number of distinct ancestors.
        """
        _, engine, _ = self._view()
        return dict(engine.resampling_log())

    @property
    def scan_log_(self) -> dict[str, NDArray[Any]]:
        """The last 5,000 rejuvenations of islands: what each scanned, and why.

        Arrays ``row`` (learned rows from 0) and ``island``; ``n_scans``, the Gibbs scans;
        ``n_rows``, how many retained rows they visited in all; ``forced``, true where so many rows
        had gathered that a scan was due, false where it followed a resampling.

        Examples
        --------
        >>> import numpy as np, hsmoe
        >>> X = np.linspace(-1, 1, 100)[:, None]
        >>> model = hsmoe.HSMoERegressor(2, 20, 1, retain=20, ess_threshold=0, random_state=0)
        >>> log = model.fit(X, np.abs(X[:, 0])).scan_log_
        >>> log["row"].tolist(), bool(log["forced"].all())
        ([79, 99], True)
        """
        _, engine, _ = self._view()
        return dict(engine.scan_log())

    def predict_expert_proba(
        self, X: Any, return_std: bool = False
    ) -> FloatArray | tuple[FloatArray, FloatArray]:
        """Return how likely each expert is to be in charge of a row, before its y is known.

        Parameters
        ----------
        X : array_like or data frame, shape (n, d)
            Features, in raw units.
        return_std : bool
            Return the posterior standard deviation of these probabilities too.

        Returns
        -------
        mean : ndarray, shape (n, n_experts)
            Posterior mean of the routing probabilities; rows sum to one.
        std : ndarray, shape (n, n_experts)
            Only if ``return_std``.
        """
        _, engine, _, _, gate, kept = self._read_designs(X)
        mean, std = engine.gate_proba(gate, resolve_n_jobs(self.n_jobs))
        if return_std:
            return scatter(mean, kept), scatter(std, kept)
        return scatter(mean, kept)

    def n_experts_posterior(self) -> FloatArray:
        """Return how probable each number of experts is, those open at the next row.

        Returns
        -------
        ndarray, shape (n_experts,)
            Probabilities of 1, 2, ... experts, pooled over the islands by their shares in a
            forecast.  They say something with ``n_experts=ChangingExperts(most)``, and have
            ``most`` entries then; else the number is known.

        Notes
        -----
        Open is not in use.  The first expert never closes, so a stream that has left its first
        regime for good counts one more than it needs; :meth:`active_experts` counts those that
        rows go to.

        Examples
        --------
        >>> import numpy as np, hsmoe
        >>> rng = np.random.default_rng(0)
        >>> X = rng.uniform(-1, 1, size=(400, 1))
        >>> y = np.where(X[:, 0] > 0, 3.0, 0.0) + 0.1 * rng.normal(size=400)
        >>> experts = hsmoe.ChangingExperts(most=3)
        >>> model = hsmoe.HSMoERegressor(experts, 32, 2, random_state=0).fit(X, y)
        >>> model.n_experts_posterior().shape, 1 + int(np.argmax(model.n_experts_posterior()))
        ((3,), 2)
        """
        _, engine, _ = self._view()
        return np.asarray(engine.n_experts_posterior())

    def active_experts(self, X: Any, mass: float = 0.99) -> int:
        """Return how many experts are in use: the most probable number that carries ``mass``.

        Parameters
        ----------
        X : array_like or data frame, shape (n, d)
            Rows to average the routing over.
        mass : float
            Share of the routing, between 0 and 1, that the counted experts must carry together.

        Returns
        -------
        int
            Between 1 and the number of experts.
        """
        if not isinstance(mass, numbers.Real) or not 0.0 < mass <= 1.0:
            raise ValueError(f"mass is {mass!r}; it must be a number above 0 and at most 1")
        _, engine, _, _, gate, _ = self._read_designs(X)
        if len(gate) == 0:
            raise ValueError("every row of X has a missing value; pass at least one complete row")
        return 1 + int(np.argmax(engine.active_experts(gate, mass, resolve_n_jobs(self.n_jobs))))

    def gate_inclusion(self) -> GateInclusion:
        """Return how much each gate coefficient escapes shrinkage, by split and feature.

        Returns
        -------
        GateInclusion
            Posterior means of one minus the shrinkage factor: near 0 for a coefficient that is
            shrunk away, near 1 for one that the data hold up.
        """
        state, engine, _ = self._view()
        gate_names = ("intercept", *(state.labels[j] for j in state.columns("gate")))
        return GateInclusion(
            values=np.asarray(engine.gate_inclusion()),
            splits=tuple(state.settings.gate.split_labels()),
            features=gate_names,
        )

    def summary(self) -> str:
        """Return a text about the model: settings, rows, evidence, experts, gate.

        Coefficients and noise are those of the heaviest particle, in the units of the data.
        """
        state, engine, scaling = self._view()
        return summarise(
            repr(self), state, engine, scaling, self.log_evidence_, *self._evidence_error()
        )
