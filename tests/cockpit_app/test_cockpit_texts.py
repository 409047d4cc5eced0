"""Both languages say everything, and nothing that no page says."""

import json
import re

import pytest

from cockpit_app.server import WEB
from mycobot_scripts.checks.calibrating import MENU, MODES
from mycobot_scripts.demos import demonstrate, driving
from mycobot_scripts.demos.policy_runs import takeover
from mycobot_scripts.desk.questions import WORDS, answer_words
from teleop.leader import CLUTCH

LANGUAGES = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in WEB.glob("*.json")}
SCRIPTS = {path.name: path.read_text(encoding="utf-8") for path in WEB.glob("*.js")}


def used():
    """Keys that scripts name, and beginnings of those that they put together."""
    keys, beginnings = set(), set()
    for text in SCRIPTS.values():
        for call in re.findall(r"\b(?:t|known)\(((?:[^()]|\([^()]*\))*)\)", text):
            keys |= set(re.findall(r'"([^"]+)"', call.split(", {")[0]))
            beginnings |= {part for part in re.findall(r"`([^`$]+)\$\{", call) if part}
    return keys, beginnings


def test_there_are_two_languages_with_the_same_texts():
    assert set(LANGUAGES) == {"en", "ko"}
    assert LANGUAGES["en"].keys() == LANGUAGES["ko"].keys()


@pytest.mark.parametrize("language", LANGUAGES)
def test_texts_are_whole(language):
    for key, text in LANGUAGES[language].items():
        assert text.strip() == text and text, key
        names = [set(re.findall(r"\{(\w+)\}", each[key])) for each in LANGUAGES.values()]
        assert names[0] == names[1], key


def test_korean_is_korean():
    same = {key for key, text in LANGUAGES["ko"].items() if not re.search("[가-힣]", text)}
    assert same <= {"{task} ({arm})", "a myCobot 320"}


def test_each_text_that_a_page_says_is_there():
    keys, beginnings = used()
    known = LANGUAGES["en"]
    assert {
        key for key in keys if key not in known and " " in key and not key.startswith(("page", "/"))
    } == set()
    assert {part for part in beginnings if not any(key.startswith(part) for key in known)} == set()


def test_the_words_of_keys_and_answers_are_there():
    """Scripts say them in English; a page has them in its own language."""
    legends = (
        demonstrate.JOGGING,
        driving.COMMANDS | driving.OF_TWIN,
        takeover.COMMANDS | takeover.OF_POLICY | takeover.OF_PARTS,
        CLUTCH,
    )
    words = {word for each in legends for name, word in each.items() if name != "slow"}  # it is a switch
    words |= {word for _, word in demonstrate.Guiding.keys} | set(WORDS.values())
    asked = (
        (MENU, "ghtzpsq"),
        (MODES, "01l"),
        ("episode 3: no success; [k]eep, keep as a [f]ailure, [r]edo, [q]uit?", "kfrq"),
        ("stopped (q): [k]eep what there is, as a failure, [r]edo, [q]uit?", "krq"),
        ("did it succeed? [y/n] (u: unknown)", "ynu"),
    )
    for question, keys in asked:
        words |= set(answer_words(question, keys).values())
    assert {word for word in words if f"word {word}" not in LANGUAGES["en"]} == set()


def test_each_text_is_said_somewhere():
    _, beginnings = used()
    everything = "\n".join(SCRIPTS.values())
    left = {key for key in LANGUAGES["en"] if f'"{key}"' not in everything}
    assert {key for key in left if not key.startswith(tuple(beginnings))} == set()


def test_scripts_make_no_markup_out_of_texts():
    for name, text in SCRIPTS.items():
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text
        ), name
        assert "http://" not in text.replace("http://www.w3.org/2000/svg", "") and "https://" not in text, (
            name
        )
