"""How cubes are made: flow, boxes, crops. These settings travel with a trained model."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from hf2vad.settings import OMIT_DEFAULT, fingerprint, flat, require, to_dict


@dataclass(frozen=True, kw_only=True)
class FlowConfig:
    """Dense optical flow between neighbouring frames."""

    method: Literal["dis"] = "dis"
    """`dis`: OpenCV's Dense Inverse Search on the CPU, no weights (Kroeger et al. 2016)."""

    preset: Literal["ultrafast", "fast", "medium"] = "fast"
    """DIS preset. `medium` has the same median speed as `fast` but outliers that rule a squared error."""

    scale: float = 2.0
    """Frames are enlarged by this factor before flow is computed."""

    units: Literal["source", "enlarged"] = "source"
    """Vectors in pixels of the source frame, or of the enlarged one (as the paper's release had them)."""

    region: Literal["frame", "boxes"] = field(default="frame", metadata={OMIT_DEFAULT: True})
    """`frame`: flow of whole frames. `boxes`: only around the boxes whose cubes need it, which takes a third of the
    time or less where most of the picture is still."""

    margin: int = field(default=16, metadata={OMIT_DEFAULT: True})
    """With region `boxes`: pixels around each box that flow is computed over as well, at least."""

    def __post_init__(self) -> None:
        require(0 < self.scale <= 8, f"flow.scale must be above 0 and at most 8, got {self.scale}")
        require(0 <= self.margin <= 1000, f"flow.margin must lie between 0 and 1000, got {self.margin}")


@dataclass(frozen=True, kw_only=True)
class WorkingConfig:
    """The size that frames are worked on at: flow, boxes and crops. Boxes in tables stay in source pixels."""

    longest: int = 0
    """Frames whose longer side has more pixels are scaled down to it, their shape kept; 0: worked on as coded.
    Lengths and areas in `motion` and `detector` are in pixels of this size."""

    def __post_init__(self) -> None:
        require(
            self.longest == 0 or self.longest >= 64, f"working.longest must be 0 or at least 64, got {self.longest}"
        )

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height that frames of `width` × `height` are worked on at."""
        longer = max(width, height)
        if not 0 < self.longest < longer:
            return width, height
        return max(1, round(width * self.longest / longer)), max(1, round(height * self.longest / longer))


@dataclass(frozen=True, kw_only=True)
class MotionConfig:
    """Boxes of what moves: thresholded difference of neighbouring frames (paper §4.1, release)."""

    blur: int = 5
    """Side of the Gaussian kernel that frames are blurred with before they are compared, in pixels; odd."""

    threshold: int = 18
    """Sum of the two absolute differences, grey levels, above which a pixel moves."""

    min_area: float = 100.0
    """Smallest contour that becomes a box, in square pixels."""

    max_aspect: float = 10.0
    """Boxes whose longer side is at least this many times the shorter one are dropped."""

    grow: int = 2
    """Pixels added on each side of a motion box, and of a detector box before motion inside it is ignored."""

    def __post_init__(self) -> None:
        require(self.blur > 0 and self.blur % 2 == 1, f"motion.blur must be odd and positive, got {self.blur}")
        require(0 < self.threshold < 511, f"motion.threshold must lie between 1 and 510, got {self.threshold}")
        require(self.min_area >= 0, f"motion.min_area must not be negative, got {self.min_area}")
        require(self.max_aspect > 1, f"motion.max_aspect must be above 1, got {self.max_aspect}")
        require(self.grow >= 0, f"motion.grow must not be negative, got {self.grow}")


@dataclass(frozen=True, kw_only=True)
class DetectorConfig:
    """Where object boxes come from."""

    kind: Literal["motion", "onnx", "onnx+motion", "boxes"] = "motion"
    """`motion`: what moves, no weights. `onnx`: a YOLOX-style network. `onnx+motion`: both, the paper's way.
    `boxes`: a Parquet file of boxes (--boxes)."""

    model: str = ""
    """URI or path of the ONNX network; needed by `onnx` and `onnx+motion`."""

    model_sha256: str = ""
    """Content hash of that file; filled in when the file is read, and compared when a bundle scores."""

    confidence: float = 0.5
    """Objectness times class probability below which a detection is dropped."""

    min_area: float = 100.0
    """Smallest detection kept, in square pixels."""

    overlap: float = 0.6
    """A detection is dropped when a larger one covers more than this share of its own area."""

    nms_iou: float = 0.45
    """Class-wise non-maximum suppression: intersection over union above which the weaker detection goes."""

    tile: int = 0
    """Side of the square tiles that a frame is also searched in, in pixels, to find small objects; 0: whole frame."""

    tile_overlap: float = 0.25
    """Share of a tile that its neighbour sees as well."""

    def __post_init__(self) -> None:
        if "onnx" in self.kind:
            require(bool(self.model), f"detector.kind = {self.kind} needs detector.model, the URI of an ONNX file")
        for name in ("confidence", "overlap", "nms_iou"):
            value = getattr(self, name)
            require(0 < value <= 1, f"detector.{name} must be above 0 and at most 1, got {value}")
        require(self.min_area >= 0, f"detector.min_area must not be negative, got {self.min_area}")
        require(self.tile == 0 or self.tile >= 64, f"detector.tile must be 0 or at least 64, got {self.tile}")
        require(0 <= self.tile_overlap < 0.9, f"detector.tile_overlap must be in [0, 0.9), got {self.tile_overlap}")


@dataclass(frozen=True, kw_only=True)
class CubeConfig:
    """Geometry of a spatio-temporal cube (paper §3)."""

    size: Literal[32] = 32
    """Side of the crop that every box is resized to, in pixels; the networks are built for 32."""

    context: Literal[4] = 4
    """Frames before the scored one, and so flows, in a cube; the networks are built for 4."""


@dataclass(frozen=True, kw_only=True)
class ExtractionConfig:
    """Everything that decides what a cube holds. It travels with a trained model: see `extraction_fingerprint`."""

    working: WorkingConfig = field(default_factory=WorkingConfig)
    flow: FlowConfig = field(default_factory=FlowConfig)
    motion: MotionConfig = field(default_factory=MotionConfig)
    detector: DetectorConfig = field(default_factory=DetectorConfig)
    cube: CubeConfig = field(default_factory=CubeConfig)

    @classmethod
    def of(cls, job: object) -> ExtractionConfig:
        """The parts of a job that has them all, by the same names."""
        return cls(**{part.name: getattr(job, part.name) for part in fields(cls)})

    @property
    def parts(self) -> dict[str, Any]:
        """For such a job."""
        return {part.name: getattr(self, part.name) for part in fields(self)}


def extraction_fingerprint(extraction: ExtractionConfig) -> str:
    """What decides the content of cubes, as a hash: a detector counts by its content, not by its address."""
    return fingerprint(replace(extraction, detector=_addressless(extraction.detector)))


def _addressless(detector: DetectorConfig) -> DetectorConfig:
    if "onnx" not in detector.kind:
        return replace(detector, model="", model_sha256="")
    return replace(detector, model="by content") if detector.model_sha256 else detector


def extraction_difference(bundle: ExtractionConfig, given: ExtractionConfig) -> str:
    """The settings in which two extractions differ, as `flow.scale: 2.0 in the bundle, 1.0 given; …`; empty if none."""
    ours = flat(to_dict(replace(bundle, detector=_addressless(bundle.detector))))
    theirs = flat(to_dict(replace(given, detector=_addressless(given.detector))))
    return "; ".join(
        f"{key}: {ours.get(key, 'the default')} in the bundle, {theirs.get(key, 'the default')} given"
        for key in {**ours, **theirs}
        if ours.get(key) != theirs.get(key)
    )
