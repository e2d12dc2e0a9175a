"""The walk with everything in S3, on a Ray cluster. docs/operations.md submits such a job, and is run by test_docs."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from hf2vad.storage import list_files, put_bytes, read_json, read_table
from tests.seaweed import SeaweedServer
from tests.site import TINY, Site, run_job, upload

pytestmark = pytest.mark.usefixtures("ray_cluster")


@pytest.fixture(scope="module")
def bucket(site: Site, s3: SeaweedServer) -> str:
    """A bucket that holds the archive and the bundle."""
    upload(site.test, "s3://cameras/2026")
    upload(site.bundle, "s3://cameras/bundles/street")
    return "s3://cameras"


def test_an_archive_in_s3_is_scored_into_s3_as_one_on_disk(bucket: str, site: Site, tmp_path: Path) -> None:
    places = ("--archive", f"{bucket}/2026", "--bundle", f"{bucket}/bundles/street", "--out", f"{bucket}/scores")
    done = run_job("score_archive", *places, "--shard-frames", 25, "--verbose")
    assert "video_hours_per_day" in done.stdout
    (run,) = list_files(f"{bucket}/scores/runs", ".json")
    record = read_json(run.uri)
    assert (record["videos"], record["frames"], record["failures"], record["shards"]) == (3, 180, 0, 9)

    run_job("score_archive", "--archive", site.test, "--bundle", site.bundle, "--out", tmp_path, "--shard-frames", 25)
    (local,) = tmp_path.glob("bundle=*")
    for table in ("frames", "objects", "events"):
        for path in sorted((local / table).iterdir()):
            theirs = read_table(f"{bucket}/scores/{local.name}/{table}/{path.name}")
            assert theirs.equals(pq.read_table(path)), f"{table} of {path.name} differ between S3 and a local run"
    assert not [e for e in list_files(f"{bucket}/scores/{local.name}") if "/shards/" in e.name or e.name[0] == "s"]


def test_every_job_of_the_walk_works_on_s3(bucket: str, site: Site) -> None:
    upload(site.train, "s3://cameras/normal")
    put_bytes("s3://cameras/labels.parquet", site.labels.read_bytes())
    run_job("extract_stc", "--archive", "s3://cameras/normal", "--out", "s3://cameras/stc", "--shard-frames", 50)
    made = sorted(str(path.relative_to(site.stc / "stc")) for path in site.stc.rglob("*.parquet"))
    there = sorted(entry.name for entry in list_files("s3://cameras/stc/stc", ".parquet"))
    frames = [[name.split("/", 1)[1].rsplit("-", 1)[0] for name in names] for names in (there, made)]
    assert frames[0] == frames[1]
    run_job("train", "--stc", "s3://cameras/stc", "--out", "s3://cameras/bundles/other", *TINY)
    run_job(
        "score_archive", "--archive", f"{bucket}/2026", "--bundle", "s3://cameras/bundles/other", "--out", f"{bucket}/b"
    )
    run_job("evaluate", "--scores", f"{bucket}/b", "--labels", "s3://cameras/labels.parquet", "--out", f"{bucket}/b")
    assert read_json(f"{bucket}/b/evaluation.json")["frames"] == 168
