"""S3 videos read in place, or spooled to local disk first: time, bytes fetched and memory, on a real S3 server.

Example:
    python -m benchmarks s3_read

A SeaweedFS server on this machine holds one generated H.264 video. A proxy before it adds a wait to each request and,
where stated, limits each connection's bandwidth; it counts requests and bytes. Every reading is a process of its own,
that probes the video's timeline, cuts it in shards and decodes them one after the other, as workers do.

in_place     `hf2vad.storage.open_read` as it is; `block_mib` is what it reads ahead by, where that is not its own
spool_once   one download to a temporary file, from which everything is read: all shards on one machine
spool_each   a download for the timeline and one for each shard: shards on machines that share nothing
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import av
import numpy as np
import s3fs

from hf2vad.archive.catalog import Video, catalogue
from hf2vad.storage import atomic_writer, s3
from hf2vad.video.decode import decode
from hf2vad.video.shards import cut_shards
from hf2vad.video.timeline import probe

ROOT = Path(__file__).resolve().parents[1]
SHARD_FRAMES = 200
SIZE, FPS = (640, 360), 25
SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Network:
    """What the proxy adds to the loopback interface."""

    wait_ms: float
    """Before each request goes on to the server."""
    mbit_s: float | None
    """Of the server's answers on one connection; none: as fast as it goes."""


NETWORKS = (Network(0, None), Network(20, None), Network(20, 400))
READINGS: tuple[tuple[str, int | None], ...] = (("in_place", None), ("spool_once", None), ("spool_each", None))
BLOCKS: tuple[tuple[str, int | None], ...] = (("in_place", 1), ("in_place", 2), ("in_place", 16))
"""Other sizes, on the last network only."""


def make_video(path: Path, seconds: int, mbit_s: float) -> None:
    """Noise that drifts, so that the encoder needs all its bits; a keyframe every two seconds, the index at the end."""
    width, height = SIZE
    rng = np.random.default_rng(0)
    texture = rng.integers(0, 256, (height + 200, width + 200, 3), np.uint8)
    grain = [rng.integers(0, 24, (height, width, 3), np.uint8) for _ in range(7)]
    with av.open(str(path), "w") as container:
        options = {"preset": "ultrafast", "g": "50", "bf": "2", "maxrate": f"{mbit_s}M", "bufsize": f"{mbit_s}M"}
        stream = container.add_stream("libx264", rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = width, height, "yuv420p", int(mbit_s * 1e6)
        for number in range(seconds * FPS):
            x, y = int(100 + 99 * np.sin(number / 60)), int(100 + 99 * np.cos(number / 85))
            picture = texture[y : y + height, x : x + width] // 2 + grain[number % 7]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode(None))


def run_proxy(target: tuple[str, int], network: Network, port: Connection, counts: Any) -> None:
    """Pass connections on to `target` until the process is ended; `counts`: requests, and bytes of their answers."""

    async def serve(client: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        server, request = await asyncio.open_connection(*target)
        asking = False

        async def up() -> None:
            nonlocal asking
            while data := await client.read(2**18):
                if not asking:  # the first bytes since the last answer
                    asking = True
                    counts[0] += 1
                    await asyncio.sleep(network.wait_ms / 1000)
                request.write(data)
                await request.drain()
            request.close()

        async def down() -> None:
            nonlocal asking
            while data := await server.read(2**18):
                asking = False
                counts[1] += len(data)
                if network.mbit_s:
                    await asyncio.sleep(len(data) * 8 / (network.mbit_s * 1e6))
                answer.write(data)
                await answer.drain()
            answer.close()

        await asyncio.gather(up(), down(), return_exceptions=True)

    async def main() -> None:
        listener = await asyncio.start_server(serve, "127.0.0.1", 0)
        port.send(listener.sockets[0].getsockname()[1])
        await listener.serve_forever()

    asyncio.run(main())


def spooled(video: Video, folder: Path) -> Video:
    """The video in a local file, downloaded with one request and never held whole in memory."""
    path = folder / "spooled.mp4"
    s3fs.S3FileSystem(use_listings_cache=False).get_file(video.uri, str(path))
    return replace(video, uri=str(path))


def read_video(mode: str, block_mib: int | None, uri: str, counts: Any, result: Connection) -> None:
    """Probe and decode the video at `uri`; sends what each step took."""
    if block_mib:
        s3.READ_BLOCK = block_mib * 2**20
    (video,) = catalogue(uri)
    steps: list[dict[str, object]] = []
    before = memory("VmRSS")

    def steps_of(folder: Path) -> Iterator[str]:
        here = spooled(video, folder) if mode == "spool_once" else video
        if mode == "spool_once":
            yield "download"
        timeline = probe(spooled(video, folder) if mode == "spool_each" else here)
        yield "timeline"
        for shard in cut_shards(here, timeline, SHARD_FRAMES):
            part = replace(shard, video=spooled(video, folder)) if mode == "spool_each" else shard
            decoded = sum(frame.image is not None for frame in decode(part))
            assert decoded == shard.last - shard.first
            yield f"shard {shard.start}-{shard.stop}"

    started = time.perf_counter()
    seen = list(counts)
    with tempfile.TemporaryDirectory() as folder:
        for step in steps_of(Path(folder)):
            now, count = time.perf_counter(), list(counts)
            seconds, requests, fetched = now - started, count[0] - seen[0], count[1] - seen[1]
            steps.append({"step": step, "seconds": round(seconds, 3), "requests": requests, "bytes": fetched})
            started, seen = now, count
    result.send({"steps": steps, "rss_mib_before": before, "rss_mib_peak": memory("VmHWM")})


def memory(name: str) -> int:
    """A line of this process's status, MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) // 1024


def measure(endpoint: str, network: Network, mode: str, block_mib: int | None, uri: str) -> dict[str, Any]:
    """One reading through a proxy of its own."""
    host, port = endpoint.removeprefix("http://").split(":")
    counts = SPAWN.Array("q", 2, lock=False)
    listening, tell = SPAWN.Pipe(duplex=False)
    proxy = SPAWN.Process(target=run_proxy, args=((host, int(port)), network, tell, counts), daemon=True)
    proxy.start()
    os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{listening.recv()}"
    results, send = SPAWN.Pipe(duplex=False)
    reader = SPAWN.Process(target=read_video, args=(mode, block_mib, uri, counts, send), daemon=True)
    reader.start()
    send.close()
    found: dict[str, Any] = results.recv()
    reader.join()
    proxy.terminate()
    proxy.join()
    return found


def summary(runs: list[dict[str, Any]]) -> dict[str, object]:
    """The run of middle length, with totals of all."""
    totals = [sum(step["seconds"] for step in run["steps"]) for run in runs]
    middle = runs[totals.index(statistics.median_low(totals))]
    shards = [step["seconds"] for step in middle["steps"] if step["step"].startswith("shard")]
    return {
        "seconds": round(statistics.median_low(totals), 2),
        "seconds_of_all_runs": sorted(round(total, 2) for total in totals),
        "seconds_per_shard": round(statistics.mean(shards), 3),
        "requests": sum(step["requests"] for step in middle["steps"]),
        "mib_fetched": round(sum(step["bytes"] for step in middle["steps"]) / 2**20, 1),
        "rss_mib_before": middle["rss_mib_before"],
        "rss_mib_peak": max(run["rss_mib_peak"] for run in runs),
        "steps": middle["steps"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=120, help="length of the video")
    parser.add_argument("--mbit-s", type=float, default=4.0, help="its bit rate")
    parser.add_argument("--runs", type=int, default=3, help="of each reading; the middle one is reported")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "s3_read.json")
    options = parser.parse_args()
    from tests.seaweed import SeaweedServer

    results = []
    load = os.getloadavg()
    with tempfile.TemporaryDirectory() as folder, SeaweedServer(Path(folder, "server")) as server:
        os.environ.update(server.env)
        path, uri = Path(folder, "video.mp4"), "s3://benchmark/video.mp4"
        make_video(path, options.seconds, options.mbit_s)
        with atomic_writer(uri) as file:
            file.write(path.read_bytes())
        for network in NETWORKS:
            for mode, block_mib in READINGS + (BLOCKS if network is NETWORKS[-1] else ()):
                runs = [measure(server.endpoint, network, mode, block_mib, uri) for _ in range(options.runs)]
                found = {"reading": mode, "block_mib": block_mib, **vars(network), **summary(runs)}
                results.append(found)
                print({name: value for name, value in found.items() if name != "steps"}, flush=True)
        size = path.stat().st_size
    from benchmarks.machine import describe  # not above: it loads torch, which would count as memory of every reading

    video = {"seconds": options.seconds, "frames": options.seconds * FPS, "size": SIZE, "codec": "h264", "bytes": size}
    machine = {**describe(), "load_at_start": [round(value, 1) for value in load]}
    settings = {"shard_frames": SHARD_FRAMES, "own_block_mib": s3.READ_BLOCK / 2**20, "runs": options.runs}
    report = {"benchmark": "s3_read", "machine": machine, "video": video, **settings}
    options.out.write_text(json.dumps({**report, "results": results}, indent=2) + "\n")
    print(f"written to {options.out}")
