"""The checkpoints of ``hsmoe stream``."""

import threading

import pytest
from click.testing import CliRunner
from streams import SMALL, answers_in, as_jsonl, feed, position, posix, run

import hsmoe
from hsmoe.cli import _learner
from hsmoe.cli._app import app


@posix
def test_at_any_moment_there_is_a_whole_checkpoint(start, folder, frame):
    path = folder / "m.hsmoe"
    process = start("-t", "y", "-c", path, *SMALL, "--every", 1)
    feeder = threading.Thread(
        target=feed, daemon=True, args=(process.stdin, "".join(as_jsonl(frame)))
    )
    feeder.start()
    seen = []
    while process.poll() is None:
        if path.exists():
            seen.append(position(path).rows)
    feeder.join()
    assert seen == sorted(seen) and len(set(seen)) > 3
    assert position(path).rows == 160
    assert [file.name for file in folder.iterdir() if ".tmp" in file.name] == []


def test_a_checkpoint_that_cannot_be_written_ends_it(folder, monkeypatch):
    """The file of before stays; the message says what it holds."""
    path, write = folder / "m.hsmoe", _learner.write_checkpoint
    calls = []

    def full(*arguments):
        calls.append(arguments)
        if len(calls) > 2:
            raise OSError(28, "No space left on device")
        write(*arguments)

    monkeypatch.setattr(_learner, "write_checkpoint", full)
    result = run(folder / "rows.jsonl", "-t", "y", "-c", path, *SMALL, "--every", 30)
    assert result.exit_code == 1
    assert (
        "No space left on device; the checkpoint holds 30 rows, and 60 were read" in result.stderr
    )
    assert position(path).rows == 30
    assert len(answers_in(result.stdout)) == 60


@pytest.mark.parametrize("where", ["no/m.hsmoe", "folder", "rows.csv/m.hsmoe"])
def test_a_checkpoint_that_cannot_be_written_is_named_before_a_row_is_read(start, where, folder):
    (folder / "folder").mkdir()
    process = start("-t", "y", "-c", folder / where, *SMALL)
    assert process.wait(timeout=60) in (1, 2)  # while the input is open
    message = process.stderr.read().decode()
    assert str(folder / where).split("/")[-1] in message and "Traceback" not in message


def test_a_checkpoint_is_not_overwritten_unasked(folder, whole):
    path = folder / "whole.hsmoe"
    before = path.read_bytes()
    result = run(folder / "rows.jsonl", "-t", "y", "-c", path, *SMALL)
    assert result.exit_code == 1
    assert "whole.hsmoe: exists already; pass --resume" in result.stderr
    assert path.read_bytes() == before
    result = run(folder / "rows.jsonl", "-t", "y", "-c", path, *SMALL, "--overwrite")
    assert result.stdout == "".join(whole)


def test_show_and_predict_take_checkpoints(folder, whole):
    result = CliRunner().invoke(app, ["show", str(folder / "whole.hsmoe")])
    assert result.exit_code == 0, result.output
    assert "stream        160 rows read; target 'y'" in result.stdout
    result = CliRunner().invoke(
        app, ["predict", str(folder / "whole.hsmoe"), str(folder / "rows.csv")]
    )
    assert result.exit_code == 0, result.output
    # Rows were read, but none that could be used: there is no column yet.
    result = run("-t", "y", "-c", folder / "bad.hsmoe", "--on-bad-line", "skip", text="{?\n{?\n")
    result = CliRunner().invoke(app, ["show", str(folder / "bad.hsmoe")])
    assert "not learned a row yet" in result.stdout
    assert "2 rows read, 2 of them bad lines" in result.stdout
    assert run(folder / "rows.csv", "-c", folder / "bad.hsmoe", "--resume").exit_code == 0
    assert position(folder / "bad.hsmoe").rows == 162


def test_a_model_that_fit_or_python_has_written_goes_on(folder, frame, whole):
    X, y, path = frame[["a", "b", "c"]], frame["y"], folder / "m.hsmoe"
    model = hsmoe.HSMoERegressor(2, 8, 1, random_state=3, n_warmup=20)
    model.partial_fit(X[:100], y[:100]).save(path)
    text = "".join(as_jsonl(frame)[100:])
    assert "pass --target" in run("-c", path, "--resume", text=text).stderr
    result = run("-c", path, "--resume", "--skip-seen", "-t", "y", text=text)
    assert [{**answer, "row": answer["row"] + 100} for answer in answers_in(result.stdout)] == (
        answers_in("".join(whole))[100:]
    )
    # Of a model of arrays the columns have no names.
    model = hsmoe.HSMoERegressor(2, 8, 1, random_state=3, n_warmup=20)
    model.partial_fit(X[:100].to_numpy(), y[:100]).save(path)
    assert "with --features" in run("-c", path, "--resume", "-t", "y", text=text).stderr
    named = run("-c", path, "--resume", "-t", "y", "--features", "a,b,c", text=text)
    assert named.stdout == result.stdout


def test_a_checkpoint_of_another_stream_is_refused(folder, frame, whole):
    path = folder / "whole.hsmoe"
    before = path.read_bytes()
    for options, words in [
        (("-t", "z"), "its target is 'y', but --target is 'z'"),
        (("--features", "a,b"), "its features are a, b, c, but --features is a, b"),
        (("--features", "b,a,c"), "its features are a, b, c"),
        (("--exclude", "b"), "'b' is one of its features"),
        (("--experts", 3), "was begun with n_experts=2, but --experts makes it 3"),
        (("--change-rate", 0.01), "n_experts"),
        (("--seed", 4), "random_state=3"),
        (("--model", "counts"), "is of --model regressor, but --model is counts"),
    ]:
        result = run(folder / "rows.jsonl", "-c", path, "--resume", *options)
        assert result.exit_code == 1, options
        assert "whole.hsmoe" in result.stderr and words in result.stderr, result.stderr
    for text, words in [
        (frame[["a", "b", "y"]].to_csv(), "has no column 'c', which"),
        ('{"u": 1, "v": 2, "y": 3}\n', "has none of the features of"),
    ]:
        result = run("-c", path, "--resume", "--on-bad-line", "skip", text=text)
        assert result.exit_code == 1 and words in result.stderr
    assert path.read_bytes() == before


def test_rows_that_were_not_seen_are_not_passed_over(folder, frame, whole):
    path, lines = folder / "whole.hsmoe", as_jsonl(frame)
    before = path.read_bytes()
    other = [*lines[:80], lines[0], *lines[81:]]
    for text, words in [
        ("".join(other), "its first 160 rows are not those"),
        ("".join(lines[:159]), "ends after 159 rows, but"),
        ("", "ends after 0 rows"),
    ]:
        result = run("-c", path, "--resume", "--skip-seen", text=text)
        assert result.exit_code == 1 and words in result.stderr
    assert path.read_bytes() == before
