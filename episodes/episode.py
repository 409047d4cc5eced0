"""Episodes: one demonstration or rollout per file, in ACT++'s HDF5 schema.

    /observations/qpos            (T, D) float32
    /observations/qvel            (T, D) float32                optional (myCobot recordings have none)
    /action                       (T, A) float32
    /base_action                  (T, 2) float32                optional
    /observations/images/<camera> (T, H, W, 3) uint8, or (T, L) uint8: one JPEG a row, padded with zeros
    /compress_len                 (cameras, T) float32          JPEG only: bytes of each frame
    /reward, /time, /env_state    (T,) float32, (T,) float32, (7 P,) float64  ours, optional
    attributes                    sim, compress; ours, optional: format_version, and those in hdf5/facts.py

Sources: ACT and ACT++ record_sim_episodes.py (datasets, chunks), ACT++ compress_data.py (JPEG rows,
compress_len) and utils.py (what its loader needs). As there, JPEGs are encoded from the RGB array as it
is: `cv2.imdecode`, nominally BGR, gives RGB back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import h5py
import numpy as np

from common import PatientFile, complete_file
from episodes.errors import EpisodeError, is_plain
from episodes.frames import Images, JpegFrames
from episodes.hdf5 import (
    DATASETS,
    ENV_STATE,
    FORMAT_VERSION,
    IMAGES,
    NUMBERS,
    EpisodeFacts,
    Reader,
    check_length,
    check_raw,
    open_hdf5,
    since_start,
)

PAGE = 4096  # bytes
BASE_WINDOW = 5  # steps over which the speeds of a mobile base are averaged


@dataclass(eq=False)
class Episode(EpisodeFacts):
    """One demonstration or rollout of T steps: the state and images seen, and the action sent, at each.

    `EpisodeFacts` has the other fields, such as its task.
    """

    qpos: np.ndarray  # (T, D) float32, per arm: joint angles (rad), gripper in [0 closed, 1 open]
    action: np.ndarray  # (T, A) float32, same units
    images: dict[str, Images] = field(default_factory=dict)  # by camera
    qvel: np.ndarray | None = None  # (T, D) float32, per second
    base_action: np.ndarray | None = None  # (T, 2) float32, linear and angular speed of a mobile base
    reward: np.ndarray | None = None  # (T,) float32; reward[t] is what action[t] earned
    time: np.ndarray | None = None  # (T,) float32, s since the first step, by a real clock
    env_state: np.ndarray | None = None  # (7 P,) float64, start of each prop: xyz (m), quaternion wxyz
    notes: tuple[str, ...] = ()  # what was left out of its file, or reinterpreted

    def __post_init__(self) -> None:
        """Convert floats to the file's types, and count time from step 0; `check` refuses the rest."""
        if self.time is not None and np.asarray(self.time).dtype.kind == "f":  # before it loses digits
            self.time = since_start(np.asarray(self.time))
        if isinstance(self.fps, float) and self.fps.is_integer():
            self.fps = int(self.fps)
        with np.errstate(over="ignore"):  # a float64 beyond float32 becomes inf, which `check` reports
            for name in (*DATASETS, "env_state"):
                value = getattr(self, name)
                if value is not None:
                    value = np.asarray(value)
                    dtype = np.float64 if name == "env_state" else np.float32
                    setattr(self, name, value.astype(dtype, copy=False) if value.dtype.kind == "f" else value)

    def __len__(self) -> int:
        return len(self.qpos)

    def _arrays(self) -> list[tuple[str, np.ndarray]]:
        """Dataset name and value of each array with one row per step."""
        named = [(dataset, getattr(self, name)) for name, dataset in DATASETS.items()]
        return [(dataset, array) for dataset, array in named if array is not None]

    def take(self, steps: Sequence[int]) -> Episode:
        """An episode of these steps, in this order; steps may repeat. Images must be in memory.

        `success` stays that of the whole episode. The props' start is kept only if step 0 comes first.
        """
        steps = list(steps)
        rows = {n: getattr(self, n)[steps] for n in DATASETS if getattr(self, n) is not None}
        if self.time is not None:
            rows["time"] = rows["time"] - rows["time"][:1]
        images = {
            camera: frames.take(steps) if isinstance(frames, JpegFrames) else frames[steps]
            for camera, frames in self.images.items()
        }
        env_state = self.env_state if steps[:1] == [0] else None
        return replace(self, **rows, images=images, env_state=env_state)

    def check(self, source: str | Path = "episode") -> None:
        """Raise EpisodeError, beginning with `source`, unless the episode can be saved and used."""
        for name, dataset in DATASETS.items():
            if getattr(self, name) is not None:
                _check_numbers(f"{source}: {dataset}", getattr(self, name), 1 if name in NUMBERS else 2)
        if not len(self):
            raise EpisodeError(f"{source}: the episode has no steps; at least one is needed")
        for name, array in self._arrays():
            check_length(f"{source}: {name}", array, len(self))
        if self.qvel is not None and self.qvel.shape != self.qpos.shape:
            raise EpisodeError(f"{source}: qvel is {self.qvel.shape}; it must be {self.qpos.shape}, as qpos")
        if self.base_action is not None and self.base_action.shape[1] != 2:
            raise EpisodeError(f"{source}: /base_action is {self.base_action.shape}; it must be (T, 2)")
        if self.env_state is not None:
            _check_numbers(f"{source}: {ENV_STATE}", self.env_state, 1)
            if len(self.env_state) % 7:
                raise EpisodeError(f"{source}: /env_state is {self.env_state.shape}; it must be (7 a prop,)")
        self._check_images(source)
        self.check_facts(source)

    def _check_images(self, source: str | Path) -> None:
        for camera, frames in self.images.items():
            if not is_plain(camera):
                raise EpisodeError(
                    f"{source}: a camera is called {camera!r}; a name must be plain, without '/'"
                )
            if not isinstance(frames, JpegFrames):
                check_raw(f"{source}: camera {camera!r}", frames)
            check_length(f"{source}: camera {camera!r}", frames, len(self))
        if len({isinstance(frames, JpegFrames) for frames in self.images.values()}) == 2:
            raise EpisodeError(f"{source}: some cameras are JPEG, some raw; all must be the same")

    def save(self, path: str | Path, overwrite: bool = False) -> None:
        """Write the file, completely or not at all; its folder is made if need be.

        Raises EpisodeError (see `check`) and, unless `overwrite`, FileExistsError before it writes anything.
        """
        path = Path(path)
        self.check(path)
        if path.exists() and not overwrite:
            raise FileExistsError(f"{path} exists already; overwrite it explicitly or choose another place")
        path.parent.mkdir(parents=True, exist_ok=True)
        with complete_file(path) as part, PatientFile(part) as file, h5py.File(file, "w") as root:
            self._write(root)

    def _write(self, root: h5py.File) -> None:
        for name, array in self._arrays():
            root[name] = array
        if self.env_state is not None:
            root[ENV_STATE] = self.env_state
        cameras = sorted(self.images)  # the order in which h5py, and so ACT++'s loader, sees them
        root.require_group(IMAGES)
        for camera in cameras:
            _write_frames(root, f"{IMAGES}/{camera}", self.images[camera])
        compress = any(isinstance(frames, JpegFrames) for frames in self.images.values())
        if compress:
            lengths = [[len(self.images[c].encoded(t)) for t in range(len(self))] for c in cameras]
            root["/compress_len"] = np.array(lengths, np.float32)
        ours = {"compress": compress, "format_version": FORMAT_VERSION}
        root.attrs.update({"sim": self.sim, **ours, **self.written_facts()})

    @classmethod
    def load(
        cls,
        path: str | Path,
        cameras: Sequence[str] | None = None,
        in_memory: bool = True,
        fps: int | None = None,
    ) -> Episode:
        """Read and check a file of ours, ACT or ACT++, or one like theirs; see `notes`.

        Args:
            path: the file.
            cameras: whose images to read, in this order; None: all but depth cameras, (): none.
            in_memory: read all images now, rather than each when it is asked for (then only the first and
                last JPEG of a camera are checked now).
            fps: steps a second, replacing the file's.

        Raises:
            FileNotFoundError: there is no such file.
            EpisodeError: it is truncated, not HDF5, lacks one of `cameras`, or fails `check`; OpenError if
                it cannot be opened, e.g. because another program has locked it.
        """
        path = Path(path)
        with open_hdf5(path) as root:
            episode = cls(**Reader(root, path).values(cameras, in_memory, fps))
        episode.check(path)
        return episode


def _write_frames(root: h5py.File, name: str, frames: Images) -> None:
    if isinstance(frames, np.ndarray):
        root.create_dataset(name, data=frames, chunks=(1, *frames.shape[1:]))
        return
    jpegs = [frames.encoded(t) for t in range(len(frames))]
    longest = max(map(len, jpegs))
    chunks = (1, min(PAGE, longest))  # chunks of padding only are not written, and take no room
    dataset = root.create_dataset(name, (len(jpegs), longest), np.uint8, chunks=chunks)
    for t, jpeg in enumerate(jpegs):
        dataset[t, : len(jpeg)] = jpeg  # the rest of the row is zero


def _check_numbers(name: str, array: np.ndarray, ndim: int) -> None:
    if array.dtype.kind != "f":
        raise EpisodeError(f"{name} is {array.dtype}; it must be float32")
    if array.ndim != ndim:
        wanted = "one number" if ndim == 1 else "one row"
        raise EpisodeError(f"{name} has shape {array.shape}; it must have {ndim} axes, {wanted} a step")
    if 0 in array.shape[1:]:
        raise EpisodeError(f"{name} has shape {array.shape}; a row must have at least one entry")
    if not np.isfinite(array).all():
        first = tuple(np.argwhere(~np.isfinite(array))[0])
        entry = f", entry {first[1]}" if ndim == 2 else ""
        raise EpisodeError(f"{name} is {array[first]} at step {first[0]}{entry}; every value must be finite")


def whole_action(episode: Episode) -> np.ndarray:
    """Actions (T, A); with a mobile base (T, A + 2), its speeds averaged over 5 steps (ACT++: utils.py)."""
    if episode.base_action is None:
        return episode.action
    window = np.full(BASE_WINDOW, 1 / BASE_WINDOW)
    smooth = [np.convolve(speed, window, mode="same") for speed in episode.base_action.T]
    return np.column_stack([episode.action, *smooth]).astype(np.float32)
