"""The results of evaluations, as parts of a report (page.py): success, stages, choices, rollouts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from common import COLORS
from evaluation import Outcome, Summary, wilson_interval
from viewers.pages import Html, element, joined
from viewers.report_layout import section, soft, table
from viewers.run_folder import Evaluation, RunFolder
from viewers.svg import interval_bar

Link = Callable[[Path], str]  # a file's address in the page
Named = tuple[RunFolder, Evaluation, str]

LOADED = 12  # videos whose first picture is loaded with the page; the others load when they are played
RATES = (
    "Success: a rollout came to the last stage at some step. 95 % interval: where the true rate lies, as far "
    "as so many can tell. Mean return: the sum of a rollout's rewards over its steps, on average."
)


def percent(part: int, whole: int) -> str:
    """A share, in words."""
    return f"{part / whole:.1%}" if whole else "-"


def success(named: Sequence[Named]) -> Html:
    """A row for each evaluation."""
    if not named:
        return section("Success", soft("Not evaluated yet: the command of training with --eval."))
    notes = []
    for summary in (evaluation.summary for _, evaluation, _ in named):
        strict = f"; strictly: {summary.strict_label}" if summary.strict_label else ""
        notes.append(f"{summary.task}{strict}")
    head = ("", "success", "rollouts", "0 to 100 %", "95 % interval", "strictly", "mean return", "how")
    rows = [_success_row(evaluation, name) for _, evaluation, name in named]
    return section("Success", *map(soft, sorted(set(notes))), soft(RATES), table(head, rows))


def _success_row(evaluation: Evaluation, name: str) -> list[Html | str]:
    summary = evaluation.summary
    n, successes, strict = summary.n, summary.successes, summary.strict_successes
    low, high = wilson_interval(successes, n)
    left_out = [element("div", line, class_="soft") for line in summary.not_counted()]
    how = [words for fact, words in evaluation.facts.items() if fact not in ("checkpoint", "version")]
    when = summary.made[:16].replace("T", " ")
    return [
        name,
        element("b", percent(successes, n)),
        joined([f"{successes} of {n}", *left_out]),
        interval_bar(successes / n, low, high) if n else "",
        f"{low:.1%} to {high:.1%}" if n else "",
        "" if strict is None else percent(strict, n),
        "" if summary.mean_return is None else f"{summary.mean_return:.1f}",
        joined(["; ".join(how), element("div", when, class_="soft") if when else None]),
    ]


def stages(named: Sequence[Named]) -> Html:
    """How many rollouts came to each stage; evaluations of the same stages stand below each other."""
    groups: dict[tuple[str, ...], list[tuple[Summary, str]]] = {}
    for _, evaluation, name in named:
        groups.setdefault(evaluation.summary.stages, []).append((evaluation.summary, name))
    bars: list[Html] = []
    for labels, results in groups.items():
        numbered = [f"{number} {label}" for number, label in enumerate(labels, start=1)]
        if len(results) == 1:
            ((summary, name),) = results
            bars.append(_group(name))
            bars += [_bar(label, summary, i, COLORS[0]) for i, label in enumerate(numbered, start=1)]
            continue
        for number, label in enumerate(numbered, start=1):
            bars.append(_group(label))
            for i, (summary, name) in enumerate(results):
                bars.append(_bar(name, summary, number, COLORS[i % len(COLORS)]))
    return section("Stages reached", element("div", *bars, class_="stages")) if bars else Html()


def _group(name: str) -> Html:
    return element("div", name, class_="group")


def _bar(label: str, summary: Summary, stage: int, color: str) -> Html:
    n, count = max(summary.n, 1), summary.reached(stage)
    fill = element("div", style=f"width:{100 * count / n:.1f}%;background:{color}")
    share = element("div", f"{count} of {summary.n}, {count / n:.0%}")
    return joined([element("div", label), element("div", fill, class_="bar"), share])


def choices(named: Sequence[Named]) -> Html:
    """How often each object was chosen in each case."""
    tables: list[Html] = []
    for _, evaluation, name in named:
        counts = evaluation.summary.choice_counts
        if counts:
            columns = list(next(iter(counts.values())))
            rows = [[case, *(cells[column] for column in columns)] for case, cells in counts.items()]
            tables += [element("h3", name), table(["case \\ chosen", *columns], rows)]
    return section("Choices", *tables)


def rollouts(named: Sequence[Named], link: Link) -> Html:
    """Every rollout, and its video if it was filmed; failures first."""
    parts: list[Html] = []
    for number, (_, evaluation, name) in enumerate(named):
        summary, videos = evaluation.summary, evaluation.videos
        squares = [_square(outcome, evaluation, number) for outcome in summary.outcomes]
        filmed = [outcome for outcome in summary.outcomes if outcome.index in videos]
        filmed.sort(key=lambda outcome: (outcome.highest_reward or 0, outcome.index))
        figures = [_video(o, evaluation, link, number, i < LOADED) for i, o in enumerate(filmed)]
        parts += [
            element("h3", name),
            element("div", *squares, class_="rollouts"),
            element("div", *figures, class_="videos") if figures else Html(),
        ]
    if not parts:
        return Html()
    note = "Each square is a rollout and its highest reward: green is a success, red a failure"
    if any(not o.counts for _, evaluation, _ in named for o in evaluation.summary.outcomes):
        note += ", grey one that is not counted, as a person helped (h) or nobody knows how it ended (?)"
    if any(evaluation.videos for _, evaluation, _ in named):
        note += "; framed ones were filmed. Failures come first"
    return section("Rollouts", soft(f"{note}."), *parts)


def _verdict(outcome: Outcome, summary: Summary) -> str:
    """How a rollout ended, in a word."""
    if outcome.takeovers:
        return "helped"
    if outcome.highest_reward is None:
        return "unknown"
    return "success" if summary.is_success(outcome) else "failure"


def _story(outcome: Outcome, summary: Summary) -> str:
    """How a rollout went, in words."""
    reward, labels = outcome.highest_reward, summary.stages
    words = [f"rollout {outcome.index}: "]
    words[0] += "unknown how it ended" if reward is None else f"reward {reward} of {len(labels)}"
    if reward:
        words[0] += f" ({labels[reward - 1]})"
    if outcome.takeovers:
        times = "once" if outcome.takeovers == 1 else f"{outcome.takeovers} times"
        words.append(f"a person took over {times}: not counted")
    for value, wording in (
        (outcome.case, "{}"),
        (outcome.choice, "chose {}"),
        (outcome.unstable_at, "unstable at step {}"),
    ):
        if value is not None:
            words.append(wording.format(value))
    if outcome.strict_success is False and summary.is_success(outcome):
        words.append("not strictly")
    words += [f"stopped: {outcome.stopped}"] if outcome.stopped else []
    words += [outcome.episode] if outcome.episode else []
    return "; ".join(words)


def _square(outcome: Outcome, evaluation: Evaluation, number: int) -> Html:
    summary = evaluation.summary
    shown = "?" if outcome.highest_reward is None else str(outcome.highest_reward)
    shown += "h" if outcome.takeovers else ""
    attributes = {"class_": _verdict(outcome, summary), "title": _story(outcome, summary)}
    if outcome.index in evaluation.videos:
        return element("a", shown, **attributes, href=f"#v{number}-{outcome.index}")
    return element("span", shown, **attributes)


def _video(outcome: Outcome, evaluation: Evaluation, link: Link, number: int, loaded: bool) -> Html:
    verdict, plot = _verdict(outcome, evaluation.summary), evaluation.plot(outcome.index)
    video = element(
        "video",
        controls=True,
        muted=True,
        preload="metadata" if loaded else "none",
        src=link(evaluation.videos[outcome.index]),
    )
    caption = [element("span", verdict, class_=f"{verdict}-text"), _story(outcome, evaluation.summary)]
    caption += [element("a", "joints", href=link(plot))] if plot else []
    figcaption = element("figcaption", joined(caption, " "))
    return element("figure", video, figcaption, id=f"v{number}-{outcome.index}")
