"""Features that somebody else's network decides: the detector's class of an object, and an image encoder's answer."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from hf2vad.bundle.bundle import load_bundle
from hf2vad.bundle.calibration import Calibration
from hf2vad.cluster.settings import RayConfig
from hf2vad.demo.archive import generate
from hf2vad.errors import ConfigError, MismatchError, TrainingError
from hf2vad.features.classes import Classes
from hf2vad.features.embedding import Embedding, EmbeddingConfig, _encoder, enlarging
from hf2vad.features.feature import CameraShare, CubeArrays, CubeSample, NoSettings
from hf2vad.features.perspective import fit_perspective
from hf2vad.features.settings import FusionConfig
from hf2vad.fitting.calibrate import calibrate
from hf2vad.fitting.measure import MeasuredFile
from hf2vad.jobs.extract import ExtractJob, extract_job
from hf2vad.jobs.score import ScoreJob, score_job
from hf2vad.jobs.train import TrainJob, train_job
from hf2vad.schema import STC, STC_CLASSES, U8
from hf2vad.scoring.scorer import Scorer
from hf2vad.scoring.settings import SmoothingRule
from hf2vad.training.data import StcFile, StcTable
from tests.onnx_network import EncoderNetwork, QueryNetwork

HERE = RayConfig(address="none")


def objects(classes: list[int], scores: list[float] | None = None, **more: Any) -> CubeArrays:
    count = len(classes)
    return CubeArrays(
        boxes=np.tile(np.array([[0, 0, 10, 20]], np.float32), (count, 1)),
        flow=np.zeros((count, 4, 32, 32, 2), np.float16),
        appearance=None,
        classes=np.array(classes, np.int32),
        class_scores=np.array(scores or [1.0] * count, np.float32),
        **more,
    )


def sample(cubes: CubeArrays) -> CubeSample:
    return CubeSample(cubes=cubes, perspective=fit_perspective(cubes.boxes))


@pytest.fixture
def classes() -> Classes:
    return Classes(NoSettings()).fit(sample(objects([0] * 90 + [2] * 9 + [-1] * 40)))


def test_a_class_is_as_unusual_as_it_is_rare_and_sure(classes: Classes) -> None:
    usual, rare, new, beyond = classes.measure(objects([0, 2, 1, 70]))
    assert usual == 0
    assert rare == pytest.approx(1.0)
    assert new == beyond == pytest.approx(2.0)
    assert classes.measure(objects([2], [0.5]))[0] == pytest.approx(rare / 2)


def test_two_rare_classes_are_as_usual_as_both_together() -> None:
    feature = Classes(NoSettings()).fit(sample(objects([0] * 979 + [2] * 10 + [5] * 10)))
    assert feature.measure(objects([2, 5, 7])) == pytest.approx([-np.log10(21 / 1000)] * 2 + [3.0])


def test_an_object_without_a_class_is_no_evidence(classes: Classes) -> None:
    assert classes.measure(objects([-1, -1], [0.0, 0.9])).tolist() == [0.0, 0.0]
    motion = replace(objects([0, 2]), classes=None, class_scores=None)
    assert classes.measure(motion).tolist() == [0.0, 0.0]


def test_a_training_object_does_not_vouch_for_its_own_class() -> None:
    cubes = objects([0] * 50 + [4] * 50, fold=np.repeat(np.arange(2, dtype=np.int32), 50))
    feature = Classes(NoSettings()).fit(sample(cubes))
    assert feature.measure(cubes).min() == feature.measure(objects([9]))[0]
    assert feature.measure(replace(cubes, fold=None)).max() == 0


@pytest.mark.parametrize("others", [0, 30, 300])
def test_a_class_that_was_never_seen_is_as_rare_as_the_footage_supports(others: int) -> None:
    count = 20_000
    sure = np.random.default_rng(0).uniform(0.3, 0.95, count)
    cubes = objects([0] * (count - others) + [2] * others, sure.tolist(), fold=np.arange(count, dtype=np.int32) % 4)
    feature = Classes(NoSettings()).fit(sample(cubes))
    calibration = calibrated(feature, cubes)
    scorer = Scorer.surprise(FusionConfig.of({"classes": 1.0}, rule="surprise"), calibration, calibration)
    usual, rare, new = feature.measure(objects([0, 2, 7], [1.0, sure[-others:].min(), 1.0]))
    surprise = calibration.tails["classes"].surprise(np.array([usual, rare, new]))
    assert surprise[0] == 0
    assert surprise[2] == pytest.approx(math.log10(count + 1))
    if others:
        assert surprise[1] == pytest.approx(-math.log10((others + 1) / (count + 1)), abs=0.01)
    scores = scorer.score({"classes": np.array([usual, rare, new], np.float32)})
    assert 2 < scores[2] <= math.log10(count + 1)


def test_a_class_that_only_one_clip_has_is_as_usual_as_its_objects_are() -> None:
    cubes = objects([0] * 950 + [2] * 50, fold=np.repeat(np.arange(20, dtype=np.int32), 50))
    feature = Classes(NoSettings()).fit(sample(cubes))
    surprise = calibrated(feature, cubes).tails["classes"].surprise(feature.measure(objects([7])))
    assert surprise[0] == pytest.approx(-math.log10(51 / 1001))


def calibrated(feature: Classes, cubes: CubeArrays) -> Calibration:
    file = MeasuredFile(
        StcFile("file", "video", 0, len(cubes), (len(cubes),)),
        np.arange(len(cubes), dtype=np.int32),
        {"classes": feature.measure(cubes)},
    )
    fusion = FusionConfig.of({"classes": 1.0}, rule="surprise")
    return calibrate([file], fusion=fusion, smoothing=SmoothingRule(1), where="here").overall


def test_a_camera_has_classes_of_its_own(classes: Classes) -> None:
    both = Classes(NoSettings()).fit(sample(objects([0] * 100 + [2] * 100)))
    footway = both.fit_camera("footway", sample(objects([0] * 100)), CameraShare(weight=0.9, exemplars=10))
    car = objects([2])
    assert footway.of_camera("footway").measure(car)[0] > 2 * footway.measure(car)[0]
    assert footway.of_camera("gate") is footway


def test_a_table_without_classes_cannot_teach_them(tmp_path: Path) -> None:
    demo = generate(tmp_path / "demo", train_clips=1, test_clips=0, frames=30)
    base = replace(ExtractJob.base({"preset": "compact", "boxes": None}), ray=HERE)
    assert extract_job(replace(base, archive=str(demo.train), out=str(tmp_path / "stc"))) == 0
    (path,) = (tmp_path / "stc/stc").rglob("*.parquet")
    assert pq.read_schema(path).names == STC.names
    with pytest.raises(TrainingError, match="no cube has a class, so there is no classes; extract with a detector"):
        train_job(trained(tmp_path, {"classes": 1.0}))


def trained(folder: Path, weights: dict[str, float], **settings: Any) -> TrainJob:
    job = replace(TrainJob.base({"preset": "features"}), stc=str(folder / "stc"), out=str(folder / "bundle"))
    return replace(job, device="cpu", fusion=FusionConfig.of(weights, rule="surprise"), **settings)


@pytest.mark.slow
def test_classes_and_embeddings_go_from_the_detector_to_the_score(tmp_path: Path) -> None:
    demo = generate(tmp_path / "demo", train_clips=1, test_clips=1, frames=40)
    network = QueryNetwork(64)
    network.query((0.2, 0.2, 0.5, 0.7), label=3, score=0.8)
    network.query((0.6, 0.3, 0.8, 0.9), label=3, score=0.9)
    (tmp_path / "detector.onnx").write_bytes(network.to_bytes())
    (tmp_path / "encoder.onnx").write_bytes(EncoderNetwork(16, 8).to_bytes())
    base = replace(ExtractJob.base({"preset": "compact", "boxes": None}), ray=HERE)
    detector = replace(base.detector, kinds=("detr", "motion"), model=str(tmp_path / "detector.onnx"))
    given = {"archive": str(demo.train), "out": str(tmp_path / "stc"), "detector": detector}
    assert extract_job(replace(base, **given)) == 0
    (path,) = (tmp_path / "stc/stc").rglob("*.parquet")
    assert pq.read_schema(path).names == STC_CLASSES.names
    assert set(pq.read_table(path)["class"].to_pylist()) == {3, None}
    (_, cubes), *_ = StcTable(str(tmp_path / "stc")).in_order()
    assert np.array_equal(cubes.classes >= 0, cubes.class_scores > 0)
    encoder = EmbeddingConfig(model=str(tmp_path / "encoder.onnx"), exemplars=20)
    assert train_job(trained(tmp_path, {"classes": 1.0, "embedding": 1.0}, embedding=encoder)) == 0
    bundle = load_bundle(str(tmp_path / "bundle"))
    assert len(bundle.settings.features["embedding"].model_sha256) == 64
    score = replace(ScoreJob.base({"bundle": str(tmp_path / "bundle")}), archive=str(demo.test), ray=HERE, device="cpu")
    assert score_job(replace(score, bundle=str(tmp_path / "bundle"), out=str(tmp_path / "scores"))) == 0
    (found,) = (tmp_path / "scores").glob("bundle=*/objects/*.parquet")
    table = pq.read_table(found)
    assert set(table["class"].to_pylist()) == {3, None}
    assert set(np.round(table["class_score"].drop_null().to_numpy(), 3)) <= {np.float32(0.8), np.float32(0.9)}
    assert table["s_classes"].null_count == table["s_embedding"].null_count == 0
    assert table["s_embedding"].to_numpy().max() > 0


def crops(count: int, seed: int, dark: bool = False) -> CubeArrays:
    rng = np.random.default_rng(seed)
    pictures: U8 = rng.normal(40 if dark else 150, 10, (count, 5, 32, 32, 3)).clip(0, 255).astype(np.uint8)
    if dark:
        pictures[:, :, :16] = 250
    return replace(objects([0] * count), appearance=pictures, fold=np.arange(count, dtype=np.int32) % 4)


def embedding(path: Path, *, batch: int | str = "n", side: int = 24) -> Embedding:
    path.write_bytes(EncoderNetwork(side, 6).to_bytes(batch=batch))
    _encoder.cache_clear()
    return Embedding(EmbeddingConfig(model=str(path), exemplars=30)).fit(sample(crops(80, 0)))


def test_what_looks_unlike_training_is_far_from_every_embedding(tmp_path: Path) -> None:
    feature = embedding(tmp_path / "encoder.onnx")
    usual = feature.measure(replace(crops(40, 1), fold=None))
    assert feature.measure(replace(crops(40, 2, dark=True), fold=None)).min() > 2 * usual.max()
    assert feature.vectors(crops(0, 3)).shape == (0, 6)


def test_a_network_that_takes_one_picture_gives_the_same(tmp_path: Path) -> None:
    cubes = replace(crops(40, 1), fold=None)
    opened, single = (embedding(tmp_path / f"{batch}.onnx", batch=batch).measure(cubes) for batch in ("n", 1))
    assert opened == pytest.approx(single, abs=1e-5)


def test_the_network_sees_the_crop_in_its_size_in_red_green_blue(tmp_path: Path) -> None:
    side = 48
    feature = embedding(tmp_path / "encoder.onnx", side=side)
    cubes = crops(3, 5)
    config = feature.settings
    weights = EncoderNetwork(side, 6).weights
    expected = []
    for crop in cubes.pixels[:, -1]:
        picture = cv2.resize(crop.astype(np.float32), (side, side), interpolation=cv2.INTER_LINEAR)[..., ::-1] / 255
        given = ((picture - np.array(config.mean)) / np.array(config.std)).transpose(2, 0, 1).reshape(1, -1)
        answer = (given @ weights)[0]
        expected.append(answer / np.linalg.norm(answer))
    assert feature.vectors(cubes) == pytest.approx(np.array(expected), abs=1e-3)
    assert enlarging(32) == pytest.approx(np.eye(32))


def test_another_content_of_the_network_is_refused(tmp_path: Path) -> None:
    feature = embedding(tmp_path / "encoder.onnx")
    (tmp_path / "encoder.onnx").write_bytes(EncoderNetwork(24, 7).to_bytes())
    _encoder.cache_clear()
    with pytest.raises(MismatchError, match=r"embedding\.model .* has SHA-256"):
        feature.measure(crops(2, 0))


def test_a_file_that_is_no_image_network_is_refused(tmp_path: Path) -> None:
    (tmp_path / "odd.onnx").write_bytes(b"odd")
    feature = Embedding(EmbeddingConfig(model=str(tmp_path / "odd.onnx")))
    with pytest.raises(ConfigError, match=r"embedding\.model .*odd\.onnx: not an ONNX network"):
        feature.fit(sample(crops(8, 0)))
    (tmp_path / "grey.onnx").write_bytes(EncoderNetwork(24, 6).to_bytes(channels=1))
    feature = Embedding(EmbeddingConfig(model=str(tmp_path / "grey.onnx")))
    with pytest.raises(ConfigError, match=r"needs one float32 input of fixed size \(1, 3, H, W\)"):
        feature.fit(sample(crops(8, 0)))


def test_a_weight_without_a_network_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"fusion\.embedding needs embedding\.model"):
        TrainJob(stc="s", out="o", fusion=FusionConfig.of({"embedding": 1.0}, rule="surprise"))
    with pytest.raises(ConfigError, match="must be three numbers"):
        EmbeddingConfig(mean=(0.5,))
