"""How much the speed of an object depends on where its box came from, by how much of the crop counts.

Example:
    hf2vad extract --archive videos --out default --preset features --max-cubes 0
    hf2vad extract --archive videos --out motion --preset features --max-cubes 0 --detector.kinds motion
    python -m benchmarks box_speeds --stc default --other motion --name videos

Two tables are of the same footage, with boxes of two sources. The boxes of a frame that overlap most in both, with an
IoU of at least 0.3, are taken for the same object. Given is the scatter of their speeds: the standard deviation of the
difference of their logarithms, as a share of that of the logarithms. No label is used. Writes
benchmarks/results/box_speeds_<name>.json.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from benchmarks.measure import save
from benchmarks.tables import markdown, results
from hf2vad.evidence.whole import overlaps
from hf2vad.features.feature import CELLS, CubeArrays
from hf2vad.schema import F32
from hf2vad.training.data import StcTable

LEAST_OVERLAP = 0.3
LEAST_SPEED = 0.05
"""Pixels a frame added to each speed, so that what stands has a logarithm."""
COUNTED = (CELLS**2, 12, 8, 6, 4, 3, 2, 1)
"""Fastest cells that count; all of them: the whole crop at once."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stc", required=True, help="STC table of some footage")
    parser.add_argument("--other", required=True, help="STC table of the same footage with other boxes")
    parser.add_argument("--name", required=True, help="of the result")
    options = parser.parse_args()
    pairs = list(matched(StcTable(options.stc), StcTable(options.other)))
    one, other = (np.concatenate([pair[side] for pair in pairs]) for side in (0, 1))
    found = {str(count): scatter(one[:, at], other[:, at]) for at, count in enumerate(COUNTED)}
    save(f"box_speeds_{options.name}", {"pairs": len(one), "scatter": found})
    print(json.dumps(found, indent=2))


def matched(table: StcTable, other: StcTable) -> Iterator[tuple[F32, F32]]:
    """(P, len(COUNTED)) speeds of the pairs of a frame, by the one table and by the other."""
    others = speeds(other)
    for key, (boxes, own) in speeds(table).items():
        if key in others:
            there, theirs = others[key]
            shared = overlaps(boxes, there)
            rows, best = np.arange(len(boxes)), shared.argmax(1)
            both = (shared.argmax(0)[best] == rows) & (shared[rows, best] >= LEAST_OVERLAP)
            yield own[both], theirs[best[both]]


def speeds(table: StcTable) -> dict[tuple[str, int], tuple[F32, F32]]:
    """By video and frame: (B, 4) boxes, and (B, len(COUNTED)) speeds in them."""
    found: dict[tuple[str, int], list[tuple[F32, F32]]] = defaultdict(list)
    for file, part in table.in_order(appearance=False):
        cubes = CubeArrays(boxes=part.boxes, flow=part.flow, appearance=None)
        measured = np.concatenate([_measured(chunk) for chunk in cubes.chunks()])
        for frame in np.unique(part.frame).tolist():
            here = part.frame == frame
            found[file.video, frame].append((part.boxes[here], measured[here]))
    return {
        key: (np.concatenate([boxes for boxes, _ in parts]), np.concatenate([values for _, values in parts]))
        for key, parts in found.items()
    }


def _measured(cubes: CubeArrays) -> F32:
    """(B, len(COUNTED)): speeds of the whole crop, and of its fastest cells."""
    fastest = [cubes.cell_speeds[:, -count:].mean(1) for count in COUNTED[1:]]
    return np.stack([cubes.least_speed, *fastest], axis=1)


def scatter(one: F32, other: F32) -> float:
    """0 where both speeds are always equal, 1.4 where they have nothing to do with each other."""
    first, second = (np.log(values + LEAST_SPEED) for values in (one, other))
    return float(np.std(first - second) / np.std(np.concatenate([first, second])))


def table() -> str:
    """Scatter by footage and by how much of the crop counts."""
    found = results("box_speeds_*.json")
    head = ["footage", "pairs", "whole crop", *(f"{count} of {CELLS**2} cells" for count in COUNTED[1:])]
    rows = [
        [
            result["benchmark"].removeprefix("box_speeds_").replace("_", " "),
            f"{result['pairs']:,}",
            *(f"{result['scatter'][str(count)]:.3f}" for count in COUNTED),
        ]
        for result in found
    ]
    return markdown(head, rows)


TABLES = {"box_speeds": table}
