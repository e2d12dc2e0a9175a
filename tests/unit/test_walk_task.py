"""A job of one's own that walks an archive: one task, and what the walk does for it."""

from __future__ import annotations

import gc
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hf2vad.archive.catalog import Video, catalogue
from hf2vad.archive.settings import LimitsConfig
from hf2vad.cluster.inline import InlineCluster
from hf2vad.cluster.settings import RayConfig
from hf2vad.cubes.settings import ExtractionConfig, MotionConfig
from hf2vad.errors import VideoError
from hf2vad.schema import pack_metadata
from hf2vad.storage import read_json, read_table
from hf2vad.tables.layout import Metadata, RunLayout
from hf2vad.video.shards import Shard
from hf2vad.walk.counts import RunCounts
from hf2vad.walk.limits import ShardPlan
from hf2vad.walk.task import CubeStream, Parts, VideoResult, WalkConfig
from hf2vad.walk.walk import Walk
from tests.clips import Clip, write_clip

COUNTS = pa.schema([("frame", pa.int32()), ("cubes", pa.int32())])
FRAMES = 24


@dataclass(frozen=True, kw_only=True)
class CountTask:
    """How many cubes each frame has."""

    lane: ClassVar[str] = "count"
    use_gpu: ClassVar[bool] = False

    layout: RunLayout
    config: WalkConfig
    fails: tuple[int, ...] = ()
    """Shards that begin with one of these frames fail."""
    reuses: bool = False
    """Whether tables of another plan will do."""
    calls: list[str] = field(default_factory=list)

    def load(self) -> Mapping[str, float]:
        return {}

    def shard(self, shard: Shard, cubes: CubeStream) -> Generator[pa.Table, None, None]:
        self.calls.append(f"shard {shard.start}")
        if shard.start in self.fails:
            raise VideoError(f"{shard.video.id}: frame {shard.start} is not to be counted")
        for batch in cubes:
            yield pa.table({"frame": [batch.frame], "cubes": [len(batch)]}, COUNTS)

    def finish(self, video: Video, parts: Parts) -> VideoResult:
        tables = [read_table(self.layout.shard_uri(video, frames)) for frames in parts.done]
        counts = pa.concat_tables([COUNTS.empty_table(), *tables]).replace_schema_metadata(None)
        metadata = self.layout.final_metadata(video, parts.frames, complete=parts.complete)
        table = counts.replace_schema_metadata(pack_metadata("counts", metadata))
        total = sum(counts["cubes"].to_pylist())
        return VideoResult([("counts", table)], {"counted": total}, [] if total else ["nothing moves"])

    def reuse(self, video: Video, completion: Metadata) -> VideoResult | None:
        if not self.reuses:
            return None
        table = read_table(self.layout.table_uri("counts", video))
        metadata = {**completion, "final": self.layout.final}
        values = {name: value for name, value in metadata.items() if name not in ("schema", "table")}
        return VideoResult([("counts", table.replace_schema_metadata(pack_metadata("counts", values)))], {"reused": 1})


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    write_clip(folder / "clip.mp4", Clip(frames=FRAMES))
    return folder


def task(out: Path, *, plan: str = "plan", **settings: Any) -> CountTask:
    config = WalkConfig(
        extraction=ExtractionConfig(motion=MotionConfig(min_area=16)),
        boxes="",
        image_fps=25.0,
        limits=LimitsConfig(),
        threads=1,
        frame_stats=False,
    )
    tables: dict[str, Any] = {"shard_table": "counts_shard", "shard_schema": COUNTS, "final_table": "counts"}
    layout = RunLayout(prefix=str(out), plan=plan, final=plan, **tables)
    return CountTask(layout=layout, config=config, **settings)


def walk(archive: Path, task: CountTask, shard_frames: int = 10) -> RunCounts:
    return Walk(InlineCluster(RayConfig()), task, ShardPlan(shard_frames)).run(catalogue(str(archive)), "count")


def files(out: Path) -> set[str]:
    return {str(path.relative_to(out).parent) for path in out.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_the_rows_of_all_shards_become_one_table_and_nothing_else_is_left(archive: Path, tmp_path: Path) -> None:
    first = task(tmp_path)
    counts = walk(archive, first)
    table = pq.read_table(tmp_path / "counts" / "clip.mp4.parquet")
    assert table["frame"].to_pylist() == list(range(FRAMES))
    total = sum(table["cubes"].to_pylist())
    assert total > 0
    assert (counts.shards, counts.failed, counts.figures["frames"]) == (3, 0, FRAMES)
    assert counts.figures["cubes"] == counts.figures["counted"] == total
    assert counts.figures["busy_s"] > 0
    assert {lane for lane, _ in counts.profile.stages} >= {"count", "decode"}
    assert files(tmp_path) == {"counts", "done"}
    again = task(tmp_path)
    assert walk(archive, again).skipped == 1
    assert again.calls == []


def test_a_failed_shard_costs_its_frames_and_the_next_run_makes_it_alone(archive: Path, tmp_path: Path) -> None:
    counts = walk(archive, task(tmp_path, fails=(10,)))
    assert (counts.shards, counts.failed) == (2, 1)
    frames = pq.read_table(tmp_path / "counts" / "clip.mp4.parquet")["frame"].to_pylist()
    assert frames == [*range(10), *range(20, FRAMES)]
    row = read_json(str(tmp_path / "failures" / "clip.mp4.json"))
    assert (row["frames"], row["runs"]) == ([[10, 20]], 1)
    assert "done" not in files(tmp_path)
    second = task(tmp_path)
    assert walk(archive, second).failed == 0
    assert second.calls == ["shard 10"]
    assert files(tmp_path) == {"counts", "done"}


def test_what_a_task_says_of_a_finished_video_is_its_failure_row(tmp_path: Path) -> None:
    (tmp_path / "archive").mkdir()
    write_clip(tmp_path / "archive" / "still.mp4", Clip(frames=4))
    counts = walk(tmp_path / "archive", task(tmp_path / "out"))
    assert counts.failures == [{"video": "still.mp4", "reason": "nothing moves"}]
    assert [path.suffix for path in (tmp_path / "out" / "done").iterdir()] == [".failed"]
    assert walk(tmp_path / "archive", task(tmp_path / "out")).failed == 1


def test_tables_of_another_plan_are_made_anew_or_reused_as_the_task_says(archive: Path, tmp_path: Path) -> None:
    walk(archive, task(tmp_path))
    reused = task(tmp_path, plan="other", reuses=True)
    counts = walk(archive, reused)
    assert (counts.skipped, counts.figures["reused"], reused.calls) == (1, 1, [])
    assert walk(archive, task(tmp_path, plan="other")).skipped == 1
    anew = task(tmp_path, plan="third")
    walk(archive, anew)
    assert anew.calls == ["shard 0", "shard 10", "shard 20"]
    assert len(list((tmp_path / "done").iterdir())) == 1


def test_a_video_that_failed_in_as_many_runs_as_are_tried_is_left_alone(archive: Path, tmp_path: Path) -> None:
    def tried() -> CountTask:
        first = task(tmp_path, fails=(0, 10, 20))
        return replace(first, config=replace(first.config, tries=2))

    for _ in range(2):
        assert walk(archive, tried()).failed == 1
    last = tried()
    counts = walk(archive, last)
    assert (counts.figures["parked"], counts.failed, last.calls) == (1, 1, [])


def test_a_shard_may_be_longer_than_what_is_held_of_it(archive: Path, tmp_path: Path) -> None:
    """Each table is a row group, put when it is there."""
    held: list[int] = []

    @dataclass(frozen=True, kw_only=True)
    class Watched(CountTask):
        def shard(self, shard: Shard, cubes: CubeStream) -> Generator[pa.Table, None, None]:
            for table in super().shard(shard, cubes):
                yield table
                held.append(sum(table.num_rows for table in alive()))

        def finish(self, video: Video, parts: Parts) -> VideoResult:
            (frames,) = parts.done
            assert pq.ParquetFile(self.layout.shard_uri(video, frames)).metadata.num_row_groups == FRAMES
            return super().finish(video, parts)

    def alive() -> Iterator[pa.Table]:
        gc.collect()
        return (item for item in gc.get_objects() if type(item) is pa.Table and item.schema == COUNTS)

    first = task(tmp_path)
    walk(archive, Watched(**vars(first)), shard_frames=FRAMES)
    assert len(held) == FRAMES
    assert max(held) <= 2


def test_a_worker_that_fails_over_a_shard_leaves_nothing_of_it(archive: Path, tmp_path: Path) -> None:
    walk(archive, task(tmp_path, fails=(0, 10, 20)))
    assert files(tmp_path) == {"counts", "failures"}
    assert np.array(pq.read_table(tmp_path / "counts" / "clip.mp4.parquet")["frame"]).size == 0
