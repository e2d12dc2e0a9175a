"""Extraction with a network that detects on some frames: what it costs, and how near the carried boxes are.

Example:
    python -m benchmarks detector_fps --model yolox_nano.onnx --videos vtest.avi intel_car-detection.mp4

Settings of preset `features` with motion and the network, without tiles, at each rate of detection. One process;
variants interleaved; seconds are the processor's, so that a busy machine counts less. *Carried*: of the network's boxes
of each frame at that rate, the share that one from detecting on that very frame overlaps by half (intersection over
union). Writes benchmarks/results/detector_fps.json.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.measure import interleave, save, summary
from benchmarks.tables import markdown, results
from hf2vad.archive.catalog import catalogue
from hf2vad.cubes.extract import Extractor
from hf2vad.cubes.settings import ExtractionConfig
from hf2vad.presets import preset
from hf2vad.schema import F32
from hf2vad.video.shards import Shard
from hf2vad.video.timeline import Timeline, probe

RATES = (0.0, 5.0, 2.5)


def at(fps: float, model: Path) -> ExtractionConfig:
    """Settings of the preset with motion and the network, which detects at `fps`."""
    extraction = preset("features").extraction
    detector = replace(extraction.detector, kinds=("onnx", "motion"), model=str(model), confidence=0.3, fps=fps)
    return replace(extraction, detector=detector)


def detected(extractor: Extractor, shard: Shard) -> dict[int, F32]:
    """The network's boxes of each frame that has some."""
    boxes = {}
    for batch in extractor.cubes(shard):
        if batch.classes is not None and (batch.classes >= 0).any():
            boxes[batch.frame] = batch.boxes[batch.classes >= 0]
    return boxes


def overlapped(boxes: Mapping[int, F32], truth: Mapping[int, F32]) -> float:
    """Share of `boxes` that a box of the same frame in `truth` overlaps by half."""
    hits: list[bool] = []
    for frame, own in boxes.items():
        others = truth.get(frame, np.empty((0, 4), np.float32))
        low, high = np.maximum(own[:, None, :2], others[None, :, :2]), np.minimum(own[:, None, 2:], others[None, :, 2:])
        shared = np.clip(high - low, 0, None).prod(axis=2)
        areas = [(each[:, 2:] - each[:, :2]).prod(axis=1) for each in (own, others)]
        union = areas[0][:, None] + areas[1][None, :] - shared
        hits += (shared > 0.5 * union).any(axis=1).tolist()
    return float(np.mean(hits))


def measured(extractors: Mapping[str, Extractor], path: Path, frames: int, repeats: int) -> dict[str, object]:
    """One video: seconds of each rate, and how near its boxes are."""
    (video,) = [video for video in catalogue(str(path.parent)) if video.id == path.name]
    timeline: Timeline = probe(video)
    shards = {name: next(each.shards(video, timeline, frames)) for name, each in extractors.items()}
    boxes = {name: detected(each, shards[name]) for name, each in extractors.items()}
    runs = {name: partial(detected, each, shards[name]) for name, each in extractors.items()}
    seconds = interleave(runs, repeats=repeats, warm=0, clock=time.process_time)
    return {
        "size": f"{timeline.width}x{timeline.height}",
        "fps": round((timeline.frame_count - 1) / float(timeline.pts_s[-1]), 2),
        "frames": frames,
        "rates": summary(seconds, "0", units=frames),
        "carried": {name: round(overlapped(each, boxes["0"]), 4) for name, each in boxes.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--videos", type=Path, nargs="+", required=True)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    extractors = {f"{fps:g}": Extractor(at(fps, options.model)) for fps in RATES}
    videos = {path.name: measured(extractors, path, options.frames, options.repeats) for path in options.videos}
    save("detector_fps", {"model": options.model.name, "repeats": options.repeats, "videos": videos})


def table() -> str:
    """Milliseconds of the processor a frame, and boxes that are where detection finds them, by video and rate."""
    rows: list[Sequence[str]] = []
    for result in results("detector_fps.json"):
        for name, video in result["videos"].items():
            for rate, figures in video["rates"].items():
                spent = f"{1000 * figures['seconds'] / video['frames']:.1f}"
                where = "every frame" if rate == "0" else f"{rate} frames/s"
                near = f"{100 * video['carried'][rate]:.0f}%"
                clip = f"{name}, {video['size']}, {video['fps']:g} frames/s"
                rows.append([clip, where, spent, f"{figures['ratio']:.2f}", near])
    head = ["video", "detected on", "ms a frame", "times as fast", "boxes carried to where they are detected"]
    return markdown(head, [list(row) for row in rows] or [["not measured yet", *[""] * 4]])


TABLES = {"detector_fps": table}

if __name__ == "__main__":
    main()
