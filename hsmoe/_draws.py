"""Draws from the posterior that the particles of an engine stand for, experts matched or not.

Particles are resampled to equal weights; what each integrates out, coefficients and noise, the
engine draws given its statistics.  All is in standardised units.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._core_protocol import Engine, FloatArray, IntArray, SeedArray
from ._matching import classification, match_experts
from .resampling import systematic

__all__ = ["Draws", "StandardRows", "choose_draws", "retained_rows"]

# Experts are matched on at most this many rows, evenly spaced, and fewer where draws are many.
_MATCH_ROWS = 256
_MATCH_NUMBERS = 2**24


@dataclass(frozen=True)
class StandardRows:
    """Rows as the engine takes them: designs with a leading 1, standardised target."""

    expert: FloatArray  # (n, 1 + m)
    gate: FloatArray  # (n, 1 + m)
    target: FloatArray  # (n,)

    def __len__(self) -> int:
        return len(self.target)

    def some(self, most: int) -> StandardRows:
        """Return at most ``most`` of the rows, evenly spaced."""
        chosen = np.linspace(0, len(self) - 1, min(len(self), most))
        chosen = np.unique(chosen.round().astype(np.int64))
        arrays = (self.expert, self.gate, self.target)
        return StandardRows(*(np.ascontiguousarray(a[chosen]) for a in arrays))


def retained_rows(engine: Engine) -> StandardRows:
    """Return the rows that an engine still holds."""
    stored = engine.get_state()
    xy = np.asarray(stored["retained_xy"])
    return StandardRows(xy[:, :-1], np.asarray(stored["retained_u"]), xy[:, -1])


@dataclass(frozen=True)
class Draws:
    """Which particles were drawn, with the seeds of what they integrate out."""

    engine: Engine
    particles: IntArray  # (M,)
    seeds: SeedArray  # (M + 1, 4); the first for the heaviest particle, the reference
    heaviest: int
    order: IntArray  # (M, K): which expert of each draw takes which number
    share: FloatArray  # (islands,)
    n_chains: int
    n_jobs: int

    def at(
        self, X: FloatArray, U: FloatArray, y: FloatArray | None, reference: bool = False
    ) -> dict[str, Any]:
        """Return the draws and their terms at rows; the heaviest particle's in front if asked."""
        if not reference:
            return self.engine.draw(self.particles, self.seeds[1:], X, U, y, self.n_jobs)
        particles = np.concatenate([[self.heaviest], self.particles])
        return self.engine.draw(particles, self.seeds, X, U, y, self.n_jobs)

    def by_expert(self, values: Any, axis: int = 1) -> FloatArray:
        """Return values with their experts, on ``axis``, in the order that was matched."""
        order = self.order
        index = order.reshape(len(order), *(1,) * (axis - 1), -1)
        index = index.reshape(*index.shape, *(1,) * (values.ndim - index.ndim))
        taken: FloatArray = np.take_along_axis(np.asarray(values), index, axis=axis)
        return taken

    def chains(self, values: Any) -> NDArray[Any]:
        """Return values with the draws of a chain on an axis of their own."""
        array = np.asarray(values)
        return array.reshape(self.n_chains, -1, *array.shape[1:])


def choose_draws(
    engine: Engine,
    n_experts: int,
    rng: np.random.Generator,
    *,
    n_draws: int | None,
    by_island: bool,
    match: bool,
    more_rows: StandardRows | None,
    n_jobs: int,
) -> Draws:
    """Choose draws; match their experts on the retained rows, and on ``more_rows``, if asked."""
    # An island's share may be too small for a number, so its own weights are kept apart.
    inside = np.exp(np.asarray(engine.log_weight()))  # (islands, particles)
    share = np.exp(np.asarray(engine.log_share()))  # (islands,)
    n_particles = inside.shape[1]
    weights = inside * share[:, None]
    clouds = list(inside) if by_island else [weights.ravel()]
    per_chain = len(clouds[0]) if n_draws is None else n_draws
    # In random order: any part of the draws stands for the whole.
    chosen = np.concatenate(
        [
            chain * n_particles + rng.permutation(systematic(cloud, per_chain, rng))
            for chain, cloud in enumerate(clouds)
        ]
    )
    seeds = rng.integers(1, 2**64 - 1, size=(len(chosen) + 1, 4), dtype=np.uint64)
    order = np.tile(np.arange(n_experts), (len(chosen), 1))
    heaviest = int(np.argmax(weights))
    draws = Draws(engine, chosen, seeds, heaviest, order, share, len(clouds), n_jobs)
    if not match or n_experts == 1:
        return draws
    matched = _order_of_experts(draws, n_experts, more_rows)
    return Draws(engine, chosen, seeds, heaviest, matched, share, len(clouds), n_jobs)


def _order_of_experts(draws: Draws, n_experts: int, more_rows: StandardRows | None) -> IntArray:
    """Return which expert of each draw takes which number of the heaviest particle."""
    rows = retained_rows(draws.engine)
    if more_rows is not None:
        rows = StandardRows(
            np.concatenate([rows.expert, more_rows.expert]),
            np.concatenate([rows.gate, more_rows.gate]),
            np.concatenate([rows.target, more_rows.target]),
        )
    if len(rows) == 0:
        raise ValueError(
            "there are no rows to match the experts on, as retain=0 keeps none; pass X and y, or "
            "match=False"
        )
    n_draws = len(draws.particles) + 1
    some = rows.some(min(_MATCH_ROWS, max(32, _MATCH_NUMBERS // (n_draws * n_experts))))
    terms = draws.at(some.expert, some.gate, some.target, reference=True)
    return match_experts(classification(terms["log_gate"], terms["log_density"]))[1:]
