"""References: what stays of the first pictures of a dataset, and how checkpoints keep it."""

import numpy as np
import pytest
import torch
from scenery import SIZE, make_scene, seen, with_noise
from synthetic import make_act

from cameras.reference import dataset_references, make_reference, stored_references
from episodes.episode import Episode
from episodes.folders import episode_path, list_episodes
from episodes.frames import JpegFrames
from policies.checkpoints.files import checkpoint_references
from policy import change_policy, save_policy


def starts(count: int = 5) -> list[np.ndarray]:
    """First pictures of episodes: a block lies elsewhere in each."""
    pictures = []
    for i in range(count):
        picture = with_noise(make_scene(), i)
        picture[40 + 30 * i : 60 + 30 * i, 100:130] = (250, 20, 20)
        pictures.append(picture)
    return pictures


def make_dataset(folder, pictures, cameras=("top",)):
    for i, picture in enumerate(pictures):
        frames = {camera: JpegFrames(95) for camera in cameras}
        for camera in cameras:
            frames[camera].append(picture)
            frames[camera].append(np.zeros_like(picture))
        zeros = np.zeros((2, 7), np.float32)
        Episode(qpos=zeros, qvel=zeros, action=zeros, images=frames).save(episode_path(folder, i))
    return list_episodes(folder)


def test_what_lies_elsewhere_each_time_is_gone_and_masked():
    reference = make_reference(starts())
    assert np.abs(reference.picture.astype(int) - make_scene()).mean() < 4
    block = reference.steady[45:55, 105:125]
    assert not block.any() and reference.steady.mean() > 0.7


def test_one_picture_is_a_reference_too():
    (picture,) = starts(1)
    reference = make_reference([picture])
    assert reference.picture is picture and reference.steady.all()


@pytest.mark.parametrize(
    ("pictures", "why"),
    [
        ([make_scene(seed) for seed in range(4)], "differ: camera, table or light changed"),
        ([seen(make_scene(), shift=(6.0 * i, 0.0)) for i in range(4)], "differ: camera, table or light"),
        ([make_scene(), make_scene(size=(48, 64))], "of different sizes, 320x240 and 64x48"),
    ],
    ids=["other scenes", "moved camera", "other sizes"],
)
def test_pictures_of_different_places_are_no_reference(pictures, why):
    with pytest.raises(ValueError, match=why):
        make_reference(pictures)


def test_a_dimmer_lamp_is_the_same_place():
    assert make_reference([make_scene(), (0.9 * make_scene()).astype(np.uint8)]).steady.mean() > 0.9


def test_a_dataset_has_the_references_of_its_first_frames(tmp_path):
    references, missing = dataset_references(make_dataset(tmp_path / "one", starts(12)))
    assert list(references) == ["top"] and not missing
    assert references["top"].picture.shape == (*SIZE, 3) and references["top"].picture.mean() > 50
    _, missing = dataset_references(
        make_dataset(tmp_path / "others", [make_scene(i) for i in range(5)]), ["top"]
    )
    assert list(missing) == ["top"]


def test_a_checkpoint_keeps_them_and_older_ones_have_none(tmp_path):
    reference = make_reference(starts())
    path = tmp_path / "policy_best.ckpt"
    save_policy(path, make_act(), step=3, references={"top": reference.plain()})
    change_policy(path, lambda policy: None)  # as when a run is finished
    kept = checkpoint_references(path)["top"]
    assert (kept.steady == reference.steady).all()
    assert np.abs(kept.picture.astype(int) - reference.picture).mean() < 2
    save_policy(path, make_act(), step=3)
    assert checkpoint_references(path) == {}
    torch.save({"weights": torch.ones(1)}, path)
    assert checkpoint_references(path) == {}


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (3, "are no pictures by camera"),
        ({"top": 3}, "that of 'top' is no picture"),
        ({"top": {"picture": b"JPEG", "steady": b"PNG"}}, "that of 'top' is damaged"),
    ],
)
def test_damaged_references_are_named(values, why):
    with pytest.raises(ValueError, match=f"^a.ckpt: its references.*{why}"):
        stored_references(values, "a.ckpt: its references")
