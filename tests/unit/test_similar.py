"""Vectors of objects, those that a video keeps, and exact search among them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from hf2vad.errors import ConfigError
from hf2vad.features.feature import CubeArrays
from hf2vad.features.object_vector import object_vectors
from hf2vad.jobs.score import ScoreJob
from hf2vad.jobs.similar import SimilarJob, similar_job
from hf2vad.review.similar import APART_S, VectorIndex
from hf2vad.schema import SHARD_VECTORS, VECTOR_BYTES, VECTORS
from hf2vad.scoring.final import top_vectors
from tests.stc import make_cubes


def cubes(count: int, seed: int = 0) -> CubeArrays:
    appearance, flow = make_cubes(count, seed)
    boxes = np.tile(np.array([[0, 0, 20, 40]], np.float32), (count, 1))
    return CubeArrays(boxes=boxes, flow=flow, appearance=appearance)


def test_vectors_do_not_depend_on_what_is_in_a_batch_with_them() -> None:
    whole = object_vectors(cubes(20))
    assert (whole.dtype, whole.shape) == (np.int8, (20, VECTOR_BYTES))
    parts = [object_vectors(part) for part in cubes(20).chunks(7)]
    assert np.array_equal(np.concatenate(parts), whole)
    assert object_vectors(cubes(0)).shape == (0, VECTOR_BYTES)


def test_alike_objects_are_nearer_than_others() -> None:
    one = cubes(6)
    noisy = CubeArrays(
        boxes=one.boxes * np.float32(1.05),
        flow=(one.flow + np.float16(0.02)).astype(np.float16),
        appearance=np.clip(one.pixels.astype(np.int16) + 3, 0, 255).astype(np.uint8),
    )
    first, second = (object_vectors(found).astype(np.float32) for found in (one, noisy))
    distances = np.linalg.norm(first[:, None] - second[None], axis=2)
    assert (distances.argmin(1) == np.arange(6)).all()


def shard(rows: list[tuple[int, float, float | None]]) -> pa.Table:
    """A shard's table of frames, seconds and scores; a frame without a box has no score."""
    table = {name: pa.nulls(len(rows), SHARD_VECTORS.field(name).type) for name in SHARD_VECTORS.names}
    frames, seconds, scores = zip(*rows, strict=True)
    boxes = pa.array([None if score is None else 1.0 for score in scores], pa.float32())
    vectors = [None if score is None else bytes([frame % 128] * VECTOR_BYTES) for frame, _, score in rows]
    table |= {
        "video": pa.array(["a.mp4"] * len(rows)), "frame": pa.array(frames, pa.int32()), "pts_s": pa.array(seconds),
        "status": pa.array(["scored"] * len(rows)), "score": pa.array(scores, pa.float64()),
        "x1": boxes, "y1": boxes, "x2": boxes, "y2": boxes,
        "vector": pa.array(vectors, pa.binary(VECTOR_BYTES)),
    }  # fmt: skip
    return pa.table(table, SHARD_VECTORS)


def test_the_highest_objects_of_each_second_keep_their_vectors_whatever_the_shards() -> None:
    rows = [(i, i / 10, None if i == 7 else float((i * 37) % 11)) for i in range(30)]
    whole = top_vectors([shard(rows)], 3, {"video": "a.mp4"})
    assert whole.schema.equals(VECTORS)
    assert top_vectors([shard(rows[:13]), shard(rows[13:])], 3, {"video": "a.mp4"}).equals(whole)
    for second in range(3):
        own = [(score, frame) for frame, at, score in rows if int(at) == second and score is not None]
        best = sorted(score for score, _ in own)[-3:]
        kept = whole.filter(pa.compute.equal(pa.compute.floor(whole["pts_s"]), second))
        assert sorted(kept["score"].to_pylist()) == best
    assert whole["frame"].to_pylist() == sorted(whole["frame"].to_pylist())
    assert top_vectors([], 3, {"video": "a.mp4"}).num_rows == 0


def index(count: int = 3000, videos: int = 3, seed: int = 0) -> VectorIndex:
    draw = np.random.default_rng(seed)
    tables = []
    for _ in range(videos):
        vectors = draw.integers(-100, 100, (count, VECTOR_BYTES), dtype=np.int8)
        frame = np.arange(count, dtype=np.int32)
        tables.append(
            pa.table({
                "frame": frame, "pts_s": frame / 2.0, "score": draw.uniform(0, 5, count),
                "vector": pa.array([row.tobytes() for row in vectors], pa.binary(VECTOR_BYTES)),
            })
        )  # fmt: skip
    return VectorIndex.of([f"{number}.mp4" for number in range(videos)], tables)


def test_the_search_is_exact() -> None:
    some = index()
    vector = np.random.default_rng(1).normal(0, 50, VECTOR_BYTES).astype(np.float32)
    expected = np.linalg.norm(some.vectors.astype(np.float64) - vector, axis=1)
    assert np.allclose(some.distances(vector), expected, rtol=1e-4)


def test_moments_are_apart_and_others_than_the_one_asked_for() -> None:
    some = index()
    found = some.like("1.mp4", 100, 104, 20)
    assert len(found) == 20
    assert [moment.distance for moment in found] == sorted(moment.distance for moment in found)
    for moment in found:
        same = [other for other in found if other.video == moment.video and other is not moment]
        assert all(abs(other.seconds - moment.seconds) >= APART_S for other in same)
        assert moment.video != "1.mp4" or not 50 - APART_S < moment.seconds < 51.5 + APART_S
    distances = some.distances(some.of_frames("1.mp4", 100, 104))
    outside = (some.video != 1) | (np.abs(some.seconds - 50.75) > 0.75 + APART_S)
    assert found[0].distance == pytest.approx(float(distances[outside].min()))


def test_what_keeps_no_vector_is_told() -> None:
    some = index(10)
    with pytest.raises(ConfigError, match="no object of frames 50-60 keeps a vector"):
        some.like("1.mp4", 50, 60, 3)
    with pytest.raises(ConfigError, match=r"gone\.mp4: no object around 3 s keeps a vector"):
        some.frames_at("gone.mp4", 3.0, 0.5)
    assert some.frames_at("1.mp4", 2.0, 0.5) == ("1.mp4", 3, 6)
    assert len(some.like("1.mp4", 0, 1, 100)) < 30


def test_mistakes_in_the_options() -> None:
    with pytest.raises(ConfigError, match="give --event, or --video and --at"):
        similar_job(SimilarJob(scores=("a",)))
    with pytest.raises(ConfigError, match="--vectors must not be negative"):
        ScoreJob(archive="a", bundle="b", out="c", vectors=-1)
