"""docs/configuration.md is what the code says."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from hf2vad.__main__ import jobs
from hf2vad.config import ModelConfig, TrainingConfig
from hf2vad.reference import field_docs, job_settings, page

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_the_page_is_what_the_code_says() -> None:
    assert PAGE.read_text() == page(), "stale: python -m hf2vad.reference > docs/configuration.md"


def test_every_job_has_settings() -> None:
    assert list(job_settings()) == list(jobs())
    assert {"extract", "train", "score", "demo"} <= set(jobs())


def test_every_setting_says_what_it_means() -> None:
    for kind in (*job_settings().values(), ModelConfig, TrainingConfig):
        documented = field_docs(kind)
        for item in dataclasses.fields(kind):
            nested = "Config" in str(item.type) or item.default_factory not in (dataclasses.MISSING, tuple)
            assert nested or documented.get(item.name), f"{kind.__name__}.{item.name}"
