"""The Polya-Gamma sampler, density and distribution function against independent oracles.

Seeds are fixed.  The statistical tests make about 600 comparisons, each with a false-alarm rate of
at most 1e-8 (moments and transforms: 5.8 standard errors of a nearly normal mean; distributions:
the Dvoretzky-Kiefer-Wolfowitz bound), so that a change of the streams fails for no reason with
probability below 1e-5 in all.
"""

import math
import threading

import mpmath as mp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import special

from hsmoe.random import polyagamma_cdf, polyagamma_pdf, random_polyagamma

SHAPES = [0.01, 0.1, 0.5, 1, 1.5, 2, 3.7, 10, 100.3, 1000]
TILTS = [0, 1e-8, 0.5, 2, 10, 100, 178, 500, 2000]
STANDARD_ERRORS = 5.8
FALSE_ALARM = 1e-8


def _mean(h, z):
    return h / 4 * (math.tanh(z / 2) / (z / 2) if z > 1e-4 else 1.0)


def _variance(h, z):
    if z < 1e-2:
        return h / 24 * (1 - z * z / 5)
    sech2 = 4 * math.exp(-z) / (1 + math.exp(-z)) ** 2
    return h * (2 * math.tanh(z / 2) - z * sech2) / (4 * z**3)


def _log_transform(s, h, z):
    """Return log E exp(-s x)."""

    def log_cosh(r):
        return r + np.log1p(np.exp(-2 * r)) - math.log(2)

    return h * (log_cosh(z / 2) - log_cosh(np.sqrt(z * z / 4 + s / 2)))


def _excess_kurtosis(h, z):
    with mp.workdps(40):
        c2, scale = mp.mpf(z) ** 2 / 4, mp.mpf(max(z, 1)) ** 2

        def cumulants(t):
            return -h * mp.re(mp.log(mp.cosh(mp.sqrt(c2 - t * scale / 2))))

        step = mp.mpf("1e-6")
        values = [cumulants(k * step) for k in (-2, -1, 0, 1, 2)]
        second = (values[1] - 2 * values[2] + values[3]) / step**2
        fourth = (values[0] - 4 * values[1] + 6 * values[2] - 4 * values[3] + values[4]) / step**4
        return float(fourth / second**2)


def _series_cdf(x, h, z):
    """Alternating sum of inverse Gaussian masses; double precision does for h <= 2."""
    x, c = 4 * np.asarray(x, float)[:, None], z / 2
    n = np.arange(200)
    lam = 2 * n + h
    root = np.sqrt(x)
    mass = np.exp(special.log_ndtr((c * x - lam) / root)) + np.exp(
        2 * lam * c + special.log_ndtr(-(c * x + lam) / root)
    )
    log_b = special.gammaln(n + h) - special.gammaln(h) - special.gammaln(n + 1)
    sign = np.where(n % 2, -1.0, 1.0)
    front = h * np.log1p(math.exp(-2 * c))
    return np.sum(sign * np.exp(front + log_b - 2 * n * c) * mass, axis=1)


def _fourier_cdf(x, h, z):
    """Gil-Pelaez inversion of the characteristic function by the midpoint rule; for h > 2."""
    x, c, sd = np.asarray(x, float), z / 2, math.sqrt(_variance(h, z))
    mean = _mean(h, z)
    t = (np.arange(6000) + 0.5) * 0.03 / sd
    r = np.sqrt(c * c - 0.5j * t)
    drop = -0.5j * t / (r + c)
    log_phi = -h * (drop + np.log1p(np.exp(-2 * r)) - math.log1p(math.exp(-2 * c))) - 1j * t * mean
    wave = np.exp(log_phi[None, :] - 1j * t * (x - mean)[:, None])
    return 0.5 - np.sum(wave.imag / t, axis=1) * (t[1] - t[0]) / math.pi


def _cdf(x, h, z):
    return _series_cdf(x, h, z) if h <= 2 else _fourier_cdf(x, h, z)


def _log_pdf_mp(x, h, z):
    """Alternating series with as many digits as it needs."""
    digits = 40
    while True:
        with mp.workdps(digits):
            big_x, hh, c = 4 * mp.mpf(x), mp.mpf(h), abs(mp.mpf(z)) / 2
            total, b, n, largest = mp.mpf(0), mp.mpf(1), 0, mp.mpf(0)
            while True:
                term = b * (2 * n + hh) / hh * mp.exp(-2 * n * (n + hh) / big_x)
                total += term if n % 2 == 0 else -term
                largest = max(largest, term)
                if n > 3 and term < mp.mpf(10) ** -digits:
                    break
                b *= (n + hh) / (n + 1)
                n += 1
            if total > largest * mp.mpf(10) ** (25 - digits):
                value = mp.log(4) + hh * mp.log1p(mp.exp(-2 * c)) + mp.log(hh) + mp.log(total)
                value -= mp.log(2 * mp.pi * big_x**3) / 2 + (hh - c * big_x) ** 2 / (2 * big_x)
                return float(value)
        digits *= 2


def _log_tails_mp(x, h, z):
    digits = 80
    while True:
        with mp.workdps(digits):
            big_x, hh, c = 4 * mp.mpf(x), mp.mpf(h), abs(mp.mpf(z)) / 2
            root = mp.sqrt(2 * big_x)
            total, b, n, largest = mp.mpf(0), mp.mpf(1), 0, mp.mpf(0)
            while True:
                lam = 2 * n + hh
                term = b * mp.exp(-lam * c) * mp.erfc((lam - c * big_x) / root) / 2
                term += b * mp.exp(lam * c) * mp.erfc((lam + c * big_x) / root) / 2
                total += term if n % 2 == 0 else -term
                largest = max(largest, term)
                if n > 3 and term < largest * mp.mpf(10) ** -digits:
                    break
                b *= (hh + n) / (n + 1)
                n += 1
            front = (2 * mp.cosh(c)) ** hh
            cdf = front * total
            enough = front * largest * mp.mpf(10) ** (20 - digits)
            if cdf > enough and 1 - cdf > enough:
                return float(mp.log(cdf)), float(mp.log(1 - cdf))
        digits *= 2


def _size(h):
    return 200_000 if h < 5 else 40_000 if h <= 10 else 4_000


@pytest.mark.parametrize("z", TILTS)
@pytest.mark.parametrize("h", SHAPES)
def test_distribution(h, z):
    n = _size(h)
    # The seed differs by case, so that the comparisons are independent.
    x = random_polyagamma(h, z, size=n, random_state=[int(1000 * h), int(1000 * z), 3])
    assert np.all(np.isfinite(x)) and np.all(x > 0)

    mean, variance = _mean(h, z), _variance(h, z)
    assert abs(x.mean() - mean) < STANDARD_ERRORS * math.sqrt(variance / n)

    kurtosis = _excess_kurtosis(h, z)
    if kurtosis < 0.01 * n:  # else the sample variance is far from normal
        spread = math.sqrt((kurtosis + 2) / n)
        assert abs(np.mean((x - mean) ** 2) / variance - 1) < STANDARD_ERRORS * spread

    s = np.array([0.3, 1.0, 4.0]) / mean
    got = np.exp(-s[:, None] * x).mean(axis=1)
    want = np.exp(_log_transform(s, h, z))
    spread = np.sqrt(np.exp(_log_transform(2 * s, h, z)) - want**2)
    assert np.all(np.abs(got - want) < STANDARD_ERRORS * spread / math.sqrt(n))

    # Kolmogorov-Smirnov distance on 300 order statistics.
    x.sort()
    rank = np.unique(np.linspace(0, n - 1, 300).astype(int))
    distance = np.abs(_cdf(x[rank], h, z) - (rank + 0.5) / n).max() - 0.5 / n
    assert distance < math.sqrt(math.log(2 / FALSE_ALARM) / (2 * n))


def test_mixed_shapes_in_one_call_do_not_disturb_each_other():
    n = 40_000
    h = np.tile([0.3, 1.0, 2.0, 2.5, 7.9], n)
    z = np.tile([0.0, 40.0, 1.0, -3.0, 0.2], n)
    x = random_polyagamma(h, z, random_state=8).reshape(n, 5)
    for j in range(5):
        a, b = h[j], abs(z[j])
        error = abs(x[:, j].mean() - _mean(a, b)) / math.sqrt(_variance(a, b) / n)
        assert error < STANDARD_ERRORS
        column = np.sort(x[:, j])[:: n // 200]
        rank = (np.arange(column.size) * (n // 200) + 0.5) / n
        bound = math.sqrt(math.log(2 / FALSE_ALARM) / (2 * n)) + 1 / n
        assert np.abs(_cdf(column, a, b) - rank).max() < bound


def test_neighbours_are_uncorrelated():
    x = random_polyagamma(1, 1.5, size=400_000, random_state=5)
    for lag in (1, 2, 8, 16, 17):
        assert abs(np.corrcoef(x[:-lag], x[lag:])[0, 1]) < STANDARD_ERRORS / math.sqrt(x.size)


@pytest.mark.parametrize("pair", [(0.4, 0.6), (1.0, 1.0), (0.25, 1.5)])
def test_additivity(pair):
    n, z = 200_000, 1.3
    x = sum(
        random_polyagamma(h, z, size=n, random_state=int(100 * h) + i) for i, h in enumerate(pair)
    )
    x.sort()
    rank = np.linspace(0, n - 1, 300).astype(int)
    distance = np.abs(_cdf(x[rank], sum(pair), z) - (rank + 0.5) / n).max()
    assert distance < math.sqrt(math.log(2 / FALSE_ALARM) / (2 * n)) + 1 / n


def test_large_shapes_cost_little():
    for h, z in [(1e5, 0.0), (1e8, 3.0), (1e12, 2000.0), (1e20, 1.0)]:
        x = random_polyagamma(h, z, size=2000, random_state=2)
        t = (x - _mean(h, z)) / math.sqrt(_variance(h, z))
        assert abs(t.mean()) < STANDARD_ERRORS / math.sqrt(2000)
        assert abs(np.mean(t * t) - 1) < STANDARD_ERRORS * math.sqrt(2 / 2000)


def test_large_shapes_element_by_element():
    h = np.tile([5000.0, 1.0], 300)
    x = random_polyagamma(h, 2.0, random_state=4)
    for part, a in ((x[::2], 5000.0), (x[1::2], 1.0)):
        spread = math.sqrt(_variance(a, 2.0) / 300)
        assert abs(part.mean() - _mean(a, 2.0)) < STANDARD_ERRORS * spread


# ---- density and distribution function ----------------------------------------------------------


@pytest.mark.parametrize("z", [0, 0.5, 2, 10, 178, 2000])
@pytest.mark.parametrize("h", [0.001, 0.1, 0.5, 1, 1.5, 3.7, 10, 100.3])
def test_density_and_cdf_match_mpmath(h, z):
    mean, sd = _mean(h, z), math.sqrt(_variance(h, z))
    points = {mean * f for f in (0.05, 0.5, 1.0, 1.0 + 1e-9)} | {mean + k * sd for k in (0.5, 6.0)}
    for x in sorted(points):
        log_pdf = _log_pdf_mp(x, h, z)
        # A large logarithm is the difference of larger ones: x itself is known to 1e-16 only.
        slack = 1e-11 + 1e-14 * abs(log_pdf) + 2e-15 * z * z * x
        assert_allclose(polyagamma_pdf(x, h, z, return_log=True), log_pdf, rtol=0, atol=slack)
        if h < 50:
            log_cdf, log_survival = _log_tails_mp(x, h, z)
            got = polyagamma_cdf(x, h, z, return_log=True)
            slack = 1e-11 + 1e-14 * abs(log_survival) + 2e-15 * z * z * x
            if log_cdf > -0.5:  # -log cdf is about the survival: relative to it
                assert_allclose(got, log_cdf, rtol=slack, atol=1e-300)
            else:
                assert_allclose(got, log_cdf, rtol=0, atol=1e-11 + 1e-14 * abs(log_cdf))


def test_no_nan_anywhere():
    h = np.array([0.001, 0.01, 0.5, 1, 1.5, 20, 100.3, 1000])[:, None, None]
    z = np.array([0, 1e-300, 1e-8, 0.3, 2, 30, 178, 2000])[None, :, None]
    x = np.logspace(-300, 3, 60)[None, None, :]
    for function in (polyagamma_pdf, polyagamma_cdf):
        value, log_value = function(x, h, z), function(x, h, z, return_log=True)
        assert not np.isnan(value).any() and not np.isnan(log_value).any()
        assert np.all(value >= 0)
        if function is polyagamma_cdf:
            assert np.all(value <= 1) and np.all(np.diff(value, axis=-1) > -1e-12)


def test_density_integrates_to_the_cdf():
    for h, z in [(0.2, 0.0), (1.0, 3.0), (37.5, 0.5), (400.0, 0.0)]:
        mean, sd = _mean(h, z), math.sqrt(_variance(h, z))
        a, b = max(mean - 2 * sd, mean / 10), mean + sd
        node, weight = special.roots_legendre(80)
        x = 0.5 * (b - a) * node + 0.5 * (a + b)
        mass = 0.5 * (b - a) * np.dot(weight, polyagamma_pdf(x, h, z))
        assert_allclose(mass, polyagamma_cdf(b, h, z) - polyagamma_cdf(a, h, z), rtol=1e-11)


def test_edges_of_the_support():
    assert polyagamma_pdf(0.0) == polyagamma_pdf(-1.0) == polyagamma_pdf(np.inf) == 0.0
    assert polyagamma_cdf(0.0) == polyagamma_cdf(-1.0) == 0.0 and polyagamma_cdf(np.inf) == 1.0
    assert polyagamma_pdf(0.0, return_log=True) == polyagamma_cdf(-1, return_log=True) == -np.inf
    for x, h, z in [(np.nan, 1, 0), (0.2, 0, 0), (0.2, -1, 0), (0.2, 1, np.nan), (0.2, 1, np.inf)]:
        assert math.isnan(polyagamma_pdf(x, h, z)) and math.isnan(polyagamma_cdf(x, h, z))


def test_density_shapes():
    for function in (polyagamma_pdf, polyagamma_cdf):
        assert isinstance(function(0.2), float) and isinstance(function(1, 2, 3, True), float)
        assert function(np.array(0.2)).shape == ()
        assert function([0.1, 0.2], [[1], [2], [3]], 1.0).shape == (3, 2)
        assert function([]).shape == (0,)
        x = np.arange(1.0, 25.0).reshape(4, 6)[::2, ::-3] / 10
        assert_array_equal(function(x)[1, 0], function(x[1, 0]))
        with pytest.raises(ValueError, match=r"broadcast|shape"):
            function([1, 2], [1, 2, 3])
        with pytest.raises(ValueError):
            function("a")


# ---- the calling convention ---------------------------------------------------------------------


def test_scalars_give_a_float_and_the_rest_arrays():
    assert type(random_polyagamma()) is float
    assert type(random_polyagamma(2, -1.5)) is float
    assert type(random_polyagamma(np.float64(2), np.int64(1))) is float
    assert random_polyagamma(np.array(1.0)).shape == ()
    assert random_polyagamma(size=()).shape == ()
    assert random_polyagamma(size=3).shape == (3,)
    assert random_polyagamma([1.0]).shape == (1,)
    assert random_polyagamma([[1], [2]], [0, 1, 2]).shape == (2, 3)
    assert random_polyagamma([1, 2], size=(3, 2)).shape == (3, 2)
    assert random_polyagamma([]).shape == (0,) and random_polyagamma(size=(0, 4)).shape == (0, 4)
    assert random_polyagamma([1, 2]).dtype == np.float64


@pytest.mark.parametrize(
    "out",
    [
        np.empty(6),
        np.empty((2, 3)),
        np.empty((3, 2)).T,
        np.empty(12)[::2],
        np.empty(6, np.float32),
        np.empty(6, ">f8"),
        np.empty(0),
        np.empty(()),
    ],
    ids=lambda a: f"{a.dtype}{a.shape}{a.strides}",
)
def test_out(out):
    assert random_polyagamma(2.0, 1.0, out=out, random_state=1) is out
    expected = random_polyagamma(2.0, 1.0, size=out.shape, random_state=1)
    assert_array_equal(out, expected.astype(out.dtype))


def test_out_may_be_a_parameter():
    z = np.linspace(-3, 3, 5000)
    expected = random_polyagamma(1, z, random_state=1)
    random_polyagamma(1, z, out=z, random_state=1)
    assert_array_equal(z, expected)


def test_size_is_preferred_to_out():
    out = np.zeros(3)
    assert random_polyagamma(size=2, out=out).shape == (2,)
    assert_array_equal(out, 0)


def test_errors():
    for bad in (0, -1, [1, -1], -np.inf):
        with pytest.raises(ValueError, match="positive"):
            random_polyagamma(bad)
    with pytest.raises(ValueError, match="integer"):
        random_polyagamma(1.5, method="devroye")
    for method in ("rejection", 3, ["devroye"]):
        with pytest.raises(ValueError, match="method"):
            random_polyagamma(method=method)
    with pytest.raises(ValueError, match=r"broadcast|shape"):
        random_polyagamma([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match=r"broadcast|shape"):
        random_polyagamma([1, 2], size=3)
    with pytest.raises(ValueError, match=r"broadcast|shape"):
        random_polyagamma([1, 2, 3], out=np.empty(2))
    with pytest.raises(ValueError):
        random_polyagamma(size=-1)
    for size in (2.5, "a"):
        with pytest.raises(TypeError):
            random_polyagamma(size=size)
    for out in ([1.0, 2.0], np.empty(2, int)):
        with pytest.raises(TypeError, match="out"):
            random_polyagamma(out=out)
    frozen = np.zeros(3)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        random_polyagamma(out=frozen)
    for state in ("a", 1.5, np.random):
        with pytest.raises(TypeError):
            random_polyagamma(random_state=state)
    with pytest.raises(TypeError):
        random_polyagamma(1, 0, 3)


def test_not_a_number_stays_itself():
    x = random_polyagamma([1.0, -1.0, 0.0, np.nan, np.inf, 2.0], 1.0, disable_checks=True)
    assert_array_equal(np.isnan(x), [False, True, True, True, True, False])
    for h in (1.0, 1.5, 3.0, 5000.0):
        x = random_polyagamma(h, [np.nan, np.inf, -np.inf, 1e200])
        assert_array_equal(np.isnan(x), [True, False, False, False])
        assert_array_equal(x[1:3], 0)
        assert_allclose(x[3], h / 2e200)


@pytest.mark.parametrize("method", [None, "devroye", "alternate", "gamma", "saddle"])
def test_methods_share_one_sampler(method):
    assert_array_equal(
        random_polyagamma([1, 2, 3], 0.5, method=method, random_state=4),
        random_polyagamma([1, 2, 3], 0.5, random_state=4),
    )


def test_sources_of_randomness():
    expected = random_polyagamma(size=5, random_state=7)
    for state in (
        np.random.default_rng(7),
        np.random.PCG64(7),
        np.random.SeedSequence(7),
        [7],
    ):
        assert_array_equal(random_polyagamma(size=5, random_state=state), expected)
    legacy = np.random.RandomState(7)
    first = random_polyagamma(size=5, random_state=legacy)
    assert_array_equal(first, random_polyagamma(size=5, random_state=np.random.RandomState(7)))
    assert np.all(first != random_polyagamma(size=5, random_state=legacy))
    assert np.all(random_polyagamma(size=5) != random_polyagamma(size=5))
    rng = np.random.default_rng(7)
    assert np.all(
        random_polyagamma(size=5, random_state=rng) != random_polyagamma(size=5, random_state=rng)
    )


@pytest.mark.parametrize("h", [1.0, 2.0, 0.7])
def test_a_longer_call_begins_like_a_shorter_one(h):
    long = random_polyagamma(h, 1.0, size=5000, random_state=3)
    for n in (1, 7, 16, 17, 2048, 2049, 4100):
        assert_array_equal(random_polyagamma(h, 1.0, size=n, random_state=3), long[:n])


def test_broadcasting_does_not_change_the_variates():
    expected = random_polyagamma(1, 0.5, size=(3, 4), random_state=1)
    assert_array_equal(
        random_polyagamma(np.ones((3, 1)), np.full(4, 0.5), random_state=1), expected
    )


def test_integer_shapes_are_summed_alike_next_to_others():
    h = np.array([3.0] * 40)
    mixed = np.where(np.arange(40) % 16 == 5, 0.5, h)
    a = random_polyagamma(h, 1.0, random_state=1)
    b = random_polyagamma(mixed, 1.0, random_state=1)
    same = np.arange(40) % 16 != 5
    assert_allclose(a[same], b[same], rtol=1e-12)


def test_threads_may_share_a_generator():
    rng = np.random.default_rng(1)
    results = []

    def work():
        results.append(random_polyagamma(1, 1.0, size=20_000, random_state=rng))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({r.tobytes() for r in results}) == 4
    again = np.random.default_rng(1)
    alone = {random_polyagamma(1, 1.0, size=20_000, random_state=again).tobytes() for _ in range(4)}
    assert {r.tobytes() for r in results} == alone


def test_doctests():
    import doctest

    import hsmoe.random

    result = doctest.testmod(hsmoe.random)
    assert result.attempted >= 8 and result.failed == 0
