"""Bayesian mixtures of experts learned online, with sparse routing and honest intervals."""

from . import linalg, losses, merging, mixtures, resampling
from ._changing import ChangingExperts
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
from ._inference import Variational
from ._islands import IslandsDisagreeWarning
from ._load import load
from ._merged_experts import MergedExperts, merge_experts
from ._pit import PitHistogram
from ._priors import GroupHorseshoePrior, HorseshoePrior, NormalPrior, PaperHorseshoePrior
from ._selection import ExpertSelection, select_n_experts
from ._version import __version__
from .classifier import HSMoEClassifier
from .counts import HSMoECountRegressor
from .forecast import ClassForecast, CountForecast, Forecast
from .linalg import NumericalError
from .losses import voronoi_loss
from .mixtures import SoftmaxMixture, TreeMixture
from .random import polyagamma_cdf, polyagamma_pdf, random_polyagamma
from .regressor import HSMoERegressor

__all__ = [
    "BinomialExpert",
    "ChangingExperts",
    "CheckpointError",
    "ClassForecast",
    "CountForecast",
    "ExpertSelection",
    "Forecast",
    "GateInclusion",
    "GaussianExpert",
    "GroupHorseshoePrior",
    "HSMoEClassifier",
    "HSMoECountRegressor",
    "HSMoERegressor",
    "HorseshoePrior",
    "IslandsDisagreeWarning",
    "LaplaceExpert",
    "LogitExpert",
    "MergedExperts",
    "NegativeBinomialExpert",
    "NormalPrior",
    "NotFittedError",
    "NumericalError",
    "PaperHorseshoePrior",
    "PitHistogram",
    "SoftmaxMixture",
    "StudentExpert",
    "TreeMixture",
    "Variational",
    "__version__",
    "build_config",
    "linalg",
    "load",
    "losses",
    "merge_experts",
    "merging",
    "mixtures",
    "polyagamma_cdf",
    "polyagamma_pdf",
    "random_polyagamma",
    "resampling",
    "select_n_experts",
    "simd_level",
    "voronoi_loss",
]
