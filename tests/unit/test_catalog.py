from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf2vad.archive.catalog import Video, catalogue
from hf2vad.archive.passed import PassedOver
from hf2vad.errors import AccessDeniedError, NotFoundError, StorageError, VideoDeniedError
from hf2vad.storage import put_bytes
from hf2vad.storage.ahead import AHEAD
from hf2vad.video.timeline import probe


def put(root: Path, *names: str, content: bytes = b"not looked at") -> None:
    """Files; the catalogue goes by names, so what they hold does not matter."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def images(folder: str, count: int = 5, suffix: str = ".png") -> list[str]:
    """Names of as many images as make a video."""
    return [f"{folder}/{number}{suffix}" for number in range(1, count + 1)]


def ids(archive: Path | str, *include: str) -> list[str]:
    return [video.id for video in catalogue(str(archive), include)]


def only(archive: Path | str) -> Video:
    (video,) = catalogue(str(archive))
    return video


def test_videos_come_in_the_byte_order_of_their_keys_subfolders_included(tmp_path: Path) -> None:
    put(tmp_path, "b.mp4", "a.mp4", "a/z.mp4", "a-1/x.mp4", "Z.mp4", "a/deep/er.mkv", "10.mp4", "2.mp4", "ä.mp4")
    top = ["10.mp4", "2.mp4", "Z.mp4"]
    assert ids(tmp_path) == [*top, "a-1/x.mp4", "a.mp4", "a/deep/er.mkv", "a/z.mp4", "b.mp4", "ä.mp4"]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".mov", ".ts", ".webm", ".MP4", ".Mkv", ".AVI"])
def test_a_file_with_the_suffix_of_a_video_is_one(tmp_path: Path, suffix: str) -> None:
    put(tmp_path, f"clip{suffix}", content=b"12345")
    video = only(tmp_path)
    assert (video.id, video.kind, video.size) == (f"clip{suffix}", "file", 5)
    assert Path(video.uri).read_bytes() == b"12345"
    assert only(tmp_path / f"clip{suffix}") == video


def test_other_files_are_no_videos(tmp_path: Path) -> None:
    put(tmp_path, "notes.txt", "mp4", "clip.mp4.part", "clip.mp4~", "labels.npy", "sub/Thumbs.db", "clip.m3u8")
    assert ids(tmp_path) == []


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".JPG", ".Png"])
def test_a_folder_of_images_is_one_video_in_natural_order(tmp_path: Path, suffix: str) -> None:
    folder = tmp_path / "walk"
    folder.mkdir()
    names = [f"{t}{suffix}" for t in (1, 2, 9, 10, 11, 100)]
    for name in reversed(names):
        cv2.imwrite(str(folder / name), np.zeros((8, 12, 3), np.uint8))
    video = only(tmp_path)
    assert (video.id, video.kind) == ("walk", "images")
    assert video.size == sum((folder / name).stat().st_size for name in names)
    assert probe(video).names == tuple(names)


def test_numbers_are_ordered_as_numbers_anywhere_in_a_name(tmp_path: Path) -> None:
    names = ["a.png", "cam1_2.png", "cam1_010.png", "cam2_1.png", "cam10_0.png"]
    for name in reversed(names):
        cv2.imwrite(str(tmp_path / name), np.zeros((8, 12, 3), np.uint8))
    assert probe(only(tmp_path)).names == tuple(names)


def test_images_are_a_video_after_the_videos_beside_them_and_in_subfolders(tmp_path: Path) -> None:
    put(tmp_path, *images("day", 12, ".jpg"), "day/clip.mp4", *images("day/zoo"), "night.mp4", "day/notes.txt")
    found = list(catalogue(str(tmp_path)))
    videos, walks = [[v.id for v in found if v.kind == kind] for kind in ("file", "images")]
    assert (videos, walks) == (["day/clip.mp4", "night.mp4"], ["day/zoo", "day"])
    assert [v.id for v in found][:3] == ["day/clip.mp4", "day/zoo", "day"]
    assert found[2].size == 12 * len(b"not looked at")


@pytest.mark.parametrize("ending", ["", "/"])
def test_images_at_the_top_have_the_name_of_the_archive(tmp_path: Path, ending: str) -> None:
    put(tmp_path, *images("walk"))
    assert ids(f"{tmp_path}/walk{ending}") == ["walk"]


def test_hidden_files_and_folders_are_passed_over(tmp_path: Path) -> None:
    put(tmp_path, ".clip.mp4", "._clip.mp4", ".cache/a.mp4", ".thumbs/1.jpg", "walk/.2.jpg", "clip.mp4", "..mp4")
    assert ids(tmp_path) == ["clip.mp4"]


def test_hidden_images_are_no_frames(tmp_path: Path) -> None:
    for name in ("1.png", ".0.png", "2.png", "3.png", "4.png", "5.png"):
        cv2.imwrite(str(tmp_path / name), np.zeros((8, 12, 3), np.uint8))
    assert probe(only(tmp_path)).names == ("1.png", "2.png", "3.png", "4.png", "5.png")


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ((), ["cam1/a.mp4", "cam1/b.mkv", "cam2/a.mp4", "cam2/walk"]),
        (("a.mp4",), ["cam1/a.mp4", "cam2/a.mp4"]),
        (("cam1/*",), ["cam1/a.mp4", "cam1/b.mkv"]),
        (("cam2/a.mp4",), ["cam2/a.mp4"]),
        (("*.mkv", "walk"), ["cam1/b.mkv", "cam2/walk"]),
        (("cam?/[b-z]*",), ["cam1/b.mkv", "cam2/walk"]),
        (("A.MP4",), []),
        (("cam1",), []),
    ],
)
def test_patterns_choose_by_id_or_name(tmp_path: Path, patterns: tuple[str, ...], expected: list[str]) -> None:
    put(tmp_path, "cam1/a.mp4", "cam1/b.mkv", "cam2/a.mp4", *images("cam2/walk"))
    assert ids(tmp_path, *patterns) == expected


def test_one_file_is_an_archive_of_itself_and_of_nothing_when_a_pattern_leaves_it_out(tmp_path: Path) -> None:
    put(tmp_path, "sub/clip.mp4", "sub/other.mp4")
    (inside,) = (v for v in catalogue(str(tmp_path / "sub")) if v.id == "clip.mp4")
    assert only(tmp_path / "sub/clip.mp4") == inside
    assert ids(tmp_path / "sub/clip.mp4", "other*") == []


def test_a_folder_with_the_name_of_a_video_is_a_folder(tmp_path: Path) -> None:
    put(tmp_path, "odd.mp4/clip.mp4")
    assert ids(tmp_path) == ["odd.mp4/clip.mp4"]
    assert ids(tmp_path / "odd.mp4") == ["clip.mp4"]


@pytest.mark.parametrize("name", ["nothing", "nothing.mp4", "no/where"])
def test_what_is_not_there_is_not_found_and_named(tmp_path: Path, name: str) -> None:
    put(tmp_path, "clip.mp4")
    with pytest.raises(NotFoundError, match=name):
        list(catalogue(str(tmp_path / name)))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("notes.txt", "no folder, and no video"),
        ("live.m3u8", r"playlist; make a file of it: ffmpeg -i PLAYLIST -c copy OUT\.mkv"),
        ("clip.mp4/below", "a part of this path is a file"),
    ],
)
def test_a_file_that_is_no_video_is_no_archive(tmp_path: Path, name: str, why: str) -> None:
    put(tmp_path, "clip.mp4", "notes.txt", "live.m3u8")
    with pytest.raises(StorageError, match=f"{name}: {why}"):
        list(catalogue(str(tmp_path / name)))


def test_links_to_folders_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    put(tmp_path / "elsewhere", "far.mp4")
    archive = tmp_path / "archive"
    put(archive, "a/clip.mp4", "b/clip.mp4")
    (archive / "a/up").symlink_to(archive)
    (archive / "a/self").symlink_to(archive / "a")
    (archive / "away").symlink_to(tmp_path / "elsewhere")
    (archive / "z").symlink_to(archive / "z")
    passed = PassedOver()
    assert [video.id for video in catalogue(str(archive), passed=passed)] == [
        "a/clip.mp4",
        "away/far.mp4",
        "b/clip.mp4",
    ]
    assert passed.examples["folder", "link to a folder that holds it"] == ["a/self/", "a/up/"]


def test_two_links_to_each_other_end(tmp_path: Path) -> None:
    put(tmp_path, "a/clip.mp4", "b/clip.mp4")
    (tmp_path / "a/to_b").symlink_to(tmp_path / "b")
    (tmp_path / "b/to_a").symlink_to(tmp_path / "a")
    assert ids(tmp_path) == ["a/clip.mp4", "a/to_b/clip.mp4", "b/clip.mp4", "b/to_a/clip.mp4"]


def test_a_link_to_nothing_is_listed_for_it_fails_when_it_is_opened(tmp_path: Path) -> None:
    put(tmp_path, "clip.mp4")
    (tmp_path / "lost.mp4").symlink_to(tmp_path / "gone.mp4")
    assert ids(tmp_path) == ["clip.mp4", "lost.mp4"]


def test_the_fingerprint_changes_with_size_and_time_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    put(tmp_path, "clip.mp4", content=b"one")
    os.utime(path, ns=(5, 1_000))
    first = only(tmp_path).fingerprint
    assert len(first) == 16
    assert int(first, 16) >= 0
    os.utime(path, ns=(77, 1_000))  # read, not changed
    assert only(tmp_path).fingerprint == first
    moved = shutil.copytree(tmp_path, tmp_path.parent / f"{tmp_path.name}-moved")
    assert only(moved).fingerprint == first
    os.utime(path, ns=(77, 1_001))
    touched = only(tmp_path).fingerprint
    put(tmp_path, "clip.mp4", content=b"longer")
    os.utime(path, ns=(5, 1_000))
    assert len({first, touched, only(tmp_path).fingerprint}) == 3


def test_the_fingerprint_of_a_folder_changes_with_each_image_and_with_no_other_file(tmp_path: Path) -> None:
    put(tmp_path, "1.png", "2.png", *(f"{t}.png" for t in range(5, 10)))
    for name in ("1.png", "2.png"):
        os.utime(tmp_path / name, ns=(0, 1_000))
    seen = [only(tmp_path).fingerprint]
    put(tmp_path, "notes.txt", ".3.png")
    assert only(tmp_path).fingerprint == seen[0]
    os.utime(tmp_path / "2.png", ns=(0, 2_000))
    seen.append(only(tmp_path).fingerprint)
    (tmp_path / "2.png").rename(tmp_path / "3.png")
    seen.append(only(tmp_path).fingerprint)
    put(tmp_path, "4.png", content=b"")
    seen.append(only(tmp_path).fingerprint)
    (tmp_path / "1.png").unlink()
    seen.append(only(tmp_path).fingerprint)
    assert len(set(seen)) == 5


def test_folders_are_listed_a_few_ahead_of_their_turn(tmp_path: Path) -> None:
    folders = [f"{number:02d}" for number in range(AHEAD + 5)]
    put(tmp_path, *(f"{folder}/1.mp4" for folder in folders))
    found = catalogue(str(tmp_path))
    assert isinstance(found, Iterator)
    assert next(found).id == "00/1.mp4"
    put(tmp_path, f"{folders[-1]}/2.mp4")
    assert [video.id for video in found] == [*(f"{folder}/1.mp4" for folder in folders[1:]), f"{folders[-1]}/2.mp4"]


def test_a_folder_that_is_gone_when_its_turn_comes_is_passed_over(tmp_path: Path) -> None:
    folders = [f"{number:02d}" for number in range(AHEAD + 5)]
    put(tmp_path, *(f"{folder}/1.mp4" for folder in folders))
    found = catalogue(str(tmp_path))
    next(found)
    shutil.rmtree(tmp_path / folders[-2])
    assert [video.id.partition("/")[0] for video in found] == [*folders[1:-2], folders[-1]]


HOSTILE = [
    "a b.mp4",
    "it's.mp4",
    '"q".mp4',
    "new\nline.mp4",
    "日本.mp4",
    "%41.mp4",
    "$(x);&*?.mp4",
    "#1?a=b.mp4",
    "s3:.mp4",
]


def test_hostile_names_are_ids_as_they_are(tmp_path: Path) -> None:
    put(tmp_path, *HOSTILE, *(f"in [1] \\/{name}" for name in HOSTILE))
    found = {video.id: video for video in catalogue(str(tmp_path))}
    assert sorted(found) == sorted([*HOSTILE, *(f"in [1] \\/{name}" for name in HOSTILE)])
    for name, video in found.items():
        assert Path(video.uri).samefile(tmp_path / name)
    assert list(found.values()) == list(catalogue(str(tmp_path)))


def test_names_that_are_not_utf8_are_ids_with_escapes(tmp_path: Path) -> None:
    clip, image = os.fsdecode(b"caf\xe9.mp4"), os.fsdecode(b"1_\xff.png")
    put(tmp_path, clip, f"walk/{image}", *images("walk"))
    found = {video.id: video for video in catalogue(str(tmp_path))}
    assert sorted(found) == ["caf\\udce9.mp4", "walk"]
    assert Path(found["caf\\udce9.mp4"].uri).samefile(tmp_path / clip)


@settings(max_examples=60)
@given(
    names=st.sets(st.text("ab.-/ *é\n", min_size=1, max_size=6), max_size=8), pattern=st.text("ab*?.mp4/", max_size=5)
)
def test_any_tree_gives_each_visible_video_once_in_order(
    names: set[str], pattern: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("tree")
    expected = set()
    for name in names:
        parts = [part for part in name.split("/") if part.strip(".")] or ["x"]
        path = "/".join([*(part + "_" for part in parts[:-1]), parts[-1] + ".mp4"])
        put(root, path)
        if not any(part.startswith(".") for part in path.split("/")):
            expected.add(path)
    found = ids(root)
    assert found == sorted(expected, key=os.fsencode)
    chosen = [i for i in found if fnmatchcase(i, pattern) or fnmatchcase(i.rsplit("/", 1)[-1], pattern)]
    assert ids(root, pattern) == chosen


def test_a_video_was_changed_when_its_file_or_the_last_of_its_images_or_their_folder_was(tmp_path: Path) -> None:
    put(tmp_path, "clip.mp4", *images("walk"), "walk/notes.txt")
    for name in images("walk"):
        os.utime(tmp_path / name, (0, 100))
    for name, modified in (("clip.mp4", 500), ("walk/1.png", 900), ("walk/2.png", 700), ("walk", 600)):
        os.utime(tmp_path / name, (0, modified))
    assert {video.id: video.modified for video in catalogue(str(tmp_path))} == {"clip.mp4": 500.0, "walk": 900.0}
    os.utime(tmp_path / "walk", (0, 1000))
    (tmp_path / "gone.mp4").symlink_to("nowhere")
    found = {video.id: video.modified for video in catalogue(str(tmp_path))}
    assert found == {"clip.mp4": 500.0, "walk": 1000.0, "gone.mp4": 0.0}


def test_in_s3_the_store_says_when_an_image_was_put(s3: object, tmp_path: Path) -> None:
    before = time.time()
    for name in (*images("walk"), "clip.mp4"):
        put_bytes(f"s3://catalogue/{tmp_path.name}/{name}", b"1")
    for video in catalogue(f"s3://catalogue/{tmp_path.name}"):
        assert before - 1 <= video.modified <= time.time() + 1, video


def test_a_folder_that_may_not_be_listed_is_one_video_that_fails_when_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user of the tests may be root, whom no mode keeps out: the refusal is made."""
    put(tmp_path, "a.mp4", "closed/b.mp4", "z.mp4")
    scandir = os.scandir

    def refusing(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    found = list(catalogue(str(tmp_path)))
    assert [video.id for video in found] == ["a.mp4", "closed", "z.mp4"]
    with pytest.raises(VideoDeniedError, match=r"^closed: .*closed: access denied; check its permissions"):
        probe(found[1])
    with pytest.raises(AccessDeniedError):
        list(catalogue(str(tmp_path / "closed")))
