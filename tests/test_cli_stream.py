"""``hsmoe stream``: rows as they arrive, stopped and killed, bad lines, readers that go away."""

import json
import math
import os
import select
import signal
import subprocess
import sys
import threading

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import hsmoe
from hsmoe.cli import _learner, _rows
from hsmoe.cli._app import app
from hsmoe.cli._checkpoints import read_checkpoint
from hsmoe.cli._rows import read_lines
from hsmoe.cli._signals import Stopped, StopSignals

posix = pytest.mark.skipif(os.name != "posix", reason="signals and pipes of POSIX")

SMALL = ("--experts", 2, "--particles", 8, "--islands", 1, "--seed", 3, "--warmup", 20)
COMMAND = [sys.executable, "-P", "-m", "hsmoe.cli", "stream"]
NOTHING = dict.fromkeys(("mean", "std", "lower", "upper", "log_density"))


def run(*arguments, text=None):
    """Run the command in this process."""
    return CliRunner().invoke(app, ["stream", *map(str, arguments)], input=text)


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


def refuse(constant):
    raise AssertionError(f"{constant} is not JSON")


def answers_in(output):
    """The answers, read strictly."""
    if isinstance(output, bytes):
        output = output.decode("ascii")
    return [json.loads(line, parse_constant=refuse) for line in output.splitlines()]


def as_jsonl(frame):
    return [json.dumps(row) + "\n" for row in frame.to_dict(orient="records")]


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


def position(path):
    return read_checkpoint(path)[1]


# ---------------------------------------------------------------------- what is answered


def test_answers_are_the_forecasts_of_the_model_before_each_row(folder, frame, whole):
    """Bit for bit; none in the warm-up; and the model is the one that partial_fit makes."""
    model = hsmoe.HSMoERegressor(2, 8, 1, random_state=3, n_warmup=20)
    X, y = frame[["a", "b", "c"]], frame["y"]
    model.partial_fit(X[:20], y[:20])
    answers = answers_in("".join(whole))
    assert [answer["row"] for answer in answers] == list(range(1, 161))
    assert answers[:20] == [{"row": i, **NOTHING} for i in range(1, 21)]
    for i in range(20, 160):
        mean, std = model.predict(X[i : i + 1], return_std=True)
        lower, upper = model.predict_interval(X[i : i + 1], 0.9)[0]
        density = model.log_density(X[i : i + 1], y[i : i + 1])
        wanted = [mean[0], std[0], lower, upper, density[0]]
        assert [answers[i][name] for name in NOTHING] == [
            value if math.isfinite(value) else None for value in wanted
        ]
        model.partial_fit(X[i : i + 1], y[i : i + 1])
    assert hsmoe.load(folder / "whole.hsmoe").to_bytes() == model.to_bytes()


def test_what_is_not_finite_is_null(folder):
    """After very few rows a predictive distribution may have no standard deviation."""
    expert = hsmoe.GaussianExpert(a0=0.5)
    model = hsmoe.HSMoERegressor(1, expert=expert, n_warmup=1, random_state=1)
    model.partial_fit(pd.DataFrame({"a": [0.0]}), [1.0])
    assert np.isinf(model.predict(pd.DataFrame({"a": [0.0]}), return_std=True)[1]).all()
    model.save(folder / "m.hsmoe")
    result = run("-t", "y", "-c", folder / "m.hsmoe", "--resume", text='{"a": 0}\n')
    assert result.exit_code == 0, result.output
    (answer,) = answers_in(result.stdout)
    assert answer["std"] is None and answer["log_density"] is None
    assert answer["lower"] < answer["mean"] < answer["upper"]


def test_csv_and_json_lines_from_files_and_pipes_are_the_same(folder, frame, whole):
    csv = (folder / "rows.csv").read_text()
    inputs = [
        (folder / "rows.csv", None),
        ("-", csv),
        ("-", csv.replace("\n", "\r\n").removesuffix("\r\n")),
        ("-", "\ufeff" + csv.replace("\n", "\n\n  \n")),
        ("-", "".join(as_jsonl(frame[["y", "c", "a", "b"]]))),
    ]
    for k, (source, text) in enumerate(inputs):
        path = folder / f"{k}.hsmoe"
        features = ("--features", "a,b,c")
        result = run(source, "-t", "y", "-c", path, *SMALL, *features, text=text)
        assert result.exit_code == 0, result.output
        assert result.stdout == "".join(whole)
        assert hsmoe.load(path).to_bytes() == hsmoe.load(folder / "whole.hsmoe").to_bytes()


def test_the_first_row_says_which_features_there_are(folder, frame):
    def features(text, *options):
        options = ("-t", "y", "-c", folder / "m.hsmoe", "--overwrite", *SMALL, *options)
        result = run(*options, text=text)
        assert result.exit_code == 0, result.output
        return list(hsmoe.load(folder / "m.hsmoe").feature_names_in_)

    lines = as_jsonl(frame[["c", "y", "a", "b"]])
    assert features("".join(lines)) == ["c", "a", "b"]
    assert features("".join(lines), "--exclude", "a") == ["c", "b"]
    assert features("".join(lines), "--features", "b,a") == ["b", "a"]
    # A key that first comes later is ignored, whatever it holds.
    later = [lines[0], *(line.replace("}", ', "new": "text"}') for line in lines[1:])]
    assert features("".join(later)) == ["c", "a", "b"]
    # A bad line before it says nothing.
    bad = ['{"q": "text", "y": 1}\n', *lines]
    assert features("".join(bad), "--on-bad-line", "skip") == ["c", "a", "b"]


def test_a_row_without_target_is_forecast_and_not_learned(folder, frame, whole):
    lines = as_jsonl(frame)
    asked = json.loads(lines[100])
    for absent in ({"y": None}, {"y": math.nan}, None):
        row = {k: v for k, v in asked.items() if k != "y"} | (absent or {})
        text = "".join([*lines[:100], json.dumps(row) + "\n", *lines[100:]])
        path = folder / "asked.hsmoe"
        result = run("-t", "y", "-c", path, "--overwrite", *SMALL, text=text)
        answers = answers_in(result.stdout)
        assert answers[100] == {**answers[101], "row": 101, "log_density": None}
        assert answers[101]["log_density"] is not None
        assert hsmoe.load(path).to_bytes() == hsmoe.load(folder / "whole.hsmoe").to_bytes()
        assert position(path).rows == 161


def test_classifier(folder, frame):
    label = np.where(frame["y"] > frame["y"].median(), "high", "low")
    X = frame[["a", "b", "c"]]
    model = hsmoe.HSMoEClassifier(2, 8, 1, random_state=3, n_warmup=20)
    model.partial_fit(X[:150], label[:150], classes=["high", "low"])
    proba, density = (
        model.predict_proba(X[150:151])[0],
        model.log_density(X[150:151], label[150:151]),
    )
    options = ("--model", "classifier", "--classes", "low,high", *SMALL)
    outputs = []
    for text in ("".join(as_jsonl(X.assign(y=label))), X.assign(y=label).to_csv(index=False)):
        path = folder / "classes.hsmoe"
        result = run("-t", "y", "-c", path, "--overwrite", *options, text=text)
        assert result.exit_code == 0, result.output
        outputs.append(result.stdout)
    assert outputs[0] == outputs[1]
    answers = answers_in(outputs[0])
    nothing = dict.fromkeys(("label", "probabilities", "log_density"))
    assert answers[19] == {"row": 20, **nothing}
    assert answers[150] == {
        "row": 151,
        "label": ["high", "low"][int(np.argmax(proba))],
        "probabilities": dict(zip(["high", "low"], proba.tolist(), strict=True)),
        "log_density": density[0],
    }
    model.partial_fit(X[150:], label[150:])
    assert hsmoe.load(path).to_bytes() == model.to_bytes()


@pytest.mark.parametrize(("names", "given"), [("0,1", [0, 1]), ("false,true", [False, True])])
def test_classes_that_are_numbers_or_booleans(names, given, folder, frame):
    label = [given[int(value > frame["y"].median())] for value in frame["y"]]
    options = ("--model", "classifier", "--classes", names, *SMALL, "-c", folder / "c.hsmoe")
    outputs = []
    for text in (
        "".join(as_jsonl(frame.assign(y=label))),
        frame.assign(y=label).to_csv(index=False),
    ):
        result = run("-t", "y", "--overwrite", *options, text=text)
        assert result.exit_code == 0, result.output
        outputs.append(result.stdout)
    assert outputs[0] == outputs[1]
    assert type(answers_in(outputs[0])[-1]["label"]) is type(given[0])
    assert hsmoe.load(folder / "c.hsmoe").classes_.tolist() == given


def test_counts(folder, frame):
    counts = np.floor(frame["y"].clip(0) / 10).astype(int)
    text = "".join(as_jsonl(frame.assign(y=counts)))
    path = folder / "counts.hsmoe"
    result = run("-t", "y", "-c", path, "--model", "counts", *SMALL, "--coverage", 0.5, text=text)
    assert result.exit_code == 0, result.output
    model = hsmoe.HSMoECountRegressor(2, 8, 1, random_state=3, n_warmup=20)
    X = frame[["a", "b", "c"]]
    model.partial_fit(X[:159], counts[:159])
    last = answers_in(result.stdout)[-1]
    assert [last["lower"], last["upper"]] == model.predict_interval(X[159:], 0.5)[0].tolist()
    assert type(last["lower"]) is int
    assert last["mean"] == model.predict(X[159:])[0]
    assert last["log_density"] == model.log_density(X[159:], counts[159:])[0]


def test_a_changing_number_of_experts(folder):
    path = folder / "m.hsmoe"
    options = ("-t", "y", "-c", path, *SMALL, "--change-rate", 0.01)
    assert run(folder / "rows.csv", *options).exit_code == 0
    assert hsmoe.load(path).n_experts == hsmoe.ChangingExperts(most=2, change_rate=0.01)


# ---------------------------------------------------------------------- stopped and begun again


@posix
def test_an_answer_comes_before_the_next_row_is_sent(start, folder, frame, whole):
    process = start("-t", "y", "-c", folder / "m.hsmoe", *SMALL)
    for i, line in enumerate(as_jsonl(frame)[:40]):
        process.stdin.write(line.encode())
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], 60)
        assert ready, "no answer while the next row was held back"
        assert os.read(process.stdout.fileno(), 4096).decode() == whole[i]
    _, errors = process.communicate()
    assert process.returncode == 0
    assert b"40 rows read" in errors


def first_answers(process, lines, count):
    """Send lines, then return the first answers, all of which have come."""
    process.stdin.write("".join(lines).encode())
    process.stdin.flush()
    return [process.stdout.readline().decode() for _ in range(count)]


@posix
@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", 130), ("SIGHUP", 129)])
def test_a_signal_ends_it_between_rows_and_it_goes_on_bit_for_bit(
    start, name, code, folder, frame, whole
):
    path, lines = folder / "m.hsmoe", as_jsonl(frame)
    process = start("-t", "y", "-c", path, *SMALL)
    before = first_answers(process, lines[:70], 70)
    for _ in range(3):  # more of them change nothing
        process.send_signal(getattr(signal, name))
    rest, errors = process.communicate()
    assert process.returncode == code
    assert rest == b"" and b"Traceback" not in errors
    assert position(path).rows == 70
    resumed = run(folder / "rows.jsonl", "-t", "y", "-c", path, *SMALL, "--resume", "--skip-seen")
    assert resumed.exit_code == 0, resumed.output
    assert f"going on from {path}: 70 rows read" in resumed.stderr
    assert [*before, *resumed.stdout.splitlines(keepends=True)] == whole
    assert path.read_bytes() == (folder / "whole.hsmoe").read_bytes()


@posix
def test_a_signal_ends_it_after_the_row_in_hand(folder, whole, monkeypatch):
    """However many rows have arrived already."""
    learn = _learner.Learner.learn

    def signalled(self, row):
        if self.position.rows == 49:
            os.kill(os.getpid(), signal.SIGTERM)
        learn(self, row)

    monkeypatch.setattr(_learner.Learner, "learn", signalled)
    result = run(folder / "rows.jsonl", "-t", "y", "-c", folder / "m.hsmoe", *SMALL)
    assert result.exit_code == 143
    assert result.stdout == "".join(whole[:50])
    assert position(folder / "m.hsmoe").rows == 50


def test_it_goes_on_with_an_input_that_goes_on(folder, frame, whole):
    """In parts of any size, the warm-up divided too; options need not be given again."""
    path, lines = folder / "m.hsmoe", as_jsonl(frame)
    output = run("-t", "y", "-c", path, *SMALL, "--resume", text="".join(lines[:7])).stdout
    for a, b in [(7, 8), (8, 80), (80, 80), (80, 160)]:
        output += run("-c", path, "--resume", text="".join(lines[a:b])).stdout
    assert output == "".join(whole)
    assert path.read_bytes() == (folder / "whole.hsmoe").read_bytes()


@posix
def test_killed_and_begun_again(start, folder, frame, whole):
    """Answers after the last checkpoint come once more, the same."""
    path, lines = folder / "m.hsmoe", as_jsonl(frame)
    process = start("-t", "y", "-c", path, *SMALL, "--every", 20)
    before = first_answers(process, lines[:75], 75)
    process.kill()
    process.communicate()
    assert position(path).rows == 60
    resumed = run(folder / "rows.jsonl", "-c", path, "--resume", "--skip-seen")
    assert [*before[:60], *resumed.stdout.splitlines(keepends=True)] == whole
    assert before == whole[:75]
    assert path.read_bytes() == (folder / "whole.hsmoe").read_bytes()


@posix
def test_killed_before_the_first_checkpoint_without_a_seed(start, folder, frame):
    """What is drawn for want of a seed is in the file from the first row on."""
    path, lines = folder / "m.hsmoe", as_jsonl(frame)
    seedless = [option for option in SMALL if option not in ("--seed", 3)]
    process = start("-t", "y", "-c", path, *seedless)
    before = first_answers(process, lines[:60], 60)
    process.kill()
    process.communicate()
    resumed = run(folder / "rows.jsonl", "-c", path, "--resume", "--skip-seen")
    assert resumed.stdout.splitlines(keepends=True)[:60] == before


@posix
def test_a_reader_that_goes_away(start, folder, frame):
    """As `| head -3`: no word, the code that shells give, and what was learned is kept."""
    path, many = folder / "m.hsmoe", folder / "many.jsonl"
    many.write_text("".join(as_jsonl(frame) * 8))  # more answers than a pipe holds
    options = ("-t", "y", *SMALL, "--retain", 0, "--forgetting", 1)
    whole = run(many, *options, "-c", folder / "whole.hsmoe").stdout.splitlines(keepends=True)
    process = start(many, *options, "-c", path, stdin=None)
    head = [process.stdout.readline().decode() for _ in range(3)]
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 141
    n_rows = position(path).rows
    assert 3 <= n_rows < len(whole)
    resumed = run(many, "-c", path, "--resume", "--skip-seen")
    assert head == whole[:3]
    assert resumed.stdout.splitlines(keepends=True) == whole[n_rows:]


@posix
def test_what_is_learned_when_the_reader_has_gone_was_answered(start, folder, frame, whole):
    """The row whose answer nobody took is not learned: it is the first of the next run."""
    path, lines = folder / "m.hsmoe", as_jsonl(frame)
    process = start("-t", "y", "-c", path, *SMALL)
    first_answers(process, lines[:50], 50)
    process.stdout.close()
    process.stdin.write(lines[50].encode())
    process.stdin.flush()
    assert process.wait() == 141  # with the input still open
    assert position(path).rows == 50
    resumed = run("-c", path, "--resume", text="".join(lines[50:]))
    assert resumed.stdout == "".join(whole[50:])


@posix
def test_a_signal_ends_it_while_nobody_reads(start, folder, frame, whole):
    """The pipe is full: the row in hand is neither answered nor learned."""
    path, lines = folder / "m.hsmoe", as_jsonl(frame)
    many = "".join(lines * 20)
    process = start("-t", "y", "-c", path, *SMALL, "--retain", 0, "--forgetting", 1, "--every", 1)
    feeder = threading.Thread(target=feed, daemon=True, args=(process.stdin, many))
    feeder.start()
    while not (path.exists() and position(path).rows > 100):
        pass
    while True:  # until it waits
        before = position(path).rows
        select.select([], [], [], 0.5)
        if position(path).rows == before:
            break
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 143
    assert len(answers_in(process.stdout.read())) == position(path).rows
    feeder.join()


def feed(pipe, text):
    try:
        pipe.write(text.encode())
        pipe.close()
    except BrokenPipeError:
        pass


@posix
def test_what_is_ignored_from_the_start_stays_ignored(start, folder, frame):
    """As under nohup."""
    path = folder / "m.hsmoe"
    ignore = {"preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)}
    process = start("-t", "y", "-c", path, *SMALL, **ignore)
    first_answers(process, as_jsonl(frame)[:5], 5)
    process.send_signal(signal.SIGHUP)
    out, _ = process.communicate("".join(as_jsonl(frame)[5:10]).encode())
    assert process.returncode == 0
    assert len(answers_in(out)) == 5


@posix
def test_nobody_listens_to_messages(start, folder, frame):
    """A closed standard error stream costs neither answers nor the checkpoint."""
    path = folder / "m.hsmoe"
    process = start("-t", "y", "-c", path, *SMALL, "--on-bad-line", "skip")
    process.stderr.close()
    out, _ = process.communicate("".join(["{?\n", *as_jsonl(frame)[:30]]).encode())
    assert process.returncode == 0
    assert len(answers_in(out)) == position(path).rows == 31


@posix
def test_signals_are_noted_in_work_and_raised_in_waits():
    with StopSignals() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        assert signals.exit_code == 143  # of the first
        with pytest.raises(Stopped):
            signals.wait_for(lambda: pytest.fail("a wait began after the signal"))
    with StopSignals() as signals, pytest.raises(Stopped):
        signals.wait_for(lambda: os.kill(os.getpid(), signal.SIGHUP))
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


# ---------------------------------------------------------------------- checkpoints


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


# ---------------------------------------------------------------------- bad lines

GOOD = {"a": 1.0, "b": 1e4, "c": 0.5, "y": 50.0}


def with_value(name, text):
    """A line of JSON that holds something else at one key."""
    return json.dumps({**GOOD, name: "?"}).replace('"?"', text).encode()


LONG = b'{"a": "' + b"x" * _rows.LONGEST_LINE + b'"}'
BAD_JSON = [
    (b'{"a": 1,', "is not JSON: Expecting property name"),
    (b"what", "is not JSON"),
    (b'{"a": 1} {"a": 2}', "is not JSON: Extra data at character 10"),
    (b"[1, 2, 3, 4]", "holds [1, 2, 3, 4]; a row must be an object"),
    (b"3", "holds 3"),
    (b"[" * 100_000, "is not usable JSON"),
    (with_value("a", '"abc"'), "column 'a': 'abc' is not a number"),
    (with_value("a", '"1.5"'), "column 'a': '1.5' is not a number"),
    (with_value("a", "[1]"), "column 'a': [1] is not a number"),
    (with_value("b", "Infinity"), "column 'b' is inf; values must be finite"),
    (with_value("b", "1e999"), "column 'b' is inf"),
    (with_value("b", "1" * 400), "column 'b' is a whole number beyond the range"),
    (with_value("b", "1" * 5000), "is not usable JSON"),
    (with_value("c", "null"), "column 'c' is missing; fill it in, or pass --missing skip"),
    (with_value("c", "NaN"), "column 'c' is missing"),
    (json.dumps({"a": 1, "b": 2, "y": 3}).encode(), "has no column 'c'; its columns are"),
    (with_value("y", '"high"'), "column 'y': 'high' is not a number"),
    (with_value("y", "-Infinity"), "column 'y' is -inf"),
    (with_value("y", "1e300"), "column 'y' is 1e+300, too far from the warm-up rows"),
    (with_value("a", "1e300"), "column 'a' is 1e+300, too far from the warm-up rows"),
    (with_value("a", '"\xff"').decode().encode("latin-1"), "is not UTF-8: byte 0xff at position 8"),
    (with_value("a", "1\0"), "holds a NUL byte"),
    (LONG, "is longer than 1,048,576 bytes"),
]
BAD_CSV = [
    (b"1,10000,0.5", "has 3 fields, but the header has 4 names"),
    (b"1,10000,0.5,50,1", "has 5 fields"),
    (b'1,10000,"0.5,50', "is not CSV"),
    (b"abc,10000,0.5,50", "column 'a': 'abc' is not a number"),
    (b"1_0,10000,0.5,50", "column 'a': '1_0' is not a number"),
    (b"1,inf,0.5,50", "column 'b' is inf"),
    (b"1,10000,,50", "column 'c' is missing"),
    (b"1,10000,NA,50", "column 'c' is missing"),
    (b"1,10000,0.5,-inf", "column 'y' is -inf"),
    (b"1,10000,0.5\0,50", "holds a NUL byte"),
    (b"1,10000,0.5,\xff", "is not UTF-8"),
    (b"1," * 600_000, "is longer than"),
]


@pytest.fixture(scope="module")
def fifty(two_regimes):
    """Fifty rows as JSON lines and as lines of CSV; and their uninterrupted answers."""
    X, y = two_regimes
    frame = pd.DataFrame(X, columns=["a", "b", "c"]).assign(y=y)[:50]
    return {
        "jsonl": [line.encode() for line in as_jsonl(frame)],
        "csv": frame.to_csv(index=False).encode().splitlines(keepends=True),
    }


@pytest.mark.parametrize(
    ("layout", "line", "words"),
    [("jsonl", *case) for case in BAD_JSON] + [("csv", *case) for case in BAD_CSV],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_bad_lines(layout, line, words, fifty, tmp_path):
    """Reported by number; fatal with all before it kept, or skipped with all after it the same."""
    lines = fifty[layout]
    place = 40 + len(lines) - 50  # after 40 rows, and the header if there is one
    good = run("-t", "y", "-c", tmp_path / "good.hsmoe", *SMALL, text=b"".join(lines))
    wanted = good.stdout.splitlines()
    text = b"".join([*lines[:place], line + b"\n", *lines[place:]])
    where = f"standard input: line {place + 1} (row 41): "

    path = tmp_path / "skip.hsmoe"
    result = run("-t", "y", "-c", path, *SMALL, "--on-bad-line", "skip", text=text)
    assert result.exit_code == 0, result.stderr
    assert where in result.stderr and words in result.stderr
    assert "51 rows read, 1 of them bad lines" in result.stderr
    output = answers_in(result.stdout)
    assert output[40]["row"] == 41 and words in output[40]["error"] and len(output[40]) == 2
    for answer, undisturbed in zip(output[:40] + output[41:], answers_in(good.stdout), strict=True):
        assert {**answer, "row": 0} == {**undisturbed, "row": 0}
    learned = hsmoe.load(tmp_path / "good.hsmoe").to_bytes()
    assert hsmoe.load(path).to_bytes() == learned

    path = tmp_path / "stop.hsmoe"
    result = run("-t", "y", "-c", path, *SMALL, text=text)
    assert result.exit_code == 3
    assert where in result.stderr and words in result.stderr
    assert result.stdout.splitlines() == wanted[:40]
    assert position(path).rows == 40
    # Corrected, here by leaving it out, the input goes on from there.
    again = run("-c", path, "--resume", "--skip-seen", text=b"".join(lines))
    assert again.stdout.splitlines() == wanted[40:]
    assert hsmoe.load(path).to_bytes() == learned
    assert len(result.stderr) < 2000


def test_bad_targets(folder, frame):
    rows = frame.assign(y=(frame["y"] > 50).astype(int))
    good = "".join(as_jsonl(rows))
    for model, value, words in [
        (("counts",), "1.5", "column 'y' is 1.5; counts must be whole numbers from 0 to 100,000"),
        (("counts",), "-1", "column 'y' is -1; counts"),
        (("counts",), "1e6", "column 'y' is 1e+06; counts"),
        (("classifier", "--classes", "0,1"), "2", "column 'y' is 2, which is none of the classes"),
        (("classifier", "--classes", "0,1"), '"x"', "column 'y' is 'x', which is none of"),
        (("classifier", "--classes", "0,1"), "[0]", "column 'y' is [0], which is none of"),
    ]:
        for place in (5, 100):  # in the warm-up and after it
            lines = as_jsonl(rows)
            lines.insert(place, with_value("y", value).decode() + "\n")
            options = ("-c", folder / "m.hsmoe", "--overwrite", *SMALL, "--on-bad-line", "skip")
            result = run("-t", "y", "--model", *model, *options, text="".join(lines))
            assert result.exit_code == 0, result.output
            assert f"line {place + 1} (row {place + 1}): {words}" in result.stderr
            path = folder / "good.hsmoe"
            run("-t", "y", "--model", *model, "-c", path, "--overwrite", *SMALL, text=good)
            skipped = hsmoe.load(folder / "m.hsmoe").to_bytes()
            assert skipped == hsmoe.load(path).to_bytes()


def test_a_bad_first_line_leaves_nothing_behind(folder):
    path = folder / "m.hsmoe"
    text = '{"time": "noon", "a": 1, "y": 2}\n'
    result = run("-t", "y", "-c", path, *SMALL, text=text)
    assert result.exit_code == 3
    assert "line 1 (row 1): column 'time': 'noon' is not a number" in result.stderr
    assert not path.exists()
    assert run("-t", "y", "-c", path, *SMALL, "--exclude", "time", text=text).exit_code == 0


def test_missing_values_may_be_skipped(folder, frame):
    """They are answered with null, and counted as the model counts them."""
    holes = frame.copy()
    holes.loc[[10, 70], "b"] = np.nan
    holes.loc[71, ["c", "y"]] = np.nan
    model = hsmoe.HSMoERegressor(2, 8, 1, random_state=3, n_warmup=20, missing="skip")
    model.partial_fit(holes[["a", "b", "c"]], holes["y"])
    empty = "".join(as_jsonl(holes.astype(object).where(holes.notna(), None)))
    lacking = "".join(
        json.dumps({k: v for k, v in row.items() if v == v}) + "\n"
        for row in holes.to_dict(orient="records")
    )
    outputs = set()
    for text in (empty, lacking, "".join(as_jsonl(holes)), holes.to_csv(index=False)):
        path = folder / "m.hsmoe"
        options = ("--overwrite", *SMALL, "--missing", "skip", "--features", "a,b,c")
        result = run("-t", "y", "-c", path, *options, text=text)
        assert result.exit_code == 0, result.output
        outputs.add(result.stdout)
        assert hsmoe.load(path).to_bytes() == model.to_bytes()
    (output,) = outputs
    answers = answers_in(output)
    assert [i for i in range(20, 160) if answers[i]["mean"] is None] == [20, 70, 71]
    assert hsmoe.load(path).n_rows_skipped_ == 3


def test_a_classifier_skips_rows_that_miss_label_and_feature(folder):
    text = '{"a": 1, "y": "u"}\n{"a": null, "y": null}\n{"a": null, "y": "v"}\n'
    options = ("--model", "classifier", "--classes", "u,v", "--missing", "skip", *SMALL)
    result = run("-t", "y", "-c", folder / "m.hsmoe", *options, text=text)
    assert result.exit_code == 0, result.output
    assert hsmoe.load(folder / "m.hsmoe").n_rows_skipped_ == 2


def test_missing_values_of_csv_are_those_of_fit():
    texts = pd._libs.parsers.STR_NA_VALUES
    assert _rows._ABSENT == frozenset(texts)


# ---------------------------------------------------------------------- options and inputs


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
