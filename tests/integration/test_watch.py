"""Watching a run: what Prometheus scrapes while it goes on, its log, and its record, which must all say the same."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
import urllib.request
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hf2vad.cluster.dispatch import open_cluster
from hf2vad.cluster.settings import RayConfig
from hf2vad.errors import BundleError
from hf2vad.walk.backlog import Backlog
from hf2vad.walk.metrics import FIGURES
from hf2vad.walk.monitor import RunMonitor
from hf2vad.walk.record import RunRecord
from tests.metrics import exported
from tests.site import RayCluster, Site, environment, job, last_run, wait_until

NIGHTS = ("gate/2026-11-23", "gate/2026-11-24", "yard/2026-11-24")
DAY = datetime(2026, 11, 23, tzinfo=UTC).timestamp()

OFTEN = {"RAY_metrics_report_interval_ms": "1000"}
"""The driver hands its metrics on every second, not every ten."""

Series = dict[tuple[str, ...], float]


def scraped(cluster: RayCluster, run: str) -> dict[str, Series]:
    """What the node's agent says of `run`: of each metric, value by its labels beside run and job_name."""
    with urllib.request.urlopen(cluster.metrics, timeout=20) as answer:
        text = answer.read().decode()
    found: dict[str, Series] = defaultdict(dict)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            name = sample.name.removeprefix("ray_").removesuffix("_total")
            if name in FIGURES and sample.labels.get("run") == run:
                assert sample.name == exported(name)
                assert sample.labels["job_name"] == "backfill"
                found[name][tuple(sample.labels[label] for label in FIGURES[name].labels)] = sample.value
    return found


@dataclass(frozen=True)
class Watched:
    """A backfill that came to its end."""

    during: list[dict[str, Series]]
    """What was scraped while it went on, once there was something."""
    at_end: dict[str, Series]
    records: list[dict[str, Any]]
    """Its record, as it was read meanwhile, and at the end."""
    lines: list[dict[str, Any]]
    """Its log."""

    @property
    def record(self) -> dict[str, Any]:
        return self.records[-1]


@pytest.fixture(scope="module")
def watched(site: Site, ray_cluster: RayCluster, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """A backfill of three nights, and one file that is no video; one worker, 60 shards."""
    folder = tmp_path_factory.mktemp("watched")
    for night, clip in zip(NIGHTS, sorted(site.test.glob("*.mp4")), strict=True):
        (folder / "archive" / night).mkdir(parents=True)
        shutil.copy(clip, folder / "archive" / night / "a.mp4")
    (folder / "archive" / NIGHTS[1] / "torn.mp4").write_bytes(b"no video")
    places = ("--archive", folder / "archive", "--bundle", site.network, "--out", folder / "out")
    how = ("--pattern", "{camera}/{date}/*", "--min-age-minutes", 0, "--shard-frames", 3, "--ray.workers", 1)
    command = job("backfill", *places, *how, "--engine", "eager", "--log", "json")
    during, records = [], []
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log, env={**environment(), **OFTEN})
        wait_until(lambda: list((folder / "out").glob("runs/*.json")), seconds=90, what="the record")
        while process.poll() is None:
            records.append(last_run(folder / "out"))
            if found := scraped(ray_cluster, records[0]["run"]):
                during.append(found)
            time.sleep(0.3)
    assert process.returncode == 3, (folder / "log").read_text()
    records.append(last_run(folder / "out"))
    run = records[0]["run"]
    wait_until(lambda: "hf2vad_end_time_seconds" in scraped(ray_cluster, run), seconds=60, what="the run's end")
    lines = [json.loads(line) for line in (folder / "log").read_text().splitlines()]
    return Watched(during, scraped(ray_cluster, run), records, lines)


def test_the_run_can_be_watched_while_it_goes_on(watched: Watched) -> None:
    frames = [found["hf2vad_frames"][()] for found in watched.during if "hf2vad_frames" in found]
    assert frames == sorted(frames)
    assert 0 < frames[0] < watched.record["frames"]
    for found in watched.during:
        assert found["hf2vad_workers"] == {(): 1}
        assert found["hf2vad_calls_running"][()] <= 1
        assert 0 <= time.time() - found["hf2vad_alive_time_seconds"][()] < 300
    busy = [found for found in watched.during if found["hf2vad_calls_running"][()] == 1]
    assert busy
    left = [found["hf2vad_unscored_videos"][()] for found in busy if "hf2vad_unscored_videos" in found]
    oldest = [found["hf2vad_oldest_unscored_time_seconds"][()] for found in busy if "hf2vad_unscored_videos" in found]
    assert left == sorted(left, reverse=True)
    assert left[0] == 4
    assert oldest[0] == DAY


def test_its_last_figures_are_those_of_its_record(watched: Watched) -> None:
    end, record = watched.at_end, watched.record
    for name in ("frames", "cubes"):
        assert end[f"hf2vad_{name}"] == {(): record[name]}
    assert end["hf2vad_video_bytes"] == {(): record["bytes"]}
    assert end["hf2vad_shards"] == {("done",): record["shards"]} == {("done",): 60}
    videos = {"listed": record["videos"], "finished": record["videos_finished"], "failed": record["failures"]}
    assert end["hf2vad_videos"] == {(outcome,): count for outcome, count in videos.items()}
    assert videos == {"listed": 4, "finished": 4, "failed": 1}
    assert end["hf2vad_busy_seconds"][()] == pytest.approx(record["worker_busy_s"], abs=0.01)
    stages = {(row["thread"], row["stage"]): row["seconds"] for row in record["stages"] if row["seconds"]}
    for name, seconds in stages.items():
        assert end["hf2vad_stage_seconds"][name] == pytest.approx(seconds, abs=0.01), name
    assert end["hf2vad_video_seconds"][()] > 0
    assert end["hf2vad_unscored_videos"] == {(): 0}
    assert set(end["hf2vad_end_time_seconds"]) == {("finished",)}
    assert "hf2vad_retries" not in end


def test_the_record_is_there_from_the_start(watched: Watched) -> None:
    first, last = watched.records[0], watched.record
    assert (first["status"], last["status"]) == ("running", "finished")
    assert first["run"] == last["run"]
    assert first["settings"] == last["settings"]
    assert first["alive"] <= last["alive"]
    assert (last["unscored_videos"], last["oldest_unscored"]) == (0, None)


def test_the_log_tells_of_every_video_and_shard(watched: Watched) -> None:
    lines = watched.lines
    told: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in lines:
        told[line["message"]].append(line)
    assert [line["message"] for line in lines[:2]] == ["lease taken", "run begun"]
    assert [line["message"] for line in lines[-2:]] == ["run ended", "lease given back"]
    assert {(line["run"], line["job"]) for line in lines[1:]} == {(watched.record["run"], "backfill")}
    clips = [f"{night}/a.mp4" for night in NIGHTS]
    assert sorted(line["video"] for line in told["video opened"]) == clips
    assert sorted(line["video"] for line in told["video finished"]) == clips
    shards = sorted((line["video"], *line["shard"]) for line in told["shard done"])
    assert shards == [(clip, start, start + 3) for clip in clips for start in range(0, 60, 3)]
    assert sum(line["cubes"] for line in told["shard done"]) == watched.record["cubes"]
    (failed,) = told["video failed"]
    assert (failed["level"], failed["video"]) == ("warning", "gate/2026-11-24/torn.mp4")
    assert failed["reason"]
    assert told["progress"][-1]["done"] == 180
    assert (told["run ended"][0]["status"], told["run ended"][0]["failures"]) == ("finished", 1)


def start(site: Site, out: Path, *more: object) -> subprocess.Popen[bytes]:
    """Score the site's clips, and return once the run's record is there."""
    places = ("--archive", site.test, "--bundle", site.network, "--out", out, "--engine", "eager")
    command = job("score_archive", *places, "--shard-frames", 2, *more)
    known = len(list(out.glob("runs/*.json")))
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment())
    wait_until(lambda: len(list(out.glob("runs/*.json"))) > known, seconds=90, what="the record")
    return process


def test_a_killed_run_stays_running_in_its_record_and_an_interrupted_one_is_stopped(site: Site, tmp_path: Path) -> None:
    with start(site, tmp_path) as killed:
        killed.kill()
    record = last_run(tmp_path)
    assert record["status"] == "running"
    assert record["process"].endswith(f":{killed.pid}")
    with start(site, tmp_path) as interrupted:
        interrupted.send_signal(signal.SIGINT)
        assert interrupted.wait(60) == 130
    record = last_run(tmp_path)
    assert (record["status"], record["error"]) == ("stopped", "KeyboardInterrupt")


def test_a_run_that_an_error_ends_has_failed(ray_cluster: RayCluster, tmp_path: Path) -> None:
    def run(error: Exception) -> None:
        record = RunRecord("x", RayConfig(), str(tmp_path))
        with open_cluster(RayConfig()) as cluster, RunMonitor(record, Backlog()) as monitor:
            monitor.begin(cluster, {"bundle": "b"})
            monitor.counts.add({"frames": 7})
            raise error

    with pytest.raises(BundleError):
        run(BundleError("s3://vad/b:\nchanged"))
    record = last_run(tmp_path)
    assert (record["status"], record["error"]) == ("failed", "s3://vad/b: changed")
    assert (record["frames"], record["bundle"]) == (7, "b")
    with pytest.raises(ValueError, match="nobody"):
        run(ValueError("something of nobody's"))
    assert last_run(tmp_path)["error"] == "ValueError"
