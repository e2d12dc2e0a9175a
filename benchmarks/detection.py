"""An ONNX detector on this CPU: a frame and its tiles one by one, and in batches.

Example:
    python -m benchmarks detection --model yolox_nano.onnx --video vtest.avi

The network, exported for one picture at a time, has its first dimension opened; frames are searched whole and in tiles
of 256 pixels. One thread, on one core; variants interleaved; seconds are the processor's, so that a busy machine counts
less. Every batch must give the boxes of one by one, bit for bit. Writes benchmarks/results/detection.json.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from functools import partial
from itertools import islice
from pathlib import Path

import av
import numpy as np

from benchmarks.measure import interleave, save, summary
from benchmarks.tables import markdown, results
from hf2vad.cubes.detectors.detector import Resources
from hf2vad.cubes.detectors.network import tiles
from hf2vad.cubes.detectors.onnx import OnnxDetector
from hf2vad.cubes.detectors.settings import NetworkConfig
from hf2vad.schema import U8

BATCHES = (1, 4, 16)
STEP = 40
"""Frames from one that is searched to the next."""


def opened_batch(model: bytes) -> bytes:
    """`model`, which works on one picture, as one that works on any number."""
    import onnx
    from onnx import numpy_helper

    network = onnx.load_from_string(model)
    constants = {each.name: each for each in network.graph.initializer}
    for node in network.graph.node:
        if node.op_type == "Reshape":
            shape = constants[node.input[1]]
            sizes = numpy_helper.to_array(shape).copy()
            sizes[0] = 0  # as many as there are
            shape.CopyFrom(numpy_helper.from_array(sizes, shape.name))
    for value in (*network.graph.input, *network.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    del network.graph.value_info[:]
    return bytes(network.SerializeToString())


def searched(detector: OnnxDetector, images: list[U8]) -> bytes:
    """The boxes of all `images`, as bytes."""
    return b"".join(detector.detect(image).boxes.tobytes() for image in images)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--video", type=Path, required=True)
    parser.add_argument("--frames", type=int, default=2)
    parser.add_argument("--tile", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=21)
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)), help="the core to stay on")
    options = parser.parse_args()
    os.sched_setaffinity(0, {options.core})
    with av.open(str(options.video)) as container:
        frames = islice(container.decode(video=0), 0, STEP * options.frames, STEP)
        images = [np.asarray(frame.to_ndarray(format="bgr24"), np.uint8) for frame in frames]
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        Path(file.name).write_bytes(opened_batch(options.model.read_bytes()))
        config = NetworkConfig(model=file.name, tile=options.tile, confidence=0.3)
        detectors = {str(batch): OnnxDetector(config, Resources(), batch=batch) for batch in BATCHES}
    pictures = len(list(tiles(images[0], config.tile, config.tile_overlap)))
    boxes = {name: searched(detector, images) for name, detector in detectors.items()}
    runs = {name: partial(searched, detector, images) for name, detector in detectors.items()}
    seconds = interleave(runs, repeats=options.repeats, clock=time.process_time)
    result = {
        "model": options.model.name,
        "size": f"{images[0].shape[1]}x{images[0].shape[0]}",
        "tile": options.tile,
        "pictures_per_frame": pictures,
        "frames": len(images),
        "boxes": len(boxes["1"]) // 16,
        "equal_boxes": len(set(boxes.values())) == 1,
        "core": options.core,
        "repeats": options.repeats,
        "batches": summary(seconds, "1", units=pictures * len(images)),
    }
    save("detection", result)


def table() -> str:
    """Pictures a second by batch."""
    rows = [
        [
            str(min(int(batch), result["pictures_per_frame"])),
            f"{found['per_second']:.1f}",
            f"{found['ratio']:.2f}",
            "equal" if result["equal_boxes"] else "other",
        ]
        for result in results("detection.json")
        for batch, found in result["batches"].items()
    ]
    head = ["pictures at once, at most", "pictures/s", "against one by one", "boxes"]
    return markdown(head, rows or [["not measured yet", "", "", ""]])


TABLES = {"detection": table}


if __name__ == "__main__":
    main()
