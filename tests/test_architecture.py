"""The house: what stands at the root, the floor of each room, and that rooms are entered by their doors."""

import ast
import functools
import importlib
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from repository import ROOT

FLOORS = {  # of rooms and of files at the root; imports point strictly downwards
    "common": 1,
    **dict.fromkeys(("act_toolkit", "detr", "setup", "tasks"), 2),
    **dict.fromkeys(("constants", "scripted_policy"), 3),
    **dict.fromkeys(("episodes", "sim_env"), 4),
    **dict.fromkeys(("actors", "cameras", "readers", "utils", "ee_sim_env", "gym_env"), 5),
    **dict.fromkeys(("doctor", "policies", "teleop"), 6),
    **dict.fromkeys(("policy", "disturbances"), 7),
    "evaluation": 8,
    "mycobot_scripts": 9,
    "viewers": 10,
    "cockpit_app": 11,
    "training": 11,
    "dataset_tools": 11,
}
SCRIPTS = 12
ARM_FLOORS = {  # of the rooms in mycobot_scripts
    "kinematics": 1,
    "safety": 2,
    "wire": 3,
    "robot": 4,
    "desk": 5,
    "stand_in": 5,
    "demos": 6,
    "checks": 7,
}
LONGEST = 350  # lines of a file
MOST_FILES = 12  # of a room, beside its door
OPTIONAL = {"rerun", "pyarrow", "av", "pygame", "timm", "zarr"}  # packages of the extras
SIMULATOR = {"mujoco", "dm_control", "dm_env", "gym_aloha"}
ARM = {"pymycobot"}


def source_files() -> dict[str, Path]:
    """Dotted module name to file, of everything that is ours but tests and bench."""
    rooms = [name for name in FLOORS if (ROOT / name).is_dir()]
    paths = [*ROOT.glob("*.py"), *(path for room in rooms for path in (ROOT / room).rglob("*.py"))]
    relative = {path: path.relative_to(ROOT).with_suffix("").parts for path in paths}
    return {".".join(p[:-1] if p[-1] == "__init__" else p): path for path, p in relative.items()}


FILES = source_files()


@functools.cache
def is_script(name: str) -> bool:
    return "cli.run(" in FILES[name].read_text(encoding="utf-8")


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def imported(path: Path) -> list[tuple[str, str | None]]:
    """(module, name or None) of every import, wherever in the file."""
    found: list[tuple[str, str | None]] = []
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found += [(alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; ours are absolute"
            found += [(node.module, alias.name) for alias in node.names]
    return found


def offers(room: str) -> dict[str, str]:
    """Name to the file of the room that it comes from, as its door says; empty where there is no table."""
    for node in ast.walk(tree_of(FILES[room])):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "open_door":
            return {name: file for file, names in ast.literal_eval(node.args[1]).items() for name in names}
    return {}


def package(name: str) -> str:
    return name.split(".")[0]


def room_of(name: str) -> str | None:
    """The room that a module is in; None at the root, and for the arm's scripts."""
    parts = name.split(".")
    if parts[0] == "mycobot_scripts":
        return ".".join(parts[:2]) if len(parts) > 1 and parts[1] in ARM_FLOORS else None
    return parts[0] if (ROOT / parts[0]).is_dir() else None


def inner_room_of(name: str) -> str | None:
    """The inner room, a folder of a room, that a module is in; None if it is in the room itself."""
    folder = name if FILES[name].name == "__init__.py" else name.rpartition(".")[0]
    return folder if folder != room_of(name) and room_of(name) in ROOMS else None


ROOMS = sorted({room for name in FILES if (room := room_of(name))})
INNER_ROOMS = sorted({room for name in FILES if (room := inner_room_of(name))})
ROOMS += INNER_ROOMS
OFFERS = {room: offers(room) for room in ROOMS}


def behind(room: str, name: str) -> str:
    """The module that a door's name comes from, through the doors of inner rooms."""
    file = f"{room}.{OFFERS[room][name]}"
    return behind(file, name) if name in OFFERS.get(file, {}) else file


def targets(name: str) -> set[str]:
    """Our modules that a module imports; through a door, the file behind it."""
    found = set()
    for module, attribute in imported(FILES[name]):
        inner = f"{module}.{attribute}"
        if inner in FILES:
            found.add(inner)
        elif attribute in OFFERS.get(module, {}):
            found.add(behind(module, attribute))
        elif module in FILES:
            found.add(module)
    return found - {name}


GRAPH = {name: targets(name) for name in FILES}


def packages_of(name: str) -> set[str]:
    """Top-level packages that a module imports."""
    return {package(module) for module, _ in imported(FILES[name])}


def floor(name: str) -> int:
    return SCRIPTS if is_script(name) else FLOORS[package(name)]


def find_cycle(graph: dict[str, set[str]]) -> list[str]:
    """Nodes on cycles, if there are any: what is left after taking away dead ends again and again."""
    left = dict(graph)
    while free := [name for name, others in left.items() if not others & left.keys()]:
        for name in free:
            del left[name]
    return sorted(left)


# --- the root


def test_at_the_root_stands_what_people_run_and_what_act_calls_by_name():
    there = {path.stem for path in ROOT.glob("*.py")}
    others = {"constants", "sim_env", "ee_sim_env", "scripted_policy", "gym_env", "utils", "policy", "setup"}
    assert {name for name in there if not is_script(name)} == others


def test_every_room_says_what_it_is_for():
    for room in [*ROOMS, "mycobot_scripts"]:
        first = FILES[room].read_text(encoding="utf-8").splitlines()[0]
        assert re.match(r'"""[A-Z].{20,}\.', first) or first.endswith('."""'), room


def test_files_are_short_and_rooms_hold_few():
    lengths = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in FILES.items()}
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}
    doors = {name for name in FILES if FILES[name].name == "__init__.py"}
    counts = Counter(name.rpartition(".")[0] for name in FILES if name not in doors)
    assert {room for room in doors if counts[room] > MOST_FILES} == set()


# --- floors


@pytest.mark.parametrize("name", sorted(FILES))
def test_imports_point_strictly_downwards(name):
    others = [target for target in GRAPH[name] if package(target) != package(name)]
    assert [target for target in others if floor(target) >= floor(name)] == []


@pytest.mark.parametrize(
    "name", sorted(name for name in FILES if (room_of(name) or "").startswith("mycobot_"))
)
def test_the_arms_rooms_have_floors_too(name):
    rooms = {room_of(target) for target in GRAPH[name] if package(target) == "mycobot_scripts"}
    here = ARM_FLOORS[name.split(".")[1]]
    assert None not in rooms, "a room imports one of the arm's scripts"
    assert [room for room in rooms - {room_of(name)} if ARM_FLOORS[room.split(".")[1]] >= here] == []


def test_no_import_cycles():
    assert find_cycle(GRAPH) == []
    assert find_cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["a", "b", "c"]  # it can tell


def test_scripts_import_no_script():
    scripts = {name for name in FILES if is_script(name)}
    assert {"imitate_episodes", "mycobot_scripts.twin"} <= scripts
    # a script that workers import imports itself under its name
    assert {name: found for name in FILES if (found := GRAPH[name] & scripts - {name})} == {}


def test_bench_reaches_into_no_script():
    scripts = [name.rpartition(".")[2] for name in FILES if is_script(name)]
    inner = re.compile(rf"\b({'|'.join(scripts)})\._\w+")
    assert inner.search("record_sim_episodes._envs")
    assert [path.name for path in ROOT.glob("bench/**/*.py") if inner.search(path.read_text("utf-8"))] == []


# --- doors


def entries(path: Path, room: str | None) -> list[str]:
    """Imports of a file, in `room`, that pass by another room's door."""
    wrong = []
    for module, name in imported(path):
        other = room_of(module) if module in FILES else None
        if other is None or other == room or module == "common.door":
            continue
        if module != other or name not in OFFERS[other]:
            wrong.append(f"from {module} import {name}")
    return wrong


@pytest.mark.parametrize("name", sorted(FILES))
def test_rooms_are_entered_by_their_doors(name):
    assert entries(FILES[name], room_of(name)) == []


def test_inner_rooms_are_entered_by_their_doors():
    wrong = []
    for name in FILES:
        for module, attribute in imported(FILES[name]):
            inner = inner_room_of(module) if module in FILES else None
            if inner and inner != inner_room_of(name) and (module != inner or attribute not in OFFERS[inner]):
                wrong.append(f"{name}: from {module} import {attribute}")
    assert wrong == [] and {"tasks.looks", "readers.lerobot"} <= set(INNER_ROOMS)


@pytest.mark.parametrize("folder", ["bench", "plugins"])
def test_benchmarks_and_plugins_enter_by_the_doors_too(folder):
    paths = [path for path in (ROOT / folder).rglob("*.py") if "build" not in path.parts]  # of pip
    assert paths
    assert {path.name: wrong for path in paths if (wrong := entries(path, None))} == {}


def test_nothing_knows_a_plugin():
    plugins = {path.parent.name for path in ROOT.glob("plugins/*/pyproject.toml")}
    assert {name for name in FILES if packages_of(name) & (plugins | {"lerobot", "plugins"})} == set()


@pytest.mark.parametrize("room", [room for room in ROOMS if OFFERS[room]])
def test_doors_offer_what_is_there(room):
    for name, file in OFFERS[room].items():
        try:
            module = importlib.import_module(f"{room}.{file}")
            value = module if name == file else getattr(module, name)
        except ModuleNotFoundError as error:
            assert error.name in OPTIONAL
            continue
        assert getattr(importlib.import_module(room), name) is value
        assert name == file or f"{room}.{name}" not in FILES, "a file has the name of something else"
    with pytest.raises(ImportError, match="cannot import name 'no_such_thing'"):
        exec(f"from {room} import no_such_thing")


def test_doors_are_light():
    heavy = {"torch", "torchvision", "mujoco", "matplotlib", "cv2", "h5py", "numpy"}
    code = f"import sys, {', '.join(ROOMS)}\nassert not {heavy!r} & sys.modules.keys()"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# --- who may import what


def test_networks_import_nothing_of_ours():
    for name in (name for name in FILES if package(name) == "detr"):
        assert {target for target in GRAPH[name] if package(target) != "detr"} <= {"common.door"}, name


@pytest.mark.parametrize(
    ("packages", "owners"),
    [
        ({"h5py"}, {"episodes"}),
        (SIMULATOR, {"tasks", "sim_env", "ee_sim_env"}),
        (ARM, {"mycobot_scripts"}),
        ({"pygame"}, {"teleop"}),
        ({"joblib", "ray", "dask"}, {"common"}),
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
    classes = [node for node in ast.walk(tree_of(FILES[name])) if isinstance(node, ast.ClassDef)]
    return any("Policy" in map(ast.unparse, node.bases) for node in classes)


def test_training_knows_no_policy_by_name():
    concrete = {name for name in FILES if defines_policy(name)}
    assert {"policies.act", "policies.vinn"} <= concrete
    for name in (name for name in FILES if room_of(name) == "training"):
        assert not GRAPH[name] & concrete, name
    assert not closure("train_backbone") & (concrete | {"policy"})  # images need none of them


def test_scripted_policy_is_numpy_and_the_paths_of_tasks():
    others = packages_of("scripted_policy") - set(sys.stdlib_module_names)
    assert others == {"numpy", "tasks"}


def test_training_imports_without_simulator_and_arm():
    code = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({sorted(SIMULATOR | ARM)!r}))\n"  # None: cannot be imported
        "import imitate_episodes, policy, utils\n"
        "from evaluation import evaluate\n"
        "from training import fit\n"
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


def test_each_file_of_tests_has_a_name_of_its_own():
    names = sorted(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert names == sorted(set(names))  # pytest imports them by name alone
