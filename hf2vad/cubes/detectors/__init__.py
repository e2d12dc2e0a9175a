"""Object detectors: one file each, and one entry of `DETECTORS` (settings.py)."""
