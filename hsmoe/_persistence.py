"""Between a model and the metadata and arrays of its file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ._errors import CheckpointError
from ._scaling import Scaling
from ._state import LearnedState, Settings
from ._version import __version__
from .checkpoint import decode_value, encode_value

if TYPE_CHECKING:
    from ._base import OnlineMixture

__all__ = ["model_to_parts", "restore_parts"]

_ENGINE = "engine/"


def model_to_parts(model: OnlineMixture) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return a model as JSON-ready metadata and plain arrays."""
    metadata: dict[str, Any] = {
        "class": type(model).__name__,
        "hsmoe_version": __version__,
        "parameters": _encode_all(model.get_params()),
        "state": None,
    }
    state = model._state
    if state is None:
        return metadata, {}
    metadata["state"] = {
        "parameters": _encode_all(state.settings.parameters),
        "seeds": encode_value(state.seeds, "random_state"),
        "names": None if state.names is None else list(state.names),
        "n_features": state.n_features,
        "n_warmup": state.n_warmup,
        "n_skipped": state.n_skipped,
        "warm": state.engine is not None,
    }
    arrays: dict[str, NDArray[Any]] = {
        "waiting_X": state.waiting_X,
        "waiting_y": state.waiting_y,
    }
    if state.engine is not None and state.scaling is not None:
        arrays["x_centre"] = state.scaling.x_centre
        arrays["x_scale"] = state.scaling.x_scale
        arrays["y_centre_scale"] = np.array([state.scaling.y_centre, state.scaling.y_scale])
        for name, array in state.engine.get_state().items():
            arrays[_ENGINE + name] = np.asarray(array, order="C")
    return metadata, arrays


def restore_parts(
    metadata: dict[str, Any], arrays: dict[str, NDArray[Any]], source: str
) -> tuple[dict[str, Any], LearnedState | None]:
    """Return the parameters and the learned state that a file holds.

    Raises
    ------
    CheckpointError
        If something is absent or does not fit together.
    """
    try:
        parameters = {name: decode_value(value) for name, value in metadata["parameters"].items()}
        stored = metadata["state"]
        state = None if stored is None else _restore_state(stored, arrays)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        what = f"{error} is absent" if isinstance(error, KeyError) else str(error)
        raise CheckpointError(
            f"{source} is damaged or was written by another program ({what}); copy it again, or "
            "load an earlier checkpoint"
        ) from error
    return parameters, state


def _encode_all(parameters: dict[str, Any]) -> dict[str, Any]:
    return {name: encode_value(value, name) for name, value in parameters.items()}


def _restore_state(stored: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> LearnedState:
    settings = Settings.resolve(
        {name: decode_value(value) for name, value in stored["parameters"].items()}
    )
    names, n_features = stored["names"], int(stored["n_features"])
    state = LearnedState(
        settings=settings,
        seeds=decode_value(stored["seeds"]),
        names=None if names is None else tuple(names),
        n_features=n_features,
        n_warmup=int(stored["n_warmup"]),
        n_skipped=int(stored["n_skipped"]),
        waiting_X=_expect(arrays, "waiting_X", (None, n_features)),
        waiting_y=_expect(arrays, "waiting_y", (None,)),
    )
    if len(state.waiting_X) != len(state.waiting_y):
        raise ValueError("waiting_X and waiting_y differ in length")
    if not stored["warm"]:
        return state
    engine_arrays = {
        name.removeprefix(_ENGINE): array
        for name, array in arrays.items()
        if name.startswith(_ENGINE)
    }
    # The engine takes its memory when it is made, so do not believe a size the file does not hold.
    n_particles = settings.n_islands * settings.n_particles
    if 8 * n_particles * settings.n_experts > sum(a.nbytes for a in engine_arrays.values()):
        raise ValueError(f"its arrays are too short for {n_particles} particles")
    engine = state.new_engine()
    engine.set_state(engine_arrays)
    y_centre, y_scale = _expect(arrays, "y_centre_scale", (2,)).tolist()
    scaling = Scaling(
        _expect(arrays, "x_centre", (n_features,)),
        _expect(arrays, "x_scale", (n_features,)),
        y_centre,
        y_scale,
    )
    if not (scaling.y_scale > 0 and (scaling.x_scale > 0).all()):
        raise ValueError("a scale is not positive")
    return LearnedState(**{**vars(state), "scaling": scaling, "engine": engine})


def _expect(
    arrays: dict[str, NDArray[Any]], name: str, shape: tuple[int | None, ...]
) -> NDArray[np.float64]:
    array = arrays[name]
    fits = array.ndim == len(shape) and all(
        wanted in (None, found) for wanted, found in zip(shape, array.shape, strict=True)
    )
    if not fits or array.dtype != np.float64 or not np.isfinite(array).all():
        raise ValueError(f"{name} has shape {array.shape} and dtype {array.dtype}")
    return array
