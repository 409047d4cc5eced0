"""The policies of a run: of checkpoints here, or of a server on another machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors import RemoteActor
from cameras import Reference, stored_references
from evaluation import Settings, content_version, moved_words
from mycobot_scripts.demos.policy_runs.flags import ModelRunsConfig
from mycobot_scripts.demos.policy_runs.parts import check_fit, open_actors, speed_limits
from mycobot_scripts.robot import Setup
from tasks import Task

if TYPE_CHECKING:
    from actors import Actor


@dataclass(frozen=True)
class RunPolicies:
    """What acts in a run, one after the other, and what is known of it."""

    actors: Sequence[Actor]
    title: str  # where they are from
    names: tuple[str, ...]  # of the checkpoints
    version: str  # of what they hold (`content_version`)
    references: Mapping[str, Reference]  # what the cameras show where the first one's demonstrations begin

    def settings(self, config: ModelRunsConfig, setup: Setup, task: Task) -> Settings:
        """How the runs are made; `task` has their steps a second and length."""
        return Settings.of(
            config,
            self.actors,
            checkpoints=self.names,
            version=self.version,
            robot=setup.config.robot,
            first=config.first_rollout,
            count=config.num_rollouts,
            fps=float(task.fps),
            speed_margin=config.speed_margin if speed_limits(self.actors, config.speed_margin) else None,
            pace=setup.config.pace,
            room=setup.config.room,
            drift=setup.config.drift,
            moved=moved_words(setup.config.move_camera),
            steps=task.episode_len,
        )


def open_policies(config: ModelRunsConfig, setup: Setup, task: Task) -> RunPolicies:
    """As the flags say; ValueError unless each fits the arm and the task's cameras."""
    if config.server is not None:
        actor = RemoteActor(config.server, config.token or "", setup.limits.stale / setup.config.pace)
        title = f"{actor.place}/{actor.about.name}"
        check_fit(actor, task, title)
        references = stored_references(actor.references, f"{title}: its references")
        return RunPolicies([actor], title, (actor.about.name,), actor.about.version, references)
    from evaluation import checkpoint_references

    paths = config.checkpoints
    return RunPolicies(
        open_actors(paths, task, config, config.camera_names),
        " + ".join(map(str, paths)),
        tuple(path.name for path in paths),
        content_version(paths),
        checkpoint_references(paths[0]),
    )
