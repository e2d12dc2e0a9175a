"""The street: two pavements on which people walk, and a road that stays empty."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np

from hf2vad.demo.actors import Actor, Kind
from hf2vad.demo.scene import Scene
from hf2vad.schema import F32

NEAR, FAR, ROAD = (0.84, 0.97), (0.42, 0.54), (0.62, 0.70)
"""Rows of feet in the three lanes. People walk on the near and the far one, all to the right."""


@dataclass(frozen=True)
class Street(Scene):
    """A camera that looks across a street. Unusual is who runs, rides, drives, or walks the other way."""

    UNUSUAL: ClassVar[tuple[Kind, ...]] = ("runner", "cyclist", "cart", "wrong_way")
    HORIZON: ClassVar[float] = 0.16
    PERSON_AT_BOTTOM: ClassVar[float] = 0.42

    def ground(self) -> F32:
        """(H, W, 3) float32 BGR: far pavement, road with a dashed line, near pavement, windows."""
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

    def normal(self, seconds: float, rng: np.random.Generator) -> Iterator[Actor]:
        for lane, apart in ((NEAR, 4.5), (FAR, 4.5)):
            half = self.half_width_m(lane[0])
            x = -half - 2 - 1.6 * seconds
            while (x := x + rng.exponential(apart) + 0.8) < half:
                speed = float(np.clip(rng.normal(1.3, 0.13), 1.0, 1.6))
                yield Actor(
                    "walker",
                    rng.uniform(*lane),
                    speed,
                    x,
                    rng.uniform(1.6, 1.85),
                    int(rng.integers(2**31)),
                )

    def unusual(self, kind: Kind, seconds: float, rng: np.random.Generator) -> Iterator[Actor]:
        """`kind` crosses the picture a few times."""
        lanes = {
            "runner": (NEAR, 1),
            "cyclist": (ROAD, 1),
            "cart": (ROAD, -1),
            "wrong_way": (NEAR, -1),
            "far_runner": (FAR, 1),
        }
        speeds = {"runner": 3.4, "cyclist": 4.2, "cart": 3.6, "wrong_way": 1.35, "far_runner": 3.2}
        lane, direction = lanes[kind]
        when = 0.15 * seconds
        while when < 0.9 * seconds:
            foot, speed = rng.uniform(*lane), speeds[kind] * rng.uniform(0.92, 1.08)
            half = self.half_width_m(foot) + 1
            yield Actor(
                kind,
                foot,
                direction * speed,
                -direction * (half + speed * when),
                rng.uniform(1.65, 1.85),
                int(rng.integers(2**31)),
            )
            when += 2 * half / speed + rng.uniform(1.2, 2.5)
