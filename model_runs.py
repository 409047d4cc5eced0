"""Run a trained policy on the myCobot 320, or on its twin.

    python3 model_runs.py --ckpt_dir runs/choose --task_name mycobot320_choose --cameras top=1,right_wrist=0
    python3 model_runs.py --ckpt_dir runs/choose --task_name sim_mycobot320_choose_scripted --robot twin

Any other `--task_name` is a task of your own, on the real arm. Every run is saved as an episode. The twin
says by itself whether it succeeded, and starts where `imitate_episodes.py --eval` starts; on the real arm you
are asked. Keys: q stops, m takes the arm over (then keys or a gamepad drive it, g: guide it by hand, p: give
it back), n: on to the next checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cameras import Reference
from common import check_folder, cli
from constants import Stream
from disturbances import HELP, LOOK, MODEL, Disturbed, read_set
from evaluation import (
    ExecutionConfig,
    Outcome,
    Settings,
    Summary,
    content_version,
    open_evaluation,
    rollout,
    write_summary,
)
from mycobot_scripts.demos import (
    BumpWatch,
    Corrections,
    Guarded,
    Parts,
    PlacedCameras,
    PlacementConfig,
    Recording,
    RunView,
    TakeOver,
    WithCorrections,
    action_range,
    as_long_as,
    find_task,
    free_episode,
    is_own,
    load_policies,
    own_note,
    trained_fps,
)
from mycobot_scripts.robot import (
    Keys,
    Session,
    Setup,
    add_robot_flags,
    as_recorded,
    camera_sources,
    make_device,
    open_keys,
    open_session,
    read_setup,
)
from mycobot_scripts.wire import clock
from tasks import Task
from viewers import ARM, note_command, refresh_report

if TYPE_CHECKING:  # torch: seconds, which --help and a bad flag need not wait for
    from evaluation import Execution
    from policies import Policy

SETTLING = 0.3  # s after the last step in which the twin may still succeed: commands take as long on the line
BY_HAND = ("Ctrl-C", "q was pressed")  # reasons to stop after which there is no further run
VERDICTS = {True: "success", False: "no success", None: "nobody knows how it ended"}
HELPED = ", with your help: it does not count as the policy's"
RECOVER = "python3 mycobot_scripts/record_episodes.py --recover --dataset_dir"


@dataclass(frozen=True)
class ModelRunsConfig(PlacementConfig, ExecutionConfig):
    """Flags of this script; those of the arm come on top."""

    ckpt_dir: tuple[str, ...] = cli.flag(
        None, "folder of the checkpoint; several run one after the other", required=True
    )
    task_name: str = cli.flag(
        None, "task, e.g. mycobot320_choose, or a simulated one of the twin", required=True
    )
    ckpt_name: str | None = cli.flag(
        None,
        "checkpoint in each folder; the one that the run's flags name, else policy_best.ckpt, if not given",
    )
    camera_names: tuple[str, ...] | None = cli.flag(
        None, "cameras of a checkpoint of ACT, which names none, in the order of its training", distinct=True
    )
    num_rollouts: int = cli.flag(1, "runs", least=1, most=100_000)
    first_rollout: int = cli.flag(
        0, "number of the first run; run i of a seed has the start of --eval", least=0
    )
    output_dir: str | None = cli.flag(None, "folder for the runs' episodes; <ckpt_dir>/arm if not given")
    fps: float | None = cli.flag(
        None, "steps a second; those of the demonstrations if not given", above=0, most=50
    )
    seconds: tuple[float, ...] | None = cli.flag(
        None,
        "length of a run, one for each checkpoint; if not given that of --eval (the task's, or the longest "
        "demonstration's if longer), or with several checkpoints each one's longest demonstration's",
        above=0,
        most=86_400,
    )
    sync: bool = cli.flag(False, "wait for each chunk, instead of having it computed in the background")
    dry_run: bool = cli.flag(
        False, "play each chunk on the twin's body first, and refuse it on a limit or a collision"
    )
    disturb: tuple[str, ...] | None = cli.flag(None, f"{HELP}; the real arm takes those of pictures alone")
    view: bool = cli.flag(False, "show cameras, state and progress in a window")
    take_over: str = cli.flag(
        "keyboard", "what drives the arm when you take it over", ("keyboard", "gamepad")
    )

    def check(self) -> None:
        """ValueError for the first value that makes no sense."""
        self.check_execution()
        read_set(self.disturb)
        if self.seconds is not None and len(self.seconds) != len(self.ckpt_dir):
            raise ValueError(
                f"--seconds has {len(self.seconds)} values; --ckpt_dir has {len(self.ckpt_dir)}, one each"
            )

    def check_robot(self, robot: str) -> None:
        """ValueError for a disturbance that cannot be had on a robot."""
        for each in read_set(self.disturb):
            if robot != "twin" and each.disturbance.group != "pictures":
                raise ValueError(
                    f"--disturb has {each}, which changes {each.disturbance.group}; of the real arm only "
                    "pictures can be disturbed, --robot twin takes all"
                )

    @property
    def checkpoints(self) -> list[Path]:
        from policies import run_checkpoint

        return [run_checkpoint(folder, self.ckpt_name) for folder in self.ckpt_dir]

    def settings(self, setup: Setup, policies: Sequence[Policy], task: Task) -> Settings:
        """How the runs are made; `task` has their steps a second and length."""
        return Settings.of(
            self,
            checkpoints=tuple(path.name for path in self.checkpoints),
            version=content_version(self.checkpoints),
            robot=setup.config.robot,
            first=self.first_rollout,
            count=self.num_rollouts,
            cameras=tuple(dict.fromkeys(c for policy in policies for c in policy.interface.cameras)),
            fps=float(task.fps),
            pace=setup.config.pace,
            steps=task.episode_len,
        )


def make_execution(policy: Any, config: ModelRunsConfig, fps: float) -> Execution:
    """How a policy's chunks are executed."""
    from evaluation import BackgroundEnsemble, BackgroundExecution, ChunkedExecution, TemporalEnsemble

    if config.temporal_agg:
        if config.sync:
            return TemporalEnsemble(policy, amp=config.amp)
        return BackgroundEnsemble(policy, fps, amp=config.amp, now=clock.now)
    if config.sync:
        return ChunkedExecution(policy, config.query_every, config.amp)
    return BackgroundExecution(policy, fps, config.query_every, amp=config.amp, now=clock.now)


class Runner:
    """Runs policies on an arm that is ready.

    Args:
        session: the arm; its task has the run's steps a second and length.
        config: flags.
        executions: of the policies, which run one after the other.
        lengths: steps of each.
        references: what cameras show where the demonstrations begin.
    """

    def __init__(
        self,
        session: Session,
        config: ModelRunsConfig,
        executions: Sequence[Execution],
        lengths: Sequence[int],
        references: Mapping[str, Reference] | None = None,
    ) -> None:
        self._session, self._config, self._task = session, config, session.task
        self._folder = output_dir(config)
        robot = session.robot
        if config.dry_run:
            from mycobot_scripts.safety import Rehearsal, Rehearsed  # needs MuJoCo

            rehearsal = Rehearsal(self._task, session.setup.limits)
            for execution in executions:
                execution.policy = Rehearsed(execution.policy, rehearsal, robot.request_stop)
        self._parts = Parts(executions, lengths)
        self._corrections = Corrections(self._folder / "corrections", self._task, session.is_twin)
        self._take_over = TakeOver(
            self._parts,
            make_device(config.take_over, session.keys),
            session.jog(),
            *(robot, session.operator, self._corrections),
        )
        known = replace(config, ignore_moved=config.ignore_moved or bool(config.disturb))
        self._placed = PlacedCameras(references or {}, known)
        self._watch = None if known.ignore_moved else BumpWatch(config, robot.request_stop)
        self.refused: str | None = None  # why a run did not start
        self._view = RunView(self._task.cameras) if config.view else None
        self._applied = read_set(config.disturb)
        self._n_corrections = 0

    def run(self, index: int) -> Outcome | None:
        """Run number `index`; None if the person quits before it, or it is `refused`."""
        session, task = self._session, self._task
        case = task.case_number(index) if task.cases else None
        if not session.is_twin and not self._ready(index):
            return None
        print(f"run {index}: {task.episode_len} steps (q: stop, m: take over)", flush=True)
        self._take_over.reset([self._config.seed, Stream.ACT, index])
        session.operator.listens = True
        environment = self._environment(index)
        with session.robot.interrupts_stop():
            start = environment.reset(self._start(index), case)
            if start.last():
                return self._outcome(index, case)
            self.refused = self._placed.check(start.observation["images"])
            if self.refused:
                return None
            if self._watch is not None:
                self._watch.begin(start.observation)
            session.operator.listens = False  # from here on whoever may take over reads the keys
            recording = self._begin_recording()
            try:
                act = Guarded(self._act, session.robot.request_stop)
                keeper = WithCorrections(recording, self._corrections)
                rollout(environment, start, act, task.episode_len, keeper)
                self._take_over.finish()
                return self._outcome(index, case, recording)
            except BaseException:
                recording.abandon()
                print(f"{recording.folder} keeps what was recorded; {RECOVER} {self._folder}")
                raise

    def _environment(self, index: int) -> Any:
        """The robot, with what disturbs a run; the twin itself changes its physics and its look."""
        robot, seed = self._session.robot, self._config.seed
        words = [str(each) for each in self._applied if each.kind in (MODEL, LOOK)]
        if words:
            self._session.scene.disturb = {"words": words, "seed": seed, "rollout": index}
        return Disturbed(robot, self._task, self._applied, seed, index) if self._applied else robot

    def _start(self, index: int) -> np.random.Generator:
        return np.random.default_rng([self._config.seed, Stream.EVALUATE, index])

    def _ready(self, index: int) -> bool:
        question = f"run {index}: put everything to its place, then press enter (q: quit)"
        return self._session.keys.ask(question, {"enter": True, "q": False})

    def _begin_recording(self) -> Recording:
        facts = as_recorded(self._task, self._session.is_twin)
        if self._session.is_twin:
            facts |= {
                "seed": self._config.seed,
                "env_state": np.array(self._session.scene.state["env_state"]),
            }
        return Recording(free_episode(self._folder), self._task.cameras, **facts)

    def _act(self, _: int, observation: Mapping[str, Any]) -> np.ndarray:
        if self._watch is not None:
            self._watch.look(observation)
        observation = self._placed.rectified(observation)
        action = self._take_over(observation)
        if self._view is not None:
            parts = self._parts
            progress = (
                f"part {parts.part + 1}, {parts.left} steps left; chunk: {parts.remaining} actions left"
            )
            twin = self._session.scene.state if self._session.is_twin else None
            reward = f"; reward {twin['reward']} of {twin['max_reward']}" if twin else ""
            lines = [f"{self._take_over.mode}; {progress}{reward}", self._session.robot.guard.report()]
            self._view.show(observation, [*lines, self._take_over.help])
        return action

    def _outcome(self, index: int, case: int | None, recording: Recording | None = None) -> Outcome:
        """Find out how a run went, save it, and say so."""
        session, task = self._session, self._task
        judgement = self._judge(recording is not None)
        outcome = Outcome(
            index,
            total_reward=0.0 if recording is None else recording.total_reward,
            case=None if case is None else task.cases[case].label,
            stopped=session.robot.stopped,
            takeovers=self._take_over.takeovers,
            steps=None if recording is None else len(recording),
            **judgement,
        )
        if recording is not None:
            reward = outcome.highest_reward
            success = None if reward is None else reward == max(1, task.max_reward)
            path = recording.finish(success)
            outcome = replace(outcome, episode=path.name)
            print(f"saved {path}: {VERDICTS[success]}{HELPED if outcome.takeovers else ''}")
            print(session.robot.report())
            print(latency_line(self._parts), flush=True)
        for path in self._corrections.paths[self._n_corrections :]:
            print(f"a correction: {path}")
        self._n_corrections = len(self._corrections.paths)
        return outcome

    def _judge(self, has_run: bool) -> dict[str, Any]:
        """How a run ended, as the twin or the person says."""
        if not has_run:
            return {"highest_reward": 0}
        if not self._session.is_twin:
            question = "did it succeed? [y/n] (u: unknown)"
            return {"highest_reward": self._session.keys.ask(question, {"y": 1, "n": 0, "u": None})}
        clock.sleep(SETTLING)
        state = self._session.twin.state()
        return {name: state[name] for name in ("highest_reward", "strict_success", "choice")}

    def close(self) -> None:
        """End what runs in the background."""
        if self._watch is not None:
            self._watch.close()
        self._take_over.finish()
        self._parts.close()
        if self._view is not None:
            self._view.close()


def latency_line(parts: Parts) -> str:
    """How long the policy took, and how often the arm had to wait for it."""
    latencies = 1000 * np.array(parts.latencies or [np.nan])
    median, slowest = np.percentile(latencies, [50, 99])
    held = f"; the arm held for {parts.held} steps, waiting for a chunk" if parts.held else ""
    return f"policy: {len(parts.latencies)} chunks, {median:.0f} ms (99 %: {slowest:.0f} ms){held}"


def reference_pictures(config: ModelRunsConfig, task: Task) -> dict[str, Reference]:
    """What the task's cameras show where the demonstrations of the first checkpoint begin, if it knows."""
    from policies import checkpoint_references

    references = checkpoint_references(config.checkpoints[0])
    if not references:
        print(f"{config.checkpoints[0]} knows no reference pictures: moved cameras will not be noticed")
    return {name: reference for name, reference in references.items() if name in task.cameras}


def output_dir(config: ModelRunsConfig) -> Path:
    return Path(config.output_dir or Path(config.ckpt_dir[0]) / ARM).resolve()


def part_lengths(config: ModelRunsConfig, policies: Sequence[Policy], task: Task, fps: float) -> list[int]:
    """Steps that each policy has."""
    if config.seconds is not None:
        return [max(1, round(seconds * fps)) for seconds in config.seconds]
    if len(policies) == 1:
        from evaluation import rollout_steps

        return [rollout_steps(task, policies[0])]
    return [policy.interface.episode_len or task.episode_len for policy in policies]


def run_all(
    config: ModelRunsConfig, setup: Setup, policies: Sequence[Policy], task: Task, keys: Keys
) -> tuple[Summary | None, str | None]:
    """Do the runs. Returns their summary, which is written after each of them, or None if there was none; and
    why the next one was refused.
    """
    fps = config.fps or trained_fps(policies, task)
    steps = part_lengths(config, policies, task, fps)
    task = replace(task, fps=fps, episode_len=sum(steps))
    executions = [make_execution(policy, config, fps) for policy in policies]
    for execution in executions:
        execution.warm_up()
    settings = config.settings(setup, policies, task)
    references = reference_pictures(config, task)
    checkpoints = " + ".join(map(str, config.checkpoints))
    outcomes: list[Outcome] = []
    summary, has_looks = None, any(each.kind == LOOK for each in read_set(config.disturb))
    actions = action_range(policies, task.dim)
    with (
        open_evaluation(output_dir(config), settings) as folder,
        open_session(setup, task, keys, actions, has_looks) as session,
    ):
        runner = Runner(session, config, executions, steps, references)
        try:
            for index in range(config.first_rollout, config.first_rollout + config.num_rollouts):
                outcome = runner.run(index)
                if outcome is None:
                    break
                outcomes.append(outcome)
                summary = Summary.of(task, checkpoints, settings, outcomes)
                write_summary(summary, folder)
                if outcome.stopped in BY_HAND:
                    break
        finally:
            runner.close()
    return summary, runner.refused


def parse_flags(argv: Sequence[str] | None = None) -> tuple[ModelRunsConfig, Setup]:
    """This script's flags, and those of the arm."""
    parser = cli.make_parser(__doc__)
    cli.add_flags(parser, ModelRunsConfig)
    add_robot_flags(parser)
    setup = read_setup(parser, argv)
    config = cli.from_flags(ModelRunsConfig, setup.args)
    config.check_robot(setup.config.robot)
    return config, setup


def main(argv: Sequence[str] | None = None) -> None:
    config, setup = parse_flags(argv)
    from common import pick_device
    from policies import ready_to_act

    task = find_task(config.task_name, setup)
    if is_own(task):
        print(own_note(task))
    device = pick_device(config.device)
    loaded = load_policies(config.checkpoints, task, device, config.camera_names)
    policies = [ready_to_act(policy, config.amp) for policy in loaded]
    if is_own(task):
        task = as_long_as(task, [policy.interface.episode_len for policy in policies], config.seconds)
    if setup.config.robot != "twin":
        camera_sources(setup, task)  # a missing one is reported before anything is written
    check_folder(output_dir(config), "output_dir")
    folder = output_dir(config)
    folder.mkdir(parents=True, exist_ok=True)
    note_command(folder, "runs on the twin" if setup.config.robot == "twin" else "runs on the arm")
    with open_keys() as keys:
        summary, refused = run_all(config, setup, policies, task, keys)
    if summary is not None:
        tell(summary, folder)
    elif not refused:
        print("no run was made")
    if refused:
        raise RuntimeError(f"no run was started: {refused}; --rectify undoes little, --ignore_moved goes on")


def tell(summary: Summary, folder: Path) -> None:
    """Print how the runs went, and where to look at them."""
    page = refresh_report(folder)
    print(summary.text())
    print(f"report: {page.resolve().as_uri()}")
    print(f"look at the runs: python3 visualize_episodes.py --dataset_dir {folder} --html")


if __name__ == "__main__":
    cli.run(main)
