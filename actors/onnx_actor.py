"""A policy in an ONNX file, as what acts: onnxruntime computes it, without torch."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from actors.actor import Actor, Rest, Seen, Traits
from actors.interface import Interface, Observation
from actors.numbers import Numbers
from actors.onnx_file import ENTRY, About, picture_name
from episodes import View

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

QPOS, ACTIONS = "qpos", "actions"
ONE_LINE = 200  # characters of another program's message
DRAWN = {"normal": Numbers.normal, "uniform": Numbers.uniform}  # inputs of random numbers


class OnnxActor(Actor):
    """Asks a graph that `policies.export_policy` wrote.

    Args:
        session: of the graph.
        about: what its file says of it.
    """

    def __init__(self, session: InferenceSession, about: About) -> None:
        self._session, self.about = session, about
        self._draws = {i.name: tuple(i.shape) for i in session.get_inputs() if i.name in DRAWN}
        self._sizes = {name: view.frame_size for name, view in about.interface.views.items()}
        self.reset((0,))

    @property
    def interface(self) -> Interface:
        return self.about.interface

    @property
    def traits(self) -> Traits:
        return self.about.traits

    def reset(self, key: Sequence[int]) -> None:
        self._numbers = Numbers(key)

    def observe(self, observation: Observation) -> Seen:
        """The state, and each camera's picture as it is: the graph makes of it what the policy sees.

        ValueError for pictures of another size.
        """
        seen = {QPOS: np.array(observation["qpos"], np.float32)}
        for camera, size in self._sizes.items():
            picture = np.array(observation["images"][camera], np.uint8)  # a copy: cameras use theirs again
            if picture.shape != (*size, 3):
                height, width = picture.shape[:2]
                raise ValueError(
                    f"camera {camera} gives pictures of {height}x{width} (height x width); this .onnx file "
                    f"takes {size[0]}x{size[1]}"
                )
            seen[picture_name(camera)] = picture
        return seen

    def finish(self, seen: Seen) -> Seen:
        """Of whole pictures: for an actor that `served` made."""
        pictures = zip(self.interface.cameras, seen["images"], strict=True)
        return {QPOS: seen[QPOS], **{picture_name(camera): picture for camera, picture in pictures}}

    def served(self) -> OnnxActor:
        """The same for a policy server: its interface views pictures whole, so that arms send them so.

        ValueError if its cameras' pictures differ in size.
        """
        sizes = set(self._sizes.values())
        if len(sizes) != 1:
            listed = ", ".join(f"{name} {size[0]}x{size[1]}" for name, size in self._sizes.items())
            raise ValueError(
                f"its cameras' pictures differ in size ({listed}); serve the checkpoint that it was made of"
            )
        (size,) = sizes
        views = {camera: View(frame_size=size) for camera in self.interface.cameras}
        interface = replace(self.interface, image_size=size, views=views)
        return OnnxActor(self._session, replace(self.about, interface=interface))

    def act(self, seen: Seen, rest: Rest | None = None) -> np.ndarray:
        if rest is not None:
            raise TypeError("a policy in an ONNX file cannot be given how a chunk begins")
        return self.act_on(
            seen, {name: DRAWN[name](self._numbers, shape) for name, shape in self._draws.items()}
        )

    def act_on(self, seen: Seen, drawn: Mapping[str, np.ndarray]) -> np.ndarray:
        """A chunk (n, A), given the random numbers that it depends on, by input."""
        return self._session.run([ACTIONS], {**seen, **drawn})[0]


def open_onnx(
    path: str | Path, device: str = "auto", amp: str = "auto", cameras: Sequence[str] | None = None
) -> OnnxActor:
    """The policy in an ONNX file.

    Args:
        path: the file.
        device, amp: as the flags say; it computes on the CPU, in float32 or what the file has.
        cameras: names that must be its own, in any order, if given.

    Raises:
        FileNotFoundError: no such file.
        ImportError: onnxruntime is missing.
        ValueError: it is no policy, damaged or of a newer version, or the flags do not fit; one line.
    """
    path = Path(path)
    for flag, value, allowed in (("device", device, ("auto", "cpu")), ("amp", amp, ("auto", "no"))):
        if value not in allowed:
            raise ValueError(
                f"--{flag} is {value}; {path.name} runs on the CPU, as it was exported: leave --{flag} out"
            )
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}; export_policy.py makes one of a checkpoint")
    session = _open_session(path)
    about = About.of(session.get_modelmeta().custom_metadata_map.get(ENTRY), path)
    _check_graph(session, about, path)
    known = about.interface.cameras
    if cameras is not None and set(cameras) != set(known):
        raise ValueError(
            f"--camera_names is {' '.join(cameras)}; {path} sees with {' '.join(known)}, as it says itself"
        )
    return OnnxActor(session, about)


def _open_session(path: Path) -> InferenceSession:
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError(f"{path} needs onnxruntime: pip install onnxruntime ({error})") from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    # the workers of an evaluation share the machine: they are told how many threads each has
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS") or 0)
    # threads that wait busily would take the loop that drives the arm its time
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # whatever it finds wrong, the file is no graph
        first = str(error).splitlines()[0][:ONE_LINE] if str(error) else type(error).__name__
        raise ValueError(f"{path} is no ONNX file, or damaged ({first})") from error


def _check_graph(session: InferenceSession, about: About, path: Path) -> None:
    """ValueError unless the graph takes and gives what the file says."""
    interface, traits = about.interface, about.traits
    looks_back = (traits.observation_horizon,) if traits.observation_horizon > 1 else ()
    wanted = {QPOS: [*looks_back, interface.state_dim]}
    for camera in interface.cameras:
        view = interface.views.get(camera)
        if view is None or view.frame_size is None:
            raise ValueError(f"{path}: its interface lacks the size of the pictures of {camera!r}")
        wanted[picture_name(camera)] = [*looks_back, *view.frame_size, 3]
    inputs = {i.name: i.shape for i in session.get_inputs() if i.name not in DRAWN}
    outputs = {o.name: o.shape for o in session.get_outputs()}
    if inputs != wanted or outputs != {ACTIONS: [traits.chunk_size, interface.action_dim]}:
        raise ValueError(f"{path}: its graph does not fit what it says of its policy; export it again")
