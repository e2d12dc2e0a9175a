"""Score tables for a review site, made of the numbers that a test wants in them, and the videos they are of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
from PIL import Image

from hf2vad.archive.catalog import find_video
from hf2vad.evidence.choose import event_key
from hf2vad.schema import BOX, EVENTS, FRAMES_TABLE, HEALTH, OBJECTS, pack_metadata
from hf2vad.storage import join, key_path, put_json, put_table
from tests.clips import Clip, write_clip

BUNDLE = "0123456789abcdef"
FPS = 25
SQUARE = (10.0, 8.0, 30.0, 40.0)
"""The box of every event."""
HOSTILE = "<img src=x onerror=alert(1)>"
SENTENCE = "Looks other than expected; moves as usual."
FORMULA = '=HYPERLINK("x"),1'
PATTERN = "{camera}/{date}/{time}.*"


@dataclass(frozen=True)
class Bump:
    """A stretch of high scores that is an event."""

    start: int
    stop: int
    height: float


@dataclass(frozen=True)
class Unwell:
    """A row of the table health."""

    kind: str
    start: int
    stop: int
    value: float | None = None


def put_video(
    prefix: str | Path,
    video: str,
    *,
    frames: int = 100,
    bumps: Sequence[Bump] = (),
    health: Sequence[Unwell] = (),
    fingerprint: str = "00ff",
    pause: tuple[int, float] = (0, 0.0),
    start: int = 0,
    total: int | None = None,
) -> None:
    """Put the tables of a video whose score is 1 but for `bumps`; the first four frames have none.

    pause: a frame, and by how many seconds it and those after it come later. start, total: the first of the frames that
    are scored, and how many the video has; none: all are scored.
    """
    seconds = (start + np.arange(frames)) / FPS + np.where(np.arange(frames) >= pause[0], pause[1], 0.0)
    score = np.ones(frames)
    for bump in bumps:
        score[bump.start : bump.stop] = bump.height
        score[(bump.start + bump.stop) // 2] += 0.5
    score[:4] = np.nan
    metadata = {"video": video, "bundle": BUNDLE, "thresholds": [5.0, 4.0], "width": 64, "height": 48}
    metadata |= {
        "fingerprint": fingerprint,
        "start": start,
        "stop": start + frames,
        "frame_count": total or start + frames,
    }
    events, objects = [], []
    for number, bump in enumerate(bumps):
        peak, box = (bump.start + bump.stop) // 2, dict(zip(BOX, SQUARE, strict=True))
        row = {"video": video, "event": number, "start_frame": bump.start, "end_frame": bump.stop - 1}
        row |= {"peak_frame": peak}
        row |= {"start_s": seconds[bump.start], "end_s": seconds[bump.stop - 1], "peak_s": seconds[peak]}
        events.append(row | {"peak_score": bump.height + 0.5} | box)
        measured = {"s_flow": 5 + bump.height, "s_frame": 15.0, "speed": 1.0, "s_motion": 0.0, "score": bump.height}
        objects.append({"video": video, "frame": peak, "pts_s": seconds[peak]} | measured | box)
    columns = {name: pa.nulls(frames, FRAMES_TABLE.field(name).type) for name in FRAMES_TABLE.names}
    columns |= {
        "video": pa.array([video] * frames),
        "frame": pa.array(np.arange(start, start + frames, dtype=np.int32)),
        "pts_s": pa.array(seconds),
        "score": pa.array(score, mask=np.isnan(score)),
        "n_objects": pa.array(np.zeros(frames, np.int32)),
    }
    unwell = [
        {"video": video, "kind": row.kind, "start_frame": row.start, "stop_frame": row.stop, "value": row.value}
        | {"start_s": row.start / FPS, "stop_s": row.stop / FPS}
        for row in health
    ]
    for name, table in (
        ("frames", pa.table(columns, FRAMES_TABLE)),
        ("objects", pa.Table.from_pylist(objects, OBJECTS)),
        ("events", pa.Table.from_pylist(events, EVENTS)),
        ("health", pa.Table.from_pylist(unwell, HEALTH)),
    ):
        uri = join(str(prefix), name, f"{key_path(video)}.parquet")
        put_table(uri, table.replace_schema_metadata(pack_metadata(name, metadata)))


CLIPS = {
    "cam-a/2026-11-24/22-15-00.mp4": (Bump(20, 31, 9.0), Bump(70, 81, 7.0)),
    "cam-a/2026-11-24/23-15-00.mp4": (),
    "cam-b/2026-11-24/22-59-59.avi": (Bump(40, 60, 8.0),),
    f"{HOSTILE}/2026-11-24/22-00-00.mp4": (Bump(50, 60, 12.0),),
    f"{FORMULA}/2026-11-24/22-00-00.mp4": (Bump(10, 20, 6.0),),
}
"""The videos of a small night, and their events; the one of cam-b begins a second before the hour."""
FIRST = "cam-a/2026-11-24/22-15-00.mp4"


def put_night(folder: Path) -> tuple[Path, Path]:
    """Videos and tables of CLIPS, one failure, one unhealthy stretch; returns archive and bundle=<id> folder."""
    archive, prefix = folder / "archive", folder / "scores" / f"bundle={BUNDLE}"
    for video in CLIPS:
        (archive / video).parent.mkdir(parents=True, exist_ok=True)
        write_clip(archive / video, Clip(codec="mpeg4" if video.endswith(".avi") else "libx264", frames=100))
    put_tables(str(archive), str(prefix))
    failed = "cam-c/2026-11-24/22-00-00.mp4"
    reason = f"not a readable video: {HOSTILE}"
    put_json(str(prefix / "failures" / f"{key_path(failed)}.json"), {"video": failed, "reason": reason})
    return archive, prefix


def put_tables(archive: str, prefix: str) -> None:
    """Tables of CLIPS as those videos are in `archive`: where a file is decides its fingerprint."""
    for video, bumps in CLIPS.items():
        source = find_video(archive, video)
        assert source is not None
        health = [Unwell("frozen", 10, 90, 3.2)] if "cam-b" in video else []
        put_video(prefix, video, bumps=bumps, health=health, fingerprint=source.fingerprint)


def put_evidence(site: Path, video: str, start: int) -> str:
    """All that can be known of an event, as files; returns its key."""
    key = event_key(video, start)
    folder = site / "events" / key
    folder.mkdir(parents=True, exist_ok=True)
    pictures = ["thumb.jpg", "appearance.png", "predicted.png", "appearance_error.png", "flow.png", "flow_error.png"]
    for number, name in enumerate([*pictures, "n0.png", "n1.png"]):
        cv2.imwrite(str(folder / name), np.full((48, 64, 3), 25 * number, np.uint8))
    write_clip(folder / "clip.mp4", Clip(frames=20))
    still, moved = (Image.fromarray(np.full((48, 64, 3), level, np.uint8)) for level in (60, 90))
    still.save(folder / "preview.webp", save_all=True, append_images=[moved], duration=100, loop=0)
    files = {name.split(".")[0]: name for name in pictures} | {
        "preview": "preview.webp",
        "clip": "clip.mp4",
        "nearest": ["n0.png", "n1.png"],
    }
    row = {"video": video, "start_frame": start, "kind": "appearance", "parts": {"flow": 1.5, "frame": 7.5}}
    row |= {"sentence": SENTENCE, "rarity": "Rarer than 1 in 8,000 objects", "score": 9.0}
    row |= {"bars": [["frame", 7.5, "+7.5 σ"], ["flow", 1.5, "+1.5 σ"]], "nearest_of": 9, "nearest_camera": True}
    row |= {"frame": start + 4, "box": [12, 9, 32, 39], "note": "reconstructed: left out by the test"}
    put_json(str(folder / "event.json"), {**row, "files": files, "nearest_distance": [0.25, 0.5]})
    return key
