"""Flags of evaluations: how a policy acts, from which starts, and what is in its way."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from common import ComputeConfig, cli
from disturbances import HELP, SWEEP_HELP, check_words
from tasks import LEVELS

if TYPE_CHECKING:
    from actors import Actor
    from policies import PolicyConfig

MOST_STEPS = 100_000
JOINS = ("fade", "inpaint", "none")
JOIN_SECONDS = 0.2  # longer ones delay what a policy corrects: 0.5 cost 13 of 100 strict successes
LEAST_JOIN = 5  # steps
ACT_DECAY = 0.01  # of the weights of temporal ensembling (ACT: imitate_episodes.py)


def looks_flag() -> Any:
    """The flag that says how far looks go."""
    return cli.flag(
        "mild",
        "how far --randomize goes: mild; real, as rooms are, with other things beside the work; or wild",
        tuple(LEVELS),
    )


def randomize_flag() -> Any:
    """The flag that varies the looks of recorded episodes."""
    return cli.flag(
        None,
        "vary light, colours, cameras, table and a cable on it, anew in each frame or in each episode, for "
        "policies that see changing light and real rooms",
        ("frame", "episode"),
        bare="frame",
    )


def hold_looks_flag() -> Any:
    """The flag that says how long a look of a recorded episode lasts."""
    return cli.flag(
        1,
        "steps that a look lasts, with --randomize frame; a policy that looks at several observations needs "
        "as many",
        least=1,
        most=10_000,
    )


def quality_flag() -> Any:
    """The flag that says how recorded episodes are rendered."""
    return cli.flag("fast", "full adds shadows and smooth edges, at a tenth of the speed", ("fast", "full"))


def check_looks(looks: str, randomize: str | None, hold_looks: int = 1) -> None:
    """ValueError if `looks` or `hold_looks` would mean nothing."""
    if looks != "mild" and randomize is None:
        raise ValueError(f"--looks is {looks}; it needs --randomize")
    if hold_looks != 1 and randomize != "frame":
        raise ValueError(f"--hold_looks is {hold_looks}; it needs --randomize frame")


@dataclass(frozen=True)
class ExecutionConfig(ComputeConfig):
    """How a policy's chunks are executed, in simulation and on an arm."""

    TITLE: ClassVar[str] = "execution"

    temporal_agg: bool = cli.flag(
        False,
        "temporal ensembling: average the predictions of all past chunks; one is asked for at every step, or "
        "as --query_every says",
    )
    query_every: int | None = cli.flag(
        None,
        "actions of a chunk that are executed before the next is asked for; the policy's own if not given, 1 "
        "with --temporal_agg",
        least=1,
        most=MOST_STEPS,
    )
    join: str = cli.flag(
        "fade",
        "what becomes of the jump of the joints where a chunk begins: fade, it is cancelled and comes back "
        "slowly; inpaint, a policy that draws its actions is also given what the last chunk was going to do; "
        "or none, it stays",
        JOINS,
    )
    join_seconds: float = cli.flag(
        JOIN_SECONDS,
        f"how long that takes, s, but at least {LEAST_JOIN} steps; never longer than the chunk is executed",
        above=0,
        most=60,
    )
    ensemble_decay: float = cli.flag(
        ACT_DECAY,
        "of temporal ensembling: the weight of a prediction falls by this exponent from each step's to the "
        "next; below 0 the newest weighs most, above 0 the oldest",
        least=-10,
        most=10,
    )
    ensemble_drop: float | None = cli.flag(
        None,
        "of temporal ensembling: drop a chunk that is further than this from the newest, in standard "
        "deviations of the demonstrations' joints; none if not given",
        above=0,
    )

    def check_execution(self) -> None:
        """ValueError for flags that contradict each other."""
        if self.join == "none" and self.join_seconds != JOIN_SECONDS:
            raise ValueError(f"--join_seconds is {self.join_seconds:g}; with --join none it means nothing")
        if self.join == "inpaint" and self.temporal_agg:
            raise ValueError(
                "--join inpaint does not go with --temporal_agg, which averages all chunks; leave one out"
            )
        for name, unused in (("ensemble_decay", ACT_DECAY), ("ensemble_drop", None)):
            if getattr(self, name) != unused and not self.temporal_agg:
                raise ValueError(f"--{name} is {getattr(self, name):g}; it needs --temporal_agg")

    def check_policy(self, policy: PolicyConfig | Actor) -> None:
        """ValueError if chunks of a policy cannot be joined as the flags say."""
        if self.join == "inpaint" and not policy.inpaints:
            raise ValueError(
                "--join inpaint is for policies that draw their actions from noise, as Diffusion and Flow, "
                "and not for .onnx files; leave it out, or give --join fade"
            )


@dataclass(frozen=True)
class EvalConfig(ExecutionConfig):
    """All flags of an evaluation in simulation."""

    TITLE: ClassVar[str] = "evaluation"

    eval_rollouts: int = cli.flag(
        20, "rollouts of each evaluation while training (--eval_every)", least=1, most=MOST_STEPS
    )
    num_rollouts: int = cli.flag(
        50, "rollouts of an evaluation, from starts that no demonstration had", least=1, most=MOST_STEPS
    )
    first_rollout: int = cli.flag(
        0, "number of the first of them; rollout i of a seed always has the same start", least=0
    )
    num_videos: str = cli.flag(
        "3", "how many of them to film, or all; the rest is not rendered and runs faster"
    )
    randomize: str | None = cli.flag(
        None,
        "give the scene other looks in each rollout of an evaluation; drift also lets light and exposure "
        "change slowly within it",
        ("rollout", "drift"),
        bare="rollout",
    )
    looks: str = looks_flag()
    room: int | None = cli.flag(
        None,
        "number of a room with a look of its own that all rollouts are in, as the twin's --room",
        least=0,
        most=cli.MOST_SEED,
    )
    knock_loose: int | None = cli.flag(
        None,
        "step of an evaluation's rollouts at which the first prop is taken away and put at another start "
        "place; the rollout then lasts as many steps longer, and until the policy looks again",
        least=1,
        most=MOST_STEPS,
    )
    disturb: tuple[str, ...] | None = cli.flag(None, f"{HELP}{SWEEP_HELP}")
    onscreen_render: bool = cli.flag(False, "show the rollouts in a window (one at a time)")

    @classmethod
    def of(cls, config: EvalConfig) -> EvalConfig:
        """The flags of evaluations among those of a script."""
        return cls(**{field.name: getattr(config, field.name) for field in dataclasses.fields(cls)})

    def check_evaluation(self) -> None:
        """ValueError for the first value that makes no sense."""
        self.check_execution()
        check_looks(self.looks, self.randomize)
        if not re.fullmatch("all|[0-9]{1,6}", self.num_videos):
            raise ValueError(f"--num_videos is {self.num_videos!r}; it must be a number or all")
        check_words(self.disturb, bool(self.randomize))
        if self.room is not None and self.randomize:
            raise ValueError(
                f"--room is {self.room}; --randomize gives each rollout a look of its own: give one of them"
            )

    @property
    def videos(self) -> int:
        """How many rollouts are filmed."""
        return self.num_rollouts if self.num_videos == "all" else int(self.num_videos)

    def indices(self, count: int) -> range:
        """Numbers of so many rollouts."""
        return range(self.first_rollout, self.first_rollout + count)
