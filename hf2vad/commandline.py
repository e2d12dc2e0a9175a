"""Settings, execution and exit code of a job: TOML file, then command line, then one call.

A job's settings are one frozen dataclass. `--config FILE` names a TOML file with the same fields (nested settings as
tables); options given on the command line win over it. A class may define `base(early)`, which returns the defaults
that depend on an option, such as --preset: `early` holds the options named in its `EARLY`. `--log`, `--verbose` and
`--help-all` are every job's.

Exit codes: 0 done, 2 a mistake of the user or an unusable place, 3 finished with failures, 4 another run is at work on
the same output, 130 interrupted, 143 told to stop by SIGTERM before everything was done.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, Generic, TypeVar

import tyro

from hf2vad import logs
from hf2vad.arrow import without_pandas
from hf2vad.errors import ConfigError, Hf2vadError, StoppedError
from hf2vad.helptext import full_help, short_help
from hf2vad.options import full_arguments, options_of, require_options
from hf2vad.progress import screen
from hf2vad.settings import from_dict
from hf2vad.summary import show_everything

T = TypeVar("T")

EXIT_OK = 0
EXIT_USAGE = 2
EXIT_FAILURES = 3
EXIT_BUSY = 4
EXIT_INTERRUPTED = 130
EXIT_STOPPED = 143
"""Not 0: a scheduler must not take a job that was told to stop for one that is done."""

RENAMED = {"--detector.kind": "--detector.kinds"}
"""Options whose earlier names are still read."""


@dataclass(frozen=True)
class Job(Generic[T]):
    """A job that a command line starts: `hf2vad NAME`, or a file in jobs/."""

    name: str
    """Name of the job as an argument of `hf2vad`."""
    settings: type[T]
    """Dataclass of its options."""
    run: Callable[[T], int]
    """Does the job; returns the exit code."""
    description: str | None
    """Help text: one sentence, an empty line, then example command lines and exit codes."""
    shown: tuple[str, ...] = ()
    """Names of the options that --help shows beside those that are required; --help-all shows all."""
    reads: str = ""
    """Name of the option whose value may be given without its flag, such as `archive`."""
    hidden: tuple[str, ...] = ()
    """Sections of options that even --help-all leaves out."""
    why_hidden: str = ""
    """Sentence that stands there in their place."""

    @property
    def summary(self) -> str:
        """The first line of the description."""
        return (self.description or "").partition("\n")[0]

    def main(self, argv: Sequence[str] | None = None, *, alone: bool = False) -> int:
        """Run the job with the options `argv`, by default those of this process; returns the exit code.

        `alone`: nothing but the job runs in this process, as is the case with its own options.

        A mistake in the options raises SystemExit with code 2, and --help with code 0. At the end of the process's own
        job SIGTERM is ignored, so that the process ends with that code.
        """
        if argv is not None:
            return main(self, argv, alone=alone)
        code = main(self, sys.argv[1:], os.path.relpath(sys.argv[0]), alone=True)
        wind_up()
        return code


def wind_up() -> None:
    """Ignore SIGTERM from now on: a process takes a second or two to end, and its exit code is settled."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def main(job: Job[T], argv: Sequence[str], prog: str = "", *, alone: bool = False) -> int:
    """Parse `argv`, run the job and return its exit code; an Hf2vadError becomes one line on stderr."""
    speaks = any(word.partition("=")[0] in ("--log", "-h", "--help", "--help-all") for word in argv)
    try:
        with contextlib.nullcontext() if speaks else screen(f"Starting hf2vad {job.name}"):
            settings = parse(job, argv, prog or f"hf2vad {job.name}")
            if alone:
                without_pandas()
            return job.run(settings)
    except StoppedError as error:
        logs.end_with(f"stopped: {error}")
        return EXIT_STOPPED
    except Hf2vadError as error:
        message = " ".join(str(error).split())
        logs.end_with(f"error: {message}")
        return EXIT_USAGE
    except KeyboardInterrupt:
        logs.end_with("interrupted; run the same command again to go on")
        return EXIT_INTERRUPTED
    except SystemExit as error:  # of the handler that Ray has put while it connects, and in jobs that have none
        if error.code != signal.SIGTERM:
            raise
        print("stopped; run the same command again to go on", file=sys.stderr)
        return EXIT_STOPPED


def parse(job: Job[T], argv: Sequence[str], prog: str) -> T:
    """The settings that `argv` and its --config file describe. `prog`: the command in the usage line.

    Raises ConfigError for an option or setting that is refused. Prints the help and raises SystemExit with code 0 where
    it is asked for.
    """
    kind = job.settings
    early_names = tuple(getattr(kind, "EARLY", ()))
    early, rest = _early_options([_at_home(_renamed(argument)) for argument in argv], early_names)
    if {"-h", "--help", "--help-all"} & set(rest):
        _print_help(job, {name: early[name] for name in early_names}, prog, everything="--help-all" in rest)
        raise SystemExit(EXIT_OK)
    if early["log"] is not None:
        logs.write_logs(early["log"])
    show_everything(bool(early["verbose"]))
    config = early["config"]
    from_file = _read_toml(config) if config else {}
    arguments = full_arguments(rest, list(options_of(_base(kind, dict.fromkeys(early_names)))), job.reads, prog)
    chosen = {name: early[name] if early[name] is not None else from_file.get(name) for name in early_names}
    base = _base(kind, chosen)
    if from_file:
        base = from_dict(kind, from_file, base=base, where=str(config))
    require_options(options_of(base), arguments, prog)
    return tyro.cli(kind, args=arguments, default=base, prog=prog)


def _print_help(job: Job[Any], early: dict[str, str | None], prog: str, *, everything: bool) -> None:
    """Print the short or the full help; defaults are those that apply to the options in `early`."""
    try:
        base = _base(job.settings, early)
    except Hf2vadError:  # of a bundle that is not there: the help is shown all the same
        base = _base(job.settings, dict.fromkeys(early))
    options, description = list(options_of(base)), (job.description or "").strip()
    if everything:
        print(full_help(prog, description, options, job.reads, job.hidden, job.why_hidden))
    else:
        print(short_help(prog, description, options, job.shown, job.reads, job.hidden))


def _base(kind: type[T], early: Mapping[str, Any]) -> T:
    """The settings where no option is given, for the values of the options that decide defaults."""
    base: T = kind.base(early) if early else kind(**required_missing(kind))  # type: ignore[attr-defined]
    return base


def command(stem: str) -> str:
    """The name that the command `hf2vad` has for the job in jobs/<stem>.py."""
    return {"extract_stc": "extract", "score_archive": "score"}.get(stem, stem.replace("_", "-"))


def required_missing(kind: type[Any]) -> dict[str, Any]:
    """Placeholders for the fields of `kind` that have no default, for a `base` to be built with."""
    return {f.name: tyro.MISSING for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING}


def _renamed(argument: str) -> str:
    """An option by its present name."""
    name, equals, value = argument.partition("=")
    return RENAMED.get(name, name) + equals + value


def _at_home(argument: str) -> str:
    """An argument whose value, or whose place after `name=`, begins with `~/`, with the home folder in its place.

    A shell does this for a word that is not quoted and begins so.
    """
    return re.sub(r"^((?:--)?[\w.-]+=)?(?:[\w.-]+=)?~(?=/|$)", lambda m: m[0][:-1] + os.path.expanduser("~"), argument)


def _early_options(argv: Sequence[str], names: Sequence[str]) -> tuple[dict[str, str | None], list[str]]:
    """--config, --log and --verbose, taken out of `argv`, and the options in `names`, left in it."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config")
    parser.add_argument("--log")
    parser.add_argument("--verbose", action="store_true")
    try:
        taken, rest = parser.parse_known_args(list(argv))
        peek = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
        for name in names:
            peek.add_argument("--" + name.replace("_", "-"), nargs="?", dest=name)
        seen, _ = peek.parse_known_args(rest)
    except argparse.ArgumentError as error:
        raise ConfigError(str(error)) from None
    if taken.log not in (None, *logs.FORMS):
        raise ConfigError(f"--log must be text or json, got {taken.log!r}")
    return {**vars(taken), **vars(seen)}, rest


def _read_toml(path: str) -> Mapping[str, Any]:
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"--config {path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--config {path}: cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"--config {path}: not valid TOML: {error}") from None
