import io
import pickle
import random
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from repository import ROOT

from common.storage.torch_files import read_torch, write_torch

CONTENT = {
    "step": 3,
    "weights": {"a": torch.arange(6.0).view(2, 3), "b": torch.ones(4, dtype=torch.bfloat16)},
}


def assert_content(found):
    assert found["step"] == 3 and all(torch.equal(found["weights"][n], CONTENT["weights"][n]) for n in "ab")


def packed_anew(source: Path, target: Path, change=lambda name, data: data, **options) -> Path:
    """A zip file with the parts of another, each through `change`."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", **options) as new:
        for part in old.infolist():
            new.writestr(part.filename, change(part.filename, old.read(part)))
    return target


def test_what_was_written_is_read_here_and_by_torch(tmp_path):
    write_torch(tmp_path / "a.ckpt", CONTENT)
    assert_content(read_torch(tmp_path / "a.ckpt"))
    for options in ({}, {"mmap": True}):
        assert_content(torch.load(tmp_path / "a.ckpt", weights_only=True, **options))
    assert list(tmp_path.iterdir()) == [tmp_path / "a.ckpt"]


def test_files_of_others_have_no_checksum_and_are_read(tmp_path):
    torch.save(CONTENT, tmp_path / "today.ckpt")
    torch.save(CONTENT, tmp_path / "old.ckpt", _use_new_zipfile_serialization=False)
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    torch.save(CONTENT, tmp_path / "unchecked.ckpt")
    torch.serialization.set_crc32_options(before)
    for name in ("today", "old", "unchecked"):
        assert_content(read_torch(tmp_path / f"{name}.ckpt"))


def test_every_flipped_bit_is_noticed(tmp_path):
    write_torch(tmp_path / "a.ckpt", CONTENT)
    data = (tmp_path / "a.ckpt").read_bytes()
    rng, path = random.Random(0), tmp_path / "flipped.ckpt"
    places = rng.sample(range(8 * len(data)), 200)
    for place in [
        *places,
        *range(8 * len(data) - 8 * 93, 8 * len(data), 3),
    ]:  # the checksum and what is before
        flipped = bytearray(data)
        flipped[place // 8] ^= 1 << place % 8
        path.write_bytes(flipped)
        with pytest.raises(ValueError, match=r"flipped\.ckpt is .*copy or download it again") as caught:
            read_torch(path)
        assert "\n" not in str(caught.value)


def test_without_a_checksum_no_flipped_bit_changes_what_is_read(tmp_path):
    torch.save(CONTENT, tmp_path / "a.ckpt")
    data = (tmp_path / "a.ckpt").read_bytes()
    rng, path, read = random.Random(0), tmp_path / "flipped.ckpt", 0
    in_list = range(8 * data.index(b"PK\x01\x02"), 8 * len(data), 5)  # of the parts, where the attributes are
    for place in [*rng.sample(range(8 * len(data)), 200), *in_list]:
        flipped = bytearray(data)
        flipped[place // 8] ^= 1 << place % 8
        path.write_bytes(flipped)
        try:
            assert_content(read_torch(path))
            read += 1
        except ValueError as error:
            assert str(error).startswith(str(path)) and "\n" not in str(error)
    assert read > 20  # in the space between parts


@pytest.mark.parametrize("is_sealed", [True, False])
def test_a_file_that_was_cut_off_says_so(tmp_path, is_sealed):
    (write_torch if is_sealed else lambda path, content: torch.save(content, path))(tmp_path / "a", CONTENT)
    data = (tmp_path / "a").read_bytes()
    for length in (1, 3, 30, 90, len(data) // 2, len(data) - 72, len(data) - 1):
        (tmp_path / "cut.ckpt").write_bytes(data[:length])
        with pytest.raises(ValueError, match=r"cut\.ckpt (is|was) "):
            read_torch(tmp_path / "cut.ckpt")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", r"is empty \(0 bytes\)"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n", "git lfs pull"),
        (b"<!DOCTYPE html><html>quota exceeded</html>", "is a web page"),
        (b"\xef\xbb\xbf\r\n<html>", "is a web page"),
        (b'{"message": "not found"}', "is a text file, not a checkpoint; it begins with '{"),
        (b"[1, 2]", "is a text file"),
        (b"no weights at all", "'no weights at all'"),
        (b"\0" * 4096, "begins with zeros"),
        (b"\x89HDF\r\n\x1a\n" + b"\0" * 100, "is an HDF5 file"),
        (b"\x1f\x8b\x08\0\0\0", "unpack it first"),
        (b"\x93NUMPY\x01\0", "is a numpy array"),
        (b"\x40\0\0\0\0\0\0\0" + b'{"__metadata__":{}}' + b" " * 100, "is a safetensors file"),
        (bytes(range(128, 200)), "is not a whole checkpoint"),
    ],
)
def test_what_is_no_file_of_torch_is_named(tmp_path, data, told):
    (tmp_path / "policy_best.ckpt").write_bytes(data)
    with pytest.raises(ValueError, match=told) as caught:
        read_torch(tmp_path / "policy_best.ckpt")
    text = str(caught.value)
    assert text.startswith(str(tmp_path / "policy_best.ckpt")) and "\n" not in text and len(text) < 300
    assert "weights_only" not in text


def test_other_zip_files_are_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("run/policy_best.ckpt", b"x")
    with pytest.raises(ValueError, match="none of torch's; it holds run/policy_best.ckpt; unpack it first"):
        read_torch(tmp_path / "a.zip")
    torch.save(CONTENT, tmp_path / "a.ckpt")
    packed_anew(tmp_path / "a.ckpt", tmp_path / "b.ckpt", compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match="repacked by another program"):
        read_torch(tmp_path / "b.ckpt")


class Evil:
    def __reduce__(self):
        return print, ("code ran",)


def test_what_would_run_code_is_refused_and_never_recommended(tmp_path, capsys):
    path = tmp_path / "policy_best.ckpt"
    for save in (
        lambda: torch.save({"a": Evil()}, path),
        lambda: torch.save({"a": torch.nn.Linear(2, 2)}, path),
        lambda: torch.save({"a": Evil()}, path, _use_new_zipfile_serialization=False),
        lambda: write_torch(path, {"a": Evil()}),
        lambda: path.write_bytes(pickle.dumps(Evil())),
    ):
        save()
        with pytest.raises(ValueError) as caught:
            read_torch(path)
        text = str(caught.value)
        assert text.startswith(str(path)) and "\n" not in text
        assert "weights_only" not in text and "safe_globals" not in text
    assert not capsys.readouterr().out
    torch.save({"a": torch.nn.Linear(2, 2)}, path)
    with pytest.raises(ValueError, match=r"asks for torch\.nn\.modules\.linear\.Linear.*state_dict\(\)"):
        read_torch(path)


@pytest.mark.parametrize("is_old", [False, True])
def test_a_pickle_that_would_end_the_process_is_refused(tmp_path, is_old):
    """A key of tuples in tuples, whose hash takes more stack than there is."""
    deep = b"\x80\x02}" + b")" + b"\x85" * 1_000_000 + b"K\x01s."
    path = tmp_path / "deep.ckpt"
    if is_old:
        old = io.BytesIO()
        torch.save({}, old, _use_new_zipfile_serialization=False)
        begin = old.getvalue().index(pickle.dumps({}, 2))
        path.write_bytes(old.getvalue()[:begin] + deep + pickle.dumps([], 2))
    else:
        torch.save(CONTENT, tmp_path / "a.ckpt")
        packed_anew(tmp_path / "a.ckpt", path, lambda name, data: deep if "data.pkl" in name else data)
    code = (
        "from common.storage.torch_files import read_torch\n"
        f"try: read_torch({str(path)!r})\nexcept ValueError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "more than 100 deep" in done.stdout, (done.returncode, done.stderr)
