"""A labelled table of gate coefficients' inclusion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ._core_protocol import FloatArray

if TYPE_CHECKING:
    import pandas

__all__ = ["GateInclusion"]


@dataclass(frozen=True, eq=False)
class GateInclusion:
    """Posterior inclusion of each gate coefficient.

    Attributes
    ----------
    values : ndarray, shape (n_splits, 1 + n_gate_features)
        One minus the posterior mean shrinkage factor: 0 shrunk away, 1 not shrunk.  NaN where the
        prior does not shrink, as for the intercepts in column 0.
    splits : tuple of str
        What each row tells apart: experts on the left ``|`` experts on the right.  Under a softmax
        or Laplace node, with a row for each child: kind, its experts, all experts of the node.
    features : tuple of str
        Names of the columns, ``"intercept"`` first.

    Examples
    --------
    The first of two features decides:

    >>> import numpy as np, hsmoe
    >>> X = np.random.default_rng(0).uniform(-1, 1, size=(400, 2))
    >>> y = np.where(X[:, 0] > 0, 2.0, -2.0) + X[:, 1] ** 2
    >>> report = hsmoe.HSMoERegressor(2, 32, 1, random_state=1).fit(X, y).gate_inclusion()
    >>> report.splits, report.features
    (('0 | 1',), ('intercept', 'x0', 'x1'))
    >>> report.strongest(0, count=1)[0][0]
    'x0'
    >>> report.to_pandas().shape
    (1, 3)
    """

    values: FloatArray
    splits: tuple[str, ...]
    features: tuple[str, ...]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return np.array(self.values, dtype=dtype, copy=copy)

    def __len__(self) -> int:
        return len(self.splits)

    def strongest(self, split: int, count: int = 3) -> list[tuple[str, float]]:
        """Return the ``count`` features that a split depends on most, with their inclusion."""
        row = self.values[split]
        order = [j for j in np.argsort(-row, kind="stable") if not np.isnan(row[j])]
        return [(self.features[j], float(row[j])) for j in order[:count]]

    def to_pandas(self) -> pandas.DataFrame:
        """Return the table with splits as index and features as columns (needs pandas)."""
        import pandas as pd

        return pd.DataFrame(self.values, index=list(self.splits), columns=list(self.features))

    def __repr__(self) -> str:
        if not self.splits:
            return "<GateInclusion: one expert, no split>"
        left = max(len("split"), *(len(split) for split in self.splits))
        widths = [max(6, len(name)) for name in self.features]
        lines = [
            " ".join(
                [f"{'split':<{left}}"]
                + [f"{name:>{w}}" for name, w in zip(self.features, widths, strict=True)]
            )
        ]
        for split, row in zip(self.splits, self.values, strict=True):
            cells = ["-" if np.isnan(value) else f"{value:.3f}" for value in row]
            lines.append(
                " ".join(
                    [f"{split:<{left}}"]
                    + [f"{cell:>{w}}" for cell, w in zip(cells, widths, strict=True)]
                )
            )
        return "\n".join(lines)
