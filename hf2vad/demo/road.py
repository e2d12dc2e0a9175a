"""The road: cars in two lanes, people on a near and a far footway."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np

from hf2vad.demo.actors import Actor, Kind
from hf2vad.demo.scene import Scene
from hf2vad.schema import F32

NEAR, FAR = (0.86, 0.96), (0.385, 0.42)
"""Rows of feet on the two footways; people walk there both ways."""
RIGHTWARD, LEFTWARD = 0.7, 0.55
"""Rows of the wheels in the two lanes."""


@dataclass(frozen=True)
class Road(Scene):
    """A camera on a mast. Unusual is a car on the footway, someone who runs far away, or stands on the carriageway."""

    UNUSUAL: ClassVar[tuple[Kind, ...]] = ("car_on_footway", "far_runner", "standing")
    HORIZON: ClassVar[float] = 0.14
    PERSON_AT_BOTTOM: ClassVar[float] = 0.34

    def ground(self) -> F32:
        """(H, W, 3) float32 BGR: hedge, far footway, carriageway with a dashed line, near footway."""
        rng = np.random.default_rng([self.seed, 41])
        h, w = self.height, self.width
        rows = (np.arange(h, dtype=np.float32) / h)[:, None, None]
        image = np.full((h, w, 3), (150, 142, 128), np.float32)
        for top, bottom, colour in (
            (0.16, 0.37, (74, 102, 84)),
            (0.37, 0.44, (148, 152, 154)),
            (0.44, 0.78, (92, 94, 98)),
            (0.78, 1.01, (150, 154, 156)),
        ):
            image = np.where((rows >= top) & (rows < bottom), np.array(colour, np.float32), image)
        for edge in (0.44, 0.78):
            cv2.line(image, (0, int(edge * h)), (w, int(edge * h)), (176, 180, 182), 2)
        middle = (RIGHTWARD + LEFTWARD) / 2
        for x in np.arange(-24.0, 24.0, 4.0):
            ends = [(int(self.column(x + d, middle)), int(middle * h)) for d in (0.0, 2.0)]
            cv2.line(image, ends[0], ends[1], (200, 204, 206), 2)
        for x in np.arange(-12.0, 12.0, 1.0):
            ends = [(int(self.column(x, row)), int(row * h)) for row in (0.79, 1.0)]
            cv2.line(image, ends[0], ends[1], (132, 136, 140), 1, cv2.LINE_AA)
        for cells, strength in ((30, 9.0), (90, 7.0), (w, 5.0)):
            grain = rng.normal(0, strength, (max(2, cells * h // w), cells, 1)).astype(np.float32)
            image += cv2.resize(grain, (w, h), interpolation=cv2.INTER_CUBIC)[:, :, None]
        return image

    def normal(self, seconds: float, rng: np.random.Generator) -> Iterator[Actor]:
        for row, direction in ((RIGHTWARD, 1), (LEFTWARD, -1)):
            half, when = self.half_width_m(row) + 4, -4.0
            while (when := when + rng.exponential(3.0) + 1.6) < seconds:
                speed = float(np.clip(rng.normal(6.5, 0.5), 5.5, 7.5))
                start = -direction * (half + speed * when)
                yield Actor("car", row, direction * speed, start, 1.45, int(rng.integers(2**31)))
        for lane, apart in ((NEAR, 4.0), (FAR, 7.0)):
            half = self.half_width_m(lane[0]) + 1
            for direction in (1, -1):
                when = -2 * half / 1.3
                while (when := when + rng.exponential(apart) + 0.6) < seconds:
                    speed = float(np.clip(rng.normal(1.3, 0.13), 1.0, 1.6))
                    start = -direction * (half + speed * when)
                    height, look = rng.uniform(1.6, 1.85), int(rng.integers(2**31))
                    yield Actor("walker", rng.uniform(*lane), direction * speed, start, height, look)

    def unusual(self, kind: Kind, seconds: float, rng: np.random.Generator) -> Iterator[Actor]:
        """Cars that creep along the footway and runners on the far one, one after the other; or someone who stands
        between the lanes for half of the clip."""
        if kind == "standing":
            place, stay = (RIGHTWARD + LEFTWARD) / 2, (0.25 * seconds, 0.75 * seconds)
            x, look = rng.uniform(-3, 3), int(rng.integers(2**31))
            yield Actor(kind, place, 0.0, x, rng.uniform(1.65, 1.85), look, present=stay)
            return
        lane, typical = {"car_on_footway": (NEAR, 1.7), "far_runner": (FAR, 3.2)}[kind]
        when = 0.15 * seconds
        while when < 0.85 * seconds:
            foot, speed, direction = rng.uniform(*lane), typical * rng.uniform(0.92, 1.08), int(rng.choice([-1, 1]))
            half = self.half_width_m(foot) + (2.2 if kind == "car_on_footway" else 1.0)
            start = -direction * (half + speed * when)
            yield Actor(kind, foot, direction * speed, start, rng.uniform(1.65, 1.85), int(rng.integers(2**31)))
            when += 2 * half / speed + rng.uniform(1.0, 2.0)
