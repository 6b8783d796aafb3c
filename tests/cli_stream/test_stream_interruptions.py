"""``hsmoe stream`` stopped, killed and begun again; readers that go away."""

import os
import random
import select
import signal
import threading
import time

import pytest
from streams import SMALL, answers_in, as_jsonl, feed, position, posix, run

from hsmoe.cli import _learner
from hsmoe.cli._signals import Stopped, StopSignals

if os.name == "posix":
    import fcntl
    import resource


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
def test_what_was_ignored_from_the_start_stays_ignored(start, folder, frame, whole):
    """As nohup asks."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    process = start("-t", "y", "-c", folder / "m.hsmoe", *SMALL)
    lines = as_jsonl(frame)
    before = first_answers(process, lines[:70], 70)
    process.send_signal(signal.SIGHUP)
    rest, _ = process.communicate("".join(lines[70:]).encode())
    assert process.returncode == 0
    assert [*before, *rest.decode().splitlines(keepends=True)] == whole


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
@pytest.mark.parametrize("n_kills", [6, pytest.param(200, marks=pytest.mark.long)])
def test_killed_at_random_moments(n_kills, start, folder, frame):
    """Each run goes on from the last checkpoint with the answers of a run never killed."""
    rng = random.Random(n_kills)
    path, many, whole = folder / "m.hsmoe", folder / "many.jsonl", folder / "whole.hsmoe"
    many.write_text("".join(as_jsonl(frame) * (2 + 2 * n_kills // 3)))
    options = ("-t", "y", *SMALL, "--retain", 10, "--forgetting", 1)
    expected = run(many, "-c", whole, *options).stdout.splitlines(keepends=True)
    answered = 0
    for _ in range(n_kills):
        begin = position(path).rows if path.exists() else 0
        process = start(many, "-c", path, *options, "--every", 3, "--resume", "--skip-seen")
        if hasattr(fcntl, "F_SETPIPE_SZ"):  # so that it cannot run ahead
            fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, 4096)
        answers = [process.stdout.readline() for _ in range(rng.randint(1, 80))]
        time.sleep(rng.choice([0, 0, 0.001, 0.01]))
        process.kill()
        answers += process.stdout.readlines()
        process.wait()
        if not answers[-1].endswith(b"\n"):
            answers.pop()
        text = [line.decode() for line in answers]
        assert text == expected[begin : begin + len(text)]
        answered = max(answered, begin + len(text))
        # What is in the checkpoint was answered, but for the line that the kill cut off.
        assert begin <= (position(path).rows if path.exists() else 0) <= answered + 60
    begin = position(path).rows
    assert 0 < begin < len(expected)
    rest = run(many, "-c", path, "--resume", "--skip-seen").stdout.splitlines(keepends=True)
    assert rest == expected[begin:]
    assert path.read_bytes() == whole.read_bytes()
    assert not [file.name for file in folder.iterdir() if ".tmp" in file.name]


@posix
def test_a_file_that_cannot_grow(start, folder, frame):
    """As on a full disk, from the middle of a write on: the checkpoint of before stays whole."""
    path = folder / "m.hsmoe"
    start(folder / "rows.jsonl", "-t", "y", "-c", path, *SMALL, "--retain", 10).wait()
    before, size = path.read_bytes(), path.stat().st_size

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, size // 2))

    more = "".join(as_jsonl(frame))
    process = start("-c", path, "--resume", "--every", 20, preexec_fn=limit)
    answers, errors = process.communicate(more.encode())
    assert process.returncode == 1
    assert b"File too large; the checkpoint holds 160 rows, and 180 were read" in errors
    assert path.read_bytes() == before
    assert len(answers.splitlines()) == 20
    assert not [file.name for file in folder.iterdir() if ".tmp" in file.name]
    resumed = start("-c", path, "--resume").communicate(more.encode())[0]
    assert resumed.startswith(answers)


def test_what_a_killed_run_left_is_removed(folder):
    path = folder / "m.hsmoe"
    left = folder / ".m.hsmoe.ab12_xyz.tmp"
    others = [
        folder / ".m.hsmoe.b.ab12_xyz.tmp",
        folder / "m.hsmoe.tmp",
        folder / ".n.ab12_xyz.tmp",
    ]
    for file in (left, *others):
        file.write_bytes(b"half")
    run(folder / "rows.jsonl", "-t", "y", "-c", path, *SMALL)
    assert path.exists() and not left.exists()
    assert all(file.exists() for file in others)


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
