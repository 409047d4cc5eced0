"""What edit_episodes.py does: changes of episodes and datasets, surveys, regions, LeRobot's format."""
