from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest

from hf2vad.archive.catalog import catalogue
from hf2vad.demo.archive import generate
from hf2vad.errors import ConfigError
from hf2vad.health.episodes import Episode, affected, find_episodes, health_table
from hf2vad.health.frame_stats import EVERY, FrameStats
from hf2vad.health.settings import HealthConfig
from hf2vad.schema import HEALTH, LOOKS, U8
from hf2vad.video.decode import decode
from hf2vad.video.shards import cut_shards
from hf2vad.video.timeline import probe
from tests import unwell
from tests.clips import only

SHARED = Path(__file__).parents[3] / "shared"
Found = list[tuple[str, int, int]]


def looks_of(path: Path, length: int = 1000) -> list[pa.Table]:
    video = only(path)
    tables = []
    for shard in cut_shards(video, probe(video), length):
        look = FrameStats(shard.start, shard.stop, (shard.width, shard.height))
        for frame in decode(shard):
            grey = None if frame.image is None else np.asarray(cv2.cvtColor(frame.image, cv2.COLOR_BGR2GRAY), np.uint8)
            look(frame.index, grey, frame.size)
        tables.append(look.table({}))
    return tables


def judged(path: Path, length: int = 1000, config: HealthConfig | None = None) -> list[Episode]:
    timeline = probe(only(path))
    return find_episodes(
        looks_of(path, length),
        config or HealthConfig(),
        start=0,
        pts_s=timeline.pts_s,
        width=timeline.width,
        height=timeline.height,
    )


def ranges(episodes: list[Episode]) -> Found:
    return [(episode.kind, episode.start, episode.stop) for episode in episodes]


@pytest.mark.slow
@pytest.mark.parametrize("crf", [18, 28])
def test_a_picture_that_stays_through_the_encoder_is_frozen_from_its_first_repetition(tmp_path: Path, crf: int) -> None:
    (episode,) = judged(unwell.write(tmp_path / "clip.mp4", unwell.frozen(60, 140), crf=crf))
    assert episode == Episode("frozen", 60, 140, pytest.approx(80 * 0.08))


def test_a_picture_that_stays_for_less_than_the_set_time_is_not(tmp_path: Path) -> None:
    path = unwell.write(tmp_path / "clip.mp4", unwell.frozen(60, 110))
    assert judged(path) == []
    assert ranges(judged(path, config=HealthConfig(frozen_s=3))) == [("frozen", 60, 110)]


def test_an_empty_street_is_not_frozen_while_its_noise_is_coded(tmp_path: Path) -> None:
    scene = unwell.Street(unwell.WIDTH, unwell.HEIGHT)
    ground = scene.ground()
    empty = [scene.exposed(ground, t) for t in range(120)]
    assert judged(unwell.write(tmp_path / "clip.mp4", empty, crf=23)) == []


@pytest.mark.parametrize(
    ("level", "kind"), [(4, "black"), (130, "blinded"), (254, "blinded")], ids=["dark", "covered", "overexposed"]
)
def test_frames_without_contrast_are_black_or_blinded(tmp_path: Path, level: int, kind: str) -> None:
    (episode,) = judged(unwell.write(tmp_path / "clip.mp4", unwell.replaced(80, 120, level)))
    assert (episode.kind, episode.start, episode.stop) == (kind, 80, 120)
    assert episode.value == pytest.approx(level, abs=4)


@pytest.mark.parametrize(("dx", "dy"), [(16, 0), (0, 12), (36, -24)])
def test_a_camera_that_is_knocked_has_moved_within_the_frames_of_two_thumbnails(
    tmp_path: Path, dx: int, dy: int
) -> None:
    (episode,) = judged(unwell.write(tmp_path / "clip.mp4", unwell.moved(100, dx, dy)))
    assert episode.kind == "moved"
    assert 100 - EVERY <= episode.start <= 100 < episode.stop <= 100 + 2 * EVERY
    assert episode.value == pytest.approx(np.hypot(dx, dy), rel=0.25)


def test_a_camera_that_pans_has_moved_all_that_time(tmp_path: Path) -> None:
    (episode,) = judged(unwell.write(tmp_path / "clip.mp4", unwell.moved(80, 40, 0, frames=40)))
    assert episode.kind == "moved"
    assert 80 - 2 * EVERY <= episode.start <= 80 + EVERY
    assert 120 - EVERY <= episode.stop <= 120 + 4 * EVERY


@pytest.mark.slow
def test_a_camera_that_is_turned_away_has_moved_by_an_unknown_way(tmp_path: Path) -> None:
    (episode,) = judged(unwell.write(tmp_path / "clip.mp4", unwell.turned_away(100)))
    assert (episode.kind, episode.value) == ("moved", None)
    assert 100 - 2 * EVERY <= episode.start <= 100 < episode.stop <= 100 + 2 * EVERY


@pytest.mark.slow
def test_the_demos_clips_are_healthy(tmp_path: Path) -> None:
    archive = generate(tmp_path, train_clips=1, test_clips=2, frames=130, size=(240, 180))
    videos = [*catalogue(str(archive.train)), *catalogue(str(archive.test))]
    assert len(videos) == 3
    assert [judged(Path(video.uri)) for video in videos] == [[]] * 3


CASES = {
    "frozen": unwell.frozen,
    "black": lambda start, stop: unwell.replaced(start, stop, 4),
    "moved": lambda start, _: unwell.moved(start + 40, 30, 12),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_shards_do_not_show(tmp_path: Path, name: str) -> None:
    path = unwell.write(tmp_path / "clip.mp4", CASES[name](60, 140))
    whole, episodes = pa.concat_tables(looks_of(path)), judged(path)
    assert [episode.kind for episode in episodes] == [name]
    assert pa.concat_tables(looks_of(path, 37)).equals(whole)
    assert judged(path, 37) == episodes


def test_looks_are_one_row_a_frame_and_a_thumbnail_by_frame_number() -> None:
    look = FrameStats(10, 30, (90, 60))
    for t in range(6, 31):
        look(t, None if t == 20 else np.full((60, 90), 3 * t, np.uint8), (90, 60))
    table = look.table({"video": "v"})
    assert table.schema.equals(LOOKS)
    assert table["frame"].to_pylist() == list(range(10, 30))
    kept = [row["frame"] for row in table.to_pylist() if row["thumbnail"] is not None]
    assert kept == [16, 24]
    for row in table.to_pylist():
        known = None if row["frame"] == 20 else 3.0 * row["frame"]
        assert row["level"] == known
        assert row["change"] == (None if row["frame"] in (20, 21) else 3.0)


@pytest.mark.parametrize("length", [1, 3, 8])
def test_looks_of_shards_are_those_of_the_video(length: int) -> None:
    pictures = scene_of(20)
    parts = []
    for start in range(0, 20, length):
        look = FrameStats(start, min(20, start + length), (64, 48))
        for t in range(max(0, start - 4), min(20, start + length + 1)):
            look(t, pictures[t], (64, 48))
        parts.append(look.table({}))
    assert pa.concat_tables(parts).equals(looks(pictures))


def looks(pictures: Sequence[U8 | None], start: int = 0) -> pa.Table:
    look = FrameStats(start, start + len(pictures), (64, 48))
    for t, picture in enumerate(pictures, start):
        look(t, picture, (64, 48))
    return look.table({})


def scene_of(count: int, seed: int = 0) -> list[U8 | None]:
    rng = np.random.default_rng(seed)
    ground = rng.integers(40, 200, (48, 64))
    return [np.clip(ground + rng.normal(0, 3, ground.shape), 0, 255).astype(np.uint8) for _ in range(count)]


def episodes_of(pictures: Sequence[U8 | None], times: Sequence[float]) -> list[Episode]:
    return find_episodes(
        [looks(pictures)], HealthConfig(), start=0, pts_s=np.array(times, np.float64), width=640, height=480
    )


def test_pictures_that_cannot_be_decoded_are_counted() -> None:
    pictures = scene_of(30)
    pictures[10:14] = [None] * 4
    pictures[20] = None
    found = episodes_of(pictures, [t / 25 for t in range(30)])
    assert found == [Episode("undecodable", 10, 14, 4.0), Episode("undecodable", 20, 21, 1.0)]


def test_a_jump_in_time_is_a_gap_before_the_frame_that_comes_late() -> None:
    times = [0.04 * t + (1.96 if t >= 12 else 0) for t in range(40)]
    (episode,) = episodes_of(scene_of(40), times)
    assert episode == Episode("gap", 12, 13, pytest.approx(1.96))


def test_one_missing_frame_and_jitter_are_no_gap() -> None:
    rng = np.random.default_rng(0)
    times = 0.04 * np.arange(100) + rng.uniform(-0.01, 0.01, 100)
    times[50:] += 0.04
    assert episodes_of(scene_of(100), times.tolist()) == []


def test_a_stretch_at_half_the_rate_has_a_rate_that_is_not_the_videos() -> None:
    steps = np.concatenate([np.full(500, 0.04), np.full(200, 0.08), np.full(300, 0.04)])
    times = np.concatenate([[0.0], np.cumsum(steps)])
    (episode,) = episodes_of(scene_of(len(times)), times.tolist())
    assert episode.kind == "rate"
    assert episode.start == pytest.approx(500, abs=62)
    assert episode.stop == pytest.approx(700, abs=62)
    assert episode.value == pytest.approx(12.5, rel=0.05)


def test_a_gap_is_not_taken_for_a_slow_rate() -> None:
    times = [0.04 * t + (20.0 if t >= 300 else 0) for t in range(600)]
    assert ranges(episodes_of(scene_of(600), times)) == [("gap", 300, 301)]


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_a_video_of_a_few_frames_is_judged_too(count: int) -> None:
    assert episodes_of(scene_of(count), [t / 25 for t in range(count)]) == []


def test_frames_that_no_shard_covers_are_not_judged() -> None:
    pictures = scene_of(40)
    tables = [looks(pictures[:10]), looks(pictures[20:], start=20)]
    times = np.arange(40) / 25
    assert find_episodes(tables, HealthConfig(), start=0, pts_s=times, width=64, height=48) == []


def test_a_frame_is_marked_when_its_cubes_have_seen_something_and_the_gravest_kind_counts() -> None:
    episodes = [Episode("gap", 20, 21, 1.0), Episode("frozen", 15, 30, 5.0), Episode("rate", 0, 60, 9.0)]
    kinds = affected([*episodes, Episode("black", 20, 22, 3.0)], start=10, frames=30)
    expected = ["rate" if t < 14 or t >= 34 else "black" if 19 <= t < 26 else "frozen" for t in range(10, 40)]
    assert kinds == expected


def test_the_health_table_says_it_in_frames_and_seconds() -> None:
    times = 100 + np.arange(50) / 25
    episodes = [Episode("black", 60, 65, 3.0), Episode("moved", 90, 100, None)]
    table = health_table("v.mp4", episodes, start=50, pts_s=times, metadata={"bundle": "b"})
    assert table.schema.equals(HEALTH)
    first, second = table.to_pylist()
    assert (first["start_frame"], first["stop_frame"], first["start_s"], first["stop_s"]) == (60, 65, 100.4, 100.6)
    assert (second["kind"], second["value"]) == ("moved", None)
    assert second["stop_s"] == pytest.approx(102.0)


@pytest.mark.parametrize(
    ("name", "value"), [("frozen_s", 0), ("contrast", 300), ("moved", 0.001), ("gap", 1), ("rate", 1), ("rate_s", -1)]
)
def test_a_threshold_that_makes_no_sense_is_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"health.{name}"):
        HealthConfig(**{name: value})


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.skipif(not SHARED.exists(), reason="no ../shared beside the checkout")
@pytest.mark.parametrize("name", ["vtest.avi", "intel_car-detection.mp4", "intel_one-by-one-person-detection.mp4"])
def test_real_footage_of_fixed_cameras_is_healthy(name: str) -> None:
    """They have been looked at: nothing is wrong with them, though people and cars come close."""
    assert judged(SHARED / "data" / "videos" / name) == []
