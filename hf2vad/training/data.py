"""The STC table as a stream of shuffled training batches, never loaded whole.

Order of an epoch: row groups of all files are shuffled, consecutive ones are joined into blocks of at least `window`
cubes, and the cubes of a block are shuffled. A table that fits the window is shuffled fully. The order depends on seed
and epoch alone, so training can stop after any batch and go on from there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hf2vad.config import ExtractionConfig, extraction_fingerprint, from_dict
from hf2vad.errors import MismatchError, NotFoundError, TrainingError
from hf2vad.schema import BOX, F16, F32, FLOW_SHAPE, U8, appearance_view, flow_view, unpack_metadata
from hf2vad.storage import list_files, open_parquet


@dataclass(frozen=True)
class StcFile:
    """One Parquet file of cubes: the cubes of one shard."""

    uri: str
    video: str
    start: int
    stop: int
    groups: tuple[int, ...]
    """Cubes in each of its row groups."""


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
            known = unpack_metadata(parquet.schema_arrow, "stc", entry.uri)
            extraction = from_dict(ExtractionConfig, known["extraction"], where=entry.uri)
            found = extraction_fingerprint(extraction)
            if first is None:
                first, self.extraction = (found, entry.uri), extraction
            elif first[0] != found:
                raise MismatchError(
                    f"{entry.uri} and {first[1]} were extracted with different settings; train on one of them"
                )
            groups = tuple(parquet.metadata.row_group(i).num_rows for i in range(parquet.metadata.num_row_groups))
            self.files.append(StcFile(entry.uri, known["video"], known["start"], known["stop"], groups))
            digest.update(
                f"{known['video']}\0{known['fingerprint']}\0{known['start']}-{known['stop']}\0{found}\n".encode()
            )
        if first is None:
            raise NotFoundError(f"{uri}: no STC table there (no .parquet file); make one with jobs/extract_stc.py")
        self.fingerprint = digest.hexdigest()[:16]

    def __len__(self) -> int:
        return sum(sum(file.groups) for file in self.files)

    def require_cubes(self, needed: int) -> None:
        """Raise TrainingError when the table holds fewer than `needed` cubes."""
        if len(self) < needed:
            raise TrainingError(
                f"{self.uri}: {len(self)} cubes in {len(self.files)} files, at least {needed} are needed; extract more "
                "footage, or footage in which something moves"
            )

    def epoch_batches(self, batch: int) -> int:
        """Batches in an epoch: the last incomplete one is left out, except where it is the only one."""
        return max(1, len(self) // batch)

    def epoch(
        self, *, batch: int, seed: int, epoch: int, window: int, appearance: bool, skip: int = 0
    ) -> Iterator[Cubes]:
        """The batches of one epoch in their shuffled order, from batch number `skip` on."""
        wanted_rows = min(self.epoch_batches(batch) * batch, len(self))
        rows_before = 0
        waiting: list[Cubes] = []
        for number, block in enumerate(self._blocks(seed, epoch, window)):
            rows = sum(self.files[f].groups[g] for f, g in block)
            block_start, rows_before = rows_before, rows_before + rows
            if rows_before <= skip * batch:
                continue
            order = np.random.default_rng([seed, epoch, number, 1]).permutation(rows)
            order = order[max(0, skip * batch - block_start) : max(0, wanted_rows - block_start)]
            loaded = self._read_block(block, appearance)
            waiting.append(_take(loaded, order))
            del loaded
            yield from _full_batches(waiting, batch)
        if waiting and len(self) < batch:
            yield _join(waiting)

    def in_order(
        self, *, appearance: bool = True, files: Sequence[StcFile] | None = None
    ) -> Iterator[tuple[StcFile, FileCubes]]:
        """All cubes of `files` (none: of the table), row group by row group, in frame order within a file."""
        for file in self.files if files is None else files:
            parquet = open_parquet(file.uri)
            for group in range(len(file.groups)):
                columns = ["frame", *BOX, "flow", *(["appearance"] if appearance else [])]
                table = parquet.read_row_group(group, columns=columns).combine_chunks()
                if table.num_rows:
                    yield (
                        file,
                        FileCubes(
                            appearance_view(table["appearance"].chunk(0)) if appearance else None,
                            flow_view(table["flow"].chunk(0)),
                            table["frame"].to_numpy(),
                            np.stack([table[name].to_numpy() for name in BOX], axis=1),
                        ),
                    )

    def _blocks(self, seed: int, epoch: int, window: int) -> Iterator[list[tuple[int, int]]]:
        groups = [(f, g) for f, file in enumerate(self.files) for g, rows in enumerate(file.groups) if rows]
        block: list[tuple[int, int]] = []
        held = 0
        for index in np.random.default_rng([seed, epoch, 0]).permutation(len(groups)):
            f, g = groups[index]
            block.append((f, g))
            held += self.files[f].groups[g]
            if held >= window:
                yield block
                block, held = [], 0
        if block:
            yield block

    def _read_block(self, block: list[tuple[int, int]], appearance: bool) -> Cubes:
        columns = ["appearance", "flow"] if appearance else ["flow"]
        parts: list[Cubes] = []
        for f, g in block:
            table = open_parquet(self.files[f].uri).read_row_group(g, columns=columns).combine_chunks()
            frames = appearance_view(table["appearance"].chunk(0)) if appearance else None
            parts.append(Cubes(frames, flow_view(table["flow"].chunk(0))))
        return _join(parts)


def _take(cubes: Cubes, order: npt.NDArray[np.int64]) -> Cubes:
    return Cubes(None if cubes.appearance is None else cubes.appearance[order], cubes.flow[order])


def _join(parts: list[Cubes]) -> Cubes:
    frames = [part.appearance for part in parts if part.appearance is not None]
    flow = np.concatenate([part.flow for part in parts]) if parts else np.empty((0, *FLOW_SHAPE), np.float16)
    return Cubes(np.concatenate(frames) if frames else None, flow)


def _full_batches(waiting: list[Cubes], batch: int) -> Iterator[Cubes]:
    """Take full batches out of `waiting`; what is left stays in it."""
    cubes = _join(waiting)
    full = len(cubes) // batch * batch
    for start in range(0, full, batch):
        yield _take(cubes, np.arange(start, start + batch))
    waiting[:] = [_take(cubes, np.arange(full, len(cubes)))]
