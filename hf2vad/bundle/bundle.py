"""Bundles: a trained model as a folder of weights.safetensors and bundle.json, local or on S3.

The id is a hash of the content that decides scores: weights, network, extraction, fusion, smoothing and calibration.
Provenance is told beside it. Loading executes nothing and verifies everything.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from hf2vad.archive.pattern import PathPattern
from hf2vad.bundle.examples import NO_EXAMPLES, NormalExamples
from hf2vad.bundle.probe import NO_PROBE, ProbeCubes
from hf2vad.cubes.settings import ExtractionConfig
from hf2vad.errors import BundleError, ConfigError, MismatchError, NotFoundError, SchemaError
from hf2vad.features.density import NO_DENSITY, MotionDensity
from hf2vad.features.perspective import Perspective
from hf2vad.features.settings import DensityConfig, FusionConfig
from hf2vad.models.hf2vad import HF2VAD
from hf2vad.models.settings import ModelConfig
from hf2vad.settings import from_dict, to_dict
from hf2vad.storage import join, put_bytes, put_json, read_bytes

BUNDLE_VERSION = 3
WEIGHTS = "weights.safetensors"
SETTINGS = "bundle.json"
DENSITY = "density/"
"""What the names of the density's arrays begin with, among the weights."""
PROBE = "probe/"
"""What the names of the probe cubes' arrays begin with."""
EXAMPLES = "examples/"
"""What the names of the normal examples' arrays begin with."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What is normal, measured over the training cubes (Eq. 9) and training frames."""

    flow_mean: float
    """μ of S_r."""
    flow_std: float
    """σ of S_r."""
    frame_mean: float
    """μ of S_p."""
    frame_std: float
    """σ of S_p."""
    speed_mean: float = 0.0
    """μ of the flow speed."""
    speed_std: float = 1.0
    """σ of the flow speed."""
    motion_mean: float = 0.0
    """μ of the motion density's score."""
    motion_std: float = 1.0
    """σ of the motion density's score; 1 without a density."""
    threshold: float
    """99.9th percentile of smoothed training frame scores: where an event starts by default."""
    low: float
    """99th percentile: how far down it extends."""
    cubes: int
    """Training cubes."""
    frames: int
    """Training frames."""

    def __post_init__(self) -> None:
        for item in fields(self):
            if not math.isfinite(getattr(self, item.name)):
                raise BundleError(f"calibration.{item.name} is {getattr(self, item.name)}, not a finite number")
        deviations = (self.flow_std, self.frame_std, self.speed_std, self.motion_std)
        if min(deviations) <= 0:
            raise BundleError(f"calibration: deviations must be positive, got {deviations}")


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A trained model, without or with its weights."""

    id: str
    """16 hex digits: a hash of what decides scores."""
    extraction: ExtractionConfig
    """How the cubes it was trained on were made; what it scores must be made the same way."""
    model_config: ModelConfig
    fusion: FusionConfig
    smoothing: int
    """Frames of the median filter over frame scores."""
    calibration: Calibration
    """Over the cubes of all cameras."""
    provenance: dict[str, Any]
    """How it was made: settings, table, loss history, versions."""
    camera_pattern: str = ""
    """Where a video's path in the archive names its camera (`{camera}`); empty: all footage is of one camera."""
    cameras: Mapping[str, Calibration] = field(default_factory=dict)
    """Of each camera that has enough training cubes of its own."""
    density: MotionDensity = NO_DENSITY
    perspective: Perspective | None = None
    probe: ProbeCubes = field(default=NO_PROBE, repr=False, compare=False)
    """Training cubes on which engines are compared; none when only the settings were read."""
    examples: NormalExamples = field(default=NO_EXAMPLES, repr=False, compare=False)
    """Training cubes to show beside events; none when only the settings were read."""
    weights: Mapping[str, Tensor] = field(default_factory=dict, repr=False)
    """Empty when only the settings were read."""

    def calibration_of(self, path: str) -> Calibration:
        """Calibration of the camera that a video's path in its archive names; that of all cameras where it has none."""
        return self.cameras.get(PathPattern(self.camera_pattern).camera_of(path), self.calibration)

    def build(self, device: torch.device) -> HF2VAD:
        """The network with these weights on `device`, in evaluation mode.

        Raises BundleError when the weights are not those of the network that the bundle describes.
        """
        model = HF2VAD(self.model_config)
        try:
            model.load_state_dict(dict(self.weights))
        except RuntimeError as error:
            raise BundleError(f"bundle {self.id}: weights do not fit its network: {error}") from None
        return model.to(device).eval()


def save_bundle(
    uri: str,
    *,
    weights: Mapping[str, Tensor],
    extraction: ExtractionConfig,
    model_config: ModelConfig,
    fusion: FusionConfig,
    smoothing: int,
    calibration: Calibration,
    provenance: dict[str, Any],
    camera_pattern: str = "",
    cameras: Mapping[str, Calibration] | None = None,
    density: MotionDensity = NO_DENSITY,
    perspective: Perspective | None = None,
    probe: ProbeCubes = NO_PROBE,
    examples: NormalExamples = NO_EXAMPLES,
) -> Bundle:
    """Put a bundle under `uri`; its settings come last, so that a bundle which is half there cannot be loaded."""
    contents = {name: value.detach().cpu().contiguous() for name, value in sorted(weights.items())}
    arrays = {DENSITY + name: torch.from_numpy(array).contiguous() for name, array in sorted(density.arrays.items())}
    cubes = {PROBE + name: torch.from_numpy(array).contiguous() for name, array in probe.arrays.items()}
    shown = {EXAMPLES + name: torch.from_numpy(array).contiguous() for name, array in examples.arrays.items()}
    data = save({**contents, **arrays, **cubes, **shown})
    cameras = cameras or {}
    decisive = {
        "schema": BUNDLE_VERSION,
        "weights_sha256": hashlib.sha256(data).hexdigest(),
        "extraction": to_dict(extraction),
        "model": to_dict(model_config),
        "fusion": to_dict(fusion),
        "smoothing": smoothing,
        "calibration": asdict(calibration),
        "camera_pattern": camera_pattern,
        "cameras": {name: asdict(known) for name, known in sorted(cameras.items())},
        "density": to_dict(density.config),
        "perspective": asdict(perspective) if perspective is not None else None,
    }
    put_bytes(join(uri, WEIGHTS), data)
    put_json(join(uri, SETTINGS), {"id": _content_id(decisive), **decisive, "provenance": provenance})
    return Bundle(
        id=_content_id(decisive),
        extraction=extraction,
        model_config=model_config,
        fusion=fusion,
        smoothing=smoothing,
        calibration=calibration,
        provenance=provenance,
        camera_pattern=camera_pattern,
        cameras=cameras,
        density=density,
        perspective=perspective,
        probe=probe,
        examples=examples,
        weights=contents,
    )


def load_bundle(uri: str) -> Bundle:
    """The bundle under `uri`.

    Raises NotFoundError where there is none, SchemaError for one of another release, BundleError for a damaged one.
    """
    settings = _read_settings(uri)
    bundle = _bundle(uri, settings)
    data = read_bytes(join(uri, WEIGHTS))
    if hashlib.sha256(data).hexdigest() != settings.get("weights_sha256"):
        raise BundleError(f"{join(uri, WEIGHTS)}: its content is not what {SETTINGS} was written for; train again")
    try:
        tensors = load(data)
    except SafetensorError as error:
        raise BundleError(f"{join(uri, WEIGHTS)}: not a safetensors file: {error}") from None
    density, probe, examples = (_named(tensors, prefix) for prefix in (DENSITY, PROBE, EXAMPLES))
    try:
        return replace(
            bundle,
            weights={name: value for name, value in tensors.items() if not name.startswith((DENSITY, PROBE, EXAMPLES))},
            density=MotionDensity(
                from_dict(DensityConfig, settings["density"], where=uri), density, bundle.perspective
            ),
            probe=ProbeCubes(**probe) if probe else NO_PROBE,
            examples=NormalExamples(**examples) if examples else NO_EXAMPLES,
        )
    except (TypeError, BundleError) as error:
        raise BundleError(f"{join(uri, WEIGHTS)}: {error}") from None


def _named(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Any]:
    """The arrays whose names begin with `prefix`, by the rest of the name."""
    return {name.removeprefix(prefix): value.numpy() for name, value in tensors.items() if name.startswith(prefix)}


def load_bundle_settings(uri: str) -> Bundle:
    """The bundle under `uri` without its weights and its density; same errors as `load_bundle`."""
    return _bundle(uri, _read_settings(uri))


def same_bundle(uri: str, bundle_id: str) -> Bundle:
    """The bundle at `uri`. Raises MismatchError for one that changed since the run began."""
    bundle = load_bundle(uri)
    if bundle.id != bundle_id:
        raise MismatchError(f"{uri} was bundle {bundle_id} when the run began and is {bundle.id} now")
    return bundle


def _read_settings(uri: str) -> dict[str, Any]:
    where = join(uri, SETTINGS)
    try:
        settings = json.loads(read_bytes(where))
    except NotFoundError:
        raise NotFoundError(f"{uri}: no bundle there (no {SETTINGS}); jobs/train.py makes one") from None
    except ValueError as error:
        raise BundleError(f"{where}: not valid JSON: {error}") from None
    if not isinstance(settings, dict):
        raise BundleError(f"{where}: not a JSON object")
    if settings.get("schema") != BUNDLE_VERSION:
        raise SchemaError(
            f"{where}: schema version {settings.get('schema')}, but this release reads {BUNDLE_VERSION}; train again"
        )
    return settings


def _bundle(uri: str, settings: dict[str, Any]) -> Bundle:
    where = join(uri, SETTINGS)
    try:
        decisive = {key: value for key, value in settings.items() if key not in ("id", "provenance")}
        if settings["id"] != _content_id(decisive):
            raise BundleError(f"{where}: changed after it was written (its id does not match); train again")
        return Bundle(
            id=settings["id"],
            extraction=from_dict(ExtractionConfig, settings["extraction"], where=where),
            model_config=from_dict(ModelConfig, settings["model"], where=where),
            fusion=from_dict(FusionConfig, settings["fusion"], where=where),
            smoothing=int(settings["smoothing"]),
            calibration=Calibration(**settings["calibration"]),
            provenance=settings["provenance"],
            camera_pattern=PathPattern.of_camera(str(settings["camera_pattern"])).text,
            cameras={name: Calibration(**known) for name, known in settings["cameras"].items()},
            perspective=Perspective(**settings["perspective"]) if settings["perspective"] else None,
        )
    except ConfigError as error:
        raise BundleError(str(error)) from None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{where}: incomplete: {error}") from None


def _content_id(decisive: Mapping[str, Any]) -> str:
    canonical = json.dumps(decisive, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
