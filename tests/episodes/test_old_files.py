"""Files of an earlier commit load and act as they did.

`reference/files_of_692477a` holds an episode (a made-up one of `synthetic.make_dataset`), a checkpoint of
each policy, trained on four of them for 12 steps, and what that commit's policies did. Most weights are zero,
so that the files are small.
"""

import lzma

import numpy as np
import pytest
from repository import REFERENCE

from episodes.episode import Episode
from evaluation.execution.chunks import ChunkedExecution
from policies import TorchActor
from policy import load_policy

FOLDER = REFERENCE / "files_of_692477a"
MOMENTS = (0, 7, 15)  # steps of the episode from which chunks were asked for


@pytest.fixture(scope="module")
def episode() -> Episode:
    return Episode.load(FOLDER / "episode_0.hdf5")


def test_an_old_episode_loads(episode):
    assert (len(episode), episode.task, episode.success) == (24, "sim_transfer_cube_scripted", True)
    assert episode.images["top"][0].shape == (96, 128, 3)
    assert np.array_equal(episode.qpos[1:], episode.action[:-1])  # as it was made


@pytest.mark.parametrize("name", ["act", "cnnmlp", "diffusion", "vinn"])
def test_an_old_checkpoint_acts_as_it_did(name, episode, tmp_path):
    path = tmp_path / f"{name}.ckpt"
    path.write_bytes(lzma.decompress((FOLDER / f"{name}.ckpt.xz").read_bytes()))
    with np.load(FOLDER / "actions.npz") as arrays:
        expected = arrays[name]  # (3, 4, 14): by moment and step of the chunk
    execute = ChunkedExecution(TorchActor(load_policy(path, "cpu"), "no"))
    for moment, actions in zip(MOMENTS, expected, strict=True):
        images = {"top": episode.images["top"][moment]}
        observation = {"qpos": episode.qpos[moment], "qvel": episode.qvel[moment], "images": images}
        execute.reset([0, moment])
        got = np.stack([execute(observation) for _ in actions])
        np.testing.assert_allclose(got, actions, rtol=1e-3, atol=1e-4)
