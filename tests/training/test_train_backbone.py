"""Training a backbone as a classifier: data, steps, interruption, files, and their use in a policy."""

import json
import os
import pickle
import signal
import sys

import numpy as np
import pytest
import torch
from synthetic import make_act, make_batch
from torch import nn

import train_backbone
from common import cli
from detr.backbones.backbone import BACKBONES, init_backbone, register_backbone
from detr.backbones.norms import NORMS
from policy import load_policy, save_policy
from training.pretraining import backbone, classification
from training.pretraining.classification import (
    Classifier,
    Images,
    accuracy,
    evaluate,
    fake_images,
    flip_and_crop,
    read_cifar10,
)
from training.pretraining.run import ClassifierConfig, ClassifierRun, rate_factor


@pytest.fixture(autouse=True)
def tiny_backbone(monkeypatch):
    """A backbone that learns within seconds, with dropout, whose random numbers a resumed run must repeat."""
    monkeypatch.setattr("detr.backbones.backbone.BACKBONES", dict(BACKBONES))

    @register_backbone("tiny")
    def tiny(name: str, norm: str) -> nn.Module:
        net = nn.Sequential(
            *(nn.Conv2d(3, 16, 8, 8, bias=False), NORMS[norm](16), nn.ReLU()),
            *(nn.Dropout(0.05), nn.Conv2d(16, 32, 3, padding=1, bias=False), NORMS[norm](32), nn.ReLU()),
        )
        net.out_channels = 32
        return net


@pytest.fixture(autouse=True)
def few_images(monkeypatch):
    images = fake_images((400, 100))
    monkeypatch.setattr("training.pretraining.backbone.fake_images", lambda: images)


def run_script(monkeypatch, capsys, folder, *flags: str) -> str:
    words = ["--data", "fake", "--backbone", "tiny", "--epochs", "4", "--batch_size", "20", "--device", "cpu"]
    monkeypatch.setattr(sys, "argv", ["train_backbone.py", "--ckpt_dir", str(folder), *words, *flags])
    cli.run(train_backbone.main)
    return capsys.readouterr().out


def weights_of(folder, name: str = "backbone_last.pth") -> dict:
    return torch.load(folder / name, weights_only=True)


# Data


def test_fake_images_are_always_the_same_and_of_cifars_form():
    (train, test), (again, _) = fake_images((50, 20)), fake_images((50, 20))
    assert torch.equal(train.pixels, again.pixels) and torch.equal(train.labels, again.labels)
    assert train.pixels.shape == (50, 3, 32, 32) and train.pixels.dtype == torch.uint8
    assert len(train.classes) == 10 and len(test) == 20
    assert not torch.equal(train.pixels[:20], test.pixels)


def test_held_back_images_are_not_trained_on():
    data = Images(torch.arange(50).view(50, 1, 1, 1), torch.arange(50), ("a",))
    train, validation = data.split(0.2, seed=3)
    assert (len(train), len(validation)) == (40, 10)
    assert sorted([*train.labels.tolist(), *validation.labels.tolist()]) == list(range(50))
    assert train.pixels.flatten().tolist() == train.labels.tolist()  # pictures and labels stay together
    assert not torch.equal(data.split(0.2, seed=4)[1].labels, validation.labels)


def test_flips_and_crops_are_those_of_a_loop():
    images = torch.randn(40, 3, 7, 9)
    seen = flip_and_crop(images, torch.Generator().manual_seed(0))
    padded = torch.nn.functional.pad(images, [4] * 4)
    flips, places = 0, set()
    for before, after in zip(padded, seen, strict=True):
        found = [
            (flip, y, x)
            for flip in (False, True)
            for y in range(9)
            for x in range(9)
            if torch.equal(after.flip(-1) if flip else after, before[:, y : y + 7, x : x + 9])
        ]
        assert len(found) == 1
        flips += found[0][0]
        places.add(found[0][1:])
    assert 10 < flips < 30 and len(places) > 20


def write_cifar(folder) -> None:
    """Files as CIFAR-10's, with two images each."""
    folder.mkdir(parents=True)
    for number, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        rows = np.zeros((2, 3, 32, 32), np.uint8)
        rows[0, 0], rows[1, 2] = number + 1, 200  # red, blue
        content = {"data": rows.reshape(2, -1), "labels": [number, 9]}
        (folder / name).write_bytes(pickle.dumps(content))
    names = ["airplane", *"bcdefghij"]
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": names}))


def test_cifar_is_read_with_its_colours_and_labels(monkeypatch, tmp_path):
    monkeypatch.setattr(
        "torchvision.datasets.cifar.check_integrity", lambda *a: True
    )  # it knows the real sums
    write_cifar(tmp_path / "cifar-10-batches-py")
    train, test = read_cifar10(tmp_path)
    assert (len(train), len(test)) == (10, 2) and train.classes[0] == "airplane"
    assert train.labels.tolist() == [0, 9, 1, 9, 2, 9, 3, 9, 4, 9]
    assert train.pixels.shape == (10, 3, 32, 32) and train.pixels.is_contiguous()
    assert (train.pixels[2, 0] == 2).all() and not train.pixels[2, 1:].any()
    assert (test.pixels[1, 2] == 200).all()


def test_missing_cifar_is_said_before_anything_is_written(monkeypatch, capsys, tmp_path):
    with pytest.raises(
        SystemExit, match="nowhere holds no complete cifar-10-batches-py .*--download.*--data fake"
    ):
        run_script(monkeypatch, capsys, tmp_path / "run", "--data", "cifar10", "--data_dir", "nowhere")
    assert not (tmp_path / "run").exists()


# Learning


def test_confusion_matrix_and_loss_against_a_loop():
    torch.manual_seed(0)
    model = Classifier(init_backbone("tiny", "none"), 10)
    _, test = fake_images((1, 60))
    loss, confusion = evaluate(model, test)
    expected = torch.zeros(10, 10, dtype=torch.long)
    losses = []
    model.eval()
    with torch.no_grad():
        for pixels, label in zip(test.pixels, test.labels.tolist(), strict=True):
            shares = model(model.normalise(pixels[None]))[0].softmax(0)
            losses.append(-shares[label].log().item())
            expected[label, shares.argmax()] += 1
    assert torch.equal(confusion, expected) and loss == pytest.approx(np.mean(losses), rel=1e-4)
    assert accuracy(confusion) == pytest.approx(expected.diag().sum().item() / 60)


def test_batches_of_an_evaluation_do_not_matter(monkeypatch):
    torch.manual_seed(0)
    model = Classifier(init_backbone("tiny", "none"), 10)
    _, test = fake_images((1, 33))
    loss, confusion = evaluate(model, test)
    monkeypatch.setattr(classification, "EVALUATION_BATCH", 8)
    assert torch.equal(evaluate(model, test)[1], confusion)
    assert evaluate(model, test)[0] == pytest.approx(loss, rel=1e-5)


def test_the_learning_rate_falls_in_steps():
    factors = [rate_factor(step, 10, (0.4, 0.6)) for step in range(10)]
    assert factors == pytest.approx([1] * 4 + [0.1] * 2 + [0.01] * 4)


def test_both_optimisers_learn_and_are_compared(monkeypatch, capsys, tmp_path):
    said = run_script(monkeypatch, capsys, tmp_path, "--optimizer", "both", "--lr_drops", "0.75")
    header, *rows = [
        line.split() for line in said.splitlines() if line.startswith(("optimizer", "sgd", "adam"))
    ]
    assert header[0] == "optimizer" and [row[0] for row in rows] == ["sgd", "adam"]
    for name, row in zip(("sgd", "adam"), rows, strict=True):
        result = json.loads((tmp_path / name / "result.json").read_text())
        assert result["test/accuracy"] > 0.5  # chance is 0.1
        assert row[2] == f"{result['test/accuracy']:.2%}"
        assert np.sum(result["confusion"]) == 100
        history = (tmp_path / name / "history.csv").read_text().splitlines()
        assert len(history) == 5 and history[0].startswith("epoch,train/loss,train/accuracy,val/loss")
        assert str(tmp_path / name / "backbone_best.pth") in said
        for picture in ("accuracy.png", "confusion.png"):
            assert (tmp_path / name / picture).read_bytes()[1:4] == b"PNG"
    assert (tmp_path / "accuracy.png").is_file()
    assert not list(tmp_path.rglob("*.part"))


def test_the_best_weights_are_those_that_are_tested(monkeypatch, capsys, tmp_path):
    run_script(monkeypatch, capsys, tmp_path, "--optimizer", "adam")
    result = json.loads((tmp_path / "result.json").read_text())
    data, test = backbone.fake_images()
    run = ClassifierRun(
        ClassifierConfig(backbone="tiny", batch_size=20), "adam", data, tmp_path, resume=False
    )
    run.model.load_weights(weights_of(tmp_path, "backbone_best.pth"))
    for images, name in ((test, "test/accuracy"), (run.validation, "val/accuracy")):
        assert accuracy(evaluate(run.model, images, run.config.amp)[1]) == result[name]


# Interruption


def stop_after(monkeypatch, steps: int) -> None:
    """Ctrl-C while a step is computed."""
    update = ClassifierRun.update

    def stopping(self):
        update(self)
        if self.step == steps:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(ClassifierRun, "update", stopping)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("steps", [25, 36])  # within an epoch of 18 steps, and at its end
def test_a_resumed_run_equals_an_uninterrupted_one(monkeypatch, capsys, tmp_path, optimizer, steps):
    flags = ("--optimizer", optimizer, "--norm", "batch_norm")
    run_script(monkeypatch, capsys, tmp_path / "whole", *flags)
    with monkeypatch.context() as patch:
        stop_after(patch, steps)
        with pytest.raises(SystemExit) as stopped:
            run_script(patch, capsys, tmp_path / "parts", *flags)
    assert stopped.value.code == 130 and "--resume goes on" in capsys.readouterr().out
    assert not (tmp_path / "parts" / "result.json").exists()
    run_script(monkeypatch, capsys, tmp_path / "parts", *flags, "--resume")
    for name in ("backbone_last.pth", "backbone_best.pth"):
        whole, parts = (weights_of(tmp_path / folder, name) for folder in ("whole", "parts"))
        assert whole.keys() == parts.keys() and all(torch.equal(whole[key], parts[key]) for key in whole)
    for name in ("history.csv", "result.json"):
        assert (tmp_path / "whole" / name).read_text() == (tmp_path / "parts" / name).read_text()


def test_runs_are_not_overwritten_or_mixed_by_accident(monkeypatch, capsys, tmp_path):
    run_script(monkeypatch, capsys, tmp_path, "--epochs", "1")
    before = (tmp_path / "training_last.ckpt").read_bytes()
    for flags, said in (
        ((), "holds a run already; add --resume"),
        (("--resume", "--epochs", "9"), "has --epochs 1, this command 9"),
        (("--resume", "--epochs", "1", "--optimizer", "adam"), "has --optimizer 'sgd', this command 'adam'"),
        (("--resume", "--epochs", "1", "--lr", "0.5"), "has --lr None, this command 0.5"),
    ):
        with pytest.raises(SystemExit, match=said):
            run_script(monkeypatch, capsys, tmp_path, *flags)
    assert (tmp_path / "training_last.ckpt").read_bytes() == before
    run_script(monkeypatch, capsys, tmp_path, "--epochs", "2", "--overwrite")
    assert len((tmp_path / "history.csv").read_text().splitlines()) == 3


def test_a_run_that_diverges_is_stopped_and_what_was_saved_stays(monkeypatch, capsys, tmp_path):
    # so that a rate which may be given diverges
    monkeypatch.setattr("training.pretraining.run.MOMENTUM", 1e6)
    with pytest.raises(SystemExit, match="the loss is .* in epoch 1; try a lower --lr"):
        run_script(monkeypatch, capsys, tmp_path, "--lr", "10")
    assert not list(tmp_path.glob("*.pth"))


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--backbone", "resnet19"), "unknown backbone 'resnet19'; did you mean 'resnet18'"),
        (("--epochs", "0"), "--epochs is 0; it must be 1 to 1000000"),
        (("--val_share", "1"), "--val_share is 1.0"),
        (("--lr_drops", "0.5", "2"), "--lr_drops has 2.0; it must be 0 to 1"),
        (("--batch_size", "500"), "--batch_size is 500, but there are 360 images"),
        (("--norm", "group_norm", "--backbone_weights", "w.pth"), "--norm is for random weights"),
        (("--backbone_weights", "nowhere.pth"), "'nowhere.pth': no such file"),
        (("--device", "cuda:x"), "device is 'cuda:x'"),
    ],
)
def test_bad_flags_are_refused_before_anything_is_written(monkeypatch, capsys, tmp_path, flags, said):
    with pytest.raises(SystemExit, match=said) as caught:
        run_script(monkeypatch, capsys, tmp_path / "run", *flags)
    assert "\n" not in str(caught.value) and not (tmp_path / "run").exists()


# What it is for


@pytest.mark.parametrize(("norm", "then"), [("group_norm", "group_norm"), ("batch_norm", "frozen_bn")])
def test_a_policy_starts_from_the_weights(monkeypatch, capsys, tmp_path, norm, then):
    run_script(monkeypatch, capsys, tmp_path, "--norm", norm, "--epochs", "2")
    for name in ("backbone_best.pth", "backbone_last.pth"):
        trained = weights_of(tmp_path, name)
        policy = make_act(backbone="tiny", backbone_weights=str(tmp_path / name))
        backbone = policy.network.backbones[0]
        assert (backbone.norm, backbone.pretrained) == (then, True)
        for key, value in backbone.state_dict().items():
            assert torch.equal(value, trained[key])
    policy.loss(make_batch())["loss"].backward()
    save_policy(tmp_path / "policy.ckpt", policy)
    assert load_policy(tmp_path / "policy.ckpt").network.backbones[0].norm == then


def test_training_goes_on_from_weights(monkeypatch, capsys, tmp_path):
    run_script(monkeypatch, capsys, tmp_path / "first", "--optimizer", "adam")
    first = json.loads((tmp_path / "first" / "result.json").read_text())
    weights = str(tmp_path / "first" / "backbone_best.pth")
    flags = ("--optimizer", "adam", "--backbone_weights", weights, "--epochs", "1", "--lr", "1e-4")
    run_script(monkeypatch, capsys, tmp_path / "second", *flags)
    history = (tmp_path / "second" / "history.csv").read_text().splitlines()
    assert len(history) == 2 and first["test/accuracy"] > 0.5


@pytest.mark.slow
def test_the_light_residual_attention_network_learns(monkeypatch, capsys, tmp_path):
    flags = ("--backbone", "residual_attention_cifar", "--optimizer", "adam", "--epochs", "6")
    run_script(monkeypatch, capsys, tmp_path, *flags)
    assert json.loads((tmp_path / "result.json").read_text())["test/accuracy"] > 0.5
    weights = str(tmp_path / "backbone_best.pth")
    policy = make_act(backbone="residual_attention_cifar", backbone_weights=weights)
    assert policy.network.backbones[0].pretrained
