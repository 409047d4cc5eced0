"""Serve a policy to an arm that another machine drives.

    python3 policy_server.py --ckpt_dir runs/choose
    python3 policy_server.py --ckpt_dir runs/choose --host 0.0.0.0

The first is for this machine alone, or for a tunnel (ssh -L 8020:127.0.0.1:8020 gpu-box); the second for a
network, with a token that it prints. There: model_runs.py --server HOST:PORT --token ... Ctrl-C ends it.
"""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass

from actors import DEFAULT_PORT, PolicyServer, Served, checked_token, needs_token
from common import PrecisionConfig, check_host, cli, command_line


@dataclass(frozen=True)
class PolicyServerConfig(PrecisionConfig):
    """Flags of this script."""

    ckpt_dir: str = cli.flag(None, "folder of the checkpoint, or a policy.onnx", required=True)
    ckpt_name: str | None = cli.flag(
        None,
        "checkpoint in the folder; the one that the run's flags name, else policy_best.ckpt, if not given",
    )
    camera_names: tuple[str, ...] | None = cli.flag(
        None, "cameras of a checkpoint of ACT, which names none, in the order of its training", distinct=True
    )
    host: str = cli.flag("127.0.0.1", "address to listen at; 0.0.0.0: all of this machine's")
    port: int = cli.flag(DEFAULT_PORT, "port to listen at; 0: any that is free", least=0, most=65_535)
    token: str | None = cli.flag(
        None, "what arms must bring; a new one if not given, or none where only this machine can ask"
    )

    def check(self) -> None:
        """ValueError for a token that is none, or a host that is none."""
        checked_token(self.token or "")
        check_host(self.host)

    @property
    def chosen_token(self) -> str:
        """The token; "" for none."""
        return self.token or (secrets.token_urlsafe(16) if needs_token(self.host) else "")


def open_server(config: PolicyServerConfig) -> PolicyServer:
    """The server, ready to answer; OSError for a port that is taken, or the errors of the checkpoint."""
    from evaluation import ChunkedExecution, checkpoint_references, content_version, open_actor
    from policies import run_checkpoint

    path = run_checkpoint(config.ckpt_dir, config.ckpt_name)
    actor = open_actor(path, config.device, config.amp, config.camera_names).served()
    references = {name: each.plain() for name, each in checkpoint_references(path).items()}
    ChunkedExecution(actor).warm_up()
    about = Served(path.name, content_version([path]))
    try:
        return PolicyServer(
            actor, about, references, config.host, config.port, config.chosen_token, tell_of_arm
        )
    except OSError as error:
        raise OSError(
            f"cannot listen at {config.host}:{config.port}: {error.strerror}; choose --port"
        ) from None


def tell_of_arm(address: str) -> None:
    """Say that an arm came."""
    print(f"an arm asks, from {address}", flush=True)


def tell(server: PolicyServer) -> None:
    """Say what is served, and how to ask for it."""
    host, port = server.server_address[:2]
    name = socket.gethostname() if host == "0.0.0.0" else host
    token = "" if server.is_open else f" --token {server.token}"
    where = "this machine, or through a tunnel (ssh -L)" if host.startswith("127.") else "the arm's machine"
    print(f"serving {server.about.name} at {host}:{port}; on {where}:")
    print(
        f"  {command_line('model_runs.py')} --server {name}:{port}{token} --output_dir ... --task_name ...",
        flush=True,
    )


def parse_flags(argv: Sequence[str] | None = None) -> PolicyServerConfig:
    """This script's flags."""
    return cli.parse(PolicyServerConfig, __doc__, argv)


def main(argv: Sequence[str] | None = None) -> None:
    server = open_server(parse_flags(argv))
    try:
        tell(server)
        while True:  # Windows lets a wait without an end not be interrupted
            time.sleep(1.0)
    finally:
        server.close()


if __name__ == "__main__":
    cli.run(main)
