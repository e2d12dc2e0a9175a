"""What a cube scores does not depend on the cubes that are measured with it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from hf2vad.features.edge import ARRAY
from hf2vad.features.feature import CubeArrays, CubeSample
from hf2vad.features.motion import DensityConfig
from hf2vad.features.perspective import fit_perspective
from hf2vad.features.registry import feature_classes
from hf2vad.features.settings import FusionConfig
from hf2vad.features.tail import fit_tail
from hf2vad.features.taught import NO_TAUGHT, TaughtCubes
from hf2vad.presets import preset
from hf2vad.schema import FEATURE_COLUMNS, CubeBatch
from hf2vad.scoring.feature_set import FeatureSet
from hf2vad.scoring.scorer import Scorer, Surprise
from hf2vad.scoring.shard import cubes_of, score_shard
from tests.stc import frame_cubes, make_cubes

COUNTS = [1, 0, 1, 62, 1, 128, 0, 1, 70, 0, 57, 1, 2]
"""Cubes of each frame: shards that end in some of them leave one cube or a few for the last batch."""
HALVED = np.array([[0, 1, 2], [0, 0.5, 1]], np.float32)
"""Scale of boxes at the picture's edge: their values become half as large."""
FUSION: FusionConfig = preset("features").fusion


@pytest.fixture(scope="module")
def frames() -> list[CubeBatch]:
    return [frame_cubes(frame, *make_cubes(count, frame)) for frame, count in enumerate(COUNTS)]


@pytest.fixture(scope="module")
def features() -> FeatureSet:
    """The features of preset `features` and others that compare cubes, with cubes that somebody called normal."""
    seen: CubeArrays = cubes_of([frame_cubes(0, *make_cubes(600, 99))])
    sample = CubeSample(cubes=seen, perspective=fit_perspective(seen.boxes))
    classes = feature_classes()
    settings = {name: classes[name].Settings() for name in (*FUSION.weights, "look", "place")}
    settings["motion"] = DensityConfig(kind="knn")
    fitted = {name: classes[name](own).fit(sample) for name, own in settings.items()}
    fitted = {name: replace(each, arrays={**each.arrays, ARRAY: HALVED}) for name, each in fitted.items()}
    vectors = {"shape": fitted["shape"].vectors(seen)[:40]}
    taught = TaughtCubes(vectors, {"shape": 1.0}, np.arange(40) < 20, np.zeros(40, np.int32))
    return FeatureSet(fitted, None, 64, taught)


@pytest.fixture(scope="module")
def scorer(features: FeatureSet, frames: list[CubeBatch]) -> Scorer:
    measured = features.measure(cubes_of(frames))
    tails = {name: Surprise(fit_tail(own), 0.5) for name, own in measured.items()}
    return Scorer(dict(FUSION.weights), tails)


def scored(frames: list[CubeBatch], features: FeatureSet, scorer: Scorer) -> pa.Table:
    def stream() -> Generator[CubeBatch, None, None]:
        yield from frames

    return score_shard("v", stream(), features, scorer, metadata={}, vectors=True)


@pytest.mark.parametrize("first", range(1, 13))
def test_where_a_shard_begins_shows_in_no_digit_of_a_score(
    first: int, frames: list[CubeBatch], features: FeatureSet, scorer: Scorer
) -> None:
    whole = scored(frames, features, scorer)
    before = sum(max(1, count) for count in COUNTS[:first])
    assert whole.num_rows == sum(max(1, count) for count in COUNTS)
    assert scored(frames[first:], features, scorer).equals(whole.slice(before))
    assert scored(frames[:first], features, scorer).equals(whole.slice(0, before))


def test_rows_have_the_values_of_the_pictures_edge(
    frames: list[CubeBatch], features: FeatureSet, scorer: Scorer
) -> None:
    found = scored(frames, replace(features, taught=NO_TAUGHT), scorer).to_pandas().dropna(subset=["x1"])
    cubes = cubes_of(frames)
    edge = found.groupby("frame").cumcount().to_numpy() == 0
    assert cubes.at_edge is not None
    assert edge.tolist() == cubes.at_edge.tolist(), "the first box of each frame"
    for name, feature in features.features.items():
        own = feature.measure(cubes)
        assert found[FEATURE_COLUMNS[name]].to_numpy() == pytest.approx(np.where(edge, own / 2, own), rel=1e-4), name
