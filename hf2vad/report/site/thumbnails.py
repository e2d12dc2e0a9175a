"""A picture of each of the highest scoring events: its peak frame, as evidence beside which nothing else is known."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from functools import partial
from typing import Any

import cv2
import numpy as np

from hf2vad.archive.catalog import Video
from hf2vad.archive.shards import cut_shards
from hf2vad.archive.timeline import probe
from hf2vad.archive.video import decode
from hf2vad.errors import Hf2vadError
from hf2vad.evaluation.tables import scores_prefix
from hf2vad.report.site.evidence import FOLDER, ROW, event_key, folders
from hf2vad.report.site.job import ReportJob
from hf2vad.report.site.source import find_source
from hf2vad.report.site.tables import read_events, table_keys
from hf2vad.schema import BOX, U8
from hf2vad.storage import join, put_bytes, put_json
from hf2vad.threads import in_threads

WIDTH = 480
"""Pixels of a picture's width, at most."""

Top = list[tuple[float, int, dict[str, Any], str]]


def put_thumbnails(job: ReportJob) -> int:
    """Put pictures of the `job.thumbnails` highest events that have no evidence yet; returns how many were put.

    A video that is gone or cannot be read gives none.
    """
    if not job.archive or not job.thumbnails:
        return 0
    known = folders(job.out)
    events = [(row, mark) for row, mark in _highest(job) if event_key(row["video"], row["start_frame"]) not in known]
    return sum(in_threads(partial(_put, job), events, job.threads))


def _highest(job: ReportJob) -> Iterator[tuple[dict[str, Any], str]]:
    """The highest events, and the fingerprint of each one's video."""
    prefix, scope = scores_prefix(job.scores), job.scope
    order, top = itertools.count(), Top()
    for rows, fingerprint in in_threads(partial(read_events, prefix), table_keys(prefix, scope), job.threads):
        for row in rows:
            if scope.holds(row["video"]):
                heapq.heappush(top, (row["peak_score"], -next(order), row, fingerprint))
                if len(top) > job.thumbnails:
                    heapq.heappop(top)
    return ((row, fingerprint) for _, _, row, fingerprint in sorted(top, key=lambda item: item[:2], reverse=True))


def _put(job: ReportJob, event: tuple[dict[str, Any], str]) -> int:
    row, fingerprint = event
    try:
        video = find_source(job.archive, row["video"], fingerprint)
        image = None if video is None else frame_picture(video, row["peak_frame"], job.image_fps)
    except Hf2vadError:
        return 0
    if image is None:
        return 0
    folder = join(job.out, FOLDER, event_key(row["video"], row["start_frame"]))
    put_bytes(join(folder, "thumb.jpg"), _jpeg(image))
    box = None if row["x1"] is None else [row[name] for name in BOX]
    plain = {name: value for name, value in row.items() if name not in BOX}
    size = [image.shape[1], image.shape[0]]
    put_json(join(folder, ROW), {**plain, "frame_size": size, "box": box, "files": {"thumb": "thumb.jpg"}})
    return 1


def frame_picture(video: Video, frame: int, image_fps: float = 25.0) -> U8 | None:
    """(H, W, 3) BGR: one frame of a video; none when it cannot be decoded. Raises VideoError, NotFoundError."""
    shards = cut_shards(video, probe(video, image_fps=image_fps), 1, start=frame, stop=frame + 1)
    return next((found.image for shard in shards for found in decode(shard) if found.index == frame), None)


def _jpeg(image: U8) -> bytes:
    scale = WIDTH / image.shape[1]
    if scale < 1:
        image = np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 82])
    return data.tobytes()
