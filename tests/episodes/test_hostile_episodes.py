"""Whatever an HDF5 file holds: an episode, or one line that says what is wrong; no other file is read, and no
more memory taken than the file is worth.
"""

import itertools
import subprocess
import sys
import tracemalloc

import h5py
import numpy as np
import pytest
from foreign import D, H, T, W, jpeg, motion, padded, picture, pictures, put, write
from repository import ROOT

import edit_episodes
from episodes.episode import Episode
from episodes.errors import EpisodeError
from episodes.hdf5.reading import unread_datasets, widths

TOP = "observations/images/top"
NAMES = (
    "observations/qpos",
    "action",
    "observations/qvel",
    "base_action",
    "reward",
    "time",
    "env_state",
    TOP,
)
ROOM = 300 << 20  # bytes that reading a file of a few kB may take at most


def claimed(name, shape, dtype="f4", **options):
    """A dataset that claims to be large, of which nothing is stored."""

    def change(root):
        if name in root:
            del root[name]
        root.create_dataset(name, shape, dtype, **options)

    return change


def linked(name, link):
    def change(root):
        if name in root:
            del root[name]
        root[name] = link

    return change


def grouped(name):
    def change(root):
        if name in root:
            del root[name]
        root[f"{name}/inner"] = np.zeros(3)

    return change


def bomb(root):
    """512 MB of zeros, as half a MB."""
    del root["action"]
    table = root.create_dataset(
        "action", (T, 1 << 25), "f4", chunks=(1, 1 << 25), compression="gzip", compression_opts=9
    )
    for t in range(3):
        table[t] = 0


def everything_but_numbers():
    types = [
        h5py.string_dtype(),
        h5py.ref_dtype,
        h5py.vlen_dtype(np.float32),
        "S7",
        "V5",
        complex,
        [("a", "f4"), ("b", "S2")],
    ]
    types += [
        h5py.enum_dtype({"A": 0, "B": 1}),
        np.dtype(("f4", (3,))),
        np.longdouble,
        np.float16,
        np.int8,
        np.uint64,
        bool,
    ]
    return types


def mutations():
    """Name and change of many files."""
    values = [
        np.float32(1),
        h5py.Empty("f"),
        "text",
        np.zeros(0),
        np.zeros((0, D)),
        np.zeros((T, D, 2)),
        np.zeros((D, T)),
    ]
    values += [
        np.full((T, D), np.nan),
        np.full((T, D), 1e300),
        np.zeros((T, 1)),
        np.zeros((T, 0)),
        np.zeros(T),
        None,
    ]
    values += [
        pictures(),
        pictures()[:3],
        padded([b"\xff\xd8\xff\xd9"] * T),
        padded([jpeg(0)[:300]] * T),
        np.zeros((T, 9), np.uint8),
    ]
    for name, (i, value) in itertools.product(NAMES, enumerate(values)):
        yield f"{name} value {i}", put(name, value)
    for name, (i, dtype) in itertools.product(NAMES, enumerate(everything_but_numbers())):
        for shape in ((T,), (T, D)):
            yield f"{name} type {i} {shape}", claimed(name, shape, dtype)
    for name in NAMES:
        yield f"{name} group", grouped(name)
        yield f"{name} type", linked(name, np.dtype("f4"))
        for link in (
            h5py.SoftLink("/none"),
            h5py.SoftLink(f"/{name}"),
            h5py.SoftLink("/"),
            h5py.ExternalLink("x.hdf5", "/x"),
        ):
            yield f"{name} {link!r} {getattr(link, 'path', '')}", linked(name, link)
        for shape in (
            (10**9, D),
            (10**12,),
            (T, 10**10),
            (T, 2 * 10**5, 2 * 10**5, 3),
            (10**9, H, W, 3),
            (2**62, 4),
        ):
            for dtype in ("f4", "u1", "f8"):
                yield f"{name} {shape} {dtype}", claimed(name, shape, dtype, chunks=(1,) * len(shape))
    for name in ("observations", "observations/images"):
        yield f"{name} gone", put(name, None)
        yield f"{name} dataset", put(name, np.zeros(3))
    for i, value in enumerate(
        [
            np.inf,
            np.nan,
            -1,
            1e30,
            "30 Hz",
            b"\xff",
            "",
            np.zeros(3),
            np.zeros(0),
            h5py.Empty("f"),
            "x" * 9999,
            True,
            2j,
        ]
    ):
        for name in (
            "fps",
            "seed",
            "success",
            "sim",
            "task",
            "noise",
            "hesitate",
            "format_version",
            "render_quality",
            "recovers",
        ):
            yield (
                f"attribute {name} {i}",
                lambda root, name=name, value=value: root.attrs.__setitem__(name, value),
            )
    for camera in (b"\xff\xfe", b"a\nb", "x" * 900, "d\u00e9j\u00e0", ".hidden", " "):
        yield (
            f"camera {camera!r}",
            lambda root, camera=camera: root["observations/images"].copy("top", camera),
        )
    yield "bomb", bomb


MUTATIONS = dict(mutations())


def outcome(call) -> str:
    """What came of a call; anything but an episode or a clear refusal is raised."""
    try:
        call()
    except (EpisodeError, FileNotFoundError) as error:
        said = str(error)
        assert "\n" not in said and said.isprintable() and "episode_" in said, said
        return "refused"
    return "read"


@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.slow)])
def test_whatever_a_file_holds_it_is_read_or_refused_in_little_memory(tmp_path, step):
    path, wrong, outcomes = tmp_path / "episode_0.hdf5", [], set()
    for name, change in [*MUTATIONS.items()][::-step]:
        write(path, change, fps=30)
        tracemalloc.start()
        try:
            for cameras, in_memory in ((None, True), (None, False), ((), True), (("top",), True)):
                outcomes.add(outcome(lambda c=cameras, m=in_memory: Episode.load(path, c, in_memory=m)))
            outcomes.add(outcome(lambda: unread_datasets(path)))
            outcomes.add(outcome(lambda: widths(path)))
        except Exception as error:  # all of them are told at once
            wrong.append(f"{name}: {type(error).__name__}: {error}"[:200])
        if (peak := tracemalloc.get_traced_memory()[1]) > ROOM:
            wrong.append(f"{name}: {peak >> 20} MiB")
        tracemalloc.stop()
    assert wrong == []
    assert outcomes == {"read", "refused"} and len(MUTATIONS) > 500


def test_check_names_each_bad_file_and_goes_on(tmp_path):
    """All in one folder, in a process that may not take more memory than a small machine has."""
    good = [write(tmp_path / f"episode_{i}.hdf5", fps=30) for i in (0, 9999)]
    chosen = list(MUTATIONS.items())[::7]
    for i, (_, change) in enumerate(chosen):
        write(tmp_path / f"episode_{i + 1}.hdf5", change, fps=30)
    (tmp_path / "episode_700.hdf5").mkdir()
    (tmp_path / "episode_701.hdf5").symlink_to("gone")
    (tmp_path / "episode_702.hdf5").write_bytes(good[0].read_bytes()[:3000])
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))\n"
        "import edit_episodes; from common import cli; cli.run(edit_episodes.main)"
    )
    for command, status in (("check", 1), ("info", 0)):
        workers = ["--num_workers", "1"] if command == "check" else []
        done = subprocess.run(
            [sys.executable, "-c", code, command, "--dataset_dir", tmp_path, *workers],
            capture_output=True,
            text=True,
            cwd=ROOT,
        )
        assert done.returncode == status and "Traceback" not in done.stderr, done.stderr[-2000:]
        for i in (700, 701, 702):
            assert f"episode_{i}.hdf5" in done.stdout
    assert "episode_9999.hdf5" in done.stdout and len(done.stdout.splitlines()) > len(chosen)


@pytest.mark.slow
def test_no_flipped_byte_is_a_traceback(tmp_path):
    """Bytes of a file's own structure, each turned into another; in processes of their own, as HDF5 is C."""
    write(tmp_path / "whole.hdf5", lambda root: root.__delitem__(TOP), fps=30)
    code = (
        "import sys, numpy as np; from pathlib import Path; from episodes import Episode, EpisodeError\n"
        "whole, seed = Path(sys.argv[1]).read_bytes(), int(sys.argv[2])\n"
        "rng, path = np.random.default_rng(seed), Path(sys.argv[1]).with_name(f'episode_{seed}.hdf5')\n"
        "for _ in range(300):\n"
        "    data = bytearray(whole); data[rng.integers(len(data))] = rng.integers(256)\n"
        "    path.write_bytes(data)\n"
        "    try: Episode.load(path)\n"
        "    except EpisodeError: pass\n"
    )
    for seed in range(4):
        done = subprocess.run(
            [sys.executable, "-c", code, tmp_path / "whole.hdf5", str(seed)],
            capture_output=True,
            text=True,
            cwd=ROOT,
        )
        assert done.returncode == 0, done.stderr[-2000:]


# --- other files


@pytest.fixture
def secret(tmp_path):
    """A file of the user's, as bytes and as HDF5."""
    (tmp_path / "secret.txt").write_bytes(b"root:x:0:0:SECRET" * 10_000)
    with h5py.File(tmp_path / "secret.hdf5", "w") as root:
        root["numbers"], root["pictures"] = motion(), pictures()
    return tmp_path


def external_link(root):
    root[TOP] = h5py.ExternalLink("secret.hdf5", "/pictures")


def link_to_external_link(root):
    root["hidden"] = h5py.ExternalLink("secret.hdf5", "/")
    root[TOP] = h5py.SoftLink("/hidden/pictures")


def external_storage(root):
    root.create_dataset(TOP, (T, H, W, 3), "u1", external=[("secret.txt", 0, T * H * W * 3)])


def virtual(root):
    layout = h5py.VirtualLayout((T, H, W, 3), "u1")
    layout[:] = h5py.VirtualSource("secret.hdf5", "pictures", (T, H, W, 3))
    root.create_virtual_dataset(TOP, layout)


@pytest.mark.parametrize("trick", [external_link, link_to_external_link, external_storage, virtual])
def test_no_other_file_is_read(secret, trick, monkeypatch):
    monkeypatch.chdir(secret)

    def change(root):
        del root[TOP]
        trick(root)

    path = write(secret / "data" / "episode_0.hdf5", change)
    (secret / "data" / "secret.hdf5").write_bytes((secret / "secret.hdf5").read_bytes())
    for cameras, in_memory in ((None, True), (["top"], True), (["top"], False)):
        with pytest.raises(EpisodeError, match=r"episode_0\.hdf5: .*(another|other) files?"):
            Episode.load(path, cameras, in_memory)
    monkeypatch.setattr(
        sys, "argv", ["e", "relabel", "--dataset_dir", "data", "--output_dir", "out", "--success", "true"]
    )
    with pytest.raises(EpisodeError):
        edit_episodes.main()
    assert not list((secret / "out").glob("*.hdf5"))


@pytest.mark.parametrize("name", ["observations/qpos", "action", "observations/qvel", "reward"])
def test_no_array_of_another_file_is_read(secret, name):
    path = write(secret / "episode_0.hdf5", linked(name, h5py.ExternalLink("secret.hdf5", "/numbers")))
    with pytest.raises(EpisodeError, match=f"/{name} is a link to another file"):
        Episode.load(path)


def test_links_within_the_file_are_followed(tmp_path):
    def change(root):
        root.move("action", "data/commands")
        root["action"] = h5py.SoftLink("/data/commands")
        root.move(TOP, "data/pictures")
        root[TOP] = h5py.SoftLink("/data/./pictures")
        root["again"] = root["data/commands"]

    path = write(tmp_path / "episode_0.hdf5", change)
    episode = Episode.load(path)
    np.testing.assert_array_equal(episode.images["top"][5], picture(5))
    np.testing.assert_array_equal(episode.action, motion())
    assert unread_datasets(path) == []
