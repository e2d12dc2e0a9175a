"""Tables made of the objects that zones leave are those that scoring with the zones makes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from hf2vad.archive.zones import CameraZones, Zone
from hf2vad.schema import BOX, SHARD
from hf2vad.scoring.final import FinalTables, finalise, narrowed_shard
from hf2vad.scoring.settings import EventConfig
from tests.scores import CALIBRATION

FRAMES, START = 120, 7
ZONES = CameraZones((Zone("ignore", ((0.0, 0.0), (0.5, 0.0), (0.6, 1.0), (0.0, 1.0))),))


def shard(rng: np.random.Generator, *, every: int, box: bool) -> pa.Table:
    """Rows of a shard: frames without context, damaged ones, empty ones, with boxes, and, unless `every` is 1, with
    frames between that were not worked on."""
    rows: list[dict[str, Any]] = []
    for frame in range(START, START + FRAMES):
        row = {**dict.fromkeys(SHARD.names), "video": "v.avi", "frame": frame, "pts_s": frame / 25}
        if (frame - START) % every:
            rows.append(row | {"status": "between"})
        elif frame < START + 4 or rng.random() < 0.1:
            rows.append(row | {"status": "no_context" if frame < START + 4 else "undecodable"})
        else:
            boxes = [row | {"status": "scored"} | thing(rng) for _ in range(int(rng.integers(0, 4)) * box)]
            rows += boxes or [row | {"status": "scored"}]
    return pa.Table.from_pylist(rows, SHARD)


def thing(rng: np.random.Generator) -> dict[str, Any]:
    x, y = rng.uniform(0, 60), rng.uniform(0, 40)
    score = rng.normal() ** 2
    values = {"s_flow": score, "speed": rng.uniform(0, 3), "score": score, "class": int(rng.integers(0, 3))}
    return values | {"class_score": 0.5} | dict(zip(BOX, (x, y, x + 4, y + 8), strict=True))


def final(rows: pa.Table, metadata: dict[str, Any]) -> FinalTables:
    return finalise(
        [rows], pts_s=np.arange(START, START + FRAMES) / 25, empty=-1.0, calibration=CALIBRATION,
        events=EventConfig(threshold=1.5, low=0.5, min_length=1), metadata=metadata,
    )  # fmt: skip


@pytest.mark.parametrize("sizes", [None, [[0, 64, 48], [60, 32, 24]]], ids=["one size", "two sizes"])
@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("seed", range(5))
def test_it_makes_no_difference_whether_boxes_are_dropped_before_or_after(
    seed: int, every: int, sizes: list[list[int]] | None
) -> None:
    metadata: dict[str, Any] = {"video": "v.avi", "start": START, "width": 64, "height": 48, "smoothing": 5}
    metadata |= {"sizes": sizes} if sizes else {}
    rows = shard(np.random.default_rng(seed), every=every, box=True)
    whole = final(rows, metadata)
    corners = np.stack([whole.objects[name].to_numpy() for name in BOX], axis=1)
    late = (whole.objects["frame"].to_numpy() >= 60)[:, None]
    kept = ZONES.keeps(corners, np.where(late, [32, 24], [64, 48]) if sizes else (64, 48))
    assert 0 < kept.sum() < len(kept)

    keeps = iter(kept)
    fewer = [row for row in rows.to_pylist() if row["score"] is None or next(keeps)]
    left = {row["frame"] for row in fewer}
    emptied = {row["frame"]: row for row in rows.to_pylist() if row["frame"] not in left}
    fewer += [{name: row[name] for name in ("video", "frame", "pts_s", "status")} for row in emptied.values()]
    before = final(pa.Table.from_pylist(fewer, SHARD), metadata)
    after = final(narrowed_shard(whole.frames, whole.objects, ZONES, metadata), metadata)
    for name in ("frames", "objects", "events"):
        assert getattr(after, name).equals(getattr(before, name), check_metadata=True), name


def test_a_video_without_an_object_stays_as_it_is() -> None:
    metadata: dict[str, Any] = {"video": "v.avi", "start": START, "width": 64, "height": 48, "smoothing": 3}
    whole = final(shard(np.random.default_rng(0), every=1, box=False), metadata)
    after = final(narrowed_shard(whole.frames, whole.objects, ZONES, metadata), metadata)
    assert after.frames.equals(whole.frames)
    assert len(after.objects) == 0
