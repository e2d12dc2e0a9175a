"""A night of backfill over 10,000 videos in S3 of which 9,900 are done: its plan, what it touches, and a takeover.

Example:
    python -m benchmarks backfill
    python -m benchmarks backfill --parts plan --days 10       # 1,000 videos; starts no Ray

The archive lies on a SeaweedFS server of this machine, in folders {camera}/{date}: ten cameras, ten videos a day each.
Those of the last day are new, and real clips; the others hold one byte, and their marks say that they are done. The job
itself runs, as a process, through a proxy that counts its requests by key. The bundle is of full structure, small and
untrained: nothing here depends on its scores.

plan      --dry-run over all days, newest first, and of the last day alone
run       the night itself
takeover  a run is killed when it has the lease; the next one is tried until it works
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import torch

from benchmarks.measure import save
from benchmarks.tables import markdown, results
from hf2vad.bundle.bundle import save_bundle
from hf2vad.demo.archive import generate
from hf2vad.jobs.backfill import BackfillJob
from hf2vad.models.hf2vad import HF2VAD
from hf2vad.runs.scoring import scoring_task
from hf2vad.storage import list_files, put_bytes, read_json
from hf2vad.walk.markers import Marks
from tests.bundles import make_bundle
from tests.fault_proxy import FaultProxy, Faults
from tests.seaweed import SeaweedServer
from tests.site import environment, job, run_process, upload, wait_until
from tests.stc import SMALL_MODEL

CAMERAS, VIDEOS = 10, 10
"""Cameras, and videos of each on one day."""
LAST = date(2026, 11, 24)
BUCKET = "s3://nights"
LEASE_SECONDS = 20
PARTS = ("plan", "run", "takeover")
OPTIONS = ("--archive", f"{BUCKET}/archive", "--bundle", f"{BUCKET}/bundle", "--out", f"{BUCKET}/out")
OPTIONS = (*OPTIONS, "--pattern", "{camera}/{date}/*", "--engine", "eager", "--lease-seconds", str(LEASE_SECONDS))


def names(days: Sequence[date]) -> list[str]:
    cameras = [f"camera_{number:02d}" for number in range(CAMERAS)]
    return [f"{camera}/{day}/{number:02d}.mp4" for camera in cameras for day in days for number in range(VIDEOS)]


def fill(work: Path, days: int) -> None:
    """The archive, a bundle, and the marks of all but the last day."""
    site = generate(work / "site", train_clips=0, test_clips=5, frames=40)
    torch.manual_seed(0)
    save_bundle(str(work / "bundle"), make_bundle(HF2VAD(SMALL_MODEL).state_dict()))
    upload(work / "bundle", f"{BUCKET}/bundle")
    clips = [path.read_bytes() for path in sorted(site.test.glob("*.mp4"))]
    content = dict.fromkeys(names([LAST - timedelta(n) for n in range(1, days)]), b"1")
    content |= {name: clips[number % len(clips)] for number, name in enumerate(names([LAST]))}
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda name: put_bytes(f"{BUCKET}/archive/{name}", content[name]), content))
        asked = BackfillJob.base({"bundle": f"{BUCKET}/bundle"})
        asked = replace(asked, archive=(f"{BUCKET}/archive",), bundle=f"{BUCKET}/bundle", out=f"{BUCKET}/out")
        layout = scoring_task(asked).layout
        marks = Marks(layout.marks)
        done = [video for video in asked.sections.videos() if str(LAST) not in video.id]
        list(pool.map(lambda video: marks.put(video, layout.state(video), failed=False), done))


def timed(proxy: FaultProxy, *more: object) -> dict[str, Any]:
    """One run of the job: its seconds, its requests by kind, and the videos that it touched."""
    proxy.asked.clear()
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    output = run_process("backfill", *OPTIONS, *more, seconds=3600).stdout
    seconds, used = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    asked = Counter(proxy.asked)
    touched = {found[1] for line in asked if (found := re.match(r"(?:GET|HEAD) /nights/archive/([^?]+\.mp4)", line))}
    return {
        "seconds": round(seconds, 2),
        "job_cpu_s": round(used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime, 2),
        "requests": asked.total(),
        "listings": sum(count for line, count in asked.items() if "list-type=2" in line),
        "puts": sum(count for line, count in asked.items() if line.startswith("PUT")),
        "touched": sorted(unquote(name) for name in touched),
        "said": output.strip().splitlines()[-1],
    }


def taken_over(proxy: FaultProxy) -> dict[str, float]:
    """Seconds from an owner's kill until the next run has the lease, tried all the time."""
    put_bytes(f"{BUCKET}/archive/camera_00/{LAST}/late.mp4", b"no video")
    env = {**environment(), "AWS_ENDPOINT_URL": proxy.endpoint}
    proxy.asked.clear()
    with subprocess.Popen(job("backfill", *OPTIONS), stdout=subprocess.DEVNULL, env=env) as owner:
        wait_until(lambda: any("PUT" in line and "/lease/" in line for line in proxy.asked), seconds=60, what="lease")
        owner.send_signal(signal.SIGKILL)
    killed, refused = time.monotonic(), 0
    while True:
        started = time.monotonic()
        code = subprocess.run(job("backfill", *OPTIONS), capture_output=True, env=env).returncode
        if code != 4:
            assert code == 3, code  # the one that is no video
            return {"lease_s": LEASE_SECONDS, "refused_runs": refused, "taken_after_s": round(started - killed, 1)}
        refused += 1


def measured(days: int, parts: Sequence[str]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="backfill-") as name, SeaweedServer(Path(name)) as server:
        os.environ.update(server.env)
        fill(Path(name), days)
        with FaultProxy(server.endpoint, Faults()) as proxy:
            os.environ["AWS_ENDPOINT_URL"] = proxy.endpoint
            found: dict[str, Any] = {"videos": days * CAMERAS * VIDEOS, "new": CAMERAS * VIDEOS}
            if "plan" in parts:
                found["plan"] = timed(proxy, "--dry-run")
                found["plan_newest"] = timed(proxy, "--dry-run", "--order", "newest")
                found["plan_of_a_night"] = timed(proxy, "--dry-run", "--since", LAST)
                assert f"{found['videos'] - found['new']:,} finished before" in found["plan"]["said"], found["plan"]
                for part in ("plan", "plan_newest", "plan_of_a_night"):
                    assert not found[part].pop("touched"), part
            if "run" in parts:
                found["run"] = timed(proxy, "--compact")
                assert found["run"].pop("touched") == names([LAST]), "a video was touched that is not new"
                (record,) = [read_json(entry.uri) for entry in list_files(f"{BUCKET}/out/runs", ".json")]
                kept = ("shards", "frames", "videos", "videos_skipped", "failures", "joined_days", "joined_rows")
                found["run"] |= {key: record[key] for key in kept}
            if "takeover" in parts:
                found["takeover"] = taken_over(proxy)
    return found


def backfill() -> str:
    """Plans and a night over an archive that is nearly done."""
    head = ["", "seconds, start of the job included", "of the job's CPU", "S3 requests", "of them listings"]
    found = results("backfill.json")
    if not found:
        return markdown(head, [["not measured yet", "", "", "", ""]])
    (result,) = found
    label = f"{result['videos']:,} videos, {result['new']} new"
    rows = []
    for part, what in (
        ("plan", f"`--dry-run`: {label}"),
        ("plan_newest", "`--dry-run --order newest`"),
        ("plan_of_a_night", "`--dry-run --since` the last day"),
        ("run", "the night itself, with `--compact`"),
    ):
        if part not in result:
            continue
        one = result[part]
        rows.append(
            [what, f"{one['seconds']:,.1f}", f"{one['job_cpu_s']:,.1f}", f"{one['requests']:,}", f"{one['listings']:,}"]
        )
    return markdown(head, rows)


TABLES = {"backfill": backfill}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=100, help="of ten cameras with ten videos each")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    options = parser.parse_args()
    save("backfill", measured(options.days, options.parts))
