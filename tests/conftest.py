"""Make the reference implementation and the oracles importable; small streams for the tests."""

import sys
from pathlib import Path

import numpy as np
import pytest

_TESTS = Path(__file__).resolve().parent
for _folder in (_TESTS, _TESTS.parent / "bench"):
    if str(_folder) not in sys.path:
        sys.path.insert(0, str(_folder))


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="run the tests marked long too")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--long"):
        return
    skip = pytest.mark.skip(reason="takes minutes; run with --long")
    for item in items:
        if "long" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def two_regimes():
    """X (160, 3), y (160,): two linear regimes, features of very different scales, asymmetric."""
    rng = np.random.default_rng(20240511)
    X = rng.normal(size=(160, 3)) * [1.0, 100.0, 1e-3] + [0.0, 1e4, 0.5]
    bend = np.where(X[:, 0] > 0.3, 4.0 * X[:, 0], 1.0 - X[:, 0])
    y = 50.0 + 10.0 * bend + 0.02 * (X[:, 1] - 1e4) + rng.normal(size=160)
    return X, y
