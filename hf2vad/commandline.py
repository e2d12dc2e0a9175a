"""Settings, execution and exit code of a job: TOML file, then command line, then one call.

A job's settings are one frozen dataclass. `--config FILE` names a TOML file with the same fields (nested settings as
tables); options given on the command line win over it. A class may define `base(early)`, which returns the defaults
that depend on an option, such as --preset: `early` holds the options named in its `EARLY`. `--log` is every job's.

Exit codes: 0 done, 2 a mistake of the user or an unusable place, 3 finished with failures, 4 another run is at work on
the same output, 130 interrupted, 143 told to stop by SIGTERM before everything was done.
"""

from __future__ import annotations

import argparse
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
from hf2vad.errors import ConfigError, Hf2vadError, StoppedError
from hf2vad.settings import from_dict

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

EVERYWHERE = """

--config FILE reads the same settings from a TOML file. --log text, or --log json, writes what happens as lines to
stderr, in place of a progress bar."""


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

    @property
    def summary(self) -> str:
        """The first line of the description."""
        return (self.description or "").partition("\n")[0]

    def main(self, argv: Sequence[str] | None = None) -> int:
        """Run the job with the options `argv`, by default those of this process; returns the exit code.

        A mistake in the options raises SystemExit with code 2, and --help with code 0. At the end of the process's own
        job SIGTERM is ignored, so that the process ends with that code.
        """
        if argv is not None:
            return self._run(argv, prog=f"hf2vad {self.name}")
        code = self._run(sys.argv[1:], prog=os.path.relpath(sys.argv[0]))
        wind_up()
        return code

    def _run(self, argv: Sequence[str], prog: str) -> int:
        return main(self.settings, self.run, description=self.description or "", argv=argv, prog=prog)


def wind_up() -> None:
    """Ignore SIGTERM from now on: a process takes a second or two to end, and its exit code is settled."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def main(kind: type[T], run: Callable[[T], int], *, description: str, argv: Sequence[str], prog: str = "") -> int:
    """Parse `argv` into a `kind`, `run` it and return its exit code; an Hf2vadError becomes one line on stderr."""
    try:
        return run(parse(kind, argv, description=description, prog=prog))
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


def parse(kind: type[T], argv: Sequence[str], *, description: str, prog: str = "") -> T:
    """The settings that `argv` and its --config file describe. `prog`: the command in the usage line.

    Raises ConfigError for a setting that is refused; the command line's own mistakes end the process with exit code 2.
    """
    early_names = tuple(getattr(kind, "EARLY", ()))
    early, rest = _early_options([_renamed(argument) for argument in argv], early_names)
    config, log = early.pop("config"), early.pop("log")
    if log is not None:
        logs.write_logs(log)
    from_file = _read_toml(config) if config and "-h" not in rest and "--help" not in rest else {}
    chosen = {name: early[name] if early[name] is not None else from_file.get(name) for name in early_names}
    base = kind.base(chosen) if early_names else _defaults(kind)  # type: ignore[attr-defined]
    if from_file:
        base = from_dict(kind, from_file, base=base, where=str(config))
    return tyro.cli(
        kind,
        args=list(rest),
        default=base,
        prog=prog or None,
        description=_as_called(description.strip(), prog) + EVERYWHERE,
    )


def command(stem: str) -> str:
    """The name that the command `hf2vad` has for the job in jobs/<stem>.py."""
    return {"extract_stc": "extract", "score_archive": "score"}.get(stem, stem.replace("_", "-"))


def required_missing(kind: type[Any]) -> dict[str, Any]:
    """Placeholders for the fields of `kind` that have no default, for a `base` to be built with."""
    return {f.name: tyro.MISSING for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING}


def _as_called(description: str, prog: str) -> str:
    """A job's description with its commands as whoever calls the job has them: `hf2vad score` without a checkout."""
    if not prog.startswith("hf2vad "):
        return description
    return re.sub(r"(?:python )?jobs/(\w+)\.py", lambda found: f"hf2vad {command(found[1])}", description)


def _renamed(argument: str) -> str:
    """An option by its present name."""
    name, equals, value = argument.partition("=")
    return RENAMED.get(name, name) + equals + value


def _defaults(kind: type[T]) -> T:
    return kind(**required_missing(kind))


def _early_options(argv: Sequence[str], names: Sequence[str]) -> tuple[dict[str, str | None], list[str]]:
    """--config and --log, taken out of `argv`, and the options in `names`, left in it."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config")
    parser.add_argument("--log")
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
    return {"config": taken.config, "log": taken.log, **vars(seen)}, rest


def _read_toml(path: str) -> Mapping[str, Any]:
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"--config {path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--config {path}: cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"--config {path}: not valid TOML: {error}") from None
