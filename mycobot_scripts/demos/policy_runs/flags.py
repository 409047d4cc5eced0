"""Flags of model_runs.py: which policies run, from where, how often, and how."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from common import cli
from disturbances import HELP, read_set
from evaluation import ARM, MOST_STEPS, ExecutionConfig
from mycobot_scripts.demos.policy_runs.placed_cameras import PlacementConfig
from teleop import DEVICES


@dataclass(frozen=True)
class ModelRunsConfig(PlacementConfig, ExecutionConfig):
    """Flags of model_runs.py; those of the arm come on top."""

    ckpt_dir: tuple[str, ...] | None = cli.flag(
        None, "folder of the checkpoint, or a policy.onnx; several run one after the other"
    )
    server: str | None = cli.flag(
        None, "instead of --ckpt_dir: HOST or HOST:PORT of policy_server.py on another machine"
    )
    token: str | None = cli.flag(None, "what that server printed, if it did")
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
    speed_margin: float = cli.flag(
        1.5,
        "how fast the joints may go and how fast that may change, as a multiple of the most in the "
        "demonstrations; 0: not limited",
        least=0,
        most=100,
    )
    sync: bool = cli.flag(False, "wait for each chunk, instead of having it computed in the background")
    dry_run: bool = cli.flag(
        False, "play each chunk on the twin's body first, and refuse it on a limit or a collision"
    )
    disturb: tuple[str, ...] | None = cli.flag(None, f"{HELP}; the real arm takes those of pictures alone")
    knock_loose: int | None = cli.flag(
        None,
        "step at which a hand takes the first prop from the twin's gripper, and puts it at another start "
        "place; the run then lasts as many steps longer, and until the policy looks again",
        least=1,
        most=MOST_STEPS,
    )
    view: bool = cli.flag(False, "show cameras, state and progress in a window")
    take_over: str = cli.flag(
        "keyboard", "what drives the arm when you take it over", DEVICES, alias="teleop"
    )

    def check(self) -> None:
        """ValueError for the first value that makes no sense."""
        self.check_execution()
        read_set(self.disturb)
        self._check_source()
        count = len(self.ckpt_dir or [self.server])
        if self.seconds is not None and len(self.seconds) != count:
            where = "--server" if self.server else "--ckpt_dir"
            raise ValueError(f"--seconds has {len(self.seconds)} values; {where} has {count}, one each")

    def _check_source(self) -> None:
        """ValueError unless it is clear where the policy is."""
        if self.ckpt_dir is None and self.server is None:
            raise ValueError("--ckpt_dir is missing; give the checkpoint's folder, or --server HOST:PORT")
        if self.server is None:
            if self.token is not None:
                raise ValueError("--token is for --server; leave it out")
            return
        if self.ckpt_dir is not None:
            raise ValueError("--ckpt_dir and --server both say where the policy is; leave one out")
        if self.output_dir is None:
            raise ValueError("--server needs --output_dir, the folder for the runs' episodes")
        unused = [name for name in ("ckpt_name", "camera_names") if getattr(self, name) is not None]
        if unused:
            raise ValueError(f"--{unused[0]} is for --ckpt_dir; give it to policy_server.py")

    def check_robot(self, robot: str) -> None:
        """ValueError for a disturbance that cannot be had on a robot."""
        if robot != "twin" and self.knock_loose is not None:
            raise ValueError("--knock_loose is for --robot twin; from the real arm, take the cube yourself")
        for each in read_set(self.disturb):
            if robot != "twin" and each.disturbance.group != "pictures":
                raise ValueError(
                    f"--disturb has {each}, which changes {each.disturbance.group}; of the real arm only "
                    "pictures can be disturbed, --robot twin takes all"
                )

    @property
    def folder(self) -> Path:
        """Where the runs' episodes go."""
        from policies import run_folder

        return Path(self.output_dir or run_folder(self.ckpt_dir[0]) / ARM).resolve()

    @property
    def checkpoints(self) -> list[Path]:
        from policies import run_checkpoint

        return [run_checkpoint(folder, self.ckpt_name) for folder in self.ckpt_dir]
