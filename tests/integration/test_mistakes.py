"""What a user gets wrong: one line that names the thing and says what to do, the exit code for it, and no traceback."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from hf2vad.commandline import EXIT_BUSY, EXIT_FAILURES, EXIT_INTERRUPTED, EXIT_USAGE
from hf2vad.storage import put_bytes
from hf2vad.walk.lease import Lease
from tests.disk import small_disk
from tests.seaweed import SeaweedServer
from tests.site import ROOT, Site, environment, job, last_run, run_job, run_process, wait_until

HERE = ("--ray.address", "none")


def complaint(name: str, *arguments: object, env: dict[str, str] | None = None, code: int = EXIT_USAGE) -> str:
    """The one line that a job ends with when it exits with `code`."""
    done = run_process(name, *arguments, expect=code, env=env) if env else run_job(name, *arguments, expect=code)
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
    assert "no video there; videos end in .mp4 " in line
    assert "no video there" in complaint("run", tmp_path / "archive", "--out", tmp_path / "found")


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
    line = complaint("score_archive", *arguments, "--flow.scale", 1.5, "--working.longest", 960)
    assert "working.longest: 640 in the bundle, 960 given; flow.scale: 1.0 in the bundle, 1.5 given" in line


def test_a_settings_file_with_a_misspelt_key(site: Site, tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_text("[flow]\npreste = 'fast'\n")
    arguments = ("--archive", site.train, "--out", tmp_path / "out", "--config", tmp_path / "job.toml")
    line = complaint("extract_stc", *arguments)
    assert "unknown key flow.preste; did you mean flow.preset?" in line


def test_a_misspelt_option_is_named_before_anything_is_read(tmp_path: Path) -> None:
    nowhere = ("--archive", tmp_path / "nowhere", "--bundle", tmp_path / "nowhere", "--out", tmp_path)
    assert "--events.treshold; did you mean --events.threshold?" in complaint("score", *nowhere, "--events.treshold", 3)


def test_a_misspelt_job_is_named() -> None:
    done = subprocess.run([*job_command(), "trian"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == EXIT_USAGE
    assert "did you mean train?" in done.stderr


def job_command() -> list[str]:
    return [*job("run")[:1], "-m", "hf2vad"]


@pytest.mark.parametrize(
    ("name", "more"),
    [("score", ("--bundle", "BUNDLE")), ("extract", ()), ("run", ()), ("backfill", ("--bundle", "BUNDLE"))],
)
def test_a_place_that_cannot_be_written_is_told_before_ray_starts(
    name: str, more: tuple[str, ...], site: Site, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    arguments = [str(site.bundle) if word == "BUNDLE" else word for word in more]
    line = complaint(name, site.test, *arguments, "--out", tmp_path / "file" / "out", "--ray.address", "127.0.0.1:1")
    assert "a part of this path is a file, not a folder; choose another place" in line


def test_a_place_that_cannot_be_written_is_told_before_training(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "is a file" in complaint("train", site.stc, "--out", tmp_path / "file" / "bundle", "--preset", "features")


@pytest.mark.parametrize("name", ["extract", "backfill", "report"])
def test_a_malformed_pattern_says_what_a_right_one_is(name: str, site: Site, tmp_path: Path) -> None:
    more = ("--bundle", site.bundle) if name == "backfill" else ()
    line = complaint(name, site.test, *more, "--out", tmp_path, "--pattern", "{camera/{date}/*")
    assert "a right one is {camera}/{date}/*" in line


def test_a_pattern_that_fits_nothing_is_told_with_a_path_that_it_does_not_fit(site: Site, tmp_path: Path) -> None:
    pattern = ("--pattern", "{date}/{camera}/*")
    example = "fits no video, such as '01_"
    assert example in complaint("extract", site.test, "--out", tmp_path, *pattern)
    assert example in complaint("backfill", site.test, "--bundle", site.bundle, "--out", tmp_path, *pattern)
    line = complaint("train", site.stc, "--out", tmp_path, "--camera-pattern", "{camera}/{date}/*")
    assert "fits no video of" in line
    run_job("score", site.test, "--bundle", site.bundle, "--out", tmp_path / "scores", "--include", "01_*", *HERE)
    done = run_job("report", tmp_path / "scores", "--out", tmp_path / "site", *pattern, expect=EXIT_USAGE)
    assert example in done.stderr.splitlines()[-1]


def test_a_part_of_videos_that_cannot_be_read_shows_right_ones(site: Site, tmp_path: Path) -> None:
    line = complaint("extract", site.test, "--out", tmp_path, "--frames", 50)
    assert "--frames must look like 0:500, :50% or 50%:, got '50'" in line


def test_a_table_without_cubes(tmp_path: Path) -> None:
    line = complaint("train", "--stc", tmp_path / "stc", "--out", tmp_path / "bundle")
    assert str(tmp_path / "stc") in line


def test_a_table_of_another_kind(site: Site, tmp_path: Path) -> None:
    run_job("score", site.test, "--bundle", site.bundle, "--out", tmp_path / "scores", "--include", "01_*", *HERE)
    line = complaint("train", tmp_path / "scores", "--out", tmp_path / "bundle")
    assert "not a table of hf2vad's kind 'stc'" in line
    assert "no scores there" in complaint("evaluate", site.stc, "--labels", site.labels, "--out", tmp_path)


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


def test_no_credentials_at_all(site: Site, s3: SeaweedServer, tmp_path: Path) -> None:
    env = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "")
    env |= {"AWS_EC2_METADATA_DISABLED": "true", "HOME": str(tmp_path)}
    line = complaint("score_archive", "s3://locked/a", "--bundle", site.bundle, "--out", tmp_path, env=env)
    assert "no AWS credentials; set AWS_ACCESS_KEY_ID" in line


def test_an_endpoint_that_nobody_answers_at(site: Site, tmp_path: Path) -> None:
    env = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}
    begun = time.monotonic()
    line = complaint("score_archive", "s3://cameras", "--bundle", site.bundle, "--out", tmp_path, env=env)
    assert "no S3 server answers at http://127.0.0.1:1" in line
    assert "AWS_ENDPOINT_URL says where it is" in line
    assert time.monotonic() - begun < 30  # five seconds on a machine that does nothing else


def test_too_little_footage_trains_with_a_warning(site: Site, tmp_path: Path) -> None:
    done = run_job("train", site.stc, "--out", tmp_path / "bundle", "--preset", "features")
    assert "is extrapolated" in done.stdout


def test_a_full_disk(site: Site, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with small_disk(disk, 65_536):
        (disk / "filling").write_bytes(bytes(40_000))
        done = run_job("extract", site.train, "--out", disk / "out", "--max-cubes", 0, *HERE, expect=EXIT_USAGE)
    assert "make room and run again" in done.stderr.splitlines()[-1]


def test_ctrl_c_ends_in_a_line_that_says_how_to_go_on(site: Site, tmp_path: Path) -> None:
    command = job("extract_stc", site.train, "--out", tmp_path, "--shard-frames", 5, *HERE)
    with subprocess.Popen(command, env=environment(), cwd=ROOT, stderr=subprocess.PIPE, text=True) as running:
        wait_until(lambda: list(tmp_path.rglob("*.parquet")), seconds=120, what="a first shard")
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=60)
    assert running.returncode == EXIT_INTERRUPTED
    assert said.splitlines()[-1] == "interrupted; run the same command again to go on"
    assert "Traceback" not in said


def test_a_second_backfill_says_that_another_is_at_work(site: Site, tmp_path: Path) -> None:
    bundle_id = json.loads((site.bundle / "bundle.json").read_text())["id"]
    with Lease(str(tmp_path / f"bundle={bundle_id}"), seconds=60):
        line = complaint("backfill", site.test, "--bundle", site.bundle, "--out", tmp_path, *HERE, code=EXIT_BUSY)
    assert "at work" in line


def test_an_unreadable_video_is_a_failure_and_an_unknown_ending_is_counted(site: Site, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    shutil.copy(next(site.test.glob("01_*")), archive)
    (archive / "broken.mp4").write_bytes(b"no video")
    (archive / "notes.txt").write_text("no video either")
    done = run_job("score", archive, "--bundle", site.bundle, "--out", tmp_path / "out", *HERE, expect=EXIT_FAILURES)
    assert "failed: 'broken.mp4': " in done.stdout
    assert "passed over: 1 .txt (not a video): notes.txt" in done.stdout
    assert last_run(tmp_path / "out")["failures"] == 1


def test_a_quoted_home_folder_is_read(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert f"{tmp_path}/nowhere" in complaint("score", "~/nowhere", "--bundle", site.bundle, "--out", "~/out")
    assert f"{tmp_path}/nowhere" in complaint("backfill", "gate=~/nowhere", "--bundle", site.bundle, "--out", "~/out")
    assert f"{tmp_path}/nowhere" in complaint("train", "--stc=~/nowhere", "--out", "~/out")


def test_one_video_is_an_archive(site: Site, tmp_path: Path) -> None:
    video = next(site.test.glob("01_*"))
    run_job("score", video, "--bundle", site.bundle, "--out", tmp_path, *HERE)
    assert last_run(tmp_path)["videos_finished"] == 1
