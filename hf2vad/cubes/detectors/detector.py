"""Protocol of an object detector, which finds the boxes of a frame.

A detector is one file in this folder and one entry in `DETECTORS` (settings.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from hf2vad.cubes.detectors.settings import NoSettings
from hf2vad.schema import F32, I32, U8

NO_BOXES: F32 = np.empty((0, 4), np.float32)


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """A frame between its neighbours, in grey, each smoothed by a Gaussian of `motion.blur` pixels."""

    before: U8 | None
    """(H, W): the frame before; None where it cannot be decoded."""
    current: U8
    """(H, W): the frame itself."""
    after: U8 | None
    """(H, W): the next frame; None at the end of a video and where it cannot be decoded."""


@dataclass(frozen=True, kw_only=True)
class FrameContext:
    """A frame, as a detector sees it."""

    video: str
    """Id of the video."""
    index: int
    """Number of the frame in the video, from 0."""
    image: U8
    """(H, W, 3) BGR, at the size that frames are worked on at (`working.longest`)."""
    neighbours: Neighbours | None = None
    """None where no detector of the run needs them."""


@dataclass(frozen=True)
class Detections:
    """The boxes of a frame, and what is in them."""

    boxes: F32
    """(N, 4): x1, y1, x2, y2 in pixels, the end exclusive. Their order must depend on the frame alone."""
    classes: I32 | None = None
    """(N,): index of the most probable class; None for a detector without classes."""
    scores: F32 | None = None
    """(N,): probability of that class, in [0, 1]; None for a detector without classes."""


@dataclass(frozen=True, kw_only=True)
class Resources:
    """Resources of a detector that belong to the job or the machine and not to the model."""

    threads: int = 1
    """Processor threads that a network may use."""
    boxes: str = ""
    """URI of the Parquet file of boxes that the job was given; empty: none."""


class Detector(Protocol):
    """Finds the boxes of a frame. One object serves one thread, shard after shard.

    A frame must have the same boxes, bit for bit, in whatever shard it is and whatever frame was seen before it.
    """

    Settings: ClassVar[type] = NoSettings
    """Frozen dataclass whose fields are options under `detector.<name>.`. It travels in the bundle, and counts in its
    id where the detector is used. A file is a field `<file>` (URI) with a field `<file>_sha256` beside it, both text
    and empty by default: the file then counts by its content, and `read_file` holds it to it."""

    needs_neighbours: ClassVar[bool] = False
    """True if `boxes` reads `frame.neighbours`. A shard then decodes one more frame at each end."""

    carried: ClassVar[bool] = False
    """True if `boxes` runs at the rate `detector.fps`, and flow moves its boxes to the frames between. It then must not
    read `earlier`, nor neighbours."""

    in_source_pixels: ClassVar[bool] = False
    """True if boxes are in pixels of the coded frame, False if in those of `frame.image`."""

    def __init__(self, settings: Any, resources: Resources) -> None:
        """`settings`: a `Settings`. Raises ConfigError or MismatchError for settings that cannot be used."""

    def boxes(self, frame: FrameContext, earlier: F32) -> Detections:
        """The boxes of `frame`, beside those that the detectors before this one in `detector.kinds` have found.

        `earlier`: (M, 4) boxes in pixels of `frame.image`. Raises VideoError where the video cannot have boxes.
        """


def box_order(boxes: F32) -> npt.NDArray[np.intp]:
    """(N,) indices that sort (N, 4) boxes by y1, x1, y2, x2; boxes with equal corners stay in their order."""
    return np.lexsort((boxes[:, 2], boxes[:, 3], boxes[:, 0], boxes[:, 1]))
