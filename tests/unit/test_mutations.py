"""Damaged videos of every kind, in a process of their own: a short form of `python -m benchmarks malformed`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.mutations import CLIPS, IMAGES, Examined, examine, write_mutations, write_originals

COUNT = 96


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("originals")
    write_originals(folder)
    return folder


@pytest.mark.slow
def test_undamaged_they_are_whole(originals: Path) -> None:
    found = {video.video: video.outcome for video in examine(originals)}
    assert found == dict.fromkeys([*CLIPS, *IMAGES], "whole")


@pytest.mark.slow
def test_damaged_each_is_a_failure_or_what_is_left_of_it(originals: Path, tmp_path: Path) -> None:
    write_mutations(originals, tmp_path, count=COUNT, seed=0)
    found = list(examine(tmp_path))
    assert sorted(video.video for video in found) == sorted(path.name for path in tmp_path.iterdir())
    outcomes = Counter(video.outcome for video in found)
    assert set(outcomes) == {"whole", "partial", "failure"}, [video for video in found if video.outcome == "error"]
    assert outcomes["partial"] >= COUNT // 8
    assert outcomes["failure"] >= COUNT // 8
    assert max(video.grown_mib for video in found) < 200
    for video in found:
        if video.outcome == "failure":
            assert video.detail.startswith(f"{video.video}: ")


def test_the_same_seed_gives_the_same_damage(originals: Path, tmp_path: Path) -> None:
    def made(folder: str, seed: int) -> list[tuple[str, bytes]]:
        (tmp_path / folder).mkdir()
        write_mutations(originals, tmp_path / folder, count=16, seed=seed)
        paths = sorted(path for path in (tmp_path / folder).rglob("*") if path.is_file())
        return [(str(path.relative_to(tmp_path / folder)), path.read_bytes()) for path in paths]

    assert made("a", 3) == made("b", 3) != made("c", 4)


@pytest.mark.slow
def test_a_crash_and_a_hang_are_seen_and_the_rest_is_examined(
    originals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The examiner itself: children that die or sleep at a video of a certain name."""
    for name in ("1.ts", "2-crash.ts", "3.ts", "4-hang.ts", "5.ts"):
        (tmp_path / name).write_bytes((originals / "h264.ts").read_bytes())
    monkeypatch.setattr("tests.mutations.MODULE", "tests.unit.test_mutations")
    monkeypatch.setattr("tests.mutations.SECONDS", 2.0)
    found = list(examine(tmp_path))
    assert [(video.video, video.outcome) for video in found] == [
        ("1.ts", "whole"),
        ("2-crash.ts", "crash"),
        ("3.ts", "whole"),
        ("4-hang.ts", "hang"),
        ("5.ts", "whole"),
    ]
    assert isinstance(found[0], Examined)


if __name__ == "__main__":
    import os
    import signal
    import time

    from tests import mutations

    look_at = mutations.look_at

    def stumble(video: mutations.Video) -> tuple[str, str]:
        if "crash" in video.id:
            os.kill(os.getpid(), signal.SIGSEGV)
        if "hang" in video.id:
            time.sleep(1000)
        return look_at(video)

    mutations.look_at = stumble
    mutations.main()
