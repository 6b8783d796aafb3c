"""Exceptions of the Python layer."""

from __future__ import annotations

__all__ = ["CheckpointError", "NotFittedError", "ObjectEntryError"]


class NotFittedError(ValueError, AttributeError):
    """A model was asked for something before it learned its first row.

    Examples
    --------
    >>> import hsmoe
    >>> try:
    ...     hsmoe.HSMoERegressor().predict([[0.0]])
    ... except hsmoe.NotFittedError as error:
    ...     print(str(error)[:46])
    this HSMoERegressor has not learned a row yet;
    """


class ObjectEntryError(ValueError, TypeError):
    """An array of objects holds something that is no number.

    Like any input that cannot be used a ValueError; also the TypeError that ``float`` raises.
    """


class CheckpointError(ValueError):
    """A model file cannot be read: truncated, damaged, foreign, or from a newer version.

    Examples
    --------
    >>> import hsmoe
    >>> try:
    ...     hsmoe.HSMoERegressor.from_bytes(b"something else")
    ... except hsmoe.CheckpointError:
    ...     print("refused")
    refused
    """
