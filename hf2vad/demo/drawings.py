"""Drawings of people and things in metres, seen from the side or facing the camera."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from hf2vad.schema import F32

PERSON_M = 1.75
"""Height of a person, in metres; taller and shorter ones are scaled."""

SUBPIXEL = 4
"""Bits behind the point in the coordinates that are drawn: slow motion is smooth."""

Point = tuple[float, float]
Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Pen:
    """Draws in metres: x forward from the feet, y up."""

    picture: F32
    origin: Point
    """Column and row of the feet, in pixels."""
    scale: float
    """Pixels per metre."""
    facing: int
    """1 to the right, -1 to the left."""
    tilt: float = 0.0
    """Radians by which what is drawn has fallen forward about its feet."""

    def _pixel(self, point: Point) -> tuple[int, int]:
        x, y = point
        if self.tilt:
            cos, sin = np.cos(self.tilt), np.sin(self.tilt)
            x, y = x * cos + y * sin, y * cos - x * sin
        column = self.origin[0] + self.facing * x * self.scale
        row = self.origin[1] - y * self.scale
        return round(column * 2**SUBPIXEL), round(row * 2**SUBPIXEL)

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


def draw_person(pen: Pen, look: int, height_m: float, time: float, *, speed: float, running: bool = False) -> None:
    """Someone from the side, who walks or runs at `speed` metres a second."""
    jacket, trousers, skin, accent = _colours(look)
    m = height_m / PERSON_M
    stride = 2 * np.pi * (2.7 if running else 0.95 * abs(speed) / 1.3) * time + look
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


def draw_cyclist(pen: Pen, look: int, time: float, *, speed: float) -> None:
    """Someone on a bicycle, from the side."""
    jacket, trousers, skin, accent = _colours(look)
    turn = speed * time / 0.34 * pen.facing
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


def draw_cart(pen: Pen, look: int, time: float, *, speed: float) -> None:
    """A small electric cart with its driver, from the side."""
    jacket, _, skin, accent = _colours(look)
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
    turn = speed * time / 0.27 * pen.facing
    for centre in (-0.75, 0.75):
        pen.disc((centre, 0.27), 0.27, (28, 28, 30))
        pen.disc((centre + 0.1 * np.cos(turn), 0.27 - 0.1 * np.sin(turn)), 0.06, (170, 170, 175))


def draw_facing(pen: Pen, look: int, height_m: float, time: float, *, speed: float) -> None:
    """Someone seen from the front or from behind, who walks at `speed` metres a second, or stands and fidgets at 0."""
    jacket, trousers, skin, accent = _colours(look)
    m = height_m / PERSON_M
    stride = 2 * np.pi * 0.95 * abs(speed) / 1.3 * time + look
    step = np.sin(stride) if speed else 0.0
    sway = 0.03 * m * (np.cos(stride) if speed else np.sin(0.9 * time + look))
    gesture = 0.0 if speed else 0.35 * max(0.0, np.sin(1.7 * time + look))
    hip, shoulder = (sway, 0.88 * m), (0.6 * sway, 1.42 * m)
    for side in (-1, 1):
        lift = 0.16 * m * max(0.0, side * step)
        knee = (hip[0] + side * 0.1 * m, 0.46 * m + 0.7 * lift)
        foot = (side * 0.11 * m, 0.03 * m + lift)
        pen.limb((hip[0] + side * 0.08 * m, hip[1]), knee, 0.17 * m, trousers)
        pen.limb(knee, foot, 0.14 * m, trousers)
        elbow = (shoulder[0] + side * 0.29 * m, 1.12 * m + 0.04 * m * side * step)
        hand = (elbow[0] - side * 0.12 * gesture * m, 0.86 * m + (gesture - 0.06 * side * step) * m)
        pen.limb((shoulder[0] + side * 0.2 * m, shoulder[1] - 0.04 * m), elbow, 0.13 * m, jacket)
        pen.limb(elbow, hand, 0.1 * m, skin)
    waist = [(hip[0] + side * 0.18 * m, 0.85 * m) for side in (-1, 1)]
    chest = [(shoulder[0] + side * 0.25 * m, shoulder[1]) for side in (1, -1)]
    pen.shape([*waist, *chest], jacket)
    pen.limb((hip[0] - 0.14 * m, 1.0 * m), (hip[0] + 0.14 * m, 1.0 * m), 0.07 * m, accent)
    pen.disc((shoulder[0], 1.6 * m), 0.125 * m, skin)
    pen.disc((shoulder[0], 1.67 * m), 0.105 * m, trousers)


def draw_trolley(pen: Pen, look: int, height_m: float, time: float, *, speed: float) -> None:
    """Someone who pushes a loaded trolley ahead, from the side."""
    *_, accent = _colours(look)
    draw_person(pen, look, height_m, time, speed=speed)
    pen.shape([(0.45, 0.2), (1.75, 0.2), (1.75, 1.35), (0.45, 1.35)], accent)
    pen.shape([(0.6, 0.75), (1.6, 0.75), (1.6, 1.25), (0.6, 1.25)], _colour(0.6 * c for c in accent))
    pen.limb((0.4, 1.05), (0.2, 1.1), 0.06, (70, 70, 74))
    for centre in (0.65, 1.55):
        pen.disc((centre, 0.12), 0.12, (28, 28, 30))


def draw_car(pen: Pen, look: int, time: float, *, speed: float) -> None:
    """A passenger car, from the side."""
    *_, accent = _colours(look)
    dark = _colour(0.7 * c for c in accent)
    pen.shape([(-2.1, 0.35), (2.1, 0.35), (2.1, 0.75), (1.3, 0.88), (-1.9, 0.92), (-2.1, 0.8)], accent)
    pen.shape([(-1.7, 0.9), (1.1, 0.86), (0.45, 1.42), (-1.15, 1.45)], dark)
    pen.shape([(-1.45, 0.95), (-0.3, 0.93), (-0.3, 1.36), (-1.05, 1.37)], (92, 88, 80))
    pen.shape([(-0.2, 0.93), (0.85, 0.92), (0.38, 1.35), (-0.2, 1.36)], (92, 88, 80))
    turn = speed * time / 0.32 * pen.facing
    for centre in (-1.25, 1.3):
        pen.disc((centre, 0.32), 0.32, (26, 26, 28))
        pen.disc((centre, 0.32), 0.18, (120, 122, 126))
        pen.disc((centre + 0.1 * np.cos(turn), 0.32 - 0.1 * np.sin(turn)), 0.05, (50, 50, 52))
