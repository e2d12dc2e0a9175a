"""The objects of a scored video with fewer of them, as rows of a shard: what its final tables are made of anew."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hf2vad.archive.zones import CameraZones
from hf2vad.schema import BOX, F32, SHARD
from hf2vad.tables.layout import Metadata
from hf2vad.tables.sizes import sizes_of


def narrowed_shard(frames: pa.Table, objects: pa.Table, zones: CameraZones, metadata: Metadata) -> pa.Table:
    """The rows of SHARD behind the tables `frames` and `objects` of a video, without the objects that `zones` drop.

    metadata: of the frame table. A frame without a score is `undecodable`, for whatever reason it has none; one that
    has a box and no object of its own repeats the frame before it, and is `between`.
    """
    boxes: F32 = np.stack([objects[name].to_numpy() for name in BOX], axis=1)
    sizes = sizes_of(metadata, objects["frame"].to_numpy(), (metadata["width"], metadata["height"]))
    kept = objects.filter(pa.array(zones.keeps(boxes, sizes)))
    number = frames["frame"].to_numpy()
    repeats = frames["x1"].is_valid().to_numpy() & ~np.isin(number, objects["frame"].to_numpy())
    unscored = np.isnan(frames["score_raw"].to_numpy())
    status = np.where(repeats, "between", np.where(unscored, "undecodable", "scored")).astype(object)
    rest = frames.select(["video", "frame", "pts_s"]).append_column("status", pa.array(status, pa.string()))
    rest = rest.filter(pc.invert(pc.is_in(frames["frame"], kept["frame"].combine_chunks())))
    scored = kept.append_column("status", pa.array(["scored"] * len(kept), pa.string()))
    parts = [part.replace_schema_metadata(None) for part in (SHARD.empty_table(), scored, rest)]
    return pa.concat_tables(parts, promote_options="permissive").select(SHARD.names).sort_by("frame")
