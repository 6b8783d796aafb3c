"""Rank-one changes of Cholesky factors, single and stacked."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ._core_protocol import FloatArray
from ._dispatch import core

__all__ = ["NumericalError", "cholesky_update"]

NumericalError: type[ArithmeticError] = core.NumericalError
# Named by where users find it, whichever SIMD level it comes from.
NumericalError.__module__ = "hsmoe"
NumericalError.__doc__ = """A number left the range of floating point, or a matrix is not definite.

The model or matrix that was to change is what it was before.

Examples
--------
>>> import numpy as np, hsmoe
>>> try:
...     hsmoe.linalg.cholesky_update(np.eye(2), [2.0, 0.0], sign=-1)
... except hsmoe.NumericalError:
...     print("not positive definite")
not positive definite
"""


def cholesky_update(
    L: ArrayLike, x: ArrayLike, sign: int = +1, overwrite: bool = False
) -> FloatArray:
    """Return the lower Cholesky factor of ``L L' + sign x x'``.

    Parameters
    ----------
    L : array_like, shape (d, d) or (B, d, d)
        Lower triangular factor, or a stack of them, with a positive diagonal.  What stands above
        the diagonal is neither read nor changed.
    x : array_like, shape (d,) or (B, d)
        Vector to add or to take away; one vector with a stack of factors is used for each.
    sign : {+1, -1}
        +1 for an update, -1 for a downdate.
    overwrite : bool
        Work in ``L`` itself, which must then be a writeable C-contiguous float64 array, and
        return it.  By default ``L`` is left as it is.

    Returns
    -------
    ndarray, shape of ``L``
        The new factor, in ``O(d^2)`` operations.

    Raises
    ------
    ValueError
        If shapes do not fit, ``sign`` is neither +1 nor -1, or ``L`` cannot be overwritten.
    NumericalError
        If ``L L' - x x'`` is not positive definite; names the place in the stack.  ``L`` is left
        as it was.

    References
    ----------
    Gill, Golub, Murray & Saunders (1974), Methods for modifying matrix factorizations.

    Examples
    --------
    >>> import numpy as np
    >>> from hsmoe import linalg
    >>> L, x = np.eye(2), np.array([1.0, 2.0])
    >>> new = linalg.cholesky_update(L, x)
    >>> np.allclose(new @ new.T, L @ L.T + np.outer(x, x))
    True
    """
    if sign not in (1, -1):
        raise ValueError(f"sign is {sign!r}; it must be +1 (update) or -1 (downdate)")
    if overwrite:
        usable = (
            isinstance(L, np.ndarray)
            and L.dtype == np.float64
            and L.flags.c_contiguous
            and L.flags.writeable
        )
        if not usable:
            raise ValueError(
                "overwrite=True needs L as a writeable C-contiguous float64 array; pass such an "
                "array, or overwrite=False for a new one"
            )
    factor = np.ascontiguousarray(L, dtype=np.float64)
    if factor.ndim not in (2, 3) or factor.shape[-1] != factor.shape[-2] or 0 in factor.shape:
        raise ValueError(f"L has shape {factor.shape}; it must be (d, d) or (B, d, d)")
    vector = np.asarray(x, dtype=np.float64)
    if vector.shape not in (factor.shape[-1:], factor.shape[:-1]):
        raise ValueError(
            f"x has shape {vector.shape}; with L of shape {factor.shape} it must be "
            f"{factor.shape[:-1]}"
        )
    for name, array in (("L", np.tril(factor)), ("x", vector)):
        if not np.isfinite(array).all():
            where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
            raise ValueError(f"{name}{list(where)} is not finite; it must be a number")
    vectors = np.ascontiguousarray(np.broadcast_to(vector, factor.shape[:-1]))
    return core.cholesky_update(factor, vectors, int(sign), bool(overwrite))
