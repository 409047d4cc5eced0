"""What tables and meta data of LeRobot sets hold where they are mended, mixed or incomplete."""

import json
import shutil

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="needs pip install pyarrow")
pytest.importorskip("av", reason="needs pip install av")

from recordings import motion, picture
from wild_lerobot import (
    LENGTHS,
    assert_shows,
    bring,
    change_info,
    change_tables,
    guided,
    humanoid,
    recorded,
    write_lines,
    write_rows,
    write_table,
)

from episodes.errors import EpisodeError

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
