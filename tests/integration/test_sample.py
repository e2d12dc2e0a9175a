"""A sample of an archive: at most so many cubes a camera, spread over its footage, the same at any shard length."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow.parquet as pq
import pytest

from hf2vad.cluster.settings import RayConfig
from hf2vad.cubes.settings import MotionConfig
from hf2vad.jobs.extract import ExtractJob, extract_job
from hf2vad.runs.sampling import stretch_frames
from hf2vad.schema import U8
from hf2vad.tasks.extraction import ExtractionTask
from hf2vad.video.shards import Shard

HERE = RayConfig(address="none")
MOST = 400
DAYS = 5
FRAMES = 240

Rows = Counter[tuple[str, int, bytes]]


def write(path: Path, frames: int, busy: range) -> None:
    """A still ground on which a square moves in the frames of `busy`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ground: U8 = np.random.default_rng(1).integers(60, 90, (48, 64, 3), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "12"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for t in range(frames):
            image = ground.copy()
            if t in busy:
                x, y = 3 * t % 44, t % 28
                image[y : y + 12, x : x + 12] = 230
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode(None))


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Much of one camera, little of another, and one where hardly anything moves."""
    folder = tmp_path_factory.mktemp("archive")
    for day in range(DAYS):
        write(folder / f"gate/2026-11-0{day + 1}/a.mp4", FRAMES, range(FRAMES))
    write(folder / "yard/2026-11-01/a.mp4", 30, range(30))
    write(folder / "quiet/2026-11-01/a.mp4", 400, range(380, 400))
    return folder


def job(archive: Path, out: Path, **settings: Any) -> ExtractJob:
    base = ExtractJob.base({"preset": "compact", "boxes": None})
    own = {"archive": str(archive), "out": str(out), "dataset": "d", "ray": HERE, "max_cubes": MOST}
    return replace(base, **{**own, "motion": MotionConfig(min_area=30), **settings})


def rows(out: Path) -> Rows:
    """Each cube, however it is cut into files."""
    found: Rows = Counter()
    for path in out.rglob("stc/**/*.parquet"):
        table = pq.read_table(path)
        found.update(zip(*(table[name].to_pylist() for name in ("video", "frame", "flow")), strict=True))
    return found


def files(out: Path) -> dict[str, bytes]:
    """The content of each file of the table."""
    paths = (path for path in (out / "stc").rglob("*") if path.is_file())
    return {str(path.relative_to(out)): path.read_bytes() for path in paths}


def cubes(out: Path) -> Counter[str]:
    counts: Counter[str] = Counter()
    for video, _, _ in rows(out).elements():
        counts[video.split("/")[0]] += 1
    return counts


@pytest.fixture(scope="module")
def everything(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("everything")
    assert extract_job(job(archive, out, max_cubes=0)) == 0
    return out


@pytest.fixture(scope="module")
def sampled(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sampled")
    assert extract_job(job(archive, out)) == 0
    return out


@pytest.mark.slow
def test_at_most_so_many_cubes_of_a_camera_are_cut_and_they_are_those_of_all(everything: Path, sampled: Path) -> None:
    whole, some = cubes(everything), cubes(sampled)
    assert whole["gate"] > 2 * MOST
    assert 0.7 * MOST < some["gate"] <= MOST
    assert (some["yard"], some["quiet"]) == (whole["yard"], whole["quiet"])
    assert rows(sampled) <= rows(everything)


@pytest.mark.slow
def test_a_sample_is_spread_over_all_days_and_the_hours_of_a_day(sampled: Path) -> None:
    counts: Counter[tuple[str, int]] = Counter()
    for video, frame, _ in rows(sampled).elements():
        if video.startswith("gate/"):
            counts[video, 4 * frame // FRAMES] += 1
    by_day = Counter({video: sum(n for (own, _), n in counts.items() if own == video) for video, _ in counts})
    assert len(by_day) == DAYS
    assert max(by_day.values()) < 2 * min(by_day.values())
    assert len(counts) > 0.8 * 4 * DAYS


@pytest.mark.slow
def test_a_sample_is_the_same_at_any_shard_length(archive: Path, sampled: Path, tmp_path: Path) -> None:
    assert extract_job(job(archive, tmp_path, shard_frames=7)) == 0
    assert rows(tmp_path) == rows(sampled)


@pytest.mark.slow
def test_a_sample_stopped_anywhere_ends_the_same_byte_for_byte(
    archive: Path, sampled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = ExtractionTask.shard
    allowed = 0
    worked: list[int] = []

    def dying(self: ExtractionTask, shard_: Shard, stream: Any) -> Any:
        if len(worked) >= allowed:
            raise KeyboardInterrupt
        worked.append(shard_.start)
        return shard(self, shard_, stream)

    monkeypatch.setattr(ExtractionTask, "shard", dying)
    total = 0
    for _ in range(200):
        allowed += 9
        try:
            assert extract_job(job(archive, tmp_path / "stopped")) == 0
        except KeyboardInterrupt:
            continue
        total = len(worked)
        break
    assert total > 9
    worked.clear()
    allowed = 1000
    assert extract_job(job(archive, tmp_path / "at once")) == 0
    assert total == len(worked), "no shard is worked on again"
    assert files(tmp_path / "stopped") == files(sampled)


@pytest.mark.slow
def test_only_the_footage_of_the_sample_is_decoded(
    archive: Path, everything: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = 0
    shard = ExtractionTask.shard

    def counted(self: ExtractionTask, shard_: Shard, stream: Any) -> Any:
        nonlocal frames
        frames += shard_.stop - shard_.start
        return shard(self, shard_, stream)

    monkeypatch.setattr(ExtractionTask, "shard", counted)
    assert extract_job(job(archive / "gate", tmp_path, pattern="{date}/*")) == 0
    assert frames < 0.6 * DAYS * FRAMES


@pytest.mark.slow
def test_footage_with_fewer_cubes_is_cut_as_if_everything_was_wanted(
    archive: Path, everything: Path, tmp_path: Path
) -> None:
    assert extract_job(job(archive, tmp_path, max_cubes=100_000)) == 0
    assert files(tmp_path) == files(everything)


@pytest.mark.slow
def test_what_it_will_cost_is_said_before_the_work(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert extract_job(job(archive, tmp_path)) == 0
    said = capsys.readouterr().out
    assert "taken whole, at most about 400 cubes each" in said
    line = next(line for line in said.splitlines() if "--max-cubes 0 takes everything" in line)
    assert line.startswith("sample: about 1,")
    assert "at most 400 cubes of each are taken, in " in line
    assert f"stretches of {stretch_frames(MOST)} frames: 0.0 GB, about " in line
    assert said.index(line) < said.index("Record: ")


@pytest.mark.slow
def test_only_the_days_and_cameras_that_are_asked_for_are_cut(archive: Path, tmp_path: Path) -> None:
    pattern = "{camera}/{date}/*"
    wanted = job(archive, tmp_path, pattern=pattern, cameras=("gate",), since="2026-11-02", until="2026-11-03")
    assert extract_job(wanted) == 0
    days = {video for video, _, _ in rows(tmp_path)}
    assert days == {"gate/2026-11-02/a.mp4", "gate/2026-11-03/a.mp4"}


@pytest.mark.slow
def test_a_smaller_sample_leaves_no_cube_of_a_larger_one(archive: Path, sampled: Path, tmp_path: Path) -> None:
    assert extract_job(job(archive, tmp_path, max_cubes=700)) == 0
    assert MOST < cubes(tmp_path)["gate"] <= 700
    assert extract_job(job(archive, tmp_path)) == 0
    assert cubes(tmp_path)["gate"] <= MOST


@pytest.mark.slow
def test_unhealthy_footage_is_left_out_of_a_sample_too(archive: Path, tmp_path: Path) -> None:
    assert extract_job(job(archive, tmp_path, leave_out_unhealthy=True)) == 0
    assert 0 < cubes(tmp_path)["gate"] <= MOST
