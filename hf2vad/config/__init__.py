"""Settings of every room: frozen dataclasses that validate themselves, and the presets of the paper.

A settings object is read from a TOML file, from the command line, or from a bundle's JSON, by the same rules: unknown
keys are errors, and what is not given keeps its default. `to_dict` and `from_dict` are each other's inverse.
"""

from hf2vad.config.evaluation import Protocol
from hf2vad.config.evidence import EvidenceConfig, Pixelate
from hf2vad.config.extraction import (
    CubeConfig,
    DetectorConfig,
    ExtractionConfig,
    FlowConfig,
    MotionConfig,
    WorkingConfig,
    extraction_difference,
    extraction_fingerprint,
)
from hf2vad.config.health import HealthConfig, LimitsConfig
from hf2vad.config.model import FlowError, Level, LossConfig, ModelConfig
from hf2vad.config.presets import PRESETS, Preset, PresetName, preset
from hf2vad.config.scoring import DensityConfig, EventConfig, FusionConfig
from hf2vad.config.selection import SelectionConfig
from hf2vad.config.training import StageConfig, TrainingConfig
from hf2vad.config.values import fingerprint, from_dict, to_dict

__all__ = [
    "PRESETS",
    "CubeConfig",
    "DensityConfig",
    "DetectorConfig",
    "EventConfig",
    "EvidenceConfig",
    "ExtractionConfig",
    "FlowConfig",
    "FlowError",
    "FusionConfig",
    "HealthConfig",
    "Level",
    "LimitsConfig",
    "LossConfig",
    "ModelConfig",
    "MotionConfig",
    "Pixelate",
    "Preset",
    "PresetName",
    "Protocol",
    "SelectionConfig",
    "StageConfig",
    "TrainingConfig",
    "WorkingConfig",
    "extraction_difference",
    "extraction_fingerprint",
    "fingerprint",
    "from_dict",
    "preset",
    "to_dict",
]
