"""What every estimator does to hand its posterior to other packages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._arviz import GivenRows, as_inference_data, import_arviz, posterior_draws
from ._checks import check_integer
from ._state import resolve_n_jobs
from ._validation import read_features

__all__ = ["PosteriorExportMixin"]


class PosteriorExportMixin:
    """Draws from the posterior for ArviZ."""

    if TYPE_CHECKING:
        missing: Any
        n_jobs: Any
        _view: Any
        _known: Any
        _read_designs: Any
        _read_scored: Any
        _read_target: Any

        @property
        def log_evidence_(self) -> float: ...

    def to_arviz(
        self,
        X: Any = None,
        y: Any = None,
        *,
        n_draws: int | None = None,
        by_island: bool = False,
        match: bool = True,
        random_state: Any = 0,
    ) -> Any:
        """Return draws from the posterior for ArviZ (needs arviz and scipy, extra ``arviz``).

        Particles are resampled to equal weights, and what each integrates out, coefficients and
        noise, is drawn given its statistics.  The model and its random streams stay as they are.

        All draws stand in one chain, in random order, with each island in it by its share of the
        evidence: averages over them are those of the model's own forecasts.  ``by_island=True``
        makes each island a chain instead, with equally weighted draws of that island alone: R-hat
        then compares independent runs, and averages over chains give the islands equal weights
        rather than those in ``constant_data["island_weight"]``.  Draws of particles are no Markov
        chain, so ArviZ's effective sample size does not apply to them; see ``ess_``.

        Experts are numbered as the heaviest particle does, as in :meth:`summary`.  The numbers of
        other draws are matched to these on the retained rows (and on X, y if given) by the rows
        that the experts are in charge of (Stephens 2000), which permutes ``beta``, ``noise_sd``,
        ``expert_weight``, ``open`` and ``expert_proba``.  Splits of a tree cannot be permuted like
        experts: ``phi`` and its scales are as particles hold them.  ``match=False`` leaves all
        numbers so; forecasts depend on no numbers.

        Parameters
        ----------
        X : array_like or data frame, shape (n, d), optional
            Rows to show the draws at, in raw units.
        y : array_like, shape (n,), optional
            Their target.
        n_draws : int, optional
            Draws of a chain; as many as there are particles in it by default.
        by_island : bool
            One chain an island, rather than one of all.
        match : bool
            Match the experts' numbers.
        random_state : None, int, SeedSequence or Generator
            Seed of these draws.  By default the same model gives the same draws.

        Returns
        -------
        arviz.InferenceData (ArviZ 0.x) or xarray.DataTree (ArviZ 1.x)
            Groups, each variable with dimensions (chain, draw) before those named here:

            - ``posterior``: ``beta`` (expert, feature), in units of y per unit of x (for counts, of
              the logarithm of the mean, of binomial ones of the log odds of a success; for classes
              (expert, class, feature), of the log odds of a class among those up to it, the first
              left out); ``noise_sd`` (expert), in units of
              y, and ``df`` or ``dispersion`` (expert), where the law has them; ``expert_weight``
              (expert), the share of the rows learned; ``open`` (expert), with
              ``ChangingExperts``: whether it is at the
              next row; ``phi`` (split, gate_feature), on standardised features the logit of going
              left at a split, the score of a child of a softmax, the offset and the centre of a
              child of a Laplace node; ``local_scale`` (split, shrunk_feature) and ``tau``, the
              scales of their prior, if it has any.
            - ``sample_stats``: ``island`` and ``particle`` of a draw, and whether its experts were
              ``relabelled``.
            - ``constant_data``: ``island_weight`` (island_number), and ``X`` (row, column).
            - with X, ``posterior_predictive``: ``y`` (row), one draw a row, and ``expert_proba``
              (row, expert), the routing probabilities, n_draws * n * n_experts numbers.
            - with y, ``observed_data``: ``y`` (row); ``log_likelihood``: ``y`` (row), the log
              density given the drawn parameters, per unit of y, in nats.

            Of classes ``y`` is the number in ``classes_``, which stands in the attributes of
            ``posterior``.  Rows left out as incomplete (``missing="skip"``) are absent; ``row``
            numbers the others.

        Raises
        ------
        ImportError
            If arviz or scipy is not installed.
        NotFittedError
            If no row was learned.
        ValueError
            If X or y cannot be used, or there are no rows to match the experts on: with
            ``retain=0`` pass X and y, or ``match=False``.

        References
        ----------
        Stephens (2000), Dealing with label switching in mixture models.

        Examples
        --------
        >>> import numpy as np, hsmoe
        >>> rng = np.random.default_rng(0)
        >>> X = rng.uniform(-2, 2, size=(300, 1))
        >>> y = np.where(X[:, 0] > 0, 3 * X[:, 0], -X[:, 0]) + 0.1 * rng.normal(size=300)
        >>> model = hsmoe.HSMoERegressor(n_experts=2, n_particles=50, random_state=1).fit(X, y)
        >>> draws = model.to_arviz()
        >>> draws["posterior"]["beta"].dims
        ('chain', 'draw', 'expert', 'feature')
        >>> slopes = draws["posterior"]["beta"].sel(feature="x0").mean(("chain", "draw"))
        >>> sorted(slopes.values.round().tolist())
        [-1.0, 3.0]
        """
        arviz = import_arviz()
        if y is not None and X is None:
            raise ValueError("y was given without X; pass the rows X that it belongs to")
        count = None if n_draws is None else check_integer("n_draws", n_draws, 1)
        state, engine, scaling = self._view()
        exported = posterior_draws(
            state,
            engine,
            scaling,
            None if X is None else self._given_rows(X, y),
            n_draws=count,
            by_island=bool(by_island),
            match=bool(match),
            random_state=random_state,
            n_jobs=resolve_n_jobs(self.n_jobs),
            attrs={
                "settings": repr(self),
                "n_rows": engine.n_rows,
                "log_evidence": self.log_evidence_,
            },
        )
        return as_inference_data(arviz, exported)

    def _given_rows(self, X: Any, y: Any) -> GivenRows:
        """Read rows to show draws at; the complete ones are left."""
        state, _, _ = self._view()
        raw, _, _ = read_features(X, expected=self._known(state), missing=self.missing)
        values = target = None
        if y is None:
            _, _, _, expert, gate, kept = self._read_designs(X)
        else:
            _, _, scaling, expert, gate, values, kept = self._read_scored(X, y)
            numbers = np.arange(len(raw)) if kept is None else np.flatnonzero(kept)
            target = scaling.target(values, lambda i: f"row {numbers[i]}")
        inside = np.ones(len(raw), dtype=bool) if kept is None else kept
        return GivenRows(raw[inside], values, np.flatnonzero(inside), expert, gate, target)
