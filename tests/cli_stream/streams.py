"""What the tests of ``hsmoe stream`` share."""

import json
import os
import sys

import pytest
from click.testing import CliRunner

from hsmoe.cli._app import app
from hsmoe.cli._checkpoints import read_checkpoint

posix = pytest.mark.skipif(os.name != "posix", reason="signals and pipes of POSIX")

SMALL = ("--experts", 2, "--particles", 8, "--islands", 1, "--seed", 3, "--warmup", 20)
COMMAND = [sys.executable, "-P", "-m", "hsmoe.cli", "stream"]
NOTHING = dict.fromkeys(("mean", "std", "lower", "upper", "log_density"))


def run(*arguments, text=None):
    """Run the command in this process."""
    return CliRunner().invoke(app, ["stream", *map(str, arguments)], input=text)


def refuse(constant):
    raise AssertionError(f"{constant} is not JSON")


def answers_in(output):
    """The answers, read strictly."""
    if isinstance(output, bytes):
        output = output.decode("ascii")
    return [json.loads(line, parse_constant=refuse) for line in output.splitlines()]


def as_jsonl(frame):
    return [json.dumps(row) + "\n" for row in frame.to_dict(orient="records")]


def position(path):
    return read_checkpoint(path)[1]


def feed(pipe, text):
    try:
        pipe.write(text.encode())
        pipe.close()
    except BrokenPipeError:
        pass
