"""The front page and docs/, in both languages: their commands are understood, their links lead somewhere, and
docs/flags.md is what the scripts say. So are the user's own commands ("Example Usages" of ACT++).
"""

import functools
import importlib
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from repository import ROOT

import imitate_episodes
from bench import flags_page
from common import cli
from constants import TASKS
from policies.registry import POLICIES

DOCS = ROOT / "docs"
FRONT = [ROOT / "README.md", ROOT / "README.ko.md"]
PAGES = [*FRONT, *sorted(DOCS.glob("*.md")), *sorted(DOCS.glob("ko/*.md"))]
EDITIONS = [(FRONT[0], FRONT[1]), *((DOCS / path.name, path) for path in sorted(DOCS.glob("ko/*.md")))]
# of every script, of TensorBoard, of Dask, of the scripts in bench/, and (as far as `-` or `.`) of pip, uv,
# LeRobot
OTHERS = {
    "--help",
    "--logdir",
    "--nthreads",
    "--out",
    "--rows",
    "--rollouts",
    "--steps",
    "--task",
    "--quick",
    "--plain",
    "--film",
}
OTHERS |= {"--index", "--no", "--minutes", "--overrides", "--torch", "--env", "--policy"}
TRAIN = (
    "python3 imitate_episodes.py --task_name sim_transfer_cube_scripted --ckpt_dir <ckpt dir> "
    "--policy_class ACT --kl_weight 10 --chunk_size 100 --hidden_dim 512 --batch_size 8 "
    "--dim_feedforward 3200 --num_epochs 2000  --lr 1e-5 --seed 0"
)
USERS_OWN = [TRAIN, *(f"{TRAIN} {flags}" for flags in ("--eval", "--eval --temporal_agg --onscreen_render"))]


def named(value: object) -> str:
    """What a test calls its parameter."""
    return value.relative_to(ROOT).as_posix() if isinstance(value, Path) else str(value)


@functools.cache
def text_of(path: Path) -> str:
    """A page, with each command in one line."""
    return re.sub(r" *\\\n\s*", " ", path.read_text(encoding="utf-8"))


def commands_of(path: Path) -> list[str]:
    """The command lines of a page, without their comments."""
    lines = re.findall(r"^ {4}((?:python3?|torchrun|make|source) .*)$", text_of(path), re.MULTILINE)
    return [re.sub(" +#.*", "", line) for line in lines]


def script_of(command: str) -> str | None:
    """The script that a command runs, as a module; None if it runs none of ours."""
    script = re.search(r"\b([\w/]+)\.py .*--", command)
    return script and script[1].replace("/", ".")


COMMANDS = sorted({command for path in PAGES for command in commands_of(path) if script_of(command)})
TRAINING = [command for command in COMMANDS if script_of(command) == "imitate_episodes"]


def arguments(command: str) -> list[str]:
    """The words behind the script."""
    return shlex.split(re.sub(r"<[^>]*>", "somewhere", command).partition(".py ")[2])


@pytest.mark.parametrize("command", TRAINING)
def test_imitate_episodes(command, monkeypatch):
    monkeypatch.chdir(ROOT)
    config, _, policy = imitate_episodes.parse_flags(arguments(command))
    assert config.task_name and config.ckpt_dir
    known = {*TASKS, "sim_stack_cubes_scripted"}  # that docs/add_a_task.md adds
    assert config.task_name in known or not config.task_name.startswith(("sim_", "mycobot320_"))
    assert type(policy) is POLICIES.config(config.policy_class)


@pytest.mark.parametrize("command", USERS_OWN)
def test_imitate_episodes_as_ever(command):
    config, training, policy = imitate_episodes.parse_flags(arguments(command))
    assert (policy.kl_weight, policy.hidden_dim, training.batch_size, training.lr) == (10, 512, 8, 1e-5)
    assert config.eval == ("--eval" in command) and config.temporal_agg == ("--temporal_agg" in command)


class Parsed(Exception):
    """What a script's flags came to."""


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_understood(command, monkeypatch):
    parse, script = cli.Parser.parse_args, script_of(command)

    def note(*args, **kwargs):
        raise Parsed(parse(*args, **kwargs))

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(cli.Parser, "parse_args", note)
    monkeypatch.setattr("sys.argv", [f"{script}.py", *arguments(command)])
    with pytest.raises(Parsed) as parsed:
        importlib.import_module(script).main()
    given = vars(parsed.value.args[0])
    flags = re.findall(r"--(\w+)( false\b)?", command.partition(".py ")[2])
    assert flags and not any(given[flag] is None for flag, _ in flags)
    assert all((given[flag] is False) == bool(is_off) for flag, is_off in flags)


def test_every_script_is_on_a_page():
    shown = {script_of(command).replace(".", "/") for command in COMMANDS}
    assert shown == set(flags_page.scripts())


def test_the_page_of_flags_is_what_the_scripts_say():
    page = flags_page.PAGE.read_text(encoding="utf-8")
    assert page == flags_page.page(), "a flag was changed: python3 -m bench.flags_page"


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_flags_that_a_page_names_are_there(path):
    there = set(re.findall(r"--\w+", flags_page.PAGE.read_text(encoding="utf-8"))) | OTHERS
    spans = " ".join(re.findall(r"`[^`\n]+`", text_of(path)))
    assert not set(re.findall(r"--\w+", spans)) - there


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_files_that_a_page_names_are_there(path):
    shown = re.findall(
        r"`(?:python3 )?((?:bench|presets|assets|policies|detr|docs)/[\w/]+\.\w+)", text_of(path)
    )
    new = {"assets/stack_cubes.xml"}  # that docs/add_a_task.md adds
    assert not [name for name in shown if not (ROOT / name).is_file() and name not in new]


def anchors(path: Path) -> set[str]:
    """GitHub's names for a page's headings."""
    titles = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_links_lead_somewhere(path):
    links = re.findall(r"\]\(([^)]+)\)|src=\"([^\"]+)\"", path.read_text(encoding="utf-8"))
    for link in filter(lambda link: not link.startswith("https://"), map("".join, links)):
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.is_file(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_lines_are_short(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if len(line) > 120] == []
    assert path not in FRONT or len(lines) <= 160


@pytest.mark.parametrize(("english", "korean"), EDITIONS, ids=named)
def test_both_editions_have_the_same_commands_and_code(english, korean):
    assert commands_of(english) == commands_of(korean)
    for pattern in (r"`[^`\n]+`", r"^```\w+\n(.*?)^```"):
        code = [
            set(re.findall(pattern, text_of(path), re.MULTILINE | re.DOTALL)) for path in (english, korean)
        ]
        assert code[0] == code[1]


def make_commands(target: str) -> list[list[str]]:
    """Our scripts as `make target` runs them, without running them."""
    command = ["make", "-n", target]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    (demo,) = re.findall(r"python (demo\.py.*)", printed)
    command = [sys.executable, *f"{ROOT}/{demo}".split(), "--dry_run"]
    shown = subprocess.run(command, cwd="/", capture_output=True, text=True, check=True).stdout
    return [shlex.split(line)[1:] for line in shown.splitlines()]


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


def test_the_list_without_cuda_is_the_whole_list_but_cuda():
    whole, cpu = (
        (ROOT / name).read_text(encoding="utf-8") for name in ("requirements.txt", "requirements-cpu.txt")
    )
    assert re.findall(r"^-r .*", whole, re.MULTILINE) == ["-r requirements-cpu.txt"]
    cuda = set(re.findall(r"^([\w-]+)==", whole, re.MULTILINE))
    assert {"nvidia-cublas", "triton"} <= cuda and "torch==" in cpu and "torch==" not in whole
    assert all("sys_platform == 'linux'" in line for line in whole.splitlines() if "==" in line)
    assert not re.search("nvidia|cuda-|triton", cpu) and "://" not in whole + cpu


def test_the_list_for_the_arm_is_a_part_of_the_whole():
    arm, whole = (
        [
            line
            for line in (ROOT / f"requirements-{name}.txt").read_text(encoding="utf-8").splitlines()
            if "==" in line
        ]
        for name in ("arm", "cpu")
    )
    pins = {line.partition(" ")[0] for line in whole}
    assert {line.partition(" ")[0] for line in arm} <= pins and "onnxruntime" in str(arm)
    assert not re.search("torch|mujoco|matplotlib|scipy", str(arm))


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


@pytest.mark.parametrize("path", [path for path in PAGES if path.name == "train.md"], ids=named)
def test_the_fast_recipe_is_told_flag_by_flag(path):
    recipe = text_of(path)[text_of(path).index("| `--image_size 120 160`") :]
    for name in json.loads((ROOT / "presets/small.json").read_text(encoding="utf-8")):
        assert f"--{name}" in recipe, name


@pytest.mark.parametrize("path", sorted((ROOT / "presets").glob("*.json")), ids=lambda path: path.stem)
def test_presets_are_flags(path):
    flags = ["--task_name", "sim_transfer_cube_scripted", "--ckpt_dir", "somewhere", "--config", str(path)]
    config, training, policy = imitate_episodes.parse_flags(flags)
    parsed = {**vars(config), **vars(training), **vars(policy)}
    for name, value in json.loads(path.read_text(encoding="utf-8")).items():
        assert parsed[name] == (tuple(value) if isinstance(value, list) else value)
    assert any(f"presets/{path.name}" in command for command in COMMANDS)


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
}  # tasks that come with the project; what a person adds need not be on a page


def test_every_task_that_comes_with_the_project_is_named():
    assert set(TASKS) >= SHIPPED, "one was renamed or taken out"
    text = (DOCS / "tasks.md").read_text(encoding="utf-8")
    assert not [name for name in sorted(SHIPPED) if f"`{name}`" not in text]
