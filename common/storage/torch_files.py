"""Write and read torch's files: with a checksum when written; only whole, plain and safe when read."""

from __future__ import annotations

import codecs
import hashlib
import re
import shutil
import zipfile
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from common.storage import pickles
from common.storage.files import PatientFile, complete_file

SEAL = b"sha256:"  # then 64 digits: the zip file's comment, at its end, a checksum of all bytes before it
SEALED = re.compile(rb"sha256:[0-9a-f]{64}")
SEAL_LENGTH = len(SEAL) + 64
END_LENGTH = 22  # bytes of the record that ends a zip file without a comment
FOLDER = 0x10  # attribute of a part that is a folder
AGAIN = "copy or download it again, or take another checkpoint of the run"

# First bytes of files that are not torch's, and what to say about them.
FOREIGN = {
    b"version https://git-lfs": "is a pointer of git-lfs, not the file itself: run 'git lfs pull' there",
    b"\x89HDF\r\n": "is an HDF5 file, e.g. an episode, not a checkpoint",
    b"\x93NUMPY": "is a numpy array, not a checkpoint",
    b"\x1f\x8b": "is packed with gzip; unpack it first",
    b"BZh": "is packed with bzip2; unpack it first",
    b"\xfd7zXZ": "is packed with xz; unpack it first",
    b"(\xb5/\xfd": "is packed with zstd; unpack it first",
    b"7z\xbc\xaf": "is a 7z archive; unpack it first",
    b"Rar!": "is a rar archive; unpack it first",
    b"\x89PNG": "is a picture, not a checkpoint",
    b"\xff\xd8\xff": "is a picture, not a checkpoint",
}


def write_torch(path: str | Path, content: Any) -> None:
    """Write plain values and tensors, with a checksum, completely or not at all."""
    with complete_file(path) as part:
        with PatientFile(part) as file:
            torch.save(content, file)
        with open(part, "rb+") as file:
            file.seek(-2, 2)  # where the length of the comment stands
            file.write(SEAL_LENGTH.to_bytes(2, "little"))
            file.seek(0)
            seal = SEAL + hashlib.file_digest(file, "sha256").hexdigest().encode()
            file.write(seal)


def check_room(path: Path, content: Any) -> None:
    """OSError unless the disk has room for the tensors in `content`."""
    needed, free = _tensor_bytes(content), shutil.disk_usage(path.parent).free
    if needed > free:
        advice = "make room, then give the same command again"
        if path.exists():
            advice = "the previous checkpoint is unharmed: make room, then go on with --resume"
        raise OSError(
            f"{path} needs {needed / 1e6:.0f} MB, but the disk has {free / 1e6:.0f} MB left; {advice}"
        )


def copied(content: Any) -> Any:
    """`content` as it is now, its tensors on the CPU: what may change while a copy is written."""
    if isinstance(content, Tensor):
        return content.detach().to("cpu", copy=True)
    if isinstance(content, dict):
        return {key: copied(value) for key, value in content.items()}
    return type(content)(map(copied, content)) if isinstance(content, list | tuple) else content


def _tensor_bytes(content: Any) -> int:
    if isinstance(content, Tensor):
        return content.nbytes
    if isinstance(content, dict):
        return sum(map(_tensor_bytes, content.values()))
    return sum(map(_tensor_bytes, content)) if isinstance(content, list | tuple) else 0


def read_torch(path: str | Path, mmap: bool = False) -> Any:
    """Plain values and tensors (on the CPU) that `write_torch` or `torch.save` wrote.

    With `mmap`, a tensor is read when it is used, and takes no memory before; keep none of them for long.

    A file is compared with its checksum or, if it has none, with the zip checksums of its parts. ValueError,
    in one line that begins with the file, if it is damaged, of another kind, or would run code; OSError if it
    cannot be read.
    """
    path = Path(path)
    with open(path, "rb") as file:
        _refuse_foreign(path, file)
        is_zip = _begins(file, 4) == b"PK\x03\x04"
        if is_zip:
            _check_parts(path, file, _check_seal(path, file))
        _check_depth(path, None if is_zip else file)
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap and is_zip)
    except OSError:
        raise
    except Exception as error:  # a damaged file can lead to any of them
        raise ValueError(f"{path} {_reason(error)}") from error


def _begins(file: IO[bytes], count: int) -> bytes:
    file.seek(0)
    return file.read(count)


def _refuse_foreign(path: Path, file: IO[bytes]) -> None:
    """ValueError if the first bytes show that the file is not torch's."""
    head = _begins(file, 512)
    if not head:
        raise ValueError(f"{path} is empty (0 bytes), as a full disk or a copy cut off leaves it; {AGAIN}")
    for first, problem in FOREIGN.items():
        if head.startswith(first):
            raise ValueError(f"{path} {problem}")
    if b'{"' in head[8:12] and int.from_bytes(head[:8], "little") < 2**32:
        raise ValueError(f"{path} is a safetensors file; only what torch.save wrote is read")
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text[:1] == b"<":
        raise ValueError(
            f"{path} is a web page, not a checkpoint: the download wanted a login or a confirmation; {AGAIN}"
        )
    if _is_text(head):
        begin = ascii(text[:40].decode("utf-8", "replace"))
        raise ValueError(f"{path} is a text file, not a checkpoint; it begins with {begin}")
    if not any(head):
        raise ValueError(f"{path} begins with zeros alone, as a copy that broke off leaves it; {AGAIN}")


def _is_text(head: bytes) -> bool:
    """Whether the first bytes of a file are UTF-8 text."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)  # accepts a letter cut off at the end
    except UnicodeDecodeError:
        return False
    return all(letter.isprintable() or letter in "\t\r\n\ufeff" for letter in text)


def _check_seal(path: Path, file: IO[bytes]) -> bool:
    """Whether the file has a checksum; ValueError if it does not match."""
    size = file.seek(0, 2)
    file.seek(max(0, size - SEAL_LENGTH))
    seal = file.read()
    if SEALED.fullmatch(seal):
        if _digest(file, size - SEAL_LENGTH) != seal.removeprefix(SEAL).decode():
            raise ValueError(f"{path} is damaged: its content does not fit its checksum; {AGAIN}")
        return True
    if not seal[-END_LENGTH:].startswith(b"PK\x05\x06") or seal[-2:] != b"\0\0":
        raise ValueError(f"{path} is not a whole checkpoint: its end is missing or damaged; {AGAIN}")
    return False


def _digest(file: IO[bytes], length: int) -> str:
    digest, block = hashlib.sha256(), bytearray(2**20)
    file.seek(0)
    while length:
        count = file.readinto(memoryview(block)[: min(length, len(block))])
        digest.update(memoryview(block)[:count])
        length -= count
    return digest.hexdigest()


def _check_parts(path: Path, file: IO[bytes], is_sealed: bool) -> None:
    """ValueError unless the zip file is torch's and, if not `is_sealed`, its parts match their checksums."""
    try:
        archive = zipfile.ZipFile(file)
        parts = archive.infolist()
        is_plain = all(part.compress_type == zipfile.ZIP_STORED for part in parts)
        is_folder = any(part.external_attr & FOLDER for part in parts)
        # torch can be told to write no checksums (set_crc32_options); then all are 0
        has_checksums = any(part.CRC for part in parts)
        damaged = archive.testzip() if is_plain and has_checksums and not is_sealed else None
    except Exception as error:  # a damaged file can lead to any of them
        raise ValueError(f"{path} is not a whole checkpoint: damaged or cut off; {AGAIN}") from error
    if damaged is not None or is_folder:  # torch reads nothing of a folder, and takes whatever is in memory
        raise ValueError(f"{path} is damaged in its part {ascii(damaged or 'list')[1:-1]}; {AGAIN}")
    if not any(part.filename.endswith("/data.pkl") for part in parts):
        listed = ", ".join(ascii(part.filename)[1:-1] for part in parts[:3]) or "nothing"
        raise ValueError(f"{path} is a zip file, but none of torch's; it holds {listed}; unpack it first")
    if not is_plain:
        raise ValueError(f"{path} was repacked by another program; only what torch.save wrote is read")


def _check_depth(path: Path, old: IO[bytes] | None) -> None:
    """ValueError for a pickle that would end the process (`pickles.check_depth`).

    `old` is a file from before torch 1.6: number, version, system, content and keys, each a pickle.
    """
    try:
        if old is None:
            pickles.check_depth(torch._C.PyTorchFileReader(str(path)).get_record("data.pkl"))
            return
        old.seek(0)
        for _ in range(5):
            pickles.check_depth(old)
    except pickles.PickleError as error:
        raise ValueError(f"{path} cannot be read safely: {error}") from error
    except Exception as error:  # a damaged file can lead to any of them
        raise ValueError(f"{path} is not a whole checkpoint: damaged or cut off; {AGAIN}") from error


def _reason(error: Exception) -> str:
    """Why torch could not read a file; never its advice to read the file unsafely."""
    if named := re.search(r"(?:GLOBAL|class) ([\w.]+)", str(error)):
        return (
            f"asks for {named[1]}, which could run any code; only tensors and plain values are read. Where "
            "it was made, save the weights alone: torch.save(model.state_dict(), FILE)"
        )
    if isinstance(error, MemoryError) or "allocate" in str(error):
        return "takes more memory than there is"
    return f"is not a whole checkpoint: damaged or cut off; {AGAIN}"
