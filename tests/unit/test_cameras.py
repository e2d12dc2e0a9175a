"""Learning as cameras are: what is usual for one is no news of another, and one with little footage leans on all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from hf2vad.archive.place import camera_of
from hf2vad.bundle.bundle import Bundle, load_bundle
from hf2vad.cubes.settings import ExtractionConfig
from hf2vad.features.exemplars import ExemplarConfig, has_camera
from hf2vad.features.feature import CameraShare, CubeArrays, CubeSample
from hf2vad.features.perspective import fit_perspective
from hf2vad.features.size import Size
from hf2vad.fitting.cameras import MOST_CAMERAS, OWN_BYTES, OWN_EXEMPLARS, Cameras, sampled
from hf2vad.jobs.train import TrainJob, train_job
from hf2vad.report.training import support_lines
from hf2vad.schema import F64, STC, CubeBatch, pack_metadata
from hf2vad.scoring.feature_set import FeatureSet, counted_features
from hf2vad.scoring.scorer import Scorer
from hf2vad.settings import to_dict
from hf2vad.storage import put_table
from hf2vad.tables.cubes import cubes_to_arrow
from hf2vad.training.data import StcFile, StcTable
from tests.stc import make_cubes, put_clip

FRAMES = 110


def objects(count: int, kind: str, seed: int) -> CubeArrays:
    """People, tall and slow, or cars, wide and fast, anywhere in the picture."""
    rng = np.random.default_rng(seed)
    wide, tall, speed, dark = (16, 40, 1.0, 12) if kind == "person" else (90, 45, 6.0, 26)
    corner = rng.uniform((0, 0), (220, 180), (count, 2))
    size = np.array([wide, tall]) * rng.normal(1, 0.08, (count, 1))
    flow = rng.normal(0, 0.05, (count, 4, 32, 32, 2))
    flow[..., 0] += (speed * rng.normal(1, 0.1, count))[:, None, None, None]
    pictures = rng.normal(120, 4, (count, 5, 32, 32, 3))
    pictures[:, :, 16 - dark // 2 : 16 + dark // 2, 6 if kind == "car" else 13 : 26 if kind == "car" else 19] -= 70
    return CubeArrays(
        boxes=np.concatenate([corner, corner + size], axis=1).astype(np.float32),
        flow=flow.astype(np.float16),
        appearance=pictures.clip(0, 255).astype(np.uint8),
    )


def put_footage(folder: Path, video: str, kind: str, seed: int, frames: int = FRAMES) -> None:
    """Two objects a frame."""
    cubes = objects(2 * frames, kind, seed)
    batches = []
    for frame in range(4, frames):
        part = slice(2 * frame, 2 * frame + 2)
        own = {"boxes": cubes.boxes[part], "appearance": cubes.pixels[part], "flow": cubes.flow[part]}
        batches.append(cubes_to_arrow(video, CubeBatch(frame=frame, pts_s=frame / 25, status="scored", **own)))
    values = {"video": video, "fingerprint": "1", "start": 0, "stop": frames, "extraction": to_dict(ExtractionConfig())}
    table = pa.Table.from_batches(batches, STC).replace_schema_metadata(pack_metadata("stc", values))
    put_table(str(folder / video / f"00000000-{frames:08d}.parquet"), table)


def trained(folder: Path, **settings: object) -> Bundle:
    job = TrainJob.base({"preset": "features"})
    weights = replace(job.fusion, motion=0.0, motion_grid=0.0)
    given = {"stc": str(folder / "stc"), "out": str(folder / "bundle"), "device": "cpu", "fusion": weights}
    given |= {"shape": ExemplarConfig(exemplars=100), "size": ExemplarConfig(exemplars=100)}
    assert train_job(replace(job, **{**given, **settings})) == 0  # type: ignore[arg-type]
    return load_bundle(str(folder / "bundle"))


def scores(bundle: Bundle, path: str, cubes: CubeArrays) -> F64:
    """As scoring does it."""
    features = FeatureSet.of(bundle, counted_features(bundle.settings.fusion), None, 64)
    values = features.of_camera(bundle.settings.camera_of(path)).measure(cubes)
    return Scorer.of(bundle.settings, path).score(values)


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Footage of two footways and a road; of the road there is the most."""
    folder = tmp_path_factory.mktemp("three")
    for number in range(4):
        put_footage(folder / "stc", f"footway/{number}.mp4", "person", number)
        put_footage(folder / "stc", f"yard/{number}.mp4", "person", 10 + number)
        put_footage(folder / "stc", f"road/{number}.mp4", "car", 20 + number, frames=2 * FRAMES)
    return folder


@pytest.fixture(scope="module")
def bundle(three: Path) -> Bundle:
    return trained(three)


@pytest.mark.slow
def test_what_is_usual_for_one_camera_is_told_at_another(three: Path, bundle: Bundle, tmp_path: Path) -> None:
    car, person = objects(40, "car", 90), objects(200, "person", 91)
    path = "footway/new.mp4"
    at_footway = np.median(scores(bundle, path, car))
    assert at_footway > np.quantile(scores(bundle, path, person), 0.99) + 1
    assert at_footway > bundle.settings.calibration_of(path).threshold
    assert np.median(scores(bundle, "road/new.mp4", car)) < 1
    trained(three, out=str(tmp_path / "pooled"), one_camera=True)
    pooled = load_bundle(str(tmp_path / "pooled"))
    assert pooled.settings.cameras == {}
    assert np.median(scores(pooled, path, car)) < 1


@pytest.mark.slow
def test_a_camera_that_training_has_not_seen_is_scored_by_all_of_them(bundle: Bundle, three: Path) -> None:
    cubes = objects(50, "car", 92)
    alone = replace(bundle, settings=replace(bundle.settings, cameras={}))
    features = FeatureSet.of(bundle, counted_features(bundle.settings.fusion), None, 64)
    assert features.of_camera("gate").features == features.features
    assert np.array_equal(scores(bundle, "gate/1.mp4", cubes), scores(alone, "gate/1.mp4", cubes))


@pytest.mark.slow
def test_a_bundle_says_how_far_each_camera_was_learnt_apart(bundle: Bundle) -> None:
    rows = {row["camera"]: row for row in bundle.provenance["cameras"]}
    assert {name: row["cubes"] for name, row in rows.items()} == {"footway": 848, "road": 1728, "yard": 848}
    assert {name: row["own"] for name, row in rows.items()} == {"footway": 0.145, "road": 0.2568, "yard": 0.145}


def test_how_much_a_camera_counts_grows_with_its_footage_and_has_no_cliff() -> None:
    cars, people = objects(400, "car", 0), objects(400, "person", 1)
    both = CubeArrays(
        boxes=np.concatenate([cars.boxes, people.boxes]),
        flow=np.concatenate([cars.flow, people.flow]),
        appearance=None,
        fold=np.arange(800, dtype=np.int32) % 4,
    )
    pool = Size(ExemplarConfig()).fit(CubeSample(cubes=both, perspective=fit_perspective(both.boxes)))
    own = CubeSample(cubes=people, perspective=fit_perspective(people.boxes))
    asked = objects(1, "car", 2)
    found = []
    for cubes in (1, 10, 100, 999, 1000, 1001, 10_000, 1_000_000):
        share = CameraShare(weight=cubes / (cubes + 1000), exemplars=100)
        feature = pool.fit_camera("footway", own, share).of_camera("footway")
        found.append(float(feature.measure(asked)[0]))
    assert np.all(np.diff(found) > 0)
    assert found[5] - found[3] < 0.01 * found[-1]
    assert found[0] == pytest.approx(float(pool.measure(asked)[0]), abs=0.01 * found[-1])


def test_a_training_cube_is_measured_against_other_footage_of_its_camera() -> None:
    cubes = objects(200, "person", 3)
    halves = replace(cubes, fold=np.repeat(np.arange(2, dtype=np.int32), 100))
    sample = CubeSample(cubes=halves, perspective=fit_perspective(cubes.boxes))
    feature = Size(ExemplarConfig()).fit(sample).fit_camera("a", sample, CameraShare(weight=0.999, exemplars=200))
    itself = feature.of_camera("a").measure(cubes)
    apart = feature.of_camera("a").measure(replace(cubes, camera_fold=halves.fold))
    assert np.median(apart) > 2 * np.median(itself)


def files(cubes: Mapping[str, int]) -> list[StcFile]:
    return [StcFile(f"{video}/0", video, 0, 10, (count,)) for video, count in cubes.items()]


def test_the_camera_is_the_patterns_else_the_first_folder_else_the_file() -> None:
    some = files({"gate/1/a.mp4": 5, "gate/2/b.mp4": 6, "yard/a.mp4": 7, "roof.mp4": 8, "empty/a.mp4": 0})
    assert {name: len(own) for name, own in Cameras.of(some).apart.items()} == {"gate": 2, "roof.mp4": 1, "yard": 1}
    by_pattern = Cameras.of(some, "*/{camera}/*")
    assert set(by_pattern.apart) == {"1", "2"}
    assert by_pattern.of_path("roof.mp4") == ""
    assert Cameras.of(some, one=True).apart == {}
    assert Cameras.of(files({"gate/a.mp4": 5, "gate/b.mp4": 5})).apart == {}


def test_a_bundle_stays_small_however_many_cameras_there_are() -> None:
    many = Cameras.of(files({f"{number:04}/a.mp4": 10 + number for number in range(1000)}))
    assert len(many.apart) == MOST_CAMERAS
    assert set(many.apart) == {f"{number:04}" for number in range(1000 - MOST_CAMERAS, 1000)}
    assert len(many.pooled) == 1000 - MOST_CAMERAS
    numbers = 8 + 32 + 144 + 2 + 4
    sizes = [4 * numbers * many.share(name, numbers).exemplars for name in many.apart]
    assert 0.9 * OWN_BYTES < sum(sizes) <= OWN_BYTES
    assert Cameras.of(files({"a/1": 10, "b/1": 10})).share("a", numbers).exemplars == OWN_EXEMPLARS
    assert [row["own"] for row in many.described()[:2]] == [0.0, 0.0]


@pytest.mark.slow
def test_which_cameras_lean_on_all_of_them_is_said(bundle: Bundle) -> None:
    known = bundle.settings
    lines = support_lines(known.calibration, known.cameras, ["hall", "roof"])
    assert lines[1] == "camera footway: 848 cubes; what is usual there is 85% that of all cameras"
    assert lines[-1] == "scored by what is usual for all: 2 cameras with the fewest cubes: hall, roof"
    many = {f"{number}": known.cameras["road"] for number in range(9)}
    assert support_lines(known.calibration, many)[-1] == "... and 4 more cameras with fewer than 15,000 cubes"


@pytest.mark.slow
def test_exemplars_of_cameras_are_kept_in_the_bundle(bundle: Bundle) -> None:
    feature = bundle.feature("shape")
    assert has_camera(feature.arrays, "road")
    assert not has_camera(feature.arrays, "gate")
    assert len(feature.arrays["cameras/road/exemplars"]) == OWN_EXEMPLARS
    own, of_all = feature.arrays["cameras/road/scale"], feature.arrays["scale"]
    assert (len(own), len(of_all)) == (OWN_EXEMPLARS, len(feature.arrays["exemplars"]))
    assert own.min() > 0.5
    assert own.std() > 0
    assert "scale" not in bundle.feature("size").arrays
    road = feature.of_camera("road")
    plain = replace(road, arrays={name: found for name, found in road.arrays.items() if "scale" not in name})
    pixels, flow = make_cubes(20, 4)
    cubes = CubeArrays(boxes=np.zeros((20, 4), np.float32), flow=flow, appearance=pixels)
    assert not np.allclose(road.measure(cubes), plain.measure(cubes)), "a distance is in the units of its exemplar"


def test_training_takes_at_most_so_many_cubes_a_camera_spread_over_its_footage(tmp_path: Path) -> None:
    for camera, videos in (("gate", 10), ("yard", 2)):
        for video in range(videos):
            for start in (0, 10, 20, 30):
                put_clip(tmp_path, f"{camera}/{video}", (start, start + 10), {start + 5: 5})
    table = StcTable(str(tmp_path))
    some = sampled(table, 50, camera_of)
    counts = Counter(file.video for file in some.files)
    assert sum(count for video, count in counts.items() if video.startswith("gate")) == 10
    assert max(counts[f"gate/{video}"] for video in range(10)) == 2
    assert len([video for video in counts if video.startswith("gate")]) >= 8
    assert len({file.start for file in some.files if file.video.startswith("gate")}) > 2
    assert (counts["yard/0"], counts["yard/1"]) == (4, 4)
    assert [file.uri for file in some.files] == [file.uri for file in sampled(table, 50, camera_of).files]
    assert some.fingerprint != table.fingerprint
    assert sampled(table, 0, camera_of) is sampled(table, 200, camera_of) is table
