"""The house's floor plan: data, and so imports, go one way."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLOORS = [
    {"errors", "logs", "profile", "versions"},
    {"settings"},
    {"schema", "progress", "threads", "heap"},
    {"storage"},
    {"hashes", "commandline"},
    {"archive", "models", "demo"},
    {"features", "tables"},
    {"bundle", "health"},
    {"cubes", "engines"},
    {"scoring"},
    {"training"},
    {"presets"},
    {"evaluation"},
    {"evidence"},
    {"report"},
    {"cluster"},
    {"walk"},
    {"ablation"},
    {"jobs"},
    {"__main__"},
    {"reference"},
]
"""From the ground up: a module imports only from floors below its own, or from its own package. The settings of a room
stand on the floor of `settings`: they import nothing else, so that any room may read another's. Those of a bundle are
what training found, and stand with it."""

MODULES = sorted((ROOT / "hf2vad").rglob("*.py"))


def room(path: Path) -> str:
    parts = path.relative_to(ROOT / "hf2vad").parts
    return "settings" if parts[-1] == "settings.py" and parts[0] != "bundle" else parts[0].removesuffix(".py")


def imported(path: Path) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
    return names


def floor(name: str) -> int:
    return next(i for i, rooms in enumerate(FLOORS) if name in rooms)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_downward(path: Path) -> None:
    if path == ROOT / "hf2vad" / "__init__.py":
        return
    own = room(path)
    for name in imported(path):
        parts = name.split(".")
        if parts[0] == "hf2vad" and len(parts) > 1 and parts[1] != own:
            there = "settings" if parts[-1] == "settings" and parts[1] != "bundle" else parts[1]
            assert floor(there) < floor(own) or there == own == "settings", f"{path} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_cluster_imports_ray(path: Path) -> None:
    uses_ray = any(name.split(".")[0] == "ray" for name in imported(path))
    assert not uses_ray or room(path) == "cluster" or path.name == "metrics.py"


def test_what_drives_a_run_imports_no_compiler_and_no_plots() -> None:
    """They take 76 MiB and seconds, in the driver and in every worker."""
    heavy = ("torch._inductor", "sklearn", "plotly")
    code = f"import sys, hf2vad.jobs.backfill; print(*(name for name in {heavy} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
