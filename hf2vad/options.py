"""The options of a job: what its settings are called on the command line, which values they take, what they mean."""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import textwrap
import types
import typing
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import Field, dataclass, fields, is_dataclass
from difflib import get_close_matches
from typing import Any, Literal

import tyro

from hf2vad.errors import ConfigError
from hf2vad.settings import OMIT_DEFAULT

REQUIRED = tyro.MISSING
"""Default of an option that must be given."""


@dataclass(frozen=True)
class Option:
    """One setting of a job, as an option of its command line."""

    name: str
    """Name without the leading hyphens, such as `events.min-length`."""
    hint: Any
    """Type of the value, without annotations."""
    default: Any
    """Value where the option is not given; `REQUIRED` where it must be."""
    meaning: str
    """Docstring of the setting, on one line."""
    positional: bool = False
    """True if the value may be given without its flag."""

    @property
    def flag(self) -> str:
        """Such as `--events.min-length`."""
        return f"--{self.name}"

    @property
    def switches_off(self) -> str:
        """Flag that sets a yes-or-no option to no, such as `--training.no-compile`."""
        section, dot, last = self.name.rpartition(".")
        return f"--{section}{dot}no-{last}"

    @property
    def words(self) -> int | None:
        """Number of words that follow the flag; None: any number."""
        if self.hint is bool:
            return 0
        if typing.get_origin(self.hint) is not tuple:
            return 1
        items = typing.get_args(self.hint)
        return None if items[-1] is ... else len(items)

    @property
    def value(self) -> str:
        """Placeholder of the value in a usage line, such as `TEXT`; empty for yes or no."""
        if self.hint is bool:
            return ""
        item, several = self.hint, typing.get_origin(self.hint) is tuple
        if several:
            item = typing.get_args(self.hint)[0]
        choices = _choices(item)
        name = "{" + ",".join(choices) + "}" if choices else {int: "N", float: "X", str: "TEXT"}[_plain(item)]
        return f"{name} …" if several else name

    def check(self, words: Sequence[str]) -> None:
        """Raise ConfigError unless `words` are values of this option."""
        items = typing.get_args(self.hint) if typing.get_origin(self.hint) is tuple else (self.hint,)
        if self.words is not None and len(words) != self.words:
            number = "one value" if self.words == 1 else f"{self.words} values"
            raise ConfigError(f"{self.flag} takes {number}, got {' '.join(words) or 'none'}")
        for word in words:
            if choices := _choices(items[0]):
                if word not in choices:
                    near = get_close_matches(word, choices, n=1)
                    hint = f"; did you mean {near[0]}?" if near else ""
                    raise ConfigError(f"{self.flag} must be one of {', '.join(choices)}, got {word!r}{hint}")
            elif word == "None" and type(None) in typing.get_args(items[0]):
                continue
            elif (number_type := _plain(items[0])) in (int, float):
                try:
                    number_type(word)
                except ValueError:
                    kind = "a whole number" if number_type is int else "a number"
                    raise ConfigError(f"{self.flag} takes {kind}, got {word!r}") from None


def options_of(settings: Any, prefix: str = "") -> Iterator[Option]:
    """The options of a settings object, nested ones after their section's name; defaults are the object's values."""
    kind = type(settings)
    hints, documented = typing.get_type_hints(kind, include_extras=True), field_docs(kind)
    for item in fields(settings):
        if not item.init:
            continue
        hint, value = hints[item.name], getattr(settings, item.name)
        name = prefix + item.name.replace("_", "-")
        if is_dataclass(value) and not isinstance(value, type):
            yield from options_of(value, f"{name}.")
            continue
        marks: tuple[Any, ...] = ()
        if typing.get_origin(hint) is typing.Annotated:
            hint, *rest = typing.get_args(hint)
            marks = tuple(rest)
        meaning = " ".join((documented.get(item.name) or added_meaning(item)).split())
        yield Option(name, hint, value, meaning, positional=bool(marks))


def full_arguments(argv: Sequence[str], options: Sequence[Option], reads: str, prog: str) -> list[str]:
    """`argv` with checked options, and with the words that belong to none as the value of the option `reads`.

    reads: name of the option that the job's bare words are values of; empty: it takes none. Raises ConfigError for an
    unknown option and for a value that an option cannot have.
    """
    flags = {option.flag: option for option in options if not option.positional}
    flags |= {option.switches_off: option for option in options if option.words == 0}
    given: set[str] = set()
    arguments: list[str] = []
    bare: list[str] = []
    waiting = list(argv)
    while waiting:
        word = waiting.pop(0)
        if not word.startswith("--") or word == "--":
            bare += [word] if word != "--" else []
            continue
        name, equals, value = word.partition("=")
        option = flags.get(flag := name.replace("_", "-"))
        if option is None:
            raise ConfigError(f"unknown option {name}; {_nearest(flag, flags)}{prog} --help-all lists all options")
        values = [value] if equals else list(_values(waiting, option.words))
        if not equals:
            del waiting[: len(values)]
        option.check(values)
        given.add(option.name)
        arguments += [flag, *values]
    return _with_bare(bare, arguments, given, options, reads) if bare else arguments


def require_options(options: Iterable[Option], arguments: Sequence[str], prog: str) -> None:
    """Raise ConfigError where `arguments`, as `full_arguments` gives them, lack a required option."""
    missing = [option.flag for option in options if option.default is REQUIRED and option.flag not in arguments]
    if missing:
        names = f"{', '.join(missing[:-1])} and {missing[-1]} are" if len(missing) > 1 else f"{missing[0]} is"
        raise ConfigError(f"{names} missing; {prog} --help says what goes there")


def field_docs(kind: type[Any]) -> dict[str, str]:
    """The docstring that follows each field of a class, and of its bases."""
    return _field_docs(kind)  # type: ignore[arg-type]  # mypy takes no class for hashable


@functools.cache
def _field_docs(kind: type[Any]) -> dict[str, str]:
    documented: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if not is_dataclass(base):
            continue
        (node,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        body = node.body if isinstance(node, ast.ClassDef) else []
        for item, after in itertools.pairwise(body):
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name) and isinstance(after, ast.Expr):
                documented[item.target.id] = ast.literal_eval(after.value)
    return documented


def added_meaning(item: Field[Any]) -> str:
    """Meaning of a setting that `with_fields` added without a docstring: the weight of a feature."""
    return f"Weight of the feature `{item.name}`." if item.metadata.get(OMIT_DEFAULT) else ""


def _values(waiting: Sequence[str], words: int | None) -> Iterator[str]:
    """The words that follow a flag and belong to it."""
    for word in waiting[:words]:
        if word.startswith("--"):
            return
        yield word


def _nearest(flag: str, flags: Mapping[str, Option]) -> str:
    """Suggestion for a misspelt flag: the nearest one, or one with the same last part."""
    near = get_close_matches(flag, flags, n=1) or [name for name in flags if name.endswith(f".{flag.lstrip('-')}")]
    return f"did you mean {near[0]}? " if near else ""


def _with_bare(
    bare: Sequence[str], arguments: Sequence[str], given: Collection[str], options: Sequence[Option], reads: str
) -> list[str]:
    option = next((option for option in options if option.name == reads), None)
    if option is None:
        raise ConfigError(f"{bare[0]!r} is the value of no option")
    if reads in given:
        raise ConfigError(f"{bare[0]!r} and {option.flag} both name what is read; give one of the two")
    if option.words is not None and len(bare) > option.words:
        raise ConfigError(f"one {reads} is read, got {len(bare)}: {' '.join(bare[:3])}{' …' if len(bare) > 3 else ''}")
    option.check(bare)
    return [*bare, *arguments] if option.positional else [option.flag, *bare, *arguments]


def _choices(hint: Any) -> tuple[str, ...]:
    return tuple(map(str, typing.get_args(hint))) if typing.get_origin(hint) is Literal else ()


def _plain(hint: Any) -> type[Any]:
    """The type of a value that may be none."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        (hint,) = (item for item in typing.get_args(hint) if item is not type(None))
    plain: type[Any] = hint
    return plain
