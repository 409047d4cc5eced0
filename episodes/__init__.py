"""Episodes: one demonstration or rollout a file, and folders of them. The only room that imports h5py."""

from episodes.attributes import MOST_FPS, whole_rate
from episodes.entries import ARM_DIM, BASE, action_entries, entries, entries_of
from episodes.episode import Episode, whole_action
from episodes.facts import FACTS
from episodes.folders import (
    MIRROR,
    data_dir,
    episode_path,
    find_episode,
    find_episodes,
    gathered_notes,
    is_episode_name,
    list_episodes,
    recorded_numbers,
)
from episodes.hdf5 import OpenError
from episodes.pictures import CameraError
from episodes.reading import unread_datasets, widths
from frames import EpisodeError, Images, JpegFrames

__all__ = [
    "ARM_DIM",
    "BASE",
    "CameraError",
    "Episode",
    "EpisodeError",
    "FACTS",
    "MIRROR",
    "MOST_FPS",
    "Images",
    "JpegFrames",
    "OpenError",
    "action_entries",
    "data_dir",
    "entries",
    "entries_of",
    "episode_path",
    "find_episode",
    "find_episodes",
    "gathered_notes",
    "is_episode_name",
    "list_episodes",
    "recorded_numbers",
    "unread_datasets",
    "whole_action",
    "whole_rate",
    "widths",
]
