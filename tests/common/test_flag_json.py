"""Scripts tell their flags as JSON, and what a form makes of them is what their parsers take."""

import json
import shlex

import pytest

import imitate_episodes
import record_sim_episodes
from bench.flags_page import parser_of
from common.flags.flag_json import flags_as_json, told_flags

SCRIPTS = {"imitate_episodes": (), "record_sim_episodes": (), "model_runs": (), "edit_episodes": ("check",)}


def told(script, *words):
    return told_flags(json.loads(json.dumps(flags_as_json(parser_of(script, *words)))))


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_flag_is_told_with_its_default(script):
    parser = parser_of(script, *SCRIPTS[script])
    flags = told(script, *SCRIPTS[script])
    assert flags.keys() == {flag.name for flag in parser.flags.values()}
    for name, flag in flags.items():
        default = parser.get_default(parser.flags[name].name)
        assert flag.default == json.loads(json.dumps(default, default=str))
        assert flag.flag.kind == parser.flags[name].kind and flag.flag.rule.help


def test_help_is_json_where_it_is_asked_for(monkeypatch, capsys):
    monkeypatch.setenv("ACT_HELP", "json")
    with pytest.raises(SystemExit):
        record_sim_episodes.parse_flags(["--help"])
    names = [flag["name"] for flag in json.loads(capsys.readouterr().out)["flags"]]
    assert names[0] == "task_name" and "help" not in names


def sample(flag):
    """A value of a flag that is not its default, as a person types it."""
    kind, rule = flag.flag.kind, flag.flag.rule
    if flag.is_switch:
        return not flag.default
    if rule.choices:
        item = str(next((one for one in rule.choices if one != flag.default), rule.choices[0]))
    elif kind.item in (int, float):
        low = rule.least if rule.least is not None else rule.above + 0.5 if rule.above is not None else -3
        item = str(kind.item(low))
        if rule.below is not None and float(item) >= rule.below:
            item = "0.25"
    else:
        item = "word"
    if kind.form is dict:
        return [f"name={','.join([item] * (kind.count or 1))}"]
    return [item] * (kind.count or 1) if kind.form else item


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_parser_takes_the_words_of_every_flag(script):
    first = SCRIPTS[script]
    flags, parser = told(script, *first), parser_of(script, *first)
    dests = {
        parser.flags[action.dest].name: action.dest
        for action in parser._actions
        if action.dest in parser.flags
    }
    for name, flag in flags.items():
        typed = sample(flag)
        value = getattr(parser.parse_args(flag.words(typed)), dests[name])
        assert value == typed if flag.is_switch else value is not None, name
        assert parser.flags[name].problem(tuple(value) if isinstance(value, list) else value) is None, name


def test_a_form_of_training_is_the_command_that_a_person_types():
    flags = told("imitate_episodes")
    values = {
        "task_name": "sim_transfer_cube_scripted", "ckpt_dir": "runs/a b", "num_steps": "7", "lr": "1e-3",
        "image_size": ["60", "80"], "no_encoder": True, "dataset_dir": ["data/x"],
    }  # fmt: skip
    words = [word for name, value in values.items() for word in flags[name].words(value)]
    config, training, policy = imitate_episodes.parse_flags(shlex.split(shlex.join(words)))
    assert (config.ckpt_dir, config.image_size, config.dataset_dir) == ("runs/a b", (60, 80), ("data/x",))
    assert (training.num_steps, training.lr, policy.no_encoder) == (7, 1e-3, True)


def test_a_switch_of_a_preset_is_turned_off(tmp_path):
    preset = tmp_path / "p.json"
    preset.write_text('{"no_encoder": true}', encoding="utf-8")
    flag = told("imitate_episodes", "--config", str(preset))["no_encoder"]
    assert flag.default is True
    assert flag.words(False) == ["--no_encoder", "false"] and flag.words(True) == []


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("num_steps", "0", "--num_steps is 0; it must be 1 to 100000000"),
        ("num_steps", "many", "--num_steps is 'many'; it must be a whole number"),
        ("num_steps", ["1", "2"], "it must be one value"),
        ("num_steps", True, "it must be a whole number"),
        ("num_steps", {"a": 1}, "it must be a whole number"),
        ("seed", "--overwrite", "it must not begin with a dash"),
        ("image_size", ["60"], "it must be a list of 2 values"),
        ("image_size", ["60", "-x"], "it must not begin with a dash"),
        ("policy_class", "ACTT", "did you mean ACT?"),
        ("ckpt_dir", "a\nb", "line ends"),
        ("eval", "yes", "it must be true or false"),
    ],
)
def test_what_the_script_would_refuse_is_refused(name, value, problem):
    with pytest.raises(ValueError) as refused:
        told("imitate_episodes")[name].words(value)
    assert problem in str(refused.value)


def test_negative_numbers_are_no_flags():
    with pytest.raises(ValueError, match="must be 0 to 1"):
        told("record_sim_episodes")["noise"].words("-0.5")
