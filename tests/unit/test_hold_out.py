"""Footage that the network does not see, and what is normal by it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hf2vad.errors import TrainingError
from hf2vad.features.settings import FusionConfig
from hf2vad.fitting.calibrate import calibrate
from hf2vad.fitting.cameras import Cameras
from hf2vad.fitting.hold_out import hold_out
from hf2vad.fitting.measure import MeasuredFile
from hf2vad.scoring.settings import SmoothingRule
from hf2vad.training.data import StcFile, StcTable
from hf2vad.training.order import Order
from tests.stc import put_clip

FUSION = FusionConfig.of({"flow": 1.0, "energy": 1.0}, rule="surprise")


def frames_of(table: StcTable) -> dict[str, list[int]]:
    """The frames of the cubes of each video."""
    frames: dict[str, list[int]] = {}
    for file, cubes in table.in_order(appearance=False):
        frames.setdefault(file.video, []).extend(cubes.frame.tolist())
    return frames


def test_every_fourth_video_of_each_camera_is_kept_from_the_network(tmp_path: Path) -> None:
    for camera, videos in (("east", "abcdefgh"), ("west", "abcd")):
        for number, video in enumerate(videos):
            put_clip(tmp_path, f"{camera}/{video}", (0, 10), {5: 3, 6: 2}, seed=number)
    table = StcTable(str(tmp_path))
    seen, held = hold_out(table, lambda path: path.split("/")[0])
    assert {file.video for file in held.files} == {"east/d", "east/h", "west/d"}
    assert {file.video for file in seen.files}.isdisjoint(file.video for file in held.files)
    assert len(seen) + len(held) == len(table) == 60


def test_of_few_videos_a_quarter_of_the_time_is_held_out_between_frames(tmp_path: Path) -> None:
    put_clip(tmp_path, "a", (0, 30), dict.fromkeys(range(4, 24), 3), rows=16)
    put_clip(tmp_path, "a", (30, 50), dict.fromkeys(range(30, 50), 3), rows=7, seed=1)
    table = StcTable(str(tmp_path))
    seen, held = hold_out(table, lambda _: "")
    everything, learned, unseen = (frames_of(part)["a"] for part in (table, seen, held))
    assert sorted(learned + unseen) == everything
    assert len(unseen) == pytest.approx(len(everything) / 4, abs=6)
    assert set(learned).isdisjoint(unseen)
    assert len(np.flatnonzero(np.diff(unseen) > 1)) == 1  # two blocks of time
    for part in (seen, held):
        for file, cubes in part.in_order(appearance=False):
            assert file.start <= cubes.frame.min() <= cubes.frame.max() < file.stop


def test_a_part_of_a_table_is_trained_on_as_a_table_of_its_own(tmp_path: Path) -> None:
    put_clip(tmp_path, "a", (0, 40), dict.fromkeys(range(4, 40), 3), rows=16)
    table = StcTable(str(tmp_path))
    seen, _ = hold_out(table, lambda _: "")
    order = Order(batch=8, seed=0, epoch=0, window=16)
    numbers = np.concatenate(list(seen.epoch_numbers(order)))
    assert len(np.unique(numbers)) == len(numbers) == len(seen) // 8 * 8
    assert 0 <= numbers.min() <= numbers.max() < len(seen)
    flow = np.concatenate([cubes.flow for _, cubes in seen.in_order(appearance=False)])
    shuffled = np.concatenate([cubes.flow for cubes in seen.epoch(order, appearance=False)])
    assert np.array_equal(shuffled, flow[numbers])


def test_a_table_that_cannot_be_parted_is_refused(tmp_path: Path) -> None:
    put_clip(tmp_path, "a", (0, 10), {5: 20})
    with pytest.raises(TrainingError, match="too little footage to keep a quarter of it from the network"):
        hold_out(StcTable(str(tmp_path)), lambda _: "")


def footage(video: str, cubes: int, seed: int, **scales: float) -> MeasuredFile:
    """A cube a frame, values exponential with these means."""
    rng = np.random.default_rng(seed)
    values = {name: rng.exponential(scale, cubes).astype(np.float32) for name, scale in scales.items()}
    file = StcFile(f"{video}/0", video, 0, cubes + 4, (cubes,))
    return MeasuredFile(file, np.arange(4, cubes + 4, dtype=np.int32), values)


def test_a_network_is_judged_by_unseen_footage_and_other_features_by_all_of_it() -> None:
    unseen = [footage("a/4", 1000, 0, flow=10.0, energy=1.0), footage("b/4", 1000, 1, flow=10.0, energy=1.0)]
    whole = [footage("a/1", 8000, 2, energy=5.0), footage("b/1", 8000, 3, energy=5.0)]
    cameras = Cameras.of([file.file for file in whole], "{camera}/*")
    normal = calibrate(unseen, fusion=FUSION, smoothing=SmoothingRule(1), where="t", cameras=cameras, plain=whole)
    assert (normal.overall.cubes, normal.overall.frames) == (16_000, 2000)
    assert {name: tail.cubes for name, tail in normal.overall.tails.items()} == {"flow": 2000, "energy": 16_000}
    assert normal.overall.moments["flow"].mean == pytest.approx(10, rel=0.1)
    assert normal.overall.moments["energy"].mean == pytest.approx(5, rel=0.1)
    assert normal.overall.total is not None
    assert normal.overall.total.cubes == 2000
    assert {name: own.tails["flow"].cubes for name, own in normal.cameras.items()} == {"a": 1000, "b": 1000}
