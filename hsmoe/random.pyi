from typing import Literal, overload

import numpy as np
from numpy.random import BitGenerator, Generator, RandomState, SeedSequence
from numpy.typing import ArrayLike, NDArray

__all__ = ["polyagamma_cdf", "polyagamma_pdf", "random_polyagamma"]

_Method = Literal["alternate", "devroye", "gamma", "saddle"] | None
_Random = int | ArrayLike | SeedSequence | BitGenerator | Generator | RandomState | None

@overload
def random_polyagamma(
    h: float = ...,
    z: float = ...,
    *,
    size: None = ...,
    out: None = ...,
    method: _Method = ...,
    disable_checks: bool = ...,
    random_state: _Random = ...,
) -> float: ...
@overload
def random_polyagamma(
    h: ArrayLike = ...,
    z: ArrayLike = ...,
    *,
    size: int | tuple[int, ...] | None = ...,
    out: NDArray[np.floating] | None = ...,
    method: _Method = ...,
    disable_checks: bool = ...,
    random_state: _Random = ...,
) -> NDArray[np.float64]: ...
@overload
def polyagamma_pdf(x: float, h: float = ..., z: float = ..., return_log: bool = ...) -> float: ...
@overload
def polyagamma_pdf(
    x: ArrayLike, h: ArrayLike = ..., z: ArrayLike = ..., return_log: bool = ...
) -> NDArray[np.float64]: ...
@overload
def polyagamma_cdf(x: float, h: float = ..., z: float = ..., return_log: bool = ...) -> float: ...
@overload
def polyagamma_cdf(
    x: ArrayLike, h: ArrayLike = ..., z: ArrayLike = ..., return_log: bool = ...
) -> NDArray[np.float64]: ...
