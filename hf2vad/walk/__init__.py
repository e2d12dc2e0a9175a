"""The walk over an archive: open, work on and close each video, and tell of it."""
