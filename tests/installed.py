"""A wheel of this checkout, installed in a fresh environment without a network."""

from __future__ import annotations

import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

from tests.site import ROOT


@dataclass(frozen=True)
class Installed:
    """An environment that has the wheel, and what the wheel needs from the environment of the tests."""

    wheel: Path
    bin: Path
    """Folder of `python` and `hf2vad`."""


def install_wheel(folder: Path) -> Installed:
    """Build the wheel and install it into an environment below `folder`."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    offline = ["--quiet", "--no-deps", "--no-index"]
    _run([*pip, "wheel", *offline, "--no-build-isolation", f"--wheel-dir={folder / 'dist'}", str(ROOT)])
    (wheel,) = (folder / "dist").glob("hf2vad-*.whl")
    fresh = folder / "fresh"
    venv.create(fresh, with_pip=False, symlinks=True)
    _run([*pip, "--python", str(fresh / "bin" / "python"), "install", *offline, str(wheel)])
    (packages,) = (fresh / "lib").glob("python*/site-packages")
    others = [path for path in sys.path if Path(path).name == "site-packages"]
    # Lines of a .pth file only extend the path: the editable install of the checkout, a .pth file there, stays out.
    (packages / "of_the_tests.pth").write_text("\n".join(others))
    return Installed(wheel, fresh / "bin")


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
