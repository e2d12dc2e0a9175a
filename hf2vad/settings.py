"""Settings objects as plain values: from TOML, the command line or JSON and back, and their hashes.

A class whose fields are not what is written has two methods: `to_plain(values)`, which returns what is written for the
plain values of its fields, and the class method `from_plain(values)`, which returns the latter for what was written.
"""

from __future__ import annotations

import hashlib
import json
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, field, fields, is_dataclass, replace
from difflib import get_close_matches
from typing import Any, Literal, TypeVar

from hf2vad.errors import ConfigError

T = TypeVar("T")

OMIT_DEFAULT = "omit_default"
"""Key of a field's metadata; see `to_dict`."""


def require(holds: bool, message: str) -> None:
    """Raise ConfigError unless a setting `holds`."""
    if not holds:
        raise ConfigError(message)


def require_odd(name: str, frames: int) -> None:
    """Raise ConfigError unless the setting `name` is a window with a middle: an odd number of frames."""
    require(frames > 0 and frames % 2 == 1, f"{name} must be odd and positive, got {frames}")


def require_rate(name: str, fps: float) -> None:
    """Raise ConfigError unless the setting `name` is a rate of frames a second: from 0, for none, to 1000."""
    require(0 <= fps <= 1000, f"{name} must lie between 0 and 1000, got {fps}")


def with_fields(defaults: Mapping[str, Callable[[], Any]]) -> Callable[[type[T]], type[T]]:
    """Class decorator for use below `@dataclass`: adds a field of each name that the class does not declare itself.

    defaults: for each name a callable without arguments that makes the default, such as a settings class; the field has
    the default's type. `to_dict` leaves such a field out while it has its default, so that hashes and ids which were
    made before the field was added stay valid.
    """

    def extend(cls: type[T]) -> type[T]:
        for name, default in defaults.items():
            if name not in cls.__annotations__:
                cls.__annotations__[name] = type(default())
                setattr(cls, name, field(default_factory=default, metadata={OMIT_DEFAULT: True}))
        return cls

    return extend


def to_dict(settings: Any) -> dict[str, Any]:
    """A settings object as plain JSON values, nested, tuples as lists.

    A class may name values that are no settings, because there is only one choice, in `CONSTANTS`: they are written and
    hashed with the settings, as in ids that were made when they were settings. A field whose metadata has
    `OMIT_DEFAULT` is left out where it has its default: a setting that is newer than a file changes no hash of it.
    """
    plain: dict[str, Any] = dict(_constants(type(settings)))
    for item in fields(settings):
        value = getattr(settings, item.name)
        if item.metadata.get(OMIT_DEFAULT) and value == _default(item):
            continue
        if is_dataclass(value):
            plain[item.name] = to_dict(value)
        else:
            plain[item.name] = list(value) if isinstance(value, tuple) else value
    return dict(settings.to_plain(plain)) if hasattr(settings, "to_plain") else plain


def _default(item: Field[Any]) -> Any:
    return item.default if item.default_factory is MISSING else item.default_factory()


def from_dict(kind: type[T], values: Mapping[str, Any], *, base: T | None = None, where: str = "settings") -> T:
    """The settings object of class `kind` that `values` describe, on top of `base` (or the class's defaults).

    Raises ConfigError on an unknown key (naming the nearest known one), a value of the wrong type, a constant with
    another value, or a value that the class refuses. `where` names the source in messages.
    """
    return _build(kind, values, base, where, prefix="")


def _build(kind: type[T], values: Mapping[str, Any], base: T | None, where: str, prefix: str) -> T:
    hints = typing.get_type_hints(kind)
    known = {item.name for item in fields(kind) if item.init}  # type: ignore[arg-type]
    constants = _constants(kind)
    changes: dict[str, Any] = {}
    for key, value in _read(kind, values, where).items():
        if key in constants:
            _coerce(Literal[constants[key]], value, None, where, prefix + key)
            continue
        if key not in known:
            near = get_close_matches(key, known, n=1)
            hint = f"did you mean {prefix}{near[0]}?" if near else f"known keys: {', '.join(sorted(known))}"
            raise ConfigError(f"{where}: unknown key {prefix}{key}; {hint}")
        changes[key] = _coerce(hints[key], value, getattr(base, key, None), where, prefix + key)
    try:
        return replace(base, **changes) if base is not None else kind(**changes)  # type: ignore[type-var]
    except TypeError as error:
        raise ConfigError(f"{where}: {prefix or kind.__name__}: {error}") from None
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _read(kind: type[Any], values: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """`values` under the names of the fields of `kind`."""
    try:
        return dict(kind.from_plain(values)) if hasattr(kind, "from_plain") else values
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _coerce(hint: Any, value: Any, base: Any, where: str, name: str) -> Any:
    """`value` as the type `hint` says, or ConfigError."""
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        return _coerce(typing.get_args(hint)[0], value, base, where, name)
    if is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where}: {name} must be a table of settings, got {value!r}")
        return _build(hint, value, base, where, prefix=name + ".")
    if origin is Literal:
        if value not in typing.get_args(hint) or isinstance(value, bool):
            raise ConfigError(
                f"{where}: {name} must be one of {', '.join(map(str, typing.get_args(hint)))}, got {value!r}"
            )
        return value
    if origin in (typing.Union, types.UnionType):
        options = typing.get_args(hint)
        if value is None and type(None) in options:
            return None
        (inner,) = [option for option in options if option is not type(None)]
        return _coerce(inner, value, base, where, name)
    if origin is tuple:
        args = typing.get_args(hint)
        if args == (str, ...) and isinstance(value, str):  # a list of one
            value = (value,)
        inner_hints = [args[0]] * len(value) if isinstance(value, list | tuple) and args[-1] is ... else list(args)
        if not isinstance(value, list | tuple) or len(value) != len(inner_hints):
            raise ConfigError(
                f"{where}: {name} must be a list{'' if args[-1] is ... else f' of {len(args)}'}, got {value!r}"
            )
        return tuple(
            _coerce(h, v, None, where, f"{name}[{i}]") for i, (h, v) in enumerate(zip(inner_hints, value, strict=True))
        )
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise ConfigError(f"{where}: {name} must be of type {hint.__name__}, got {value!r}")
    return value


def _constants(kind: type[Any]) -> Mapping[str, Any]:
    constants: Mapping[str, Any] = getattr(kind, "CONSTANTS", {})
    return constants


def fingerprint(settings: Any) -> str:
    """First 16 hex digits of the SHA-256 of the canonical JSON of a settings object, or of its plain values."""
    values = settings if isinstance(settings, Mapping) else to_dict(settings)
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values under dotted names."""
    values_flat: dict[str, Any] = {}
    for key, value in values.items():
        values_flat.update(flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value})
    return values_flat


FileChange = Callable[[str, str, str], tuple[str, str]]
"""Takes a file among settings, two fields `<file>` and `<file>_sha256`: the first one's dotted name, its URI and the
SHA-256. Returns the URI and the SHA-256 to put in their place."""


def with_files(settings: T, section: str, change: FileChange) -> T:
    """These settings with each file in them changed: a field `<file>` (URI) that has a field `<file>_sha256` beside it.

    section: what the names of the fields begin with.
    """
    changes = {}
    for item in fields(settings):  # type: ignore[arg-type]
        uri, sha256 = getattr(settings, item.name), getattr(settings, f"{item.name}_sha256", None)
        if sha256 is not None and uri:
            changed = change(f"{section}.{item.name}", uri, sha256)
            changes[item.name], changes[f"{item.name}_sha256"] = changed
    return replace(settings, **changes)  # type: ignore[type-var]
