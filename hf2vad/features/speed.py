"""The plain speed of a cube's flow: the yardstick without learning."""

from __future__ import annotations

import numpy as np

from hf2vad.schema import F16, F32


def flow_speed(flow: F16) -> F32:
    """(B,): how fast a cube moves: the median over its four flows of each pixel's speed, averaged over the crop.

    The yardstick without learning (METHOD §9), in the flow's units.
    """
    vectors = flow.astype(np.float32)
    speed = np.sqrt(np.square(vectors).sum(axis=-1))
    return np.asarray(np.median(speed, axis=1).mean(axis=(1, 2)), np.float32)
