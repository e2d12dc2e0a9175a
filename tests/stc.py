"""Small STC tables for tests: files as extraction writes them, cubes with some structure to learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from hf2vad.cubes.settings import ExtractionConfig
from hf2vad.models.settings import ModelConfig
from hf2vad.schema import F16, STC, STC_CLASSES, U8, CubeBatch, pack_metadata
from hf2vad.settings import to_dict
from hf2vad.storage import put_table
from hf2vad.tables.cubes import cubes_to_arrow

SMALL_MODEL = ModelConfig(flow_root=4, slots=8, cvae_widths=(8, 16, 16, 16))
"""A network of full structure that runs in milliseconds."""


def make_cubes(count: int, seed: int) -> tuple[U8, F16]:
    """`count` different cubes: one colour gradient each, and one motion each with noise around it."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(0, 60, 32)[None, None, :, None, None] + np.linspace(0, 40, 32)[None, None, None, :, None]
    colour = rng.uniform(20, 120, (count, 1, 1, 1, 3))
    appearance = colour + ramp + rng.normal(0, 3, (count, 5, 32, 32, 3))
    flow = rng.normal(0, 1.5, (count, 1, 1, 1, 2)) + rng.normal(0, 0.2, (count, 4, 32, 32, 2))
    return appearance.clip(0, 255).astype(np.uint8), flow.astype(np.float16)


def frame_cubes(frame: int, appearance: U8, flow: F16, classes: Sequence[int] | None = None) -> CubeBatch:
    """The cubes of one frame, at 25 frames a second; their boxes lie side by side, the first at the picture's edge.
    `classes`: -1 without one."""
    boxes = np.array([(40 * i, frame, 40 * i + 30, frame + 20) for i in range(len(flow))], np.float32).reshape(-1, 4)
    kinds = None if classes is None else np.array(classes, np.int32)
    return CubeBatch(
        frame=frame,
        pts_s=frame / 25,
        status="scored",
        boxes=boxes,
        appearance=appearance,
        flow=flow,
        classes=kinds,
        class_scores=None if kinds is None else np.where(kinds < 0, 0, 0.75).astype(np.float32),
        at_edge=np.arange(len(flow)) == 0,
    )


def put_clip(
    folder: Path,
    video: str,
    frames: tuple[int, int],
    cubes: Mapping[int, int],
    *,
    seed: int = 0,
    rows: int = 16,
    extraction: ExtractionConfig | None = None,
    content: tuple[U8, F16] | None = None,
    classes: Sequence[int] | None = None,
    fps: float | None = 25.0,
) -> Path:
    """Put the file of frames start … stop of `video`, with `cubes[frame]` cubes in a frame, `rows` a row group.

    classes: class of each cube of a frame, the same in all of them. fps: rate that the file says; None: it says none.
    """
    total = sum(cubes.values())
    appearance, flow = content or make_cubes(total, seed)
    schema = STC if classes is None else STC_CLASSES
    batches, done = [], 0
    for frame, count in sorted(cubes.items()):
        part = slice(done, done + count)
        batches.append(cubes_to_arrow(video, frame_cubes(frame, appearance[part], flow[part], classes), schema))
        done += count
    settings = to_dict(extraction or ExtractionConfig())
    values = {"video": video, "fingerprint": "1", "start": frames[0], "stop": frames[1], "extraction": settings}
    values |= {} if fps is None else {"fps": fps}
    path = folder / video / f"{frames[0]:08d}-{frames[1]:08d}.parquet"
    table = pa.Table.from_batches(batches, schema).replace_schema_metadata(pack_metadata("stc", values))
    put_table(str(path), table, row_group_size=rows)
    return path
