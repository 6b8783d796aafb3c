"""scikit-learn's own estimator checks, counted, and its meta-estimators at work."""

import os
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from readme_counts import compare

import hsmoe
from hsmoe import HSMoEClassifier, HSMoECountRegressor, HSMoERegressor

sklearn = pytest.importorskip("sklearn", minversion="1.7", reason="extra sklearn")

from joblib import Parallel, delayed  # noqa: E402
from sklearn.base import clone  # noqa: E402
from sklearn.compose import ColumnTransformer  # noqa: E402
from sklearn.exceptions import DataConversionWarning, NotFittedError  # noqa: E402
from sklearn.model_selection import GridSearchCV, cross_val_score  # noqa: E402
from sklearn.pipeline import Pipeline, make_pipeline  # noqa: E402
from sklearn.preprocessing import OneHotEncoder, StandardScaler  # noqa: E402
from sklearn.utils.estimator_checks import (  # noqa: E402
    check_estimator,
    estimator_checks_generator,
)
from sklearn.utils.metadata_routing import get_routing_for_object  # noqa: E402

SMALL = {"n_experts": 2, "n_particles": 8, "n_islands": 1, "random_state": 0}

ORDER = {
    "check_sample_weight_equivalence_on_dense_data": (
        "compares two orders of the rows; a particle filter learns in order, and its Monte Carlo "
        "error is another in each.  One expert, whose posterior is exact, passes (below)"
    )
}
FRACTIONS = dict.fromkeys(
    [
        "check_fit_check_is_fitted",
        "check_fit_idempotent",
        "check_n_features_in",
        "check_n_features_in_after_fitting",
        "check_regressor_data_not_an_array",
        "check_regressors_no_decision_function",
        "check_regressors_train",
    ],
    "hands out targets with fractions, which are no counts; passes with rounded ones (below)",
)
ESTIMATORS = {
    "HSMoERegressor": (HSMoERegressor(**SMALL), ORDER),
    "HSMoEClassifier": (HSMoEClassifier(**SMALL), ORDER),
    "HSMoECountRegressor": (HSMoECountRegressor(**SMALL), ORDER | FRACTIONS),
}


def run_checks(estimator, expected=None):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return check_estimator(
            estimator, expected_failed_checks=expected or {}, on_fail=None, on_skip=None
        )


def by_status(results, status):
    return {result["check_name"] for result in results if result["status"] == status}


@pytest.mark.parametrize("name", list(ESTIMATORS))
def test_estimator_checks(name):
    estimator, expected = ESTIMATORS[name]
    results = run_checks(estimator, expected)
    failed = {r["check_name"]: r["exception"] for r in results if r["status"] == "failed"}
    assert not failed
    assert by_status(results, "xfail") == set(expected)  # none of the exceptions is idle
    assert by_status(results, "skipped") <= {"check_array_api_input"}  # see below
    passed = sum(result["status"] in ("passed", "skipped") for result in results)
    compare(f"hsmoe.{name}", "scikit-learn", sklearn.__version__, passed, len(results))


def test_the_check_that_needs_an_environment_variable():
    code = (
        "import warnings; warnings.simplefilter('ignore')\n"
        "import hsmoe\n"
        "from sklearn.utils.estimator_checks import estimator_checks_generator\n"
        "n = 0\n"
        "for cls in (hsmoe.HSMoERegressor, hsmoe.HSMoEClassifier, hsmoe.HSMoECountRegressor):\n"
        "    for model, check in estimator_checks_generator(cls(2, 8, 1, random_state=0)):\n"
        "        if 'array_api' in str(check):\n"
        "            check(model)\n"
        "            n += 1\n"
        "print(n)\n"
    )
    environment = {**os.environ, "SCIPY_ARRAY_API": "1"}
    command = [sys.executable, "-P", "-c", code]
    out = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    if out.stdout.strip() == "0":
        pytest.skip("this scikit-learn has no such check for estimators of NumPy arrays")
    assert out.stdout.strip() == "3"


class RoundedCounts(HSMoECountRegressor):
    """Makes counts of positive targets, small ones, as the cost of a row grows with its count."""

    @staticmethod
    def rounded(y):
        return np.round(np.minimum(np.asarray(y, dtype=float), 20.0))

    def fit(self, X, y, sample_weight=None):
        return super().fit(X, self.rounded(y), sample_weight)

    def partial_fit(self, X, y, sample_weight=None):
        return super().partial_fit(X, self.rounded(y), sample_weight)

    def score(self, X, y, sample_weight=None):
        return super().score(X, self.rounded(y), sample_weight)


def test_counts_fail_for_their_fractions_only():
    # One expert, as a check asks for a mean that explains half the variance: an expert with little
    # to do has the wide prior's mean, exp of a normal, which outweighs the others.
    estimator = RoundedCounts(**{**SMALL, "n_experts": 1})
    passed = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for model, check in estimator_checks_generator(estimator):
            name = getattr(check, "func", check).__name__
            if name in FRACTIONS:
                check(model)
                passed.add(name)
    assert passed == set(FRACTIONS)


def test_frequencies_in_any_order_where_the_posterior_is_exact():
    results = run_checks(HSMoERegressor(1, 2, 1, random_state=0))
    assert by_status(results, "failed") == set()
    assert "check_sample_weight_equivalence_on_dense_data" in by_status(results, "passed")


# ---------------------------------------------------------------------- frequencies


@pytest.fixture(scope="module")
def rows(two_regimes):
    X, y = two_regimes
    weights = np.random.default_rng(3).integers(0, 4, size=len(y))
    return X, y, weights


LEVELS = np.array(["low", "high"])
KINDS = {
    "real": (HSMoERegressor, lambda y: y),
    "class": (HSMoEClassifier, lambda y: LEVELS[(y > 60).astype(int)]),
    "count": (HSMoECountRegressor, lambda y: np.floor(np.abs(y) / 10)),
}


def repeated(X, y, weights):
    return np.repeat(X, weights, axis=0), np.repeat(y, weights)


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("chunked", [False, True], ids=["fit", "partial_fit"])
def test_a_weight_is_a_number_of_repetitions(kind, chunked, rows):
    cls, target = KINDS[kind]
    X, y, weights = rows[0], target(rows[1]), rows[2]
    one, other = (cls(**SMALL, n_warmup=70) for _ in range(2))
    if chunked:
        more = {"classes": LEVELS} if kind == "class" else {}
        for part in np.array_split(np.arange(len(y)), 7):
            one.partial_fit(X[part], y[part], sample_weight=weights[part], **more)
        other.partial_fit(*repeated(X, y, weights), **more)
    else:
        one.fit(X, y, sample_weight=weights.astype(float))
        other.fit(*repeated(X, y, weights))
    assert one.to_bytes() == other.to_bytes()
    assert one.n_rows_seen_ == weights.sum()
    assert one.to_bytes() != cls(**SMALL, n_warmup=70).fit(X, y).to_bytes()


def test_weights_and_missing_values(rows):
    X, y, weights = rows[0].copy(), rows[1].copy(), rows[2]
    bad = np.flatnonzero(weights > 1)[:2]
    X[bad[0], 1] = y[bad[1]] = np.nan
    one, other = (HSMoERegressor(**SMALL, missing="skip") for _ in range(2))
    one.fit(X, y, sample_weight=weights)
    other.fit(*repeated(X, y, weights))
    assert one.to_bytes() == other.to_bytes()
    assert one.n_rows_skipped_ == weights[bad].sum()


def test_a_class_of_no_weight_is_no_class(rows):
    X, y, _ = rows
    labels = np.digitize(y, np.quantile(y, [0.3, 0.6]))
    model = HSMoEClassifier(**SMALL).fit(X, labels, sample_weight=(labels != 1).astype(int))
    assert model.classes_.tolist() == [0, 2]


def test_rows_of_no_weight_teach_nothing(rows):
    X, y, _ = rows
    model = HSMoERegressor(**SMALL).fit(X, y)
    before = model.to_bytes()
    assert model.partial_fit(X, y, sample_weight=np.zeros(len(y))).to_bytes() == before


@pytest.mark.parametrize("model", [HSMoERegressor(**SMALL), HSMoEClassifier(**SMALL)])
def test_targets_of_weight_zero_do_not_matter(model):
    X = np.arange(40.0).reshape(20, 2)
    y, weights = (X[:, 0] > 20).astype(float), np.ones(20)
    weights[3] = 0
    known = model.fit(X, y, sample_weight=weights).to_bytes()
    y[3] = np.nan
    assert model.fit(X, y, sample_weight=weights).to_bytes() == known
    with pytest.raises(ValueError, match="y: row 3 is missing"):
        model.fit(X, y)


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ([0.5, 1, 1], "row 0 is 0.5; weights are frequencies"),
        ([1, -1, 1], "row 1 is -1; weights are frequencies"),
        ([1, np.nan, 1], "sample_weight: row 1 is missing"),
        ([1, np.inf, 1], "sample_weight: row 1 is inf"),
        ([1, 1], "sample_weight has 2 values, but X has 3 rows"),
        ([[1], [1], [1]], r"sample_weight has shape \(3, 1\)"),
        ([2e9, 2e9, 1], "4e[+]09 rows"),
        ([0, 0, 0], "sample_weight is zero for every row"),
        ("abc", "sample_weight is a str"),
    ],
)
def test_weights_that_cannot_be_used(weights, words, rows):
    X, y, _ = rows
    model = HSMoERegressor(**SMALL).fit(X, y)
    before = model.to_bytes()
    with pytest.raises(ValueError, match=words):
        model.fit(X[:3], y[:3], sample_weight=weights)
    assert model.to_bytes() == before


def test_messages_number_the_rows_of_the_call(rows):
    X, y, _ = rows
    model = HSMoERegressor(**SMALL).fit(X * 1e-200, y)
    far = X[:4] * 1e-200
    far[2, 0] = 1e200
    with pytest.raises(ValueError, match="row 2, column 'x0'"):
        model.partial_fit(far, y[:4], sample_weight=[3, 0, 2, 1])


# ---------------------------------------------------------------------- scores


def test_scores_are_those_of_scikit_learn(rows):
    from sklearn.metrics import accuracy_score, r2_score

    X, y, weights = rows
    model = HSMoERegressor(**SMALL).fit(X, y)
    predicted = model.predict(X)
    weights = weights + 0.25
    assert model.score(X, y) == pytest.approx(r2_score(y, predicted), rel=1e-12)
    expected = r2_score(y, predicted, sample_weight=weights)
    assert model.score(X, y, sample_weight=weights) == pytest.approx(expected, rel=1e-12)
    assert model.score(X, np.full(len(y), 5.0)) == r2_score(np.full(len(y), 5.0), predicted)
    assert np.isnan(model.score(X[:1], y[:1]))
    labels = KINDS["class"][1](y)
    classifier = HSMoEClassifier(**SMALL).fit(X, labels)
    expected = accuracy_score(labels, classifier.predict(X), sample_weight=weights)
    assert classifier.score(X, labels, sample_weight=weights) == pytest.approx(expected, rel=1e-12)
    for bad in (-weights, 0 * weights):
        with pytest.raises(ValueError, match="sample_weight"):
            model.score(X, y, sample_weight=bad)


def test_incomplete_rows_do_not_count_in_a_score(rows):
    X, y, _ = rows
    model = HSMoERegressor(**SMALL, missing="skip").fit(X, y)
    holes = X.copy()
    holes[5, 0] = np.nan
    assert model.score(holes, y) == model.score(np.delete(X, 5, axis=0), np.delete(y, 5))


# ---------------------------------------------------------------------- at work


@pytest.fixture(scope="module")
def table(rows):
    X, y, _ = rows
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    frame["colour"] = np.where(frame["a"] > 0, "red", "blue")
    return frame, y


def pipeline(**parameters):
    columns = ColumnTransformer(
        [("scale", StandardScaler(), ["a", "b"]), ("colour", OneHotEncoder(), ["colour"])],
        sparse_threshold=0,
    )
    return Pipeline([("columns", columns), ("model", HSMoERegressor(**SMALL, **parameters))])


def test_pipeline_with_columns(table):
    frame, y = table
    model = pipeline().fit(frame, y)
    assert model.score(frame, y) > 0.8
    assert model.predict(frame.head(3)).shape == (3,)
    assert model[-1].n_features_in_ == 4


def test_columns_of_mixed_types_arrive_as_objects(table):
    frame, y = table
    mixed = frame[["a", "b"]].assign(flag=(frame["a"] > 0).astype(object))
    model = HSMoERegressor(**SMALL).fit(mixed, y)
    assert model.to_bytes() == (
        HSMoERegressor(**SMALL).fit(mixed.astype({"flag": float}), y).to_bytes()
    )
    array = mixed.to_numpy(dtype=object)
    same = HSMoERegressor(**SMALL).fit(mixed.to_numpy(dtype=float), y)
    assert HSMoERegressor(**SMALL).fit(array, y).to_bytes() == same.to_bytes()


def test_grid_search_in_processes(table):
    frame, y = table
    grid = {"model__n_experts": [1, 2]}
    alone, parallel = (GridSearchCV(pipeline(), grid, cv=3, n_jobs=n).fit(frame, y) for n in (1, 2))
    assert alone.best_params_ == {"model__n_experts": 2}
    scores = "mean_test_score"
    assert np.array_equal(alone.cv_results_[scores], parallel.cv_results_[scores])


def test_clone_takes_parameters_and_no_state(rows):
    X, y, _ = rows
    model = HSMoERegressor(**SMALL, gate=[0, 1], expert=hsmoe.GaussianExpert(b0=0.2)).fit(X, y)
    copy = clone(model)
    assert copy.get_params() == model.get_params()
    with pytest.raises(NotFittedError):
        copy.predict(X)
    assert copy.fit(X, y).to_bytes() == model.to_bytes()


def test_workers_of_joblib_carry_on_bit_for_bit(rows):
    X, y, _ = rows
    model = HSMoERegressor(**SMALL).partial_fit(X[:100], y[:100])
    sent = Parallel(n_jobs=2)(delayed(model.predict)(X[i::2]) for i in range(2))
    for i, part in enumerate(sent):
        assert np.array_equal(part, model.predict(X[i::2]))


def test_errors_come_back_from_workers():
    model = HSMoERegressor(**SMALL)
    with pytest.raises(NotFittedError, match="has not learned a row"):
        Parallel(n_jobs=2)(delayed(model.predict)([[float(i)]]) for i in range(2))
    try:
        model.predict([[0.0]])
    except hsmoe.NotFittedError as error:
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error) and str(again) == str(error)
        assert isinstance(again, ValueError) and isinstance(again, AttributeError)


def test_a_column_of_targets_warns(rows):
    X, y, _ = rows
    with pytest.warns(DataConversionWarning, match="column-vector"):
        model = HSMoERegressor(**SMALL).fit(X, y[:, None])
    assert model.to_bytes() == HSMoERegressor(**SMALL).fit(X, y).to_bytes()


# ---------------------------------------------------------------------- metadata routing


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


def test_requests_by_default_are_errors(routing):
    routes = get_routing_for_object(HSMoEClassifier())
    assert routes.fit.requests == {"sample_weight": None}
    assert routes.partial_fit.requests == {"sample_weight": None, "classes": None}
    assert routes.score.requests == {"sample_weight": None}
    assert get_routing_for_object(HSMoERegressor()).predict.requests == {"return_std": None}


def test_weights_reach_the_model_through_a_pipeline(routing, rows):
    X, y, weights = rows
    model = HSMoERegressor(**SMALL).set_fit_request(sample_weight=True)
    model.set_score_request(sample_weight=True)
    steps = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), model)
    steps.fit(X, y, sample_weight=weights)
    by_hand = HSMoERegressor(**SMALL).fit(StandardScaler().fit_transform(X), y, weights)
    assert steps[-1].to_bytes() == by_hand.to_bytes()
    refusing = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), clone(model))
    refusing[-1].set_fit_request(sample_weight=None)
    with pytest.raises(ValueError, match="sample_weight"):
        refusing.fit(X, y, sample_weight=weights)


def test_requests_are_cloned_and_pickled(routing, rows):
    X, y, weights = rows
    model = HSMoERegressor(**SMALL).set_fit_request(sample_weight="how_often")
    for copy in (clone(model), pickle.loads(pickle.dumps(model))):
        assert get_routing_for_object(copy).fit.requests == {"sample_weight": "how_often"}
    copy = clone(model).set_fit_request(sample_weight=False)
    assert get_routing_for_object(model).fit.requests == {"sample_weight": "how_often"}
    assert get_routing_for_object(copy).fit.requests == {"sample_weight": False}
    by_name = cross_val_score(
        make_pipeline(model), X, y, cv=3, n_jobs=2, params={"how_often": weights}
    )
    plain = cross_val_score(HSMoERegressor(**SMALL), X, y, cv=3)
    assert not np.array_equal(by_name, plain)


def test_requests_that_make_no_sense(routing):
    with pytest.raises(TypeError, match=r"no metadata \['weight'\]"):
        HSMoERegressor().set_fit_request(weight=True)
    with sklearn.config_context(enable_metadata_routing=False):
        with pytest.raises(RuntimeError, match="enable_metadata_routing"):
            HSMoERegressor().set_fit_request(sample_weight=True)
