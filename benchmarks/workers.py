"""Worker slots as Ray tasks, which the package has, against an actor for each: docs/adr/0014.

Example:
    python -m benchmarks workers                                # about ten minutes
    python -m benchmarks workers --parts dispatch start --rounds 3

dispatch   calls that do nothing: calls a second, the processors' seconds of the driver and of everything else, and the
driver's memory
start      seconds until each slot has made a call that imports what scoring imports, for the first and for a second job
of one connection
processes  processes that 40 calls were made by, with one and with two CPUs a worker
killed     seconds from a worker's death to the next try's begin
gpu        the same after a failed GPU, and how long after it the worker has ended
shared     seconds that a job of four short calls takes beside one that goes on for a minute
node       what is raised when a node of three is lost, and seconds to the next try's begin

Every part is a driver of its own; the parts of a round share a head node of two CPUs. Tasks and actors take turns,
`--rounds` times. The processors' seconds say more than the clock where a machine does other work too.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.actor_cluster import ActorCluster
from benchmarks.measure import save
from benchmarks.processes import apart
from benchmarks.tables import markdown, results
from benchmarks.worker_calls import fail_first, hold, imports, nothing, rest
from hf2vad.cluster.connection import connected
from hf2vad.cluster.dispatch import Call
from hf2vad.cluster.ray_cluster import RayCluster
from hf2vad.cluster.retries import RetryingCluster
from hf2vad.cluster.settings import RayConfig
from tests.ray_nodes import RayNodes
from tests.site import MARK, ray_head, wait_until

KINDS = ("tasks", "actors")
CALLS = 5000
CLOCK = os.sysconf("SC_CLK_TCK")
LONG_SECONDS = 60.0


@contextlib.contextmanager
def cluster(kind: str, **settings: Any) -> Iterator[RetryingCluster]:
    """A cluster of either kind, on the connected head node."""
    config = RayConfig(**settings)
    if kind == "tasks":
        yield RayCluster(config, use_gpu=False)
        return
    with ActorCluster(config) as actors:
        yield actors


def made(calls: int, to: RetryingCluster, function: Callable[..., Any], *args: object) -> list[Any]:
    """The values of so many calls, as many in flight as the cluster asks for."""
    values: list[Any] = []
    submitted = 0
    while len(values) < calls:
        while submitted < calls and to.running < to.in_flight:
            to.submit(Call(function, args, None))
            submitted += 1
        ended = to.wait()
        assert ended.failure is None, ended.failure
        values.append(ended.value)
    return values


def begins(folder: Path) -> list[tuple[int, float]]:
    """Process id and begin of each try."""
    tries = sorted(path.name.split("-") for path in folder.iterdir())
    return [(int(pid), float(since)) for _, pid, since in tries]


def processor_seconds() -> float:
    """Of all processes on the head node."""
    mark, ticks = f"{MARK}={os.getppid()}".encode(), 0
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0"):
                ticks += sum(map(int, (entry / "stat").read_text().rpartition(")")[2].split()[11:13]))
    return ticks / CLOCK


def dispatch(kind: str, address: str) -> dict[str, float]:
    with connected(address), cluster(kind) as to:
        made(200, to, nothing)
        other, driver, started = processor_seconds(), time.process_time(), time.perf_counter()
        made(CALLS, to, nothing)
        seconds = time.perf_counter() - started
        return {
            "calls_per_second": round(CALLS / seconds, 1),
            "driver_cpu_ms_a_call": round(1000 * (time.process_time() - driver) / CALLS, 3),
            "other_cpu_ms_a_call": round(1000 * (processor_seconds() - other) / CALLS, 3),
            "driver_mib": round(own_mib(os.getpid()), 1),
        }


def start(kind: str, address: str) -> dict[str, float]:
    found = {}
    with connected(address):
        for job in ("first", "second"):
            started = time.perf_counter()
            with cluster(kind) as to:
                pids: set[int] = set()
                while len(pids) < to.capacity:
                    pids |= set(made(to.capacity, to, imports, 0.2))
            found[f"{job}_job_s"] = round(time.perf_counter() - started, 2)
    return found


def processes(kind: str, address: str) -> dict[str, float]:
    found: dict[str, float] = {}
    with connected(address):
        for cpus in (1, 2):
            with cluster(kind, cpus=float(cpus)) as to:
                pids = set(made(40, to, imports, 0.05))
                found[f"processes_at_{cpus}_cpus"] = len(pids)
                if cpus == 1:
                    found["mib_a_process"] = round(statistics.mean(map(own_mib, pids)), 1)
    return found


def own_mib(pid: int) -> float:
    """Memory of a process, what it shares counted in parts."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Pss:")).split()[1]) / 1024


def killed(kind: str, address: str) -> dict[str, float]:
    with connected(address), cluster(kind) as to, tempfile.TemporaryDirectory() as name:
        made(4, to, nothing)
        folder = Path(name)
        to.submit(Call(hold, (name, 60.0), None))
        wait_until(lambda: to.poll(0.05) or begins(folder), seconds=60, what="the first try")
        os.kill(begins(folder)[0][0], signal.SIGKILL)
        at = time.time()
        assert to.wait().failure is None
        return {"next_try_s": round(begins(folder)[1][1] - at, 2)}


def gpu(kind: str, address: str) -> dict[str, Any]:
    with connected(address), cluster(kind) as to, tempfile.TemporaryDirectory() as name:
        made(4, to, nothing)
        folder = Path(name)
        reasons: list[str] = []
        to.on_retry = lambda call, failure, tries: reasons.append(failure)
        to.submit(Call(fail_first, (name,), None))
        ended = to.wait()
        (broken, at), (fresh, again) = begins(folder)
        assert (ended.failure, ended.tries, reasons[0][:14]) == (None, 2, "its GPU failed"), (ended, reasons)
        assert fresh != broken
        wait_until(lambda: not Path(f"/proc/{broken}").exists(), seconds=20, what="the worker's end")
        return {"next_try_s": round(again - at, 2), "worker_ended_s": round(time.time() - at, 2)}


def shared(kind: str, address: str) -> dict[str, float]:
    """The long job makes calls of half a second on both CPUs until the short one ends, or has waited LONG_SECONDS."""
    with connected(address), tempfile.TemporaryDirectory() as name:
        connected_at = Path(name, "connected")
        seconds: dict[str, float] = {}
        short = threading.Thread(target=lambda: seconds.update(apart(short_job, kind, address, str(connected_at))))
        with cluster(kind) as to:
            made(4, to, nothing)
            short.start()
            while short.is_alive():
                made(4, to, rest, 0.5)
                if connected_at.exists() and time.time() - connected_at.stat().st_mtime > LONG_SECONDS:
                    break
        short.join()
        return seconds


def short_job(kind: str, address: str, connected_at: str) -> dict[str, float]:
    with connected(address):
        Path(connected_at).touch()
        started = time.perf_counter()
        with cluster(kind) as to:
            made(4, to, rest, 0.5)
        return {"short_job_s": round(time.perf_counter() - started, 1)}


def node(kind: str, address: str) -> dict[str, Any]:
    """On nodes of its own."""
    with (
        RayNodes(3, {}) as nodes,
        connected(nodes.address),
        tempfile.TemporaryDirectory() as name,
        cluster(kind, node_retries=3) as to,
    ):
        made(9, to, rest, 0.2)
        folders = [Path(name, str(number)) for number in range(3)]
        reasons: list[str] = []
        to.on_retry = lambda call, failure, tries: reasons.append(failure)
        for folder in folders:
            folder.mkdir()
            to.submit(Call(hold, (str(folder), 5.0), None))
        wait_until(lambda: to.poll(0.05) or all(map(begins, folders)), seconds=60, what="three first tries")
        nodes.nodes[-1].lose()
        at = time.time()
        while to.running:
            assert to.wait().failure is None
        (again,) = (begins(folder)[1][1] for folder in folders if len(begins(folder)) > 1)
        return {"failure": reasons[0], "next_try_s": round(again - at, 2)}


PARTS: dict[str, Callable[[str, str], dict[str, Any]]] = {
    function.__name__: function for function in (dispatch, start, processes, killed, gpu, shared, node)
}


def medians(found: dict[str, dict[str, list[Any]]]) -> dict[str, dict[str, dict[str, Any]]]:
    """Of each part and kind, the median of each figure over the rounds; of words, the first."""

    def middle(values: list[Any]) -> Any:
        return values[0] if isinstance(values[0], str) else round(statistics.median(values), 3)

    return {
        part: {kind: {name: middle([one[name] for one in rounds]) for name in rounds[0]} for kind, rounds in of.items()}
        for part, of in found.items()
    }


def workers() -> str:
    """Tasks against actors: medians over the rounds."""
    head = ["", *KINDS]
    found = results("workers.json")
    if not found:
        return markdown(head, [["not measured yet", "", ""]])
    rows = []
    for part, name, label in (
        ("dispatch", "calls_per_second", "calls that do nothing, a second"),
        ("dispatch", "driver_cpu_ms_a_call", "the driver's processor time for one, ms"),
        ("dispatch", "other_cpu_ms_a_call", "that of workers and Ray, ms"),
        ("dispatch", "driver_mib", "the driver's memory after 5,000, MiB"),
        ("start", "first_job_s", "a job's start, until all workers have imported, s"),
        ("start", "second_job_s", "that of the next job of the same process, s"),
        ("processes", "processes_at_1_cpus", "processes at work, one CPU a worker"),
        ("processes", "processes_at_2_cpus", "the same, two CPUs a worker"),
        ("processes", "mib_a_process", "memory of a worker, imports only, MiB"),
        ("killed", "next_try_s", "from a worker's death to the next try, s"),
        ("gpu", "next_try_s", "from a failed GPU to the next try, s"),
        ("gpu", "worker_ended_s", "until its worker has ended, s"),
        ("node", "next_try_s", "from a node's loss to the next try, s"),
        ("node", "failure", "what Ray says of a lost node"),
        ("shared", "short_job_s", "four calls of 0.5 s beside a job that goes on for 60 s, s"),
    ):
        if part in found[0]["median"]:
            rows.append([label, *(shown(found[0]["median"][part][kind][name]) for kind in KINDS)])
    return markdown(head, rows)


def shown(figure: float | str) -> str:
    """A figure with three digits, or words as they are."""
    return figure if isinstance(figure, str) else f"{figure:.3g}"


TABLES = {"workers": workers}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    found: dict[str, dict[str, list[Any]]] = {part: {kind: [] for kind in KINDS} for part in options.parts}
    loads = []
    for number in range(options.rounds):
        with (
            tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder,
            ray_head(Path(folder)) as head,
        ):
            for part in options.parts:
                for kind in KINDS:
                    loads.append(round(os.getloadavg()[0], 1))
                    found[part][kind].append(apart(PARTS[part], kind, head.address))
                    print(f"{number + 1}/{options.rounds} {part}, {kind}: {found[part][kind][-1]}", flush=True)
    save("workers", {"rounds": options.rounds, "calls": CALLS, "loads": loads, "median": medians(found), "all": found})
