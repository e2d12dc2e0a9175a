"""All shards of a video in, its final tables out: frames, objects, events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hf2vad.archive.zones import CameraZones
from hf2vad.bundle.calibration import Calibration
from hf2vad.features.settings import YARDSTICK
from hf2vad.schema import (
    BOX,
    EVENTS,
    F32,
    FEATURE_COLUMNS,
    FRAMES_TABLE,
    OBJECTS,
    SHARD,
    VECTORS,
    HealthKind,
    pack_metadata,
)
from hf2vad.scoring.events import find_events
from hf2vad.scoring.scorer import Scorer
from hf2vad.scoring.settings import EventConfig
from hf2vad.scoring.smooth import smooth
from hf2vad.tables.held import held_frames
from hf2vad.tables.layout import Metadata
from hf2vad.tables.sizes import sizes_of
from hf2vad.video.sampled import holders


@dataclass(frozen=True)
class FinalTables:
    """Final tables of a video."""

    frames: pa.Table
    objects: pa.Table
    events: pa.Table
    undecodable: int
    """Frames without a score because a picture is missing or damaged."""


def finalise(
    shards: Sequence[pa.Table],
    *,
    pts_s: npt.NDArray[np.float64],
    empty: float,
    at_frame: Scorer | None = None,
    calibration: Calibration,
    events: EventConfig,
    metadata: Mapping[str, Any],
    health: Sequence[HealthKind | None] | None = None,
) -> FinalTables:
    """The tables of a video from those of its shards; frames that no shard covers get a null score.

    A frame that was not worked on (`between`) has the row of the one before it, but for its number, time and health.

    pts_s: (frames,) times of its frames. empty: the score of a frame without a cube. at_frame: adds the features of all
    boxes of a frame; none: a frame has the score of its highest box. calibration: its thresholds say where events start
    and end. metadata: what the tables say of themselves, among it `video`, `start`, the first frame, and `smoothing`,
    the frames of the median filter. health: what is wrong with each frame's footage, none for nothing; events look away
    there unless set not to.

    The same shards give the same tables, byte for byte. What decides events alone (`final` and `thresholds` in
    `metadata`) is no part of the objects.
    """
    video, start = str(metadata["video"]), int(metadata["start"])
    kinds = health if health is not None else [None] * len(pts_s)
    tables = [SHARD.empty_table(), *shards]  # of an older release: without the column of a later feature
    rows = pa.concat_tables(tables, promote_options="default").replace_schema_metadata(None).sort_by("frame")
    frame = rows["frame"].to_numpy() - start
    boxed = rows.filter(pc.is_valid(rows["score"]))
    status = np.full(len(pts_s), "not covered", object)
    status[frame] = rows["status"].to_numpy(zero_copy_only=False)
    raw = np.where(status == "scored", empty, np.nan)
    best = _best_rows(boxed["frame"].to_numpy() - start, boxed["score"].to_numpy(), len(pts_s))
    has_box = best >= 0
    raw[has_box] = _raw_scores(boxed, best, start, at_frame)[has_box]
    holding = holders(status == "between")
    raw, best, has_box = raw[holding], best[holding], has_box[holding]
    score = smooth(raw, int(metadata["smoothing"]), metadata.get("smoothing_ends", "repeated"))
    top = boxed.take(pa.array(np.where(has_box, best, 0), mask=~has_box))
    speed = np.where(status == "scored", 0.0, np.nan).astype(np.float32)
    np.maximum.at(speed, boxed["frame"].to_numpy() - start, boxed[FEATURE_COLUMNS[YARDSTICK]].to_numpy())
    count = np.bincount(boxed["frame"].to_numpy() - start, minlength=len(pts_s)).astype(np.int32)
    features = {name: top[column].combine_chunks() for name, column in FEATURE_COLUMNS.items()}
    frames = pa.Table.from_arrays(
        [
            pa.array([video] * len(pts_s), pa.string()),
            pa.array(np.arange(start, start + len(pts_s), dtype=np.int32)),
            pa.array(pts_s),
            _nullable(raw),
            _nullable(score),
            *{**features, YARDSTICK: _nullable(speed[holding])}.values(),
            pa.array(count[holding]),
            *(top[name].combine_chunks() for name in BOX),
            pa.array(kinds, pa.string()),
        ],
        schema=FRAMES_TABLE.with_metadata(pack_metadata("frames", metadata)),
    )
    without_events = {name: value for name, value in metadata.items() if name not in ("final", "thresholds")}
    required = [item.with_nullable(boxed[item.name].null_count > 0) for item in OBJECTS]
    objects = boxed.select(OBJECTS.names).cast(pa.schema(required)).combine_chunks()
    return FinalTables(
        frames,
        objects.replace_schema_metadata(pack_metadata("objects", without_events)),
        event_table(frames, events, calibration, metadata),
        int((status == "undecodable").sum()),
    )


def _raw_scores(
    boxed: pa.Table, best: npt.NDArray[np.int64], start: int, at_frame: Scorer | None
) -> npt.NDArray[np.float64]:
    """(frames,): the score of each frame's best row, or of all its rows together; any value for a frame without one."""
    if not len(boxed):
        return np.zeros(len(best), np.float64)
    if at_frame is not None:
        values = {name: boxed[FEATURE_COLUMNS[name]].to_numpy() for name in at_frame.weights}
        return at_frame.frame_scores(values, boxed["frame"].to_numpy() - start, len(best))
    return np.asarray(boxed["score"].to_numpy()[best], np.float64)


def _best_rows(frame: npt.NDArray[np.int32], score: npt.NDArray[np.float64], frames: int) -> npt.NDArray[np.int64]:
    """Row with the highest score of each frame, the first of equals; -1 for a frame without a row."""
    order = np.lexsort((-np.arange(len(frame)), score, frame))
    best = np.full(frames, -1, np.int64)
    best[frame[order]] = order
    return best


def _nullable(values: npt.NDArray[np.floating[Any]]) -> pa.Array:
    return pa.array(values, mask=np.isnan(values))


def event_table(
    frames: pa.Table, config: EventConfig, calibration: Calibration, metadata: Mapping[str, Any]
) -> pa.Table:
    """The events in a video's table of frames."""
    schema = EVENTS.with_metadata(pack_metadata("events", metadata))
    trusted = np.array([kind is None or config.on_unhealthy for kind in frames["health"].to_pylist()], bool)
    smoothed, raw = (np.where(trusted, frames[name].to_numpy(), np.nan) for name in ("score", "score_raw"))
    rows = []
    found = find_events(smoothed, config, calibration, raw, held_frames(frames, metadata))
    for number, event in enumerate(found):
        first, last, peak = (frames.slice(i, 1).to_pylist()[0] for i in (event.start, event.stop - 1, event.peak))
        rows.append(
            {
                "video": peak["video"],
                "event": number,
                "start_frame": first["frame"],
                "end_frame": last["frame"],
                "start_s": first["pts_s"],
                "end_s": last["pts_s"],
                "peak_frame": peak["frame"],
                "peak_s": peak["pts_s"],
                "peak_score": event.score,
                **{name: peak[name] for name in BOX},
            }
        )
    return pa.Table.from_pylist(rows, schema=schema)


def narrowed_shard(frames: pa.Table, objects: pa.Table, zones: CameraZones, metadata: Metadata) -> pa.Table:
    """The rows of SHARD behind the tables `frames` and `objects` of a video, without the objects that `zones` drop.

    metadata: of the frame table. A frame without a score is `undecodable`, for whatever reason it has none; one that
    has a box and no object of its own repeats the frame before it, and is `between`.
    """
    boxes: F32 = np.stack([objects[name].to_numpy() for name in BOX], axis=1)
    sizes = sizes_of(metadata, objects["frame"].to_numpy(), (metadata["width"], metadata["height"]))
    kept = objects.filter(pa.array(zones.keeps(boxes, sizes)))
    number = frames["frame"].to_numpy()
    repeats = frames["x1"].is_valid().to_numpy() & ~np.isin(number, objects["frame"].to_numpy())
    unscored = np.isnan(frames["score_raw"].to_numpy())
    status = np.where(repeats, "between", np.where(unscored, "undecodable", "scored")).astype(object)
    rest = frames.select(["video", "frame", "pts_s"]).append_column("status", pa.array(status, pa.string()))
    rest = rest.filter(pc.invert(pc.is_in(frames["frame"], kept["frame"].combine_chunks())))
    scored = kept.append_column("status", pa.array(["scored"] * len(kept), pa.string()))
    parts = [part.replace_schema_metadata(None) for part in (SHARD.empty_table(), scored, rest)]
    return pa.concat_tables(parts, promote_options="permissive").select(SHARD.names).sort_by("frame")


def top_vectors(shards: Iterable[pa.Table], a_second: int, metadata: Mapping[str, Any]) -> pa.Table:
    """The table `vectors` of a video from those of its shards: at most `a_second` objects of each second, by frame."""
    parts = [
        shard.filter(pc.is_valid(shard["vector"])).select(VECTORS.names).replace_schema_metadata(None)
        for shard in shards
    ]
    empty = pa.schema([item.with_nullable(True) for item in VECTORS]).empty_table()
    rows = pa.concat_tables([empty, *parts], promote_options="permissive").combine_chunks()
    second = np.floor(rows["pts_s"].to_numpy()).astype(np.int64)
    order = np.lexsort((-rows["score"].to_numpy(), second))
    first = np.flatnonzero(np.diff(second[order], prepend=-1))
    rank = np.arange(len(order)) - np.repeat(first, np.diff([*first, len(order)]))
    top = rows.take(pa.array(np.sort(order[rank < a_second]))).sort_by("frame")
    return top.cast(VECTORS).replace_schema_metadata(pack_metadata("vectors", metadata))
