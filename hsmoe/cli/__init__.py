"""The ``hsmoe`` command."""

from __future__ import annotations

import importlib.util
import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; says what to install if the extra ``cli`` is not there."""
    absent = [name for name in ("click", "rich") if importlib.util.find_spec(name) is None]
    if absent:
        print(
            f"the hsmoe command needs {' and '.join(absent)}; install with: "
            'pip install "hsmoe[cli]"',
            file=sys.stderr,
        )
        raise SystemExit(1)
    from ._app import app

    app(prog_name="hsmoe")
