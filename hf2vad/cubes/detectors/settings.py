"""The detectors there are, and their settings. Modules of detectors are imported when they are used, not before."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from hf2vad.settings import OMIT_DEFAULT, FileChange, require, require_rate, with_fields, with_files


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

    even_light: bool = field(default=False, metadata={OMIT_DEFAULT: True})
    """Make neighbouring frames equally bright before they are compared, where they differ by 1.5 % or more: the light
    flickers, or the camera's exposure jumps. Flow around boxes is of such frames too."""

    def __post_init__(self) -> None:
        require(self.blur > 0 and self.blur % 2 == 1, f"motion.blur must be odd and positive, got {self.blur}")
        require(0 < self.threshold < 511, f"motion.threshold must lie between 1 and 510, got {self.threshold}")
        require(self.min_area >= 0, f"motion.min_area must not be negative, got {self.min_area}")
        require(self.max_aspect > 1, f"motion.max_aspect must be above 1, got {self.max_aspect}")
        require(self.grow >= 0, f"motion.grow must not be negative, got {self.grow}")


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """An ONNX network, and which of its detections become boxes."""

    model: str = ""
    """URI or path of the ONNX network; needed by `onnx` and `detr`."""

    model_sha256: str = ""
    """Content hash of that file; filled in when the file is read, and compared when a bundle scores."""

    confidence: float = 0.5
    """Probability of the best class (YOLOX: objectness times class probability) below which a detection is dropped."""

    min_area: float = 100.0
    """Smallest detection kept, in square pixels."""

    overlap: float = 0.6
    """A detection is dropped when a larger one covers more than this share of its own area."""

    nms_iou: float = 0.45
    """Class-wise non-maximum suppression: intersection over union above which the weaker detection goes. `detr`
    needs it only for what two tiles see."""

    tile: int = 0
    """Side of the square tiles that a frame is also searched in, in pixels, to find small objects; 0: whole frame."""

    tile_overlap: float = 0.25
    """Share of a tile that its neighbour sees as well."""

    fps: float = field(default=0.0, metadata={OMIT_DEFAULT: True})
    """Frames a second that the network runs on, chosen by their times; on other frames, the boxes of the nearest of
    these are moved by optical flow. 0: every frame. At least one of 16 frames, and in folders of images without
    --image-fps every frame, whatever this says."""

    def __post_init__(self) -> None:
        for name in ("confidence", "overlap", "nms_iou"):
            value = getattr(self, name)
            require(0 < value <= 1, f"detector.{name} must be above 0 and at most 1, got {value}")
        require(self.min_area >= 0, f"detector.min_area must not be negative, got {self.min_area}")
        require(self.tile == 0 or self.tile >= 64, f"detector.tile must be 0 or at least 64, got {self.tile}")
        require_rate("detector.fps", self.fps)
        require(0 <= self.tile_overlap < 0.9, f"detector.tile_overlap must be in [0, 0.9), got {self.tile_overlap}")


@dataclass(frozen=True, kw_only=True)
class ForegroundConfig:
    """Boxes of what differs from the background, the median of 25 frames of the ten minutes around."""

    threshold: int = 22
    """Difference in blue, green or red, grey levels, above which a pixel is foreground."""

    close: int = 7
    """Gaps in an object that are closed, up to this many pixels; odd."""

    min_area: float = 100.0
    """Smallest contour that becomes a box, in square pixels."""

    valley: float = 1.0
    """Depth of a valley in an object's upper contour, as a share of the height of the lower head beside it, above which
    the object is cut there, because it is people who touch: 0.1 for crowds. 1: never."""

    most: float = 0.5
    """Share of the picture above which nothing is foreground: the light changed, or the camera moved."""

    outline: float = field(default=0.0, metadata={OMIT_DEFAULT: True})
    """Least contrast along the outline of foreground, as a share of the background's contrast there. Below it, the
    outline is that of something in the background that has gone from the picture. 0: all foreground counts."""

    sharpness: float = field(default=0.0, metadata={OMIT_DEFAULT: True})
    """Least steepness of the difference to the background in foreground, at its steepest twentieth and as a share of
    the mean difference: a step from one pixel to the next has about 3. Below it, foreground is light or shadow. 0: all
    counts."""

    def __post_init__(self) -> None:
        name = "detector.foreground"
        require(0 < self.threshold < 255, f"{name}.threshold must lie between 1 and 254, got {self.threshold}")
        require(self.close > 0 and self.close % 2 == 1, f"{name}.close must be odd and positive, got {self.close}")
        require(self.min_area >= 0, f"{name}.min_area must not be negative, got {self.min_area}")
        require(0 < self.valley <= 1, f"{name}.valley must be above 0 and at most 1, got {self.valley}")
        require(0 < self.most <= 1, f"{name}.most must be above 0 and at most 1, got {self.most}")
        require(0 <= self.outline < 1, f"{name}.outline must be at least 0 and below 1, got {self.outline}")
        require(0 <= self.sharpness < 4, f"{name}.sharpness must be at least 0 and below 4, got {self.sharpness}")


@dataclass(frozen=True)
class NoSettings:
    """Settings of a detector without any."""


@dataclass(frozen=True)
class Entry:
    """Import path of a detector."""

    place: str
    """`module:class`."""

    settings: type | None = None
    """Class of its settings where they are not its own: `MotionConfig` (section `motion`), `ForegroundConfig` (under
    `detector.foreground`), `NetworkConfig` (directly under `detector`) or `NoSettings`. None: the class's `Settings`,
    under `detector.<name>`."""

    background: bool = False
    """True if it reads `FrameContext.background`."""

    def load(self) -> type[Any]:
        """The `Detector` class; imports its module."""
        detector: type[Any] = pkgutil.resolve_name(self.place)
        return detector


DETECTORS: Mapping[str, Entry] = {
    "motion": Entry("hf2vad.cubes.detectors.motion:MotionDetector", MotionConfig),
    "onnx": Entry("hf2vad.cubes.detectors.onnx:OnnxDetector", NetworkConfig),
    "detr": Entry("hf2vad.cubes.detectors.detr:DetrDetector", NetworkConfig),
    "boxes": Entry("hf2vad.cubes.detectors.boxes:BoxFile", NoSettings),
    "foreground": Entry("hf2vad.cubes.detectors.foreground:ForegroundDetector", ForegroundConfig, background=True),
}
"""Each detector by its name in `detector.kinds`."""


@dataclass(frozen=True, kw_only=True)
@with_fields({name: entry.load().Settings for name, entry in DETECTORS.items() if entry.settings is None})
class DetectorConfig(NetworkConfig):
    """Detectors that provide object boxes. Each detector's own settings are a section under its name."""

    kinds: tuple[str, ...] = ("motion",)
    """One or more of: `motion`: what moves, no weights. `onnx`: a YOLOX-style network. `detr`: a network as RT-DETR,
    D-FINE and DEIM export it. `boxes`: a Parquet file of boxes (--boxes). `foreground`: whole objects against a
    background, moving or not, no weights. Their boxes are added up in this order;
    `motion` ignores what moves inside boxes before it. `onnx motion` is the paper's way."""

    foreground: ForegroundConfig = field(default_factory=ForegroundConfig, metadata={OMIT_DEFAULT: True})
    """Settings of the detector `foreground`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        # `onnx+motion` is one word where a name is wanted, and was the only spelling once.
        object.__setattr__(self, "kinds", tuple("+".join(self.kinds).split("+")))
        for name in self.kinds:
            require(name in DETECTORS, f"detector.kinds must be some of {', '.join(DETECTORS)}, got {name!r}")
        require(len(set(self.kinds)) == len(self.kinds), f"detector.kinds must name none twice, got {self.kind}")
        names = " and ".join(self._networks)
        require(len(self._networks) < 2, f"detector.kinds has {names}, which read the same detector.model; give one")
        require(not names or bool(self.model), f"detector.kinds with {names} needs detector.model, an ONNX file's URI")

    @property
    def kind(self) -> str:
        """The kinds in one word, as JSON and messages have them: `onnx+motion`."""
        return "+".join(self.kinds)

    @property
    def _networks(self) -> list[str]:
        """The kinds that read the network's settings."""
        return [name for name in self.kinds if DETECTORS[name].settings is NetworkConfig]

    @property
    def gives_classes(self) -> bool:
        """True if some boxes carry a class."""
        return bool(self._networks)

    @property
    def network_fps(self) -> float:
        """Rate at which the network runs; 0: on every frame, or there is none."""
        return self.fps if self._networks else 0.0

    @property
    def _own(self) -> dict[str, Any]:
        """The sections of detectors with settings of their own, by the detector's name."""
        return {item.name: getattr(self, item.name) for item in fields(self) if item.name in DETECTORS}

    def to_plain(self, values: dict[str, Any]) -> dict[str, Any]:
        """Plain values as they are written and hashed: under `kind`, as bundles from before `kinds` have them."""
        return {"kind": self.kind} | {name: value for name, value in values.items() if name != "kinds"}

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Plain values under the names of the fields. Raises ConfigError for `kind` and `kinds` together."""
        if "kind" not in values:
            return values
        require("kinds" not in values, "detector.kind is detector.kinds in one word; give one of them")
        require(isinstance(values["kind"], str), f"detector.kind must be text, got {values['kind']!r}")
        return {"kinds": [values["kind"]]} | {name: value for name, value in values.items() if name != "kind"}

    def with_files(self, change: FileChange, *, unused: bool = False) -> DetectorConfig:
        """These settings with the files of the detectors in `kinds` changed, or with `unused` those of all."""
        changed = with_files(self, "detector", change) if unused or self._networks else self
        own = {name: settings for name, settings in self._own.items() if unused or name in self.kinds}
        return replace(
            changed, **{name: with_files(settings, f"detector.{name}", change) for name, settings in own.items()}
        )

    def without_unused(self) -> DetectorConfig:
        """These settings without what no detector in `kinds` reads: a network's file and rate, and others' sections."""
        changes: dict[str, Any] = {} if self._networks else {"model": "", "model_sha256": "", "fps": 0.0}
        changes |= {name: type(settings)() for name, settings in self._own.items() if name not in self.kinds}
        return replace(self, **changes)

    def identity(self) -> DetectorConfig:
        """Settings that decide boxes, for hashing and comparing. A model file counts by its content, not by its
        address."""
        return self.without_unused().with_files(lambda _, uri, sha256: ("by content" if sha256 else uri, sha256))
