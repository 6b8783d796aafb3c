"""Polya-Gamma draws, ours next to the `polyagamma` package, in one run.

    pytest bench/bench_polyagamma.py --benchmark-enable --benchmark-group-by=param:case

Compare within one run only: absolute times drift between machines.  ``extra_info`` records the
instruction level (``HSMOE_SIMD``), the build, the rounds and the time of one draw.
"""

import math

import numpy as np
import pytest

from hsmoe.random import random_polyagamma

# name: (h, z); an array z is N(0, 4), the tilt of a logistic regression that has learned something.
_Z = np.random.default_rng(1).normal(0.0, 2.0, 1_000_000)
CASES = {
    "h=1, z~N(0,4), 1e6": (1, _Z),
    "h=1, z=0, 1e6": (1, np.zeros(1_000_000)),
    "h=1, z=10, 1e6": (1, np.full(1_000_000, 10.0)),
    "h=0.5, z~N(0,4), 1e5": (0.5, _Z[:100_000]),
    "h=2, z~N(0,4), 1e5": (2, _Z[:100_000]),
    "h=3.7, z~N(0,4), 1e5": (3.7, _Z[:100_000]),
    "h=20, z~N(0,4), 1e4": (20, _Z[:10_000]),
    "h=1000, z=1, 1e4": (1000, np.ones(10_000)),
    "h=1000, z=1 scalar, 1e4": (1000, 1.0),
}


def _peer():
    return pytest.importorskip("polyagamma", reason="the polyagamma package is not installed")


def _mean(h, z):
    z = np.where(np.abs(z) < 1e-6, 1e-6, np.abs(z))
    return float(np.mean(h * np.tanh(z / 2) / (2 * z)))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("who", ["hsmoe", "polyagamma"])
def test_draws(record, who, case):
    h, z = CASES[case]
    function = random_polyagamma if who == "hsmoe" else _peer().random_polyagamma
    n = np.size(z) if np.ndim(z) else 10_000
    size = None if np.ndim(z) else n
    rng = np.random.default_rng(2)
    x = record(lambda: function(h, z, size=size, random_state=rng))

    assert x.shape == (n,) and np.all(x > 0)
    # The variance is at most h / 24; the peer's bias for non-integer h (about 0.7%) is let pass.
    bias = 0.0 if who == "hsmoe" else 0.01 * _mean(h, z)
    assert abs(x.mean() - _mean(h, z)) < 6 * math.sqrt(h / 24 / n) + bias
    if getattr(record, "stats", None):
        record.extra_info["nanoseconds_a_draw"] = record.stats.stats.median / n * 1e9
