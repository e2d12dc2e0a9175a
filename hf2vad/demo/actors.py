"""Actors of a scene: their motion and positions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hf2vad.demo.drawings import (
    Pen,
    Point,
    draw_car,
    draw_cart,
    draw_cyclist,
    draw_facing,
    draw_person,
    draw_trolley,
)
from hf2vad.demo.view import View
from hf2vad.schema import F32

Kind = Literal[
    "walker",
    "runner",
    "cyclist",
    "cart",
    "wrong_way",
    "far_runner",
    "standing",
    "falling",
    "trolley",
    "car",
    "car_on_footway",
]
NORMAL: tuple[Kind, ...] = ("walker", "car")

FALL_S = 0.9
"""Seconds from upright to lying."""

_EXTENT_M: dict[Kind, tuple[float, float]] = {
    "cyclist": (1.75, 1.8),
    "cart": (2.5, 1.95),
    "car": (4.2, 1.45),
    "car_on_footway": (4.2, 1.45),
}
"""Width and height where they are not a person's, in metres."""
_WIDTH_M: dict[Kind, float] = {"runner": 0.75, "far_runner": 0.75}
"""Width where it is not a walker's."""


@dataclass(frozen=True)
class Actor:
    """Someone, or something, that crosses the scene at constant speed."""

    kind: Kind
    foot: float
    """Image row of its feet, a share of the picture's height; unused where `away` is set."""
    speed: float
    """Metres a second across the picture, negative to the left."""
    start_x: float
    """Metres right of the picture's middle at time 0."""
    height_m: float
    look: int
    """Seeds clothes and gait."""
    away: float = 0.0
    """Metres a second away from the camera, negative towards it; 0: it keeps to its row."""
    depth: float = 0.0
    """Metres from the camera at time 0, where `away` is set."""
    present: tuple[float, float] = (-math.inf, math.inf)
    """Seconds from when to when it is in the scene."""
    falls_at: float = math.inf
    """Second at which a person of the kind `falling` begins to fall; it lies where it fell."""

    def anomalous(self, time: float) -> bool:
        """True if normal footage shows nothing like the actor at `time`, in seconds."""
        return self.kind not in NORMAL and (self.kind != "falling" or time >= self.falls_at)

    def foot_at(self, view: View, time: float) -> float:
        """Image row of its feet at `time`, a share of the picture's height."""
        return view.row_at(self.depth + self.away * min(time, self.falls_at)) if self.away else self.foot

    def place(self, view: View, time: float) -> Point:
        """Column and row of its feet at `time`, in pixels."""
        foot = self.foot_at(view, time)
        return view.column(self.start_x + self.speed * min(time, self.falls_at), foot), foot * view.height

    def box(self, view: View, time: float) -> tuple[float, float, float, float]:
        """x1, y1, x2, y2 of all of it, in pixels, not clipped to the picture."""
        wide, tall = _EXTENT_M.get(self.kind, (_WIDTH_M.get(self.kind, 0.62), self.height_m))
        scale = view.pixels_per_metre(self.foot_at(view, time))
        x, y = self.place(view, time)
        left, right = wide / 2, wide / 2
        if self.kind == "trolley":
            left, right = (0.35, 1.8) if self._facing > 0 else (1.8, 0.35)
        if tilt := self._tilt(time):
            reach, side = tall * math.sin(tilt), wide / 2 * math.cos(tilt)
            tall = tall * math.cos(tilt) + wide / 2 * math.sin(tilt)
            left, right = (side, max(side, reach)) if self._facing > 0 else (max(side, reach), side)
        return x - left * scale, y - tall * scale, x + right * scale, y + 0.04 * scale

    def visible(self, view: View, time: float) -> float:
        """Share of its box that is inside the picture."""
        if not self.present[0] <= time <= self.present[1]:
            return 0.0
        x1, y1, x2, y2 = self.box(view, time)
        inside = max(0.0, min(x2, view.width) - max(x1, 0)) * max(0.0, min(y2, view.height) - max(y1, 0))
        return inside / ((x2 - x1) * (y2 - y1))

    def draw(self, picture: F32, view: View, time: float) -> None:
        """Paint it, and its shadow, into `picture`."""
        if self.visible(view, time) <= 0:
            return
        _shadow(picture, self, view, time)
        scale = view.pixels_per_metre(self.foot_at(view, time))
        pen = Pen(picture, self.place(view, time), scale, self._facing, self._tilt(time))
        if self.kind == "cyclist":
            draw_cyclist(pen, self.look, time, speed=self.speed)
        elif self.kind == "cart":
            draw_cart(pen, self.look, time, speed=self.speed)
        elif self.kind in ("car", "car_on_footway"):
            draw_car(pen, self.look, time, speed=self.speed)
        elif self.kind == "trolley":
            draw_trolley(pen, self.look, self.height_m, time, speed=self.speed)
        elif self.away or self.kind == "standing":
            draw_facing(pen, self.look, self.height_m, time, speed=self.away if time < self.falls_at else 0.0)
        else:
            running = self.kind in ("runner", "far_runner")
            draw_person(pen, self.look, self.height_m, time, speed=self.speed, running=running)

    @property
    def _facing(self) -> int:
        return 1 if self.speed > 0 else -1

    def _tilt(self, time: float) -> float:
        """Radians by which it has fallen: slowly at first, as bodies do."""
        share = min(max((time - self.falls_at) / FALL_S, 0.0), 1.0)
        return share**2 * math.pi / 2 * 0.95


def _shadow(picture: F32, actor: Actor, view: View, time: float) -> None:
    """A soft dark ellipse on the ground, to one side, as of a sun behind the camera."""
    x, y = actor.place(view, time)
    x1, _, x2, _ = actor.box(view, time)
    scale = view.pixels_per_metre(actor.foot_at(view, time))
    reach, depth = (x2 - x1) * 0.9, 0.16 * scale
    left, right = int(max(0, x - reach)), int(min(view.width, x + 1.6 * reach + 1))
    top, bottom = int(max(0, y - 2 * depth)), int(min(view.height, y + 2 * depth + 1))
    if left >= right or top >= bottom:
        return
    columns, rows = np.meshgrid(np.arange(left, right), np.arange(top, bottom))
    distance = ((columns - x - 0.3 * reach) / reach) ** 2 + ((rows - y) / depth) ** 2
    picture[top:bottom, left:right] *= (1 - 0.38 * np.exp(-1.6 * distance)).astype(np.float32)[:, :, None]
