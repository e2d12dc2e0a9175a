"""The ablations of an archive: every row's cubes, networks and scores, each distinct one computed once.

Three steps: cut the cubes of both archives under each extraction (a walk on the cluster), train and score the networks
(units, side by side on the cluster), and evaluate the rows from the scores that are there. Run it again to go on.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from rich.console import Console
from rich.table import Table

from hf2vad.ablation.plan import Base, Plan, Schedule, distinct, plan
from hf2vad.ablation.record import Records, frame_counts
from hf2vad.ablation.rows import HEAD, cells, records_table, select
from hf2vad.ablation.units import Cut, Place, Tables
from hf2vad.ablation.variants import labelled
from hf2vad.cluster.dispatch import Dispatcher, RayConfig, cluster
from hf2vad.commandline import EXIT_FAILURES, EXIT_OK, required_missing
from hf2vad.cubes.detect import BoxFinder, resolve_detector
from hf2vad.cubes.settings import (
    CubeConfig,
    DetectorConfig,
    ExtractionConfig,
    FlowConfig,
    MotionConfig,
    WorkingConfig,
)
from hf2vad.errors import ConfigError, VideoError
from hf2vad.evaluation.labels import FrameLabels, read_labels
from hf2vad.evaluation.smoothing import Smoothing
from hf2vad.jobs.ablation_runs import cut_cubes, run_units
from hf2vad.models.settings import LossConfig, ModelConfig
from hf2vad.presets import PresetName, preset
from hf2vad.settings import to_dict
from hf2vad.storage import absolute, join, put_json, put_table


@dataclass(frozen=True, kw_only=True)
class AblationJob:
    """Settings of jobs/ablate.py."""

    EARLY: ClassVar[tuple[str, ...]] = ("preset", "boxes_train")

    train: str
    """Archive of normal videos: a folder or s3://bucket/prefix."""

    test: str
    """Archive of labelled videos."""

    labels: str
    """Parquet file (video, frame, anomalous), or a folder with one text file of 0 and 1 a video."""

    out: str
    """Folder for everything: ablation.parquet, ablation.json, and the cubes, networks and scores they come from."""

    boxes_train: str = ""
    """Parquet file of boxes (video, frame, x1, y1, x2, y2) of `train`; rows then use given boxes by default."""

    boxes_test: str = ""
    """The same of `test`."""

    rows: tuple[str, ...] = ()
    """Names of rows, or patterns such as 'dis-*'; none: all."""

    seeds: tuple[int, ...] = (0,)
    """Every row is trained once with each of these."""

    preset: PresetName = "compact"
    """Where the defaults of extraction, model, training and fusion come from."""

    smoothing: int = 17
    """Frames of the median filter of the rows that do not say another; odd, 1: none."""

    device: str = "auto"
    """`auto`: the GPU where there is one. `cpu`, `cuda`, `cuda:1` …"""

    image_fps: float = 25.0
    """Frame rate of folders of images."""

    schedule: Schedule = field(default_factory=Schedule)
    model: ModelConfig = field(default_factory=ModelConfig)
    working: WorkingConfig = field(default_factory=WorkingConfig)
    flow: FlowConfig = field(default_factory=FlowConfig)
    motion: MotionConfig = field(default_factory=MotionConfig)
    detector: DetectorConfig = field(default_factory=DetectorConfig)
    cube: CubeConfig = field(default_factory=CubeConfig)
    ray: RayConfig = field(default_factory=RayConfig)

    @classmethod
    def base(cls, early: dict[str, str | None]) -> AblationJob:
        """The defaults of the chosen preset; --boxes-train makes given boxes the default."""
        name = early["preset"] or "compact"
        chosen = preset(name)
        detector = chosen.extraction.detector
        if early["boxes_train"]:
            detector = replace(detector, kind="boxes")
        settings = {**chosen.extraction.parts, "detector": detector, "model": chosen.model, "preset": name}
        return cls(**{**required_missing(cls), **settings})

    def __post_init__(self) -> None:
        Smoothing("median", self.smoothing)
        select(self.rows)
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ConfigError(f"--seeds must name at least one seed, and none twice, got {self.seeds}")


def ablate_job(job: AblationJob) -> int:
    """Compute the rows, put and print their table; returns the exit code: 3 where a row failed."""
    started = time.monotonic()
    _check_boxes(job)
    labels = read_labels(job.labels)
    base = _base(job)
    rows = select(job.rows)
    lacking = {row.name: base.lacks(row, seeds=len(job.seeds)) for row in rows}
    plans = {row.name: [plan(row, seed, base) for seed in job.seeds] for row in rows if not lacking[row.name]}
    all_plans = [found for of_row in plans.values() for found in of_row]
    with cluster(job.ray):
        tables, failed_cuts = _cut_all(job, all_plans, labels)
        place = Place(absolute(job.out), tables, job.device, max(1, int(job.ray.cpus)))
        units = distinct(found for found in all_plans if found.cut in tables)
        failed_units = run_units(units, place, Dispatcher(job.ray, use_gpu=job.device != "cpu"))
    records = Records(place, labels, Smoothing("median", job.smoothing))
    lines: list[dict[str, Any]] = []
    for row in rows:
        if lacking[row.name]:
            seeds = job.seeds[:1] if row.average else job.seeds
            lines += [records.without(row, seed, "skipped", lacking[row.name]) for seed in seeds]
            continue
        own = plans[row.name]
        for group in [own] if row.average else [[found] for found in own]:
            needed = [unit for found in group for unit in found.units()]
            reasons = [failed_cuts.get(group[0].cut), *(failed_units.get(unit) for unit in needed)]
            reason = next((text for text in reasons if text), None)
            failed = reason and records.without(row, group[0].seed, "failed", reason)
            lines.append(failed or records.of(group))
    _finish(job, lines, units=len(units), seconds=time.monotonic() - started)
    return EXIT_FAILURES if any(line["status"] == "failed" for line in lines) else EXIT_OK


def _check_boxes(job: AblationJob) -> None:
    if bool(job.boxes_train) != bool(job.boxes_test):
        raise ConfigError("--boxes-train and --boxes-test come together; give both or neither")
    if job.detector.kind == "boxes" and not job.boxes_train:
        raise ConfigError("detector.kind = boxes needs --boxes-train and --boxes-test")


def _base(job: AblationJob) -> Base:
    """What rows start from, its places absolute: workers run in folders of their own.

    Raises ConfigError when the detector is no network that can be used: before hours of work, not after.
    """
    detector = replace(job.detector, model=absolute(job.detector.model))
    if detector.model:
        known = resolve_detector(replace(detector, kind="onnx"))
        BoxFinder(ExtractionConfig(detector=known))
        detector = replace(detector, model_sha256=known.model_sha256)
    chosen = preset(job.preset)
    return Base(
        train=absolute(job.train),
        test=absolute(job.test),
        boxes=(absolute(job.boxes_train), absolute(job.boxes_test)),
        extraction=replace(ExtractionConfig.of(job), detector=detector),
        model=job.model,
        loss=LossConfig(),
        training=job.schedule.of(chosen.training),
        fusion=chosen.fusion,
        calibration_cubes=job.schedule.calibration_cubes,
    )


def _cut_all(job: AblationJob, plans: list[Plan], labels: FrameLabels) -> tuple[dict[Cut, Tables], dict[Cut, str]]:
    """Each extraction's tables, and why some have none. Raises EvaluationError when the labels are of other videos."""
    tables: dict[Cut, Tables] = {}
    failures: dict[Cut, str] = {}
    for cut in dict.fromkeys(found.cut for found in plans):
        try:
            tables[cut] = cut_cubes(cut, absolute(job.out), job.ray, image_fps=job.image_fps)
        except VideoError as error:
            failures[cut] = str(error)
            continue
        labelled(labels, frame_counts(tables[cut].test))
    return tables, failures


def _finish(job: AblationJob, lines: list[dict[str, Any]], *, units: int, seconds: float) -> None:
    result: Mapping[str, Any] = {
        "benchmark": "ablation",
        "seconds": round(seconds, 1),
        "units": units,
        "settings": to_dict(job),
        "chosen_on_labels": "nothing",
        "rows": lines,
    }
    put_table(join(job.out, "ablation.parquet"), records_table(lines))
    put_json(join(job.out, "ablation.json"), dict(result))
    shown = Table(title=f"frame AUROC, {units} units, {seconds:.0f} s; smoothed / raw")
    for column in HEAD:
        shown.add_column(column)
    for line in cells(lines):
        shown.add_row(*line)
    console = Console(width=160)
    console.print(shown)
    console.print("Nothing is chosen by these figures: they are of the test labels, and the best of them is no result.")
    console.print(f"written to {join(job.out, 'ablation.parquet')} and ablation.json")
