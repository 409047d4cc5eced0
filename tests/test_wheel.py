"""The wheel and the sdist: what is inside; the wheel's commands run from any folder, as scripts do."""

import configparser
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from repository import ROOT
from synthetic import SMALL_FLAGS

from common import COMMANDS

pytest.importorskip("setuptools", minversion="77")
LEFT_OUT = ("bench/", "docs/", "plugins/", "tests/", ".ci/")  # of the wheel
FOR_BUILDING = {
    "Makefile",
    "MANIFEST.in",
    "pyproject.toml",
    "setup.py",
    "LICENSE",
    ".gitignore",
    "act_toolkit/__init__.py",  # stands beside the tree
}
RUN = "import sys; sys.argv = sys.argv[1:]; import act_toolkit; sys.exit(act_toolkit.run())"


def tracked() -> set[str]:
    """The files under version control that are there."""
    if not (ROOT / ".git").exists():
        pytest.skip("no repository: what belongs inside is unknown")
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    names = done.stdout.decode("utf-8").split("\0")
    return {name for name in names if name and (ROOT / name).is_file()}


def build(kind: str, source: Path, out: Path) -> Path:
    """Build a wheel or an sdist, as pip and uv ask for it."""
    code = f"from setuptools import build_meta; build_meta.build_{kind}({str(out)!r})"
    done = subprocess.run([sys.executable, "-c", code], cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (made,) = out.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return made


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> tuple[Path, Path]:
    """The sdist of this repository, and the wheel that is built of the sdist."""
    folder = tmp_path_factory.mktemp("built")
    for name in tracked():
        copy = folder / "source" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes((ROOT / name).read_bytes())
    (folder / "source/mycobot320.json").write_text("{}")  # somebody's own
    sdist = build("sdist", folder / "source", folder)
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    return sdist, build("wheel", folder / sdist.name.removesuffix(".tar.gz"), folder)


@pytest.fixture(scope="module")
def site(built, tmp_path_factory) -> Path:
    """A folder of packages in which the wheel is installed."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(built[1]) as wheel:
        wheel.extractall(folder)
    return folder


def start(site: Path, folder: Path, command: str, *words: object) -> subprocess.CompletedProcess[str]:
    """Run a command as its launcher does, in a folder."""
    environment = {**os.environ, "PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"}
    launched = [sys.executable, "-c", RUN, str(site / "bin" / command), *map(str, words)]
    return subprocess.run(launched, cwd=folder, env=environment, capture_output=True, text=True)


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_sdist_has_every_file(built):
    with tarfile.open(built[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert tracked() - names == set() and "mycobot320.json" not in names


def test_the_wheel_has_every_file_that_runs_in_one_package(built):
    with zipfile.ZipFile(built[1]) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    outside = {name for name in tracked() if name.startswith(LEFT_OUT) or name.endswith((".md", ".txt"))}
    wanted = {f"act_toolkit/tree/{name}" for name in tracked() - outside - FOR_BUILDING}
    assert names == wanted | {"act_toolkit/__init__.py"}


def test_every_script_is_a_command(site):
    entries = configparser.ConfigParser()
    entries.read(next(site.glob("*.dist-info")) / "entry_points.txt", encoding="utf-8")
    assert dict(entries["console_scripts"]) == dict.fromkeys(COMMANDS, "act_toolkit:run")
    scripts = [*ROOT.glob("*.py"), *ROOT.glob("mycobot_scripts/*.py")]
    runnable = {path for path in scripts if "cli.run(" in path.read_text(encoding="utf-8")}
    assert {ROOT / script for script in COMMANDS.values()} == runnable


def test_the_page_lists_the_commands():
    page = (ROOT / "docs/install.md").read_text(encoding="utf-8")
    assert dict(re.findall(r"`(act-[\w-]+)` \| `([\w/]+\.py)`", page)) == COMMANDS


def test_every_command_tells_its_flags_in_an_empty_folder(site, tmp_path):
    with ThreadPoolExecutor(2) as pool:
        told = list(pool.map(lambda command: start(site, tmp_path, command, "--help"), COMMANDS))
    for command, done in zip(COMMANDS, told, strict=True):
        assert done.stdout.startswith(f"usage: {command} "), done.stderr
        assert "python3 " not in done.stdout and f"\n  {command}" in done.stdout.partition("examples:")[2]
    assert files(tmp_path) == set()


def test_a_link_to_a_command_may_have_another_name(site, tmp_path):
    (tmp_path / "act-demo").touch()
    (tmp_path / "mine").symlink_to(tmp_path / "act-demo")
    done = start(site, tmp_path, tmp_path / "mine", "--dry_run")
    assert done.returncode == 0 and done.stdout.startswith("act-record "), done.stderr
    done = start(site, tmp_path, "mine", "--dry_run")
    assert done.returncode == 1 and done.stderr.startswith(
        "error: mine is no command of this toolkit; they are"
    )


def test_an_installed_command_names_others_and_takes_presets_from_the_package(site, tmp_path):
    before = files(site)
    done = start(site, tmp_path, "act-demo", "--dry_run")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["act-record", "act-train", "act-train"]
    done = start(site, tmp_path, "act-edit", "check", "--dataset_dir", "data/none")
    assert "record some first: act-record --task_name NAME" in done.stderr and done.returncode == 1
    train = ("act-train", "--task_name", "mine", "--ckpt_dir", "run", "--config")
    done = start(site, tmp_path, *train, "presets/small.json", "--lr", "none")
    assert done.stderr.startswith("error: --lr is 'none'"), done.stderr
    done = start(site, tmp_path, *train, "presets/none.json")
    assert done.stderr == "error: --config is 'presets/none.json'; there is no such file\n"
    assert files(site) == before and files(tmp_path) == set()


@pytest.mark.slow
def test_from_recording_to_a_report_nothing_is_written_into_the_package(site, tmp_path):
    before = files(site)
    task = ("--task_name", "sim_transfer_cube_scripted")
    for words in (
        ("act-record", *task, "--num_episodes", 2, "--num_workers", 2),
        ("act-edit", "info", "--dataset_dir", "data/sim_transfer_cube_scripted"),
        ("act-train", *task, "--ckpt_dir", "run", *SMALL_FLAGS, "--num_steps", 4),
        ("act-train", *task, "--ckpt_dir", "run", "--eval", "--num_rollouts", 2, "--num_workers", 2),
        ("act-report", "--runs", "run"),
        ("act-arm-check", "--robot", "twin", "--pace", 0.5, "--still"),
    ):
        done = start(site, tmp_path, *words)
        assert done.returncode == 0, done.stderr
    told = (tmp_path / "run/commands.json").read_text(encoding="utf-8")
    assert '"command": "act-train --task_name' in told and '"code": "act-toolkit 1' in told
    assert files(site) == before and (tmp_path / "run/report.html").is_file()
