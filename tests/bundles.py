"""Bundles and calibrations for tests, made of what a test wants in them."""

from __future__ import annotations

from typing import Any

from hf2vad.bundle.bundle import Bundle
from hf2vad.bundle.calibration import Calibration, Moments
from hf2vad.bundle.settings import BundleSettings
from hf2vad.cubes.settings import ExtractionConfig
from hf2vad.engines.eager import Engine
from hf2vad.features.feature import NoSettings
from hf2vad.features.registry import feature_classes
from hf2vad.features.settings import FusionConfig
from hf2vad.scoring.feature_set import FeatureSet
from tests.stc import SMALL_MODEL


def normal(
    *, threshold: float = 3.0, low: float = 2.0, cubes: int = 10, frames: int = 5, **moments: tuple[float, float]
) -> Calibration:
    """A calibration with these means and deviations, by feature."""
    found = {name: Moments(mean, std) for name, (mean, std) in moments.items()}
    return Calibration(moments=found, threshold=threshold, low=low, cubes=cubes, frames=frames)


ONES = normal(flow=(1.0, 1.0), frame=(1.0, 1.0))


def make_bundle(weights: Any, *, arrays: dict[str, Any] | None = None, **settings: Any) -> Bundle:
    """A bundle of a small network; `arrays`: features, probe, examples, provenance."""
    usual = {
        "extraction": ExtractionConfig(),
        "model": SMALL_MODEL,
        "fusion": FusionConfig(),
        "smoothing": 5,
        "calibration": ONES,
    }
    return Bundle(settings=BundleSettings(**{**usual, **settings}), weights=weights, **(arrays or {}))


def feature_set(engine: Engine) -> FeatureSet:
    """All features that need no fit, measured with `engine`."""
    names = ("flow", "frame", "speed")
    return FeatureSet({name: feature_classes()[name](NoSettings()) for name in names}, engine, engine.batch)
