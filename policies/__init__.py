"""Policies, a file each, and their checkpoints; `registry` lists them."""

from policies.registry import POLICIES

__all__ = ["POLICIES"]
