"""What every benchmark records: the SIMD level, the build and the machine's processor."""

import platform

import pytest

import hsmoe


@pytest.fixture
def record(benchmark):
    """The benchmark fixture with the level and the build in extra_info."""
    benchmark.extra_info["simd_level"] = hsmoe.simd_level()
    benchmark.extra_info["build"] = dict(hsmoe.build_config())
    benchmark.extra_info["processor"] = platform.processor() or platform.machine()
    return benchmark
