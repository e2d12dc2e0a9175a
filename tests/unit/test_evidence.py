"""Evidence of events as the job gathers it, without Ray."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import load, save

from hf2vad.archive.catalog import Video, catalogue, find_video
from hf2vad.archive.path_filter import PathFilter
from hf2vad.bundle.bundle import load_bundle, save_bundle
from hf2vad.errors import BundleError, ConfigError, MismatchError
from hf2vad.evidence.choose import choose_events, event_key
from hf2vad.evidence.clips import clip_range
from hf2vad.evidence.footage import held
from hf2vad.evidence.objects import Objects, shown_object
from hf2vad.evidence.settings import EvidenceConfig
from hf2vad.features.settings import FusionConfig
from hf2vad.jobs.evidence import gather_evidence
from hf2vad.jobs.score import ScoreJob, score_job
from hf2vad.schema import BOX, OBJECTS, U8
from hf2vad.storage import local, put_table, read_table
from hf2vad.video.timeline import Timeline
from tests.evidence import FRAMES, HERE, VIDEOS, Scored, scored_archive
from tests.scores import put_scores

MAPS = ("appearance", "predicted", "appearance_error", "flow", "reconstructed", "flow_error")


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Scored:
    return scored_archive(tmp_path_factory.mktemp("evidence"))


@pytest.fixture(scope="module")
def site(scored: Scored, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything of both events, nothing hidden."""
    folder = tmp_path_factory.mktemp("site")
    assert gather_evidence(scored.job(folder, clips=True)) == {
        "events": 2,
        "made": 2,
        "kept": 0,
        "noted": 0,
        "removed": 0,
    }
    return folder


def folder_of(site: Path, video: str = VIDEOS[0]) -> Path:
    return site / "events" / event_key(video, 4)


def row_of(site: Path, video: str = VIDEOS[0]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder_of(site, video) / "event.json").read_text())
    return found


def picture(path: Path) -> U8:
    return np.asarray(cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def files(site: Path) -> dict[str, bytes]:
    return {str(path.relative_to(site)): path.read_bytes() for path in sorted(site.rglob("*")) if path.is_file()}


def table(scored: Scored, name: str, video: str = VIDEOS[0]) -> pa.Table:
    (prefix,) = scored.scores.glob("bundle=*")
    return read_table(str(prefix / name / f"{video}.parquet"))


def test_an_event_is_called_the_same_everywhere() -> None:
    assert event_key("cam/a b.mp4", 7) == hashlib.sha1(b"cam/a b.mp4:7").hexdigest()[:16]


@pytest.mark.slow
def test_a_row_says_what_the_tables_say_and_names_the_files_beside_it(scored: Scored, site: Path) -> None:
    row, event = row_of(site), table(scored, "events").to_pylist()[0]
    assert {name: row[name] for name in event if name not in BOX} == {n: event[n] for n in event if n not in BOX}
    assert row["frame_size"] == [320, 240]
    named = [*row["files"].pop("nearest"), *row["files"].values(), "event.json"]
    assert sorted(named) == sorted(path.name for path in folder_of(site).iterdir())
    assert set(row["files"]) == {"thumb", "clip", "clip_boxes", *MAPS}
    assert row["nearest_distance"] == sorted(row["nearest_distance"])


def test_the_cube_that_is_cut_again_has_the_errors_of_the_objects_table(scored: Scored, site: Path) -> None:
    for video in VIDEOS:
        row = row_of(site, video)
        objects = table(scored, "objects", video).to_pylist()
        (known,) = [each for each in objects
                    if each["frame"] == row["frame"] and [each[n] for n in BOX] == row["box"]]  # fmt: skip
        assert row["s_flow"] == pytest.approx(known["s_flow"], rel=1e-4)
        assert row["s_frame"] == pytest.approx(known["s_frame"], rel=1e-4)
        assert known["score"] == max(each["score"] for each in objects if each["frame"] == row["frame"])
        assert sum(row["parts"].values()) == pytest.approx(known["score"], abs=1e-3)
        assert set(row["parts"]) == {"flow", "frame", "speed"}
        assert (
            row["kind"]
            == {"flow": "flow", "frame": "appearance", "speed": "speed"}[max(row["parts"], key=row["parts"].get)]
        )


def test_the_maps_show_the_cube_magnified_without_smoothing(scored: Scored, site: Path) -> None:
    maps = {name: picture(folder_of(site) / f"{name}.png") for name in MAPS}
    for shown in maps.values():
        assert shown.shape == (128, 128, 3)
        assert np.array_equal(shown, shown[::4, ::4].repeat(4, 0).repeat(4, 1))
    row = row_of(site)
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


def test_the_nearest_examples_are_those_of_the_bundle(scored: Scored, site: Path) -> None:
    examples = load_bundle(str(scored.bundle)).examples
    known = [picture.tobytes() for picture in examples.appearance]
    for name in row_of(site)["files"]["nearest"]:
        shown = picture(folder_of(site) / name)[::4, ::4]
        assert shown.shape == (32, 64, 3)
        assert shown[:, :32].tobytes() in known


def test_the_thumbnail_is_the_frame_without_a_box(scored: Scored, site: Path) -> None:
    whole = clip_frames(scored.archive / VIDEOS[0])
    shown = picture(folder_of(site) / "thumb.jpg")
    assert shown.shape == whole[0].shape
    apart = [np.abs(shown.astype(int) - image).mean() for image in whole]
    assert int(np.argmin(apart)) == row_of(site)["frame"]
    assert min(apart) < 6


def frame_of(path: Path, number: int) -> U8:
    return clip_frames(path)[number]


def clip_frames(path: Path) -> list[U8]:
    with av.open(str(path)) as container:
        return [np.asarray(frame.to_ndarray(format="bgr24"), np.uint8) for frame in container.decode(video=0)]


def test_clips_are_what_browsers_play(site: Path) -> None:
    for name in ("clip.mp4", "clip_boxes.mp4"):
        path = folder_of(site) / name
        content = path.read_bytes()
        assert 0 < content.index(b"moov") < content.index(b"mdat"), "the index comes first"
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            assert (stream.codec_context.codec.canonical_name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
            times = [frame.time for frame in container.decode(video=0)]
        np.testing.assert_allclose(times, np.arange(FRAMES) / 12.5, atol=1e-4)
    assert row_of(site)["clip"] == {"start_s": 0.0, "stop_s": pytest.approx((FRAMES - 1) / 12.5)}


def test_only_one_clip_has_boxes_drawn_in(scored: Scored, site: Path) -> None:
    whole = clip_frames(scored.archive / VIDEOS[0])
    plain, boxed = (clip_frames(folder_of(site) / name) for name in ("clip.mp4", "clip_boxes.mp4"))
    row = row_of(site)
    x1, y1, _, y2 = (round(side) for side in row["box"])
    edge = (slice(y1 + 4, y2 - 4), slice(x1, x1 + 2))
    assert np.abs(plain[row["frame"]][edge].astype(int) - whole[row["frame"]][edge]).mean() < 12
    assert np.abs(boxed[row["frame"]][edge].astype(int) - (12, 89, 232)).mean() < 40


@pytest.mark.parametrize("what", ["people", "faces"])
def test_nobody_who_was_scored_is_recognisable_in_any_file(
    what: str, scored: Scored, site: Path, tmp_path: Path
) -> None:
    """Inside every scored box a picture has few colours left; outside of all it is as it was."""
    assert gather_evidence(scored.job(tmp_path, clips=True, pixelate=what))["made"] == 2
    row = row_of(tmp_path)
    shown, before = (picture(folder_of(each) / "thumb.jpg") for each in (tmp_path, site))
    people = [[each[name] for name in BOX] for each in table(scored, "objects").to_pylist()
              if each["frame"] == row["frame"]]  # fmt: skip
    assert people
    clips = clip_frames(folder_of(tmp_path) / "clip.mp4"), clip_frames(folder_of(site) / "clip.mp4")
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


def test_what_is_there_is_kept_and_other_settings_replace_it(scored: Scored, site: Path, tmp_path: Path) -> None:
    shutil.copytree(site, tmp_path, dirs_exist_ok=True)
    before = files(tmp_path)
    assert gather_evidence(scored.job(tmp_path, clips=True)) == {
        "events": 2,
        "made": 0,
        "kept": 2,
        "noted": 0,
        "removed": 0,
    }
    assert files(tmp_path) == before
    assert gather_evidence(scored.job(tmp_path, pixelate="people", nearest=0))["made"] == 2
    left = {Path(name).name for name in files(tmp_path)}
    assert left == {"event.json", "thumb.jpg", *(f"{name}.png" for name in MAPS)}, "no clip shows people any more"
    assert gather_evidence(scored.job(tmp_path, events=1))["removed"] == 1
    assert {Path(name).parent.name for name in files(tmp_path)} == {choose(scored, events=1)[0].key}


class Killed(BaseException):
    """The process is gone."""


@pytest.mark.slow
def test_a_run_stopped_at_any_step_is_finished_by_the_next(
    scored: Scored, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And at no step does a row name a file that is not there, or one that shows what must be hidden."""
    steps, stop = 0, 0

    def burning(step: Any) -> Any:
        def run(*args: Any) -> None:
            nonlocal steps
            steps += 1
            if steps == stop:
                raise Killed
            step(*args)

        return run

    shutil.copytree(site, tmp_path / "there")
    job = scored.job(tmp_path / "there", pixelate="people", events=1)
    for name in ("publish", "delete"):
        monkeypatch.setattr(local, name, burning(getattr(local, name)))
    gather_evidence(replace(job, site=str(tmp_path / "whole")))
    whole = files(tmp_path / "whole")
    for stop in range(1, 40, 3):
        steps = 0
        shutil.copytree(site, tmp_path / str(stop))
        try:
            gather_evidence(replace(job, site=str(tmp_path / str(stop))))
        except Killed:
            for path in (tmp_path / str(stop)).rglob("event.json"):
                row = json.loads(path.read_text())
                nearest = row["files"].pop("nearest", [])
                assert all((path.parent / name).exists() for name in (*nearest, *row["files"].values()))
        else:
            assert stop > 20
        stop_at, stop = stop, 0
        gather_evidence(replace(job, site=str(tmp_path / str(stop_at))))
        assert files(tmp_path / str(stop_at)) == whole


def test_a_video_that_is_gone_changed_or_broken_costs_a_note_and_stops_nothing(scored: Scored, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    shutil.copytree(scored.archive, archive)
    job = replace(scored.job(tmp_path / "site"), archive=str(archive))
    (archive / VIDEOS[0]).write_bytes(b"")
    (archive / VIDEOS[1]).unlink()
    assert gather_evidence(job) == {"events": 2, "made": 0, "kept": 0, "noted": 2, "removed": 0}
    assert "changed since it was scored" in row_of(tmp_path / "site")["note"]
    assert f"not in {archive}" in row_of(tmp_path / "site", VIDEOS[1])["note"]
    assert row_of(tmp_path / "site")["files"] == {}
    shutil.copy2(scored.archive / VIDEOS[1], archive / VIDEOS[1])
    assert gather_evidence(job) == {"events": 2, "made": 1, "kept": 0, "noted": 1, "removed": 0}
    (archive / VIDEOS[1]).unlink()
    more = replace(job, evidence=EvidenceConfig(clips=True))
    assert gather_evidence(more)["kept"] == 1, "what still holds is not lost with the video"
    assert (folder_of(tmp_path / "site", VIDEOS[1]) / "thumb.jpg").exists()


def test_without_a_bundle_there_are_pictures_and_no_reasons(scored: Scored, tmp_path: Path) -> None:
    assert gather_evidence(replace(scored.job(tmp_path), bundle=""))["made"] == 2
    row = row_of(tmp_path)
    assert (row["files"], row["kind"], row["parts"]) == ({"thumb": "thumb.jpg"}, "", {})
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
    assert set(row["files"]) == {"thumb", "appearance", "nearest"} | pictures
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


def test_another_bundle_than_the_one_that_scored_is_refused(scored: Scored, tmp_path: Path) -> None:
    (prefix,) = scored.scores.glob("bundle=*")
    shutil.copytree(prefix, tmp_path / "bundle=0123456789abcdef")
    with pytest.raises(MismatchError, match="give that bundle"):
        gather_evidence(replace(scored.job(tmp_path), scores=str(tmp_path / "bundle=0123456789abcdef")))


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
    assert row_of(tmp_path / "site")["files"] == {"thumb": "thumb.jpg"}


def choose(scored: Scored, **settings: Any) -> Any:
    (prefix,) = scored.scores.glob("bundle=*")
    return choose_events(str(prefix), EvidenceConfig(**settings))


def test_the_highest_events_are_chosen_or_all_above_a_score(tmp_path: Path) -> None:
    for number, peak in enumerate((9.0, 30.0, 20.0, 30.0)):
        put_scores(tmp_path, f"cam{number % 2}/{number}.mp4", [None] * 4 + [[peak]] * 6 + [[0.0]] * 40 + [[15.0]] * 6)
    prefix = str(tmp_path / "bundle=b1")

    def names(scope: PathFilter | None = None, **settings: Any) -> list[tuple[str, float]]:
        found = choose_events(prefix, EvidenceConfig(**settings), *([scope] if scope else []))
        return [(chosen.row["video"][-5:], chosen.row["peak_score"]) for chosen in found]

    assert names(events=3) == [("1.mp4", 25.0), ("3.mp4", 25.0), ("2.mp4", 15.0)]
    assert names(events=0) == []
    assert len(names(above=10.0)) == 7
    assert len(names(above=10.0, events=1)) == 7
    assert len(names(events=99)) == 8
    assert {video for video, _ in names(PathFilter("{camera}/*", ("cam1",)))} == {"1.mp4", "3.mp4"}
    assert choose_events(str(tmp_path / "nothing"), EvidenceConfig()) == []


def test_an_event_whose_peak_has_no_box_is_shown_by_its_best_frame(tmp_path: Path) -> None:
    rows = [{**dict.fromkeys(OBJECTS.names, 1.0), "video": "v", "frame": frame, "score": score, "x2": float(frame)}
            for frame, score in ((4, 1.0), (5, 3.0), (5, 7.0), (5, 7.0), (9, 8.0))]  # fmt: skip
    put_table(str(tmp_path / "o.parquet"), pa.Table.from_pylist(rows, schema=OBJECTS))
    objects = Objects.read(str(tmp_path / "o.parquet"), [(0, 20), (30, 40)])
    event = {"start_frame": 3, "end_frame": 7, "peak_frame": 6}
    found = shown_object(objects, event)
    assert found is not None
    assert (found["frame"], found["score"]) == (5, 7.0)
    assert shown_object(objects, {**event, "start_frame": 6}) is None
    assert Objects.read(str(tmp_path / "o.parquet"), [(9, 10), (0, 5)]).frame.tolist() == [4, 9]


def at_ten_a_second(frames: int) -> Timeline:
    return Timeline(frames, 64, 48, np.arange(frames) / 10)


def event_at(start_s: float, end_s: float, peak_s: float) -> Mapping[str, float]:
    return {"start_s": start_s, "end_s": end_s, "peak_s": peak_s}


def test_a_clip_has_some_seconds_around_its_event_but_only_frames_that_were_scored() -> None:
    timeline, config = at_ten_a_second(1000), EvidenceConfig()
    assert clip_range(event_at(10, 15, 11), timeline, (0, 1000), config) == (80, 171)
    assert clip_range(event_at(1, 98.5, 30), timeline, (0, 1000), config) == (200, 401)
    assert clip_range(event_at(1, 98.5, 2), timeline, (0, 1000), config) == (0, 191)
    assert clip_range(event_at(1, 98.5, 98), timeline, (0, 1000), config) == (805, 1000)
    assert clip_range(event_at(10, 15, 11), timeline, (95, 160), config) == (95, 160)


def test_boxes_are_held_for_a_time_and_not_for_a_number_of_frames() -> None:
    assert held(at_ten_a_second(100), 50, 51, 1.0) == (40, 61)
    assert held(at_ten_a_second(100), 2, 99, 1.0) == (0, 100)
    assert held(at_ten_a_second(100), 50, 51, 0.0) == (50, 51)


def test_a_video_is_found_by_its_id_as_the_catalogue_has_it(scored: Scored, tmp_path: Path) -> None:
    shutil.copytree(scored.archive, tmp_path / "cam" / "day")
    (tmp_path / "cam" / "frames.d").mkdir()
    for number in range(5):
        cv2.imwrite(str(tmp_path / "cam" / "frames.d" / f"{number}.png"), np.zeros((8, 8, 3), np.uint8))
    listed = list(catalogue(str(tmp_path)))
    assert len(listed) == 3
    for video in listed:
        assert find_video(str(tmp_path), video.id) == video
        known = find_video(str(tmp_path), video.id, fingerprint="of another day")
        assert known is not None
        assert (known.id, known.uri, known.kind) == (video.id, video.uri, video.kind)
        assert known.fingerprint == "of another day"
    single = str(tmp_path / "cam" / "day" / VIDEOS[0])
    assert find_video(single, VIDEOS[0]) == next(catalogue(single))
    assert find_video(str(tmp_path / "cam" / "frames.d"), "frames.d") == next(catalogue(str(tmp_path / "cam/frames.d")))
    missing: list[Video | None] = [
        find_video(str(tmp_path / "cam" / "day"), f"../day/{VIDEOS[0]}"),
        find_video(str(tmp_path), "cam/day/other.mp4"),
        find_video(str(tmp_path), "cam/day"),
        find_video(single, "other.mp4"),
    ]
    assert missing == [None] * 4


def test_settings_that_cannot_be_are_refused() -> None:
    for name in ("events", "nearest", "clip_seconds", "pixelate_hold"):
        with pytest.raises(ConfigError, match=f"evidence.{name} must not be negative, got -1"):
            EvidenceConfig(**{name: -1})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"evidence\.clip_longest must be positive"):
        EvidenceConfig(clip_longest=0)


def test_a_bundle_keeps_its_examples_and_one_without_any_loads_as_before(scored: Scored, tmp_path: Path) -> None:
    bundle = load_bundle(str(scored.bundle))
    assert len(bundle.examples) == 12
    assert not [name for name in bundle.weights if "/" in name]
    bundle.build(torch.device("cpu"))
    shutil.copytree(scored.bundle, tmp_path, dirs_exist_ok=True)
    tensors = load((tmp_path / "weights.safetensors").read_bytes())
    tensors["examples/flow"] = tensors["examples/flow"][:5].contiguous()
    data = save(tensors)
    (tmp_path / "weights.safetensors").write_bytes(data)
    settings = json.loads((tmp_path / "bundle.json").read_text())
    settings["weights_sha256"] = hashlib.sha256(data).hexdigest()
    decisive = {key: value for key, value in settings.items() if key not in ("id", "provenance")}
    canonical = json.dumps(decisive, sort_keys=True, separators=(",", ":"))
    settings["id"] = hashlib.sha256(canonical.encode()).hexdigest()[:16]
    (tmp_path / "bundle.json").write_text(json.dumps(settings))
    with pytest.raises(BundleError, match="examples have shapes"):
        load_bundle(str(tmp_path))
