"""A shard's cubes in, one row for every box and every frame without one out."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hf2vad.features.feature import CubeArrays
from hf2vad.features.object_vector import I8, object_vectors
from hf2vad.profile import span
from hf2vad.schema import (
    F32,
    F64,
    FEATURE_COLUMNS,
    SHARD,
    SHARD_VECTORS,
    VECTOR_BYTES,
    CubeBatch,
    pack_metadata,
)
from hf2vad.scoring.feature_set import FeatureSet
from hf2vad.scoring.scorer import FeatureValues, Scorer
from hf2vad.tables.cubes import class_columns
from hf2vad.threads import prefetch

AHEAD = 2
"""Batches of the engine that extraction may be ahead of it: the next one, and one more for when that comes late."""

JOIN = 16
"""Batches of rows that are joined into one. Joining copies them out of memory that the arrays of frames and cubes come
from: many small ones that stay there kept it from being used again, 70 KB a frame (320×240)."""


@dataclass(frozen=True)
class _Ready:
    """Cubes for the networks, and what is measured of them without."""

    frames: list[CubeBatch]
    """Frames of the cubes, in order, including frames without any."""
    cubes: CubeArrays
    """The cubes of the frames."""
    values: FeatureValues
    """Features of the cubes without a network, by name."""


def score_shard(
    video: str,
    batches: Generator[CubeBatch, None, None],
    features: FeatureSet,
    scorer: Scorer,
    *,
    metadata: Mapping[str, Any],
    vectors: bool = False,
) -> pa.Table:
    """The table `shard` (see schema.py) for the frames of `batches`, in order.

    The networks run in the caller's thread, the same for all shards: CUDA graphs of torch.compile belong to the thread
    that recorded them (pytorch#123177). `batches`, and what is measured without a network, run in another, at most
    `AHEAD` batches of the engine ahead. Cubes of consecutive frames fill a batch; of cubes that do not fill one yet, no
    more than one batch and one frame are held. What `batches` raises is raised here; it is closed at the end. vectors:
    whether boxes have their vectors.
    """
    rows: list[pa.RecordBatch] = []
    joined: list[pa.RecordBatch] = []
    with closing(prefetch(_ready(batches, features), depth=AHEAD, name="cubes")) as ready:
        for batch in ready:
            with span("network"):
                measured = {**batch.values, **features.measure_networks(batch.cubes)}
                values = features.excused(measured, batch.cubes, scorer.weights)
            with span("rows"):
                score = scorer.score(scorer.in_units(values, batch.cubes.boxes))
                kept = object_vectors(batch.cubes) if vectors else None
                rows.append(_rows(video, batch.frames, values, score, kept))
                if len(rows) >= JOIN:
                    joined, rows = [*joined, pa.concat_batches(rows)], []
    schema = (SHARD_VECTORS if vectors else SHARD).with_metadata(pack_metadata("shard", metadata))
    return pa.Table.from_batches([*joined, *rows], schema).combine_chunks()


def _ready(batches: Generator[CubeBatch, None, None], features: FeatureSet) -> Generator[_Ready, None, None]:
    """`batches` joined to batches that the networks use best; the last is smaller."""
    waiting: list[CubeBatch] = []
    held = 0
    with closing(batches):
        for batch in batches:
            waiting.append(batch)
            held += len(batch)
            while held >= features.batch:
                yield _measured(_taken(waiting, features.batch), features)
                held -= features.batch
    if waiting:
        yield _measured(_taken(waiting, held), features)


def _taken(waiting: list[CubeBatch], count: int) -> list[CubeBatch]:
    """The first `count` cubes of `waiting`, and the frames without one before them; the rest stays waiting."""
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
    return taken


def _measured(frames: list[CubeBatch], features: FeatureSet) -> _Ready:
    with span("batch"):
        cubes = cubes_of(frames)
        return _Ready(frames, cubes, features.measure_plain(cubes))


def cubes_of(frames: Sequence[CubeBatch]) -> CubeArrays:
    """The cubes of one frame or more."""
    return CubeArrays(
        boxes=np.concatenate([batch.boxes for batch in frames]),
        flow=np.concatenate([batch.flow for batch in frames]),
        appearance=np.concatenate([batch.appearance for batch in frames]),
        at_edge=np.concatenate([_at_edge(batch) for batch in frames]),
        **_classes(frames),
    )


def _at_edge(batch: CubeBatch) -> npt.NDArray[np.bool_]:
    return np.zeros(len(batch), np.bool_) if batch.at_edge is None else batch.at_edge


def _classes(frames: Sequence[CubeBatch]) -> dict[str, Any]:
    """Classes of the cubes as CubeArrays has them; empty where nobody says them."""
    said = [(batch.classes, batch.class_scores) for batch in frames if len(batch)]
    if not said or any(classes is None for classes, _ in said):
        return {}
    return dict(zip(("classes", "class_scores"), map(np.concatenate, zip(*said, strict=True)), strict=True))


def _split(batch: CubeBatch, count: int) -> tuple[CubeBatch, CubeBatch]:
    def part(where: slice) -> CubeBatch:
        return CubeBatch(
            frame=batch.frame,
            pts_s=batch.pts_s,
            status=batch.status,
            boxes=batch.boxes[where],
            appearance=batch.appearance[where],
            flow=batch.flow[where],
            classes=None if batch.classes is None else batch.classes[where],
            class_scores=None if batch.class_scores is None else batch.class_scores[where],
            at_edge=None if batch.at_edge is None else batch.at_edge[where],
        )

    return part(slice(count)), part(slice(count, None))


def _rows(
    video: str, batches: list[CubeBatch], values: FeatureValues, score: F64, vectors: I8 | None
) -> pa.RecordBatch:
    """One row a cube with its features, score and, unless `vectors` is None, its vector; and one with nulls a frame
    without cubes."""
    repeats = np.array([max(1, len(batch)) for batch in batches])
    empty = np.repeat([not len(batch) for batch in batches], repeats)
    boxes = np.zeros((len(empty), 4), np.float32)
    boxes[~empty] = np.concatenate([batch.boxes for batch in batches])

    classes = np.full(len(empty), -1, np.int32), np.zeros(len(empty), np.float32)
    for column, said in zip(classes, _classes(batches).values(), strict=False):
        column[~empty] = said

    def spread(figures: F32 | F64) -> pa.Array:
        full = np.zeros(len(empty), figures.dtype)
        full[~empty] = figures
        return pa.array(full, mask=empty)

    columns = [
        pa.array([video] * len(empty), pa.string()),
        pa.array(np.repeat(np.array([batch.frame for batch in batches], np.int32), repeats)),
        pa.array(np.repeat(np.array([batch.pts_s for batch in batches], np.float64), repeats)),
        pa.array(np.repeat(np.array([batch.status for batch in batches], object), repeats), pa.string()),
        *(pa.array(boxes[:, i].copy(), mask=empty) for i in range(4)),
        *class_columns(*classes, len(empty)),
        *(spread(values[name]) if name in values else pa.nulls(len(empty), pa.float32()) for name in FEATURE_COLUMNS),
        spread(score),
    ]
    if vectors is None:
        return pa.RecordBatch.from_arrays(columns, schema=SHARD)
    own = iter(vectors)
    data = [None if nothing else next(own).tobytes() for nothing in empty]
    return pa.RecordBatch.from_arrays([*columns, pa.array(data, pa.binary(VECTOR_BYTES))], schema=SHARD_VECTORS)
