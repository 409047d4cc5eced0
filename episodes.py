"""Episodes: one demonstration or rollout a file, in ACT++'s HDF5 schema. The only module that imports h5py.

    /observations/qpos            (T, D) float32
    /observations/qvel            (T, D) float32                optional (myCobot recordings have none)
    /action                       (T, A) float32
    /base_action                  (T, 2) float32                optional
    /observations/images/<camera> (T, H, W, 3) uint8, or (T, L) uint8: one JPEG a row, padded with zeros
    /compress_len                 (cameras, T) float32          JPEG only: bytes of each frame
    /reward, /time, /env_state    (T,) float32, (T,) float32, (7 P,) float64  ours, optional
    attributes                    sim, compress; ours, optional: format_version, task, fps, seed, success,
                                  render_quality, noise, hesitate, recovers, randomized

Sources: ACT and ACT++ record_sim_episodes.py (datasets, chunks), ACT++ compress_data.py (JPEG rows,
compress_len) and utils.py (what its loader asks of a file). As theirs, JPEGs are encoded from the RGB array
as it is: `cv2.imdecode`, nominally BGR, gives RGB back.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import h5py
import numpy as np

from files import complete_file, file_identity
from frames import EpisodeError, Images, JpegFrames, jpeg_size, trim_jpeg

FORMAT_VERSION = 1
PAGE = 4096  # bytes
BASE_WINDOW = 5  # steps over which the speeds of a mobile base are averaged
OPEN_DATASETS = 192  # kept open for frames that are read as they are needed; HDF5 takes about 1 MB for each
_IMAGES = "/observations/images"
_DATASETS = {  # field: dataset; one row (or one number) a step
    "qpos": "/observations/qpos",
    "action": "/action",
    "qvel": "/observations/qvel",
    "base_action": "/base_action",
    "reward": "/reward",
    "time": "/time",
}
_NUMBERS = ("/reward", "/time")  # one number a step


class CameraError(EpisodeError):
    """An episode without a camera that is asked for."""


def _open(path: Path) -> h5py.File:
    """Without HDF5's cache of chunks: none is read twice, and it would take up to 1 MB for each dataset."""
    return h5py.File(path, "r", rdcc_nbytes=0)


@lru_cache(maxsize=OPEN_DATASETS)
def _kept_open(path: Path, identity: tuple[int, int], name: str) -> h5py.Dataset:
    """A dataset, and with it its file; closed once others have pushed it out and nobody reads from it."""
    if file_identity(path) != identity:
        raise EpisodeError(f"{path} has changed since it was first read; start again")
    return _open(path)[name]


class StoredRows(Sequence):
    """One dataset of an episode file, left there: a row is read whenever it is asked for, by any thread."""

    def __init__(self, dataset: h5py.Dataset, path: Path) -> None:
        self._path, self._identity, self._name = path.absolute(), file_identity(path), dataset.name
        self.shape, self.dtype, self.ndim = dataset.shape, dataset.dtype, dataset.ndim
        self.nbytes = dataset.id.get_storage_size()  # in the file

    def __getitem__(self, rows: int | slice) -> np.ndarray:
        try:
            return _kept_open(self._path, self._identity, self._name)[rows]
        except (OSError, RuntimeError, KeyError) as error:  # what h5py raises
            raise EpisodeError(f"{self._path} cannot be read any more ({error}); start again") from error

    def __len__(self) -> int:
        return self.shape[0]


class StoredJpegs(JpegFrames):
    """JpegFrames that are left in their file; each is checked when it is read."""

    def __init__(self, rows: StoredRows, name: str, shape: tuple[int, int] | None = None) -> None:
        super().__init__(name=name)
        self._rows, self.nbytes, self._shape = rows, rows.nbytes, shape

    def encoded(self, t: int) -> np.ndarray:
        return trim_jpeg(self._rows[t], f"{self.name}: frame {t}")

    def in_memory(self) -> JpegFrames:
        """The same frames, read and checked now."""
        return JpegFrames.from_padded(self._rows[:], self.name)

    def __len__(self) -> int:
        return len(self._rows)


@dataclass(eq=False)
class Episode:
    """One demonstration or rollout of T steps: state and images as seen, and the action sent thereupon."""

    qpos: np.ndarray  # (T, D) float32, per arm: joint angles (rad), gripper in [0 closed, 1 open]
    action: np.ndarray  # (T, A) float32, same units
    images: dict[str, Images] = field(default_factory=dict)  # by camera
    qvel: np.ndarray | None = None  # (T, D) float32, per second
    base_action: np.ndarray | None = None  # (T, 2) float32, linear and angular speed of a mobile base
    reward: np.ndarray | None = None  # (T,) float32; reward[t] is what action[t] earned
    time: np.ndarray | None = (
        None  # (T,) float32, s since the first step: when each was seen, on a real clock
    )
    env_state: np.ndarray | None = None  # (7 P,) float64, start of each prop: xyz (m), quaternion wxyz
    sim: bool = True
    task: str = ""
    fps: int = 50  # steps a second
    seed: int | None = None
    success: bool | None = None
    render_quality: str = ""
    noise: float = 0.0  # m, on the waypoints of the script
    hesitate: int = 0  # control steps that the arms may have waited before they began
    recovers: bool = False  # it begins in the middle of an attempt, the arms where the first state has them
    randomized: bool = False  # its looks were drawn at random (randomize.py)

    def __post_init__(self) -> None:
        """Bring other float types (ours and other people's) to the file's own; `check` refuses the rest."""
        with np.errstate(over="ignore"):  # a float64 beyond float32 becomes inf, which `check` reports
            for name in (*_DATASETS, "env_state"):
                value = getattr(self, name)
                if value is not None:
                    value = np.asarray(value)
                    dtype = np.float64 if name == "env_state" else np.float32
                    setattr(self, name, value.astype(dtype, copy=False) if value.dtype.kind == "f" else value)

    def __len__(self) -> int:
        return len(self.qpos)

    def _arrays(self) -> list[tuple[str, np.ndarray]]:
        """Dataset name and value of everything that has one row a step."""
        named = [(dataset, getattr(self, name)) for name, dataset in _DATASETS.items()]
        return [(dataset, array) for dataset, array in named if array is not None]

    def take(self, steps: Sequence[int]) -> Episode:
        """The episode of these steps, in this order; one may come more than once. Images must be in memory.

        `success` stays that of the whole episode. Where the props started is kept only if step 0 comes first.
        """
        steps = list(steps)
        rows = {n: getattr(self, n)[steps] for n in _DATASETS if getattr(self, n) is not None}
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
        for name, array in self._arrays():
            _check_numbers(f"{source}: {name}", array, 1 if name in _NUMBERS else 2)
        if not len(self):
            raise EpisodeError(f"{source}: the episode has no steps; at least one is needed")
        for name, array in self._arrays():
            _check_length(f"{source}: {name}", array, len(self))
        if self.qvel is not None and self.qvel.shape != self.qpos.shape:
            raise EpisodeError(f"{source}: qvel is {self.qvel.shape}; it must be as qpos, {self.qpos.shape}")
        if self.base_action is not None and self.base_action.shape[1] != 2:
            raise EpisodeError(f"{source}: /base_action is {self.base_action.shape}; it must be (T, 2)")
        if self.env_state is not None:
            _check_numbers(f"{source}: /env_state", self.env_state, 1)
            if len(self.env_state) % 7:
                raise EpisodeError(f"{source}: /env_state is {self.env_state.shape}; it must be (7 a prop,)")
        for camera, frames in self.images.items():
            if not isinstance(frames, JpegFrames):
                _check_raw(f"{source}: camera {camera!r}", frames)
            _check_length(f"{source}: camera {camera!r}", frames, len(self))
        if len({isinstance(frames, JpegFrames) for frames in self.images.values()}) == 2:
            raise EpisodeError(f"{source}: some cameras are JPEG, some raw; all must be the same")
        if self.fps <= 0:
            raise EpisodeError(f"{source}: fps is {self.fps}; it must be positive")

    def save(self, path: str | Path, overwrite: bool = False) -> None:
        """Write the file, completely or not at all; its folder is made if need be.

        Raises EpisodeError (see `check`) and, unless `overwrite`, FileExistsError before it writes anything.
        """
        path = Path(path)
        self.check(path)
        if path.exists() and not overwrite:
            raise FileExistsError(f"{path} exists already; overwrite it explicitly or choose another place")
        path.parent.mkdir(parents=True, exist_ok=True)
        with complete_file(path) as part, h5py.File(part, "w") as root:
            self._write(root)

    def _write(self, root: h5py.File) -> None:
        for name, array in self._arrays():
            root[name] = array
        if self.env_state is not None:
            root["/env_state"] = self.env_state
        cameras = sorted(self.images)  # the order in which h5py, and so ACT++'s loader, sees them
        root.require_group(_IMAGES)
        for camera in cameras:
            _write_frames(root, f"{_IMAGES}/{camera}", self.images[camera])
        compress = any(isinstance(frames, JpegFrames) for frames in self.images.values())
        if compress:
            lengths = [[len(self.images[c].encoded(t)) for t in range(len(self))] for c in cameras]
            root["/compress_len"] = np.array(lengths, np.float32)
        attributes = {
            "sim": self.sim,
            "compress": compress,
            "format_version": FORMAT_VERSION,
            "task": self.task,
            "fps": self.fps,
            "seed": self.seed,
            "success": self.success,
            "render_quality": self.render_quality,
            "noise": self.noise or None,
            "hesitate": self.hesitate or None,
            "recovers": self.recovers or None,
            "randomized": self.randomized or None,
        }
        root.attrs.update({name: value for name, value in attributes.items() if value is not None})

    @classmethod
    def load(cls, path: str | Path, cameras: Sequence[str] | None = None, in_memory: bool = True) -> Episode:
        """Read and check a file of ours, of ACT or of ACT++.

        Args:
            path: the file.
            cameras: whose images to read, in this order; None: all but depth cameras, (): none.
            in_memory: read all images now, rather than each when it is asked for (of JPEGs only the first and
                last are then checked at once).

        Raises:
            FileNotFoundError: there is no such file.
            EpisodeError: it is truncated, not HDF5, without one of `cameras`, or fails `check`.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such episode file")
        try:
            with _open(path) as root:
                episode = _read(root, path, cameras, in_memory)
        except (OSError, RuntimeError, KeyError) as error:  # what h5py raises on damaged files
            reason = " ".join(str(error).split())
            raise EpisodeError(f"{path}: no complete HDF5 file ({reason}); record it again") from error
        episode.check(path)
        return episode


def _read(root: h5py.File, path: Path, cameras: Sequence[str] | None, in_memory: bool) -> Episode:
    attributes = root.attrs
    version = int(attributes.get("format_version", FORMAT_VERSION))
    if version > FORMAT_VERSION:
        raise EpisodeError(f"{path}: format version is {version}; this program reads up to {FORMAT_VERSION}")
    arrays = {name: _read_array(root, dataset) for name, dataset in _DATASETS.items()}
    for name in ("qpos", "action"):
        if arrays[name] is None:
            found: list[str] = []
            root.visit(found.append)
            raise EpisodeError(f"{path}: no dataset {_DATASETS[name]}; it has {', '.join(found)}")
    return Episode(
        **arrays,
        env_state=_read_array(root, "/env_state"),
        images=_read_images(root, path, cameras, in_memory),
        sim=bool(attributes.get("sim", True)),
        task=str(attributes.get("task", "")),
        fps=int(attributes.get("fps", Episode.fps)),
        seed=int(attributes["seed"]) if "seed" in attributes else None,
        success=bool(attributes["success"]) if "success" in attributes else None,
        render_quality=str(attributes.get("render_quality", "")),
        noise=float(attributes.get("noise", 0.0)),
        hesitate=int(attributes.get("hesitate", 0)),
        recovers=bool(attributes.get("recovers", False)),
        randomized=bool(attributes.get("randomized", False)),
    )


def _read_array(root: h5py.File, dataset: str) -> np.ndarray | None:
    return root[dataset][()] if isinstance(root.get(dataset), h5py.Dataset) else None


def _read_images(
    root: h5py.File, path: Path, cameras: Sequence[str] | None, in_memory: bool
) -> dict[str, Images]:
    found = [name for name in root.get(_IMAGES, ()) if not name.endswith("_depth")]
    images = {}
    for camera in found if cameras is None else cameras:
        if camera not in found:
            raise CameraError(f"{path}: no camera {camera!r}; it has {', '.join(found) or 'none'}")
        frames, name = root[f"{_IMAGES}/{camera}"], f"{path}: camera {camera!r}"
        # told by the shape: ACT's files have no attribute `compress`
        if frames.dtype == np.uint8 and frames.ndim == 2 and frames.shape[1]:
            if in_memory:
                images[camera] = JpegFrames.from_padded(frames[()], name)
                continue
            ends = [trim_jpeg(frames[t], f"{name}: frame {t}") for t in (0, len(frames) - 1)[: len(frames)]]
            size = jpeg_size(ends[0], f"{name}: frame 0") if ends else None
            images[camera] = StoredJpegs(StoredRows(frames, path), name, size)
        else:
            _check_raw(name, frames)
            images[camera] = frames[()] if in_memory else StoredRows(frames, path)
    return images


def _write_frames(root: h5py.File, name: str, frames: Images) -> None:
    if isinstance(frames, np.ndarray):
        root.create_dataset(name, data=frames, chunks=(1, *frames.shape[1:]))
        return
    jpegs = [frames.encoded(t) for t in range(len(frames))]
    longest = max(map(len, jpegs))
    chunks = (1, min(PAGE, longest))  # those that are not written, only padding, take no room
    dataset = root.create_dataset(name, (len(jpegs), longest), np.uint8, chunks=chunks)
    for t, jpeg in enumerate(jpegs):
        dataset[t, : len(jpeg)] = jpeg  # the rest of the row is zero


def _check_numbers(name: str, array: np.ndarray, ndim: int) -> None:
    if array.dtype.kind != "f":
        raise EpisodeError(f"{name} is {array.dtype}; it must be float32")
    if array.ndim != ndim:
        wanted = "one number" if ndim == 1 else "one row"
        raise EpisodeError(f"{name} has shape {array.shape}; it must have {ndim} axes, {wanted} a step")
    if not np.isfinite(array).all():
        first = tuple(np.argwhere(~np.isfinite(array))[0])
        entry = f", entry {first[1]}" if ndim == 2 else ""
        raise EpisodeError(f"{name} is {array[first]} at step {first[0]}{entry}; every value must be finite")


def _check_length(name: str, rows: Sequence | np.ndarray, steps: int) -> None:
    if len(rows) != steps:
        raise EpisodeError(f"{name} has {len(rows)} steps; qpos has {steps}, all must have as many")


def _check_raw(name: str, frames: np.ndarray | h5py.Dataset) -> None:
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3:
        raise EpisodeError(f"{name} is {frames.dtype} {frames.shape}; it must be uint8 (T, H, W, 3) or JPEGs")


def unread_datasets(path: str | Path) -> list[str]:
    """What `Episode` leaves in the file: depth images and datasets of other people's."""
    known = {*_DATASETS.values(), "/env_state", "/compress_len"}
    found: list[str] = []

    def visit(name: str, item: h5py.Group | h5py.Dataset) -> None:
        is_frame = name.startswith(_IMAGES[1:]) and not name.endswith("_depth")
        if isinstance(item, h5py.Dataset) and f"/{name}" not in known and not is_frame:
            found.append(f"/{name}")

    with _open(Path(path)) as root:
        root.visititems(visit)
    return found


def whole_action(episode: Episode) -> np.ndarray:
    """(T, A); with a mobile base (T, A + 2), its speeds averaged over five steps (ACT++: utils.py)."""
    if episode.base_action is None:
        return episode.action
    window = np.full(BASE_WINDOW, 1 / BASE_WINDOW)
    smooth = [np.convolve(speed, window, mode="same") for speed in episode.base_action.T]
    return np.column_stack([episode.action, *smooth]).astype(np.float32)


def episode_path(dataset_dir: str | Path, i: int, mirror: bool = False) -> Path:
    """File of episode `i` (or of its mirror image), named as ACT++ names it."""
    return Path(dataset_dir) / f"{'mirror_' if mirror else ''}episode_{i}.hdf5"


def list_episodes(dataset_dir: str | Path) -> list[Path]:
    """All episode files of a folder, by number; FileNotFoundError, with what to do about it, if none.

    As in ACT++, files of cached features (`*features*`, VINN) are passed over; so are unfinished ones.
    """
    folder = Path(dataset_dir)
    paths = [p for p in folder.glob("*.hdf5") if not p.name.startswith(".") and "features" not in p.name]
    if not paths:
        problem = "holds no episodes (*.hdf5)" if folder.is_dir() else "is no folder"
        command = f"python3 record_sim_episodes.py --task_name NAME --dataset_dir {folder} --num_episodes 50"
        raise FileNotFoundError(f"{folder} {problem}; record some first: {command}")
    return sorted(paths, key=_by_number)


def _by_number(path: Path) -> list[str | int]:
    """`episode_2` before `episode_10`: text and numbers alternate in the key."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.stem)]
