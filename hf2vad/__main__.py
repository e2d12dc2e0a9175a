"""The command `hf2vad`: the jobs by short names, for those who have the wheel and no checkout.

    hf2vad                 what there is
    hf2vad score --help    the same as python jobs/score_archive.py --help

A checkout has the jobs in jobs/, the wheel as hf2vad/doors/; the files are the same, and so are options and exit codes.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Mapping
from pathlib import Path

from hf2vad import __version__
from hf2vad.commandline import EXIT_OK, EXIT_USAGE, command

PACKAGE = Path(__file__).parent


def jobs() -> Mapping[str, Path]:
    """The file of each job, by the name of its command."""
    inside = PACKAGE / "doors"
    folder = inside if inside.is_dir() else PACKAGE.parent / "jobs"
    return {command(path.stem): path for path in sorted(folder.glob("[a-z]*.py"))}


def summary(path: Path) -> str:
    """The first line of a job's docstring."""
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]


def usage() -> str:
    """What there is, a line each."""
    lines = [
        f"hf2vad {__version__}: finds the unusual moments in video archives",
        "",
        "usage: hf2vad JOB [options]",
        "",
    ]
    lines += [f"  {name:14} {summary(path)}" for name, path in jobs().items()]
    return "\n".join([*lines, "", "hf2vad JOB --help tells its options."])


def main() -> int:
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help", "--version"):
        print(__version__ if name == "--version" else usage())
        return EXIT_OK
    if name not in jobs():
        print(f"error: hf2vad {name}: no such job; there are {', '.join(jobs())}", file=sys.stderr)
        return EXIT_USAGE
    sys.argv = [f"hf2vad {name}", *sys.argv[2:]]
    path = jobs()[name]  # not by runpy, which would make sys.argv[0] the path
    exec(compile(path.read_text(encoding="utf-8"), path, "exec"), {"__name__": "__main__", "__file__": str(path)})
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
