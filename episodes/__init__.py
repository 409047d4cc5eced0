"""Episodes: one demonstration or rollout a file, and folders of them. The only room that imports h5py."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "attributes": ("MOST_FPS", "whole_rate"),
        "episode": ("Episode", "whole_action"),
        "errors": ("CameraError", "EpisodeError", "OpenError"),
        "facts": ("FACTS",),
        "folders": (
            "MIRROR",
            "data_dir",
            "episode_number",
            "episode_path",
            "find_episode",
            "find_episodes",
            "gathered_notes",
            "is_episode_name",
            "list_episodes",
            "missing_numbers",
            "source_name",
        ),
        "frames": ("CACHES", "Frames", "Images", "JpegFrames", "decoded", "frame_size", "resize_image"),
        "jpegs": (
            "JPEG_ALONE",
            "JPEG_END",
            "JPEG_FRAMES",
            "JPEG_SCAN",
            "MOST_PIXELS",
            "encode_jpeg",
            "jpeg_quality",
            "jpeg_size",
        ),
        "hdf5": ("READ_ERRORS", "children", "datasets_below", "listed", "open_hdf5", "read_numbers"),
        "look_windows": ("starts_in_one_look",),
        "reading": ("read_header", "read_start", "seconds", "unread_datasets", "widths"),
        "rows": ("encoded_rows",),
        "sampling": ("Sample", "Shares", "StartSampler"),
        "splits": ("list_datasets", "split_datasets"),
        "state_entries": ("ARM_DIM", "BASE", "action_entries", "entries", "entries_of"),
        "stats": ("FILE_NAME", "Stats", "check_widths", "dataset_stats"),
        "views": ("Box", "View", "ViewConfig", "black_outside", "check_box", "contrast_table"),
    },
)
