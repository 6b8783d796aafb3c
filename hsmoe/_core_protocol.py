"""What the Python layer expects of a compiled engine module, for type checkers.

Each SIMD level is one extension module (``_core_base``, ``_core_v3``, ...) with the same interface.
Everything in it is in standardised units; designs come with the leading 1 in column 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
SeedArray = NDArray[np.uint64]

__all__ = ["CoreModule", "Engine", "FloatArray", "IntArray", "SeedArray"]


class Engine(Protocol):
    """Islands of particles, each a mixture of experts, learned row by row."""

    n_rows: int
    nbytes: int
    log_evidence: float
    island_log_evidence: FloatArray
    ess: FloatArray

    def learn(
        self, X: FloatArray, U: FloatArray, y: FloatArray, n_jobs: int
    ) -> dict[str, NDArray[Any]]:
        """Learn rows in order; all or nothing."""

    def prequential(
        self, X: FloatArray, U: FloatArray, y: FloatArray, n_jobs: int, crps: bool
    ) -> dict[str, NDArray[Any]]:
        """Forecast each row, then learn it; all or nothing."""

    def moments(
        self, X: FloatArray, U: FloatArray, n_jobs: int
    ) -> tuple[FloatArray, FloatArray]: ...

    def quantiles(
        self, X: FloatArray, U: FloatArray, probs: FloatArray, n_jobs: int
    ) -> FloatArray: ...

    def cdf(self, X: FloatArray, U: FloatArray, y: FloatArray, n_jobs: int) -> FloatArray: ...

    def log_density(
        self, X: FloatArray, U: FloatArray, y: FloatArray, n_jobs: int
    ) -> FloatArray: ...

    def crps(self, X: FloatArray, U: FloatArray, y: FloatArray, n_jobs: int) -> FloatArray: ...

    def class_proba(self, X: FloatArray, U: FloatArray, n_jobs: int) -> FloatArray: ...

    def sample(
        self, X: FloatArray, U: FloatArray, n_samples: int, seed: SeedArray
    ) -> FloatArray: ...

    def components(
        self, X: FloatArray, U: FloatArray, n_jobs: int
    ) -> tuple[FloatArray, FloatArray]:
        """Return the weights (n, m) and fields (n, fields, m) of the forecasts' components."""

    def gate_proba(self, U: FloatArray, n_jobs: int) -> tuple[FloatArray, FloatArray]: ...

    def active_experts(self, U: FloatArray, mass: float, n_jobs: int) -> FloatArray: ...

    def n_experts_posterior(self) -> FloatArray: ...

    def gate_inclusion(self) -> FloatArray: ...

    def particle(self, i: int = -1) -> dict[str, Any]: ...

    def draw(
        self,
        particles: IntArray,
        seeds: SeedArray,
        X: FloatArray,
        U: FloatArray,
        y: FloatArray | None,
        n_jobs: int,
    ) -> dict[str, NDArray[Any]]:
        """Draw parameters from particles, and the terms of their mixtures at rows."""

    @property
    def n_particles(self) -> int:
        """Of an island, now."""

    def log_weight(self) -> FloatArray: ...

    def log_share(self) -> FloatArray: ...

    def scan_log(self) -> dict[str, NDArray[Any]]: ...

    def resampling_log(self) -> dict[str, NDArray[Any]]: ...

    @property
    def n_resamplings(self) -> int:
        """Since the beginning; the log holds the last 5,000."""

    def get_state(self) -> dict[str, NDArray[Any]]: ...

    def set_state(self, state: Mapping[str, NDArray[Any]]) -> None: ...


class ForecastLaw(Protocol):
    """The law of the forecasts of a kind of expert, on components that an engine returned."""

    def moments(self, weight: FloatArray, field: FloatArray) -> tuple[FloatArray, FloatArray]: ...

    def quantiles(self, weight: FloatArray, field: FloatArray, probs: FloatArray) -> FloatArray: ...

    def cdf(self, weight: FloatArray, field: FloatArray, y: FloatArray) -> FloatArray: ...

    def log_density(self, weight: FloatArray, field: FloatArray, y: FloatArray) -> FloatArray: ...

    def crps(self, weight: FloatArray, field: FloatArray, y: FloatArray) -> FloatArray: ...

    def sample(
        self, weight: FloatArray, field: FloatArray, n_samples: int, seed: SeedArray
    ) -> FloatArray: ...


class ForecastLawFactory(Protocol):
    """The constructor of :class:`ForecastLaw`."""

    def __call__(self, expert: dict[str, Any]) -> ForecastLaw: ...


class EngineFactory(Protocol):
    """The constructor of :class:`Engine`."""

    def __call__(
        self,
        *,
        n_experts: int,
        n_particles: int,
        n_islands: int,
        expert_dim: int,
        gate_dim: int,
        nodes: Sequence[tuple[str, Sequence[int]]],
        tree: IntArray,
        leaves: IntArray,
        gate_prior: Mapping[str, Any],
        laplace_node: Mapping[str, float],
        expert: Mapping[str, Any],
        ess_threshold: float,
        phi_kernel: str,
        retain: int,
        n_scans: int,
        scan_rows: int,
        exchange_rows: int,
        relocations: int,
        relocation_rows: int,
        relocation_tries: int,
        open_rows: int,
        early_particles: int = 0,
        early_rows: int = 0,
        forgetting: FloatArray,
        pool_memory: float,
        change_rate: float | None = None,
        variational: Mapping[str, Any] | None = None,
        seeds: SeedArray,
        stored_fields: int = 0,
    ) -> Engine: ...


class CoreModule(Protocol):
    """One compiled level."""

    LEVEL: str
    LANES: int
    NumericalError: type[ArithmeticError]
    Engine: EngineFactory
    ForecastLaw: ForecastLawFactory

    def build_config(self) -> dict[str, Any]: ...

    def systematic(self, W: FloatArray, M: int, u: float) -> IntArray: ...

    def stratified(self, W: FloatArray, M: int, u: FloatArray) -> IntArray: ...

    def residual(self, W: FloatArray, M: int, u: FloatArray) -> IntArray: ...

    def multinomial(self, W: FloatArray, M: int, u: FloatArray) -> IntArray: ...

    def ssp(self, W: FloatArray, M: int, u: FloatArray) -> IntArray: ...

    def cholesky_update(
        self, L: FloatArray, x: FloatArray, sign: int, overwrite: bool
    ) -> FloatArray: ...
