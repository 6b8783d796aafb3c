"""Model files: exact resumption, and clear refusals of what is not a whole model file."""

import io
import os
import stat
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from one_island import ONE_ISLAND

import hsmoe
from hsmoe import CheckpointError, HSMoERegressor
from hsmoe.checkpoint import FORMAT_VERSION, MAGIC, decode_value, encode_value, pack, unpack

HEADER = struct.Struct("<8sIQ32s")


def small(**changes):
    defaults = {**ONE_ISLAND, "n_experts": 3, "n_particles": 8, "n_warmup": 40, "random_state": 5}
    return HSMoERegressor(**{**defaults, **changes})


@pytest.fixture(scope="module")
def model(two_regimes):
    return small().fit(*two_regimes)


@pytest.fixture(scope="module")
def data(model):
    return model.to_bytes()


# ---------------------------------------------------------------- what comes back


@pytest.mark.parametrize("n_rows", [0, 1, 39, 40, 41, 120])
def test_resuming_is_exact(n_rows, two_regimes, tmp_path):
    X, y = two_regimes
    straight = small()
    if n_rows:
        straight.partial_fit(X[:n_rows], y[:n_rows])
    path = tmp_path / "m.hsmoe"
    straight.save(path)
    resumed = hsmoe.load(path)
    assert resumed.to_bytes() == straight.to_bytes() == path.read_bytes()
    a, b = (m.prequential(X[n_rows:], y[n_rows:]) for m in (straight, resumed))
    for name, values in a.to_dict().items():
        np.testing.assert_array_equal(values, getattr(b, name), err_msg=name)
    assert resumed.to_bytes() == straight.to_bytes()


def test_resuming_in_a_new_process(model, two_regimes, tmp_path):
    X, y = two_regimes
    path = tmp_path / "m.hsmoe"
    model.save(path)
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", y)
    code = (
        "import sys, numpy as np, hsmoe\n"
        "folder = sys.argv[1]\n"
        "X, y = np.load(folder + '/X.npy'), np.load(folder + '/y.npy')\n"
        "hsmoe.load(folder + '/m.hsmoe').partial_fit(X, y).save(folder + '/m.hsmoe')\n"
    )
    subprocess.run([sys.executable, "-P", "-c", code, str(tmp_path)], check=True)
    here = HSMoERegressor.from_bytes(model.to_bytes()).partial_fit(X, y)
    assert path.read_bytes() == here.to_bytes()


def test_unseeded_models_resume_too(two_regimes):
    X, y = two_regimes
    model = small(random_state=None).partial_fit(X[:20], y[:20])
    twin = HSMoERegressor.from_bytes(model.to_bytes())
    assert twin.partial_fit(X, y).to_bytes() == model.partial_fit(X, y).to_bytes()


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"n_experts": 2, "gate": [[0, 1]], "ess_threshold": 0.25},
        {"gate": ((0, 1), (2, [3])), "gate_features": ["a", "b"], "expert_features": [0, 2]},
        {"gate_prior": hsmoe.HorseshoePrior(tau0=0.1), "expert": hsmoe.GaussianExpert(b0=1e-3)},
        {"gate_prior": hsmoe.NormalPrior(), "n_warmup": 17, "standardize": False},
        {
            "gate_prior": hsmoe.GroupHorseshoePrior(slab=2.0),
            "gate": ("softmax", [2, ("laplace", [0, 1])]),
        },
        {"gate_prior": hsmoe.PaperHorseshoePrior(), "random_state": 2**100, "verbose": 2},
        {"ess_threshold": float("inf"), "missing": "skip", "n_jobs": -1},
    ],
)
def test_parameters_come_back_equal(parameters):
    model = HSMoERegressor(**parameters)
    back = HSMoERegressor.from_bytes(model.to_bytes())
    assert back.get_params() == model.get_params()
    assert repr(back) == repr(model)


def test_random_states_come_back():
    sequence = np.random.SeedSequence(7, spawn_key=(2, 3))
    back = decode_value(encode_value(sequence, "random_state"))
    np.testing.assert_array_equal(back.generate_state(8), sequence.generate_state(8))
    for bits in (np.random.PCG64, np.random.MT19937, np.random.Philox, np.random.SFC64):
        generator = np.random.Generator(bits(1))
        generator.random(3)
        back = decode_value(encode_value(generator, "random_state"))
        np.testing.assert_array_equal(back.random(5), generator.random(5))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner),
    max_leaves=8,
)


@given(value=JSON_VALUES)
@settings(max_examples=50, deadline=None)
def test_values_come_back_equal(value):
    model = HSMoERegressor.from_bytes(HSMoERegressor(gate=value).to_bytes())
    assert model.gate == value
    assert type(model.gate) is type(value)


def test_a_parameter_that_cannot_be_stored_is_named(tmp_path):
    path = tmp_path / "m.hsmoe"
    with pytest.raises(TypeError, match="gate is <object"):
        HSMoERegressor(gate=object()).save(path)
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- what is refused


def refusal(data):
    with pytest.raises(CheckpointError) as caught:
        HSMoERegressor.from_bytes(data)
    return str(caught.value)


@pytest.mark.parametrize("length", [0, 3, 8, 20, 51, 52, 60, 500])
def test_truncated_files(data, length):
    assert "truncated" in refusal(data[:length])
    assert "truncated" in refusal(data[:-1])


def test_flipped_bits(data):
    for position in np.linspace(HEADER.size, len(data) - 1, 25).astype(int):
        changed = bytearray(data)
        changed[position] ^= 4
        assert "damaged" in refusal(bytes(changed))
    assert "damaged" in refusal(data + b"x")


@pytest.mark.parametrize("foreign", [b"PK\x03\x04 a zip", b"hello\nworld", b"\x80\x04K\x01."])
def test_foreign_files(foreign):
    assert "not an hsmoe model file" in refusal(foreign)


def test_newer_files(data):
    magic, version, length, digest = HEADER.unpack(data[: HEADER.size])
    assert (magic, version) == (MAGIC, FORMAT_VERSION)
    newer = HEADER.pack(magic, version + 1, length, digest) + data[HEADER.size :]
    text = refusal(newer)
    assert "install a newer hsmoe" in text
    assert str(version + 1) in text


def test_messages_name_the_file(data, tmp_path):
    path = tmp_path / "half.hsmoe"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointError, match=r"half\.hsmoe is truncated"):
        hsmoe.load(path)
    with pytest.raises(FileNotFoundError):
        hsmoe.load(tmp_path / "absent.hsmoe")


def repack(data, change_metadata=None, change_arrays=None):
    """Return a file with a right checksum and wrong contents."""
    metadata, arrays = unpack(data)
    if change_metadata:
        change_metadata(metadata)
    if change_arrays:
        change_arrays(arrays)
    return pack(metadata, arrays)


def test_contents_that_do_not_fit(data):
    def drop_centre(arrays):
        del arrays["x_centre"]

    def shorten(arrays):
        arrays["x_scale"] = arrays["x_scale"][:1]

    def negate(arrays):
        arrays["x_scale"] = -arrays["x_scale"]

    def drop_engine(arrays):
        for name in [name for name in arrays if name.startswith("engine/")]:
            del arrays[name]

    for change in (drop_centre, shorten, negate, drop_engine):
        assert "damaged" in refusal(repack(data, change_arrays=change))

    def huge(metadata):
        metadata["state"]["parameters"]["n_particles"] = 10**12

    def no_state(metadata):
        del metadata["state"]

    def wrong_parameter(metadata):
        metadata["parameters"]["flavour"] = 1

    for change in (huge, no_state, wrong_parameter):
        assert "damaged" in refusal(repack(data, change_metadata=change))

    def other_class(metadata):
        metadata["class"] = "HSMoEOracle"

    assert "HSMoEOracle" in refusal(repack(data, change_metadata=other_class))


def test_each_engine_array_is_checked(data):
    names = [name for name in unpack(data)[1] if name.startswith("engine/")]
    assert names
    for name in names:

        def drop(arrays, name=name):
            del arrays[name]

        def lengthen(arrays, name=name):
            arrays[name] = np.concatenate([arrays[name].ravel(), arrays[name].ravel(), [0]])

        for change in (drop, lengthen):
            free = {f"engine/resampling_{column}" for column in ("row", "island", "ess", "unique")}
            if name in free and change is lengthen:
                continue  # their common length is free
            assert "damaged" in refusal(repack(data, change_arrays=change)), name


def seal(payload):
    import hashlib

    return HEADER.pack(MAGIC, 1, len(payload), hashlib.sha256(payload).digest()) + payload


def test_archives_that_are_not_ours():
    def archive(members, compression=zipfile.ZIP_STORED):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", compression) as out:
            for name, content in members:
                out.writestr(name, content)
        return seal(buffer.getvalue())

    assert "damaged" in refusal(seal(b"not a zip"))
    assert "damaged" in refusal(archive([]))
    bomb = archive([("meta.json", b" " * 10**6)], zipfile.ZIP_DEFLATED)
    assert "compressed" in refusal(bomb)
    assert "damaged" in refusal(archive([("meta.json", b"{"), ("a.npy", b"x")]))
    assert "unknown member" in refusal(archive([("evil.py", b"import os")]))
    assert "damaged" in refusal(archive([("meta.json", b"[" * 100_000)]))
    objects = io.BytesIO()
    np.save(objects, np.array([object()]), allow_pickle=True)
    assert "damaged" in refusal(archive([("a.npy", objects.getvalue())]))
    claims = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        claims, {"descr": "<f8", "fortran_order": False, "shape": (10**15,)}
    )
    assert "not as long as it says" in refusal(archive([("a.npy", claims.getvalue())]))


# ---------------------------------------------------------------- writing


def test_a_failed_write_keeps_the_old_file(model, two_regimes, tmp_path, monkeypatch):
    path = tmp_path / "m.hsmoe"
    model.save(path)
    old = path.read_bytes()

    def fail(*arguments):
        raise OSError("disk full")

    for name in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, fail)
            with pytest.raises(OSError, match="disk full"):
                small().fit(*two_regimes).save(path)
        assert path.read_bytes() == old
        assert [p.name for p in tmp_path.iterdir()] == ["m.hsmoe"]


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_permissions_are_those_of_an_ordinary_file(model, tmp_path):
    path, plain = tmp_path / "m.hsmoe", tmp_path / "plain"
    plain.touch()
    model.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
    path.chmod(0o600)
    model.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_paths_may_be_strings_and_relative(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model.save("m.hsmoe")
    assert hsmoe.load("m.hsmoe").to_bytes() == model.to_bytes()
