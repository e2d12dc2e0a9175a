"""Score tables as jobs/score_archive.py writes them, made of the numbers that a test wants in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hf2vad.schema import LABELS, SHARD
from hf2vad.scoring.final import finalise
from hf2vad.scoring.settings import EventConfig
from hf2vad.storage import key_path, put_table, read_table
from tests.bundles import normal

CALIBRATION = normal(flow=(5.0, 1.0), frame=(5.0, 1.0))

Box = tuple[float, float, float, float]
Frames = Sequence[Sequence[float | tuple[float, Box]] | None]
"""The S_r of each box of a frame, alone or with the box; None for a frame without score."""


def put_scores(
    out: Path,
    video: str,
    frames: Frames,
    *,
    start: int = 0,
    smoothing: int = 1,
    rule: tuple[int, float] | None = None,
    bundle: str = "b1",
) -> None:
    """Put the tables of `video`. With fusion (1, 0) a score is S_r − 5; S_p is 10 − S_r, speed S_r / 2.

    smoothing: frames of the filter. rule: the bundle's frames and rate behind them; None: these frames, at any rate.
    """
    rows: list[dict[str, Any]] = []
    for frame, boxes in enumerate(frames, start):
        nulls = dict.fromkeys(SHARD.names)
        status = "no_context" if boxes is None else "scored"
        row = {**nulls, "video": video, "frame": frame, "pts_s": frame / 25, "status": status}
        found = [box if isinstance(box, tuple) else (box, (0.0, 0.0, 9.0, 9.0)) for box in boxes or []]
        rows += [
            row
            | dict(zip(("x1", "y1", "x2", "y2"), corners, strict=True))
            | {"s_flow": s, "s_frame": 10 - s, "speed": s / 2, "s_motion": 0.0, "score": s - 5}
            for s, corners in found
        ] or [row]
    says = {"video": video, "start": start, "bundle": bundle, "smoothing": smoothing, "thresholds": [3.0, 2.0]}
    says |= {} if rule is None else {"smoothing_rule": rule, "fps": 25.0}
    tables = finalise(
        [pa.Table.from_pylist(rows, schema=SHARD)], pts_s=np.arange(len(frames)) / 25, empty=-5.0,
        calibration=CALIBRATION, events=EventConfig(),
        metadata=says,
    )  # fmt: skip
    for name in ("frames", "objects", "events"):
        put_table(table_path(out, video, name, bundle=bundle), getattr(tables, name))


def table_path(out: Path, video: str, table: str, *, bundle: str = "b1") -> str:
    return str(out / f"bundle={bundle}" / table / f"{key_path(video)}.parquet")


def put_marks(folder: Path, **marks: str) -> str:
    """A folder of text labels."""
    folder.mkdir(exist_ok=True)
    for name, text in marks.items():
        (folder / f"{name}.txt").write_text(text)
    return str(folder)


def label_table(path: Path, *rows: tuple[str, int, bool]) -> str:
    columns = [dict(zip(LABELS.names, row, strict=True)) for row in rows]
    put_table(str(path), pa.Table.from_pylist(columns, schema=LABELS))
    return str(path)


def with_column(path: str, name: str, values: Sequence[float | None]) -> None:
    """Put the table at `path` again, with a column of floats that replaces the one there may be."""
    table = read_table(path)
    if name in table.column_names:
        table = table.drop_columns(name)
    put_table(path, table.append_column(name, pa.array(values, pa.float32())))
