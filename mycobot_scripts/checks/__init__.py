"""What check_arm.py looks at, and what it sets."""
