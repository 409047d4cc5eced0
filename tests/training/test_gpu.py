"""What training asks of a GPU and of several, seen without one: no waiting, no copies, one graph."""

import os
from contextlib import contextmanager

import pytest
import torch
import torch.distributed as dist
from fake_cuda import Watch, batch_on_cuda, fake_cuda, module_on_cuda, nodes_off_gpu, whole_graph
from synthetic import make_act, make_batch, make_small
from torch import nn

from common.work.machine import FIRST_ALONE, World, choose_kernels, join_world
from training.flags import TrainConfig
from training.loop import Run

KINDS = {
    "ACT": ("ACT", {"dropout": 0.1}),
    "ACT with codes": ("ACT", {"use_vq": True, "vq_class": 3, "vq_dim": 4}),
    "ACT with a ResNet": ("ACT", {"backbone": "resnet18", "backbone_weights": "none"}),
    "Diffusion": ("Diffusion", {}),
    "Flow": ("Flow", {}),
    "VINN": ("VINN", {}),
    "CNNMLP": ("CNNMLP", {}),
}


@contextmanager
def loss_on_gpu(kind: str):
    """A policy's loss of a batch on a GPU, as a function without arguments, called once before."""
    name, flags = KINDS[kind]
    policy, batch = make_small(name, frames=0, **flags).train(), make_batch()
    with fake_cuda(), torch.autocast("cuda", torch.bfloat16):
        module_on_cuda(policy)
        batch = {**batch_on_cuda(batch), **policy.draw_noise(len(batch["qpos"]))}
        assert policy.loss(batch)["loss"].is_cuda
        yield lambda: policy.loss(batch)["loss"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_loss_waits_for_nothing_and_copies_nothing(kind):
    with loss_on_gpu(kind) as loss, Watch() as watch:
        loss()
    assert not watch.copies


@pytest.mark.parametrize("kind", KINDS)
def test_a_loss_is_one_graph_and_all_of_it_on_the_gpu(kind):
    with loss_on_gpu(kind) as loss:
        nodes = whole_graph(loss)
    assert len(nodes) > 50
    assert not nodes_off_gpu(nodes)


@pytest.mark.parametrize("kind", [kind for kind, (name, _) in KINDS.items() if name in ("ACT", "CNNMLP")])
def test_acting_waits_for_nothing_before_its_end(kind):
    name, flags = KINDS[kind]
    policy, batch = make_small(name, **flags).eval(), make_batch()
    if flags.get("use_vq"):
        policy.trust_prior(True)
    with fake_cuda(), torch.inference_mode(), torch.autocast("cuda", torch.bfloat16):
        module_on_cuda(policy)
        batch = batch_on_cuda(batch)
        policy.act(batch)
        with Watch() as watch:
            assert policy.act(batch).is_cuda
    assert not watch.copies


# --- the run


@pytest.mark.parametrize(("accumulate", "mode"), [(1, "reduce-overhead"), (2, "default")])
def test_gradients_that_are_added_up_do_not_lie_in_a_cuda_graph(monkeypatch, accumulate, mode):
    modes = []
    monkeypatch.setattr(torch, "compile", lambda module, dynamic, mode: modes.append(mode) or module)
    policy = make_act()
    with fake_cuda():
        Run(module_on_cuda(policy), TrainConfig(compile=True, accumulate=accumulate), 10)
    Run(make_act(), TrainConfig(compile=True), 10)
    assert modes == [mode, "default"]


class Distributed(World):
    """A single process that counts how often gradients would be averaged over all."""

    averagings = 0

    def wrap(self, module):
        wrapped = World(size=2).wrap(module)
        wrapped.register_comm_hook(None, self._note)
        return wrapped

    def _note(self, state, bucket):
        Distributed.averagings += bucket.is_last()
        done = torch.futures.Future()
        done.set_result(bucket.buffer())
        return done


@pytest.mark.parametrize("compile", [False, True])
def test_gradients_are_averaged_over_processes_once_a_step(monkeypatch, compile):
    monkeypatch.setattr(torch, "compile", lambda module, **_: _eagerly(module))
    monkeypatch.setattr(Distributed, "averagings", 0)
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        run = Run(
            make_act(dropout=0.0), TrainConfig(compile=compile, accumulate=3, amp="no"), 10, Distributed()
        )
        for _ in range(2):
            run.update([make_batch()] * 3)
    finally:
        dist.destroy_process_group()
        torch.compiler.reset()
    assert Distributed.averagings == 2


def _eagerly(module, compile=torch.compile):
    return compile(module, backend="eager", dynamic=False)


def test_buffers_are_not_sent_from_process_to_process(monkeypatch):
    """Not those of batch norm either: training does not read them, and the first process's are saved."""
    wrapped = {}
    monkeypatch.setattr(nn.parallel, "DistributedDataParallel", lambda module, **flags: wrapped.update(flags))
    World(size=2).wrap(nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)))
    assert wrapped["broadcast_buffers"] is False


@pytest.mark.parametrize("device", ["cpu", "cuda:1"])
def test_processes_wait_for_hours_while_the_first_evaluates(monkeypatch, device):
    joined = {}
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    monkeypatch.setattr(dist, "init_process_group", lambda backend, **flags: joined.update(flags, by=backend))
    for name, answer in (("get_rank", 1), ("get_world_size", 2), ("destroy_process_group", None)):
        monkeypatch.setattr(dist, name, lambda answer=answer: answer)
    with join_world(torch.device(device)) as world:
        assert (world.rank, world.size) == (1, 2)
    assert joined.pop("timeout") == FIRST_ALONE
    on_gpu = {"by": "nccl", "device_id": torch.device(device)}
    assert joined == ({"by": "gloo"} if device == "cpu" else on_gpu)


def test_kernels_are_tried_out_or_always_the_same(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    try:
        choose_kernels(torch.device("cuda"), False)
        assert torch.backends.cudnn.benchmark and not torch.are_deterministic_algorithms_enabled()
        choose_kernels(torch.device("cpu"), True)
        assert not torch.are_deterministic_algorithms_enabled()
        choose_kernels(torch.device("cuda"), True)
        assert not torch.backends.cudnn.benchmark and torch.are_deterministic_algorithms_enabled()
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    finally:
        torch.use_deterministic_algorithms(False)
