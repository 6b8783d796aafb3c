"""Golden streams of the engine: the same seed gives the same numbers, at every SIMD level.

The levels differ by rounding (fused multiply-adds), which grows along a stream; over these rows
it stays below the tolerance.  To record anew after an intended change, run this file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from one_island import ONE_ISLAND

GOLDEN = Path(__file__).resolve().parent / "data" / "engine_golden.json"

CASES = {
    "comb": {"n_experts": 3},
    "balanced-islands": dict(n_experts=4, gate="balanced", n_islands=2, gate_prior="normal"),
    "paper": dict(n_experts=3, gate_prior="horseshoe-paper", retain=0),
    "forgetting": dict(n_experts=2, retain=20, forgetting=0.98),
    "softmax": dict(n_experts=3, gate="softmax", gate_prior="group-horseshoe"),
    "laplace": dict(n_experts=3, gate=("laplace", [[0, 2], 1]), retain=30, forgetting=0.98),
}


def _run(case: str) -> list[float]:
    import hsmoe

    rng = np.random.default_rng(99)
    X = rng.normal(size=(100, 2))
    y = np.where(X[:, 0] > 0.2, 1.0 + 2.0 * X[:, 1], -X[:, 0]) + 0.3 * rng.normal(size=100)
    settings = dict(**ONE_ISLAND, n_particles=20, retain=None, n_warmup=10, random_state=5)
    model = hsmoe.HSMoERegressor(**(settings | CASES[case]))
    forecast = model.prequential(X, y)
    density = forecast.log_density[10::10]
    return [model.log_evidence_, *density, *model.predict(X[:3]), *forecast.crps[-3:]]


@pytest.mark.parametrize("level", ["base", "v3", "v4"])
def test_golden(level):
    import hsmoe

    if level not in hsmoe.build_config()["built_levels"]:
        pytest.skip(f"level {level} was not built")
    if level not in hsmoe.build_config()["machine_levels"]:
        pytest.skip(f"this machine lacks level {level}")
    done = subprocess.run(
        [sys.executable, __file__, "--print"],
        env=os.environ | {"HSMOE_SIMD": level},
        capture_output=True,
        text=True,
        check=True,
    )
    recorded = json.loads(GOLDEN.read_text())
    for case, values in json.loads(done.stdout).items():
        np.testing.assert_allclose(values, recorded[case], rtol=1e-7, atol=1e-9, err_msg=case)


if __name__ == "__main__":
    values = {case: _run(case) for case in CASES}
    if "--print" in sys.argv:
        print(json.dumps(values))
    else:
        GOLDEN.write_text(json.dumps(values, indent=1) + "\n")
