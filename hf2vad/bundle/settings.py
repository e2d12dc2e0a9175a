"""A bundle's settings without its arrays: a few kilobytes that travel to workers with every call."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from hf2vad.archive.pattern import PathPattern
from hf2vad.archive.place import camera_of
from hf2vad.bundle.calibration import ALWAYS_WRITTEN, Calibration
from hf2vad.cubes.settings import ExtractionConfig
from hf2vad.errors import BundleError, ConfigError, NotFoundError, SchemaError
from hf2vad.features.perspective import Perspective
from hf2vad.features.registry import feature_classes
from hf2vad.features.settings import FusionConfig
from hf2vad.models.settings import ModelConfig
from hf2vad.scoring.settings import SmoothingRule
from hf2vad.settings import fingerprint, from_dict, to_dict
from hf2vad.storage import join, read_bytes

BUNDLE_VERSION = 3
SETTINGS = "bundle.json"


@dataclass(frozen=True, kw_only=True)
class BundleSettings:
    """Everything that decides a score but the arrays (weights, fitted features)."""

    id: str = ""
    """16 hex digits: a hash of what decides scores; empty before the bundle is saved."""
    extraction: ExtractionConfig
    """Settings that cut the training cubes. Footage must be cut the same way to be scored."""
    model: ModelConfig
    fusion: FusionConfig
    smoothing: SmoothingRule
    """Length of the median filter over frame scores."""
    calibration: Calibration
    """Over the cubes of all cameras."""
    camera_pattern: str = ""
    """Pattern whose `{camera}` names a video's camera. If empty, the path does as archive/place.py reads it; with
    `fusion.rule = eq9` cameras are not told apart."""
    cameras: Mapping[str, Calibration] = field(default_factory=dict)
    """Calibration of each camera that has enough training cubes of its own, by its name."""
    features: Mapping[str, Any] = field(default_factory=dict)
    """Settings of features by name; a feature that is not named has its defaults."""
    perspective: Perspective | None = None
    """Expected heights of the training boxes."""

    def calibration_of(self, path: str) -> Calibration:
        """Calibration of the camera that a video's path in its archive names; that of all cameras where it has none."""
        return self.cameras.get(self.camera_of(path), self.calibration)

    def camera_of(self, path: str) -> str:
        """The camera of a video's path in its archive, one that was learnt apart or not; empty where nothing says."""
        if self.fusion.rule == "eq9" and not self.camera_pattern:
            return ""
        return camera_of(path, PathPattern(self.camera_pattern))

    def pooled_words(self, camera: str) -> str:
        """Sentence for people on a camera that is scored as any camera is; empty where it was learnt apart, or no
        camera was."""
        if not self.cameras or camera in self.cameras:
            return ""
        return f"camera {camera}: scored by what is usual for all cameras; bundle {self.id} has not learnt it apart"

    def to_json(self, weights_sha256: str) -> dict[str, Any]:
        """The content of bundle.json that the id is a hash of; weights_sha256: of the arrays beside it."""
        return {
            "schema": BUNDLE_VERSION,
            "weights_sha256": weights_sha256,
            "extraction": to_dict(self.extraction),
            "model": to_dict(self.model),
            "fusion": to_dict(self.fusion),
            "smoothing": self.smoothing.frames,
            **({"smoothing_fps": self.smoothing.fps} if self.smoothing.fps else {}),
            **({"smoothing_ends": self.smoothing.ends} if self.smoothing.ends != "repeated" else {}),
            "calibration": self.calibration.to_json(),
            "camera_pattern": self.camera_pattern,
            "cameras": {name: found.to_json() for name, found in sorted(self.cameras.items())},
            "perspective": asdict(self.perspective) if self.perspective is not None else None,
            **self._features_json(),
        }

    def _features_json(self) -> dict[str, Any]:
        settings = {
            cls.key(): to_dict(self.features.get(name, cls.Settings()))
            for name, cls in feature_classes().items()
            if name in self.features or name in ALWAYS_WRITTEN
        }
        return {key: own for key, own in settings.items() if own}


def load_bundle_settings(uri: str) -> BundleSettings:
    """The settings of the bundle under `uri`; its arrays are not read.

    Raises NotFoundError where there is none, SchemaError for one of another release, BundleError for a damaged one.
    """
    return settings_from_json(uri, read_bundle_json(uri))


def load_provenance(uri: str) -> dict[str, Any]:
    """Read the training record of the bundle at `uri`: settings, table, loss history, versions.

    Raises as `load_bundle_settings`.
    """
    content = read_bundle_json(uri)
    settings_from_json(uri, content)
    provenance: dict[str, Any] = content["provenance"]
    return provenance


def read_bundle_json(uri: str) -> dict[str, Any]:
    """The content of bundle.json under `uri`. Raises as `load_bundle_settings`."""
    where = join(uri, SETTINGS)
    try:
        content = json.loads(read_bytes(where))
    except NotFoundError:
        raise NotFoundError(f"{uri}: no bundle there (no {SETTINGS}); hf2vad train makes one") from None
    except ValueError as error:
        raise BundleError(f"{where}: not valid JSON: {error}") from None
    if not isinstance(content, dict):
        raise BundleError(f"{where}: not a JSON object")
    if content.get("schema") != BUNDLE_VERSION:
        raise SchemaError(
            f"{where}: schema version {content.get('schema')}, but this release reads {BUNDLE_VERSION}; train again"
        )
    return content


def settings_from_json(uri: str, content: Mapping[str, Any]) -> BundleSettings:
    """The settings in the `content` of bundle.json under `uri`.

    Raises BundleError where it is not as it was written.
    """
    where = join(uri, SETTINGS)
    try:
        decisive = {key: value for key, value in content.items() if key not in ("id", "provenance")}
        if content["id"] != fingerprint(decisive):
            raise BundleError(f"{where}: changed after it was written (its id does not match); train again")
        _ = content["provenance"]
        return BundleSettings(
            id=content["id"],
            extraction=from_dict(ExtractionConfig, content["extraction"], where=where),
            model=from_dict(ModelConfig, content["model"], where=where),
            fusion=from_dict(FusionConfig, content["fusion"], where=where),
            smoothing=SmoothingRule(
                int(content["smoothing"]),
                float(content.get("smoothing_fps", 0.0)),
                content.get("smoothing_ends", "repeated"),
            ),
            calibration=Calibration.from_json(content["calibration"]),
            camera_pattern=PathPattern.of_camera(str(content["camera_pattern"])).text,
            cameras={name: Calibration.from_json(known) for name, known in content["cameras"].items()},
            features={
                name: from_dict(cls.Settings, content[cls.key()], where=where)
                for name, cls in feature_classes().items()
                if cls.key() in content
            },
            perspective=Perspective(**content["perspective"]) if content["perspective"] else None,
        )
    except ConfigError as error:
        raise BundleError(str(error)) from None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{where}: incomplete: {error}") from None
