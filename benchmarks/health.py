"""What looking at each frame for footage health costs beside extraction.

Example:
    python -m benchmarks health
    python -m benchmarks health --frames 60 --repeats 2   # only to see that it works

A clip of the demo in several sizes is cut into cubes from first frame to last, with and without the look at each frame,
in turn. Extraction's steps run in threads, so the difference is what a worker's speed loses, and the time of the
look alone what its core does more.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import cv2
import numpy as np

from benchmarks.measure import interleave, save, summary
from benchmarks.tables import markdown, results
from hf2vad.archive.catalog import catalogue
from hf2vad.cubes.extract import Extractor
from hf2vad.cubes.settings import ExtractionConfig
from hf2vad.demo.archive import generate
from hf2vad.health.frame_stats import FrameStats
from hf2vad.video.decode import decode
from hf2vad.video.shards import Shard, cut_shards
from hf2vad.video.timeline import probe

SIZES = ((320, 240), (640, 480), (1280, 720))


def consume(extractor: Extractor, shard: Shard, *, looking: bool) -> None:
    look = FrameStats(shard.start, shard.stop, (shard.width, shard.height)) if looking else None
    for _ in extractor.cubes(shard, look):
        pass


def measured(folder: Path, size: tuple[int, int], *, frames: int, repeats: int) -> dict[str, object]:
    """Speeds with and without the look, and milliseconds of the look alone."""
    made = generate(folder, train_clips=1, test_clips=0, frames=frames, size=size)
    (video,) = catalogue(str(made.train))
    (shard,) = cut_shards(video, probe(video), frames)
    pictures = (frame.image for frame in decode(shard) if frame.image is not None)
    greys = [np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8) for image in pictures]

    def look_alone() -> None:
        look = FrameStats(0, frames, size)
        for t, grey in enumerate(greys):
            look(t, grey, size)

    extractor = Extractor(ExtractionConfig())
    seconds = interleave(
        {
            "extraction": lambda: consume(extractor, shard, looking=False),
            "with the look": lambda: consume(extractor, shard, looking=True),
            "look alone": look_alone,
        },
        repeats=repeats,
    )
    return {"size": list(size), **summary(seconds, "extraction", units=frames)}


def table() -> str:
    """Frames a second with and without the look."""
    rows = [["not measured yet", "", "", "", ""]]
    for result in results("health.json"):
        rows = [
            [
                "×".join(map(str, found["size"])),
                f"{found['extraction']['per_second']:.1f}",
                f"{found['with the look']['per_second']:.1f}",
                f"{found['with the look']['ratio']:.3f}",
                f"{1000 / found['look alone']['per_second']:.2f} ms",
            ]
            for found in result["sizes"]
        ]
    return markdown(["frame", "extraction, frames/s", "with the look", "ratio", "look alone, a frame"], rows)


TABLES = {"health": table}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        found = [
            measured(Path(name) / str(size[0]), size, frames=options.frames, repeats=options.repeats) for size in SIZES
        ]
    save("health", {"frames": options.frames, "repeats": options.repeats, "sizes": found})
    print(table())


if __name__ == "__main__":
    main()
