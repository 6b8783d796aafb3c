"""How the documentation is built: sphinx-build -W -b html docs build/docs."""

import os
import sys
from pathlib import Path

import hsmoe

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent

project = "hsmoe"
author = "The hsmoe developers"
copyright = author
version = release = hsmoe.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
]

# Pages run when they are built, each in a folder of its own, and an error stops the build.
nb_execution_mode = os.environ.get("HSMOE_DOCS_EXECUTION", "cache")
nb_execution_in_temp = True
nb_execution_timeout = 900
nb_execution_raise_on_error = True
nb_merge_streams = True
if nb_execution_mode == "off":  # only a kernel knows the language of a page
    suppress_warnings = ["myst-nb.lexer"]
# Commands of the pages ("!hsmoe ...") are those of the environment that builds.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

myst_enable_extensions = ["amsmath", "dollarmath", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings name the types
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

html_theme = "furo"
html_title = f"hsmoe {version}"


def _include_benchmarks() -> None:
    """Write a page for each report below bench/papers; the reports stay where they are made."""
    folder = HERE / "_generated"
    folder.mkdir(exist_ok=True)
    reports = sorted((ROOT / "bench" / "papers").glob("*.md"))
    wanted = {
        report.name: f"```{{include}} ../../bench/papers/{report.name}\n```\n" for report in reports
    }
    for stale in folder.glob("*.md"):
        if stale.name not in wanted:
            stale.unlink()
    for name, text in wanted.items():
        page = folder / name
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")


_include_benchmarks()
