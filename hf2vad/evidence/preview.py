"""The moving preview of an event: two seconds around the frame that is shown, as a WebP that loops."""

from __future__ import annotations

import io

import cv2
import numpy as np
from PIL import Image

from hf2vad.errors import VideoError
from hf2vad.evidence.footage import Footage, fitted, held
from hf2vad.evidence.objects import Range
from hf2vad.evidence.whole import overlaps, whole_boxes
from hf2vad.schema import F32, U8

SECONDS = 2.0
"""Length of a loop."""
PICTURES = 12
"""Pictures of a loop, at most."""
WIDTH = 320
"""Pixels of its width, at most."""
QUALITY = 55
HELD = 0.5
"""Seconds for which a box is drawn in pictures after its own: of some footage not every frame is worked on."""
FOLLOWED = 0.1
"""Overlap with the box in the picture before from which a box is of the same object."""
ORANGE = (26, 122, 255)


def preview(footage: Footage, frame: int, box: F32 | None) -> bytes:
    """The loop around `frame`, with the object whose (4,) box, in source pixels, is `box` there, as far as it is seen.

    Raises VideoError where fewer than two pictures can be decoded.
    """
    start, stop = preview_range(footage, frame)
    numbers = set(np.linspace(start, stop - 1, min(PICTURES, stop - start)).round().astype(int).tolist()) | {frame}
    size = fitted(footage.shape, WIDTH)
    followed = {} if box is None else _followed(footage, sorted(numbers), frame, box, size)
    pictures, times = [], []
    for decoded in footage.frames(start, stop, size):
        if decoded.index in numbers and decoded.image is not None:
            pictures.append(_drawn(decoded.image, followed.get(decoded.index)))
            times.append(decoded.pts_s)
    if len(pictures) < 2:
        raise VideoError(f"{footage.video.id}: fewer than two frames around {frame} can be decoded")
    steps = np.diff(times)
    return _webp(pictures, [*steps.tolist(), float(np.median(steps))])


def preview_range(footage: Footage, frame: int) -> Range:
    """The frames of the loop around `frame`: only such as were scored."""
    start, stop = held(footage.timeline, frame, frame + 1, SECONDS / 2)
    return max(start, footage.scored[0]), min(stop, footage.scored[1])


def _followed(footage: Footage, numbers: list[int], frame: int, box: F32, size: tuple[int, int]) -> dict[int, F32]:
    """Where the object of `box` is in the pictures before and after, as far as its boxes overlap."""
    at, scale = numbers.index(frame), footage.scale(frame, size)
    found = {frame: box * scale}
    for way in (numbers[at + 1 :], numbers[:at][::-1]):
        last = found[frame]
        for number in way:
            boxes = whole_boxes(footage.objects, _boxed(footage, number)) * footage.scale(number, size)
            shared = overlaps(boxes, last[None])[:, 0] if len(boxes) else np.zeros(1)
            if shared.max() < FOLLOWED:
                break
            last = found[number] = boxes[int(shared.argmax())]
    return found


def _boxed(footage: Footage, number: int) -> int:
    """The last frame with boxes up to `number`, if it is not long before; else `number`."""
    rows = footage.objects.of(0, number + 1)
    last = int(footage.objects.frame[rows.stop - 1]) if rows.stop else number
    times = footage.timeline.pts_s
    return last if times[number] - times[last] <= HELD else number


def _drawn(image: U8, box: F32 | None) -> U8:
    if box is None:
        return image
    drawn = image.copy()
    x1, y1, x2, y2 = (round(float(side)) for side in box)
    cv2.rectangle(drawn, (x1, y1), (x2 - 1, y2 - 1), ORANGE, 2)
    return drawn


def _webp(pictures: list[U8], seconds: list[float]) -> bytes:
    """(H, W, 3) BGR pictures, each shown for so long, over and over."""
    images = [Image.fromarray(np.ascontiguousarray(picture[..., ::-1])) for picture in pictures]
    durations = [max(20, round(1000 * length)) for length in seconds]
    data = io.BytesIO()
    images[0].save(
        data, "WEBP", save_all=True, append_images=images[1:], duration=durations, loop=0, quality=QUALITY, method=4
    )
    return data.getvalue()
