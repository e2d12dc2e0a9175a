"""An archive at scale: the driver's rate and memory with work that does nothing, and resume by listing.

Example:
    python -m benchmarks planned                                                    # about an hour
    python -m benchmarks planned --parts dispatch --videos 10 --shards 300
    python -m benchmarks planned --parts local unfinished s3 --finished 20000 --keys 4000

dispatch     the real walk on real Ray over planned videos; calls carry what scoring's carry, and return at once
local        the walk over an archive of empty files, all of which earlier runs finished: two listings, no call
unfinished   videos whose shards are all there, but not their final tables: each is opened, and its folder listed
s3           `local` on a SeaweedFS server of this machine, behind a proxy that waits before each request

Every part is a process of its own, so that its peak of memory is its own.
"""

from __future__ import annotations

import argparse
import os
import pickle
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.processes import SPAWN, apart
from benchmarks.s3_read import Network, memory, run_proxy
from benchmarks.tables import markdown, results
from hf2vad.archive.catalog import Video, catalogue
from hf2vad.bundle.bundle import save_bundle
from hf2vad.cluster.dispatch import Call, Cluster, open_cluster
from hf2vad.cluster.settings import RayConfig
from hf2vad.jobs.score import ScoreJob
from hf2vad.runs.scoring import scoring_task
from hf2vad.storage import exists, put_bytes
from hf2vad.tables.layout import RunLayout, list_shards, shard_name
from hf2vad.tasks.scoring import ScoringTask
from hf2vad.video.shards import Range, Shard
from hf2vad.video.timeline import Timeline
from hf2vad.walk.failures import Failure
from hf2vad.walk.limits import ShardPlan
from hf2vad.walk.markers import Marks
from hf2vad.walk.run import listed_ahead
from hf2vad.walk.walk import Walk, WorkerCalls
from hf2vad.walk.worker import Opened
from tests.bundles import whole_bundle

SHARD_FRAMES = 200
FOLDER = 1000
"""Files in a folder of the archive."""
WAITS_MS = (0.0, 50.0)
"""What the proxy adds to each S3 request."""
WALKED = 1_000_000


@dataclass(frozen=True)
class Planned:
    """A task whose work is to do nothing."""

    layout: RunLayout
    shards: int
    """Of each video."""
    folder: str = ""
    """Where the shards of unfinished videos are."""
    carried: ScoringTask | None = None
    """What travels with every call, though nothing is done with it."""


def planned_task(prefix: str, shards: int, folder: str = "", carried: ScoringTask | None = None) -> Planned:
    """`prefix`: where marks and failure rows are."""
    return Planned(RunLayout(prefix=prefix, plan="planned", final="planned"), shards, folder, carried)


def open_planned(task: Planned, video: Video) -> Opened:
    frames = task.shards * SHARD_FRAMES
    times = np.arange(frames, dtype=np.int64)
    done = frozenset(found for _, found, _ in list_shards(f"{task.folder}/{video.id}")) if task.folder else frozenset()
    return Opened(Timeline(frames, 640, 360, times / 25, times, times[::50]), done)


def work_planned(task: Planned, shard: Shard) -> dict[str, float]:
    return {"frames": shard.stop - shard.start, "cubes": 0}


def close_planned(
    task: Planned, video: Video, timeline: Timeline | None, plan: list[Range], failures: list[Failure]
) -> dict[str, Any]:
    return {"failure": None}


def planned_videos(count: int) -> Iterator[Video]:
    return (Video(f"{n:06d}.mp4", f"s3://planned/{n:06d}.mp4", "file", f"{n:016x}", 1) for n in range(count))


CALLS = WorkerCalls(open_planned, work_planned, close_planned)


def walked(videos: Iterator[Video], task: Planned) -> dict[str, Any]:
    """What a walk did, how long it took, and what the driver, with all that a scoring job imports, came to."""
    with open_cluster(RayConfig(address="local")) as cluster:
        warm(cluster, task)
        before, cpu, started = memory("VmRSS"), time.process_time(), time.perf_counter()
        counts = Walk(cluster, task, ShardPlan(SHARD_FRAMES), calls=CALLS).run(videos, "planned")
        seconds = time.perf_counter() - started
    return {
        "videos": counts.videos,
        "skipped": counts.skipped,
        "shards": counts.shards,
        "shards_found": counts.shards_found,
        "failed": counts.failed,
        "seconds": round(seconds, 2),
        "driver_cpu_s": round(time.process_time() - cpu, 2),
        "driver_mib_before": before,
        "driver_mib_peak": memory("VmHWM"),
    }


def warm(cluster: Cluster, task: Planned) -> None:
    """Workers have started and imported, and the connection to the store is there, before anything is timed."""
    exists(task.layout.marks)
    for video in planned_videos(2 * cluster.in_flight):
        cluster.submit(Call(close_planned, (task, video, None, [], []), None))
    while cluster.running:
        cluster.wait()


def dispatch(folder: str, videos: int, shards: int) -> dict[str, Any]:
    save_bundle(folder, whole_bundle({"flow": 1.0, "frame": 0.1, "motion": 0.1}))
    job = replace(ScoreJob.base({"bundle": folder}), archive=folder, bundle=folder, out=folder)
    task = planned_task("/nowhere", shards, carried=scoring_task(job))
    found = walked(planned_videos(videos), task)
    assert found["shards"] == videos * shards, found
    rate, carried = round(found["shards"] / found["seconds"], 1), len(pickle.dumps(task.carried))
    return {**found, "shards_per_second": rate, "carried_bytes": carried}


def local(archive: str, prefix: str) -> dict[str, Any]:
    found = walked(listed_ahead(catalogue(archive)), planned_task(prefix, 1))
    assert found["skipped"] == found["videos"], found
    return found


def unfinished(folder: str, videos: int, shards: int) -> dict[str, Any]:
    found = walked(planned_videos(videos), planned_task("/nowhere", shards, folder))
    assert (found["shards_found"], found["shards"]) == (videos * shards, 0), found
    return found


def empty_videos(archive: Path, count: int) -> None:
    """Empty files in folders of FOLDER."""
    for number in range(count):
        folder = archive / f"camera_{number // FOLDER:04d}"
        if number % FOLDER == 0:
            folder.mkdir(parents=True)
        (folder / f"{number % FOLDER:06d}.mp4").touch()


def mark_all(archive: str, task: Planned) -> None:
    """Leave the marks that finished videos leave; as empty files without a sync each, which would take hours."""
    made = set()
    for video in catalogue(archive):
        path = Path(task.layout.marks) / f"{video.id}.{task.layout.state(video)}"
        if path.parent not in made:
            path.parent.mkdir(parents=True)
            made.add(path.parent)
        path.touch()


def measure_local(folder: Path, finished: int) -> dict[str, Any]:
    """All finished, and a tenth of them: memory must not grow."""
    found = {}
    for name, count in (("tenth", finished // 10), ("all", finished)):
        archive, prefix = folder / name / "archive", str(folder / name)
        empty_videos(archive, count)
        mark_all(str(archive), planned_task(prefix, 1))
        found[name] = apart(local, str(archive), prefix)
        shutil.rmtree(folder / name)
    return found


def measure_unfinished(folder: Path, videos: int, shards: int) -> dict[str, Any]:
    names = [shard_name((n * SHARD_FRAMES, (n + 1) * SHARD_FRAMES), "0" * 16) for n in range(shards)]
    for video in planned_videos(videos):
        (folder / "shards" / video.id).mkdir(parents=True)
        for name in names:
            (folder / "shards" / video.id / name).touch()
    found = apart(unfinished, str(folder / "shards"), videos, shards)
    shutil.rmtree(folder / "shards")
    return found


def measure_s3(folder: Path, keys: int) -> dict[str, Any]:
    """The walk over `keys` finished videos, by what a request waits; and what 1,000,000 come to.

    For that, a tenth of them is walked over too: what a walk takes however long it is, counts once.
    """
    from tests.seaweed import SeaweedServer

    found: dict[str, Any] = {}
    with SeaweedServer(folder) as server:
        os.environ.update(server.env)
        for count in (keys // 10, keys):
            finished_in_s3(f"s3://planned/{count}", count)
        for wait in WAITS_MS:
            for count in (keys // 10, keys):
                found[f"{count}_at_{wait:.0f}_ms"] = through_proxy(server.endpoint, wait, f"s3://planned/{count}")
    found["stated"] = [stated(found, keys, wait) for wait in WAITS_MS]
    return found


def stated(found: dict[str, Any], keys: int, wait: float) -> dict[str, float]:
    few, many = (found[f"{count}_at_{wait:.0f}_ms"] for count in (keys // 10, keys))
    each = {name: (many[name] - few[name]) / (keys - keys // 10) for name in ("seconds", "requests")}
    return {
        "finished": WALKED,
        "wait_ms": wait,
        "requests": round(each["requests"] * WALKED),
        "seconds": round(few["seconds"] + each["seconds"] * WALKED, 1),
    }


def finished_in_s3(prefix: str, count: int) -> None:
    """An archive of empty objects in folders of FOLDER, and a mark for each."""
    layout = planned_task(prefix, 1).layout
    marks = Marks(layout.marks)
    put_bytes(f"{prefix}/archive/camera_0000/000000.mp4", b"")
    with ThreadPoolExecutor(16) as pool:
        uris = [f"{prefix}/archive/camera_{n // FOLDER:04d}/{n % FOLDER:06d}.mp4" for n in range(1, count)]
        list(pool.map(lambda uri: put_bytes(uri, b""), uris))
        videos = catalogue(f"{prefix}/archive")
        list(pool.map(lambda video: marks.put(video, layout.state(video), failed=False), videos))


def through_proxy(endpoint: str, wait_ms: float, prefix: str) -> dict[str, Any]:
    host, port = endpoint.removeprefix("http://").split(":")
    counts = SPAWN.Array("q", 2, lock=False)
    listening, tell = SPAWN.Pipe(duplex=False)
    proxy = SPAWN.Process(target=run_proxy, args=((host, int(port)), Network(wait_ms, None), tell, counts), daemon=True)
    proxy.start()
    before = os.environ["AWS_ENDPOINT_URL"]
    os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{listening.recv()}"
    try:
        found = apart(local, f"{prefix}/archive", prefix)
    finally:
        os.environ["AWS_ENDPOINT_URL"] = before
        proxy.terminate()
        proxy.join()
    return {**found, "requests": counts[0], "bytes": counts[1]}


def planned() -> str:
    """Dispatch and resume at scale."""
    head = ["", "videos", "shards", "seconds", "a second", "driver's peak"]
    found = results("planned.json")
    if not found:
        return markdown(head, [["not measured yet", "", "", "", "", ""]])
    (result,) = found
    rows = []
    for name, label, unit in (
        ("dispatch", "shards that do nothing", "shards"),
        ("local", "resume, all finished, local", "videos"),
        ("unfinished", "resume, all shards there, local", "shards_found"),
        ("s3", "resume, all finished, S3", "videos"),
    ):
        for case, one in cases(result.get(name)):
            shards = one["shards"] + one["shards_found"]
            rate = one[unit] / one["seconds"]
            cells = [f"{one['videos']:,}", f"{shards:,}", f"{one['seconds']:,.1f}", f"{rate:,.0f}"]
            rows.append([f"{label}{case}", *cells, f"{one['driver_mib_peak']} MiB"])
    return markdown(head, rows)


def cases(part: dict[str, Any] | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """The walks of a part: what tells each from the others, and its figures."""
    if part is None:
        return
    if "seconds" in part:
        yield "", part
        return
    for name, one in part.items():
        if name != "stated":
            wait = name.partition("_at_")[2].replace("_", " ")
            yield f", {wait} more a request" if wait else "", one


def planned_s3() -> str:
    """What a resume scan of 1,000,000 finished videos in S3 comes to."""
    head = ["finished videos", "wait added to a request", "requests", "seconds"]
    found = [result["s3"]["stated"] for result in results("planned.json") if "s3" in result]
    if not found:
        return markdown(head, [["not measured yet", "", "", ""]])
    rows = [
        [f"{one['finished']:,}", f"{one['wait_ms']:.0f} ms", f"{one['requests']:,}", f"{one['seconds']:,.0f}"]
        for one in found[0]
    ]
    return markdown(head, rows)


TABLES = {"planned": planned, "planned_s3": planned_s3}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = ("dispatch", "local", "unfinished", "s3")
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts)
    parser.add_argument("--videos", type=int, default=1000, help="of dispatch and unfinished")
    parser.add_argument("--shards", type=int, default=1000, help="of each of those videos")
    parser.add_argument("--finished", type=int, default=WALKED, help="videos of local")
    parser.add_argument("--keys", type=int, default=20_000, help="videos of s3")
    parser.add_argument("--work", type=Path, help="folder for the files, by default a temporary one")
    options = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory(dir=options.work, prefix="planned-") as name:
        folder = Path(name)
        runs: dict[str, Callable[[], dict[str, Any]]] = {
            "dispatch": lambda: apart(dispatch, str(folder), options.videos, options.shards),
            "local": lambda: measure_local(folder, options.finished),
            "unfinished": lambda: measure_unfinished(folder, options.videos, options.shards),
            "s3": lambda: measure_s3(folder, options.keys),
        }
        for part in options.parts:
            found[part] = runs[part]()
            print(f"{part}: {found[part]}", flush=True)
    from benchmarks.measure import save

    save("planned", {"shard_frames": SHARD_FRAMES, **found})
