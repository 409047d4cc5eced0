"""A run's checkpoints know what the cameras show where the demonstrations begin."""

from types import SimpleNamespace

import numpy as np
from scenery import make_scene
from synthetic import make_act

from episodes.episode import Episode
from episodes.folders import episode_path
from episodes.frames import JpegFrames
from policies.checkpoints.files import checkpoint_references
from training.flags import TrainConfig
from training.imitation import plain_references
from training.run.state import RunState


def make_data(folder, pictures, multiplied=()):
    pictures = [*pictures, *multiplied]
    paths = [episode_path(folder, i) for i in range(len(pictures))]
    for path, picture in zip(paths, pictures, strict=True):
        frames, zeros = JpegFrames(95), np.zeros((1, 7), np.float32)
        frames.append(picture)
        Episode(zeros, zeros, {"top": frames}).save(path)
    return SimpleNamespace(
        train=SimpleNamespace(paths=paths), sizes=(len(paths) - len(multiplied), len(multiplied))
    )


def test_references_are_in_the_checkpoints(tmp_path):
    said: list[str] = []
    run = RunState(make_act(), TrainConfig(), 1)
    run.references = plain_references(make_data(tmp_path / "data", [make_scene()] * 3), ["top"], said.append)
    for name in ("best", "last"):
        kept = checkpoint_references(run.save(tmp_path, name))
        assert np.abs(kept["top"].picture.astype(int) - make_scene()).mean() < 3
    assert said == []


def test_episodes_of_different_places_have_none_and_that_is_said(tmp_path):
    said: list[str] = []
    assert (
        plain_references(make_data(tmp_path, [make_scene(i) for i in range(3)]), ["top"], said.append) == {}
    )
    assert said == [
        "note: camera top has no reference picture for its checkpoints: the first pictures of its episodes "
        "differ: camera, table or light changed"
    ]


def test_what_was_multiplied_in_other_looks_does_not_hide_where_cameras_stood(tmp_path):
    said: list[str] = []
    data = make_data(tmp_path, [make_scene()] * 2, [make_scene(i) for i in range(1, 9)])
    assert list(plain_references(data, ["top"], said.append)) == ["top"] and said == []
