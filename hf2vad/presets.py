"""Settings that belong together for one kind of footage."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from hf2vad.cubes.detectors.settings import ForegroundConfig
from hf2vad.cubes.settings import DetectorConfig, ExtractionConfig, FlowConfig, MotionConfig, WorkingConfig
from hf2vad.errors import ConfigError
from hf2vad.features.flow import ResidualConfig
from hf2vad.features.motion import DensityConfig
from hf2vad.features.settings import FusionConfig
from hf2vad.models.settings import ModelConfig
from hf2vad.scoring.settings import Ends
from hf2vad.training.settings import StageConfig, TrainingConfig

PresetName = Literal["ped2", "avenue", "shanghaitech", "compact", "compact_eq9", "features"]


@dataclass(frozen=True, kw_only=True)
class Preset:
    """Settings that belong together for one kind of footage."""

    extraction: ExtractionConfig = field(default_factory=ExtractionConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    fusion: FusionConfig = field(default_factory=FusionConfig)
    density: DensityConfig = field(default_factory=DensityConfig)
    residual: ResidualConfig = field(default_factory=ResidualConfig)
    smoothing_fps: float = 0.0
    """Rate of the footage that the median filter counts its frames in; 0: in those of any footage."""
    smoothing_ends: Ends = "repeated"
    """Frames that the median filter takes from beyond the ends of a video."""


WORKING = WorkingConfig(longest=960)
"""The first size above the largest of the paper's three data sets (856×480): theirs are worked on as coded, and their
areas and lengths in pixels keep their meaning on larger footage."""


def _extraction(
    blur: int, threshold: int, motion_area: float, confidence: float, area: float, overlap: float
) -> ExtractionConfig:
    return ExtractionConfig(
        working=WORKING,
        motion=MotionConfig(blur=blur, threshold=threshold, min_area=motion_area),
        detector=DetectorConfig(confidence=confidence, min_area=area, overlap=overlap),
    )


SMALL_NETWORK = ModelConfig(flow_root=16, slots=20, cvae_widths=(32, 64, 64, 64))
SHORT_TRAINING = TrainingConfig(
    batch=64,
    flow=StageConfig(epochs=2, lr=1e-3),
    frame=StageConfig(epochs=1, lr=1e-3),
    joint=StageConfig(epochs=1, lr=1e-4),
)
SURPRISE = FusionConfig.of({"energy": 1.0, "motion_grid": 1.0, "shape": 1.0, "size": 1.0}, rule="surprise")
"""Features without a network, added by surprise."""
PED2_FPS = 10.0
"""Frames a second of UCSD Ped2, whose 17 frames of smoothing are 1.7 s."""
DENSITY = DensityConfig(kind="exemplars", height="speed", exemplars=1024)
PED2 = _extraction(3, 18, 10**2, 0.5, 10**2, 0.6)
OURS = replace(
    PED2,
    working=WorkingConfig(longest=640),
    flow=FlowConfig(region="moving", preset="fast_half", scale=1.0),
    detector=replace(PED2.detector, fps=5.0),
)
"""The thresholds of Ped2; a smaller working size, flow around what moves in the boxes alone, at half of their
resolution as the paper's presets have it, and networks that detect on five frames a second."""
WHOLE = replace(
    OURS,
    working=replace(OURS.working, steady=True, clock=True),
    flow=replace(OURS.flow, follow=True),
    motion=replace(OURS.motion, even_light=True),
    detector=replace(
        OURS.detector, kinds=("foreground", "motion"), foreground=ForegroundConfig(outline=0.5, sharpness=1.2)
    ),
)
"""Boxes of whole objects, and of what moves outside of them; also where the camera sways or the light flickers. What
has gone, and is seen in the background alone, has no box, nor have light and shadow."""

PRESETS: Mapping[PresetName, Preset] = types.MappingProxyType(
    {
        "ped2": Preset(extraction=PED2),
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
            extraction=WHOLE,
            model=replace(
                SMALL_NETWORK, flow_input="frames", flow_error="min", flow_residual="quarters", flow_pooling=2
            ),
            training=replace(
                SHORT_TRAINING,
                stages=("flow",),
                flow=StageConfig(epochs=2, lr=1e-3, decay=0.3, decay_every=1, least_steps=600),
            ),
            fusion=replace(SURPRISE, flow=1.0),
            density=DENSITY,
            residual=ResidualConfig(unit="expected_speed"),
            smoothing_fps=PED2_FPS,
            smoothing_ends="mirrored",
        ),
        "compact_eq9": Preset(extraction=OURS, model=SMALL_NETWORK, training=SHORT_TRAINING),
        "features": Preset(
            extraction=WHOLE,
            training=TrainingConfig(stages=()),
            fusion=SURPRISE,
            density=DENSITY,
            smoothing_fps=PED2_FPS,
            smoothing_ends="mirrored",
        ),
    }
)
"""The paper's three data sets at the paper's size; `compact`, a flow network that trains on two CPU cores beside the
features of `features`; `compact_eq9`, the paper's networks and fusion at that size; and `features`, without a network,
which is fitted in seconds."""


def preset(name: str) -> Preset:
    """The preset called `name`. Raises ConfigError for a name that is none."""
    for known, settings in PRESETS.items():
        if known == name:
            return settings
    raise ConfigError(f"--preset must be one of {', '.join(PRESETS)}, got {name!r}")
