"""From a file to the model it holds, whatever its class."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ._errors import CheckpointError
from ._version import __version__
from .checkpoint import unpack
from .classifier import HSMoEClassifier
from .counts import HSMoECountRegressor
from .regressor import HSMoERegressor

__all__ = ["load", "load_with_metadata"]

_ESTIMATORS = {cls.__name__: cls for cls in (HSMoERegressor, HSMoEClassifier, HSMoECountRegressor)}


def load(path: str | os.PathLike[str]) -> Any:
    """Load a model from a file that its ``save`` wrote.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    HSMoERegressor, HSMoEClassifier or HSMoECountRegressor
        A model that goes on bit for bit as the saved one would have.

    Raises
    ------
    CheckpointError
        If the file is truncated, damaged, not a model file, or of a newer format.
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> import os, tempfile, hsmoe
    >>> model = hsmoe.HSMoERegressor(n_experts=2, n_particles=8, random_state=0)
    >>> path = os.path.join(tempfile.mkdtemp(), "model.hsmoe")
    >>> model.fit([[0.0], [1.0], [2.0]], [0.1, 0.9, 2.1]).save(path)
    >>> hsmoe.load(path).n_rows_seen_
    3
    """
    return load_with_metadata(path)[0]


def load_with_metadata(path: str | os.PathLike[str]) -> tuple[Any, dict[str, Any]]:
    """Return the model of a file, as :func:`load` does, and all the metadata beside it."""
    source = os.fspath(path)
    data = Path(path).read_bytes()
    metadata, arrays = unpack(data, source)
    name = metadata.get("class")
    if not isinstance(name, str) or name not in _ESTIMATORS:
        raise CheckpointError(
            f"{source} holds a {name!r}, which hsmoe {__version__} does not know; install a "
            "newer hsmoe to load it"
        )
    return _ESTIMATORS[name]._from_checkpoint(metadata, arrays, source), metadata
