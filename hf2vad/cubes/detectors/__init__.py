"""Where boxes come from: one file a detector, and one entry of `DETECTORS` (settings.py)."""
