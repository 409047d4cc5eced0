"""Open what acts: a checkpoint's policy in torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from actors import Actor


def open_actor(
    path: str | Path, device: str = "auto", amp: str = "auto", cameras: Sequence[str] | None = None
) -> Actor:
    """What a file's policy acts with.

    Args:
        path: a checkpoint.
        device, amp: where it computes, and in what precision, as the flags say.
        cameras: as for `load_policy`; errors too.
    """
    from common import pick_device
    from policies import TorchActor, ready_to_act
    from policy import load_policy

    policy = load_policy(path, pick_device(device), cameras)
    return TorchActor(ready_to_act(policy, amp), amp)
