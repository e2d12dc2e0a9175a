"""The STC table as a stream of shuffled training batches, never loaded whole; `order` says in which order."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hf2vad.cubes.settings import ExtractionConfig, extraction_fingerprint
from hf2vad.errors import MismatchError, NotFoundError, TrainingError
from hf2vad.hashes import hash_of
from hf2vad.plurals import count_words
from hf2vad.schema import BOX, F16, F32, FLOW_SHAPE, I32, U8, table_of, unpack_metadata
from hf2vad.settings import from_dict
from hf2vad.storage import list_files, open_parquet
from hf2vad.tables.cubes import appearance_view, class_arrays, edge_array, flow_view
from hf2vad.training.order import Index, Order, Piece
from hf2vad.video.sampled import unpacked

BESIDE = ("looks", "health")
"""Tables that extraction puts beside the cubes where it leaves out unhealthy footage."""


@dataclass(frozen=True)
class StcFile:
    """One Parquet file of cubes, those of one shard, or a part of it."""

    uri: str
    video: str
    start: int
    stop: int
    groups: tuple[int, ...]
    """Cubes in each of the file's row groups."""
    rows: tuple[int, int] | None = None
    """Rows of the file that are this part; None: all of them."""
    archive: str = ""
    """Name of the video's archive, which its id begins with; empty: the archive has none."""
    worked: tuple[int, int, str] | None = None
    """Frames of the whole file, and which of them were worked on (video/sampled.py); None: all."""
    fps: float | None = None
    """Usual rate of the video, frames a second; 0 for a folder of images whose rate nobody knows. None: the file is of
    an earlier release, and does not say."""

    @property
    def path(self) -> str:
        """Path of the video in its archive, which says its camera."""
        return self.video.removeprefix(f"{self.archive}/") if self.archive else self.video

    @property
    def between(self) -> npt.NDArray[np.bool_]:
        """(stop − start,): which of its frames were not worked on."""
        if self.worked is None:
            return np.zeros(self.stop - self.start, np.bool_)
        first, last, digits = self.worked
        return ~unpacked(digits, first, last)[self.start - first : self.stop - first]

    def __len__(self) -> int:
        start, stop = self.rows or (0, sum(self.groups))
        return stop - start

    def pieces(self) -> Iterator[Piece]:
        """Rows in each non-empty row group; the first is number 0."""
        first, last = self.rows or (0, sum(self.groups))
        before = 0
        for group, rows in enumerate(self.groups):
            start, stop = max(first - before, 0), min(last - before, rows)
            if start < stop:
                yield Piece(self.uri, group, start, stop, before - first)
            before += rows


@dataclass(frozen=True)
class Cubes:
    """Some rows of the table."""

    appearance: U8 | None
    """(B, 5, 32, 32, 3), or none where it was not asked for."""
    flow: F16
    """(B, 4, 32, 32, 2)."""

    def __len__(self) -> int:
        return len(self.flow)


@dataclass(frozen=True)
class FileCubes(Cubes):
    """Consecutive rows of one file."""

    frame: npt.NDArray[np.int32]
    """(B,): the frame that each cube ends in."""
    boxes: F32
    """(B, 4): x1, y1, x2, y2 in source pixels."""
    classes: I32
    """(B,): class by the detector, -1 without one."""
    class_scores: F32
    """(B,): probability of that class."""
    at_edge: npt.NDArray[np.bool_]
    """(B,): whether the picture's edge cuts the box; False where the file does not say."""


class StcTable:
    """All cubes under a URI; holds file names and row counts, no cube."""

    def __init__(self, uri: str) -> None:
        """Read the footers of all files under `uri`.

        Raises NotFoundError where there is no Parquet file, SchemaError for files of another kind or version,
        MismatchError when files were extracted with different settings.
        """
        self.uri = uri
        self.files: list[StcFile] = []
        self.extraction = ExtractionConfig()
        first: tuple[str, str] | None = None
        digest = hashlib.sha256()
        for entry in list_files(uri, ".parquet"):
            parquet = open_parquet(entry.uri)
            if table_of(parquet.schema_arrow) in BESIDE:
                continue
            metadata = unpack_metadata(parquet.schema_arrow, "stc", entry.uri)
            extraction = from_dict(ExtractionConfig, metadata["extraction"], where=entry.uri)
            identity = extraction_fingerprint(extraction)
            if first is None:
                first, self.extraction = (identity, entry.uri), extraction
            elif first[0] != identity:
                raise MismatchError(
                    f"{entry.uri} and {first[1]} were extracted with different settings; train on one of them"
                )
            groups = tuple(parquet.metadata.row_group(i).num_rows for i in range(parquet.metadata.num_row_groups))
            place = (entry.uri, metadata["video"], metadata["start"], metadata["stop"], groups)
            digits = metadata.get("worked")
            worked = None if digits is None else (metadata["start"], metadata["stop"], digits)
            more = {"archive": metadata.get("archive", ""), "fps": metadata.get("fps")}
            self.files.append(StcFile(*place, worked=worked, **more))
            digest.update(
                f"{metadata['video']}\0{metadata['fingerprint']}\0{metadata['start']}-{metadata['stop']}\0{identity}\n".encode()
            )
            for what in ("left_out", "zones"):
                if value := metadata.get(what):
                    digest.update(json.dumps(value, sort_keys=True).encode())
        if first is None:
            raise NotFoundError(f"{uri}: no STC table there (no .parquet file); make one with hf2vad extract")
        self.fingerprint = digest.hexdigest()[:16]
        self.cubes_there = len(self)
        """Cubes under the URI, of which `only` leaves some out."""
        self.groups = list(self._row_groups())
        """Non-empty row groups in the order of the files."""

    def _row_groups(self) -> Iterator[Piece]:
        first = 0
        for file in self.files:
            for piece in file.pieces():
                yield replace(piece, first=first + piece.first)
            first += len(file)

    def __len__(self) -> int:
        return sum(map(len, self.files))

    def only(self, files: Sequence[StcFile]) -> StcTable:
        """This table restricted to these files or parts of files. Its fingerprint names them."""
        part = copy.copy(self)
        part.files = list(files)
        part.fingerprint = hash_of(
            self.fingerprint, [f"{file.uri.removeprefix(self.uri)}{file.rows or ''}" for file in files]
        )
        part.groups = list(part._row_groups())
        return part

    def require_cubes(self, needed: int) -> None:
        """Raise TrainingError when the table holds fewer than `needed` cubes."""
        if len(self) < needed:
            there = f"{count_words(len(self), 'cube')} in {count_words(len(self.files), 'file')}"
            raise TrainingError(
                f"{self.uri}: {there}, at least {needed} are needed; extract more "
                "footage, or footage in which something moves"
            )

    def epoch(self, order: Order, *, appearance: bool) -> Iterator[Cubes]:
        """The batches of one epoch in their shuffled order, read straight from Parquet, one block at a time."""
        waiting: list[Cubes] = []
        for block in order.blocks(self.groups):
            cubes = join_cubes([read_piece(piece, appearance) for piece in block.pieces])
            waiting.append(_take(cubes, block.order))
            yield from _full_batches(waiting, order.local_batch)
        if waiting and order.share(len(self)) < order.local_batch:
            yield join_cubes(waiting)

    def epoch_numbers(self, order: Order) -> Iterator[Index]:
        """The batches that `epoch` yields, as numbers of their cubes in the table."""
        waiting: list[Index] = []
        for block in order.blocks(self.groups):
            numbers = np.concatenate([*waiting, block.numbers])
            full = len(numbers) // order.local_batch * order.local_batch
            yield from (numbers[i : i + order.local_batch] for i in range(0, full, order.local_batch))
            waiting[:] = [numbers[full:]]
        if waiting and order.share(len(self)) < order.local_batch:
            yield waiting[0]

    def in_order(
        self, *, appearance: bool = True, files: Sequence[StcFile] | None = None
    ) -> Iterator[tuple[StcFile, FileCubes]]:
        """All cubes of `files` (none: of the table), row group by row group, in frame order within a file."""
        for file in self.files if files is None else files:
            parquet = open_parquet(file.uri)
            there = {"class", "class_score", "at_edge"} & set(parquet.schema_arrow.names)
            columns = ["frame", *BOX, "flow", *(["appearance"] if appearance else []), *sorted(there)]
            for piece in file.pieces():
                group = parquet.read_row_group(piece.group, columns=columns)
                table = group.slice(piece.start, len(piece)).combine_chunks()
                yield (
                    file,
                    FileCubes(
                        appearance_view(table["appearance"].chunk(0)) if appearance else None,
                        flow_view(table["flow"].chunk(0)),
                        table["frame"].to_numpy(),
                        np.stack([table[name].to_numpy() for name in BOX], axis=1),
                        *class_arrays(table),
                        edge_array(table),
                    ),
                )

    def boxes(self) -> Iterator[F32]:
        """(B, 4): the boxes of each row group that has some, in the order of `in_order`; nothing else is read."""
        for file in self.files:
            parquet = open_parquet(file.uri)
            for piece in file.pieces():
                table = parquet.read_row_group(piece.group, columns=list(BOX)).slice(piece.start, len(piece))
                yield np.stack([table[name].to_numpy() for name in BOX], axis=1)


def read_piece(piece: Piece, appearance: bool) -> Cubes:
    """Some consecutive cubes of one row group, views of what was read; without pixels unless `appearance`."""
    columns = ["appearance", "flow"] if appearance else ["flow"]
    group = open_parquet(piece.uri).read_row_group(piece.group, columns=columns)
    rows = group.slice(piece.start, len(piece)).combine_chunks()
    return Cubes(appearance_view(rows["appearance"].chunk(0)) if appearance else None, flow_view(rows["flow"].chunk(0)))


def join_cubes(parts: list[Cubes]) -> Cubes:
    """The cubes of all parts, one after the other; of one part, itself."""
    if len(parts) == 1:
        return parts[0]
    frames = [part.appearance for part in parts if part.appearance is not None]
    flow = np.concatenate([part.flow for part in parts]) if parts else np.empty((0, *FLOW_SHAPE), np.float16)
    return Cubes(np.concatenate(frames) if frames else None, flow)


def _take(cubes: Cubes, order: npt.NDArray[np.int64] | slice) -> Cubes:
    return Cubes(None if cubes.appearance is None else cubes.appearance[order], cubes.flow[order])


def _full_batches(waiting: list[Cubes], batch: int) -> Iterator[Cubes]:
    """Take full batches out of `waiting`; what is left stays in it."""
    cubes = join_cubes(waiting)
    full = len(cubes) // batch * batch
    for start in range(0, full, batch):
        yield _take(cubes, slice(start, start + batch))
    waiting[:] = [_take(cubes, slice(full, None))] if full < len(cubes) else []
