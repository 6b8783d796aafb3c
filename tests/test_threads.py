"""Threads that serve one call after another, and processes that were forked in between."""

import multiprocessing
import os
import signal
import threading
import time

import numpy as np
import pytest

import hsmoe
from hsmoe._state import resolve_n_jobs


def model(n_jobs):
    return hsmoe.HSMoERegressor(3, 16, 2, random_state=0, n_jobs=n_jobs)


def learn_rest(learner, X, y, answers):
    for i in range(100, len(y)):
        learner.partial_fit(X[i : i + 1], y[i : i + 1])
    answers.put(learner.log_evidence_)


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="no fork on this system"
)
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own(two_regimes):
    X, y = two_regimes
    alone = model(1).partial_fit(X, y).log_evidence_
    parent = model(2).partial_fit(X[:100], y[:100])  # its threads wait for the next call
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    children = [
        context.Process(target=learn_rest, args=(parent, X, y, answers), daemon=True)
        for _ in range(2)
    ]
    for child in children:
        child.start()
    assert [answers.get(timeout=60) for _ in children] == [alone, alone]
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    assert parent.partial_fit(X[100:], y[100:]).log_evidence_ == alone


def test_engines_share_waiting_threads(two_regimes):
    """More models at once than groups of threads are kept; all have the bits of one thread."""
    X, y = two_regimes
    alone = model(1).partial_fit(X, y).predict(X)
    found = [None] * 8

    def work(k):
        learner = model(2)
        for part in np.array_split(np.arange(len(y)), 16):
            learner.partial_fit(X[part], y[part])
        found[k] = learner.predict(X)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(len(found))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    for values in found:
        np.testing.assert_array_equal(values, alone)


def _threads_of(n_jobs):
    return resolve_n_jobs(n_jobs)


def test_workers_of_joblib_share_the_processors(monkeypatch):
    """``n_jobs=-1`` in each of two processes asks for half of the processors each, not for all."""
    joblib = pytest.importorskip("joblib")
    processors = joblib.cpu_count()
    with joblib.parallel_config("loky", inner_max_num_threads=None):
        found = joblib.Parallel(n_jobs=2)(joblib.delayed(_threads_of)(-1) for _ in range(4))
    assert max(found) <= max(1, processors // 2)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert resolve_n_jobs(-1) == 1
    assert resolve_n_jobs(3) == 3
    for unset in ("", "0", "many"):
        monkeypatch.setenv("OMP_NUM_THREADS", unset)
        assert resolve_n_jobs(-1) >= 1
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert resolve_n_jobs(-1) >= max(found)


def test_many_threads_forecast_from_one_model(two_regimes):
    X, y = two_regimes
    learner = model(2).partial_fit(X, y)
    before = learner.to_bytes()
    expected = {
        "predict": learner.predict(X),
        "quantiles": learner.predict_quantiles(X, [0.1, 0.5]),
        "density": learner.log_density(X, y),
        "bytes": np.frombuffer(before, dtype=np.uint8),
    }
    calls = {
        "predict": lambda: learner.predict(X),
        "quantiles": lambda: learner.predict_quantiles(X, [0.1, 0.5]),
        "density": lambda: learner.log_density(X, y),
        "bytes": lambda: np.frombuffer(learner.to_bytes(), dtype=np.uint8),
    }
    wrong = []

    def work(name):
        for _ in range(25):
            if not np.array_equal(calls[name](), expected[name]):
                wrong.append(name)

    threads = [threading.Thread(target=work, args=(name,)) for name in [*calls, *calls]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not wrong and learner.to_bytes() == before


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT to itself")
@pytest.mark.parametrize("n_times", [20, pytest.param(1000, marks=pytest.mark.long)])
def test_ctrl_c_at_any_moment(n_times, two_regimes):
    """All rows of the call are learned, or none."""
    X, y = two_regimes
    begun = model(2).partial_fit(X[:60], y[:60]).to_bytes()
    learner = hsmoe.HSMoERegressor.from_bytes(begun)
    began = time.perf_counter()
    learner.partial_fit(X[60:], y[60:])
    seconds, learned = time.perf_counter() - began, learner.to_bytes()
    delays = np.random.default_rng(0).uniform(0, 1.3 * seconds, n_times)
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    found = []
    try:
        for delay in delays:
            learner = hsmoe.HSMoERegressor.from_bytes(begun)
            timer = threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT))
            with pytest.raises(KeyboardInterrupt):
                timer.start()
                learner.partial_fit(X[60:], y[60:])
                time.sleep(10)  # the signal comes after the call
            found.append(learner.to_bytes())
    finally:
        signal.signal(signal.SIGINT, handler)
    assert set(found) <= {begun, learned}
    assert begun in found
