"""The dashboard: its pages, and the routes that they read."""
