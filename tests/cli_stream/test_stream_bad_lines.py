"""Lines that are no rows, and missing values."""

import json

import numpy as np
import pandas as pd
import pytest
from streams import SMALL, answers_in, as_jsonl, position, run

import hsmoe
from hsmoe.cli import _rows

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
