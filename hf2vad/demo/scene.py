"""Shared parts of all scenes: ground, passers-by, light and noise."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hf2vad.demo.actors import Actor, Kind
from hf2vad.demo.view import View
from hf2vad.schema import F32, U8

NOISE = 2.5
"""Deviation of the sensor's noise, grey levels."""
DRIFT = 0.06
"""Amplitude of the slow change of light."""


@dataclass(frozen=True)
class Scene(View, ABC):
    """A camera and what passes before it; `seed` decides texture, light and noise."""

    UNUSUAL: ClassVar[tuple[Kind, ...]]
    """Anomalies of the test clips, in turn."""

    fps: float = 12.5
    seed: int = 0

    @abstractmethod
    def ground(self) -> F32:
        """(H, W, 3) float32 BGR: the scene without anybody."""

    @abstractmethod
    def normal(self, seconds: float, rng: np.random.Generator) -> Iterator[Actor]:
        """Actors of `seconds` seconds of normal footage."""

    @abstractmethod
    def unusual(self, kind: Kind, seconds: float, rng: np.random.Generator) -> Iterator[Actor]:
        """Actors of the anomaly `kind`, spread between a quiet beginning and the end of a clip of `seconds` seconds."""

    def exposed(self, picture: F32, frame: int) -> U8:
        """Picture as the sensor records it: drifting light, noise, 8 bits."""
        rng = np.random.default_rng([self.seed, 12, frame])
        phase = np.random.default_rng([self.seed, 13]).uniform(0, 2 * np.pi)
        light = 1 + DRIFT * np.sin(phase + 2 * np.pi * frame / (self.fps * 40))
        noise = rng.standard_normal((self.height, self.width), np.float32) * np.float32(NOISE)
        picture = picture * np.float32(light)
        picture += noise[:, :, None]
        return np.clip(picture, 0, 255, out=picture).astype(np.uint8)
