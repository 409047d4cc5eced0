"""The training of a backbone by itself: by one optimiser or both, tested, drawn and told."""

from __future__ import annotations

import json
from pathlib import Path

from common import (
    Row,
    accuracy_plot,
    complete_file,
    confusion_plot,
    pick_device,
    quoted,
    remove_unfinished,
    write_csv,
)
from policies import read_weights
from training.pretraining.classification import Images, accuracy, evaluate, fake_images, read_cifar10
from training.pretraining.flags import BackboneConfig, ClassifierConfig
from training.pretraining.run import BEST, LAST, ClassifierRun, fit_classifier


def load_images(config: BackboneConfig) -> tuple[Images, Images]:
    """Training and test images."""
    return fake_images() if config.data == "fake" else read_cifar10(config.data_dir, config.download)


def train_one(run: ClassifierRun) -> bool:
    """Train, and note how it goes; whether it came to the end."""

    def log(history: list[Row]) -> None:
        write_csv(run.folder / "history.csv", history)
        accuracy_plot(run.folder / "accuracy.png", {run.optimiser_name: history})

    run.folder.mkdir(parents=True, exist_ok=True)
    remove_unfinished(run.folder)
    if run.step == 0:
        (run.folder / LAST).unlink(missing_ok=True)  # so that --resume never goes on with a run before this
    return fit_classifier(run, log)


def test_one(run: ClassifierRun, test: Images) -> Row:
    """Results on the test images, of the weights that were best on those held back; writes them, too."""
    run.model.load_weights(read_weights(run.folder / BEST))
    loss, confusion = evaluate(run.model, test, run.config.amp, desc="test images")
    result = {"val/accuracy": run.best, "test/accuracy": accuracy(confusion), "test/loss": loss}
    right = f"{result['test/accuracy']:.1%} of {len(test)} right"
    title = f"{run.config.backbone}, {run.optimiser_name}: {right}; cells in %"
    confusion_plot(run.folder / "confusion.png", confusion.numpy(), test.classes, title)
    with complete_file(run.folder / "result.json") as part:
        content = {**result, "confusion": confusion.tolist(), "classes": test.classes}
        part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return result


def table(results: dict[str, Row]) -> str:
    """The results of all optimisers, for the reader."""
    lines = [f"{'optimizer':<12}{'held back':>12}{'test images':>14}{'test loss':>12}"]
    for name, row in results.items():
        accuracies = f"{row['val/accuracy']:>12.2%}{row['test/accuracy']:>14.2%}"
        lines.append(f"{name:<12}{accuracies}{row['test/loss']:>12.4f}")
    return "\n".join(lines)


def train_backbone(config: BackboneConfig, training: ClassifierConfig) -> None:
    """Train by one optimiser or both, test, and say what came out."""
    folders = config.folders()
    for folder in folders.values():
        config.resumes(folder / LAST)  # or refuses
    device = pick_device(config.device)
    images, test = (part.to(device) for part in load_images(config))
    results, histories = {}, {}
    for name, folder in folders.items():
        run = ClassifierRun(training, name, images, folder, config.resume)
        size = sum(parameter.numel() for parameter in run.model.parameters())
        print(f"{training.backbone} ({run.model.backbone.norm}): {size:,} parameters on {device}, by {name}")
        if not train_one(run):
            print(f"\nstopped; all is saved in {folder}. The same command with --resume goes on from there.")
            raise SystemExit(130)
        results[name], histories[name] = test_one(run, test), run.history
    if len(histories) > 1:
        accuracy_plot(Path(config.ckpt_dir) / "accuracy.png", histories)
    print(table(results))
    for name, folder in folders.items():
        flags = quoted("--backbone", training.backbone, "--backbone_weights", folder / BEST)
        print(f"weights ({name}): {flags}")
    print(f"pictures: accuracy.png and confusion.png in {', '.join(map(str, folders.values()))}")
