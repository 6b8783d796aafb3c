"""What the spread between islands says about the Monte Carlo error of the evidence."""

from __future__ import annotations

import numpy as np

from ._core_protocol import FloatArray

__all__ = ["IslandsDisagreeWarning", "disagreement", "evidence_error"]

# Islands disagree by more than the reported error if the standard deviation of their log evidences
# exceeds so many times the one that the error stands for.
_TOLERANCE = 2.0


class IslandsDisagreeWarning(UserWarning):
    """Islands found evidences further apart than the reported Monte Carlo error says.

    Examples
    --------
    Make it an error where an answer that depends on the seed must not pass:

    >>> import warnings, hsmoe
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", hsmoe.IslandsDisagreeWarning)
    ...     model = hsmoe.HSMoERegressor(1, 4, 2, random_state=0).fit([[0.0], [1.0]], [1.0, 2.0])
    ...     bool(model.log_evidence_se_ < 0.1)
    True
    """


def evidence_error(log_evidence: FloatArray) -> float:
    """Return the standard error of ``log mean_r Z_r``, from ``log Z_r``; NaN for one island.

    Delta method, ``sd(Z_r) / (sqrt(R) mean(Z_r))``: never above 1, which is what it is where one
    island outweighs all others.
    """
    if log_evidence.size < 2:
        return float("nan")
    evidence = np.exp(log_evidence - log_evidence.max())
    return float(evidence.std(ddof=1) / (np.sqrt(log_evidence.size) * evidence.mean()))


def disagreement(log_evidence: FloatArray, error: float) -> str | None:
    """Return a warning in words if the islands' log evidences belie their standard error."""
    if not np.isfinite(error):
        return None
    count = log_evidence.size
    spread = float(log_evidence.std(ddof=1))
    if spread <= _TOLERANCE * error * np.sqrt(count):
        return None
    shares = np.exp(log_evidence - log_evidence.max())
    largest = 100 * float(1 / shares.sum())
    return (
        f"the islands disagree by more than the reported error: their log evidences have a "
        f"standard deviation of {spread:.1f} nats, and one of the {count} islands holds "
        f"{largest:.0f}% of the weight, so the standard error of {error:.2f} is too small and "
        "the answer depends on the seed; raise n_particles or n_islands, or retain more rows"
    )
