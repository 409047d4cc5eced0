"""What a task is made of, and its scene in MuJoCo. The tasks themselves are in constants.py."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "arm_index": ("ArmIndex", "LinkedJoints"),
        "inverse_kinematics": ("GripPointIK",),
        "light_meshes": ("LIGHT_MESHES", "draw_light", "light_name", "lightened"),
        "look_ranges": (
            "CLOTHS",
            "CableRanges",
            "CameraRanges",
            "DistractorRanges",
            "LEVELS",
            "LightRanges",
            "LookPlan",
            "PARTS",
            "Ranges",
            "RoomRanges",
            "TABLE_TOPS",
            "TableRanges",
            "only",
        ),
        "looks": ("Looks",),
        "opengl": ("check_fork", "check_rendering", "mujoco", "opengl_explained", "rendering"),
        "parts": ("Arm", "Case", "Entry", "Prop", "Stage", "Waypoint"),
        "past": ("Past",),
        "projection": ("camera_matrix", "camera_pose", "draw_axes", "picture_axes", "to_pixels"),
        "reach": ("Arrival", "arrivals", "check_reach", "missed_waypoints"),
        "scene": ("Places", "build_model"),
        "scene_cameras": ("still_cameras",),
        "schema": ("Task", "mirrored", "swapped"),
        "script_paths": ("Knot", "along", "lay_paths"),
        "stages": ("Judge",),
        "start_files": ("read_starts", "write_starts"),
        "start_space": ("Evidence", "StartSpace", "beside", "is_beside", "relative", "suggest"),
        "starts": ("case_of", "in_sight", "nearest_case", "pose_of", "sample_prop", "sample_start"),
        "task_check": ("waypoint_name",),
        "timestep": ("TimeStep",),
    },
)
