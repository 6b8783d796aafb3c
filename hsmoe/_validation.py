"""Reading what users pass: arrays, data frames and lists into float64, or a clear refusal.

Every message names the argument, the row (counted from 0 within the call) and column, the value,
and what to do.  pandas and polars are recognised only if the caller has imported them already.
"""

from __future__ import annotations

import numbers
import operator
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._core_protocol import FloatArray, IntArray
from ._errors import ObjectEntryError
from ._sklearn import column_vector_warning

__all__ = [
    "BoolArray",
    "Known",
    "Rows",
    "column_names",
    "read_features",
    "read_labels",
    "read_rows",
    "read_target",
    "select_columns",
]

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Known:
    """What earlier calls had, for a model called ``owner``."""

    names: tuple[str, ...] | None
    n_features: int
    owner: str


@dataclass(frozen=True)
class Rows:
    """Validated rows of one call.

    ``X`` (m, d) and ``y`` (m,) hold the complete rows only; ``kept`` (n,) says which of the call's
    rows they are, or is None if they are all.  Rows of a frequency other than 1 are repeated;
    ``origin`` (m,) then holds the row of the call that each is.
    """

    X: FloatArray
    y: FloatArray
    names: tuple[str, ...] | None
    kept: BoolArray | None
    origin: IntArray | None = None

    @property
    def n_given(self) -> int:
        return len(self.y) if self.kept is None else len(self.kept)

    @property
    def n_skipped(self) -> int:
        return self.n_given - len(self.y)

    @property
    def numbers(self) -> IntArray | None:
        """Which rows of the call the complete ones are; None if they are all, in order."""
        if self.origin is not None or self.kept is None:
            return self.origin
        return np.flatnonzero(self.kept)

    def repeated(self, frequencies: IntArray | None) -> Rows:
        """Return the rows, each of the call's rows as often as ``frequencies`` (n,) says."""
        if frequencies is None:
            return self
        kept = np.ones(len(frequencies), dtype=bool) if self.kept is None else self.kept
        often = frequencies[kept]
        return replace(
            self,
            X=np.repeat(self.X, often, axis=0),
            y=np.repeat(self.y, often),
            kept=None if self.kept is None else np.repeat(self.kept, frequencies),
            origin=np.repeat(np.flatnonzero(kept), often),
        )


def column_names(names: Sequence[str] | None, n_features: int) -> tuple[str, ...]:
    """Return the names used in messages and reports: the given ones, or ``x0, x1, ...``."""
    return tuple(names) if names is not None else tuple(f"x{j}" for j in range(n_features))


def _library(name: str) -> Any:
    """Return an imported library, or None: nothing can be its object before it is imported."""
    return sys.modules.get(name)


def _refuse_dtype(what: str, dtype: Any) -> ValueError:
    if getattr(dtype, "kind", "") == "c":
        return ValueError(
            f"Complex data not supported: {what} has dtype {dtype}; pass real and imaginary parts "
            "as columns of their own"
        )
    return ValueError(
        f"{what} has dtype {dtype}, which is not a real number type; convert it to numbers first "
        "(categories, for example, to 0/1 columns)"
    )


def _as_float(array: NDArray[Any], what: str) -> FloatArray:
    if array.dtype.kind not in "fiub":
        raise _refuse_dtype(what, array.dtype)
    with np.errstate(over="ignore"):  # a long double beyond float64 is reported as infinite
        values = np.asarray(array, dtype=np.float64)
    if isinstance(array, np.ma.MaskedArray):
        values = np.ma.filled(np.ma.masked_array(values, array.mask), np.nan)
    return np.asarray(values, order="C")  # ascontiguousarray would give a scalar a dimension


def _check_entries(array: NDArray[Any], what: str) -> None:
    """Refuse an array of objects unless all of them are real numbers."""
    for place, entry in enumerate(array.ravel()):
        if not isinstance(entry, numbers.Real | np.bool_):
            row = place * len(array) // array.size if array.ndim else 0
            raise ObjectEntryError(
                f"{what} has dtype object, and row {row} holds {entry!r}, a "
                f"{type(entry).__name__}; the argument must be of real numbers: convert strings "
                f"and categories to numbers first, for example with {what}.astype(float)"
            )


def _from_array_like(data: Any, what: str) -> FloatArray:
    if data is None and what == "y":
        raise ValueError(
            "learning and scoring requires y to be passed, but the target y is None; pass one "
            "value for each row"
        )
    if hasattr(data, "toarray") and hasattr(data, "nnz"):
        raise ValueError(f"{what} is a sparse matrix; pass {what}.toarray() instead")
    if isinstance(data, str | bytes | dict | set) or data is None:
        raise ValueError(f"{what} is a {type(data).__name__}; pass an array or a data frame")
    try:
        array = np.asanyarray(data)
    except ValueError as error:
        raise ValueError(
            f"{what} cannot be read as an array ({error}); every row must have the same length"
        ) from None
    if array.dtype == object:
        array = _numbers(array, what)
    return _as_float(array, what)


def _numbers(array: NDArray[Any], what: str) -> FloatArray:
    """Return an array of objects, all of them real numbers, as floats."""
    if isinstance(array, np.ma.MaskedArray):
        raise ValueError(f"{what} is masked and has dtype object; convert it to numbers first")
    _check_entries(array, what)
    try:
        return array.astype(np.float64)
    except OverflowError as error:
        raise ValueError(f"{what} holds a number beyond the range of float64 ({error})") from None


def _frame_names(names: Sequence[Any], what: str) -> tuple[str, ...] | None:
    texts = [isinstance(name, str) for name in names]
    if not any(texts):
        return None
    if not all(texts):
        wrong = next(name for name in names if not isinstance(name, str))
        raise ValueError(
            f"{what} has text column names and also {wrong!r}; make all column names strings"
        )
    if len(set(names)) < len(names):
        twice = next(name for name in names if list(names).count(name) > 1)
        raise ValueError(f"{what} has two columns named {twice!r}; give each its own name")
    return tuple(names)


def _from_frame(data: Any, what: str) -> tuple[FloatArray, tuple[str, ...] | None] | None:
    """Read a pandas or polars data frame; None for anything else."""
    pandas, polars = _library("pandas"), _library("polars")
    if pandas is not None and isinstance(data, pandas.DataFrame):
        names = _frame_names(list(data.columns), what)
        for name, dtype in zip(data.columns, data.dtypes, strict=True):
            if pandas.api.types.is_object_dtype(dtype):
                continue
            if not pandas.api.types.is_any_real_numeric_dtype(
                dtype
            ) and not pandas.api.types.is_bool_dtype(dtype):
                raise _refuse_dtype(f"{what}: column {name!r}", dtype)
        for j, dtype in enumerate(data.dtypes):
            if pandas.api.types.is_object_dtype(dtype):
                _numbers(data.iloc[:, j].to_numpy(), f"{what}: column {data.columns[j]!r}")
        values = data.to_numpy(dtype=np.float64, na_value=np.nan)
        return np.ascontiguousarray(values), names
    if polars is not None:
        if isinstance(data, polars.LazyFrame):
            raise ValueError(f"{what} is a polars LazyFrame; pass {what}.collect() instead")
        if isinstance(data, polars.DataFrame):
            for name, dtype in data.schema.items():
                if not (dtype.is_numeric() or dtype == polars.Boolean):
                    raise _refuse_dtype(f"{what}: column {name!r}", dtype)
            values = data.cast(polars.Float64).to_numpy()
            return np.ascontiguousarray(values), _frame_names(data.columns, what)
    return None


def _from_series(data: Any, what: str) -> FloatArray | None:
    """Read a pandas or polars series; None for anything else."""
    for library in ("pandas", "polars"):
        module = _library(library)
        if module is not None and isinstance(data, module.Series):
            name = data.name if isinstance(data.name, str) else what
            frame = _from_frame(data.to_frame(name=name or what), what)
            assert frame is not None
            return np.ascontiguousarray(frame[0][:, 0])
    return None


def _check_missing(missing: Any) -> bool:
    """Return whether rows with missing values are to be skipped."""
    if missing not in ("raise", "skip"):
        raise ValueError(f"missing is {missing!r}; it must be 'raise' or 'skip'")
    return bool(missing == "skip")


def _check_names(given: tuple[str, ...] | None, n_given: int, known: Known) -> None:
    expected = known.names
    if n_given != known.n_features:
        raise ValueError(
            f"X has {n_given} features, but {known.owner} is expecting {known.n_features} features "
            "as input; pass the columns that the model was begun with, in the same order"
        )
    if given is None or expected is None or given == expected:
        return
    if set(given) == set(expected):
        j = next(j for j in range(n_given) if given[j] != expected[j])
        raise ValueError(
            f"X has the columns in another order than the model was begun with (column {j} is "
            f"{given[j]!r}, was {expected[j]!r}); pass X[list(model.feature_names_in_)]"
        )
    new = [name for name in given if name not in expected]
    gone = [name for name in expected if name not in given]
    raise ValueError(
        f"X has other column names than the model was begun with: unknown {new}, absent {gone}; "
        "rename or select the columns"
    )


def read_features(
    X: Any,
    *,
    expected: Known | None,
    missing: Any,
) -> tuple[FloatArray, tuple[str, ...] | None, BoolArray | None]:
    """Read a feature matrix.

    Parameters
    ----------
    X : array_like or data frame, shape (n, d)
    expected : Known or None
        What earlier calls had, or None if this is the first.
    missing : {"raise", "skip"}

    Returns
    -------
    values : ndarray, shape (n, d)
        May hold NaN if ``missing="skip"``.
    names : tuple of str or None
    complete : ndarray of bool, shape (n,), or None
        Rows without missing values; None if all are complete.
    """
    skip = _check_missing(missing)
    frame = _from_frame(X, "X")
    if frame is not None:
        values, names = frame
    else:
        series = _from_series(X, "X")
        values, names = (_from_array_like(X, "X") if series is None else series), None
    if values.ndim != 2:
        hint = {
            0: "for one row pass [[x1, x2, ...]]",
            1: "Reshape your data; for one row pass X.reshape(1, -1), for one column "
            "X.reshape(-1, 1)",
        }.get(values.ndim, "pass one row for each observation")
        raise ValueError(f"X has shape {values.shape}; it must have two dimensions: {hint}")
    if values.shape[0] == 0:
        raise ValueError(f"X has no rows (shape {values.shape}); pass at least one")
    if values.shape[1] == 0:
        raise ValueError(
            f"X has no columns: 0 feature(s) (shape={values.shape}) while a minimum of 1 is "
            "required."
        )
    if expected is not None:
        _check_names(names, values.shape[1], expected)
        labels = column_names(expected.names or names, expected.n_features)
    else:
        labels = column_names(names, values.shape[1])
    if np.isfinite(values).all():
        return values, names, None
    unusable: BoolArray = np.isinf(values) if skip else ~np.isfinite(values)
    if unusable.any():
        row, j = (int(i) for i in np.argwhere(unusable)[0])
        raise ValueError(
            f"X: row {row}, column {labels[j]!r} is {_show(values[row, j])}; "
            + _advice(values[row, j], int(np.count_nonzero(unusable.any(axis=1))))
        )
    return values, names, np.asarray(~np.isnan(values).any(axis=1))


def _show(value: float) -> str:
    return "missing (NaN)" if np.isnan(value) else str(float(value))


def _advice(value: float, n_rows: int) -> str:
    many = f" ({n_rows} rows are so)" if n_rows > 1 else ""
    if np.isnan(value):
        return f"fill it in, drop the row, or pass missing='skip'{many}"
    return f"values must be finite: correct it or drop the row{many}"


def read_target(
    y: Any,
    n_rows: int | None,
    *,
    missing: Any,
    what: str = "y",
    ignored: BoolArray | None = None,
) -> tuple[FloatArray, BoolArray | None]:
    """Read a real target of ``n_rows`` values; returns it and which values are present.

    Those of rows that are ``ignored`` may be anything; they become 0.
    """
    skip = _check_missing(missing)
    frame = _from_frame(y, what)
    if frame is not None:
        values = frame[0]
    else:
        series = _from_series(y, what)
        values = _from_array_like(y, what) if series is None else series
    if values.ndim == 2 and values.shape[1] == 1 and what == "y":
        values = np.ascontiguousarray(_only_column(values))
    if values.ndim != 1:
        raise ValueError(
            f"{what} has shape {values.shape}; it must have one dimension (one value a row)"
        )
    if n_rows is not None and len(values) != n_rows:
        raise ValueError(
            f"{what} has {len(values)} values, but X has {n_rows} rows; pass one value for each row"
        )
    if ignored is not None:
        values = np.where(ignored, 0.0, values)
    if np.isfinite(values).all():
        return values, None
    unusable = np.isinf(values) if skip else ~np.isfinite(values)
    if unusable.any():
        row = int(np.argmax(unusable))
        raise ValueError(
            f"{what}: row {row} is {_show(values[row])}; "
            + _advice(values[row], int(np.count_nonzero(unusable)))
        )
    return values, ~np.isnan(values)


def _only_column(values: NDArray[Any]) -> NDArray[Any]:
    """Return the column of ``values`` (n, 1), with a warning in scikit-learn's words."""
    warnings.warn(
        "A column-vector y was passed when a 1d array was expected; pass y.ravel()",
        column_vector_warning(),
        stacklevel=2,
    )
    return values[:, 0]


def read_labels(
    y: Any, n_rows: int | None, *, missing: Any, ignored: BoolArray | None = None
) -> tuple[NDArray[Any], BoolArray | None]:
    """Read class labels: all text, or all numbers; returns them and which are present.

    Rows that are ``ignored`` may lack theirs.
    """
    skip = _check_missing(missing)
    for library in ("pandas", "polars"):
        module = _library(library)
        if module is not None and isinstance(y, module.Series | module.DataFrame):
            y = y.to_numpy()
    if y is None:
        raise ValueError("a classifier requires y to be passed, but the target y is None")
    if isinstance(y, str | bytes | dict | set):
        raise ValueError(f"y is a {type(y).__name__}; pass an array of class labels")
    if isinstance(y, np.ma.MaskedArray):
        labels = np.array(y.data, dtype=object)
        labels[np.ma.getmaskarray(y)] = None
    else:  # a list may mix types, which an array would make text of
        labels = y if isinstance(y, np.ndarray) else np.asarray(y, dtype=object)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = _only_column(labels)
    if labels.ndim != 1:
        raise ValueError(f"y has shape {labels.shape}; it must have one dimension (a label a row)")
    if n_rows is not None and len(labels) != n_rows:
        raise ValueError(
            f"y has {len(labels)} values, but X has {n_rows} rows; pass one label for each row"
        )
    absent = np.zeros(len(labels), dtype=bool)
    if labels.dtype.kind == "f":
        absent = np.isnan(labels)
    elif labels.dtype.kind == "O":
        entries = labels.tolist()
        absent = np.array(
            [e is None or type(e).__name__ == "NAType" or e != e for e in entries], dtype=bool
        )
        known = [e for e, gone in zip(entries, absent.tolist(), strict=True) if not gone]
        if not (
            all(isinstance(e, str) for e in known) or not any(isinstance(e, str) for e in known)
        ):
            raise ValueError("y mixes text and numbers; make all class labels of one type")
        typed = np.asarray(known)
        if typed.ndim == 1 and typed.dtype.kind in "biufU":
            labels = np.empty(len(entries), dtype=typed.dtype)
            labels[~absent] = typed
    if labels.dtype.kind == "c":
        raise _refuse_dtype("y", labels.dtype)
    if labels.dtype.kind not in "biufU":
        raise ValueError(
            f"y has dtype {labels.dtype}; class labels must be text, whole numbers or booleans"
        )
    if labels.dtype.kind == "f":
        whole = absent | (labels == np.floor(labels))
        if not whole.all():
            row = int(np.argmin(whole))
            raise ValueError(
                f"y: row {row} is {labels[row]:g}, a fraction; class labels must be text, whole "
                "numbers or booleans: use HSMoERegressor for continuous targets"
            )
    wanted = absent if ignored is None else absent & ~ignored
    if wanted.any() and not skip:
        row = int(np.argmax(wanted))
        raise ValueError(f"y: row {row} is missing; " + _advice(np.nan, int(wanted.sum())))
    return labels, ~absent if absent.any() else None


def read_rows(
    X: Any,
    y: Any,
    read: Callable[[Any, int], tuple[FloatArray, BoolArray | None]],
    *,
    expected: Known | None,
    missing: Any,
) -> Rows:
    """Read features and target together, leaving out incomplete rows if ``missing="skip"``.

    ``read(y, n_rows)`` reads the target.
    """
    features, names, complete = read_features(X, expected=expected, missing=missing)
    target, present = read(y, len(features))
    if complete is None and present is None:
        return Rows(features, target, names, None)
    kept = np.ones(len(features), dtype=bool)
    for usable in (complete, present):
        if usable is not None:
            kept &= usable
    return Rows(np.ascontiguousarray(features[kept]), target[kept], names, kept)


def select_columns(
    selection: Any, names: tuple[str, ...] | None, n_features: int, parameter: str
) -> IntArray:
    """Return the column numbers that ``expert_features`` or ``gate_features`` select.

    Parameters
    ----------
    selection : None or sequence of str or int
        Names or indices; None selects every column.
    names : tuple of str or None
        The columns' names, if they have any.
    n_features : int
    parameter : str
        Name of the parameter, for messages.
    """
    if selection is None:
        return np.arange(n_features, dtype=np.int64)
    if isinstance(selection, str) or not isinstance(selection, Sequence | np.ndarray):
        raise ValueError(
            f"{parameter} is {selection!r}; it must be None or a list of column names or numbers"
        )
    columns: list[int] = []
    for entry in selection:
        if isinstance(entry, str):
            if names is None:
                raise ValueError(
                    f"{parameter} names {entry!r}, but X has no column names; pass a data frame, "
                    "or column numbers"
                )
            if entry not in names:
                raise ValueError(
                    f"{parameter} names {entry!r}, which X does not have; its columns are "
                    f"{list(names)}"
                )
            column = names.index(entry)
        else:
            try:
                if isinstance(entry, bool | np.bool_):
                    raise TypeError
                column = operator.index(entry)
            except TypeError:
                raise ValueError(
                    f"{parameter} contains {entry!r}; entries must be column names or numbers"
                ) from None
            if not 0 <= column < n_features:
                raise ValueError(
                    f"{parameter} contains column {column}; X has columns 0..{n_features - 1}"
                )
        if column in columns:
            raise ValueError(f"{parameter} contains {entry!r} twice; name each column once")
        columns.append(column)
    return np.array(columns, dtype=np.int64)
