"""The command `hf2vad`: every job under its name.

hf2vad                 what there is
hf2vad score --help    the same as python jobs/score_archive.py --help
"""

from __future__ import annotations

import sys

from hf2vad import __version__
from hf2vad.commandline import EXIT_OK, EXIT_USAGE, wind_up
from hf2vad.jobs import JOBS, load


def usage() -> str:
    """What there is, a line each."""
    lines = [
        f"hf2vad {__version__}: finds the unusual moments in video archives",
        "",
        "usage: hf2vad JOB [options]",
        "",
    ]
    lines += [f"  {name:14} {load(name).summary}" for name in JOBS]
    return "\n".join([*lines, "", "hf2vad JOB --help tells its options."])


def main() -> int:
    """Run the job that the first argument of this process names, with the others; returns the exit code."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help", "--version"):
        print(__version__ if name == "--version" else usage())
        return EXIT_OK
    if name not in JOBS:
        print(f"error: hf2vad {name}: no such job; there are {', '.join(JOBS)}", file=sys.stderr)
        return EXIT_USAGE
    code = load(name).main(sys.argv[2:])
    wind_up()
    return code


if __name__ == "__main__":
    sys.exit(main())
