"""Model files: what of a model goes into one, and the methods that write and read it."""

from __future__ import annotations

import os
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from ._errors import CheckpointError
from ._parameters import ParameterMixin
from ._scaling import Scaling
from ._state import LearnedState, Settings
from ._targets import ClassTarget, CountTarget, RealTarget, Target, class_labels
from ._tuning import Tuning
from ._version import __version__
from .checkpoint import decode_value, encode_value, pack, unpack, write_atomically

__all__ = ["ModelFileMixin"]

Self = TypeVar("Self", bound="ModelFileMixin")

_ENGINE = "engine/"


class ModelFileMixin(ParameterMixin):
    """A model that is saved and loaded, whole, without pickle."""

    _kind: ClassVar[str]  # of the target
    _state: LearnedState | None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to a file, atomically: a crash leaves the old file or the new one.

        Parameters
        ----------
        path : str or path-like
            File to write; ``hsmoe.load`` reads it.

        Raises
        ------
        OSError
            If the file cannot be written.
        TypeError
            If a parameter is something a model file cannot hold.
        """
        write_atomically(path, self.to_bytes())

    def to_bytes(self) -> bytes:
        """Return the model as bytes, without pickle; the same model gives the same bytes."""
        return pack(*model_to_parts(self))

    @classmethod
    def from_bytes(cls: type[Self], data: bytes) -> Self:
        """Return the model that :meth:`to_bytes` wrote.

        Raises
        ------
        CheckpointError
            If the bytes are truncated, damaged, foreign, or of a newer format.
        """
        return cls._from_checkpoint(*unpack(data), source="the model")

    @classmethod
    def _from_checkpoint(
        cls: type[Self], metadata: dict[str, Any], arrays: dict[str, NDArray[Any]], source: str
    ) -> Self:
        if metadata.get("class") != cls.__name__:
            raise CheckpointError(
                f"{source} holds a {metadata.get('class')!r}, not a {cls.__name__}; use "
                "hsmoe.load, which finds the class itself"
            )
        parameters, state = restore_parts(metadata, arrays, source, cls._kind)
        try:
            model = cls(**parameters)
        except TypeError as error:
            raise CheckpointError(f"{source} is damaged ({error}); copy it again") from error
        model._state = state
        return model

    def __getstate__(self) -> dict[str, Any]:
        # Requests for scikit-learn's routing go with copies to joblib's workers, not into files.
        requests = vars(self).get("_metadata_request")
        extra = {} if requests is None else {"_metadata_request": requests}
        return {"checkpoint": self.to_bytes(), **extra}

    def __setstate__(self, state: dict[str, Any]) -> None:
        attributes = dict(state)
        self.__dict__.update(vars(self.from_bytes(attributes.pop("checkpoint"))))
        self.__dict__.update(attributes)


def model_to_parts(model: ModelFileMixin) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
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
        "tuning": state.settings.tuning.to_stored(),
        "seeds": encode_value(state.seeds, "random_state"),
        "names": None if state.names is None else list(state.names),
        "n_features": state.n_features,
        "n_warmup": state.n_warmup,
        "n_skipped": state.n_skipped,
        "warm": state.engine is not None,
    }
    if isinstance(state.target, ClassTarget):
        metadata["state"]["classes"] = encode_value(state.target.classes, "classes")
    arrays: dict[str, NDArray[Any]] = {
        "waiting_X": state.waiting_X,
        "waiting_y": state.waiting_y,
    }
    if state.engine is not None and state.scaling is not None:
        arrays["x_centre"] = state.scaling.x_centre
        arrays["x_scale"] = state.scaling.x_scale
        if state.scaling.offset.size:
            arrays["offset"] = state.scaling.offset
        arrays["y_centre_scale"] = np.array([state.scaling.y_centre, state.scaling.y_scale])
        for name, array in state.engine.get_state().items():
            arrays[_ENGINE + name] = np.asarray(array, order="C")
    return metadata, arrays


def restore_parts(
    metadata: dict[str, Any], arrays: dict[str, NDArray[Any]], source: str, kind: str
) -> tuple[dict[str, Any], LearnedState | None]:
    """Return the parameters and the learned state, for a kind of target, that a file holds.

    Raises
    ------
    CheckpointError
        If something is absent or does not fit together.
    """
    try:
        parameters = {name: decode_value(value) for name, value in metadata["parameters"].items()}
        stored = metadata["state"]
        state = None if stored is None else _restore_state(stored, arrays, kind)
    except (
        AttributeError,
        IndexError,
        KeyError,
        MemoryError,
        OverflowError,
        RuntimeError,  # nested too deep
        TypeError,
        ValueError,
    ) as error:
        what = f"{error} is absent" if isinstance(error, KeyError) else str(error)
        raise CheckpointError(
            f"{source} is damaged or was written by another program ({what}); copy it again, or "
            "load an earlier checkpoint"
        ) from error
    return parameters, state


def _encode_all(parameters: dict[str, Any]) -> dict[str, Any]:
    return {name: encode_value(value, name) for name, value in parameters.items()}


def _count(stored: dict[str, Any], key: str) -> int:
    value = stored[key]
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**53:
        raise ValueError(f"{key!r} is {value!r}, which is no count")
    return value


def _restore_state(
    stored: dict[str, Any], arrays: dict[str, NDArray[Any]], kind: str
) -> LearnedState:
    settings = Settings.resolve(
        {name: decode_value(value) for name, value in stored["parameters"].items()},
        kind,
        Tuning.from_stored(stored["tuning"]),
    )
    target = _restore_target(stored, kind)
    names = stored["names"]
    n_features, n_warmup, n_skipped = (
        _count(stored, key) for key in ("n_features", "n_warmup", "n_skipped")
    )
    if names is not None and not (
        isinstance(names, list)
        and len(names) == len(set(names)) == n_features
        and all(isinstance(name, str) for name in names)
    ):
        raise ValueError("its column names are not distinct strings, one for each column")
    if not isinstance(stored["warm"], bool):
        raise ValueError("'warm' is neither true nor false")
    seeds = decode_value(stored["seeds"])
    if not isinstance(seeds, np.random.SeedSequence):
        raise ValueError("'seeds' is not a seed sequence")
    state = LearnedState(
        settings=settings,
        target=target,
        seeds=seeds,
        names=None if names is None else tuple(names),
        n_features=n_features,
        n_warmup=n_warmup,
        n_skipped=n_skipped,
        waiting_X=_expect(arrays, "waiting_X", (None, n_features)),
        waiting_y=_expect(arrays, "waiting_y", (None,)),
    )
    if len(state.waiting_X) != len(state.waiting_y):
        raise ValueError("waiting_X and waiting_y differ in length")
    if not stored["warm"]:
        if len(state.waiting_y) >= max(n_warmup, 1):
            raise ValueError("more rows wait than the warm-up takes")
        return state
    engine_arrays = {
        name.removeprefix(_ENGINE): array
        for name, array in arrays.items()
        if name.startswith(_ENGINE)
    }
    # The engine takes its memory when it is made, so do not believe a size the file does not hold.
    particles = engine_arrays["particles"]
    members = 1 if settings.variational else settings.n_particles  # at least
    if particles.ndim != 3 or particles.shape[0] != settings.n_islands or not particles.size:
        raise ValueError(f"'particles' has shape {particles.shape}")
    if particles.shape[1] < members:
        raise ValueError(f"'particles' holds {particles.shape[1]} of {members} particles")
    y_centre, y_scale = _expect(arrays, "y_centre_scale", (2,)).tolist()
    scaling = Scaling(
        _expect(arrays, "x_centre", (n_features,)),
        _expect(arrays, "x_scale", (n_features,)),
        y_centre,
        y_scale,
        _expect(arrays, "offset", (_n_offsets(target),)) if "offset" in arrays else np.empty(0),
    )
    if not (scaling.y_scale > 0 and (scaling.x_scale > 0).all()):
        raise ValueError("a scale is not positive")
    values = [scaling.x_centre, scaling.x_scale, np.array([y_centre, y_scale])]
    if not all(np.isfinite(v).all() for v in values):
        raise ValueError("a centre or a scale is not finite")
    engine = state.new_engine(scaling, particles.shape[2])
    engine.set_state(engine_arrays)
    return LearnedState(**{**vars(state), "scaling": scaling, "engine": engine})


def _restore_target(stored: dict[str, Any], kind: str) -> Target:
    if kind == "real":
        return RealTarget()
    if kind == "count":
        return CountTarget()
    classes = decode_value(stored["classes"])
    if not isinstance(classes, np.ndarray) or len(class_labels(classes, "it")) != len(classes):
        raise ValueError("'classes' are not distinct labels")
    return ClassTarget(classes)


def _n_offsets(target: Target) -> int:
    if isinstance(target, RealTarget):
        return 0
    return len(target.classes) - 1 if isinstance(target, ClassTarget) else 1


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
