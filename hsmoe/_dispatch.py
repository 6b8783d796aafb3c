"""Choose the compiled engine for this machine, once, at import.

The package holds one extension module per SIMD level.  The best level that was built and that the
processor *and* the operating system support is loaded; the environment variable ``HSMOE_SIMD``
names another one.  All levels give the same model; only the speed and the last bits differ.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ._core_protocol import CoreModule

__all__ = ["build_config", "core", "simd_level"]

ENVIRONMENT_VARIABLE = "HSMOE_SIMD"


@dataclass(frozen=True)
class SimdLevel:
    """A way the engine can be compiled, and the processor features it needs."""

    name: str
    features: frozenset[str]

    @property
    def module(self) -> str:
        return f"hsmoe._core_{self.name}"


_V3 = frozenset({"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "lzcnt", "movbe"})
_V4 = _V3 | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}

# Best first.  A new level is one line here and one in cpp/cmake/SimdLevels.cmake.
LEVELS = (
    SimdLevel("v4", _V4),
    SimdLevel("v3", _V3),
    SimdLevel("base", frozenset()),
)

# numpy's names of the features above.  numpy asks the operating system (xgetbv) before it reports
# AVX or AVX-512, so a kernel that does not save the wide registers is seen as lacking them.
_NUMPY_NAMES = {"bmi1": "BMI", "fma": "FMA3"}
# /proc/cpuinfo calls lzcnt by AMD's older name.
_CPUINFO_NAMES = {"lzcnt": "abm"}


def _numpy_features() -> dict[str, bool]:
    """Return numpy's table of processor features; empty when this numpy does not show it."""
    try:
        from numpy._core._multiarray_umath import __cpu_features__
    except ImportError:
        return {}
    return dict(__cpu_features__)


def _cpuinfo_flags(path: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """Return the flags the Linux kernel reports (it hides those it does not support itself)."""
    try:
        with path.open(encoding="ascii", errors="replace") as lines:
            for line in lines:
                if line.startswith("flags"):
                    return frozenset(line.partition(":")[2].split())
    except OSError:
        pass
    return frozenset()


def cpu_features() -> frozenset[str]:
    """Return those features named by any level that this machine has."""
    reported = _numpy_features()
    flags = _cpuinfo_flags()
    found = set()
    unknown = set()
    for feature in frozenset().union(*(level.features for level in LEVELS)):
        known = reported.get(_NUMPY_NAMES.get(feature, feature.upper()))
        if known is None and flags:
            known = _CPUINFO_NAMES.get(feature, feature) in flags
        if known:
            found.add(feature)
        elif known is None:
            unknown.add(feature)
    # Older numpy does not list the bit-manipulation features and only Linux has /proc/cpuinfo.
    # Every processor with both AVX2 and FMA has them.
    if {"avx2", "fma"} <= found:
        found |= unknown & {"bmi1", "bmi2", "lzcnt", "movbe"}
    return frozenset(found)


def built_levels() -> tuple[str, ...]:
    """Return the names of the levels this installation contains, best first."""
    return tuple(level.name for level in LEVELS if importlib.util.find_spec(level.module))


def choose_level(
    features: Collection[str], built: Collection[str], requested: str | None = None
) -> SimdLevel:
    """Return the level to load.

    Parameters
    ----------
    features : collection of str
        What the machine has, as :func:`cpu_features` returns it.
    built : collection of str
        What this installation has.
    requested : str, optional
        The value of ``HSMOE_SIMD``; None or empty for the best level.

    Raises
    ------
    ImportError
        If nothing fits, naming what does.
    """
    have = set(features)
    usable = [level for level in LEVELS if level.name in built and level.features <= have]
    names = ", ".join(level.name for level in usable) or "none"
    if requested:
        by_name = {level.name: level for level in LEVELS}
        level = by_name.get(requested.strip().lower())
        what = f"{ENVIRONMENT_VARIABLE}={requested!r}"
        if level is None:
            raise ImportError(
                f"{what} is no SIMD level: the levels are {', '.join(by_name)}; "
                f"usable here: {names}. Unset it to let hsmoe choose."
            )
        if level.name not in built:
            raise ImportError(
                f"{what}: this installation of hsmoe was built without that level; "
                f"usable here: {names}. Unset it to let hsmoe choose."
            )
        if level not in usable:
            lacking = ", ".join(sorted(level.features - have))
            raise ImportError(
                f"{what}: this machine lacks {lacking}; usable here: {names}. "
                "Unset it to let hsmoe choose."
            )
        return level
    if not usable:
        raise ImportError(
            "hsmoe's compiled engine is not installed (no hsmoe._core_* module fits this "
            'machine): install the package with "pip install ." instead of importing it from '
            "its source folder."
        )
    return usable[0]


def _load() -> CoreModule:
    requested = os.environ.get(ENVIRONMENT_VARIABLE)
    level = choose_level(cpu_features(), built_levels(), requested)
    return cast(CoreModule, importlib.import_module(level.module))


core: CoreModule = _load()


def simd_level() -> str:
    """Return the name of the SIMD level that is running: "base", "v3" or "v4".

    Examples
    --------
    >>> import hsmoe
    >>> hsmoe.simd_level() in ("base", "v3", "v4")
    True
    """
    return core.LEVEL


def build_config() -> dict[str, Any]:
    """Return what is running: for bug reports and benchmarks.

    Returns
    -------
    dict
        What the compiled module says of itself (``level``, ``lanes``, ``compiler``, ``eigen``,
        ``version``), the levels that were built (``built_levels``) and that the machine could
        run (``machine_levels``), and the versions of Python and numpy.

    Examples
    --------
    >>> import hsmoe
    >>> hsmoe.build_config()["level"] == hsmoe.simd_level()
    True
    """
    import numpy as np

    features = cpu_features()
    return {
        **core.build_config(),
        "built_levels": list(built_levels()),
        "machine_levels": [level.name for level in LEVELS if level.features <= features],
        "python": platform.python_version(),
        "numpy": np.__version__,
        "platform": f"{sys.platform}-{platform.machine()}",
    }
