"""`working.fps`: frames worked on by their times; those between take the score of the one before."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf2vad.archive.archive_refs import parse_archives
from hf2vad.archive.catalog import Video
from hf2vad.archive.settings import LimitsConfig
from hf2vad.bundle.bundle import Bundle, load_bundle
from hf2vad.cubes.extract import Extractor
from hf2vad.cubes.settings import ExtractionConfig, FlowConfig, MotionConfig, WorkingConfig, extraction_fingerprint
from hf2vad.demo.archive import generate
from hf2vad.health.frame_stats import FrameStats
from hf2vad.jobs import load
from hf2vad.report.site.evidence import video_key
from hf2vad.review.lessons import Teacher
from hf2vad.review.marks import Mark
from hf2vad.schema import CubeBatch, unpack_metadata
from hf2vad.scoring.feature_set import FeatureSet
from hf2vad.tables.held import shown_objects
from hf2vad.video.decode import decode
from hf2vad.video.sampled import holders, packed, sampled, tempo, unpacked
from hf2vad.video.shards import cut_shards
from hf2vad.video.timeline import probe
from tests.clips import Clip, write_clip
from tests.moving import AROUND, COUNT, MOVING, content, only_video, scene, write_video

MOTION = ExtractionConfig(motion=MotionConfig(blur=3, min_area=40))


def at(fps: float, config: ExtractionConfig = MOTION) -> Extractor:
    return Extractor(replace(config, working=WorkingConfig(fps=fps)))


def extract(video: Video, length: int, extractor: Extractor, *, start: int = 0) -> list[CubeBatch]:
    shards = extractor.shards(video, probe(video), length, start=start)
    return [batch for shard in shards for batch in extractor.cubes(shard)]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Video:
    folder = tmp_path_factory.mktemp("archive")
    write_video(folder / "clip.mp4", scene(COUNT))
    return only_video(folder)


def test_frames_are_taken_by_their_times_and_slow_footage_whole() -> None:
    every = np.arange(100)
    assert np.array_equal(sampled(every / 25, 12.5), every[::2])
    assert np.array_equal(sampled(every / 25, 25.0), every)
    assert np.array_equal(sampled(every / 10, 12.5), every)
    assert np.array_equal(sampled(every / 25, 0.0), every)
    assert list(sampled(np.zeros(1), 12.5)) == [0]
    taken = np.diff(sampled(np.arange(3000) * 1001 / 30000, 12.5))
    assert set(taken) == {2, 3}
    assert taken.mean() == pytest.approx(30 / 1.001 / 12.5, rel=0.01)
    both = np.concatenate([np.arange(50) / 25, 2 + np.arange(100) / 50])
    assert np.diff(both[sampled(both, 12.5)]) == pytest.approx(0.08), "the same rate, whatever the footage's own"


@given(st.lists(st.integers(1, 400), min_size=1, max_size=60), st.sampled_from([5.0, 12.5, 30.0]))
def test_to_each_tick_the_nearest_frame_is_taken(steps: list[int], fps: float) -> None:
    times = np.cumsum([0, *steps]) / 1000
    ticks = np.arange(int(times[-1] * fps) + 1) / fps
    distance = np.abs(times[:, None] - ticks[None, :])
    nearest = {int(column.argmin()) for column in distance.T if np.sort(column)[1] - column.min() > 1e-9}
    assert nearest <= set(sampled(times, fps))
    assert sampled(times, fps)[0] == 0


def test_flow_is_motion_in_a_tick_whatever_the_step() -> None:
    assert tempo(0.08, 12.5) == pytest.approx(1)
    assert tempo(0.1, 12.5) == pytest.approx(0.8)
    assert tempo(0.001, 12.5) == 2


def test_what_is_held_and_how_it_is_kept_in_metadata() -> None:
    between = np.array([True, False, True, True, False, True])
    assert list(holders(between)) == [0, 1, 1, 1, 4, 4]
    digits = packed(np.array([1, 4, 7]), 1, 7)
    assert list(unpacked(digits, 1, 7)) == [True, False, False, True, False, False]


@pytest.mark.parametrize("flow", [FlowConfig(), AROUND, MOVING], ids=["frame", "boxes", "moving"])
@pytest.mark.parametrize("fps", [12.5, 8.0])
def test_shards_do_not_show(fps: float, flow: FlowConfig, clip: Video) -> None:
    extractor = at(fps, replace(MOTION, flow=flow))
    whole = extract(clip, COUNT, extractor)
    assert [batch.frame for batch in whole] == list(range(COUNT)), "every picture has its row"
    assert sum(map(len, whole)) > 10
    for length in (1, 2, 3, 7, 20):
        assert content(extract(clip, length, extractor)) == content(whole), length
    assert content(extract(clip, 6, extractor, start=13)) == content(whole)[13:]


def test_frames_between_have_no_cubes_and_the_others_are_those_of_footage_at_that_rate(
    clip: Video, tmp_path: Path
) -> None:
    batches = extract(clip, 10, at(12.5))
    assert [batch.status for batch in batches[1::2]] == ["between"] * (COUNT // 2)
    assert [batch.status for batch in batches[:10:2]] == ["no_context"] * 4 + ["scored"]
    assert not any(len(batch) for batch in batches[1::2])
    write_every_second(clip, tmp_path)
    slow = extract(only_video(tmp_path), 10, Extractor(MOTION))
    for ours, theirs in zip(batches[::2], slow, strict=True):
        assert np.array_equal(ours.boxes, theirs.boxes)
        assert np.array_equal(ours.appearance, theirs.appearance)
        assert np.allclose(ours.flow, theirs.flow, atol=1e-2)


def write_every_second(clip: Video, folder: Path) -> None:
    """Every second picture of `clip` as a folder of images."""
    import cv2

    (shard,) = cut_shards(clip, probe(clip), COUNT)
    for frame in decode(shard):
        if frame.index % 2 == 0:
            assert frame.image is not None
            cv2.imwrite(str(folder / f"{frame.index // 2:03d}.png"), frame.image)


def test_folders_of_images_are_worked_on_whole(clip: Video, tmp_path: Path) -> None:
    write_every_second(clip, tmp_path)
    images = only_video(tmp_path)
    assert content(extract(images, 10, at(5.0))) == content(extract(images, 10, Extractor(MOTION)))


@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg4", "libvpx-vp9"])
def test_pictures_that_no_other_refers_to_are_not_decoded_and_the_rest_are_the_same(codec: str, tmp_path: Path) -> None:
    video = write_clip(tmp_path / "clip.mkv", Clip(codec=codec, options={"g": "10", "bf": "3", "threads": "1"}))
    (every,) = cut_shards(video, probe(video), 1000)
    expected = {frame.index: frame.image for frame in decode(every)}
    for length in (1000, 7):
        for shard in cut_shards(video, probe(video), length, fps=8.0):
            for frame in decode(shard):
                assert np.array_equal(frame.image, expected[frame.index])  # type: ignore[arg-type]


def test_health_has_a_row_for_each_picture_whatever_the_shard(clip: Video) -> None:
    def rows(length: int) -> list[dict[str, object]]:
        found = []
        for shard in cut_shards(clip, probe(clip), length, fps=8.0):
            stats = FrameStats(shard.start, shard.stop, (shard.width, shard.height), shard.earlier)
            for _ in at(8.0).cubes(shard, stats):
                pass
            found += stats.table({}).to_pylist()
        return found

    whole = rows(COUNT)
    assert [row["frame"] for row in whole] == list(range(COUNT))
    assert sum(row["thumbnail"] is not None for row in whole) == COUNT // 8 + 1
    for length in (1, 4, 10):
        assert rows(length) == whole, length


def test_it_is_part_of_the_settings_and_changes_nothing_where_it_is_not_given() -> None:
    assert extraction_fingerprint(at(0.0)._config) == extraction_fingerprint(MOTION)
    assert extraction_fingerprint(at(12.5)._config) != extraction_fingerprint(MOTION)


def test_the_whole_walk_has_a_row_for_each_picture_and_refuses_another_rate(tmp_path: Path) -> None:
    made = generate(tmp_path / "archive", train_clips=1, test_clips=1, frames=80)
    here = ("--ray.address", "none")
    stc, bundle = str(tmp_path / "stc"), str(tmp_path / "bundle")
    extraction = ["--archive", str(made.train), "--out", stc, "--preset", "features", "--working.fps", "6.25", *here]
    assert load("extract").main(extraction) == 0
    assert load("train").main(["--stc", stc, "--out", bundle, "--preset", "features", "--threads", "1"]) == 0
    score = ["--archive", str(made.test), "--bundle", bundle, *here]
    always = ["--events.threshold=-1e9", "--events.low=-1e9"]
    for length in ("7", "200"):
        assert load("score").main([*score, *always, "--out", str(tmp_path / length), "--shard-frames", length]) == 0
    short, long = (pq.read_table(next(tmp_path.glob(f"{length}/*/frames/*.parquet"))) for length in ("7", "200"))
    assert short["score"].to_numpy() == pytest.approx(long["score"].to_numpy(), rel=1e-4, nan_ok=True)
    assert short["n_objects"].equals(long["n_objects"])
    objects = pq.read_table(next(tmp_path.glob("7/*/objects/*.parquet")))
    shown = shown_objects(objects, short, unpack_metadata(short.schema, "frames", ""))
    counts = np.bincount(shown["frame"].to_numpy(), minlength=80)
    assert list(counts) == short["n_objects"].to_pylist(), "frames between show the objects of the one before"
    assert len(objects) < len(shown)
    frames = short.to_pylist()
    assert [row["frame"] for row in frames] == list(range(80))
    for before, row in zip(frames[::2], frames[1::2], strict=True):
        same = set(row) - {"frame", "pts_s", "score", "health"}
        assert {name: row[name] for name in same} == {name: before[name] for name in same}
    assert all(row["score"] is None for row in frames[:8])
    assert all(row["score"] is not None for row in frames[8:])
    (events,) = (tmp_path / "7").glob("bundle=*/events/*.parquet")
    assert pq.read_table(events)["peak_frame"][0].as_py() % 2 == 0, "a frame that has objects"
    assert_lessons_hold_what_was_scored(load_bundle(bundle), only_video(made.test), objects)
    calibration = json.loads((tmp_path / "bundle/bundle.json").read_text())["calibration"]
    assert calibration["frames"] == 80 - 8, "frames between count as they do in scoring"
    assert load("score").main([*score, "--out", str(tmp_path / "other"), "--working.fps", "25"]) == 2


def assert_lessons_hold_what_was_scored(bundle: Bundle, video: Video, objects: pa.Table) -> None:
    """A mark is about those rare objects of its frames that are in the table of objects."""
    key = video_key(video.id)
    mark = Mark(
        event=key,
        video=video.id,
        video_key=key,
        fingerprint=video.fingerprint,
        start_frame=20,
        end_frame=79,
        start_s=0.8,
        end_s=3.2,
        verdict="normal",
        marked_at=datetime.now(UTC),
        mark="0" * 32,
    )
    teacher = Teacher(
        bundle=bundle,
        features=FeatureSet.of(bundle, list(bundle.settings.fusion.weights), None, 64),
        extractor=Extractor(bundle.settings.extraction),
        sources=parse_archives([str(Path(video.uri).parent)]),
        image_fps=25.0,
        limits=LimitsConfig(),
    )
    (lesson,) = teacher.lessons([mark], lambda _, why: pytest.fail(why))
    low = bundle.settings.calibration_of(video.path).low
    rare = [row for row in objects.to_pylist() if row["frame"] >= 20 and row["score"] >= low]
    assert len(lesson.cubes) == len(rare) > 0
