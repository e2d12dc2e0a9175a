"""The steps of `hf2vad run`, each a job on what of each camera is its part."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from hf2vad.archive.archive_refs import ArchiveRef
from hf2vad.archive.catalog import Video
from hf2vad.archive.parts import Parts
from hf2vad.archive.passed import PassedOver
from hf2vad.archive.zone_map import Zones
from hf2vad.bundle.settings import load_bundle_settings
from hf2vad.evidence.moments import highest_scores, moments
from hf2vad.jobs.extract import ExtractJob
from hf2vad.jobs.report import ReviewJob, gathered
from hf2vad.jobs.score import ScoreJob
from hf2vad.jobs.train import TrainJob, train_job
from hf2vad.plurals import clock
from hf2vad.progress import stage
from hf2vad.report.site.night import Site, write_site
from hf2vad.runs.extraction import extraction_task, run_extraction
from hf2vad.runs.scoring import run_scoring, scoring_task
from hf2vad.storage import exists, is_local, join
from hf2vad.summary import quietly
from hf2vad.tables.archives import put_archive_names

if TYPE_CHECKING:
    from hf2vad.jobs.run import RunJob

TOP = 3
"""Moments that are named at the end."""
BELOW = 0.25
"""Share of its score by which frames around a moment below the alarm threshold may lie lower and still belong to it."""


@dataclass(frozen=True)
class Found:
    """Result of the scoring step."""

    count: int
    top: Sequence[str]
    """A line for each of the highest."""
    below: bool
    """True if no score reached the threshold, so the highest scores below it are shown."""


@dataclass
class Steps:
    """Extraction, training, scoring and the site, to be taken in this order on one cluster."""

    job: RunJob
    sources: tuple[ArchiveRef, ...]
    videos: Sequence[Video]
    parts: Parts
    shares: tuple[float, float, float, float]
    """Share of each step in the time that all take, about."""
    zones: Zones
    codes: list[int] = field(default_factory=list)
    """Exit codes of the steps so far."""

    def extract(self) -> None:
        """Cut cubes of what is learned from, unless it was learned."""
        if self.job.bundle or exists(join(self._bundle, "bundle.json")):
            return
        base = ExtractJob.base({"preset": self.job.preset, "boxes": None})
        base = replace(base, archive=self.sources[0].uri, out=self._place("stc"), image_fps=self.job.image_fps)
        base = replace(base, limits=self.job.limits, ray=self.job.ray)
        with self._stage(1, "Reading what is normal"):
            for dataset, frames, videos in (
                ("older", ":", self.parts.learned_whole(self.videos)),
                ("halves", f":{self.job.learn:g}%", self.parts.shared(self.videos)),
            ):
                if videos:
                    job = replace(base, dataset=dataset, frames=frames)
                    listed = list(videos)
                    task = extraction_task(job, job.extraction, self.zones)
                    code = run_extraction(job, task, iter(listed), partial(iter, listed))
                    self.codes.append(code)

    def train(self) -> None:
        """Learn what is normal, unless it was learned or a bundle was given."""
        if self.job.bundle or exists(join(self._bundle, "bundle.json")):
            return
        base = TrainJob.base({"preset": self.job.preset})
        with self._stage(2, "Learning"):
            self.codes.append(train_job(replace(base, stc=self._place("stc"), out=self._bundle)))

    def score(self) -> Found:
        """Score the rest; where nothing reaches the threshold, take the highest moments below it."""
        with self._stage(3, "Scoring"):
            self._score(None)
            prefix = self._scores
            found = self._moments(prefix, below=False)
            if not found.count and (peaks := highest_scores(prefix, TOP)):
                self._score(peaks[-1])
                found = self._moments(prefix, below=True)
        return found

    def show(self, notice: str) -> Site:
        """Make the site."""
        linked = all(is_local(uri) for uri in (self.job.out, *(source.uri for source in self.sources)))
        review = ReviewJob(
            scores=self._scores,
            out=self.job.out,
            archive=tuple(f"{name}={uri}" if name else uri for name, uri in self.sources),
            bundle=self._bundle,
            media="link" if linked else "transcode",
            title="Moments worth watching",
            notice=notice,
            image_fps=self.job.image_fps,
            limits=self.job.limits,
            ray=self.job.ray,
        )
        with self._stage(4, "Making the site"):
            gathered(review)
            return write_site(review)

    def _score(self, threshold: float | None) -> None:
        base = ScoreJob.base({"bundle": self._bundle})
        if threshold is not None:
            low = threshold - BELOW * abs(threshold)
            base = replace(base, events=replace(base.events, threshold=threshold, low=low, min_length=1))
        base = replace(base, archive=self.sources[0].uri, bundle=self._bundle, out=self._place("scores"))
        base = replace(base, image_fps=self.job.image_fps, limits=self.job.limits, ray=self.job.ray)
        for frames, videos in (
            (":", self.parts.scored_whole(self.videos)),
            (f"{self.job.learn:g}%:", self.parts.shared(self.videos)),
        ):
            if videos:
                job = replace(base, frames=frames)
                task = scoring_task(job, self.zones)
                put_archive_names(task.layout.prefix, self.sources)
                self.codes.append(run_scoring("score", job, task, iter(videos), PassedOver()))

    def _moments(self, prefix: str, *, below: bool) -> Found:
        found = moments(prefix, self._bundle, TOP)
        lines = [f"{m.video} at {clock(m.start_s)}: {m.words or f'score {m.score:.2f}'}" for m in found.top]
        return Found(found.count, lines, below)

    @property
    def _bundle(self) -> str:
        return self.job.bundle or self._place("bundle")

    @property
    def _scores(self) -> str:
        """Folder of the scores by the bundle; beside it may be those by one that was used before."""
        return join(self._place("scores"), f"bundle={load_bundle_settings(self._bundle).id}")

    def _place(self, name: str) -> str:
        """Folder of a step below the result's."""
        return join(self.job.out, name)

    @contextlib.contextmanager
    def _stage(self, number: int, what: str) -> Iterator[None]:
        """Show a step of two progress bars as a part of the job's; what it prints is left out without --verbose."""
        done, share = sum(self.shares[: number - 1]), self.shares[number - 1]
        with stage(f"{number}/{len(self.shares)} {what}", done, share, bars=2), quietly():
            yield
