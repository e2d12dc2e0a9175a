"""Settings that decide what a cube holds: working size, flow, boxes and crops. They travel with a trained model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Literal

from hf2vad.archive.settings import DecodeConfig
from hf2vad.cubes.detectors.settings import DETECTORS, DetectorConfig, MotionConfig
from hf2vad.settings import OMIT_DEFAULT, fingerprint, flat, require, require_rate, to_dict

__all__ = [
    "CubeConfig",
    "DetectorConfig",
    "ExtractionConfig",
    "FlowConfig",
    "MotionConfig",
    "WorkingConfig",
    "extraction_difference",
    "extraction_fingerprint",
]


@dataclass(frozen=True, kw_only=True)
class FlowConfig:
    """Dense optical flow between neighbouring frames: OpenCV's Dense Inverse Search on the CPU, without weights
    (Kroeger et al. 2016)."""

    CONSTANTS: ClassVar[Mapping[str, Any]] = {"method": "dis"}

    preset: Literal["ultrafast", "fast", "fast_half", "medium"] = "fast"
    """DIS preset. `medium` has the same median speed as `fast` but outliers that rule a squared error. `fast_half` is
    `fast` that goes on to half of the resolution that it is given, where `fast` ends at a quarter: at scale 1 it is as
    fine as `fast` at scale 2, and no frame is enlarged."""

    scale: float = 2.0
    """Frames are enlarged by this factor before flow is computed."""

    units: Literal["source", "enlarged"] = "source"
    """Vectors in pixels of the source frame, or of the enlarged one (as the paper's release had them)."""

    region: Literal["frame", "boxes", "moving"] = field(default="frame", metadata={OMIT_DEFAULT: True})
    """`frame`: flow of whole frames. `boxes`: only around the boxes whose cubes need it, which takes a third of the
    time or less where most of the picture is still. `moving`: only around what moves in these boxes, the pixels that
    differ between the two frames by more than half of `motion.threshold`. Elsewhere flow is 0."""

    margin: int = field(default=16, metadata={OMIT_DEFAULT: True})
    """Least margin around each box, or what moves in it, that flow is computed over with regions `boxes` and `moving`,
    in pixels."""

    follow: bool = field(default=False, metadata={OMIT_DEFAULT: True})
    """Cut each flow where the box's object was then, told by its own motion, in place of where the box is. What is
    small and fast has not come to its box yet in the first of four flows. Pictures are cut where the box is."""

    def __post_init__(self) -> None:
        require(0 < self.scale <= 8, f"flow.scale must be above 0 and at most 8, got {self.scale}")
        require(0 <= self.margin <= 1000, f"flow.margin must lie between 0 and 1000, got {self.margin}")


@dataclass(frozen=True, kw_only=True)
class WorkingConfig:
    """The size and rate that frames are worked on at: flow, boxes and crops. Boxes in tables stay in source pixels."""

    longest: int = 0
    """Frames whose longer side has more pixels are scaled down to it, their shape kept; 0: worked on as coded.
    Lengths and areas in `motion` and `detector` are in pixels of this size."""

    fps: float = field(default=0.0, metadata={OMIT_DEFAULT: True})
    """Frames a second that are worked on, chosen by their times; a frame between takes the score of the one before it.
    Flow is then motion in 1 / fps seconds, whatever the footage's own rate. 0: every frame, and flow from one to the
    next. Of folders of images without --image-fps, every frame whatever this says."""

    steady: bool = field(default=False, metadata={OMIT_DEFAULT: True})
    """Lay the frames of a camera that sways, in wind or on a pole that trembles, on the background of the ten minutes
    around. Whether it sways is found out; frames of one that stands still stay as they are."""

    clock: bool = field(default=False, metadata={OMIT_DEFAULT: True})
    """Drop boxes on the line of text of a clock that is burnt into the picture: digits that change are no motion.
    Whether there is one is found out, from its seconds; in folders of images none is."""

    def __post_init__(self) -> None:
        require_rate("working.fps", self.fps)
        require(
            self.longest == 0 or self.longest >= 64, f"working.longest must be 0 or at least 64, got {self.longest}"
        )

    def size(self, width: int, height: int) -> tuple[int, int]:
        """The (width, height) at which frames of `width` × `height` pixels are worked on."""
        longer = max(width, height)
        if not 0 < self.longest < longer:
            return width, height
        return max(1, round(width * self.longest / longer)), max(1, round(height * self.longest / longer))


@dataclass(frozen=True, kw_only=True)
class CubeConfig:
    """Geometry of a spatio-temporal cube (paper §3), which the networks are built for.

    size: side of the crop that every box is resized to, in pixels. context: frames before the scored one, and so flows.
    """

    CONSTANTS: ClassVar[Mapping[str, Any]] = {"size": 32, "context": 4}


@dataclass(frozen=True, kw_only=True)
class ExtractionConfig:
    """Everything that decides what a cube holds. It travels with a trained model, which scores no other cubes.

    The settings of a job that cuts cubes inherit from this class: each part is an option of the job, and
    `job.extraction` has all of them.
    """

    decode: DecodeConfig = field(default_factory=DecodeConfig, metadata={OMIT_DEFAULT: True})
    working: WorkingConfig = field(default_factory=WorkingConfig)
    flow: FlowConfig = field(default_factory=FlowConfig)
    motion: MotionConfig = field(default_factory=MotionConfig)
    detector: DetectorConfig = field(default_factory=DetectorConfig)
    cube: CubeConfig = field(default_factory=CubeConfig)

    @property
    def extraction(self) -> ExtractionConfig:
        """These settings without those that a job adds."""
        return ExtractionConfig(**self.parts)

    @property
    def cutting(self) -> dict[str, Any]:
        """Arguments of `cut_shards` for shards that are extracted by these settings."""
        detector = self.detector
        rates = {"fps": self.working.fps, "detector_fps": detector.network_fps}
        read = any(DETECTORS[name].background for name in detector.kinds)
        return rates | {"background": read or self.working.steady or self.working.clock}

    @property
    def parts(self) -> dict[str, Any]:
        """These settings by field name, as keyword arguments of a job."""
        return {part.name: getattr(self, part.name) for part in fields(ExtractionConfig)}


def extraction_fingerprint(extraction: ExtractionConfig) -> str:
    """16 hex digits: a hash of what decides the content of cubes. A detector's file counts by its content."""
    return fingerprint(replace(extraction, detector=extraction.detector.identity()))


def extraction_difference(bundle: ExtractionConfig, given: ExtractionConfig) -> str:
    """The settings in which two extractions differ, as `flow.scale: 2.0 in the bundle, 1.0 given; …`; empty if none."""
    default = flat({"decode": to_dict(DecodeConfig())})
    ours = default | flat(to_dict(replace(bundle, detector=bundle.detector.identity())))
    theirs = default | flat(to_dict(replace(given, detector=given.detector.identity())))
    return "; ".join(
        f"{key}: {ours.get(key, 'the default')} in the bundle, {theirs.get(key, 'the default')} given"
        for key in ours | theirs
        if ours.get(key) != theirs.get(key)
    )
