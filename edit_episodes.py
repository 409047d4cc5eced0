"""Look at a dataset of episodes, check it, and make others from it: see `edit_episodes.py COMMAND --help`.

    python3 edit_episodes.py info --dataset_dir data/sim_transfer_cube_scripted
    python3 edit_episodes.py truncate --dataset_dir data/mine --steps 300 --output_dir data/short --dry_run

Nothing is changed in place without `--in_place`, and then completely or not at all; `--dry_run` shows
what a command would do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import Workers, cli, command_line, file_identity, hold, read_plan
from dataset_tools import (
    AlignFlags,
    CheckFlags,
    ClicksFlags,
    CompressFlags,
    DecompressFlags,
    DeleteFlags,
    ExportFlags,
    ImportLeRobotFlags,
    InfoFlags,
    MaskFlags,
    MergeFlags,
    MirrorFlags,
    MultiplyFlags,
    PlacesFlags,
    Plan,
    RecolorFlags,
    RegionFlags,
    RelabelFlags,
    ResampleFlags,
    ShiftActionsFlags,
    SplitFlags,
    StatsFlags,
    TruncateFlags,
    align,
    carry_out,
    check,
    clicks,
    compress,
    decompress,
    delete,
    export_lerobot,
    finish_earlier,
    import_lerobot,
    import_recordings,
    info,
    mask,
    merge,
    mirror,
    multiply,
    places,
    recolor,
    region,
    relabel,
    resample,
    shift_actions,
    show_stats,
    split,
    truncate,
)
from readers import ImportFlags


@dataclass(frozen=True)
class SubCommand:
    """A sub-command: its flags, and what it does with them. A change is returned as a plan."""

    flags: type
    run: Callable[[Any], Plan | None]

    @property
    def description(self) -> str:
        """The first line of its function's docstring."""
        return (self.run.__doc__ or "").splitlines()[0]


COMMANDS = {
    "info": SubCommand(InfoFlags, info),
    "check": SubCommand(CheckFlags, check),
    "stats": SubCommand(StatsFlags, show_stats),
    "region": SubCommand(RegionFlags, region),
    "compress": SubCommand(CompressFlags, compress),
    "decompress": SubCommand(DecompressFlags, decompress),
    "truncate": SubCommand(TruncateFlags, truncate),
    "align": SubCommand(AlignFlags, align),
    "resample": SubCommand(ResampleFlags, resample),
    "shift_actions": SubCommand(ShiftActionsFlags, shift_actions),
    "mirror": SubCommand(MirrorFlags, mirror),
    "multiply": SubCommand(MultiplyFlags, multiply),
    "clicks": SubCommand(ClicksFlags, clicks),
    "places": SubCommand(PlacesFlags, places),
    "mask": SubCommand(MaskFlags, mask),
    "recolor": SubCommand(RecolorFlags, recolor),
    "relabel": SubCommand(RelabelFlags, relabel),
    "split": SubCommand(SplitFlags, split),
    "merge": SubCommand(MergeFlags, merge),
    "delete": SubCommand(DeleteFlags, delete),
    "export_lerobot": SubCommand(ExportFlags, export_lerobot),
    "import": SubCommand(ImportFlags, import_recordings),
    "import_lerobot": SubCommand(ImportLeRobotFlags, import_lerobot),
}


def _example(name: str, command: SubCommand) -> str:
    """An example of its command line."""
    words = {"dataset_dir": "data/mine", "output_dir": "data/new", "steps": "300", "fps": "25"}
    words["from"] = "downloads/demo.hdf5"
    needed = [flag.name for flag in cli.flags_of_type(command.flags) if flag.rule.required]
    given = [f"--{flag} {words[flag]}" for flag in needed]
    return command_line(" ".join(["edit_episodes.py", name, *given]))


def parse_flags(argv: Sequence[str] | None = None) -> tuple[str, Any]:
    """The sub-command's name and its flags."""
    parser = cli.make_parser(__doc__)
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        subparser = cli.add_parser(subparsers, name, command.description, _example(name, command))
        cli.add_flags(subparser, command.flags)
    args = parser.parse_args(argv)
    flags = cli.from_flags(COMMANDS[args.command].flags, args)
    if isinstance(flags, Workers):
        flags.check_workers()
    return args.command, flags


def main() -> None:
    name, flags = parse_flags()
    is_dry = getattr(flags, "dry_run", False)
    if is_dry or not hasattr(type(flags), "root"):  # only looks, or makes a new folder as a whole
        plan = COMMANDS[name].run(flags)
        if plan is not None:
            plan.check()
            print(f"{plan.text()}\nnothing was written (--dry_run)")
        return
    settings = {n: v for n, v in cli.flags_of(flags).items() if n not in cli.flags_of(Workers())}
    if settings.get("clicks") and Path(flags.clicks).is_file():
        settings["clicks"] = [flags.clicks, *file_identity(flags.clicks)]  # what was clicked, not its name
    folders = flags.dataset_dir if isinstance(flags.dataset_dir, tuple) else (flags.dataset_dir,)
    for folder in map(Path, folders):
        if read_plan(folder) and folder.resolve() != flags.root.resolve():
            with hold(folder):
                finish_earlier(folder)
    with hold(flags.root, make=not getattr(flags, "in_place", False)):
        if not finish_earlier(flags.root, name, settings):
            change(name, flags, settings)


def change(name: str, flags: Any, settings: dict[str, Any]) -> None:
    """Plan a sub-command's changes, and make them."""
    plan = COMMANDS[name].run(flags)
    plan.check()
    if not plan.writes and not plan.moves:
        print("nothing to do")
        return
    print("\n".join(plan.notes), end="\n" if plan.notes else "")
    carry_out(plan, name, settings, flags)


if __name__ == "__main__":
    cli.run(main)
