"""Trained policies on the arm: what is run, what is saved, and what stops it."""

import dataclasses
import json
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from arm_rig import LIMITS, SLOW, Person, make_rig
from repository import ROOT
from synthetic import make_act

import model_runs
from actors import Actor, Interface, Traits
from common import ComputeConfig
from constants import TASKS
from episodes.episode import Episode
from episodes.folders import list_episodes
from evaluation.results.outcomes import Summary
from evaluation.rollouts import rollout_steps
from evaluation.settings import Settings
from model_runs import part_lengths
from mycobot_scripts.demos import ModelRunsConfig, Runner, make_execution
from mycobot_scripts.demos.journal import free_episode, list_journals
from mycobot_scripts.demos.policy_runs.parts import Parts, RunView, open_actors, speed_limits, trained_fps
from mycobot_scripts.kinematics.units import on_the_wire
from policy import save_policy

TASK = TASKS["mycobot320_move_cube"]
STEPS = 12


class Nods(Actor):
    """Moves one joint back and forth, by chunks of 4; `at[n]` replaces the n-th answer."""

    interface = Interface(7, 7, TASK.cameras, (48, 64), TASK.name)
    traits = Traits(4, 4, 1, False, (0.0,) * 7, (1.0,) * 7, (-9.0,) * 7, (9.0,) * 7)

    def __init__(self, start: np.ndarray, joint: int = 5, at: dict | None = None, takes: float = 0.0) -> None:
        self.start, self.joint, self.at, self.takes = start, joint, at or {}, takes
        self.asked = 0

    def observe(self, observation):
        return {"qpos": observation["qpos"]}

    def act(self, seen, rest=None):
        time.sleep(self.takes)
        chunk = np.tile(self.start, (4, 1))
        chunk[:, self.joint] += 0.1 * (-1) ** self.asked
        chunk = self.at.get(self.asked, lambda actions: actions)(chunk)
        self.asked += 1
        return chunk


def fails(_):
    raise ZeroDivisionError("no such thing")


def config(tmp_path, **flags) -> ModelRunsConfig:
    flags = {"join": "none", **flags}  # actions are the policy's own
    return ModelRunsConfig(ckpt_dir=(str(tmp_path),), task_name=TASK.name, **flags)


def summarise(outcomes, task=TASK) -> Summary:
    return Summary.of(task, "policy_best.ckpt", Settings(robot="mycobot320"), outcomes)


def run(tmp_path, person: Person, policies=None, steps=(STEPS,), limits=LIMITS, runs: int = 1, **flags):
    """Outcomes of runs of `policies` (functions of the start pose), and where their episodes are."""
    settings = config(tmp_path, **flags)
    with make_rig(person, limits, episode_len=sum(steps)) as rig:
        made = [make(rig.session.robot.start) for make in policies or [Nods]]
        executions = [make_execution(actor, settings, rig.session.task.fps) for actor in made]
        runner = Runner(rig.session, settings, executions, steps)
        try:
            return [runner.run(index) for index in range(runs)], tmp_path / "arm"
        finally:
            runner.close()


def pressing(*when: tuple[str, float]):
    """Presses keys, each so many seconds after the first look at the keyboard."""
    left, began = list(when), []

    def press() -> list[str]:
        began.append(time.monotonic())
        if left and began[-1] - began[0] >= left[0][1]:
            return [left.pop(0)[0]]
        return []

    return press


def test_what_is_not_understood_is_no_success(tmp_path, capsys):
    """Enter answers nothing; a run of which nobody knows how it ended counts for nothing."""
    with pytest.raises(RuntimeError, match="nobody answers"):
        run(tmp_path / "a", Person("enter"))
    outcomes, folder = run(tmp_path, Person("enter", "u", "enter", "y", "enter", "n"), runs=3)
    assert [outcome.highest_reward for outcome in outcomes] == [None, 1, 0]
    assert [Episode.load(path).success for path in list_episodes(folder)] == [None, True, False]
    said = summarise(outcomes).text()
    assert "1 of 2 rollouts succeeded: 50.0%" in said
    assert "1 of 3 runs was of unknown outcome: not counted" in said
    assert "nobody knows how it ended" in capsys.readouterr().out


def test_a_run_that_a_person_helped_in_is_not_the_policys_success(tmp_path, capsys):
    keys = pressing(("m", 0.5), ("p", 1.5))
    person = Person("enter", "y", "enter", "n", press=keys)
    outcomes, _ = run(tmp_path, person, steps=(35,), runs=2)
    assert [(o.highest_reward, o.takeovers) for o in outcomes] == [(1, 1), (0, 0)]
    assert (
        outcomes[0].episode == "episode_0.hdf5"
        and "does not count as the policy's" in capsys.readouterr().out
    )
    summary = summarise(outcomes)
    written = json.loads(json.dumps(summary.as_dict()))
    assert (written["rollouts"], written["counted"], written["helped"], written["successes"]) == (2, 1, 1, 0)
    assert written["success_rate"] == 0 and [o["takeovers"] for o in written["outcomes"]] == [1, 0]
    assert "0 of 1 rollouts succeeded" in summary.text()
    assert "1 of 2 runs was helped: not counted" in summary.text()
    alone = summarise(outcomes[:1])
    assert alone.as_dict()["success_rate"] is None and "none counts" in alone.text()


@pytest.mark.parametrize(
    "flags",
    [
        {},
        {"sync": True},
        {"temporal_agg": True},
        {"temporal_agg": True, "query_every": 2},
        {"query_every": 2},
    ],
)
def test_a_run_is_saved_as_an_episode(tmp_path, capsys, flags):
    outcomes, folder = run(tmp_path, Person("enter", "y", "enter", "n"), runs=2, **flags)
    assert [outcome.highest_reward for outcome in outcomes] == [1, 0]
    assert [outcome.stopped for outcome in outcomes] == [None, None]
    first, second = (Episode.load(path) for path in list_episodes(folder))
    assert (first.success, second.success) == (True, False) and len(first) == len(second) == STEPS
    assert (first.task, first.fps, first.sim, first.reward) == (TASK.name, 10, False, None)
    assert sorted(first.images) == ["right_wrist", "top"] and (np.diff(first.time) > 0).all()
    said = capsys.readouterr().out
    assert "steps a second of 10" in said and "clamped: none" in said and "policy: " in said
    assert list_journals(folder) == []
    task = dataclasses.replace(TASK, episode_len=STEPS)
    summary = summarise(outcomes, task)
    assert summary.successes == 1 and "success, as you said" in summary.text()


@pytest.mark.parametrize("limits", [None, (np.full(6, 0.4), np.full(6, 4.0))])
def test_speeds_are_limited_to_those_shown(tmp_path, capsys, limits):
    """The policy jumps by 0.2 rad between chunks; 0.04 a step is allowed."""
    with make_rig(Person("enter", "y"), episode_len=STEPS, pace=SLOW) as rig:
        actor = Nods(rig.session.robot.start)
        execution = make_execution(actor, config(tmp_path), rig.session.task.fps)
        runner = Runner(rig.session, config(tmp_path), [execution], (STEPS,), limits=limits)
        try:
            runner.run(0)
        finally:
            runner.close()
    joint = Episode.load(list_episodes(tmp_path / "arm")[0]).action[:, 5]
    said = capsys.readouterr().out
    assert (np.abs(np.diff(joint)).max() < 0.045) == (limits is not None)
    assert ("velocity" in said) == (limits is not None) and ("clamped: none" in said) == (limits is None)


def test_limits_of_speed_are_the_largest_of_all_policies():
    def policy(velocity, acceleration):
        interface = Interface(7, 7, ("top",), (48, 64), velocity=velocity, acceleration=acceleration)
        return SimpleNamespace(interface=interface)

    one, other = policy((1.0,) * 7, (2.0,) * 7), policy((3.0,) + (0.5,) * 6, (1.0,) * 7)
    velocity, acceleration = speed_limits([one, other], 1.5)
    assert velocity.tolist() == [4.5] + [1.5] * 5 and acceleration.tolist() == [3.0] * 6
    assert speed_limits([one, policy((), ())], 1.5) is None, "of an earlier version"
    assert speed_limits([one], 0) is None


def test_pictures_can_be_disturbed(tmp_path):
    run(tmp_path / "plain", Person("enter", "y"))
    run(tmp_path / "noisy", Person("enter", "y"), disturb=("noise=strong",))
    roughness = []
    for name in ("plain", "noisy"):
        (path,) = list_episodes(tmp_path / name / "arm")
        picture = Episode.load(path).images["top"][5].astype(int)
        roughness.append(np.abs(np.diff(picture, axis=0)).mean())
    assert roughness[1] > roughness[0] + 5


def test_actions_are_the_policys_as_sent(tmp_path):
    _, folder = run(tmp_path, Person("enter", "y"), sync=True)
    episode = Episode.load(free_path := list_episodes(folder)[0])
    start = episode.action[0].copy()
    start[5] -= 0.1
    expected = [start + 0.1 * (-1) ** (t // 4) * np.eye(7)[5] for t in range(STEPS)]
    np.testing.assert_allclose(episode.action, [on_the_wire(e) for e in expected], atol=2e-4)
    assert free_path.name == "episode_0.hdf5" and free_episode(folder).name == "episode_1.hdf5"


def test_a_slow_policy_makes_no_pause(tmp_path, capsys):
    slow = [lambda start: Nods(start, takes=0.25)]
    outcomes, folder = run(tmp_path, Person("enter", "y"), slow, steps=(30,))
    episode = Episode.load(list_episodes(folder)[0])
    assert outcomes[0].stopped is None and len(episode) == 30
    assert np.median(np.diff(episode.time)) == pytest.approx(0.1, abs=0.03)
    assert (
        "waiting for a chunk" in capsys.readouterr().out
    )  # 4 actions do not last while the next are computed


def test_parts_follow_one_another(tmp_path, capsys):
    parts = [lambda start: Nods(start, joint=5), lambda start: Nods(start, joint=0)]
    _, folder = run(tmp_path, Person("enter", "y"), parts, steps=(4, 8))
    episode = Episode.load(list_episodes(folder)[0])
    moved = np.abs(episode.action - episode.action.mean(axis=0)) > 0.03
    assert len(episode) == 12 and "part 2 of 2" in capsys.readouterr().out
    assert not moved[:4, 0].any() or not moved[4:, 0].all()
    assert len(np.unique(np.round(episode.action[4:, 5], 3))) == 1  # the second one leaves that joint alone


def test_the_next_part_begins_when_a_key_says_so():
    class Counts:
        latencies, held, remaining = [0.1], 1, 2

        def __init__(self):
            self.keys, self.calls = [], 0

        def reset(self, key):
            self.keys.append(key)

        def __call__(self, observation):
            self.calls += 1
            return np.zeros(7)

    one, two = Counts(), Counts()
    parts = Parts([one, two], [5, 3], say=lambda text: None)
    parts.reset((7, 1))
    parts({})
    assert (parts.part, parts.left, parts.length) == (0, 4, 8)
    parts.advance()
    parts({})
    parts.advance()  # there is no further one
    for _ in range(5):
        parts({})
    assert (one.calls, two.calls, parts.part) == (1, 6, 1)
    parts.look_anew((9,))
    assert one.keys[-1] == (7, 1) and two.keys == [(7, 1, 1), (9,)]
    assert parts.latencies == [0.1, 0.1] and parts.held == 2 and parts.remaining == 2


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (fails, "the policy failed: ZeroDivisionError: no such thing"),
        (lambda chunk: chunk * np.nan, "an action is 7 finite numbers"),
    ],
    ids=["fails", "NaN"],
)
@pytest.mark.parametrize("sync", [True, False])
def test_a_policy_that_fails_stops_the_arm_and_the_episode_is_kept(tmp_path, answer, reason, sync):
    broken = [lambda start: Nods(start, at={1: answer})]
    (outcome,), folder = run(tmp_path, Person("enter", "n"), broken, sync=sync)
    assert reason in outcome.stopped
    assert 3 <= len(Episode.load(list_episodes(folder)[0])) <= 7


def test_actions_outside_the_training_range_stop_the_arm(tmp_path):
    with make_rig(Person("enter", "n"), episode_len=STEPS) as rig:
        start = rig.session.robot.start
        rig.session.robot.guard.action_range = (start - 0.15, start + 0.15)
        far = Nods(start, at={1: lambda chunk: chunk + 0.8 * np.eye(7)[2]})
        settings = config(tmp_path)
        execution = make_execution(far, settings, rig.session.task.fps)
        runner = Runner(rig.session, settings, [execution], (STEPS,))
        outcome = runner.run(0)
        runner.close()
        assert "the policy sends joint 3 to" in outcome.stopped
        assert np.abs(rig.joints() - start[:6]).max() < 0.3  # it never went there


def test_a_dry_run_refuses_a_chunk_that_hits_the_table(tmp_path):
    down = Nods

    def dives(chunk):
        chunk[:, 1] += np.radians(70)
        return chunk

    diving = [lambda start: down(start, at={1: dives})]
    (outcome,), folder = run(tmp_path, Person("enter", "n"), diving, dry_run=True)
    assert "the rehearsal refused action" in outcome.stopped
    episode = Episode.load(list_episodes(folder)[0])
    assert np.ptp(episode.action[:, 1]) < 0.01  # rad; where it was, when it was told to hold


def test_q_stops_and_nothing_is_lost(tmp_path, capsys):
    (outcome,), folder = run(tmp_path, Person("enter", "n", press=pressing(("q", 2.0))), steps=(200,))
    assert outcome.stopped == "q was pressed"
    assert len(list_episodes(folder)) == 1 and "the arm holds its pose" in capsys.readouterr().out


def test_q_before_a_run_is_no_run(tmp_path):
    outcomes, folder = run(tmp_path, Person("q"))
    assert outcomes == [None] and not folder.exists()


def test_taking_over_leaves_a_correction(tmp_path, capsys):
    keys = pressing(("m", 0.5), ("p", 2.0))
    (outcome,), folder = run(tmp_path, Person("enter", "y", press=keys), steps=(45,))
    assert outcome.stopped is None and len(Episode.load(list_episodes(folder)[0])) == 45
    correction = Episode.load(list_episodes(folder / "corrections")[0])
    assert 5 <= len(correction) < 45 and correction.task == TASK.name
    assert np.ptp(correction.action, axis=0).max() < 1e-6  # nobody touched a key: the arm held
    said = capsys.readouterr().out
    assert "the arm is yours" in said and "the policy goes on" in said and "a correction: " in said


# --- what is checked beforehand


def saved(folder: Path, dim: int = 7, cameras=("top",), **changes) -> Path:
    policy = make_act(cameras=cameras, dim=dim)
    policy.interface = dataclasses.replace(policy.interface, **changes)
    folder.mkdir(parents=True, exist_ok=True)
    save_policy(folder / "policy_best.ckpt", policy, step=0)
    return folder / "policy_best.ckpt"


def test_policies_must_fit_the_arm_and_one_another(tmp_path):
    cpu = ComputeConfig(device="cpu")
    fitting = open_actors([saved(tmp_path / "a", fps=10.0, episode_len=30)], TASK, cpu)
    assert trained_fps(fitting, TASK) == 10
    assert part_lengths(config(tmp_path), fitting * 2, TASK, 10) == [30, 30], "each as it was shown"
    assert part_lengths(config(tmp_path), fitting * 2, TASK, 10, lost=7) == [30, 37]
    assert part_lengths(config(tmp_path, seconds=(1.5,)), fitting, TASK, 10) == [15]
    with pytest.raises(ValueError, match=r"states of 14 numbers and actions of 14; the arm has 7"):
        open_actors([saved(tmp_path / "b", dim=14)], TASK, cpu)
    with pytest.raises(ValueError, match=r"sees with 'angle'; mycobot320_move_cube has top, right_wrist"):
        open_actors([saved(tmp_path / "c", cameras=("angle",))], TASK, cpu)
    slow = open_actors([saved(tmp_path / "d", fps=5.0)], TASK, cpu)
    with pytest.raises(ValueError, match=r"trained at \[5.0, 10.0\] steps a second; choose by --fps"):
        trained_fps([*fitting, *slow], TASK)
    old = open_actors([saved(tmp_path / "e")], TASK, cpu)  # of a version that stored neither
    assert trained_fps(old, TASK) == 10 and part_lengths(config(tmp_path), old, TASK, 10) == [115]


@pytest.mark.parametrize("shown", [None, 30, TASK.episode_len + 40])
def test_a_run_takes_as_many_steps_as_a_rollout_of_an_evaluation(tmp_path, shown):
    policy = make_act(cameras=("top",), dim=7)
    policy.interface = dataclasses.replace(policy.interface, episode_len=shown)
    assert part_lengths(config(tmp_path), [policy], TASK, 10) == [rollout_steps(TASK, policy)]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], "--task_name is missing"),
        (["--task_name", "t"], "--ckpt_dir is missing; give the checkpoint's folder, or --server"),
        (["--ckpt_dir", "x", "--task_name", "mycobot320_mov_cube"], "did you mean 'mycobot320_move_cube'"),
        (["--ckpt_dir", "x", "--task_name", "mycobot320_choose", "--robot", "twin"], "the twin plays sim_"),
        (["--ckpt_dir", "x", "--task_name", "mycobot320_choose"], "no checkpoint x/policy_best.ckpt"),
        (["--ckpt_dir", "x", "--task_name", "t", "--fps", "0"], "--fps is 0.0; it must be above 0"),
        (["--ckpt_dir", "x", "--task_name", "t", "--num_rollouts", "0"], "--num_rollouts is 0"),
        (["--ckpt_dir", "x", "--task_name", "t", "--first_rollout", "-1"], "--first_rollout is -1"),
        (
            ["--ckpt_dir", "x", "y", "--task_name", "t", "--seconds", "1"],
            "--seconds has 1 values; --ckpt_dir has 2",
        ),
        (["--ckpt_dir", "x", "--task_name", "t", "--disturb", "nose=mild"], "did you mean 'noise'"),
        (["--ckpt_dir", "x", "--task_name", "t", "--disturb", "noise"], "it takes a strength too"),
        (
            ["--ckpt_dir", "x", "--task_name", "t", "--disturb", "noise=mild", "mass=middle"],
            "--disturb has mass=middle, which changes dynamics; of the real arm only pictures can be",
        ),
        (["--ckpt_dir", "x", "--task_name", "t", "--knock_loose", "5"], "--knock_loose is for --robot twin"),
    ],
)
def test_bad_flags_end_in_one_line_before_anything_is_written(tmp_path, monkeypatch, flags, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ValueError, OSError), match=said) as error:
        model_runs.main(flags)
    assert "\n" not in str(error.value) and list(tmp_path.iterdir()) == []


def test_runs_do_not_get_among_demonstrations(tmp_path):
    model_runs.check_apart(tmp_path)
    (tmp_path / "episode_0.hdf5").touch()
    with pytest.raises(ValueError, match="holds episodes that are no runs; give another folder"):
        model_runs.check_apart(tmp_path)
    (tmp_path / "commands.json").touch()  # of runs before
    model_runs.check_apart(tmp_path)


def test_the_view_shows_cameras_state_and_progress():
    class Window:
        frames = []

        def show(self, frame, words=""):
            self.frames.append(frame)

    view = RunView(("top", "right_wrist"), Window())
    grey = np.full((48, 64, 3), 90, np.uint8)
    seen = {"qpos": np.zeros(7), "images": {"top": grey, "right_wrist": grey}}
    view.show(seen, ["one"])
    view.show(seen, ["two"])  # too soon
    (frame,) = Window.frames
    assert (
        frame.shape[1] == 960 and frame.shape[0] > 360 and frame[370:].max() > 200
    )  # text below the pictures


# --- on the twin


def test_on_the_twin_as_a_person_types_it(tmp_path):
    """A policy that knows nothing runs for two seconds, within the limits; all is told and saved."""
    policy = make_act(cameras=("top", "right_wrist"), dim=7)
    policy.interface = dataclasses.replace(policy.interface, fps=10.0)
    with torch.no_grad():
        policy.action_mean.copy_(torch.tensor([-0.05, 0.58, 0.57, 0.12, -1.54, -0.03, 0.7]))
        policy.action_std.fill_(0.02)
        policy.action_min.copy_(policy.action_mean - 1)
        policy.action_max.copy_(policy.action_mean + 1)
    save_policy(tmp_path / "policy_best.ckpt", policy, step=0)
    task = "sim_mycobot320_choose_scripted"
    command = [sys.executable, str(ROOT / "model_runs.py"), "--robot", "twin", "--task_name", task]
    flags = [
        "--ckpt_dir",
        str(tmp_path),
        "--seconds",
        "2",
        "--num_rollouts",
        "2",
        "--first_rollout",
        "5",
        "--stale",
        "20",
        "--dry_run",
        "--disturb",
        "noise=mild",
        "mass=middle",
        "delay=mild",
        "camera=mild",
        "--knock_loose",
        "10",
    ]
    done = subprocess.run(
        [*command, *flags], cwd=tmp_path, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stderr
    assert "2 rollouts succeeded: 0.0%" in done.stdout, done.stdout
    assert "the arm holds its pose" in done.stdout
    episodes = [Episode.load(path) for path in list_episodes(tmp_path / "arm")]
    assert [len(episode) for episode in episodes] == [20, 20]
    assert all(episode.sim and episode.env_state.shape == (14,) for episode in episodes)
    assert {episode.disturbed for episode in episodes} == {"noise=mild mass=middle delay=mild camera=mild"}
    result = json.loads((tmp_path / "arm" / "result_policy_best.json").read_text())
    assert [outcome["case"] for outcome in result["outcomes"]] == ["B1 occupied", "B1 free"]
    assert [outcome["index"] for outcome in result["outcomes"]] == [5, 6]
    assert result["settings"]["disturb"] == ["noise=mild", "camera=mild", "mass=middle", "delay=mild"]
    assert result["settings"]["knock_loose"] == 10
