"""Write a trained policy as an ONNX file, which runs without PyTorch.

    python3 export_policy.py --ckpt runs/demo/policy_last.ckpt
    python3 export_policy.py --ckpt runs/demo_twin/policy_last.ckpt --output arm.onnx --int8

The file takes the arm's state and the cameras' pictures as they are, and gives a chunk of actions.
imitate_episodes.py --eval and model_runs.py take it as --ckpt_dir. To run it on an arm, requirements-arm.txt
is enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from actors import is_onnx
from common import check_file, cli


@dataclass(frozen=True)
class ExportConfig:
    """Flags of this script."""

    ckpt: str = cli.flag(None, "checkpoint of the policy, e.g. runs/demo/policy_best.ckpt", required=True)
    output: str = cli.flag("policy.onnx", "file to write, *.onnx")
    int8: bool = cli.flag(
        False, "hold the weights of matrix products in 8 bits: a smaller file, and slightly different actions"
    )
    camera_names: tuple[str, ...] | None = cli.flag(
        None, "cameras of a checkpoint of ACT, which names none, in the order of its training", distinct=True
    )

    def check(self) -> None:
        """ValueError for the first value that makes no sense."""
        if Path(self.output).suffix != ".onnx":
            raise ValueError(f"--output is {self.output}; its name must end in .onnx")
        check_file(self.output, "output", ".onnx")


def parse_flags(argv: Sequence[str] | None = None) -> ExportConfig:
    """This script's flags."""
    return cli.parse(ExportConfig, __doc__, argv)


def main(argv: Sequence[str] | None = None) -> None:
    config = parse_flags(argv)
    output = Path(config.output)
    from policies import checkpoint_references, export_policy  # torch: seconds
    from policy import load_policy

    checkpoint = Path(config.ckpt)
    if is_onnx(checkpoint):
        raise ValueError(f"--ckpt is {checkpoint}, which is exported already; give the checkpoint of a run")
    policy = load_policy(checkpoint, cameras=config.camera_names)
    references = checkpoint_references(checkpoint)
    plain = {name: references[name].plain() for name in policy.interface.cameras if name in references}
    output.parent.mkdir(parents=True, exist_ok=True)
    print("exporting, which takes half a minute to a few", flush=True)
    how_close = export_policy(policy, output, plain, config.int8)
    print(f"{output}: {output.stat().st_size / 1e6:.1f} MB; {how_close}")


if __name__ == "__main__":
    cli.run(main)
