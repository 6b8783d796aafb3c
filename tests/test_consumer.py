"""Build other people's Cython against the installed package and run it."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import hsmoe.random as hr

PROJECT = Path(__file__).resolve().parent / "consumer"
TOOLS = {
    "scikit_build_core": "scikit-build-core",
    "cython_cmake": "cython-cmake",
    "Cython": "Cython",
    "pip": "pip",
}


def _missing():
    for module, name in TOOLS.items():
        if importlib.util.find_spec(module) is None:
            return f"{name} is not installed"
    if not (
        os.environ.get("CC")
        or shutil.which("cc")
        or shutil.which("gcc")
        or shutil.which("clang")
        or shutil.which("cl")
    ):
        return "no C compiler"
    if not (shutil.which("cmake") or importlib.util.find_spec("cmake")):
        return "cmake is not installed"
    return None


@pytest.fixture(scope="module")
def consumer(tmp_path_factory):
    reason = _missing()
    if reason:
        pytest.skip(reason)
    if not (Path(hr.__file__).with_name("random.pxd")).exists():
        pytest.skip("hsmoe is not installed with its .pxd")
    work = tmp_path_factory.mktemp("consumer")
    source = work / "source"
    shutil.copytree(PROJECT, source)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--no-build-isolation",
        "--no-deps",
        "--no-index",
        "--disable-pip-version-check",
        "--target",
        str(work / "site"),
        str(source),
    ]
    done = subprocess.run(
        command,
        cwd=work,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    (built,) = [p for p in (work / "site").glob("consumer.*") if p.suffix in {".so", ".pyd"}]
    spec = importlib.util.spec_from_file_location("consumer", built)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_fill_is_the_python_function(consumer):
    got = consumer.fill(np.random.PCG64(3), 2.5, 1.0, 1000)
    np.testing.assert_array_equal(
        got, hr.random_polyagamma(2.5, 1.0, size=1000, random_state=np.random.PCG64(3))
    )
    h, z = np.tile([1.0, 0.4, 3.0, 7.5], 100), np.linspace(-5, 5, 400)
    np.testing.assert_array_equal(
        consumer.fill_pairs(np.random.PCG64(3), h, z),
        hr.random_polyagamma(h, z, random_state=np.random.PCG64(3)),
    )


@pytest.mark.parametrize("h", [1.0, 1.5])
def test_single_draws_have_the_right_law(consumer, h):
    """False alarms: below 1e-8 each (5.8 standard errors)."""
    z, n = 1.2, 100_000
    x = consumer.one_by_one(np.random.PCG64(3), h, np.full(n, z))
    mean = h * np.tanh(z / 2) / (2 * z)
    variance = h * (np.sinh(z) - z) / np.cosh(z / 2) ** 2 / (4 * z**3)
    assert abs(x.mean() - mean) < 5.8 * np.sqrt(variance / n)
    s = np.sort(x)
    distance = np.abs(hr.polyagamma_cdf(s[::500], h, z) - (np.arange(0, n, 500) + 0.5) / n).max()
    assert distance < np.sqrt(np.log(2e8) / (2 * n)) + 1 / n


def test_densities(consumer):
    x, h, z = 0.3, 1.7, 0.8
    assert consumer.densities(x, h, z) == (
        hr.polyagamma_pdf(x, h, z),
        hr.polyagamma_cdf(x, h, z),
        hr.polyagamma_pdf(x, h, z, return_log=True),
        hr.polyagamma_cdf(x, h, z, return_log=True),
    )
