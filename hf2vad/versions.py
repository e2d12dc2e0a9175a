"""Versions of what decides a result."""

from __future__ import annotations

import importlib.metadata
import platform

from hf2vad import __version__


def versions() -> dict[str, str]:
    """Versions of what decides a result."""
    packages = ("torch", "ray", "numpy", "opencv-python-headless", "opencv-python", "av", "pyarrow")
    found = {"hf2vad": __version__, "python": platform.python_version(), "machine": platform.machine()}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
