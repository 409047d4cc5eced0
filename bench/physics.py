"""Physics alone, without images: control steps a second of each scripted task, and what Python costs.

Every task's script is driven once to get its joint actions. Then the environment steps through them, and
MuJoCo alone (`mj_step`) through the same actuator targets from the same start, in turns; the difference in
time is Python.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import mujoco
import numpy as np
from _harness import alternate, machine, make_parser, parse, report, timed, use_one_core

from constants import TASKS, Stream
from tasks import Task


class Race:
    """One task's environment, and MuJoCo alone, over the same episode."""

    def __init__(self, task: Task) -> None:
        from ee_sim_env import make_ee_sim_env
        from evaluation import run_script

        driven = make_ee_sim_env(task)
        episode = run_script(driven, task, np.random.default_rng([0, Stream.RECORD, 0]), ())
        self._env, self._actions, self._start = driven.env, episode.action, episode.env_state
        physics = self._env.physics
        self._model = physics.model.ptr
        self._data = mujoco.MjData(self._model)
        self._substeps = round(self._env.control_timestep() / physics.timestep())
        self._env.reset(env_state=self._start)
        self._state, self._controls = physics.get_state().copy(), []
        for action in self._actions:
            self._env.step(action)
            self._controls.append(physics.data.ptr.ctrl.copy())

    def env(self) -> float:
        """Seconds that the environment takes."""
        self._env.reset(env_state=self._start)
        return timed(lambda: [self._env.step(action) for action in self._actions])

    def mujoco(self) -> float:
        """Seconds that `mj_step` takes."""
        mujoco.mj_resetData(self._model, self._data)
        kinds = mujoco.mjtState.mjSTATE_QPOS | mujoco.mjtState.mjSTATE_QVEL
        mujoco.mj_setState(self._model, self._data, self._state, int(kinds))
        return timed(self._simulate)

    def _simulate(self) -> None:
        for control in self._controls:
            self._data.ctrl[:] = control
            mujoco.mj_step(self._model, self._data, self._substeps)

    def close(self) -> None:
        self._env.close()


def compare(args: argparse.Namespace, tasks: list[Task]) -> None:
    """Measure every task and print the table."""
    facts = machine()
    rows = []
    for task in tasks:
        race = Race(task)
        # neighbours in time see the same load of the machine: the share is taken round by round
        rounds = alternate(
            {f"{task.name}, environment": race.env, f"{task.name}, MuJoCo": race.mujoco}, args.repeats
        )
        whole, raw = map(np.array, rounds.values())
        race.close()
        steps = task.episode_len / np.median(whole)
        share = max(0.0, 1 - np.median(raw / whole))  # noise alone can put it below zero
        rows.append((task.name, f"{steps:.0f}", f"{steps / task.fps:.1f}x", f"{share:.0%}"))
    title = "Physics on one core, without images, over one scripted episode"
    report(title, facts, ("task", "control steps/s", "of real time", "outside mj_step"), rows)


def main() -> None:
    args = parse(make_parser(__doc__, repeats=5))
    tasks = [task for task in TASKS.values() if task.scene and task.script]
    if args.quick:
        tasks = [replace(task, episode_len=20) for task in tasks]
    use_one_core()
    compare(args, tasks)


if __name__ == "__main__":
    main()
