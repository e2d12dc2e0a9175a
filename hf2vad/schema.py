"""The Arrow schema of every table, and the shape of a cube. Nothing else says which columns there are.

Every file carries in its metadata `hf2vad.schema` (the version below), `hf2vad.table` (the table's name) and what
`pack_metadata` was given: source video, its fingerprint, frame range, bundle id or extraction settings.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hf2vad.errors import SchemaError, ShapeError
from hf2vad.features.settings import FEATURES, YARDSTICK

SCHEMA_VERSION = 1
"""Raised when a reader of an older release would misread a table."""

SIZE = 32
"""Side of a cube's crops, in pixels."""
FRAMES = 5
"""Frames in a cube: four of context, then the frame that is scored."""
FLOWS = 4
"""Flow fields in a cube, between neighbouring frames."""

APPEARANCE_SHAPE = (FRAMES, SIZE, SIZE, 3)
FLOW_SHAPE = (FLOWS, SIZE, SIZE, 2)
APPEARANCE_BYTES = int(np.prod(APPEARANCE_SHAPE))
FLOW_BYTES = 2 * int(np.prod(FLOW_SHAPE))

U8 = npt.NDArray[np.uint8]
F16 = npt.NDArray[np.float16]
F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]

FrameStatus = Literal["scored", "no_context", "undecodable", "between"]
"""`scored`: the frame has its four predecessors (with or without cubes). `no_context`: it does not, so it gets no
score. `undecodable`: it, or a frame that its cubes need, could not be decoded, so it gets no score.
`between`: it was not worked on (working.fps), and takes the score of the frame before it."""

TimeKind = Literal["time_back", "time_jump", "time_order", "time_doubled", "time_missing"]
HealthKind = Literal["undecodable", "black", "blinded", "frozen", "moved", "gap", "rate", "resized", TimeKind]
"""Kind of fault in footage. docs/operations.md defines each."""


@dataclass(frozen=True, kw_only=True)
class CubeBatch:
    """The spatio-temporal cubes of one frame, as extraction yields them: one batch a frame, in order."""

    frame: int
    """Index of the frame in its video."""
    pts_s: float
    """Presentation time, seconds from the video's first frame."""
    status: FrameStatus
    """State of the frame: `scored`, or the reason why it has no score. Cubes exist only with `scored`."""
    boxes: F32
    """(B, 4): x1, y1, x2, y2 in source pixels, the end exclusive."""
    appearance: U8
    """(B, 5, 32, 32, 3): crops of frames t-4 … t, BGR."""
    flow: F16
    """(B, 4, 32, 32, 2): crops of the flow fields t-4→t-3 … t-1→t, (dx, dy) in the bundle's flow units."""
    dropped: int = 0
    """Boxes that had no area after rounding and clipping to the frame."""
    classes: I32 | None = None
    """(B,): index of each box's most probable class, -1 where its detector has no classes; None where nobody says."""
    class_scores: F32 | None = None
    """(B,): probability of that class, in [0, 1], 0 without one; None where nobody says."""
    at_edge: npt.NDArray[np.bool_] | None = None
    """(B,): whether the picture's edge cuts each box; None where nobody says."""

    def __post_init__(self) -> None:
        n = len(self.boxes)
        if self.appearance.shape != (n, *APPEARANCE_SHAPE) or self.flow.shape != (n, *FLOW_SHAPE):
            raise ShapeError(f"{n} boxes, but appearance {self.appearance.shape} and flow {self.flow.shape}")

    def __len__(self) -> int:
        return len(self.boxes)

    @classmethod
    def empty(cls, *, frame: int, pts_s: float, status: FrameStatus) -> CubeBatch:
        """A frame without cubes."""
        return cls(
            frame=frame,
            pts_s=pts_s,
            status=status,
            boxes=np.empty((0, 4), np.float32),
            appearance=np.empty((0, *APPEARANCE_SHAPE), np.uint8),
            flow=np.empty((0, *FLOW_SHAPE), np.float16),
        )


def _fields(*columns: tuple[str, pa.DataType, bool]) -> list[pa.Field]:
    return [pa.field(name, kind, nullable=nullable) for name, kind, nullable in columns]


_FRAME_KEY = _fields(("video", pa.string(), False), ("frame", pa.int32(), False), ("pts_s", pa.float64(), False))

BOX = ("x1", "y1", "x2", "y2")
"""Corners of a box in source pixels, the end exclusive."""


def _box(nullable: bool) -> list[pa.Field]:
    return _fields(*((name, pa.float32(), nullable) for name in BOX))


STC = pa.schema(
    [
        *_FRAME_KEY,
        *_box(False),
        *_fields(("appearance", pa.binary(APPEARANCE_BYTES), False), ("flow", pa.binary(FLOW_BYTES), False)),
        *_fields(("at_edge", pa.bool_(), True)),
    ]
)
"""One row a cube: `appearance` is uint8 [5, 32, 32, 3] (BGR), `flow` little-endian float16 [4, 32, 32, 2] (dx, dy),
`at_edge` whether the picture's edge cuts its box. Tables of earlier releases have no `at_edge`."""

_CLASS = _fields(("class", pa.int32(), True), ("class_score", pa.float32(), True))

STC_CLASSES = pa.schema([*STC, *_CLASS])
"""STC with the columns of a detector with classes: each box's most probable class and its probability, or nulls."""

FEATURE_COLUMNS: Mapping[str, str] = {name: name if name == YARDSTICK else f"s_{name}" for name in FEATURES}
"""Column of each feature in the tables of scores: `s_<name>`; the yardstick's is its name alone."""

_FEATURES = _fields(*((column, pa.float32(), True) for column in FEATURE_COLUMNS.values()))

SHARD = pa.schema(
    [
        *_FRAME_KEY,
        *_fields(("status", pa.string(), False)),
        *_box(True),
        *_CLASS,
        *_FEATURES,
        *_fields(("score", pa.float64(), True)),
    ]
)
"""One row a scored box, and one row with nulls for each frame without a box: what a shard found (intermediate). A
feature that was not computed is null."""

VECTOR_BYTES = 64
"""Length of an object's vector (features/object_vector.py)."""

_VECTOR = "vector"

SHARD_VECTORS = pa.schema([*SHARD, pa.field(_VECTOR, pa.binary(VECTOR_BYTES), True)])
"""Rows of SHARD with each box's vector, if vectors are kept (`--vectors`)."""

VECTORS = pa.schema(
    [
        *_FRAME_KEY,
        *_box(False),
        *_fields(("score", pa.float64(), False), (_VECTOR, pa.binary(VECTOR_BYTES), False)),
    ]
)
"""One row an object that keeps a vector, the highest scoring ones of each second, by frame: int8 [64]."""

FRAMES_TABLE = pa.schema(
    [
        *_FRAME_KEY,
        *_fields(
            ("score_raw", pa.float64(), True),
            ("score", pa.float64(), True),
        ),
        *_FEATURES,
        *_fields(("n_objects", pa.int32(), False)),
        *_box(True),
        *_fields(("health", pa.string(), True)),
    ]
)
"""One row a frame. `score_raw`: maximum over its cubes, or the score of a zero-error cube; `score`: smoothed over
time; both null without full context. Features (`s_<name>`) and the box are those of the highest scoring cube, null
without cubes, and a feature that was not computed is null; `speed` is the fastest box's median flow speed, 0 without
cubes. `health`: what is wrong with the footage that the frame's cubes are made of, a kind of the table `health`; null
for nothing."""

OBJECTS = pa.schema(
    [
        *_FRAME_KEY,
        *_box(False),
        *_CLASS,
        *_FEATURES,
        *_fields(("score", pa.float64(), False)),
    ]
)
"""One row a scored box: its class by the detector, null without one; its features, in pixels (`s_flow` is S_r,
`s_frame` S_p, `speed` the mean over the box of the cube's median flow speed, `s_motion` the motion density's value);
and the fused score (`score`). A feature that was not computed is null; a file whose rows all have one has it as a
required column."""

EVENTS = pa.schema(
    [
        *_fields(
            ("video", pa.string(), False),
            ("event", pa.int32(), False),
            ("start_frame", pa.int32(), False),
            ("end_frame", pa.int32(), False),
            ("start_s", pa.float64(), False),
            ("end_s", pa.float64(), False),
            ("peak_frame", pa.int32(), False),
            ("peak_s", pa.float64(), False),
            ("peak_score", pa.float64(), False),
        ),
        *_box(True),
    ]
)
"""One row an event: frames `start_frame` … `end_frame` inclusive, and the frame that shows it with its box or null."""

THUMBNAIL_SHAPE = (48, 64)
"""Rows and columns of the small grey picture that health is told from."""

LOOKS = pa.schema(
    [
        *_fields(("frame", pa.int32(), False)),
        *_fields(*((name, pa.float32(), True) for name in ("level", "contrast", "change", "changed"))),
        *_fields(("thumbnail", pa.binary(int(np.prod(THUMBNAIL_SHAPE))), True)),
    ]
)
"""One row a frame of a shard: what its health is told from (intermediate; see health/frame_stats.py). All null where it
cannot be decoded; `thumbnail`, uint8 [48, 64], is that of every eighth frame."""

HEALTH = pa.schema(
    _fields(
        ("video", pa.string(), False),
        ("kind", pa.string(), False),
        ("start_frame", pa.int32(), False),
        ("stop_frame", pa.int32(), False),
        ("start_s", pa.float64(), False),
        ("stop_s", pa.float64(), False),
        ("value", pa.float64(), True),
    )
)
"""One row a stretch of unhealthy footage, by start: frames `start_frame` … `stop_frame`, the end exclusive. What
`value` is depends on the kind (docs/operations.md)."""

LABELS = pa.schema(
    _fields(("video", pa.string(), False), ("frame", pa.int64(), False), ("anomalous", pa.bool_(), False))
)
"""Ground truth: one row a labelled frame."""

BOXES = pa.schema([*_fields(("video", pa.string(), False), ("frame", pa.int64(), False)), *_box(False)])
"""Boxes from elsewhere (`--boxes`): x1, y1, x2, y2 in source pixels, the end exclusive."""

TRACKS = pa.schema([*BOXES, *_fields(("track", pa.int64(), False))])
"""Ground truth: one row a region, the box of one track in one frame; a track's number is its own within its video. Of a
file that has a column `anomalous` (bool), only the rows that are count."""

FRAME_SCORES = pa.schema([*LABELS, *_fields(("score_raw", pa.float64(), True), ("score", pa.float64(), True))])
"""One row a labelled frame: what an evaluation compared, null without a score. A column `<part>_raw` and one `<part>`
(smoothed) follow for each figure beside the fused score: the frame's maximum over its objects."""

ERRORS = pa.schema(_fields(("video", pa.string(), False), ("frame", pa.int32(), False), ("error", pa.float32(), False)))
"""One part's error of some cubes of an STC table, in its order (the ablation's intermediate)."""

_STAGES = ("flow", "frame", "joint")
_FIGURES = ("auroc", "fused", *FEATURES)

ABLATION = pa.schema(
    [
        *_fields(*((name, pa.string(), False) for name in ("row", "group", "title"))),
        *_fields(("seed", pa.int32(), False), ("status", pa.string(), False), ("part", pa.string(), False)),
        *_fields(*((name + end, pa.float64(), True) for name in _FIGURES for end in ("", "_raw"))),
        *_fields(("auroc_low", pa.float64(), True), ("auroc_high", pa.float64(), True)),
        *_fields(("paper", pa.float64(), True), ("smoothing", pa.string(), False)),
        *_fields(*((f"{stage}_{what}", pa.int32(), True) for stage in _STAGES for what in ("epochs", "steps"))),
        *_fields(*((name, pa.int64(), True) for name in ("train_cubes", "test_cubes", "frames", "anomalous"))),
        *_fields(("seconds", pa.float64(), True)),
        *_fields(*((name, pa.string(), False) for name in ("hardware", "date", "versions", "note"))),
    ]
)
"""One line a row of the ablation and seed. `status`: done, failed or skipped, and `note` says why. AUROC is micro, in
[0, 1], smoothed and `_raw`: of the fused score, of each part alone and of plain flow speed, null where the row does not
have it; `auroc` is that of `part`, the row's own figure, `auroc_low` and `auroc_high` its 95 % interval over videos.
`paper`: percent, Ped2. Steps are those of all epochs. `seconds`: what the row would take alone; rows share most of it.
`date`: of its last unit; empty without one."""

REVIEWS = pa.schema(
    [
        *_fields(*((name, pa.string(), False) for name in ("event", "video", "video_key", "fingerprint"))),
        *_fields(("start_frame", pa.int32(), False), ("end_frame", pa.int32(), False)),
        *_fields(("start_s", pa.float64(), False), ("end_s", pa.float64(), False), ("verdict", pa.string(), False)),
        *_fields(("marked_at", pa.timestamp("us", "UTC"), False), ("mark", pa.string(), False)),
    ]
)
"""One row a mark that somebody set on an event: frames `start_frame` … `end_frame` inclusive of `video`. `verdict` is
reviewed, interesting or normal, or empty for a mark that was taken back. The latest mark of an event counts; `mark` is
its own id."""

TABLES: Mapping[str, pa.Schema] = {
    "stc": STC,
    "shard": SHARD,
    "frames": FRAMES_TABLE,
    "objects": OBJECTS,
    "events": EVENTS,
    "looks": LOOKS,
    "health": HEALTH,
    "labels": LABELS,
    "boxes": BOXES,
    "tracks": TRACKS,
    "frame_scores": FRAME_SCORES,
    "errors": ERRORS,
    "ablation": ABLATION,
    "reviews": REVIEWS,
    "vectors": VECTORS,
}


def pack_metadata(table: str, values: Mapping[str, Any]) -> dict[bytes, bytes]:
    """File metadata of `table`: its name, the schema version, and `values` as JSON under `hf2vad.*` keys."""
    packed = {"schema": SCHEMA_VERSION, "table": table, **values}
    return {f"hf2vad.{key}".encode(): json.dumps(value, sort_keys=True).encode() for key, value in packed.items()}


def table_of(schema: pa.Schema) -> str | None:
    """Kind of table of a file. None for a file that is not ours."""
    name = (schema.metadata or {}).get(b"hf2vad.table")
    return None if name is None else str(json.loads(name))


def unpack_metadata(schema: pa.Schema, table: str, where: str) -> dict[str, Any]:
    """The values that `pack_metadata` stored.

    Raises SchemaError when the file at `where` is not of this table and version.
    """
    found = {
        key.decode().removeprefix("hf2vad."): json.loads(value)
        for key, value in (schema.metadata or {}).items()
        if key.startswith(b"hf2vad.")
    }
    if found.get("table") != table:
        raise SchemaError(f"{where}: not a table of hf2vad's kind {table!r} (it says {found.get('table')!r})")
    if found.get("schema") != SCHEMA_VERSION:
        raise SchemaError(
            f"{where}: schema version {found.get('schema')}, this release reads {SCHEMA_VERSION}; make the table again"
        )
    return found


def require_columns(schema: pa.Schema, table: str, where: str) -> None:
    """Raise SchemaError unless a file from elsewhere has all columns of `table`."""
    missing = [name for name in TABLES[table].names if name not in schema.names]
    if missing:
        raise SchemaError(
            f"{where}: no column {', '.join(missing)}; a table of {table} has {', '.join(TABLES[table].names)}"
        )
