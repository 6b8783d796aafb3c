"""Estimator parameters after scikit-learn's conventions, without scikit-learn."""

from __future__ import annotations

import inspect
from typing import Any, TypeVar

import numpy as np

__all__ = ["ParameterMixin", "same_value"]

Self = TypeVar("Self", bound="ParameterMixin")


def same_value(a: Any, b: Any) -> bool:
    """Return whether two parameter values are the same, arrays included."""
    if a is b:
        return True
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return type(a) is type(b) and np.array_equal(a, b)
    try:
        return bool(a == b)
    except (TypeError, ValueError):
        return False


class ParameterMixin:
    """get_params, set_params and repr of a class whose ``__init__`` only stores its arguments."""

    @classmethod
    def _parameter_defaults(cls) -> dict[str, Any]:
        signature = inspect.signature(cls.__init__)
        return {
            name: parameter.default
            for name, parameter in signature.parameters.items()
            if name != "self"
        }

    def _store(self, values: dict[str, Any]) -> None:
        """Keep the arguments of ``__init__``, its ``locals()``, as attributes."""
        for name in self._parameter_defaults():
            setattr(self, name, values[name])

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name.

        Parameters
        ----------
        deep : bool
            Accepted for scikit-learn; no parameter is itself an estimator.
        """
        return {name: getattr(self, name) for name in self._parameter_defaults()}

    def set_params(self: Self, **params: Any) -> Self:
        """Set parameters by name and return the estimator.

        Raises
        ------
        ValueError
            If there is no parameter of that name; nothing is set then.
        """
        known = self._parameter_defaults()
        for name in params:
            if name not in known:
                raise ValueError(
                    f"{type(self).__name__} has no parameter {name!r}; its parameters are "
                    f"{list(known)}"
                )
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        changed = [
            f"{name}={getattr(self, name)!r}"
            for name, default in self._parameter_defaults().items()
            if not same_value(getattr(self, name), default)
        ]
        return f"{type(self).__name__}({', '.join(changed)})"
