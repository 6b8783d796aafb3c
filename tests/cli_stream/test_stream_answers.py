"""What ``hsmoe stream`` answers."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from streams import NOTHING, SMALL, answers_in, as_jsonl, position, run

import hsmoe


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
