"""Step-wise reward models: how good each step of an attempt is."""
