"""The version, below every room, for what is written down and shown."""

__version__ = "0.1.0"
