"""The review site of a run, and the pictures on it."""

from __future__ import annotations

from hf2vad.commandline import EXIT_OK
from hf2vad.report.site.job import ReportJob
from hf2vad.report.site.night import write_site
from hf2vad.report.site.thumbnails import put_thumbnails


def report_job(job: ReportJob) -> int:
    """Put the pictures, then the site; say what is there. Returns the exit code."""
    pictures = put_thumbnails(job)
    site = write_site(job)
    print(
        f"{site.videos:,} videos, {site.events:,} events, {site.failures:,} failures, {pictures:,} new pictures; "
        f"open {site.index}"
    )
    return EXIT_OK
