"""The arm's own file: what is written is read back; mistakes are named."""

import json

import numpy as np
import pytest

from constants import MYCOBOT
from mycobot_scripts.robot.arm_file import DEFAULT_PATH, ArmFile


def test_the_defaults_are_the_tasks_start():
    arm = ArmFile()
    np.testing.assert_allclose(arm.home[:6], MYCOBOT.start, atol=1e-9)
    assert arm.home[6] == pytest.approx(0.7)  # as the twin starts


def test_written_and_read_back(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert ArmFile.load() == ArmFile()  # none there
    arm = ArmFile(
        port="/dev/ttyACM0",
        home_degrees=(1.5, -2, 3, 4, 5, 6),
        home_gripper=0.5,
        gripper_mode=0,
        table_height_m=-0.012,
        tool_length_m=0.16,
        cameras={"top": "/dev/v4l/by-id/usb-cam-index0", "right_wrist": "2"},
    )
    assert arm.save().name == DEFAULT_PATH
    found = ArmFile.load()
    assert found == arm
    assert found.flags() == {
        "port": "/dev/ttyACM0",
        "cameras": "top=/dev/v4l/by-id/usb-cam-index0,right_wrist=2",
        "gripper_mode": 0,
        "table_height": -0.012,
        "tool_length": 0.16,
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "Expecting"),
        ('{"hom": 1}', "unknown entry 'hom'; it may have port, home_degrees"),
        ('{"home_degrees": [1, 2]}', "home_degrees is .*; it must be 6 angles"),
        ('{"home_degrees": [0, 0, 146, 0, 0, 0]}', "it must be within .*145"),
        ('{"home_gripper": 70}', r"home_gripper is 70; it must be 0 \(closed\) to 1 \(open\)"),
        ('{"gripper_mode": 2}', "gripper_mode is 2; it must be one of"),
        ('{"table_height_m": 12}', "table_height_m is 12; it must be metres"),
        ('{"tool_length_m": 160}', "tool_length_m is 160; it must be metres"),
        ('{"tool_length_m": "long"}', "arm.json"),
        ("[1]", "arm.json: it must hold an object"),
        ('{"cameras": null}', "cameras is None; it must be an object"),
        ('{"references": ["top.png"]}', "references is .*; it must be an object"),
    ],
)
def test_mistakes_are_named(tmp_path, text, said):
    path = tmp_path / "arm.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=said) as error:
        ArmFile.load(path)
    assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)


def test_notepad_s_mark_is_no_mistake(tmp_path):
    (tmp_path / "arm.json").write_text('{"cameras": {"top": 1}}', encoding="utf-8-sig")
    assert ArmFile.load(tmp_path / "arm.json").cameras == {"top": "1"}


def test_a_file_that_was_asked_for_must_be_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="check_arm.py --calibrate writes one"):
        ArmFile.load(tmp_path / "none.json")


def test_camera_numbers_may_be_numbers(tmp_path):
    path = tmp_path / "arm.json"
    path.write_text(json.dumps({"cameras": {"top": 1}}))
    assert ArmFile.load(path).cameras == {"top": "1"}


def test_a_file_with_a_password_is_for_its_owner_alone(tmp_path):
    plain = ArmFile(cameras={"top": "http://cam/"}).save(tmp_path / "plain.json")
    secret = ArmFile(cameras={"top": "http://me:hush@cam/"}).save(tmp_path / "secret.json")
    assert secret.stat().st_mode & 0o077 == 0 and ArmFile.load(secret).cameras["top"] == "http://me:hush@cam/"
    assert plain.stat().st_mode & 0o400
