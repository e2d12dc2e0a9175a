"""What a user gets wrong: one line that names the thing, exit code 2, and no traceback."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from hf2vad.storage import put_bytes
from tests.seaweed import SeaweedServer
from tests.site import Site, run_job, run_process


def complaint(name: str, *arguments: object, env: dict[str, str] | None = None) -> str:
    """The one line that a job ends with when it exits with 2."""
    done = run_process(name, *arguments, expect=2, env=env) if env else run_job(name, *arguments, expect=2)
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    assert "Traceback" not in done.stdout + done.stderr
    return lines[0]


def test_an_archive_that_is_not_there(site: Site, tmp_path: Path) -> None:
    arguments = ("--bundle", site.bundle, "--out", tmp_path / "out")
    line = complaint("score_archive", "--archive", tmp_path / "nowhere", *arguments)
    assert str(tmp_path / "nowhere") in line


def test_an_archive_without_a_video(site: Site, tmp_path: Path) -> None:
    (tmp_path / "archive").mkdir()
    line = complaint(
        "score_archive", "--archive", tmp_path / "archive", "--bundle", site.bundle, "--out", tmp_path / "out"
    )
    assert "no video there" in line


def test_a_bundle_that_is_not_there(site: Site, tmp_path: Path) -> None:
    line = complaint("score_archive", "--archive", site.test, "--bundle", tmp_path / "b", "--out", tmp_path / "out")
    assert str(tmp_path / "b") in line


def test_a_bundle_of_another_schema_version(site: Site, tmp_path: Path) -> None:
    shutil.copytree(site.bundle, tmp_path / "bundle", ignore=shutil.ignore_patterns("checkpoints"))
    known = json.loads((tmp_path / "bundle" / "bundle.json").read_text())
    known["schema"] += 1
    (tmp_path / "bundle" / "bundle.json").write_text(json.dumps(known))
    line = complaint(
        "score_archive", "--archive", site.test, "--bundle", tmp_path / "bundle", "--out", tmp_path / "out"
    )
    assert "schema version" in line


def test_extraction_settings_that_are_not_the_bundles(site: Site, tmp_path: Path) -> None:
    arguments = ("--archive", site.test, "--bundle", site.bundle, "--out", tmp_path)
    line = complaint("score_archive", *arguments, "--flow.scale", 1.0, "--working.longest", 640)
    assert "working.longest: 960 in the bundle, 640 given; flow.scale: 2.0 in the bundle, 1.0 given" in line


def test_a_settings_file_with_a_misspelt_key(site: Site, tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_text("[flow]\npreste = 'fast'\n")
    arguments = ("--archive", site.train, "--out", tmp_path / "out", "--config", tmp_path / "job.toml")
    line = complaint("extract_stc", *arguments)
    assert "unknown key flow.preste; did you mean flow.preset?" in line


def test_a_misspelt_option_is_named(site: Site, tmp_path: Path) -> None:
    done = run_job("extract_stc", "--archive", site.train, "--out", tmp_path, "--flow.preste", "fast", expect=2)
    assert "--flow.preste" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_table_without_cubes(tmp_path: Path) -> None:
    line = complaint("train", "--stc", tmp_path / "stc", "--out", tmp_path / "bundle")
    assert str(tmp_path / "stc") in line


def test_labels_of_videos_that_were_not_scored(site: Site, tmp_path: Path) -> None:
    arguments = ("--archive", site.test, "--bundle", site.bundle, "--out", tmp_path / "out", "--include", "01_*")
    run_job("score_archive", *arguments)
    line = complaint("evaluate", "--scores", tmp_path / "out", "--labels", site.labels, "--out", tmp_path)
    assert "02_cyclist.mp4" in line


def test_no_cluster_at_the_address(site: Site, tmp_path: Path) -> None:
    arguments = ("--archive", site.test, "--bundle", site.bundle, "--out", tmp_path)
    line = complaint("score_archive", *arguments, "--ray.address", "127.0.0.1:1", env={"RAY_ADDRESS": ""})
    assert "127.0.0.1:1" in line


@pytest.mark.parametrize("place", ["archive", "bundle"])
def test_a_bucket_that_is_not_there(place: str, site: Site, s3: SeaweedServer, tmp_path: Path) -> None:
    places = {"archive": site.test, "bundle": site.bundle, "out": tmp_path, place: "s3://no-such-bucket/x"}
    arguments = [item for name, value in places.items() for item in (f"--{name}", value)]
    assert "no-such-bucket" in complaint("score_archive", *arguments)


def test_credentials_that_are_wrong(site: Site, s3: SeaweedServer, tmp_path: Path) -> None:
    secret = "not-the-secret-0815"
    env = {"AWS_SECRET_ACCESS_KEY": secret}
    put_bytes("s3://locked/a/b.mp4", b"...")
    arguments = ("--archive", "s3://locked/a", "--bundle", site.bundle, "--out", tmp_path)
    line = complaint("score_archive", *arguments, env=env)
    assert "locked" in line
    assert secret not in line
