"""The plugins for LeRobot, without LeRobot: their packages, and how they find this toolkit."""

import importlib.util
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from repository import ROOT

PLUGINS = ROOT / "plugins"
NAMES = sorted(path.parent.name for path in PLUGINS.glob("*/pyproject.toml"))


def load_checkout(path: Path):
    """`checkout/__init__.py` of a plugin, from wherever it was installed."""
    spec = importlib.util.spec_from_file_location("a_checkout", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """The wheel of each plugin, by its name; nothing is written beside their sources."""
    folder = tmp_path_factory.mktemp("wheels")
    shutil.copytree(PLUGINS, folder / "plugins", ignore=shutil.ignore_patterns("build", "*.egg-info"))
    built = {}
    for name in NAMES:
        words = ("wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "-w", folder / name)
        words += ("--ignore-requires-python",)  # LeRobot needs a newer one
        done = subprocess.run(
            [sys.executable, "-m", "pip", *map(str, words), "."],
            cwd=folder / "plugins" / name,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        built[name] = next((folder / name).glob("*.whl"))
    return built


@pytest.mark.parametrize("name", NAMES)
def test_the_wheel_is_whole_and_has_the_name_that_lerobot_looks_for(wheels, name):
    prefixes = ("lerobot_robot_", "lerobot_teleoperator_", "lerobot_env_", "lerobot_policy_")
    assert name.startswith(prefixes)
    with zipfile.ZipFile(wheels[name]) as wheel:
        there = set(wheel.namelist())
        metadata = wheel.read(next(path for path in there if path.endswith("METADATA"))).decode()
    assert f"\nName: {name}\n" in metadata, "LeRobot imports a package by this name"
    sources = {f"{name}/{path.name}" for path in (PLUGINS / name / name).glob("*.py")}
    assert {path for path in there if path.endswith(".py")} == sources | {f"{name}/checkout/__init__.py"}


@pytest.mark.parametrize("name", NAMES)
def test_versions_of_shared_packages_are_those_of_the_toolkit(name):
    tomllib = pytest.importorskip("tomllib", reason="needs Python 3.11")
    ours = set(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"])
    plugin = tomllib.loads((PLUGINS / name / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [*plugin["dependencies"], *sum(plugin.get("optional-dependencies", {}).values(), [])]
    assert [each for each in wanted if not each.startswith("lerobot") and each not in ours] == []


def test_the_checkout_is_where_it_is_installed_from_or_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv("ACT_TOOLKIT", raising=False)
    source = PLUGINS / "checkout/__init__.py"
    assert load_checkout(source).find() == ROOT, "as after pip install -e"
    copy = tmp_path / "site-packages/a_plugin/checkout/__init__.py"
    copy.parent.mkdir(parents=True)
    shutil.copy(source, copy)
    monkeypatch.setitem(sys.modules, "act_toolkit", None)  # the wheel is not installed
    with pytest.raises(ValueError, match=r"checkout is not known; set ACT_TOOLKIT to its folder, or install"):
        load_checkout(copy).find()
    monkeypatch.setitem(sys.modules, "act_toolkit", SimpleNamespace(ROOT=ROOT))
    assert load_checkout(copy).find() == ROOT
    monkeypatch.delitem(sys.modules, "act_toolkit")
    monkeypatch.setenv("ACT_TOOLKIT", str(tmp_path))
    with pytest.raises(ValueError, match=r"ACT_TOOLKIT is .*, where the toolkit is not; set"):
        load_checkout(copy).find()
    monkeypatch.setenv("ACT_TOOLKIT", str(ROOT))
    assert load_checkout(copy).find() == ROOT


def test_a_package_that_hides_the_toolkit_is_named(tmp_path, monkeypatch):
    (tmp_path / "common").mkdir()
    (tmp_path / "common/__init__.py").write_text("")
    code = f"""
import importlib.util, sys
sys.path.insert(0, {str(tmp_path)!r})
spec = importlib.util.spec_from_file_location("checkout", {str(PLUGINS / "checkout/__init__.py")!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
module.enter()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert "another package is called `common`" in done.stderr and str(tmp_path) in done.stderr
