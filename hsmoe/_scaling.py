"""Standardisation by the warm-up rows, frozen afterwards and undone in every output.

The engine sees ``(x - centre) / scale``.  With ``y = centre_y + scale_y t`` and ``t`` what the
engine speaks of: means and quantiles are mapped back, standard deviations and CRPS multiplied by
``scale_y``, densities divided by it, the log evidence of ``n`` rows lessened by ``n log scale_y``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ._core_protocol import FloatArray, IntArray

__all__ = ["Scaling", "centre_and_scale"]


def centre_and_scale(column: FloatArray) -> tuple[float, float]:
    """Return the centre and the scale of one column of warm-up rows.

    Parameters
    ----------
    column : ndarray, shape (n,)
        Finite values, n >= 1.

    Returns
    -------
    centre, scale : float
        A constant column is centred at its value and has ``scale = |value|``, but at least 1:
        nothing is known about how it varies.  A column of two values has half their distance as
        scale, so that a rare dummy variable does not blow up when it comes true.  Any other
        column has its mean and standard deviation.
    """
    low, high = float(column.min()), float(column.max())
    if low == high:
        return low, max(abs(low), 1.0)
    # Powers of two scale exactly: means and squares neither overflow nor underflow.
    exponent = math.frexp(max(abs(low), abs(high)))[1]
    unit = np.ldexp(np.ascontiguousarray(column), -exponent)
    mean = float(unit.mean())
    if bool(((column == low) | (column == high)).all()):
        scale = 0.5 * (math.ldexp(high, -exponent) - math.ldexp(low, -exponent))
    else:
        scale = math.sqrt(float(np.mean((unit - mean) ** 2)))
    smallest = np.finfo(np.float64).smallest_normal
    return math.ldexp(mean, exponent), max(math.ldexp(scale, exponent), smallest)


# Standardised values beyond this are refused: squares, and sums of them, must stay finite.
_FARTHEST = 1e60


@dataclass(frozen=True)
class Scaling:
    """Centres and scales of the features and of the target.

    Classes and counts are not scaled, but their linear predictors have an ``offset``.
    """

    x_centre: FloatArray  # (d,)
    x_scale: FloatArray  # (d,)
    y_centre: float
    y_scale: float
    offset: FloatArray = field(default_factory=lambda: np.empty(0))  # one a predictor; empty: 0

    @classmethod
    def from_rows(cls, X: FloatArray, y: FloatArray) -> Scaling:
        """Return the scaling that the rows ``X`` (n, d), ``y`` (n,) determine."""
        pairs = [centre_and_scale(X[:, j]) for j in range(X.shape[1])]
        y_centre, y_scale = centre_and_scale(y)
        return cls(
            np.array([centre for centre, _ in pairs]),
            np.array([scale for _, scale in pairs]),
            y_centre,
            y_scale,
        )

    @classmethod
    def of_features(cls, X: FloatArray, offset: FloatArray) -> Scaling:
        """Return the scaling of the features that ``X`` (n, d) determines, with an offset."""
        features = cls.from_rows(X, np.zeros(1))
        return cls(features.x_centre, features.x_scale, 0.0, 1.0, offset)

    @classmethod
    def identity(cls, n_features: int) -> Scaling:
        """Return the scaling that changes nothing."""
        return cls(np.zeros(n_features), np.ones(n_features), 0.0, 1.0)

    @property
    def log_y_scale(self) -> float:
        return math.log(self.y_scale)

    def features(
        self, X: FloatArray, names: Sequence[str], describe_row: Callable[[int], str]
    ) -> FloatArray:
        """Return ``X`` (n, d) in standard units.

        Parameters
        ----------
        X : ndarray, shape (n, d)
        names : sequence of str
            Column names, for messages.
        describe_row : callable
            From a row of ``X`` to what a message should call it.

        Raises
        ------
        ValueError
            If a value lies so far out that quadratic forms of it would overflow.
        """
        with np.errstate(over="ignore"):
            standard = (X - self.x_centre) / self.x_scale
        inside = np.abs(standard) <= _FARTHEST
        if not inside.all():
            row, j = (int(i) for i in np.argwhere(~inside)[0])
            raise ValueError(
                f"X: {describe_row(row)}, column {names[j]!r} is {X[row, j]:g}, too far from "
                f"the warm-up rows (centre {self.x_centre[j]:g}, scale {self.x_scale[j]:g}) to be "
                "represented; check the value, or use a longer n_warmup"
            )
        return standard

    def target(self, y: FloatArray, describe_row: Callable[[int], str]) -> FloatArray:
        """Return ``y`` (n,) in standard units; raises ValueError as :meth:`features` does."""
        with np.errstate(over="ignore"):
            standard = (y - self.y_centre) / self.y_scale
        inside = np.abs(standard) <= _FARTHEST
        if not inside.all():
            row = int(np.argmin(inside))
            raise ValueError(
                f"y: {describe_row(row)} is {y[row]:g}, too far from the warm-up rows "
                f"(centre {self.y_centre:g}, scale {self.y_scale:g}) to be represented; check "
                "the value, or use a longer n_warmup"
            )
        return standard

    def location(self, standard: FloatArray) -> FloatArray:
        """Return means, quantiles or draws of the target in its own units."""
        return self.y_centre + self.y_scale * standard

    def spread(self, standard: FloatArray) -> FloatArray:
        """Return standard deviations or CRPS in the units of the target."""
        return self.y_scale * standard

    def log_density(self, standard: FloatArray) -> FloatArray:
        """Return log densities per unit of the target."""
        return standard - self.log_y_scale

    def log_evidence(self, standard: FloatArray, n_rows: FloatArray | IntArray) -> FloatArray:
        """Return the log evidence of ``n_rows`` rows in the units of the target."""
        return standard - n_rows * self.log_y_scale

    def coefficients(self, standard: FloatArray, columns: IntArray) -> FloatArray:
        """Return regression coefficients (..., 1 + m), intercept first, in original units."""
        slopes = self.y_scale * (standard[..., 1:] / self.x_scale[columns])
        # (beta / scale) * centre would overflow where scale is tiny and beta is not.
        shift = (standard[..., 1:] * (self.x_centre / self.x_scale)[columns]).sum(axis=-1)
        intercept = self.y_centre + self.y_scale * (standard[..., 0] - shift)
        return np.concatenate([intercept[..., None], slopes], axis=-1)

    def predictors(self, standard: FloatArray, columns: IntArray) -> FloatArray:
        """Return coefficients (..., M (1 + m)) as (..., M, 1 + m), offsets in the intercepts."""
        apart = np.asarray(standard).reshape(*np.shape(standard)[:-1], -1, 1 + len(columns))
        original = self.coefficients(apart, columns)
        if self.offset.size:
            original[..., 0] += self.offset
        return original
