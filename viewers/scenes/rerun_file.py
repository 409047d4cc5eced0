"""An episode as a recording for the Rerun viewer (https://rerun.io): cameras, joints, and the arms in 3-D.

The package rerun-sdk is optional, so this module is imported only where it is needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import rerun as rr
import rerun.blueprint as rrb

from common import complete_file
from episodes import Episode, encode_jpeg
from viewers.scenes.shapes import BodyPoses, Scene3D, Shape, scene_3d
from viewers.series import camera_order, series_of

STATE, COMMAND = (31, 111, 208), (217, 115, 13)  # RGB, as in the page (web/viewer.css)
EYE = np.array([0.6, -0.9, 0.6])  # m, the first viewpoint, from the middle of the arms


def write_rerun(path: Path, episode: Episode, name: str) -> str:
    """Write an episode as `.rrd`; returns a line about its 3-D view.

    Args:
        path: the file.
        episode: with its images.
        name: the recording's, for the viewer's list.
    """
    rr.set_strict_mode(True)  # bad data is an error, not a gap in the recording
    scene = scene_3d(episode)
    with complete_file(path) as part, rr.RecordingStream("episodes", recording_id=name) as recording:
        recording.save(part, default_blueprint=_layout(episode, scene))
        recording.send_recording_name(name)
        times = _time_columns(episode)
        _log_joints(recording, episode, times)
        _log_cameras(recording, episode)
        if scene:
            _log_scene(recording, scene, episode, times)
        recording.flush()
        recording.disconnect()
    return f"3-D: {scene.note}" if scene else f"3-D: no scene is known for task {episode.task!r}"


def _time_columns(episode: Episode) -> list[Any]:
    steps = np.arange(len(episode))
    return [
        rr.TimeColumn("step", sequence=steps),
        rr.TimeColumn("time", duration=steps / episode.fps),
    ]


def _log_joints(recording: Any, episode: Episode, times: list[Any]) -> None:
    """Scalars `joints/<group>/<name>/state` and `command`, and `reward`."""
    lines = [("reward", "reward", STATE, episode.reward)]
    for one in series_of(episode):
        folder = _joint_path(one.group, one.name)
        lines += [(f"{folder}/state", "state", STATE, one.state)]
        lines += [(f"{folder}/command", "command", COMMAND, one.command)]
    for entity, label, color, values in lines:
        if values is not None:
            recording.log(entity, rr.SeriesLines(colors=color, names=label), static=True)
            recording.send_columns(entity, times, rr.Scalars.columns(scalars=values))


def _joint_path(group: str, name: str) -> str:
    return "/".join(["joints", *map(rr.escape_entity_path_part, (group, name))])


def _camera_path(camera: str) -> str:
    """Below `world`, so that the scene shows each picture where its camera is."""
    return f"world/cameras/{rr.escape_entity_path_part(camera)}"


def _log_cameras(recording: Any, episode: Episode) -> None:
    for camera, frames in episode.images.items():
        for step in range(len(episode)):
            recording.set_time("step", sequence=step)
            recording.set_time("time", duration=step / episode.fps)
            image = rr.EncodedImage(contents=plain_jpeg(frames[step]), media_type="image/jpeg")
            recording.log(_camera_path(camera), image)
    recording.reset_time()


def plain_jpeg(frame: np.ndarray) -> bytes:
    """A frame (H, W, 3) RGB as a usual JPEG; those of episode files exchange red and blue."""
    return encode_jpeg(frame[..., ::-1]).tobytes()


def _log_scene(recording: Any, scene: Scene3D, episode: Episode, times: list[Any]) -> None:
    recording.log("world", rr.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)
    for shape in scene.shapes:
        entity = _body_path(shape.body)
        recording.log(f"{entity}/shape", _mesh(shape), static=True)
        _log_poses(recording, entity, scene.bodies, shape.body, times)
    for camera in scene.fovy.keys() & episode.images.keys():
        _log_poses(recording, _camera_path(camera), scene.cameras, camera, times)
        height, width = episode.images[camera][0].shape[:2]
        pinhole = rr.Pinhole(
            resolution=(width, height),
            focal_length=float(height / 2 / np.tan(np.radians(scene.fovy[camera]) / 2)),
            camera_xyz=rr.ViewCoordinates.RUB,  # MuJoCo's: x right, y up, looking along -z
            image_plane_distance=0.1,
        )
        recording.log(_camera_path(camera), pinhole, static=True)


def _body_path(body: str) -> str:
    return f"world/bodies/{rr.escape_entity_path_part(body)}"


def _mesh(shape: Shape) -> Any:
    """A shape for Rerun; no triangles share corners, so that edges look sharp."""
    corners = shape.triangles
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    return rr.Mesh3D(
        vertex_positions=corners.reshape(-1, 3),
        triangle_indices=np.arange(3 * len(corners)).reshape(-1, 3),
        vertex_normals=np.repeat(normals, 3, axis=0),
        vertex_colors=np.repeat(shape.colors, 3, axis=0),
    )


def _log_poses(recording: Any, entity: str, poses: BodyPoses, name: str, times: list[Any]) -> None:
    i = poses.names.index(name)
    xyz, xyzw = poses.xyz[:, i], np.roll(poses.wxyz[:, i], -1, axis=1)
    if np.ptp(xyz, axis=0).max() == 0 and np.ptp(xyzw, axis=0).max() == 0:  # it stands still
        pose = rr.Transform3D(translation=xyz[0], quaternion=rr.Quaternion(xyzw=xyzw[0]))
        recording.log(entity, pose, static=True)
        return
    recording.send_columns(entity, times, rr.Transform3D.columns(translation=xyz, quaternion=xyzw))


def _layout(episode: Episode, scene: Scene3D | None) -> Any:
    """The viewer's first layout: the scene and the cameras, beside a plot for each joint."""
    views = [rrb.Spatial2DView(origin=_camera_path(camera), name=camera) for camera in camera_order(episode)]
    if scene:
        centre = scene.bodies.xyz[:, scene.arm_bodies].mean(axis=(0, 1))
        eye = rrb.EyeControls3D(position=centre + EYE, look_target=centre, eye_up=(0, 0, 1))
        views = [rrb.Spatial3DView(origin="world", name="scene", eye_controls=eye), *views]
    groups: dict[str, list[Any]] = {}
    for one in series_of(episode):
        view = rrb.TimeSeriesView(origin=_joint_path(one.group, one.name), name=one.name)
        groups.setdefault(one.group, []).append(view)
    tabs = [rrb.Grid(*plots, name=group, grid_columns=2) for group, plots in groups.items()]
    if episode.reward is not None:
        tabs.append(rrb.TimeSeriesView(origin="reward", name="reward"))
    return rrb.Blueprint(
        rrb.Horizontal(rrb.Grid(*views, grid_columns=2), rrb.Tabs(*tabs)), collapse_panels=True
    )
