from __future__ import annotations

import os
import shutil
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf2vad.archive.catalog import Video, catalogue
from hf2vad.storage import put_bytes
from hf2vad.tables.layout import list_shards, shard_name
from hf2vad.walk.markers import FAILED, WAITING, MarkIndex, Marks

STATE, OTHER = "0123456789abcdef", "fedcba9876543210"


def found(marks: Marks, archive: Path) -> dict[str, str | None]:
    """What the marks say of each video of an archive, asked in the order of its catalogue."""
    finished = marks.read()
    return {video.id: finished.find(video, STATE) for video in catalogue(str(archive))}


def put(archive: Path, *names: str) -> None:
    for name in names:
        put_bytes(str(archive / name), b"1")


ARCHIVE = (
    *("a.mp4", "a.mp4-b.mp4", "a.mp4.mp4", "a b.mp4", "b/1.mp4", "b-c/1.mp4", "b.mkv", "b0.mp4", "B.mp4"),
    *("seq/1.png", "seq/2.png", "seq/clip.mp4", "seq-2/1.png", "seq.2/1.png", "seq~/1.png", "seq!/1.png", "z.mp4"),
    *("10:00.mp4", "1a.mp4", "日本/x.mp4", "~.mp4", "'.mp4", "%41.mp4", f"{'long' * 57}.mp4", f"{'long' * 57}2.mp4"),
)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    put(tmp_path / "archive", *ARCHIVE)
    return tmp_path / "archive"


def test_every_finished_video_is_known_and_no_other_whatever_its_name(archive: Path, tmp_path: Path) -> None:
    marks = Marks(str(tmp_path / "done"))
    videos = list(catalogue(str(archive)))
    for number, video in enumerate(videos):
        if number % 4:
            marks.put(video, STATE, failed=number % 4 == 3)
    expected = {video.id: (None, "finished", "finished", "failed")[i % 4] for i, video in enumerate(videos)}
    assert found(marks, archive) == expected


NAME = st.text(st.sampled_from("ab09.-_ ()+=@,!~%:é日'#"), min_size=1, max_size=5).filter(lambda n: n[0] != ".")
PATHS = st.lists(st.tuples(st.lists(NAME, max_size=2), NAME, st.sampled_from([".mp4", ".png"])), max_size=12)


@settings(max_examples=60)
@given(paths=PATHS, kept=st.lists(st.booleans(), min_size=12, max_size=12))
def test_the_marks_of_any_archive_are_met(paths: list[tuple[list[str], str, str]], kept: list[bool]) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        archive, marks = folder / "archive", Marks(str(folder / "done"))
        archive.mkdir()
        for parts, name, suffix in paths:
            put(archive, "/".join(["top", *(f"{part}_" for part in parts), name + suffix]))
        expected = {}
        for video, keep in zip(catalogue(str(archive)), kept, strict=False):
            expected[video.id] = "finished" if keep else None
            if keep:
                marks.put(video, STATE, failed=False)
        assert found(marks, archive) == expected
    finally:
        shutil.rmtree(folder)


def test_a_mark_of_another_state_is_none(archive: Path, tmp_path: Path) -> None:
    marks = Marks(str(tmp_path / "done"))
    for video in catalogue(str(archive)):
        marks.put(video, OTHER, failed=False)
    assert set(found(marks, archive).values()) == {None}
    for video in catalogue(str(archive)):
        marks.put(video, STATE, failed=True)
    assert set(found(marks, archive).values()) == {"failed"}
    for video in catalogue(str(archive)):
        marks.remove(video, STATE)
    assert set(found(marks, archive).values()) == {None}


def test_without_a_mark_nothing_is_finished(archive: Path, tmp_path: Path) -> None:
    assert set(found(Marks(str(tmp_path / "none")), archive).values()) == {None}


def video(number: int) -> Video:
    return Video(f"{number:07d}.mp4", "", "file", "", 0)


def test_memory_does_not_grow_with_the_archive() -> None:
    """Neither with what is finished, nor with marks that no video asks for."""

    def names(count: int) -> Iterator[str]:
        return (f"{number:07d}.mp4.{state}" for number in range(count) for state in (STATE, OTHER))

    def peak(count: int) -> int:
        tracemalloc.start()
        finished = MarkIndex(names(count), waiting=1000)
        assert all(finished.find(video(number), STATE) for number in range(count))
        try:
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(16_000) < 1.5 * peak(4_000)


def test_marks_that_waited_too_long_are_given_up_and_the_rest_is_still_met() -> None:
    order = [video(number) for number in range(100)]
    finished = MarkIndex((f"{one.id}.{STATE}" for one in order), waiting=10)
    assert finished.find(order[60], STATE) == "finished"
    assert [finished.find(one, STATE) for one in order[40:60]] == [None] * 11 + ["finished"] * 9
    assert [finished.find(one, STATE) for one in order[61:]] == ["finished"] * 39


def test_a_shards_name_says_its_frames_and_state(tmp_path: Path) -> None:
    folder = str(tmp_path / "video")
    assert list(list_shards(folder)) == []
    names = [shard_name((0, 200), STATE), shard_name((200, 1_000_000_000), OTHER), "00000000-00000200.parquet"]
    put(tmp_path / "video", *names, "video.json", "mine.parquet", f"{names[0]}.bak", "sub.parquet/x")
    (tmp_path / "video" / "00000300-00000400.parquet").mkdir()
    shards = {os.path.basename(uri): (frames, state) for uri, frames, state in list_shards(folder)}
    expected = [((0, 200), STATE), ((200, 1_000_000_000), OTHER), ((0, 200), "")]
    assert shards == dict(zip(names, expected, strict=True))


def test_a_mark_fits_a_file_system_however_long_the_name_is(tmp_path: Path) -> None:
    marks = Marks(str(tmp_path / "done"))
    long = Video("名" * 80 + ".mp4", "", "file", "", 0)
    marks.put(long, STATE, failed=True)
    (mark,) = (tmp_path / "done").iterdir()
    assert mark.name.endswith(f".{STATE}{FAILED}")
    assert mark.stat().st_size == 0
    assert marks.read().find(long, STATE) == "failed"
    assert WAITING > 1000
