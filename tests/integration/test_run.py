"""`hf2vad run`: one command, from videos to the site, that says what it does and finds what is new the next time."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import av
import pytest

from hf2vad.archive.archive_refs import named_sources
from hf2vad.bundle.bundle import load_bundle, save_bundle
from hf2vad.bundle.settings import load_bundle_settings
from hf2vad.demo.archive import generate
from hf2vad.runs.plan import length
from hf2vad.scoring.settings import SmoothingRule
from hf2vad.tables.read import scored_videos, scores_prefix, video_tables
from tests.site import Site, run_job, run_process

HERE = ("--ray.address", "none")


@pytest.fixture(scope="module")
def folder(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a camera with four clips, the last of them with something unusual, and one clip beside it."""
    folder = tmp_path_factory.mktemp("run") / "videos"
    (folder / "gate").mkdir(parents=True)
    normal = sorted(site.train.glob("*.mp4"))
    for name, clip in (("1", normal[0]), ("2", normal[1]), ("3", normal[0]), ("4", sorted(site.test.glob("*.mp4"))[1])):
        shutil.copy(clip, folder / "gate" / f"{name}.mp4")
    shutil.copy(normal[1], folder / "porch.mp4")
    (folder / "notes.txt").write_text("no video")
    return folder


@pytest.fixture(scope="module")
def first(folder: Path) -> tuple[Path, str]:
    """The result's folder, and what the first run said on stdout."""
    out = folder.parent / "found"
    return out, run_process("run", folder, "--out", out, *HERE).stdout


def scored(out: Path) -> set[str]:
    return {tables.video for tables in scored_videos(scores_prefix(str(out / "scores")))}


def test_it_says_what_it_does_and_where_the_result_is(first: tuple[Path, str]) -> None:
    out, said = first
    lines = said.splitlines()
    assert lines[0] == "Starting …"
    assert lines[1].startswith("5 videos of 2 cameras: ")
    assert re.fullmatch(r"about .* to .* on \d+ cores; up to \d+ MB of disk", lines[2])
    assert any("notes.txt" in line for line in lines)
    assert [line for line in lines if line[1:2] == "/"] == [
        "1/4 Reading what is normal",
        "2/4 Learning",
        "3/4 Scoring",
        "4/4 Making the site",
    ]
    assert lines[-1] == f"Open: {out / 'index.html'}"
    assert "No failures" in lines[-2]
    assert len(lines[lines.index("4/4 Making the site") + 1 :]) <= 6


def test_the_newer_videos_and_the_second_half_of_single_ones_are_scored(first: tuple[Path, str]) -> None:
    out, _ = first
    assert scored(out) == {"gate/3.mp4", "gate/4.mp4", "porch.mp4"}
    frames = {t.video: t.table("frames") for t in scored_videos(scores_prefix(str(out / "scores")))}
    assert frames["porch.mp4"]["frame"].to_pylist() == list(range(30, 60))
    assert len(frames["gate/4.mp4"]) == 60


def test_the_site_is_never_empty_and_says_that_little_was_learned_from(first: tuple[Path, str]) -> None:
    out, said = first
    text = (out / "index.html").read_text()
    assert 'role="note"' in text
    assert "a preview" in text
    summary = (out / "data" / "summary.js").read_text()
    assert json.loads(summary[summary.index("{") : summary.rindex("}") + 1])["events"] > 0
    assert ("below the alarm threshold" in said) == ("below it" in text)


def test_again_it_scores_what_is_new_and_learns_nothing_anew(first: tuple[Path, str], folder: Path) -> None:
    out, _ = first
    bundle = (out / "bundle" / "bundle.json").read_bytes()
    shutil.copy(folder / "gate" / "2.mp4", folder / "gate" / "5.mp4")
    again = run_job("run", "--out", out, *HERE)
    assert (out / "bundle" / "bundle.json").read_bytes() == bundle
    assert scored(out) == {"gate/3.mp4", "gate/4.mp4", "gate/5.mp4", "porch.mp4"}
    assert "1/4" not in again.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "nothing to look at; name videos or folders"),
        (("/no/such/folder",), "/no/such/folder"),
        (("--learn", "100"), "--learn must lie between 0 and 100 percent, got 100"),
        (("--image-fps", "-1"), "--image-fps must lie between 0 and 1000, got -1"),
    ],
)
def test_mistakes_are_one_line(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    done = run_job("run", *arguments, "--out", tmp_path / "found", expect=2)
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_another_folder_does_not_mix_with_an_earlier_result(first: tuple[Path, str], site: Site) -> None:
    done = run_job("run", site.test, "--out", first[0], expect=2)
    assert "choose another --out, or leave paths out" in done.stderr
    done = run_job("run", "--out", first[0], "--learn", 60, expect=2)
    assert "choose another --out, or leave learn out" in done.stderr


def test_several_videos_are_each_a_camera_in_training_as_in_scoring(folder: Path, tmp_path: Path) -> None:
    videos = (folder / "gate" / "1.mp4", folder / "porch.mp4")
    run_job("run", *videos, "--out", tmp_path, *HERE)
    assert set(load_bundle_settings(str(tmp_path / "bundle")).cameras) == {"1.mp4", "porch.mp4"}
    assert scored(tmp_path) == {"1/1.mp4", "porch/porch.mp4"}
    assert {tables.path for tables in scored_videos(scores_prefix(str(tmp_path / "scores")))} == {"1.mp4", "porch.mp4"}


def test_where_nothing_is_unusual_the_highest_moments_have_a_beginning_and_an_end(tmp_path: Path) -> None:
    normal = generate(tmp_path / "archive", train_clips=4, test_clips=0, frames=60).train
    said = run_job("run", normal, "--out", tmp_path / "found", *HERE).stdout
    assert re.search(r"^0 unusual moments .*; the highest below the alarm threshold:$", said, re.MULTILINE)
    moments = 0
    for tables in video_tables(scores_prefix(str(tmp_path / "found" / "scores")), "events"):
        raw = dict(zip(*tables.table("frames").select(["frame", "score_raw"]).to_pydict().values(), strict=True))
        for event in tables.table("events").to_pylist():
            moments += 1
            assert event["end_s"] - event["start_s"] > 0.2, "more than a frame or two"
            assert raw[event["peak_frame"]] >= event["peak_score"]
    assert 1 <= moments <= 3


def test_images_a_second_are_said_once_and_kept(site: Site, tmp_path: Path) -> None:
    clip, out = sorted(site.test.glob("*.mp4"))[1], tmp_path / "found"
    (tmp_path / "yard").mkdir()
    with av.open(str(clip)) as video:
        for number, frame in enumerate(video.decode(video=0)):
            frame.to_image().save(tmp_path / "yard" / f"{number:03d}.png")
    said = run_job("run", tmp_path / "yard", "--out", out, "--image-fps", 5, *HERE).stdout
    assert "1 video of 1 camera: 6 seconds to learn from, 6 seconds to score" in said
    (frames,) = (tables.table("frames") for tables in scored_videos(scores_prefix(str(out / "scores"))))
    assert frames["pts_s"].to_pylist() == pytest.approx([number / 5 for number in range(30, 60)])
    (metadata,) = (tables.metadata for tables in scored_videos(scores_prefix(str(out / "scores"))))
    assert (metadata["fps"], metadata["smoothing"]) == (pytest.approx(5), 9), "1.7 s"
    again = run_job("run", "--out", out, *HERE).stdout
    assert "6 seconds to score" in again
    assert len(list(scored_videos(scores_prefix(str(out / "scores"))))) == 1
    other = run_job("run", "--out", out, "--image-fps", 10, expect=2).stderr
    assert "choose another --out, or leave image_fps out" in other


def test_several_paths_are_archives_named_by_their_last_part() -> None:
    assert [tuple(one) for one in named_sources(["/a/b"])] == [("", "/a/b")]
    several = named_sources(["/a/front door.mp4", "s3://bucket/yard/", "/b/yard"])
    assert [one.name for one in several] == ["front-door", "yard", "yard-3"]
    assert [length(seconds) for seconds in (58.2, 130, 7500)] == ["58 seconds", "2 min", "2 h 05 min"]


def test_a_bundle_that_is_given_scores_this_run_and_later_ones(first: tuple[Path, str]) -> None:
    out, _ = first
    own, other = load_bundle(str(out / "bundle")), out.parent / "other"
    settings = replace(own.settings, smoothing=SmoothingRule(own.settings.smoothing.frames + 2))
    given = save_bundle(str(other), replace(own, settings=settings)).id
    assert given != own.id
    learnt = (out / "bundle" / "bundle.json").read_bytes()
    for options in (("--bundle", other), ()):
        said = run_job("run", "--out", out, *options, *HERE).stdout
        assert [line for line in said.splitlines() if line[1:2] == "/"] == ["3/4 Scoring", "4/4 Making the site"]
        assert f'bundle = "{other}"' in (out / "hf2vad.toml").read_text()
        assert given in (out / "data" / "about.js").read_text()
    assert {tables.metadata["bundle"] for tables in scored_videos(str(out / "scores" / f"bundle={given}"))} == {given}
    assert (out / "bundle" / "bundle.json").read_bytes() == learnt
    nowhere = run_job("run", "--out", out, "--bundle", out.parent / "nowhere", *HERE, expect=2)
    assert "nowhere: no bundle there" in nowhere.stderr
    assert f'bundle = "{other}"' in (out / "hf2vad.toml").read_text()
