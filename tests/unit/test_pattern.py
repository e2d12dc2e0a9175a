"""What paths say: the one reading of a pattern, and patterns that are refused in the same words everywhere."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, time
from pathlib import Path
from typing import Any

import pytest

from hf2vad.archive.path_filter import PathFilter
from hf2vad.archive.pattern import PathPattern
from hf2vad.commandline import EXIT_USAGE
from hf2vad.errors import ConfigError
from hf2vad.jobs.alarms import AlarmJob
from hf2vad.jobs.backfill import BackfillJob
from hf2vad.jobs.report import JOB, ReviewJob
from hf2vad.jobs.train import TrainJob, train_job
from hf2vad.scoring.alarms import Alarms, read_alarms
from hf2vad.scoring.settings import SmoothingRule
from tests.stc import put_clip

DAY = date(2026, 11, 24)


@pytest.mark.parametrize(
    ("pattern", "path", "camera"),
    [
        ("", "gate/a.mp4", ""),
        ("{camera}", "gate/2026/a.mp4", "gate"),
        ("{camera}/", "gate/2026/a.mp4", "gate"),
        ("/{camera}", "gate/2026/a.mp4", "gate"),
        ("{date}/{camera}/*.mp4", "20261124/gate 1/a.mp4", "gate 1"),
        ("site-7/cam_{camera}_*", "site-7/cam_03_day_2.mkv", "03"),
        ("{camera}-{date}*", "front-door-2026-11-24T10.mp4", "front-door"),
        ("{camera}/{date}/*", "gate/a.mp4", ""),
        ("{camera}/{date}/*", "gate/2026-11-24", ""),
        ("*/{date}/*", "gate/2026-11-24/a.mp4", ""),
        ("cam.{camera}", "camx1", ""),
        ("{camera}", "été/a", "été"),
    ],
)
def test_a_camera_is_the_part_of_the_path_that_the_pattern_names(pattern: str, path: str, camera: str) -> None:
    assert PathPattern(pattern).camera_of(path) == camera


@pytest.mark.parametrize(
    ("pattern", "path", "days", "day", "clock"),
    [
        ("{date}/{time}.*", "2026-11-24/22-15-30.mp4", (DAY, DAY), DAY, time(22, 15, 30)),
        ("{date}/{time}.*", "20261124/2215.mp4", (DAY, DAY), DAY, time(22, 15)),
        ("{date}/{time}.*", "20261124/evening.mp4", (DAY, DAY), DAY, None),
        ("{date}/{time}.*", "20261324/2515.mp4", None, None, None),
        ("{year}/{month}/{day}/{hour}h", "2026/11/24/07h", (DAY, DAY), DAY, time(7)),
        ("{year}/{month}/*", "2026/11/x", (date(2026, 11, 1), date(2026, 11, 30)), None, None),
        ("{year}/*", "2026/x", (date(2026, 1, 1), date(2026, 12, 31)), None, None),
        ("{month}/{day}", "11/24", None, None, None),
    ],
)
def test_days_and_the_time_of_day(pattern: str, path: str, days: object, day: date | None, clock: time | None) -> None:
    fields = PathPattern(pattern).read(path)
    assert fields is not None
    assert (fields.days, fields.day, fields.clock) == (days, day, clock)


def test_a_folder_is_read_as_far_as_it_goes_and_a_video_only_as_a_whole() -> None:
    pattern = PathPattern("{camera}/{date}/*")
    beginning = pattern.read_beginning("gate")
    assert beginning is not None
    assert beginning.values == {"camera": "gate"}
    assert pattern.read("gate") is None
    assert pattern.read_beginning("gate/notes") is None


MALFORMED = {
    "{camera}/{camera}": "it has {camera} twice",
    "{camera/{date}": "each brace must be part of a {name}",
    "{camera}}/*": "each brace must be part of a {name}",
    "{}/{camera}": "{} is no name of letters, digits and _",
    "{camera 1}/*": "{camera 1} is no name of letters, digits and _",
    "{1}/{camera}": "{1} is no name of letters, digits and _",
    "{camera}//*": "there is nothing between two slashes",
}


def alarms_file(pattern: str, folder: Path) -> Alarms:
    values: dict[str, Any] = {
        "bundle": "b",
        "smoothing": SmoothingRule(1),
        "rule": {},
        "threshold": 1.0,
        "cameras": {},
        "figures": {},
    }
    Alarms(**values, camera_pattern=pattern).put(str(folder / "alarms.json"))
    return read_alarms(str(folder / "alarms.json"))


READERS: dict[str, Callable[[str, Path], object]] = {
    "scope": lambda pattern, _: PathFilter(pattern),
    "alarms": lambda pattern, _: AlarmJob(scores="s", out="o", camera_pattern=pattern),
    "alarms file": alarms_file,
    "training": lambda pattern, _: TrainJob(stc="s", out="o", camera_pattern=pattern),
    "backfill": lambda pattern, _: BackfillJob(archive=("a",), bundle="b", out="o", pattern=pattern),
    "report": lambda pattern, _: ReviewJob(scores="s", out="o", pattern=pattern).scope,
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("pattern", MALFORMED)
def test_what_is_no_pattern_is_refused_in_the_same_words_everywhere(pattern: str, reader: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        READERS[reader](pattern, tmp_path)
    assert str(refused.value) == f"pattern {pattern!r}: {MALFORMED[pattern]}; a right one is {{camera}}/{{date}}/*"


@pytest.mark.parametrize("reader", ["alarms", "alarms file", "training"])
@pytest.mark.parametrize("pattern", ["{date}/*", "*"])
def test_where_cameras_are_told_apart_the_pattern_must_name_them(pattern: str, reader: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"it has no \{camera\}; a right one is \{camera\}/\{date\}/\*$"):
        READERS[reader](pattern, tmp_path)


def test_a_malformed_pattern_is_one_line_and_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bundle=x").mkdir()
    options = ("--scores", str(tmp_path / "bundle=x"), "--out", str(tmp_path / "site"), "--pattern", "{camera}//{date}")
    assert JOB.main(options) == EXIT_USAGE
    lines = capsys.readouterr().err.splitlines()
    said = "pattern '{camera}//{date}': there is nothing between two slashes; a right one is {camera}/{date}/*"
    assert lines == [f"error: {said}"]


def test_training_with_a_pattern_that_fits_no_video_is_refused_before_it_begins(tmp_path: Path) -> None:
    put_clip(tmp_path / "stc", "clip.mp4", (0, 40), {10: 64}, seed=0)
    job = TrainJob(stc=str(tmp_path / "stc"), out=str(tmp_path / "out"), camera_pattern="{camera}/{date}/*")
    with pytest.raises(ConfigError, match=r"--camera-pattern '.*' fits no video of .*, such as 'clip"):
        train_job(job)
    assert not (tmp_path / "out").exists()
