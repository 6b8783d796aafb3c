"""What scikit-learn (1.7 or newer) asks of an estimator, without importing it first.

An estimator does not inherit from ``sklearn.base.BaseEstimator``, for hsmoe works without
scikit-learn.  The protocols are methods: scikit-learn calls them, so it is there when they import
it.  Errors and warnings that it knows by their class are of its class once it was imported, since
nobody can ask for them before.
"""

from __future__ import annotations

import copy
import inspect
import sys
from typing import Any, ClassVar, TypeVar

from ._errors import NotFittedError

__all__ = ["MetadataRequests", "SklearnMixin", "column_vector_warning", "not_fitted"]

Self = TypeVar("Self", bound="SklearnMixin")

# Of the methods that scikit-learn routes metadata to, those that estimators here have.
_ROUTED = ("fit", "partial_fit", "predict", "predict_proba", "predict_log_proba", "score")
_DATA = {"self", "X", "y"}


def _exceptions() -> Any:
    """Return ``sklearn.exceptions`` if the program has imported scikit-learn, else None."""
    return sys.modules.get("sklearn.exceptions")


_not_fitted_class: type[NotFittedError] | None = None


def not_fitted(message: str) -> NotFittedError:
    """Return a NotFittedError, which scikit-learn also knows as its own if it is in use."""
    global _not_fitted_class
    theirs = _exceptions()
    if theirs is None:
        return NotFittedError(message)
    if _not_fitted_class is None:
        _not_fitted_class = type(
            "NotFittedError",
            (NotFittedError, theirs.NotFittedError),
            # A class that is made here: pickle, which joblib uses, finds it by this function.
            {"__reduce__": lambda self: (not_fitted, (str(self),)), "__module__": __name__},
        )
    return _not_fitted_class(message)


def column_vector_warning() -> type[Warning]:
    """Return the class of the warning about a y of one column."""
    theirs = _exceptions()
    return UserWarning if theirs is None else theirs.DataConversionWarning


class MetadataRequests(dict[str, dict[str, Any]]):
    """What a user asked scikit-learn to route: method, parameter, request."""

    def __sklearn_clone__(self) -> MetadataRequests:
        return copy.deepcopy(self)


class SklearnMixin:
    """Tags and metadata routing of scikit-learn."""

    _kind: ClassVar[str]  # of the target
    _metadata_request: MetadataRequests  # only if the user made a request; clone looks for it

    def __sklearn_tags__(self: Any) -> Any:
        """Tell scikit-learn, which alone calls this, what kind of estimator this is."""
        from sklearn.utils import ClassifierTags, InputTags, RegressorTags, Tags, TargetTags

        classes = self._kind == "class"
        return Tags(
            estimator_type="classifier" if classes else "regressor",
            target_tags=TargetTags(required=True, positive_only=self._kind == "count"),
            transformer_tags=None,
            classifier_tags=ClassifierTags() if classes else None,
            regressor_tags=None if classes else RegressorTags(),
            input_tags=InputTags(allow_nan=self.missing == "skip"),
        )

    def get_metadata_routing(self) -> Any:
        """Return what metadata the methods take and were requested to take (scikit-learn's call).

        Returns
        -------
        sklearn.utils.metadata_routing.MetadataRequest
        """
        from sklearn.utils.metadata_routing import MetadataRequest

        routing = MetadataRequest(owner=type(self).__name__)
        for method in _ROUTED:
            made = self._requests_made().get(method, {})
            for name in self._metadata_of(method):
                getattr(routing, method).add_request(param=name, alias=made.get(name))
        return routing

    def set_fit_request(self: Self, **requests: bool | str | None) -> Self:
        """Say whether scikit-learn's meta-estimators pass ``sample_weight`` on to ``fit``.

        Parameters
        ----------
        **requests
            For each metadata parameter of the method: True, pass it; False, do not; None, raise an
            error if it is given; a string, pass what the user gave by that name.

        Returns
        -------
        self

        Raises
        ------
        RuntimeError
            If metadata routing is not enabled (``sklearn.set_config``).
        TypeError
            If the method has no such parameter.

        Examples
        --------
        >>> import numpy as np, hsmoe, sklearn
        >>> from sklearn.model_selection import cross_validate
        >>> X = np.linspace(-1, 1, 30)[:, None]
        >>> model = hsmoe.HSMoERegressor(2, 10, 1, random_state=0)
        >>> with sklearn.config_context(enable_metadata_routing=True):
        ...     weighted = model.set_fit_request(sample_weight=True)
        ...     weighted = weighted.set_partial_fit_request(sample_weight=True)
        ...     weighted = weighted.set_predict_request(return_std=False)
        ...     weighted = weighted.set_score_request(sample_weight=False)
        ...     weights = {"sample_weight": np.repeat([1, 2], 15)}
        ...     scores = cross_validate(weighted, X, X[:, 0], params=weights)["test_score"]
        >>> scores.shape
        (5,)
        """
        return self._request("fit", requests)

    def set_partial_fit_request(self: Self, **requests: bool | str | None) -> Self:
        """Say the same of ``partial_fit``; see :meth:`set_fit_request`."""
        return self._request("partial_fit", requests)

    def set_predict_request(self: Self, **requests: bool | str | None) -> Self:
        """Say the same of ``predict``; see :meth:`set_fit_request`."""
        return self._request("predict", requests)

    def set_score_request(self: Self, **requests: bool | str | None) -> Self:
        """Say the same of ``score``; see :meth:`set_fit_request`."""
        return self._request("score", requests)

    def _requests_made(self) -> MetadataRequests:
        made: MetadataRequests | None = vars(self).get("_metadata_request")
        return MetadataRequests() if made is None else made

    def _metadata_of(self, method: str) -> list[str]:
        """Return the parameters of a method that are not its data."""
        function = getattr(type(self), method, None)
        if function is None:
            return []
        return sorted(set(inspect.signature(function).parameters) - _DATA)

    def _request(self: Self, method: str, requests: dict[str, Any]) -> Self:
        from sklearn import get_config

        if not get_config()["enable_metadata_routing"]:
            raise RuntimeError(
                f"set_{method}_request needs metadata routing; enable it with "
                "sklearn.set_config(enable_metadata_routing=True)"
            )
        known = self._metadata_of(method)
        unknown = sorted(set(requests) - set(known))
        if unknown:
            raise TypeError(
                f"{type(self).__name__}.{method} has no metadata {unknown}; it takes {known}"
            )
        made = copy.deepcopy(self._requests_made())
        made.setdefault(method, {}).update(requests)
        self._metadata_request = made
        return self
