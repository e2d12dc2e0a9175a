"""Runs the benchmarks of speed one after the other, each in a process of its own, and writes the tables of the docs.

Example:
    make bench                                                    # what needs no data; about two hours on two cores
    python -m benchmarks all --data ../shared/data/ped2 --archive ../shared/data/videos/vtest.avi
    python -m benchmarks all --only engines pipeline --dry-run

Meant for a machine that does nothing else: the load at each one's end is in its result. One that fails does not stop
the others. Accuracy has its own: ped2, ablation, network_free, toy, far_runner.

Exit code: 0 all done, 1 one of them failed.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, help="folder for clips, bundles and scores; by default a temporary one")
    parser.add_argument("--data", type=Path, help="folder of UCSD Ped2; without it flow_quality is left out")
    parser.add_argument("--archive", type=Path, help="a video for pipeline and stc; by default the demo's clips")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only these")
    parser.add_argument("--dry-run", action="store_true", help="print the commands")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asked = commands(options.work or Path(folder), options.data, options.archive)
        if unknown := set(options.only or ()) - set(asked):
            parser.error(f"--only knows {', '.join(asked)}, got {', '.join(sorted(unknown))}")
        chosen = {name: asked[name] for name in options.only or asked}
        failed = [name for name, arguments in chosen.items() if not ran(name, arguments, options.dry_run)]
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def commands(work: Path, data: Path | None, archive: Path | None) -> dict[str, list[str]]:
    """The options of each benchmark, in the order in which they run."""
    video = ["--archive", str(archive)] if archive else []
    labelled = ["--data", str(data)] if data else []
    found = {
        "engines": [],
        "extraction": ["--work", str(work / "extraction")],
        "pipeline": ["--work", str(work / "pipeline"), *video],
        "stc": [*video, *labelled],
        "health": [],
        "memory": ["--work", str(work / "memory")],
        "ddp": ["--work", str(work / "ddp")],
        "s3_read": [],
        "planned": [],
        "tables": [],
    }
    if data:
        found = {"flow_quality": labelled, **found}
    return found


def ran(name: str, arguments: list[str], dry: bool) -> bool:
    command = [sys.executable, "-m", "benchmarks", name, *arguments]
    print(f"$ python -m {shlex.join(command[2:])}", flush=True)
    if dry:
        return True
    started = time.monotonic()
    code = subprocess.run(command).returncode
    print(f"{name}: {'done' if code == 0 else f'exit code {code}'} in {time.monotonic() - started:.0f} s", flush=True)
    return code == 0


if __name__ == "__main__":
    sys.exit(main())
