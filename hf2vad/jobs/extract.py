"""Cut an archive into spatio-temporal cubes: an STC table for training.

Example:
    python jobs/extract_stc.py --archive demo/archive/train --out demo/stc
    python jobs/extract_stc.py --archive s3://cameras/2026 --include '*.mp4' --out s3://vad/stc --ray.workers 64

Run it again to go on where it stopped. Exit code: 0 done, 2 usage, 3 some videos failed (see <out>/failures/), 143
stopped by SIGTERM, which lets shards in flight finish.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any, ClassVar

import cv2
import pyarrow as pa
import pyarrow.parquet as pq

from hf2vad.archive.catalog import Video
from hf2vad.archive.settings import LimitsConfig
from hf2vad.archive.shards import Range, Shard
from hf2vad.archive.timeline import Timeline, probe, shown_seconds
from hf2vad.cluster.dispatch import Call, RayConfig
from hf2vad.cluster.stop import GRACE_SECONDS
from hf2vad.commandline import Job, required_missing
from hf2vad.cubes.detect import resolve_detector
from hf2vad.cubes.extract import AHEAD, Extractor
from hf2vad.cubes.settings import (
    CubeConfig,
    DetectorConfig,
    ExtractionConfig,
    FlowConfig,
    MotionConfig,
    WorkingConfig,
    extraction_fingerprint,
)
from hf2vad.hashes import content_hash, hash_of
from hf2vad.health.look import EVERY, Look
from hf2vad.health.settings import HealthConfig
from hf2vad.jobs.extract_health import HealthOfCubes
from hf2vad.presets import PresetName, preset
from hf2vad.profile import SPANS_PER_SHARD, recording, span
from hf2vad.schema import SCHEMA_VERSION, STC, cubes_to_arrow, pack_metadata
from hf2vad.settings import to_dict
from hf2vad.storage import absolute, atomic_writer, delete, exists, join, key_path, put_json, read_json
from hf2vad.threads import prefetch
from hf2vad.walk.markers import Marks, list_shards, shard_name
from hf2vad.walk.record import known_failure, settle_failures
from hf2vad.walk.run import absolute_places, check_boxes, check_walk_options, run_walk, some_videos
from hf2vad.walk.settings import BreakerConfig
from hf2vad.walk.walk import Failure, Opened

ROWS_PER_GROUP = 256
"""Cubes in a Parquet row group: 8 MB, what a reader holds at least."""


@dataclass(frozen=True, kw_only=True)
class ExtractJob:
    """Settings of jobs/extract_stc.py."""

    EARLY: ClassVar[tuple[str, ...]] = ("preset", "boxes")

    archive: str
    """Folder or s3://bucket/prefix of video files and folders of numbered images."""

    out: str
    """Where the STC table goes: <out>/stc/<dataset>/<video>/<start>-<stop>-<hash>.parquet."""

    boxes: str = ""
    """Parquet file of boxes (video, frame, x1, y1, x2, y2) to use instead of finding them."""

    preset: PresetName = "compact"
    """Where the defaults of flow, motion and detector come from."""

    include: tuple[str, ...] = ()
    """Only videos whose path in the archive, or name, matches one of these patterns, such as '*.avi'."""

    frames: str = ":"
    """Part of every video: 0:500 in frames, :50% in shares."""

    shard_frames: int = 200
    """Frames of one unit of work."""

    dataset: str = ""
    """Name of this archive in the table; empty: the last part of the archive's path."""

    image_fps: float = 25.0
    """Frame rate of folders of images."""

    leave_out_unhealthy: bool = False
    """Leave out cubes of frames whose footage is frozen, dark, covered …: what scoring marks as `health`."""

    profile: bool = False
    """Write a trace of the first shards, <out>/runs/<run>.trace.json.gz, and print where time went."""

    grace_seconds: float = GRACE_SECONDS
    """How long shards in flight may take to finish after SIGTERM; then, or with a second SIGTERM, they are dropped."""

    health: HealthConfig = field(default_factory=HealthConfig)
    working: WorkingConfig = field(default_factory=WorkingConfig)
    flow: FlowConfig = field(default_factory=FlowConfig)
    motion: MotionConfig = field(default_factory=MotionConfig)
    detector: DetectorConfig = field(default_factory=DetectorConfig)
    cube: CubeConfig = field(default_factory=CubeConfig)
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    breaker: BreakerConfig = field(default_factory=BreakerConfig)
    ray: RayConfig = field(default_factory=RayConfig)

    @classmethod
    def base(cls, early: dict[str, str | None]) -> ExtractJob:
        """The defaults of the chosen preset; --boxes makes them the source of boxes."""
        name = early["preset"] or "compact"
        chosen = preset(name).extraction
        detector = replace(chosen.detector, kind="boxes") if early["boxes"] else chosen.detector
        return cls(**{**required_missing(cls), **chosen.parts, "detector": detector, "preset": name})

    def __post_init__(self) -> None:
        check_walk_options(self.shard_frames, self.image_fps, self.frames, self.grace_seconds)

    @property
    def extraction(self) -> ExtractionConfig:
        """The settings that decide what a cube holds."""
        return ExtractionConfig.of(self)


def extract_job(job: ExtractJob) -> int:
    """Extract every video of the archive; returns the exit code."""
    check_boxes(job.boxes, job.detector)
    job = replace(job, archive=absolute(job.archive), **absolute_places(job))
    extraction = replace(job.extraction, detector=resolve_detector(job.detector))
    dataset = key_path(job.dataset or job.archive.rstrip("/").rsplit("/", 1)[-1] or "archive")
    content = [extraction_fingerprint(extraction), content_hash(job.boxes), job.frames, job.shard_frames]
    if job.leave_out_unhealthy:
        content += [to_dict(job.health), EVERY]
    work = ExtractWork(
        extraction=extraction,
        boxes=job.boxes,
        out=job.out,
        prefix=join(job.out, "stc", dataset),
        marks=Marks(join(job.out, "done", dataset)),
        image_fps=job.image_fps,
        limits=job.limits,
        threads=max(1, int(job.ray.cpus)),
        profile=job.profile,
        plan_id=hash_of(SCHEMA_VERSION, *content),
        health=HealthOfCubes(job.health, job.out, dataset) if job.leave_out_unhealthy else None,
    )
    videos = some_videos(job.archive, job.include)
    return run_walk("extract_stc", job, work, videos, use_gpu=False, extra={"table": work.prefix})


@dataclass(frozen=True)
class ExtractWork:
    """What the walk does with a video; travels to the workers."""

    extraction: ExtractionConfig
    boxes: str
    out: str
    prefix: str
    marks: Marks
    image_fps: float
    limits: LimitsConfig
    threads: int
    profile: bool
    """Whether single spans are kept."""
    plan_id: str
    """Hash of everything that decides which files a video ends as, and their content."""
    health: HealthOfCubes | None
    """None: cubes of unhealthy footage stay."""

    def state(self, video: Video) -> str:
        return hash_of(video.fingerprint, self.plan_id)

    def failure(self, video: Video) -> str | None:
        return known_failure(self.out, video)

    def open(self, video: Video) -> Call:
        return Call(open_video, (self, video), None)

    def work(self, shard: Shard) -> Call:
        return Call(extract_shard, (self, shard), None)

    def close(self, video: Video, timeline: Timeline | None, plan: list[Range], failures: list[Failure]) -> Call:
        return Call(close_video, (self, video, timeline, plan, failures), None)

    def folder(self, video: Video) -> str:
        return join(self.prefix, key_path(video.id))

    def shard_uri(self, video: Video, frames: Range) -> str:
        return join(self.folder(video), shard_name(frames, self.state(video)))

    def description(self, video: Video) -> str:
        """Where it is said what the files of a complete video are."""
        return join(self.folder(video), "video.json")

    def metadata(self, video: Video, frames: Range) -> dict[str, Any]:
        return {
            "video": video.id,
            "fingerprint": video.fingerprint,
            "start": frames[0],
            "stop": frames[1],
            "extraction": to_dict(self.extraction),
            "plan": self.plan_id,
            **({"left_out": to_dict(self.health.config)} if self.health else {}),
        }


def open_video(work: ExtractWork, video: Video) -> Opened:
    """Look at what is there of `video`, and at the video itself where something is to do.

    What is there of another plan, or of the video as it was, is removed: first what calls it complete, then its files.
    """
    state = work.state(video)
    if exists(work.description(video)):
        known = read_json(work.description(video))
        found = hash_of(known["fingerprint"], known["plan"])
        if found == state:
            failure = work.failure(video)
            _finish(work, video, failure)
            return Opened(None, failure=failure)
        work.marks.remove(video, found)
        delete(work.description(video))
    done = set()
    for uri, frames, found in list(list_shards(work.folder(video))):
        if found == state:
            done.add(frames)
        else:
            delete(uri)
    if work.health:
        work.health.forget(video, but=state)
    return Opened(probe(video, image_fps=work.image_fps, limits=work.limits), frozenset(done))


def _finish(work: ExtractWork, video: Video, failure: str | None) -> None:
    """Remove what is needed no more of a complete video, and mark it last."""
    if work.health:
        work.health.forget(video)
    work.marks.put(video, work.state(video), failed=failure is not None)


def extract_shard(work: ExtractWork, shard: Shard) -> dict[str, Any]:
    """Write the cubes of one shard; returns counts, and the report of what took how long."""
    started = time.monotonic()
    label = f"{shard.video.id} {shard.start}-{shard.stop}"
    with recording("write", label=label, keep=SPANS_PER_SHARD if work.profile else 0) as recorded:
        counts = _extract_shard(work, shard)
    return {**counts, "busy_s": time.monotonic() - started, "profile": recorded.report()}


def _extract_shard(work: ExtractWork, shard: Shard) -> dict[str, float]:
    frames: Range = (shard.start, shard.stop)
    schema = STC.with_metadata(pack_metadata("stc", work.metadata(shard.video, frames)))
    counts = {"frames": 0, "cubes": 0, "undecodable": 0, "dropped_boxes": 0}
    times: list[float] = []
    look = Look(shard.start, shard.stop) if work.health else None
    with span("load"):
        extractor = warm_extractor(work.extraction, work.boxes)
    with (
        atomic_writer(work.shard_uri(shard.video, frames)) as file,
        pq.ParquetWriter(file, schema, compression="none", use_dictionary=False, write_statistics=False) as writer,
        closing(prefetch(extractor.cubes(shard, look), depth=AHEAD, name="cubes")) as batches,
    ):
        rows: list[pa.RecordBatch] = []
        for batch in batches:
            counts["frames"] += 1
            counts["cubes"] += len(batch)
            counts["dropped_boxes"] += batch.dropped
            counts["undecodable"] += batch.status == "undecodable"
            times = [times[0] if times else batch.pts_s, batch.pts_s]
            with span("write"):
                if len(batch):
                    rows.append(cubes_to_arrow(shard.video.id, batch))
                if sum(len(part) for part in rows) >= ROWS_PER_GROUP:
                    writer.write_table(pa.Table.from_batches(rows, schema))
                    rows = []
        if rows:
            with span("write"):
                writer.write_table(pa.Table.from_batches(rows, schema))
        if work.health and look:
            work.health.put_look(shard.video, look, frames, work.state(shard.video), work.metadata(shard.video, frames))
    return {**counts, "video_s": shown_seconds(times, counts["frames"])}


@lru_cache(maxsize=1)
def warm_extractor(extraction: ExtractionConfig, boxes: str) -> Extractor:
    """The extractor of this worker process, kept from shard to shard."""
    cv2.setNumThreads(1)
    return Extractor(extraction, boxes)


def close_video(
    work: ExtractWork, video: Video, timeline: Timeline | None, plan: list[Range], failures: list[Failure]
) -> dict[str, Any]:
    """Mark `video` as done, or leave its failure row. Cubes of unhealthy footage go, where they are to."""
    truncated = [Failure(timeline.truncated, [])] if timeline is not None and timeline.truncated else []
    reason = settle_failures(work.out, video, [*failures, *truncated])
    failed = {frames for failure in failures for frames in failure.ranges}
    shards = [frames for frames in plan if frames not in failed]
    counts: dict[str, int] = {}
    if work.health and timeline is not None and shards:
        frames: Range = (plan[0][0], plan[-1][1])
        known = work.state(video), work.metadata(video, frames), partial(work.shard_uri, video)
        counts = work.health.leave_out(video, timeline, frames, shards, *known)
    if not failures:
        ranges = [list(frames) for frames in plan]
        row = {"video": video.id, "fingerprint": video.fingerprint, "plan": work.plan_id, "shards": ranges}
        put_json(work.description(video), row)
        _finish(work, video, reason)
    return {"failure": reason, **counts}


JOB = Job("extract", ExtractJob, extract_job, __doc__)
