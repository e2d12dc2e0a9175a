"""The picture of what is there when nobody is: its median, and how seldom it is made."""

from __future__ import annotations

import numpy as np
import pytest

from hf2vad.schema import U8
from hf2vad.video.background import ROWS, median

@pytest.mark.parametrize("count", [1, 2, 5, 12, 25])
def test_the_median_is_the_middle_one_of_each_pixel_in_order(count: int) -> None:
    rng = np.random.default_rng(count)
    pictures: list[U8] = list(rng.integers(0, 256, (count, 2 * ROWS + 3, 7, 3), np.uint8))
    assert np.array_equal(median(pictures), np.sort(np.stack(pictures), axis=0)[count // 2])
