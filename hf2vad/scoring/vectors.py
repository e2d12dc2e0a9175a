"""The vectors that the objects of a finished video keep: those of the highest scoring objects of each second."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hf2vad.schema import VECTORS, pack_metadata


def top_vectors(shards: Iterable[pa.Table], a_second: int, metadata: Mapping[str, Any]) -> pa.Table:
    """The table `vectors` of a video from those of its shards: at most `a_second` objects of each second, by frame."""
    parts = [
        shard.filter(pc.is_valid(shard["vector"])).select(VECTORS.names).replace_schema_metadata(None)
        for shard in shards
    ]
    empty = pa.schema([item.with_nullable(True) for item in VECTORS]).empty_table()
    rows = pa.concat_tables([empty, *parts], promote_options="permissive").combine_chunks()
    second = np.floor(rows["pts_s"].to_numpy()).astype(np.int64)
    order = np.lexsort((-rows["score"].to_numpy(), second))
    first = np.flatnonzero(np.diff(second[order], prepend=-1))
    rank = np.arange(len(order)) - np.repeat(first, np.diff([*first, len(order)]))
    top = rows.take(pa.array(np.sort(order[rank < a_second]))).sort_by("frame")
    return top.cast(VECTORS).replace_schema_metadata(pack_metadata("vectors", metadata))
