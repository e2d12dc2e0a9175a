"""Generate a street archive, learn what is normal there, score it, and write a site with the findings.

Example:
    hf2vad demo --out demo
    hf2vad demo --out demo --archive ~/videos

Writes demo/bundle, demo/evaluation.json and demo/report/index.html. Run the command again to resume.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from hf2vad.cluster.settings import RayConfig
from hf2vad.commandline import EXIT_FAILURES, EXIT_OK, Job
from hf2vad.jobs.evaluate import EvaluateJob, put_evaluation
from hf2vad.jobs.extract import ExtractJob, extract_job
from hf2vad.jobs.report import ReviewJob, gathered
from hf2vad.jobs.score import ScoreJob, score_job
from hf2vad.jobs.train import TrainJob, train_job
from hf2vad.plurals import count_words
from hf2vad.settings import require
from hf2vad.summary import print_lines, quietly


@dataclass(frozen=True, kw_only=True)
class DemoJob:
    """Settings of hf2vad demo."""

    out: str = "demo"
    """Folder for everything: archive, cubes, bundle, scores, report."""

    archive: str = ""
    """Your own videos instead of the generated ones: learns from the first part of each, scores the rest. Everything
    then goes to a folder of its own in `out`."""

    first_part: float = 50.0
    """Share of each of your own videos to learn from, in percent."""

    seed: int = 0
    """Seed of the generated archive and of training."""

    train_clips: int = 14
    """Normal clips that are generated."""

    test_clips: int = 7
    """Clips that are generated to be scored."""

    frames: int = 160
    """Frames of each generated clip."""

    flow_epochs: int = 0
    """Epochs of the flow network; 0: as `hf2vad train` trains it."""

    ray: RayConfig = field(default_factory=RayConfig)

    def __post_init__(self) -> None:
        require(0 < self.first_part < 100, f"--first-part must lie between 0 and 100, got {self.first_part}")
        least = min(self.train_clips, self.test_clips, self.frames)
        require(least > 0, "--train-clips, --test-clips and --frames must be positive")
        require(self.flow_epochs >= 0, f"--flow-epochs must not be negative, got {self.flow_epochs}")


def demo_job(job: DemoJob) -> int:
    """Run all steps; what an earlier run has finished is not done again. Returns the exit code."""
    from hf2vad.cluster.dispatch import open_cluster
    from hf2vad.report.evaluation import print_evaluation
    from hf2vad.report.site.night import write_site
    from hf2vad.storage import absolute, is_local, join

    started = time.monotonic()
    out = _own_folder(job) if job.archive else job.out
    with open_cluster(job.ray):
        with quietly():
            labels, tracks, test, code = _learn_and_score(job, out)
        review = ReviewJob(
            scores=join(out, "scores"),
            out=join(out, "report"),
            archive=(absolute(test),),
            bundle=join(out, "bundle"),
            labels=labels,
            media="link" if is_local(test) and is_local(out) else "transcode",
            title=f"hf2vad: {job.archive}" if job.archive else "hf2vad demo",
            ray=job.ray,
        )
        gathered(review)
    evaluation = None
    if labels:
        evaluation = put_evaluation(EvaluateJob(scores=join(out, "scores"), labels=labels, tracks=tracks, out=out))
    site = write_site(review, evaluation)
    counted = f"{count_words(site.videos, 'video')}, {count_words(site.events, 'event')}"
    last = f"{counted}; look at {site.index} ({time.monotonic() - started:.0f} s)"
    if evaluation:
        print_evaluation(evaluation, last=last)
    else:
        print_lines([], last=last)
    return code


def _own_folder(job: DemoJob) -> str:
    """A folder for one archive of the user's: two archives do not mix."""
    from hf2vad.hashes import hash_of
    from hf2vad.storage import is_local, join, key_path

    place = os.path.realpath(job.archive) if is_local(job.archive) else job.archive
    name = key_path(place.rstrip("/").rsplit("/", 1)[-1])
    return join(job.out, f"{name}-{hash_of(place, job.first_part)[:8]}")


def _learn_and_score(job: DemoJob, out: str) -> tuple[str, str, str, int]:
    """Labels and tracks (empty for your own videos), the archive that was scored, and the worst exit code."""
    from hf2vad.demo.archive import generate
    from hf2vad.storage import join

    if job.archive:
        train = test = job.archive
        labels, tracks, first, rest = "", "", f":{job.first_part}%", f"{job.first_part}%:"
    else:
        made = generate(
            Path(out) / "archive",
            seed=job.seed,
            train_clips=job.train_clips,
            test_clips=job.test_clips,
            frames=job.frames,
        )
        train, test, labels, tracks = (str(part) for part in (made.train, made.test, made.labels, made.tracks))
        first = rest = ":"
    stc, bundle, scores = (join(out, name) for name in ("stc", "bundle", "scores"))
    extraction = ExtractJob.base({"preset": "compact", "boxes": None})
    codes = [extract_job(replace(extraction, archive=train, out=stc, frames=first, dataset="train", ray=job.ray))]
    training = TrainJob.base({"preset": "compact"})
    flow = training.training.flow
    if job.flow_epochs:
        flow = replace(flow, epochs=job.flow_epochs, least_steps=0)
    schedule = replace(training.training, seed=job.seed, flow=flow)
    codes.append(train_job(replace(training, stc=stc, out=bundle, training=schedule)))
    scoring = ScoreJob.base({"bundle": bundle})
    codes.append(score_job(replace(scoring, archive=test, bundle=bundle, out=scores, frames=rest, ray=job.ray)))
    return labels, tracks, test, EXIT_FAILURES if EXIT_FAILURES in codes else EXIT_OK


JOB = Job("demo", DemoJob, demo_job, __doc__, shown=("out", "archive"))
