"""Improve: language policies and values, and the iteration that makes them better (Feng et al. 2024)."""
