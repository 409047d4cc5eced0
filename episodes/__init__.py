"""Episodes: one demonstration or rollout a file, and folders of them. The only room that imports h5py."""

from episodes.episode import Episode, whole_action
from episodes.folders import MIRROR, episode_path, find_episode, list_episodes
from episodes.hdf5 import OpenError
from episodes.pictures import CameraError
from episodes.reading import unread_datasets, widths
from frames import EpisodeError, Images, JpegFrames

__all__ = [
    "CameraError",
    "Episode",
    "EpisodeError",
    "MIRROR",
    "Images",
    "JpegFrames",
    "OpenError",
    "episode_path",
    "find_episode",
    "list_episodes",
    "unread_datasets",
    "whole_action",
    "widths",
]
