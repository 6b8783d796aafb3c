"""What ``hsmoe stream`` adds to a row, beside what the model itself takes to forecast and learn it.

``python -P bench/stream_overhead.py``: processor time of one process in microseconds a row, best of
three, for a model so small that it takes little itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np

import hsmoe
from hsmoe.cli._answers import NumberAnswers
from hsmoe.cli._app import app
from hsmoe.cli._follower import Follower

N_ROWS = 6000
OPTIONS = ["--experts", "2", "--particles", "8", "--islands", "1", "--retain", "0", "--seed", "1"]


def rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N_ROWS, 5))
    return X, np.where(X[:, 0] > 0, 3 * X[:, 0], X[:, 1]) + 0.1 * rng.normal(size=N_ROWS)


def own(X, y):
    """Forecast and learn alone: numbers in, numbers out, no text."""
    model = hsmoe.HSMoERegressor(2, 8, 1, retain=0, random_state=1).partial_fit(X[:50], y[:50])
    answers = NumberAnswers(model, "y", 0.9)
    began = time.process_time()
    for x, target in zip(X[50:].tolist(), y[50:].tolist(), strict=True):
        answers.forecast(x, target)
        model.partial_fit(np.array([x]), [target])
    return 1e6 * (time.process_time() - began) / (N_ROWS - 50)


def streamed(path):
    """The whole command from its first row to its last, checkpoints included."""
    follow, seconds = Follower.follow, []

    def timed(self):
        began = time.process_time()
        code = follow(self)
        seconds.append(time.process_time() - began)
        return code

    Follower.follow = timed
    kept = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        options = ["-t", "y", "-c", str(path.with_suffix(".hsmoe")), "--overwrite", "-q", *OPTIONS]
        with contextlib.suppress(SystemExit):
            app(["stream", str(path), *options])
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)
        Follower.follow = follow
    return 1e6 * seconds[0] / N_ROWS


def main():
    X, y = rows()
    with tempfile.TemporaryDirectory() as folder:
        jsonl, csv = Path(folder) / "rows.jsonl", Path(folder) / "rows.csv"
        table = [dict(zip("abcdey", row, strict=True)) for row in np.column_stack([X, y]).tolist()]
        jsonl.write_text("".join(json.dumps(row) + "\n" for row in table))
        lines = [",".join(map(repr, row.values())) for row in table]
        csv.write_text("\n".join(["a,b,c,d,e,y", *lines]) + "\n")
        print(f"the model's own  {min(own(X, y) for _ in range(3)):6.1f} us a row")
        for path in (jsonl, csv):
            print(f"stream, {path.suffix:7}  {min(streamed(path) for _ in range(3)):6.1f} us a row")


if __name__ == "__main__":
    main()
