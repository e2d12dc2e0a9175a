"""The command `hf2vad`: every job under its name.

hf2vad                 what there is
hf2vad score --help    what one may want of a job; --help-all: everything
"""

from __future__ import annotations

import difflib
import os
import sys

from hf2vad import __version__
from hf2vad.commandline import EXIT_OK, EXIT_USAGE, wind_up
from hf2vad.helptext import row
from hf2vad.jobs import GROUPS, JOBS, load


def usage() -> str:
    """List the jobs, one line each, in the order of use."""
    lines = [f"hf2vad {__version__}: finds the moments worth watching in video archives", ""]
    lines += ["usage: hf2vad JOB [options]"]
    grouped = {name for names in GROUPS.values() for name in names}
    for group, names in {**GROUPS, "More": tuple(name for name in JOBS if name not in grouped)}.items():
        if names:
            lines += ["", f"{group}:", *(row(name, load(name).summary, left=17) for name in names)]
    return "\n".join([*lines, "", "hf2vad JOB --help lists the options of a job. Start with: hf2vad run ~/videos"])


def main() -> int:
    """Run the job that the first argument of this process names, with the others; returns the exit code."""
    try:
        code = _main()
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads the output, such as head, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    return code


def _main() -> int:
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name == "help" and len(sys.argv) > 2:
        name, sys.argv[1:] = sys.argv[2], [sys.argv[2], "--help"]
    if name in ("-h", "--help", "--version", "help", "version"):
        print(__version__ if name.endswith("version") else usage())
        return EXIT_OK
    if name not in JOBS:
        close = difflib.get_close_matches(name, JOBS, n=1)
        meant = f"did you mean {close[0]}? " if close else ""
        print(f"error: hf2vad {name}: no such job; {meant}There are {', '.join(JOBS)}", file=sys.stderr)
        return EXIT_USAGE
    code = load(name).main(sys.argv[2:], alone=True)
    wind_up()
    return code


if __name__ == "__main__":
    sys.exit(main())
