"""docs/configuration.md is what the code says."""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hf2vad.jobs import JOBS
from hf2vad.models.settings import ModelConfig
from hf2vad.options import field_docs
from hf2vad.reference import job_settings, page
from hf2vad.training.settings import TrainingConfig

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "configuration.md"


def test_the_page_is_what_the_code_says() -> None:
    assert PAGE.read_text() == page(), "stale: python -m hf2vad.reference > docs/configuration.md"


def test_every_job_has_settings() -> None:
    assert list(job_settings()) == list(JOBS)


def test_every_option_of_a_job_stands_in_its_own_part_of_the_page() -> None:
    text = page()
    for name, kind in job_settings().items():
        (part,) = re.findall(rf"^### hf2vad {name}$(.*?)^##", text, re.MULTILINE | re.DOTALL)
        for option in {option.split(".")[0] for option in options(kind)}:
            assert f"`{option}`" in part, f"hf2vad {name}: {option}"


def test_every_setting_says_what_it_means() -> None:
    for kind in (*job_settings().values(), ModelConfig, TrainingConfig):
        documented = field_docs(kind)
        for item in dataclasses.fields(kind):
            nested = "Config" in str(item.type) or item.default_factory not in (dataclasses.MISSING, tuple)
            assert nested or documented.get(item.name), f"{kind.__name__}.{item.name}"


def test_options_that_docs_name_are_options() -> None:
    known = {name for kind in job_settings().values() for name in options(kind)}
    pages = [
        ROOT / "README.md",
        ROOT / "CHANGELOG.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "hf2vad" / "jobs").glob("*.py"),
    ]
    for path in pages:
        for name in re.findall(r"--([a-z][a-z_-]*\.[a-z][\w.-]*)", path.read_text()):
            plain = name.rstrip(".").replace("-", "_")
            if plain == "config.file":  # of Prometheus
                continue
            assert plain in known or plain.replace(".no_", ".") in known, f"{path}: --{name}"


def options(kind: type[Any], prefix: str = "") -> Iterator[str]:
    """The dotted names of a class's settings, and of those nested in it."""
    hints = typing.get_type_hints(kind)
    for name, hint in ((item.name, hints[item.name]) for item in dataclasses.fields(kind)):
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            yield from options(hint, f"{prefix}{name}.")
        else:
            yield prefix + name
