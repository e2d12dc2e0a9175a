"""The generated archive."""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path

import av
import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from hf2vad.demo.__main__ import main
from hf2vad.demo.archive import SCENES, DemoArchive, SceneName, generate, render_clip
from hf2vad.demo.street import Street

FRAMES = 60


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> DemoArchive:
    return generate(tmp_path_factory.mktemp("demo"), train_clips=1, test_clips=5, frames=FRAMES, far_runner=True)


def digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.slow
def test_it_holds_every_kind_of_unusual_thing(archive: DemoArchive) -> None:
    names = sorted(path.name for path in archive.test.iterdir())
    kinds = ["runner", "cyclist", "cart", "wrong_way", "runner", "far_runner"]
    assert names == [f"{number:02d}_{kind}.mp4" for number, kind in enumerate(kinds, 1)]
    tracks = pq.read_table(archive.tracks).to_pylist()
    assert {row["kind"] for row in tracks} == {*kinds, "walker"}
    assert all(row["anomalous"] == (row["kind"] != "walker") for row in tracks)


def test_clips_are_h264_with_as_many_frames_as_labels(archive: DemoArchive) -> None:
    labels = pq.read_table(archive.labels)
    for path in archive.test.iterdir():
        with av.open(str(path)) as container:
            assert container.streams.video[0].codec_context.name == "h264"
            assert sum(1 for _ in container.decode(video=0)) == FRAMES
        rows = labels.filter(np.array(labels["video"].to_pylist()) == path.name)
        assert rows["frame"].to_pylist() == list(range(FRAMES))
        assert 0 < sum(rows["anomalous"].to_pylist()) < FRAMES


def test_a_frame_is_anomalous_when_something_unusual_is_visible(archive: DemoArchive) -> None:
    labelled = {(r["video"], r["frame"]) for r in pq.read_table(archive.labels).to_pylist() if r["anomalous"]}
    seen = {(r["video"], r["frame"]) for r in pq.read_table(archive.tracks).to_pylist() if r["anomalous"]}
    assert labelled == seen


def test_boxes_hold_what_moves(archive: DemoArchive) -> None:
    boxes = pq.read_table(archive.boxes).to_pylist()
    scene = Street(320, 240)
    empty = scene.ground()
    clip = list(render_clip(scene, "cart", frames=FRAMES, seed=[0, 2, 2]))
    for number in (20, 40):
        inside = np.zeros((240, 320), bool)
        for box in boxes:
            if (box["video"], box["frame"]) == ("03_cart.mp4", number):
                inside[int(box["y1"]) : int(box["y2"]) + 1, int(box["x1"]) : int(box["x2"]) + 1] = True
        ground = cv2.GaussianBlur(empty, (5, 5), 0)
        image = cv2.GaussianBlur(clip[number].image.astype(np.float32), (5, 5), 0)
        light = np.median(image / np.maximum(ground, 1))
        different = np.abs(image - ground * light).max(axis=2) > 40
        assert different[inside].mean() > 0.15
        assert different[~inside].mean() < 0.01


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(archive: DemoArchive, tmp_path: Path) -> None:
    arguments = {"train_clips": 1, "test_clips": 1, "frames": 20}
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        generate(tmp_path / name, seed=seed, **arguments)
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    ours, theirs = digest(tmp_path / "a"), digest(tmp_path / "c")
    assert all(ours[name] != theirs[name] for name in ours if name.endswith(".mp4"))


def test_an_archive_that_is_there_is_left_as_it_is_and_another_replaces_it(tmp_path: Path) -> None:
    made = generate(tmp_path, train_clips=2, test_clips=1, frames=10)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.mp4")}
    generate(tmp_path, train_clips=2, test_clips=1, frames=10)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.mp4")} == before
    generate(tmp_path, train_clips=1, test_clips=1, frames=10)
    assert [path.name for path in made.train.iterdir()] == ["normal_01.mp4"]


def test_the_command_renders_pictures_of_the_size_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = ("--width", "160", "--height", "128")
    counts = ("--train-clips", "1", "--test-clips", "1", "--frames", "5")
    monkeypatch.setattr("sys.argv", ["demo", "--out", str(tmp_path), *sizes, *counts])
    main()
    for clip in (tmp_path / "train").iterdir():
        with av.open(str(clip)) as container:
            assert (container.streams.video[0].width, container.streams.video[0].height) == (160, 128)


def test_a_folder_that_is_not_ours_is_not_cleared(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "mine.txt").write_text("keep me")
    generate(tmp_path, train_clips=1, test_clips=1, frames=10)
    assert (tmp_path / "train" / "mine.txt").read_text() == "keep me"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["corridor", "road"])
def test_every_scene_shows_what_is_unusual_there_and_nothing_else_is(name: SceneName) -> None:
    scene = SCENES[name]()
    for number, kind in enumerate([None, *scene.UNUSUAL]):
        clip = list(render_clip(scene, kind, frames=100, seed=[0, 2, number]))
        unusual = {actor.kind for frame in clip for _, actor, _ in frame.objects if actor.anomalous(frame.time)}
        assert unusual == ({kind} if kind else set())
        labels = [any(actor.anomalous(frame.time) for _, actor, _ in frame.objects) for frame in clip]
        assert not labels[0]
        assert any(labels) == bool(kind)
        assert sum(len(frame.objects) for frame in clip) > 100


def test_someone_who_falls_is_unusual_from_then_on_and_ends_up_lying() -> None:
    scene = SCENES["corridor"]()
    clip = list(render_clip(scene, "falling", frames=100, seed=[0, 2, 2]))
    fallen = [
        (frame.time, actor, box)
        for frame in clip
        for _, actor, box in frame.objects
        if actor.kind == "falling" and actor.falls_at < 4
    ]
    upright = [box for time, actor, box in fallen if time < actor.falls_at]
    lying = [box for time, actor, box in fallen if time > actor.falls_at + 1]
    assert upright
    assert all(box[3] - box[1] > box[2] - box[0] for box in upright)
    assert lying
    assert all(box[2] - box[0] > box[3] - box[1] for box in lying)
    assert all(actor.anomalous(time) == (time >= actor.falls_at) for time, actor, _ in fallen)


def test_people_in_the_corridor_grow_as_they_come() -> None:
    scene = SCENES["corridor"]()
    heights: dict[int, list[float]] = {}
    for frame in render_clip(scene, None, frames=60, seed=[0, 2, 0]):
        for track, actor, box in frame.objects:
            if actor.away < 0 and box[3] < scene.height - 1:
                heights.setdefault(track, []).append(box[3] - box[1])
    grown = [values for values in heights.values() if len(values) > 10]
    assert grown
    assert all(later > sooner for values in grown for sooner, later in itertools.pairwise(values))
