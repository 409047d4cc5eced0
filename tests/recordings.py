"""Recordings as other people's programs write them, each with what it should come to."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import h5py
import numpy as np

HEIGHT, WIDTH = 48, 64
LENGTHS = (9, 7, 8)


@dataclass(frozen=True)
class Truth:
    """What an episode should come to, in our units."""

    qpos: np.ndarray  # (T, D)
    action: np.ndarray  # (T, A)
    pictures: np.ndarray | None = None  # (T, H, W, 3)


def picture(step: int, i: int = 0) -> np.ndarray:
    """(H, W, 3) uint8 RGB: a gradient, and a red square whose place tells the step."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    image = np.stack([2 * x, 3 * y, 60 + 10 * i + 0 * x], axis=2).clip(0, 255).astype(np.uint8)
    image[8:24, 2 * step : 2 * step + 16] = (230, 40, 30)
    return image


def pictures(steps: int, i: int = 0) -> np.ndarray:
    """(T, H, W, 3) uint8."""
    return np.stack([picture(t, i) for t in range(steps)])


def motion(steps: int, dim: int, i: int = 0) -> np.ndarray:
    """(T, dim) float32, in [-0.5, 0.5]."""
    return (0.5 * np.sin(np.arange(steps)[:, None] / 4 + np.arange(dim) + i)).astype(np.float32)


def truth(i: int, steps: int, dim: int = 14, action_dim: int | None = None) -> Truth:
    return Truth(motion(steps, dim, i), motion(steps, action_dim or dim, i + 1), pictures(steps, i))


def png_rows(frames: np.ndarray) -> np.ndarray:
    """(T, L) uint8: a PNG a row, its channels in the frames' order, padded with zeros."""
    rows = [cv2.imencode(".png", frame)[1].ravel() for frame in frames]
    table = np.zeros((len(rows), max(map(len, rows))), np.uint8)
    for line, row in zip(table, rows, strict=True):
        line[: len(row)] = row
    return table


def act_file(path: Path, wanted: Truth, change: Callable[[h5py.File], None] | None = None) -> Path:
    """A file as ACT's recorder writes it, and then changed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as root:
        root.attrs["sim"] = False
        root["observations/qpos"], root["action"] = wanted.qpos, wanted.action
        root["observations/qvel"] = np.zeros_like(wanted.qpos)
        if wanted.pictures is not None:
            root["observations/images/top"] = wanted.pictures
        if change:
            change(root)
    return path


def act_folder(folder: Path, **_: object) -> list[Truth]:
    """Four files, none as ACT writes it: numbers with gaps, sub-folders, and pictures in other forms."""

    def replaced(frames: np.ndarray, **options: object) -> Callable[[h5py.File], None]:
        def change(root: h5py.File) -> None:
            del root["observations/images/top"]
            root.create_dataset("observations/images/top", data=frames, **options)
            root.attrs["compress"] = "False"

        return change

    wanted = [truth(i, steps) for i, steps in enumerate((*LENGTHS, 6))]
    frames = [one.pictures for one in wanted]
    act_file(folder / "episode_000001.hdf5", wanted[0], replaced((frames[0] / 255).astype(np.float32)))
    chunked = {"chunks": (4, 3, HEIGHT, WIDTH), "compression": "gzip"}
    act_file(folder / "episode_000004.hdf5", wanted[1], replaced(frames[1].transpose(0, 3, 1, 2), **chunked))
    act_file(folder / "day_2/episode_000007.h5", wanted[2], replaced(png_rows(frames[2])))
    act_file(folder / "day_2/episode_10.HDF5", wanted[3], depth_beside)
    return wanted


def depth_beside(root: h5py.File) -> None:
    """A depth camera beside the others, and what nobody reads."""
    root["observations/images/top_depth"] = np.zeros((len(root["action"]), HEIGHT, WIDTH), np.uint16)
    root["observations/effort"] = np.zeros((len(root["action"]), 14), np.float32)
    root.attrs["task"] = np.bytes_(b"fold the cloth")


def robomimic_file(path: Path, with_pictures: bool = True, with_obs: bool = True) -> list[Truth]:
    """A file of robomimic, its demonstrations as dataset_states_to_obs.py leaves them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    wanted = [truth(i, steps, 9, 7) for i, steps in enumerate(LENGTHS)]
    with h5py.File(path, "w") as root:
        data = root.create_group("data")
        arguments = {"env_name": "Lift", "type": 1, "env_kwargs": {"control_freq": 20}}
        data.attrs["env_args"], data.attrs["total"] = json.dumps(arguments), sum(LENGTHS)
        for i, one in enumerate(wanted):
            demo = data.create_group(f"demo_{i}")
            demo.attrs["num_samples"], demo.attrs["model_file"] = len(one.action), "<mujoco/>"
            demo["actions"], demo["states"] = one.action.astype(np.float64), np.zeros((len(one.action), 45))
            demo["rewards"], demo["dones"] = np.arange(len(one.action)) * 1.0, np.zeros(len(one.action), int)
            if with_obs:
                demo["obs/robot0_joint_pos"], demo["obs/robot0_gripper_qpos"] = (
                    one.qpos[:, :7],
                    one.qpos[:, 7:],
                )
                demo["obs/robot0_eef_pos"], demo["obs/object"] = one.qpos[:, :3], one.qpos[:, :10]
                demo["next_obs/robot0_joint_pos"] = one.qpos[:, :7]
            if with_obs and with_pictures:
                demo.create_dataset("obs/agentview_image", data=one.pictures, compression="gzip")
                demo["obs/agentview_depth"] = np.zeros((len(one.action), HEIGHT, WIDTH, 1), np.float32)
        root["mask/train"] = np.array([b"demo_0", b"demo_2"])
        root["mask/valid"] = np.array([b"demo_1"])
    return wanted


def zarr_buffer(path: Path) -> list[Truth]:
    """A replay buffer as Diffusion Policy's PushT: float pictures in 0..255; a folder, or a .zarr.zip."""
    import zarr

    path.parent.mkdir(parents=True, exist_ok=True)
    wanted = [truth(i, steps, 5, 2) for i, steps in enumerate(LENGTHS)]
    store = zarr.storage.ZipStore(str(path), mode="w") if path.suffix == ".zip" else str(path)
    is_old = zarr.__version__.startswith("2.")
    root = zarr.open_group(store, mode="w", **({} if is_old else {"zarr_format": 2}))
    create = root.create_dataset if is_old else root.create_array
    arrays = {
        "data/state": np.concatenate([one.qpos for one in wanted]),
        "data/action": np.concatenate([one.action for one in wanted]),
        "data/img": np.concatenate([one.pictures for one in wanted]).astype(np.float32),
        "data/keypoint": np.zeros((sum(LENGTHS), 9, 2), np.float32),
        "data/n_contacts": np.zeros((sum(LENGTHS), 1), np.float32),
        "meta/episode_ends": np.cumsum(LENGTHS),
    }
    for name, values in arrays.items():
        create(name, data=values, chunks=(min(6, len(values)), *values.shape[1:]))
    if path.suffix == ".zip":
        store.close()
    return wanted


def text_log(path: Path) -> list[Truth]:
    """Two rollouts as act-plus-plus_one's model_runs.py prints them to a Windows shell's file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["python3 : C:\\somewhere\\torchvision\\_utils.py:208: UserWarning: 'pretrained' is deprecated"]
    lines += [
        "위치 줄:1 문자:1",
        "stats {'action_mean': array([  6.4, 51.5], dtype=float32),",
        " 'qpos_mean': []}",
    ]
    wanted, number = [], 0  # which goes on in the second rollout
    for i, steps in enumerate(LENGTHS[:2]):
        one = truth(i, steps + 1, 7)
        degrees = np.degrees(one.qpos[:, :6])
        grippers, orders = np.full(steps + 1, 40.0), np.full(steps + 1, 60.0)
        grippers[2] = 255  # it could not be read
        for t in range(steps + 1):
            if t:
                action = [*np.degrees(one.action[t - 1, :6]), 30.0 + t]
                lines.append(f"{number} action : [{', '.join(f'{x:.7f}' for x in action)}] 이전 값 : 70")
            state = ", ".join(f"{x:.7f}" for x in degrees[t])
            lines.append(f"{number} qpos : [{state}] {grippers[t]:g} {orders[t]:g}")
            lines += [f"{number} cur_frame ({HEIGHT}, {WIDTH}, 3)", "action.shape (7,)"]
            if t == 3:
                lines.append(
                    "Warning: step duration: 0.175 s at step 2 longer than DT: 0.1 s, culmulated delay: 1 s"
                )
            number += 1
        seen = np.where(grippers == 255, orders, grippers)[:-1] / 100
        qpos = np.column_stack([one.qpos[:-1, :6], seen])
        ordered = (31.0 + np.arange(steps)) / 100
        wanted.append(Truth(qpos, np.column_stack([one.action[:steps, :6], ordered])))
    path.write_bytes("\r\n".join(lines).encode("utf-16"))
    return wanted


def write_video(path: Path, frames: Sequence[np.ndarray], fps: int = 20) -> None:
    """An H.264 video, nearly without loss."""
    import av

    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=fps, options={"crf": "5"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv444p"
        for frame in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        file.mux(stream.encode())


def tables(folder: Path) -> list[Truth]:
    """CSV files with one row a frame, and a video beside each."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [truth(i, steps, 7) for i, steps in enumerate(LENGTHS)]
    for i, one in enumerate(wanted):
        names = ["time", *(f"qpos_{j}" for j in range(7)), *(f"action_{j}" for j in range(7)), "remark"]
        with open(folder / f"take_{i + 1}.csv", "w", newline="", encoding="utf-8-sig") as file:
            writer = csv.writer(file, delimiter=";" if i == 1 else ",")
            writer.writerow(names)
            for t in range(len(one.qpos)):
                numbers = [f"{x:.8f}" for x in (*one.qpos[t], *one.action[t])]
                writer.writerow([f"{t / 20:.3f}", *numbers, "good"])
        write_video(folder / f"take_{i + 1}_top.mp4", one.pictures)
    return wanted
