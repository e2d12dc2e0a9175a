from __future__ import annotations

import itertools
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf2vad.cubes.settings import ExtractionConfig, FlowConfig
from hf2vad.errors import MismatchError, NotFoundError, SchemaError, TrainingError
from hf2vad.schema import STC, pack_metadata
from hf2vad.storage import put_table
from hf2vad.training.data import Cubes, StcTable, read_piece
from hf2vad.training.order import Order
from tests.stc import make_cubes, put_clip

FILES = (("a.avi", (0, 20), {4: 3, 5: 20, 9: 7}), ("a.avi", (20, 40), {20: 1, 39: 5}), ("b.avi", (0, 30), {29: 25}))
TOTAL = 61


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three files and one without a cube, 61 cubes in six row groups of at most 16."""
    path = tmp_path_factory.mktemp("stc")
    for seed, (video, frames, cubes) in enumerate(FILES):
        put_clip(path, video, frames, cubes, seed=seed)
    put_clip(path, "c.avi", (0, 9), {})
    return path


@pytest.fixture(scope="module")
def table(folder: Path) -> StcTable:
    return StcTable(str(folder))


def names(*batches: Cubes) -> list[bytes]:
    """What tells cubes apart: the bytes of their flow."""
    return [flow.tobytes() for batch in batches for flow in batch.flow]


def epoch(
    table: StcTable, *, batch: int = 8, seed: int = 0, epoch: int = 0, window: int = 16, skip: int = 0
) -> list[Cubes]:
    order = Order(batch=batch, seed=seed, epoch=epoch, window=window, skip=skip)
    return list(table.epoch(order, appearance=True))


FIRST = Order(batch=8, seed=0, epoch=0, window=16)


def written(number: int) -> list[bytes]:
    """The cubes of a file as they were written."""
    return [flow.tobytes() for flow in make_cubes(sum(FILES[number][2].values()), number)[1]]


EVERY = [name for number in range(len(FILES)) for name in written(number)]


def test_the_footers_tell_what_is_in_each_file(table: StcTable) -> None:
    assert [(file.video, file.start, file.stop, file.groups) for file in table.files] == [
        ("a.avi", 0, 20, (16, 14)),
        ("a.avi", 20, 40, (6,)),
        ("b.avi", 0, 30, (16, 9)),
        ("c.avi", 0, 9, table.files[3].groups),
    ]
    assert sum(table.files[3].groups) == 0
    assert len(table) == TOTAL
    assert table.extraction == ExtractionConfig()


@settings(max_examples=40)
@given(batch=st.integers(2, 70), window=st.integers(1, 100), seed=st.integers(0, 5), number=st.integers(0, 5))
def test_an_epoch_has_full_batches_of_different_cubes_of_the_table(
    table: StcTable, batch: int, window: int, seed: int, number: int
) -> None:
    batches = epoch(table, batch=batch, window=window, seed=seed, epoch=number)
    found = names(*batches)
    assert [len(one) for one in batches] == ([batch] * (TOTAL // batch) or [TOTAL])
    assert len(batches) == Order(batch=batch, seed=0, epoch=0, window=0).batches(TOTAL)
    assert len(set(found)) == len(found)
    assert set(found) <= set(EVERY)


def test_every_cube_comes_once_in_an_epoch_that_batches_divide(tmp_path: Path) -> None:
    put_clip(tmp_path, "a", (0, 50), {10: 30, 20: 10})
    put_clip(tmp_path, "b", (0, 50), {10: 24}, seed=1)
    expected = [flow.tobytes() for count, seed in ((40, 0), (24, 1)) for flow in make_cubes(count, seed)[1]]
    for window in (8, 20, 1000):
        found = names(*epoch(StcTable(str(tmp_path)), window=window))
        assert sorted(found) == sorted(expected)
        assert found != expected


def test_pixels_and_flow_of_a_cube_stay_together(table: StcTable) -> None:
    content = [make_cubes(sum(cubes.values()), number) for number, (_, _, cubes) in enumerate(FILES)]
    pixels = {flow.tobytes(): frames.tobytes() for part in content for frames, flow in zip(*part, strict=True)}
    seen = 0
    for batch in epoch(table):
        assert batch.appearance is not None
        for frames, flow in zip(batch.appearance, batch.flow, strict=True):
            assert frames.tobytes() == pixels[flow.tobytes()]
            seen += 1
    assert seen == 56


def test_without_appearance_no_pixels_are_read(table: StcTable) -> None:
    batches = list(table.epoch(FIRST, appearance=False))
    assert {batch.appearance is None for batch in batches} == {True}
    assert names(*batches) == names(*epoch(table))


def test_order_is_decided_by_seed_and_epoch(folder: Path, table: StcTable) -> None:
    first = names(*epoch(table, seed=3, epoch=1))
    assert names(*epoch(StcTable(str(folder)), seed=3, epoch=1)) == first
    assert names(*epoch(table, seed=3, epoch=2)) != first
    assert names(*epoch(table, seed=4, epoch=1)) != first


@settings(max_examples=40)
@given(batch=st.integers(2, 31), window=st.integers(1, 80), skip=st.integers(0, 31))
def test_skipping_gives_the_batches_that_are_left(table: StcTable, batch: int, window: int, skip: int) -> None:
    whole = epoch(table, batch=batch, window=window)
    rest = epoch(table, batch=batch, window=window, skip=skip)
    assert [names(one) for one in rest] == [names(one) for one in whole[skip:]]


def test_in_order_gives_files_and_frames_as_they_were_written(table: StcTable) -> None:
    found = list(table.in_order())
    assert [flow for _, cubes in found for flow in names(cubes)] == EVERY
    frames = [(file.video, int(frame)) for file, cubes in found for frame in cubes.frame]
    assert frames == [
        (video, frame) for video, _, cubes in FILES for frame in sorted(cubes) for _ in range(cubes[frame])
    ]


def test_the_first_batch_needs_no_file_but_its_own(tmp_path: Path) -> None:
    for number in range(6):
        put_clip(tmp_path, f"{number}", (0, 50), {10: 16}, seed=number)
    table = StcTable(str(tmp_path))
    first = names(*epoch(table)[:1])[0]
    (own,) = [n for n in range(6) if first in {flow.tobytes() for flow in make_cubes(16, n)[1]}]
    for number in set(range(6)) - {own}:
        next((tmp_path / f"{number}").iterdir()).unlink()
    stream = table.epoch(FIRST, appearance=True)
    assert names(next(stream))[0] == first
    assert len(next(stream)) == 8
    with pytest.raises(NotFoundError):
        next(stream)


@pytest.mark.slow
def test_no_more_than_a_few_windows_of_cubes_are_held(tmp_path: Path) -> None:
    put_clip(tmp_path, "a", (0, 50), {10: 512})
    table = StcTable(str(tmp_path))
    tracemalloc.start()
    try:
        count = sum(len(cubes) for cubes in table.epoch(FIRST, appearance=True))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 512
    assert peak < 100 * 32_000


def arrow_addresses(table: StcTable, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Where the value buffers of every column that is read from now on lie: start and end."""
    found: list[tuple[int, int]] = []
    read = pq.ParquetFile.read_row_group

    def watched(self: pq.ParquetFile, group: int, columns: list[str]) -> pa.Table:
        rows = read(self, group, columns=columns)
        for column in rows.columns:
            for chunk in column.chunks:
                buffer = chunk.buffers()[1]
                found.append((buffer.address, buffer.address + buffer.size))
        return rows

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", watched)
    return found


def test_cubes_are_views_of_what_arrow_has_read(table: StcTable, monkeypatch: pytest.MonkeyPatch) -> None:
    buffers = arrow_addresses(table, monkeypatch)
    parts: list[Cubes] = [cubes for _, cubes in table.in_order()]
    parts += [read_piece(replace(piece, start=1), True) for piece in table.groups]
    assert len(parts) == 10
    for cubes in parts:
        assert cubes.appearance is not None
        for array in (cubes.appearance, cubes.flow):
            start = array.__array_interface__["data"][0]
            assert not array.flags.owndata
            assert any(low <= start and start + array.nbytes <= high for low, high in buffers)


def test_batches_of_one_block_are_views_of_the_shuffled_block(table: StcTable) -> None:
    batches = epoch(table, window=1000)
    for one, other in itertools.pairwise(batches):
        assert one.flow.base is not None
        assert one.flow.base is other.flow.base


def test_the_fingerprint_tells_tables_apart(folder: Path, table: StcTable, tmp_path: Path) -> None:
    assert StcTable(str(folder)).fingerprint == table.fingerprint
    for video, frames, cubes in FILES[:2]:
        put_clip(tmp_path, video, frames, cubes)
    assert StcTable(str(tmp_path)).fingerprint != table.fingerprint


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_where_there_is_no_table_the_error_says_so(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFoundError, match=rf"{tmp_path / name}"):
        StcTable(str(tmp_path / name))


def test_a_table_with_too_few_cubes_is_refused_with_both_numbers(tmp_path: Path) -> None:
    put_clip(tmp_path, "a", (0, 50), {10: 1})
    table = StcTable(str(tmp_path))
    table.require_cubes(1)
    with pytest.raises(TrainingError, match=rf"{tmp_path}: 1 cube in 1 file, at least 2 are needed"):
        table.require_cubes(2)


def test_files_of_different_extraction_are_refused_by_name(tmp_path: Path) -> None:
    first = put_clip(tmp_path, "a", (0, 50), {10: 2})
    other = put_clip(tmp_path, "b", (0, 50), {10: 2}, extraction=ExtractionConfig(flow=FlowConfig(scale=1.0)))
    with pytest.raises(MismatchError, match=rf"{other} and {first} were extracted with different settings"):
        StcTable(str(tmp_path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({b"hf2vad.schema": b"99"}, "schema version 99, this release reads 1"),
        (pack_metadata("boxes", {}), "not a table of hf2vad's kind 'stc' .it says 'boxes'."),
        (None, "not a table of hf2vad's kind 'stc' .it says None."),
    ],
)
def test_a_file_of_another_kind_or_version_is_refused_by_name(
    tmp_path: Path, change: dict[bytes, bytes] | None, message: str
) -> None:
    path = put_clip(tmp_path, "a", (0, 50), {10: 2})
    before = pq.read_schema(path).metadata
    put_table(str(path), STC.empty_table().replace_schema_metadata(change and {**before, **change}))
    with pytest.raises(SchemaError, match=rf"{path}: {message}"):
        StcTable(str(tmp_path))


def test_a_file_that_is_no_parquet_is_refused_by_name(tmp_path: Path) -> None:
    path = put_clip(tmp_path, "a", (0, 50), {10: 2})
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(SchemaError, match=rf"{path}: not a readable Parquet file"):
        StcTable(str(tmp_path))
