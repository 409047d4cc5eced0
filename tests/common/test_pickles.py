import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from repository import ROOT

from common.storage.pickles import check_depth, read_pickle

FUZZER = ROOT / "tests" / "fuzz_pickles.py"
SHARED = np.arange(14, dtype=np.float32)
VALUES = {
    "qpos_mean": SHARED,
    "again": SHARED,
    "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "strided": np.arange(10)[::2],
    "big_endian": np.arange(3, dtype=">i4"),
    "bools": np.array([True, False]),
    "none": np.zeros((0, 14), np.float32),
    "single": np.array(2.5),
    "scalars": [np.float64(3.5), np.int64(-4), np.bool_(True), np.float32(1)],
    "camera_names": ["top", "왼쪽"],
    "policy_config": {
        "lr": 1e-5,
        "big": 10**30,
        "raw": b"\x00\xff",
        "empty": b"",
        "nested": (1, (2.5, None), True),
    },
}


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def assert_same(found, expected):
    assert type(found) is type(expected)
    if isinstance(expected, np.ndarray | np.generic):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for name, value in expected.items():
            assert_same(found[name], value)
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    else:
        assert found == expected


@pytest.mark.parametrize("core", ["numpy.core", "numpy._core"])
@pytest.mark.parametrize("protocol", range(6))
def test_plain_values_and_arrays_are_read_as_any_numpy_wrote_them(tmp_path, protocol, core):
    """Names with their length before them (protocol 4 and later) are given the other length, too."""
    data = pickle.dumps(VALUES, protocol)
    for module in ("multiarray", "numeric"):
        for known in ("numpy.core", "numpy._core"):
            old, new = (f"{name}.{module}".encode() for name in (known, core))
            data = data.replace(b"\x8c" + bytes([len(old)]) + old, b"\x8c" + bytes([len(new)]) + new)
            data = data.replace(b"c" + old + b"\n", b"c" + new + b"\n")
    if protocol >= 4:  # without the frames, whose lengths are others now
        start = data.index(b"\x95")
        data = data[:start] + data[start + 9 :]
    found = read_pickle(write(tmp_path / "a.pkl", data))
    assert_same(found, VALUES)
    assert found["again"] is found["qpos_mean"] and found["qpos_mean"].flags.writeable


class Evil:
    def __reduce__(self):
        return print, ("code ran",)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    ("value", "told"),
    [
        (Evil(), "print; only numpy arrays are allowed"),
        (np.array(["a"]), "only numbers and bools are allowed"),
        (np.array([1, None]), "only numbers and bools are allowed"),
        (np.array([b"x"]), "only numbers and bools are allowed"),
        (np.zeros(3, [("a", "f4"), ("b", "O")]), "only numbers and bools are allowed"),
        (np.datetime64("2020"), "only numbers and bools are allowed"),
        (np.dtype("f4"), "only plain values and arrays are allowed"),
        (np.ma.array([1.0]), "only numpy arrays are allowed"),
        ({1, 2}, "allowed"),
        ({(1, 2): 3}, "a tuple for a key"),
    ],
)
def test_anything_else_is_refused_in_one_line(tmp_path, capsys, value, told, protocol):
    path = write(tmp_path / "config.pkl", pickle.dumps(value, protocol))
    with pytest.raises(ValueError, match="cannot be read safely") as caught:
        read_pickle(path)
    assert str(caught.value).startswith(str(path)) and told in str(caught.value)
    assert "\n" not in str(caught.value) and not capsys.readouterr().out


def array_of(code: bytes, state: bytes, shape: bytes, data: bytes) -> bytes:
    """A pickle of an array, whose type is made of `code` and then given `state`."""
    text = b"X" + len(code).to_bytes(4, "little") + code
    dtype = b"cnumpy\ndtype\n" + text + b"\x89\x88\x87R" + state
    kind = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
    return b"\x80\x04" + kind + b"(K\x01" + shape + dtype + b"\x89" + data + b"tb."


def state_of(order: bytes, flags: int) -> bytes:
    return b"(K\x03X\x01\x00\x00\x00" + order + b"NNNK\x08K\x08K" + bytes([flags]) + b"tb"


ADDRESS = b"C\x08" + b"\x41" * 8


@pytest.mark.parametrize(
    "data",
    [
        array_of(b"O8", state_of(b"|", 0), b"K\x01\x85", ADDRESS),  # an array of one pointer
        array_of(b"f8", b"(K\x03X\x01\x00\x00\x00|NN}K\x08K\x08K\x00tb", b"K\x01\x85", ADDRESS),  # fields
        array_of(
            b"f8",
            b"(K\x03X\x01\x00\x00\x00<NNN" + b"K\x08" * 3 + b"tb" + state_of(b"O", 0),
            b"K\x01\x85",
            ADDRESS,
        ),
        array_of(b"f8", state_of(b"<", 0), b"J\xff\xff\xff\x7f\x85", ADDRESS),  # 16 GB of 8 bytes
        array_of(b"f8", state_of(b"<", 0), b"J\xff\xff\xff\xff\x85", ADDRESS),  # -1
        array_of(b"f8", state_of(b"<", 0), b"K\x01\x85", b"]" + ADDRESS + b"a"),  # a list of objects
        b"\x80\x04cnumpy\nndarray\n}X\x01\x00\x00\x00a\x4b\x01sb.",  # the state of a class
        b"\x80\x04cnumpy\ndtype\nN}X\x0c\x00\x00\x00__defaults__K\x01s\x86b.",  # of a function
        b"\x80\x04cnumpy\nndarray\nK\x08\x85R.",  # a call of a class
        b"\x80\x04N.N.",
        b"\x80\x04" + b")" + b"\x85" * 200_000 + b"}" + b"\x94h\x00K\x01s.",  # depth
        b"\x80\x04N" + b"r\xff\xff\xff\x7f" + b"j\xff\xff\xff\x7f" + b"\x85\x94h\x05.",  # the memo's 2**31st
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7fabc.",  # 2**63 bytes
        b"",
        b".",
        b"\x80\x04(t",
        b"version https://git-lfs.github.com/spec/v1\n",
    ],
)
def test_files_that_attack_or_are_damaged_are_refused_or_harmless(tmp_path, data):
    path = write(tmp_path / "config.pkl", data)
    code = (
        f"import sys; sys.path.insert(0, {str(FUZZER.parents[1])!r})\n"
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (4 * 2**30, 4 * 2**30))\n"
        "from common.storage.pickles import read_pickle\n"
        f"try: print('read', read_pickle({str(path)!r}) is None)\n"
        "except ValueError as error: print('refused', error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "read True\n" or done.stdout.startswith(f"refused {path} cannot be read safely")


def test_doubling_takes_no_time(tmp_path):
    """Thirty lists, each of which holds the one before it twice: a thousand million entries, if counted."""
    value = []
    for _ in range(30):
        value = [value, value]
    path = write(tmp_path / "config.pkl", pickle.dumps({"policy_config": value}))
    assert len(read_pickle(path)["policy_config"]) == 2


def test_depth_of_tuples_is_bounded():
    check_depth(pickle.dumps([((1, (2,)), {"a": ((),)}) for _ in range(1000)]))
    nested = ()
    for _ in range(300):
        nested = (nested,)
    for protocol in range(6):
        with pytest.raises(ValueError, match="more than 100 deep"):
            check_depth(pickle.dumps(nested, protocol))


@pytest.mark.parametrize("count", [600, pytest.param(60_000, marks=pytest.mark.slow)])
def test_no_damaged_or_made_up_pickle_does_more_than_be_refused(count):
    done = subprocess.run([sys.executable, str(FUZZER), "7", str(count)], capture_output=True, text=True)
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
    assert f"{count} read" in done.stdout
