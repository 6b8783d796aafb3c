"""Rows, and runs of ``hsmoe stream`` over them."""

import os
import signal
import subprocess
import threading

import pandas as pd
import pytest
from streams import COMMAND, SMALL, as_jsonl, run


@pytest.fixture(autouse=True)
def hang_up():
    """SIGHUP as it is in a terminal: pytest may itself run under nohup."""
    number = getattr(signal, "SIGHUP", None)
    if number is None:
        yield
        return
    before = signal.signal(number, signal.SIG_DFL)
    yield
    signal.signal(number, before)


@pytest.fixture
def start():
    """Start the command as a process of its own, with pipes; it does not outlive the test."""
    processes = []

    def start_one(*arguments, **options):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        pipes["env"] = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
        process = subprocess.Popen([*COMMAND, *map(str, arguments)], **{**pipes, **options})
        processes.append(process)
        # What waits for it for ever, because of a fault, then fails.
        limit = threading.Timer(120, process.kill)
        limit.daemon = True
        limit.start()
        processes.append(limit)
        return process

    yield start_one
    for process, limit in zip(processes[::2], processes[1::2], strict=True):
        limit.cancel()
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    pass


@pytest.fixture
def frame(two_regimes):
    X, y = two_regimes
    return pd.DataFrame(X, columns=["a", "b", "c"]).assign(y=y)


@pytest.fixture
def folder(tmp_path, frame):
    """Files rows.csv and rows.jsonl of 160 rows with columns a, b, c, y."""
    (tmp_path / "rows.jsonl").write_text("".join(as_jsonl(frame)))
    frame.to_csv(tmp_path / "rows.csv", index=False)
    return tmp_path


@pytest.fixture
def whole(folder):
    """The answers of an uninterrupted run over rows.jsonl; its checkpoint is whole.hsmoe."""
    result = run(folder / "rows.jsonl", "-t", "y", "-c", folder / "whole.hsmoe", *SMALL)
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines(keepends=True)
