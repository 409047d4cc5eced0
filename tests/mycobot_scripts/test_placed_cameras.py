"""Cameras that were moved: what the scripts of the arm say and do about them."""

import contextlib
import dataclasses

import numpy as np
import pytest
from arm_rig import LIMITS, Person, make_rig
from emulated import our_threads
from scenery import SIZE, make_scene, seen, with_noise
from synthetic import make_act

import model_runs
from cameras.displacement import find_displacement
from cameras.reference import make_reference
from episodes.episode import Episode
from episodes.folders import episode_path
from episodes.frames import JpegFrames
from mycobot_scripts import check_arm
from mycobot_scripts.checks.placement_checks import check_placements, find_references
from mycobot_scripts.demos.policy_runs.placed_cameras import PlacedCameras, PlacementConfig
from mycobot_scripts.robot.arm_file import ArmFile, arm_references, keep_references
from mycobot_scripts.robot.cameras.camera import Camera
from mycobot_scripts.robot.session import RobotConfig, twin_flags
from mycobot_scripts.robot.twin_client import _as_words
from policy import save_policy

SCENE = make_scene()
REFERENCES = {"top": make_reference([SCENE])}
MOVED = {"shift": (9.0, 0.0), "degrees": 2.0}


class Shows:
    """A camera that sees one picture, with noise."""

    def __init__(self, picture: np.ndarray) -> None:
        self._picture, self._count = picture, 0

    def read(self) -> np.ndarray:
        self._count += 1
        return with_noise(self._picture, self._count, 2.0)

    def close(self) -> None:
        pass


def findings_of(picture, references=REFERENCES, limits=None):
    camera = Camera("top", "scene", size=picture.shape[:2], opener=lambda *_: Shows(picture))
    with camera:
        return list(check_placements({"top": camera}, references, limits or PlacementConfig()))


# --- check_arm.py --against


def test_a_camera_that_stands_well_is_ok():
    (finding,) = findings_of(SCENE)
    assert finding.level == "ok" and finding.what == "top: place" and not finding.advice


def test_a_moved_camera_is_bad_and_the_way_back_is_told():
    (finding,) = findings_of(seen(SCENE, **MOVED))
    assert finding.level == "bad" and finding.advice == "turn it right, clockwise (as seen from behind it)"
    assert findings_of(seen(SCENE, **MOVED), limits=PlacementConfig(50.0, 5.0, 0.1))[0].level == "ok"


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        (np.full_like(SCENE, 90), "does not show what the reference shows"),
        (make_scene(7), "does not show what the reference shows"),
        (make_scene(size=(120, 160)), "is 160x120 pixels, its reference 320x240"),
    ],
)
def test_what_cannot_be_compared_is_bad(picture, said):
    (finding,) = findings_of(picture)
    assert finding.level == "bad" and said in finding.text and finding.advice


def save_episode(folder, picture):
    frames = JpegFrames(95)
    frames.append(picture)
    zeros = np.zeros((1, 7), np.float32)
    Episode(qpos=zeros, qvel=zeros, action=zeros, images={"top": frames}).save(episode_path(folder, 0))


def test_references_are_a_datasets_a_checkpoints_or_the_arm_files(tmp_path):
    save_episode(tmp_path / "data", SCENE)
    run = tmp_path / "run"
    run.mkdir()
    save_policy(run / "policy_best.ckpt", make_act(), references={"top": REFERENCES["top"].plain()})
    keep_references(ArmFile(), tmp_path / "arm.json", {"top": SCENE}).save(tmp_path / "arm.json")
    for source in ("data", "run", "run/policy_best.ckpt", "arm.json"):
        picture = find_references(tmp_path / source)["top"].picture
        assert np.abs(picture.astype(int) - SCENE).mean() < 3, source


def test_what_has_no_references_says_why(tmp_path):
    save_policy(tmp_path / "policy_best.ckpt", make_act())
    ArmFile().save(tmp_path / "arm.json")
    for source, why in (
        (tmp_path / "policy_best.ckpt", "trained before there were any"),
        (tmp_path / "arm.json", "check_arm.py --calibrate takes them"),
    ):
        with pytest.raises(ValueError, match=f"has no reference pictures: .*{why}"):
            find_references(source)
    with pytest.raises(FileNotFoundError, match="no_such"):
        find_references(tmp_path / "no_such")


def test_the_arm_files_pictures_are_beside_it_and_a_lost_one_is_named(tmp_path):
    arm = keep_references(ArmFile(), tmp_path / "arm.json", {"top": SCENE})
    assert arm.references == {"top": "arm_top.png"}
    assert (arm_references(arm, tmp_path / "arm.json")["top"].picture == SCENE).all()
    (tmp_path / "arm_top.png").unlink()
    with pytest.raises(ValueError, match=r"arm_top.png, the reference of camera top, is gone"):
        arm_references(arm, tmp_path / "arm.json")


def test_calibration_takes_the_pictures_at_the_start_pose(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    calibrating = check_arm.calibrate.__module__

    def cameras(sources):
        return {n: Camera(n, s, size=SIZE, opener=lambda *_: Shows(SCENE)).wait() for n, s in sources.items()}

    monkeypatch.setattr(f"{calibrating}.open_cameras", cameras)
    with make_rig(Person("p", "s")) as rig:
        session_ = rig.session
        far = dataclasses.replace(session_.setup, arm=ArmFile(home_degrees=(90, 0, 0, 0, 0, 0)))
        check_arm.calibrate(session_.servo, session_.operator, far, {"top": "1"})
        assert "off its start pose" in capsys.readouterr().out and ArmFile.load().references == {}
        rig.person.answers = ["p", "s"]
        home = tuple(np.degrees(session_.servo.latest.qpos[:6]).round(2).tolist())
        near = dataclasses.replace(session_.setup, arm=ArmFile(home_degrees=home))
        check_arm.calibrate(session_.servo, session_.operator, near, {"top": "1"})
    assert "references    top" in capsys.readouterr().out
    assert list(find_references("mycobot320.json")) == ["top"]


def test_the_script_compares_cameras_alone(tmp_path, monkeypatch, capsys):
    """`--still`: no arm is needed, and none is moved; a moved camera ends it with status 1."""
    save_episode(tmp_path / "data", SCENE)
    shown = {"top": SCENE}
    monkeypatch.setattr(
        check_arm,
        "Camera",
        lambda name, source: Camera(name, source, size=SIZE, opener=lambda *_: Shows(shown[name])),
    )
    monkeypatch.setattr(check_arm, "open_person", lambda *_: contextlib.nullcontext(Person()))
    flags = ["--against", str(tmp_path / "data"), "--still", "--cameras", "top=1"]
    check_arm.main(flags)
    shown["top"] = seen(SCENE, **MOVED)
    with pytest.raises(SystemExit, match="1"):
        check_arm.main(flags)
    said = capsys.readouterr().out
    assert "turn it right, clockwise" in said and "nothing bad" in said and "port" not in said


# --- before a run


def test_a_run_does_not_start_with_a_moved_camera():
    said = []
    placed = PlacedCameras(REFERENCES, PlacementConfig(), said.append)
    assert placed.check({"top": SCENE}) is None
    assert "turn it right, clockwise" in placed.check({"top": seen(SCENE, **MOVED)})
    assert "looks elsewhere" in placed.check({"top": make_scene(5)})
    assert "looks elsewhere, or is covered" in placed.check({"top": np.full_like(SCENE, 90)})
    bare = dataclasses.replace(REFERENCES["top"], picture=np.full_like(SCENE, 90))
    placed = PlacedCameras({"top": bare}, PlacementConfig(), said.append)
    assert placed.check({"top": SCENE}) is None and "too little texture" in said[-1]
    assert placed.check({"top": np.zeros((48, 64, 3), np.uint8)}) is None and "64x48" in said[-1]
    assert PlacedCameras({}, PlacementConfig()).check({"top": SCENE}) is None


def test_it_starts_if_told_to():
    said = []
    placed = PlacedCameras(REFERENCES, PlacementConfig(ignore_moved=True), said.append)
    assert placed.check({"top": seen(SCENE, **MOVED)}) is None and "--ignore_moved" in said[-1]
    observation = {"images": {"top": SCENE}}
    assert placed.rectified(observation) is observation


def test_rectified_pictures_are_those_of_the_old_place():
    said = []
    placed = PlacedCameras(REFERENCES, PlacementConfig(rectify=True), said.append)
    moved = seen(SCENE, **MOVED)
    assert placed.check({"top": moved}) is None and said[-1].startswith("rectified: camera top: 9.")
    observation = {"qpos": np.zeros(7), "images": {"top": moved, "right_wrist": SCENE}}
    shown = placed.rectified(observation)
    assert find_displacement(SCENE, shown["images"]["top"]).distance < 0.3
    assert shown["images"]["right_wrist"] is SCENE and observation["images"]["top"] is moved
    assert placed.check({"top": SCENE}) is None and placed.rectified(observation) is observation
    assert "looks elsewhere" in placed.check({"top": make_scene(5)}), "that cannot be undone"


def test_the_runner_refuses_and_the_policy_sees_what_is_rectified(tmp_path):
    class Notes:
        """A policy that stays, and keeps what it saw."""

        def __init__(self) -> None:
            self.seen, self.policy, self.latencies, self.held, self.remaining = [], None, [], 0, 0

        def reset(self, key=(0,)) -> None: ...
        def close(self) -> None: ...
        def __call__(self, observation):
            self.seen.append(observation["images"]["top"])
            return observation["qpos"]

    moved = seen(SCENE, **MOVED)
    for flags, is_refused in (({}, True), ({"rectify": True}, False)):
        config = model_runs.ModelRunsConfig(
            ckpt_dir=(str(tmp_path),), task_name="mycobot320_move_cube", **flags
        )
        with make_rig(Person("enter", "u"), LIMITS, episode_len=2) as rig:
            robot = rig.session.robot
            for camera in robot.cameras.values():
                camera.close()
            shown = {n: Camera(n, "", size=SIZE, opener=lambda *_: Shows(moved)) for n in robot.cameras}
            robot.cameras = {name: camera.wait() for name, camera in shown.items()}
            policy = Notes()
            runner = model_runs.Runner(rig.session, config, [policy], [2], REFERENCES)
            try:
                outcome = runner.run(0)
            finally:
                runner.close()
                for camera in shown.values():
                    camera.close()
        assert our_threads() == []
        assert (outcome is None) == is_refused == bool(runner.refused)
        if not is_refused:
            assert find_displacement(SCENE, policy.seen[0]).distance < 0.5
            assert (
                find_displacement(
                    SCENE, Episode.load(tmp_path / "arm/episode_0.hdf5").images["top"][0]
                ).distance
                > 5
            )


# --- the twin's cameras


def test_the_twins_cameras_are_moved_by_a_flag():
    config = RobotConfig(robot="twin", move_camera={"top": (5.0, 0.0, 0.0, 0.0, 0.0, 1.0)})
    words = ["--pace", "1.0", "--move_camera", "top=5.0,0.0,0.0,0.0,0.0,1.0", "--move_after", "0.0"]
    assert _as_words(twin_flags(config)) == words
    told = _as_words(twin_flags(dataclasses.replace(config, room=5, drift=True)))
    assert told == [*words, "--room", "5", "--drift"]
    for flag in (["--room", "5"], ["--drift"]):
        with pytest.raises(ValueError, match=f"{flag[0]} is for --robot twin"):
            check_arm.parse_flags(flag)
    with pytest.raises(ValueError, match="--move_camera moves the twin's cameras; give --robot twin"):
        check_arm.parse_flags(["--move_camera", "top=5,0,0,0,0,1"])


@pytest.mark.slow
def test_the_twins_moved_camera_is_found(tmp_path, monkeypatch, capsys):
    from constants import TASKS
    from sim_env import make_sim_env

    env = make_sim_env(TASKS[check_arm.TWIN_TASK])
    env.reset(0)
    save_episode(tmp_path / "data", env.render("top"))
    env.close()
    monkeypatch.setattr(check_arm, "open_person", lambda *_: contextlib.nullcontext(Person()))
    flags = ["--robot", "twin", "--against", str(tmp_path / "data"), "--still"]
    check_arm.main(flags)
    with pytest.raises(SystemExit):
        check_arm.main([*flags, "--move_camera", "top=0,0,0,0,2,0"])
    assert "turn it right" in capsys.readouterr().out
