"""Score every frame of an archive with a bundle: Parquet tables of frames, objects and events.

Example:
    hf2vad score demo/archive/test --bundle demo/bundle --out demo/scores
    ray job submit --working-dir . -- python jobs/score_archive.py \\
        --archive s3://cameras/2026 --bundle s3://vad/bundles/site-7 --out s3://vad/scores

Run the command again to resume. Exit code: 0 done, 2 usage, 3 some videos failed or could be scored only in
part (see <out>/bundle=<id>/failures/), 143 stopped by SIGTERM, which lets shards in flight finish.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import ClassVar, Self

from hf2vad.archive.settings import ZoneSettings
from hf2vad.commandline import Job, required_missing
from hf2vad.cubes.settings import ExtractionConfig
from hf2vad.engines.settings import EngineChoice, EngineSpec, Precision
from hf2vad.errors import ConfigError
from hf2vad.health.settings import HealthConfig
from hf2vad.scoring.settings import EventConfig
from hf2vad.walk.settings import WalkSettings

OF_BUNDLE = tuple(item.name for item in fields(ExtractionConfig))
"""Settings that decide the cubes: scoring takes them from the bundle, and refuses others."""
WHY_HIDDEN = (
    f"Not listed, because the bundle brings them: {', '.join(OF_BUNDLE)}. hf2vad extract --help-all says what they are."
)


@dataclass(frozen=True, kw_only=True)
class ScoreSettings(ZoneSettings, WalkSettings):
    """Settings of every job that scores."""

    EARLY: ClassVar[tuple[str, ...]] = ("bundle",)

    archive: str | tuple[str, ...]
    """Archive to score. Each job has its own form."""

    bundle: str
    """The trained model: what hf2vad train put."""

    out: str
    """Folder for the tables: <out>/bundle=<id>/frames/<video>.parquet, and objects, events, failures beside it."""

    boxes: str = ""
    """Parquet file of boxes (video, frame, x1, y1, x2, y2), for a bundle that was trained on such boxes."""

    engine: EngineChoice = "auto"
    """Engine that runs the network. `eager`: plain PyTorch, the reference. `compiled`: torch.compile in each worker.
    `aot`, `tensorrt`: a package, built if missing. `auto`: a package that fits, else `compiled` on a GPU, else `eager`.
    """

    precision: Precision = "fp32"
    """Numbers of engines other than eager. `tf32` and `fp16` need a GPU."""

    engine_cache: str = ""
    """Folder or s3:// prefix of packages, which are executable code; empty: engines/ in the bundle."""

    batch: int = 64
    """Cubes that the network works on at once."""

    device: str = "auto"
    """`auto`: the GPU where a worker has one. `cpu`, `cuda`."""

    smoothing: int | None = None
    """Frames of the median filter over frame scores; none: the bundle's."""

    all_parts: bool = False
    """Measure every feature that the bundle has, not only those with a weight in its score; the others are null in the
    tables. Scores stay the same."""

    vectors: int = 0
    """Objects of each second, the highest scoring, that keep a vector of 64 bytes, by which `hf2vad similar` finds more
    like them; 0: none."""

    alarms: str = ""
    """File of hf2vad alarms: at which score an event starts, by camera, in place of the bundle's thresholds."""

    events: EventConfig = field(default_factory=EventConfig)
    health: HealthConfig = field(default_factory=HealthConfig)

    @classmethod
    def base(cls, early: dict[str, str | None]) -> Self:
        """The bundle's own extraction settings as defaults."""
        values = required_missing(cls)
        if early["bundle"]:
            from hf2vad.bundle.settings import load_bundle_settings

            values |= load_bundle_settings(early["bundle"]).extraction.parts
        return cls(**values)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch < 1:
            raise ConfigError(f"--batch must be at least 1, got {self.batch}")
        if self.vectors < 0:
            raise ConfigError(f"--vectors must not be negative, got {self.vectors}")
        if self.engine != "auto":
            EngineSpec(name=self.engine, precision=self.precision)
        if self.smoothing is not None and (self.smoothing < 1 or self.smoothing % 2 == 0):
            raise ConfigError(f"--smoothing must be odd and positive, got {self.smoothing}")

        if self.alarms and self.events.threshold is not None:
            raise ConfigError(f"--alarms {self.alarms} and events.threshold contradict each other; give one of them")


@dataclass(frozen=True, kw_only=True)
class ScoreJob(ScoreSettings):
    """Settings of hf2vad score."""

    archive: str
    """Folder or s3://bucket/prefix of video files and folders of numbered images, or one video file."""

    dry_run: bool = False
    """Score nothing; list the videos with their frames and hours, and what is passed over and why."""


def score_job(job: ScoreJob) -> int:
    """Score every video of the archive; returns the exit code.

    Raises MismatchError when an extraction setting is not the bundle's.
    """
    from hf2vad.archive.archive_refs import ArchiveRef
    from hf2vad.archive.passed import PassedOver
    from hf2vad.jobs.scoring import run_scoring, scoring_task
    from hf2vad.storage import absolute
    from hf2vad.walk.run import absolute_places, some_videos, zones_of

    job = replace(job, archive=absolute(job.archive), bundle=absolute(job.bundle), **absolute_places(job))
    task = scoring_task(job, zones_of(job.zones, [ArchiveRef("", job.archive)]))
    passed = PassedOver()
    videos = some_videos(job.archive, job.include, passed)
    if job.dry_run:
        from hf2vad.jobs.dry_run import list_archive

        decode = job.extraction.decode
        return list_archive(videos, passed, image_fps=job.image_fps, limits=job.limits, decode=decode)
    return run_scoring("score", job, task, videos, passed)


JOB = Job(
    "score",
    ScoreJob,
    score_job,
    __doc__,
    shown=("archive", "bundle", "out", "frames", "events.threshold", "alarms", "dry-run", "ray.address"),
    reads="archive",
    hidden=OF_BUNDLE,
    why_hidden=WHY_HIDDEN,
)
