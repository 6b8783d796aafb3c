"""Make the reference implementation and the oracles importable."""

import sys
from pathlib import Path

_TESTS = Path(__file__).resolve().parent
for _folder in (_TESTS, _TESTS.parent / "bench"):
    if str(_folder) not in sys.path:
        sys.path.insert(0, str(_folder))
