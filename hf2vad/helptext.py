"""The help of a job in two tiers: `--help` has the options that one may want, `--help-all` every one."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from hf2vad.options import REQUIRED, Option

WIDEST = 100
"""Columns of the text, at most."""
LEFT = 26
"""Columns of the names."""
EVERYWHERE = (
    ("--config FILE", "Read settings from a TOML file with the same names; options given here win."),
    ("--log {text,json}", "Write what happens as lines to stderr, in place of a progress bar."),
    ("--verbose", "Print the whole summary. Without it: the lines that matter most; the record has the rest."),
    ("--help-all", "List every option."),
)
"""Options of every job."""


def short_help(
    prog: str, description: str, options: Sequence[Option], shown: Sequence[str], reads: str, hidden: Sequence[str] = ()
) -> str:
    """Usage, description, and the options named `shown`, after those that are required."""
    first = [option for option in options if option.default is REQUIRED and option.name not in shown]
    by_name = {option.name: option for option in options}
    chosen = [*first, *(by_name[name] for name in shown)]
    rest = len([option for option in options if not _hidden(option, hidden)]) - len(chosen)
    parts = [_usage(prog, options, reads), _wrapped(description), "\n".join(_rows(chosen, reads))]
    if rest:
        more = "option" if rest == 1 else "options"
        parts.append(f"{rest} more {more}: {prog} --help-all. docs/configuration.md explains all of them.")
    return "\n\n".join([*parts, _everywhere()])


def full_help(
    prog: str, description: str, options: Sequence[Option], reads: str, hidden: Sequence[str], why_hidden: str
) -> str:
    """Usage, description, and every option but those of the sections `hidden`, which a sentence explains."""
    parts = [_usage(prog, options, reads), _wrapped(description)]
    listed = [option for option in options if not _hidden(option, hidden)]
    for section in dict.fromkeys(option.name.rpartition(".")[0] for option in listed):
        rows = _rows([option for option in listed if option.name.rpartition(".")[0] == section], reads)
        parts.append("\n".join([*([f"{section}:"] if section else []), *rows]))
    if why_hidden:
        parts.append(textwrap.fill(why_hidden, _width()))
    return "\n\n".join([*parts, _everywhere()])


def _hidden(option: Option, hidden: Sequence[str]) -> bool:
    return option.name.partition(".")[0] in hidden


def default_text(value: Any) -> str:
    """A default in words; empty where there is none."""
    if value is REQUIRED:
        return "required"
    if value is None or value in ("", (), []):
        return ""
    if isinstance(value, bool):
        return "default: yes" if value else ""
    if isinstance(value, tuple | list):
        return f"default: {' '.join(map(str, value))}"
    return f"default: {value}"


def _usage(prog: str, options: Sequence[Option], reads: str) -> str:
    words = [f"usage: {prog}"]
    for option in options:
        if option.name == reads and (option.default is REQUIRED or option.positional):
            words.append(_bare(option))
        elif option.default is REQUIRED:
            words.append(f"{option.flag} {option.value}")
    return " ".join([*words, "[options]"])


def _bare(option: Option) -> str:
    return option.name.upper() + (" …" if option.words is None else "")


def _rows(options: Sequence[Option], reads: str) -> Iterator[str]:
    for option in options:
        name = f"{option.flag} {option.value}".rstrip()
        if option.positional:
            name = _bare(option)
        elif option.name == reads:
            name = f"{_bare(option)}, {option.flag}"
        elif option.words == 0:
            name = option.switches_off if option.default is True else option.flag
        default = default_text(option.default)
        yield row(name, f"{option.meaning} ({default})" if default else option.meaning)


def row(name: str, meaning: str, left: int = LEFT) -> str:
    """A name and its meaning beside it, from the column `left` on, or below it where the name is long."""
    lines = textwrap.wrap(meaning, _width() - left, break_long_words=False, break_on_hyphens=False)
    if len(name) > left - 4:
        return "\n".join([f"  {name}", *(" " * left + line for line in lines)])
    first, *others = lines or [""]
    return "\n".join([f"  {name:{left - 2}}{first}".rstrip(), *(" " * left + line for line in others)])


def _wrapped(text: str) -> str:
    """`text` with its paragraphs as wide as the terminal; those with indented lines stay as they are."""
    parts = [part if "\n " in part else textwrap.fill(part, _width()) for part in text.split("\n\n")]
    return "\n\n".join(parts)


def _everywhere() -> str:
    return "\n".join(["Every job:", *(row(name, meaning) for name, meaning in EVERYWHERE)])


def _width() -> int:
    return min(WIDEST, max(60, shutil.get_terminal_size((WIDEST, 24)).columns))
