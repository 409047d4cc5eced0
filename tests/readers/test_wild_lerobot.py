"""LeRobot sets as people have them: what is whole comes in, what is left out is named."""

import shutil

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="needs pip install pyarrow")
pytest.importorskip("av", reason="needs pip install av")

from synthetic import train_own
from wild_lerobot import (
    LENGTHS,
    WILD,
    assert_shows,
    bring,
    change_info,
    guided,
    ticks,
)

from readers.lerobot.paths import Places, camera_folders


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


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind, wild in WILD.items() if wild.cameras])
def test_two_hundred_steps(tmp_path, monkeypatch, kind):
    wild = WILD[kind]
    wild.make(tmp_path / "set")
    bring(tmp_path / "set", tmp_path / "out", **wild.flags)
    train_own(monkeypatch, tmp_path / "out", tmp_path / "run", 200)
    assert (tmp_path / "run/policy_last.ckpt").is_file()


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
