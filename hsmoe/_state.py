"""What a model has learned, as one value: replaced as a whole, so that no failure leaves half."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._changing import ChangingExperts, check_changing, resolve_n_experts
from ._checks import check_integer, check_number
from ._core_protocol import Engine, FloatArray, IntArray
from ._dispatch import core
from ._experts import Expert, resolve_expert
from ._gates import Gate, resolve_gate
from ._inference import Variational, resolve_inference
from ._priors import GatePrior, resolve_gate_prior
from ._scaling import Scaling
from ._seeding import engine_seeds
from ._targets import Target
from ._tuning import TUNING, Tuning
from ._validation import column_names, select_columns

__all__ = ["STRUCTURAL_PARAMETERS", "LearnedState", "Settings", "resolve_n_jobs"]

# Parameters that shape the model: fixed from the first row on.  The others may change any time.
STRUCTURAL_PARAMETERS = (
    "n_experts",
    "n_particles",
    "n_islands",
    "gate",
    "gate_prior",
    "expert",
    "gate_features",
    "expert_features",
    "ess_threshold",
    "retain",
    "forgetting",
    "n_warmup",
    "standardize",
    "inference",
)

# Parameters that files of earlier versions do not hold, with what those versions did.
_ABSENT_IN_OLD_FILES = {"inference": "particles"}

# The warm-up by default: enough rows for a centre and a scale of each feature, in bounds.
_AUTO_WARMUP_ROWS_PER_FEATURE = 10
_AUTO_WARMUP_BOUNDS = (50, 1000)


def resolve_n_jobs(n_jobs: Any) -> int:
    """Return the number of threads an ``n_jobs`` parameter asks for."""
    if n_jobs is None:
        return 1
    if isinstance(n_jobs, int | np.integer) and not isinstance(n_jobs, bool) and n_jobs == -1:
        try:
            processors = len(os.sched_getaffinity(0))
        except AttributeError:  # not on macOS and Windows
            processors = os.cpu_count() or 1
        # joblib sets this in its workers, to the share of the processors that each may use.
        limit = os.environ.get("OMP_NUM_THREADS", "")
        return min(processors, int(limit)) if limit.isdecimal() and int(limit) > 0 else processors
    try:
        return check_integer("n_jobs", n_jobs, 1)
    except ValueError:
        raise ValueError(
            f"n_jobs is {n_jobs!r}; it must be a number of threads, or -1 for all processors"
        ) from None


def resolve_forgetting(
    forgetting: Any, retain: Any, n_islands: int, auto_rates: Sequence[float]
) -> tuple[float, ...]:
    """Return the rate of each island: the share of the frozen statistics kept a row."""
    if isinstance(forgetting, str) and forgetting == "auto":
        if retain is None or retain == 0:  # nothing is ever frozen that could be forgotten
            return (1.0,) * n_islands
        rates = tuple(auto_rates[r % len(auto_rates)] for r in range(n_islands))
    else:
        try:
            rates = (check_number("forgetting", forgetting, 0.5, 1.0, closed=True),) * n_islands
        except ValueError:
            raise ValueError(
                f"forgetting is {forgetting!r}; it must be 'auto' or the share kept a row, from "
                "0.5 to 1 (1: nothing is forgotten); 0.999 remembers about 1,000 rows"
            ) from None
    if min(rates) < 1 and (retain is None or retain == 0):
        raise ValueError(
            f"forgetting is {forgetting!r} with retain={retain!r}; what decays are the rows that "
            "are no longer retained: pass a positive retain, or forgetting=1"
        )
    return rates


def _resolve_retain(retain: Any) -> int | None:
    """Return the number of rows to retain; None: all."""
    if retain is None:
        return None
    try:
        return check_integer("retain", retain, 0)
    except ValueError as error:
        raise ValueError(f"{error}, or None for all rows") from None


def _resolve_gate_and_prior(given: Mapping[str, Any], n_experts: int) -> tuple[Gate, GatePrior]:
    """Return gate and prior of the structural parameters, checking that they can be together."""
    gate = resolve_gate(given["gate"], n_experts)
    prior = resolve_gate_prior(given["gate_prior"])
    if gate.needs_rows and given["retain"] == 0:
        raise ValueError(
            f"retain is 0 with gate={given['gate']!r}; softmax and Laplace gates learn in scans of "
            "the retained rows: pass a positive retain, or None for all rows"
        )
    if "laplace" in gate.kinds() and not prior.laplace_node():
        raise ValueError(
            f"gate_prior is {given['gate_prior']!r} with gate={given['gate']!r}; it has no scale "
            "for the centres of a Laplace gate: pass 'horseshoe', whose slab is their standard "
            "deviation, or 'normal'"
        )
    return gate, prior


@dataclass(frozen=True)
class Settings:
    """The structural parameters, validated."""

    parameters: dict[str, Any]  # as the user gave them
    n_experts: int  # leaves of the gate
    changing: ChangingExperts | None  # None: all of them are open at every row
    n_particles: int
    n_islands: int
    gate: Gate
    gate_prior: GatePrior
    kind: str  # of the target: real, class or count
    expert: Expert
    ess_threshold: float
    retain: int | None
    forgetting: tuple[float, ...]  # by island
    n_warmup: int | None  # None: "auto"
    variational: Variational | None  # None: particles
    tuning: Tuning

    @classmethod
    def resolve(
        cls, parameters: Mapping[str, Any], kind: str, tuning: Tuning | None = None
    ) -> Settings:
        """Validate parameters for targets of a kind; tuning: that of new models unless given.

        Raises ValueError naming the first that cannot be used.
        """
        parameters = {**_ABSENT_IN_OLD_FILES, **parameters}
        tuning = TUNING if tuning is None else tuning
        given = {name: copy.deepcopy(parameters[name]) for name in STRUCTURAL_PARAMETERS}
        n_experts, changing = resolve_n_experts(given["n_experts"])
        n_warmup = given["n_warmup"]
        if isinstance(n_warmup, str):
            if n_warmup != "auto":
                raise ValueError(
                    f"n_warmup is {n_warmup!r}; it must be 'auto' or an integer of at least 1"
                )
            n_warmup = None
        elif n_warmup == 0 and not isinstance(n_warmup, bool):
            raise ValueError(
                "n_warmup is 0; it must be 'auto' or an integer of at least 1; with "
                "standardize=False and 'auto' every row is learned at once"
            )
        else:
            n_warmup = check_integer("n_warmup", n_warmup, 1)
        if not isinstance(given["standardize"], bool | np.bool_):
            raise ValueError(f"standardize is {given['standardize']!r}; it must be True or False")
        n_islands = check_integer("n_islands", given["n_islands"], 1)
        retain = _resolve_retain(given["retain"])
        gate, gate_prior = _resolve_gate_and_prior(given, n_experts)
        if changing:
            check_changing(changing, gate, retain)
        n_particles = check_integer("n_particles", given["n_particles"], 1)
        expert = resolve_expert(given["expert"], kind)
        variational = resolve_inference(given["inference"], expert, gate, gate_prior, changing)
        return cls(
            parameters=given,
            n_experts=n_experts,
            changing=changing,
            n_particles=1 if variational else n_particles,
            n_islands=n_islands,
            gate=gate,
            gate_prior=gate_prior,
            kind=kind,
            expert=expert,
            ess_threshold=check_number(
                "ess_threshold", given["ess_threshold"], 0.0, 1.0, closed=True
            ),
            retain=retain,
            forgetting=resolve_forgetting(
                given["forgetting"], retain, n_islands, tuning.auto_rates
            ),
            n_warmup=n_warmup,
            variational=variational,
            tuning=tuning,
        )

    @property
    def standardize(self) -> bool:
        return bool(self.parameters["standardize"])

    @property
    def pool_memory(self) -> float:
        """How fast the evidence fades that pools the islands; replicates are pooled by all."""
        return 1.0 if len(set(self.forgetting)) == 1 else self.tuning.auto_pool_memory

    def replicates(self, n_rows: int) -> bool:
        """Tell whether, after so many rows, the islands differ by nothing but their seeds.

        Members of a variational approximation do not: each has an error of its own.
        """
        if self.variational:
            return False
        return self.pool_memory == 1.0 or self.retain is None or n_rows < self.open_rows

    @property
    def early_particles(self) -> int:
        """Particles of an island that has seen few rows; plain particle learning has no more."""
        if self.retain == 0 or self.variational:
            return self.n_particles
        enough = max(self.n_particles, self.tuning.early_particles)
        return min(self.tuning.early_factor * self.n_particles, enough)

    @property
    def early_rows(self) -> int:
        """Rows after which an island is thinned to ``n_particles``."""
        most = min(2 * (self.retain or 0), self.tuning.most_early_rows)
        return max(self.tuning.least_early_rows, most)

    @property
    def open_rows(self) -> int:
        """Number of rows before there are which none freezes."""
        retain = self.retain or 0
        return max(2 * retain, min(4 * retain, self.tuning.open_rows))

    def warmup_rows(self, n_features: int) -> int:
        """Return how many rows fix the standardisation when rows arrive one by one."""
        if not self.standardize:
            return 0
        if self.n_warmup is not None:
            return self.n_warmup
        low, high = _AUTO_WARMUP_BOUNDS
        return min(high, max(low, _AUTO_WARMUP_ROWS_PER_FEATURE * n_features))


@dataclass(frozen=True)
class LearnedState:
    """Everything a model has learned.

    Until ``n_warmup`` rows have come, they wait in ``waiting_X``, ``waiting_y`` and there is
    neither ``scaling`` nor ``engine``.
    """

    settings: Settings
    target: Target
    seeds: np.random.SeedSequence
    names: tuple[str, ...] | None
    n_features: int
    n_warmup: int
    n_skipped: int
    waiting_X: FloatArray  # (m, n_features), m < n_warmup
    waiting_y: FloatArray  # (m,)
    scaling: Scaling | None = None
    engine: Engine | None = None

    @property
    def n_learned(self) -> int:
        """Complete rows so far, those of the warm-up included."""
        return len(self.waiting_y) if self.engine is None else int(self.engine.n_rows)

    @property
    def labels(self) -> tuple[str, ...]:
        return column_names(self.names, self.n_features)

    def columns(self, which: str) -> IntArray:
        """Return the columns of X that the ``"expert"`` or the ``"gate"`` sees."""
        parameter = f"{which}_features"
        return select_columns(
            self.settings.parameters[parameter], self.names, self.n_features, parameter
        )

    def expert_to_core(self, scaling: Scaling) -> dict[str, Any]:
        """Return the settings of the experts as the engine takes them."""
        return self.target.to_core(self.settings.expert, len(self.columns("expert")), scaling)

    def new_engine(self, scaling: Scaling, stored_fields: int = 0) -> Engine:
        """Return an engine that has seen no row, for rows scaled so.

        ``stored_fields``, if not 0, is the number of values that a particle must have.
        """
        settings, tuning = self.settings, self.settings.tuning
        return core.Engine(
            n_experts=settings.n_experts,
            n_particles=settings.n_particles,
            n_islands=settings.n_islands,
            expert_dim=1 + len(self.columns("expert")),
            gate_dim=1 + len(self.columns("gate")),
            **settings.gate.to_core(),
            gate_prior=settings.gate_prior.to_core(),
            laplace_node=settings.gate_prior.laplace_node(),
            expert=self.expert_to_core(scaling),
            ess_threshold=settings.ess_threshold,
            phi_kernel=tuning.phi_kernel,
            retain=-1 if settings.retain is None else settings.retain,
            n_scans=tuning.variational_scans if settings.variational else 1,
            scan_rows=0 if settings.variational else tuning.scan_rows,
            exchange_rows=tuning.exchange_rows,
            relocations=tuning.relocations,
            relocation_rows=tuning.relocation_rows,
            relocation_tries=tuning.relocation_tries,
            open_rows=settings.open_rows,
            early_particles=settings.early_particles,
            early_rows=settings.early_rows,
            forgetting=np.array(settings.forgetting),
            pool_memory=settings.pool_memory,
            change_rate=settings.changing.change_rate if settings.changing else None,
            variational=settings.variational.to_core() if settings.variational else None,
            seeds=engine_seeds(self.seeds, settings.n_islands, settings.early_particles),
            stored_fields=stored_fields,
        )

    def designs(
        self, X: FloatArray, scaling: Scaling, describe_row: Callable[[int], str]
    ) -> tuple[FloatArray, FloatArray]:
        """Return the standardised expert and gate designs of rows, each with a leading 1."""
        standard = scaling.features(X, self.labels, describe_row)
        expert_columns, gate_columns = self.columns("expert"), self.columns("gate")
        expert = _design(standard, expert_columns)
        if np.array_equal(expert_columns, gate_columns):
            return expert, expert
        return expert, _design(standard, gate_columns)


def _design(standard: FloatArray, columns: IntArray) -> FloatArray:
    design = np.empty((len(standard), 1 + len(columns)))
    design[:, 0] = 1.0
    design[:, 1:] = standard[:, columns]
    return design
