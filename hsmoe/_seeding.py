"""From ``random_state`` to the seeds of the engine's streams."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ._core_protocol import SeedArray

__all__ = ["engine_seeds", "seed_sequence", "seed_words"]


def seed_sequence(random_state: Any) -> np.random.SeedSequence:
    """Return the seed sequence a ``random_state`` stands for.

    An int or SeedSequence always gives the same one; a Generator is advanced by one draw; None
    takes fresh entropy from the operating system.
    """
    if random_state is None:
        return np.random.SeedSequence()
    if isinstance(random_state, np.random.SeedSequence):
        return random_state
    if isinstance(random_state, np.random.Generator):
        words = random_state.integers(0, 2**32, size=4, dtype=np.uint32)
        return np.random.SeedSequence([int(word) for word in words])
    try:
        if isinstance(random_state, bool | np.bool_):
            raise TypeError
        seed = operator.index(random_state)
        if seed < 0:
            raise TypeError
    except TypeError:
        raise ValueError(
            f"random_state is {random_state!r}; it must be None, a non-negative integer, a "
            "numpy.random.SeedSequence or a numpy.random.Generator"
        ) from None
    return np.random.SeedSequence(seed)


_DRAWS = 0x64726177  # the spawn key of draw_seed


def seed_words(sequence: np.random.SeedSequence, n_words: int) -> SeedArray:
    """Return ``n_words`` words of 64 bits."""
    return sequence.generate_state(n_words, np.uint64).astype(np.uint64, copy=False)


def draw_seed(random_state: Any) -> SeedArray:
    """Return four words for draws from a forecast; unlike any seed of an engine made from it."""
    sequence = seed_sequence(random_state)
    child = np.random.SeedSequence(
        sequence.entropy, spawn_key=(*sequence.spawn_key, _DRAWS), pool_size=sequence.pool_size
    )
    return seed_words(child, 4)


def engine_seeds(sequence: np.random.SeedSequence, n_islands: int, n_particles: int) -> SeedArray:
    """Return one seed of four words for each particle slot and each island."""
    n_streams = n_islands * (n_particles + 1)
    return seed_words(sequence, 4 * n_streams).reshape(n_streams, 4)
