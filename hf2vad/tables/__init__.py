"""The tables of a run: read, and joined."""
