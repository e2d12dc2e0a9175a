"""Where an object was in the frames before: its box, moved back along the object's own motion.

A cube's crops are cut around its box in the last frame (paper §3). What is small and fast has not come there yet in the
first frames, and their flows show what was behind it.
"""

from __future__ import annotations

from hf2vad.cubes.opencv import cv2
from hf2vad.schema import F32

LOOKS = 2
"""Times that a flow is looked at: where the object came to, and where it then seems to have come from."""


class Follower:
    """Goes back along the motion of what is in one box, from flow to flow."""

    def __init__(self, box: tuple[int, int, int, int], size: tuple[int, int]) -> None:
        """box: x1, y1, x2, y2 in whole pixels, inside of frames of `size` (width, height)."""
        x1, y1, x2, y2 = box
        self._side = across, down = x2 - x1, y2 - y1
        self._most = size[0] - across, size[1] - down
        self._after = self._place = float(x1), float(y1)

    def begin(self) -> None:
        """Go on with the flow before: it ends where the box is now."""
        self._after = self._place

    def part(self, field: F32) -> F32:
        """The (h, w, …) part of a (H, W, …) `field` that is in the box where it is now."""
        x, y = self._corner
        return field[y : y + self._side[1], x : x + self._side[0]]

    def back(self, crop: F32, per_frame: tuple[float, float]) -> bool:
        """Put the box where it was when a flow began that shows it in a (h, w, 2) `crop`; it does not leave the frame.

        per_frame: factors, across and down, that make of a vector of the flow pixels from one frame to the next.
        Returns False where the box lies in the same pixels as before.
        """
        before = self._corner
        (x, y), (dx, dy) = self._after, overall_motion(crop)
        self._place = (
            min(max(x - per_frame[0] * dx, 0.0), self._most[0]),
            min(max(y - per_frame[1] * dy, 0.0), self._most[1]),
        )
        return self._corner != before

    @property
    def _corner(self) -> tuple[int, int]:
        return round(self._place[0]), round(self._place[1])


def overall_motion(crop: F32) -> tuple[float, float]:
    """The mean (dx, dy) of the vectors of a (h, w, 2) flow, weighted by their lengths: what is still has no part in it.

    0 where nothing moves, and near 0 where things move apart.
    """
    across, down = cv2.split(crop)
    lengths = cv2.magnitude(across, down)
    total = max(cv2.sumElems(lengths)[0], 1e-12)
    dx, dy = (cv2.sumElems(cv2.multiply(lengths, each))[0] / total for each in (across, down))
    return dx, dy
