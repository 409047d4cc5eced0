"""Checkpoints that are damaged, of other programs, or made to do harm."""

import functools
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from repository import REFERENCE, ROOT
from synthetic import make_batch, make_small, make_vinn, reference_weight
from torch import Tensor, nn

from policies.checkpoints.files import read_checkpoint, read_weights
from policies.registry import POLICIES
from policies.vision import start_backbones
from policy import load_policy, save_policy
from training.flags import TrainConfig
from training.loop import Run
from training.pretraining.classification import fake_images
from training.pretraining.run import LAST as CLASSIFIER_LAST
from training.pretraining.run import ClassifierConfig, ClassifierRun

LAYER = "network.action_head.weight"


def write(path: Path, content) -> Path:
    torch.save(content, path)
    return path


def refusal(path: Path, **options) -> str:
    """What load_policy says of a checkpoint; it is one line that begins with the file."""
    with pytest.raises((ValueError, OSError)) as caught:
        load_policy(path, **options)
    text = str(caught.value)
    assert text.startswith(str(path)) and "\n" not in text and "weights_only" not in text
    return text


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "a.ckpt"
    save_policy(path, make_small("ACT"), step=3)
    return read_checkpoint(path)


def without(values: dict, *names: str) -> dict:
    return {name: value for name, value in values.items() if name not in names}


# --- of this program


@pytest.mark.parametrize("name", POLICIES)
def test_what_policies_save_is_finite_and_loads(name, tmp_path):
    policy = make_small(name)
    save_policy(tmp_path / "a.ckpt", policy)
    loaded = load_policy(tmp_path / "a.ckpt").state_dict()
    assert all(torch.equal(value, loaded[key]) for key, value in policy.state_dict().items())


@pytest.mark.parametrize(
    ("whole", "told"),
    [
        ([1, 2], "holds a list, not the dict"),
        (7, "holds 7, not the dict"),
        ("weights", "holds 'weights', not the dict"),
        (torch.zeros(3), "holds a Tensor, not the dict"),
        ({}, "holds an empty dict"),
        ({1: torch.zeros(3)}, "holds a dict, not the dict of names"),
        ({"epoch": 3, "lr": 0.1}, "has the entries 'epoch', 'lr'"),
        ({"state_dict": {"a": torch.zeros(3)}, "epoch": 3}, "not a state dict of ACT"),
    ],
)
def test_contents_of_another_kind_are_named(tmp_path, whole, told):
    assert told in refusal(write(tmp_path / "a.ckpt", whole))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda c: without(c, "format_version"), "has no format_version"),
        (lambda c: c | {"format_version": "3"}, "has format_version '3'"),
        (lambda c: c | {"format_version": True}, "has format_version True"),
        (lambda c: c | {"format_version": 99}, "has format 99, newer than"),
        (lambda c: c | {"policy_class": "ACTT"}, "policy class 'ACTT'; choose from ACT, Diffusion"),
        (lambda c: c | {"policy_class": ["ACT"]}, "policy class a list"),
        (lambda c: without(c, "config"), "has no config"),
        (lambda c: without(c, "interface"), "has no interface"),
        (lambda c: without(c, "weights"), "has no weights"),
        (lambda c: c | {"config": 3}, "its config is 3; it should be a dict"),
        (lambda c: c | {"config": c["config"] | {"new": 1}}, "its config has 'new', which this version"),
        (lambda c: c | {"interface": without(c["interface"], "cameras")}, "its interface lacks 'cameras'"),
        (lambda c: c | {"weights": {}}, "lacks 'qpos_mean'"),
        (lambda c: c | {"weights": [1]}, "should hold weights, tensors by name; it holds a list"),
        (lambda c: c | {"weights": c["weights"] | {"more": torch.zeros(2)}}, "weights do not fit its config"),
        (lambda c: c | {"weights": without(c["weights"], LAYER)}, "weights do not fit its config"),
    ],
)
def test_parts_that_are_missing_or_unknown_are_named(tmp_path, content, change, told):
    assert told in refusal(write(tmp_path / "a.ckpt", change(content)))


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("config", "hidden_dim", 0),
        ("config", "hidden_dim", "32"),
        ("config", "hidden_dim", 32.5),
        ("config", "hidden_dim", True),
        ("config", "nheads", 0),
        ("config", "nheads", -4),
        ("config", "enc_layers", -1),
        ("config", "dropout", float("nan")),
        ("config", "kl_weight", None),
        ("config", "no_encoder", "false"),
        ("config", "backbone", "resnet19"),
        ("config", "norm", None),
        ("config", "chunk_size", 0),
        ("interface", "state_dim", 0),
        ("interface", "action_dim", 14.0),
        ("interface", "image_size", (0, 0)),
        ("interface", "image_size", (48,)),
        ("interface", "image_size", (10**6, 10**6)),
        ("interface", "cameras", ()),
        ("interface", "cameras", ("top", "top")),
        ("interface", "cameras", "top"),
        ("interface", "fps", float("nan")),
        ("interface", "fps", -1.0),
        ("interface", "episode_len", -5),
        ("interface", "episode_len", "long"),
        ("interface", "velocity", (1.0,) * 3),
        ("interface", "velocity", (-1.0,) * 14),
        ("interface", "acceleration", (float("inf"),) * 14),
        ("interface", "views", {"top": {"crop": (1, 2)}}),
        ("interface", "views", [1]),
        ("weights", "action_std", torch.zeros(14)),
        ("weights", "action_std", -torch.ones(14)),
        ("weights", "qpos_mean", torch.full((14,), float("nan"))),
        ("weights", "qpos_mean", torch.zeros(13)),
        ("weights", "action_min", torch.full((14,), 1e9)),
    ],
)
def test_values_that_cannot_be_are_named(tmp_path, content, part, name, value):
    changed = content | {part: content[part] | {name: value}}
    text = refusal(write(tmp_path / "a.ckpt", changed))
    assert (
        name.removesuffix("s") in text or "config makes no policy" in text or "do not fit its config" in text
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_weight_that_is_not_finite_is_named(tmp_path, content, value):
    name = LAYER
    weight = content["weights"][name].clone()
    weight[3, 2] = value
    changed = content | {"weights": content["weights"] | {name: weight}}
    assert f"weight '{name}' holds {value}" in refusal(write(tmp_path / "a.ckpt", changed))


def test_tensors_of_other_kinds_are_refused(tmp_path, content):
    name = LAYER
    weight = content["weights"][name]
    for other in (weight.to_sparse(), weight.to("meta")):
        changed = content | {"weights": content["weights"] | {name: other}}
        assert name in refusal(write(tmp_path / "a.ckpt", changed))


def test_values_of_endless_length_are_told_in_short(tmp_path, content):
    nested = []
    for _ in range(40):
        nested = [nested, nested]
    for part in ("config", "interface", "weights"):
        first = next(iter(content[part]))
        for name in (first, "x" * 10_000):
            changed = content | {part: content[part] | {name: nested}}
            assert len(refusal(write(tmp_path / "a.ckpt", changed))) < 500
    assert len(refusal(write(tmp_path / "a.ckpt", content | {"policy_class": "x" * 10**6}))) < 500


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "_orig_mod.module."])
def test_weights_saved_through_a_wrapper_load(tmp_path, content, prefix):
    wrapped = {prefix + name: value for name, value in content["weights"].items()}
    load_policy(write(tmp_path / "a.ckpt", content | {"weights": wrapped}))


def test_checkpoints_of_today_carry_a_checksum(tmp_path):
    save_policy(tmp_path / "a.ckpt", make_small("ACT"))
    data = bytearray((tmp_path / "a.ckpt").read_bytes())
    assert data[-71:-64] == b"sha256:"
    data[len(data) // 2] ^= 1
    (tmp_path / "a.ckpt").write_bytes(data)
    assert "is damaged: its content does not fit its checksum" in refusal(tmp_path / "a.ckpt")


def test_a_folder_says_what_it_holds(tmp_path):
    save_policy(tmp_path / "policy_last.ckpt", make_small("ACT"))
    assert refusal(tmp_path).endswith("is a folder; checkpoints in it: policy_last.ckpt")


# --- of ACT


@functools.cache
def act_weights() -> dict[str, Tensor]:
    """Shared by all tests: do not change them."""
    data = np.load(REFERENCE / "act_upstream.npz")
    shapes = [tuple(map(int, s.split(","))) if s else () for s in map(str, data["shapes"])]
    names = map(str, data["names"])
    return {
        f"model.{name}": torch.from_numpy(reference_weight(name, shape))
        for name, shape in zip(names, shapes, strict=True)
    }


def for_cameras(weights: dict[str, Tensor], count: int) -> dict[str, Tensor]:
    """As ACT++ has them: a backbone for each camera."""
    first = "model.backbones.0."
    more = {
        f"model.backbones.{n}.{name.removeprefix(first)}": value
        for n in range(1, count)
        for name, value in weights.items()
        if name.startswith(first)
    }
    return weights | more


@pytest.fixture
def act_run(tmp_path):
    """A folder as the original ACT leaves it: nothing in it names the cameras."""
    stats = {}
    for of, width in (("qpos", 14), ("action", 16)):
        stats |= {f"{of}_mean": np.zeros(width, np.float32), f"{of}_std": np.ones(width, np.float32)}
    (tmp_path / "dataset_stats.pkl").write_bytes(pickle.dumps(stats))
    return write(tmp_path / "policy_best.ckpt", act_weights())


def test_cameras_of_act_are_asked_for(act_run):
    text = refusal(act_run)
    assert "it does not say how many" in text and "give --camera_names, in the order" in text
    assert load_policy(act_run, cameras=["angle", "top"]).interface.cameras == ("angle", "top")
    (act_run.parent / "config.pkl").write_bytes(pickle.dumps({"camera_names": ["front"]}))
    assert load_policy(act_run).interface.cameras == ("front",)


def test_a_backbone_for_each_camera_tells_how_many(act_run):
    write(act_run, for_cameras(act_weights(), 3))
    assert "(it has 3 backbones, one for each)" in refusal(act_run)
    assert "3 backbones, one for each camera, but the cameras are top; give" in refusal(
        act_run, cameras=["top"]
    )
    assert "name each once" in refusal(act_run, cameras=["top", "top", "left"])
    assert load_policy(act_run, cameras=["a", "b", "c"]).interface.cameras == ("a", "b", "c")


@pytest.mark.parametrize(
    ("prefix", "entry"),
    [
        *((prefix, None) for prefix in ("", "module.", "_orig_mod.", "module._orig_mod.")),
        *(("", entry) for entry in ("model_state_dict", "state_dict", "model", "policy")),
        ("module._orig_mod.", "state_dict"),
    ],
)
def test_wrapped_weights_of_act_are_opened_and_told(act_run, capsys, prefix, entry):
    weights = {prefix + name: value for name, value in act_weights().items()}
    write(act_run, weights if entry is None else {"epoch": 3, entry: weights, "loss": 0.1})
    load_policy(act_run, cameras=["top"])
    told = capsys.readouterr().out
    assert bool(told) == bool(prefix or entry)
    assert not entry or f"its weights are those of its entry '{entry}'" in told
    assert all(f"'{part}.' before their names was left out" in told for part in prefix.split(".") if part)


def test_a_module_inside_act_s_model_is_opened(act_run):
    weights = {name.replace("model.", "model.module.", 1): value for name, value in act_weights().items()}
    load_policy(write(act_run, weights), cameras=["top"])


@pytest.mark.parametrize(
    ("stats", "told"),
    [
        ([1], "is a list; it should be a dict of arrays"),
        ({}, "lacks 'qpos_mean'"),
        ({"qpos_mean": "zero"}, "has qpos_mean 'zero'; it should be an array"),
        ({"qpos_mean": np.zeros(14, np.float32)}, "lacks 'qpos_std'"),
    ],
)
def test_statistics_of_act_are_checked(act_run, stats, told):
    path = act_run.with_name("dataset_stats.pkl")
    path.write_bytes(pickle.dumps(stats))
    with pytest.raises(ValueError, match="dataset_stats.pkl") as caught:
        load_policy(act_run, cameras=["top"])
    assert told in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        [1],
        {"policy_config": 3},
        {"camera_names": "top"},
        {"camera_names": [1]},
        {"policy_config": {"vq": True}},
        {"policy_config": {"vq": True, "vq_class": "8", "vq_dim": 8}},
    ],
)
def test_settings_of_act_are_checked(act_run, settings):
    path = act_run.with_name("config.pkl")
    path.write_bytes(pickle.dumps(settings))
    with pytest.raises(ValueError, match="config.pkl (is not|has)"):
        load_policy(act_run, cameras=["top"])


def test_weights_of_act_with_other_shapes_are_named(act_run):
    weights = act_weights()
    for change in (
        {"model.input_proj_robot_state.weight": torch.zeros(3)},
        {"model.transformer.encoder.layers.0.linear1.weight": torch.zeros(5, 7)},
        {"model.action_head.weight": torch.full((16, 64), float("nan"))},
    ):
        refusal(write(act_run, weights | change), cameras=["top"])


def test_a_pickle_that_makes_pointers_ends_in_a_line(act_run):
    """An array of one object, whose address is what the file says."""
    dtype = b"cnumpy\ndtype\nX\x02\0\0\0O8\x89\x88\x87R(K\x03X\x01\0\0\0|NNNK\x08K\x08K\0tb"
    kind = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85C\x01b\x87R"
    array = kind + b"(K\x01K\x01\x85" + dtype + b"\x89C\x08AAAAAAAAtb"
    entry = b"X\x02\0\0\0vq" + array
    act_run.with_name("config.pkl").write_bytes(b"\x80\x04}X\x0d\0\0\0policy_config}" + entry + b"ss.")
    script = ["model_runs.py", "--robot", "twin", "--ckpt_dir", act_run.parent, "--num_rollouts", "1"]
    task = ["--task_name", "sim_mycobot320_move_cube_scripted"]
    command = [sys.executable, *map(str, [*script, *task])]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1, (done.returncode, done.stderr)
    assert "config.pkl cannot be read safely" in done.stderr and "Traceback" not in done.stderr


# --- weights of backbones


@pytest.mark.parametrize("entry", [None, "state_dict", "model_state_dict"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_wrapped_weights_of_a_backbone_are_opened(tmp_path, entry, prefix):
    torch.manual_seed(0)
    state = start_backbones("keypoints", "none")[0].state_dict()
    weights = {prefix + name: value for name, value in state.items()}
    path = write(tmp_path / "a.pth", weights if entry is None else {entry: weights, "epoch": 1})
    loaded = start_backbones("keypoints", str(path))[0].state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in state.items())


def test_an_average_of_weights_is_opened(tmp_path):
    net = nn.Linear(2, 3)
    average = torch.optim.swa_utils.AveragedModel(net)
    assert read_weights(write(tmp_path / "a.pth", average.state_dict())).keys() == net.state_dict().keys()


def test_damaged_weights_of_a_backbone_are_named(tmp_path):
    path = tmp_path / "backbone_best.pth"
    for data in (b"", b"version https://git-lfs.github.com/spec/v1\n", b"e", b"\x80\x02", b"PK\x03\x04"):
        path.write_bytes(data)
        with pytest.raises(ValueError, match="backbone_best.pth ") as caught:
            start_backbones("keypoints", str(path))
        assert "\n" not in str(caught.value)


def test_a_policy_to_take_features_from_is_checked(tmp_path, content):
    path = tmp_path / "act.ckpt"
    for change in (
        {"interface": 3},
        {"weights": 3},
        {"config": content["config"] | {"backbone": 3}},
        {"config": without(content["config"], "norm")},
        {"weights": content["weights"] | {"network.backbones.0.more": torch.zeros(2)}},
    ):
        write(path, content | change)
        with pytest.raises(ValueError, match=r"act\.ckpt") as caught:
            make_vinn(features="policy", features_from=str(path))
        assert "\n" not in str(caught.value)


# --- runs to go on with


@pytest.fixture
def stopped_run(tmp_path):
    run = Run(make_small("ACT"), TrainConfig(device="cpu"), 5)
    run.update([make_batch()])
    return run.save(tmp_path, "last")


def restore(path: Path) -> Run:
    run = Run(make_small("ACT"), TrainConfig(device="cpu"), 5)
    run.restore(path)
    return run


@pytest.mark.parametrize(
    "change",
    [
        {"step": "1"},
        {"step": -1},
        {"step": 7},
        {"best": None},
        {"best": float("nan")},
        {"history": 3},
        {"history": [3]},
        {"history": [{"train/loss": 1.0}]},
        {"history": [{"step": "one"}]},
        {"optimiser": 3},
        {"optimiser": {}},
        {"optimiser": {"state": {0: 3}, "param_groups": []}},
        {"optimiser": {"state": {}, "param_groups": []}},
        {"schedule": None},
        {"weights": 3},
        {"weights": {"a": torch.full((2,), float("nan"))}},
    ],
)
def test_a_run_whose_state_is_damaged_is_not_resumed(stopped_run, change):
    assert restore(stopped_run).step == 1
    content = read_checkpoint(stopped_run)
    write(stopped_run, content | {"training": content["training"] | change})
    with pytest.raises(ValueError, match=r"policy_last\.ckpt") as caught:
        restore(stopped_run)
    assert "\n" not in str(caught.value)


def test_a_run_that_went_further_than_the_command_s_steps_is_not_resumed(stopped_run):
    run = restore(stopped_run)
    run.update([make_batch()])
    path = run.save(stopped_run.parent, "last")
    shorter = Run(make_small("ACT"), TrainConfig(device="cpu"), 1)
    with pytest.raises(ValueError, match="is at step 2 already, this command ends at 1"):
        shorter.restore(path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"episode_len": 120}, "or another --train_ratio (the length of the longest differs)"),
        (
            {"frame_sizes": {"top": (60, 80)}},
            "or another --train_ratio (the size of their pictures differs)",
        ),
        ({"augmentations": ("crop",)}, "augmentations (), this command ('crop',); give the same flags"),
    ],
)
def test_a_run_goes_on_with_the_same_episodes_and_flags(tmp_path, changes, said):
    def run(**changes):
        policy = make_small("ACT")
        policy.interface = replace(policy.interface, **changes)
        return Run(policy, TrainConfig(device="cpu"), 5)

    first = {"episode_len": 100, "frame_sizes": {"top": (480, 640)}}
    path = run(**first).save(tmp_path, "last")
    with pytest.raises(ValueError) as caught:
        run(**first | changes).restore(path)
    assert said in str(caught.value) and "\n" not in str(caught.value)
    if "augmentations" not in changes:  # an older version stored less
        content = read_checkpoint(path)
        content["interface"] = without(content["interface"], *changes)
        run(**first | changes).restore(write(path, content))


def test_moments_of_an_optimiser_are_finite(stopped_run):
    content = read_checkpoint(stopped_run)
    content["training"]["optimiser"]["state"][3]["exp_avg"][0] = float("inf")
    write(stopped_run, content)
    with pytest.raises(ValueError, match=r"'exp_avg of parameter 3' holds inf"):
        restore(stopped_run)


def test_a_checkpoint_without_a_run_says_where_that_is(stopped_run):
    write(stopped_run, without(read_checkpoint(stopped_run), "training"))
    with pytest.raises(ValueError, match="holds no run to resume; training writes one to policy_last.ckpt"):
        restore(stopped_run)


@pytest.mark.parametrize(
    "change",
    [
        {"weights": 3},
        {"weights": {}},
        {"sums": None},
        {"step": "1"},
        {"norm": 3},
        {"classes": (1,)},
    ],
)
def test_a_classifier_s_run_is_checked_too(tmp_path, change):
    images = fake_images((60, 10))[0]
    config = ClassifierConfig(backbone="keypoints", batch_size=20, epochs=1)
    run = ClassifierRun(config, "sgd", images, tmp_path, resume=False)
    run.update()
    run.save()
    path = tmp_path / CLASSIFIER_LAST
    assert path.read_bytes()[-71:-64] == (tmp_path / "backbone_last.pth").read_bytes()[-71:-64] == b"sha256:"
    assert ClassifierRun(config, "sgd", images, tmp_path, resume=True).step == 1
    write(path, read_checkpoint(path) | change)
    with pytest.raises(ValueError, match="training_last.ckpt"):
        ClassifierRun(config, "sgd", images, tmp_path, resume=True)
