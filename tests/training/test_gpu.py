"""What training asks of a GPU, seen on fake CUDA tensors: no waiting, no copies, one graph."""

from contextlib import contextmanager

import pytest
import torch
from fake_cuda import Watch, batch_on_cuda, fake_cuda, module_on_cuda, nodes_off_gpu, whole_graph
from synthetic import make_batch, make_small

KINDS = {
    "ACT": ("ACT", {"dropout": 0.1}),
    "ACT with codes": ("ACT", {"use_vq": True, "vq_class": 3, "vq_dim": 4}),
    "ACT with a ResNet": ("ACT", {"backbone": "resnet18", "backbone_weights": "none"}),
    "Diffusion": ("Diffusion", {}),
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
