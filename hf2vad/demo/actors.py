"""Who is in the street: how they move, where they are, what they look like."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from hf2vad.demo.scene import PERSON_M, Scene
from hf2vad.schema import F32

Kind = Literal["walker", "runner", "cyclist", "cart", "wrong_way", "far_runner"]
ANOMALOUS: tuple[Kind, ...] = ("runner", "cyclist", "cart", "wrong_way", "far_runner")

SUBPIXEL = 4
"""Bits behind the point in the coordinates that are drawn: slow motion is smooth."""

_EXTENT_M: dict[Kind, tuple[float, float]] = {"cyclist": (1.75, 1.8), "cart": (2.5, 1.95)}
"""Width and height where they are not a person's, in metres."""

Point = tuple[float, float]
Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Actor:
    """Someone, or something, that crosses the picture at constant speed."""

    kind: Kind
    foot: float
    """Image row of its feet, a share of the picture's height."""
    speed: float
    """Metres a second, negative to the left."""
    start_x: float
    """Metres right of the picture's middle at time 0."""
    height_m: float
    look: int
    """Seeds clothes and gait."""

    @property
    def anomalous(self) -> bool:
        """Whether normal footage has nothing like it."""
        return self.kind in ANOMALOUS

    def place(self, scene: Scene, time: float) -> Point:
        """Column and row of its feet at `time`, in pixels."""
        return scene.column(self.start_x + self.speed * time, self.foot), self.foot * scene.height

    def box(self, scene: Scene, time: float) -> tuple[float, float, float, float]:
        """x1, y1, x2, y2 of all of it, in pixels, not clipped to the picture."""
        wide, tall = _EXTENT_M.get(self.kind, (0.75 if self.kind in ("runner", "far_runner") else 0.62, self.height_m))
        scale = scene.pixels_per_metre(self.foot)
        x, y = self.place(scene, time)
        return x - wide * scale / 2, y - tall * scale, x + wide * scale / 2, y + 0.04 * scale

    def visible(self, scene: Scene, time: float) -> float:
        """Share of its box that is inside the picture."""
        x1, y1, x2, y2 = self.box(scene, time)
        inside = max(0.0, min(x2, scene.width) - max(x1, 0)) * max(0.0, min(y2, scene.height) - max(y1, 0))
        return inside / ((x2 - x1) * (y2 - y1))

    def draw(self, picture: F32, scene: Scene, time: float) -> None:
        """Paint it, and its shadow, into `picture`."""
        if self.visible(scene, time) <= 0:
            return
        _shadow(picture, self, scene, time)
        pen = _Pen(picture, self.place(scene, time), scene.pixels_per_metre(self.foot), 1 if self.speed > 0 else -1)
        draw = {"cyclist": _draw_cyclist, "cart": _draw_cart}.get(self.kind, _draw_person)
        draw(pen, self, time)


@dataclass(frozen=True)
class _Pen:
    """Draws in metres: x forward from the feet, y up."""

    picture: F32
    origin: Point
    scale: float
    facing: int

    def _pixel(self, point: Point) -> tuple[int, int]:
        x = self.origin[0] + self.facing * point[0] * self.scale
        y = self.origin[1] - point[1] * self.scale
        return round(x * 2**SUBPIXEL), round(y * 2**SUBPIXEL)

    def limb(self, a: Point, b: Point, thickness: float, colour: Colour) -> None:
        width = max(1, round(thickness * self.scale))
        cv2.line(self.picture, self._pixel(a), self._pixel(b), colour, width, cv2.LINE_AA, SUBPIXEL)

    def disc(self, centre: Point, radius: float, colour: Colour, *, rim: float = 0.0) -> None:
        width = max(1, round(rim * self.scale)) if rim else -1
        size = round(radius * self.scale * 2**SUBPIXEL)
        cv2.circle(self.picture, self._pixel(centre), size, colour, width, cv2.LINE_AA, SUBPIXEL)

    def shape(self, points: Sequence[Point], colour: Colour) -> None:
        corners = np.array([self._pixel(point) for point in points], np.int32)
        cv2.fillPoly(self.picture, [corners], colour, cv2.LINE_AA, SUBPIXEL)


def _colours(look: int) -> tuple[Colour, Colour, Colour, Colour]:
    """Jacket, trousers, skin, accent."""
    rng = np.random.default_rng([look, 21])
    jacket, trousers, accent = rng.uniform(20, 235, 3), rng.uniform(15, 120, 3), rng.uniform(30, 240, 3)
    skin = np.array([120, 150, 195]) * rng.uniform(0.45, 1.1)
    return _colour(jacket), _colour(trousers), _colour(skin), _colour(accent)


def _colour(values: Iterable[float]) -> Colour:
    blue, green, red = map(float, values)
    return blue, green, red


def _draw_person(pen: _Pen, actor: Actor, time: float) -> None:
    jacket, trousers, skin, accent = _colours(actor.look)
    m = actor.height_m / PERSON_M
    running = actor.kind in ("runner", "far_runner")
    stride = 2 * np.pi * (2.7 if running else 0.95 * abs(actor.speed) / 1.3) * time + actor.look
    swing, lean = (0.75, 0.16) if running else (0.42, 0.03)
    lift = (0.05 if running else 0.02) * m * abs(np.sin(stride))
    hip, shoulder = (0.0, 0.88 * m + lift), (lean * m, 1.42 * m + lift)
    for side, shade in ((-1, 0.75), (1, 1.0)):
        leg, arm = swing * np.sin(stride) * side, -swing * 0.9 * np.sin(stride) * side
        knee = (hip[0] + 0.42 * m * np.sin(leg), hip[1] - 0.42 * m * np.cos(leg))
        bend = max(0.0, -np.cos(stride) * side) * (1.1 if running else 0.5)
        foot = (knee[0] + 0.44 * m * np.sin(leg - bend), max(0.0, knee[1] - 0.44 * m * np.cos(leg - bend)))
        dark = _colour(shade * c for c in trousers)
        pen.limb(hip, knee, 0.17 * m, dark)
        pen.limb(knee, foot, 0.13 * m, dark)
        elbow = (shoulder[0] + 0.3 * m * np.sin(arm), shoulder[1] - 0.3 * m * np.cos(arm))
        hand = (elbow[0] + 0.27 * m * np.sin(arm + (1.3 if running else 0.3)), elbow[1] - 0.22 * m * np.cos(arm))
        pen.limb(shoulder, elbow, 0.12 * m, _colour(shade * c for c in jacket))
        pen.limb(elbow, hand, 0.09 * m, skin)
        if side == -1:
            pen.limb(hip, shoulder, 0.34 * m, jacket)
            pen.limb((hip[0], hip[1] + 0.1 * m), (hip[0], hip[1] + 0.16 * m), 0.34 * m, accent)
    pen.disc((shoulder[0] + lean * 0.4 * m, 1.6 * m + lift), 0.125 * m, skin)
    pen.disc((shoulder[0] + (lean * 0.4 - 0.03) * m, 1.66 * m + lift), 0.1 * m, trousers)


def _draw_cyclist(pen: _Pen, actor: Actor, time: float) -> None:
    jacket, trousers, skin, accent = _colours(actor.look)
    turn = actor.speed * time / 0.34 * pen.facing
    for centre in (-0.52, 0.52):
        pen.disc((centre, 0.34), 0.33, (25, 25, 28), rim=0.05)
        for spoke in range(3):
            angle = turn + spoke * np.pi / 3
            dx, dy = 0.31 * np.cos(angle), -0.31 * np.sin(angle)
            pen.limb((centre - dx, 0.34 - dy), (centre + dx, 0.34 + dy), 0.015, (120, 120, 125))
    for a, b in (
        ((-0.52, 0.34), (0.0, 0.34)),
        ((0.0, 0.34), (0.4, 0.85)),
        ((-0.15, 0.85), (0.4, 0.85)),
        ((0.4, 0.9), (0.52, 0.34)),
        ((0.0, 0.34), (-0.18, 0.95)),
    ):
        pen.limb(a, b, 0.05, accent)
    for side in (0, 1):
        angle = turn * 0.5 + side * np.pi
        pedal = (0.16 * np.cos(angle), 0.34 - 0.16 * np.sin(angle))
        knee = (0.22 + 0.4 * pedal[0], 0.72 + 0.35 * (pedal[1] - 0.34))
        pen.limb((-0.17, 0.98), knee, 0.15, trousers)
        pen.limb(knee, pedal, 0.11, trousers)
    pen.limb((-0.17, 1.0), (0.18, 1.45), 0.3, jacket)
    pen.limb((0.18, 1.42), (0.4, 0.98), 0.1, jacket)
    pen.disc((0.3, 1.64), 0.13, skin)
    pen.disc((0.29, 1.71), 0.12, accent)


def _draw_cart(pen: _Pen, actor: Actor, time: float) -> None:
    jacket, _, skin, accent = _colours(actor.look)
    pen.shape(
        [(-1.2, 0.3), (1.2, 0.3), (1.2, 0.62), (0.75, 0.85), (0.3, 0.62), (-0.2, 0.62), (-0.25, 0.95), (-1.2, 0.95)],
        accent,
    )
    pen.limb((-0.1, 0.75), (0.0, 1.3), 0.36, jacket)
    pen.limb((0.0, 1.2), (0.5, 0.95), 0.1, jacket)
    pen.disc((0.06, 1.5), 0.13, skin)
    for a, b in (((-0.95, 0.9), (-0.85, 1.85)), ((0.75, 0.8), (0.6, 1.85))):
        pen.limb(a, b, 0.05, (60, 60, 64))
    pen.shape([(-1.1, 1.82), (0.85, 1.82), (0.8, 1.95), (-1.05, 1.95)], (215, 220, 222))
    turn = actor.speed * time / 0.27 * pen.facing
    for centre in (-0.75, 0.75):
        pen.disc((centre, 0.27), 0.27, (28, 28, 30))
        pen.disc((centre + 0.1 * np.cos(turn), 0.27 - 0.1 * np.sin(turn)), 0.06, (170, 170, 175))


def _shadow(picture: F32, actor: Actor, scene: Scene, time: float) -> None:
    """A soft dark ellipse on the ground, to one side, as of a sun behind the camera."""
    x, y = actor.place(scene, time)
    x1, _, x2, _ = actor.box(scene, time)
    scale = scene.pixels_per_metre(actor.foot)
    reach, depth = (x2 - x1) * 0.9, 0.16 * scale
    left, right = int(max(0, x - reach)), int(min(scene.width, x + 1.6 * reach + 1))
    top, bottom = int(max(0, y - 2 * depth)), int(min(scene.height, y + 2 * depth + 1))
    if left >= right or top >= bottom:
        return
    columns, rows = np.meshgrid(np.arange(left, right), np.arange(top, bottom))
    distance = ((columns - x - 0.3 * reach) / reach) ** 2 + ((rows - y) / depth) ** 2
    picture[top:bottom, left:right] *= (1 - 0.38 * np.exp(-1.6 * distance)).astype(np.float32)[:, :, None]
