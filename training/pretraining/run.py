"""The training of a classifier, by one optimiser, and the files that it can be resumed from.

Everything random in a step is a function of the seed and of the step's number, as in loop.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm

from common import Row, autocast, check_room, keep_freed_memory, stop_signals, write_torch
from detr import build_backbone
from policies import check_optimiser, check_run, check_weights, read_checkpoint, start_backbones
from training.optimisation import step_seed, uncompiled
from training.pretraining.classification import Classifier, Images, accuracy, evaluate, flip_and_crop
from training.pretraining.flags import OPTIMISERS, ClassifierConfig

ORDER, CROP, DROPOUT = 0, 1, 2  # sub-streams of a run
MOMENTUM = 0.9
LAST, BEST = "training_last.ckpt", "backbone_best.pth"


def read_classifier_run(path: Path) -> dict[str, Any]:
    """What `ClassifierRun.save` wrote; ValueError, with the file, if it is damaged or something else."""
    content = read_checkpoint(path)
    wanted = {"config": dict, "norm": str, "pretrained": bool, "weights": dict, "optimiser": dict}
    wanted |= {"step": int, "best": float, "history": list, "sums": torch.Tensor, "classes": tuple}
    check_run(content, wanted, path)
    check_weights({**content["weights"], "sums": content["sums"]}, path)
    check_optimiser(content["optimiser"], path)
    if not all(type(name) is str for name in content["classes"]) or content["sums"].shape != (2,):
        raise ValueError(f"{path} cannot be resumed from: no training of a classifier wrote it")
    return content


def rate_factor(step: int, total: int, drops: tuple[float, ...]) -> float:
    """Share of the learning rate at a step: a tenth of what it was after each of the drops."""
    return 0.1 ** sum(step >= share * total for share in drops)


def make_optimiser(name: str, model: nn.Module, rate: float, weight_decay: float) -> torch.optim.Optimizer:
    """SGD with Nesterov's momentum, or Adam."""
    on_gpu = next(model.parameters()).is_cuda
    options: dict[str, Any] = {"lr": rate, "weight_decay": weight_decay, "fused": on_gpu or None}
    if name == "sgd":
        options |= {"momentum": MOMENTUM, "nesterov": True}
        return uncompiled(torch.optim.SGD)(model.parameters(), **options)
    return uncompiled(torch.optim.Adam)(model.parameters(), **options)


class ClassifierRun:
    """The training of a classifier by one optimiser: how far it has come, and its files in a folder.

    `backbone_best.pth` (highest accuracy on what was held back) and `backbone_last.pth` are state dicts in
    the backbone's names; `training_last.ckpt` is what the run goes on from.
    """

    def __init__(
        self, config: ClassifierConfig, optimiser: str, data: Images, folder: Path, resume: bool
    ) -> None:
        """
        Args:
            config: flags.
            optimiser: a key of `OPTIMISERS`.
            data: training images, on their device.
            folder: need not exist yet; nothing is written.
            resume: go on with the run in the folder, if any.

        Raises:
            ValueError: the run to resume had other flags.
        """
        self.config, self.folder, self.optimiser_name = config, folder, optimiser
        self.train, self.validation = data.split(config.val_share, config.seed)
        self.steps_per_epoch = len(self.train) // config.batch_size
        if not self.steps_per_epoch:
            raise ValueError(f"--batch_size is {config.batch_size}, but there are {len(self.train)} images")
        self.total = config.epochs * self.steps_per_epoch
        content = read_classifier_run(folder / LAST) if resume and (folder / LAST).is_file() else None
        self.model = Classifier(self._backbone(content), len(data.classes)).to(data.pixels.device)
        self.model.to(memory_format=torch.channels_last)
        self.rate = config.lr or OPTIMISERS[optimiser]
        self.optimiser = make_optimiser(optimiser, self.model, self.rate, config.weight_decay)
        self.step, self.best, self.history = 0, -1.0, []
        self._order: tuple[int, torch.Tensor] | None = None  # an epoch, and the order of its images
        self._sums = torch.zeros(2, device=data.pixels.device)  # loss and right answers since the last row
        if content:
            self._restore(content)

    def _backbone(self, content: Mapping[str, Any] | None) -> nn.Module:
        torch.manual_seed(self.config.seed)
        if content:
            self._check_same(content)
            return build_backbone(self.config.backbone, content["norm"], content["pretrained"])
        if self.config.backbone_weights == "none":
            return build_backbone(self.config.backbone, self.config.norm)
        return start_backbones(self.config.backbone, self.config.backbone_weights)[0]

    def _check_same(self, content: Mapping[str, Any]) -> None:
        trained, present = (", ".join(classes) for classes in (content["classes"], self.train.classes))
        if trained != present:
            raise ValueError(
                f"the run in {self.folder} knows {trained}; these images show {present}: check --data"
            )
        for name, value in {**asdict(self.config), "optimizer": self.optimiser_name}.items():
            stored = content["config"].get(name)
            stored = tuple(stored) if isinstance(stored, list) else stored
            if stored != value:
                raise ValueError(
                    f"the run in {self.folder} has --{name} {stored!r}, this command {value!r}; "
                    "give the same flags, or another --ckpt_dir"
                )

    def _restore(self, content: Mapping[str, Any]) -> None:
        try:
            self.model.load_weights(content["weights"])
            self.optimiser.load_state_dict(content["optimiser"])
        except Exception as error:  # other shapes raise anything
            raise ValueError(
                f"{self.folder / LAST} cannot be resumed from: it is of another network; begin anew with "
                "--overwrite"
            ) from error
        self.step, self.best, self.history = content["step"], content["best"], content["history"]
        self._sums.copy_(content["sums"])

    @property
    def epoch(self) -> int:
        """Epochs that are complete."""
        return self.step // self.steps_per_epoch

    def _order_of(self, epoch: int) -> torch.Tensor:
        """The order (N,) of the training images in an epoch, on their device."""
        if self._order is None or self._order[0] != epoch:
            order = np.random.default_rng([self.config.seed, ORDER, epoch]).permutation(len(self.train))
            self._order = epoch, torch.from_numpy(order).to(self.train.labels.device)
        return self._order[1]

    def update(self) -> None:
        """One optimiser step."""
        config, epoch, place = self.config, self.epoch, self.step % self.steps_per_epoch
        index = self._order_of(epoch)[place * config.batch_size : (place + 1) * config.batch_size]
        images, labels = self.model.normalise(self.train.pixels[index]), self.train.labels[index]
        if not config.no_augment:
            generator = torch.Generator().manual_seed(step_seed(config.seed, CROP, self.step))
            images = flip_and_crop(images, generator)
        torch.manual_seed(step_seed(config.seed, DROPOUT, self.step))
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate * rate_factor(self.step, self.total, config.lr_drops)
        with autocast(config.amp, images.device):
            logits = self.model(images.contiguous(memory_format=torch.channels_last))
        loss = F.cross_entropy(logits.float(), labels)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        right = (logits.argmax(dim=1) == labels).float().mean()
        self._sums += torch.stack([loss.detach(), right])
        self.step += 1

    def close_epoch(self) -> Row:
        """Validate, note the epoch in the history, and save; RuntimeError if the loss is not finite."""
        mean_loss, right = (self._sums / self.steps_per_epoch).tolist()
        if not np.isfinite(mean_loss):
            raise RuntimeError(
                f"the loss is {mean_loss} in epoch {self.epoch}; try a lower --lr. {self.folder} is as it was"
            )
        val_loss, confusion = evaluate(self.model, self.validation, self.config.amp)
        row = {"epoch": self.epoch, "train/loss": mean_loss, "train/accuracy": right}
        row |= {"val/loss": val_loss, "val/accuracy": accuracy(confusion)}
        self.history.append(row)
        self._sums.zero_()
        if row["val/accuracy"] > self.best:
            self.best = row["val/accuracy"]
            self._write(BEST, self.model.weights())
        self.save()
        return row

    def save(self) -> None:
        """Write what the run goes on from; OSError if the disk is full; an earlier file stays as it was."""
        backbone, weights = self.model.backbone, self.model.weights()
        content = {
            "config": {**asdict(self.config), "optimizer": self.optimiser_name},
            "classes": self.train.classes,
            "norm": backbone.norm,
            "pretrained": backbone.pretrained,
            "weights": weights,
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "best": self.best,
            "history": self.history,
            "sums": self._sums,
        }
        self._write("backbone_last.pth", weights)
        self._write(LAST, content)

    def _write(self, name: str, content: Any) -> None:
        path = self.folder / name
        check_room(path, content)
        write_torch(path, content)


def fit_classifier(run: ClassifierRun, log: Callable[[list[Row]], None]) -> bool:
    """Train to the last epoch.

    Args:
        run: new, or restored; its folder exists.
        log: is given the history after each epoch.

    Returns:
        whether it reached the end; False if it was interrupted (Ctrl-C or termination), with everything
        saved.
    """
    keep_freed_memory()
    run.model.train()
    with (
        stop_signals() as signals,
        tqdm(total=run.total, initial=run.step, desc=run.optimiser_name, unit="step") as progress,
    ):
        while run.step < run.total:
            run.update()
            progress.update()
            if run.step % run.steps_per_epoch == 0:
                row = run.close_epoch()
                log(run.history)
                shown = {name: f"{row[name]:.3f}" for name in ("train/loss", "val/accuracy")}
                progress.set_postfix(epoch=f"{run.epoch}/{run.config.epochs}", **shown)
            if signals and run.step < run.total:
                run.save()
                return False
    return True
