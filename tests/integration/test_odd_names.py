"""Names are data: what an archive calls its videos decides nothing but the rows' `video`, on disk and in S3."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hf2vad.archive.catalog import catalogue
from hf2vad.storage import join, key_path, list_files, put_bytes, read_bytes, read_json, read_table
from tests.clips import Clip, write_clip
from tests.seaweed import SeaweedServer
from tests.site import Site, last_run, run_job

pytestmark = pytest.mark.usefixtures("ray_cluster")

NAMES = [
    "%2e%2e/%2f..%2fescape.mp4",
    "a../b...mp4",
    "%s%n%x {0} {video} %(name)s $HOME.mp4",
    "$(touch pwned).mp4",
    "`touch pwned`; touch pwned | touch pwned & .mp4",
    "-rf.mp4",
    "--out=elsewhere.mp4",
    "line\nbreak\r\n.mp4",
    "tab\tquote\"'\\.mp4",
    "[bold red]markup[/bold red].mp4",
    "\x1b[31mred\x07.mp4",
    "\x01control.mp4",
    "日本 ünïcode 🎥 \u202egnp.mp4",
    "e\u0301 decomposed.mp4",
    "é composed.mp4",
    "x" * 251 + ".mp4",
    "ä" * 125 + ".mp4",
    "a.parquet/b.mp4",
    "a/c.mp4",
    "~a~.mp4",
    " space .mp4",
    "*?[a].mp4",
    "s3:/x.mp4",
    "http:/127.0.0.1/x.mp4",
    "c:\\windows\\x.mp4",
    "/".join(["ä" * 60] * 5) + "/deep.mp4",
]
"""Ids of videos; each is a path below the archive."""
NOT_UTF_8 = os.fsdecode(b"latin-\xe4.mp4")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    write_clip(path, Clip(frames=8))
    return path.read_bytes()


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_on_disk_each_video_is_scored_and_nothing_is_written_elsewhere(site: Site, clip: bytes, tmp_path: Path) -> None:
    archive, out = tmp_path / "archive", tmp_path / "out"
    for name in [*NAMES, NOT_UTF_8]:
        path = archive / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(clip)
    images = archive / "a"
    for number in range(6):
        (images / f"{number}.bmp").write_bytes(b"no image")
    before = files(tmp_path)
    done = run_job("score_archive", "--archive", archive, "--bundle", site.bundle, "--out", out, expect=3)
    assert "pwned" not in {path.name for path in tmp_path.rglob("*")}
    written = files(tmp_path) - before
    (bundle,) = out.glob("bundle=*")
    assert all(name.startswith(("out/bundle=", "out/runs/")) for name in written)
    scored = {pq.read_table(path)["video"][0].as_py() for path in (bundle / "frames").rglob("*.parquet")}
    assert scored == {*NAMES, "latin-\\udce4.mp4"}
    failed = {json.loads(path.read_text())["video"] for path in (bundle / "failures").rglob("*.json")}
    assert failed == {"a"}
    assert last_run(out)["videos"] == len(NAMES) + 2
    assert "\x1b[31m" not in done.stdout + done.stderr


def test_in_s3_each_video_is_scored_and_nothing_is_written_elsewhere(
    site: Site, clip: bytes, s3: SeaweedServer
) -> None:
    names = [name for name in NAMES if ".." not in name.split("/") and "\\" not in name]
    for name in names:
        put_bytes(f"s3://odd/archive/{name}", clip)
    assert sorted(video.id for video in catalogue("s3://odd/archive")) == sorted(names)
    run_job("score_archive", "--archive", "s3://odd/archive", "--bundle", site.bundle, "--out", "s3://odd/out")
    written = [entry.name for entry in list_files("s3://odd")]
    assert len([name for name in written if name.startswith("archive/")]) == len(names)
    out = [name for name in written if not name.startswith("archive/")]
    assert all(name.startswith(("out/bundle=", "out/runs/")) for name in out)
    frames = [name for name in out if "/frames/" in name]
    assert {read_table(f"s3://odd/{name}")["video"][0].as_py() for name in frames} == set(names)
    assert max(map(len, out)) < 1024
    (run,) = list_files("s3://odd/out/runs", ".json")
    assert read_json(run.uri)["failures"] == 0


part = st.one_of(
    st.sampled_from(["..", ".", "", "a", "%", "~", "x.parquet", "video.json", "\n", "ä" * 100, "x" * 400]),
    st.binary(min_size=1, max_size=30).map(os.fsdecode).filter(lambda text: "\0" not in text),
)
identities = st.lists(st.lists(part, min_size=1, max_size=8).map("/".join), min_size=1, max_size=6, unique=True)


@pytest.fixture(params=["disk", "s3"])
def prefixes(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Prefixes that are empty, one for each example."""
    if request.param == "s3":
        request.getfixturevalue("s3")
    base = "s3://names" if request.param == "s3" else str(tmp_path)
    return (f"{base}/{number}/out" for number in range(1_000_000))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ids=identities)
def test_files_of_any_ids_lie_side_by_side_below_their_prefix(prefixes: Iterator[str], ids: list[str]) -> None:
    prefix = next(prefixes)
    for number, identity in enumerate(ids):
        put_bytes(join(prefix, "frames", key_path(identity) + ".parquet"), f"frames of {number}".encode())
        put_bytes(
            join(prefix, "shards", key_path(identity), "00000000-00000200.parquet"), f"shard of {number}".encode()
        )
    for number, identity in enumerate(ids):
        assert read_bytes(join(prefix, "frames", key_path(identity) + ".parquet")) == f"frames of {number}".encode()
        shard = join(prefix, "shards", key_path(identity), "00000000-00000200.parquet")
        assert read_bytes(shard) == f"shard of {number}".encode()
    above = prefix.rsplit("/", 1)[0]
    found = [entry.name for entry in list_files(above)]
    assert len(found) == 2 * len(ids)
    assert all(name.startswith(("out/frames/", "out/shards/")) for name in found)
    assert all(name.isascii() for name in found)
