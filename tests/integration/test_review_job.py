"""What jobs/report.py does with its options: a site in S3, and mistakes in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from hf2vad.commandline import EXIT_OK, EXIT_USAGE
from hf2vad.evidence.choose import event_key
from hf2vad.jobs.report import JOB
from hf2vad.report.site.evidence import video_key
from hf2vad.storage import list_files, read_bytes
from tests.review import BUNDLE, CLIPS, FIRST, PATTERN, put_night, put_tables
from tests.seaweed import SeaweedServer
from tests.site import upload


def report(*arguments: str) -> int:
    """The job's exit code."""
    return JOB.main(arguments)


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("night")
    put_night(folder)
    return folder


def test_a_site_is_written_to_s3_from_videos_and_scores_there(
    night: Path, s3: SeaweedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    upload(night / "archive", "s3://review/archive")
    upload(night / "scores", "s3://review/scores")
    put_tables("s3://review/archive", f"s3://review/scores/bundle={BUNDLE}")
    places = ("--scores", "s3://review/scores", "--archive", "s3://review/archive", "--out", "s3://review/site")
    assert report(*places, "--pattern", PATTERN, "--media", "copy") == EXIT_OK
    said = f"{len(CLIPS)} videos, 5 events, 1 failure; evidence of 5 events, 5 new; open s3://review/site/index.html"
    assert said in capsys.readouterr().out
    names = {entry.name for entry in list_files("s3://review/site")}
    assert {"index.html", "events.html", "video.html", "data/summary.js", "static/site.css"} <= names
    key = video_key(FIRST)
    assert read_bytes(f"s3://review/site/media/{key}.mp4") == (night / "archive" / FIRST).read_bytes()
    assert read_bytes(f"s3://review/site/events/{event_key(FIRST, 20)}/thumb.jpg")[:2] == b"\xff\xd8"
    assert report(*places, "--pattern", PATTERN) == EXIT_OK
    assert "5 events, 0 new" in capsys.readouterr().out
    page = read_bytes(f"s3://review/site/data/videos/{key}.js").decode()
    assert f'"src":"../archive/{FIRST}"' in page, "within a bucket a video is linked by its path"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--scores", "nowhere"), "nowhere"),
        (("--cameras", "a"), "--cameras needs a --pattern"),
        (("--since", "yesterday"), "--since must be a day such as 2026-11-24, got 'yesterday'"),
        (("--archive", "s3://cameras"), "give --media-url, or --media copy, transcode or none"),
        (("--bundle", "nowhere"), "nowhere: no bundle there"),
        (("--labels", "nowhere.parquet"), "nowhere.parquet"),
        (("--threads", "0"), "--threads must be positive, got 0"),
    ],
)
def test_a_mistake_is_one_line(
    night: Path, tmp_path: Path, options: tuple[str, str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"--scores": str(night / "scores"), "--out": str(tmp_path)} | dict([options])
    assert report(*(word for option in given.items() for word in option)) == EXIT_USAGE
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1
    assert said in told[0]
