"""Policies: one module for each kind."""
