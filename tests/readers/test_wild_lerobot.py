"""LeRobot sets as people have them: what is whole comes in, what is left out is named."""

import json
import shutil

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="needs pip install pyarrow")
pytest.importorskip("av", reason="needs pip install av")

from recordings import motion, picture
from wild_lerobot import (
    LENGTHS,
    WILD,
    assert_shows,
    bring,
    change_info,
    change_tables,
    guided,
    humanoid,
    recorded,
    ticks,
    write_lines,
    write_rows,
    write_table,
)

from episodes.errors import EpisodeError
from readers.lerobot_paths import Places, camera_folders


@pytest.mark.parametrize("kind", WILD)
def test_what_is_whole_comes_in_and_the_rest_is_named(tmp_path, capsys, kind):
    wild = WILD[kind]
    wild.make(tmp_path / "set")
    if wild.refused:
        with pytest.raises((ValueError, OSError), match=wild.refused):
            bring(tmp_path / "set", tmp_path / "out")
        assert [path.name for path in tmp_path.iterdir()] == ["set"]
        capsys.readouterr()
    made = bring(tmp_path / "set", tmp_path / "out", **wild.flags)
    printed = capsys.readouterr().out
    assert [text for text in wild.said if text not in printed] == []
    assert tuple(len(one) for one in made) == wild.lengths
    assert all(tuple(one.images) == wild.cameras for one in made)
    if wild.cameras:
        for t in range(len(made[-1])):
            assert_shows(made[-1].images[wild.cameras[-1]][t], t, LENGTHS.index(len(made[-1])))


def test_ticks_become_radians_and_no_joint_is_taken_for_a_gripper(tmp_path):
    guided(tmp_path / "set")
    made = bring(tmp_path / "set", tmp_path / "out", joint_unit="ticks:4096")
    for i, one in enumerate(made):
        np.testing.assert_allclose(one.qpos, ticks(i, len(one)) * 2 * np.pi / 4096, rtol=1e-6)
        np.testing.assert_array_equal(one.action[:-1], one.qpos[1:])


# --- where files are


def renamed(root, change) -> None:
    for path in [path for path in root.rglob("*") if path.is_file() and "meta" not in path.parts]:
        new = root / change(path.relative_to(root).as_posix())
        new.parent.mkdir(parents=True, exist_ok=True)
        path.rename(new)


@pytest.mark.parametrize(
    ("data", "video"),
    [
        ("data/chunk-{chunk:03d}/episode_{episode:06d}.parquet", None),
        ("data/chunk-000/episode_{file_index:06}.parquet", "videos/chunk-{chunk_id:03d}/{camera}/{x}.mp4"),
        ("{nothing}", "{0}"),
        (7, ["a"]),
        ("elsewhere/{episode_index}.parquet", "{camera_key}/{episode_index}.mp4"),
    ],
)
def test_templates_of_any_name_or_of_no_use(tmp_path, capsys, data, video):
    guided(tmp_path / "set")
    change_info(tmp_path / "set", data_path=data, video_path=video)
    assert [len(one) for one in bring(tmp_path / "set", tmp_path / "out")] == list(LENGTHS)


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file.replace("videos/", "video/").replace("data/", "tables/"),
        lambda file: file.replace("chunk-000/", "").replace("episode_00000", "ep "),
        lambda file: file.replace("/episode_00000", "_run").replace("observation.images.", ""),
        lambda file: file.replace("episode_", ""),
        lambda file: file.replace("/observation.images.", "/").replace("/episode_000", "-"),
    ],
)
def test_files_are_found_by_their_names(tmp_path, capsys, change):
    guided(tmp_path / "set")
    renamed(tmp_path / "set", change)
    made = bring(tmp_path / "set", tmp_path / "out")
    printed = capsys.readouterr().out
    assert [len(one) for one in made] == list(LENGTHS) and "are found by their names (" in printed
    assert_shows(made[2].images["cam1"][5], 5, 2)
    np.testing.assert_array_equal(made[1].qpos, ticks(1, 7))


def test_of_two_files_that_could_be_it_none_is_taken(tmp_path, capsys):
    guided(tmp_path / "set")
    shutil.copytree(tmp_path / "set/videos/chunk-000", tmp_path / "set/videos/old")
    change_info(tmp_path / "set", video_path="nowhere/{video_key}/{episode_index}.mp4")
    (tmp_path / "set/videos/chunk-000").rename(tmp_path / "set/videos/new")
    with pytest.raises(ValueError, match=r"nowhere/.*0\.mp4 is missing"):
        bring(tmp_path / "set", tmp_path / "out")
    bring(tmp_path / "set", tmp_path / "out", no_images=True)
    assert "2 files could be it: videos/new/" in capsys.readouterr().out


def test_a_video_of_all_episodes_is_not_taken_for_one_of_each(tmp_path):
    guided(tmp_path / "set")
    change_info(tmp_path / "set", video_path="videos/chunk-000/observation.images.cam0/episode_000000.mp4")
    with pytest.raises(ValueError, match="is of several episodes; nothing says where 0 begins in it"):
        bring(tmp_path / "set", tmp_path / "out")
    assert len(bring(tmp_path / "set", tmp_path / "out", no_images=True)) == 3


def test_files_that_are_found_do_not_lead_out_of_the_set(tmp_path):
    guided(tmp_path / "set")
    guided(tmp_path / "private")
    renamed(tmp_path / "set", lambda file: file.replace("videos/", "video/"))
    video = next((tmp_path / "set/video").rglob("*1.mp4"))
    video.unlink()
    video.symlink_to(next((tmp_path / "private").rglob("*1.mp4")))
    with pytest.raises(ValueError, match="which is not in it"):
        bring(tmp_path / "set", tmp_path / "out")


def test_the_longest_name_of_a_camera_counts(tmp_path):
    for name in ("cam_0/1.mp4", "cam_0_right/1.mp4", "cam_0_right/2.mp4", "chunk-001/left/episode_1.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    cameras = ["observation.images.cam_0", "observation.images.cam_0_right", "left", "absent"]
    places = Places(tmp_path, cameras)
    found = [places.place(None, camera, {"episode": 1}, "x", True)[0] for camera in cameras]
    assert [path.relative_to(tmp_path).as_posix() for path in found] == [
        "cam_0/1.mp4",
        "cam_0_right/1.mp4",
        "chunk-001/left/episode_1.mp4",
        "x",
    ]
    assert camera_folders(tmp_path) == ["cam_0", "cam_0_right", "left"]


# --- what tables and meta hold


INDEX = ("frame_index", "episode_index", "index", "timestamp", "task_index")


@pytest.mark.parametrize("make", [humanoid, recorded])
@pytest.mark.parametrize("gone", [*((name,) for name in INDEX[:4]), INDEX, INDEX[1:2]])
def test_columns_that_number_rows_may_be_missing(tmp_path, make, gone):
    make(tmp_path / "set")

    def change(columns):
        for name in gone:
            columns.pop(name, None)

    change_tables(tmp_path / "set", change)
    made = bring(tmp_path / "set", tmp_path / "out", no_images=True)
    assert [len(one) for one in made] == list(LENGTHS)
    scale, width = (180, 6) if make is recorded else (1, 26)
    for i, one in enumerate(made):
        np.testing.assert_allclose(one.qpos[:, :5], scale * motion(len(one), width, i)[:, :5], rtol=1e-5)


def test_a_column_that_numbers_episodes_wrongly(tmp_path, capsys):
    humanoid(tmp_path / "set")
    change_tables(tmp_path / "set", lambda c: c.update(episode_index=[0] * len(c["index"])))
    made = bring(tmp_path / "set", tmp_path / "out", no_images=True)
    assert [len(one) for one in made] == list(LENGTHS)
    assert "episode_index does not have the number in the file's name" in capsys.readouterr().out


def test_nested_lists_and_scalars_in_lists(tmp_path):
    humanoid(tmp_path / "set")

    def change(columns):
        columns["observation.state"] = [[row[:13], row[13:]] for row in columns["observation.state"]]
        columns |= {name: [[value] for value in columns[name]] for name in INDEX}

    change_tables(tmp_path / "set", change)
    made = bring(tmp_path / "set", tmp_path / "out", skip_damaged=True)
    np.testing.assert_allclose(made[1].qpos, motion(7, 26, 1), rtol=1e-6)


@pytest.mark.parametrize("form", ["png", "bytes", "file", "hwc", "chw"])
def test_pictures_in_the_tables(tmp_path, form):
    import cv2

    humanoid(tmp_path / "set")
    features = json.loads((tmp_path / "set/meta/info.json").read_text())["features"]
    dtype = {"dtype": "uint8" if form in ("hwc", "chw") else "image", "shape": [48, 64, 3]}
    change_info(tmp_path / "set", features={**features, "front": dtype})
    shutil.rmtree(tmp_path / "set/videos")

    def cell(i, t):
        rgb = picture(t, i)
        png = cv2.imencode(".png", rgb[..., ::-1])[1].tobytes()
        (tmp_path / f"set/{i}_{t}.png").write_bytes(png)
        return {
            "png": {"bytes": png, "path": None},
            "bytes": png,
            "file": {"bytes": None, "path": f"{i}_{t}.png"},
            "hwc": rgb.tolist(),
            "chw": rgb.transpose(2, 0, 1).tolist(),
        }[form]

    def change(columns):
        i, steps = columns["episode_index"][0], len(columns["index"])
        columns["front"] = [cell(i, t) for t in range(steps)]

    change_tables(tmp_path / "set", change)
    made = bring(tmp_path / "set", tmp_path / "out")
    assert all(tuple(one.images) == ("front",) for one in made)  # cam_high has no video
    assert_shows(made[1].images["front"][4], 4, 1)


def test_a_picture_outside_of_the_set_is_not_read(tmp_path):
    humanoid(tmp_path / "set")
    (tmp_path / "secret.png").write_bytes(b"x")
    row = {"bytes": None, "path": "../secret.png"}
    change_tables(tmp_path / "set", lambda c: c.update(front=[row] * len(c["index"])))
    shutil.rmtree(tmp_path / "set/videos")
    with pytest.raises(EpisodeError, match="which is not in it"):
        bring(tmp_path / "set", tmp_path / "out")


def test_the_width_in_the_table_counts(tmp_path, capsys):
    humanoid(tmp_path / "set")
    features = json.loads((tmp_path / "set/meta/info.json").read_text())["features"]
    change_info(tmp_path / "set", features={**features, "action": {"dtype": "float32", "shape": [3]}})
    bring(tmp_path / "set", tmp_path / "out", no_images=True)
    assert "action has 26 entries; meta/info.json says 3" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", r"info\.json is empty; there are 3 tables, 2 videos, and in meta episodes\.jsonl, info\.json"),
        ("{}", r"info\.json is empty; .*--fps says which"),
        ("[]", "holds a list; it must hold an object"),
        ('{"fps": 20', r"is no JSON file .*with \{\} in it and --fps"),
        ('{"name": "x", "size": 3}', "is not of LeRobot: it has name, size, but neither"),
    ],
)
def test_an_info_that_says_nothing(tmp_path, text, match):
    humanoid(tmp_path / "set")
    (tmp_path / "set/meta/info.json").write_text(text)
    with pytest.raises(ValueError, match=match):
        bring(tmp_path / "set", tmp_path / "out")
    if text in ("", "{}"):
        made = bring(tmp_path / "set", tmp_path / "out", fps=20, skip_damaged=True)
        assert [len(one) for one in made] == [9, 7] and list(made[0].images) == ["cam_high"]


@pytest.mark.parametrize(
    ("version", "tables", "said"),
    [
        (None, "v2", "says no codebase_version, but there is meta/episodes.jsonl: read as v2.1"),
        ("v3.0", "v2", "says v3.0, but there is meta/episodes.jsonl: read as v2.1"),
        ("2.1", "v2", ""),
        ("v2.1", "both", "says v2.1, which is read; meta/episodes/*.parquet of another format is not"),
        ("v2.1", "none", "there is no table of episodes (3 tables, 2 videos"),
    ],
)
def test_versions_that_are_missing_or_mixed(tmp_path, capsys, version, tables, said):
    humanoid(tmp_path / "set")
    change_info(tmp_path / "set", codebase_version=version)
    if tables == "both":
        write_rows(tmp_path / "set", ["observation.images.cam_high"], True, LENGTHS, 20)
    if tables == "none":
        (tmp_path / "set/meta/episodes.jsonl").unlink()
    made = bring(tmp_path / "set", tmp_path / "out", skip_damaged=True)
    assert [len(one) for one in made] == [9, 7] and said in capsys.readouterr().out


def test_a_version_that_nothing_decides(tmp_path):
    humanoid(tmp_path / "set")
    change_info(tmp_path / "set", codebase_version=None)
    write_rows(tmp_path / "set", ["observation.images.cam_high"], True, LENGTHS, 20)
    with pytest.raises(ValueError, match="does not say which counts; write"):
        bring(tmp_path / "set", tmp_path / "out")


def test_lines_of_the_table_of_episodes_that_are_damaged(tmp_path):
    humanoid(tmp_path / "set")
    path = tmp_path / "set/meta/episodes.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], lines[1], lines[2][:20], '{"episode_index": -1}']))
    with pytest.raises(EpisodeError, match="2 of 4 .*line 3 of meta/episodes.jsonl has no episode_index"):
        bring(tmp_path / "set", tmp_path / "out")
    assert len(bring(tmp_path / "set", tmp_path / "out", skip_damaged=True)) == 2


def test_a_camera_without_any_video_is_left_out(tmp_path, capsys):
    guided(tmp_path / "set")
    shutil.rmtree(tmp_path / "set/videos/chunk-000/observation.images.cam0")
    made = bring(tmp_path / "set", tmp_path / "out")
    assert list(made[0].images) == ["cam1"]
    assert "left out: the camera cam0, none of whose videos is there" in capsys.readouterr().out


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:f2d2\nsize 1890\n"


@pytest.mark.parametrize("what", ["*.mp4", "*2.parquet", "info.json", "episodes.jsonl"])
def test_pointers_of_git_lfs_are_called_so(tmp_path, what):
    guided(tmp_path / "set")
    for path in (tmp_path / "set").rglob(what):
        path.write_text(POINTER)
    with pytest.raises(
        (ValueError, OSError), match="only a pointer of Git LFS, not the file: `git lfs pull`"
    ):
        bring(tmp_path / "set", tmp_path / "out")
    if what == "*2.parquet":
        assert len(bring(tmp_path / "set", tmp_path / "out", skip_damaged=True)) == 2


def test_a_table_of_episodes_beside_the_chunks_with_a_column_twice(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    recorded(tmp_path / "set")
    path = tmp_path / "set/meta/episodes/chunk-000/file-000.parquet"
    table = pq.read_table(path)
    twice = pa.Table.from_arrays([*table.columns, table["length"]], [*table.column_names, "length"])
    pq.write_table(twice, path.parent.parent / "episodes.parquet")
    path.unlink()
    assert len(bring(tmp_path / "set", tmp_path / "out", no_images=True)) == 3


def test_depth_is_left_out(tmp_path, capsys):
    guided(tmp_path / "set")
    info = json.loads((tmp_path / "set/meta/info.json").read_text())
    info["features"]["observation.images.cam0"]["info"] = {"video.is_depth_map": True}
    change_info(tmp_path / "set", features=info["features"])
    assert list(bring(tmp_path / "set", tmp_path / "out")[0].images) == ["cam1"]
    assert "cam0: taken for depth" in capsys.readouterr().out


def test_gaps_in_the_numbers_of_frames_are_told(tmp_path, capsys):
    humanoid(tmp_path / "set")
    change_tables(tmp_path / "set", lambda c: c.update(frame_index=[2 * t for t in c["frame_index"]][::-1]))
    made = bring(tmp_path / "set", tmp_path / "out", no_images=True)
    np.testing.assert_allclose(made[0].qpos, motion(9, 26, 0)[::-1], rtol=1e-6)
    assert "frame_index has gaps or says a number twice" in capsys.readouterr().out


def test_without_lengths_the_files_count(tmp_path):
    humanoid(tmp_path / "set")
    write_lines(tmp_path / "set", (9, 7, 5))
    with pytest.raises(EpisodeError, match=r"000002\.parquet has 8 steps of episode 2; it must have 5"):
        bring(tmp_path / "set", tmp_path / "out", no_images=True)
    (tmp_path / "set/meta/episodes.jsonl").write_text('{"episode_index": 2}\n')
    assert [len(one) for one in bring(tmp_path / "set", tmp_path / "out", no_images=True)] == [8]
    write_table(tmp_path / "set/data/chunk-000/episode_000002.parquet", {"action": np.zeros((0, 2))})
    with pytest.raises(ValueError, match="has no state|of episode 2"):
        bring(tmp_path / "set", tmp_path / "new", no_images=True)
