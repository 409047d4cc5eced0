"""Episodes: one demonstration or rollout a file, and folders of them. The only room that imports h5py."""

from episodes.episode import Episode, whole_action
from episodes.folders import episode_path, list_episodes
from episodes.reading import CameraError, unread_datasets
from frames import EpisodeError, Images, JpegFrames

__all__ = [
    "CameraError",
    "Episode",
    "EpisodeError",
    "Images",
    "JpegFrames",
    "episode_path",
    "list_episodes",
    "unread_datasets",
    "whole_action",
]
