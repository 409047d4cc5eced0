"""Train a policy on recorded episodes, or evaluate it with --eval.

python3 imitate_episodes.py --task_name sim_transfer_cube_scripted --ckpt_dir runs/act --num_steps 20000
python3 imitate_episodes.py --task_name sim_transfer_cube_scripted --ckpt_dir runs/act --eval
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence

from common import ROOT, check_folder, check_wandb, choose, cli, hold
from policies import POLICIES, run_folder
from training import TrainConfig, TrainingRunConfig, simulated_task, training_task

ONCE = ("config", "resume", "overwrite", "eval", "chunk_seconds")  # flags of a single command, not of the run


def parse_flags(argv: Sequence[str] | None = None) -> tuple[TrainingRunConfig, TrainConfig, object]:
    """This script's flags, the training loop's, and those of the policy that `--policy_class` names."""
    argv = sys.argv[1:] if argv is None else argv
    first = cli.Parser(add_help=False)
    first.add_argument("--policy_class")
    first.add_argument("--config")
    early = first.parse_known_args(argv)[0]
    path = None if early.config is None else config_file(early.config)
    defaults = cli.read_flags(path, without=ONCE) if path else {}
    name = early.policy_class or defaults.get("policy_class", "ACT")
    policy_flags = POLICIES.config(choose("policy class", name, POLICIES))
    parser = cli.make_parser(__doc__, ("what", "evaluation", "execution", "data", "picture"))
    cli.add_flags(parser, TrainingRunConfig)
    cli.add_flags(parser, TrainConfig, "training")
    cli.add_flags(parser, policy_flags, f"policy {name}")
    parser.set_defaults(**policy_flags.training_defaults)
    cli.set_defaults(parser, defaults, path)
    args = parser.parse_args(argv)
    for field in set(policy_flags.within_chunk) - cli.spelt(argv) - set(defaults):
        setattr(args, field, max(1, min(getattr(args, field), getattr(args, policy_flags.chunk_flag()))))
    config, training = cli.from_flags(TrainingRunConfig, args), cli.from_flags(TrainConfig, args)
    if config.chunk_seconds is not None:
        check_chunk_flags(name, argv)
    check_wandb(training.wandb)
    return config, training, cli.from_flags(policy_flags, args)


def config_file(name: str) -> str:
    """The file that --config names: from the present folder, or a preset of ours (`presets/small.json`)."""
    for path in (name.strip(), str(ROOT / name.strip())):
        if os.path.exists(path) and name.strip():
            return path
    raise FileNotFoundError(f"--config is {name!r}; there is no such file")


def check_chunk_flags(name: str, argv: Sequence[str]) -> None:
    """ValueError if --chunk_seconds contradicts another flag, or means nothing."""
    field = POLICIES.config(name).chunk_flag()
    if field is None:
        raise ValueError(f"--chunk_seconds is given, but {name} predicts one action at a time")
    if {field, "chunk_size"} & cli.spelt(argv):
        raise ValueError(f"--chunk_seconds and --{field} are two ways to say one thing; give one of them")


def main() -> None:
    config, training, policy_config = parse_flags()
    check_folder(run_folder(config.ckpt_dir) if config.eval else config.ckpt_dir, "ckpt_dir")
    if config.eval:
        task = simulated_task(config.task_name, config.ckpt_dir)
        # these load torch, which takes seconds that --help and a bad flag need not wait
        from training import evaluate_run, unheeded

        for line in unheeded(run_folder(config.ckpt_dir), cli.spelt(sys.argv[1:]), config, policy_config):
            print(line)
        evaluate_run(config, task)
        return
    policy_config.check_sources()
    config.check_policy(policy_config)
    task = training_task(config.task_name, config.dataset_dir, config.camera_names)
    if config.chunk_seconds is not None:
        policy_config = policy_config.with_chunk(config.chunk_steps(task.fps))
    from common import join_world, pick_device
    from training import train

    with (
        join_world(pick_device(training.device)) as world,
        hold(config.ckpt_dir, make=not config.dry_run) if world.is_first else contextlib.nullcontext(),
    ):
        train(config, training, policy_config, task, world)


if __name__ == "__main__":
    cli.run(main)
