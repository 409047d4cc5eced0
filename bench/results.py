"""Success rates: the tables of docs/results.md, from recording to evaluation.

Each row is the flags of a policy and of its evaluation. With --out, an interrupted run goes on where it
stopped, and a finished row is read, not run. Starts 0 to 99 are for choosing settings (--choosing);
the table is made from starts 1000 and up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import mean
from typing import Any

from _harness import machine, parse, report
from _runs import (
    CHOOSE,
    DIFFUSION,
    FLOW,
    INSERTION,
    LAST,
    MOVE,
    ONE_CAMERA,
    ROBUST,
    SMALL,
    TRANSFER,
    TWIN_MOVE,
    Row,
    make_runs_parser,
    runs_of,
    slug,
)

from evaluation import wilson_interval

VINN_ON = "--policy_class VINN --image_size 120 160 --features policy --features_from"
VINN = f"{VINN_ON} {{policies}}/transfer/{LAST}"
HUMAN, KL = "--style human", (1, 10, 100)
NEAR = "--crop top=200,190,440,370"  # where the parts of the insertion lie, and are put together
WIDE = "--crop top=160,160,480,400 --image_size 150 200"  # the same, wherever the camera looks
WRIST = f"{SMALL} --camera_names right_wrist"
HURRY = f"{SMALL} --batch_size 16 --num_steps 1400 --beta2 0.98 --early_share 0.2"  # as in `make demo`
FEW = f"{SMALL} --num_steps 3000"  # 200 episodes are more to learn than 50
KNOCKED = {TRANSFER: 200, CHOOSE: 32}  # step at which the cube is in the air, and in one hand
RECOVERY, TRANSFER_RECOVERY = "choose, top, recovery", "transfer, recovery"
VARIED = "--randomize --looks real"  # demonstrations in rooms that change from frame to frame
LOOKS = {"mild": "--randomize", "real": "--randomize --looks real", "drift": "--randomize drift --looks real"}
EXACT = "--temporal_agg --query_every 20"  # the mean of five chunks
WAYS = {"": "", ", query every 20": "--query_every 20", ", ensembling": "--temporal_agg"}
RECOVERY_WAYS = {
    **WAYS,
    **{f", query every {n}": f"--query_every {n}" for n in (50, 100)},
    **{f", ensembling, decay {d}": f"--temporal_agg --ensemble_decay={d}" for d in (0, -0.02, -0.1, -0.5)},
    ", ensembling, dropping": "--temporal_agg --ensemble_drop 0.2",
}


def execution_rows(label: str, task: str, ways: dict[str, str] = WAYS) -> dict[str, Row]:
    """Ways to execute a row's policy, undisturbed and with the cube knocked loose."""
    knocks = {"": "", ", knocked loose": f"--knock_loose {KNOCKED[task]}"}
    return {
        f"{label}{way}{knocked}": Row(task, evaluate=f"{flags} {knock}", policy=label, rollouts=100)
        for knocked, knock in knocks.items()
        for way, flags in ways.items()
        if way or knocked
    }


def recovery_rows() -> dict[str, Row]:
    """Policies that were shown how to recover: in how many of the demonstrations, and for how long."""
    few, longer = f"{TRANSFER_RECOVERY}, in 0.3", f"{TRANSFER_RECOVERY}, longer"
    rows = {
        RECOVERY: Row(CHOOSE, ONE_CAMERA, record="--camera_names top --begin_midway 0.5"),
        TRANSFER_RECOVERY: Row(TRANSFER, HURRY, record="--begin_midway 0.5"),
        few: Row(TRANSFER, HURRY, record="--begin_midway 0.3"),
        longer: Row(TRANSFER, f"{HURRY} --num_steps 2800", record="--begin_midway 0.5"),
    }
    return {
        name: each
        for label, row in rows.items()
        for name, each in {label: row, **execution_rows(label, row.task, RECOVERY_WAYS)}.items()
    }


def look_rows(label: str, row: Row) -> dict[str, Row]:
    """A row's policy where looks vary."""
    flags = {way: f"{looks} {row.evaluate}" for way, looks in LOOKS.items()}
    return {
        f"{label}, looks {way}": Row(row.task, evaluate=each, policy=row.policy or label)
        for way, each in flags.items()
    }


def exact_rows(rows: dict[str, Row]) -> dict[str, Row]:
    """The same policies, whose actions are the mean of five predictions."""
    return {
        f"{label}, mean of five": Row(row.task, evaluate=EXACT, policy=label, rollouts=row.rollouts)
        for label, row in rows.items()
    }


def robust_rows() -> dict[str, Row]:
    """Policies that were trained to bear other rooms, there and undisturbed."""
    two_cameras = f"{ROBUST} --num_steps 3000"  # as long as 5500 steps with one
    more = f"--num_episodes 100 {VARIED}"
    insertion = Row(
        INSERTION,
        f"{ROBUST} --camera_names top {WIDE} --num_steps 7000",
        record=f"--camera_names top {VARIED}",
        multiply=more,
        episodes=200,
    )
    rows = {
        "transfer, robust": Row(TRANSFER, ROBUST, record=VARIED),
        "transfer, robust, multiplied, 5500 steps": Row(TRANSFER, ROBUST, record=VARIED, multiply=more),
        "transfer, robust, multiplied": Row(
            TRANSFER, f"{ROBUST} --num_steps 8000", record=VARIED, multiply=more
        ),
        "twin move, robust": Row(TWIN_MOVE, two_cameras, record=VARIED),
        "choose, robust": Row(CHOOSE, two_cameras, record=VARIED),
        "insertion, robust": insertion,
    }
    rows |= exact_rows({"insertion, robust": insertion})
    return {
        name: each
        for label, row in rows.items()
        for name, each in ((label, row), *look_rows(label, row).items())
    }


def human_rows() -> dict[str, Row]:
    """Demonstrations as people give them: which policies bear that they contradict one another."""
    ways = {
        "": (SMALL, False),
        **{f", CVAE {weight}": (f"{SMALL} --no_encoder false --kl_weight {weight}", False) for weight in KL},
        ", codes": (f"{SMALL} --no_encoder false --use_vq", True),
        ", Diffusion": (DIFFUSION, False),
        ", Flow": (FLOW, False),
    }
    tasks = {"transfer": TRANSFER, "insertion": INSERTION, "twin move": TWIN_MOVE, "choose": CHOOSE}
    rows = {}
    for label, task in tasks.items():
        near, longer, record, count = "", "", HUMAN, 50
        if task == INSERTION:
            near, longer = f" --camera_names top {NEAR}", " --num_steps 5000"
            record, count = f"--camera_names top {HUMAN}", 200
        for way, (train, has_prior) in ways.items():
            rows[f"{label}, human{way}"] = Row(
                task, f"{train}{near}{longer}", record=record, episodes=count, has_prior=has_prior
            )
        longest = "--num_steps 10000" if task == INSERTION else "--num_steps 5000"
        plain = Row(task, f"{SMALL}{near} {longest}", record=record, episodes=count)
        rows[f"{label}, human, longer"] = plain
        many = f"{label}, human, multiplied"
        rows[many] = replace(plain, multiply="--num_episodes 200")
        rows[f"{many}, query every 50"] = Row(task, evaluate="--query_every 50", policy=many)
        for way, how in {"steady": "--steady", "one way": "--steady --ways 1"}.items():
            train, more = f"{SMALL}{near} --num_steps 3000", f"--num_episodes 200 {how}"
            made = Row(task, train, record=record, multiply=more, beside=False, episodes=count)
            rows[f"{label}, human, {way}"] = made
        features = f"{{policies}}/{slug(f'{label}, human')}/{LAST}"
        rows[f"{label}, human, VINN"] = Row(
            task, f"{VINN_ON} {features}{near}", needs=f"{label}, human", record=record, episodes=count
        )
    rows["transfer, human, aligned"] = Row(TRANSFER, record=HUMAN, edit="align")
    return {**rows, **exact_rows({name: row for name, row in rows.items() if row.policy is None})}


def few_rows() -> dict[str, Row]:
    """Few demonstrations, other ones for each seed: alone, multiplied to 200, and beside 200 by script."""
    seeded, more, near = "--seed {seed}", "--num_episodes 200 --seed {seed}", f" --camera_names top {NEAR}"
    tasks = (
        *(("transfer", TRANSFER, count, FEW, seeded) for count in (5, 10, 20)),
        ("twin move", TWIN_MOVE, 10, FEW, seeded),
        ("choose", CHOOSE, 10, FEW, seeded),
        ("insertion", INSERTION, 20, f"{FEW}{near}", f"--camera_names top {seeded}"),
    )
    rows = {}
    for label, task, count, train, record in tasks:
        few = Row(task, train, record=record, episodes=count)
        rows[f"{label}, {count} demonstrations"] = few
        rows[f"{label}, {count} demonstrations, multiplied"] = replace(few, multiply=more)
        rows[f"{label}, 200 by script"] = replace(few, episodes=200)
    return {**rows, **exact_rows(rows)}


def timing_rows() -> dict[str, Row]:
    """Demonstrations that begin at random times, as they are and aligned: enough training, and too little."""
    return {
        f"transfer, varied timing{aligned}{short}": Row(TRANSFER, flags, record="--hesitate 60", edit=edit)
        for short, flags in {"": SMALL, ", 400 steps": f"{SMALL} --num_steps 400"}.items()
        for aligned, edit in {
            "": None,
            ", aligned": "align",
            ", aligned by cutting": "align --fill cut",
        }.items()
    }


ROWS = {
    "transfer": Row(TRANSFER, rollouts=500),
    "insertion": Row(
        INSERTION,
        f"{ONE_CAMERA} {NEAR} --num_steps 5000",
        record="--camera_names top",
        episodes=200,
        rollouts=500,
    ),
    "insertion, 50 demonstrations": Row(INSERTION, f"{ONE_CAMERA} {NEAR} --num_steps 5000"),
    "move cube": Row(MOVE),
    "twin move": Row(TWIN_MOVE),
    "choose": Row(CHOOSE),
    "transfer, Diffusion": Row(TRANSFER, DIFFUSION),
    "transfer, Flow": Row(TRANSFER, FLOW),
    "transfer, VINN": Row(TRANSFER, VINN, needs="transfer"),
    "choose, top camera": Row(CHOOSE, ONE_CAMERA),
    "choose, wrist camera": Row(CHOOSE, WRIST),
    "choose, wrist camera, place loss": Row(CHOOSE, f"{WRIST} --place_loss 1"),
    "choose, top, cropped": Row(CHOOSE, f"{ONE_CAMERA} --crop top=180,232,404,384"),
    "choose, top, masked": Row(CHOOSE, f"{ONE_CAMERA} --mask_outside top=180,232,404,384"),
    "choose, top, masked to the box": Row(CHOOSE, f"{ONE_CAMERA} --mask_outside top=328,232,400,308"),
    "transfer, 400 steps": Row(TRANSFER, f"{SMALL} --num_steps 400"),
    **timing_rows(),
    **look_rows("transfer", Row(TRANSFER)),
    **robust_rows(),
    **human_rows(),
    **few_rows(),
    **execution_rows("transfer", TRANSFER),
    **execution_rows("choose", CHOOSE),
    **recovery_rows(),
    "transfer, Diffusion, longer": Row(TRANSFER, f"{DIFFUSION} --num_steps 6000"),
}


def over_seeds(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A row's results with several seeds as one: counts added, seconds of training on average, and "worst",
    the lowest success rate of a seed (None if there is one seed).
    """
    rollouts, successes = (sum(each[key] for each in results) for key in ("rollouts", "successes"))
    strict = [each["strict_success_rate"] for each in results]
    return {
        "rollouts": rollouts,
        "successes": successes,
        "strict_success_rate": None if None in strict else mean(strict),
        "worst": min(each["success_rate"] for each in results) if len(results) > 1 else None,
        "steps": results[0]["steps"],
        "seconds": mean(each["seconds"] for each in results),
    }


def cells(name: str, result: dict[str, Any]) -> tuple[str, ...]:
    """A row of the table."""
    episodes = ROWS[ROWS[name].policy or name].episodes
    n, successes = result["rollouts"], result["successes"]
    low, high = wilson_interval(successes, n)
    worst, strict = (
        "-" if result[key] is None else f"{result[key]:.1%}" for key in ("worst", "strict_success_rate")
    )
    rates = (f"{successes / n:.1%}", worst, f"{low:.1%} to {high:.1%}", strict)
    return name, *rates, str(n), str(episodes), str(result["steps"]), f"{result['seconds'] / 60:.1f}"


HEADER = (
    "",
    "success",
    "worst seed",
    "95 % interval",
    "strictly",
    "rollouts",
    "demonstrations",
    "steps",
    "minutes of training",
)


def main() -> None:
    parser = make_runs_parser(__doc__, ROWS)
    help_seed = "of training; with several, a row counts the rollouts of all, and names the worst"
    parser.add_argument("--seed", type=int, nargs="+", default=[0], help=help_seed)
    args = parse(parser)
    facts = machine()
    with runs_of(ROWS, args) as runs:
        seeds = [replace(runs, seed=seed) for seed in dict.fromkeys(args.seed)]
        results = {name: over_seeds([each.evaluate(name) for each in seeds]) for name in args.rows}
    starts = "starts 0 to 99, to choose by" if args.choosing else "starts from 1000 on"
    rows = [cells(name, result) for name, result in results.items()]
    several = "s" if len(seeds) > 1 else ""
    report(f"seed{several} {', '.join(str(each.seed) for each in seeds)}, {starts}", facts, HEADER, rows)


if __name__ == "__main__":
    main()
