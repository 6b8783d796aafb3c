"""The SIMD level: what is chosen, the override, and its errors."""

import os
import subprocess
import sys

import numpy as np
import pytest

import hsmoe
from hsmoe import _dispatch
from hsmoe._dispatch import LEVELS, choose_level

ALL_BUILT = [level.name for level in LEVELS]
EVERYTHING = frozenset().union(*(level.features for level in LEVELS))


def test_the_best_usable_level_is_chosen():
    assert choose_level(EVERYTHING, ALL_BUILT).name == "v4"
    assert choose_level(EVERYTHING - {"avx512dq"}, ALL_BUILT).name == "v3"
    assert choose_level(EVERYTHING - {"movbe"}, ALL_BUILT).name == "base"
    assert choose_level((), ALL_BUILT).name == "base"
    assert choose_level(EVERYTHING, ["base", "v3"]).name == "v3"


def test_override():
    assert choose_level(EVERYTHING, ALL_BUILT, "base").name == "base"
    assert choose_level(EVERYTHING, ALL_BUILT, " V3 ").name == "v3"
    assert choose_level(EVERYTHING, ALL_BUILT, "").name == "v4"
    with pytest.raises(ImportError, match="'sse9' is no SIMD level: the levels are v4, v3, base"):
        choose_level(EVERYTHING, ALL_BUILT, "sse9")
    with pytest.raises(ImportError, match=r"built without that level; usable here: base"):
        choose_level(EVERYTHING, ["base"], "v4")
    with pytest.raises(ImportError, match=r"lacks avx512cd, avx512dq; usable here: v3, base"):
        choose_level(EVERYTHING - {"avx512cd", "avx512dq"}, ALL_BUILT, "v4")
    with pytest.raises(ImportError, match="not installed"):
        choose_level(EVERYTHING, [])


def test_features_without_numpy_or_without_the_kernel(monkeypatch):
    both = _dispatch.cpu_features()
    flags = _dispatch._cpuinfo_flags()
    if flags:
        with monkeypatch.context() as patch:
            patch.setattr(_dispatch, "_numpy_features", dict)
            assert _dispatch.cpu_features() == both
    with monkeypatch.context() as patch:
        patch.setattr(_dispatch, "_cpuinfo_flags", frozenset)
        assert _dispatch.cpu_features() == both
    with monkeypatch.context() as patch:
        patch.setattr(_dispatch, "_numpy_features", dict)
        patch.setattr(_dispatch, "_cpuinfo_flags", frozenset)
        assert _dispatch.cpu_features() == frozenset()
    # An older numpy, off Linux: the bit-manipulation features follow from AVX2 and FMA.
    with monkeypatch.context() as patch:
        old = {"AVX": True, "AVX2": True, "FMA3": True, "F16C": True, "AVX512F": False}
        patch.setattr(_dispatch, "_numpy_features", lambda: old)
        patch.setattr(_dispatch, "_cpuinfo_flags", frozenset)
        assert choose_level(_dispatch.cpu_features(), ALL_BUILT).name == "v3"


def test_cpuinfo(tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text("processor\t: 0\nflags\t\t: fpu avx avx2 abm\nbogomips: 1\n")
    assert _dispatch._cpuinfo_flags(path) == {"fpu", "avx", "avx2", "abm"}
    assert _dispatch._cpuinfo_flags(tmp_path / "absent") == frozenset()


def run(level):
    code = "import hsmoe; print(hsmoe.simd_level(), hsmoe.build_config()['level'])"
    environment = {**os.environ, "HSMOE_SIMD": level}
    return subprocess.run(
        [sys.executable, "-P", "-c", code],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )


def test_the_environment_variable():
    for level in hsmoe.build_config()["built_levels"]:
        if level in hsmoe.build_config()["machine_levels"]:
            assert run(level).stdout.split() == [level, level]
    wrong = run("turbo")
    assert wrong.returncode != 0
    assert "HSMOE_SIMD='turbo' is no SIMD level" in wrong.stderr


def test_build_config():
    config = hsmoe.build_config()
    assert config["level"] == hsmoe.simd_level()
    assert config["level"] in config["built_levels"]
    assert config["level"] in config["machine_levels"]
    assert config["version"] == hsmoe.__version__
    assert config["numpy"] == np.__version__
    assert config["lanes"] >= 1
