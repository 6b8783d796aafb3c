"""Options, headers, files and pipes."""

import os
import subprocess
import sys

import pytest
from streams import SMALL, as_jsonl, posix, run

from hsmoe.cli import _rows
from hsmoe.cli._rows import read_lines


def test_headers_and_formats(folder, frame):
    csv = frame.to_csv(index=False)
    for text, options, words in [
        (csv, ("-t", "z"), "has no column 'z'; its columns are a, b, c, y"),
        (csv, ("-t", "y", "--features", "a,q"), "has no column 'q'"),
        (csv, ("-t", "y", "--exclude", "q"), "--exclude names 'q'"),
        (csv, ("-t", "y", "--features", "a,a"), "names 'a' twice"),
        (csv, ("-t", "y", "--features", "a,y"), "names the target 'y'"),
        (csv, ("-t", "y", "--gate-features", "q"), "gate_features names 'q'"),
        ("a,a,y\n1,2,3\n", ("-t", "y"), "two columns 'a'"),
        ("a,,y\n1,2,3\n", ("-t", "y"), "a column has no name"),
        ("y\n1\n", ("-t", "y"), "no feature is left"),
        ("[{}]\n", ("-t", "y"), "pass one JSON object a line"),
        (csv, ("-t", "y", "--experts", 0), "n_experts is 0"),
        (csv, ("-t", "y", "--change-rate", 2), "change_rate is 2"),
        (csv, ("-t", "y", "--model", "classifier"), "--classes is needed"),
        (csv, ("-t", "y", "--model", "classifier", "--classes", "u"), "1 class"),
        (csv, ("-t", "y", "--classes", "u,v"), "--classes is for --model classifier alone"),
        (csv, ("-t", "y", "--seed", -1), "random_state is -1"),
        (csv, ("-t", "y", "--jobs", 0), "n_jobs is 0"),
    ]:
        result = run("-c", folder / "m.hsmoe", *options, text=text)
        assert result.exit_code == 1, (options, result.output)
        assert words in result.stderr, (options, result.stderr)
        assert result.stdout == "" and "Traceback" not in result.output
        assert not (folder / "m.hsmoe").exists()
    for options in [
        ("--coverage", 1.5, "-t", "y"),
        ("--every", 0, "-t", "y"),
        (),
        ("--resume", "--overwrite", "-t", "y"),
        ("--skip-seen", "-t", "y"),
    ]:
        assert run("-c", folder / "m.hsmoe", *options, text=csv).exit_code == 2
    assert run("absent.csv", "-t", "y", "-c", folder / "m.hsmoe").exit_code == 2
    # A format that is given is not guessed.
    result = run("-t", "y", "-c", folder / "m.hsmoe", "--format", "jsonl", text=csv)
    assert result.exit_code == 3 and "line 1 (row 1): is not JSON" in result.stderr
    # An extension says more than a first line that is bad.
    (folder / "bad.ndjson").write_text("?\n" + "".join(as_jsonl(frame)))
    result = run(folder / "bad.ndjson", "-t", "y", "-c", folder / "m.hsmoe")
    assert result.exit_code == 3 and "line 1 (row 1): is not JSON" in result.stderr


def test_no_rows(folder):
    path = folder / "m.hsmoe"
    result = run("-t", "y", "-c", path, *SMALL, text="")
    assert result.exit_code == 0 and "no row was read; nothing is written" in result.stderr
    assert run("-t", "y", "-c", path, *SMALL, text="a,y\n").exit_code == 0
    assert not path.exists()


def test_a_target_that_never_comes_is_mentioned_and_quiet_is_quiet(folder):
    text, path = '{"a": 1}\n{"a": 2}\n', folder / "m.hsmoe"
    result = run("-t", "y", "-c", path, *SMALL, text=text)
    assert result.exit_code == 0
    assert "its first row has no column 'y', the target" in result.stderr
    result = run("-t", "y", "-c", path, *SMALL, "--overwrite", "--quiet", text=text)
    assert result.exit_code == 0 and result.stderr == ""
    result = run("-c", path, "--resume", "-q", "--on-bad-line", "skip", text="{?\n" + text)
    assert "line 1 (row 3): is not JSON" in result.stderr


@posix
def test_a_named_pipe(start, folder, whole):
    os.mkfifo(folder / "pipe")
    process = start(folder / "pipe", "-t", "y", "-c", folder / "m.hsmoe", *SMALL, stdin=None)
    with open(folder / "pipe", "wb") as pipe:
        pipe.write((folder / "rows.jsonl").read_bytes())
    out, _ = process.communicate()
    assert process.returncode == 0 and out.decode() == "".join(whole)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 4096])
def test_lines_do_not_depend_on_how_they_arrive(size, monkeypatch):
    monkeypatch.setattr(_rows, "LONGEST_LINE", 10)
    data = b"\xef\xbb\xbfone\r\n\n \t\ntwo\n" + b"x" * 50 + b"\n0123456789\n\r\nlast"
    parts = [data[i : i + size] for i in range(0, len(data), size)]
    chunks = iter([*parts, b""])
    assert list(read_lines(lambda _: next(chunks))) == [
        (1, b"one"),
        (4, b"two"),
        (5, b"x" * 11),
        (6, b"0123456789"),
        (8, b"last"),
    ]


def test_pandas_is_not_imported(folder):
    """It would take longer than all the rest of the beginning."""
    code = (
        "import sys\n"
        "from hsmoe.cli._app import app\n"
        "try:\n"
        "    app(sys.argv[1:])\n"
        "except SystemExit as end:\n"
        "    sys.exit(end.code or 'pandas' in sys.modules)\n"
    )
    arguments = ("stream", folder / "rows.csv", "-t", "y", "-c", folder / "m.hsmoe", *SMALL)
    command = [sys.executable, "-P", "-c", code, *map(str, arguments)]
    assert subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode == 0


def test_help_says_what_the_exit_codes_are():
    text = run("--help").stdout
    for words in ("Exit codes", "129, 130, 143", "141", "--resume", "--change-rate"):
        assert words in text
