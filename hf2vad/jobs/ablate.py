"""Run the paper's ablations and ours on normal and labelled videos: one table of frame AUROC.

Example:
    hf2vad ablate --train demo/archive/train --test demo/archive/test --labels demo/archive/labels.parquet \\
        --out demo/ablation --rows 'smoothing-*' --schedule.frame-steps 10
    hf2vad ablate --train s3://vad/train --test s3://vad/test --labels s3://vad/labels.parquet \\
        --out s3://vad/ablation --seeds 0 1 2

Each extraction is cut once, and each network is trained and scored once, however many rows use it. Rows that need a
detector (--detector.model) or boxes (--boxes-train, --boxes-test) are skipped without them. Run the command again to
resume. Exit code: 0 done, 2 usage, 3 some rows failed (the table gives the reasons).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from hf2vad.ablation.settings import Schedule
from hf2vad.cluster.settings import RayConfig
from hf2vad.commandline import EXIT_FAILURES, EXIT_OK, Job, required_missing
from hf2vad.cubes.settings import ExtractionConfig
from hf2vad.jobs.extract import ExtractJob, extract_job
from hf2vad.models.settings import LossConfig, ModelConfig
from hf2vad.presets import PresetName, preset
from hf2vad.settings import require, to_dict

if TYPE_CHECKING:
    from hf2vad.ablation.plan import Base


@dataclass(frozen=True, kw_only=True)
class AblationJob(ExtractionConfig):
    """Settings of hf2vad ablate."""

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
    """Boxes of the videos in `test`."""

    rows: tuple[str, ...] = ()
    """Names of rows, or patterns such as 'dis-*'; none: all."""

    seeds: tuple[int, ...] = (0,)
    """Every row is trained once with each of these."""

    preset: PresetName = "compact_eq9"
    """Preset that gives the defaults of extraction, model, training and fusion."""

    smoothing: int = 17
    """Frames of the median filter of the rows that do not say another; odd, 1: none."""

    device: str = "auto"
    """`auto`: the GPU where there is one. `cpu`, `cuda`, `cuda:1` …"""

    image_fps: float = 0.0
    """Frames a second of folders of images. 0: nobody knows; then times count 25 a second, smoothing and events count
    frames, and every frame is worked on."""

    schedule: Schedule = field(default_factory=Schedule)
    model: ModelConfig = field(default_factory=ModelConfig)
    ray: RayConfig = field(default_factory=RayConfig)

    @classmethod
    def base(cls, early: dict[str, str | None]) -> AblationJob:
        """The defaults of the chosen preset; --boxes-train makes given boxes the default."""
        name = early["preset"] or "compact_eq9"
        chosen = preset(name)
        detector = chosen.extraction.detector
        if early["boxes_train"]:
            detector = replace(detector, kinds=("boxes",))
        settings = {**chosen.extraction.parts, "detector": detector, "model": chosen.model, "preset": name}
        return cls(**{**required_missing(cls), **settings})

    def __post_init__(self) -> None:
        distinct = bool(self.seeds) and len(set(self.seeds)) == len(self.seeds)
        require(distinct, f"--seeds must name at least one seed, and none twice, got {self.seeds}")


def ablate_job(job: AblationJob) -> int:
    """Compute the rows, put and print their table; returns the exit code: 3 where a row failed."""
    from hf2vad.ablation.nodes import Workspace
    from hf2vad.ablation.plan import distinct, plan
    from hf2vad.ablation.record import Records
    from hf2vad.ablation.result import put_result
    from hf2vad.ablation.rows import select
    from hf2vad.ablation.runs import cut_all, run_nodes
    from hf2vad.cluster.dispatch import open_cluster
    from hf2vad.evaluation.labels import read_labels
    from hf2vad.evaluation.smoothing import Smoothing
    from hf2vad.storage import absolute

    started = time.monotonic()
    _check_boxes(job)
    rows, smoothing, labels = select(job.rows), Smoothing("median", job.smoothing), read_labels(job.labels)
    base = _base(job)
    lacking = {row.name: base.lacks(row, seeds=len(job.seeds)) for row in rows}
    plans = {row.name: [plan(row, seed, base) for seed in job.seeds] for row in rows if not lacking[row.name]}
    all_plans = [each for of_row in plans.values() for each in of_row]
    out = absolute(job.out)
    with open_cluster(job.ray, use_gpu=job.device != "cpu") as cluster:
        tables, failed_cuts = cut_all([each.cut for each in all_plans], out, labels, partial(_extract, job))
        workspace = Workspace(out, tables, job.device, max(1, int(job.ray.cpus)))
        nodes = distinct(each for each in all_plans if each.cut in tables)
        failed_nodes = run_nodes(nodes, workspace, cluster)
    records = Records(workspace, labels, smoothing)
    lines: list[dict[str, Any]] = []
    for row in rows:
        if lacking[row.name]:
            seeds = job.seeds[:1] if row.average else job.seeds
            lines += [records.without(row, seed, "skipped", lacking[row.name]) for seed in seeds]
            continue
        own = plans[row.name]
        for group in [own] if row.average else [[each] for each in own]:
            needed = [node for each in group for node in each.nodes()]
            reasons = [failed_cuts.get(group[0].cut), *(failed_nodes.get(node) for node in needed)]
            reason = next((text for text in reasons if text), None)
            failed = reason and records.without(row, group[0].seed, "failed", reason)
            lines.append(failed or records.of(group))
    put_result(job.out, to_dict(job), lines, nodes=len(nodes), seconds=time.monotonic() - started)
    return EXIT_FAILURES if any(line["status"] == "failed" for line in lines) else EXIT_OK


def _check_boxes(job: AblationJob) -> None:
    together = bool(job.boxes_train) == bool(job.boxes_test)
    require(together, "--boxes-train and --boxes-test come together; give both or neither")
    given = "boxes" not in job.detector.kinds or bool(job.boxes_train)
    require(given, "detector.kinds with boxes needs --boxes-train and --boxes-test")


def _base(job: AblationJob) -> Base:
    """The settings that rows start from, with absolute places: workers run in folders of their own.

    Raises ConfigError when the detector is no network that can be used: before hours of work, not after.
    """
    from hf2vad.ablation.plan import Base
    from hf2vad.cubes.detect import BoxFinder, absolute_detector, resolve_detector
    from hf2vad.storage import absolute

    detector = absolute_detector(job.detector)
    if detector.model:
        resolved = resolve_detector(replace(detector, kinds=("onnx",)))
        BoxFinder(ExtractionConfig(detector=resolved))
        detector = replace(detector, model_sha256=resolved.model_sha256)
    chosen = preset(job.preset)
    return Base(
        train=absolute(job.train),
        test=absolute(job.test),
        boxes=(absolute(job.boxes_train), absolute(job.boxes_test)),
        extraction=replace(job.extraction, detector=detector),
        model=job.model,
        loss=LossConfig(),
        training=job.schedule.of(chosen.training),
        fusion=chosen.fusion,
        calibration_cubes=job.schedule.calibration_cubes,
    )


def _extract(
    job: AblationJob, *, archive: str, boxes: str, out: str, dataset: str, extraction: ExtractionConfig
) -> int:
    """Cut the cubes of one archive; returns the exit code."""
    cut = ExtractJob(archive=archive, out=out, boxes=boxes, dataset=dataset, image_fps=job.image_fps, ray=job.ray)
    return extract_job(replace(cut, **extraction.parts))


JOB = Job(
    "ablate",
    AblationJob,
    ablate_job,
    __doc__,
    shown=("train", "test", "labels", "out", "rows", "seeds", "preset", "boxes-train"),
)
