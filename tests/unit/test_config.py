from __future__ import annotations

from dataclasses import fields, replace

import pytest

from hf2vad.cubes.settings import (
    DetectorConfig,
    ExtractionConfig,
    FlowConfig,
    extraction_difference,
    extraction_fingerprint,
)
from hf2vad.errors import ConfigError
from hf2vad.models.settings import ModelConfig
from hf2vad.presets import PRESETS, Preset
from hf2vad.report.site.job import ReportJob
from hf2vad.settings import from_dict, to_dict
from hf2vad.training.settings import TrainingConfig


@pytest.mark.parametrize("name", list(PRESETS))
def test_settings_survive_the_way_through_plain_values(name: str) -> None:
    preset = PRESETS[name]
    assert from_dict(Preset, to_dict(preset)) == preset


def test_an_unknown_key_is_an_error_that_names_the_nearest_known_one() -> None:
    with pytest.raises(ConfigError, match=r"site\.toml: unknown key model\.slot; did you mean model\.slots\?"):
        from_dict(Preset, {"model": {"slot": 3}}, where="site.toml")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"flow": {"scale": 0}}, "flow.scale must be above 0"),
        ({"flow": {"scale": "2"}}, "flow.scale must be of type float"),
        ({"flow": {"method": "farneback"}}, "flow.method must be one of dis"),
        ({"motion": {"blur": 4}}, "motion.blur must be odd"),
        ({"motion": {"blur": True}}, "motion.blur must be of type int"),
        ({"motion": 3}, "motion must be a table of settings"),
        ({"detector": {"kind": "onnx"}}, "needs detector.model"),
        ({"detector": {"kinds": ["onnx", "motion"]}}, "detector.kinds with onnx needs detector.model"),
        ({"detector": {"kinds": ["onnx", "detr"], "model": "a"}}, "has onnx and detr, which read the same"),
        ({"detector": {"kinds": ["yolo"]}}, "must be some of motion, onnx, detr, boxes, foreground, got 'yolo'"),
        ({"detector": {"kinds": []}}, "must be some of motion, onnx, detr, boxes, foreground, got ''"),
        ({"detector": {"kinds": ["motion", "motion"]}}, "none twice, got motion\\+motion"),
        ({"detector": {"kinds": ["motion"], "kind": "motion"}}, "give one of them"),
        ({"detector": {"kind": ["motion"]}}, "detector.kind must be text"),
    ],
)
def test_a_refused_value_is_named_with_what_would_be_right(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_dict(ExtractionConfig, values)


def test_what_has_one_value_is_no_setting_but_written_and_hashed_as_one() -> None:
    assert "method" not in {item.name for item in fields(FlowConfig)}
    plain = to_dict(ExtractionConfig())
    assert (plain["flow"]["method"], plain["cube"]) == ("dis", {"size": 32, "context": 4})
    assert extraction_fingerprint(ExtractionConfig()) == "1cd53a8a6aab0c0f", "bundles that were made have this id"
    with pytest.raises(ConfigError, match=r"cube\.size must be one of 32, got 64"):
        from_dict(ExtractionConfig, {"cube": {"size": 64}})


def test_tuples_and_optional_values_are_read_from_lists_and_nulls() -> None:
    model = from_dict(ModelConfig, {"memories": ["bottleneck"], "shrink": None, "cvae_widths": [32, 64, 64, 64]})
    assert model.memories == ("bottleneck",)
    assert model.cvae_widths == (32, 64, 64, 64)
    assert from_dict(ModelConfig, {"shrink": 0.01}).shrink_threshold == 0.01
    assert model.shrink_threshold == pytest.approx(1 / 2000)


def test_stages_out_of_order_are_refused() -> None:
    with pytest.raises(ConfigError, match="order flow, frame, joint"):
        TrainingConfig(stages=("frame", "flow"))


def test_a_detector_counts_by_its_content_and_not_by_its_address() -> None:
    here = ExtractionConfig(detector=DetectorConfig(kinds=("onnx",), model="a.onnx", model_sha256="1" * 64))
    there = replace(here, detector=replace(here.detector, model="s3://models/a.onnx"))
    other = replace(here, detector=replace(here.detector, model_sha256="2" * 64))
    assert extraction_fingerprint(here) == extraction_fingerprint(there) != extraction_fingerprint(other)
    assert extraction_difference(here, there) == ""
    assert "detector.model_sha256" in extraction_difference(here, other)


def test_a_difference_names_the_setting_and_both_values() -> None:
    theirs = ExtractionConfig(flow=FlowConfig(scale=1.0))
    assert extraction_difference(ExtractionConfig(), theirs) == "flow.scale: 2.0 in the bundle, 1.0 given"


def test_one_text_stands_for_a_list_of_one() -> None:
    assert from_dict(ReportJob, {"scores": "s", "out": "o", "archive": "/footage"}).archive == ("/footage",)
    with pytest.raises(ConfigError, match=r"archive must be a list, got 3"):
        from_dict(ReportJob, {"scores": "s", "out": "o", "archive": 3})


ADDRESS = {"model": "/a/yolox.onnx", "model_sha256": "ab" * 32}
BOTH = ExtractionConfig(detector=DetectorConfig(kinds=("onnx", "motion"), confidence=0.3, tile=256, **ADDRESS))


@pytest.mark.parametrize(
    ("extraction", "expected"),
    [
        (PRESETS["ped2"].extraction, "f2083814e59afa1a"),
        (PRESETS["avenue"].extraction, "2a141a8cb7e892b1"),
        (PRESETS["shanghaitech"].extraction, "d7056a54300d4d25"),
        (BOTH, "2c08803bdf32bee0"),
        (ExtractionConfig(detector=DetectorConfig(kinds=("motion",), **ADDRESS)), "1cd53a8a6aab0c0f"),
        (ExtractionConfig(detector=DetectorConfig(kinds=("boxes",), **ADDRESS)), "e25ea526faea4a4c"),
        (ExtractionConfig(detector=DetectorConfig(kinds=("onnx",), **ADDRESS)), "bd4eb3560c41d2ee"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.detector.kind,
)
def test_fingerprints_of_cubes_are_those_of_release_0_1_before_kinds(
    extraction: ExtractionConfig, expected: str
) -> None:
    """Tables and bundles that are there must be found again."""
    assert extraction_fingerprint(extraction) == expected


def test_the_kinds_of_a_detector_are_one_word_in_json_as_they_always_were() -> None:
    assert list(to_dict(BOTH.detector).items()) == [
        ("kind", "onnx+motion"),
        ("model", "/a/yolox.onnx"),
        ("model_sha256", "ab" * 32),
        ("confidence", 0.3),
        ("min_area", 100.0),
        ("overlap", 0.6),
        ("nms_iou", 0.45),
        ("tile", 256),
        ("tile_overlap", 0.25),
    ]


@pytest.mark.parametrize("kinds", [("motion",), ("onnx",), ("onnx", "motion"), ("boxes",), ("detr", "boxes", "motion")])
def test_either_spelling_of_the_kinds_is_read(kinds: tuple[str, ...]) -> None:
    expected = DetectorConfig(kinds=kinds, model="a.onnx")
    for spelling in ({"kind": "+".join(kinds)}, {"kinds": list(kinds)}, {"kinds": ["+".join(kinds)]}):
        assert from_dict(DetectorConfig, {"model": "a.onnx", **spelling}) == expected
    assert from_dict(DetectorConfig, to_dict(expected)) == expected


def test_flow_of_what_moves_travels_in_settings_and_makes_other_cubes() -> None:
    around, moving = (
        ExtractionConfig(flow=FlowConfig(region=region, preset="fast_half", scale=1.0))
        for region in ("boxes", "moving")
    )
    flow = to_dict(moving)["flow"]
    assert (flow["region"], flow["preset"], "margin" in flow) == ("moving", "fast_half", False)
    assert from_dict(ExtractionConfig, to_dict(moving)) == moving
    assert extraction_fingerprint(moving) != extraction_fingerprint(around)
