"""A compact vector of what is in a box and how it moves: 64 bytes, the same for every camera and bundle.

Euclidean distance between two of them says how alike two objects are: outline, motion, colours and size together. They
are for finding more of the same in an archive; no score is made of them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hf2vad.features.feature import CubeArrays
from hf2vad.features.rows import products_by_row
from hf2vad.features.shape import gradient_histograms
from hf2vad.features.size import log_sizes
from hf2vad.schema import F32, SIZE, VECTOR_BYTES

VERSION = 1
"""Version of the vector. Vectors of different versions are not compared."""

I8 = npt.NDArray[np.int8]

SHAPE, MOTION, COLOUR = 42, 8, 12
"""Numbers of each kind; two more are the size."""
SHAPE_SCALE, MOTION_SCALE, COLOUR_SCALE, SIZE_SCALE = 150.0, 24.0, 50.0, 15.0
"""Steps of a number's unit. So chosen that each kind varies by some twenty steps among objects of different kinds."""


def object_vectors(cubes: CubeArrays) -> I8:
    """(B, 64) int8 for B cubes with pixels and flow."""
    if not len(cubes):
        return np.empty((0, VECTOR_BYTES), np.int8)
    parts = (
        SHAPE_SCALE * products_by_row(gradient_histograms(cubes.grey), _projection()),
        MOTION_SCALE * _motion(cubes),
        COLOUR_SCALE * _colours(cubes),
        SIZE_SCALE * (log_sizes(cubes.boxes) - 4.0),
    )
    return np.clip(np.rint(np.concatenate(parts, axis=1)), -127, 127).astype(np.int8)


def _projection() -> F32:
    """(144, SHAPE): a fixed projection, which keeps distances about as they are."""
    draw = np.random.default_rng(16).normal(0, 1, (144, 144))
    return np.asarray(np.linalg.qr(draw)[0][:, :SHAPE] * np.sqrt(144 / SHAPE), np.float32)


def _motion(cubes: CubeArrays) -> F32:
    """(B, MOTION): median flow over quarters of the crop in box widths a second of 25 frames, by sign and logarithm."""
    half = SIZE // 2
    flow = cubes.median_flow.reshape(-1, 2, half, 2, half, 2).mean(axis=(2, 4)).reshape(len(cubes), MOTION)
    width = np.maximum(cubes.boxes[:, 2] - cubes.boxes[:, 0], 1.0)[:, None]
    speed = 25 * flow / width
    return np.asarray(np.sign(speed) * np.log1p(np.abs(speed)), np.float32)


def _colours(cubes: CubeArrays) -> F32:
    """(B, COLOUR): mean blue, green and red in quarters of the last crop, in [−0.5, 0.5]."""
    half = SIZE // 2
    crop = cubes.pixels[:, -1].astype(np.float32)
    quarters = crop.reshape(-1, 2, half, 2, half, 3).mean(axis=(2, 4)).reshape(len(cubes), COLOUR)
    return np.asarray(quarters / 255 - 0.5, np.float32)
