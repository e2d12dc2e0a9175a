"""What of an archive may not be read, has empty parts in its key, or is no video, in a store that keeps keys as they
are."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.plain_store import plain_store
from tests.site import Site, last_run, run_process

HERE = ("--ray.address", "none", "--engine", "eager")


def rows_of(out: Path) -> tuple[set[str], dict[str, str]]:
    """Videos with a frame table, and failure rows with their reasons."""
    (bundle,) = out.glob("bundle=*")
    scored = {pq.read_table(path)["video"][0].as_py() for path in (bundle / "frames").rglob("*.parquet")}
    failures = (json.loads(path.read_text()) for path in (bundle / "failures").rglob("*.json"))
    return scored, {row["video"]: row["reason"] for row in failures}


@pytest.fixture(scope="module")
def clip(site: Site) -> bytes:
    return (site.test / "01_runner.mp4").read_bytes()


def test_one_denied_object_is_one_failure_row_and_keys_with_empty_parts_are_scored(
    site: Site, clip: bytes, tmp_path: Path
) -> None:
    keys = ["arch/ok.mp4", "arch/gate//double.mp4", "arch//lead.mp4", "arch/gate/fine.mp4", "arch/no.mp4"]
    with plain_store(dict.fromkeys([*keys, "arch/notes.txt"], clip), denied=["arch/no.mp4"]) as store:
        places = ("--archive", "s3://cams/arch", "--bundle", site.bundle, "--out", tmp_path)
        done = run_process("score_archive", *places, *HERE, expect=3, env=store)
        scored, failures = rows_of(tmp_path)
        assert scored == {"ok.mp4", "gate//double.mp4", "/lead.mp4", "gate/fine.mp4"}
        assert list(failures) == ["no.mp4"]
        assert "access denied; check the credentials and the bucket's policy" in failures["no.mp4"]
        assert last_run(tmp_path)["passed_over"][0]["names"] == ["notes.txt"]
        assert "passed over: 1 .txt (not a video): notes.txt" in done.stdout
        run_process("score_archive", *places, *HERE, expect=3, env=store)
    record = last_run(tmp_path)
    assert (record["videos_skipped"], record["failures"], record["shards"]) == (4, 1, 0)


def test_when_every_object_is_denied_the_run_ends_and_records_none(site: Site, clip: bytes, tmp_path: Path) -> None:
    keys = [f"arch/{number}.mp4" for number in range(3)]
    with plain_store(dict.fromkeys(keys, clip), denied=keys) as store:
        places = ("--archive", "s3://cams/arch", "--bundle", site.bundle, "--out", tmp_path)
        done = run_process("score_archive", *places, *HERE, expect=2, env=store)
    assert "no video may be read, the last one: " in done.stderr
    assert "access denied" in done.stderr
    assert not list(tmp_path.glob("bundle=*/failures/*"))


def test_a_dry_run_lists_videos_frames_hours_and_what_is_passed_over_without_scoring(
    site: Site, clip: bytes, tmp_path: Path
) -> None:
    objects = {"arch/a.mp4": clip, "arch/a.jpg": b"still", "arch/notes.txt": b"", "arch/text.mp4": b"no video" * 99}
    with plain_store(objects) as store:
        places = ("--archive", "s3://cams/arch", "--bundle", site.bundle, "--out", tmp_path / "out")
        done = run_process("score_archive", *places, "--dry-run", expect=3, env=store)
    lines = done.stdout.splitlines()
    assert lines[0].startswith("'a.mp4': 60 frames, 4.72 s, ")
    assert lines[1].startswith("failed: 'text.mp4': text.mp4: not a readable video")
    assert "passed over: 1 .jpg (still of a video): a.jpg" in lines
    assert lines[-1] == "2 videos, 60 frames, 0.00 hours; 1 cannot be read; 2 passed over"
    assert not (tmp_path / "out").exists()
