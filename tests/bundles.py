"""Bundles and calibrations for tests, made of what a test wants in them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from hf2vad.bundle.bundle import Bundle
from hf2vad.bundle.calibration import Calibration, Moments
from hf2vad.bundle.kept import NormalExamples, noise_cubes
from hf2vad.bundle.settings import BundleSettings
from hf2vad.cubes.settings import ExtractionConfig
from hf2vad.engines.eager import Engine
from hf2vad.features.feature import CubeArrays, CubeSample
from hf2vad.features.motion import DensityConfig, Motion
from hf2vad.features.perspective import Perspective
from hf2vad.features.registry import feature_classes
from hf2vad.features.settings import FusionConfig
from hf2vad.models.hf2vad import HF2VAD
from hf2vad.scoring.feature_set import FeatureSet
from hf2vad.scoring.settings import SmoothingRule
from tests.stc import SMALL_MODEL, make_cubes


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
        "smoothing": SmoothingRule(5),
        "calibration": ONES,
    }
    weights = {name: np.asarray(value) for name, value in weights.items()}
    return Bundle(settings=BundleSettings(**{**usual, **settings}), weights=weights, **(arrays or {}))


def whole_bundle(weights: dict[str, float]) -> Bundle:
    """A bundle with all that bundles can have, of a network as it was initialised: 2 MiB that no call must carry.

    weights: of features, by name; the others have none.
    """
    torch.manual_seed(0)
    appearance, flow = make_cubes(256, 3)
    boxes = np.tile(np.array([[0, 0, 20, 40]], np.float32), (len(flow), 1))
    cubes = CubeArrays(boxes=boxes, flow=flow, appearance=appearance)
    ground = Perspective(intercept=40.0, slope=0.0, mean=40.0)
    density = DensityConfig(kind="knn")
    motion = Motion(density).fit(CubeSample(cubes=cubes, perspective=ground))
    examples = NormalExamples.of(appearance, flow)
    return make_bundle(
        HF2VAD(SMALL_MODEL).state_dict(),
        fusion=FusionConfig.of(weights),
        calibration=normal(flow=(900.0, 300.0), frame=(400.0, 100.0), speed=(1.0, 0.5), motion=(1.0, 1.0)),
        features={"motion": density},
        perspective=ground,
        arrays={"features": {"motion": motion}, "probe": noise_cubes(16), "examples": examples},
    )


def feature_set(engine: Engine) -> FeatureSet:
    """All features that need no fit, measured with `engine`."""
    classes = {name: feature_classes()[name] for name in ("flow", "frame", "speed")}
    return FeatureSet({name: found(found.Settings()) for name, found in classes.items()}, engine, engine.batch)
