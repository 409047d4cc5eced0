"""Policies as ONNX files: the checkpoint's actions from raw pictures, and files that are refused."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from repository import ROOT
from synthetic import SMALL, make_small

import export_policy as script
from actors import Numbers, is_onnx, open_onnx
from actors.onnx_actor import DRAWN
from actors.onnx_file import ENTRY, VERSION
from cameras import Reference
from episodes.views import View
from evaluation import checkpoint_references, open_actor
from evaluation.execution.chunks import ChunkedExecution
from policies import TorchActor, run_checkpoint
from policies.acting.onnx_export import export_policy
from policies.acting.sight import sight
from policies.augmentation.plain import centre_crop
from policies.registry import POLICIES
from policy import save_policy

FRAME = (480, 640)  # height, width (pixels) of what a camera gives
CLOSE = 1e-4  # rad
FLAGS = {"Diffusion": {"num_inference_timesteps": 2}}  # each step is a U-Net more in the graph


def observation(seed: int, cameras=("top",), size=FRAME, dim: int = 14) -> dict:
    rng = np.random.default_rng(seed)
    images = {name: rng.integers(0, 256, (*size, 3), np.uint8) for name in cameras}
    return {"qpos": rng.random(dim), "images": images}


def exported(tmp_path, name: str, **flags):
    """A small policy and what its ONNX file acts with. To export one takes seconds."""
    tmp_path.mkdir(exist_ok=True)
    policy = make_small(name, **{**FLAGS.get(name, {}), **flags}).eval()
    if policy.config.__dict__.get("use_vq"):
        policy.trust_prior(True)
    export_policy(policy, tmp_path / "policy.onnx")
    return policy, open_onnx(tmp_path / "policy.onnx")


def assert_acts_alike(policy, actor, cameras=("top",)):
    """Two episodes by both, as an execution asks; the second draws other numbers than the first."""
    chunks = []
    for key in ((1, 2), (1, 3)):
        executions = [ChunkedExecution(each, 1) for each in (actor, TorchActor(policy, "no"))]
        for execution in executions:
            execution.reset(key)
        for step in range(3):
            pair = [execution(observation(step, cameras)) for execution in executions]
            np.testing.assert_allclose(*pair, atol=CLOSE, rtol=0)
            chunks.append(pair[0])
    return chunks


@pytest.fixture(scope="module")
def cnnmlp(tmp_path_factory):
    """The policy that is exported soonest, and its file."""
    folder = tmp_path_factory.mktemp("whole")
    return exported(folder, "CNNMLP")[0], folder / "policy.onnx"


@pytest.mark.parametrize(
    "name",  # Diffusion shares network and loop with Flow
    [pytest.param(name, marks=[pytest.mark.slow] if name == "Diffusion" else []) for name in POLICIES],
)
def test_every_policy_acts_as_its_checkpoint(name, tmp_path, request):
    if name == "CNNMLP":
        policy, path = request.getfixturevalue("cnnmlp")
        actor = open_onnx(path)
    else:
        policy, actor = exported(tmp_path, name)
    before = {key: value.clone() for key, value in policy.state_dict().items()}
    chunks = assert_acts_alike(policy, actor)
    assert np.array_equal(chunks[0], chunks[3]) is not policy.config.inpaints  # those draw
    assert all(torch.equal(before[key], value) for key, value in policy.state_dict().items())
    traits = dataclasses.replace(TorchActor(policy).traits, inpaints=False)
    assert actor.traits == traits
    views = {"top": View(frame_size=FRAME)}
    assert actor.interface == dataclasses.replace(policy.interface, views=views)
    ChunkedExecution(actor).warm_up()


def test_every_policy_is_exported():
    assert set(SMALL) == set(POLICIES)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("Flow", {"observation_horizon": 2, "cameras": ("top", "left wrist")}),
        ("ACT", {"use_vq": True, "vq_class": 4, "vq_dim": 4}),
        ("ACT", {"no_encoder": True, "backbone": "resnet18", "dec_layers": 2}),
    ],
)
def test_other_forms(name, flags, tmp_path):
    policy, actor = exported(tmp_path, name, **flags)
    assert_acts_alike(policy, actor, flags.get("cameras", ("top",)))


VIEWS = [
    (View(), FRAME, (120, 160)),
    (View(), FRAME, (240, 320)),
    (View(), FRAME, (100, 150)),
    (View(), (333, 417), (120, 160)),
    (View(), (48, 64), (48, 64)),
    (View(), (48, 64), (96, 128)),  # it grows
    (View(), (100, 640), (120, 160)),  # one side grows
    (View(crop=(80, 40, 560, 400)), FRAME, (120, 160)),
    (View(crop=(80, 40, 160, 100)), FRAME, (120, 160)),
    (View(mask_outside=(80, 40, 560, 400), crop=(60, 0, 640, 480)), FRAME, (120, 160)),
    (View(roi=(80, 40, 560, 400), roi_weight=0.3), FRAME, (120, 160)),
    (View(roi=(80, 40, 560, 400), roi_weight=0.5, mask_outside=(70, 0, 600, 480)), FRAME, (224, 224)),
    (View(is_dark=True), FRAME, (120, 160)),
]


@pytest.mark.parametrize("names", [(), ("crop",)])
@pytest.mark.parametrize(("view", "size", "wanted"), VIEWS)
def test_the_graph_sees_what_the_policy_sees(view, size, wanted, names):
    """To the bit, in each case that OpenCV and torchvision tell apart."""
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (2, *size, 3), np.uint8)
    view = dataclasses.replace(view, frame_size=size)
    expected = torch.from_numpy(np.stack([view(picture, wanted) for picture in pictures]))
    expected = centre_crop(expected, names)
    seen = sight(view, size, wanted, "crop" in names)(torch.from_numpy(pictures))
    assert torch.equal(seen, expected.float())


def test_pictures_pass_through_the_graph_as_they_do_in_torch(tmp_path):
    """As whole ones, cropped, and with a region that is drawn larger."""
    cameras = ("top", "front", "left")
    policy = make_small("CNNMLP", cameras)
    views = {
        camera: dataclasses.replace(VIEWS[n][0], frame_size=FRAME)
        for camera, n in zip(cameras, (2, 8, 10), strict=True)
    }
    policy.interface = dataclasses.replace(policy.interface, views=views, augmentations=("crop",))
    policy = policy.eval()
    export_policy(policy, tmp_path / "policy.onnx")
    assert_acts_alike(policy, open_onnx(tmp_path / "policy.onnx"), cameras)


@pytest.mark.parametrize("count", [16, 1000, 1001, 1400, 23])
def test_random_numbers_are_torchs(count):
    ours, key = Numbers((3, 4)), (3, 4)
    actor = TorchActor(make_small("CNNMLP"))
    actor.reset(key)
    for _ in range(2):
        normal = torch.randn((1, count), generator=actor._generator)
        np.testing.assert_allclose(ours.normal((1, count)), normal, atol=2e-6)
        uniform = torch.rand((count,), generator=actor._generator)
        assert np.array_equal(ours.uniform((count,)), uniform)
    assert Numbers((0,)).normal((3,)).shape == (3,) and set(DRAWN) == {"normal", "uniform"}


def test_a_sampler_that_draws_at_each_step_is_refused(tmp_path):
    policy = make_small("Diffusion", scheduler="ddpm").eval()
    with pytest.raises(ValueError, match="--scheduler ddpm draws at every step"):
        export_policy(policy, tmp_path / "policy.onnx")
    assert list(tmp_path.iterdir()) == []


def call(tmp_path, *flags) -> str:
    """The one line with which the script ends."""
    done = subprocess.run(
        [sys.executable, ROOT / "export_policy.py", *flags], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    return done.stderr.strip().splitlines()[-1]


def test_the_script(tmp_path, capsys):
    policy = make_small("CNNMLP").eval()
    picture = Reference(np.full((60, 80, 3), 90, np.uint8), np.ones((60, 80), bool))
    save_policy(tmp_path / "policy_best.ckpt", policy, step=1, references={"top": picture.plain()})
    output = tmp_path / "small" / "policy.onnx"
    script.main(["--ckpt", str(tmp_path / "policy_best.ckpt"), "--output", str(output), "--int8"])
    assert f"{output}: " in capsys.readouterr().out
    actor = open_actor(output)
    assert actor.interface.views["top"].frame_size == (60, 80)  # as the references
    policy.interface = dataclasses.replace(policy.interface, frame_sizes={"top": (30, 40)})
    export_policy(policy, tmp_path / "other.onnx")
    assert open_actor(tmp_path / "other.onnx").interface.views["top"].frame_size == (30, 40)  # as recorded
    found = checkpoint_references(output)["top"]
    assert np.array_equal(found.steady, picture.steady) and abs(found.picture.astype(int) - 90).max() < 4
    chunks = [each.act(each.observe(observation(0, size=(60, 80)))) for each in (actor, TorchActor(policy))]
    np.testing.assert_allclose(*chunks, atol=0.1)  # in 8 bits
    with pytest.raises(ValueError, match="top gives pictures of 480x640 .*; this .onnx file takes 60x80"):
        actor.observe(observation(0))
    assert is_onnx(output) and run_checkpoint(output) == output
    with pytest.raises(ValueError, match="--ckpt_name is a.ckpt; --ckpt_dir is a file already"):
        run_checkpoint(output, "a.ckpt")
    assert "must end in .onnx" in call(tmp_path, "--ckpt", "policy_best.ckpt", "--output", "policy.pt")
    assert "no checkpoint none.ckpt" in call(tmp_path, "--ckpt", "none.ckpt")


@pytest.mark.slow
def test_an_evaluation_in_simulation(tmp_path):
    exported(tmp_path / "run", "CNNMLP")
    flags = (
        "--task_name",
        "sim_transfer_cube_scripted",
        "--eval",
        "--num_rollouts",
        "1",
        "--num_videos",
        "1",
    )
    for where in (("--ckpt_dir", "run/policy.onnx"), ("--ckpt_dir", "run", "--ckpt_name", "policy.onnx")):
        command = [sys.executable, ROOT / "imitate_episodes.py", *flags, *where]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0 and "of 1 rollouts succeeded" in done.stdout, done.stderr
    run = tmp_path / "run"
    assert (run / "result_policy.json").is_file() and (run / "report.html").is_file()
    assert len(list((run / "evaluations").iterdir())) == 2


class TestFiles:
    @pytest.fixture
    def whole(self, cnnmlp):
        return cnnmlp[1]

    @staticmethod
    def changed(whole, path, change):
        """A copy whose entry `change` has changed, or taken away."""
        import onnx

        model = onnx.load(whole)
        (entry,) = [prop for prop in model.metadata_props if prop.key == ENTRY]
        content = change(json.loads(entry.value))
        if content is None:
            model.metadata_props.remove(entry)
        else:
            entry.value = content if isinstance(content, str) else json.dumps(content)
        onnx.save(model, path)
        return path

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda c: None, "is no policy of this program; export_policy.py makes one"),
            (lambda c: "{", "what it says of its policy is damaged"),
            (lambda c: "[]", "what it says of its policy is damaged"),
            (lambda c: {**c, "format_version": VERSION + 1}, "newer than 1: update this code"),
            (lambda c: {**c, "format_version": "1"}, "has format_version '1'"),
            (lambda c: {**c, "interface": None}, "its interface is None"),
            (lambda c: {**c, "interface": {**c["interface"], "state_dim": 7}}, "numbers in qpos_mean"),
            (
                lambda c: {**c, "interface": {**c["interface"], "cameras": ["left"]}},
                "lacks the size",
            ),
            (lambda c: {**c, "traits": {**c["traits"], "chunk_size": 50}}, "its graph does not fit"),
            (lambda c: {**c, "traits": {**c["traits"], "execution_horizon": 2}}, "it should be at most 1"),
            (lambda c: {**c, "references": {"top": 3}}, "its references are damaged"),
        ],
    )
    def test_one_that_is_unsound(self, whole, tmp_path, change, words):
        path = self.changed(whole, tmp_path / "other.onnx", change)
        with pytest.raises(ValueError, match=words) as error:
            open_onnx(path)
        assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)

    @pytest.mark.parametrize("size", [0, 1000, -100])
    def test_one_that_is_cut_off(self, whole, tmp_path, size):
        path = tmp_path / "cut.onnx"
        path.write_bytes(whole.read_bytes()[:size])
        with pytest.raises(ValueError, match="is no ONNX file, or damaged") as error:
            open_onnx(path)
        assert "\n" not in str(error.value)

    def test_what_is_exported_already(self, whole):
        with pytest.raises(ValueError, match="policy.onnx, which is exported already; give the checkpoint"):
            script.main(["--ckpt", str(whole), "--output", str(whole.with_name("again.onnx"))])

    def test_flags_that_do_not_fit(self, whole):
        for flags, words in (
            ({"device": "cuda"}, "--device is cuda; policy.onnx runs on the CPU"),
            ({"amp": "bf16"}, "--amp is bf16; policy.onnx runs on the CPU"),
            ({"cameras": ("left",)}, "--camera_names is left; .* sees with top"),
        ):
            with pytest.raises(ValueError, match=words):
                open_actor(whole, **flags)
        with pytest.raises(FileNotFoundError, match="no file none.onnx"):
            open_actor("none.onnx")
        assert open_actor(whole, "cpu", "no", ("top",)).chunk_size == 1

    def test_without_onnxruntime_the_package_is_named(self, whole, monkeypatch):
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
        with pytest.raises(ImportError, match="needs onnxruntime: pip install onnxruntime"):
            open_actor(whole)
