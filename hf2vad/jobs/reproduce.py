"""Reproduce the paper's experiment on UCSD Ped2, and print the result beside the paper's.

Example:
    hf2vad reproduce ped2 --data ~/ped2 --preset compact          # some twenty minutes on two CPU cores
    hf2vad reproduce ped2 --data ~/ped2 --out paper               # the paper's networks; wants a GPU

The data folder has training/frames and testing/frames (a folder of numbered images for each clip), and
testing/frame_labels.parquet (video, frame, anomalous) or testing/labels with a text file of 0 and 1 for each clip.
With --boxes published also training/boxes.parquet and testing/boxes.parquet (video, frame, x1, y1, x2, y2), such as
those that VEC published.

Training stops at its last epoch, and nothing is chosen on the test labels. Run it again to resume where it left off.
Exit code: 0 done, 2 usage, 3 some videos failed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from hf2vad.cluster.settings import RayConfig
from hf2vad.commandline import EXIT_FAILURES, EXIT_OK, Job
from hf2vad.errors import ConfigError
from hf2vad.jobs.extract import ExtractJob, extract_job
from hf2vad.jobs.score import ScoreJob, score_job
from hf2vad.jobs.train import TrainJob, train_job
from hf2vad.presets import PresetName
from hf2vad.progress import stage
from hf2vad.summary import print_lines, quietly

PAPER = 99.31
"""Frame AUROC that the paper reports for Ped2, in percent: of the best epoch, as chosen on the test labels."""
SHARES = (0.15, 0.6, 0.2, 0.05)
"""Share of extraction, training, scoring and evaluation in the time, about."""


@dataclass(frozen=True, kw_only=True)
class ReproduceJob:
    """Settings of `hf2vad reproduce`."""

    dataset: Literal["ped2"]
    """The paper's data set."""

    data: str
    """Folder or s3://bucket/prefix of the data set."""

    out: str = "reproduced"
    """Folder or s3://bucket/prefix of cubes, bundle, scores and evaluation."""

    preset: PresetName = "ped2"
    """Networks and training. `ped2`: the paper's size and epochs. `compact`: a small network for CPU cores."""

    boxes: Literal["published", "motion"] = "published"
    """Source of boxes. `published`: boxes.parquet in the data folder. `motion`: what moves."""

    seed: int = 0
    """Seed of training."""

    ray: RayConfig = field(default_factory=RayConfig)


def reproduce_job(job: ReproduceJob) -> int:
    """Extract, train, score and evaluate, and print the figures; returns the exit code."""
    from hf2vad.cluster.dispatch import open_cluster
    from hf2vad.jobs.evaluate import EvaluateJob, put_evaluation
    from hf2vad.storage import absolute, exists, join, require_writable

    job = replace(job, data=absolute(job.data), out=absolute(job.out))
    labels = _labels(job)
    require_writable(job.out)
    frames = {part: join(job.data, f"{part}/frames") for part in ("training", "testing")}
    boxes = {part: join(job.data, f"{part}/boxes.parquet") if job.boxes == "published" else "" for part in frames}
    for part in frames:
        for place in filter(None, (frames[part], boxes[part])):
            if not exists(place):
                raise ConfigError(f"{place}: not there; hf2vad reproduce --help says what the data folder has")
    stc, bundle, scores = (join(job.out, name) for name in ("stc", "bundle", "scores"))
    extraction = ExtractJob.base({"preset": job.preset, "boxes": boxes["training"] or None})
    training = TrainJob.base({"preset": job.preset})
    codes = []
    with open_cluster(job.ray):
        with stage("1/4 Cutting cubes", 0.0, SHARES[0], 1), quietly():
            cut = replace(extraction, archive=frames["training"], out=stc, dataset="training", max_cubes=0, ray=job.ray)
            codes.append(extract_job(replace(cut, boxes=boxes["training"])))
        with stage("2/4 Training", SHARES[0], SHARES[1], 3), quietly():
            schedule = replace(training.training, seed=job.seed)
            train_job(replace(training, stc=stc, out=bundle, training=schedule, max_cubes=0, one_camera=True))
        with stage("3/4 Scoring", sum(SHARES[:2]), SHARES[2], 1), quietly():
            scoring = replace(ScoreJob.base({"bundle": bundle}), archive=frames["testing"], bundle=bundle, out=scores)
            codes.append(score_job(replace(scoring, boxes=boxes["testing"], ray=job.ray)))
    with stage("4/4 Evaluating", sum(SHARES[:3]), SHARES[3], 1), quietly():
        result = put_evaluation(EvaluateJob(scores=scores, labels=labels, out=job.out))
    print_lines(list(_lines(job, result)), last=f"All figures: {join(job.out, 'evaluation.md')}; bundle in {bundle}")
    return EXIT_FAILURES if EXIT_FAILURES in codes else EXIT_OK


def _labels(job: ReproduceJob) -> str:
    """Where the labels are. Raises ConfigError where there are none."""
    from hf2vad.storage import exists, join

    places = [join(job.data, f"testing/{name}") for name in ("frame_labels.parquet", "labels")]
    there = next((place for place in places if exists(place)), None)
    if there is None:
        raise ConfigError(f"{places[0]}: no labels there; hf2vad reproduce --help says what the data folder has")
    return there


def _lines(job: ReproduceJob, result: Mapping[str, Any]) -> list[str]:
    """The result beside the paper's, and what explains the difference."""
    from hf2vad.report.figures import against_speed, bounds

    interval = result["intervals"]["auroc_micro"]
    around = bounds([100 * bound for bound in interval] if interval else None, ".2f")
    reached = 100 * result["auroc_micro"]
    return [
        f"Ped2, frame AUROC in percent: {reached:.2f} (95 % over clips: {around}), last epoch",
        f"Paper: {PAPER} (best epoch, chosen on the test labels); difference {reached - PAPER:+.2f}",
        f"Preset {job.preset}, {job.boxes} boxes, seed {job.seed}, DIS flow; the paper: FlowNet2 and Cascade R-CNN",
        against_speed(result),
    ]


JOB = Job(
    "reproduce",
    ReproduceJob,
    reproduce_job,
    __doc__,
    shown=("dataset", "data", "out", "preset", "boxes", "seed", "ray.address"),
    reads="dataset",
)
