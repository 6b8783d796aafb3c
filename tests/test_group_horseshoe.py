"""Whole splits switch off under the group horseshoe: streams of ``bench/group_horseshoe.py``."""

from __future__ import annotations

import numpy as np
import pytest
from group_horseshoe import one_run


@pytest.fixture(scope="module")
def scores():
    """Two streams of 600 rows, 8 features; one split needs none of them, the others all."""
    return {
        prior: [one_run((prior, seed, 600, 8, 2)) for seed in (2, 5)]
        for prior in ("horseshoe", "group-horseshoe")
    }


def _each(scores, name):
    return [np.array([getattr(score, name) for score in scores[prior]]) for prior in scores]


def test_a_split_without_features_is_switched_off(scores):
    plain, group = _each(scores, "idle")
    assert (group < 0.6 * plain).all()
    plain, group = _each(scores, "off")
    assert (group > 0.6).all()
    assert (plain < 0.5).all()
    plain, group = _each(scores, "idle_inclusion")
    assert (group < 0.5 * plain).all()


def test_splits_that_need_features_keep_them(scores):
    plain, group = _each(scores, "needed_inclusion")
    assert (group > 0.9).all()
    plain, group = _each(scores, "needed")
    assert group.mean() < 1.25 * plain.mean()
    plain, group = _each(scores, "lost")
    assert group.mean() < plain.mean() + 0.01
