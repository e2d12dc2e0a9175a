from __future__ import annotations

import io
import itertools
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from hf2vad.engines.eager import EagerEngine
from hf2vad.features.feature import CubeArrays
from hf2vad.features.settings import FusionConfig
from hf2vad.features.speed import flow_speed
from hf2vad.models.hf2vad import HF2VAD
from hf2vad.schema import EVENTS, FEATURE_COLUMNS, FRAMES_TABLE, OBJECTS, SHARD, CubeBatch, unpack_metadata
from hf2vad.scoring.final import FinalTables, finalise
from hf2vad.scoring.scorer import Scorer
from hf2vad.scoring.settings import EventConfig
from hf2vad.scoring.shard import score_shard
from tests.bundles import feature_set, normal
from tests.stc import SMALL_MODEL, frame_cubes, make_cubes

CALIBRATION = normal(flow=(10.0, 2.0), frame=(100.0, 50.0))
SCORER = Scorer.eq9(FusionConfig(flow=1.0, frame=0.1), CALIBRATION)
NOTHING = -5.2
"""Score of a frame without error."""
COUNTS = {4: 2, 5: 0, 6: 11, 7: 1, 8: 0, 11: 3, 12: 0, 13: 5}
"""Cubes in each frame that can be scored; 0 … 3 have no context, 9 and 10 are undecodable."""


@pytest.fixture(scope="module")
def engine() -> EagerEngine:
    torch.manual_seed(0)
    return EagerEngine(HF2VAD(SMALL_MODEL), device=torch.device("cpu"), batch=4)


@pytest.fixture(scope="module")
def video() -> list[CubeBatch]:
    """Fourteen frames as extraction yields them."""
    batches = []
    for frame in range(14):
        if frame in COUNTS:
            batches.append(frame_cubes(frame, *make_cubes(COUNTS[frame], frame)))
        else:
            status: Any = "no_context" if frame < 4 else "undecodable"
            batches.append(CubeBatch.empty(frame=frame, pts_s=frame / 25, status=status))
    return batches


def scored(batches: list[CubeBatch], engine: EagerEngine) -> pa.Table:
    stream = (batch for batch in batches)
    return score_shard("v.avi", stream, feature_set(engine), SCORER, metadata={"start": 0})


def final(
    shards: list[pa.Table], *, frames: int = 14, start: int = 0, smoothing: int = 1, **events: Any
) -> FinalTables:
    return finalise(
        shards,
        pts_s=np.arange(start, start + frames) / 25,
        empty=SCORER.empty,
        calibration=CALIBRATION,
        events=EventConfig(**{"min_length": 1, "merge_gap": 0, **events}),
        metadata={"video": "v.avi", "start": start, "bundle": "b", "smoothing": smoothing},
    )


def rows(table: pa.Table) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = table.to_pylist()
    return found


def file_bytes(tables: FinalTables) -> list[bytes]:
    files = []
    for table in (tables.frames, tables.objects, tables.events):
        file = io.BytesIO()
        pq.write_table(table, file)
        files.append(file.getvalue())
    return files


def test_a_shard_has_a_row_for_every_box_and_for_every_frame_without_one(
    video: list[CubeBatch], engine: EagerEngine
) -> None:
    table = scored(video, engine)
    assert table.schema.equals(SHARD)
    assert unpack_metadata(table.schema, "shard", "")["start"] == 0
    expected = [frame for frame in range(14) for _ in range(COUNTS.get(frame) or 1)]
    assert table["frame"].to_pylist() == expected
    for row in rows(table):
        assert (row["video"], row["pts_s"]) == ("v.avi", row["frame"] / 25)
        assert row["status"] == video[row["frame"]].status
        empty = {row[name] is None for name in ("x1", "y1", "x2", "y2", "s_flow", "s_frame", "speed", "score")}
        assert empty == {not COUNTS.get(row["frame"])}
        assert row["s_motion"] is None


def test_the_rows_of_a_frame_are_its_boxes_with_the_errors_of_their_cubes(
    video: list[CubeBatch], engine: EagerEngine
) -> None:
    table = scored(video, engine)
    for frame, count in COUNTS.items():
        if count:
            batch = video[frame]
            found = [row for row in rows(table) if row["frame"] == frame]
            alone = engine.errors(batch.appearance, batch.flow)
            assert [[row[name] for name in ("x1", "y1", "x2", "y2")] for row in found] == batch.boxes.tolist()
            assert [row["s_flow"] for row in found] == alone["flow"].tolist()
            assert [row["s_frame"] for row in found] == alone["frame"].tolist()
            assert [row["speed"] for row in found] == flow_speed(batch.flow).tolist()
            cubes = CubeArrays(boxes=batch.boxes, flow=batch.flow, appearance=batch.appearance)
            expected = SCORER.score(feature_set(engine).measure(cubes))
            assert [row["score"] for row in found] == expected.tolist()


@pytest.mark.parametrize("batch", [1, 3, 22, 100])
def test_the_engines_batch_size_does_not_change_which_rows_there_are(
    video: list[CubeBatch], engine: EagerEngine, batch: int
) -> None:
    other = EagerEngine(HF2VAD(SMALL_MODEL), device=torch.device("cpu"), batch=batch)
    names = ["frame", "status", "x1", "y2", "speed"]
    assert scored(video, other).select(names).to_pylist() == scored(video, engine).select(names).to_pylist()


def test_a_shard_without_frames_is_a_table_without_rows(engine: EagerEngine) -> None:
    assert scored([], engine).num_rows == 0
    assert scored([], engine).schema.equals(SHARD)


def test_shards_in_any_order_and_of_any_cut_give_the_same_bytes(video: list[CubeBatch], engine: EagerEngine) -> None:
    whole = file_bytes(final([scored(video, engine)], smoothing=3))
    for edges in ([0, 5, 10, 14], [0, 1, 7, 14], [0, 0, 6, 14]):
        shards = [scored(video[a:b], engine) for a, b in itertools.pairwise(edges)]
        for order in itertools.permutations(shards):
            assert file_bytes(final(list(order), smoothing=3)) == whole
    assert file_bytes(final([scored(video, engine)], smoothing=5)) != whole


def test_a_frame_takes_the_score_and_the_box_of_its_highest_cube(video: list[CubeBatch], engine: EagerEngine) -> None:
    tables = final([scored(video, engine)])
    assert tables.frames.schema.equals(FRAMES_TABLE)
    assert tables.objects.schema.names == OBJECTS.names
    unmeasured = [column for name, column in FEATURE_COLUMNS.items() if name not in ("flow", "frame", "speed")]
    assert [item.name for item in tables.objects.schema if item.nullable] == ["class", "class_score", *unmeasured]
    assert unpack_metadata(tables.frames.schema, "frames", "")["bundle"] == "b"
    assert unpack_metadata(tables.objects.schema, "objects", "")["bundle"] == "b"
    assert len(tables.objects) == sum(COUNTS.values())
    assert tables.frames["frame"].to_pylist() == list(range(14))
    for frame in rows(tables.frames):
        own = [row for row in rows(tables.objects) if row["frame"] == frame["frame"]]
        assert frame["n_objects"] == len(own) == COUNTS.get(frame["frame"], 0)
        if own:
            best = max(own, key=lambda row: row["score"])
            assert frame["score"] == frame["score_raw"] == best["score"]
            assert all(frame[name] == best[name] for name in ("s_flow", "s_frame", "x1", "y1", "x2", "y2"))
            assert frame["speed"] == max(row["speed"] for row in own)


def test_frames_without_cubes_without_context_and_undecodable_ones_are_told_apart(
    video: list[CubeBatch], engine: EagerEngine
) -> None:
    tables = final([scored(video, engine)])
    found = rows(tables.frames)
    for frame in (5, 8, 12):
        assert found[frame]["score"] == found[frame]["score_raw"] == pytest.approx(NOTHING)
        assert (found[frame]["speed"], found[frame]["s_flow"], found[frame]["x1"]) == (0.0, None, None)
    for frame in (0, 3, 9, 10):
        assert [found[frame][name] for name in ("score", "score_raw", "speed", "s_frame", "y2")] == [None] * 5
    assert tables.undecodable == 2


def test_frames_that_no_shard_covers_have_no_score_and_are_not_called_undecodable(
    video: list[CubeBatch], engine: EagerEngine
) -> None:
    tables = final([scored(video[:5], engine), scored(video[8:], engine)])
    assert [row["frame"] for row in rows(tables.frames) if row["score"] is None] == [0, 1, 2, 3, 5, 6, 7, 9, 10]
    assert tables.undecodable == 2


def shard(*scores: tuple[int, float | None]) -> pa.Table:
    """Rows with these scores; the box's corner is the score too."""
    found = []
    for number, (frame, score) in enumerate(scores):
        nulls = dict.fromkeys(SHARD.names)
        row = {**nulls, "video": "v.avi", "frame": frame, "pts_s": frame / 25, "status": "scored", "score": score}
        if score is not None:
            row |= {
                "x1": score,
                "y1": 0.0,
                "x2": float(number),
                "y2": 9.0,
                "s_flow": 1.0,
                "s_frame": 2.0,
                "speed": 3.0,
                "s_motion": 4.0,
            }
        found.append(row)
    return pa.Table.from_pylist(found, schema=SHARD)


def test_of_equal_scores_the_first_box_counts() -> None:
    (frame,) = rows(final([shard((10, 2.0), (10, 4.0), (10, 4.0))], start=10, frames=1).frames)
    assert (frame["x1"], frame["x2"], frame["n_objects"]) == (4.0, 1.0, 3)


def test_a_part_of_a_video_keeps_its_frame_numbers() -> None:
    tables = final([shard((101, 7.0), (100, None))], start=100, frames=2)
    assert tables.frames["frame"].to_pylist() == [100, 101]
    assert tables.frames["score"].to_pylist() == pytest.approx([NOTHING, 7.0])
    (event,) = rows(tables.events)
    assert (event["start_frame"], event["end_frame"], event["start_s"]) == (101, 101, 101 / 25)


def test_events_are_found_in_smoothed_scores_and_told_in_frames_and_seconds() -> None:
    scores = [0, 9, 0, 0, 4, 5, 6, 4, 0, 0, 2, 4, 4, 4]
    tables = final([shard(*((frame, float(score)) for frame, score in enumerate(scores)))], smoothing=3)
    first, second = rows(tables.events)
    assert tables.events.schema.equals(EVENTS)
    assert (first["event"], first["start_frame"], first["end_frame"], first["peak_frame"]) == (0, 4, 7, 5)
    assert (first["start_s"], first["end_s"], first["peak_s"]) == (4 / 25, 7 / 25, 5 / 25)
    assert (first["peak_score"], first["x1"]) == (5.0, 5.0)
    assert (second["event"], second["start_frame"], second["end_frame"]) == (1, 10, 13)
    smooth = tables.frames["score"].to_pylist()
    assert all(smooth[event["peak_frame"]] == event["peak_score"] for event in (first, second))
    assert max(tables.frames["score_raw"].to_pylist()) == 9.0


def test_a_video_without_a_box_and_one_without_frames_have_tables_too() -> None:
    quiet = final([shard(*((frame, None) for frame in range(3)))], frames=3)
    assert quiet.frames["score"].to_pylist() == pytest.approx([NOTHING] * 3)
    assert (len(quiet.objects), len(quiet.events), quiet.undecodable) == (0, 0, 0)
    nothing = final([], frames=0)
    assert (len(nothing.frames), len(nothing.objects), len(nothing.events)) == (0, 0, 0)
    assert nothing.frames.schema.equals(FRAMES_TABLE)


def test_a_frame_without_cubes_has_the_score_that_it_is_given() -> None:
    table = finalise(
        [shard((0, None))], pts_s=np.zeros(1), empty=-2.0, calibration=CALIBRATION, events=EventConfig(),
        metadata={"video": "v", "start": 0, "smoothing": 1},
    )  # fmt: skip
    assert table.frames["score"].to_pylist() == [-2.0]


def test_a_shard_of_a_release_without_a_feature_has_nulls_in_its_column() -> None:
    tables = final([shard((4, 3.0)).drop_columns("s_motion"), shard((5, 7.0))], frames=6)
    assert tables.objects["score"].to_pylist() == [3.0, 7.0]
    assert tables.objects["s_motion"].to_pylist() == [None, 4.0]
