from __future__ import annotations

from collections.abc import Iterator

from hf2vad.storage import Entry, list_dir, put_bytes
from hf2vad.storage.ahead import AHEAD, MOST_WAITING, with_listings
from tests.seaweed import SeaweedServer


def test_subfolders_come_in_order_with_what_is_in_them(s3: SeaweedServer) -> None:
    names = [f"{folder:02d}/{number}" for folder in range(3 * AHEAD) for number in range(2)]
    for name in ["00-file", *names, "z"]:
        put_bytes(f"s3://ahead/tree/{name}", b"")
    listing = list_dir("s3://ahead/tree")
    passed = with_listings(listing, lambda folder: folder.name != "01")
    first, below = next(passed)
    assert (first.name, below) == ("00-file", None)
    found = {entry.name: None if below is None else [each.name for each in below] for entry, below in passed}
    assert list(found) == [*(f"{folder:02d}" for folder in range(3 * AHEAD)), "z"]
    assert found.pop("01") is None
    assert found.pop("z") is None
    assert set(map(tuple, found.values())) == {("0", "1")}  # type: ignore[arg-type]


def test_files_before_a_folder_do_not_wait_for_it_and_many_behind_it_do_not_pile_up() -> None:
    drawn = 0

    def entries() -> Iterator[Entry]:
        nonlocal drawn
        for number in range(2 * MOST_WAITING):
            drawn += 1
            yield Entry(f"{number:05d}", f"/nowhere/{number}", number == 10, 0, "")

    passed = with_listings(entries(), lambda folder: True)
    for number in range(10):
        assert next(passed)[0].name == f"{number:05d}"
        assert drawn == number + 1
    assert next(passed)[1] is not None
    assert drawn <= 10 + MOST_WAITING + 1
