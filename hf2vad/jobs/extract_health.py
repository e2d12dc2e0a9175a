"""Unhealthy footage left out of an STC table: its cubes are removed when a video's shards are all there.

What is wrong with a frame is known only then. So each shard notes what its frames look like, and the files of shards
that have unhealthy frames are replaced by ones without their cubes; doing it again changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hf2vad.archive.catalog import Video
from hf2vad.archive.shards import Range
from hf2vad.archive.timeline import Timeline
from hf2vad.health.judge import judged_health
from hf2vad.health.look import Look
from hf2vad.health.settings import HealthConfig
from hf2vad.storage import atomic_writer, delete, join, key_path, open_parquet, put_table, read_batches
from hf2vad.walk.markers import list_shards, shard_name


@dataclass(frozen=True)
class HealthOfCubes:
    """Where what is known of footage lies beside the STC table of a dataset."""

    config: HealthConfig
    out: str
    dataset: str

    def folder(self, video: Video) -> str:
        return join(self.out, "looks", self.dataset, key_path(video.id))

    def put_look(self, video: Video, look: Look, frames: Range, state: str, metadata: dict[str, Any]) -> None:
        """Put what a shard has noted; before its cubes, so that cubes without it are never there."""
        put_table(join(self.folder(video), shard_name(frames, state)), look.table(metadata))

    def forget(self, video: Video, *, but: str = "") -> None:
        """Remove what shards of `video` have noted, but for the state `but`."""
        for uri, _, found in list(list_shards(self.folder(video))):
            if found != but:
                delete(uri)

    def leave_out(
        self,
        video: Video,
        timeline: Timeline,
        frames: Range,
        shards: Sequence[Range],
        state: str,
        metadata: dict[str, Any],
        cubes_of: Callable[[Range], str],
    ) -> dict[str, int]:
        """Remove the cubes of unhealthy `frames` from the files `cubes_of(shard)`, and put the table `health`.

        Returns counts: frames and stretches that are unhealthy, and cubes that this call removed.
        """
        looks = [join(self.folder(video), shard_name(shard, state)) for shard in shards]
        health = judged_health(self.config, video, timeline, frames, looks, metadata)
        put_table(join(self.out, "health", self.dataset, key_path(video.id) + ".parquet"), health.table)
        bad = [frames[0] + i for i, kind in enumerate(health.kinds) if kind is not None]
        removed = 0
        for start, stop in shards:
            if within := [frame for frame in bad if start <= frame < stop]:
                removed += _without(cubes_of((start, stop)), within)
        return {**health.counts, "cubes_left_out": removed}


def _without(uri: str, frames: Sequence[int]) -> int:
    """Replace a file of cubes by one without those of `frames`; returns how many went."""
    with open_parquet(uri) as file:
        schema, groups = file.schema_arrow, file.metadata.num_row_groups
        sizes = [file.metadata.row_group(i).num_rows for i in range(groups)]
    removed = 0

    def kept() -> Iterator[pa.Table]:
        nonlocal removed
        values = pa.array(frames, pa.int32())
        for batch in read_batches(uri, max(sizes)):
            table = pa.Table.from_batches([batch])
            left = table.filter(pc.invert(pc.is_in(table["frame"], values)))
            removed += len(table) - len(left)
            if len(left):
                yield left.cast(schema)

    if sizes:
        with (
            atomic_writer(uri) as out,
            pq.ParquetWriter(out, schema, compression="none", use_dictionary=False, write_statistics=False) as writer,
        ):
            for table in kept():
                writer.write_table(table)
    return removed
