"""What evidence shows of an event: its row, its pictures, its clips."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pyarrow as pa
import pytest

from hf2vad.bundle.bundle import load_bundle, save_bundle
from hf2vad.evidence.choose import event_key
from hf2vad.features.settings import FusionConfig
from hf2vad.jobs.score import ScoreJob, score_job
from hf2vad.runs.evidence import gather_evidence
from hf2vad.schema import BOX, U8
from hf2vad.storage import put_table
from tests.evidence import (
    FRAMES,
    HERE,
    MAPS,
    VIDEOS,
    Scored,
    clip_frames,
    folder_of,
    frame_of,
    picture,
    row_of,
    table,
)


def test_an_event_is_called_the_same_everywhere() -> None:
    assert event_key("cam/a b.mp4", 7) == hashlib.sha1(b"cam/a b.mp4:7").hexdigest()[:16]


@pytest.mark.slow
def test_a_row_says_what_the_tables_say_and_names_the_files_beside_it(scored: Scored, evidence_site: Path) -> None:
    row, event = row_of(evidence_site), table(scored, "events").to_pylist()[0]
    assert {name: row[name] for name in event if name not in BOX} == {n: event[n] for n in event if n not in BOX}
    assert row["frame_size"] == [320, 240]
    named = [*row["files"].pop("nearest"), *row["files"].values(), "event.json"]
    assert sorted(named) == sorted(path.name for path in folder_of(evidence_site).iterdir())
    assert set(row["files"]) == {"thumb", "preview", "clip", "clip_boxes", *MAPS}
    assert (row["nearest_of"], row["nearest_camera"]) == (12, False), (
        "this bundle does not say which camera they are of"
    )
    assert row["nearest_distance"] == sorted(row["nearest_distance"])


def test_the_cube_that_is_cut_again_has_the_errors_of_the_objects_table(scored: Scored, evidence_site: Path) -> None:
    for video in VIDEOS:
        row = row_of(evidence_site, video)
        objects = table(scored, "objects", video).to_pylist()
        (known,) = [each for each in objects
                    if each["frame"] == row["frame"] and [each[n] for n in BOX] == row["box"]]  # fmt: skip
        assert row["s_flow"] == pytest.approx(known["s_flow"], rel=1e-4)
        assert row["s_frame"] == pytest.approx(known["s_frame"], rel=1e-4)
        assert known["score"] == max(each["score"] for each in objects if each["frame"] == row["frame"])
        assert sum(row["parts"].values()) == pytest.approx(known["score"], abs=1e-3)
        assert set(row["parts"]) == {"flow", "frame", "speed"}
        assert row["score"] == pytest.approx(known["score"], abs=1e-3), "of the same frame as its parts"
        assert [name for name, _, _ in row["bars"]] == sorted(row["parts"], key=row["parts"].get, reverse=True)
        assert row["sentence"].endswith(".")


def test_the_maps_show_the_cube_magnified_without_smoothing(scored: Scored, evidence_site: Path) -> None:
    maps = {name: picture(folder_of(evidence_site) / f"{name}.png") for name in MAPS}
    for shown in maps.values():
        assert shown.shape == (128, 128, 3)
        assert np.array_equal(shown, shown[::4, ::4].repeat(4, 0).repeat(4, 1))
    row = row_of(evidence_site)
    x1, y1, x2, y2 = row["box"]
    scale = 320 / 200  # the bundle works on frames of 200 pixels
    first = frame_of(scored.archive / VIDEOS[0], row["frame"])
    small = cv2.resize(first, (200, 150), interpolation=cv2.INTER_AREA)
    crop = small[round(y1 / scale) : round(y2 / scale), round(x1 / scale) : round(x2 / scale)]
    wanted = cv2.resize(crop, (32, 32), interpolation=cv2.INTER_LINEAR)
    assert np.abs(maps["appearance"][::4, ::4].astype(int) - wanted).mean() < 5
    error = np.abs(maps["appearance"].astype(int) - maps["predicted"]).mean(axis=2)
    assert row["scales"]["appearance_error"] == pytest.approx(error.max(), abs=1)
    brightest = np.unravel_index(error.argmax(), error.shape)
    yellow = (36, 231, 253)
    assert np.abs(maps["appearance_error"][brightest].astype(int) - yellow).max() < 8, "viridis ends in yellow"


def test_the_nearest_examples_are_those_of_the_bundle(scored: Scored, evidence_site: Path) -> None:
    examples = load_bundle(str(scored.bundle)).examples
    known = [picture.tobytes() for picture in examples.appearance]
    for name in row_of(evidence_site)["files"]["nearest"]:
        shown = picture(folder_of(evidence_site) / name)[::4, ::4]
        assert shown.shape == (32, 64, 3)
        assert shown[:, :32].tobytes() in known


def test_the_thumbnail_is_the_frame_without_a_box(scored: Scored, evidence_site: Path) -> None:
    whole = clip_frames(scored.archive / VIDEOS[0])
    shown = picture(folder_of(evidence_site) / "thumb.jpg")
    assert shown.shape == whole[0].shape
    apart = [np.abs(shown.astype(int) - image).mean() for image in whole]
    assert int(np.argmin(apart)) == row_of(evidence_site)["frame"]
    assert min(apart) < 6


def test_clips_are_what_browsers_play(evidence_site: Path) -> None:
    for name in ("clip.mp4", "clip_boxes.mp4"):
        path = folder_of(evidence_site) / name
        content = path.read_bytes()
        assert 0 < content.index(b"moov") < content.index(b"mdat"), "the index comes first"
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            assert (stream.codec_context.codec.canonical_name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
            times = [frame.time for frame in container.decode(video=0)]
        np.testing.assert_allclose(times, np.arange(FRAMES) / 12.5, atol=1e-4)
    assert row_of(evidence_site)["clip"] == {"start_s": 0.0, "stop_s": pytest.approx((FRAMES - 1) / 12.5)}


def test_only_one_clip_has_boxes_drawn_in(scored: Scored, evidence_site: Path) -> None:
    whole = clip_frames(scored.archive / VIDEOS[0])
    plain, boxed = (clip_frames(folder_of(evidence_site) / name) for name in ("clip.mp4", "clip_boxes.mp4"))
    row = row_of(evidence_site)
    x1, y1, _, y2 = (round(side) for side in row["box"])
    edge = (slice(y1 + 4, y2 - 4), slice(x1, x1 + 2))
    assert np.abs(plain[row["frame"]][edge].astype(int) - whole[row["frame"]][edge]).mean() < 12
    assert np.abs(boxed[row["frame"]][edge].astype(int) - (12, 89, 232)).mean() < 40


@pytest.mark.parametrize("what", ["people", "faces"])
def test_nobody_who_was_scored_is_recognisable_in_any_file(
    what: str, scored: Scored, evidence_site: Path, tmp_path: Path
) -> None:
    """Inside every scored box a picture has few colours left; outside of all it is as it was."""
    assert gather_evidence(scored.job(tmp_path, clips=True, pixelate=what))["made"] == 2
    row = row_of(tmp_path)
    shown, before = (picture(folder_of(each) / "thumb.jpg") for each in (tmp_path, evidence_site))
    people = [[each[name] for name in BOX] for each in table(scored, "objects").to_pylist()
              if each["frame"] == row["frame"]]  # fmt: skip
    assert people
    clips = clip_frames(folder_of(tmp_path) / "clip.mp4"), clip_frames(folder_of(evidence_site) / "clip.mp4")
    for x1, y1, x2, y2 in people:
        inside = (slice(int(y1), int(y2 if what == "people" else y1 + (y2 - y1) / 3)), slice(int(x1), int(x2)))
        for hidden, seen in ((shown, before), *((clips[0][t], clips[1][t]) for t in (row["frame"], row["frame"] + 3))):
            assert detail(hidden[inside]) < 0.5 * detail(seen[inside])
    assert np.abs(shown[:60].astype(int) - before[:60]).mean() < 1, "the sky stays"
    for name in ("appearance", "predicted", "appearance_error"):
        crop = picture(folder_of(tmp_path) / f"{name}.png")[::4, ::4]
        assert len(np.unique((crop if what == "people" else crop[:11]).reshape(-1, 3), axis=0)) <= 16
    for name in row["files"]["nearest"]:
        crop = picture(folder_of(tmp_path) / name)[::4, :128:4]
        assert len(np.unique((crop if what == "people" else crop[:11]).reshape(-1, 3), axis=0)) <= 16


def detail(image: U8) -> float:
    """Mean difference of neighbouring pixels."""
    return float(np.abs(np.diff(image.astype(int), axis=0)).mean() + np.abs(np.diff(image.astype(int), axis=1)).mean())


def test_without_a_bundle_there_are_pictures_and_no_reasons(scored: Scored, tmp_path: Path) -> None:
    assert gather_evidence(replace(scored.job(tmp_path), bundle=""))["made"] == 2
    row = row_of(tmp_path)
    assert (row["files"], row["kind"], row["parts"]) == ({"thumb": "thumb.jpg", "preview": "preview.webp"}, "", {})
    assert row["box"] is not None


@pytest.mark.parametrize(
    ("fusion", "pictures", "scales"),
    [
        (FusionConfig(frame=0), {"flow", "reconstructed", "flow_error"}, {"flow", "flow_error"}),
        (FusionConfig.of({"speed": 1.0}), {"flow"}, {"flow"}),
    ],
)
def test_what_a_network_makes_of_a_cube_is_shown_only_where_it_counts(
    scored: Scored, tmp_path: Path, fusion: FusionConfig, pictures: set[str], scales: set[str]
) -> None:
    known = load_bundle(str(scored.bundle))
    bundle = replace(known, settings=replace(known.settings, fusion=fusion))
    other = save_bundle(str(tmp_path / "bundle"), bundle)
    (prefix,) = scored.scores.glob("bundle=*")
    shutil.copytree(prefix, tmp_path / f"bundle={other.id}")
    job = replace(scored.job(tmp_path), scores=str(tmp_path / f"bundle={other.id}"), bundle=str(tmp_path / "bundle"))
    assert gather_evidence(job)["made"] == 2
    row = row_of(tmp_path)
    assert set(row["files"]) == {"thumb", "preview", "appearance", "nearest"} | pictures
    assert row["scales"].keys() == scales
    assert row["parts"].keys() == fusion.weights.keys()
    assert (row["s_flow"] is None, row["s_frame"]) == ("flow" not in fusion.weights, None)


@pytest.mark.slow
def test_tables_of_what_counts_alone_are_explained(scored: Scored, tmp_path: Path) -> None:
    """Nulls in the columns of the other features: nothing is compared with them."""
    known = load_bundle(str(scored.bundle))
    fusion = FusionConfig.of({"speed": 1.0, "flow": 1.0})
    save_bundle(str(tmp_path / "bundle"), replace(known, settings=replace(known.settings, fusion=fusion)))
    job = replace(ScoreJob.base({"bundle": str(tmp_path / "bundle")}), archive=str(scored.archive), batch=16)
    job = replace(job, bundle=str(tmp_path / "bundle"), out=str(tmp_path / "scores"), device="cpu", engine="eager")
    score_job(replace(job, ray=HERE))
    asked = replace(scored.job(tmp_path), scores=str(tmp_path / "scores"), bundle=str(tmp_path / "bundle"))
    counts = gather_evidence(asked)
    assert (counts["noted"], counts["made"]) == (0, counts["events"])
    assert counts["events"] > 0
    assert row_of(tmp_path)["kind"] in ("flow", "speed")


def test_errors_that_are_not_those_of_the_table_are_not_shown(scored: Scored, tmp_path: Path) -> None:
    (prefix,) = scored.scores.glob("bundle=*")
    shutil.copytree(scored.scores, tmp_path / "scores")
    objects = table(scored, "objects")
    place = objects.column_names.index("s_flow")
    wrong = objects.set_column(place, objects.schema.field(place), pa.array(objects["s_flow"].to_numpy() * 2))
    put_table(str(tmp_path / "scores" / prefix.name / "objects" / f"{VIDEOS[0]}.parquet"), wrong)
    done = gather_evidence(replace(scored.job(tmp_path / "site"), scores=str(tmp_path / "scores")))
    assert (done["made"], done["noted"]) == (1, 1)
    assert "so its maps are not shown" in row_of(tmp_path / "site")["note"]
    assert row_of(tmp_path / "site")["files"] == {"thumb": "thumb.jpg", "preview": "preview.webp"}
