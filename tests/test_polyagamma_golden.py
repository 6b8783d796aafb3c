"""Golden streams: a seed gives the same Polya-Gamma variates in every release and on every machine.

After a change that is meant to alter the streams, run this file as a script to write them anew and
say so in the changelog.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from hsmoe.random import random_polyagamma

GOLDEN = Path(__file__).resolve().parent / "data" / "polyagamma_golden.json"
CASES = [
    (1, 0),
    (1, 2.5),
    (1, -40),
    (2, 1),
    (0.3, 0),
    (0.01, 5),
    (3.7, 0.5),
    (12, 2000),
    (300, 1.5),
    (1e6, 0.1),
]
SEED = 20250101


def _draw(h, z):
    return random_polyagamma(h, z, size=20, random_state=np.random.PCG64(SEED))


def _stored():
    return json.loads(GOLDEN.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "case", _stored() if GOLDEN.exists() else [], ids=lambda c: f"h={c['h']}-z={c['z']}"
)
def test_stream(case):
    assert_allclose(_draw(case["h"], case["z"]), case["values"], rtol=1e-12)


def test_every_case_is_stored():
    assert [(c["h"], c["z"]) for c in _stored()] == CASES


if __name__ == "__main__":
    cases = [{"h": h, "z": z, "values": _draw(h, z).tolist()} for h, z in CASES]
    GOLDEN.write_text(json.dumps(cases, indent=1) + "\n", encoding="utf-8")
