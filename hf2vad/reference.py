"""The page docs/configuration.md, made of the dataclasses that the jobs read their settings into.

python -m hf2vad.reference > docs/configuration.md
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any

from hf2vad.commandline import required_missing
from hf2vad.jobs import JOBS, load
from hf2vad.options import added_meaning, field_docs, options_of
from hf2vad.presets import PRESETS, Preset
from hf2vad.settings import flat, to_dict

HEAD = """\
# Configuration

This page is made from the code by `python -m hf2vad.reference`; a test fails when it is stale. `hf2vad JOB --help` shows the options that you may want, `--help-all` all of them.

Each setting is an option of the command line. Nested names are joined with a dot, and `_` becomes `-`: `--flow.preset medium`, `--events.min-length 10`. Yes-or-no settings are switched on by `--training.compile` and off by `--training.no-tensorboard`. What a job reads needs no flag: `hf2vad score videos`. Each setting is also a key of the TOML file that `--config` names, with nested names as tables:

```toml
archive = "demo/archive/test"
bundle = "demo/bundle"
out = "demo/scores"

[events]
min_length = 10
```

The command line wins over the file, the file over the preset or bundle, and those over the defaults below. An unknown key, a wrong type and an impossible value are errors. Settings that decide cubes and scores travel in the bundle; scoring refuses others.
"""  # noqa: E501

WANTED = (
    ("score", "events.threshold"),
    ("alarms", "per_hour"),
    ("score", "frames"),
    ("extract", "detector.kinds"),
    ("extract", "detector.model"),
    ("train", "preset"),
    ("train", "camera_pattern"),
    ("backfill", "pattern"),
    ("backfill", "hours"),
    ("score", "ray.workers"),
)
"""Ten settings, each with a job, that people change."""


def page() -> str:
    """The whole page, as Markdown."""
    found: dict[str, type[Any]] = {}
    parts = [HEAD, "## The ten you may want\n", _wanted(), "## Jobs\n"]
    for name, kind in job_settings().items():
        parts.append(f"### hf2vad {name}\n")
        parts.append(f"{load(name).summary}\n")
        parts += _tables(kind, found)
    parts.append("## Settings that jobs share\n")
    waiting = list(found)
    while waiting:
        name = waiting.pop(0)
        inner: dict[str, type[Any]] = {}
        parts += [f"### {name}\n", f"{_text(inspect.getdoc(found[name]) or '')}\n", *_tables(found[name], inner)]
        waiting += [other for other in inner if other not in found]
        found |= inner
    return "\n".join([*parts, "## Presets\n", _presets()])


def _wanted() -> str:
    """The settings in `WANTED` as a table."""
    lines = ["| option | of | meaning |", "|---|---|---|"]
    for job, name in WANTED:
        flag = name.replace("_", "-")
        options = options_of(load(job).settings(**required_missing(load(job).settings)))
        (option,) = (option for option in options if option.name == flag)
        lines.append(f"| `{option.flag}` | `hf2vad {job}` | {_text(option.meaning)} |")
    return "\n".join(lines) + "\n"


def job_settings() -> Mapping[str, type[Any]]:
    """The settings class of each job, by the name of its command."""
    return {name: load(name).settings for name in JOBS}


def _tables(kind: type[Any], found: dict[str, type[Any]]) -> Iterator[str]:
    """The options of a class of its own as a table, and its nested settings as links; `found` takes up the latter."""
    hints, documented = typing.get_type_hints(kind), field_docs(kind)
    rows, nested = [], []
    for item in fields(kind):
        hint = hints[item.name]
        if is_dataclass(hint) and not fields(hint):
            continue
        if is_dataclass(hint) and isinstance(hint, type):
            title = _title(hint)
            found[title] = hint
            nested.append(f"[`{item.name}`](#{title.replace(' ', '-')})")
        else:
            cells = (
                f"`{item.name}`",
                kind_of(hint),
                _default(item),
                _text(documented.get(item.name) or added_meaning(item)),
            )
            rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    if rows:
        yield "\n".join(["| setting | value | default | meaning |", "|---|---|---|---|", *rows]) + "\n"
    if nested:
        yield f"Nested: {', '.join(nested)}.\n"


def _title(kind: type[Any]) -> str:
    """`DetectorConfig` as `detector`."""
    return kind.__name__.removesuffix("Config").lower()


def kind_of(hint: Any) -> str:
    """A type in words."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return kind_of(args[0])
    if origin is typing.Literal:
        return ", ".join(f"`{arg}`" for arg in args)
    if origin in (typing.Union, types.UnionType):
        return " or ".join("none" if arg is type(None) else kind_of(arg) for arg in args)
    if origin is tuple:
        return f"list of {kind_of(args[0])}" if args[-1] is ... else f"{len(args)} of {kind_of(args[0])}"
    return {bool: "yes or no", int: "whole number", float: "number", str: "text"}[hint]


def _default(item: Field[Any]) -> str:
    if item.default is MISSING and item.default_factory is MISSING:
        return "required"
    value = item.default if item.default_factory is MISSING else item.default_factory()
    return _value(list(value) if isinstance(value, tuple) else value)


def _value(value: Any) -> str:
    if value is None or value in ("", []):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return " ".join(map(_value, value))
    return f"{value:,}" if isinstance(value, int) and value >= 100_000 else f"`{value}`"


def _text(docstring: str) -> str:
    """A docstring on one line; what Markdown would read as a tag stays text."""
    return " ".join(docstring.split()).replace("<", "&lt;")


def _presets() -> str:
    """Settings that a preset changes, or that differ between presets, a row each."""
    plain = flat(to_dict(Preset()))
    of = {name: flat(to_dict(settings)) for name, settings in PRESETS.items()}
    rows = [
        [f"`{key}`", *(_value(values[key]) for values in of.values())]
        for key in plain
        if any(values[key] != plain[key] for values in of.values())
    ]
    head = ["setting", *(f"`{name}`" for name in of)]
    lines = [head, ["---"] * len(head), *rows]
    return (
        "`--preset` of `hf2vad extract` and `hf2vad train`. Everything else has the default above.\n\n"
        + "\n".join("| " + " | ".join(line) + " |" for line in lines)
        + "\n"
    )


if __name__ == "__main__":
    print(page(), end="")
