"""What readers make of what is odd: half a set, other names and units, other forms of pictures."""

import h5py
import numpy as np
import pytest
import recordings
from recordings import act_file, picture, pictures, truth
from test_lerobot_format import published

from episodes.episode import Episode
from episodes.errors import EpisodeError
from episodes.folders import list_episodes
from readers import ImportFlags, bring_in
from readers.conversion.units import conversion, radians_in
from readers.formats.text_logs import TextLogs
from readers.pictures import frames_of
from readers.registry import recognised


def bring(source, target, **flags) -> list[Episode]:
    bring_in(ImportFlags(source=str(source), output_dir=str(target), num_workers=1, **flags))
    return [Episode.load(path) for path in list_episodes(target)]


def names(folder) -> list[str]:
    return [path.name for path in list_episodes(folder)]


# --- damaged and different recordings


def test_damaged_recordings_are_named_and_skipped_on_request(tmp_path, capsys):
    for i in (0, 2, 5):
        act_file(tmp_path / f"set/episode_{i}.hdf5", truth(i, 6))
    broken = tmp_path / "set/episode_2.hdf5"
    broken.write_bytes(broken.read_bytes()[:3000])
    with pytest.raises(EpisodeError, match=r"1 of 3 recordings .*/episode_2\.hdf5: no complete HDF5 file .*"):
        bring(tmp_path / "set", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    assert len(bring(tmp_path / "set", tmp_path / "out", skip_damaged=True)) == 2
    assert names(tmp_path / "out") == ["episode_0.hdf5", "episode_5.hdf5"]
    assert "left out: 1 recordings" in capsys.readouterr().out
    assert "episode_2.hdf5" in (tmp_path / "out/import.json").read_text()


def test_what_is_found_to_be_damaged_only_as_it_is_read(tmp_path):
    for i in range(3):
        act_file(tmp_path / f"set/episode_{i}.hdf5", truth(i, 6))
    with h5py.File(tmp_path / "set/episode_1.hdf5", "r+") as root:
        root["observations/qpos"][3, 2] = np.nan
    with pytest.raises(EpisodeError, match="qpos is nan at step 3, entry 2; .*--skip_damaged brings in the"):
        bring(tmp_path / "set", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    bring(tmp_path / "set", tmp_path / "out", skip_damaged=True)
    assert names(tmp_path / "out") == ["episode_0.hdf5", "episode_2.hdf5"]


def test_a_recording_that_differs_from_most_is_left_out(tmp_path):
    for i, dim in enumerate((7, 14, 14)):
        act_file(tmp_path / f"set/episode_{i}.hdf5", truth(i, 6, dim))
    with pytest.raises(EpisodeError, match="episode_0.hdf5 has states of 7, .*; most have states of 14"):
        bring(tmp_path / "set", tmp_path / "out")
    bring(tmp_path / "set", tmp_path / "out", skip_damaged=True)
    assert names(tmp_path / "out") == ["episode_1.hdf5", "episode_2.hdf5"]


@pytest.mark.parametrize("version", ["v2.1"])
def test_a_lerobot_set_without_some_videos(tmp_path, version, capsys):
    root = published(tmp_path / "set", version)
    next(root.rglob("episode_000001.mp4")).unlink()
    with pytest.raises(EpisodeError, match=r"episode_000001\.mp4 is missing; .* brings in the other 1;"):
        bring(root, tmp_path / "out")
    assert [len(one) for one in bring(root, tmp_path / "out", skip_damaged=True)] == [7]
    alone = bring(root, tmp_path / "numbers", no_images=True)
    assert [len(one) for one in alone] == [7, 5] and not alone[0].images


def test_none_is_whole(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set/episode_0.hdf5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(ValueError, match=r"episode_0\.hdf5: no complete HDF5 file"):
        bring(tmp_path / "set", tmp_path / "out", skip_damaged=True)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_formats_that_lie_beside_each_other(tmp_path, capsys):
    act_file(tmp_path / "set/episode_0.hdf5", truth(0, 6))
    recordings.text_log(tmp_path / "set/log.txt")
    bring(tmp_path / "set", tmp_path / "out")
    assert "not read: recordings of other formats; --format log reads them" in capsys.readouterr().out
    assert len(bring(tmp_path / "set", tmp_path / "logs", format="log")) == 2
    assert "--format act reads them" in capsys.readouterr().out


def test_a_folder_of_something_else(tmp_path):
    (tmp_path / "a.docx").write_text("x")
    with pytest.raises(ValueError, match=r"of no format that is read \(lerobot, .*; it holds a\.docx"):
        recognised(tmp_path)
    with pytest.raises(FileNotFoundError, match="is not there"):
        recognised(tmp_path / "b")


def test_attributes_come_along(tmp_path):
    wanted = truth(0, 6)
    for i, values in enumerate(
        ({"sim": True, "fps": "25", "success": "yes"}, {"sim": np.array([0]), "fps": 25})
    ):
        act_file(
            tmp_path / f"set/episode_{i}.hdf5", wanted, lambda root, values=values: root.attrs.update(values)
        )
    made = bring(tmp_path / "set", tmp_path / "out")
    assert [(one.sim, one.fps, one.success) for one in made] == [(True, 25, True), (False, 25, None)]


# --- names, columns, choices


def other_names(root: h5py.File) -> None:
    root.move("observations/qpos", "observations/positions")
    root.move("observations/images/top", "observations/images/cam_0")


def test_other_names(tmp_path):
    wanted = truth(0, 6)
    act_file(tmp_path / "a.hdf5", wanted, other_names)
    with pytest.raises(ValueError, match=r"--rename observations/positions=state"):
        bring(tmp_path / "a.hdf5", tmp_path / "out")
    with pytest.raises(ValueError, match="did you mean 'cam_0'"):
        bring(tmp_path / "a.hdf5", tmp_path / "out", rename={"cam_00": "top"})
    with pytest.raises(ValueError, match="--rename gives a camera the name 'a/b'; it must be plain"):
        bring(
            tmp_path / "a.hdf5", tmp_path / "out", rename={"observations/positions": "state", "cam_0": "a/b"}
        )
    renamed = {"observations/positions": "state", "cam_0": "wrist"}
    (episode,) = bring(tmp_path / "a.hdf5", tmp_path / "out", rename=renamed)
    np.testing.assert_array_equal(episode.qpos, wanted.qpos)
    assert list(episode.images) == ["wrist"]


def test_columns(tmp_path):
    recordings.robomimic_file(tmp_path / "demo.hdf5")
    columns = ("obs/object.3", "obs/robot0_eef_pos")
    made = bring(
        tmp_path / "demo.hdf5", tmp_path / "out", state_columns=columns, action_columns=("actions.6",)
    )
    assert made[0].qpos.shape == (9, 4) and made[0].action.shape == (9, 1)
    assert np.array_equal(made[0].qpos[:, 0], truth(0, 9, 10).qpos[:, 3])
    for word in ("obs/nothing", "actions.7"):
        with pytest.raises(ValueError, match=f"--state_columns has '{word}'"):
            bring(tmp_path / "demo.hdf5", tmp_path / "new", state_columns=(word,))


@pytest.mark.parametrize(
    ("words", "wanted"),
    [(("train",), [0, 2]), (("demo_1",), [1]), (("1-2",), [1, 2]), (("0", "valid"), [0, 1])],
)
def test_episodes_are_chosen(tmp_path, words, wanted):
    recordings.robomimic_file(tmp_path / "demo.hdf5")
    bring(tmp_path / "demo.hdf5", tmp_path / "out", episodes=words, no_images=True)
    assert names(tmp_path / "out") == [f"episode_{i}.hdf5" for i in wanted]
    with pytest.raises(ValueError, match="--episodes has 'demo_7'; did you mean 'demo_"):
        bring(tmp_path / "demo.hdf5", tmp_path / "new", episodes=("demo_7",))


@pytest.mark.parametrize("has_observations", [True, False])
def test_robomimics_states_without_pictures_need_playback(tmp_path, has_observations):
    recordings.robomimic_file(tmp_path / "demo.hdf5", with_pictures=False, with_obs=has_observations)
    with pytest.raises(ValueError, match=r"play it back to render them \(robomimic/scripts"):
        bring(tmp_path / "demo.hdf5", tmp_path / "out")
    if has_observations:
        assert len(bring(tmp_path / "demo.hdf5", tmp_path / "out", no_images=True)) == 3


def test_isaac_labs_files(tmp_path, capsys):
    """Joints and fingers in one array, states in groups, and start states of a single row."""
    wanted = [truth(i, steps, 9, 7) for i, steps in enumerate((6, 8))]
    with h5py.File(tmp_path / "dataset.hdf5", "w") as root:
        for i, one in enumerate(wanted):
            demo = root.create_group(f"data/demo_{i}")
            demo["actions"], demo["obs/joint_pos"] = one.action, one.qpos
            demo["states/articulation/robot/joint_position"] = one.qpos
            for name in ("joint_position", "joint_velocity"):
                demo[f"initial_state/articulation/robot/{name}"] = one.qpos[:1]
            demo["obs/table_cam"] = one.pictures
        root["data"].attrs["env_args"] = '{"env_name": "Isaac-Stack-Cube-Franka-IK-Rel-v0", "type": 2}'
    made = bring(tmp_path / "dataset.hdf5", tmp_path / "out")
    for one, episode in zip(wanted, made, strict=True):
        np.testing.assert_array_equal(episode.qpos, one.qpos)
        np.testing.assert_array_equal(episode.action, one.action)
    said = capsys.readouterr().out
    assert "state: obs/joint_pos (9), action: actions (7), grippers: none" in said
    assert said.count("not one row a step") == 1 and "(2 episodes, from demo_0 on)" in said


def test_a_set_that_says_no_rate_needs_one(tmp_path):
    pytest.importorskip("zarr")
    recordings.zarr_buffer(tmp_path / "set.zarr.zip")
    with pytest.raises(ValueError, match="--fps says it"):
        bring(tmp_path / "set.zarr.zip", tmp_path / "out")
    assert [len(one) for one in bring(tmp_path / "set.zarr.zip", tmp_path / "out", fps=10)] == [9, 7, 8]


def test_what_is_damaged_is_said_before_a_rate_is_asked_for(tmp_path):
    (tmp_path / "take.csv").write_text("qpos_0,action_0\n1,2\n1\n")
    with pytest.raises(EpisodeError, match="take.csv has 1 columns in row 2, not 2"):
        bring(tmp_path / "take.csv", tmp_path / "out")


def test_states_alone_take_the_next_state_for_the_action(tmp_path):
    rows = [[0.35, 1.5, -2.0], [0.4, 1.6, -2.5], [0.5, 1.7, -3.0]]
    (tmp_path / "qpos_1.txt").write_text("".join(f"{row}\n" for row in rows))
    with pytest.raises(ValueError, match="has no action, .*--action next_state"):
        bring(tmp_path, tmp_path / "out")
    (episode,) = bring(tmp_path, tmp_path / "out", action="next_state")
    np.testing.assert_allclose(episode.qpos, np.radians(rows), atol=1e-6)
    np.testing.assert_array_equal(episode.action, episode.qpos[[1, 2, 2]])


def test_a_log_of_training_is_no_recording(tmp_path):
    (tmp_path / "log.txt").write_text("stats {'action_mean': array([1.0]), 'qpos_mean': 3}\nloss 0.3\n" * 9)
    assert not TextLogs().recognises(tmp_path)


def test_a_video_of_another_length_is_damaged(tmp_path):
    recordings.tables(tmp_path / "takes")
    recordings.write_video(tmp_path / "takes/take_2_top.mp4", pictures(5))
    with pytest.raises(EpisodeError, match="take_2_top.mp4 has 5 frames, not 7, one a row"):
        bring(tmp_path / "takes", tmp_path / "out")
    assert len(bring(tmp_path / "takes", tmp_path / "out", skip_damaged=True)) == 2


# --- units


def test_units():
    rows = np.array([[2048.0, -1024, 30]])
    ticks = conversion(["a", "b", "gripper"], "", "ticks:4096", (10.0, 50.0))
    np.testing.assert_allclose(ticks(rows), [[np.pi, -np.pi / 2, 0.5]])
    assert radians_in("mdeg") == pytest.approx(np.pi / 180_000) and radians_in("deg") == np.pi / 180
    for wrong in ("ticks", "ticks:0", "grad", "ticks:-5"):
        with pytest.raises(ValueError, match="ticks:N, such as ticks:4096"):
            radians_in(wrong)


def test_flags_that_make_no_sense_are_refused_before_anything_is_read(tmp_path):
    for flags in ({"joint_unit": "grad"}, {"gripper_range": (1.0, 1.0)}):
        with pytest.raises(ValueError, match="--joint_unit is 'grad'|closed and open must differ"):
            bring(tmp_path / "none", tmp_path / "out", **flags)


# --- pictures

FRAMES = pictures(4)
FORMS = {
    "floats to 1": (FRAMES / 255).astype(np.float64),
    "floats to 255": FRAMES.astype(np.float16),
    "channels first": FRAMES.transpose(0, 3, 1, 2),
    "floats, channels first": (FRAMES / 255).astype(np.float32).transpose(0, 3, 1, 2),
    "png rows": recordings.png_rows(FRAMES),
    "four channels": np.concatenate([FRAMES, np.full((4, 48, 64, 1), 255, np.uint8)], axis=3),
}


@pytest.mark.parametrize("form", FORMS)
def test_pictures_in_any_form(form):
    frames, _ = frames_of(FORMS[form], "images/top", "top")
    assert frames[2].shape == (48, 64, 3)
    assert np.abs(frames[2].astype(int) - picture(2)).mean() < 3


@pytest.mark.parametrize("grey", [FRAMES[..., 1], FRAMES[..., 1:2], FRAMES[:, None, :, :, 1]])
def test_grey_pictures(grey):
    frames, notes = frames_of(grey, "images/top", "top")
    assert np.abs(frames[1].astype(int) - FRAMES[1, :, :, 1:2]).mean() < 3 and "grey" in notes[0]


def test_what_floats_mean_is_told_by_all_of_them(monkeypatch):
    """A dark frame at the start, read by itself, could be of either range."""
    monkeypatch.setattr("readers.pictures.BLOCK", 1)
    dark_first = np.concatenate([np.ones((2, 48, 64, 3)), FRAMES]).astype(np.float32)
    frames, notes = frames_of(dark_first, "images/top", "top")
    assert len(frames) == 6 and notes == ["pictures of floats from 0 to 255 are brought in as bytes"]
    assert frames[0].max() <= 3 and np.abs(frames[3].astype(int) - picture(1)).mean() < 3
    with pytest.raises(EpisodeError, match="holds floats from 0 to 300"):
        frames_of(np.concatenate([dark_first, np.full((1, 48, 64, 3), 300) * (FRAMES[:1] > 9)]), "top", "top")


@pytest.mark.parametrize("wrong", [FRAMES / 100.0 - 1, FRAMES * 10.0, np.full((4, 48, 64, 3), np.nan)])
def test_floats_that_are_no_colours_are_refused(wrong):
    with pytest.raises(EpisodeError, match="must be 0 to 1, or 0 to 255"):
        frames_of(wrong, "images/top", "top")
