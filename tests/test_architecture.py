"""The design's floors: imports point down, or sideways without cycles; who may import what."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FLOORS = {
    "imitate_episodes": 4,
    "imitation": 4,
    "record_sim_episodes": 4,
    "visualize_episodes": 4,
    "visualize_features": 4,
    "replay_episodes": 4,
    "edit_episodes": 4,
    "train_backbone": 4,
    "train_latent_model": 4,
    "model_runs": 4,
    "report": 4,
    "show_task": 4,
    "evaluation": 3,
    "evaluation_flags": 0,
    "compute_flags": 0,
    "run_setup": 3,
    "demonstrations": 3,
    "outcomes": 2,
    "results": 2,
    "dataset_tools": 3,
    "training": 3,
    "training_run": 3,
    "optimisation": 3,
    "progress": 3,
    "training_flags": 3,
    "losses": 0,
    "feeding": 3,
    "classifier_run": 3,
    "policy": 2,
    "policies": 2,
    "execution": 2,
    "classification": 2,
    "upstream": 2,
    "ee_sim_env": 2,
    "gym_env": 2,
    "teleop": 2,
    "viewers": 2,
    "mycobot_scripts": 2,
    "episodes": 1,
    "rollout": 1,
    "frames": 1,
    "jpegs": 1,
    "stats": 1,
    "utils": 1,
    "checkpoints": 1,
    "torch_files": 1,
    "pickles": 1,
    "augment": 1,
    "views": 1,
    "detr": 1,
    "sim_env": 1,
    "trained_tasks": 1,
    "scene": 1,
    "arm_index": 1,
    "opengl": 1,
    "inverse_kinematics": 1,
    "reach": 1,
    "stages": 1,
    "starts": 1,
    "timestep": 1,
    "randomize": 1,
    "scripted_policy": 1,
    "script_paths": 1,
    "plots": 1,
    "curves": 1,
    "devices": 1,
    "projection": 1,
    "panels": 1,
    "files": 1,
    "locks": 1,
    "processes": 1,
    "parallel": 1,
    "machine": 1,
    "logs": 1,
    "constants": 0,
    "schema": 0,
    "parts": 0,
    "task_check": 0,
    "naming": 0,
    "cli": 0,
    "flag_values": 0,
    "serving": 0,
    "addresses": 0,
    "plain": 0,
}
SIMULATOR = {"mujoco", "dm_control", "dm_env", "gym_aloha"}
ARM = {"pymycobot"}


def source_files() -> dict[str, Path]:
    """Dotted module name to file, of everything that is ours but tests and bench."""
    paths = [
        *ROOT.glob("*.py"),
        *ROOT.glob("detr/**/*.py"),
        *ROOT.glob("episodes/**/*.py"),
        *ROOT.glob("policies/**/*.py"),
        *ROOT.glob("dataset_tools/**/*.py"),
        *ROOT.glob("viewers/**/*.py"),
        *ROOT.glob("mycobot_scripts/**/*.py"),
    ]
    relative = {path: path.relative_to(ROOT).with_suffix("").parts for path in paths}
    return {".".join(p[:-1] if p[-1] == "__init__" else p): path for path, p in relative.items()}


FILES = source_files()


def imports(name: str) -> set[str]:
    """Dotted names that a module imports, wherever in the file: names of `from x import y` as `x.y` too."""
    found = set()
    for node in ast.walk(ast.parse(FILES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative import; ours are absolute"
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


IMPORTS = {name: imports(name) for name in FILES}
GRAPH = {name: (found & set(FILES)) - {name} for name, found in IMPORTS.items()}


RUN = re.compile(r"^if __name__ == .__main__.:\n(    .*\n|\n)*?    cli\.run\(", re.MULTILINE)


def package(name: str) -> str:
    return name.split(".")[0]


def packages_of(name: str) -> set[str]:
    """Top-level packages that a module imports."""
    return {package(found) for found in IMPORTS[name]}


def find_cycle(graph: dict[str, set[str]]) -> list[str]:
    """Nodes on cycles, if there are any: what is left after taking away dead ends again and again."""
    left = dict(graph)
    while free := [name for name, targets in left.items() if not targets & left.keys()]:
        for name in free:
            del left[name]
    return sorted(left)


def test_every_module_has_a_floor():
    assert {package(name) for name in FILES} <= set(FLOORS)
    assert {"constants", "sim_env", "policy", "detr.act", "imitate_episodes"} <= set(FILES)


@pytest.mark.parametrize("name", sorted(FILES))
def test_imports_point_down_or_sideways(name):
    upwards = [target for target in GRAPH[name] if FLOORS[package(target)] > FLOORS[package(name)]]
    assert upwards == []


SCRIPTS = {name for name in FILES if RUN.search(FILES[name].read_text(encoding="utf-8"))}


def test_what_a_script_is():
    assert {"record_sim_episodes", "model_runs", "mycobot_scripts.record_episodes"} <= SCRIPTS
    assert not {"gym_env", "mycobot_scripts.watchdog", "rollout"} & SCRIPTS


@pytest.mark.parametrize("name", sorted(FILES))
def test_nobody_imports_a_script(name):
    """What two of them need is a library's."""
    assert GRAPH[name] & SCRIPTS == set()


def test_bench_reaches_into_no_script():
    inner = re.compile(rf"\b({'|'.join(name.rpartition('.')[2] for name in SCRIPTS)})\._\w+")
    assert inner.search("record_sim_episodes._envs")
    assert [path.name for path in ROOT.glob("bench/*.py") if inner.search(path.read_text("utf-8"))] == []


def test_no_import_cycles():
    assert find_cycle(GRAPH) == []
    assert find_cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["a", "b", "c"]  # it can tell


def test_floor_0_needs_the_standard_library_only():
    ground = {name for name in FILES if FLOORS[package(name)] == 0}
    for name in ground:
        assert packages_of(name) - ground <= set(sys.stdlib_module_names), name


def test_networks_import_nothing_of_ours():
    for name in (name for name in FILES if package(name) == "detr"):
        assert {package(target) for target in GRAPH[name]} <= {"detr"}, name


@pytest.mark.parametrize(
    ("packages", "owners"),
    [
        ({"h5py"}, {"episodes"}),
        (SIMULATOR, {"opengl", "sim_env"}),
        (ARM, {"mycobot_scripts"}),
        ({"pygame"}, {"devices"}),
        ({"joblib", "ray", "dask"}, {"parallel"}),
        ({"IPython"}, set()),
    ],
    ids=["h5py", "simulator", "arm", "gamepad", "cluster", "IPython"],
)
def test_who_may_import(packages, owners):
    assert {package(name) for name in FILES if packages_of(name) & packages} <= owners


def closure(name: str) -> set[str]:
    """All modules of ours that come with a module."""
    reached, todo = set(), [name]
    while todo:
        reached.add(module := todo.pop())
        todo += GRAPH[module] - reached
    return reached


def defines_policy(name: str) -> bool:
    classes = [
        node for node in ast.walk(ast.parse(FILES[name].read_text("utf-8"))) if isinstance(node, ast.ClassDef)
    ]
    return any("Policy" in map(ast.unparse, node.bases) for node in classes)


def test_training_knows_no_policy_by_name():
    concrete = {name for name in FILES if defines_policy(name)}
    assert {"policies.act", "policies.vinn"} <= concrete
    for name in ("training", "training_run", "optimisation", "progress", "training_flags", "feeding"):
        assert not GRAPH[name] & concrete, name
    assert not closure("train_backbone") & (concrete | {"policy"})  # images need none of them


def test_scripted_policy_is_numpy_and_pyquaternion():
    others = packages_of("scripted_policy") - set(sys.stdlib_module_names)
    assert others == {"numpy", "pyquaternion", "schema", "script_paths"}


def test_training_imports_without_simulator_and_arm():
    code = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({sorted(SIMULATOR | ARM)!r}))\n"  # None: cannot be imported
        "import evaluation, imitate_episodes, policy, training, utils\n"
        "assert 'sim_env' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_no_home_folder_is_written_anywhere():
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    home = re.compile(rb"(?<![\w.])/(home|root)/|[A-Z]:\\+Users", re.IGNORECASE)
    assert home.search(b"open('/" + b"home/me/data')") and home.search(b'"C:' + b'\\\\Users"')
    paths = [path for name in names if name and (path := ROOT / name).is_file()]
    assert len(paths) > 20
    texts = {path: data for path in paths if b"\0" not in (data := path.read_bytes())}
    assert [path.name for path, data in texts.items() if home.search(data)] == []


@pytest.mark.parametrize("words", [("--help",), ("--num_steps", "no number")])
def test_flags_are_told_and_refused_without_what_is_slow_to_import(words):
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['imitate_episodes.py', *{words!r}]\n"
        "try:\n"
        "    runpy.run_path('imitate_episodes.py', run_name='__main__')\n"
        "except SystemExit:\n"
        "    pass\n"
        "loaded = sorted({'torch', 'torchvision', 'matplotlib', 'mujoco'} & set(sys.modules))\n"
        "sys.exit(f'{loaded}' if loaded else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "policy ACT:" in done.stdout or "--num_steps is 'no number'" in done.stderr
