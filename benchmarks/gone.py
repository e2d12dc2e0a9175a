"""Boxes of what has gone, and of light and shadow, with a look at foreground's outline and sharpness and without.

Example:
    python -m hf2vad.demo --scene corridor --out corridor
    python -m benchmarks gone --archive corridor/test --actors corridor/boxes.parquet --name corridor
    python -m benchmarks gone --archive videos --name videos

Boxes are those of preset `features`. With --actors, the boxes of every actor of a generated scene, it is counted how
many boxes cover no actor by a tenth of their area, and how many actors have a box with an IoU of 0.1 or more. No score
and no label is used. Writes benchmarks/results/gone_<name>.json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.measure import save
from benchmarks.tables import markdown, results
from hf2vad.archive.catalog import catalogue
from hf2vad.cubes.detectors.settings import ForegroundConfig
from hf2vad.cubes.extract import Extractor
from hf2vad.evidence.whole import overlaps, shared_areas
from hf2vad.presets import preset
from hf2vad.schema import BOX, F32, FRAMES
from hf2vad.storage import read_table
from hf2vad.tables.read import name_in
from hf2vad.video.timeline import probe

SHARD = 1000
"""Frames of a shard; shards do not show in boxes."""
COVERED = 0.1
"""Share of a box that actors cover, and IoU of an actor with a box, at least."""

Boxes = Mapping[str, Mapping[int, F32]]
"""(N, 4) boxes by video and frame."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--archive", required=True, help="folder of videos")
    parser.add_argument("--name", required=True, help="of the result")
    parser.add_argument("--actors", default="", help="boxes.parquet of a generated scene")
    options = parser.parse_args()
    counts = {}
    looks = preset("features").extraction.detector.foreground
    for name, foreground in (("without", replace(looks, outline=0.0, sharpness=0.0)), ("with", looks)):
        found = boxes_of(options.archive, foreground)
        counts[name] = {"boxes": sum(len(boxes) for frames in found.values() for boxes in frames.values())}
        if options.actors:
            counts[name] |= compared(found, actors_of(options.actors, found))
    save(f"gone_{options.name}", counts)
    print(json.dumps(counts, indent=2))


def boxes_of(archive: str, foreground: ForegroundConfig) -> Boxes:
    """The boxes of preset `features` in each frame of an archive, with these settings of `detector.foreground`."""
    extraction = preset("features").extraction
    extractor = Extractor(replace(extraction, detector=replace(extraction.detector, foreground=foreground)))
    found: dict[str, dict[int, F32]] = {}
    for video in catalogue(archive):
        for shard in extractor.shards(video, probe(video), SHARD):
            found.setdefault(video.id, {}).update((batch.frame, batch.boxes) for batch in extractor.cubes(shard))
    return found


def actors_of(uri: str, videos: Boxes) -> Boxes:
    """The boxes of a scene's actors in the frames of `videos` that have full context."""
    rows = read_table(uri)
    names = set(rows["video"].to_pylist())
    of_name = {name_in(names, video): video for video in videos}
    corners = np.stack([rows[name].to_numpy() for name in BOX], axis=1).astype(np.float32)
    found: dict[str, dict[int, list[F32]]] = {}
    for name, frame, box in zip(rows["video"].to_pylist(), rows["frame"].to_pylist(), corners, strict=True):
        if name in of_name and frame >= FRAMES - 1:
            found.setdefault(of_name[name], {}).setdefault(frame, []).append(box)
    return {video: {frame: np.array(boxes) for frame, boxes in frames.items()} for video, frames in found.items()}


def compared(found: Boxes, actors: Boxes) -> dict[str, int]:
    """Counts of boxes of nothing, of actors, and of actors with a box."""
    nothing = known = boxed = 0
    for video, frames in found.items():
        for frame, boxes in frames.items():
            there = actors.get(video, {}).get(frame, np.empty((0, 4), np.float32))
            area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
            nothing += int((shared_areas(boxes, there).sum(1) <= COVERED * area).sum())
            known, boxed = known + len(there), boxed + int((overlaps(boxes, there) >= COVERED).any(0).sum())
    return {"of_nothing": nothing, "actors": known, "actors_with_a_box": boxed}


def table() -> str:
    """Boxes, boxes of nothing, and actors with a box, without and with both looks."""
    head = ["footage", "boxes", "of nothing", "actors with a box, %"]
    rows = []
    for result in results("gone_*.json"):
        pair: list[dict[str, Any]] = [result["without"], result["with"]]
        known = "actors" in pair[0]
        shares = [100 * one["actors_with_a_box"] / one["actors"] for one in pair] if known else []
        rows.append(
            [
                result["benchmark"].removeprefix("gone_").replace("_", " "),
                " → ".join(f"{one['boxes']:,}" for one in pair),
                " → ".join(f"{one['of_nothing']:,}" for one in pair) if known else "",
                " → ".join(f"{share:.1f}" for share in shares),
            ]
        )
    return markdown(head, rows)


TABLES = {"gone": table}
