"""The corridor: people close to the camera, who walk towards it and away from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import cv2
import numpy as np

from hf2vad.demo.actors import Actor, Kind
from hf2vad.demo.scene import Scene
from hf2vad.schema import F32

HALF_WIDTH_M = 1.7
"""Distance from the middle of the corridor to its walls, in metres."""
END = 0.42
"""Image row at which people come from, and go through, the door at the far end."""
PASSED = 2.6
"""Image row of the feet of those who have walked past the camera."""


@dataclass(frozen=True)
class Corridor(Scene):
    """A camera at eye height. Unusual is who stands at the wall, falls, or pushes a trolley across; nobody is fast."""

    UNUSUAL: ClassVar[tuple[Kind, ...]] = ("standing", "falling", "trolley")
    HORIZON: ClassVar[float] = 0.24
    PERSON_AT_BOTTOM: ClassVar[float] = 0.86

    def ground(self) -> F32:
        """(H, W, 3) float32 BGR: floor with tiles, walls with doors, ceiling with lamps, a door at the far end."""
        rng = np.random.default_rng([self.seed, 31])
        h, w = self.height, self.width
        image = np.full((h, w, 3), (168, 176, 180), np.float32)
        (far_left, near_left), (far_right, near_right) = self._floor(-HALF_WIDTH_M), self._floor(HALF_WIDTH_M)
        corners = np.array([far_left, far_right, near_right, near_left], np.int32)
        cv2.fillPoly(image, [corners], (118, 124, 132), cv2.LINE_AA)
        for x in np.arange(-1.5, 1.6, 0.6):
            cv2.line(image, *self._floor(float(x)), (104, 110, 118), 1, cv2.LINE_AA)
        for metres in np.arange(self.depth(1.3), self.depth(END), 0.6):
            row = self.row_at(float(metres))
            ends = [(round(self.column(x, row)), round(row * h)) for x in (-HALF_WIDTH_M, HALF_WIDTH_M)]
            cv2.line(image, ends[0], ends[1], (104, 110, 118), 1, cv2.LINE_AA)
        for x in (-HALF_WIDTH_M, HALF_WIDTH_M):
            for metres in (2.2, 4.2):
                self._door(image, x, self.row_at(metres), self.row_at(metres + 0.9))
        scale = self.pixels_per_metre(END)
        top = (far_left[0], round(far_left[1] - 2.5 * scale))
        cv2.rectangle(image, top, far_right, (150, 158, 160), -1)
        for x in (-0.85, 0.05):
            left, right = (round(self.column(edge, END)) for edge in (x, x + 0.8))
            cv2.rectangle(image, (left, round(END * h - 2.1 * scale)), (right, round(END * h)), (96, 92, 88), -1)
        for cells, strength in ((20, 8.0), (70, 5.0), (w, 4.0)):
            grain = rng.normal(0, strength, (max(2, cells * h // w), cells, 1)).astype(np.float32)
            image += cv2.resize(grain, (w, h), interpolation=cv2.INTER_CUBIC)[:, :, None]
        return image

    def normal(self, seconds: float, rng: np.random.Generator) -> Iterator[Actor]:
        """People who keep to the right, about one every three seconds."""
        when = -(self.depth(END) - self.depth(PASSED)) / 1.2
        while (when := when + rng.exponential(2.6) + 0.4) < seconds:
            direction = 1 if rng.random() < 0.5 else -1
            speed = float(np.clip(rng.normal(1.25, 0.12), 0.95, 1.55))
            yield self._walker("walker", direction * rng.uniform(0.45, 0.95), direction * speed, when, rng)

    def unusual(self, kind: Kind, seconds: float, rng: np.random.Generator) -> Iterator[Actor]:
        """Someone who stands at a wall for half of the clip; two who fall; or trolleys that cross from side to side."""
        if kind == "standing":
            place, side = rng.uniform(0.72, 0.86), float(rng.choice([-1, 1]))
            stay = (0.25 * seconds, 0.75 * seconds)
            yield Actor(kind, place, 0.0, side * 1.4, rng.uniform(1.65, 1.85), int(rng.integers(2**31)), present=stay)
        elif kind == "falling":
            for moment, direction in ((0.3 * seconds, 1), (0.7 * seconds, -1)):
                # 3 m from the camera or the far door, where all of the person is in the picture.
                came = moment - (2.4 if direction > 0 else self.depth(END) - 3.4) / 1.2
                walker = self._walker(kind, direction * rng.uniform(0.35, 0.6), direction * 1.2, came, rng)
                stay = (walker.present[0], moment + 0.2 * seconds)
                yield replace(walker, falls_at=moment, present=stay)
        else:
            when = 0.15 * seconds
            while when < 0.85 * seconds:
                foot, direction, speed = rng.uniform(0.7, 0.85), int(rng.choice([-1, 1])), rng.uniform(0.9, 1.1)
                half = self.half_width_m(foot) + 2
                start = -direction * (half + speed * when)
                yield Actor(kind, foot, direction * speed, start, rng.uniform(1.65, 1.85), int(rng.integers(2**31)))
                when += 2 * half / speed + rng.uniform(1.0, 2.0)

    def _walker(self, kind: Kind, x: float, away: float, when: float, rng: np.random.Generator) -> Actor:
        """Someone who comes in at second `when`, by the far door or past the camera, and leaves at the other end."""
        far, near = self.depth(END), self.depth(PASSED)
        start = (near if away > 0 else far) - away * when
        stay = (when, when + (far - near) / abs(away))
        look = int(rng.integers(2**31))
        return Actor(kind, 1.0, 0.0, x, rng.uniform(1.6, 1.85), look, away=away, depth=start, present=stay)

    def _floor(self, x: float) -> tuple[tuple[int, int], tuple[int, int]]:
        """Pixels of the ends of a line along the floor, `x` metres right of the middle: far and near."""
        far, near = ((round(self.column(x, row)), round(row * self.height)) for row in (END, 1.3))
        return far, near

    def _door(self, image: F32, x: float, first: float, last: float) -> None:
        """A door in a wall, between two image rows of its threshold."""
        corners = []
        for row, up in ((first, 0.0), (last, 0.0), (last, 2.1), (first, 2.1)):
            corners.append((round(self.column(x, row)), round(row * self.height - up * self.pixels_per_metre(row))))
        cv2.fillPoly(image, [np.array(corners, np.int32)], (116, 112, 106), cv2.LINE_AA)
