"""The inside of the process that runs sections: one for each line of its input, rows to its output."""

from __future__ import annotations

import importlib
import json
import os
import shlex
import sys
import time
import warnings
from argparse import Namespace
from pathlib import Path
from typing import Any

from _gpu.registry import SECTIONS


def serve(args: Namespace) -> int:
    """Run the sections that are asked for; the status with which the process ends."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what others print is no row

    def send(message: dict[str, Any]) -> None:
        out.write(json.dumps(message, default=str) + "\n")
        out.flush()

    try:
        session = make_session(args, send)
    except (ValueError, RuntimeError) as error:  # the latter from CUDA
        send({"broken": " ".join(str(error).split())})
        return 1
    send({"done": "ready"})
    from _gpu.session import LostContext, one_line

    for line in sys.stdin:
        asked = json.loads(line)
        session.deadline = time.monotonic() + asked["seconds"]
        module, _, name = SECTIONS[asked["section"]].place.rpartition(".")
        try:
            getattr(importlib.import_module(f"_gpu.{module}"), name)(session)
        except LostContext as error:
            send({"broken": str(error)})
            return 3
        except Exception as error:
            send({"what": "section", "error": one_line(error)})
        send({"done": asked["section"]})
    return 0


def make_session(args: Namespace, send: Any) -> Any:
    """The session of all sections; ValueError if there is no such device."""
    warnings.simplefilter("ignore")
    from _gpu.session import Session
    from common import choose_kernels, keep_freed_memory, pick_device

    device = pick_device(args.device)
    if device.type == "cuda":
        import torch

        torch.cuda.set_device(device)
        torch.ones(1, device=device).item()
    choose_kernels(device, is_deterministic=False)
    keep_freed_memory()
    return Session(
        device,
        args.tiny,
        send,
        tuple(map(Path, args.episodes)),
        tuple(shlex.split(args.train_flags)),
        str(Path(args.site).resolve()) if args.site else None,
        Path(args.keep) if args.keep else None,
    )
