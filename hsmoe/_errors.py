"""Exceptions of the Python layer."""

from __future__ import annotations

__all__ = ["CheckpointError", "NotFittedError", "ObjectEntryError"]


class NotFittedError(ValueError, AttributeError):
    """A model was asked for something before it learned its first row."""


class ObjectEntryError(ValueError, TypeError):
    """An array of objects holds something that is no number.

    Like any input that cannot be used a ValueError; also the TypeError that ``float`` raises.
    """


class CheckpointError(ValueError):
    """A model file cannot be read: truncated, damaged, foreign, or from a newer version."""
