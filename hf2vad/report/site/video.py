"""One video of the site: the data of its page, and what the overview keeps of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hf2vad.archive.archive_refs import split_id
from hf2vad.archive.place import Place, place_of
from hf2vad.evaluation.labels import FrameLabels
from hf2vad.evidence.choose import event_key
from hf2vad.evidence.reasons import Knowledge, Reasons, reasons
from hf2vad.report.site.boxes import player_boxes
from hf2vad.report.site.curve import labelled_spans, thinned
from hf2vad.report.site.evidence import NOTHING, read_evidence, video_key
from hf2vad.report.site.heat import Curve, Spread, spread
from hf2vad.report.site.job import ReportJob
from hf2vad.report.site.media import media_of
from hf2vad.report.site.tables import Scored
from hf2vad.report.site.write import put_data
from hf2vad.schema import BOX, F64
from hf2vad.storage import readable
from hf2vad.tables.read import VideoTables
from hf2vad.tables.sizes import size_at
from hf2vad.video.times import median_step

EPOCH = datetime(1970, 1, 1)
WHY = ("kind", "sentence", "rarity", "score", "parts", "bars")
NEAREST = ("nearest", "nearest_distance", "nearest_of", "nearest_camera")


@dataclass(frozen=True)
class Sources:
    """Inputs of every video's page."""

    job: ReportJob
    labels: FrameLabels
    knowledge: Knowledge | None
    """Settings and arrays of the bundle that scored. None without one."""
    evidence: Collection[str]
    """Keys of the events that have a folder."""


@dataclass(frozen=True)
class Shown:
    """Data of a video that is kept once its page is written."""

    row: dict[str, Any]
    """Row of the video in the list."""
    events: list[dict[str, Any]]
    spread: Spread
    bundle: str
    frames: int
    seconds: float
    unhealthy: list[dict[str, Any]]
    no_player: bool
    """True if the media failed. The page gives the reason."""


def show_video(sources: Sources, tables: VideoTables) -> Shown | None:
    """Write the data of one video's page; none for a video that is not of the job's scope."""
    scored = Scored.read(tables)
    scope, (source, path) = sources.job.scope, split_id(scored.video, tables.archives)
    if not scope.holds(path):
        return None
    place, name = place_of(path, scope.paths, source), video_key(scored.video)
    seconds = np.asarray(scored.frames["pts_s"].to_numpy(), np.float64)
    score = np.asarray(scored.frames["score"].to_numpy(), np.float64)
    events = _event_rows(sources, scored, place, tables, path)
    health = _health_rows(scored, name)
    peak = float(np.nanmax(score)) if np.isfinite(score).any() else None
    lasts = round(float(seconds[-1] - seconds[0]), 1) if len(seconds) else 0.0
    row = {
        "key": name,
        "name": readable(scored.video),
        "camera": readable(place.camera),
        "when": _when(place, 0.0),
        "start": None if place.start is None else (place.start - EPOCH).total_seconds(),
        "from_s": round(float(seconds[0]), 1) if len(seconds) else 0.0,
        "until_s": round(float(seconds[-1]), 1) if len(seconds) else 0.0,
        "seconds": lasts,
        "events": len(events),
        "peak": None if peak is None else round(peak, 3),
        "health": dict(Counter(item["kind"] for item in health)),
    }
    step = round(median_step(seconds), 4) or 0.04
    times, scores = thinned(seconds, score) if len(seconds) else ([], [])
    media = media_of(sources.job, scored, name)
    boxes = player_boxes(scored, tables) if media.src else None
    if boxes is not None:
        put_data(sources.job.out, f"boxes/{name}", boxes)
    page = {
        **row,
        "times": times,
        "scores": scores,
        "step": step,
        "scored": [round(float(seconds[0]), 3), round(float(seconds[-1]) + step, 3)] if len(seconds) else None,
        "length": round(_length(scored, seconds, step), 3),
        "size": size_at(scored.metadata, int(scored.metadata.get("start", 0))),
        "boxes": boxes is not None,
        "thresholds": scored.metadata.get("thresholds"),
        "events": events,
        "labels": _labels(sources.labels, scored, seconds),
        "health": health,
        "media": {"src": media.src, "offset_s": media.offset_s, "cuts": media.cuts, "why_not": media.why_not},
    }
    put_data(sources.job.out, f"videos/{name}", page)
    thresholds = scored.metadata.get("thresholds") or [0.0]
    peaks = [event["peak_s"] for event in events]
    spread_out = spread(place, Curve(name, seconds, score, float(thresholds[0]), peaks))
    bundle = str(scored.metadata.get("bundle", ""))
    return Shown(row, events, spread_out, bundle, len(seconds), lasts, health, media.failed)


def _event_rows(sources: Sources, scored: Scored, place: Place, tables: VideoTables, path: str) -> list[dict[str, Any]]:
    rows = scored.events.to_pylist()
    objects = None
    if rows and sources.knowledge is not None:
        objects = tables.table("objects")
    found = []
    for row in rows:
        key = event_key(scored.video, row["start_frame"])
        known = read_evidence(sources.job.out, key) if key in sources.evidence else NOTHING
        why: Mapping[str, Any] = {name: getattr(known, name) for name in WHY}
        if not known.parts and objects is not None and sources.knowledge is not None:
            why = peak_reasons(row, objects, sources.knowledge, path).row()
        found.append(
            {
                "key": key,
                "video": video_key(scored.video),
                "name": readable(scored.video),
                "camera": readable(place.camera),
                "when": _when(place, row["start_s"]),
                **{name: row[name] for name in ("start_frame", "end_frame", "peak_frame")},
                **{name: round(row[name], 3) for name in ("start_s", "end_s", "peak_s", "peak_score")},
                "shown_frame": row["peak_frame"] if known.frame is None else known.frame,
                "box": known.box or (None if row["x1"] is None else [round(row[name], 1) for name in BOX]),
                "whole": known.whole,
                "note": known.note,
                "size": size_at(scored.metadata, row["peak_frame"]),
                **why,
                "files": known.files,
                "fingerprint": str(scored.metadata.get("fingerprint", "")),
                **{name: getattr(known, name) for name in NEAREST},
            }
        )
    return found


def _length(scored: Scored, seconds: F64, step: float) -> float:
    """Seconds of the whole video, of which a part may have been scored: its other frames are taken to be as long."""
    after = int(scored.metadata.get("frame_count", 0)) - int(scored.metadata.get("stop", 0))
    return (float(seconds[-1]) + step if len(seconds) else 0.0) + max(0, after) * step


def _health_rows(scored: Scored, key: str) -> list[dict[str, Any]]:
    return [
        {
            "video": key,
            "name": readable(scored.video),
            "kind": row["kind"],
            "start_s": round(row["start_s"], 3),
            "stop_s": round(row["stop_s"], 3),
            "value": None if row["value"] is None else round(row["value"], 2),
        }
        for row in scored.health.to_pylist()
    ]


def _labels(labels: FrameLabels, scored: Scored, seconds: F64) -> list[list[float]] | None:
    return labelled_spans(scored.video, scored.frames["frame"].to_numpy(), seconds, labels)


def _when(place: Place, seconds: float) -> str:
    """Time of a moment as far as the path gives it: date and time, the date, or nothing."""
    if place.start is not None:
        return (place.start + timedelta(seconds=seconds)).isoformat(sep=" ", timespec="seconds")
    return place.day.isoformat() if place.day else ""


def peak_reasons(event: Mapping[str, Any], objects: pa.Table, knowledge: Knowledge, path: str) -> Reasons:
    """Why the peak's box is an event; nothing for a peak without a box.

    The smoothed peak frame may hold several boxes: the event's own is taken. `path`: of the video in its archive.
    """
    if event["x1"] is None:
        return Reasons()
    rows = objects.filter(pc.equal(objects["frame"], event["peak_frame"])).to_pylist()
    row = next((row for row in rows if all(row[name] == event[name] for name in BOX)), None)
    return Reasons() if row is None else reasons(rows, row, knowledge, path)
