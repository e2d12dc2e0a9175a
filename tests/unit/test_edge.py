"""Boxes that the picture's edge cuts are judged by their like too, and others as before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hf2vad.bundle.bundle import Bundle, load_bundle
from hf2vad.cubes.cut import at_edge
from hf2vad.cubes.extract import Extractor
from hf2vad.cubes.settings import ExtractionConfig
from hf2vad.evidence.cube import cut_again
from hf2vad.features.edge import ARRAY, FEWEST, edge_scale, nearer
from hf2vad.features.feature import CubeArrays
from hf2vad.features.tail import fit_tail
from hf2vad.jobs.train import TrainJob, train_job
from hf2vad.presets import preset
from hf2vad.schema import BOX, F64, STC, U8, CubeBatch, pack_metadata
from hf2vad.scoring.feature_set import FeatureSet
from hf2vad.scoring.scorer import Scorer
from hf2vad.settings import to_dict
from hf2vad.storage import put_table
from hf2vad.tables.cubes import cubes_to_arrow
from hf2vad.training.data import StcTable
from hf2vad.video.timeline import probe
from tests.moving import extract, only_video, write_video


@pytest.mark.parametrize(
    ("box", "cut"),
    [
        ((0, 50, 20, 90), True),
        ((1.5, 50, 20, 90), True),
        ((2, 50, 20, 90), False),
        ((100, 0, 120, 30), True),
        ((300, 50, 320, 90), True),
        ((300, 50, 318.5, 90), True),
        ((300, 50, 318, 90), False),
        ((100, 200, 120, 240), True),
        ((100, 200, 120, 238), False),
    ],
)
def test_a_box_within_a_two_hundredth_of_the_longer_side_is_at_the_edge(box: tuple[float, ...], cut: bool) -> None:
    assert at_edge(np.array([box], np.float32), (320, 240)).tolist() == [cut]


def crossing(count: int = 30) -> Iterator[U8]:
    """A thing that comes in at the left edge of 96×72 pixels and goes out at the right one."""
    rng = np.random.default_rng(3)
    ground = rng.integers(60, 90, (72, 96, 3), np.uint8)
    for number in range(count):
        image = ground.copy()
        x = 4 * number - 16
        image[24:48, max(0, x) : max(0, x + 16)] = 220
        yield image


@pytest.mark.parametrize("longest", [0, 64])
def test_extraction_says_which_boxes_are_at_the_edge_at_any_working_size(longest: int, tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", crossing())
    whole = preset("features").extraction
    config = replace(whole, working=replace(whole.working, longest=longest))
    video, extractor = only_video(tmp_path), Extractor(config)
    batches = extract(video, 1000, extractor)
    edges = {batch.frame: batch.at_edge.tolist() for batch in batches if len(batch) and batch.at_edge is not None}
    for batch in batches:
        if len(batch):
            near = (batch.boxes[:, 0] <= 0.48) | (batch.boxes[:, 2] >= 96 - 0.48)
            assert edges[batch.frame] == near.tolist()
    assert any(map(any, (edges[frame] for frame in edges if frame < 8))), "where it comes in"
    assert any(map(any, (edges[frame] for frame in edges if frame > 22))), "where it goes out"
    assert not any(map(any, (edges[frame] for frame in range(11, 18)))), "between"
    frame = next(frame for frame, found in edges.items() if any(found))
    box = next(batch for batch in batches if batch.frame == frame).boxes[edges[frame].index(True)]
    row = {"frame": frame, "class": None, "class_score": None, **dict(zip(BOX, box.tolist(), strict=True))}
    again = cut_again(extractor, video, probe(video), row).arrays(row)
    assert again.at_edge is not None
    assert again.at_edge.tolist() == [True], "evidence measures it as scoring did"


def test_no_box_is_at_no_edge() -> None:
    assert at_edge(np.empty((0, 4), np.float32), (320, 240)).shape == (0,)


def normal(count: int, seed: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Values of cubes, a tenth of them at the edge, where they are three times as large."""
    rng = np.random.default_rng(seed)
    edge = rng.random(count) < 0.1
    return (rng.exponential(np.where(edge, 3.0, 1.0)) + 0.5).astype(np.float32), edge


def test_values_at_the_edge_go_half_of_the_way_to_those_as_rare_among_all() -> None:
    values, edge = normal(20_000, 0)
    arrays = edge_scale(values, edge)
    unseen, unseen_edge = normal(50_000, 1)
    moved = nearer(arrays, unseen, unseen_edge)
    own = unseen[unseen_edge].astype(np.float64)
    as_rare = fit_tail(values).values_at(fit_tail(values[edge]).surprise(own))
    assert moved[unseen_edge] == pytest.approx((own + as_rare) / 2, rel=1e-4)
    assert moved[~unseen_edge].tobytes() == unseen[~unseen_edge].tobytes()
    for level in (1, 2):
        before, after = (fit_tail(values).surprise(found)[unseen_edge] > level for found in (unseen, moved))
        assert after.mean() < 0.7 * before.mean()


def test_what_is_rarer_at_the_edge_stays_rarer_however_rare() -> None:
    values, edge = normal(5_000, 0)
    arrays = edge_scale(values, edge)
    asked = np.concatenate([[0.0], np.geomspace(0.1, 1e6, 500)]).astype(np.float32)
    moved = nearer(arrays, asked, np.ones(len(asked), np.bool_))
    assert np.isfinite(moved).all()
    assert (np.diff(moved) >= 0).all()
    assert (np.diff(moved[asked > 1]) > 0).all()
    usual = (asked > 1) & (asked < np.quantile(values[edge], 0.95))
    assert (moved[usual] < asked[usual]).all()


def test_where_hardly_any_box_is_at_the_edge_nothing_changes() -> None:
    values, edge = normal(FEWEST * 9, 0)
    assert edge.sum() < FEWEST
    assert edge_scale(values, edge) == {}
    assert nearer({}, values, edge) is values


def test_equal_values_at_the_edge_have_a_scale_too() -> None:
    values, edge = normal(5_000, 0)
    values[edge] = 2.0
    arrays = edge_scale(values, edge)
    moved = nearer(arrays, np.array([1, 2, 2.5], np.float32), np.ones(3, np.bool_))
    assert np.isfinite(moved).all()
    assert moved[0] == moved[1] < moved[2]


def test_values_at_is_the_inverse_of_surprise() -> None:
    tail = fit_tail(normal(3_000, 2)[0])
    surprises = np.linspace(0, 9, 50)
    assert tail.surprise(tail.values_at(surprises)) == pytest.approx(surprises, abs=1e-9)


def footage(count: int, seed: int) -> CubeArrays:
    """Walkers of one size at one pixel a frame. A tenth of them come in at the left edge, where flow is guesswork."""
    rng = np.random.default_rng(seed)
    edge = rng.random(count) < 0.1
    x = np.where(edge, 0.0, rng.uniform(10, 280, count))
    y = rng.uniform(40, 160, count)
    flow = rng.normal(0, 0.05, (count, 4, 32, 32, 2))
    speed = np.abs(rng.normal(1, np.where(edge, 0.4, 0.1), count))
    flow[..., 0] += speed[:, None, None, None]
    pictures = rng.normal(120, 6, (count, 5, 32, 32, 3)).clip(0, 255).astype(np.uint8)
    boxes = np.stack([x, y, x + 18, y + rng.normal(45, 2, count)], axis=1).astype(np.float32)
    return CubeArrays(boxes=boxes, flow=flow.astype(np.float16), appearance=pictures, at_edge=edge)


def put(folder: Path, *, says: bool, videos: int = 3, frames: int = 300) -> StcTable:
    """A table of such footage; `says`: whether its files have the column `at_edge`, as earlier releases' have not."""
    for number in range(videos):
        cubes = footage(2 * frames, number)
        batches = []
        for frame in range(4, frames):
            part = cubes.part(slice(2 * frame, 2 * frame + 2))
            own: dict[str, Any] = {"boxes": part.boxes, "appearance": part.pixels, "flow": part.flow}
            batch = CubeBatch(frame=frame, pts_s=frame / 25, status="scored", at_edge=part.at_edge, **own)
            batches.append(cubes_to_arrow(f"{number}", batch))
        table = pa.Table.from_batches(batches, STC)
        values = {"video": f"{number}", "fingerprint": "1", "start": 0, "stop": frames}
        values |= {"extraction": to_dict(ExtractionConfig()), "fps": 25.0}
        table = table if says else table.drop_columns(["at_edge"])
        path = str(folder / f"{number}" / f"00000000-{frames:08d}.parquet")
        put_table(path, table.replace_schema_metadata(pack_metadata("stc", values)))
        assert ("at_edge" in pq.read_schema(path).names) == says
    return StcTable(str(folder))


def trained(table: StcTable, out: Path) -> Bundle:
    job = TrainJob.base({"preset": "features"})
    weights = replace(job.fusion, motion_grid=0.0)
    assert train_job(replace(job, stc=table.uri, out=str(out), device="cpu", fusion=weights, one_camera=True)) == 0
    return load_bundle(str(out))


def scores(bundle: Bundle, cubes: CubeArrays) -> F64:
    features = FeatureSet.of(bundle, list(bundle.settings.fusion.weights), None, 64)
    scorer = Scorer.of(bundle.settings, "0")
    return scorer.score(features.measure(cubes))


def test_who_comes_in_is_less_often_unusual_than_who_is_as_fast_inside(tmp_path: Path) -> None:
    bundle = trained(put(tmp_path / "stc", says=True), tmp_path / "bundle")
    scaled = {name for name, feature in bundle.features.items() if ARRAY in feature.arrays}
    assert scaled == {"energy", "shape", "size"}
    unseen = footage(4_000, 9)
    assert unseen.at_edge is not None
    inside = replace(unseen, at_edge=np.zeros(len(unseen), np.bool_))
    edge = unseen.at_edge
    rare = {"knows": scores(bundle, unseen) > 2, "does not": scores(bundle, inside) > 2}
    assert rare["knows"][edge].mean() < 0.6 * rare["does not"][edge].mean()
    assert (rare["knows"][~edge] == rare["does not"][~edge]).all()


def test_runners_at_the_edge_are_unusual_still(tmp_path: Path) -> None:
    bundle = trained(put(tmp_path / "stc", says=True), tmp_path / "bundle")
    runners = footage(500, 9)
    faster = replace(runners, flow=(runners.flow * 4).astype(np.float16))
    assert runners.at_edge is not None
    found = scores(bundle, faster)[runners.at_edge]
    assert (found > 2).mean() > 0.9


def test_a_table_of_an_earlier_release_is_learnt_from_without(tmp_path: Path) -> None:
    table = put(tmp_path / "stc", says=False)
    assert not any(cubes.at_edge.any() for _, cubes in table.in_order())
    bundle = trained(table, tmp_path / "bundle")
    assert not any(ARRAY in feature.arrays for feature in bundle.features.values())
    unseen = footage(300, 9)
    assert scores(bundle, unseen).tobytes() == scores(bundle, replace(unseen, at_edge=None)).tobytes()
