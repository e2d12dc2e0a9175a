from __future__ import annotations

import builtins
import itertools
import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf2vad.cubes.detectors.detector import Resources
from hf2vad.cubes.detectors.network import offsets
from hf2vad.cubes.detectors.onnx import OnnxDetector
from hf2vad.cubes.detectors.settings import NetworkConfig
from hf2vad.errors import ConfigError
from hf2vad.schema import F32, U8
from tests.onnx_network import FLOAT, INT64, PixelNetwork


def detector(
    network: PixelNetwork | bytes, *, batch: int | None = None, threads: int = 1, **settings: Any
) -> OnnxDetector:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "pixels.onnx")
        path.write_bytes(network if isinstance(network, bytes) else network.to_bytes())
        config = NetworkConfig(**{"model": str(path), "min_area": 0.0, **settings})
        return OnnxDetector(config, Resources(threads=threads), batch=batch)


def detect(network: PixelNetwork | bytes, image: U8, **settings: Any) -> F32:
    return detector(network, **settings).detect(image).boxes


def black(width: int, height: int) -> U8:
    return np.zeros((height, width, 3), np.uint8)


@pytest.mark.parametrize(("level", "stride"), [(0, 8), (1, 16), (2, 32)])
def test_a_cell_is_decoded_by_its_place_and_stride(level: int, stride: int) -> None:
    network = PixelNetwork(side=128)
    network.cell(level, 2, 1, offset=(0.25, 0.5), log_size=(math.log(1.5), math.log(0.75)))
    found = detect(network, black(128, 128))
    centre_x, centre_y, width, height = 2.25 * stride, 1.5 * stride, 1.5 * stride, 0.75 * stride
    assert found.dtype == np.float32
    expected = [centre_x - width / 2, centre_y - height / 2, centre_x + width / 2, centre_y + height / 2]
    assert found == pytest.approx(np.array([expected]), abs=1e-4)


@pytest.mark.parametrize(("width", "height", "ratio"), [(64, 64, 1.0), (128, 64, 0.5), (32, 16, 2.0), (64, 256, 0.25)])
def test_boxes_come_back_in_pixels_of_the_frame(width: int, height: int, ratio: float) -> None:
    network = PixelNetwork()
    network.cell(0, 1, 1)
    found = detect(network, black(width, height))
    assert found == pytest.approx(np.array([[4, 4, 12, 12]]) / ratio, abs=1e-4)


def test_the_frame_lies_at_the_top_left_and_grey_114_fills_the_rest() -> None:
    white = np.full((32, 64, 3), 255, np.uint8)
    network = PixelNetwork()
    network.cell(0, 1, 1, seen=(0, 31, 63))
    network.cell(0, 5, 2, seen=(0, 32, 0))
    grey = 114 / 255
    for sure, expected in ((grey + 0.001, 1), (grey - 0.001, 2)):
        found = detect(network, white, confidence=sure)
        assert len(found) == expected


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_the_network_sees_blue_green_red_from_0_to_255(channel: int) -> None:
    network = PixelNetwork()
    network.cell(0, 1, 1, seen=(channel, 10, 20))
    image = black(64, 64)
    image[10, 20, channel] = 200
    exactly = 200 / 255
    assert len(detect(network, image, confidence=exactly - 1e-4)) == 1
    assert len(detect(network, image, confidence=exactly + 1e-4)) == 0
    assert len(detect(network, black(64, 64))) == 0


def test_a_score_is_objectness_times_the_best_class() -> None:
    network = PixelNetwork()
    network.cell(0, 1, 1, objectness=0.8, classes=(0.1, 0.7))
    assert len(detect(network, black(64, 64), confidence=0.55)) == 1
    assert len(detect(network, black(64, 64), confidence=0.57)) == 0


def test_the_stronger_of_two_boxes_of_one_class_suppresses_the_weaker() -> None:
    network = PixelNetwork()
    network.cell(0, 2, 2, log_size=(math.log(4), math.log(4)), objectness=0.9)
    network.cell(0, 3, 2, offset=(-0.5, 0), log_size=(math.log(4), math.log(4)), objectness=0.95)
    overlap = 28 * 32 / (2 * 32 * 32 - 28 * 32)  # moved by 4 of 32 pixels
    kept = detect(network, black(64, 64), nms_iou=overlap - 0.01)
    assert kept == pytest.approx(np.array([[4, 0, 36, 32]]), abs=1e-4)
    assert len(detect(network, black(64, 64), nms_iou=overlap + 0.01)) == 2


def test_boxes_of_different_classes_do_not_suppress_each_other() -> None:
    network = PixelNetwork()
    network.cell(0, 2, 2, classes=(1.0, 0.0))
    network.cell(0, 3, 2, offset=(-1.0, 0.0), classes=(0.0, 1.0))
    assert len(detect(network, black(64, 64))) == 2


def test_boxes_are_clipped_to_the_frame_and_small_ones_dropped() -> None:
    network = PixelNetwork()
    network.cell(0, 0, 0, log_size=(math.log(3), math.log(3)))
    assert detect(network, black(64, 64)) == pytest.approx(np.array([[0, 0, 12, 12]]), abs=1e-4)
    assert len(detect(network, black(64, 64), min_area=145.0)) == 0


def test_a_box_that_lies_in_the_padding_is_none() -> None:
    network = PixelNetwork()
    network.cell(0, 6, 6)
    assert detect(network, black(64, 16)).shape == (0, 4)


def test_tiles_find_what_the_whole_frame_does_not_show() -> None:
    network = PixelNetwork()
    network.cell(0, 2, 2, seen=(1, 20, 20))
    image = black(192, 128)
    image[64 + 20, 128 + 20, 1] = 255
    assert len(detect(network, image)) == 0
    found = detect(network, image, tile=64, tile_overlap=0.0)
    assert found == pytest.approx(np.array([[128 + 12, 64 + 12, 128 + 20, 64 + 20]]), abs=1e-4)


def test_what_two_tiles_see_is_found_once() -> None:
    network = PixelNetwork(side=64)
    for column, row in itertools.product(range(8), repeat=2):
        network.cell(0, column, row, offset=(0.5, 0.5), seen=(1, row * 8 + 4, column * 8 + 4))
    image = black(96, 64)
    image[36, 44, 1] = 255
    found = detect(network, image, tile=64, tile_overlap=0.5)
    assert found == pytest.approx(np.array([[40, 32, 48, 40]]), abs=1e-4)


@settings(max_examples=200)
@given(length=st.integers(1, 2000), side=st.integers(64, 700), overlap=st.floats(0, 0.89))
def test_tiles_cover_the_frame_and_share_what_they_should(length: int, side: int, overlap: float) -> None:
    starts = offsets(length, side, overlap)
    assert starts[0] == 0
    assert starts[-1] == max(0, length - side)
    for left, right in itertools.pairwise(starts):
        assert 0 < right - left <= side * (1 - overlap) + 1


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures a network is given, call by call."""
    found: list[int] = []
    genuine = OnnxDetector._answers

    def counted(self: OnnxDetector, images: Any) -> Any:
        found.append(len(images))
        return genuine(self, images)

    monkeypatch.setattr(OnnxDetector, "_answers", counted)
    return found


def seen_everywhere() -> PixelNetwork:
    """A network that finds a box of its own size at every bright cell."""
    network = PixelNetwork()
    for column, row in itertools.product(range(8), repeat=2):
        network.cell(0, column, row, log_size=(0.1 * column, 0.9), seen=(1, row * 8 + 4, column * 8 + 4))
    return network


@pytest.mark.parametrize(
    ("batch", "calls"), [(None, [1] * 13), (1, [1] * 13), (2, [2] * 6 + [1]), (5, [5, 5, 3]), (16, [13])]
)
def test_a_frame_and_its_tiles_have_the_same_boxes_in_batches(
    counts: list[int], batch: int | None, calls: list[int]
) -> None:
    """Without a GPU there are no batches unless they are asked for."""
    image = np.random.default_rng(1).integers(0, 256, (192, 256, 3), np.uint8)
    settings: dict[str, Any] = {"tile": 64, "tile_overlap": 0.0}
    expected = detect(seen_everywhere(), image, **settings)
    assert len(expected) > 50
    counts.clear()
    found = detect(seen_everywhere().to_bytes(batch="n"), image, batch=batch, **settings)
    assert found.tobytes() == expected.tobytes()
    assert counts == calls


def test_a_network_of_batch_one_is_run_picture_by_picture(counts: list[int]) -> None:
    detect(seen_everywhere(), black(256, 192), batch=16, tile=64, tile_overlap=0.0)
    assert counts == [1] * 13


def test_two_runs_give_the_same_boxes_bit_for_bit() -> None:
    network = PixelNetwork()
    for column, row in itertools.product(range(8), repeat=2):
        network.cell(0, column, row, log_size=(0.7, 0.9), seen=(2, row * 8 + 4, column * 8 + 4))
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    first, second = (detect(network, image) for _ in range(2))
    assert len(first) > 3
    assert first.tobytes() == second.tobytes()


def test_without_onnxruntime_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "onnxruntime":
            raise ImportError(name)
        return genuine(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"pip install 'hf2vad\[detector\]'"):
        detector(PixelNetwork())


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (b"", "pixels.onnx: not an ONNX network"),
        (b"a text file", "pixels.onnx: not an ONNX network"),
        (PixelNetwork().to_bytes(channels=1), r"pixels.onnx: needs .*\(1, 3, H, W\).*\[1, 1, 64, 64\]"),
        (PixelNetwork().to_bytes(element=INT64), "pixels.onnx: "),
        (PixelNetwork().to_bytes(batch=4), r"pixels.onnx: needs .*\(1, 3, H, W\).*\[4, 3, 64, 64\]"),
    ],
)
def test_another_kind_of_file_or_network_is_refused_in_one_line(model: bytes, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        detector(model)
    assert "\n" not in str(refused.value)


def test_an_output_that_is_not_one_row_a_cell_is_refused() -> None:
    network = PixelNetwork()
    for name in ("pixel", "scale", "bias"):
        setattr(network, name, getattr(network, name)[:80])
    with pytest.raises(ConfigError, match=r"output is \(1, 80, 7\), expected \(1, 84, 5 \+ classes\)"):
        detect(network.to_bytes(element=FLOAT), black(64, 64))


def test_a_box_has_its_best_class_and_the_score_of_it() -> None:
    network = PixelNetwork(classes=3)
    network.cell(0, 1, 1, objectness=0.9, classes=(0.1, 0.2, 0.8))
    network.cell(0, 5, 5, objectness=0.8, classes=(0.7, 0.0, 0.1))
    found = detector(network).detect(black(64, 64))
    assert found.classes.tolist() == [2, 0]
    assert found.scores == pytest.approx([0.72, 0.56])
