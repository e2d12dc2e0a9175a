"""Cubes as rows of the STC table and back: columns of bytes are views of arrays, without a copy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hf2vad.errors import ShapeError
from hf2vad.schema import (
    APPEARANCE_BYTES,
    APPEARANCE_SHAPE,
    F16,
    F32,
    FLOW_BYTES,
    FLOW_SHAPE,
    I32,
    STC,
    U8,
    CubeBatch,
)


def cubes_to_arrow(video: str, batch: CubeBatch, schema: pa.Schema = STC) -> pa.RecordBatch:
    """The cubes of one frame as rows of the STC table; `schema`: STC, or STC_CLASSES."""
    n = len(batch)
    columns = [
        pa.array([video] * n, pa.string()),
        pa.array(np.full(n, batch.frame, np.int32)),
        pa.array(np.full(n, batch.pts_s, np.float64)),
        *(pa.array(np.ascontiguousarray(batch.boxes[:, i])) for i in range(4)),
        _fixed_binary(batch.appearance, APPEARANCE_BYTES),
        _fixed_binary(batch.flow.astype("<f2", copy=False), FLOW_BYTES),
        pa.nulls(n, pa.bool_()) if batch.at_edge is None else pa.array(batch.at_edge),
    ]
    if schema.names != STC.names:
        columns += class_columns(batch.classes, batch.class_scores, n)
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def class_columns(classes: I32 | None, scores: F32 | None, count: int) -> list[pa.Array]:
    """The columns `class` and `class_score` of `count` boxes."""
    if classes is None or scores is None:
        return [pa.nulls(count, pa.int32()), pa.nulls(count, pa.float32())]
    none = classes < 0
    return [pa.array(classes, pa.int32(), mask=none), pa.array(scores, pa.float32(), mask=none)]


def class_arrays(table: pa.Table) -> tuple[I32, F32]:
    """(N,) classes, -1 without one, and their probabilities; of a table without these columns, none has one."""
    if "class" not in table.column_names:
        return np.full(len(table), -1, np.int32), np.zeros(len(table), np.float32)
    filled = ((table["class"], -1), (table["class_score"], 0.0))
    classes, scores = (column.combine_chunks().fill_null(value).to_numpy() for column, value in filled)
    return classes, scores


def edge_array(table: pa.Table) -> npt.NDArray[np.bool_]:
    """(N,): whether the picture's edge cuts each box; False where the table does not say."""
    if "at_edge" not in table.column_names:
        return np.zeros(len(table), np.bool_)
    return np.asarray(table["at_edge"].combine_chunks().fill_null(False).to_numpy(zero_copy_only=False), np.bool_)


def appearance_view(column: pa.Array) -> U8:
    """(N, 5, 32, 32, 3) uint8, a view of the `appearance` column without a copy."""
    return _view(column, APPEARANCE_BYTES, np.dtype(np.uint8)).reshape(-1, *APPEARANCE_SHAPE)


def flow_view(column: pa.Array) -> F16:
    """(N, 4, 32, 32, 2) float16, a view of the `flow` column without a copy."""
    return _view(column, FLOW_BYTES, np.dtype("<f2")).reshape(-1, *FLOW_SHAPE)


def _fixed_binary(values: npt.NDArray[Any], width: int) -> pa.Array:
    data = pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(pa.binary(width), len(values), [None, data])


def _view(column: pa.Array, width: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    if column.type != pa.binary(width):
        raise ShapeError(f"a cube column must be {width} bytes wide, got {column.type}")
    per_row = width // dtype.itemsize
    values = np.frombuffer(column.buffers()[1], dtype=dtype)
    return values[column.offset * per_row : (column.offset + len(column)) * per_row]
