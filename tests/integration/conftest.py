"""Fixtures of the tests that open a review site in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hf2vad.cluster.settings import RayConfig
from hf2vad.jobs.report import ReviewJob, gathered
from hf2vad.report.site.night import write_site
from tests.browser import Visit, chromium, visit
from tests.review import FIRST, HOSTILE, PATTERN, put_evidence, put_night
from tests.scores import label_table

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@dataclass(frozen=True)
class Night:
    site: Path
    evidence: str
    """Key of the event about which everything is known."""


@pytest.fixture(scope="session")
def review_night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """A small night as a site that holds copies of its videos."""
    folder = tmp_path_factory.mktemp("review_night")
    archive, prefix = put_night(folder)
    labels = label_table(folder / "labels.parquet", *((FIRST, frame, 18 <= frame < 33) for frame in range(100)))
    job = ReviewJob(
        scores=str(prefix), out=str(folder / "site"), archive=(str(archive),), labels=labels, pattern=PATTERN,
        media="copy", ray=RayConfig(address="none"), title=f"Night of {HOSTILE}",
    )  # fmt: skip
    assert gathered(job)["made"] == 5
    key = put_evidence(folder / "site", FIRST, 20)
    site = write_site(job)
    assert (site.videos, site.events, site.failures) == (5, 5, 1)
    return Night(folder / "site", key)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def seen(browser: Browser, review_night: Night) -> Iterator[Visit]:
    with visit(browser, review_night.site) as made:
        yield made
