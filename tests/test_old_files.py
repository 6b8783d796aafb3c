"""Model files of every format since 0.1.0 load, and forecast what they did when they were written.

``tests/data/format_N.json`` holds files of format N as text, with forecasts.  They are never
written anew: when the format changes, run this file to record one of the new format beside them.
"""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path

import numpy as np
import pytest

import hsmoe
from hsmoe.checkpoint import FORMAT_VERSION

DATA = Path(__file__).resolve().parent / "data"
FILES = sorted(DATA.glob("format_*.json"))
CASES = [
    pytest.param(entry, id=f"{path.stem}-{name}")
    for path in FILES
    for name, entry in json.loads(path.read_text())["models"].items()
]
ROWS = np.array([[-1.0], [0.2], [2.0]])


def forecasts(model):
    """Numbers that depend on all a model has learned, now and after more rows."""
    answers = [*np.ravel(model.predict_expert_proba(ROWS)), model.log_evidence_]
    if isinstance(model, hsmoe.HSMoEClassifier):
        return [*answers, *np.ravel(model.predict_proba(ROWS))]
    return [*answers, *model.predict(ROWS), *np.ravel(model.predict_quantiles(ROWS, [0.1, 0.9]))]


@pytest.mark.parametrize("entry", CASES)
def test_old_files(entry, tmp_path):
    path = tmp_path / "old.hsmoe"
    path.write_bytes(zlib.decompress(base64.b85decode(entry["file"])))
    model = hsmoe.load(path)
    assert type(model).__name__ == entry["class"]
    # Written at one SIMD level, read at another.
    np.testing.assert_allclose(forecasts(model), entry["forecasts"], rtol=1e-9, atol=1e-12)
    seen = model.n_rows_seen_
    model.partial_fit(ROWS, [1, 0, 1])
    assert model.n_rows_seen_ == seen + 3
    assert np.isfinite(forecasts(model)).all()


def test_this_format_is_kept():
    assert DATA / f"format_{FORMAT_VERSION}.json" in FILES


def record():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(16, 1))
    y = np.abs(X[:, 0])
    size = {"n_particles": 2, "n_islands": 1, "n_warmup": 6, "random_state": 1}
    regressor = hsmoe.HSMoERegressor
    models = {
        "default": regressor(2, **size).partial_fit(X, y),
        "frozen": regressor(2, retain=3, gate="softmax", **size).partial_fit(X, y),
        "laplace": regressor(2, retain=3, gate="laplace", **size).partial_fit(X, y),
        "student": regressor(2, retain=3, expert="student", **size).partial_fit(X, y),
        "variational": regressor(2, inference="variational", **size).partial_fit(X, y),
        "changing": regressor(hsmoe.ChangingExperts(2, 0.05), **size).partial_fit(X, y),
        "group": regressor(2, retain=0, gate_prior="group-horseshoe", **size).partial_fit(X, y),
        "classes": hsmoe.HSMoEClassifier(2, **size).partial_fit(X, y > 0.5, classes=[False, True]),
        "counts": hsmoe.HSMoECountRegressor(2, **size).partial_fit(X, np.floor(2 * y)),
    }
    entries = {
        name: {
            "class": type(model).__name__,
            "forecasts": [float(value) for value in forecasts(model)],
            "file": base64.b85encode(zlib.compress(model.to_bytes(), 9)).decode(),
        }
        for name, model in models.items()
    }
    path = DATA / f"format_{FORMAT_VERSION}.json"
    if path.exists():
        raise SystemExit(f"{path.name} exists; files of a format are not written anew")
    path.write_text(json.dumps({"version": hsmoe.__version__, "models": entries}, indent=1) + "\n")


if __name__ == "__main__":
    record()
