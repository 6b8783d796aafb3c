"""Packages that only some functions need."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["scipy_part"]


def scipy_part(name: str, what: str) -> Any:
    """Return ``scipy.<name>``, or say that ``what`` needs it."""
    try:
        return importlib.import_module(f"scipy.{name}")
    except ModuleNotFoundError as error:
        raise ImportError(f"{what} needs scipy; install it with: pip install scipy") from error
