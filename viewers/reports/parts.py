"""The parts of a report (page.py), as HTML; evaluations have theirs in results.py."""

from __future__ import annotations

import json
from collections.abc import Sequence

from common import COLORS, PHASES, Line, loss_lines, loss_names, loss_points, meaning, points_of
from viewers.coverage import next_places
from viewers.pages import Html, element, joined
from viewers.report_layout import section, soft, table
from viewers.reports import disturbances, results
from viewers.reports.results import Link
from viewers.run_folder import RunFolder, labels
from viewers.svg import line_chart


def headline(runs: Sequence[RunFolder]) -> str:
    """The page's title."""
    return ", ".join(run.name for run in runs)


def body(runs: Sequence[RunFolder], link: Link) -> Html:
    """All parts that have something to show."""
    named = labels(runs)
    has_only_sweeps = not named and any(run.sweeps for run in runs)
    parts = [
        _problems(runs),
        _related(runs, link),
        Html() if has_only_sweeps else results.success(named),
        results.stages(named),
        results.choices(named),
        disturbances.disturbances(runs, link),
        next_places(runs[0]) if len(runs) == 1 else Html(),
        _losses(runs),
        _pictures(runs, link),
        results.rollouts(named, link),
        _commands(runs),
        _flags(runs),
        _versions(runs),
    ]
    return joined(parts, "\n")


def _problems(runs: Sequence[RunFolder]) -> Html:
    lines = [f"{run.name}: {problem}" for run in runs for problem in run.problems]
    return joined(element("p", line, class_="problem") for line in lines)


def _related(runs: Sequence[RunFolder], link: Link) -> Html:
    """Links from a policy's training to its runs on an arm, and back."""
    links = [
        element("a", f"{run.name}: {what}" if len(runs) > 1 else what, href=link(page))
        for run in runs
        for what, page in run.related
    ]
    return element("p", "See also: ", joined(links, ", ")) if links else Html()


# --- training


def _losses(runs: Sequence[RunFolder]) -> Html:
    titles: dict[str, str] = {}
    for run in runs:
        titles |= {loss: title for loss, title in loss_names(run.history).items() if loss not in titles}
    charts = [
        line_chart(title, _loss_lines(runs, loss), note=meaning(title)) for loss, title in titles.items()
    ]
    success = [
        Line(
            run.name,
            COLORS[i % len(COLORS)],
            points_of(run.history, lambda losses: losses.success),
            marked=True,
        )
        for i, run in enumerate(runs)
    ]
    charts.append(line_chart("success in simulation", success, top=1.0))
    inner = joined(charts)
    note = soft(PHASES) if len(runs) == 1 and any(losses.phases for losses in runs[0].history) else ""
    return section("Training", note, element("div", inner, class_="charts")) if inner else Html()


def _loss_lines(runs: Sequence[RunFolder], loss: str) -> list[Line]:
    """Lines of one loss. One run: training, validation and phases; several runs: a colour for each."""
    if len(runs) == 1:
        return loss_lines(runs[0].history, loss)
    lines = []
    for i, run in enumerate(runs):
        color = COLORS[i % len(COLORS)]
        training, validation = loss_points(run.history, loss)
        lines.append(Line(f"{run.name}, validation", color, validation, marked=True))
        lines.append(Line(f"{run.name}, training", color, training, dashed=True))
    return lines


def _pictures(runs: Sequence[RunFolder], link: Link) -> Html:
    """Plots of how VINN chose its number of neighbours."""
    images = [
        element(
            "figure",
            element("figcaption", run.name),
            element("img", src=link(path), alt="error by number of neighbours"),
            class_="chart",
        )
        for run in runs
        if (path := run.folder / "k_select.png").is_file()
    ]
    return section("Neighbours", element("div", *images, class_="charts")) if images else Html()


# --- how it was made


def _commands(runs: Sequence[RunFolder]) -> Html:
    parts: list[Html] = []
    for run in runs:
        if run.commands and len(runs) > 1:
            parts.append(element("h3", run.name))
        for entry in run.commands:
            when = entry.when[:16].replace("T", " ")
            parts.append(element("div", f"{entry.what}, {when}", class_="soft"))
            parts.append(element("pre", entry.command))
    return section("Commands", *parts)


def _flags(runs: Sequence[RunFolder]) -> Html:
    """The flags of training; where runs differ, those first."""
    names = list(dict.fromkeys(name for run in runs for name in run.flags))
    rows = [[json.dumps(run.flags[name]) if name in run.flags else "" for run in runs] for name in names]
    return _comparison("Flags", names, rows, runs)


def _versions(runs: Sequence[RunFolder]) -> Html:
    """The versions that the last command of each run noted."""
    last = [run.commands[-1].versions if run.commands else {} for run in runs]
    names = list(dict.fromkeys(name for versions in last for name in versions))
    return _comparison("Versions", names, [[v.get(name, "") for v in last] for name in names], runs)


def _comparison(
    title: str, names: Sequence[str], rows: Sequence[Sequence[str]], runs: Sequence[RunFolder]
) -> Html:
    """A table with a column for each run; rows that differ are on top, the others folded away."""
    if not names:
        return Html()
    head = ["", *(run.name for run in runs)] if len(runs) > 1 else ["", ""]
    cells = [
        [name, *(element("code", value) for value in row)] for name, row in zip(names, rows, strict=True)
    ]
    differing = [cell for cell, row in zip(cells, rows, strict=True) if len(set(row)) > 1]
    same = [cell for cell, row in zip(cells, rows, strict=True) if len(set(row)) == 1]
    if len(runs) == 1 and title == "Versions":
        return section(title, table(head, same))
    shown = table(head, differing) if differing else Html()
    summary = f"{len(same)} flags" if len(runs) == 1 else f"{len(same)} that agree"
    folded = element("details", element("summary", summary), table(head, same)) if same else Html()
    return section(title, shown, folded)
