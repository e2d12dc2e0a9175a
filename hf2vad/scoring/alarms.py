"""Thresholds by wanted alarms per camera-hour, as a file that hf2vad alarms writes and scoring reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from hf2vad.archive.pattern import PathPattern
from hf2vad.bundle.settings import BundleSettings
from hf2vad.errors import Hf2vadError, MismatchError, SchemaError
from hf2vad.scoring.settings import EventConfig, SmoothingRule
from hf2vad.settings import to_dict
from hf2vad.storage import put_json, read_json

VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Alarms:
    """Scores at which events start, and what they were set for."""

    bundle: str
    """Id of the bundle that scored the footage."""
    smoothing: SmoothingRule
    """How its scores were smoothed."""
    rule: Mapping[str, Any]
    """The settings of EventConfig that say what one event is."""
    camera_pattern: str
    """Empty: all footage is of one camera."""
    threshold: float
    """Score at which an event starts, of cameras that have no threshold of their own."""
    cameras: Mapping[str, float]
    figures: Mapping[str, Any]
    """Figures that the thresholds are based on, for people."""

    def put(self, uri: str) -> None:
        """Write the file."""
        frames, fps, ends = self.smoothing
        smoothing: dict[str, Any] = {"smoothing": frames, "smoothing_fps": fps}
        smoothing |= {"smoothing_ends": ends} if ends != "repeated" else {}
        put_json(uri, {"hf2vad.alarms": VERSION, **asdict(self), **smoothing})

    def applied_to(self, bundle: BundleSettings, config: EventConfig, smoothing: SmoothingRule) -> BundleSettings:
        """`bundle` with these thresholds in its calibrations; `smoothing`: of the scores that they are for.

        Raises MismatchError when they were set for another bundle, smoothing, camera pattern or rule of events.
        """
        pattern = bundle.camera_pattern or self.camera_pattern
        asked = {
            "bundle": bundle.id,
            "smoothing": str(smoothing),
            "camera pattern": pattern,
            **rule_of(config),
        }
        own = {
            "bundle": self.bundle,
            "smoothing": str(self.smoothing),
            "camera pattern": self.camera_pattern,
            **self.rule,
        }
        if different := [
            f"{name} {own.get(name)!r}, not {asked[name]!r}" for name in asked if own.get(name) != asked[name]
        ]:
            raise MismatchError(f"the alarms were set for {'; '.join(different)}; set them again with hf2vad alarms")
        cameras = {name: bundle.cameras.get(name, bundle.calibration) for name in {**bundle.cameras, **self.cameras}}
        return replace(
            bundle,
            camera_pattern=pattern,
            calibration=replace(bundle.calibration, threshold=self.threshold),
            cameras={
                name: replace(calibration, threshold=self.cameras.get(name, self.threshold))
                for name, calibration in cameras.items()
            },
        )


def rule_of(config: EventConfig) -> dict[str, Any]:
    """Settings of `config` that decide which frames form one event, apart from the threshold."""
    return {f"events.{name}": value for name, value in to_dict(config).items() if name != "threshold"}


def read_alarms(uri: str) -> Alarms:
    """Read what hf2vad alarms wrote. Raises SchemaError for anything else."""
    try:
        content = dict(read_json(uri))
        version = content.pop("hf2vad.alarms", None)
        if version != VERSION:
            raise SchemaError(f"{uri}: not a file of hf2vad alarms of version {VERSION}, but {version!r}")
        if "smoothing" in content:
            fps, ends = content.pop("smoothing_fps", 0.0), content.pop("smoothing_ends", "repeated")
            content["smoothing"] = SmoothingRule(content["smoothing"], fps, ends)
        alarms = Alarms(**content)
        PathPattern.of_camera(alarms.camera_pattern)
        values = [alarms.threshold, *alarms.cameras.values()]
        if not all(isinstance(value, int | float) for value in values):
            raise SchemaError(f"{uri}: a threshold that is no number")
        return alarms
    except Hf2vadError:
        raise
    except (AttributeError, TypeError, ValueError) as error:
        raise SchemaError(f"{uri}: not a file of hf2vad alarms: {error}") from None
