"""LeRobot's own code reads what `export_lerobot` writes, and trains on it (their_lerobot.py: where it is)."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="needs pip install pyarrow")
pytest.importorskip("av", reason="needs pip install av")

from test_lerobot_format import LENGTHS, assert_close, export, make_dataset  # noqa: E402
from their_lerobot import interpreters, run_theirs  # noqa: E402

from dataset_tools.lerobot.export import WRITERS  # noqa: E402
from episodes.episode import Episode  # noqa: E402
from episodes.folders import list_episodes  # noqa: E402

pytestmark = pytest.mark.slow

CAMERAS = ("top", "wrist")
FEATURES = {  # of an episode's fields
    "qpos": "observation.state",
    "qvel": "observation.velocity",
    "action": "action",
    "reward": "next.reward",
}
STATISTICS = {
    "2.1": {"min", "max", "mean", "std", "count"},
    "3.0": {"min", "max", "mean", "std", "count", "q01", "q10", "q50", "q90", "q99"},
}
TRAINERS = {"2.1": "lerobot.scripts.train", "3.0": "lerobot.scripts.lerobot_train"}  # `lerobot-train`
TINY_ACT = {
    "type": "act",
    "device": "cpu",
    "push_to_hub": "false",
    "pretrained_backbone_weights": "null",
    **dict.fromkeys(("chunk_size", "n_action_steps"), 4),
    **{"dim_model": 32, "dim_feedforward": 64, "n_heads": 2, "n_encoder_layers": 1},
}


@pytest.fixture(params=WRITERS)
def version(request) -> str:
    if request.param not in interpreters():
        wanted = WRITERS[request.param].readers.split(",")[0]
        pytest.skip(f"LEROBOT_PYTHON names no interpreter of {wanted}, for v{request.param}; see this file")
    return request.param


def joined(episodes: list[Episode], name: str) -> np.ndarray:
    return np.concatenate([getattr(episode, name) for episode in episodes])


@pytest.mark.parametrize("values", [{}, {"reward": None, "success": None}], ids=["judged", "not judged"])
def test_lerobot_reads_the_same(tmp_path, version, values):
    source = make_dataset(tmp_path / "data", CAMERAS, **values)
    root = export(source, tmp_path / "lr", version=version, task_text="Hand the cube over.")
    run_theirs(
        version,
        tmp_path / "home",
        Path(__file__).with_name("lerobot_reading.py"),
        root,
        tmp_path / "read.npz",
    )
    episodes = [Episode.load(path) for path in list_episodes(source)]
    with np.load(tmp_path / "read.npz") as read:
        assert read["fact episodes"] == len(LENGTHS) and read["fact fps"] == 50
        assert set(read["fact tasks"]) == {"Hand the cube over."}
        for name, feature in FEATURES.items():
            if name in values:
                assert feature not in read
            else:
                np.testing.assert_array_equal(read[feature], joined(episodes, name))
        starts = np.cumsum([0, *LENGTHS])
        for i, (episode, start) in enumerate(zip(episodes, starts, strict=False)):
            rows = slice(start, start + len(episode))
            assert set(read["episode_index"][rows]) == {i}
            np.testing.assert_allclose(read["timestamp"][rows], np.arange(len(episode)) / 50, atol=1e-6)
            assert read["next.done"][rows].tolist() == [False] * (len(episode) - 1) + [True]
            if not values:
                assert read["next.success"][rows].any() == episode.success
            for camera in CAMERAS:
                frames = read[f"observation.images.{camera}"][rows].transpose(0, 2, 3, 1)
                assert_close(episode.images[camera], (frames * 255).round().astype(np.uint8))
        assert ("next.success" in read) == (not values)
        stats = {tuple(key.rsplit("/", 1)) for key in read["fact stats"]}
        assert {name for feature, name in stats if feature == "action"} == STATISTICS[version]
        assert {f"observation.images.{camera}" for camera in CAMERAS} < {feature for feature, _ in stats}
        np.testing.assert_allclose(read["fact mean"], joined(episodes, "action").mean(axis=0), atol=1e-5)


def test_lerobot_trains_act(tmp_path, version):
    """Ten steps, on the CPU, from random weights."""
    root = export(make_dataset(tmp_path / "data", CAMERAS), tmp_path / "lr", version=version)
    flags = {
        "dataset.repo_id": "somebody/set",
        "dataset.root": root,
        "dataset.video_backend": "pyav",
        **{f"policy.{name}": value for name, value in TINY_ACT.items()},
        **{"batch_size": 2, "num_workers": 0, "steps": 10, "log_freq": 5, "wandb.enable": "false"},
        "output_dir": tmp_path / "run",
    }
    words = [f"--{name}={value}" for name, value in flags.items()]
    printed = run_theirs(version, tmp_path / "home", "-m", TRAINERS[version], *words)
    assert "step:10 " in printed and "End of training" in printed
    assert list((tmp_path / "run/checkpoints").glob("*/pretrained_model/model.safetensors"))
