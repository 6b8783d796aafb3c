"""Mixture of experts for a real target."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ._base import OnlineMixture
from ._checks import check_integer, check_number, check_probs
from ._core_protocol import Engine, FloatArray, IntArray
from ._drawn_mixtures import draw_mixtures
from ._learning import scatter
from ._predictive import PredictiveMixture, predictive_mixture
from ._scaling import Scaling
from ._scores import r2_score, read_score_weights
from ._seeding import draw_seed
from ._state import resolve_n_jobs
from ._targets import RealTarget, Target
from .mixtures import KnownMixture

__all__ = ["HSMoERegressor"]


class HSMoERegressor(OnlineMixture):
    """Bayesian mixture of linear experts for a real target, learned online.

    ``p(y | x) = sum_k g_k(x) N(y; x'beta_k, s2_k)``: a gate ``g``, by default a binary tree of
    logistic splits, routes a row to one of ``n_experts`` linear regressions.  Gate, coefficients
    and noise are learned together, row by row, by particle learning; predictions are mixtures over
    the particles.  With many experts or features ``inference="variational"`` is cheaper.

    Parameters
    ----------
    n_experts : int or ChangingExperts
        Number of experts K; 1 is Bayesian linear regression with unknown noise.  Experts that the
        data do not ask for stay nearly empty.  ``ChangingExperts(most)``: experts open and close
        along the stream, and ``n_experts_posterior()`` says how many there are.
    n_particles : int
        Particles of each island.  More particles: less Monte Carlo error, more time.  The first
        rows decide most: an island has seven times as many, or 896 if that is less (but never
        fewer than ``n_particles``), for the first ``2 * retain`` rows, but for at least 1,000 and
        at most 4,000; for the first 1,000 with ``retain=None``, and not with ``retain=0``.
    n_islands : int
        Independent populations; their spread is the Monte Carlo error of the evidence.  One island
        of few particles is fast, but now and then one ends in a poor arrangement of the experts.
    gate : {"comb", "balanced", "softmax", "laplace"}, nested lists of int, or tuple
        Which experts each split tells apart: ``"balanced"`` (halving), ``"comb"`` (stick breaking;
        dearer for many experts), or nested lists of expert numbers, ``[[0, 1], [2, 3]]``.
        ``"softmax"``: ``g_k`` proportional to ``exp(u'phi_k)``; ``"laplace"``: to
        ``exp(b_k - |u - c_k|)``, the distance in standardised features.  Hierarchies of any shape:
        ``(kind, children)``, a child being an expert number, such a pair, or nested lists, as in
        ``("softmax", [0, ("laplace", [1, 2])])``; ``("softmax", "laplace", [2, 3])`` is a softmax
        over Laplace nodes of two and three experts.  Softmax and Laplace nodes learn in scans of
        the retained rows and need ``retain`` above 0 or None.
    gate_prior : {"horseshoe", "group-horseshoe", "normal", "horseshoe-paper"} or prior object
        Prior of the gate coefficients.  A Laplace node has normal biases and centres: the latter
        with the slab of a horseshoe, or the scale of a normal prior, as standard deviation.
    expert : {"gaussian", "student", "laplace"} or expert object
        What an expert is: the law of its errors.
    gate_features, expert_features : list of str or int, optional
        Columns the gate and the experts see; all by default.  ``[]`` leaves the intercepts alone:
        ``expert_features=[]`` makes each expert a constant, ``gate_features=[]`` the routing.
    ess_threshold : float
        Resample when the effective sample size falls below this share of the particles.
    retain : int or None
        Rows that stay open to revision, and up to as many more.  Whenever the particles are
        resampled, Gibbs scans over these rows draw their allocations anew; what is older lives on
        in sufficient statistics.  For the first 2,000 rows (``4 * retain`` if fewer,
        ``2 * retain`` if more) all stay open, and whole experts are moved too: two may exchange
        their places in the gate, and a Gaussian one that has little to do may become the twin of
        another (under logistic splits with no more than 128 coefficients in all).
        None: all rows, the most exact, with cost and memory that grow; 0: never revise, plain
        particle learning, fast, with answers that depend on the seed.
    forgetting : float or "auto"
        Share of the statistics of older rows kept from a row to the next, for streams that drift:
        1 forgets nothing, 0.999 about what is 1,000 rows past the retained ones.  ``"auto"``: the
        islands take the rates 0.999, 0.99, 1 and 0.995 in turn and, once rows were forgotten, are
        pooled by their recent evidence; ``log_evidence_`` is then the sum of the pooled log
        forecasts, and has no standard error.  Where all rows are retained, or none, there is
        nothing to forget.
    n_warmup : int or "auto"
        Number of first rows that fix the standardisation.  ``"auto"``: all rows of ``fit``; in
        ``partial_fit`` and ``prequential`` ten a feature, but at least 50 and at most 1000.
    standardize : bool
        Standardise features and target by the warm-up rows.  Every output is in the original
        units either way.  If False there is no warm-up, and the priors are in raw units.
    inference : {"particles", "variational"} or Variational
        How the posterior is found.  ``"variational"``: streaming variational Bayes with the same
        model, priors and methods, for sizes where particles are too dear.  Each island is then one
        member, a single mean-field posterior, and a row costs ``O(K d^2)`` a member, or ``O(K d)``
        with ``Variational(covariance="diagonal")``.  Forecasts are somewhat worse (see
        docs/variational.md), and there is no Monte Carlo error to report.  ``n_particles`` and
        ``ess_threshold`` have no meaning then; ``retain`` and ``forgetting`` mean the same, but
        that the first rows freeze when there are ``2 * retain`` whatever ``retain`` is.  Of the
        experts of this class it takes ``"gaussian"`` alone.
    missing : {"raise", "skip"}
        What to do with NaN: refuse the call, or leave such rows out (predictions of such rows are
        NaN).  Infinite values are always refused.
    n_jobs : int
        Threads; -1 for all processors, or as many as ``OMP_NUM_THREADS`` allows if it is set (in
        joblib's workers it is their share).  The results are the same bits for any number.
    random_state : None, int, SeedSequence or Generator
        Seed of the particles' random streams, read when the first row is learned.
    verbose : int
        If positive, report each learning call in one line on the standard error stream.

    Attributes
    ----------
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of str
        Their names, if X was a data frame.
    n_rows_seen_, n_rows_skipped_ : int
        Rows given so far, and those among them that were skipped.
    log_evidence_, log_evidence_se_ : float
        Log evidence of the rows so far, and its Monte Carlo standard error.
    ess_ : float
        Effective sample size of the particles.
    resampling_log_, scan_log_ : dict
        When and how the particles were resampled, and rejuvenated: the last 5,000 times.

    References
    ----------
    Carvalho, Johannes, Lopes & Polson (2010), Particle learning and smoothing.
    Polson, Scott & Windle (2013), Bayesian inference for logistic models using Polya-Gamma latent
    variables.
    arXiv 2601.09043, Horseshoe mixtures of experts.

    Examples
    --------
    Two regimes, told apart by the sign of x (one small island, to be quick):

    >>> import numpy as np, hsmoe
    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(-2, 2, size=(500, 1))
    >>> y = np.where(X[:, 0] > 0, 3 * X[:, 0], -X[:, 0]) + 0.1 * rng.normal(size=500)
    >>> model = hsmoe.HSMoERegressor(2, n_particles=64, n_islands=1, random_state=1).fit(X, y)
    >>> new, came = [[-1.0], [1.0]], [1.1, 2.9]
    >>> model.predict(new).round().tolist()
    [1.0, 3.0]
    >>> model.predict_interval(new, coverage=0.9).shape, model.predict_quantiles(new, 0.5).shape
    ((2, 2), (2, 1))
    >>> bool((model.predict_cdf(new, came) < 1).all()), model.sample_y(new, 10).shape
    (True, (2, 10))
    >>> bool(model.log_density(new, came).sum() > 0), bool(model.crps(new, came).max() < 0.2)
    (True, True)

    What it has learned:

    >>> model.n_rows_seen_, model.n_rows_skipped_, model.n_features_in_, model.active_experts(X)
    (500, 0, 1, 2)
    >>> model.predict_expert_proba(new).round(1).sum(axis=0).tolist()
    [1.0, 1.0]
    >>> bool(model.log_evidence_ > 0), model.log_evidence_se_, bool(model.ess_ <= 7 * 64)
    (True, nan, True)
    >>> model.summary().splitlines()[1], model.gate_inclusion().splits
    ('  rows          500 learned, the first 500 of them fixed the standardisation', ('0 | 1',))
    >>> list(model.resampling_log_)
    ['row', 'island', 'ess', 'unique']

    A copy goes on learning:

    >>> copy = hsmoe.HSMoERegressor.from_bytes(model.to_bytes())
    >>> copy.set_params(n_jobs=2).partial_fit(new, came).n_rows_seen_
    502
    >>> copy.get_params()["n_experts"], copy.to_bytes() == model.to_bytes()
    (2, False)

    Columns of a data frame keep their names:

    >>> import pandas as pd
    >>> copy.fit(pd.DataFrame({"metres": X[:50, 0]}), y[:50]).feature_names_in_.tolist()
    ['metres']
    """

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
        missing: Any = "raise",
        n_jobs: Any = 1,
        random_state: Any = None,
        verbose: Any = 0,
    ) -> None:
        self._store(locals())

    def _new_target(self, y: Any, frequencies: IntArray | None = None) -> Target:
        return RealTarget()

    def predict(
        self, X: Any, return_std: bool = False
    ) -> FloatArray | tuple[FloatArray, FloatArray]:
        """Return the mean of the predictive mixture.

        Parameters
        ----------
        X : array_like or data frame, shape (n, d)
            Features, in raw units.
        return_std : bool
            Return the predictive standard deviation too (noise included).

        Returns
        -------
        mean : ndarray, shape (n,)
            In units of y.
        std : ndarray, shape (n,)
            Only if ``return_std``; infinite where the variance does not exist.

        Raises
        ------
        NotFittedError
            If no row was learned.
        ValueError
            If X cannot be used.
        """
        _, engine, scaling, expert, gate, kept = self._read_designs(X)
        mean, variance = engine.moments(expert, gate, resolve_n_jobs(self.n_jobs))
        located = scatter(scaling.location(mean), kept)
        if return_std:
            return located, scatter(scaling.spread(np.sqrt(variance)), kept)
        return located

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the coefficient of determination R^2 of :meth:`predict`; higher is better.

        What scikit-learn's searches compare by default.  It looks at the mean alone;
        ``log_density`` and ``crps`` judge the whole forecast.

        Parameters
        ----------
        X : array_like or data frame, shape (n, d)
            Features, in raw units.
        y : array_like, shape (n,)
            What was observed.
        sample_weight : array_like, shape (n,), optional
            Weights of the rows in the score, any numbers from 0 on.

        Returns
        -------
        float
            At most 1; rows left out as incomplete (``missing="skip"``) do not count.
        """
        predicted = np.asarray(self.predict(X))
        observed, _ = self._read_target(y, len(predicted), self._begun().target)
        weights = read_score_weights(sample_weight, len(predicted))
        known = ~(np.isnan(predicted) | np.isnan(observed))
        return r2_score(observed[known], predicted[known], weights[known])

    def predict_quantiles(self, X: Any, probs: ArrayLike) -> FloatArray:
        """Return quantiles of the predictive mixture.

        Parameters
        ----------
        X : array_like or data frame, shape (n, d)
            Features, in raw units.
        probs : float or array_like, shape (q,)
            Probabilities between 0 and 1, neither included.

        Returns
        -------
        ndarray, shape (n, q)
            In units of y.
        """
        levels = check_probs(probs)
        _, engine, scaling, expert, gate, kept = self._read_designs(X)
        quantiles = engine.quantiles(expert, gate, levels, resolve_n_jobs(self.n_jobs))
        return scatter(scaling.location(quantiles), kept)

    def predict_interval(self, X: Any, coverage: float = 0.9) -> FloatArray:
        """Return equal-tailed predictive intervals.

        Parameters
        ----------
        X : array_like or data frame, shape (n, d)
            Features, in raw units.
        coverage : float
            Probability that y lies inside, between 0 and 1.

        Returns
        -------
        ndarray, shape (n, 2)
            Lower and upper ends, in units of y.
        """
        coverage = check_number("coverage", coverage, 0.0, 1.0)
        tail = 0.5 * (1.0 - coverage)
        return self.predict_quantiles(X, [tail, 1.0 - tail])

    def predict_cdf(self, X: Any, y: Any) -> FloatArray:
        """Return the predictive probability of a value up to ``y``, shape (n,).

        Parameters
        ----------
        X : array_like or data frame, shape (n, d)
            Features, in raw units.
        y : array_like, shape (n,)
            Where to evaluate, in units of y.
        """
        engine, _, arguments, kept = self._scored(X, y)
        return scatter(engine.cdf(*arguments), kept)

    def log_density(self, X: Any, y: Any) -> FloatArray:
        """Return the log predictive density at ``y`` per unit of y, in nats, shape (n,).

        Parameters
        ----------
        X : array_like or data frame, shape (n, d)
            Features, in raw units.
        y : array_like, shape (n,)
            Where to evaluate, in units of y.
        """
        engine, scaling, arguments, kept = self._scored(X, y)
        return scatter(scaling.log_density(engine.log_density(*arguments)), kept)

    def crps(self, X: Any, y: Any) -> FloatArray:
        """Return the continuous ranked probability score at ``y``, shape (n,); lower is better.

        Parameters
        ----------
        X : array_like or data frame, shape (n, d)
            Features, in raw units.
        y : array_like, shape (n,)
            What was observed, in units of y.

        References
        ----------
        Gneiting & Raftery (2007), Strictly proper scoring rules, prediction, and estimation.
        """
        engine, scaling, arguments, kept = self._scored(X, y)
        return scatter(scaling.spread(engine.crps(*arguments)), kept)

    def sample_y(self, X: Any, n_samples: int = 1, random_state: Any = None) -> FloatArray:
        """Draw from the predictive mixture.

        Parameters
        ----------
        X : array_like or data frame, shape (n, d)
            Features, in raw units.
        n_samples : int
            Draws for each row.
        random_state : None, int, SeedSequence or Generator
            Seed of these draws; the model's own streams are not touched.

        Returns
        -------
        ndarray, shape (n, n_samples)
            In units of y.
        """
        count = check_integer("n_samples", n_samples, 1)
        _, engine, scaling, expert, gate, kept = self._read_designs(X)
        seed = draw_seed(random_state)
        return scatter(scaling.location(engine.sample(expert, gate, count, seed)), kept)

    def _predict_mixture(self, X: Any) -> PredictiveMixture:
        """Return the forecasts of rows as a value that outlives what the model learns later."""
        state, engine, scaling, expert, gate, kept = self._read_designs(X)
        if kept is not None and not kept.all():
            raise ValueError(f"X: row {int(np.argmin(kept))} is incomplete; drop it")
        return predictive_mixture(state, engine, scaling, expert, gate, resolve_n_jobs(self.n_jobs))

    def draw_mixtures(self, n_draws: int, random_state: Any = 0) -> list[KnownMixture]:
        """Draw mixtures with known parameters from the posterior, in the units of the data.

        What the losses of :mod:`hsmoe.losses` compare with a truth.  Experts are numbered as the
        particles hold them.

        Parameters
        ----------
        n_draws : int
        random_state : None, int, SeedSequence or Generator
            Seed of these draws; the model's own streams are not touched.

        Returns
        -------
        list of SoftmaxMixture or TreeMixture
            As the gate is.  Of experts that open and close (:class:`ChangingExperts`) a draw has
            those that are open at the next row.

        Raises
        ------
        ValueError
            If the gate has Laplace nodes or is a hierarchy of softmax nodes, or the experts are not
            Gaussian.

        Examples
        --------
        >>> import numpy as np, hsmoe
        >>> X = np.linspace(0, 1, 200)[:, None]
        >>> y = np.where(X[:, 0] > 0.5, 3.0, -3.0)
        >>> model = hsmoe.HSMoERegressor(2, 16, 1, gate="softmax", random_state=1).fit(X, y)
        >>> model.draw_mixtures(1)[0].gate_slopes.shape
        (2, 1)
        """
        state, engine, scaling = self._view()
        return draw_mixtures(
            state,
            engine,
            scaling,
            n_draws=check_integer("n_draws", n_draws, 1),
            random_state=random_state,
            n_jobs=resolve_n_jobs(self.n_jobs),
        )

    def _scored(
        self, X: Any, y: Any
    ) -> tuple[
        Engine, Scaling, tuple[FloatArray, FloatArray, FloatArray, int], np.ndarray[Any, Any] | None
    ]:
        """Read rows with a target to score; returns what the engine's scores take."""
        _, engine, scaling, expert, gate, values, kept = self._read_scored(X, y)
        numbers = None if kept is None else np.flatnonzero(kept)
        target = scaling.target(values, lambda i: f"row {i if numbers is None else numbers[i]}")
        return engine, scaling, (expert, gate, target, resolve_n_jobs(self.n_jobs)), kept
