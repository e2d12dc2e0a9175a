"""An archive of short videos for the chaos suite, some of them corrupt in different ways."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from hf2vad.schema import U8

WIDTH, HEIGHT = 96, 72


def write_archive(folder: Path, *, videos: int, corrupt: int, frames: int) -> list[str]:
    """Write `videos` videos of `frames` frames, no two alike, `corrupt` of them damaged; returns these ones' names.

    The damaged ones lie evenly among the others, each of the next kind.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kinds = list(DAMAGES)
    at = [round((i + 0.5) * videos / corrupt) for i in range(corrupt)]
    damaged = []
    for number in range(videos):
        if number not in at:
            write_video(folder / f"{number:03d}.mp4", seed=number, frames=frames)
            continue
        kind = kinds[at.index(number) % len(kinds)]
        name = f"{number:03d}_{kind}"
        write_video(folder / name, seed=number, frames=3 if kind == "short.mp4" else frames)
        (folder / name).write_bytes(DAMAGES[kind]((folder / name).read_bytes()))
        damaged.append(name)
    return damaged


def write_video(path: Path, *, seed: int, frames: int) -> None:
    """A video of two bright boxes that cross a still ground; its codec goes by the suffix."""
    codec, options = ("mpeg4", {"g": "4"}) if path.suffix == ".avi" else ("libx264", {"preset": "ultrafast", "g": "8"})
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options={**options, "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 25)
        for number, image in enumerate(_pictures(seed, frames)):
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _pictures(seed: int, frames: int) -> Iterator[U8]:
    rng = np.random.default_rng(seed)
    ground = rng.integers(40, 90, (HEIGHT, WIDTH, 3), np.uint8)
    rows, speeds = rng.integers(4, HEIGHT - 28, 2), rng.integers(2, 5, 2)
    for t in range(frames):
        image = ground.copy()
        for row, speed, colour in zip(rows, speeds, (230, 180), strict=True):
            left = int(speed) * t % (WIDTH - 16)
            image[row : row + 24, left : left + 14] = colour
        yield image


def _half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _noise(data: bytes) -> bytes:
    """The third quarter replaced."""
    start, stop = len(data) // 2, 3 * len(data) // 4
    noise = np.random.default_rng(len(data)).integers(0, 256, stop - start, np.uint8)
    return data[:start] + noise.tobytes() + data[stop:]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty.mp4": lambda data: b"",
    "half.mp4": _half,
    "half.avi": _half,
    "text.mkv": lambda data: b"This is not a video.\n" * 100,
    "short.mp4": lambda data: data,
    "noise.avi": _noise,
    "header.mp4": lambda data: bytes(64) + data[64:],
}
"""How videos are damaged, by the end of their name. `short`: three frames, of which none can be scored."""
