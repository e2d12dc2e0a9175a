"""Which events evidence is of, which object and which seconds of them, and how their videos are looked up."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pytest

from hf2vad.archive.catalog import Video, catalogue, find_video
from hf2vad.archive.path_filter import PathFilter
from hf2vad.errors import ConfigError
from hf2vad.evidence.choose import choose_events
from hf2vad.evidence.clips import clip_range
from hf2vad.evidence.footage import held
from hf2vad.evidence.objects import Objects, shown_object
from hf2vad.evidence.settings import EvidenceConfig
from hf2vad.schema import OBJECTS
from hf2vad.storage import put_table
from hf2vad.video.timeline import Timeline
from tests.evidence import (
    VIDEOS,
    Scored,
)
from tests.scores import put_scores


def test_the_highest_events_are_chosen_or_all_above_a_score(tmp_path: Path) -> None:
    for number, peak in enumerate((9.0, 30.0, 20.0, 30.0)):
        put_scores(tmp_path, f"cam{number % 2}/{number}.mp4", [None] * 4 + [[peak]] * 6 + [[0.0]] * 40 + [[15.0]] * 6)
    prefix = str(tmp_path / "bundle=b1")

    def names(scope: PathFilter | None = None, **settings: Any) -> list[tuple[str, float]]:
        found = choose_events(prefix, EvidenceConfig(**settings), *([scope] if scope else []))
        return [(chosen.row["video"][-5:], chosen.row["peak_score"]) for chosen in found]

    assert names(events=3) == [("1.mp4", 25.0), ("3.mp4", 25.0), ("2.mp4", 15.0)]
    assert names(events=0) == []
    assert len(names(above=10.0)) == 7
    assert len(names(above=10.0, events=1)) == 7
    assert len(names(events=99)) == 8
    assert {video for video, _ in names(PathFilter("{camera}/*", ("cam1",)))} == {"1.mp4", "3.mp4"}
    assert choose_events(str(tmp_path / "nothing"), EvidenceConfig()) == []


def test_an_event_whose_peak_has_no_box_is_shown_by_its_best_frame(tmp_path: Path) -> None:
    rows = [{**dict.fromkeys(OBJECTS.names, 1.0), "video": "v", "frame": frame, "score": score, "x2": float(frame)}
            for frame, score in ((4, 1.0), (5, 3.0), (5, 7.0), (5, 7.0), (9, 8.0))]  # fmt: skip
    put_table(str(tmp_path / "o.parquet"), pa.Table.from_pylist(rows, schema=OBJECTS))
    objects = Objects.read(str(tmp_path / "o.parquet"), [(0, 20), (30, 40)])
    event = {"start_frame": 3, "end_frame": 7, "peak_frame": 6}
    found = shown_object(objects, event)
    assert found is not None
    assert (found["frame"], found["score"]) == (5, 7.0)
    assert shown_object(objects, {**event, "start_frame": 6}) is None
    assert Objects.read(str(tmp_path / "o.parquet"), [(9, 10), (0, 5)]).frame.tolist() == [4, 9]


def at_ten_a_second(frames: int) -> Timeline:
    return Timeline(frames, 64, 48, np.arange(frames) / 10)


def event_at(start_s: float, end_s: float, peak_s: float) -> Mapping[str, float]:
    return {"start_s": start_s, "end_s": end_s, "peak_s": peak_s}


def test_a_clip_has_some_seconds_around_its_event_but_only_frames_that_were_scored() -> None:
    timeline, config = at_ten_a_second(1000), EvidenceConfig()
    assert clip_range(event_at(10, 15, 11), timeline, (0, 1000), config) == (80, 171)
    assert clip_range(event_at(1, 98.5, 30), timeline, (0, 1000), config) == (200, 401)
    assert clip_range(event_at(1, 98.5, 2), timeline, (0, 1000), config) == (0, 191)
    assert clip_range(event_at(1, 98.5, 98), timeline, (0, 1000), config) == (805, 1000)
    assert clip_range(event_at(10, 15, 11), timeline, (95, 160), config) == (95, 160)


def test_boxes_are_held_for_a_time_and_not_for_a_number_of_frames() -> None:
    assert held(at_ten_a_second(100), 50, 51, 1.0) == (40, 61)
    assert held(at_ten_a_second(100), 2, 99, 1.0) == (0, 100)
    assert held(at_ten_a_second(100), 50, 51, 0.0) == (50, 51)


def test_a_video_is_found_by_its_id_as_the_catalogue_has_it(scored: Scored, tmp_path: Path) -> None:
    shutil.copytree(scored.archive, tmp_path / "cam" / "day")
    (tmp_path / "cam" / "frames.d").mkdir()
    for number in range(5):
        cv2.imwrite(str(tmp_path / "cam" / "frames.d" / f"{number}.png"), np.zeros((8, 8, 3), np.uint8))
    listed = list(catalogue(str(tmp_path)))
    assert len(listed) == 3
    for video in listed:
        assert find_video(str(tmp_path), video.id) == video
        known = find_video(str(tmp_path), video.id, fingerprint="of another day")
        assert known is not None
        assert (known.id, known.uri, known.kind) == (video.id, video.uri, video.kind)
        assert known.fingerprint == "of another day"
    single = str(tmp_path / "cam" / "day" / VIDEOS[0])
    assert find_video(single, VIDEOS[0]) == next(catalogue(single))
    assert find_video(str(tmp_path / "cam" / "frames.d"), "frames.d") == next(catalogue(str(tmp_path / "cam/frames.d")))
    missing: list[Video | None] = [
        find_video(str(tmp_path / "cam" / "day"), f"../day/{VIDEOS[0]}"),
        find_video(str(tmp_path), "cam/day/other.mp4"),
        find_video(str(tmp_path), "cam/day"),
        find_video(single, "other.mp4"),
    ]
    assert missing == [None] * 4


def test_settings_that_cannot_be_are_refused() -> None:
    for name in ("events", "nearest", "clip_seconds", "pixelate_hold"):
        with pytest.raises(ConfigError, match=f"evidence.{name} must not be negative, got -1"):
            EvidenceConfig(**{name: -1})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"evidence\.clip_longest must be positive"):
        EvidenceConfig(clip_longest=0)
