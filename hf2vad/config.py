"""Settings of every room: frozen dataclasses that validate themselves, and the presets of the paper.

A settings object is read from a TOML file, from the command line, or from a bundle's JSON, by the same rules: unknown
keys are errors, and what is not given keeps its default. `to_dict` and `from_dict` are each other's inverse.
"""

from __future__ import annotations

import hashlib
import json
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from difflib import get_close_matches
from typing import Any, Literal, TypeVar

from hf2vad.errors import ConfigError

T = TypeVar("T")

PresetName = Literal["ped2", "avenue", "shanghaitech", "compact"]
Level = Literal["bottleneck", "up3", "up2", "up1"]


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ConfigError(message)


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

    def __post_init__(self) -> None:
        _require(0 < self.scale <= 8, f"flow.scale must be above 0 and at most 8, got {self.scale}")


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
        _require(self.blur > 0 and self.blur % 2 == 1, f"motion.blur must be odd and positive, got {self.blur}")
        _require(0 < self.threshold < 511, f"motion.threshold must lie between 1 and 510, got {self.threshold}")
        _require(self.min_area >= 0, f"motion.min_area must not be negative, got {self.min_area}")
        _require(self.max_aspect > 1, f"motion.max_aspect must be above 1, got {self.max_aspect}")
        _require(self.grow >= 0, f"motion.grow must not be negative, got {self.grow}")


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
            _require(bool(self.model), f"detector.kind = {self.kind} needs detector.model, the URI of an ONNX file")
        for name in ("confidence", "overlap", "nms_iou"):
            value = getattr(self, name)
            _require(0 < value <= 1, f"detector.{name} must be above 0 and at most 1, got {value}")
        _require(self.min_area >= 0, f"detector.min_area must not be negative, got {self.min_area}")
        _require(self.tile == 0 or self.tile >= 64, f"detector.tile must be 0 or at least 64, got {self.tile}")
        _require(0 <= self.tile_overlap < 0.9, f"detector.tile_overlap must be in [0, 0.9), got {self.tile_overlap}")


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

    flow: FlowConfig = field(default_factory=FlowConfig)
    motion: MotionConfig = field(default_factory=MotionConfig)
    detector: DetectorConfig = field(default_factory=DetectorConfig)
    cube: CubeConfig = field(default_factory=CubeConfig)


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Shape of the network: ML-MemAE-SC (paper §3.1) and the CVAE (§3.2)."""

    flow_root: int = 32
    """Channels of the first level of the flow autoencoder; doubled at each of the three levels below."""

    memories: tuple[Level, ...] = ("bottleneck", "up3", "up2")
    """Where a memory module sits: after the bottleneck, or after an upsampling level."""

    slots: int = 2000
    """Slots of each memory."""

    shrink: float | None = None
    """Hard-shrinkage threshold of the addressing weights; none: 1 / slots."""

    skips: tuple[Level, ...] = ("up3", "up2")
    """Upsampling levels that are joined with the encoder's features (`bottleneck` has none)."""

    condition: Literal["reconstructed", "observed", "none"] = "reconstructed"
    """What guides the frame prediction: reconstructed flows (HF²-VAD), observed flows (CVAE), no flow (VAE)."""

    cvae_widths: tuple[int, int, int, int] = (64, 128, 128, 128)
    """Channels of the CVAE's four stages, 32², 16², 8² and 4²; the last two must be equal (they are the latent's)."""

    dropout: float = 0.1
    """Dropout of the CVAE's residual blocks while training."""

    def __post_init__(self) -> None:
        _require(self.flow_root > 0, f"model.flow_root must be positive, got {self.flow_root}")
        _require(self.slots > 1, f"model.slots must be at least 2, got {self.slots}")
        _require("up1" not in self.memories, "model.memories may hold bottleneck, up3 and up2, got up1")
        _require("bottleneck" not in self.skips, "model.skips may hold up3, up2 and up1, got bottleneck")
        _require(len(set(self.memories)) == len(self.memories), f"model.memories repeats a level: {self.memories}")
        _require(len(set(self.skips)) == len(self.skips), f"model.skips repeats a level: {self.skips}")
        w = self.cvae_widths
        _require(w[1] == w[2] == w[3], f"model.cvae_widths must have three equal last entries, got {w}")
        _require(w[0] in (w[1], w[1] // 2), f"model.cvae_widths must start with the others or half of them, got {w}")
        _require(0 <= self.dropout < 1, f"model.dropout must be in [0, 1), got {self.dropout}")
        if self.shrink is not None:
            _require(0 <= self.shrink < 1, f"model.shrink must be in [0, 1), got {self.shrink}")

    @property
    def shrink_threshold(self) -> float:
        """λ of the hard shrinkage."""
        return 1.0 / self.slots if self.shrink is None else self.shrink


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Weights of the loss terms (Eq. 3 and 8)."""

    flow: float = 1.0
    """Mean squared error of the reconstructed flow."""

    entropy: float = 2e-4
    """Entropy of the memory addressing weights (Eq. 2), summed over memories."""

    frame: float = 1.0
    """Mean squared error of the predicted frame."""

    kl: float = 1.0
    """Divergence of the posterior from the prior (Eq. 6)."""

    kl_scale: Literal["published", "eq6"] = "published"
    """`published`: KL summed over a cube's latent beside a *mean* over pixels, as the published numbers were made.
    `eq6`: both as sums, so that the KL weighs 3,072 times less against the frame error."""

    gradient: float = 1.0
    """Gradient loss of the predicted frame (Eq. 7)."""


@dataclass(frozen=True, kw_only=True)
class StageConfig:
    """One training stage."""

    epochs: int
    """Passes over the training cubes."""

    lr: float = 1e-4
    """Learning rate of Adam at the start."""

    decay: float = 0.8
    """The learning rate is multiplied by this ..."""

    decay_every: int = 50
    """... after every so many epochs."""

    def __post_init__(self) -> None:
        _require(self.epochs > 0, f"epochs must be positive, got {self.epochs}")
        _require(self.lr > 0, f"lr must be positive, got {self.lr}")
        _require(0 < self.decay <= 1, f"decay must be above 0 and at most 1, got {self.decay}")
        _require(self.decay_every > 0, f"decay_every must be positive, got {self.decay_every}")


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Stages, data order and numerics of training (paper §4.2)."""

    stages: tuple[Literal["flow", "frame", "joint"], ...] = ("flow", "frame")
    """`flow` trains ML-MemAE-SC, `frame` the CVAE on frozen reconstructions, `joint` fine-tunes both (optional)."""

    flow: StageConfig = field(default_factory=lambda: StageConfig(epochs=80))
    frame: StageConfig = field(default_factory=lambda: StageConfig(epochs=80))
    joint: StageConfig = field(default_factory=lambda: StageConfig(epochs=80, lr=8e-5))

    batch: int = 128
    """Cubes a step."""

    adam_eps: float = 1e-7
    """Adam's ε."""

    seed: int = 0
    """Seeds initial weights, data order, dropout and latents."""

    window: int = 8192
    """Cubes that wait in the shuffle buffer: 32 KB each. Row groups are shuffled too."""

    amp: Literal["off", "bf16", "fp16"] = "off"
    """Mixed precision; fp16 scales the loss and needs a GPU."""

    compile: bool = False
    """Train through torch.compile."""

    channels_last: bool = True
    """Keep convolution weights and activations in channels-last order."""

    checkpoint_minutes: float = 5.0
    """A checkpoint is written this often, and after every epoch; 0: only after every epoch."""

    def __post_init__(self) -> None:
        order = [s for s in ("flow", "frame", "joint") if s in self.stages]
        _require(bool(self.stages), "training.stages must name at least one stage")
        _require(list(self.stages) == order, f"training.stages must be in the order flow, frame, joint: {self.stages}")
        _require(self.batch > 1, f"training.batch must be at least 2 (BatchNorm), got {self.batch}")
        _require(self.window >= self.batch, f"training.window must hold a batch of {self.batch}, got {self.window}")
        _require(
            self.checkpoint_minutes >= 0, f"training.checkpoint_minutes must not be negative: {self.checkpoint_minutes}"
        )


@dataclass(frozen=True, kw_only=True)
class FusionConfig:
    """Eq. 9: S = flow · (S_r − μ_r)/σ_r + frame · (S_p − μ_p)/σ_p."""

    flow: float = 1.0
    """Weight of the flow reconstruction error."""

    frame: float = 0.1
    """Weight of the frame prediction error."""

    def __post_init__(self) -> None:
        _require(self.flow >= 0 and self.frame >= 0, f"fusion weights must not be negative: {self.flow}, {self.frame}")
        _require(self.flow + self.frame > 0, "fusion.flow and fusion.frame must not both be 0")


@dataclass(frozen=True, kw_only=True)
class EventConfig:
    """Which runs of high frame scores are events."""

    threshold: float | None = None
    """Smoothed frame score that an event must reach; none: the bundle's 99.9th percentile of training scores."""

    low: float | None = None
    """Score down to which an event extends (hysteresis); none: the bundle's 99th percentile, at most the threshold."""

    min_length: int = 5
    """Shorter events are dropped, in frames."""

    merge_gap: int = 25
    """Events with at most this many frames between them are one."""

    def __post_init__(self) -> None:
        _require(self.min_length > 0, f"events.min_length must be positive, got {self.min_length}")
        _require(self.merge_gap >= 0, f"events.merge_gap must not be negative, got {self.merge_gap}")
        if self.threshold is not None and self.low is not None:
            _require(self.low <= self.threshold, f"events.low {self.low} is above events.threshold {self.threshold}")


@dataclass(frozen=True, kw_only=True)
class Preset:
    """Settings that belong together for one kind of footage."""

    extraction: ExtractionConfig = field(default_factory=ExtractionConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    fusion: FusionConfig = field(default_factory=FusionConfig)


def _extraction(
    blur: int, threshold: int, motion_area: float, confidence: float, area: float, overlap: float
) -> ExtractionConfig:
    return ExtractionConfig(
        motion=MotionConfig(blur=blur, threshold=threshold, min_area=motion_area),
        detector=DetectorConfig(confidence=confidence, min_area=area, overlap=overlap),
    )


PRESETS: Mapping[PresetName, Preset] = types.MappingProxyType(
    {
        "ped2": Preset(extraction=_extraction(3, 18, 10**2, 0.5, 10**2, 0.6)),
        "avenue": Preset(
            extraction=_extraction(5, 18, 40**2, 0.25, 40**2, 0.6), fusion=FusionConfig(flow=0.05, frame=1.0)
        ),
        "shanghaitech": Preset(
            extraction=_extraction(5, 15, 40**2, 0.5, 8**2, 0.65),
            model=ModelConfig(memories=("bottleneck", "up3")),
            training=TrainingConfig(
                batch=256,
                flow=StageConfig(epochs=50),
                frame=StageConfig(epochs=50),
                joint=StageConfig(epochs=80, lr=8e-5),
            ),
            fusion=FusionConfig(flow=0.02, frame=1.0),
        ),
        "compact": Preset(
            extraction=_extraction(3, 18, 10**2, 0.5, 10**2, 0.6),
            model=ModelConfig(flow_root=16, slots=20, cvae_widths=(32, 64, 64, 64)),
            training=TrainingConfig(
                batch=64,
                flow=StageConfig(epochs=2, lr=1e-3),
                frame=StageConfig(epochs=1, lr=1e-3),
                joint=StageConfig(epochs=1, lr=1e-4),
            ),
        ),
    }
)
"""The paper's three data sets at the paper's size, and `compact`, which trains on two CPU cores."""


def preset(name: str) -> Preset:
    """The preset called `name`. Raises ConfigError for a name that is none."""
    for known, settings in PRESETS.items():
        if known == name:
            return settings
    raise ConfigError(f"--preset must be one of {', '.join(PRESETS)}, got {name!r}")


def to_dict(settings: Any) -> dict[str, Any]:
    """A settings object as plain JSON values, nested, tuples as lists."""
    plain: dict[str, Any] = {}
    for item in fields(settings):
        value = getattr(settings, item.name)
        if is_dataclass(value):
            plain[item.name] = to_dict(value)
        else:
            plain[item.name] = list(value) if isinstance(value, tuple) else value
    return plain


def from_dict(kind: type[T], values: Mapping[str, Any], *, base: T | None = None, where: str = "settings") -> T:
    """The settings object of class `kind` that `values` describe, on top of `base` (or the class's defaults).

    Raises ConfigError on an unknown key (naming the nearest known one), a value of the wrong type, or a value that the
    class refuses. `where` names the source in messages.
    """
    return _build(kind, values, base, where, prefix="")


def _build(kind: type[T], values: Mapping[str, Any], base: T | None, where: str, prefix: str) -> T:
    hints = typing.get_type_hints(kind)
    known = {item.name for item in fields(kind) if item.init}  # type: ignore[arg-type]
    changes: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            near = get_close_matches(key, known, n=1)
            hint = f"did you mean {prefix}{near[0]}?" if near else f"known keys: {', '.join(sorted(known))}"
            raise ConfigError(f"{where}: unknown key {prefix}{key}; {hint}")
        changes[key] = _coerce(hints[key], value, getattr(base, key, None), where, prefix + key)
    try:
        return replace(base, **changes) if base is not None else kind(**changes)  # type: ignore[type-var]
    except TypeError as error:
        raise ConfigError(f"{where}: {prefix or kind.__name__}: {error}") from None
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _coerce(hint: Any, value: Any, base: Any, where: str, name: str) -> Any:
    """`value` as the type `hint` says, or ConfigError."""
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        return _coerce(typing.get_args(hint)[0], value, base, where, name)
    if is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where}: {name} must be a table of settings, got {value!r}")
        return _build(hint, value, base, where, prefix=name + ".")
    if origin is Literal:
        if value not in typing.get_args(hint) or isinstance(value, bool):
            raise ConfigError(
                f"{where}: {name} must be one of {', '.join(map(str, typing.get_args(hint)))}, got {value!r}"
            )
        return value
    if origin in (typing.Union, types.UnionType):
        options = typing.get_args(hint)
        if value is None and type(None) in options:
            return None
        (inner,) = [option for option in options if option is not type(None)]
        return _coerce(inner, value, base, where, name)
    if origin is tuple:
        args = typing.get_args(hint)
        inner_hints = [args[0]] * len(value) if isinstance(value, list | tuple) and args[-1] is ... else list(args)
        if not isinstance(value, list | tuple) or len(value) != len(inner_hints):
            raise ConfigError(
                f"{where}: {name} must be a list{'' if args[-1] is ... else f' of {len(args)}'}, got {value!r}"
            )
        return tuple(
            _coerce(h, v, None, where, f"{name}[{i}]") for i, (h, v) in enumerate(zip(inner_hints, value, strict=True))
        )
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise ConfigError(f"{where}: {name} must be of type {hint.__name__}, got {value!r}")
    return value


def fingerprint(settings: Any) -> str:
    """First 16 hex digits of the SHA-256 of the settings' canonical JSON."""
    canonical = json.dumps(to_dict(settings), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def extraction_fingerprint(extraction: ExtractionConfig) -> str:
    """What decides the content of cubes, as a hash: a detector counts by its content, not by its address."""
    return fingerprint(replace(extraction, detector=_addressless(extraction.detector)))


def _addressless(detector: DetectorConfig) -> DetectorConfig:
    if "onnx" not in detector.kind:
        return replace(detector, model="", model_sha256="")
    return replace(detector, model="by content") if detector.model_sha256 else detector


def extraction_difference(bundle: ExtractionConfig, given: ExtractionConfig) -> str:
    """The settings in which two extractions differ, as `flow.scale: 2.0 in the bundle, 1.0 given; …`; empty if none."""
    ours = _flat(to_dict(replace(bundle, detector=_addressless(bundle.detector))))
    theirs = _flat(to_dict(replace(given, detector=_addressless(given.detector))))
    return "; ".join(
        f"{key}: {ours[key]} in the bundle, {theirs[key]} given" for key in ours if ours[key] != theirs[key]
    )


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat.update(_flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value})
    return flat
