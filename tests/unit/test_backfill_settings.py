"""Settings of a night that contradict each other, or that its pattern cannot say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hf2vad.errors import ConfigError, NotFoundError
from hf2vad.jobs.backfill import BackfillJob, backfill_job


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"order": "newest"}, r"--order newest needs a --pattern with \{date\} or \{year\}, got ''"),
        ({"compact": True}, r"--compact needs a --pattern with \{date\} or \{year\}, got ''"),
        ({"compact": True, "pattern": "{camera}/*"}, "--compact needs a --pattern"),
        ({"archive": ("a", "b")}, "of several archives each needs a name"),
        ({"archive": ("x=a", "x=b")}, "the name 'x' is there twice"),
        ({"hours": -1.0}, "--hours must be at least 0, got -1.0"),
    ],
)
def test_mistakes_are_named(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        BackfillJob(**{"archive": ("a",), "bundle": "b", "out": "o", **settings})


def test_an_archive_that_is_not_there_is_named_before_anything_is_scored(tmp_path: Path) -> None:
    archives = (f"north={tmp_path}", f"south={tmp_path / 'none'}")
    with pytest.raises(NotFoundError, match=rf"--archive {tmp_path}/none: nothing there"):
        backfill_job(BackfillJob(archive=archives, bundle="b", out=str(tmp_path / "out")))
    assert not (tmp_path / "out").exists()
