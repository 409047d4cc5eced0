"""Every flag of every script, with values that no flag should take."""

import importlib
import json
import math
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from repository import ROOT

import edit_episodes
import imitate_episodes
from common import cli
from policies.registry import POLICIES

PATHS = [*sorted(ROOT.glob("*.py")), *sorted(ROOT.glob("mycobot_scripts/*.py"))]
SCRIPTS = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in PATHS
    if "cli.run(" in path.read_text(encoding="utf-8")
]
BASE = {
    "replay_episodes": ["--dataset_dir", "d"],
    "mycobot_scripts.replay_episode": ["--dataset_dir", "d"],
    "model_runs": ["--ckpt_dir", "d"],
}
NO_NUMBERS = ("nan", "inf", "-inf", "1e400", "", " ", "many", "٣", "1_000", "５", "0x10", "9" * 5000)
NUMBERS = ("0", "-1", "-0.5", "1e-9", "1.5", "99999999999", "1e308", "-99999999999999999999999")
NO_TEXTS = ("", "  ", "a\nb", "\x00")
COMMANDS = [
    *((name, ()) for name in SCRIPTS if name != "edit_episodes"),
    *(("edit_episodes", (name,)) for name in edit_episodes.COMMANDS),
    *(("imitate_episodes", ("--policy_class", name)) for name in POLICIES if name != "ACT"),
]


class Line:
    """A script's command line, or that of a sub-command of it."""

    def __init__(self, script, first, monkeypatch):
        self.parse = importlib.import_module(script).parse_flags
        self.flags, add_flags = {}, cli.add_flags

        def noted(parser, config, title=None):
            self.flags.update({flag.name: flag for flag in cli.flags_of_type(config)})
            add_flags(parser, config, title)

        if script == "edit_episodes":  # one sub-command alone is made much sooner than all
            only = {first[0]: edit_episodes.COMMANDS[first[0]]}
            monkeypatch.setattr(edit_episodes, "COMMANDS", only)
        monkeypatch.setattr(cli, "add_flags", noted)
        with pytest.raises(SystemExit):
            self.parse([*first, "--help"])
        monkeypatch.setattr(cli, "add_flags", add_flags)
        self.needed = {n: self.good(f) for n, f in self.flags.items() if f.rule.required}
        self.first = [*first, *BASE.get(script, ())]
        if script == "imitate_episodes" and first:  # the others are walked with ACT
            own = {flag.name for flag in cli.flags_of_type(POLICIES[first[1]].Config)}
            self.flags = {name: flag for name, flag in self.flags.items() if name in own}

    def good(self, flag):
        """A word that the flag takes."""
        return "x" if flag.kind.item in (str, Path) else "3"

    def words(self, name, values):
        needed = [word for n, good in self.needed.items() if n != name for word in (f"--{n}", good)]
        return [*self.first, *needed, f"--{name}", *values]


def tries(flag):
    """(values, whether they must be refused) of a flag."""
    kind, count = flag.kind, flag.kind.count or 1
    bad = NO_NUMBERS if kind.item in (int, float) else NO_TEXTS if kind.item in (str, Path) else ("maybe", "")
    if flag.rule.choices is not None:
        bad = (*bad, "nonsense")
    open_ended = NUMBERS if kind.item in (int, float) else ()
    if kind.form is dict:
        yield from (([f"a={','.join([word] * count)}"], True) for word in bad if kind.item is not str)
        yield from (([f"a={','.join([word] * count)}"], False) for word in open_ended)
        yield from ((words, True) for words in (["a"], ["=1"], ["a=1", "a=1"], ["a="], [f"a={'1,' * 9}1"]))
    else:
        yield from (([word] * count, True) for word in bad)
        yield from (([word] * count, False) for word in open_ended)
    if kind.item is not bool and not flag.rule.bare:
        yield [], True
    if flag.rule.distinct:
        yield ["x", "x"], True


def outcome(parse, words, capsys):
    """What the parser makes of the words; or None and the one line that it ends with."""
    made = []
    try:
        cli.run(lambda: made.append(parse(words)))
    except SystemExit as end:
        said = capsys.readouterr()
        text = said.err + (f"{end.code}\n" if isinstance(end.code, str) else "")
        assert end.code not in (0, None), words
        assert text.startswith("error: ") and text.count("\n") == 1 and not said.out, (words, text)
        assert "ACT_TRACEBACK" not in text and len(text) < 700, (words, text)
        return None, text
    return made[0], ""


def value_of(made, name):
    """The value of a flag among the configs that a parser made."""
    configs = made if isinstance(made, tuple) else (made,)
    parts = [
        part
        for c in configs
        for part in (c, *(getattr(c, n, None) for n in ("limits", "servo", "config", "teleop")))
    ]
    return next(getattr(part, name) for part in parts if hasattr(part, name))


def numbers(value):
    if isinstance(value, dict):
        return [number for entry in value.values() for number in numbers(entry)]
    return [n for entry in value for n in numbers(entry)] if isinstance(value, (tuple, list)) else [value]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ACT_TRACEBACK", raising=False)
    yield
    assert list(tmp_path.iterdir()) == [], "nothing is written before a refusal"


@pytest.mark.parametrize(
    ("script", "first"), COMMANDS, ids=lambda value: "-".join([value] * isinstance(value, str) or value)
)
def test_every_flag_takes_what_makes_sense_and_refuses_all_else_in_one_line(
    script, first, monkeypatch, capsys
):
    line = Line(script, first, monkeypatch)
    capsys.readouterr()
    assert outcome(
        line.parse, [*line.first, *(w for n, g in line.needed.items() for w in (f"--{n}", g))], capsys
    )
    for name, flag in line.flags.items():
        for values, is_bad in tries(flag):
            made, text = outcome(line.parse, line.words(name, values), capsys)
            if made is None:
                assert f"--{name}" in text or "unknown policy class" in text, (name, values, text)
                continue
            assert not is_bad, (name, values)
            for number in numbers(value_of(made, name)):
                assert math.isfinite(number) and abs(number) <= max(10**9, flag.rule.most or 0), (
                    name,
                    values,
                )


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_missing_flag_is_one_line_that_asks_for_it(script, monkeypatch, capsys):
    commands = [[name] for name in edit_episodes.COMMANDS] if script == "edit_episodes" else [[]]
    for first in commands:
        line = Line(script, first, monkeypatch)
        monkeypatch.undo()
        capsys.readouterr()
        if not line.needed:
            continue
        made, text = outcome(line.parse, first, capsys)
        assert made is None and re.match(r"error: --\w+ is missing; give the ", text), text


SENSELESS = {  # by script, separated by bars
    "imitate_episodes": (
        "--hidden_dim 0 | --nheads 0 | --enc_layers -1 | --dec_layers 0 | --dim_feedforward 0 | "
        "--vq_class 0 | --vq_dim 1 | --kl_weight -1 | --kl_weight nan | --dropout nan | --dropout 1 | "
        "--lr nan | --lr 0 | --lr 1e308 | --lr_backbone -1 | --lr_backbone inf | --weight_decay -1 | "
        "--beta2 1 | --beta2 -0.1 | "
        "--grad_clip nan | --warmup_steps -1 | --eval_rollouts 0 | --eval_rollouts -1 | --camera_names "
        "top top | --seed -1 | --image_size 1 1 | --image_size 100000 100000 | --early_steps 100000000000 "
        "| --state_noise 1e308 | --sample_weights nan | --num_steps 99999999999 | --num_epochs "
        "99999999999 | --accumulate 99999999999 | --batch_size 99999999999 | --first_rollout 99999999999 "
        "| --num_videos ٣ | --resume --overwrite | --task_name '' | --dataset_dir '' | --seed "
        "9223372036854775808 | --hidden_dim 12 --nheads 5 | --hidden_dim 6 --nheads 2 | --no_encoder "
        "--use_vq | --config '' | --query_every 0"
    ),
    "record_sim_episodes": (
        "--num_episodes 99999999999 | --hesitate 99999999999 | --noise 1e308 | --seed -1"
    ),
    "train_backbone": ("--epochs 99999999999 | --resume --overwrite | --lr_drops 0.5 nan"),
    "model_runs": (
        "--seconds inf | --table_height nan | --table_height -inf | --clearance -5 | --tool_length inf | "
        "--range_margin nan | --deviation_time nan | --max_temperature nan | --max_temperature -1 | "
        "--max_current 0 | --stale inf | --frozen inf | --max_step inf | --gripper_step inf | "
        "--start_speed inf | --max_deviation inf | --port '' | --box_x 0.3 0.1 | --speed 0 | --seconds 1 "
        "2 | --cameras top | --cameras top=1,top=2"
    ),
    "mycobot_scripts.record_episodes": (
        "--seed -1 | --num_episodes 99999999999 | --port '' | --guide_speed 0"
    ),
    "mycobot_scripts.twin": ("--http_port 70000 | --camera_fps 0 | --stuck_joint 7 | --late_share 2"),
}


@pytest.mark.parametrize("script", SENSELESS)
def test_what_makes_no_sense_is_refused_before_anything_else(script, monkeypatch, capsys):
    line = Line(script, (), monkeypatch)
    capsys.readouterr()
    needed = [word for name, good in line.needed.items() for word in (f"--{name}", good)]
    for words in SENSELESS[script].split(" | "):
        made, text = outcome(line.parse, [*line.first, *needed, *shlex.split(words)], capsys)
        assert made is None and "--" in text, words


def wrong_values(flag):
    """Values of a JSON file that a flag cannot have."""
    yield from (
        [],
        {},
        [None],
        {"a": None},
        [[1]],
        float("nan"),
        float("inf"),
        10**400,
        "",
        1.5 if flag.kind.item is not float else "1",
    )
    if not flag.kind.optional:
        yield None
    if flag.kind.item is bool:
        yield from ("false", "true", 0, 1)
    if flag.rule.choices:
        yield "evil"


def test_a_file_of_flags_passes_through_the_same_checks(monkeypatch, capsys, tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "config.json"
    for name in POLICIES:
        line = Line("imitate_episodes", ("--policy_class", name), monkeypatch)
        if name == "ACT":
            line.flags = Line("imitate_episodes", (), monkeypatch).flags
        line.flags = {n: f for n, f in line.flags.items() if n not in imitate_episodes.ONCE}
        capsys.readouterr()
        words = ["--policy_class", name, "--task_name", "t", "--ckpt_dir", "c", "--config", str(path)]
        for flag in line.flags.values():
            for value in wrong_values(flag):
                if flag.name == "policy_class":
                    continue
                path.write_text(json.dumps({flag.name: value}), encoding="utf-8")
                made, text = outcome(imitate_episodes.parse_flags, words, capsys)
                assert made is None and f"--{flag.name}" in text and str(path) in text, (
                    flag.name,
                    value,
                    text,
                )


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_has_two_examples_that_are_understood(script, capsys):
    module = importlib.import_module(script)
    with pytest.raises(SystemExit):
        module.parse_flags(["--help"])
    text = capsys.readouterr().out
    usage, examples = text.splitlines()[0], text.partition("examples:\n")[2].splitlines()
    assert usage.startswith(f"usage: python3 {script.replace('.', '/')}.py ") and usage.endswith("[options]")
    assert len(usage) < 130 and "(default: None)" not in text and "(default: False)" not in text
    assert len(examples) >= 2
    for example in examples:
        python, path, *words = shlex.split(example)
        assert (python, path) == ("python3", f"{script.replace('.', '/')}.py")
        module.parse_flags(words)


def test_help_of_training_begins_with_what_and_ends_with_the_policy(capsys):
    with pytest.raises(SystemExit):
        imitate_episodes.parse_flags(["--help"])
    text = capsys.readouterr().out
    titles = re.findall(r"^(\w.*):$", text, re.MULTILINE)
    assert titles[1:6] == ["what", "evaluation", "execution", "data", "picture"]
    assert titles[-3:-1] == ["training", "policy ACT"]
    assert text.index("--task_name TASK_NAME\n") < text.index("--num_rollouts ") < text.index("--roi ")


@pytest.mark.parametrize("name", [name for name in POLICIES if POLICIES.config(name).chunk_flag()])
def test_every_policy_takes_the_chunk_size_of_act(name):
    words = ["--task_name", "t", "--ckpt_dir", "c", "--policy_class", name, "--chunk_size", "16"]
    policy = imitate_episodes.parse_flags(words)[2]
    assert policy.chunk_size == 16
    for field in policy.within_chunk:
        assert getattr(policy, field) <= 16


def test_two_spellings_of_one_flag_are_not_mixed(capsys):
    words = ["--task_name", "t", "--ckpt_dir", "c", "--policy_class", "Diffusion", "--chunk_size", "16"]
    made, text = outcome(imitate_episodes.parse_flags, [*words, "--prediction_horizon=32"], capsys)
    assert made is None and "--prediction_horizon and --chunk_size are one flag" in text
    made, text = outcome(imitate_episodes.parse_flags, [*words, "--action_horizon", "17"], capsys)
    assert made is None and "--action_horizon is 17; it must not be more than --prediction_horizon" in text


def test_a_switch_of_a_preset_is_turned_off(tmp_path_factory):
    path = tmp_path_factory.mktemp("preset") / "preset.json"
    path.write_text('{"no_encoder": true}', encoding="utf-8")
    words = ["--task_name", "t", "--ckpt_dir", "c", "--config", str(path)]
    assert imitate_episodes.parse_flags(words)[2].no_encoder
    assert not imitate_episodes.parse_flags([*words, "--no_encoder", "false"])[2].no_encoder


def test_the_twin_takes_the_task_in_both_spellings():
    from mycobot_scripts import twin

    for flag in ("--task", "--task_name"):
        assert twin.parse_flags([flag, "sim_x"])[0].task_name == "sim_x"


def run_script(script, *words, cwd):
    command = [sys.executable, str(ROOT / f"{script}.py"), *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (
            "imitate_episodes --ckpt_dir r",
            "error: --task_name is missing; give the task, e.g. sim_transfer_cube",
        ),
        ("edit_episodes info", "error: --dataset_dir is missing; give the folder of the episodes"),
        (
            "edit_episodes info --dataset_dir a --in_place",
            "error: '--in_place' is no flag of this command, but of another; --help",
        ),
        ("report --rnus a", "error: '--rnus' is no flag of this command; did you mean --runs?"),
        (
            "mycobot_scripts/record_episodes --stale nan --task_name x",
            "error: --stale is nan; it must be a finite",
        ),
    ],
)
def test_the_shell_sees_one_line(command, said, tmp_path):
    script, *words = command.split()
    done = run_script(script, *words, cwd=tmp_path)
    assert done.returncode != 0 and done.stdout == ""
    assert done.stderr.startswith(said) and done.stderr.count("\n") == 1
