"""Score every frame of an archive with a bundle: Parquet tables of frames, objects and events.

Example:
    python jobs/score_archive.py --archive demo/archive/test --bundle demo/bundle --out demo/scores
    ray job submit --working-dir . -- python jobs/score_archive.py \\
        --archive s3://cameras/2026 --bundle s3://vad/bundles/site-7 --out s3://vad/scores

Run it again to go on where it stopped. Exit code: 0 done, 2 usage, 3 some videos failed or could be scored only in
part (see <out>/bundle=<id>/failures/), 143 stopped by SIGTERM, which lets shards in flight finish.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

from hf2vad.archive.catalog import Video
from hf2vad.archive.settings import LimitsConfig
from hf2vad.bundle.bundle import load_bundle
from hf2vad.bundle.settings import load_bundle_settings
from hf2vad.cluster.dispatch import Cluster
from hf2vad.cluster.engine import ask_for_engine
from hf2vad.cluster.settings import RayConfig
from hf2vad.cluster.stop import GRACE_SECONDS, Stop
from hf2vad.commandline import Job, required_missing
from hf2vad.cubes.detect import resolve_detector
from hf2vad.cubes.settings import (
    CubeConfig,
    DetectorConfig,
    ExtractionConfig,
    FlowConfig,
    MotionConfig,
    WorkingConfig,
    extraction_difference,
)
from hf2vad.engines import EngineChoice, EngineSpec
from hf2vad.engines.eager import Precision
from hf2vad.engines.request import EngineRequest, cache_of
from hf2vad.errors import ConfigError, MismatchError
from hf2vad.features.registry import networks_for
from hf2vad.hashes import content_hash, hash_of
from hf2vad.health.look import EVERY
from hf2vad.health.settings import HealthConfig
from hf2vad.models.device import choose_device
from hf2vad.schema import SCHEMA_VERSION
from hf2vad.scoring.alarms import read_alarms
from hf2vad.scoring.feature_set import counted_features, fitted_features
from hf2vad.scoring.settings import EventConfig
from hf2vad.settings import to_dict
from hf2vad.storage import absolute, join
from hf2vad.tables.layout import ScoreLayout
from hf2vad.tasks.scoring import ScoringTask
from hf2vad.walk.limits import WalkLimits
from hf2vad.walk.run import absolute_places, check_boxes, check_walk_options, run_walk, some_videos
from hf2vad.walk.settings import BreakerConfig
from hf2vad.walk.task import WalkConfig


@dataclass(frozen=True, kw_only=True)
class ScoreSettings:
    """Settings of every job that scores."""

    EARLY: ClassVar[tuple[str, ...]] = ("bundle",)

    archive: str | tuple[str, ...]
    """What is scored; each job has its own form."""

    bundle: str
    """The trained model: what jobs/train.py put."""

    out: str
    """Where the tables go: <out>/bundle=<id>/frames/<video>.parquet, and objects, events, failures beside it."""

    boxes: str = ""
    """Parquet file of boxes (video, frame, x1, y1, x2, y2), for a bundle that was trained on such boxes."""

    include: tuple[str, ...] = ()
    """Only videos whose path in the archive, or name, matches one of these patterns, such as '*.avi'."""

    frames: str = ":"
    """Part of every video: 0:500 in frames, 50%: in shares."""

    shard_frames: int = 200
    """Frames of one unit of work."""

    image_fps: float = 25.0
    """Frame rate of folders of images."""

    engine: EngineChoice = "auto"
    """What runs the network. `eager`: PyTorch as it is, the reference. `compiled`: by torch.compile, in each worker.
    `aot`, `tensorrt`: from a package, which is built where there is none. `auto`: a package that fits, else `compiled`
    on a GPU, else `eager`."""

    precision: Precision = "fp32"
    """Numbers of engines other than eager. `tf32` and `fp16` need a GPU."""

    engine_cache: str = ""
    """Folder or s3:// prefix of packages, which are executable code; empty: engines/ in the bundle."""

    batch: int = 64
    """Cubes that the network works on at once."""

    device: str = "auto"
    """`auto`: the GPU where a worker has one. `cpu`, `cuda`."""

    profile: bool = False
    """Write a trace of the first shards, <out>/runs/<run>.trace.json.gz, and print where time went."""

    grace_seconds: float = GRACE_SECONDS
    """How long shards in flight may take to finish after SIGTERM; then, or with a second SIGTERM, they are dropped."""

    smoothing: int | None = None
    """Frames of the median filter over frame scores; none: the bundle's."""

    all_parts: bool = False
    """Measure every feature that the bundle has, not only those with a weight in its score; the others are null in the
    tables. Scores stay the same."""

    alarms: str = ""
    """File of jobs/alarms.py: at which score an event starts, by camera, in place of the bundle's thresholds."""

    events: EventConfig = field(default_factory=EventConfig)
    health: HealthConfig = field(default_factory=HealthConfig)
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    working: WorkingConfig = field(default_factory=WorkingConfig)
    flow: FlowConfig = field(default_factory=FlowConfig)
    motion: MotionConfig = field(default_factory=MotionConfig)
    detector: DetectorConfig = field(default_factory=DetectorConfig)
    cube: CubeConfig = field(default_factory=CubeConfig)
    breaker: BreakerConfig = field(default_factory=BreakerConfig)
    ray: RayConfig = field(default_factory=RayConfig)

    @classmethod
    def base(cls, early: dict[str, str | None]) -> Self:
        """The bundle's own extraction settings as defaults."""
        values = required_missing(cls)
        if early["bundle"]:
            values |= load_bundle_settings(early["bundle"]).extraction.parts
        return cls(**values)

    def __post_init__(self) -> None:
        check_walk_options(self.shard_frames, self.image_fps, self.frames, self.grace_seconds)
        if self.batch < 1:
            raise ConfigError(f"--batch must be at least 1, got {self.batch}")
        if self.engine != "auto":
            EngineSpec(name=self.engine, precision=self.precision)
        if self.smoothing is not None and (self.smoothing < 1 or self.smoothing % 2 == 0):
            raise ConfigError(f"--smoothing must be odd and positive, got {self.smoothing}")

        if self.alarms and self.events.threshold is not None:
            raise ConfigError(f"--alarms {self.alarms} and events.threshold contradict each other; give one of them")

    @property
    def extraction(self) -> ExtractionConfig:
        """The settings that decide what a cube holds."""
        return ExtractionConfig.of(self)


@dataclass(frozen=True, kw_only=True)
class ScoreJob(ScoreSettings):
    """Settings of jobs/score_archive.py."""

    archive: str
    """Folder or s3://bucket/prefix of video files and folders of numbered images."""


def score_job(job: ScoreJob) -> int:
    """Score every video of the archive; returns the exit code.

    Raises MismatchError when an extraction setting is not the bundle's.
    """
    job = replace(job, archive=absolute(job.archive), bundle=absolute(job.bundle), **absolute_places(job))
    return run_scoring("score_archive", job, scoring_task(job), some_videos(job.archive, job.include))


def run_scoring(
    name: str,
    job: ScoreSettings,
    task: ScoringTask,
    videos: Iterator[Video],
    *,
    limits: WalkLimits | None = None,
    then: Callable[[Cluster, Stop], dict[str, Any]] | None = None,
) -> int:
    """Choose the engine and walk over `videos`, and `then` do more on the same cluster; returns the exit code."""

    def prepare(cluster: Cluster) -> tuple[ScoringTask, dict[str, str]]:
        if job.engine == "eager" or not task.engine.networks:
            return task, {"engine": task.engine.label}
        choice = ask_for_engine(engine_request(job, task), cluster).choice
        print(f"engine: {choice.spec.label} on {choice.place.device}: {choice.why}", flush=True)
        record = {"engine": choice.spec.label, "engine_why": choice.why, "device": choice.place.device}
        return task.with_engine(choice.spec), record

    return run_walk(name, job, task, videos, prepare=prepare, limits=limits, then=then)


def engine_request(job: ScoreSettings, task: ScoringTask) -> EngineRequest:
    """Which engine `job` wants for `task`."""
    return EngineRequest(
        bundle_uri=job.bundle,
        bundle_id=task.bundle.id,
        wanted=job.engine,
        precision=job.precision,
        cache=cache_of(job.bundle, job.engine_cache),
        networks=task.engine.networks,
        batch=job.batch,
        device=job.device,
        threads=task.config.threads,
    )


def scoring_task(job: ScoreSettings, *, tries: int = 0) -> ScoringTask:
    """What the walk does with each video, for a job whose places are absolute, by the engine `eager` until another is
    chosen; raises what `score_job` does."""
    bundle = load_bundle(job.bundle)
    extraction = replace(job.extraction, detector=resolve_detector(job.detector))
    if difference := extraction_difference(bundle.settings.extraction, extraction):
        raise MismatchError(
            f"{job.bundle} was trained on other cubes than these settings make ({difference}); leave the settings out"
        )
    check_boxes(job.boxes, job.detector)
    if job.device != "auto":
        choose_device(job.device)
    settings = bundle.settings
    smoothing = settings.smoothing if job.smoothing is None else job.smoothing
    alarms = [content_hash(absolute(job.alarms))] if job.alarms else []
    if job.alarms:
        settings = read_alarms(absolute(job.alarms)).applied_to(settings, job.events, smoothing=smoothing)
    counted = counted_features(settings.fusion)
    features = fitted_features(bundle) if job.all_parts else counted
    more = [name for name in features if name not in counted]
    engine = EngineSpec(name="eager", networks=networks_for(features))
    plan = hash_of(SCHEMA_VERSION, content_hash(job.boxes), job.frames, job.image_fps, EVERY, *more)
    return ScoringTask(
        layout=ScoreLayout(
            prefix=join(job.out, f"bundle={bundle.id}"),
            bundle=bundle.id,
            engine=engine.label,
            plan=plan,
            scores=hash_of(plan, smoothing, to_dict(job.health)),
            final=hash_of(plan, smoothing, to_dict(job.events), to_dict(job.health), *alarms),
        ),
        config=WalkConfig(
            extraction=extraction,
            boxes=job.boxes,
            image_fps=job.image_fps,
            limits=job.limits,
            threads=max(1, int(job.ray.cpus)),
            frame_stats=True,
            profile=job.profile,
            tries=tries,
        ),
        bundle_uri=job.bundle,
        bundle=settings,
        features=features,
        engine=engine,
        batch=job.batch,
        device=job.device,
        smoothing=smoothing,
        events=job.events,
        health=job.health,
    )


JOB = Job("score", ScoreJob, score_job, __doc__)
