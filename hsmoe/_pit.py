"""Histograms of probability integral transforms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ._checks import check_integer
from ._core_protocol import FloatArray, IntArray

__all__ = ["PitHistogram", "binomial_interval"]


@dataclass(frozen=True, eq=False)
class PitHistogram:
    """Counts of probability integral transforms in equal bins, with what chance allows.

    A hump in the middle says that forecasts are too wide, a trough that they are too narrow, a
    slope that they are too low or too high.

    Attributes
    ----------
    counts : ndarray of int, shape (bins,)
        Rows in each bin; a value on an edge counts in the upper bin, 1 in the last.
    edges : ndarray, shape (bins + 1,)
        From 0 to 1.
    band : (int, int)
        Lowest and highest count of a single bin that chance allows, both included: an
        equal-tailed interval of the binomial distribution of n rows and probability ``1 / bins``.
    coverage : float
        Probability of the band, at least.

    Examples
    --------
    >>> import numpy as np, hsmoe
    >>> flat = hsmoe.PitHistogram.of(np.linspace(0.005, 0.995, 100), bins=5, coverage=0.95)
    >>> flat.n, flat.counts.tolist(), flat.band, flat.outside
    (100, [20, 20, 20, 20, 20], (12, 28), 0)
    """

    counts: IntArray
    edges: FloatArray
    band: tuple[int, int]
    coverage: float

    @classmethod
    def of(cls, pit: FloatArray, bins: int, coverage: float) -> PitHistogram:
        """Return the histogram of transforms ``pit`` (n,), NaN left out."""
        bins = check_integer("bins", bins, 1)
        if not 0.0 < coverage < 1.0:
            raise ValueError(f"coverage is {coverage!r}; it must lie between 0 and 1")
        known = pit[~np.isnan(pit)]
        counts, edges = np.histogram(known, bins=bins, range=(0.0, 1.0))
        band = binomial_interval(len(known), 1.0 / bins, coverage)
        return cls(counts.astype(np.int64), edges, band, float(coverage))

    @property
    def n(self) -> int:
        """Number of rows counted."""
        return int(self.counts.sum())

    @property
    def outside(self) -> int:
        """Number of bins whose count lies outside the band."""
        low, high = self.band
        return int(np.sum((self.counts < low) | (self.counts > high)))

    def __repr__(self) -> str:
        return (
            f"<PitHistogram of {self.n} rows: {self.outside} of {len(self.counts)} bins outside "
            f"the {100 * self.coverage:g}% band>"
        )


def binomial_interval(n: int, probability: float, coverage: float) -> tuple[int, int]:
    """Return the equal-tailed interval of a binomial count: its exact quantiles.

    Parameters
    ----------
    n : int
        Number of trials.
    probability : float
        Of success, above 0 and at most 1.
    coverage : float
        Between 0 and 1.

    Returns
    -------
    low, high : int
        The least k with P(count <= k) at least ``(1 - coverage) / 2``, and ``(1 + coverage) / 2``.
    """
    if probability >= 1.0 or n == 0:
        return n, n
    # From the ratios of neighbours, P(k + 1) / P(k) = (n - k) / (k + 1) * odds.
    k = np.arange(n)
    steps = np.log(n - k) - np.log(k + 1.0) + np.log(probability) - np.log1p(-probability)
    log_mass = np.concatenate([[0.0], np.cumsum(steps)])
    mass = np.exp(log_mass - log_mass.max())
    cumulative = np.cumsum(mass)
    tail = 0.5 * (1.0 - coverage)
    low, high = np.searchsorted(cumulative, np.array([tail, 1.0 - tail]) * cumulative[-1])
    return int(low), int(min(high, n))
