"""What the review site is made of, without a browser."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from hf2vad.archive.catalog import Video, find_video
from hf2vad.archive.pattern import PathPattern
from hf2vad.archive.place import place_of
from hf2vad.commandline import EXIT_OK
from hf2vad.errors import ConfigError, EvaluationError, SchemaError
from hf2vad.evidence.reasons import Knowledge, Reasons
from hf2vad.evidence.settings import EvidenceConfig
from hf2vad.jobs.report import ReviewJob, review_job
from hf2vad.report.site.curve import MOST_POINTS
from hf2vad.report.site.evidence import read_evidence, video_key
from hf2vad.report.site.heat import UNKNOWN, Curve, HeatMap, spread
from hf2vad.report.site.job import ReportJob
from hf2vad.report.site.media import link
from hf2vad.report.site.night import write_site
from hf2vad.report.site.video import peak_reasons
from hf2vad.schema import OBJECTS
from hf2vad.scoring.settings import SmoothingRule
from hf2vad.storage import put_json, read_table
from tests.bundles import make_bundle
from tests.clips import Clip, pictures, write_clip
from tests.review import BUNDLE, CLIPS, FIRST, HOSTILE, PATTERN, Bump, put_night, put_video
from tests.scores import CALIBRATION

TIMED = "{camera}/{date}/{time}.mp4"
DAY = date(2026, 11, 24)


def data(site: Path, name: str) -> Any:
    """What a page gets from hf2vad.load(name)."""
    text = (site / "data" / f"{name}.js").read_text()
    found = re.fullmatch(r'hf2vad\.put\("([^"]+)",(.*)\);\n', text, re.DOTALL)
    assert found is not None
    assert found[1] == name
    return json.loads(found[2])


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The archive of a small night and its bundle=<id> folder."""
    return put_night(tmp_path_factory.mktemp("night"))


def job(night: tuple[Path, Path], out: Path, **settings: Any) -> ReportJob:
    values = {"archive": (str(night[0]),), "pattern": PATTERN} | settings
    return ReportJob(scores=str(night[1]), out=str(out), **values)


@pytest.mark.parametrize(
    ("video", "pattern", "camera", "day", "start"),
    [
        ("a/b.mp4", "", "a", None, None),
        ("b.mp4", "", "b.mp4", None, None),
        ("x/2026-11-24/c.mp4", "{camera}/{date}/*", "x", DAY, None),
        ("x/20261124/221530.mp4", TIMED, "x", DAY, datetime(2026, 11, 24, 22, 15, 30)),
        ("x/2026-11-24/22-15.mp4", TIMED, "x", DAY, datetime(2026, 11, 24, 22, 15)),
        ("2026/11/24/07/x.mp4", "{year}/{month}/{day}/{hour}/{camera}.mp4", "x", DAY, datetime(2026, 11, 24, 7)),
        ("x/2026-11-24/evening.mp4", TIMED, "x", DAY, None),
        ("x/2026-11-24/25-15.mp4", TIMED, "x", DAY, None),
        ("x/2026-13-40/22-15.mp4", TIMED, "x", None, None),
    ],
)  # fmt: skip
def test_camera_and_time_are_read_from_the_path(
    video: str, pattern: str, camera: str, day: date | None, start: datetime | None
) -> None:
    found = place_of(video, PathPattern(pattern))
    assert (found.camera, found.day, found.start) == (camera, day, start)


def spread_of(video: str, pattern: str, seconds: float, *peaks: float) -> Any:
    times = np.arange(0, seconds, 0.5)
    curve = Curve(video, times, np.linspace(0, 1, len(times)), 0.25, peaks)
    return spread(place_of(video, PathPattern(pattern)), curve)


def test_the_map_has_hours_where_paths_tell_them_and_a_column_for_those_that_do_not() -> None:
    heat = HeatMap([
        spread_of("a/2026-11-24/22-30.mp4", TIMED, 3600, 10, 1900),
        spread_of("b/2026-11-25/00-00.mp4", TIMED, 600),
        spread_of("c/2026-11-25/odd.mp4", TIMED, 60, 5),
    ])  # fmt: skip
    assert heat.columns == ["2026-11-24 22:00", "2026-11-24 23:00", "2026-11-25 00:00", UNKNOWN]
    rows = {row["camera"]: row["cells"] for row in heat.rows()}
    assert rows["a"] == [
        [1, 0.5, 1800.0, 2.0, "a/2026-11-24/22-30.mp4", 1799.5],
        [1, 1.0, 1800.0, 4.0, "a/2026-11-24/22-30.mp4", 3599.5],
        None,
        None,
    ]
    assert [cell and cell[0] for cell in rows["c"]] == [None, None, None, 1]
    assert heat.column_of(place_of("a/2026-11-24/22-30.mp4", PathPattern(TIMED)), 1900) == 1


def test_the_map_has_days_where_paths_tell_only_those() -> None:
    pattern = "{camera}/{date}/*"
    heat = HeatMap([spread_of(f"a/2026-11-2{day}/{n}.mp4", pattern, 60, 5) for day in (4, 5) for n in range(3)])
    assert heat.columns == ["2026-11-24", "2026-11-25"]
    assert [cell[0] for cell in heat.rows()[0]["cells"]] == [3, 3]


def test_the_map_has_positions_in_the_video_where_paths_tell_nothing() -> None:
    heat = HeatMap([spread_of("a/x.mp4", "", 10, 9.6), spread_of("a/y.mp4", "", 3000, 9.6, 2999)])
    assert heat.columns[:3] == ["0:00:00", "0:05:00", "0:10:00"]
    cells = heat.rows()[0]["cells"]
    assert [cell[0] for cell in cells] == [2, *([0] * 8), 1]
    assert sum(cell[2] for cell in cells) == 3010


def test_the_busiest_cameras_are_first_and_a_cell_leads_to_its_highest_moment() -> None:
    heat = HeatMap([spread_of("a/x.mp4", "", 10), spread_of("b/y.mp4", "", 10, 1, 2), spread_of("b/z.mp4", "", 20, 3)])
    rows = heat.rows()
    assert [row["camera"] for row in rows] == ["b", "a"]
    assert [sum(cell[0] for cell in row["cells"] if cell) for row in rows] == [3, 0]
    assert rows[0]["cells"][9][4:] == ["b/y.mp4", 9.5], "of two videos the higher one: it ends there, and so is at 1"
    assert rows[0]["cells"][19][4:] == ["b/z.mp4", 19.5]
    assert heat.cameras() == ["a", "b"]


def test_many_hours_are_hours_of_the_day() -> None:
    pattern = "{camera}/{date}/{hour}.mp4"
    heat = HeatMap([spread_of(f"a/2026-11-{d}/{h:02}.mp4", pattern, 60, 1) for d in (10, 11, 12) for h in range(24)])
    assert heat.columns[22:] == ["22:00", "23:00"]
    assert [cell[0] for cell in heat.rows()[0]["cells"]] == [3] * 24


def test_an_events_parts_are_those_that_its_score_was_made_of(night: tuple[Path, Path], bundle: Any) -> None:
    objects = read_table(str(night[1] / "objects" / f"{FIRST}.parquet"))
    event = read_table(str(night[1] / "events" / f"{FIRST}.parquet")).to_pylist()[0]
    why = peak_reasons(event, objects, Knowledge(bundle), FIRST).row()
    assert why["parts"] == {"flow": 9.0, "frame": 1.0}, "S_r 14 and S_p 15, mean 5, deviation 1, weights 1 and 0.1"
    assert (why["kind"], why["score"]) == ("flow", 10.0)
    assert why["bars"] == [["flow", 9.0, "+9.0 σ"], ["frame", 10.0, "+1.0 σ"]]
    assert why["rarity"] == "", "Eq. 9 says nothing of how rare a measure is"
    assert peak_reasons(event, OBJECTS.empty_table(), Knowledge(bundle), FIRST) == Reasons()


@pytest.fixture
def bundle() -> Any:
    """The settings of a bundle that features are weighed with."""
    return replace(make_bundle({}, smoothing=SmoothingRule(1), calibration=CALIBRATION).settings, id=BUNDLE)


def test_names_are_data_and_end_no_script(night: tuple[Path, Path], tmp_path: Path) -> None:
    site = write_site(job(night, tmp_path / "site", media="none", title="</title><script>alert(1)</script>"))
    assert site.videos == len(CLIPS)
    for path in (tmp_path / "site").rglob("*.html"):
        text = path.read_text()
        assert "<script>alert" not in text
        assert "&lt;/title&gt;" in text
        assert 'http-equiv="Content-Security-Policy"' in text
        assert not re.search(r"<script>|style=|onclick=|https?:", text), "nothing inline, nothing from elsewhere"
    for path in (tmp_path / "site" / "data").rglob("*.js"):
        assert "<" not in path.read_text()
    assert HOSTILE in {row["camera"] for row in data(tmp_path / "site", "overview")["rows"]}


def test_the_files_that_a_page_names_are_there(night: tuple[Path, Path], tmp_path: Path) -> None:
    write_site(job(night, tmp_path, media="none"))
    for path in tmp_path.glob("*.html"):
        named = re.findall(r'(?:src|href)="([^"#]+)"', path.read_text())
        assert len(named) > 5
        assert [name for name in named if not (tmp_path / name).is_file()] == []


def test_only_the_wanted_night_is_on_the_site(night: tuple[Path, Path], tmp_path: Path) -> None:
    put_video(night[1], "cam-a/2026-11-25/01-00-00.mp4", bumps=[Bump(20, 30, 99.0)])
    site = write_site(job(night, tmp_path, media="none", until="2026-11-24", cameras=("cam-a",)))
    assert (site.videos, site.events, site.failures) == (2, 2, 0)
    assert [row["name"] for row in data(tmp_path, "lists/0")] == [name for name in CLIPS if name.startswith("cam-a")]
    (night[1] / "frames" / "cam-a/2026-11-25/01-00-00.mp4.parquet").unlink()
    with pytest.raises(ConfigError, match="--cameras, --since and --until leave no video of"):
        write_site(job(night, tmp_path, media="none", since="2027-01-01"))


def test_scores_that_are_not_there_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="no frame table"):
        write_site(ReportJob(scores=str(tmp_path / "bundle=x"), out=str(tmp_path)))


def test_a_long_video_keeps_its_peaks_in_few_points(tmp_path: Path) -> None:
    put_video(tmp_path / f"bundle={BUNDLE}", "long.mp4", frames=9001, bumps=[Bump(4567, 4577, 9.0)])
    write_site(ReportJob(scores=str(tmp_path), out=str(tmp_path / "site")))
    page = data(tmp_path / "site", f"videos/{video_key('long.mp4')}")
    assert 1500 < len(page["times"]) == len(page["scores"]) <= MOST_POINTS
    assert max(score for score in page["scores"] if score is not None) == 9.5
    assert page["times"][page["scores"].index(9.5)] == pytest.approx(4572 / 25)
    assert page["times"] == sorted(page["times"])


def test_more_events_than_a_file_holds_are_in_order_of_their_scores(tmp_path: Path) -> None:
    bumps = [Bump(50 * n + 10, 50 * n + 20, 5.0 + (n * 37) % 301) for n in range(601)]
    put_video(tmp_path / f"bundle={BUNDLE}", "busy.mp4", frames=31_000, bumps=bumps)
    write_site(ReportJob(scores=str(tmp_path), out=str(tmp_path / "site")))
    summary = data(tmp_path / "site", "summary")
    assert (summary["events"], summary["event_files"]) == (601, 2)
    scores = [row["peak_score"] for number in (0, 1) for row in data(tmp_path / "site", f"events/{number}")]
    assert len(scores) == 601
    assert scores == sorted(scores, reverse=True)


def media(night: tuple[Path, Path], site: Path, **settings: Any) -> dict[str, dict[str, Any]]:
    """What each video's player plays."""
    write_site(job(night, site, **settings))
    return {video: data(site, f"videos/{video_key(video)}")["media"] for video in CLIPS}


def played(path: Path) -> list[float]:
    """Times of a file's frames; it must be what browsers play."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.codec.canonical_name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        return [float(frame.time) for frame in container.decode(stream)]


def test_videos_are_linked_where_a_browser_can_play_them(night: tuple[Path, Path], tmp_path: Path) -> None:
    site = tmp_path / "site"
    found = media(night, site)
    assert found[FIRST] == {"src": found[FIRST]["src"], "offset_s": 0.0, "cuts": [], "why_not": ""}
    assert (site / found[FIRST]["src"]).resolve() == night[0] / FIRST
    hostile = next(video for video in CLIPS if HOSTILE in video)
    assert "<" not in found[hostile]["src"]
    avi = found["cam-b/2026-11-24/22-59-59.avi"]["src"]
    assert avi.startswith("media/")
    assert played(site / avi) == pytest.approx(np.arange(100) / 25, abs=1e-4)
    before = (site / avi).stat().st_mtime_ns
    assert media(night, site)["cam-b/2026-11-24/22-59-59.avi"]["src"] == avi
    assert (site / avi).stat().st_mtime_ns == before, "what was transcoded is kept"


def test_videos_are_copied_or_transcoded_or_left_out(night: tuple[Path, Path], tmp_path: Path) -> None:
    copied = media(night, tmp_path / "copy", media="copy", media_videos="events")
    assert (tmp_path / "copy" / copied[FIRST]["src"]).read_bytes() == (night[0] / FIRST).read_bytes()
    assert "--media-videos" in copied["cam-a/2026-11-24/23-15-00.mp4"]["why_not"]
    small = media(night, tmp_path / "small", media="transcode", longest=32)
    assert len(played(tmp_path / "small" / small[FIRST]["src"])) == 100
    assert len(list((tmp_path / "small" / "media").iterdir())) == len(CLIPS)
    with av.open(str(tmp_path / "small" / small[FIRST]["src"])) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (32, 24)
    none = media(night, tmp_path / "none", media="none")
    assert {item["src"] for item in none.values()} == {""}


def test_a_part_of_a_folder_of_images_is_a_video_with_its_own_times(tmp_path: Path) -> None:
    folder = tmp_path / "archive" / "frames"
    folder.mkdir(parents=True)
    for number, image in enumerate(pictures(30, 66, 50)):
        cv2.imwrite(str(folder / f"{number}.png"), image)
    prefix = tmp_path / f"bundle={BUNDLE}"
    put_video(prefix, "frames", frames=30, bumps=[Bump(10, 20, 9.0)])
    write_site(ReportJob(scores=str(prefix), out=str(tmp_path / "site"), archive=(str(tmp_path / "archive"),)))
    found = data(tmp_path / "site", f"videos/{video_key('frames')}")["media"]
    assert played(tmp_path / "site" / found["src"]) == pytest.approx(np.arange(30) / 25, abs=1e-4)
    assert found["offset_s"] == 0


def test_a_video_that_the_archive_lost_is_shown_without_a_player(night: tuple[Path, Path], tmp_path: Path) -> None:
    empty = tmp_path / "archive"
    empty.mkdir()
    found = media(night, tmp_path / "site", archive=(str(empty),))
    assert f"{empty} does not have this video" in found[FIRST]["why_not"]


def test_a_video_that_the_transcoder_refuses_costs_its_own_player_and_no_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "archive").mkdir()
    prefix, wide = tmp_path / f"bundle={BUNDLE}", Clip(codec="mjpeg", pix_fmt="yuvj420p", width=17_000, height=16)
    write_clip(tmp_path / "archive" / "wide.avi", replace(wide, options={}, frames=5))
    write_clip(tmp_path / "archive" / "well.avi", Clip(codec="mpeg4", frames=5))
    for video in ("well.avi", "wide.avi"):
        put_video(prefix, video, frames=5, bumps=[Bump(4, 5, 9.0)])
    options = {"archive": (str(tmp_path / "archive"),), "media": "transcode", "longest": 20_000}
    made = ReviewJob(scores=str(prefix), out=str(tmp_path / "site"), evidence=EvidenceConfig(events=0), **options)
    assert review_job(made) == EXIT_OK
    assert "2 videos, 2 events, 0 failures, 1 video without a player (the pages say why)" in capsys.readouterr().out
    pages = {video: data(tmp_path / "site", f"videos/{video_key(video)}") for video in ("well.avi", "wide.avi")}
    assert len(pages["wide.avi"]["events"]) == 1
    assert pages["wide.avi"]["media"]["src"] == ""
    assert pages["wide.avi"]["media"]["why_not"].startswith("wide.avi: cannot be transcoded: ")
    assert "invalid width x height (17000x16)" in pages["wide.avi"]["media"]["why_not"]
    assert len(played(tmp_path / "site" / pages["well.avi"]["media"]["src"])) == 5


def test_a_link_that_no_page_can_follow_is_refused() -> None:
    with pytest.raises(ConfigError, match="give --media-url, or --media copy"):
        ReportJob(scores="s", out="site", archive=("s3://cameras",))
    with pytest.raises(ConfigError, match="cannot name files in s3://cameras"):
        ReportJob(scores="s", out="s3://review/site", archive=("s3://cameras",))
    made = ReportJob(scores="s", out="s3://one/site", archive=("s3://one/cameras/2026",))
    video = Video("a b/é#1.mp4", "s3://one/cameras/2026/a b/é#1.mp4", "file", "", 0)
    assert link(video, made) == "../cameras/2026/a%20b/%C3%A9%231.mp4"
    elsewhere = ReportJob(scores="s", out="site", archive=("s3://cameras",), media_url="https://nas/cameras/")
    assert link(video, elsewhere) == "https://nas/cameras/a%20b/%C3%A9%231.mp4"


@pytest.mark.parametrize("video", ["../secret.mp4", "a/../../secret.mp4", "/secret.mp4", "a//b.mp4", "./a.mp4"])
def test_an_id_never_leads_out_of_the_archive(tmp_path: Path, video: str) -> None:
    (tmp_path / "archive" / "a").mkdir(parents=True)
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    for known in (None, "0123456789abcdef"):
        assert find_video(str(tmp_path / "archive"), video, fingerprint=known) is None


@pytest.mark.parametrize(
    "row",
    [
        {"files": {"thumb": "../../secret.jpg"}},
        {"files": {"nearest": ["https://elsewhere/x.png"]}},
        {"files": ["thumb.jpg"]},
        {"parts": {"flow": "much"}},
    ],
)
def test_evidence_that_names_anything_but_files_beside_it_is_refused(tmp_path: Path, row: dict[str, Any]) -> None:
    put_json(str(tmp_path / "events" / "k" / "event.json"), row)
    with pytest.raises(SchemaError, match=r"events/k/event\.json: not an event"):
        read_evidence(str(tmp_path), "k")


def test_evidence_that_is_not_there_yet_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "events" / "k").mkdir(parents=True)
    assert read_evidence(str(tmp_path), "k").files == {}
