"""The real arm, a myCobot 320; the only place that knows degrees, grippers of 0 to 100, and pymycobot.

Scripts: record_episodes (with recorder, demonstrate, jog, waypoints and sequences/), replay_episode
(tracking), check_arm (checks/), import_recordings, twin. `model_runs.py`, one folder up, runs policies
(policy_runs, takeover).

An arm that is ready: session, from the arm's own file (arm_file) and the flags. robot is the environment of
it, with its way to the start (start_pose) and deadlines (timing): the servo loop (servo, over arm, link and
protocol), cameras, and what is allowed (safety, limits, following; rehearsal for a dry run). person is who is
asked and told, by keys; recording keeps every step. units, kinematics and inverse are the arithmetic.

Without an arm: stand_in/, asked for by twin_client and twin_scene.
"""
