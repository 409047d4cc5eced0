"""The README's commands, and the user's own ("Example Usages" of ACT++), are understood word for word."""

import importlib
import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest

import cli
import imitate_episodes
from constants import TASKS
from policy import POLICIES

ROOT = Path(__file__).resolve().parents[1]
READMES = [ROOT / "README.md", ROOT / "README.ko.md"]
TRAIN = (
    "python3 imitate_episodes.py --task_name sim_transfer_cube_scripted --ckpt_dir <ckpt dir> "
    "--policy_class ACT --kl_weight 10 --chunk_size 100 --hidden_dim 512 --batch_size 8 "
    "--dim_feedforward 3200 --num_epochs 2000  --lr 1e-5 --seed 0"
)
USERS_OWN = [TRAIN, *(f"{TRAIN} {flags}" for flags in ("--eval", "--eval --temporal_agg --onscreen_render"))]


def commands(script: str) -> list[str]:
    """Every command line of the READMEs that runs `script`."""
    texts = "\n".join(path.read_text(encoding="utf-8") for path in READMES)
    return re.findall(rf"^ +(python3 {script}\.py .*)$", texts, re.MULTILINE)


def arguments(command: str) -> list[str]:
    return shlex.split(re.sub(r"<[^>]*>", "somewhere", command))[2:]


@pytest.mark.parametrize("command", commands("imitate_episodes"))
def test_imitate_episodes(command):
    config, _, policy = imitate_episodes.parse_flags(arguments(command))
    assert config.task_name and config.ckpt_dir
    assert config.task_name in TASKS or not config.task_name.startswith(("sim_", "mycobot320_"))
    assert type(policy) is POLICIES[config.policy_class].Config


@pytest.mark.parametrize("command", USERS_OWN)
def test_imitate_episodes_as_ever(command):
    config, training, policy = imitate_episodes.parse_flags(arguments(command))
    assert (policy.kl_weight, policy.hidden_dim, training.batch_size, training.lr) == (10, 512, 8, 1e-5)
    assert config.eval == ("--eval" in command) and config.temporal_agg == ("--temporal_agg" in command)


class Parsed(Exception):
    """What a script's flags came to."""


def scripts() -> list[tuple[str, str]]:
    """Script (as a module) and command, of each command line of the READMEs."""
    texts = "\n".join(path.read_text(encoding="utf-8") for path in READMES)
    found = re.findall(r"^ +(python3 ([\w/]+)\.py.*)$", texts, re.MULTILINE)
    return sorted({(script.replace("/", "."), command) for command, script in found})


@pytest.mark.parametrize(("script", "command"), scripts())
def test_every_command_is_understood(script, command, monkeypatch):
    parse = cli.Parser.parse_args

    def note(*args, **kwargs):
        raise Parsed(parse(*args, **kwargs))

    monkeypatch.setattr(cli.Parser, "parse_args", note)
    monkeypatch.setattr("sys.argv", [f"{script}.py", *arguments(command)])
    with pytest.raises(Parsed) as parsed:
        importlib.import_module(script).main()
    given = vars(parsed.value.args[0])
    flags = re.findall(r"--(\w+)", command)
    assert flags and not any(given[flag] is None or given[flag] is False for flag in flags)


def test_every_script_is_in_the_readme():
    named = {script for script, _ in scripts()}
    paths = [*ROOT.glob("*.py"), *ROOT.glob("mycobot_scripts/*.py")]
    runs = [path for path in paths if "cli.run(" in path.read_text(encoding="utf-8")]
    there = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in runs}
    assert named == there


def test_both_editions_have_the_same_commands_and_flags():
    english, korean = (path.read_text(encoding="utf-8") for path in READMES)
    for pattern in (r"^ {4}\S.*$", r"`[^`\n]+`", r"@\w+@"):
        found = [re.findall(pattern, text, re.MULTILINE) for text in (english, korean)]
        assert sorted(set(found[0])) == sorted(set(found[1]))
    assert "@" not in re.sub(r"`[^`]*`", "", english)  # nothing is left to fill in


def make_commands(target: str) -> list[list[str]]:
    """Our scripts as `make target` runs them, without running them."""
    command = ["make", "-n", target]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    lines = printed.replace("\\\n", " ").splitlines()
    return [shlex.split(line)[1:] for line in lines if re.search(r"python \w+\.py", line)]


def test_make_alone_lists_the_targets():
    shown = [
        subprocess.run(
            ["make", "--no-print-directory", *words], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
        for words in ([], ["help"])
    ]
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert shown[0] == shown[1] and len(shown[0].splitlines()) == len(targets)
    assert all(re.search(rf"^make {target} +\w.+$", shown[0], re.MULTILINE) for target in targets)


def test_make_demo_trains_and_evaluates_the_same_policy(monkeypatch):
    monkeypatch.chdir(ROOT)
    record, train, evaluate = make_commands("demo")
    trained, evaluated = (imitate_episodes.parse_flags(words[1:]) for words in (train, evaluate))
    assert trained[1:] == evaluated[1:]
    assert evaluated[0].eval and evaluated[0].num_rollouts == 50 and trained[0].resume
    assert (record[record.index("--dataset_dir") + 1],) == trained[0].dataset_dir


def test_make_demo_twin_runs_the_policy_that_it_trains(monkeypatch):
    monkeypatch.chdir(ROOT)
    record, train, run = make_commands("demo-twin")
    config, training, policy = imitate_episodes.parse_flags(train[1:])
    assert (record[record.index("--dataset_dir") + 1],) == config.dataset_dir
    run = dict(zip(run[1::2], run[2::2], strict=True))
    assert (run["--robot"], run["--task_name"], run["--ckpt_dir"]) == (
        *("twin", config.task_name, config.ckpt_dir),
    )
    assert "--ckpt_name" not in run and config.ckpt_name == "policy_last.ckpt", "the run tells which"


def test_the_fast_recipe_is_told_flag_by_flag():
    for path in READMES:
        text = path.read_text(encoding="utf-8")
        told = text[text.index("| `--image_size 120 160`") :]
        for name in json.loads((ROOT / "presets/small.json").read_text(encoding="utf-8")):
            assert f"--{name}" in told, name


@pytest.mark.parametrize("path", sorted((ROOT / "presets").glob("*.json")), ids=lambda path: path.stem)
def test_presets_are_flags(path):
    flags = ["--task_name", "sim_transfer_cube_scripted", "--ckpt_dir", "somewhere", "--config", str(path)]
    config, training, policy = imitate_episodes.parse_flags(flags)
    parsed = {**vars(config), **vars(training), **vars(policy)}
    for name, value in json.loads(path.read_text(encoding="utf-8")).items():
        assert parsed[name] == (tuple(value) if isinstance(value, list) else value)
    assert any(f"presets/{path.name}" in text.read_text(encoding="utf-8") for text in READMES)


def test_pictures_are_there():
    for path in READMES:
        pictures = re.findall(r"!\[[^]]*\]\(([^)]*)\)", path.read_text(encoding="utf-8"))
        assert pictures and all((ROOT / picture).is_file() for picture in pictures)


SHIPPED = {
    "sim_transfer_cube_scripted",
    "sim_transfer_cube_human",
    "sim_transfer_cube_scripted_mirror",
    "sim_insertion_scripted",
    "sim_insertion_human",
    "sim_insertion_scripted_mirror",
    "sim_move_cube_scripted",
    "sim_move_cube_human",
    "sim_mycobot320_move_cube_scripted",
    "sim_mycobot320_choose_scripted",
    "mycobot320_move_cube",
    "mycobot320_choose",
}  # tasks that come with the project; what a person adds need not be in the READMEs


@pytest.mark.parametrize("path", READMES, ids=lambda path: path.name)
def test_every_task_that_comes_with_the_project_is_named(path):
    assert set(TASKS) >= SHIPPED, "one was renamed or taken out"
    text = path.read_text(encoding="utf-8")
    unnamed = [name for name in sorted(SHIPPED) if f"`{name}`" not in text]
    assert not unnamed, f"name {', '.join(unnamed)} in {path.name}, in its section on tasks"
