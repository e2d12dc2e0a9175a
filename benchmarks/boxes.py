"""Which objects of a generated scene have a box at all, by what they are: what has none is not scored.

Example:
    python -m hf2vad.demo --scene corridor --out corridor
    python jobs/extract_stc.py --archive corridor/test --out test --preset features --max-cubes 0
    python -m benchmarks boxes --test test --tracks corridor/tracks.parquet --name corridor

Counted are the frames in which an object is visible and a cube can be cut, and among them those in which a box has an
IoU of at least 0.1 with it. No score and no label is used. Writes benchmarks/results/boxes_<name>.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from benchmarks.machine import describe
from hf2vad.evaluation.regions import overlapping
from hf2vad.schema import BOX, F64, FRAMES
from hf2vad.storage import open_parquet, read_table
from hf2vad.tables.read import name_in
from hf2vad.training.data import StcTable

RESULTS = Path(__file__).resolve().parents[1] / "benchmarks" / "results"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--test", required=True, help="STC table of the scene's test clips")
    parser.add_argument("--tracks", required=True, help="tracks.parquet of the scene")
    parser.add_argument("--name", required=True, help="of the result")
    options = parser.parse_args()
    shares = boxed_frames(StcTable(options.test), options.tracks)
    result = {"benchmark": f"boxes_{options.name}", "machine": describe(), "kinds": shares}
    (RESULTS / f"boxes_{options.name}.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(shares, indent=2))


def boxed_frames(table: StcTable, tracks: str) -> dict[str, dict[str, int]]:
    """By kind of object, `falling` apart before the fall: `frames` in which one is visible, and `boxed` among them."""
    objects = read_table(tracks)
    objects = objects.filter(pc.greater_equal(objects["frame"], FRAMES - 1))
    names = set(objects["video"].to_pylist())
    boxes: dict[tuple[str, int], list[F64]] = {}
    for file in table.files:
        video = name_in(names, file.video)
        rows = open_parquet(file.uri).read(columns=["frame", *BOX])
        corners = np.stack([rows[name].to_numpy().astype(np.float64) for name in BOX], axis=1)
        for frame, box in zip(rows["frame"].to_pylist(), corners, strict=True):
            boxes.setdefault((str(video), frame), []).append(box)
    shares: dict[str, dict[str, int]] = {}
    for row in objects.to_pylist():
        kind = row["kind"] if row["anomalous"] or row["kind"] != "falling" else "falling, before"
        share = shares.setdefault(kind, {"frames": 0, "boxed": 0})
        share["frames"] += 1
        if around := boxes.get((row["video"], row["frame"])):
            own = np.array([[row[name] for name in BOX]], np.float64)
            share["boxed"] += bool(overlapping(np.array(around), np.repeat(own, len(around), axis=0)).any())
    return dict(sorted(shares.items()))


def table() -> str:
    """Share of each kind's frames that have a box, in percent, by scene."""
    found: list[dict[str, Any]] = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("boxes_*.json"))]
    kinds = sorted({kind for result in found for kind in result["kinds"]})
    head = ["object", *(result["benchmark"].removeprefix("boxes_").replace("_", " ") for result in found)]
    lines = [head, ["---"] * len(head)]
    for kind in kinds:
        shares = (result["kinds"].get(kind) for result in found)
        cells = (f"{100 * share['boxed'] / share['frames']:.0f}" if share else "–" for share in shares)
        lines.append([kind.replace("_", " "), *cells])
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


TABLES = {"boxes": table}
