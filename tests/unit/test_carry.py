"""`detector.fps`: a network detects on some frames, and optical flow carries its boxes to the others."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf2vad.archive.catalog import Video
from hf2vad.cubes.carry import carried
from hf2vad.cubes.detect import resolve_detector
from hf2vad.cubes.detectors.detector import Detections
from hf2vad.cubes.detectors.onnx import OnnxDetector
from hf2vad.cubes.extract import Extractor
from hf2vad.cubes.settings import DetectorConfig, ExtractionConfig, FlowConfig, WorkingConfig, extraction_fingerprint
from hf2vad.schema import F32, U8, CubeBatch
from hf2vad.settings import from_dict, to_dict
from hf2vad.video.decode import decode
from hf2vad.video.sampled import DETECTED_APART, detection_frames
from hf2vad.video.shards import cut_shards
from hf2vad.video.timeline import probe
from tests.moving import AROUND, COUNT, HEIGHT, MOTION, MOVING, WIDTH, content, extract, only_video, scene, write_video
from tests.onnx_network import PixelNetwork


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Video:
    folder = tmp_path_factory.mktemp("archive")
    write_video(folder / "clip.mp4", scene(COUNT))
    return only_video(folder)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Path of a network that finds boxes where one row of the picture is bright."""
    pixels = PixelNetwork()
    for column in range(8):
        pixels.cell(0, column, 1, log_size=(1.0, 1.2), seen=(1, 12, 8 * column))
    path = tmp_path_factory.mktemp("network") / "pixels.onnx"
    path.write_bytes(pixels.to_bytes())
    return str(path)


def at(fps: float, network: str, *kinds: str, **changes: Any) -> Extractor:
    detector = DetectorConfig(kinds=kinds or ("onnx",), model=network, min_area=20.0, confidence=0.4, fps=fps)
    return Extractor(ExtractionConfig(**{"motion": MOTION.motion, "detector": detector, **changes}))


def texture(width: int, height: int, seed: int) -> U8:
    """Structure of several sizes, as in a picture of the world."""
    rng = np.random.default_rng(seed)
    sizes = [cv2.resize(rng.normal(0, s, (height // s, width // s)), (width, height)) for s in (2, 4, 8, 16)]
    return np.clip(128 + 4 * sum(sizes), 0, 255).astype(np.uint8)


def shifted(x: int, y: int) -> tuple[U8, U8]:
    """A frame of 160 × 120 pixels, and one in which a thing at (60, 40) … (90, 80) has moved by (x, y)."""
    ground, thing = texture(160, 120, seed=4), texture(30, 40, seed=5)
    before, after = ground.copy(), ground.copy()
    before[40:80, 60:90] = thing
    whole = np.pad(after, 40)
    whole[80 + y : 120 + y, 100 + x : 130 + x] = thing
    return before, np.ascontiguousarray(whole[40:160, 40:200])


def boxes_at(*boxes: tuple[float, float, float, float]) -> F32:
    return np.array(boxes, np.float32)


@pytest.mark.parametrize("motion", [(0, 0), (3, -2), (-11, 6), (14, 12)])
def test_a_box_moves_with_what_is_in_it_and_keeps_its_class_and_score(motion: tuple[int, int]) -> None:
    seen = Detections(boxes_at((60, 40, 90, 80)), np.array([7], np.int32), np.array([0.625], np.float32))
    found = carried(seen, *shifted(*motion), min_area=100)
    expected = np.array([60, 40, 90, 80]) + np.tile(motion, 2)
    assert found.boxes == pytest.approx(expected[None], abs=0.3)
    assert found.classes is not None
    assert found.scores is not None
    assert (found.classes.tolist(), found.scores.tolist()) == ([7], [0.625])


def test_boxes_are_sorted_where_they_are_and_classes_go_with_them() -> None:
    """The thing passes the still ground that the other box is on."""
    seen = Detections(boxes_at((10, 30, 40, 60), (60, 40, 90, 80)), np.array([1, 2], np.int32), np.ones(2, np.float32))
    found = carried(seen, *shifted(5, -14), min_area=100)
    assert found.boxes == pytest.approx(np.array([[65, 26, 95, 66], [10, 30, 40, 60]]), abs=0.3)
    assert found.classes is not None
    assert found.classes.tolist() == [2, 1]


def test_a_box_that_leaves_the_picture_is_clipped_and_goes_with_its_last_pixels() -> None:
    wide = texture(240, 120, seed=4)
    seen = Detections(boxes_at((2, 40, 32, 80)), np.array([7], np.int32), np.array([0.5], np.float32))
    pans = [np.ascontiguousarray(wide[:, x : x + 160]) for x in (0, 12, 22)]
    found = carried(seen, pans[0], pans[1], min_area=100)
    assert found.boxes == pytest.approx(boxes_at((0, 40, 20, 80)), abs=0.5)
    assert carried(seen, pans[0], pans[2], min_area=300).boxes == pytest.approx(boxes_at((0, 40, 10, 80)), abs=0.5)
    gone = carried(seen, pans[0], pans[2], min_area=500)
    assert gone.boxes.shape == (0, 4)
    assert gone.classes is not None
    assert len(gone.classes) == 0


def test_a_box_without_texture_stays() -> None:
    flat = np.full((120, 160), 90, np.uint8)
    seen = Detections(boxes_at((10, 20, 50, 60)), None, None)
    assert carried(seen, flat, flat, 100).boxes.tolist() == [[10, 20, 50, 60]]


@given(
    steps=st.lists(st.sampled_from([1, 10, 40, 200, 3000]), min_size=1, max_size=90),
    fps=st.sampled_from([0.0, 0.5, 5.0, 12.5]),
)
def test_a_frame_has_the_detections_of_the_nearest_that_is_detected_on(steps: list[int], fps: float) -> None:
    sources = detection_frames(np.cumsum([0, *steps]) / 1000, fps)
    detected = np.unique(sources)
    assert len(sources) == len(steps) + 1
    assert np.array_equal(sources[detected], detected)
    assert (np.diff(sources) >= 0).all()
    distance = np.abs(np.arange(len(sources))[:, None] - detected[None, :])
    assert np.array_equal(sources, detected[distance.argmin(axis=1)]), "the earlier of two that are equally near"
    assert np.diff(detected).max(initial=0) <= DETECTED_APART
    assert distance.min(axis=1).max() < DETECTED_APART
    if not fps:
        assert len(detected) == len(sources)


def test_the_rate_means_the_same_at_any_rate_of_frames() -> None:
    for rate in (10, 25, 50):
        detected = np.unique(detection_frames(np.arange(20 * rate) / rate, 5.0))
        assert np.array_equal(detected, np.arange(0, 20 * rate, rate // 5))


@pytest.mark.parametrize("kinds", [("onnx",), ("onnx", "motion")], ids="+".join)
@pytest.mark.parametrize("flow", [FlowConfig(), AROUND, MOVING], ids=["frame", "boxes", "moving"])
@pytest.mark.parametrize(("fps", "worked"), [(5.0, 0.0), (1.0, 0.0), (5.0, 12.5)])
def test_shards_do_not_show(
    fps: float, worked: float, flow: FlowConfig, kinds: tuple[str, ...], clip: Video, network: str
) -> None:
    extractor = at(fps, network, *kinds, flow=flow, working=WorkingConfig(fps=worked))
    whole = extract(clip, COUNT, extractor)
    assert {int(each) for batch in whole if batch.classes is not None for each in batch.classes} == (
        {0, -1} if "motion" in kinds else {0}
    )
    for length in (1, 7, 16):
        assert content(extract(clip, length, extractor)) == content(whole), length
    assert content(extract(clip, 6, extractor, start=13)) == content(whole)[13:]


def classes(batches: list[CubeBatch]) -> list[tuple[list[int], list[float]]]:
    return [
        ([], []) if b.classes is None or b.class_scores is None else (b.classes.tolist(), b.class_scores.tolist())
        for b in batches
    ]


def test_a_network_runs_on_some_frames_and_its_classes_are_on_all(
    clip: Video, network: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = []
    answers = OnnxDetector._answers

    def counted(self: OnnxDetector, images: Any) -> Any:
        runs.append(len(images))
        return answers(self, images)

    monkeypatch.setattr(OnnxDetector, "_answers", counted)
    every = extract(clip, COUNT, at(0.0, network))
    assert len(runs) == COUNT - 4
    runs.clear()
    thinned = extract(clip, COUNT, at(5.0, network))
    assert len(runs) == COUNT // 5 - 1, "the first frames have no cubes and need no boxes"
    for t in range(5, COUNT, 5):
        assert content([thinned[t]]) == content([every[t]])
    of_detection = classes(every)
    for t, (found, scores) in enumerate(classes(thinned)):
        source = min(5 * ((t + 2) // 5), COUNT - 5)
        assert set(zip(found, scores, strict=True)) <= set(zip(*of_detection[source], strict=True)), t


def test_motion_is_found_on_every_frame(clip: Video, network: str) -> None:
    """Without an object that the network knows, motion's boxes are those of motion alone."""
    blind = replace(at(5.0, network, "onnx", "motion")._config.detector, confidence=1.0)
    both = extract(clip, 9, Extractor(ExtractionConfig(motion=MOTION.motion, detector=blind)))
    assert content(both) == content(extract(clip, 9, Extractor(MOTION)))


def test_where_the_detected_frame_is_damaged_its_neighbours_are_detected_on(tmp_path: Path, network: str) -> None:
    path = tmp_path / "clip.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=Fraction(25))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
        for image in scene(25):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    path.write_bytes(path.read_bytes().replace(packets[10], bytes(len(packets[10]))))
    video = only_video(tmp_path)
    (shard,) = cut_shards(video, probe(video), 100)
    assert [frame.index for frame in decode(shard) if frame.image is None] == [10]
    every, thinned = (extract(video, 100, at(fps, network)) for fps in (0.0, 5.0))
    assert sum(map(len, every[8:10])) > 0
    for t in (8, 9):
        assert np.array_equal(thinned[t].boxes, every[t].boxes)
    for length in (1, 4, 9):
        assert content(extract(video, length, at(5.0, network))) == content(thinned)


def test_folders_of_images_are_detected_on_whole(clip: Video, network: str, tmp_path: Path) -> None:
    (shard,) = cut_shards(clip, probe(clip), COUNT)
    for frame in decode(shard):
        assert frame.image is not None
        cv2.imwrite(str(tmp_path / f"{frame.index:03d}.png"), frame.image)
    images = only_video(tmp_path)
    assert content(extract(images, 10, at(5.0, network))) == content(extract(images, 10, at(0.0, network)))


def test_it_is_part_of_the_settings_of_a_network_alone(network: str) -> None:
    def settings(fps: float, *kinds: str) -> ExtractionConfig:
        return ExtractionConfig(detector=DetectorConfig(kinds=kinds, model=network, fps=fps))

    plain, thinned = settings(0.0, "onnx", "motion"), settings(5.0, "onnx", "motion")
    assert "fps" not in to_dict(plain)["detector"]
    assert extraction_fingerprint(plain) != extraction_fingerprint(thinned)
    assert from_dict(ExtractionConfig, to_dict(thinned)) == thinned
    assert resolve_detector(settings(5.0, "motion").detector) == settings(0.0, "motion").detector
    assert extraction_fingerprint(settings(5.0, "motion")) == extraction_fingerprint(settings(0.0, "motion"))
