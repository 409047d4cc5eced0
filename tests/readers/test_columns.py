"""What columns look like, and the table of them that a person decides on units by."""

from dataclasses import replace

import numpy as np
import pytest
from recordings import act_file, truth

from readers import ImportFlags, bring_in
from readers.conversion.columns import kind_of, likely_unit
from readers.conversion.units import conversion, unit_note

WAVE = np.sin(np.arange(50) / 5)


@pytest.mark.parametrize(
    ("name", "values", "text"),
    [
        ("j1", 1.5 * WAVE, "rad"),
        ("j1", 90 * WAVE, "degrees"),
        ("j1", np.rint(2048 + 900 * WAVE), "encoder ticks"),
        ("j1", 90_000 * WAVE, "1/1000 degree"),
        ("j1", np.rint(1e6 * WAVE), "whole numbers"),
        ("j1", np.full(50, 0.3), "constant"),
        ("j1", (WAVE > 0) * 1.0, "two values"),
        ("thumb", np.rint(125 + 125 * WAVE), "up to 255"),
        ("left_gripper", 0.5 + 0.5 * WAVE, "gripper, 0 to 1"),
        ("gripper.pos", 50 + 50 * WAVE, "gripper, 0 to 100"),
        ("gripper", 500 + 500 * WAVE, "gripper, per mille"),
        ("gripper", 0.04 + 0.04 * WAVE, "gripper in m"),
        ("gripper", 2500 + 400 * WAVE, "gripper in ticks"),
        ("j1", np.where(WAVE > 0.9, np.nan, WAVE), "no numbers"),
    ],
)
def test_what_a_column_looks_like(name, values, text):
    assert text in kind_of(name, values).text


def test_the_unit_of_joints():
    names = ["a", "b", "c"]
    assert likely_unit(names, np.stack([WAVE, 80 * WAVE, 0.1 * WAVE], axis=1)) == "deg"  # two are near zero
    assert likely_unit(names, np.stack([WAVE, WAVE, 0 * WAVE], axis=1)) == "rad"
    assert likely_unit(names, np.zeros((5, 3))) == ""


def test_the_table_names_the_flags(tmp_path, capsys):
    wanted = truth(0, 30)

    def change(root):
        rows = np.degrees(4 * wanted.qpos)
        rows[:, [6, 13]] = 50 + 100 * wanted.qpos[:, [6, 13]]
        del root["observations/qpos"], root["observations/qvel"]
        root["observations/qpos"] = rows
        root["observations/effort"] = wanted.qpos[:, :3]

    act_file(tmp_path / "a/episode_0.hdf5", wanted, change)
    flags = ImportFlags(source=str(tmp_path / "a"), output_dir=str(tmp_path / "out"), num_workers=1)
    bring_in(ImportFlags(**{**vars(flags), "dry_run": True}))
    printed = capsys.readouterr().out
    assert "grippers look like 0 to 100: if so, --gripper_range 0 100 (closed, open)" in printed
    assert "joints look like deg, not rad: if so, --joint_unit deg" in printed
    assert "  -       observations/effort.0" in printed
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize(("size", "said"), [(230, "look like deg, not rad"), (190, "shares of -100 to 100")])
def test_shares_of_a_range_are_told_from_degrees(tmp_path, capsys, size, said):
    wanted = truth(0, 30, 6)
    scaled = replace(wanted, qpos=size * wanted.qpos, action=size * wanted.action)
    act_file(tmp_path / "a/episode_0.hdf5", scaled)
    source, target = str(tmp_path / "a"), str(tmp_path / "out")
    bring_in(ImportFlags(source=source, output_dir=target, num_workers=1, dry_run=True))
    assert said in capsys.readouterr().out.splitlines()[-2]


def test_no_gripper_is_guessed_in_arms_that_are_not_of_seven():
    assert conversion([f"j{i}" for i in range(12)], "", "rad", (0.0, 1.0)).grippers == ()
    assert conversion([f"j{i}" for i in range(14)], "", "rad", (0.0, 1.0)).grippers == (6, 13)
    assert conversion(["a", "gripper"], "", "rad", (0.0, 1.0)).grippers == (1,)


def test_ticks_are_not_called_degrees():
    convert = conversion(["a", "b"], "", "rad", (0.0, 1.0))
    assert "with another --joint_unit" in unit_note(np.full((3, 2), 2048.0), convert)
    assert "--joint_unit deg" in unit_note(np.full((3, 2), 90.0), convert)
