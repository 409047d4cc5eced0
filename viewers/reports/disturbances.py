"""The sweeps over disturbances, as a part of a report (page.py)."""

from __future__ import annotations

from collections.abc import Sequence

from disturbances import GROUPS, STRENGTHS
from evaluation import Score
from viewers.pages import Html, element, joined
from viewers.report_layout import section, soft
from viewers.reports.results import Link, percent
from viewers.run_folder import KeptSweep, RunFolder

NOTE = (
    "The same starts as undisturbed, with one thing in the way, at three strengths. Each cell: success, its "
    "95 % interval, and how strong the disturbance was."
)


def disturbances(runs: Sequence[RunFolder], link: Link) -> Html:
    """A table for each sweep: a row for each axis, a column for each strength."""
    parts: list[Html] = []
    for run in runs:
        for kept in run.sweeps:
            parts += [element("h3", _name(run, kept, len(runs) > 1)), _table(kept), _files(kept, link)]
    return section("Disturbances", soft(NOTE), *parts) if parts else Html()


def _name(run: RunFolder, kept: KeptSweep, is_one_of_many: bool) -> str:
    settings, stale = kept.sweep.settings, ["an earlier training"] if kept.is_stale else []
    parts = [kept.sweep.checkpoint, *stale, *settings.facts().values()]
    return ", ".join([run.name, *parts] if is_one_of_many else parts)


def _table(kept: KeptSweep) -> Html:
    head = element("tr", *(element("th", name) for name in ("", *STRENGTHS, "unit", "what it is")))
    rows, plain = [head], kept.sweep.undisturbed
    if plain is not None:
        rows.append(element("tr", element("td", "undisturbed"), _cell(plain, len(STRENGTHS))))
    group = ""
    for name, levels in kept.sweep.axes.items():
        first = next(iter(levels.values()))
        if first.group != group:
            group = first.group
            title = f"{group}: {GROUPS[group]}" if group in GROUPS else group
            rows.append(element("tr", element("th", title, colspan=len(STRENGTHS) + 3)))
        cells = [_cell(levels[level]) if level in levels else element("td", "-") for level in STRENGTHS]
        about = [element("td", first.unit), element("td", first.what, class_="soft")]
        rows.append(element("tr", element("td", name.replace("_", " ")), *cells, *about))
    return element("div", element("table", *rows), class_="scroll heat")


def _cell(score: Score, columns: int = 1) -> Html:
    """Success in words and as a colour."""
    low, high = score.interval
    share = f"color-mix(in srgb, var(--good) {100 * score.rate:.0f}%, var(--bad))"
    at = element("span", f"at {score.strength:g}", class_="soft") if score.name else ""
    words = [
        joined([element("b", percent(score.successes, score.rollouts)), at], " "),
        element("div", f"{100 * low:.0f} to {100 * high:.0f} %", class_="soft"),
    ]
    style = f"background:color-mix(in srgb, {share} 35%, transparent)"
    return element("td", joined(words), class_="score", colspan=columns, style=style)


def _files(kept: KeptSweep, link: Link) -> Html:
    links = [
        element("a", name, href=link(path))
        for name, ending in (("heat map", "png"), ("as JSON", "json"), ("as text", "txt"))
        if (path := kept.folder / f"disturbances.{ending}").is_file()
    ]
    words = kept.sweep.conclusion()
    return element("p", joined([f"{words}. " if words else "", joined(links, ", ")]))
