"""Marks, where they are kept, and who may set them."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.message import Message
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf2vad.errors import ConfigError
from hf2vad.review.access import Access
from hf2vad.review.files import ServedFiles, byte_range
from hf2vad.review.marks import Mark, Verdict, from_table, latest, parse_file, parse_marks, to_table
from hf2vad.review.store import MarkStore, read_reviews

NOW = datetime(2026, 11, 25, 7, 30, tzinfo=UTC)


def sent(number: int = 0, **values: object) -> dict[str, object]:
    """A mark as a page sends it."""
    return {
        "event": f"{number:016x}", "video": "cam-a/22.mp4", "video_key": "00" * 8, "fingerprint": "00ff",
        "start_frame": 20, "end_frame": 30, "start_s": 0.8, "end_s": 1.2, "verdict": "normal", **values,
    }  # fmt: skip


def mark(number: int = 0, verdict: Verdict = "normal", seconds: float = 0.0) -> Mark:
    set_at = NOW + timedelta(seconds=seconds)
    return replace(Mark.parse(sent(number), now=set_at), verdict=verdict)


def test_a_mark_is_the_same_after_storage() -> None:
    marks = [mark(number, "interesting", number / 7) for number in range(3)]
    assert from_table(to_table(marks)) == marks


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"event": "../../etc"}, "event must be 16 hex digits"),
        ({"video_key": 7}, "video_key must be 16 hex digits"),
        ({"verdict": "funny"}, "verdict must be one of"),
        ({"start_frame": 40}, "frames in order"),
        ({"start_frame": -1}, "frames in order"),
        ({"end_frame": 2**31}, "frames in order"),
        ({"start_frame": 1.5}, "frames in order"),
        ({"start_s": float("nan")}, "start_s must be a number"),
        ({"start_s": True}, "start_s must be a number"),
        ({"video": "x" * 5000}, "video must be a text"),
        ({"video": "\ud800"}, "video must be a text"),
        ({"marked_at": "yesterday"}, "marked_at must be a time"),
    ],
)
def test_what_no_page_sends_is_refused(values: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Mark.parse(sent(**values), now=NOW)


def test_a_file_keeps_its_times_and_none_is_to_come() -> None:
    marks = [sent(1, marked_at="2026-11-24T06:00:00.25Z"), sent(2, marked_at="2096-01-01T00:00:00Z"), sent(3)]
    first, second, third = parse_marks({"hf2vad.marks": 1, "marks": marks}, now=NOW, where="marks.json")
    assert first.marked_at == datetime(2026, 11, 24, 6, 0, 0, 250_000, tzinfo=UTC)
    assert second.marked_at == third.marked_at == NOW


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"hf2vad.marks": 1}', b'{"hf2vad.marks": 1, "marks": [1]}'])
def test_another_file_is_no_marks(data: bytes) -> None:
    with pytest.raises(ConfigError, match=r"marks\.json"):
        parse_file(data, where="marks.json")


@given(st.permutations(range(4)))
def test_the_last_mark_of_an_event_counts_in_any_order(order: list[int]) -> None:
    verdicts: list[Verdict] = ["reviewed", "normal", "", "interesting"]
    marks = [mark(7, verdict, seconds) for seconds, verdict in enumerate(verdicts)]
    assert latest(marks[i] for i in order) == {f"{7:016x}": marks[3]}


def test_marks_that_were_taken_back_teach_nothing(tmp_path: Path) -> None:
    store = MarkStore(str(tmp_path / "reviews"))
    store.add([mark(1), mark(2)])
    store.add([mark(1, "", 5)])
    assert [found.event for found in read_reviews([str(tmp_path)])] == [f"{2:016x}"]


def test_reviews_are_read_from_sites_folders_and_saved_files(tmp_path: Path) -> None:
    MarkStore(str(tmp_path / "site/reviews")).add([mark(1), mark(2, "interesting")])
    MarkStore(str(tmp_path / "other")).add([mark(2, "normal", 60)])
    saved = tmp_path / "marks.json"
    saved.write_text(json.dumps({"hf2vad.marks": 1, "marks": [sent(3)]}))
    places = [str(tmp_path / "site"), str(tmp_path / "other"), str(saved)]
    assert {found.event[-1]: found.verdict for found in read_reviews(places)} == dict.fromkeys("123", "normal")
    with pytest.raises(ConfigError, match="no marks there"):
        read_reviews([str(tmp_path / "nowhere")])


def test_servers_that_add_and_join_at_once_lose_no_mark(tmp_path: Path) -> None:
    stores = [MarkStore(str(tmp_path)) for _ in range(4)]
    reader = MarkStore(str(tmp_path))
    over = threading.Event()
    added: list[set[str]] = [set() for _ in stores]
    missed: list[set[str]] = []

    def work(number: int) -> None:
        for step in range(25):
            one = mark(1000 * number + step)
            stores[number].add([one])
            added[number].add(one.event)
            if step % 3 == number % 3:
                stores[number].join_files(2)

    def look() -> None:
        while not over.is_set():
            before = set().union(*(set(own) for own in added))
            missed.append(before - set(reader.marks()))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(stores))]
    watcher = threading.Thread(target=look)
    for thread in (*threads, watcher):
        thread.start()
    for thread in threads:
        thread.join()
    over.set()
    watcher.join()
    assert not any(missed), "an acknowledged mark was not to be seen"
    assert set(reader.marks()) == set().union(*added)
    assert len(os.listdir(tmp_path)) < 100
    reader.join_files(2)
    assert len(os.listdir(tmp_path)) == 1
    assert set(MarkStore(str(tmp_path)).marks()) == set().union(*added)


def headers(values: Mapping[str, str]) -> Message[str, str]:
    made = Message()
    for name, value in values.items():
        made[name] = value
    return made


TOKEN = "0123456789abcdef"
HERE = {"Host": "localhost:8600"}


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (HERE, None),
        ({"Host": "127.0.0.1:8600"}, None),
        ({"Host": "[::1]:8600"}, None),
        ({"Host": "192.0.2.7:8600"}, None),
        ({"Host": "evil.example:8600"}, 421),
        ({"Host": ""}, 421),
        ({}, 421),
        ({"Host": "[::1"}, 421),
        ({**HERE, "Origin": "http://localhost:8600"}, None),
        ({**HERE, "Origin": "http://localhost:9999"}, 403),
        ({**HERE, "Origin": "http://evil.example"}, 403),
        ({**HERE, "Origin": "null"}, 403),
        ({**HERE, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "no-cors"}, None),
        ({**HERE, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"}, 403),
        ({**HERE, "Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, 403),
        ({**HERE, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, None),
    ],
)
def test_another_hosts_pages_are_refused(asked: dict[str, str], status: int | None) -> None:
    refusal = Access().refusal(headers(asked), "192.0.2.7")
    assert (refusal and refusal[0]) == status


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({}, 401),
        ({"Cookie": f"hf2vad-review={TOKEN}"}, None),
        ({"Cookie": f"a=b; hf2vad-review={TOKEN}"}, None),
        ({"Cookie": "hf2vad-review=0123456789abcdeF"}, 401),
        ({"Cookie": "hf2vad-review="}, 401),
        ({"Authorization": f"Bearer {TOKEN}"}, None),
        ({"Authorization": TOKEN}, 401),
        ({"Authorization": "Bearer ü"}, 401),
    ],
)
def test_with_a_token_requests_without_it_are_refused(asked: dict[str, str], status: int | None) -> None:
    refusal = Access(token=TOKEN).refusal(headers({**HERE, **asked}), "127.0.0.1")
    assert (refusal and refusal[0]) == status


@pytest.fixture
def served(tmp_path: Path) -> ServedFiles:
    """A site and an archive side by side, something secret around them, and links to it."""
    for name in ("site/index.html", "site/data/x.js", "cams/a b/é.mp4", "cams/notes.txt", "secret.mp4", "site/.hidden"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "site/link.mp4").symlink_to(tmp_path / "secret.mp4")
    (tmp_path / "cams/link.mp4").symlink_to(tmp_path / "secret.mp4")
    return ServedFiles(str(tmp_path / "site"), [str(tmp_path / "cams")])


@pytest.mark.parametrize("path", ["/site/index.html", "/site/data/x.js", "/cams/a%20b/%C3%A9.mp4"])
def test_files_of_the_site_and_videos_of_its_archives_are_shown(served: ServedFiles, path: str) -> None:
    entry = served.find(path)
    assert entry is not None
    assert Path(entry.uri).read_text() in ("site/index.html", "site/data/x.js", "cams/a b/é.mp4")


@pytest.mark.parametrize(
    "path",
    [
        "/secret.mp4", "/site/../secret.mp4", "/site/%2e%2e/secret.mp4", "/site/..%2fsecret.mp4", "/cams/../secret.mp4",
        "/site//index.html", "/site/.hidden", "/site/link.mp4", "/cams/link.mp4", "/cams/notes.txt", "/site", "/cams",
        "/", "", "/etc/passwd", "/site/index.html%00", "/site/..\\secret.mp4", "/%ff%fe", "/site/data",
    ],
)  # fmt: skip
def test_nothing_else_is(served: ServedFiles, path: str) -> None:
    assert served.find(path) is None


def test_a_site_alone_lies_at_the_root(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("x")
    alone = ServedFiles(str(tmp_path))
    assert alone.address == "/"
    assert alone.find("/index.html") is not None
    assert ServedFiles("s3://b/night/site", ["s3://b/cams"]).address == "/night/site/"
    with pytest.raises(ConfigError, match="cannot link videos"):
        ServedFiles(str(tmp_path), ["s3://b/cams"])


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None), ("bytes=0-", (0, 10)), ("bytes=3-5", (3, 6)), ("bytes=3-99", (3, 10)), ("bytes=-4", (6, 10)),
        ("bytes=-99", (0, 10)), ("bytes=-", None), ("bytes=0-1,4-5", None), ("lines=0-1", None),
    ],
)  # fmt: skip
def test_ranges_of_a_file(header: str | None, expected: tuple[int, int] | None) -> None:
    assert byte_range(header, 10) == expected


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=5-3", "bytes=-0"])
def test_a_range_that_a_file_does_not_have_is_an_error(header: str) -> None:
    with pytest.raises(ValueError, match="no bytes"):
        byte_range(header, 10)
