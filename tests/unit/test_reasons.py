"""Why an object is an event, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hf2vad.bundle.calibration import Calibration
from hf2vad.bundle.settings import BundleSettings
from hf2vad.evidence.reasons import Knowledge, Reasons, reasons
from hf2vad.features.energy import times
from hf2vad.features.exemplars import ExemplarConfig
from hf2vad.features.feature import CubeArrays, CubeSample, Feature
from hf2vad.features.motion_grid import MotionGrid, MotionGridConfig, heading
from hf2vad.features.pace import Pace
from hf2vad.features.perspective import Perspective
from hf2vad.features.settings import FusionConfig
from hf2vad.features.size import Size
from hf2vad.features.tail import Tail
from hf2vad.schema import F16, F32, FEATURE_COLUMNS
from tests.bundles import make_bundle, normal

LINE = Tail(values=(0.0, 2.0), surprises=(0.0, 2.0), scale=1 / np.log(10), cubes=10_000)
"""A value's surprise is the value; 2 is that of one in a hundred, and 4 is as far as 10,000 cubes can tell."""
FAST = "as fast as all but 1 in 100 objects learnt"
PARTS = ("motion", "energy", "motion_grid", "shape", "size")


def by_surprise(**fusion: Any) -> BundleSettings:
    weights = replace(FusionConfig.of(dict.fromkeys(PARTS, 1.0), rule="surprise"), silent=0.0, **fusion)
    own = Calibration(tails=dict.fromkeys(PARTS, LINE), total=LINE, threshold=3.0, low=2.0, cubes=10_000, frames=5000)
    return make_bundle({}, fusion=weights, calibration=own).settings


def row(**surprises: float) -> dict[str, Any]:
    """A row of `objects` whose features have these surprises."""
    values = {FEATURE_COLUMNS[name]: surprises.get(name, 0.0) for name in PARTS}
    return values | {"x1": 10.0, "y1": 20.0, "x2": 30.0, "y2": 60.0}


def given(
    features: Mapping[str, Feature[Any]] | None = None, cube: CubeArrays | None = None, **parts: float
) -> Reasons:
    knowledge = Knowledge(by_surprise(), 5000.0, features or {})
    shown = row(**parts)
    return reasons([shown], shown, knowledge, "a.mp4", cube)


@pytest.mark.parametrize(
    ("parts", "kind", "sentence"),
    [
        ({"motion_grid": 9.0, "energy": 3.0}, "speed", f"Moves about 1.5 times {FAST}; looks usual."),
        ({"motion_grid": 9.0, "energy": 1.2}, "way of moving", "Moves in an unusual way; looks usual."),
        ({"motion_grid": 3.0, "size": 5.0, "shape": 1.5}, "size", "Has an unusual size and moves in an unusual way."),
        ({"shape": 4.0}, "shape", "Has an unusual outline; moves as usual."),
        ({"energy": 6.0, "shape": 4.0}, "speed",
         f"Moves about 3 times {FAST} and has an unusual outline; is of usual size."),
        ({"energy": 1.8, "shape": 1.9, "size": 1.5}, "shape",
         "Nothing about it stands out alone; shape and speed together are a little unusual."),
    ],
)  # fmt: skip
def test_a_sentence_says_what_is_rare_and_what_is_usual(parts: dict[str, float], kind: str, sentence: str) -> None:
    found = given(**parts)
    assert (found.kind, found.sentence) == (kind, sentence)


def test_how_rare_an_object_is_is_said_only_as_far_as_the_footage_can_tell() -> None:
    below, above = given(shape=3.0), given(shape=9.0)
    assert below.rarity == "Rarer than 1 in 1,000 objects, about once in 8 minutes of what was learnt", "2 a second"
    assert above.rarity == "Rarer than 1 in 10,000 objects, as far as the footage learnt from can tell"
    assert [part.text for part in above.parts][:2] == ["beyond 1 in 10,000", "usual"]


def test_score_and_parts_are_of_one_moment() -> None:
    found = given(shape=3.0, size=2.5)
    assert found.score == pytest.approx(sum(part.term for part in found.parts)) == pytest.approx(5.5)
    assert [part.name for part in found.parts][:2] == ["shape", "size"]


def test_features_that_add_up_in_a_frame_are_each_of_its_highest_object() -> None:
    shown, other = row(shape=3.0), row(size=4.0)
    together = reasons([shown, other], shown, Knowledge(by_surprise(at="frame")), "a.mp4")
    assert together.score == pytest.approx(7.0)
    assert {part.name: part.term for part in together.parts if part.term} == {"size": 4.0, "shape": 3.0}
    alone = reasons([shown, other], shown, Knowledge(by_surprise()), "a.mp4")
    assert alone.score == pytest.approx(3.0)


def test_by_equation_9_parts_are_deviations() -> None:
    own = normal(flow=(10.0, 2.0), frame=(5.0, 1.0))
    settings = make_bundle({}, fusion=FusionConfig(flow=1.0, frame=0.5), calibration=own).settings
    shown = row() | {"s_flow": 18.0, "s_frame": 5.5}
    found = reasons([shown], shown, Knowledge(settings), "a.mp4")
    assert found.sentence == "Moves in a way that normal motion does not explain; looks usual."
    assert (found.kind, found.rarity, found.score) == ("flow", "", 4.25)
    assert [part.text for part in found.parts] == ["+4.0 σ", "+0.2 σ"]


GROUND = Perspective(intercept=40.0, slope=0.0, mean=40.0)
LEVEL = Pace(rows=(0.0,), expected=(1.0,))


def cubes(*moves: tuple[float, float], box: tuple[float, float, float, float] = (10, 20, 30, 60)) -> CubeArrays:
    """A cube a motion, all of it in one box."""
    flow: F16 = np.zeros((len(moves), 4, 32, 32, 2), np.float16)
    flow[:] = np.array(moves, np.float16)[:, None, None, None]
    return CubeArrays(boxes=np.tile(np.array([box], np.float32), (len(moves), 1)), flow=flow, appearance=None)


def walkers(*directions: tuple[float, float]) -> MotionGrid:
    """The feature, fitted on forty cubes of each direction, at speeds from half to one and a half."""
    moves = [(x * s, y * s) for x, y in directions for s in np.linspace(0.5, 1.5, 40)]
    return MotionGrid(MotionGridConfig(unit="pixels")).fit(CubeSample(cubes=cubes(*moves), perspective=GROUND))


@pytest.mark.parametrize(
    ("usual", "motion", "predicate"),
    [
        ([(2, 0)], (-2, 0), "Moves against the usual direction; looks usual."),
        ([(2, 0)], (0, 2), "Moves in an unusual direction; looks usual."),
        ([(2, 0)], (3, 1), "Moves in an unusual way; looks usual."),
        ([(2, 0), (-2, 0)], (-2, 0), "Moves in an unusual way; looks usual."),
        ([(2, 0)], (-0.1, 0), "Moves in an unusual way; looks usual."),
    ],
)
def test_a_direction_is_compared_with_those_that_were_learnt(
    usual: list[tuple[float, float]], motion: tuple[float, float], predicate: str
) -> None:
    found = given({"motion_grid": walkers(*usual)}, cubes(motion), motion_grid=5.0)
    assert found.sentence == predicate
    assert found.kind == ("direction" if "direction" in predicate else "way of moving")


def test_a_direction_outranks_a_speed_and_both_are_said_in_one() -> None:
    found = given({"motion_grid": walkers((2, 0))}, cubes((-9, 0)), motion_grid=8.0, energy=4.0)
    assert found.kind == "direction"
    assert found.sentence.startswith("Moves against the usual direction, about twice as fast as all but 1 in 100")


def test_few_exemplars_name_no_direction() -> None:
    few: F32 = np.tile(np.array([[2.0, 0.0]], np.float32), (5, 1))
    assert heading(np.array([-2.0, 0.0], np.float32), few) == "usual"


@pytest.mark.parametrize(
    ("box", "said"),
    [
        ((0, 0, 60, 120), "Is larger than usual"),
        ((0, 0, 5, 10), "Is smaller than usual"),
        ((0, 0, 90, 20), "Is wider and lower than usual"),
        ((0, 0, 8, 90), "Is taller and narrower than usual"),
    ],
)
def test_a_size_is_compared_with_the_nearest_that_was_learnt(box: tuple[float, float, float, float], said: str) -> None:
    size = Size(ExemplarConfig()).fit(CubeSample(cubes=cubes(*[(1.0, 0.0)] * 30), perspective=GROUND))
    found = given({"size": size}, cubes((1.0, 0.0), box=box), size=5.0)
    assert found.sentence == f"{said}; looks usual."


def test_a_ratio_is_as_exact_as_it_deserves() -> None:
    assert [times(ratio) for ratio in (1.16, 1.9, 2.5, 3.4, 12.2)] == [
        "1.2 times", "twice", "2.5 times", "3 times", "12 times",
    ]  # fmt: skip
