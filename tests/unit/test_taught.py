"""What a bundle makes of events that were called normal or interesting."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hf2vad.bundle.bundle import Bundle, load_bundle, save_bundle
from hf2vad.bundle.calibration import Calibration, Moments
from hf2vad.errors import BundleError, ConfigError
from hf2vad.features.exemplars import ExemplarConfig
from hf2vad.features.feature import CubeArrays, CubeSample
from hf2vad.features.perspective import Perspective
from hf2vad.features.settings import FusionConfig
from hf2vad.features.size import Size
from hf2vad.features.tail import fit_tail
from hf2vad.features.taught import REACH, TaughtCubes
from hf2vad.fitting.teach import MOST, MOST_OF_EVENT, Lesson, teach
from hf2vad.scoring.feature_set import FeatureSet
from hf2vad.storage import read_bytes
from tests.bundles import make_bundle


def cubes(heights: list[float], width: float = 20.0) -> CubeArrays:
    """Cubes without content in boxes of these heights."""
    boxes = np.array([(0.0, 0.0, width, height) for height in heights], np.float32).reshape(-1, 4)
    return CubeArrays(boxes=boxes, flow=np.zeros((len(heights), 4, 32, 32, 2), np.float16), appearance=None)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """One that knows boxes of 30 to 50 pixels, and scores by size alone."""
    seen = cubes(np.random.default_rng(0).uniform(30, 50, 500).tolist())
    size = Size(ExemplarConfig(exemplars=20)).fit(
        CubeSample(cubes=seen, perspective=Perspective(intercept=40.0, slope=0.0, mean=40.0))
    )
    measured = size.measure(seen)
    calibration = Calibration(
        moments={"size": Moments(float(measured.mean()), float(measured.std()))},
        tails={"size": fit_tail(measured)}, total=fit_tail(measured), threshold=3.0, low=2.0, cubes=500, frames=500,
    )  # fmt: skip
    settings = {"fusion": FusionConfig.of({"size": 1.0}, rule="surprise"), "features": {"size": ExemplarConfig()}}
    return make_bundle({}, calibration=calibration, arrays={"features": {"size": size}}, **settings)


def lesson(event: str, heights: list[float], verdict: str = "normal") -> Lesson:
    return Lesson({"event": event, "video": "a.mp4", "verdict": verdict}, cubes(heights))


def excused(bundle: Bundle, heights: list[float]) -> list[bool]:
    like: list[bool] = bundle.taught.excuses(bundle.features, cubes(heights)).tolist()
    return like


def test_what_is_like_an_event_called_normal_is_excused_and_nothing_else(bundle: Bundle) -> None:
    taught = teach(bundle, [lesson("one", [100, 101, 102, 103])])
    assert excused(taught, [101.5, 100, 70, 150, 40]) == [True, True, False, False, False]
    assert excused(bundle, [101.5]) == [False]


def test_vectors_are_scaled_by_distances_without_units_of_exemplars(bundle: Bundle) -> None:
    size = bundle.feature("size")
    tail = bundle.settings.calibration.tails["size"]
    plain = teach(bundle, [lesson("one", [100, 101])]).taught.scales["size"]
    assert plain == pytest.approx(float(np.interp(1.0, tail.surprises, tail.values)))
    units = {"scale": np.ones(len(size.arrays["exemplars"]), np.float32), "reach": np.array([0.25], np.float32)}
    local = replace(bundle, features={"size": replace(size, arrays={**size.arrays, **units})})
    assert teach(local, [lesson("one", [100, 101])]).taught.scales["size"] == 0.25


def test_what_is_more_like_an_event_called_interesting_is_not(bundle: Bundle) -> None:
    both = teach(bundle, [lesson("one", [100, 101, 102]), lesson("two", [104, 105, 106], "interesting")])
    assert excused(both, [100.5, 101.5, 104.5, 110]) == [True, True, False, False]
    far = 100 * float(np.exp(1.2 * REACH * both.taught.scales["size"]))
    assert excused(teach(bundle, [lesson("one", [100]), lesson("two", [900], "interesting")]), [far]) == [False]


def test_an_event_called_interesting_excuses_nothing(bundle: Bundle) -> None:
    assert excused(teach(bundle, [lesson("two", [100, 101], "interesting")]), [100, 40]) == [False, False]


def test_an_excused_cube_has_no_evidence_in_what_counts_and_keeps_the_rest(bundle: Bundle) -> None:
    features = FeatureSet.of(teach(bundle, [lesson("one", [100, 101, 102])]), ["size"], None, 64)
    asked = cubes([101, 150])
    measured = {"size": np.array([5, 6], np.float32), "speed": np.array([7, 8], np.float32)}
    values = features.excused(measured, asked, ["size"])
    assert {name: found.tolist() for name, found in values.items()} == {"size": [0, 6], "speed": [7, 8]}
    assert replace(features, taught=TaughtCubes()).excused(measured, asked, ["size"]) is measured


def test_a_taught_bundle_is_another_one_and_says_what_it_was_taught(bundle: Bundle, tmp_path: Path) -> None:
    plain = save_bundle(str(tmp_path / "plain"), bundle)
    saved = save_bundle(str(tmp_path / "taught"), teach(plain, [lesson("one", [100, 101])]))
    loaded = load_bundle(str(tmp_path / "taught"))
    assert loaded.id == saved.id != plain.id
    assert excused(loaded, [100.5, 150]) == [True, False]
    assert loaded.provenance["taught"]["bundle"] == plain.id
    (row,) = loaded.provenance["taught"]["events"]
    assert row == {"event": "one", "video": "a.mp4", "verdict": "normal", "cubes": 2}


def test_teaching_again_keeps_replaces_and_forgets(bundle: Bundle, tmp_path: Path) -> None:
    first = save_bundle(str(tmp_path / "first"), teach(bundle, [lesson("one", [100, 101]), lesson("two", [200, 201])]))
    again = teach(load_bundle(str(tmp_path / "first")), [lesson("three", [300, 301])])
    assert excused(again, [100, 200, 300]) == [True, True, True]
    other = teach(again, [lesson("one", [100, 101], "interesting")])
    assert excused(other, [100, 200, 300]) == [False, True, True]
    assert [row["event"] for row in other.provenance["taught"]["events"]] == ["two", "three", "one"]
    fewer = teach(again, [], forget=["two"])
    assert excused(fewer, [100, 200, 300]) == [True, False, True]
    assert teach(again, [], forget=["one", "two", "three"]).taught.arrays == {}
    assert again.provenance["taught"]["bundle"] == first.provenance["taught"]["bundle"]


def test_a_bundle_that_forgot_all_scores_as_before(bundle: Bundle, tmp_path: Path) -> None:
    save_bundle(str(tmp_path / "plain"), bundle)
    taught = teach(bundle, [lesson("one", [100])])
    save_bundle(str(tmp_path / "forgot"), teach(taught, [], forget=["one"]))
    name = "weights.safetensors"
    assert read_bytes(str(tmp_path / "plain" / name)) == read_bytes(str(tmp_path / "forgot" / name))


def test_a_bundle_keeps_a_bounded_number_of_cubes(bundle: Bundle) -> None:
    heights = np.linspace(100, 110, 1000).tolist()
    assert len(teach(bundle, [lesson("one", heights)]).taught) == MOST_OF_EVENT
    many = teach(bundle, [lesson(str(number), heights) for number in range(60)])
    assert MOST - 60 < len(many.taught) <= MOST
    assert all(excused(many, [100, 105, 110]))


@pytest.mark.parametrize(
    "settings",
    [
        {"fusion": FusionConfig()},
        {"fusion": FusionConfig.of({"energy": 1.0}, rule="surprise")},
    ],
)
def test_a_bundle_without_features_that_compare_cubes_cannot_be_taught(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="cannot be taught"):
        teach(make_bundle({}, **settings), [lesson("one", [100])])


def test_arrays_that_do_not_fit_are_refused() -> None:
    with pytest.raises(BundleError, match="do not fit"):
        TaughtCubes({"size": np.zeros((2, 2), np.float32)}, {"size": 1.0}, np.ones(3, np.bool_), np.zeros(3, np.int32))
    with pytest.raises(BundleError, match="lack"):
        TaughtCubes.from_arrays({"normal": np.ones(3, np.uint8)})


def test_a_cube_of_an_event_called_interesting_is_not_excused_though_more_of_those_called_normal_are_near(
    bundle: Bundle,
) -> None:
    normal, interesting = lesson("one", [100, 101, 102, 103]), lesson("two", [101.5, 160, 180], "interesting")
    taught = teach(bundle, [normal, interesting])
    assert excused(taught, [101.5, 100.5]) == [False, True]
