"""Zones: polygons of a camera's picture, to be ignored or to be watched alone.

A box is dropped when its foot, the middle of its lower edge, lies in a zone to ignore, or when the camera has zones to
watch and the foot lies in none of them. The foot and not the centre, because zones are drawn on the ground: a person on
the pavement stands there, though head and shoulders cover the road behind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, Self, get_args

import numpy as np
import numpy.typing as npt

from hf2vad.errors import ConfigError
from hf2vad.hashes import hash_of
from hf2vad.schema import F32, F64

Bools = npt.NDArray[np.bool_]
Kind = Literal["ignore", "watch"]

MOST_POINTS = 200
MOST_ZONES = 50
"""Zones of a camera, at most: they travel with every call."""
EXAMPLE = '{"kind": "ignore", "points": [[0, 0.5], [1, 0.5], [1, 1]]}'


@dataclass(frozen=True, order=True)
class Zone:
    """A polygon of the picture. Where its edges cross, a point is inside if a ray from it crosses an odd number."""

    kind: Kind
    points: tuple[tuple[float, float], ...]
    """Corners in order, as fractions of the picture's width and height from its upper left corner."""

    @classmethod
    def parse(cls, values: object, *, where: str) -> Self:
        """A zone from JSON: the inverse of `to_json`. Raises ConfigError."""
        if not isinstance(values, Mapping) or set(values) != {"kind", "points"}:
            raise ConfigError(f"{where}: not a zone; give it as {EXAMPLE}")
        kind, points = values["kind"], values["points"]
        if kind not in get_args(Kind):
            raise ConfigError(f"{where}: kind must be ignore or watch, got {kind!r:.80}")
        if not isinstance(points, list):
            raise ConfigError(f"{where}: points must be a list of [x, y], got {points!r:.80}; give it as {EXAMPLE}")
        if not 3 <= len(points) <= MOST_POINTS:
            raise ConfigError(f"{where}: a zone has 3 to {MOST_POINTS} points, got {len(points)}")
        corners = tuple(_corner(point, f"{where}, point {number}") for number, point in enumerate(points, 1))
        if np.linalg.matrix_rank(np.subtract(corners, corners[0]), tol=1e-6) < 2:
            raise ConfigError(f"{where}: its points lie on one line; move one of them")
        return cls(kind, corners)

    def holds(self, points: F64) -> Bools:
        """(N,): which of the (N, 2) points, as fractions of the picture, lie inside."""
        x, y = points[:, 0], points[:, 1]
        inside = np.zeros(len(points), np.bool_)
        for (x1, y1), (x2, y2) in zip(self.points, (*self.points[1:], self.points[0]), strict=True):
            level = (y1 > y) != (y2 > y)  # at no point with an edge that is level, or of hardly any height
            inside[level] ^= x[level] < (x2 - x1) * (y[level] - y1) / (y2 - y1) + x1
        return inside

    def to_json(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        return {"kind": self.kind, "points": [list(point) for point in self.points]}


@dataclass(frozen=True)
class CameraZones:
    """The zones of one camera."""

    zones: tuple[Zone, ...] = ()
    """Sorted, each once."""

    @property
    def key(self) -> str:
        """Hash of the zones, for the states of what is made with them; empty without any."""
        return _key(self.zones)

    def keeps(self, boxes: F32, sizes: npt.ArrayLike) -> Bools:
        """(N,): which of (N, 4) boxes stay.

        boxes: x1, y1, x2, y2 in pixels, the end exclusive. sizes: (2,) or (N, 2) width and height of their pictures.
        """
        if not self.zones or not len(boxes):
            return np.ones(len(boxes), np.bool_)
        feet = feet_of(boxes, sizes)
        ignore, watch = (
            np.any([np.zeros(len(feet), np.bool_), *(zone.holds(feet) for zone in self._of(kind))], axis=0)
            for kind in get_args(Kind)
        )
        return np.asarray(~ignore & watch if self._of("watch") else ~ignore, np.bool_)

    def narrows(self, before: CameraZones) -> bool:
        """True if these zones surely keep no box that `before` drops: its zones to ignore are all here, and its zones
        to watch the same, or there were none."""
        return self._of("ignore") >= before._of("ignore") and before._of("watch") in (set(), self._of("watch"))

    def _of(self, kind: Kind) -> set[Zone]:
        return {zone for zone in self.zones if zone.kind == kind}

    def to_json(self) -> list[dict[str, Any]]:
        """Plain values for JSON."""
        return [zone.to_json() for zone in self.zones]

    @classmethod
    def parse(cls, values: object, *, where: str) -> Self:
        """Zones from JSON, in any order. Raises ConfigError."""
        if not isinstance(values, list):
            raise ConfigError(f"{where}: must be a list of zones such as {EXAMPLE}, got {values!r:.80}")
        if len(values) > MOST_ZONES:
            raise ConfigError(f"{where}: a camera has at most {MOST_ZONES} zones, got {len(values)}")
        zones = {Zone.parse(value, where=f"{where}, zone {number}") for number, value in enumerate(values, 1)}
        return cls(tuple(sorted(zones)))


NO_ZONES = CameraZones()


def feet_of(boxes: F32, sizes: npt.ArrayLike) -> F64:
    """(N, 2): the middle of the lowest row of pixels of each (N, 4) box, as fractions of pictures of `sizes`.

    Boxes that reach out of the picture are taken as far as it goes.
    """
    pixels = np.asarray(sizes, np.float64)
    feet = np.stack([(boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 3] - 0.5], axis=1).astype(np.float64)
    return np.asarray(np.clip(feet, 0.5, pixels - 0.5) / pixels, np.float64)


@lru_cache(maxsize=4096)
def _key(zones: tuple[Zone, ...]) -> str:
    return hash_of([zone.to_json() for zone in zones]) if zones else ""


def _corner(point: object, where: str) -> tuple[float, float]:
    if not isinstance(point, list) or len(point) != 2 or not all(map(_is_number, point)):
        raise ConfigError(f"{where}: must be two numbers [x, y], got {point!r:.80}")
    if not all(0 <= value <= 1 for value in point):
        raise ConfigError(
            f"{where}: {point!r:.80} lies outside 0 to 1; give fractions of the picture's width and height"
        )
    return float(point[0]), float(point[1])


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
