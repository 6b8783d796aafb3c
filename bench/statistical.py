"""Statistical quality of the answers: how much they depend on the seed, and what forgetting costs.

Each study prints a table in Markdown, with the settings and the time of a run:

    python bench/statistical.py all
    python bench/statistical.py modes --seeds 20
    python bench/statistical.py streams --seeds 3 --only bikes,power
    python bench/statistical.py modes --seeds 5 --set n_islands=8 --set gate=comb
    python bench/statistical.py modes --set "gate_prior=HorseshoePrior(slab=3)"
    python bench/statistical.py cost --plot cost.png

``modes``, ``long`` and ``drift`` make their data here, from fixed seeds, with known truth;
``streams`` reads real data (see ``real_streams.py``).  Runs are spread over processes (``--jobs``);
times are the processor time of a run on one thread.
"""

from __future__ import annotations

import argparse
import ast
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from real_streams import STREAMS, Stream, synth3

import hsmoe

Rows = tuple[np.ndarray, np.ndarray]


def three_regimes(seed: int, n: int = 1000, d: int = 5) -> Rows:
    """Three linear regimes under a softmax of two features; noise 0.3, 0.6 and 0.2."""
    rng = np.random.default_rng(seed)
    X = np.c_[np.ones(n), rng.normal(size=(n, d))]
    coefficients = rng.normal(size=(3, d + 1))
    logits = np.c_[2 * X[:, 1], 2 * X[:, 2], np.zeros(n)]
    regime = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    noise = np.array([0.3, 0.6, 0.2])[regime] * rng.normal(size=n)
    return X[:, 1:], (X * coefficients[regime]).sum(axis=1) + noise


def two_regimes(seed: int, n: int, change_at: int | None) -> Rows:
    """Two regimes told apart by one feature; all coefficients are new from ``change_at`` on."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    before, after = rng.normal(size=(2, 2, 4))
    design = np.c_[np.ones(n), X]
    right = (X[:, 0] + 0.3 * rng.normal(size=n) > 0.4).astype(int)
    y = (design * before[right]).sum(axis=1)
    if change_at is not None:
        y[change_at:] = (design * after[right]).sum(axis=1)[change_at:]
    return X, y + 0.3 * rng.normal(size=n)


@dataclass(frozen=True)
class Run:
    """One model over one stream; scores in nats a row, of the rows after the warm-up."""

    log_evidence: float
    log_score: float
    late_score: float  # of the second half of the rows
    crps: float
    coverage: tuple[float, ...]  # of the central 50, 90 and 99% intervals, in per cent
    seconds: float  # of processor time


def one_run(job: tuple[Stream, dict[str, Any], int, bool]) -> Run:
    stream, settings, seed, crps = job
    began = time.process_time()
    model = hsmoe.HSMoERegressor(**{"standardize": False, **settings}, random_state=seed)
    forecast = model.prequential(stream.X, stream.y, crps=crps)
    seconds = time.process_time() - began
    scored = slice(stream.warmup, None)
    off_centre = np.abs(forecast.cdf[scored] - 0.5)
    return Run(
        model.log_evidence_,
        float(forecast.log_density[scored].mean()),
        float(forecast.log_density[len(stream.y) // 2 :].mean()),
        float(forecast.crps[scored].mean()) if crps else float("nan"),
        tuple(100 * float((off_centre <= c / 2).mean()) for c in (0.5, 0.9, 0.99)),
        seconds,
    )


@dataclass(frozen=True)
class Options:
    settings: dict[str, Any]
    seeds: int
    jobs: int
    only: tuple[str, ...]
    plot: str | None

    def runs(
        self, streams: dict[str, Stream], crps: bool = False, **settings: Any
    ) -> Iterator[tuple[str, list[Run]]]:
        """Yield the name of each stream and its runs, one a seed."""
        chosen = {**settings, **self.settings}
        with ProcessPoolExecutor(self.jobs) as pool:
            for name, stream in streams.items():
                work = [(stream, chosen, seed, crps) for seed in range(self.seeds)]
                yield name, list(pool.map(one_run, work))

    def __str__(self) -> str:
        return f"settings {self.settings or 'default'}; {self.seeds} seeds"


def column(runs: list[Run], name: str) -> np.ndarray:
    return np.array([getattr(run, name) for run in runs])


def deviation(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else float("nan")


def evidence_table(options: Options, streams: dict[str, Stream], **settings: Any) -> None:
    print("| set | best | mean | sd | worst - best | late log score | its sd | seconds |")
    print("|---|---|---|---|---|---|---|---|")
    for name, runs in options.runs(streams, **settings):
        evidence, late = column(runs, "log_evidence"), column(runs, "late_score")
        print(
            f"| {name} | {evidence.max():.1f} | {evidence.mean():.1f} | {deviation(evidence):.2f} "
            f"| {evidence.min() - evidence.max():.1f} | {late.mean():.4f} | {deviation(late):.4f} "
            f"| {column(runs, 'seconds').mean():.1f} |",
            flush=True,
        )


def modes(options: Options) -> None:
    """Spread of the log evidence between seeds, where a fourth expert has nothing to do."""
    print(f"n = 1000, d = 6, three regimes, n_experts=4, retain=None; {options}\n")
    streams = {str(seed): Stream(*three_regimes(seed), 0) for seed in range(3)}
    evidence_table(options, streams, n_experts=4, retain=None)


def long(options: Options) -> None:
    """The same on longer streams: by default, and where the model has the size of the truth."""
    print(f"the default setting; {options}\n")
    evidence_table(options, {"synth3, 10,000 rows": synth3()})
    print("\nn_experts=4, retain=2000\n")
    streams = {
        "synth3, 20,000 rows": synth3(20_000),
        "three regimes, 20,000 rows": Stream(*three_regimes(0, 20_000), 0),
    }
    evidence_table(options, streams, n_experts=4, retain=2000)


def drift(options: Options) -> None:
    """Late log score, in nats a row, with and without forgetting: a change at row 3000, or none."""
    streams = {
        "change": Stream(*two_regimes(0, 6000, change_at=3000), 0),
        "static": Stream(*two_regimes(0, 6000, change_at=None), 0),
    }
    print(f"n = 6000, log score of rows 3000 to 6000; {options}\n")
    print("| forgetting | stream | log score | sd between seeds | seconds |")
    print("|---|---|---|---|---|")
    for forgetting in (1.0, 0.999, 0.99, "auto"):
        for name, runs in options.runs(streams, forgetting=forgetting):
            late = column(runs, "late_score")
            print(
                f"| {forgetting} | {name} | {late.mean():.4f} | {deviation(late):.4f} "
                f"| {column(runs, 'seconds').mean():.1f} |",
                flush=True,
            )


def streams(options: Options) -> None:
    """Scores of one-step-ahead forecasts of five streams."""
    names = options.only or tuple(STREAMS)
    print(f"One step ahead, standardised target; {options}\n")
    print("| stream | log score | sd | CRPS | 50% | 90% | 99% | us a row |")
    print("|---|---|---|---|---|---|---|---|")
    for name in names:
        for _, runs in options.runs({name: (stream := STREAMS[name]())}, crps=True):
            score = column(runs, "log_score")
            coverage = " | ".join(f"{v:.1f}" for v in column(runs, "coverage").mean(axis=0))
            row_time = column(runs, "seconds").mean() / len(stream.y) * 1e6
            print(
                f"| {name} | {score.mean():.3f} | {deviation(score):.4f} "
                f"| {column(runs, 'crps').mean():.4f} | {coverage} | {row_time:.0f} |",
                flush=True,
            )


# What the choice of defaults was between; each beside the default of everything else.
ALTERNATIVES: tuple[dict[str, Any], ...] = (
    {},
    {"n_experts": 4},
    {"n_experts": 8},
    {"n_particles": 64},
    {"n_islands": 8, "n_particles": 16},
    {"retain": 250},
    {"retain": 1000},
    {"ess_threshold": 0.3},
    {"ess_threshold": 0.8},
    {"gate": "comb"},
    {"forgetting": 1.0},
    {"forgetting": 0.995},
    {"gate_prior": hsmoe.HorseshoePrior(tau0=0.3)},
    {"gate_prior": hsmoe.HorseshoePrior(slab=1.0)},
    {"gate_prior": hsmoe.HorseshoePrior(slab=3.0)},
    {"expert": hsmoe.GaussianExpert(b0_shape=0.0)},
    {"expert": hsmoe.GaussianExpert(a0=1.0)},
    {"expert": hsmoe.GaussianExpert(coefficient_shape=0.0)},
    {"expert": hsmoe.GaussianExpert(coefficient_shape=0.0, coefficient_variance=100.0)},
    {"expert": hsmoe.GaussianExpert(coefficient_shape=0.5)},
    {"expert": hsmoe.GaussianExpert(coefficient_variance=2.0)},
    {"expert": hsmoe.GaussianExpert(coefficient_variance=100.0)},
)
_ALTERNATIVE_ROWS = 6000


def defaults(options: Options) -> None:
    """Log scores on the first rows of the five streams, one setting changed at a time."""
    names = options.only or tuple(STREAMS)
    base = {"n_particles": 32, **options.settings}
    print(f"First {_ALTERNATIVE_ROWS:,} rows, beside {base}; {options.seeds} seeds\n")
    print("| setting | " + " | ".join(names) + " |\n|---|" + "---|" * len(names))
    data = {name: STREAMS[name]().head(_ALTERNATIVE_ROWS) for name in names}
    for changed in ALTERNATIVES:
        text = ", ".join(f"{name}={value!r}" for name, value in changed.items()) or "as it is"
        plan = replace(options, settings={**base, **changed})
        scores = [column(runs, "log_score") for _, runs in plan.runs(data)]
        print(f"| {text} | " + " | ".join(f"{s.mean():.3f}" for s in scores) + " |", flush=True)


def cost(options: Options) -> None:
    """Time against rows, to a million of them: rejuvenation is amortised."""
    X, y = three_regimes(0, 1_000_000)
    settings = {"n_experts": 4, "n_particles": 32, "n_islands": 1, **options.settings}
    print(f"Three regimes, {settings}, one thread\n")
    print("| rows | seconds | us a row since the line above | scans | model file, MB |")
    print("|---|---|---|---|---|")
    model = hsmoe.HSMoERegressor(**{"standardize": False, **settings}, random_state=0)
    seconds, done = 0.0, 0
    path: list[tuple[int, float]] = []
    for n in np.unique(np.logspace(2, 6, 13).round(-2).astype(int)):
        began = time.perf_counter()
        model.partial_fit(X[done:n], y[done:n])
        more = time.perf_counter() - began
        seconds += more
        path.append((n, seconds))
        print(
            f"| {n:,} | {seconds:.2f} | {1e6 * more / (n - done):.0f} "
            f"| {int(model.scan_log_['n_scans'].sum()):,} | {len(model.to_bytes()) / 1e6:.2f} |",
            flush=True,
        )
        done = n
    if options.plot:
        plot_cost(path, options.plot)


def plot_cost(path: list[tuple[int, float]], file: str) -> None:
    from matplotlib.figure import Figure

    rows, seconds = np.array(path).T
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.loglog(rows, seconds, "o-", label="measured")
    axes.loglog(rows, seconds[-1] * rows / rows[-1], ":", color="0.5", label="linear in the rows")
    axes.set(xlabel="rows", ylabel="seconds since the first row", title="Learning time")
    axes.legend()
    figure.savefig(file, dpi=150)


STUDIES = {study.__name__: study for study in (modes, long, drift, streams, defaults, cost)}


def setting(text: str) -> tuple[str, Any]:
    """Read ``name=value``: a Python literal, a class of hsmoe called with literals, or a string."""
    name, _, value = text.partition("=")
    try:
        match ast.parse(value, mode="eval").body:
            case ast.Call(func=ast.Name(id=kind), args=[], keywords=keywords):
                given = {word.arg: ast.literal_eval(word.value) for word in keywords if word.arg}
                return name, getattr(hsmoe, kind)(**given)
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("study", choices=[*STUDIES, "all"], help="what to measure")
    parser.add_argument("--seeds", type=int, default=20, help="runs of each stream (20)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2)")
    parser.add_argument("--only", default="", help="streams to read, by name, with commas between")
    parser.add_argument("--plot", metavar="FILE", help="draw the times of the study cost")
    parser.add_argument(
        "--set",
        type=setting,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of HSMoERegressor other than its default; may be repeated",
    )
    given = parser.parse_args()
    only = tuple(name for name in given.only.split(",") if name)
    if unknown := set(only) - set(STREAMS):
        parser.error(f"--only: no stream is called {', '.join(sorted(unknown))}")
    options = Options(dict(given.set), given.seeds, given.jobs, only, given.plot)
    for name in STUDIES if given.study == "all" else [given.study]:
        print(f"\n## {name}\n", flush=True)
        STUDIES[name](options)


if __name__ == "__main__":
    main()
