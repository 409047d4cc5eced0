"""The real arm, a myCobot 320: the only room that knows degrees, grippers of 0 to 100, and pymycobot.

Here stand the scripts: drive_arm, record_episodes, replay_episode, check_arm, import_recordings, twin.
`model_runs.py`, one folder up, runs policies. Their rooms, each on top of those before it:

kinematics/  units, forward and inverse kinematics
safety/      what the arm may do: limits, guard, whether it follows, a rehearsal
wire/        protocol, line, arm, and the servo loop that owns the port
robot/       an arm that is ready: environment, cameras, keys, the arm's own file, a session from flags
desk/        a person at a page in a browser instead of a terminal
stand_in/    the arm's twin: emulated firmware on a serial port, and behind it a body in MuJoCo
demos/       episodes on the arm: recorded, driven by hand, run by policies, taken over
checks/      what check_arm.py looks at and calibrates
"""
