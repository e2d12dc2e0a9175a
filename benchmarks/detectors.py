"""Detectors compared: seconds of the processor for a frame, and how many published boxes each finds.

Example:
    python -m benchmarks detectors --data PED2 --yolox yolox_nano.onnx --deim deimv2_femto.onnx

Every `STEP`-th frame of UCSD Ped2's test clips (360×240), one thread, whole frames and with tiles of 256 pixels. A box
that VEC published for the frame (Cascade R-CNN and motion) is found if a detection overlaps it by half (intersection
over union). Seconds are the processor's, so that a busy machine counts less. Writes benchmarks/results/detectors.json.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.measure import save
from benchmarks.tables import markdown, results
from hf2vad.cubes.detectors.detector import Resources
from hf2vad.cubes.detectors.detr import DetrDetector
from hf2vad.cubes.detectors.network import NetworkDetector
from hf2vad.cubes.detectors.onnx import OnnxDetector
from hf2vad.cubes.detectors.settings import NetworkConfig
from hf2vad.cubes.opencv import cv2
from hf2vad.schema import F32, U8

STEP = 20
CONFIDENCE = 0.3
OVERLAP = 0.5


def frames(data: Path) -> list[tuple[U8, F32]]:
    """Pictures (H, W, 3) and their published boxes (N, 4)."""
    table = pq.read_table(data / "testing" / "boxes.parquet")
    chosen = []
    for clip in sorted(path for path in (data / "testing" / "frames").iterdir() if path.is_dir()):
        rows = table.filter(pc.equal(table["video"], clip.name))
        for number, image in enumerate(sorted(clip.glob("*.jpg"))):
            if number % STEP == 0:
                own = rows.filter(pc.equal(rows["frame"], number))
                boxes = np.stack([own[name].to_numpy() for name in ("x1", "y1", "x2", "y2")], 1)
                chosen.append((np.asarray(cv2.imread(str(image))), boxes.astype(np.float32)))
    return chosen


def covered(published: F32, found: F32) -> int:
    """Published boxes that a detection overlaps by half."""
    if not len(published) or not len(found):
        return 0
    low = np.maximum(published[:, None, :2], found[None, :, :2])
    high = np.minimum(published[:, None, 2:], found[None, :, 2:])
    inside = np.prod(np.clip(high - low, 0, None), axis=2)
    area = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (published, found)]
    union = area[0][:, None] + area[1][None] - inside
    return int(((inside / union).max(axis=1) >= OVERLAP).sum())


def measured(name: str, kind: type[NetworkDetector], model: Path, pictures: list[tuple[U8, F32]]) -> dict[str, Any]:
    """Cost and recall of a network, on whole frames and with tiles."""
    row: dict[str, Any] = {"name": name, "file": model.name, "bytes": model.stat().st_size}
    row["sha256"] = hashlib.sha256(model.read_bytes()).hexdigest()
    for key, tile in (("whole", 0), ("tiles", 256)):
        detector = kind(NetworkConfig(model=str(model), tile=tile, confidence=CONFIDENCE), Resources())
        detector.detect(pictures[0][0])
        begun = time.process_time()
        found = [detector.detect(image).boxes for image, _ in pictures]
        seconds = (time.process_time() - begun) / len(pictures)
        hits = sum(covered(boxes, own) for (_, boxes), own in zip(pictures, found, strict=True))
        total = sum(len(boxes) for _, boxes in pictures)
        row[key] = {"ms": round(1000 * seconds, 1), "recall": round(hits / total, 3), "boxes": sum(map(len, found))}
    return row


def table() -> str:
    """What each detector costs and finds."""
    (result,) = results("detectors.json")
    head = ["network", "file", "ms a frame", "boxes found", "ms with tiles", "found with tiles"]
    return markdown(
        head,
        [
            [
                row["name"],
                f"{row['bytes'] / 2**20:.1f} MiB",
                f"{row['whole']['ms']:.0f}",
                f"{row['whole']['recall']:.0%}",
                f"{row['tiles']['ms']:.0f}",
                f"{row['tiles']['recall']:.0%}",
            ]
            for row in result["rows"]
        ],
    )


TABLES = {"detectors": table}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--yolox", type=Path, required=True)
    parser.add_argument("--deim", type=Path, required=True)
    options = parser.parse_args()
    pictures = frames(options.data)
    rows = [
        measured("YOLOX-nano", OnnxDetector, options.yolox, pictures),
        measured("DEIMv2-Femto", DetrDetector, options.deim, pictures),
    ]
    save(
        "detectors",
        {
            "benchmark": "detectors",
            "size": "360x240",
            "frames": len(pictures),
            "published_boxes": sum(len(boxes) for _, boxes in pictures),
            "confidence": CONFIDENCE,
            "rows": rows,
        },
    )


if __name__ == "__main__":
    main()
