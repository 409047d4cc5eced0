"""LeRobot sets of somebody else's: paths, names and rates are read with care; no other file is read."""

import json
import os
import shutil
from pathlib import Path

import pytest
from foreign import T, motion, pictures
from test_lerobot_format import make_dataset, published

from dataset_tools.lerobot.export import ExportFlags, export_lerobot
from dataset_tools.lerobot.importing import ImportLeRobotFlags, import_lerobot
from episodes.episode import Episode
from episodes.folders import list_episodes
from readers.conversion import writing as module
from readers.lerobot.columns import cameras_of
from readers.lerobot.paths import place_in

VERSIONS = ("v2.1", "v3.0")


def bring(root: Path, target: Path, **flags) -> list[Episode]:
    import_lerobot(ImportLeRobotFlags(dataset_dir=str(root), output_dir=str(target), num_workers=1, **flags))
    return [Episode.load(path) for path in list_episodes(target)]


def change_info(root: Path, **values) -> Path:
    path = root / "meta/info.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    return root


@pytest.mark.parametrize(
    "template",
    [
        "{video_key.__class__.__mro__}",
        "{video_key!r}",
        "{chunk_index:1000000000d}",
        "{chunk_index:>1000000000}",
        "{chunk_index:{chunk_index}d}",
        "{video_key:1000000000}",
        "{chunk_index.real}",
        "{chunk_index[0]}",
        "{secret}",
        "{}",
        "{0}",
        "{chunk_index",
        "data/}",
        "../private",
        "data/../../private",
        "/etc/passwd",
        "a\0b",
        7,
        None,
        ["data"],
    ],
)
def test_a_template_is_filled_with_what_it_may_have_and_stays_inside(tmp_path, template):
    with pytest.raises(ValueError, match="has the path|which is not in it|null"):
        place_in(tmp_path, template, {"chunk_index": 1, "video_key": "top"})


def test_templates_of_lerobot_are_filled(tmp_path):
    filled = place_in(
        tmp_path,
        "v/{video_key}/{chunk_index:03d}/f-{file_index:d}{{}}.mp4",
        {"chunk_index": 1, "file_index": 20, "video_key": "a"},
    )
    assert filled == tmp_path / "v/a/001/f-20{}.mp4"
    with pytest.raises(ValueError, match="which is not in it"):
        place_in(tmp_path, "v/{video_key}.mp4", {"video_key": "../../x"})


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("what", ["data_path", "video_path"])
def test_nothing_outside_of_the_set_is_read(tmp_path, version, what):
    other = published(tmp_path / "private", version)
    files = [
        path
        for path in other.rglob("*")
        if path.suffix == {"data_path": ".parquet", "video_path": ".mp4"}[what]
    ]
    place = next(path for path in files if "meta" not in str(path))
    for path in (f"../private/{place.relative_to(other)}", str(place)):
        root = change_info(published(tmp_path / f"set{len(path)}", version), **{what: path})
        with pytest.raises(
            ValueError, match="private.*, which is not in it; only files of the dataset itself"
        ):
            bring(root, tmp_path / "out")
    root = published(tmp_path / "linked", version)
    mine = root / place.relative_to(other)
    mine.unlink()
    mine.symlink_to(place)
    with pytest.raises(ValueError, match="which is not in it"):
        bring(root, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_set_in_the_cache_of_the_hub_is_read(tmp_path):
    """There, files are links to the blobs of the same set."""
    root = published(tmp_path / "datasets--a--b/snapshots/1234", "v3.0")
    blobs = tmp_path / "datasets--a--b/blobs"
    blobs.mkdir()
    for i, path in enumerate(path for path in root.rglob("*") if path.is_file()):
        shutil.move(path, blobs / str(i))
        path.symlink_to(os.path.relpath(blobs / str(i), path.parent))
    assert [len(episode) for episode in bring(root, tmp_path / "out")] == [7, 5]


@pytest.mark.parametrize(
    "name",
    [
        "..",
        ".",
        "import.json",
        "a/b.hdf5",
        "../x.hdf5",
        ".hidden.hdf5",
        "a_features.hdf5",
        "a\n.hdf5",
        "",
        5,
        None,
    ],
)
def test_a_file_gets_a_plain_name_or_none_is_written(tmp_path, name):
    make_dataset(tmp_path / "data")
    export_lerobot(
        ExportFlags(dataset_dir=str(tmp_path / "data"), output_dir=str(tmp_path / "set"), num_workers=1)
    )
    path = tmp_path / "set/meta/act_episodes.json"
    kept = json.loads(path.read_text())
    for wrong in (
        [{**kept[0], "file": name}, *kept[1:]],
        [{**one, "file": "same.hdf5"} for one in kept],
        {"file": "x"},
        ["x"],
    ):
        path.write_text(json.dumps(wrong))
        with pytest.raises(ValueError, match=r"must be a plain name|called same\.hdf5|must hold a list"):
            bring(tmp_path / "set", tmp_path / "out")
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("dtype", ["video", "image"])
def test_names_of_cameras_can_be_read_again(tmp_path, version, dtype):
    """A feature may be called anything; "/" in a camera's name would be a group in the file."""
    root = published(tmp_path / "set", version, dtype=dtype)
    old, new = "observation.images.top", "observation.images.wrist/left"
    info = json.loads((root / "meta/info.json").read_text())
    info["features"][new] = info["features"].pop(old)
    change_info(root, features=info["features"])
    if dtype == "video":
        for folder in [path for path in root.rglob(old) if path.is_dir()]:
            (folder.parent / new).parent.mkdir(parents=True, exist_ok=True)
            folder.rename(folder.parent / new)
    rename_columns(root, old, new)
    assert [list(episode.images) for episode in bring(root, tmp_path / "out")] == [["wrist_left"]] * 2


def rename_columns(root: Path, old: str, new: str) -> None:
    import pyarrow.parquet as parquet

    for path in root.rglob("*.parquet"):
        table = parquet.read_table(path)
        parquet.write_table(
            table.rename_columns([name.replace(old, new) for name in table.column_names]), path
        )


def test_cameras_that_would_have_one_name_are_refused():
    with pytest.raises(ValueError, match="two cameras of the dataset would have one name"):
        cameras_of(["observation.images.a/b", "observation.images.a_b"])


@pytest.mark.parametrize("version", VERSIONS)
def test_a_rate_of_video_is_the_nearest_whole_number(tmp_path, version, capsys):
    root = change_info(published(tmp_path / "set", version), fps=49.95)
    assert [episode.fps for episode in bring(root, tmp_path / "out")] == [50, 50]
    assert "50 (not 49.95) fps" in capsys.readouterr().out


@pytest.mark.parametrize("fps", [12.5, 0, -5, "50", None, 1e30])
def test_other_rates_are_refused_with_the_flag_that_sets_one(tmp_path, fps):
    root = change_info(published(tmp_path / "set", "v2.1"), fps=fps)
    with pytest.raises(ValueError, match="a whole number from 1 to .* is needed: --fps says which"):
        bring(root, tmp_path / "out")
    assert [episode.fps for episode in bring(root, tmp_path / "out", fps=50)] == [50, 50]


def test_an_import_that_fails_says_what_it_leaves(tmp_path, monkeypatch, capsys):
    root, real = published(tmp_path / "set", "v2.1"), module.convert
    monkeypatch.setattr(module, "convert", fail_from(0, real))
    with pytest.raises(OSError, match="no more"):
        bring(root, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["set"] and "stopped" not in capsys.readouterr().out
    monkeypatch.setattr(module, "convert", fail_from(1, real))
    with pytest.raises(OSError, match="no more"):
        bring(root, tmp_path / "out")
    assert ".out.unfinished" in capsys.readouterr().out and (tmp_path / ".out.unfinished").is_dir()
    monkeypatch.setattr(module, "convert", real)
    assert len(bring(root, tmp_path / "out")) == 2 and not (tmp_path / ".out.unfinished").exists()


def fail_from(index: int, real):
    def convert(job, *rest):
        if int(job.recording.name.rpartition("_")[2]) >= index:
            raise OSError("no more")
        return real(job, *rest)

    return convert


def test_an_episode_of_odd_values_is_not_saved(tmp_path):
    good = {"qpos": motion(), "action": motion(), "images": {"top": pictures()}}
    for name, value in {
        "seed": "x",
        "success": "yes",
        "task": 5,
        "noise": float("nan"),
        "hesitate": 1.5,
        "fps": 12.5,
        "sim": None,
    }.items():
        with pytest.raises(ValueError, match=f"{name} is {value!r}"):
            Episode(**good, **{name: value}).save(tmp_path / "e.hdf5")
    assert len(Episode(**good)) == T and not list(tmp_path.iterdir())
