"""Runs one benchmark: python -m benchmarks NAME [options]. Each has --help."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path

HELPERS = ("actor_cluster", "machine", "measure", "pinned", "processes", "worker_calls")


def main() -> int:
    names = [found.name for found in pkgutil.iter_modules([str(Path(__file__).parent)])]
    names = [name for name in names if name not in HELPERS and not name.startswith("_")]
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in names:
        print("usage: python -m benchmarks NAME [options]\n")
        for known in names:
            module = importlib.import_module(f"benchmarks.{known}")
            print(f"  {known:16} {(module.__doc__ or '').splitlines()[0]}")
        if name in ("", "-h", "--help"):
            return 0
        print(f"\nerror: no benchmark {name!r}", file=sys.stderr)
        return 2
    sys.argv = [f"python -m benchmarks {name}", *sys.argv[2:]]
    return importlib.import_module(f"benchmarks.{name}").main() or 0


if __name__ == "__main__":
    sys.exit(main())
