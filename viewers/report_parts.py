"""The parts of a report (report.py), as HTML."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from outcomes import wilson_interval
from viewers.pages import text
from viewers.run_folder import Run
from viewers.svg import Line, interval_bar, line_chart

Link = Callable[[Path], str]  # a file's address in the page
Result = dict[str, Any]

COLORS = ("#1f6fd0", "#d9730d", "#1a8754", "#9a4fc4", "#c43d3d", "#0f8f9c", "#8a7326", "#c2548f")
LOADED = 12  # videos whose first picture is fetched with the page; others when they are played


def headline(runs: Sequence[Run]) -> str:
    """What the page is called."""
    return text(", ".join(run.name for run in runs))


def body(runs: Sequence[Run], link: Link) -> str:
    """All parts that have something to show."""
    parts = [
        _problems(runs),
        _success(runs),
        _stages(runs),
        _choices(runs),
        _losses(runs),
        _pictures(runs, link),
        _rollouts(runs, link),
        _commands(runs),
        _flags(runs),
        _versions(runs),
    ]
    return "\n".join(filter(None, parts))


def _results(runs: Sequence[Run]) -> Iterator[tuple[Run, Result, str]]:
    """Every evaluation, and what it is called."""
    for run in runs:
        for result in run.results:
            names = [run.name] if len(runs) > 1 else []
            if len(run.results) > 1 or not names:
                names.append(result["checkpoint"])
            yield run, result, ", ".join(names)


def _section(title: str, *content: str) -> str:
    inner = "\n".join(filter(None, content))
    return f"<section><h2>{text(title)}</h2>\n{inner}\n</section>" if inner else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], marked: Sequence[bool] | None = None) -> str:
    """Cells are HTML; rows that are marked stand out."""
    cells = []
    for i, row in enumerate(rows):
        kind = ' class="differs"' if marked and marked[i] else ""
        cells.append(f"<tr{kind}>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>")
    names = "".join(f"<th>{text(name)}</th>" for name in head)
    return f'<div class="scroll"><table><tr>{names}</tr>{"".join(cells)}</table></div>'


def _problems(runs: Sequence[Run]) -> str:
    lines = [f"{run.name}: {problem}" for run in runs for problem in run.problems]
    return "".join(f'<p class="problem">{text(line)}</p>' for line in lines)


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"


def _success(runs: Sequence[Run]) -> str:
    rows = []
    for _, result, name in _results(runs):
        n, successes, strict = result["rollouts"], result["successes"], result.get("strict_successes")
        low, high = wilson_interval(successes, n)
        rows.append(
            [
                text(name),
                f"<b>{_percent(successes, n)}</b>",
                f"{successes} of {n}",
                interval_bar(successes / max(n, 1), low, high),
                f"{low:.1%} to {high:.1%}",
                "" if strict is None else f"{_percent(strict, n)}",
                f"{result.get('mean_return', 0):.1f}",
                text(f"{result.get('execution', '')}; seed {result.get('seed', '')}"),
            ]
        )
    if not rows:
        return _section(
            "Success", '<p class="soft">Not evaluated yet: the command of training with --eval.</p>'
        )
    tasks = {(result["task"], result.get("strict_label", "")) for _, result, _ in _results(runs)}
    head = ("", "success", "rollouts", "0 to 100 %", "95 % interval", "strictly", "mean return", "how")
    lines = [f"{task}; strictly: {strict}" if strict else task for task, strict in sorted(tasks)]
    note = "".join(f'<p class="soft">{text(line)}</p>' for line in lines)
    return _section("Success", note, _table(head, rows))


def _stages(runs: Sequence[Run]) -> str:
    """How many rollouts came to each stage; evaluations of the same stages stand below each other."""
    groups: dict[tuple[str, ...], list[tuple[Result, str]]] = {}
    for _, result, name in _results(runs):
        groups.setdefault(tuple(result["stages"]), []).append((result, name))
    bars = []
    for stages, results in groups.items():
        labels = [f"{number} {label}" for number, label in enumerate(stages, start=1)]
        if len(results) == 1:
            ((result, name),) = results
            bars.append(_group(name))
            bars += [_bar(label, result, i, COLORS[0]) for i, label in enumerate(labels, start=1)]
            continue
        for number, label in enumerate(labels, start=1):
            bars.append(_group(label))
            for i, (result, name) in enumerate(results):
                bars.append(_bar(name, result, number, COLORS[i % len(COLORS)]))
    return _section("Stages reached", f'<div class="stages">{"".join(bars)}</div>') if bars else ""


def _group(name: str) -> str:
    return f'<div class="group">{text(name)}</div>'


def _bar(label: str, result: Result, stage: int, color: str) -> str:
    n = max(result["rollouts"], 1)
    count = sum(outcome["highest_reward"] >= stage for outcome in result["outcomes"])
    fill = f'<div style="width:{100 * count / n:.1f}%;background:{color}"></div>'
    return f'<div>{text(label)}</div><div class="bar">{fill}</div><div>{count} of {n}, {count / n:.0%}</div>'


def _choices(runs: Sequence[Run]) -> str:
    """What was chosen in each case."""
    tables = []
    for _, result, name in _results(runs):
        counts = result.get("choice_counts")
        if counts:
            columns = list(next(iter(counts.values())))
            rows = [
                [text(case), *(str(cells[column]) for column in columns)] for case, cells in counts.items()
            ]
            tables += [f"<h3>{text(name)}</h3>", _table(["case \\ chosen", *columns], rows)]
    return _section("Choices", *tables)


# --- training


def _losses(runs: Sequence[Run]) -> str:
    keys = list(dict.fromkeys(key for run in runs for row in run.history for key in row))
    parts = ("train/", "val/")
    losses = list(dict.fromkeys(k.split("/", 1)[1] for k in keys if k.startswith(parts) and " " not in k))
    charts = [line_chart(loss, _loss_lines(runs, loss, keys)) for loss in losses]
    success = [
        Line(run.name, COLORS[i % len(COLORS)], _points(run, "eval/success"), marked=True)
        for i, run in enumerate(runs)
    ]
    charts.append(line_chart("success in simulation", success, top=1.0))
    inner = "".join(charts)
    return _section("Training", f'<div class="charts">{inner}</div>') if inner else ""


def _points(run: Run, key: str) -> list[tuple[float, float]]:
    return [(row["step"], row[key]) for row in run.history if key in row]


def _loss_lines(runs: Sequence[Run], loss: str, keys: Sequence[str]) -> list[Line]:
    """Of one run: training, validation, and its phases; of several: a colour for each."""
    if len(runs) > 1:
        lines = []
        for i, run in enumerate(runs):
            color = COLORS[i % len(COLORS)]
            lines.append(Line(f"{run.name}, validation", color, _points(run, f"val/{loss}"), marked=True))
            lines.append(Line(f"{run.name}, training", color, _points(run, f"train/{loss}"), dashed=True))
        return lines
    (run,) = runs
    phases = [key for key in keys if key.startswith(f"val/{loss} ")]
    return [
        Line("training", COLORS[0], _points(run, f"train/{loss}")),
        Line("validation", COLORS[1], _points(run, f"val/{loss}"), marked=True),
        *(
            Line(key.removeprefix(f"val/{loss} "), COLORS[2 + i % 6], _points(run, key), dashed=True)
            for i, key in enumerate(phases)
        ),
    ]


def _pictures(runs: Sequence[Run], link: Link) -> str:
    """How VINN chose its number of neighbours."""
    found = [(run, run.folder / "k_select.png") for run in runs]
    images = [
        f'<figure class="chart"><figcaption>{text(run.name)}</figcaption>'
        f'<img src="{link(path)}" alt="error by number of neighbours"></figure>'
        for run, path in found
        if path.is_file()
    ]
    return _section("Neighbours", f'<div class="charts">{"".join(images)}</div>') if images else ""


# --- rollouts


def _rollouts(runs: Sequence[Run], link: Link) -> str:
    parts = []
    for number, (run, result, name) in enumerate(_results(runs)):
        outcomes = result["outcomes"]
        squares = "".join(_square(outcome, result, number) for outcome in outcomes)
        filmed = [outcome for outcome in outcomes if "video" in outcome]
        filmed.sort(key=lambda outcome: (outcome["highest_reward"], outcome["index"]))  # failures first
        videos = [_video(o, result, run, link, number, i < LOADED) for i, o in enumerate(filmed)]
        parts += [
            f"<h3>{text(name)}</h3>",
            f'<div class="rollouts">{squares}</div>',
            f'<div class="videos">{"".join(videos)}</div>' if videos else "",
        ]
    if not parts:
        return ""
    note = "Each square is a rollout and its highest reward; framed ones were filmed. Failures come first."
    return _section("Rollouts", f'<p class="soft">{note}</p>', *parts)


def _is_success(outcome: Result, result: Result) -> bool:
    return outcome["highest_reward"] == len(result["stages"])


def _story(outcome: Result, result: Result) -> str:
    """What a rollout came to, in words."""
    reward, stages = outcome["highest_reward"], result["stages"]
    words = [f"rollout {outcome['index']}: reward {reward} of {len(stages)}"]
    if reward:
        words[0] += f" ({stages[reward - 1]})"
    for key, wording in (("case", "{}"), ("choice", "chose {}"), ("unstable_at", "unstable at step {}")):
        if outcome.get(key) is not None:
            words.append(wording.format(outcome[key]))
    if outcome.get("strict_success") is False and _is_success(outcome, result):
        words.append("not strictly")
    if outcome.get("stopped"):
        words.append(f"stopped: {outcome['stopped']}")
    return "; ".join(words)


def _square(outcome: Result, result: Result, number: int) -> str:
    kind = "success" if _is_success(outcome, result) else "failure"
    attributes = f'class="{kind}" title="{text(_story(outcome, result))}"'
    if "video" in outcome:
        return f'<a {attributes} href="#v{number}-{outcome["index"]}">{outcome["highest_reward"]}</a>'
    return f"<span {attributes}>{outcome['highest_reward']}</span>"


def _video(outcome: Result, result: Result, run: Run, link: Link, number: int, loaded: bool) -> str:
    kind = "success" if _is_success(outcome, result) else "failure"
    preload = "metadata" if loaded else "none"
    caption = f'<span class="{kind}-text">{kind}</span> {text(_story(outcome, result))}'
    plot = run.folder / f"rollout_{outcome['index']}_qpos.png"
    if plot.is_file():
        caption += f' <a href="{link(plot)}">joints</a>'
    video = f'<video controls muted preload="{preload}" src="{link(outcome["video"])}"></video>'
    return f'<figure id="v{number}-{outcome["index"]}">{video}<figcaption>{caption}</figcaption></figure>'


# --- how it was made


def _commands(runs: Sequence[Run]) -> str:
    parts = []
    for run in runs:
        if run.commands and len(runs) > 1:
            parts.append(f"<h3>{text(run.name)}</h3>")
        for entry in run.commands:
            when = entry["when"][:16].replace("T", " ")
            parts.append(f'<div class="soft">{text(entry["what"])}, {text(when)}</div>')
            parts.append(f"<pre>{text(entry['command'])}</pre>")
    return _section("Commands", *parts)


def _flags(runs: Sequence[Run]) -> str:
    """The flags of training; those in which runs differ first."""
    names = list(dict.fromkeys(name for run in runs for name in run.flags))
    rows = [[json.dumps(run.flags[name]) if name in run.flags else "" for run in runs] for name in names]
    return _comparison("Flags", names, rows, runs)


def _versions(runs: Sequence[Run]) -> str:
    """Of the last command of each run."""
    last = [run.commands[-1]["versions"] if run.commands else {} for run in runs]
    names = list(dict.fromkeys(name for versions in last for name in versions))
    return _comparison("Versions", names, [[v.get(name, "") for v in last] for name in names], runs)


def _comparison(title: str, names: Sequence[str], rows: Sequence[Sequence[str]], runs: Sequence[Run]) -> str:
    """A table of a value a run; of several runs, rows that differ are on top, the others folded away."""
    if not names:
        return ""
    head = ["", *(run.name for run in runs)] if len(runs) > 1 else ["", ""]
    cells = [
        [text(name), *(f"<code>{text(value)}</code>" for value in row)]
        for name, row in zip(names, rows, strict=True)
    ]
    differing = [cell for cell, row in zip(cells, rows, strict=True) if len(set(row)) > 1]
    same = [cell for cell, row in zip(cells, rows, strict=True) if len(set(row)) == 1]
    if len(runs) == 1 and title == "Versions":
        return _section(title, _table(head, same))
    shown = _table(head, differing) if differing else ""
    summary = f"{len(same)} flags" if len(runs) == 1 else f"{len(same)} that agree"
    folded = f"<details><summary>{summary}</summary>{_table(head, same)}</details>" if same else ""
    return _section(title, shown, folded)
