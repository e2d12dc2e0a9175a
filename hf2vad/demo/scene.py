"""The street: perspective, ground, light and noise."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from hf2vad.schema import F32, U8

PERSON_M = 1.75
"""Height of a person, in metres."""
HORIZON = 0.16
"""Height of the horizon, as a share of the picture's from its top."""
PERSON_AT_BOTTOM = 0.42
"""Height of a person whose feet are at the picture's lower edge, as a share of the picture's height."""
NOISE = 2.5
"""Deviation of the sensor's noise, grey levels."""
DRIFT = 0.06
"""Amplitude of the slow change of light."""


@dataclass(frozen=True)
class Scene:
    """A camera that looks along a street; `seed` decides texture, light and noise."""

    width: int = 320
    height: int = 240
    fps: float = 12.5
    seed: int = 0

    def pixels_per_metre(self, foot: float) -> float:
        """Scale at the image row `foot`, a share of the picture's height."""
        return PERSON_AT_BOTTOM * self.height / PERSON_M * (foot - HORIZON) / (1 - HORIZON)

    def column(self, x: float, foot: float) -> float:
        """Image column of a place `x` metres right of the middle, at the image row `foot`."""
        return self.width / 2 + x * self.pixels_per_metre(foot)

    def half_width_m(self, foot: float) -> float:
        """Metres from the picture's middle to its edge, at the image row `foot`."""
        return self.width / 2 / self.pixels_per_metre(foot)

    def ground(self) -> F32:
        """(H, W, 3) float32: the empty street: far pavement, road with a dashed line, near pavement, windows."""
        rng = np.random.default_rng([self.seed, 11])
        h, w = self.height, self.width
        rows = (np.arange(h, dtype=np.float32) / h)[:, None, None]
        image = np.full((h, w, 3), (96, 104, 108), np.float32)
        for top, bottom, colour in (
            (0.0, 0.34, (120, 128, 140)),
            (0.34, 0.56, (150, 156, 160)),
            (0.73, 1.01, (142, 150, 156)),
        ):
            image = np.where((rows >= top) & (rows < bottom), np.array(colour, np.float32), image)
        self._slabs(image)
        for edge in (0.34, 0.56, 0.73):
            cv2.line(image, (0, int(edge * h)), (w, int(edge * h)), (78, 82, 86), 2)
        for x in np.arange(-20.0, 20.0, 3.0):
            a, b = (int(self.column(x + d, 0.645)) for d in (0.0, 1.4))
            cv2.line(image, (a, int(0.645 * h)), (b, int(0.645 * h)), (190, 195, 196), 2)
        for cells, strength in ((24, 10.0), (80, 7.0), (w, 5.0)):
            grain = rng.normal(0, strength, (max(2, cells * h // w), cells, 1)).astype(np.float32)
            image += cv2.resize(grain, (w, h), interpolation=cv2.INTER_CUBIC)[:, :, None]
        for _ in range(7):
            x, y = int(rng.uniform(0, w)), int(rng.uniform(0.04, 0.2) * h)
            cv2.rectangle(image, (x, y), (x + w // 14, y + h // 11), tuple(rng.uniform(50, 100, 3)), -1)
        return image

    def _slabs(self, image: F32) -> None:
        """Joints between the slabs of both pavements, drawn in perspective."""
        for top, bottom in ((0.35, 0.56), (0.74, 1.0)):
            for x in np.arange(-24.0, 24.0, 1.2):
                ends = [(int(self.column(x, foot)), int(foot * self.height)) for foot in (top, bottom)]
                cv2.line(image, ends[0], ends[1], (124, 131, 136), 1, cv2.LINE_AA)

    def exposed(self, picture: F32, frame: int) -> U8:
        """What the sensor makes of a picture: light that drifts, noise, 8 bits."""
        rng = np.random.default_rng([self.seed, 12, frame])
        phase = np.random.default_rng([self.seed, 13]).uniform(0, 2 * np.pi)
        light = 1 + DRIFT * np.sin(phase + 2 * np.pi * frame / (self.fps * 40))
        noise = rng.standard_normal((self.height, self.width), np.float32) * np.float32(NOISE)
        return np.clip(picture * np.float32(light) + noise[:, :, None], 0, 255).astype(np.uint8)
