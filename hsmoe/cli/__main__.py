"""``python -m hsmoe.cli``."""

from . import main

main()
