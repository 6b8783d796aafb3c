"""Bayesian mixtures of experts learned online, with sparse routing and honest intervals."""

from . import linalg, resampling
from ._dispatch import build_config, simd_level
from ._errors import CheckpointError, NotFittedError
from ._experts import (
    BinomialExpert,
    GaussianExpert,
    LaplaceExpert,
    LogitExpert,
    NegativeBinomialExpert,
    StudentExpert,
)
from ._gate_report import GateInclusion
from ._islands import IslandsDisagreeWarning
from ._load import load
from ._pit import PitHistogram
from ._priors import HorseshoePrior, NormalPrior, PaperHorseshoePrior
from ._version import __version__
from .classifier import HSMoEClassifier
from .counts import HSMoECountRegressor
from .forecast import ClassForecast, CountForecast, Forecast
from .linalg import NumericalError
from .random import polyagamma_cdf, polyagamma_pdf, random_polyagamma
from .regressor import HSMoERegressor

__all__ = [
    "BinomialExpert",
    "CheckpointError",
    "ClassForecast",
    "CountForecast",
    "Forecast",
    "GateInclusion",
    "GaussianExpert",
    "HSMoEClassifier",
    "HSMoECountRegressor",
    "HSMoERegressor",
    "HorseshoePrior",
    "IslandsDisagreeWarning",
    "LaplaceExpert",
    "LogitExpert",
    "NegativeBinomialExpert",
    "NormalPrior",
    "NotFittedError",
    "NumericalError",
    "PaperHorseshoePrior",
    "PitHistogram",
    "StudentExpert",
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
