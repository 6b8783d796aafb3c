"""Exceptions of the Python layer."""

from __future__ import annotations

__all__ = ["CheckpointError", "NotFittedError"]


class NotFittedError(ValueError, AttributeError):
    """A model was asked for something before it learned its first row."""


class CheckpointError(ValueError):
    """A model file cannot be read: truncated, damaged, foreign, or from a newer version."""
