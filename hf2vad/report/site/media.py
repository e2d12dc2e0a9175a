"""Playable media of a video."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args
from urllib.parse import quote

import numpy as np

from hf2vad.archive.archive_refs import find_in
from hf2vad.archive.catalog import Video
from hf2vad.archive.settings import DecodeConfig, LimitsConfig
from hf2vad.errors import Hf2vadError, VideoError
from hf2vad.report.site.job import ReportJob
from hf2vad.report.site.tables import Scored
from hf2vad.report.site.transcode import Cut, cuts_of, transcoded
from hf2vad.schema import TimeKind
from hf2vad.settings import from_dict
from hf2vad.storage import atomic_writer, find_file, is_local, join, open_read, put_bytes
from hf2vad.video.container import opened, video_stream

FOLDER = "media"
PLAYABLE = {".mp4": ("h264", "av1"), ".webm": ("vp8", "vp9", "av1")}
"""Codecs that browsers play, by container."""
PIXELS = ("yuv420p", "yuvj420p")
"""Pixel formats that they play: 8 bits, colour at half size."""
LIMITS = LimitsConfig()


@dataclass(frozen=True)
class Media:
    """A file for the player."""

    src: str = ""
    """URL relative to the site's pages, or with a host. Empty without media."""
    offset_s: float = 0.0
    """Time in the file of a frame at 0 s in the tables."""
    cuts: Sequence[Cut] = ()
    """Pauses that the file does not have in full."""
    why_not: str = ""
    """Why there is none."""
    failed: bool = False
    """True if media were wanted but failed: the video is gone, or cannot be read or transcoded."""


def media_of(job: ReportJob, scored: Scored, key: str) -> Media:
    """The media of a scored video, put under the site where it has to be; `key` names its file.

    A video that cannot be read or transcoded has none, and `why_not` says so: it costs no other its page.
    """
    if job.media == "none" or not job.sources:
        return Media(why_not="This site was made without videos.")
    try:
        return _media(job, scored, key)
    except Hf2vadError as error:
        return Media(why_not=str(error), failed=True)


def _media(job: ReportJob, scored: Scored, key: str) -> Media:
    fingerprint = str(scored.metadata.get("fingerprint", ""))
    video = find_in(job.sources, scored.video, fingerprint=fingerprint)
    if video is None:
        return Media(why_not=f"{', '.join(job.archive)} does not have this video.", failed=True)
    offset = _playable(video) if job.media != "transcode" and _has_its_own_times(scored) else None
    if offset is not None and job.media == "link":
        return Media(link(video, job), offset)
    if job.media_videos == "events" and not scored.events.num_rows:
        return Media(why_not="Only videos with events were copied or transcoded (--media-videos).")
    if offset is not None:
        name = f"{FOLDER}/{key}{os.path.splitext(video.uri)[1].lower()}"
        _copy(video, join(job.out, name))
        return Media(name, offset)
    start, stop = (int(scored.metadata.get(name, 0)) for name in ("start", "stop"))
    times = np.asarray(scored.frames["pts_s"].to_numpy(), np.float64)
    cuts = cuts_of(times)
    name = f"{FOLDER}/{key}-{video.fingerprint}-{start}-{stop}-{job.longest}{'-cut' * bool(cuts)}.mp4"
    if find_file(join(job.out, name)) is None:
        decode = from_dict(DecodeConfig, scored.metadata.get("decode", {}), where=scored.video)
        data = transcoded(video, start=start, stop=stop, longest=job.longest, image_fps=job.image_fps, decode=decode)
        put_bytes(join(job.out, name), data)
    return Media(name, -float(times[0]) if len(times) else 0.0, cuts)


def _has_its_own_times(scored: Scored) -> bool:
    """True if a player shows the times that the tables give: the same stream, with no repaired times."""
    repaired = set(scored.health["kind"].to_pylist()) & set(get_args(TimeKind))
    return not repaired and "stream" not in scored.metadata


def _playable(video: Video) -> float | None:
    """Time in the file of the first frame, if a browser plays the file; none if it does not."""
    codecs = PLAYABLE.get(os.path.splitext(video.uri)[1].lower())
    if video.kind != "file" or codecs is None:
        return None
    with opened(video, pixels=LIMITS.pixels) as container:
        stream = video_stream(container, video)
        context = stream.codec_context
        if context.codec.canonical_name not in codecs or context.pix_fmt not in PIXELS:
            return None
        starts = [float(s.start_time * s.time_base) for s in container.streams if s.start_time and s.time_base]
        own = float(stream.start_time * stream.time_base) if stream.start_time and stream.time_base else 0.0
        everyone = len(starts) == len(container.streams)
        return own - (min(starts) if everyone else min([0.0, *starts]))


def link(video: Video, job: ReportJob) -> str:
    """URL of an archive's file for the site's pages."""
    if job.media_url:
        single = any(os.path.normpath(video.uri) == os.path.normpath(source.uri) for source in job.sources)
        return job.media_url if single else f"{job.media_url.rstrip('/')}/{quote(video.id)}"
    start, target = job.out, video.uri
    if is_local(video.uri):
        start, target = os.path.realpath(start), os.path.realpath(target)
    return quote(os.path.relpath(target, start), errors="surrogateescape")


def _copy(video: Video, uri: str) -> None:
    there = find_file(uri)
    if there is not None and there.size == video.size:
        return
    with open_read(video.uri) as source, atomic_writer(uri) as target:
        try:
            shutil.copyfileobj(source, target, 1 << 20)
        except OSError as error:
            raise VideoError(f"{video.id}: cannot be copied: {error.strerror or error}") from None
