"""The score by surprise: how features are added, what is normal for a camera, and the preset without a network."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hf2vad.bundle.bundle import load_bundle
from hf2vad.bundle.calibration import Calibration
from hf2vad.demo.archive import generate
from hf2vad.errors import ConfigError
from hf2vad.evidence.cube import Cube
from hf2vad.evidence.explain import explain
from hf2vad.evidence.reasons import Knowledge, learnt_seconds, reasons
from hf2vad.features.settings import FusionConfig
from hf2vad.fitting.calibrate import Calibrations, calibrate
from hf2vad.fitting.cameras import Cameras
from hf2vad.fitting.measure import MeasuredFile
from hf2vad.jobs.extract import ExtractJob, extract_job
from hf2vad.jobs.score import ScoreJob, score_job
from hf2vad.jobs.train import TrainJob, train_job
from hf2vad.models.hf2vad import HF2VAD
from hf2vad.models.inputs import cube_tensors
from hf2vad.report.training import support_lines
from hf2vad.runs.evidence import EvidenceJob, gather_evidence
from hf2vad.schema import FEATURE_COLUMNS
from hf2vad.scoring.scorer import FeatureValues, Scorer
from hf2vad.scoring.settings import EventConfig, SmoothingRule
from hf2vad.tables.read import scored_videos, scores_prefix
from hf2vad.training.data import StcFile, StcTable
from hf2vad.training.settings import StageConfig
from tests.stc import SMALL_MODEL

CPU = torch.device("cpu")

FUSION = FusionConfig.of({"energy": 1.0, "shape": 2.0}, rule="surprise")


def footage(video: str, cubes: int, seed: int, scale: float = 1.0) -> MeasuredFile:
    """Two cubes a frame, their values exponential."""
    rng = np.random.default_rng(seed)
    file = StcFile(f"{video}/0", video, 0, cubes // 2 + 4, (cubes,))
    values = {name: rng.exponential(scale, cubes).astype(np.float32) for name in ("energy", "shape")}
    return MeasuredFile(file, np.repeat(np.arange(4, cubes // 2 + 4, dtype=np.int32), 2), values)


def calibrated(*files: MeasuredFile, fusion: FusionConfig = FUSION, pattern: str = "") -> Calibrations:
    cameras = Cameras.of([file.file for file in files], pattern, one=not pattern)
    return calibrate(list(files), fusion=fusion, smoothing=SmoothingRule(1), where="t", cameras=cameras)


def values(*columns: tuple[float, float]) -> FeatureValues:
    energy, shape = (np.array(column, np.float32) for column in zip(*columns, strict=True))
    return {"energy": energy, "shape": shape}


def test_a_score_is_the_surprise_of_the_weighted_surprises_above_the_silent_part() -> None:
    own = calibrated(footage("a", 4000, 0)).overall
    scorer = Scorer.surprise(FUSION, own, own)
    asked = values((0.1, 0.1), (9.0, 0.1), (9.0, 9.0), (50.0, 50.0))
    surprise = {name: own.tails[name].surprise(column) for name, column in asked.items()}
    terms = np.maximum(surprise["energy"] - 1, 0) + 2 * np.maximum(surprise["shape"] - 1, 0)
    assert own.total is not None
    assert scorer.score(asked) == pytest.approx(own.total.surprise(terms))
    assert scorer.terms(values((0.1, 2.0)))["energy"].tolist() == [0.0]
    assert scorer.empty == 0.0
    assert np.all(np.diff(scorer.score(asked)) > 0)


def test_a_score_says_how_many_normal_objects_score_as_high() -> None:
    own = calibrated(footage("a", 40_000, 0)).overall
    scores = Scorer.surprise(FUSION, own, own).score(footage("b", 200_000, 1).values)
    for level in (1, 2, 3):
        assert (scores > level).mean() == pytest.approx(10.0**-level, rel=0.35), level


def test_the_larger_the_norm_the_more_the_rarest_feature_rules() -> None:
    own = calibrated(footage("a", 4000, 0)).overall
    one_rare, both_less = values((30.0, 0.1)), values((12.0, 12.0))
    sums = []
    for norm in (1.0, 2.0, 50.0):
        fusion = replace(FUSION, norm=norm, shape=1.0)
        scorer = Scorer.surprise(fusion, own, own)
        terms = np.stack(list(scorer.terms(both_less).values()))
        assert scorer.sums(both_less) == pytest.approx((terms**norm).sum(0) ** (1 / norm))
        sums.append(float(scorer.sums(one_rare)[0] - scorer.sums(both_less)[0]))
        assert np.all(np.diff(scorer.score(values((0.1, 0.1), (5.0, 0.1), (9.0, 9.0), (50.0, 50.0)))) > 0)
    assert sums[0] < sums[1] < sums[2]
    assert scorer.sums(both_less) == pytest.approx(terms.max(0), rel=0.02)


def test_added_in_frames_each_feature_counts_with_its_highest_box() -> None:
    at_frame = replace(FUSION, at="frame")
    file = footage("a", 4000, 0)
    own = calibrated(file, fusion=at_frame).overall
    scorer = Scorer.surprise(at_frame, own, own)
    frame = np.array([1, 1, 3], np.int32)
    apart = scorer.frame_scores(values((9.0, 0.1), (0.1, 9.0), (9.0, 0.1)), frame, 4)
    together = scorer.frame_scores(values((9.0, 9.0), (0.1, 0.1), (9.0, 0.1)), frame, 4)
    assert apart.tolist() == together.tolist()
    assert apart[1] > apart[3] > apart[0] == apart[2] == 0.0
    all_frames = scorer.frame_scores(file.values, file.frame - 4, 2000)
    assert (all_frames > 2).mean() == pytest.approx(0.01, abs=0.004)


def test_each_camera_has_its_own_rarity_and_leans_on_all_of_them_where_it_has_few_cubes() -> None:
    slow, fast = footage("slow/1", 20_000, 0), footage("fast/1", 20_000, 1, scale=10.0)
    new = footage("new/1", 40, 2)
    normal = calibrated(slow, fast, new, pattern="{camera}/*")
    assert set(normal.cameras) == {"slow", "fast", "new"}
    asked = values((20.0, 0.0))
    slow_score, fast_score, new_score, pooled = (
        float(Scorer.surprise(FUSION, own, normal.overall).score(asked)[0])
        for own in (normal.cameras["slow"], normal.cameras["fast"], normal.cameras["new"], normal.overall)
    )
    assert fast_score < pooled < slow_score
    assert new_score == pytest.approx(pooled, abs=0.3)
    assert normal.cameras["new"].threshold == pytest.approx(normal.overall.threshold, rel=0.1)
    lines = support_lines(normal.overall, normal.cameras)
    assert lines[0] == "40,040 cubes: surprise above 4.6 is extrapolated"
    assert lines[1:] == ["camera new: 40 cubes; what is usual there is 99% that of all cameras"]


def test_a_calibration_by_surprise_survives_json_and_one_by_equation_9_is_written_as_before() -> None:
    own = calibrated(footage("a", 400, 0)).overall
    again = Calibration.from_json(json.loads(json.dumps(own.to_json())))
    assert (again.tails, again.total, again.to_json()) == (own.tails, own.total, own.to_json())
    eq9 = calibrated(footage("a", 400, 0), fusion=FusionConfig.of({"energy": 1.0, "shape": 1.0})).overall
    assert set(eq9.to_json()) == set(own.to_json()) - {"tails", "total"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"silent": -1.0}, r"fusion\.silent must not be negative"),
        ({"rule": "eq9", "at": "frame"}, r"fusion\.at = frame needs fusion\.rule = surprise"),
        ({"norm": 0.5}, r"fusion\.norm must be at least 1, got 0\.5"),
        ({"rule": "eq9", "norm": 2.0}, r"fusion\.norm is for fusion\.rule = surprise; with eq9 give 1"),
        ({"perspective": True}, r"fusion\.perspective is for fusion\.rule = eq9"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(FUSION, **change)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small demo archive, its cubes, and the bundle that --preset features makes of them."""
    folder = tmp_path_factory.mktemp("features")
    generate(folder / "archive", train_clips=2, test_clips=1, frames=60)
    none = replace(ExtractJob(archive="", out="").ray, address="none")
    archive = folder / "archive"
    assert extract_job(ExtractJob(archive=str(archive / "train"), out=str(folder / "stc"), ray=none)) == 0
    job = TrainJob.base({"preset": "features"})
    assert train_job(replace(job, stc=str(folder / "stc"), out=str(folder / "bundle"))) == 0
    return folder


@pytest.mark.slow
def test_the_preset_features_has_no_network_and_a_small_bundle(demo: Path) -> None:
    bundle = load_bundle(str(demo / "bundle"))
    assert bundle.weights == {}
    assert bundle.settings.fusion.rule == "surprise"
    assert set(bundle.settings.calibration.tails) == set(bundle.settings.fusion.weights)
    assert sum(path.stat().st_size for path in (demo / "bundle").glob("*")) < 20e6


@pytest.mark.slow
@pytest.mark.parametrize("everything", [False, True])
def test_scoring_with_it_makes_and_runs_no_network(
    demo: Path, tmp_path: Path, everything: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []
    monkeypatch.setattr(HF2VAD, "__init__", lambda self, *_: made.append(self))
    ray = replace(ExtractJob(archive="", out="").ray, address="none")
    job = ScoreJob(
        archive=str(demo / "archive" / "test"), bundle=str(demo / "bundle"), out=str(tmp_path), ray=ray,
        all_parts=everything,
    )  # fmt: skip
    assert score_job(job) == 0
    assert made == []
    (video,) = scored_videos(scores_prefix(str(tmp_path)))
    assert video.metadata["rule"] == "surprise"
    objects, frames = video.table("objects"), video.table("frames")
    assert np.isfinite(objects["score"].to_numpy()).all()
    assert objects["s_motion_grid"].null_count == 0
    assert objects["s_flow"].null_count == len(objects)
    scored = frames["score"].to_numpy()
    assert np.isnan(scored[:4]).all()
    assert (scored[4:] >= 0).all()


def test_people_read_why_an_object_is_an_event_and_what_about_it_is_usual(demo: Path) -> None:
    settings = load_bundle(str(demo / "bundle")).settings
    usual = dict.fromkeys(FEATURE_COLUMNS.values(), 0.0) | {"x1": 0.0, "y1": 0.0, "x2": 9.0, "y2": 20.0}
    given = reasons([], usual | {"s_shape": 1e6}, Knowledge(settings), "a.mp4")
    assert given.sentence == "Has an unusual outline; moves as usual."
    assert given.kind == given.parts[0].name == "shape"
    least = int(10 ** settings.calibration.tails["shape"].supported / 100) * 100
    others = len(settings.fusion.weights) - 1
    assert [part.text for part in given.parts] == [f"beyond 1 in {least:,}", *["usual"] * others]
    assert given.rarity.endswith("as far as the footage learnt from can tell")


def test_a_bundle_says_how_long_the_footage_was_and_which_camera_each_example_is_of(demo: Path) -> None:
    bundle = load_bundle(str(demo / "bundle"))
    table = StcTable(str(demo / "stc"))
    frames = sum(file.stop - file.start for file in table.files)
    assert learnt_seconds(bundle.provenance) == pytest.approx(frames / 12.5, rel=0.01)
    assert bundle.provenance["table"]["videos"] == len({file.video for file in table.files})
    cameras = bundle.provenance["examples"]
    assert len(cameras) == len(bundle.examples)
    assert list(dict.fromkeys(cameras)) == sorted({file.video for file in table.files}), "in the order of the table"


def test_the_same_table_gives_the_same_bundle(demo: Path) -> None:
    job = TrainJob.base({"preset": "features"})
    assert train_job(replace(job, stc=str(demo / "stc"), out=str(demo / "again"))) == 0
    assert load_bundle(str(demo / "again")).id == load_bundle(str(demo / "bundle")).id


def test_a_choice_by_equation_9_is_among_networks_and_needs_one() -> None:
    features = TrainJob.base({"preset": "features"})
    replace(features, stc="s", out="o", select=True)
    with pytest.raises(ConfigError, match=r"--select with fusion\.rule = eq9 chooses among networks"):
        replace(features, stc="s", out="o", select=True, fusion=FusionConfig.of({"energy": 1.0}))


@pytest.fixture(scope="module")
def compact(demo: Path) -> Path:
    """The bundle that --preset compact makes of the same cubes, with a network that trains in seconds."""
    job = TrainJob.base({"preset": "compact"})
    model = replace(job.model, flow_root=4, slots=8, cvae_widths=SMALL_MODEL.cvae_widths)
    training = replace(job.training, flow=StageConfig(epochs=1, lr=1e-3), batch=32)
    out = demo / "compact"
    assert train_job(replace(job, stc=str(demo / "stc"), out=str(out), model=model, training=training, threads=1)) == 0
    return out


@pytest.mark.slow
def test_the_preset_compact_adds_a_flow_network_judged_by_footage_that_it_has_not_seen(
    demo: Path, compact: Path
) -> None:
    bundle, features = load_bundle(str(compact)), load_bundle(str(demo / "bundle"))
    own, plain = bundle.settings.calibration, features.settings.calibration
    assert set(bundle.settings.fusion.weights) == {"flow", *features.settings.fusion.weights}
    assert own.tails.keys() - {"flow"} == plain.tails.keys()
    assert all(own.tails[name] == plain.tails[name] for name in plain.tails)
    held = bundle.provenance["table"]["held_out"]
    assert 0.2 * plain.cubes < held < 0.3 * plain.cubes
    assert own.total is not None
    assert own.tails["flow"].cubes == own.total.cubes == held
    assert bundle.networks == ("flow",)
    assert bundle.provenance["history"][0]["stage"] == "flow"


@pytest.mark.slow
@pytest.mark.parametrize("everything", [False, True])
def test_with_it_the_frame_network_is_neither_made_nor_measured(
    demo: Path, compact: Path, tmp_path: Path, everything: bool
) -> None:
    ray = replace(ExtractJob(archive="", out="").ray, address="none")
    job = ScoreJob(
        archive=str(demo / "archive" / "test"), bundle=str(compact), out=str(tmp_path), ray=ray, batch=16,
        engine="eager", all_parts=everything, events=EventConfig(threshold=-1e9, low=-1e9),
    )  # fmt: skip
    assert score_job(job) == 0
    (video,) = scored_videos(scores_prefix(str(tmp_path)))
    objects = video.table("objects")
    assert objects["s_flow"].null_count == 0
    assert objects["s_frame"].null_count == len(objects)
    assert np.isfinite(objects["score"].to_numpy()).all()
    site = tmp_path / "site"
    gather = EvidenceJob(scores=job.out, archive=job.archive, bundle=job.bundle, site=str(site), ray=ray)
    assert gather_evidence(gather) == {"events": 1, "made": 1, "kept": 0, "noted": 0, "removed": 0}
    (shown,) = (json.loads(path.read_text()) for path in site.glob("events/*/event.json"))
    assert "flow_error.png" in shown["files"].values()  # and no complaint that the network has another error now
    # Evidence runs it on one cube, scoring on batches of 16, and some processors round these otherwise.
    assert np.isclose(objects["s_flow"].to_numpy(), shown["s_flow"], rtol=1e-5).any()
    given = reasons([], objects.to_pylist()[0], Knowledge(load_bundle(str(compact)).settings), "a.mp4")
    assert "flow" in {part.name for part in given.parts}


@pytest.mark.slow
def test_what_a_network_that_reads_frames_made_of_a_cube_is_shown(demo: Path, compact: Path) -> None:
    bundle = load_bundle(str(compact))
    _, cubes = next(iter(StcTable(str(demo / "stc")).in_order()))
    assert cubes.appearance is not None
    model, cube = bundle.build(CPU), Cube(cubes.appearance[:1], cubes.flow[:1])
    shown = explain(model, cube, ("flow",))
    inputs = cube_tensors(cube.appearance, cube.flow, CPU)
    with torch.inference_mode():
        residuals = (model.reconstruct(inputs).flow - inputs.flows)[0].reshape(4, 2, -1).double().numpy()
    quarters = residuals.reshape(4, 2, 2, 16, 2, 16).mean((3, 5))
    errors = 256 * np.square(quarters).sum((1, 2, 3))  # how far off each flow is in each quarter as a whole
    assert shown.number == int(np.argmin(errors))
    assert shown.errors["flow"] == pytest.approx(4 * errors.min(), rel=1e-3)
    assert shown.predicted is None
    assert shown.reconstructed is not None
    off = (shown.reconstructed - shown.flow).reshape(-1, 2)
    assert off == pytest.approx(residuals[shown.number].T, rel=1e-3, abs=1e-4)


@pytest.mark.slow
def test_its_weights_start_another_training_but_not_one_of_a_network_that_it_lacks(
    demo: Path, compact: Path, tmp_path: Path
) -> None:
    known = load_bundle(str(compact))
    job = replace(TrainJob.base({"preset": "compact"}), stc=str(demo / "stc"), model=known.settings.model, threads=1)
    job = replace(job, init=str(compact), training=replace(job.training, stages=()))
    assert train_job(replace(job, out=str(tmp_path / "again"))) == 0
    again = load_bundle(str(tmp_path / "again"))
    assert again.weights.keys() == known.weights.keys()
    assert again.provenance["table"]["held_out"] == 0
    fusion = replace(job.fusion, frame=1.0)
    with pytest.raises(ConfigError, match=r"has no frame network; add its stage to training\.stages"):
        train_job(replace(job, out=str(tmp_path / "other"), fusion=fusion))
