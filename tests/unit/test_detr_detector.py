from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hf2vad.cubes.detectors.detector import NO_BOXES, FrameContext, Resources
from hf2vad.cubes.detectors.detr import DetrDetector
from hf2vad.cubes.detectors.network import NetworkConfig
from hf2vad.errors import ConfigError
from hf2vad.schema import U8
from tests.onnx_network import FLOAT, PixelNetwork, QueryNetwork

UPPER_LEFT, LOWER_RIGHT = (0.125, 0.125, 0.375, 0.5), (0.5, 0.5, 0.75, 0.75)


@pytest.fixture
def put(tmp_path: Path) -> Any:
    def detector(network: QueryNetwork | bytes, *, batch: int | None = None, **settings: Any) -> DetrDetector:
        path = tmp_path / "queries.onnx"
        path.write_bytes(network if isinstance(network, bytes) else network.to_bytes())
        config = NetworkConfig(**{"model": str(path), "min_area": 0.0, **settings})
        return DetrDetector(config, Resources(), batch=batch)

    return detector


def black(width: int, height: int) -> U8:
    return np.zeros((height, width, 3), np.uint8)


def test_boxes_are_in_pixels_of_the_frame_whatever_its_shape(put: Any) -> None:
    network = QueryNetwork()
    network.query(UPPER_LEFT)
    found = put(network).detect(black(320, 80))
    assert found.boxes.tolist() == [[40, 10, 120, 40]]
    assert [values.dtype for values in found] == [np.float32, np.float32, np.int32]


def test_the_most_certain_come_first_and_the_uncertain_not_at_all(put: Any) -> None:
    network = QueryNetwork()
    network.query(UPPER_LEFT, label=3, score=0.6)
    network.query(LOWER_RIGHT, label=7, score=0.9)
    network.query((0, 0, 1, 1), label=1, score=0.49)
    found = put(network).detect(black(64, 64))
    assert found.boxes.tolist() == [[32, 32, 48, 48], [8, 8, 24, 32]]
    assert found.classes.tolist() == [7, 3]
    assert found.scores == pytest.approx([0.9, 0.6])


@pytest.mark.parametrize(("channel", "place"), [(2, 0), (1, 1), (0, 2)])
def test_the_network_sees_red_green_blue_from_0_to_1(put: Any, channel: int, place: int) -> None:
    network = QueryNetwork()
    network.query(UPPER_LEFT, seen=(place, 10, 20))
    image = black(64, 64)
    image[10, 20, channel] = 153
    assert put(network).detect(image).scores == pytest.approx([0.6])


def test_a_frame_of_another_size_is_resized_without_regard_to_its_shape(put: Any) -> None:
    network = QueryNetwork()
    network.query(UPPER_LEFT, seen=(0, 48, 16))
    image = black(256, 32)
    image[20:28, 48:80] = 255
    assert put(network).detect(image).scores == pytest.approx([1.0])


def test_boxes_of_one_object_under_two_classes_become_one_of_the_better_class(put: Any) -> None:
    network = QueryNetwork()
    network.query(UPPER_LEFT, label=2, score=0.6)
    network.query(UPPER_LEFT, label=7, score=0.8)
    detector = put(network)
    assert len(detector.detect(black(64, 64)).boxes) == 2
    found = detector.boxes(FrameContext(video="v", index=0, image=black(64, 64)), NO_BOXES)
    assert found.boxes.tolist() == [[8, 8, 24, 32]]
    assert (found.classes.tolist(), found.scores.tolist()) == ([7], pytest.approx([0.8]))


def test_neighbouring_objects_of_one_class_are_not_suppressed(put: Any) -> None:
    network = QueryNetwork()
    for x in (0.125, 0.1875):
        network.query((x, 0.125, x + 0.25, 0.5), score=0.9)
    assert len(put(network, nms_iou=0.1).detect(black(64, 64)).boxes) == 2


def test_small_boxes_are_dropped_and_large_ones_clipped(put: Any) -> None:
    network = QueryNetwork()
    network.query((-0.5, -0.5, 0.25, 0.25))
    network.query((0.5, 0.5, 0.625, 0.625))
    assert put(network, min_area=65).detect(black(64, 64)).boxes.tolist() == [[0, 0, 16, 16]]


@pytest.mark.parametrize("batch", [1, 2, 16])
def test_what_two_tiles_see_and_the_whole_frame_does_not_show_is_found_once(put: Any, batch: int) -> None:
    network = QueryNetwork()
    network.query((0.625, 0.375, 0.875, 0.625), seen=(0, 32, 48))
    network.query((0.125, 0.375, 0.375, 0.625), seen=(0, 32, 16))
    image = black(96, 64)
    image[32, 48] = 255
    assert len(put(network).detect(image).boxes) == 0
    found = put(network, batch=batch, tile=64, tile_overlap=0.5).detect(image)
    assert found.boxes.tolist() == [[40, 24, 56, 40]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sizes": FLOAT}, r"int64 orig_target_sizes.*got images tensor\(float\).*orig_target_sizes tensor\(float\)"),
        ({"boxes": "regions"}, "outputs labels, boxes, scores; got .* and labels, regions, scores"),
        ({"batch": 4}, r"images of fixed size \(1, 3, H, W\).*\[4, 3, 64, 64\]"),
    ],
)
def test_another_networks_inputs_or_outputs_are_refused(put: Any, change: dict[str, Any], message: str) -> None:
    network = QueryNetwork()
    network.query(UPPER_LEFT)
    with pytest.raises(ConfigError, match=rf"queries\.onnx: needs .*{message}") as refused:
        put(network.to_bytes(**change))
    assert "\n" not in str(refused.value)


def test_an_output_of_another_shape_is_refused(put: Any) -> None:
    network = QueryNetwork()
    network.query(UPPER_LEFT)
    with pytest.raises(ConfigError, match=r"queries\.onnx: .* boxes \(1, 1, 3\) .*, expected .*\(1, Q, 4\)"):
        put(network.to_bytes(corners=3)).detect(black(64, 64))


def test_a_network_of_the_yolox_family_is_refused(put: Any) -> None:
    with pytest.raises(ConfigError, match=r"queries\.onnx: needs .* orig_target_sizes.*, and output"):
        put(PixelNetwork().to_bytes())
