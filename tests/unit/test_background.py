"""The picture of what is there when nobody is: its median, and how seldom it is made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hf2vad.cubes.extract import Extractor
from hf2vad.cubes.settings import DetectorConfig, ExtractionConfig, FlowConfig
from hf2vad.profile import recording
from hf2vad.schema import U8
from hf2vad.video import shards
from hf2vad.video.median import ROWS, median
from tests.moving import COUNT, content, extract, only_video, scene, write_video

FOREGROUND = ExtractionConfig(detector=DetectorConfig(kinds=("foreground",)), flow=FlowConfig(region="boxes"))


def backgrounds_made(extractor: Extractor, folder: Path, length: int) -> int:
    """Backgrounds that an extractor makes for the shards of the video in `folder`."""
    with recording("cubes", label="clip") as recorded:
        extract(only_video(folder), length, extractor)
    return sum(count for (_, stage), (_, count) in recorded.report().stages.items() if stage == "background")


@pytest.mark.parametrize("count", [1, 2, 5, 12, 25])
def test_the_median_is_the_middle_one_of_each_pixel_in_order(count: int) -> None:
    rng = np.random.default_rng(count)
    pictures: list[U8] = list(rng.integers(0, 256, (count, 2 * ROWS + 3, 7, 3), np.uint8))
    assert np.array_equal(median(pictures), np.sort(np.stack(pictures), axis=0)[count // 2])


@pytest.mark.parametrize(("stretch_s", "stretches"), [(600.0, 1), (0.7, 3)])
@pytest.mark.parametrize("length", [1000, 5])
def test_a_worker_makes_each_background_once_for_all_shards_of_a_video(
    tmp_path: Path, stretch_s: float, stretches: int, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "STRETCH_S", stretch_s)
    write_video(tmp_path / "clip.mp4", scene(COUNT))
    assert backgrounds_made(Extractor(FOREGROUND), tmp_path, length) == stretches


def test_a_video_that_was_replaced_has_a_background_of_its_own(tmp_path: Path) -> None:
    extractor = Extractor(FOREGROUND)
    write_video(tmp_path / "clip.mp4", scene(COUNT))
    before = content(extract(only_video(tmp_path), 1000, extractor))
    write_video(tmp_path / "clip.mp4", (255 - image for image in scene(COUNT)))
    after = content(extract(only_video(tmp_path), 1000, extractor))
    assert after != before
    assert after == content(extract(only_video(tmp_path), 1000, Extractor(FOREGROUND)))
