"""Published networks on real video."""

from __future__ import annotations

import itertools
from pathlib import Path

import av
import numpy as np
import pytest

from hf2vad.cubes.detectors.detector import Resources
from hf2vad.cubes.detectors.detr import DetrDetector
from hf2vad.cubes.detectors.network import NetworkDetector
from hf2vad.cubes.detectors.onnx import OnnxDetector
from hf2vad.cubes.detectors.settings import NetworkConfig
from hf2vad.schema import F32, U8

SHARED = Path(__file__).parents[3] / "shared"
YOLOX, DEIM = (str(SHARED / "models" / name) for name in ("yolox_nano.onnx", "deimv2_femto.onnx"))
PEOPLE = {0: [(267, 258), (517, 190), (664, 275)], 20: [(379, 228), (459, 270), (703, 322), (742, 320)]}
"""Points on the bodies of pedestrians in frames of vtest.avi, marked by eye."""
VAN, LAWN = (687, 72), (150, 480)
PERSON = 0

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not SHARED.exists(), reason="no ../shared beside the checkout"),
]


@pytest.fixture(scope="module")
def frames() -> list[U8]:
    with av.open(str(SHARED / "data/videos/vtest.avi")) as container:
        first = itertools.islice(container.decode(video=0), 21)
        return [np.asarray(frame.to_ndarray(format="bgr24"), np.uint8) for frame in first]


def around(boxes: F32, point: tuple[int, int]) -> F32:
    """Of (N, 4) boxes those that hold the point."""
    return boxes[(boxes[:, :2] <= point).all(axis=1) & (boxes[:, 2:] > point).all(axis=1)]


@pytest.mark.parametrize(("family", "model"), [(OnnxDetector, YOLOX), (DetrDetector, DEIM)], ids=["yolox", "deim"])
def test_pedestrians_are_found_in_real_video(frames: list[U8], family: type[NetworkDetector], model: str) -> None:
    detector = family(NetworkConfig(model=model, confidence=0.4), Resources())
    for index, points in PEOPLE.items():
        found = detector.detect(frames[index])
        people = found.boxes[found.classes == PERSON]
        for point in points:
            (body,) = around(people, point)
            width, height = body[2:] - body[:2]
            assert 25 < width < 50
            assert 60 < height < 115
        assert len(around(found.boxes, VAN)) >= 1
        assert len(around(found.boxes, LAWN)) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "model", "tile"), [(OnnxDetector, YOLOX, 256), (DetrDetector, DEIM, 0)], ids=["yolox", "deim"]
)
def test_the_number_of_threads_changes_no_bit_of_a_box(
    frames: list[U8], family: type[NetworkDetector], model: str, tile: int
) -> None:
    """Promise 1, for a run that is resumed with other --ray.cpus."""
    settings = NetworkConfig(model=model, confidence=0.05, tile=tile)
    one, two = (family(settings, Resources(threads=threads)) for threads in (1, 2))
    for frame in frames[::10]:
        first, second = one.detect(frame), two.detect(frame)
        assert len(first.boxes) > 10
        for ours, theirs in zip(first, second, strict=True):
            assert ours.tobytes() == theirs.tobytes()
