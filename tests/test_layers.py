"""The layers: cpp/ knows nothing of Python, and includes point one way."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CORE = sorted(
    path for path in (ROOT / "cpp").rglob("*") if path.suffix in {".h", ".hpp", ".cpp", ".cc"}
)
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)

# What each part of the core may include besides itself, Eigen and the standard library.
ALLOWED = {
    "simd": set(),
    "random": {"simd", "linalg"},
    "linalg": {"simd", "random"},
    "prior": {"random", "linalg", "simd"},
    "expert": {"random", "linalg", "simd"},
    "gate": {"random", "linalg", "simd", "prior"},
    "predictive": {"random", "linalg", "simd", "expert", "gate", "prior"},
    "variational": {"random", "linalg", "simd", "expert", "gate", "prior", "predictive", "filter"},
    "filter": {"random", "linalg", "simd", "expert", "gate", "prior", "predictive"},
}


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_core_includes_nothing_of_python(path):
    text = path.read_text(encoding="utf-8")
    for included in INCLUDE.findall(text):
        assert not re.search(r"python|pybind|numpy|pymem|pyerrors|src/", included, re.IGNORECASE)
    code = re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)
    assert not re.search(r"\bPy[A-Z_]\w*|\bpybind11\b|\bnpy_", code)


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_core_includes_point_one_way(path):
    parts = path.relative_to(ROOT / "cpp").parts
    if parts[:2] != ("include", "hsmoe") or len(parts) < 4:
        return
    for included in INCLUDE.findall(path.read_text(encoding="utf-8")):
        target = included.split("/")
        if target[0] == "hsmoe" and len(target) > 2 and target[1] != parts[2]:
            assert target[1] in ALLOWED[parts[2]], f"{path.name} includes {included}"


def test_the_core_is_there():
    assert CORE


def imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_only_dispatch_loads_the_engine():
    for path in (ROOT / "hsmoe").rglob("*.py"):
        if path.name not in {"_dispatch.py", "_core_protocol.py"}:
            assert not any("_core_" in name and "protocol" not in name for name in imports(path)), (
                path
            )


def test_no_pickle():
    for path in (ROOT / "hsmoe").rglob("*.py"):
        assert not {"pickle", "joblib", "dill", "marshal", "shelve"} & set(imports(path)), path


# Libraries that users may have: which modules may import them at their top.
OPTIONAL = {
    "river": {"river.py", "_river_proba.py"},
    "skpro": {"skpro.py", "_skpro_distributions.py"},
    "pandas": {"skpro.py", "_skpro_distributions.py"},
    "sklearn": set(),
    "polars": set(),
}


def test_optional_libraries_are_imported_where_they_are_meant():
    """At the top of modules of hsmoe/; functions may import what they need."""
    for path in (ROOT / "hsmoe").glob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module]
            elif isinstance(node, ast.ImportFrom):  # nothing inside builds on an adapter
                inside = {node.module, *(alias.name for alias in node.names)}
                assert not inside & {"river", "skpro"}, path
            for name in {name.partition(".")[0] for name in names} & set(OPTIONAL):
                assert path.name in OPTIONAL[name], f"{path.name} imports {name}"
