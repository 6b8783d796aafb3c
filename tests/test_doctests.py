"""The examples in the public docstrings run."""

import doctest
import importlib

import pytest

# Modules whose examples need a package of an extra.
EXTRAS = {
    "hsmoe._sklearn": "sklearn",
    "hsmoe.river": "river",
    "hsmoe.skpro": "skpro",
    "hsmoe._skpro_distributions": "skpro",
}

MODULES = [
    "hsmoe",
    "hsmoe._dispatch",
    "hsmoe._errors",
    "hsmoe._experts",
    "hsmoe._gate_report",
    "hsmoe._islands",
    "hsmoe._pit",
    "hsmoe.plotting",
    "hsmoe._diagnostic_plots",
    "hsmoe._priors",
    "hsmoe._load",
    "hsmoe.classifier",
    "hsmoe.counts",
    "hsmoe.forecast",
    "hsmoe.linalg",
    "hsmoe._base",
    "hsmoe._reports",
    "hsmoe._selection",
    "hsmoe._merged_experts",
    "hsmoe._selection_plots",
    "hsmoe.losses",
    "hsmoe.merging",
    "hsmoe.mixtures",
    "hsmoe.regressor",
    "hsmoe.resampling",
    *EXTRAS,
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    if name in EXTRAS:
        pytest.importorskip(EXTRAS[name], reason=f"extra {EXTRAS[name]}")
    failed, attempted = doctest.testmod(importlib.import_module(name))
    assert attempted > 0
    assert failed == 0
