"""Extraction on one core: time of each stage by frame size, frames/s into Parquet, cutting against the naive loop.

Example:
    python -m benchmarks extraction --work /tmp/extraction
    python -m benchmarks extraction --work /tmp/extraction --repeats 2 --sizes 360x240 640x360

Renders the demo's street at each size and encodes it as H.264 (x264 veryfast, crf 23); boxes are what moves. Settings
are those of preset `compact` (frames longer than 960 pixels are scaled down) with DIS fast at scale 1; 640×360 end to
end at the preset's scale 2 too. One process on one core, one thread each for OpenCV and FFmpeg. Stages are timed one
after the other in one thread; end to end runs the threads of extraction as jobs do. Writes
benchmarks/results/extraction.json.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks._stages import STAGES, Cut, clip, settings, stages
from benchmarks.measure import interleave, save, summary
from benchmarks.tables import markdown, results
from hf2vad.archive.settings import LimitsConfig
from hf2vad.cubes.cut import cut_cubes, pixel_boxes
from hf2vad.cubes.settings import ExtractionConfig
from hf2vad.jobs.extract import ExtractJob
from hf2vad.runs.extraction import extraction_task
from hf2vad.schema import APPEARANCE_BYTES, F32, FLOW_BYTES, FRAMES, U8
from hf2vad.video.container import decode_packets, opened, video_stream
from hf2vad.video.decode import Converter
from hf2vad.video.images import scaled_down
from hf2vad.video.shards import Shard
from hf2vad.walk.worker import run_shard

SIZES = {"360x240": 120, "640x360": 120, "1280x720": 60, "1920x1080": 40, "3840x2160": 20}
"""Frames of the clip of each size."""


def naive(boxes: F32, frames: Sequence[U8], flows: Sequence[F32]) -> None:
    """Every box of every frame resized alone, then put together."""
    height, width = frames[-1].shape[:2]
    pixels, vectors = [], []
    for x1, y1, x2, y2 in pixel_boxes(boxes, width, height):
        pixels.append(np.stack([cv2.resize(frame[y1:y2, x1:x2], (32, 32)) for frame in frames]))
        vectors.append(np.stack([cv2.resize(field[y1:y2, x1:x2], (32, 32)) for field in flows]).astype(np.float16))
    if pixels:
        np.stack(pixels), np.stack(vectors)


def stacked(boxes: F32, frames: Sequence[U8], flows: Sequence[F32]) -> None:
    """All frames of a box resized at once, as 15 channels, and all flows as 8; then put in order."""
    height, width = frames[-1].shape[:2]
    appearance, flow = np.empty((len(boxes), 5, 32, 32, 3), np.uint8), np.empty((len(boxes), 4, 32, 32, 2), np.float16)
    for i, (x1, y1, x2, y2) in enumerate(pixel_boxes(boxes, width, height)):
        pixels = cv2.resize(np.concatenate([frame[y1:y2, x1:x2] for frame in frames], axis=2), (32, 32))
        vectors = cv2.resize(np.concatenate([field[y1:y2, x1:x2] for field in flows], axis=2), (32, 32))
        appearance[i] = pixels.reshape(32, 32, 5, 3).transpose(2, 0, 1, 3)
        flow[i] = vectors.reshape(32, 32, 4, 2).transpose(2, 0, 1, 3)


def written(shard: Shard, config: ExtractionConfig) -> Callable[[], object]:
    """Extraction of the clip into a Parquet file, as jobs/extract_stc.py works on a shard."""

    def run() -> object:
        with tempfile.TemporaryDirectory() as out:
            job = ExtractJob(archive="", out=out, boxes="")
            return run_shard(extraction_task(job, config), shard)

    return run


def by_stage(shards: Mapping[str, Shard], repeats: int) -> dict[str, dict[str, Any]]:
    """Of each size: what its clip is like, and the median over the passes of each stage's time a frame."""
    config = settings()
    passes: dict[str, list[dict[str, float]]] = {size: [] for size in shards}
    for number in range(1 + repeats):
        for size, shard in shards.items():
            found = stages(shard, config)
            if number:
                passes[size].append(found)
    sizes = {}
    for size, shard in shards.items():
        count = shard.frame_count
        ms = {name: 1000 / count * statistics.median(found[name] for found in passes[size]) for name in STAGES}
        sizes[size] = {
            "working": "x".join(map(str, config.working.size(shard.width, shard.height))),
            "frames": count,
            "mbit_per_s": round(8e-6 * shard.video.size / (shard.pts_s[-1] - shard.pts_s[0]), 2),
            "boxes_per_frame": round(sum(len(cut[0]) for cut in cuts_of(shard)) / (count - FRAMES), 2),
            "ms_per_frame": {name: round(value, 3) for name, value in ms.items()},
        }
    return sizes


def cuts_of(shard: Shard) -> list[Cut]:
    cuts: list[Cut] = []
    stages(shard, settings(), cuts)
    return cuts


def end_to_end(shards: Mapping[str, Shard], repeats: int) -> dict[str, dict[str, float]]:
    """Frames a second into Parquet: median, slowest and fastest of the runs."""
    jobs = {size: (shard, settings()) for size, shard in shards.items()}
    if "640x360" in shards:
        jobs["640x360, scale 2"] = (shards["640x360"], settings(2.0))
    seconds = interleave({name: written(*job) for name, job in jobs.items()}, repeats=repeats)
    found = {}
    for name, (shard, _) in jobs.items():
        rates = sorted(shard.frame_count / value for value in seconds[name])
        rates = [round(rate, 1) for rate in rates]
        found[name] = {"median": statistics.median(rates), "slowest": rates[0], "fastest": rates[-1]}
    return found


def cutting(shard: Shard, repeats: int) -> dict[str, Any]:
    """All boxes of a clip cut in the three ways; `units` are cubes."""
    cuts = cuts_of(shard)

    def each(cut: Callable[[F32, list[U8], list[F32]], object]) -> Callable[[], object]:
        return lambda: [cut(*frame) for frame in cuts]

    ways = {"one by one (naive)": each(naive), "stacked channels": each(stacked), "into place (ours)": each(cut_cubes)}
    cubes = sum(len(boxes) for boxes, _, _ in cuts)
    seconds = interleave(ways, repeats=repeats)
    return {"cubes": cubes, "ways": summary(seconds, "one by one (naive)", units=cubes)}


def scaling(shards: Mapping[str, Shard], repeats: int) -> dict[str, dict[str, dict[str, float]]]:
    """Of each size that is scaled down: a frame converted and scaled in one step, and in two. `units` are frames."""
    found = {}
    for size, shard in shards.items():
        working = settings().working.size(shard.width, shard.height)
        if working == (shard.width, shard.height):
            continue
        with opened(shard.video, pixels=LimitsConfig().pixels) as container:
            stream = video_stream(container, shard.video)
            frame = next(decode_packets(container.demux(stream), stream))
        one, two = Converter(settings().working.size), Converter()

        def in_two(convert: Converter = two, frame: Any = frame, size: tuple[int, int] = working) -> object:
            image = convert(frame)
            assert image is not None
            return scaled_down(image, size)

        seconds = interleave({"one": partial(one, frame), "two": in_two}, repeats=3 * repeats)
        found[size] = summary(seconds, "two")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for the rendered clips")
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)), help="the core to stay on")
    options = parser.parse_args()
    os.sched_setaffinity(0, {options.core})
    shards = {size: clip(options.work, *map(int, size.split("x")), SIZES[size]) for size in options.sizes}
    size = "640x360" if "640x360" in shards else next(iter(shards))
    result = {
        "core": options.core,
        "repeats": options.repeats,
        "sizes": by_stage(shards, options.repeats),
        "end_to_end_frames_per_s": end_to_end(shards, options.repeats),
        "scaling": scaling(shards, options.repeats),
        "cut": {"size": size, **cutting(shards[size], 3 * options.repeats)},
    }
    save("extraction", result)


def stage_table() -> str:
    """Milliseconds of each stage, and frames a second end to end, by frame size."""
    rows = []
    for result in results("extraction.json"):
        for name, rate in result["end_to_end_frames_per_s"].items():
            size = name.split(",")[0]
            found = result["sizes"][size]
            ms = found["ms_per_frame"].values() if size == name else [0] * len(STAGES)
            clip_ = [found["working"], f"{found['mbit_per_s']:.1f}", f"{found['boxes_per_frame']:.1f}"]
            rows.append([name, *clip_, *(f"{value:.2f}" if value else "" for value in ms), f"{rate['median']:.0f}"])
    head = ["frames", "worked on at", "Mbit/s", "boxes a frame", *STAGES, "into Parquet, frames/s"]
    return markdown(head, rows or [["not measured yet", *[""] * (len(head) - 1)]])


def cut_table() -> str:
    """Cubes a second of the ways to cut."""
    rows = [
        [name, f"{way['per_second']:.0f}", f"{way['ratio']:.2f}"]
        for result in results("extraction.json")
        for name, way in result["cut"]["ways"].items()
    ]
    return markdown(["crops resized", "cubes/s", "against naive"], rows or [["not measured yet", "", ""]])


def scaling_table() -> str:
    """Milliseconds to convert and scale a frame in one step and in two."""
    rows = [
        [size, f"{1000 * ways['one']['seconds']:.2f}", f"{1000 * ways['two']['seconds']:.2f}"]
        for result in results("extraction.json")
        for size, ways in result["scaling"].items()
    ]
    return markdown(["frames", "in one step, ms", "in two, ms"], rows or [["not measured yet", "", ""]])


def bound_table() -> str:
    """How many times as fast extraction would be if a stage cost nothing, and what would be copied to a GPU instead.

    On one core the rest of a frame's time stays; with a core for each thread, the slowest of the threads that are left.
    """
    rows = []
    for result in results("extraction.json"):
        for name, rate in result["end_to_end_frames_per_s"].items():
            size = name.split(",")[0]
            found, total = result["sizes"][size], 1000 / rate["median"]
            ms = found["ms_per_frame"]
            on_one = [f"{total / (total - ms[stage]):.2f}" for stage in ("decode", "cut", "flow")]
            on_three = [f"{slowest(ms) / slowest({**ms, stage: 0.0}):.2f}" for stage in ("decode", "cut", "flow")]
            if name != size:  # at another scale, flow is not measured alone
                on_one, on_three = [*on_one[:2], ""], [""] * 3
            width, height = map(int, found["working"].split("x"))
            copied = [found["boxes_per_frame"] * (APPEARANCE_BYTES + FLOW_BYTES), width * height * (3 + 2 * 4)]
            rows.append([name, *on_one, *on_three, *(f"{value / 1024:,.0f}" for value in copied)])
    stages_ = [f"{name}, {where}" for where in ("one core", "a core a thread") for name in ("decode", "cut", "flow")]
    head = ["frames", *stages_, "cubes, KiB a frame", "pixels and flow, KiB a frame"]
    return markdown(head, rows or [["not measured yet", *[""] * 8]])


def slowest(ms: Mapping[str, float]) -> float:
    """Milliseconds a frame of the slowest thread: decoding, flow, or boxes and cutting."""
    return max(ms["decode"] + ms["convert"] + ms["grey and blur"], ms["flow"], ms["boxes"] + ms["cut"])


TABLES = {"extraction": stage_table, "extraction_bounds": bound_table, "cutting": cut_table, "scaling": scaling_table}

if __name__ == "__main__":
    main()
