"""Failure rows: why a video, or some frames of it, have no result. One JSON file a video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hf2vad.archive.catalog import Video
from hf2vad.cluster.policy import Cause
from hf2vad.storage import delete, exists, put_json, read_json
from hf2vad.tables.layout import RunLayout
from hf2vad.video.shards import Range


@dataclass(frozen=True)
class Failure:
    """Why a video, or some frames of it, have no result."""

    reason: str
    ranges: Sequence[Range] = ()
    """Frames concerned; empty: all of them."""
    cause: Cause = Cause.INPUT


def failure_reason(layout: RunLayout, video: Video) -> str | None:
    """The reason in the failure row of `video`; none where it has none."""
    uri = layout.failure_uri(video)
    return str(read_json(uri)["reason"]) if exists(uri) else None


def quarantine_reason(layout: RunLayout, video: Video, runs: int) -> str | None:
    """The reason in the failure row of `video` as it is now, if `runs` runs have failed on it; else none."""
    uri = layout.failure_uri(video)
    row = read_json(uri) if exists(uri) else {}
    return str(row["reason"]) if row.get("fingerprint") == video.fingerprint and row["runs"] >= runs else None


def put_failure_row(layout: RunLayout, video: Video, failures: Sequence[Failure]) -> str | None:
    """Put the one failure row of `video`, or remove it when nothing failed; returns its reason.

    The row says why, which frames are concerned (none named: all), and in how many runs it was the video that failed:
    one whose storage or node failed is not counted.
    """
    uri = layout.failure_uri(video)
    if not failures:
        if exists(uri):
            delete(uri)
        return None
    reasons = list(dict.fromkeys(failure.reason for failure in failures))
    row = {
        "video": video.id,
        "fingerprint": video.fingerprint,
        "reason": "; ".join(reasons),
        "frames": sorted(frames for failure in failures for frames in failure.ranges),
        "runs": any(failure.cause.blames_video for failure in failures)
        + (int(read_json(uri).get("runs", 0)) if exists(uri) else 0),
    }
    put_json(uri, row)
    return str(row["reason"])
