"""A shard's cubes in, one row for every box and every frame without one out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from hf2vad.config import FusionConfig
from hf2vad.models.bundle import Calibration
from hf2vad.schema import SHARD, CubeBatch, pack_metadata
from hf2vad.scoring.fuse import fuse
from hf2vad.scoring.measure import Measure

SETTLE = 16
"""Batches of rows that are joined into one. Joining copies them out of memory that the arrays of frames and cubes come
from: many small ones that stay there kept it from being used again, 70 KB a frame (320×240)."""


def score_shard(
    video: str,
    batches: Iterable[CubeBatch],
    measure: Measure,
    *,
    calibration: Calibration,
    fusion: FusionConfig,
    metadata: Mapping[str, Any],
) -> pa.Table:
    """The table `shard` (see schema.py) for the frames of `batches`, in order.

    Cubes of consecutive frames fill the engine's batches; no more than one batch and one frame of them are held.
    """
    rows: list[pa.RecordBatch] = []
    settled: list[pa.RecordBatch] = []
    waiting: list[CubeBatch] = []
    held = 0
    for batch in batches:
        waiting.append(batch)
        held += len(batch)
        if held >= measure.batch:
            left = held % measure.batch
            rows += _scored(video, waiting, held - left, measure, calibration, fusion)
            held = left
        if len(rows) >= SETTLE:
            settled, rows = [*settled, pa.concat_batches(rows)], []
    if waiting:
        rows += _scored(video, waiting, held, measure, calibration, fusion)
    schema = SHARD.with_metadata(pack_metadata("shard", metadata))
    return pa.Table.from_batches([*settled, *rows], schema).combine_chunks()


def _scored(
    video: str, waiting: list[CubeBatch], count: int, measure: Measure, calibration: Calibration, fusion: FusionConfig
) -> list[pa.RecordBatch]:
    """Rows for the first `count` cubes of `waiting`, and for frames without one before them; the rest stays waiting."""
    taken: list[CubeBatch] = []
    while waiting and (count or not len(waiting[0])):
        first = waiting.pop(0)
        if len(first) > count:
            head, rest = _split(first, count)
            taken.append(head)
            waiting.insert(0, rest)
            break
        taken.append(first)
        count -= len(first)
    if not taken:
        return []
    appearance, flow, boxes = (
        np.concatenate([getattr(batch, name) for batch in taken]) for name in ("appearance", "flow", "boxes")
    )
    found = measure(appearance, flow, boxes)
    fused = fuse(measure.scaled(found, boxes), calibration, fusion)
    return [_rows(video, taken, found.flow, found.frame, found.speed, found.motion, fused)]


def _split(batch: CubeBatch, count: int) -> tuple[CubeBatch, CubeBatch]:
    def part(where: slice) -> CubeBatch:
        return CubeBatch(
            frame=batch.frame,
            pts_s=batch.pts_s,
            status=batch.status,
            boxes=batch.boxes[where],
            appearance=batch.appearance[where],
            flow=batch.flow[where],
        )

    return part(slice(count)), part(slice(count, None))


def _rows(video: str, batches: list[CubeBatch], *figures: np.ndarray[Any, np.dtype[Any]]) -> pa.RecordBatch:
    """One row a cube with its `figures`, and one with nulls a frame without cubes."""
    repeats = np.array([max(1, len(batch)) for batch in batches])
    empty = np.repeat([not len(batch) for batch in batches], repeats)
    boxes = np.zeros((len(empty), 4), np.float32)
    boxes[~empty] = np.concatenate([batch.boxes for batch in batches])

    def spread(values: np.ndarray[Any, np.dtype[Any]]) -> pa.Array:
        full = np.zeros(len(empty), values.dtype)
        full[~empty] = values
        return pa.array(full, mask=empty)

    columns = [
        pa.array([video] * len(empty), pa.string()),
        pa.array(np.repeat(np.array([batch.frame for batch in batches], np.int32), repeats)),
        pa.array(np.repeat(np.array([batch.pts_s for batch in batches], np.float64), repeats)),
        pa.array(np.repeat(np.array([batch.status for batch in batches], object), repeats), pa.string()),
        *(pa.array(boxes[:, i].copy(), mask=empty) for i in range(4)),
        *(spread(values) for values in figures),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SHARD)
