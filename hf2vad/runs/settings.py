"""Settings of extraction, of scoring and of evidence, which several jobs have in common."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import ClassVar, Self

from hf2vad.archive.path_filter import PathFilterSettings
from hf2vad.archive.settings import LimitsConfig, ZoneSettings
from hf2vad.cluster.settings import RayConfig
from hf2vad.commandline import required_missing
from hf2vad.cubes.settings import ExtractionConfig
from hf2vad.engines.settings import EngineChoice, EngineSpec, Precision
from hf2vad.errors import ConfigError
from hf2vad.evidence.settings import EvidenceConfig
from hf2vad.health.settings import HealthConfig
from hf2vad.scoring.settings import EventConfig
from hf2vad.settings import require, require_odd, require_rate
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
    """Frames of the median filter over frame scores, of any footage; none: as the bundle says, by default as many as
    last 1.7 s."""

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
        require(self.batch >= 1, f"--batch must be at least 1, got {self.batch}")
        require(self.vectors >= 0, f"--vectors must not be negative, got {self.vectors}")
        if self.engine != "auto":
            EngineSpec(name=self.engine, precision=self.precision)
        if self.smoothing is not None:
            require_odd("--smoothing", self.smoothing)
        if self.alarms and self.events.threshold is not None:
            raise ConfigError(f"--alarms {self.alarms} and events.threshold contradict each other; give one of them")


@dataclass(frozen=True, kw_only=True)
class ExtractSettings(PathFilterSettings, ZoneSettings, WalkSettings):
    """Settings of every job that cuts cubes into a table."""

    archive: str
    """Folder or s3://bucket/prefix of video files and folders of numbered images."""

    out: str
    """Folder for the STC table: <out>/stc/<dataset>/<video>/<start>-<stop>-<hash>.parquet."""

    dataset: str = ""
    """Name of this archive in the table; empty: the last part of the archive's path."""

    max_cubes: int = 20_000
    """Cubes of a camera, at most: short stretches, spread evenly over its footage, are cut and the rest is not looked
    at. The camera is what --pattern says, else what a usual recorder's names say, else the first folder, or the file.
    0: everything is cut."""

    leave_out_unhealthy: bool = False
    """Leave out cubes of frames whose footage is frozen, dark, covered …: what scoring marks as `health`."""

    health: HealthConfig = field(default_factory=HealthConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.max_cubes >= 0, f"--max-cubes must be at least 0, got {self.max_cubes}")
        _ = self.scope


@dataclass(frozen=True, kw_only=True)
class EvidenceSettings:
    """Settings of every job that shows events of scored videos."""

    scores: str
    """Output of `hf2vad score` or `hf2vad backfill`, or one bundle=<id> folder in it."""

    archive: str | tuple[str, ...]
    """The videos that were scored; of several archives, each as name=uri."""

    bundle: str = ""
    """The bundle that scored them, for the reasons of each event; empty: pictures and clips only."""

    image_fps: float = 0.0
    """Frames a second of folders of images, as they were scored with."""

    evidence: EvidenceConfig = field(default_factory=EvidenceConfig)
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    ray: RayConfig = field(default_factory=RayConfig)

    def __post_init__(self) -> None:
        require_rate("--image-fps", self.image_fps)
