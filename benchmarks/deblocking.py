"""Extraction without deblocking (decode.skip_loop_filter): what it saves, and what it does to boxes.

Example:
    python -m benchmarks deblocking --videos yard_1080p.mp4 --start 450

Settings of preset `features`. One process; variants interleaved; seconds are the processor's, so that a busy machine
counts less. *Same*: of the boxes without deblocking, the share that a box of the same frame with it overlaps by half
(intersection over union), and the other way round. Writes benchmarks/results/deblocking.json.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import get_args, get_type_hints

from benchmarks.detector_fps import overlapped
from benchmarks.measure import interleave, save, summary
from benchmarks.tables import markdown, results
from hf2vad.archive.catalog import catalogue
from hf2vad.archive.settings import DecodeConfig
from hf2vad.cubes.extract import Extractor
from hf2vad.presets import preset
from hf2vad.schema import F32
from hf2vad.video.decode import decode
from hf2vad.video.shards import Shard
from hf2vad.video.timeline import probe

CHOICES = get_args(get_type_hints(DecodeConfig)["skip_loop_filter"])
MEASURED = ("decoding", "extraction")


def boxes_of(extractor: Extractor, shard: Shard) -> dict[int, F32]:
    """Boxes of each frame that has some."""
    return {batch.frame: batch.boxes for batch in extractor.cubes(shard) if len(batch.boxes)}


def decoded(shard: Shard) -> int:
    """Decode a shard into pictures."""
    return sum(frame.image is not None for frame in decode(shard))


def measured(path: Path, start: int, frames: int, repeats: int) -> dict[str, object]:
    """One video: seconds of decoding and of extraction with each choice, and how alike its boxes are."""
    (video,) = [video for video in catalogue(str(path.parent)) if video.id == path.name]
    base = preset("features").extraction
    configs = {name: replace(base, decode=replace(base.decode, skip_loop_filter=name)) for name in CHOICES}
    timelines = {name: probe(video, decode=config.decode) for name, config in configs.items()}
    extractors = {name: Extractor(config) for name, config in configs.items()}
    start = max(0, min(start, timelines["none"].frame_count - frames))
    shards = {name: next(each.shards(video, timelines[name], frames, start=start)) for name, each in extractors.items()}
    boxes = {name: boxes_of(each, shards[name]) for name, each in extractors.items()}
    decoding = {name: partial(decoded, shard) for name, shard in shards.items()}
    extraction = {name: partial(boxes_of, each, shards[name]) for name, each in extractors.items()}
    timed = partial(interleave, repeats=repeats, warm=0, clock=time.process_time)
    frames = shards["none"].stop - start
    return {
        "size": f"{timelines['none'].width}x{timelines['none'].height}",
        "frames": frames,
        "decoding": summary(timed(decoding), "none", units=frames),
        "extraction": summary(timed(extraction), "none", units=frames),
        "boxes": {name: sum(map(len, each.values())) for name, each in boxes.items()},
        "same": {
            name: [round(overlapped(each, boxes["none"]), 4), round(overlapped(boxes["none"], each), 4)]
            for name, each in boxes.items()
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path, nargs="+", required=True, help="H.264 or H.265")
    parser.add_argument("--start", type=int, default=0, help="first frame; earlier in a video that is too short")
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    videos = {path.name: measured(path, options.start, options.frames, options.repeats) for path in options.videos}
    save("deblocking", {"start": options.start, "repeats": options.repeats, "videos": videos})


def table() -> str:
    """Milliseconds of the processor a frame, and boxes that stay where they are, by video and choice."""
    rows: list[Sequence[str]] = []
    for result in results("deblocking.json"):
        for name, video in result["videos"].items():
            for choice in video["decoding"]:
                spent = [f"{1000 * video[what][choice]['seconds'] / video['frames']:.2f}" for what in MEASURED]
                near = " / ".join(f"{100 * share:.1f}" for share in video["same"][choice])
                rows.append([f"{name}, {video['size']}", f"`{choice}`", *spent, str(video["boxes"][choice]), near])
    head = ["video", "skipped in", "decoding, ms a frame", "extraction, ms a frame", "boxes", "the same boxes, %"]
    return markdown(head, [list(row) for row in rows] or [["not measured yet", *[""] * 5]])


TABLES = {"deblocking": table}

if __name__ == "__main__":
    main()
