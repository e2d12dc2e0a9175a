"""The whole site: every video's data, then what is told of all of them."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from hf2vad.archive.place import Place
from hf2vad.bundle.settings import load_bundle_settings, load_provenance
from hf2vad.errors import EvaluationError
from hf2vad.evaluation.labels import read_labels
from hf2vad.evidence.reasons import Knowledge, learnt_seconds
from hf2vad.progress import ProgressBar
from hf2vad.report.site.about import about, bars_scale
from hf2vad.report.site.evidence import folders
from hf2vad.report.site.heat import HeatMap, Spread
from hf2vad.report.site.job import ReportJob
from hf2vad.report.site.video import Shown, Sources, show_video
from hf2vad.report.site.write import put_data, put_pages
from hf2vad.storage import join, read_json, readable
from hf2vad.tables.archives import archive_names
from hf2vad.tables.read import failure_rows, scored_videos, scores_prefix
from hf2vad.threads import in_threads

MOST_EVENTS = 20_000
"""Events in the list, those with the highest scores; each video's page has all of its own."""
EVENTS_A_FILE = 500
VIDEOS_A_FILE = 2000
TOP = 12
"""Events on the overview."""
MOST_ROWS = 200
"""Failures and stretches of unhealthy footage that the overview names; it counts all."""


@dataclass(frozen=True)
class Site:
    """Files and counts of a written site."""

    index: str
    """URI of the overview."""
    videos: int
    events: int
    failures: int
    no_player: int
    """Videos whose media could not be had; their pages say why."""


@dataclass
class _Night:
    """Data of all videos so far."""

    videos: list[dict[str, Any]] = field(default_factory=list)
    spreads: list[Spread] = field(default_factory=list)
    events: int = 0
    no_player: int = 0
    frames: int = 0
    seconds: float = 0.0
    bundles: set[str] = field(default_factory=set)
    stretches: Counter[str] = field(default_factory=Counter)
    unhealthy_s: Counter[str] = field(default_factory=Counter)
    _top: list[tuple[float, int, dict[str, Any], Place]] = field(default_factory=list)
    _longest: list[tuple[float, int, dict[str, Any]]] = field(default_factory=list)
    _order: Iterator[int] = field(default_factory=lambda: itertools.count(0, -1))

    def add(self, shown: Shown) -> None:
        self.videos.append(shown.row)
        self.spreads.append(shown.spread)
        self.events += len(shown.events)
        self.no_player += shown.no_player
        self.frames += shown.frames
        self.seconds += shown.seconds
        self.bundles.add(shown.bundle)
        for event in shown.events:
            _keep(self._top, MOST_EVENTS, (event["peak_score"], next(self._order), event, shown.spread.place))
        for row in shown.unhealthy:
            lasts = row["stop_s"] - row["start_s"]
            self.stretches[row["kind"]] += 1
            self.unhealthy_s[row["kind"]] += lasts
            _keep(self._longest, MOST_ROWS, (lasts, next(self._order), row))

    def ranked(self, heat: HeatMap) -> list[dict[str, Any]]:
        """The events by falling score."""
        top = sorted(self._top, key=lambda item: item[:2], reverse=True)
        return [{**event, "column": heat.column_of(place, event["peak_s"])} for _, _, event, place in top]

    def health(self) -> dict[str, Any]:
        kinds = [
            {"kind": kind, "stretches": count, "seconds": round(self.unhealthy_s[kind], 1)}
            for kind, count in sorted(self.stretches.items())
        ]
        rows = sorted(self._longest, key=lambda item: item[:2], reverse=True)
        return {"kinds": kinds, "rows": [row for _, _, row in rows]}


def _keep(heap: list[Any], most: int, item: Any) -> None:
    """Add to a heap of the `most` largest items."""
    if len(heap) < most:
        heapq.heappush(heap, item)
    else:
        heapq.heappushpop(heap, item)


def write_site(job: ReportJob, evaluation: Mapping[str, Any] | None = None) -> Site:
    """Write the site of a job's scores; `evaluation`: the content of an evaluation.json, instead of the job's.

    Media that an earlier run put there are kept. Raises EvaluationError where there are no scores, SchemaError for
    tables of another release, and what the places raise.
    """
    prefix = scores_prefix(job.scores)
    if job.evaluation and evaluation is None:
        evaluation = read_json(job.evaluation)
    names = archive_names(prefix, job.sources)
    knowledge, provenance = None, dict[str, Any]()
    if job.bundle:
        provenance = load_provenance(job.bundle)
        knowledge = Knowledge(load_bundle_settings(job.bundle), learnt_seconds(provenance))
    sources = Sources(
        job,
        read_labels(job.labels) if job.labels else {},
        knowledge,
        folders(job.out),
    )
    scope, night = job.scope, _Night()
    with ProgressBar("pages", unit="video") as bar:
        for shown in in_threads(partial(show_video, sources), scored_videos(prefix, scope, names), job.threads):
            if shown is not None:
                night.add(shown)
                bar.advance(1)
    if not night.videos:
        scope.check_fits(tables.path for tables in scored_videos(prefix, archives=names))
        raise EvaluationError(f"{prefix}: --pattern, --cameras, --since and --until let no scored video through")
    failed = list(failure_rows(prefix, scope, names))
    _put_summary(job, night, failed, knowledge)
    bundles = ", ".join(sorted(night.bundles))
    put_data(job.out, "about", about(bundles, knowledge, provenance, evaluation))
    put_pages(job.out, title=readable(job.title), media_url=job.media_url, notice=readable(job.notice))
    return Site(join(job.out, "index.html"), len(night.videos), night.events, len(failed), night.no_player)


def _put_summary(job: ReportJob, night: _Night, failed: list[dict[str, str]], knowledge: Knowledge | None) -> None:
    heat = HeatMap(night.spreads)
    events = night.ranked(heat)
    for number, start in enumerate(range(0, len(events), EVENTS_A_FILE)):
        put_data(job.out, f"events/{number}", events[start : start + EVENTS_A_FILE])
    for number, start in enumerate(range(0, len(night.videos), VIDEOS_A_FILE)):
        put_data(job.out, f"lists/{number}", night.videos[start : start + VIDEOS_A_FILE])
    summary = {
        "videos": len(night.videos),
        "frames": night.frames,
        "seconds": round(night.seconds, 1),
        "events": night.events,
        "event_files": -(-len(events) // EVENTS_A_FILE),
        "events_listed": len(events),
        "list_files": -(-len(night.videos) // VIDEOS_A_FILE),
        "kinds": sorted({event["kind"] for event in events if event["kind"]}),
        "bars": bars_scale(knowledge, events),
        "columns": heat.columns,
        "cameras": heat.cameras(),
        "dated": any(video["when"] for video in night.videos),
        "pattern": job.pattern,
    }
    put_data(job.out, "summary", summary)
    overview = {
        "what": heat.what,
        "rows": heat.rows(),
        "top": events[:TOP],
        "failures": {"count": len(failed), "rows": failed[:MOST_ROWS]},
        "health": night.health(),
    }
    put_data(job.out, "overview", overview)
