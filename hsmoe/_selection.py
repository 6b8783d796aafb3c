"""How many experts: models side by side over the same rows, compared by their evidence."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ._base import OnlineMixture
from ._checks import check_integer
from ._core_protocol import FloatArray, IntArray
from ._islands import IslandsDisagreeWarning
from ._learning import advance, begin
from ._seeding import seed_sequence
from ._state import resolve_n_jobs
from ._validation import Rows

if TYPE_CHECKING:
    import pandas

__all__ = ["ExpertSelection", "select_n_experts"]

# The Monte Carlo error is taken that many times along the rows.
_STATIONS = 50


@dataclass(frozen=True, eq=False)
class ExpertSelection:
    """Evidence for several numbers of experts, along the rows.

    Attributes
    ----------
    candidates : tuple of int
        Numbers of experts K, ascending.
    models : dict from int to estimator
        The model of each K, having learned all rows.
    path : ndarray, shape (n, n_candidates)
        Log evidence of the rows so far, in nats; NaN at rows of the warm-up and at skipped ones.
    stations : ndarray, shape (m,)
        Numbers of rows given after which the Monte Carlo error was taken.
    path_se : ndarray, shape (m, n_candidates)
        Standard error of the log evidence there, from the spread of the islands; NaN where the
        islands are no replicates (one island; ``forgetting="auto"`` once rows are forgotten).
    log_evidence, log_evidence_se : ndarray, shape (n_candidates,)
        After all rows.
    log_prior : ndarray, shape (n_candidates,)
        Log prior probability of each K.
    disagreements : dict from int to str
        For each K whose islands disagree by more than the standard error says, how.

    Examples
    --------
    >>> import numpy as np, hsmoe
    >>> X = np.linspace(-1, 1, 200)[:, None]
    >>> model = hsmoe.HSMoERegressor(n_particles=16, n_islands=2, random_state=0)
    >>> selection = hsmoe.select_n_experts(model, X, np.abs(X[:, 0]), [1, 2])
    >>> selection.best, selection.posterior.round(3).tolist()
    (2, [0.0, 1.0])
    >>> selection.posterior_path.shape, selection.posterior_se.shape
    ((200, 2), (2,))
    >>> selection.log_bayes_factor_se(2, 1).shape == selection.stations.shape
    True
    >>> list(selection.table()) == ["n_experts", *selection.to_pandas().columns]
    True
    """

    candidates: tuple[int, ...]
    models: dict[int, Any]
    path: FloatArray
    stations: IntArray
    path_se: FloatArray
    log_evidence: FloatArray
    log_evidence_se: FloatArray
    log_prior: FloatArray
    disagreements: dict[int, str]

    @property
    def best(self) -> int:
        """The most probable K."""
        return self.candidates[int(np.argmax(self.posterior))]

    @property
    def posterior(self) -> FloatArray:
        """Posterior probability of each K after all rows, shape (n_candidates,)."""
        return _probabilities(self.log_evidence + self.log_prior)

    @property
    def posterior_path(self) -> FloatArray:
        """The same after each row, shape (n, n_candidates); NaN where the evidence is."""
        return _probabilities(self.path + self.log_prior)

    @property
    def posterior_se(self) -> FloatArray:
        """Monte Carlo standard error of ``posterior``, shape (n_candidates,).

        By the delta method, the errors of different K being independent:
        ``dp_k / dlogZ_j = p_k (1[j = k] - p_j)``.
        """
        p, variance = self.posterior, self.log_evidence_se**2
        slope = p[:, None] * (np.eye(len(p)) - p[None, :])
        error: FloatArray = np.sqrt((slope**2 * variance).sum(axis=1))
        return error

    def log_bayes_factor(self, one: int, other: int) -> FloatArray:
        """Return the log Bayes factor of ``one`` number of experts against ``other``, by row.

        Returns
        -------
        ndarray, shape (n,)
            ``log Z_one - log Z_other`` of the rows so far, in nats.
        """
        difference: FloatArray = self.path[:, self._index(one)] - self.path[:, self._index(other)]
        return difference

    def log_bayes_factor_se(self, one: int, other: int) -> FloatArray:
        """Return the Monte Carlo standard error of the same at the stations, shape (m,)."""
        i, j = self._index(one), self._index(other)
        if i == j:
            return np.zeros(len(self.stations))
        return np.hypot(self.path_se[:, i], self.path_se[:, j])

    def table(self) -> dict[str, FloatArray | IntArray]:
        """Return the comparison after all rows, by column; a row for each candidate."""
        return {
            "n_experts": np.array(self.candidates, dtype=np.int64),
            "log_evidence": self.log_evidence,
            "log_evidence_se": self.log_evidence_se,
            "log_bayes_factor": self.log_evidence - self.log_evidence[self._index(self.best)],
            "posterior": self.posterior,
            "posterior_se": self.posterior_se,
        }

    def to_pandas(self) -> pandas.DataFrame:
        """Return :meth:`table` with ``n_experts`` as index (needs pandas)."""
        import pandas as pd

        return pd.DataFrame(self.table()).set_index("n_experts")

    def _index(self, n_experts: int) -> int:
        if n_experts not in self.candidates:
            raise ValueError(
                f"{n_experts!r} is not among the candidates {list(self.candidates)}; pass one of "
                "them"
            )
        return self.candidates.index(n_experts)

    def __repr__(self) -> str:
        lines = ["experts  log evidence     se  log Bayes factor  posterior     se"]
        table = self.table()
        for k, z, z_se, factor, p, p_se in zip(*table.values(), strict=True):
            lines.append(
                f"{k:7d}  {z:12.2f}  {_cell(z_se)}  {factor:16.2f}  {p:9.3f}  {_cell(p_se, 3)}"
            )
        lines += [f"WARNING {k} experts: {text}" for k, text in self.disagreements.items()]
        return "\n".join(lines)


def select_n_experts(
    estimator: OnlineMixture,
    X: Any,
    y: Any,
    candidates: Iterable[int],
    *,
    prior: Mapping[int, float] | None = None,
) -> ExpertSelection:
    """Compare numbers of experts by their evidence, in one pass over the rows.

    A copy of the estimator for each candidate learns the rows, side by side; all standardise by the
    same warm-up, so that their evidences speak of the same rows in the same units.

    Parameters
    ----------
    estimator : HSMoERegressor, HSMoEClassifier or HSMoECountRegressor
        Settings of the models; what it has learned is neither used nor changed.  ``gate`` must be
        one for any number of experts.
    X : array_like or data frame, shape (n, d)
        Features, in raw units.
    y : array_like, shape (n,)
        Target.
    candidates : iterable of int
        Numbers of experts, each at least 1.
    prior : mapping from int to float, optional
        Prior probability of each candidate, up to a common factor; equal by default.

    Returns
    -------
    ExpertSelection
        Evidence paths, Bayes factors, posterior probabilities and their Monte Carlo errors, and the
        models themselves.

    Raises
    ------
    ValueError
        If rows, parameters or candidates cannot be used.

    Warns
    -----
    IslandsDisagreeWarning
        If the islands of a model disagree by more than the standard error says.

    Notes
    -----
    The seeds of the candidates are independent children of ``random_state``, so the Monte Carlo
    errors of two evidences are independent too.  Where rows are forgotten, what is compared is
    the sum of the log forecasts of models that forget.

    Evidence weighs models, not clusters of rows: with regimes that are not linear more experts are
    a better model.  :func:`merge_experts` says how many of them differ.

    Examples
    --------
    >>> import numpy as np, hsmoe
    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(-2, 2, size=(300, 1))
    >>> y = np.where(X[:, 0] > 0, 3 * X[:, 0], -X[:, 0]) + 0.1 * rng.normal(size=300)
    >>> estimator = hsmoe.HSMoERegressor(n_particles=32, n_islands=2, random_state=1)
    >>> selection = hsmoe.select_n_experts(estimator, X, y, [1, 2])
    >>> selection.best, selection.path.shape
    (2, (300, 2))
    >>> bool(selection.log_bayes_factor(2, 1)[-1] > 100)
    True
    """
    if isinstance(candidates, str) or not isinstance(candidates, Iterable):
        raise ValueError(
            f"candidates is {candidates!r}; pass the numbers of experts to compare, say [1, 2, 3]"
        )
    numbers = sorted(check_integer("candidates", k, 1) for k in candidates)
    if not numbers:
        raise ValueError("candidates is empty; pass at least one number of experts")
    if len(set(numbers)) < len(numbers):
        raise ValueError(f"candidates names a number twice: {numbers}; pass each once")
    log_prior = _log_prior(prior, numbers)
    parameters = estimator.get_params()
    if not isinstance(parameters["gate"], str):
        raise ValueError(
            f"gate is {parameters['gate']!r}, which fits one number of experts only; pass one of "
            "the names, such as 'balanced'"
        )
    target = estimator._new_target(y)
    rows = estimator._read_rows(X, y, target, None)
    if len(rows.y) == 0:
        raise ValueError("every row of X or y has a missing value; pass at least one complete row")
    n, n_jobs = rows.n_given, resolve_n_jobs(parameters["n_jobs"])
    seeds = seed_sequence(parameters["random_state"])
    models = {k: type(estimator)(**_candidate(parameters, seeds, k)) for k in numbers}
    for model in models.values():
        model._state = begin(model.get_params(), target, rows)
    bounds = np.unique(np.linspace(0, n, min(n, _STATIONS) + 1).round().astype(np.int64))
    path, errors = np.full((n, len(numbers)), np.nan), []
    disagreements: dict[int, str] = {}
    for first, last in itertools.pairwise(bounds.tolist()):
        part, error = _part(rows, first, last), []
        for column, (k, model) in enumerate(models.items()):
            assert model._state is not None
            try:
                model._state, scores = advance(model._state, part, n_jobs, forecast=True)
            except (ValueError, ArithmeticError) as problem:
                problem.add_note(f"with {k} experts; the rows counted begin with row {first}")
                raise
            assert scores is not None
            path[first:last, column] = scores.log_evidence
            # A model in its warm-up would be made up just to be asked.
            ready = model._state.engine is not None or last == n
            error.append(_error(model, k, disagreements) if ready else math.nan)
        errors.append(error)
    for k, text in disagreements.items():
        warnings.warn(f"{k} experts: {text}", IslandsDisagreeWarning, stacklevel=2)
    return ExpertSelection(
        candidates=tuple(numbers),
        models=models,
        path=path,
        stations=bounds[1:],
        path_se=np.array(errors),
        log_evidence=np.array([model.log_evidence_ for model in models.values()]),
        log_evidence_se=np.array(errors[-1]),
        log_prior=log_prior,
        disagreements=disagreements,
    )


def _part(rows: Rows, first: int, last: int) -> Rows:
    """Return the rows given from ``first`` up to ``last``, of which some may be incomplete."""
    if rows.kept is None:
        return Rows(rows.X[first:last], rows.y[first:last], rows.names, None)
    start, stop = (int(rows.kept[:i].sum()) for i in (first, last))
    return Rows(rows.X[start:stop], rows.y[start:stop], rows.names, rows.kept[first:last])


def _candidate(parameters: Mapping[str, Any], seeds: Any, n_experts: int) -> dict[str, Any]:
    """Return the parameters of the model for a number of experts, with a seed of its own."""
    seed = np.random.SeedSequence(
        seeds.entropy, spawn_key=(*seeds.spawn_key, n_experts), pool_size=seeds.pool_size
    )
    return {**parameters, "n_experts": n_experts, "random_state": seed}


def _error(model: OnlineMixture, n_experts: int, disagreements: dict[int, str]) -> float:
    """Return the standard error of a model's log evidence; note what its islands disagree on."""
    error, text = model._evidence_error()
    disagreements.pop(n_experts, None)
    if text:
        disagreements[n_experts] = text
    return error


def _log_prior(prior: Mapping[int, float] | None, numbers: list[int]) -> FloatArray:
    if prior is None:
        return np.full(len(numbers), -math.log(len(numbers)))
    if set(prior) != set(numbers):
        raise ValueError(
            f"prior speaks of {sorted(prior)} and candidates are {numbers}; they must be the same"
        )
    weight = np.array([float(prior[k]) for k in numbers])
    if not (np.isfinite(weight).all() and (weight >= 0).all() and weight.sum() > 0):
        raise ValueError(
            f"prior is {dict(prior)!r}; its probabilities must be finite, not negative, and not "
            "all zero"
        )
    with np.errstate(divide="ignore"):
        log: FloatArray = np.log(weight / weight.sum())
    return log


def _probabilities(log: FloatArray) -> FloatArray:
    weight = np.exp(log - log.max(axis=-1, keepdims=True))
    probability: FloatArray = weight / weight.sum(axis=-1, keepdims=True)
    return probability


def _cell(value: float, digits: int = 2) -> str:
    return "     -" if math.isnan(value) else f"{value:6.{digits}f}"
