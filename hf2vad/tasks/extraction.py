"""Extraction: the cubes of an archive as an STC table, a file a shard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hf2vad.archive.catalog import Video
from hf2vad.cubes.extract import AHEAD
from hf2vad.health.judge import Health, judged_health
from hf2vad.health.settings import HealthConfig
from hf2vad.profile import span
from hf2vad.storage import atomic_writer, delete, open_parquet, read_batches
from hf2vad.tables.cubes import cubes_to_arrow
from hf2vad.tables.layout import CubeLayout, Metadata, list_shards
from hf2vad.threads import prefetch
from hf2vad.video.shards import Range, Shard
from hf2vad.walk.task import CubeStream, Parts, VideoResult, WalkConfig

ROWS_PER_GROUP = 256
"""Cubes in a Parquet row group: 8 MB, what a reader holds at least."""


@dataclass(frozen=True, kw_only=True)
class ExtractionTask:
    """Puts the cubes of each shard, and removes those of unhealthy footage once a video's shards are all there."""

    lane: ClassVar[str] = "write"
    use_gpu: ClassVar[bool] = False

    layout: CubeLayout
    config: WalkConfig
    health: HealthConfig | None
    """Thresholds by which cubes of unhealthy footage are dropped. None: all cubes stay."""

    def load(self) -> Mapping[str, float]:
        return {}

    def shard(self, shard: Shard, cubes: CubeStream) -> Generator[pa.Table, None, None]:
        rows: list[pa.RecordBatch] = []
        with closing(prefetch(cubes, depth=AHEAD, name="cubes")) as batches:
            for batch in batches:
                if len(batch):
                    with span("write"):
                        rows.append(cubes_to_arrow(shard.video.id, batch, self.layout.shard_schema))
                if sum(map(len, rows)) >= ROWS_PER_GROUP:
                    yield pa.Table.from_batches(rows)
                    rows = []
        if rows:
            yield pa.Table.from_batches(rows)

    def finish(self, video: Video, parts: Parts) -> VideoResult:
        """The health of the video, where it decides which cubes stay: what is wrong with a frame is known only now."""
        truncated = [parts.timeline.truncated] if parts.timeline.truncated else []
        planned = set(parts.plan)
        for uri, frames, _ in list(list_shards(self.layout.shard_folder(video))):
            if frames not in planned:  # of a sample before this one
                delete(uri)
        if self.health is None or not parts.done:
            return VideoResult(shortcomings=truncated)
        metadata = self.layout.metadata(video, parts.frames)
        tables, counts = [], Counter[str]()
        for stretch in _stretches(parts):
            found = self._healthy_alone(self.health, video, stretch, metadata)
            tables.append(found.table)
            counts.update(found.counts)
        return VideoResult([("health", pa.concat_tables(tables))], counts, truncated)

    def _healthy_alone(self, config: HealthConfig, video: Video, parts: Parts, metadata: Metadata) -> Health:
        """The health of shards without a gap between them, after the cubes of unhealthy frames are removed."""
        layout, frames = self.layout, parts.frames
        stats = [layout.stats_uri(video, shard) for shard in parts.done]
        fps = self.config.extraction.working.fps
        health = judged_health(config, video, parts.timeline, frames, stats, metadata, fps)
        unhealthy = [frame for frame, kind in enumerate(health.kinds, frames[0]) if kind is not None]
        removed = 0
        for start, stop in parts.done:
            if inside := [frame for frame in unhealthy if start <= frame < stop]:
                removed += remove_cubes(layout, video, (start, stop), inside)
        return replace(health, counts={**health.counts, "cubes_left_out": removed})

    def reuse(self, video: Video, completion: Metadata) -> VideoResult | None:
        return None


def _stretches(parts: Parts) -> Iterator[Parts]:
    """Runs of adjacent shards of a video in which some shard has a result."""
    plan: list[Range] = []
    for shard, following in zip(parts.plan, [*parts.plan[1:], None], strict=True):
        plan.append(shard)
        if following is None or following[0] != shard[1]:
            if done := [one for one in plan if one in set(parts.done)]:
                yield Parts(parts.timeline, plan, done)
            plan = []


def remove_cubes(layout: CubeLayout, video: Video, shard: tuple[int, int], frames: Sequence[int]) -> int:
    """Replace the file of a shard by one without the cubes of `frames`; returns how many went."""
    uri = layout.shard_uri(video, shard)
    with open_parquet(uri) as file:
        schema, groups = file.schema_arrow, file.metadata.num_row_groups
        most = max((file.metadata.row_group(i).num_rows for i in range(groups)), default=0)
    if not most:
        return 0
    removed = 0

    def kept() -> Iterator[pa.Table]:
        nonlocal removed
        values = pa.array(frames, pa.int32())
        for batch in read_batches(uri, most):
            table = pa.Table.from_batches([batch])
            left = table.filter(pc.invert(pc.is_in(table["frame"], values)))
            removed += len(table) - len(left)
            if len(left):
                yield left.cast(schema)

    with atomic_writer(uri) as out, pq.ParquetWriter(out, schema, **layout.shard_format) as writer:
        for table in kept():
            writer.write_table(table)
    return removed
