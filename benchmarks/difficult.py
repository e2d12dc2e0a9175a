"""Boxes of whole objects on footage that is hard for a background: how many there are, and what they cost.

Example:
    python -m benchmarks archive_day --work /tmp/day --clips yard --repeats 1      # renders /tmp/day/clips/yard.mp4
    python -m benchmarks difficult --videos vtest.avi /tmp/day/clips/yard.mp4 --work /tmp/difficult --start 0 900

A few seconds of each video are changed as the functions below say, scaled to 640×360 and encoded again (H.264), and
extracted by preset `features` with `motion` and with `foreground motion`. Seconds are the processor's, so that a busy
machine counts less. Writes benchmarks/results/difficult.json.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.measure import save
from benchmarks.tables import markdown, results
from hf2vad.archive.catalog import catalogue
from hf2vad.cubes.extract import Extractor
from hf2vad.presets import preset
from hf2vad.schema import U8
from hf2vad.video.timeline import probe

WIDTH, HEIGHT, FRAMES = 640, 360, 100
KINDS = (("motion",), ("foreground", "motion"))

Change = Callable[[U8, int, np.random.Generator], npt.NDArray[Any]]
"""Function from a picture, its number and a generator to the picture as it becomes, of any numeric type."""


def noisy(image: U8, number: int, rng: np.random.Generator) -> npt.NDArray[Any]:
    return image + rng.normal(0, 12, image.shape).astype(np.float32)


def flickering(image: U8, number: int, rng: np.random.Generator) -> npt.NDArray[Any]:
    return image * (1 + 0.1 * np.sin(2 * np.pi * number / 7.3))


def light_off(image: U8, number: int, rng: np.random.Generator) -> npt.NDArray[Any]:
    return image * (1 if number < FRAMES // 2 else 0.55)


def light_from_a_side(image: U8, number: int, rng: np.random.Generator) -> npt.NDArray[Any]:
    return image if number < FRAMES // 2 else image * np.linspace(0.6, 1.2, WIDTH)[:, None]


def colours_drift(image: U8, number: int, rng: np.random.Generator) -> npt.NDArray[Any]:
    drift = 0.12 * np.sin(2 * np.pi * number / FRAMES)
    return image * np.array([1 + drift, 1, 1 - drift])


def infrared(image: U8, number: int, rng: np.random.Generator) -> npt.NDArray[Any]:
    return image if number < FRAMES // 2 else noisy(image, number, rng).mean(axis=2, keepdims=True).repeat(3, axis=2)


def leaves(image: U8, number: int, rng: np.random.Generator) -> npt.NDArray[Any]:
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    sway = np.where(y < HEIGHT / 2, 2.5, 0).astype(np.float32)
    across, down = x + sway * np.sin(number / 3 + x / 40 + y / 25), y + sway * np.cos(number / 4 + x / 33)
    return cv2.remap(
        image, across.astype(np.float32), down.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )


def rain(image: U8, number: int, rng: np.random.Generator) -> npt.NDArray[Any]:
    image = image.copy()
    for x, y, length in rng.integers((0, 0, 8), (WIDTH, HEIGHT, 25), (150, 3)).tolist():
        cv2.line(image, (x, y), (x + 2, y + length), (200, 200, 200), 1)
    return image


def swaying(image: U8, number: int, rng: np.random.Generator) -> npt.NDArray[Any]:
    return _shifted(image, 2.2 * np.sin(number / 5.3) + 1.1 * np.sin(number / 2.1), 1.3 * np.cos(number / 4.7))


def handheld(image: U8, number: int, rng: np.random.Generator) -> npt.NDArray[Any]:
    x, y = 8 * np.sin(number / 5.1) + 6 * np.sin(number / 2.3), 8 * np.cos(number / 4.3) + 5 * np.sin(number / 1.9)
    return _shifted(image, x, y)


def _shifted(image: U8, x: float, y: float) -> npt.NDArray[Any]:
    moved = np.array([[1, 0, x], [0, 1, y]], np.float32)
    return cv2.warpAffine(image, moved, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)


def _view(image: U8, share: float) -> U8:
    """What a narrower camera sees, `share` of the way from the left to the right."""
    large = cv2.resize(image, None, fx=1.6, fy=1.6)
    left, top = int((large.shape[1] - WIDTH) * share), (large.shape[0] - HEIGHT) // 2
    return np.asarray(large[top : top + HEIGHT, left : left + WIDTH], np.uint8)


def panning(image: U8, number: int, rng: np.random.Generator) -> npt.NDArray[Any]:
    return _view(image, 0.5 - 0.5 * np.cos(2 * np.pi * number / FRAMES))


def turned(image: U8, number: int, rng: np.random.Generator) -> npt.NDArray[Any]:
    return _view(image, 0 if number < FRAMES * 0.7 else 1)


CHANGES: dict[str, Change] = {
    "as it is": lambda image, number, rng: image,
    "noise of 12 grey levels": noisy,
    "flicker of 10 %": flickering,
    "the light goes off, half way": light_off,
    "light from a side, half way": light_from_a_side,
    "colours drift by 12 %": colours_drift,
    "infrared with noise, half way": infrared,
    "leaves in the upper half": leaves,
    "rain": rain,
    "sways in wind": swaying,
    "hand-held": handheld,
    "panning": panning,
    "turned after 70 %": turned,
}


def written(video: Path, start: int, change: Change, path: Path) -> None:
    """FRAMES pictures of `video` from number `start` on, changed, as H.264 with a keyframe every 50 frames."""
    rng = np.random.default_rng(0)
    with av.open(str(video)) as read, av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(25), options={"preset": "superfast", "g": "50"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number, frame in enumerate(islice(read.decode(video=0), start, start + FRAMES)):
            image = cv2.resize(frame.to_ndarray(format="bgr24"), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
            changed = change(np.asarray(image, np.uint8), number, rng).clip(0, 255).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(changed, format="bgr24")))
        container.mux(stream.encode(None))


def extracted(path: Path, kinds: tuple[str, ...]) -> dict[str, float]:
    """Boxes and the processor's milliseconds a frame."""
    config = preset("features").extraction
    extractor = Extractor(replace(config, detector=replace(config.detector, kinds=kinds)))
    (video,) = [video for video in catalogue(str(path.parent)) if video.id == path.name]
    began = time.process_time()
    timeline = probe(video)
    boxes = sum(len(batch) for shard in extractor.shards(video, timeline, 5000) for batch in extractor.cubes(shard))
    seconds = time.process_time() - began
    return {"boxes": round(boxes / timeline.frame_count, 2), "ms": round(1000 * seconds / timeline.frame_count, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path, nargs="+", required=True)
    parser.add_argument("--start", type=int, nargs="+", required=True, help="first frame of each")
    parser.add_argument("--work", type=Path, required=True, help="folder for the changed clips")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    found: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    for video, start in zip(options.videos, options.start, strict=True):
        for name, change in CHANGES.items():
            path = options.work / "clip.mp4"
            written(video, start, change, path)
            figures = {" ".join(kinds): extracted(path, kinds) for kinds in KINDS}
            found.setdefault(video.name, {})[name] = figures
            print(video.name, name, figures, flush=True)
    save("difficult", {"videos": found})


def table() -> str:
    """Boxes and milliseconds a frame by what is hard, for each video: with `motion`, with `foreground motion`."""
    videos: dict[str, Any] = next(iter(results("difficult.json")), {"videos": {}})["videos"]
    head = ["footage", *(f"{video}: {what} a frame" for video in videos for what in ("boxes", "ms"))]
    rows: list[Sequence[str]] = [
        [
            name,
            *(
                " / ".join(f"{of_kinds[what]:.1f}" for of_kinds in video[name].values())
                for video in videos.values()
                for what in ("boxes", "ms")
            ),
        ]
        for name in CHANGES
        if videos
    ]
    return markdown(head, rows or [["not measured yet"]])


TABLES = {"difficult": table}

if __name__ == "__main__":
    main()
