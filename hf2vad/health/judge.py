"""The health of a video's footage, from what its shards have noted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from hf2vad.archive.catalog import Video
from hf2vad.health.episodes import affected, find_episodes, health_table, with_facts
from hf2vad.health.frame_stats import SizeFrom
from hf2vad.health.settings import HealthConfig
from hf2vad.schema import HealthKind, unpack_metadata
from hf2vad.storage import read_table
from hf2vad.video.shards import Range, worked_frames
from hf2vad.video.timeline import Timeline


@dataclass(frozen=True)
class Health:
    """Health of a video's footage."""

    table: pa.Table
    """Rows of the table `health`."""
    kinds: Sequence[HealthKind | None]
    """Kinds of episodes that the cubes of each planned frame touch."""
    counts: dict[str, int]
    """Frames so marked, and stretches of each kind that there is."""
    sizes: Sequence[SizeFrom]
    """Picture sizes by first frame; a single one if the size never changes."""


def judged_health(
    config: HealthConfig,
    video: Video,
    timeline: Timeline,
    frames: Range,
    looks: Iterable[str],
    metadata: Mapping[str, Any],
    fps: float = 0.0,
) -> Health:
    """The health of `frames` of a video. `looks`: URIs of what its shards noted, in order; one is read at a time.

    `fps`: rate at which its frames are worked on; 0: all are.
    """
    start, stop = frames
    pts_s = np.asarray(timeline.pts_s[start:stop])
    sizes: list[SizeFrom] = []
    tables = (_noting_sizes(read_table(uri), uri, timeline, sizes) for uri in looks)
    episodes = find_episodes(tables, config, start=start, pts_s=pts_s, width=timeline.width, height=timeline.height)
    episodes = with_facts(episodes, [repair for repair in timeline.repairs if start <= repair.start < stop], sizes)
    step = int(np.diff(worked_frames(timeline, fps)).max(initial=1))
    kinds = affected(episodes, start=start, frames=len(pts_s), step=step)
    counts = Counter(f"unhealthy_{episode.kind}" for episode in episodes)
    return Health(
        health_table(video.id, episodes, start=start, pts_s=pts_s, metadata=metadata),
        kinds,
        {"unhealthy_frames": sum(kind is not None for kind in kinds), **counts},
        sizes,
    )


def _noting_sizes(table: pa.Table, uri: str, timeline: Timeline, sizes: list[SizeFrom]) -> pa.Table:
    """`table`, after the sizes that its shard met are added to `sizes`."""
    known = unpack_metadata(table.schema, "looks", uri)
    for frame, width, height in known.get("sizes", [(known["start"], timeline.width, timeline.height)]):
        if not sizes or sizes[-1][1:] != (width, height):
            sizes.append((frame, width, height))
    return table
