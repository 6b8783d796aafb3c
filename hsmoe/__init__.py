"""Bayesian mixtures of experts learned online, with sparse routing and honest intervals."""

from . import linalg, resampling
from ._dispatch import build_config, simd_level
from ._errors import CheckpointError, NotFittedError
from ._experts import GaussianExpert
from ._gate_report import GateInclusion
from ._islands import IslandsDisagreeWarning
from ._load import load
from ._pit import PitHistogram
from ._priors import HorseshoePrior, NormalPrior, PaperHorseshoePrior
from ._version import __version__
from .forecast import Forecast
from .linalg import NumericalError
from .random import polyagamma_cdf, polyagamma_pdf, random_polyagamma
from .regressor import HSMoERegressor

__all__ = [
    "CheckpointError",
    "Forecast",
    "GateInclusion",
    "GaussianExpert",
    "HSMoERegressor",
    "HorseshoePrior",
    "IslandsDisagreeWarning",
    "NormalPrior",
    "NotFittedError",
    "NumericalError",
    "PaperHorseshoePrior",
    "PitHistogram",
    "__version__",
    "build_config",
    "linalg",
    "load",
    "polyagamma_cdf",
    "polyagamma_pdf",
    "random_polyagamma",
    "resampling",
    "simd_level",
]
