"""One page to look at: the top events with their pictures, and each video's score over time.

The page and its files lie in one folder, load nothing from elsewhere, and open from disk without a server.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import cv2
import jinja2
import numpy as np
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from hf2vad.archive.catalog import Video, catalogue
from hf2vad.archive.shards import cut_shards
from hf2vad.archive.timeline import probe
from hf2vad.archive.video import decode
from hf2vad.errors import Hf2vadError
from hf2vad.evaluation.labels import FrameLabels, read_labels
from hf2vad.evaluation.tables import VideoScores, scored_videos, stem
from hf2vad.schema import F64, U8
from hf2vad.scoring.fuse import runs
from hf2vad.storage import join, put_bytes, readable

MOST_VIDEOS = 60
"""Videos whose curve is on the page: those with the highest scores."""
MOST_POINTS = 2000
"""Points of a curve; of a longer video, each is the maximum of some frames."""

EVENT_COLOUR, LABEL_COLOUR, SCORE_COLOUR = "#e8590c", "#1c7ed6", "#5c6770"


@dataclass(frozen=True)
class Page:
    """What was written."""

    index: str
    """URI of the page."""
    videos: int
    """Scored videos, shown or not."""
    events: int
    """Events in them."""


@dataclass(frozen=True)
class _Curve:
    """A video on the page."""

    name: str
    peak: float
    figure: str
    """HTML of its plot."""


@dataclass(frozen=True)
class _TopEvent:
    """An event on the page."""

    row: Mapping[str, Any]
    picture: str
    """File of its peak frame, in the page's folder; empty when the archive does not give it."""
    why_not: str


def write_report(
    out: str,
    *,
    scores_uri: str,
    archive_uri: str,
    labels_uri: str = "",
    evaluation: Mapping[str, Any] | None = None,
    title: str = "hf2vad",
    image_fps: float = 25.0,
    top_events: int = 12,
) -> Page:
    """Put index.html, plotly.min.js and the pictures under `out`.

    `scores_uri` is a bundle=<id> folder of score tables, `archive_uri` where the scored videos are, `labels_uri` ground
    truth that is shaded where it is given, `evaluation` what jobs/evaluate.py found. Raises EvaluationError when there
    are no scores. A picture that cannot be read is left out, and the page says why.
    """
    labels = read_labels(labels_uri) if labels_uri else {}
    videos = events = 0
    order = itertools.count(0, -1)
    curves: list[tuple[float, int, _Curve]] = []
    top: list[tuple[float, int, dict[str, Any]]] = []
    bundle = ""
    for video in scored_videos(scores_uri):
        found = video.table("events").to_pylist()
        videos, events, bundle = videos + 1, events + len(found), video.metadata["bundle"]
        curve = _curve(video, found, labels)
        _keep(curves, MOST_VIDEOS, (curve.peak, next(order), curve))
        for row in found:
            _keep(top, top_events, (row["peak_score"], next(order), row))
    rows = [row for _, _, row in sorted(top, reverse=True, key=lambda item: item[:2])]
    shown = sorted((curve for _, _, curve in curves), key=lambda curve: curve.name)
    page = _environment().get_template("page.html")
    content = page.render(
        title=readable(title),
        bundle=bundle,
        videos=videos,
        events=events,
        evaluation=evaluation,
        has_labels=bool(labels),
        top=_with_pictures(out, rows, archive_uri, image_fps),
        curves=shown,
        colours={"event": EVENT_COLOUR, "label": LABEL_COLOUR, "score": SCORE_COLOUR},
    )
    put_bytes(join(out, "plotly.min.js"), get_plotlyjs().encode())
    put_bytes(join(out, "index.html"), content.encode())
    return Page(join(out, "index.html"), videos, events)


def _keep(heap: list[Any], most: int, item: Any) -> None:
    """Add to a heap of the `most` largest items."""
    if len(heap) < most:
        heapq.heappush(heap, item)
    else:
        heapq.heappushpop(heap, item)


def _environment() -> jinja2.Environment:
    text = files("hf2vad.report").joinpath("page.html").read_text(encoding="utf-8")
    made = jinja2.Environment(
        loader=jinja2.DictLoader({"page.html": text}), autoescape=True, undefined=jinja2.StrictUndefined
    )
    made.filters["clock"] = clock
    return made


def clock(seconds: float) -> str:
    """Time in a video as h:mm:ss.t."""
    tenths = round(seconds * 10)
    return f"{tenths // 36000}:{tenths // 600 % 60:02d}:{tenths // 10 % 60:02d}.{tenths % 10}"


def _curve(video: VideoScores, events: Sequence[Mapping[str, Any]], labels: FrameLabels) -> _Curve:
    frames = video.table("frames")
    seconds = np.asarray(frames["pts_s"].to_numpy(), np.float64)
    score = np.asarray(frames["score"].to_numpy(), np.float64)
    high, _ = video.metadata["thresholds"]
    figure = go.Figure()
    figure.add_hline(high, line={"color": EVENT_COLOUR, "width": 1, "dash": "dot"})
    first = int(frames["frame"][0].as_py()) if len(frames) else 0
    known = labels.get(video.video) or labels.get(stem(video.video))
    if known is not None:
        inside = np.zeros(len(score), bool)
        marked = known[0][known[1]] - first
        inside[marked[(marked >= 0) & (marked < len(score))]] = True
        for start, stop in runs(inside):
            figure.add_vrect(seconds[start], seconds[stop - 1], fillcolor=LABEL_COLOUR, opacity=0.16, line_width=0)
    for event in events:
        figure.add_vrect(event["start_s"], event["end_s"], fillcolor=EVENT_COLOUR, opacity=0.22, line_width=0)
    times, values = _thinned(seconds, score)
    figure.add_scatter(
        x=times,
        y=[None if np.isnan(value) else value for value in values],
        mode="lines",
        line={"color": SCORE_COLOUR, "width": 1.6},
        hovertemplate="%{x:.2f} s: %{y:.2f}<extra></extra>",
    )
    figure.update_layout(
        height=190,
        margin={"l": 48, "r": 12, "t": 8, "b": 34},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": "#868e96", "size": 11},
        xaxis={"title": "seconds", "gridcolor": "rgba(134,142,150,.2)", "zeroline": False},
        yaxis={"title": "score", "gridcolor": "rgba(134,142,150,.2)", "zeroline": False},
    )
    settings = {"displayModeBar": False, "responsive": True}
    html = figure.to_html(full_html=False, include_plotlyjs=False, config=settings)
    return _Curve(readable(video.video), float(np.nanmax(score, initial=-np.inf)), html)


def _thinned(seconds: F64, score: F64) -> tuple[list[float], list[float]]:
    """At most MOST_POINTS points: the time and value of the highest frame of each stretch; NaN where all are."""
    length = -(-len(score) // MOST_POINTS) if len(score) else 1
    times, values = [], []
    for start in range(0, len(score), length):
        part = np.where(np.isnan(score[start : start + length]), -np.inf, score[start : start + length])
        best = start + int(part.argmax())
        times.append(round(float(seconds[best]), 3))
        values.append(round(float(score[best]), 4))
    return times, values


def _with_pictures(out: str, rows: Sequence[dict[str, Any]], archive: str, image_fps: float) -> Iterator[_TopEvent]:
    """The events with their peak frames, put under `out`."""
    wanted = {row["video"] for row in rows}
    videos: dict[str, Video] = {}
    why = f"{archive} does not have this video"
    if wanted:
        try:
            videos = {video.id: video for video in catalogue(archive) if video.id in wanted}
        except Hf2vadError as error:
            why = str(error)
    for number, row in enumerate(rows):
        shown = {**row, "video": readable(row["video"])}
        video = videos.get(row["video"])
        if video is None:
            yield _TopEvent(shown, "", why)
            continue
        try:
            image = frame_picture(video, row["peak_frame"], image_fps)
        except Hf2vadError as error:
            yield _TopEvent(shown, "", str(error))
            continue
        if image is None:
            yield _TopEvent(shown, "", "the frame cannot be decoded")
            continue
        name = f"frames/event_{number + 1:02d}.jpg"
        put_bytes(join(out, name), _jpeg(_boxed(image, row)))
        yield _TopEvent(shown, name, "")


def frame_picture(video: Video, frame: int, image_fps: float = 25.0) -> U8 | None:
    """(H, W, 3) BGR: one frame of a video; none when it cannot be decoded. Raises VideoError, NotFoundError."""
    (shard,) = cut_shards(video, probe(video, image_fps=image_fps), 1, start=frame, stop=frame + 1)
    return next((found.image for found in decode(shard) if found.index == frame), None)


def _boxed(image: U8, row: Mapping[str, Any]) -> U8:
    """The picture with the event's box around its object, at least 480 pixels wide."""
    enlarge = max(1, round(480 / image.shape[1]))
    image = np.asarray(cv2.resize(image, None, fx=enlarge, fy=enlarge, interpolation=cv2.INTER_CUBIC), np.uint8)
    if row["x1"] is not None:
        x1, y1, x2, y2 = (round(row[name] * enlarge) for name in ("x1", "y1", "x2", "y2"))
        cv2.rectangle(image, (x1, y1), (x2 - 1, y2 - 1), (12, 89, 232), 2)
    return image


def _jpeg(image: U8) -> bytes:
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 85])
    return data.tobytes()
